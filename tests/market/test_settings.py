"""Settings by file, environment and command line; what is odd is told by name before anything starts."""

import os
import re
from pathlib import Path

import msgspec
import pytest

from market import config, showing
from market.initialising import initialise
from market.main import main
from market.settings import SettingsError, from_environment, from_options, start_of, table
from market.tariff import read_tariff

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    initialise(tmp_path / "market", read_tariff(ROOT / "data/sample/tariff.toml"), 1)
    return tmp_path / "market"


def with_server(folder: Path, *lines: str) -> None:
    file = folder / "market.toml"
    file.write_text(file.read_text("utf-8") + "\n[server]\n" + "\n".join(lines) + "\n", "utf-8")


def test_command_line_before_environment_before_file_before_default(folder: Path) -> None:
    with_server(folder, "port = 1001", "session_s = 7", "queue_bound = 9")
    given = from_environment({"JINSHA_SERVER_PORT": "1002", "JINSHA_SERVER_SESSION_S": "8", "PATH": "/bin"})
    server = config.load(folder, {**given, **from_options({"server.port": "1003", "folder": None})}).server
    assert (server.port, server.session_s, server.queue_bound, server.host) == (1003, 8, 9, "127.0.0.1")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "JINSHA_SERVER_PORT",
            "70000",
            "JINSHA_SERVER_PORT: '70000' will not do; expected a whole number from 0 to",
        ),
        ("JINSHA_SERVER_PORT", "http", "JINSHA_SERVER_PORT: 'http' will not do; expected a whole number"),
        ("JINSHA_SERVER_PORT", "", "JINSHA_SERVER_PORT: '' will not do"),
        ("JINSHA_SERVER_PROT", "1", "there is no such setting; did you mean JINSHA_SERVER_PORT?"),
        ("JINSHA_PORT", "1", "did you mean JINSHA_SERVER_PORT?"),
        ("JINSHA_CHACHE", "x", "did you mean JINSHA_CACHE?"),
        ("JINSHA_DATABASE_URL", "secret-without-scheme", "what it is set to will not do; expected a URL"),
    ],
)
def test_a_bad_variable_is_told_by_name(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment({variable: value})
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_what_others_read_is_left_alone() -> None:
    assert from_environment({"JINSHA_CACHE": "/somewhere", "NOT_JINSHA_X": "1"}) == {}


def test_every_setting_has_a_name_of_its_own_and_its_default_is_allowed() -> None:
    variables = [setting.variable for setting in table()]
    assert len(variables) == len(set(variables))
    for setting in table():
        if setting.default is not None:
            text = (
                setting.default if isinstance(setting.default, str) else msgspec.json.encode(setting.default).decode()
            )
            if isinstance(setting.default, tuple):
                text = ",".join(map(str, setting.default))
            assert setting.read(text, setting.variable) == setting.default
    assert start_of({}).clock == "wall"


def as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def test_the_list_tells_values_and_sources_and_no_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_server(folder, "session_s = 7")
    monkeypatch.setenv("JINSHA_SERVER_PORT", "1002")
    monkeypatch.setenv("JINSHA_DATABASE_URL", "postgresql://me:hush@there/db")
    assert main(["settings", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "server.port = 1002  (JINSHA_SERVER_PORT)" in told
    assert "server.session_s = 7  (market.toml)" in told
    assert 'server.host = "127.0.0.1"  (default)' in told
    assert "database_url = set, not shown  (JINSHA_DATABASE_URL)" in told and "hush" not in told
    assert len(re.findall("^    JINSHA_", told, re.MULTILINE)) == len(table())
    monkeypatch.setenv("JINSHA_SERVER_PORT", "x")
    assert main(["settings"]) == 2
    assert "JINSHA_SERVER_PORT" in capsys.readouterr().err


def test_the_page_for_operators_shows_the_table() -> None:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    assert showing.markdown() in page, f"docs/operating.md should hold:\n\n{showing.markdown()}"


class TestCheck:
    """``jinsha serve --check``."""

    @pytest.fixture(autouse=True)
    def _no_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("JINSHA_")]:
            monkeypatch.delenv(name)

    def test_a_new_market_is_in_order(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["serve", str(folder), "--check"]) == 0
        assert "market.db: will be made" in capsys.readouterr().out
        assert not (folder / "market.db").exists()

    def test_the_folder_may_come_from_the_environment(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JINSHA_FOLDER", str(folder))
        assert main(["serve", "--check"]) == 0

    def test_a_key_that_others_can_read_is_refused(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for name, mode, code in [("operator.pem", 0o644, 2), ("operator.pem", 0o640, 0), ("relayer.hex", 0o660, 2)]:
            (folder / "keys" / name).chmod(mode)
            assert main(["serve", str(folder), "--check"]) == code
            assert ("chmod 600" in capsys.readouterr().err) == (code == 2)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--port", "70000"], "--port"),
            (["--clock", "sundial"], "clock"),
            (["--database", "sqlite:////nowhere/at/all.db"], "unable to open"),
            (["--chain", "http://127.0.0.1:9"], "does not answer"),
            (["--chain", "127.0.0.1:9"], "expected a URL"),
        ],
    )
    def test_what_is_odd_is_told(
        self, folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
    ) -> None:
        assert main(["serve", str(folder), "--check", *options]) == 2
        assert said in capsys.readouterr().err

    def test_no_folder(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["serve", "--check"]) == 2
        assert "JINSHA_FOLDER" in capsys.readouterr().err
