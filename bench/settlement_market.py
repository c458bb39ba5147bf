"""A market of many trades: how fast it is audited and one of its trades proven, and how long it takes to start again.

Sections for ``bench_settlement.py``. Orders are signed in batches by their members, go through the real engine into a
real database, and are committed to the embedded chain; the audit is that of ``jinsha audit``, every signature verified.
"""

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import bench_restart
import msgspec
from rich.console import Console
from settlement_figures import Figure, Say
from sqlalchemy import func, select

from data import tables
from data.database import open_database, reading, sqlite_url
from settlement import audit, hexjson, proofs
from tests.market.world import neighbours, open_market, order
from tests.settlement.chained_world import ChainedWorld, audit_terms, chained_world
from tests.settlement.settlement_world import DAY, HOUR, Wish, start_of
from verifier.chain import Known
from verifier.files import verify
from verifier.report import Report

ORDERS_IN_BATCH = 1_000
TRADES_IN_SLOT = 900
"""The meters' connections carry a thousand lots in a slot."""
PROOFS = 20


class Started(NamedTuple):
    """A market started again: seconds, trades and orders that were replayed, and the process's memory at its most."""

    seconds: float
    orders: int
    trades: int
    peak_mib: int


def audit_section(trades: int) -> Callable[[Say], Iterator[Figure]]:
    def section(say: Say) -> Iterator[Figure]:
        with tempfile.TemporaryDirectory() as folder, chained_world(Path(folder)) as chained:
            say(f"{trades:,} trades of signed orders")
            _trade(chained, trades)
            now_s = start_of(DAY)
            while chained.world.commit(now_s, at_once=True):
                chained.send(now_s)
            say(f"auditing {trades:,} trades")
            began = time.perf_counter()
            result = audit.run(chained.url, chained.chain_file, audit_terms(), console=Console(file=StringIO()))
            took_s = time.perf_counter() - began
            assert result.contradiction is None, result.contradiction
            yield Figure(f"audit of {trades:,} trades, everything but a second verifier", trades / took_s, "trades/s")
            yield Figure("its memory at its most, the bench's included", _peak_mib(), "MiB")
            say("proving trades")
            yield from _proofs(chained, trades)

    return section


def _trade(chained: ChainedWorld, trades: int) -> None:
    """Two batches at a time: what is offered at Bo's meter is bought at Ann's, order for order."""
    made, now_s = 0, start_of(DAY) - 12 * HOUR
    hours = range(8, 9 + trades // TRADES_IN_SLOT)
    while made < trades:
        count = min(ORDERS_IN_BATCH, trades - made)
        some = [hours[(made + at) % len(hours)] for at in range(count)]
        chained.world.place(*(Wish("A2", "sell", hour, 1, 4_000) for hour in some), now_s=now_s)
        chained.world.place(*(Wish("A1", "buy", hour, 1, 4_800) for hour in some), now_s=now_s)
        made += count


def _proofs(chained: ChainedWorld, trades: int) -> Iterator[Figure]:
    files = []
    for at in range(PROOFS):
        with reading(chained.world.database) as connection:
            found = proofs.gather(connection, 1 + at * (trades // PROOFS), 100, chained.world.domain)
        assert not isinstance(found, str), found
        files.append(hexjson.dumps(proofs.with_events(found, chained.chain)))
    began = time.perf_counter()
    for file in files:
        report = Report()
        verify(msgspec.json.decode(file), report, Known())
        assert report.holds, report
    yield Figure("a trade's proof verified offline", 1000 * (time.perf_counter() - began) / PROOFS, "ms")
    yield Figure("its size", len(files[0]), "bytes")


# ------------------------------------------------------------------------------------------------- starting again


def restart_section(orders: int) -> Callable[[Say], Iterator[Figure]]:
    def section(say: Say) -> Iterator[Figure]:
        with tempfile.TemporaryDirectory() as folder:
            say(f"placing {orders:,} orders")
            _in_a_process(_fill, folder, orders)
            say("starting again")
            started: Started = _in_a_process(_start, folder, orders)
        yield Figure(f"restart with {started.orders:,} orders and {started.trades:,} trades", started.seconds, "s")
        yield Figure("trades replayed at a restart", started.trades / started.seconds, "trades/s")
        yield Figure("1,000,000 trades at that pace", 10**6 * started.seconds / started.trades, "s")
        yield Figure("its memory at its most", started.peak_mib, "MiB")

    return section


def _in_a_process(work: Callable[[str, int], Started], folder: str, orders: int) -> Started:
    """In a process of its own, so that its memory is only its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (folder, orders))


def _fill(folder: str, orders: int) -> Started:
    """Every second batch buys what the one before offered: two orders for each trade."""

    async def fill() -> None:
        database = open_database(sqlite_url(Path(folder) / "market.db"))
        async with open_market(Path(folder), database=database, limits=bench_restart.NO_LIMITS) as world:
            people = await neighbours(world, capacity_kw="4000000")
            for name in ("ann", "bo"):
                await world.give(name, 10**15, 10**15)
            for start in range(0, orders, bench_restart.BATCH):
                at = start // bench_restart.BATCH
                side = (("A1", "sell", "0.05", "0.30"), ("A2", "buy", "0.05", "0.55"))[at % 2]
                slots = [bench_restart.SLOTS[(at // 2 + each) % 96] for each in range(bench_restart.BATCH)]
                wanted = [order(f"o{start + each}", *side, slot) for each, slot in enumerate(slots)]
                await world.context.sequencer.submit(bench_restart.job(world, people[at % 2], wanted))

    asyncio.run(fill())
    return Started(0, orders, 0, 0)


def _start(folder: str, orders: int) -> Started:
    async def start() -> tuple[float, int]:
        database = open_database(sqlite_url(Path(folder) / "market.db"))
        with reading(database) as connection:
            trades = connection.scalar(select(func.count()).select_from(tables.trades)) or 0
        began = time.perf_counter()
        async with open_market(Path(folder), database=database, limits=bench_restart.NO_LIMITS):
            return time.perf_counter() - began, trades

    took_s, trades = asyncio.run(start())
    return Started(took_s, orders, trades, _peak_mib())


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
