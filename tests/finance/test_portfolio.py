"""A bank's portfolio: every breakdown adds up to the exposure, and both to a plain sum over the rows."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from data.database import open_database, reading
from finance import criteria_store, holding_store
from finance.portfolio import AGES, DIMENSIONS, MATURITIES, Group, Slice, portfolio
from tests.databases import made
from tests.finance.many import FIRST_DAY, add_people, add_rows, row_of

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


def test_every_breakdown_adds_up_to_a_plain_sum_over_the_rows(database: Engine) -> None:
    chance, rows, owed = random.Random(3), [], Counter[int]()
    exposure_fen, number = 0, 0
    for n in range(1, 200):
        creditor, debtor = chance.sample(PARTIES, 2)
        face_fen = chance.randrange(2, 10**9)
        advance_fen = chance.randrange(1, face_fen + 1)
        paid_fen, holder = chance.choice([0, chance.randrange(face_fen)]), chance.choice([BANK, RIVAL])
        due_day = (FIRST_DAY + timedelta(days=chance.randrange(300))).isoformat()
        sold = {"holder": holder, "advance_fen": advance_fen, "paid_fen": paid_fen, "state": "financed"}
        rows.append(row_of(n, n, creditor=creditor, debtor=debtor, face_fen=face_fen, due_day=due_day, **sold))
        if holder == BANK and advance_fen > paid_fen:
            exposure_fen, number = exposure_fen + advance_fen - paid_fen, number + 1
            owed[debtor] += advance_fen - paid_fen
    with database.begin() as connection:
        add_people(connection, [*PARTIES, BANK, RIVAL])
        add_rows(connection, rows)
    with reading(database) as connection:
        found = portfolio(holding_store.groups(connection, BANK), {}, TODAY)
        book = criteria_store.book_of(connection, BANK)
    assert (found.exposure_fen, found.number) == (exposure_fen, number)
    for dimension in DIMENSIONS:
        slices = found.by[dimension]
        assert (sum(each.amount_fen for each in slices), sum(each.number for each in slices)) == (exposure_fen, number)
    assert {int(each.name): each.amount_fen for each in found.by["debtor"]} == owed == book.by_debtor
    assert book.total_fen == exposure_fen == sum(book.by_seller.values())
