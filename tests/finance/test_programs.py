"""Standing programs: the table that a bank reads and signs, and what a seller gets for its word alone."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from data.database import reading
from finance import criteria_store, program_store, sales_mirror
from finance import reorganisation as finance_reorganisation
from finance.eligibility import Criteria
from finance.offer import OfferError
from finance.program import Conditions, Price, best_row, check_conditions, path_of, root_of, rows_of, terms_of_draw
from settlement import merkle, mirror_store, reorganisation
from settlement.sale_acts import PriceRow, price_leaf
from tests.finance.ledger import BANK, FACTORY, FORTUNE_CNY, HOME, OTHER_BANK, PLANT, SHOP, TIME_ZONE, copy_ledger
from tests.finance.selling import PRICES, RATINGS, Selling
from tests.finance.test_auctions import code_of, for_sale, owed_in

__all__ = ["for_sale"]

FORTUNE_FEN = FORTUNE_CNY * 100


@pytest.fixture
def selling(tmp_path: Path, for_sale: Path) -> Iterator[Selling]:
    with copy_ledger(for_sale, tmp_path) as ledger:
        yield Selling(ledger, owed_in(ledger))


# ------------------------------------------------------------------------------------------------- on paper


def test_the_table_is_written_out_for_each_debtor_that_is_let_in() -> None:
    ratings = {FACTORY: "A", SHOP: "BBB", HOME: "D", PLANT: "A"}
    rows = rows_of(PRICES, ratings, lambda debtor: debtor != PLANT)
    expected = [
        PriceRow(FACTORY, 30, 36_000),
        PriceRow(FACTORY, 90, 45_000),
        PriceRow(SHOP, 90, 90_000),
    ]
    assert rows == sorted(expected)


@given(some.integers(1, 40), some.data())
def test_every_row_has_its_path_to_the_root(count: int, data: Any) -> None:
    rows = [PriceRow(debtor, 30, debtor * 7) for debtor in range(1, count + 1)]
    row = data.draw(some.sampled_from(rows))
    node = price_leaf(row)
    for on_left, sibling in path_of(rows, row):
        node = merkle.node(sibling, node) if on_left else merkle.node(node, sibling)
    assert node == root_of(rows)


def test_the_cheapest_row_that_is_long_enough() -> None:
    rows = [PriceRow(1, 30, 36_000), PriceRow(1, 60, 50_000), PriceRow(1, 90, 45_000), PriceRow(2, 90, 1)]
    assert best_row(rows, 1, 30) == rows[0]
    assert best_row(rows, 1, 31) == rows[2]
    assert best_row(rows, 1, 91) is None
    assert best_row(rows, 3, 1) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"limit_fen": 0}, "bad_limit"),
        ({"late_rate_ppm": 240_001}, "bad_rate"),
        ({"prices": []}, "bad_prices"),
        ({"prices": [Price("A", 30, 1), Price("A", 30, 2)]}, "bad_prices"),
        ({"prices": [Price("A", 0, 1)]}, "bad_prices"),
        ({"prices": [Price("A", 30, 240_001)]}, "bad_prices"),
        ({"conditions": Conditions(0, 0, 360)}, "bad_rate"),
        ({"conditions": Conditions(1_000_001, 0, 360)}, "bad_rate"),
        ({"conditions": Conditions(1, -1, 360)}, "bad_fee"),
    ],
)
def test_a_program_that_makes_no_sense(changed: dict[str, Any], code: str) -> None:
    plain = {"conditions": Conditions(900_000, 1, 360), "prices": PRICES, "limit_fen": 1, "late_rate_ppm": 0}
    with pytest.raises(OfferError) as refused:
        check_conditions(**{**plain, **changed})
    assert refused.value.code == code


def test_what_a_draw_comes_to() -> None:
    today = date(2026, 7, 3)
    terms = terms_of_draw(70, Conditions(900_000, 1, 360), PriceRow(1, 90, 45_000), today, today + timedelta(days=59))
    assert (terms.advance_fen, terms.discount_fen, terms.fee_fen, terms.proceeds_fen) == (63, 1, 1, 61)


# ------------------------------------------------------------------------------------------------- on the chain


def test_from_the_price_table_to_the_money(selling: Selling) -> None:
    number = selling.draft(BANK)
    with reading(selling.ledger.database) as connection:
        rows = program_store.rows_of(connection, number)
    assert rows == rows_of(PRICES, RATINGS)
    assert selling.program(number).root == root_of(rows)
    assert selling.fitting() == [], "nothing is drawn before the bank has signed"
    assert code_of(selling.sign, BANK, number, OTHER_BANK) == "bad_signature"
    assert code_of(selling.sign, OTHER_BANK, number) == "not_found"
    selling.sign(BANK, number)
    dearer = selling.draft(OTHER_BANK, prices=[Price("A", 90, 200_000)])
    selling.sign(OTHER_BANK, dearer)
    best, worse = selling.fitting()
    assert (best.program.program, best.row, best.terms.proceeds_fen) == (number, PriceRow(FACTORY, 90, 45_000), 61)
    assert worse.terms.proceeds_fen < 61
    assert code_of(selling.draw, number, 62) == "below_minimum"
    selling.draw(number, 61)
    assert code_of(selling.draw, dearer) == "act_pending"
    selling.ledger.sync()
    row = selling.ledger.receivable(selling.owed)
    assert (row.state, row.holder, row.advance_fen, row.proceeds_fen) == ("financed", BANK, 63, 61)
    assert selling.ledger.cash_fen(PLANT) == FORTUNE_FEN + 61
    assert selling.program(number).drawn_fen == 63
    assert code_of(selling.draw, dearer) == "illegal_transition"


def test_the_limit_leaves_room_for_exactly_so_much(selling: Selling) -> None:
    short = selling.draft(BANK, limit_fen=62)
    selling.sign(BANK, short)
    assert code_of(selling.draw, short) == "limit_reached"
    enough = selling.draft(BANK, limit_fen=63)
    selling.sign(BANK, enough)
    assert [each.program.program for each in selling.fitting()] == [enough]
    selling.draw(enough)
    selling.ledger.sync()
    assert selling.program(enough).drawn_fen == 63


def test_a_program_for_another_debtor_for_a_shorter_time_or_for_nobody(selling: Selling) -> None:
    assert code_of(selling.draft, BANK, {}) == "no_rows"
    other = selling.draft(BANK, {SHOP: "A"})
    short = selling.draft(BANK, prices=[Price("A", 30, 1)])
    for number in (other, short):
        selling.sign(BANK, number)
        assert code_of(selling.draw, number) == "no_price"
    assert selling.fitting() == []
    assert code_of(selling.draw, other, member=FACTORY) == "not_a_party"


def test_a_program_that_is_cancelled_or_over(selling: Selling) -> None:
    number = selling.draft(BANK)
    assert code_of(selling.draw, number) == "not_found", "it is not signed"
    selling.sign(BANK, number)
    assert code_of(selling.cancel_program, BANK, number, OTHER_BANK) == "bad_signature"
    selling.cancel_program(BANK, number)
    assert code_of(selling.draw, number) == "not_open"
    block = selling.ledger.chain.head().number + 1
    selling.ledger.sync()
    assert selling.program(number).state == "cancelled"
    with selling.ledger.database.begin() as connection:
        lost = mirror_store.mirrored_events(connection, block)
        reorganisation.unroll(connection, block)
        finance_reorganisation.unroll(connection, block, lost, selling.ledger.now_s, TIME_ZONE)
        sales_mirror.unroll(connection, lost)
    assert selling.program(number).state == "open"
    selling.ledger.sync()
    assert selling.program(number).state == "cancelled"
    brief = selling.draft(BANK, expires_s=selling.ledger.now_s + 10)
    selling.sign(BANK, brief)
    selling.wait(11)
    assert code_of(selling.draw, brief) == "not_open"


def test_what_the_banks_criteria_do_not_let_in(selling: Selling) -> None:
    """By rating when the table is written, by everything else at the draw; the seller is told which, not how far."""
    number = selling.draft(BANK)
    selling.sign(BANK, number)
    ledger = selling.ledger
    with ledger.database.begin() as connection:
        criteria_store.set_criteria(connection, BANK, Criteria(rating_at_least="AA", tenor_to_days=10), ledger.now_s)
    assert code_of(selling.draft, BANK) == "no_rows"
    assert selling.fitting() == []
    assert code_of(selling.draw, number) == "not_eligible"
    with ledger.database.begin() as connection:
        criteria_store.set_criteria(connection, BANK, Criteria(tenor_to_days=90, registry=True), ledger.now_s)
    selling.draw(number)


def test_the_same_nonce_is_the_same_program_and_a_registration_serves_one(selling: Selling) -> None:
    posted = selling.posted()
    numbers = {selling.draft(BANK, **posted._asdict()) for _ in range(2)}
    assert len(numbers) == 1
    assert code_of(selling.draft, BANK, registration=posted.registration) == "registration_used"
