"""Members scored per second: in memory, and from a database with a year of trades, where every decision is kept.

    python bench/finance_scoring.py

Each member buys or sells ten times in the year and owes a receivable; sums by the database, features and scores in
numpy. The slow way, one member after the other by the rule that ``finance/credit/card.py`` says plainly, stands beside.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, func, select

from data.bulk import insert_rows
from data.database import open_database, sqlite_url
from data.schema import bring_forward
from data.tables import (
    credit_decisions,
    cycles,
    deliveries,
    members,
    nodes,
    orders,
    receivable_history,
    receivables,
    signatures,
    trades,
)
from finance.credit import card as cards
from finance.credit import scoring
from finance.credit.card import score
from finance.credit.fast import decide_all, score_all
from finance.credit.feature_names import NAMES
from finance.credit.simulated import communities

MEMBERS = 100_000
TRADES = 5 * MEMBERS
BEGIN_S = 1_782_835_200
DAYS = 360
TIME_ZONE = "Asia/Shanghai"
PLAIN = 5_000

Rows = list[tuple[str, str]]


def run() -> Rows:
    """Name of each figure, and the figure."""
    return [*in_memory(), *from_the_database()]


def in_memory() -> Rows:
    """Points and ratings of features that are there; then decisions with their hashes; then the plain way."""
    card, table = cards.read(cards.EXPERT), communities(MEMBERS, 1).table
    plain = [dict(zip(NAMES, row, strict=True)) for row in table.values[:PLAIN].tolist()]
    scored_s = _seconds(lambda: score_all(card, table))
    decided_s = _seconds(lambda: [made.input_hash for _, made in decide_all(card, table, 0, 1)])
    plain_s = _seconds(lambda: [score(card, features) for features in plain])
    return [
        (f"{MEMBERS:,} members scored in memory", f"{MEMBERS / scored_s:,.0f} members/s"),
        ("… with their decisions and hashes", f"{MEMBERS / decided_s:,.0f} members/s"),
        ("one by one, as the rule reads", f"{PLAIN / plain_s:,.0f} members/s"),
    ]


def from_the_database() -> Rows:
    """The daily pass: the first keeps a decision for everybody, the next only what changed."""
    card = cards.read(cards.EXPERT)
    with TemporaryDirectory() as folder:
        database = open_database(sqlite_url(Path(folder) / "market.db"))
        bring_forward(database)
        with database.begin() as connection:
            fill(connection)
        now_s = BEGIN_S + (DAYS + 1) * 86_400
        first_s = _seconds(lambda: scoring.score_due(database, card, now_s, TIME_ZONE))
        next_s = _seconds(lambda: scoring.score_due(database, card, now_s + 86_400, TIME_ZONE))
        with database.begin() as connection:
            kept = connection.scalar(select(func.count()).select_from(credit_decisions)) or 0
        database.dispose()
    again = kept - MEMBERS
    return [
        (f"{MEMBERS:,} members with {TRADES:,} trades from the database", f"{MEMBERS / first_s:,.0f} members/s"),
        ("… how long that took, every decision kept", f"{first_s:.1f} s"),
        (f"the next day, {again:,} decisions changed", f"{next_s:.1f} s"),
    ]


def fill(connection: Connection) -> None:
    """A year: members, trades that are delivered nearly all, receivables that are paid about in time."""
    rng = np.random.default_rng(1)
    ids = range(100, 100 + MEMBERS)
    _insert(
        connection,
        members,
        ((each, f"m{each}", "household", "[]", "admitted") for each in ids),
        "member_id name kind roles status",
    )
    _insert(connection, nodes, [(0, "S")], "node_id name")
    _insert(connection, signatures, [(0, 100)], "signature_id member_id")
    _insert(connection, orders, [(0, 100)], "order_id member_id")
    days = [(day + 1, str(day), BEGIN_S + (day + 1) * 86_400, "applied") for day in range(DAYS)]
    _insert(connection, cycles, days, "cycle day end_s state")
    buyers, sellers = rng.integers(100, 100 + MEMBERS, (2, TRADES)).tolist()
    slots = np.sort(rng.integers(0, DAYS * 96, TRADES)).tolist()
    lots, ticks = rng.integers(10, 5_000, TRADES).tolist(), rng.integers(3_000, 6_000, TRADES).tolist()
    starts = [BEGIN_S + 900 * slot for slot in slots]
    made = zip(range(TRADES), starts, buyers, sellers, lots, ticks, strict=True)
    _insert(connection, trades, made, "trade_id slot_s buyer seller quantity_lots seller_price_ticks")
    delivered = zip(range(TRADES), [s // 96 + 1 for s in slots], [lot - lot % 7 for lot in lots], strict=True)
    _insert(connection, deliveries, delivered, "trade_id cycle delivered_lots")
    _owe(connection, rng)


def _owe(connection: Connection, rng: np.random.Generator) -> None:
    due = rng.integers(30, DAYS - 10, MEMBERS).tolist()
    late = np.maximum(0, rng.normal(-2.0, 4.0, MEMBERS)).astype(int).tolist()
    names = [place.to_bytes(32, "big") for place in range(MEMBERS)]
    day_of = [str(np.datetime64("2026-07-01") + day) for day in range(DAYS)]
    rows = (
        (name, place, 100, 100 + place, 10_000, day_of[day], "settled")
        for place, (name, day) in enumerate(zip(names, due, strict=True))
    )
    _insert(connection, receivables, rows, "receivable_id number creditor debtor face_fen due_day state")
    paid = (
        (place, name, "settled", BEGIN_S + (day + days_late) * 86_400 + 1_000)
        for place, (name, day, days_late) in enumerate(zip(names, due, late, strict=True))
    )
    _insert(connection, receivable_history, paid, "change receivable_id after at_s")


def _insert(connection: Connection, table: Table, rows: Any, given: str) -> None:
    """Rows of the columns ``given``; the others that must hold something get a filler."""
    names = given.split()
    empty: dict[type, Any] = {int: 0, bool: False, str: "", bytes: bytes(32)}
    others = [column for column in table.c if not column.nullable and column.name not in names]
    filler = tuple(empty[column.type.python_type] for column in others)
    whole: Iterator[tuple[Any, ...]] = ((*row, *filler) for row in rows)
    insert_rows(connection, table, (*names, *(column.name for column in others)), list(whole))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    for name, found in run():
        print(f"{name:64} {found}")
