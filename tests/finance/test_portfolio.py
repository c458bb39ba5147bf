"""A bank's portfolio: every breakdown adds up to the exposure, and both to a plain sum over the parts."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from data.database import open_database, reading
from data.tables import receivable_history
from finance import criteria_store, holding_store
from finance.portfolio import AGES, DIMENSIONS, MATURITIES, Group, Slice, portfolio
from tests.databases import made
from tests.finance.many import FIRST_DAY, add_part, add_people, add_rows, id_of, row_of

TODAY = date(2026, 9, 1)
BANK, RIVAL = 20, 21
PARTIES = range(1, 6)


def group(days_left: int, open_fen: int = 100, state: str = "financed", debtor: int = 2) -> Group:
    return Group(1, debtor, (TODAY + timedelta(days=days_left)).isoformat(), state, False, 1, open_fen)


@pytest.mark.parametrize(
    ("days_left", "maturity", "age"),
    [
        (181, "over 180 days", "current"),
        (180, "91-180 days", "current"),
        (31, "31-60 days", "current"),
        (30, "1-30 days", "current"),
        (1, "1-30 days", "current"),
        (0, "due", "current"),
        (-1, "due", "1-30 days late"),
        (-30, "due", "1-30 days late"),
        (-31, "due", "31-60 days late"),
        (-90, "due", "61-90 days late"),
        (-91, "due", "over 90 days late"),
    ],
)
def test_in_which_bucket_a_day_falls(days_left: int, maturity: str, age: str) -> None:
    found = portfolio([group(days_left)], {}, TODAY)
    for dimension, expected in (("maturity", maturity), ("age", age)):
        assert [each.name for each in found.by[dimension] if each.amount_fen] == [expected]
    assert len(found.by["maturity"]) == len(MATURITIES) + 1
    assert len(found.by["age"]) == len(AGES) + 1


def test_what_is_written_off_is_no_exposure() -> None:
    groups = [group(-100, 70, "written_off"), group(5, 30, debtor=3)]
    found = portfolio(groups, {3: "AA"}, TODAY, recovered_fen=4)
    assert (found.exposure_fen, found.number, found.written_off_fen, found.recovered_fen) == (30, 1, 70, 4)
    assert found.by["rating"] == (Slice("AA", 30, 1),)
    assert portfolio([group(5)], {}, TODAY).by["rating"] == (Slice("unrated", 100, 1),)


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Engine]:
    assert made(tmp_path) == database_url
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def test_every_breakdown_adds_up_to_a_plain_sum_over_the_parts(database: Engine) -> None:
    chance, owed, exposure_fen, held = random.Random(3), Counter[int](), 0, set[int]()
    rows, parts = [], []
    for number in range(1, 120):
        creditor, debtor = chance.sample(PARTIES, 2)
        due_day = (FIRST_DAY + timedelta(days=chance.randrange(300))).isoformat()
        given = {"creditor": creditor, "debtor": debtor, "due_day": due_day, "with_recourse": chance.random() < 0.5}
        rows.append(row_of(number, number, **given, state="financed"))
        for part in range(1, chance.randrange(2, 5)):
            owner, claim = chance.choice([BANK, RIVAL]), chance.choice([0, 1, 1])
            open_fen = chance.choice([0, 1, chance.randrange(10**9)])
            parts.append((number, owner, open_fen, {"part": part, "claim": claim}))
            if owner == BANK and claim and open_fen:
                exposure_fen += open_fen
                owed[debtor] += open_fen
                held.add(number)
    with database.begin() as connection:
        add_people(connection, [*PARTIES, BANK, RIVAL])
        add_rows(connection, rows)
        for number, owner, open_fen, more in parts:
            add_part(connection, number, owner, open_fen, number, **more)
    with reading(database) as connection:
        found = portfolio(holding_store.groups(connection, BANK), {}, TODAY)
        book = criteria_store.book_of(connection, BANK)
    assert (found.exposure_fen, found.number) == (exposure_fen, len(held))
    for dimension in DIMENSIONS:
        slices = found.by[dimension]
        assert sum(each.amount_fen for each in slices) == exposure_fen
        assert sum(each.number for each in slices) == len(held)
    assert {int(each.name): each.amount_fen for each in found.by["debtor"]} == owed == book.by_debtor
    assert book.total_fen == exposure_fen == sum(book.by_seller.values())


def test_what_comes_in_after_a_write_off_is_recovered(database: Engine) -> None:
    """Only what the debtor pays: neither what was paid before nor what was split off."""
    with database.begin() as connection:
        add_people(connection, [*PARTIES, BANK])
        add_rows(connection, [row_of(1, 9, creditor=1, debtor=2, state="written_off")])
        add_part(connection, 1, BANK, 50, 9)
        for change, part, before, after, actor in (
            (1, 1, "1.200000", "1.000000", 2),
            (2, None, "defaulted", "written_off", BANK),
            (3, 1, "1.00", "0.80", BANK),
            (4, 1, "0.800000", "0.500000", 2),
            (5, None, "written_off", "written_off", 2),
        ):
            row = {"change": change, "receivable_id": id_of(1), "part": part, "actor": actor, "at_s": 0, "reason": ""}
            connection.execute(insert(receivable_history), {**row, "before": before, "after": after})
    with reading(database) as connection:
        assert holding_store.recovered_fen(connection, BANK) == 30
        found = portfolio(holding_store.groups(connection, BANK), {}, TODAY)
    assert (found.exposure_fen, found.written_off_fen) == (0, 50)
