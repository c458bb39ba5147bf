"""How long an order waits for its answer, with and without a large cycle being applied meanwhile, in one run.

A section for ``bench_settlement.py``. A market with its database answers signed orders over HTTP, one after another;
the parts of the cycle stand in the same database's outbox and go, by a writer in a thread as settlement's, to an
embedded chain in its own process.
"""

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from settlement_figures import Figure, Say
from settlement_pipe import Crowd

from settlement import acts, outbox
from settlement.chain import Call
from settlement.writer import Writer
from tests.market.world import Person, open_market, order
from tests.settlement.sides import new_market, side

MEMBERS = 10_000
ORDERS = 400
MOST_TIMES_AS_LONG = 2.0
"""On two cores the contracts' process takes its share of one; more than this would be waiting."""


def section(say: Say, members: int = MEMBERS) -> Iterator[Figure]:
    """Medians and 99th percentiles, and their ratio."""
    with tempfile.TemporaryDirectory() as folder, side("embedded", Path(folder) / "chain") as running:
        crowd = Crowd(new_market(running.url), members)
        say(f"admitting {members:,} members")
        crowd.admit_and_fund()
        parts = crowd.parts()
        crowd.propose(parts)
        yield from asyncio.run(_measure(say, crowd, [acts.apply_part(1, at, part) for at, part in enumerate(parts)]))


async def _measure(say: Say, crowd: Crowd, applying: list[Call]) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        async with open_market(Path(folder)) as world:
            ann = await world.newcomer("ann")
            await world.connect(("A1", "A", "ann"), capacity_kw="5000")
            say(f"{ORDERS} orders in peace")
            alone_s = await _order_many(ann, "p", ORDERS)
            with world.context.database.begin() as connection:
                for call in applying:
                    outbox.put(connection, call)
            writer, began = Writer(world.context.database, crowd.chain), time.perf_counter()
            applied = threading.Thread(target=writer.drain)
            applied.start()
            say("orders while the cycle is applied")
            beside_s: list[float] = []
            while applied.is_alive():
                beside_s += await _order_many(ann, f"c{len(beside_s)}-", 20)
            took_s = time.perf_counter() - began
    figures = [Figure(f"cycle of {len(crowd.members):,} applied beside orders", took_s, "s")]
    for name, take in (("median", statistics.median), ("99th percentile", _high)):
        alone, beside = 1000 * take(alone_s), 1000 * take(beside_s)
        figures.append(Figure(f"an order's answer, {name}, in peace", alone, "ms"))
        figures.append(Figure(f"an order's answer, {name}, while a cycle is applied", beside, "ms"))
        goal = MOST_TIMES_AS_LONG if name == "median" else None
        figures.append(Figure(f"{name}: how many times as long", beside / alone, "", goal))
    return figures


def _high(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


async def _order_many(person: Person, names: str, count: int) -> list[float]:
    """Seconds to each answer, one order after another."""
    took_s = []
    for at in range(count):
        wish = order(f"{names}{at}", "A1", "sell", "0.01", "0.40")
        began = time.perf_counter()
        answered = await person.place(wish)
        took_s.append(time.perf_counter() - began)
        assert answered.status in (201, 422), answered
    return took_s
