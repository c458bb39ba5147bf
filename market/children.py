"""The processes that a simulation starts: each with its own log, watched while work goes on, stopped in the end.

A child has a session of its own, so that Ctrl-C in the terminal reaches only us and we stop the children in order. One
that ends by itself is an outage: what is under way is cancelled, and the last lines of its log say why.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

TAIL_LINES = 15
STOP_S = 20.0


class ChildDiedError(Exception):
    """A child ended by itself; the message holds the end of its log."""


@dataclass
class Child:
    name: str
    process: asyncio.subprocess.Process
    log: Path

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])


class Children:
    """Use as ``async with``: on the way out all children are stopped, the youngest first."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: list[Child] = []

    async def __aenter__(self) -> "Children":
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in reversed(self.running):
            await _stop(child)

    async def start(self, name: str, arguments: Sequence[str]) -> Child:
        """``jinsha`` with these arguments as a process; it writes to ``name.log``."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command(arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=_unbuffered(),
            )
        child = Child(name, process, log)
        self.running.append(child)
        return child

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``. Raises ChildDiedError, with the work cancelled, should a child end before it does."""
        task = asyncio.create_task(work)
        ends = {asyncio.create_task(child.process.wait()): child for child in self.running}
        try:
            await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            child = next(child for end, child in ends.items() if end.done())
            raise ChildDiedError(
                f"{child.name} ended by itself (exit code {child.process.returncode}); {child.log} ends with:\n"
                f"{child.tail()}"
            )
        finally:
            for waiting in [task, *ends]:
                waiting.cancel()
            await asyncio.gather(task, *ends, return_exceptions=True)


async def run(arguments: Sequence[str], tell: Callable[[str], None] = lambda line: None) -> tuple[int, list[str]]:
    """``jinsha`` with these arguments to its end: exit code and what it wrote; ``tell`` hears each line as it comes."""
    process = await asyncio.create_subprocess_exec(
        *command(arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env=_unbuffered(),
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async for line in process.stdout:
            text = line.decode("utf-8", "replace").strip()
            if text:
                lines.append(text)
                tell(text)
        return await process.wait(), lines
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise


def command(arguments: Sequence[str]) -> list[str]:
    """How a ``jinsha`` command is started with this very Python."""
    return [sys.executable, "-m", "market.main", *arguments]


def _unbuffered() -> dict[str, str]:
    """What a child writes is seen when it is written."""
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


async def _stop(child: Child) -> None:
    """Ask it to end; after a while, end it with all that it started."""
    if child.process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.process.wait(), STOP_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        await child.process.wait()
