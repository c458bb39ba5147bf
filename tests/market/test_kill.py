"""Kill -9 while orders stream in, again and again, of the server and of PostgreSQL: what was answered is there, once.

Three rounds on each kind of database; ``make soak`` goes through fifty.
"""

import asyncio
import os
import random
from pathlib import Path

import aiohttp
import pytest

from tests.databases import put_on
from tests.market.killed_server import child
from tests.market.load import Ledger, check_answered, check_memory, check_record, check_repeats, traders
from tests.market.world import Person, World, neighbours, open_market
from tests.postgresql import TEMPLATE, Cluster

IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
ROUNDS = 50 if IS_SOAK else 3


@pytest.mark.timeout(120 * ROUNDS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_kill_9_while_orders_stream_in(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    cluster: Cluster | None = request.getfixturevalue("lasting_postgresql") if kind == "postgresql" else None
    if cluster is not None:
        put_on(tmp_path, cluster.new_database(TEMPLATE))
    dice = random.Random(20260701 + int(os.environ.get("SEED", "0")))
    ledger = Ledger()
    async with open_market(tmp_path) as world:
        people = list(zip(await neighbours(world), ("A1", "A2"), strict=True))
    for number in range(ROUNDS):
        async with child(tmp_path) as (process, address), aiohttp.ClientSession() as http:
            served = World(address, http, world.context, world.chain)
            everyone = [(Person(served, p.member, p.key, p.token), meter) for p, meter in people]
            await check_answered(everyone, ledger)
            at_work = traders(everyone, ledger, f"r{number}", dice)
            await ledger.grow(dice.randrange(20, 120))
            await asyncio.sleep(dice.uniform(0, 0.02))
            if cluster is not None and number % 2:
                cluster.kill()
                await asyncio.to_thread(cluster.start)
                await ledger.grow(20)
            process.kill()
            await asyncio.wait_for(asyncio.gather(*at_work), 30)
    async with open_market(tmp_path) as world:
        everyone = [(Person(world, p.member, p.key, p.token), meter) for p, meter in people]
        await check_answered(everyone, ledger)
        await check_repeats(everyone, ledger)
        await check_memory(world)
    assert check_record(tmp_path, ledger).trades > 0
