"""Processes that a simulation starts: watched while work goes on, told apart, and stopped in the end."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from market import children
from market.children import ChildDiedError, Children


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children run ``python -c`` here, so that a test says what they do."""

    def command(arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-c", *arguments]

    monkeypatch.setattr(children, "command", command)


SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
DIES = "import sys; print('what went wrong'); sys.exit(3)"


def is_up(log: Path) -> bool:
    return log.exists() and "up" in log.read_text()


async def until_up(log: Path) -> None:
    while not is_up(log):  # noqa: ASYNC110 - another process writes the file
        await asyncio.sleep(0.01)


async def test_work_goes_on_while_the_children_live(python: None, tmp_path: Path) -> None:
    async with Children(tmp_path) as running:
        child = await running.start("sleeper", [SLEEPS])
        await running.guard(until_up(child.log))
        assert await running.guard(asyncio.sleep(0, "done")) == "done"
    assert child.process.returncode is not None


async def test_a_child_that_ends_by_itself_ends_the_work_and_its_log_says_why(python: None, tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with Children(tmp_path) as running:
        await running.start("sleeper", [SLEEPS])
        await running.start("server", [DIES])
        with pytest.raises(ChildDiedError, match=r"server ended by itself \(exit code 3\)(.|\n)*what went wrong"):
            await running.guard(work())
    assert ended.is_set()


async def test_work_that_fails_fails(python: None, tmp_path: Path) -> None:
    async def work() -> None:
        raise ValueError("no")

    async with Children(tmp_path) as running:
        await running.start("sleeper", [SLEEPS])
        with pytest.raises(ValueError, match="no"):
            await running.guard(work())


async def test_a_child_that_does_not_listen_is_killed(
    python: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "STOP_S", 0.1)
    async with Children(tmp_path) as running:
        child = await running.start("deaf", [DEAF])
        await until_up(child.log)
    assert child.process.returncode == -9


async def test_cancelling_the_work_stops_the_children(python: None, tmp_path: Path) -> None:
    running = Children(tmp_path)

    async def simulation() -> None:
        async with running:
            child = await running.start("sleeper", [SLEEPS])
            await running.guard(until_up(child.log))
            await running.guard(asyncio.sleep(60))

    task = asyncio.create_task(simulation())
    while not running.running:  # noqa: ASYNC110 - the child is started by the other task
        await asyncio.sleep(0.01)
    await until_up(running.running[0].log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running.running[0].process.returncode == -15


async def test_a_command_is_heard_line_by_line_to_its_end(python: None) -> None:
    heard: list[str] = []
    code, lines = await children.run(["import sys; print('one\\n\\n  two'); sys.exit(4)"], heard.append)
    assert (code, lines) == (4, ["one", "two"])
    assert heard == lines


async def test_jinsha_itself_is_what_is_run() -> None:
    code, lines = await children.run(["--help"])
    assert code == 0
    assert any("simulate" in line for line in lines)
