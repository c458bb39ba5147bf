"""``jinsha`` as processes: run to their end, or serving while a test talks to them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from market.client import Client
from market.config import INSTITUTIONS
from settlement import signatures

ROOT = Path(__file__).parents[2]
CLOCK = "manual:2026-07-01T00:00:00Z"


async def jinsha(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "market.main", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )


async def ended(*arguments: str) -> tuple[int | None, str]:
    """Exit code and last line of a command."""
    process = await jinsha(*arguments)
    out, err = await process.communicate()
    return process.returncode, (out + err).decode().strip().splitlines()[-1]


@asynccontextmanager
async def serving(
    folder: Path, clock: str = CLOCK, log: list[bytes] | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running server and its address; its log is read all the while, into ``log``, so that it never waits for us."""
    process = await jinsha("serve", str(folder), "--port", "0", "--clock", clock)
    assert process.stdout is not None and process.stderr is not None
    log = [] if log is None else log
    reading = asyncio.create_task(_read(process.stderr, log))
    try:
        line = (await process.stdout.readline()).decode()
        assert "http://" in line, b"".join(log).decode()
        yield process, line.split()[-1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def _read(stream: asyncio.StreamReader, log: list[bytes]) -> None:
    while line := await stream.readline():
        log.append(line)


def institution(http: aiohttp.ClientSession, address: str, folder: Path, role: str) -> Client:
    key = signatures.private_from_pem((folder / "keys" / f"{role}.pem").read_bytes())
    return Client(http, address, INSTITUTIONS[role], key)
