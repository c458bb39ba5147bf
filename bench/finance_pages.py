"""Pages of a million receivables: what one costs at any depth, for whom, with which filter. ``run()`` gives table rows.

    python bench/finance_pages.py [--receivables 1000000] [--databases sqlite,postgresql]

Rows are put into the tables as they are, without trades or a chain. 100,000 are listed and ten are one bank's; parties
are 1,000 sellers and 50 debtors. At the database: one connection, a new snapshot for each page, as a server reads.
Over HTTP: the real server in a process of its own, one bank with four connections, each page asked for by its cursor.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Engine, text

from data.database import open_database, reading
from data.schema import bring_forward
from data.tables import receivables
from finance.listing import Filter, Viewer
from finance.listing_store import list_receivables
from tests.databases import made
from tests.finance.many import START_S, add_people, add_rows, row_of
from tests.market.killed_server import child
from tests.market.world import World, open_market
from tests.postgresql import cluster

PAGE = 100
PORTION = 50_000
SELLERS, DEBTORS = range(10_000, 11_000), range(20_000, 20_050)
TODAY = date(2026, 9, 1)
SAMPLES = 60
CONNECTIONS, HTTP_PAGES = 4, 400

Row = tuple[str, str]


def fill(database: Engine, count: int, bank: int, rival: int) -> None:
    """Of every ten one is listed; ten in all are the bank's, every seventh is its rival's. Indexes are built last."""
    indexes = list(receivables.indexes)
    with database.begin() as connection:
        add_people(connection, [*SELLERS, *DEBTORS])
        for index in indexes:
            index.drop(connection)
    for start in range(0, count, PORTION):
        with database.begin() as connection:
            add_rows(connection, list(_rows(start, min(start + PORTION, count), count, bank, rival)))
    with database.begin() as connection:
        for index in indexes:
            index.create(connection)
    if database.dialect.name == "postgresql":
        with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE receivables"))


def _rows(start: int, end: int, count: int, bank: int, rival: int) -> Iterator[tuple[object, ...]]:
    for number in range(start + 1, end + 1):
        mixed = number * 7_919 % count
        held = number % (count // 10) == 0
        state = "financed" if held or mixed % 7 == 1 else "listed" if mixed % 10 == 0 else "acknowledged"
        seller, debtor = SELLERS[mixed % len(SELLERS)], DEBTORS[mixed // 31 % len(DEBTORS)]
        yield row_of(
            number,
            number,
            creditor=seller,
            debtor=debtor,
            state=state,
            holder=bank if held else rival if state == "financed" else seller,
            advance_fen=9_000 if state == "financed" else 0,
            face_fen=10_000 + mixed,
            due_day=date.fromordinal(TODAY.toordinal() + mixed % 180).isoformat(),
            source=("hydro", "pv", "wind", "mixed")[mixed % 4],
        )


def questions(bank: int, rival: int, count: int) -> dict[str, tuple[Viewer, Filter]]:
    """Who asks for what, by name."""
    of_bank, overseer, rare = Viewer(bank, is_bank=True), Viewer(9, is_overseer=True), 10_000 + count - 50
    return {
        "a bank: all it sees (100,000 listed, 10 held)": (of_bank, Filter()),
        "a bank: held by it (10)": (of_bank, Filter(holder=bank)),
        "a bank: state=financed (its 10)": (of_bank, Filter(state="financed")),
        "a bank: creditor": (of_bank, Filter(creditor=SELLERS[7])),
        "a bank: debtor": (of_bank, Filter(debtor=DEBTORS[7])),
        "a bank: source=pv": (of_bank, Filter(source="pv")),
        "a bank: due within ten days": (of_bank, Filter(due_from=TODAY, due_to=date(2026, 9, 10))),
        "a bank: the 50 largest faces": (of_bank, Filter(face_from_fen=rare)),
        "a bank: updated in the second half": (of_bank, Filter(updated_after_s=START_S + count // 2)),
        "a bank that holds every seventh": (Viewer(rival, is_bank=True), Filter()),
        "a seller": (Viewer(SELLERS[3]), Filter()),
        "a debtor: state=acknowledged": (Viewer(DEBTORS[3]), Filter(state="acknowledged")),
        "an overseer: all": (overseer, Filter()),
        "an overseer: state=listed": (overseer, Filter(state="listed")),
        "an overseer: the 50 largest faces": (overseer, Filter(face_from_fen=rare)),
    }


def at_the_database(database: Engine, count: int, bank: int, rival: int) -> Iterator[Row]:
    """p50 and p99 of a page at three depths, for each question."""
    kind = database.dialect.name
    for name, (viewer, asked) in questions(bank, rival, count).items():
        told = []
        for depth in (0, count // 2, count - count // 20):
            times = [_page_s(database, viewer, asked, depth + step) for step in range(SAMPLES)]
            told.append(_percentiles(times))
        yield f"{kind}, {name}: page at start, middle, end, p50 / p99 ms", ", ".join(told)


def _page_s(database: Engine, viewer: Viewer, asked: Filter, after: int) -> float:
    begun = time.perf_counter()
    with reading(database) as connection:
        list_receivables(connection, viewer, asked, TODAY, after=after, limit=PAGE)
    return time.perf_counter() - begun


def _percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    p50, p99 = (ordered[min(len(ordered) - 1, len(ordered) * part // 100)] * 1_000 for part in (50, 99))
    return f"{p50:.1f} / {p99:.1f}"


# ------------------------------------------------------------------------------------------------------- HTTP


async def over_http(folder: Path, token: str, count: int) -> list[Row]:
    """Pages a second, and how long one takes, at three depths."""
    rows = []
    async with (
        child(folder) as (_, server),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
    ):
        for name, depth in (("start", 0), ("middle", count // 2), ("end", count - count // 20)):
            times: list[float] = []

            async def ask(first: int, depth: int = depth, times: list[float] = times) -> None:
                for step in range(first, HTTP_PAGES, CONNECTIONS):
                    begun = time.perf_counter()
                    path = f"{server}/v1/receivables?limit={PAGE}&cursor=c{depth + step:x}"
                    async with http.get(path) as answer:
                        assert answer.status == 200, await answer.text()
                        await answer.read()
                    times.append(time.perf_counter() - begun)

            begun = time.perf_counter()
            await asyncio.gather(*[ask(first) for first in range(CONNECTIONS)])
            pages = HTTP_PAGES / (time.perf_counter() - begun)
            rows.append((f"HTTP, a bank: pages of {PAGE} at the {name}, per second; p50 / p99 ms", ""))
            rows[-1] = (rows[-1][0], f"{pages:,.0f}; {_percentiles(times)}")
    return rows


async def _people(folder: Path) -> tuple[int, int, str]:
    """A market with two banks; their numbers and the first one's token."""
    async with open_market(folder) as world:
        bank, rival = await _bank(world, "bank"), await _bank(world, "rival")
        return bank.member, rival.member, bank.token


async def _bank(world: World, name: str) -> Any:
    return await world.newcomer(name, "bank")


def run(count: int = 1_000_000, databases: tuple[str, ...] = ("sqlite", "postgresql")) -> list[Row]:
    """All figures as (what, value)."""
    rows: list[Row] = []
    with ExitStack() as stack:
        if "sqlite" in databases:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            bank, rival, token = asyncio.run(_people(folder))
            database = open_database(made(folder))
            begun = time.perf_counter()
            fill(database, count, bank, rival)
            rows.append((f"sqlite: {count:,} rows put in, s", f"{time.perf_counter() - begun:.0f}"))
            rows += at_the_database(database, count, bank, rival)
            database.dispose()
            rows += asyncio.run(over_http(folder, token, count))
        if "postgresql" in databases:
            server = stack.enter_context(cluster())
            database = open_database(server.new_database())
            bring_forward(database)
            with database.begin() as connection:
                add_people(connection, [30_000, 30_001])
            fill(database, count, 30_000, 30_001)
            rows += at_the_database(database, count, 30_000, 30_001)
            database.dispose()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receivables", type=int, default=1_000_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    given = parser.parse_args()
    os.nice(5)
    for name, value in run(given.receivables, tuple(given.databases.split(","))):
        sys.stdout.write(f"| {name} | {value} |\n")


if __name__ == "__main__":
    main()
