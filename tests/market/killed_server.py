"""A server to be killed: ``python -m tests.market.killed_server FOLDER`` says its address and serves until it is."""

import asyncio
import sys
from pathlib import Path

from tests.market.world import open_market


async def _serve(folder: Path) -> None:
    async with open_market(folder) as world:
        sys.stdout.write(f"{world.server}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
