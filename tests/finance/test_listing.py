"""A list of receivables holds what its viewer may see and asked for, once, in order, at the same cost at any depth."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Row, select

from data.database import open_database, reading, sqlite_url
from data.tables import metadata, receivable_parts, receivables
from finance import listing_store
from finance.listing import Filter, Viewer
from finance.listing_store import every_page, list_receivables
from finance.receivable import Standing, State, standing
from tests.databases import made
from tests.finance.many import COLUMNS, FIRST_DAY, START_S, add_part, add_people, add_rows, any_rows, id_of, row_of

PARTIES, BANKS = range(1, 9), range(20, 23)
TODAY = date(2026, 9, 15)


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Engine]:
    assert made(tmp_path) == database_url
    engine = open_database(database_url)
    with engine.begin() as connection:
        add_people(connection, [*PARTIES, *BANKS])
        rows = any_rows(250, parties=PARTIES, banks=BANKS)
        add_rows(connection, rows)
        _add_parts(connection, rows)
    yield engine
    engine.dispose()


def _add_parts(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Of every fifth receivable some parts: 23 owns two, one is pledged to 24, and what 25 had is paid."""
    place = {name: index for index, name in enumerate(COLUMNS)}
    for row in rows[::5]:
        number, change = row[place["number"]], row[place["change"]]
        add_part(connection, number, 23, 70, change)
        add_part(connection, number, 23, 20, change, part=2, pledgee=24)
        add_part(connection, number, 25, 0, change, part=3, claim=0)


def _has_part(connection: Connection, row: Row[Any], member: int) -> bool:
    own = receivable_parts.c.receivable_id == row.receivable_id
    parts = connection.execute(select(receivable_parts).where(own)).all()
    return row.state != "drafted" and any(member in (part.owner, part.pledgee) for part in parts)


def expected(connection: Connection, viewer: Viewer, asked: Filter, after: int = -1) -> list[int]:
    """Row by row, in Python."""
    rows = connection.execute(select(receivables).order_by(receivables.c.change)).all()
    shown = [row for row in rows if viewer.may_see(row) or _has_part(connection, row, viewer.member)]
    return [row.change for row in shown if row.change > after and _passes(row, asked)]


def _passes(row: Row[Any], asked: Filter) -> bool:
    due_day = date.fromisoformat(row.due_day)
    return (
        all(getattr(asked, name) in (None, getattr(row, name)) for name in ("state", "creditor", "debtor", "source"))
        and asked.holder in (None, row.holder)
        and asked.standing in (None, standing(State(row.state), due_day, TODAY))
        and (asked.due_from or date.min) <= due_day <= (asked.due_to or date.max)
        and (asked.face_from_fen or 0) <= row.face_fen <= (asked.face_to_fen or 10**12)
        and row.changed_s >= (asked.updated_after_s or 0)
    )


def some_filter(chance: random.Random) -> Filter:
    """Each filter is there in one of four."""
    choices: dict[str, Any] = {
        "state": chance.choice(["listed", "financed", "issued"]),
        "standing": chance.choice(list(Standing)),
        "creditor": chance.choice(PARTIES),
        "debtor": chance.choice(PARTIES),
        "holder": chance.choice(BANKS),
        "source": chance.choice(["pv", "mixed"]),
        "due_from": FIRST_DAY + timedelta(days=chance.randrange(100)),
        "due_to": FIRST_DAY + timedelta(days=100 + chance.randrange(80)),
        "face_from_fen": chance.randrange(500_000),
        "face_to_fen": 500_000 + chance.randrange(500_000),
        "updated_after_s": START_S + chance.randrange(400),
    }
    return Filter(**{name: value for name, value in choices.items() if chance.random() < 0.25})


def test_any_viewer_with_any_filter_reads_each_once_in_order(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_store, "EXAMINED", 40)  # so that filters end pages early
    chance, found = random.Random(7), 0
    viewers = [Viewer(20, is_bank=True), Viewer(3), Viewer(3, is_bank=True), Viewer(99), Viewer(9, is_overseer=True)]
    viewers += [Viewer(23, is_bank=True), Viewer(24), Viewer(25)]
    viewers += [Viewer(21, is_bank=True, sellers=frozenset({2, 5}), shown=frozenset(map(id_of, (7, 8, 100))))]
    with reading(database) as connection:
        for viewer in viewers:
            for asked in [Filter(), *(some_filter(chance) for _ in range(4))]:
                limit, after, seen = chance.randrange(10, 60), -1, list[int]()
                while after is not None:
                    rows, after = list_receivables(connection, viewer, asked, TODAY, after=after, limit=limit)
                    assert len(rows) <= limit
                    seen += [row.change for row in rows]
                assert seen == expected(connection, viewer, asked), (viewer, asked)
                found += len(seen)
                together = [row.change for rows in every_page(connection, viewer, asked, TODAY) for row in rows]
                assert together == seen
    assert found > 300, "the filters leave something"


def test_a_page_costs_the_same_at_any_depth(tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine, with 10,000 receivables, half of them listed, ten of them one bank's."""
    engine = open_database(sqlite_url(tmp_path / "market.db"))
    metadata.create_all(engine)
    with engine.begin() as connection:
        add_people(connection, [1, 2, 3, 20])
        rows = [
            row_of(
                number,
                number,
                creditor=1 + number % 2,
                debtor=3,
                state="listed" if number % 2 else "financed",
                holder=20 if number % 1_000 == 0 else 1 + number % 2,
                face_fen=number,
            )
            for number in range(1, 10_001)
        ]
        add_rows(connection, rows)
    rare = Filter(face_from_fen=9_990)
    with reading(engine) as connection:
        for viewer in (Viewer(1), Viewer(20, is_bank=True), Viewer(20), Viewer(9, is_overseer=True)):
            for asked in (Filter(), Filter(state="listed"), Filter(debtor=3), Filter(creditor=1, state="listed"), rare):
                costs = [_steps(connection, viewer, asked, after) for after in (-1, 3_000, 5_500)]
                assert max(costs) <= 1.5 * min(costs) + 2_000, (viewer, asked, costs)
                assert max(costs) < 250_000, (viewer, asked, costs)
    engine.dispose()


def _steps(connection: Connection, viewer: Viewer, asked: Filter, after: int) -> int:
    driver: Any = connection.connection.driver_connection
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 100

    driver.set_progress_handler(count, 100)
    list_receivables(connection, viewer, asked, TODAY, after=after, limit=50)
    driver.set_progress_handler(None, 0)
    return counted
