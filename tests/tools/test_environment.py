"""The environment's Python is one that runs, and every package in it is pinned by name and version alone."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tools import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shim(tmp_path: Path) -> str:
    """A command that is there and fails, as version managers leave them."""
    path = tmp_path / "python3.12"
    path.write_text("#!/bin/sh\nexit 127\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_does_not_run_is_passed_over(shim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not environment.fits(shim)
    assert not environment.fits("no-such-python")
    monkeypatch.setattr(environment, "CANDIDATES", (shim, "no-such-python", sys.executable))
    assert environment.choose_python() == sys.executable


def test_uv_provides_one_where_none_fits(shim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "CANDIDATES", (shim,))
    monkeypatch.setattr(environment, "python_from_uv", lambda: "from uv")
    assert environment.choose_python() == "from uv"


def test_what_fails_is_told_with_what_to_do(shim: str) -> None:
    with pytest.raises(environment.EnvironmentFailedError, match="install another"):
        environment.run([shim], "install another")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned_without_an_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+]+", line) for line in lines)
    pinned = {_normal(line.partition("==")[0]) for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    names = {_normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in wanted}
    assert names <= pinned
