"""Each house rule refuses what it names, and lets its well-behaved neighbour through."""

from pathlib import Path

import pytest

from tools import house_rules


def breaches(root: Path, path: str, text: str) -> list[str]:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return [f"{finding.line} {finding.rule}" for finding in house_rules.check(root)]


@pytest.mark.parametrize(
    ("rule", "path", "bad", "good"),
    [
        ("sql-only-in-stores", "market/book.py", "from sqlalchemy import select\n", "from sqlalchemy import Engine\n"),
        (
            "sql-only-in-stores",
            "market/book.py",
            "import sqlalchemy as sa\nsa.text('x')\n",
            "import sqlalchemy as sa\n",
        ),
        ("sql-only-in-stores", "finance/book.py", "run('SELECT 1')\n", "run('Select one of these')\n"),
        ("no-float-near-money", "finance/offer.py", "rate = 0.1\n", "rate_ppm = 100_000\n"),
        ("no-float-near-money", "finance/offer.py", "float('1')\n", "int('1')\n"),
        ("no-float-near-money", "finance/offer.py", "a = b / c\n", "a = b // c\n"),
        ("no-machine-path", "docs/a.md", "see /home/" + "ann/jinsha\n", "see docs in your home\n"),
        ("no-download-address", "a.txt", "--index-" + "url x\n", "jinsha==1\n"),
        ("no-download-address", "b.toml", 'x = "y @ ' + 'https://there/x.whl"\n', 'x = "y>=1"\n'),
        ("documents-name-what-exists", "README.md", "`market/none.py`\n", "`market/` and `none.py`\n"),
        ("documents-name-what-exists", "docs/a.md", "`market.none.Way`\n", "`marketing.none` and `market.toml`\n"),
        ("documents-name-what-exists", "market/a.py", '"""See docs/none.md."""\n', '"""See none."""\n'),
        ("no-long-file", "market/a.py", "x = 1\n" * 450, "x = 1\n" * 449),
        ("no-long-file", "settlement/contracts/A.vy", "# x\n" * 450, "# x\n" * 449),
        ("no-promises", "market/a.py", "# TO" + "DO: later\n", "# said to do so\n"),
        ("exemptions-have-reasons", "market/a.py", "x  # noqa: E501\n", "x  # noqa: E501 - the address is one word\n"),
        (
            "exemptions-have-reasons",
            "market/a.py",
            "x  # type: ignore[a]\n",
            "x  # type: ignore[a]  # it has no stubs\n",
        ),
        (
            "skips-have-reasons",
            "tests/test_a.py",
            "import pytest\n@pytest.mark.skip\ndef test_a(): ...\n",
            "import pytest\n@pytest.mark.skip(reason='no chain here')\ndef test_a(): ...\n",
        ),
        (
            "skips-have-reasons",
            "tests/test_a.py",
            "import pytest\n@pytest.mark.skipif(True)\ndef test_a(): ...\n",
            "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_a(): ...\n",
        ),
    ],
)
def test_rule_refuses_and_lets_through(tmp_path: Path, rule: str, path: str, bad: str, good: str) -> None:
    assert {each.split()[1] for each in breaches(tmp_path, path, bad)} == {rule}
    assert breaches(tmp_path, path, good) == []


def test_line_is_that_of_the_breach(tmp_path: Path) -> None:
    assert breaches(tmp_path, "finance/offer.py", "a = 1\n\nb = 2.5\n") == ["3 no-float-near-money"]


@pytest.mark.parametrize("path", ["market/store.py", "market/report_store.py", "data/frames.py"])
def test_stores_may_query(tmp_path: Path, path: str) -> None:
    assert breaches(tmp_path, path, "from sqlalchemy import select\n") == []


def test_floats_are_allowed_in_plots(tmp_path: Path) -> None:
    assert breaches(tmp_path, "market/report.py", "width = 0.5\n") == []


def test_documents_may_name_what_is_there(tmp_path: Path) -> None:
    code = "LIMIT: int = 3\nclass Way:\n    def go(self) -> None: ...\n"
    assert breaches(tmp_path, "market/road.py", code) == []
    text = "`market/road.py` has `market.road`, `market.road.Way.go` and `market.road.LIMIT`.\n"
    assert breaches(tmp_path, "docs/a.md", text) == []
    assert breaches(tmp_path, "docs/a.md", "\n`market.road.Way.stop`\n") == ["2 documents-name-what-exists"]


def test_environments_and_caches_are_not_the_project(tmp_path: Path) -> None:
    assert breaches(tmp_path, ".venv/lib/a.py", "# TO" + "DO\n") == []
    assert breaches(tmp_path, "build/a.py", "# TO" + "DO\n") == []


def test_command_line_says_what_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert house_rules.main([str(tmp_path)]) == 0
    assert "0 breaches" in capsys.readouterr().out
    breaches(tmp_path, "finance/offer.py", "a = b / c\n")
    assert house_rules.main([str(tmp_path)]) == 1
    assert "finance/offer.py:1: no-float-near-money: / makes a float" in capsys.readouterr().out
