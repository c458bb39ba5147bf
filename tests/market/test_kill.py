"""Kill -9 while orders stream in, again and again: what was answered is there, nothing is there twice."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import select

from data import tables
from data.database import open_database, reading, sqlite_url
from matching.engine import Engine
from matching.order import decode_commands
from tests.market.world import Person, World, config_of, later, neighbours, open_market, order

ROUNDS = 4
WORKERS = 4
SLOTS = [later("2026-07-01T10:00:00Z", 15 * number) for number in range(8)]


@asynccontextmanager
async def child(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server process on this folder, and where it answers; killed on the way out if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.market.killed_server", str(folder)),
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


@dataclass
class Ledger:
    """What was sent, and what was answered, by member and client order id."""

    sent: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)
    answered: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, member: int, told: dict[str, Any]) -> None:
        self.answered[member, told["client_order_id"]] = told
        self._more.set()

    async def grow(self, count: int) -> None:
        """Wait until so many more are answered."""
        enough = len(self.answered) + count
        while len(self.answered) < enough:
            self._more.clear()
            await self._more.wait()


async def stream(person: Person, meter: str, name: str, ledger: Ledger, dice: random.Random) -> None:
    """Place orders, singly and in batches, and cancel some, until the server is gone."""
    number = 0
    while True:
        side = dice.choice(["buy", "sell"])
        orders = []
        for _ in range(dice.choice([1, 1, 5])):
            number += 1
            price = f"0.{dice.randrange(30, 55)}"
            orders.append(order(f"{name}-{number}", meter, side, "0.05", price, dice.choice(SLOTS), tif="gtc"))
        for each in orders:
            ledger.sent[person.member, each["client_order_id"]] = each
        try:
            if len(orders) == 1:
                answer = await person.place(orders[0])
                results = [answer.body] if answer.status == 201 else []
            else:
                results = (await person.place_batch(orders)).body["results"]
            for result in results:
                if "order" in result:
                    ledger.note(person.member, result["order"])
            if dice.random() < 0.2:
                await person.delete(f"/v1/orders/{orders[0]['client_order_id']}")
        except (aiohttp.ClientError, OSError):
            return


async def test_kill_9_while_orders_stream_in(tmp_path: Path) -> None:
    dice = random.Random(20260701)
    ledger = Ledger()
    async with open_market(tmp_path) as world:
        people = list(zip(await neighbours(world), ("A1", "A2"), strict=True))
    for number in range(ROUNDS):
        async with child(tmp_path) as (process, address), aiohttp.ClientSession() as http:
            served = World(address, http, world.context, world.chain)
            everyone = [(Person(served, p.member, p.key, p.token), meter) for p, meter in people]
            await check_answered(everyone, ledger)
            workers = [
                asyncio.create_task(stream(person, meter, f"r{number}w{worker}", ledger, random.Random(dice.random())))
                for worker in range(WORKERS)
                for person, meter in [everyone[worker % 2]]
            ]
            await ledger.grow(dice.randrange(20, 120))
            await asyncio.sleep(dice.uniform(0, 0.02))
            process.kill()
            await asyncio.wait_for(asyncio.gather(*workers), 30)
    async with open_market(tmp_path) as world:
        everyone = [(Person(world, p.member, p.key, p.token), meter) for p, meter in people]
        await check_answered(everyone, ledger)
        await check_repeats(everyone, ledger)
        live = await world.context.sequencer.look(lambda state: state.engine.state_hash())
    check_record(tmp_path, ledger, live)


async def check_answered(everyone: list[tuple[Person, str]], ledger: Ledger) -> None:
    """Every answered order is there, with the sequence it was given and at least the trades it was told of."""
    for person, _ in everyone:
        there: dict[str, Any] = {}
        cursor = ""
        while True:
            page = (await person.get(f"/v1/orders?limit=1000{cursor}")).body
            there |= {item["client_order_id"]: item for item in page["items"]}
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        for (member, name), told in ledger.answered.items():
            if member == person.member:
                assert there[name]["sequence"] == told["sequence"]
                assert told["trades"] == there[name]["trades"][: len(told["trades"])]


async def check_repeats(everyone: list[tuple[Person, str]], ledger: Ledger) -> None:
    """Sent again, an answered order gets its first answer; one whose answer was lost is there once, or is placed."""
    for person, _ in everyone:
        mine = [(name, sent) for (member, name), sent in ledger.sent.items() if member == person.member]
        for start in range(0, len(mine), 500):
            some = mine[start : start + 500]
            results = (await person.place_batch([sent for _, sent in some])).body["results"]
            for (name, _), result in zip(some, results, strict=True):
                told = ledger.answered.get((person.member, name))
                if told is not None:
                    assert result["order"] == told


def check_record(folder: Path, ledger: Ledger, live: bytes) -> None:
    """No order twice, none that was not sent; and the book is what an engine makes of the journal alone."""
    database = open_database(sqlite_url(folder / "market.db"))
    with reading(database) as connection:
        names = [(row.member_id, row.client_order_id) for row in connection.execute(select(tables.orders))]
        journal = connection.execute(select(tables.journal).order_by(tables.journal.c.batch)).all()
    database.dispose()
    assert len(names) == len(set(names)) and set(names) <= set(ledger.sent)
    engine = Engine(config_of().rules)
    for link in journal:
        engine.apply(decode_commands(link.commands))
    assert engine.state_hash() == live
