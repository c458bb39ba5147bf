"""The servers that ``bench_http.py`` loads: a market, or a handler that does nothing. Each on the core it is told.

    python bench/http_server.py noop CORE
    python bench/http_server.py market CORE FOLDER DATABASE_URL MEMBERS GATEWAYS

Prints one line of JSON when it listens, and serves until its standard input ends. The market is the real one (database,
sequencer, HTTP), but for the chain: nothing settles while orders are measured. Its members are named in the line.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web

from data.database import open_database
from market import gateways
from market.config import Limits
from market.serving import tune_interpreter
from settlement import signatures
from tests.market.world import World, open_market

FLOOD = Limits(
    open_orders=10**9,
    messages_per_s=10**9,
    message_burst=10**9,
    stranger_posts_per_s=10**6,
    stranger_post_burst=10**6,
)
ESCROW_MICRO = 10**15
CAPACITY_KW = "10000000"


async def nothing(request: web.Request) -> web.Response:
    """Reads a body and answers: what a POST costs by itself."""
    await request.read()
    return web.Response(body=b"{}", content_type="application/json")


@contextlib.asynccontextmanager
async def noop() -> AsyncIterator[dict[str, object]]:
    app = web.Application()
    app.router.add_post("/v1/orders", nothing)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield {"port": runner.addresses[0][1]}
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def market(folder: str, url: str, count: str, processes: str) -> AsyncIterator[dict[str, object]]:
    async with open_market(Path(folder), database=open_database(url), limits=FLOOD, port=0) as world:
        members = await people_of(world, int(count))
        tune_interpreter()
        if processes == "0":
            yield {"port": int(world.server.rsplit(":", 1)[1]), "members": members}
        else:
            os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))  # gateways are no use on one core
            async with gateways.before(world.context, int(processes)) as (_, port):
                yield {"port": port, "members": members}


async def people_of(world: World, count: int) -> list[dict[str, object]]:
    """Members with a meter each, half of them under transformer A, and money for anything."""
    for number in range(count):
        await world.newcomer(f"m{number}")
    await world.connect(
        *((f"M{number}", "AB"[number % 2], f"m{number}") for number in range(count)), capacity_kw=CAPACITY_KW
    )
    told = []
    for number in range(count):
        person = world.people[f"m{number}"]
        await world.give(f"m{number}", ESCROW_MICRO)
        told.append(
            {
                "member": person.member,
                "meter": f"M{number}",
                "token": person.token,
                "key": signatures.private_to_pem(person.key).decode(),
            }
        )
    return told


async def serve() -> None:
    kind, core, *arguments = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    async with noop() if kind == "noop" else market(*arguments) as told:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
