"""Told to stop under load: what was answered is there, what had begun is finished, and the exit code says so."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
from sqlalchemy import select

from data import tables
from data.database import open_database, reading, sqlite_url
from market.client import Client, UnreachableError
from market.initialising import initialise
from market.institutions import GridNode, Newcomer, NewMeter, admit, connect
from market.tariff import read_tariff
from settlement import signatures
from settlement.jwk import to_jwk
from tests.market.processes import ROOT, institution, serving
from tests.market.world import Person, later, open_market, order

WORKERS = 6
ENDS = ["stopping", "stopped", "stopping_chain"]


@asynccontextmanager
async def seller_at(folder: Path, address: str) -> AsyncIterator[Client]:
    """A member with a meter, logged in."""
    async with aiohttp.ClientSession() as http:
        operator = institution(http, address, folder, "operator")
        seller = Client(http, address, None, signatures.new_private_key())
        assert seller.key is not None
        await operator.log_in()
        known = to_jwk(signatures.public_key(seller.key))
        (seller.member,) = await admit(operator, [Newcomer("p", "household", ("producer",), known, "seen")])
        nodes = [GridNode("S", None, "substation", None, None), GridNode("T", "S", "transformer", "40", "40")]
        await connect(operator, nodes, [NewMeter("m", "T", seller.member, "pv", "40", "40")])
        seller.patience_s = 0.5
        yield seller


@dataclass
class Answered:
    """Names of the orders that were answered."""

    names: set[str] = field(default_factory=set)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, name: str) -> None:
        self.names.add(name)
        self._more.set()

    async def grow(self, count: int) -> None:
        """Wait until so many more are answered."""
        enough = len(self.names) + count
        while len(self.names) < enough:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 30)


async def sell_on(seller: Client, worker: str, answered: Answered) -> None:
    """Place orders that need no cover, one after another, until the server is gone."""
    assert seller.member is not None and seller.key is not None
    person = Person(None, seller.member, seller.key)  # type: ignore[arg-type]
    with contextlib.suppress(UnreachableError):
        for number in range(10_000):
            name, slot = f"{worker}-{number}", later("2026-07-01T10:00:00Z", 15 * (number % 32))
            _, receipt = await seller.place(person.intent(order(name, "m", "sell", "0.01", "0.90", slot)))
            if receipt is not None:
                answered.add(name)


async def test_under_load_in_good_order_and_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "market"
    initialise(folder, read_tariff(ROOT / "data/sample/tariff.toml"), 1)
    answered = Answered()
    log: list[bytes] = []
    async with serving(folder, log=log) as (process, address), seller_at(folder, address) as seller:
        work = [asyncio.create_task(sell_on(seller, f"a{worker}", answered)) for worker in range(WORKERS)]
        await answered.grow(100)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        await asyncio.gather(*work)
    events = [msgspec.json.decode(line)["event"] for line in log]
    assert [each for each in events if each in ENDS] == ENDS
    assert names_in(folder) >= answered.names

    file = folder / "market.toml"
    file.write_text(file.read_text("utf-8") + "\n[server]\nstop_notice_s = 600\nstop_s = 600\n", "utf-8")
    async with serving(folder) as (process, address), aiohttp.ClientSession() as http:
        again = Client(http, address, seller.member, seller.key, patience_s=0.5)
        work = [asyncio.create_task(sell_on(again, f"b{worker}", answered)) for worker in range(WORKERS)]
        await answered.grow(20)
        process.send_signal(signal.SIGINT)
        assert await not_ready(http, address) == (503, "stopping")
        await answered.grow(20)  # it still serves, for those who have not noticed yet
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 130
        await asyncio.gather(*work)
    assert names_in(folder) >= answered.names


async def not_ready(http: aiohttp.ClientSession, address: str) -> tuple[int, str]:
    """What /readyz says once it says no."""
    while True:
        async with http.get(f"{address}/readyz") as answer:
            if answer.status != 200:
                return answer.status, (await answer.json(content_type=None))["code"]


def names_in(folder: Path) -> set[str]:
    database = open_database(sqlite_url(folder / "market.db"))
    with reading(database) as connection:
        found = set(connection.execute(select(tables.orders.c.client_order_id)).scalars())
    database.dispose()
    return found


async def test_readyz_says_that_it_stops(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        assert (await world.get("/readyz")).status == 200
        world.context.is_stopping = True
        answer = await world.get("/readyz")
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "stopping", "30")
