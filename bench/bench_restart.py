"""How long a market takes to start again: the whole journal replayed and every order and trade compared.

    PYTHONPATH=. python bench/bench_restart.py [--orders 200000] [--database URL]

Orders go through the sequencer in signed batches of a hundred, then the market is opened anew, and then computed again
by ``jinsha replay --journal``. Both times are given, the clock's and the processor's: they differ on a busy machine.
"""

import argparse
import asyncio
import random
import tempfile
import time
from io import StringIO
from pathlib import Path

from rich.console import Console

from data.database import open_database, sqlite_url
from market.placing import PlaceOrders, Signed, SignedOrder
from market.replaying import Figures, replay_journal
from market.settings import Limits
from settlement import signatures
from tests.market.world import Person, World, later, neighbours, open_market, order

BATCH = 100
SIDES = ["buy", "sell"]
SLOTS = [later("2026-07-01T10:00:00Z", 15 * number) for number in range(96)]
NO_LIMITS = Limits(open_orders=10**9)


class Watch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        wall_s, busy_s = time.perf_counter() - self._begun[0], time.process_time() - self._begun[1]
        return f"{wall_s:.1f} s ({busy_s:.1f} s of the processor)"


async def fill(world: World, count: int) -> None:
    """So many orders at random prices, some of which trade."""
    ann, bo = await neighbours(world, capacity_kw="4000000")
    for name in ("ann", "bo"):
        await world.give(name, 10**15, 10**15)
    dice = random.Random(0)
    for start in range(0, count, BATCH):
        person, meter = ((ann, "A1"), (bo, "A2"))[start // BATCH % 2]
        orders = [
            order(
                f"o{start + number}", meter, dice.choice(["buy", "sell"]), "0.05", f"0.{dice.randrange(30, 55)}", slot
            )
            for number, slot in enumerate(dice.choices(SLOTS, k=BATCH))
        ]
        await world.context.sequencer.submit(job(world, person, orders))


def job(world: World, person: Person, orders: list[dict[str, object]]) -> PlaceOrders:
    """As ``market.entry`` would hand it over; nobody looks at the signature here."""
    signed = [SignedOrder(person.intent(each), digest_of(each)) for each in orders]
    key = signatures.public_key(person.key)
    return PlaceOrders(person.member, signed, Signed("batch", bytes(32), bytes(32 * len(orders)), bytes(64), key))


def digest_of(one: dict[str, object]) -> bytes:
    return str(one["client_order_id"]).encode().ljust(32)


async def run(folder: Path, url: str, count: int) -> None:
    async with open_market(folder, database=open_database(url), limits=NO_LIMITS) as world:
        watch = Watch()
        await fill(world, count)
        print(f"{count:,} orders placed in {watch}")
    watch = Watch()
    async with open_market(folder, database=open_database(url), limits=NO_LIMITS) as world:
        took = str(watch)
        still_open, batches = await world.context.sequencer.look(lambda state: (len(state.open), state.journal_batch))
    print(f"started again in {took}: {batches:,} batches, {still_open:,} orders open")
    watch = Watch()
    figures = replay_journal(url, None, screen=Console(file=StringIO()))
    assert isinstance(figures, Figures), figures
    print(f"jinsha replay --journal in {watch}: {figures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--database", metavar="URL", help="an empty one on PostgreSQL instead of a SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or sqlite_url(Path(folder) / "market.db")
        asyncio.run(run(Path(folder), url, options.orders))


if __name__ == "__main__":
    main()
