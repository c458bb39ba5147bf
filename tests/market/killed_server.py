"""A server to be killed: it says its address and serves until it is.

    python -m tests.market.killed_server FOLDER [SETTING=NUMBER ...]

One server for one database, as ``jinsha serve`` has it; without a chain, so that it starts in a moment.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from data.database import open_database
from market.lock import served_alone
from tests.databases import url_of
from tests.market.world import open_market


async def _serve(folder: Path, settings: dict[str, int]) -> None:
    database = open_database(url_of(folder))
    with served_alone(database):
        async with open_market(folder, database=database, **settings) as world:
            sys.stdout.write(f"{world.server}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


@asynccontextmanager
async def child(folder: Path, **settings: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server process on this folder, and where it answers; killed on the way out if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.market.killed_server", str(folder)),
        *(f"{name}={number}" for name, number in settings.items()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        assert address.startswith("http://"), "the server did not start: its record contradicts itself"
        yield process, address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    given = (each.split("=") for each in sys.argv[2:])
    asyncio.run(_serve(Path(sys.argv[1]), {name: int(number) for name, number in given}))
