"""Costs, overdue interest, advance, residual: by example, to the fen."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.waterfall import (
    NEVER_LATE,
    Lateness,
    OverpaidError,
    Shares,
    accrue,
    buy_back,
    cumulative_shares,
    financed,
    late_interest_fen_ceil,
    pay,
    unfinanced,
)

DUE = date(2026, 8, 31)
LATE = Lateness(rate_ppm=180_000, year_days=360)
SOLD = financed(unfinanced(100_000, DUE), 90_000, 500, LATE)


def test_before_the_due_day_costs_then_the_advance_then_the_residual() -> None:
    after, shares = pay(SOLD, 50_000, DUE)
    assert shares == Shares(500, 0, 49_500, 0)
    assert (after.advance_open_fen, after.residual_open_fen, after.redeemed_fen) == (40_500, 9_500, 50_000)
    after, shares = pay(after, 50_000, DUE)
    assert shares == Shares(0, 0, 40_500, 9_500)
    assert (after.open_fen, after.redeemed_fen) == (0, 100_000)


def test_ten_days_late_at_18_percent_the_residual_carries_the_interest() -> None:
    """90,000 x 18 % x 10 / 360 = 450 fen."""
    after, shares = pay(SOLD, 100_000, DUE + timedelta(days=10))
    assert shares == Shares(500, 450, 90_000, 9_050)
    assert after.open_fen == 0


def test_interest_runs_on_what_is_open_and_is_rounded_up_at_each_payment() -> None:
    half, _ = pay(SOLD, 45_950, DUE + timedelta(days=10))  # 500 + 450 + 45,000
    assert half.advance_open_fen == 45_000
    assert accrue(half, DUE + timedelta(days=11)).interest_due_fen == 23  # 22.5
    assert accrue(half, DUE).interest_due_fen == 0
    assert late_interest_fen_ceil(45_000, LATE, 1) == 23


def test_more_interest_than_the_residual_carries_is_not_owed() -> None:
    ruined = DUE + timedelta(days=360)  # 16,200 fen of interest, a residual of 10,000
    after, shares = pay(SOLD, 100_000, ruined)
    assert shares == Shares(500, 9_500, 90_000, 0)
    assert (after.open_fen, after.interest_due_fen) == (0, 6_700)


def test_what_was_never_sold_adds_nothing_and_is_all_residual() -> None:
    after, shares = pay(unfinanced(100, DUE), 40, DUE + timedelta(days=100))
    assert (shares, after.residual_open_fen) == (Shares(0, 0, 0, 40), 60)


def test_buying_back_costs_costs_interest_and_advance_and_ends_both() -> None:
    after, price_fen = buy_back(SOLD, DUE + timedelta(days=10))
    assert price_fen == 500 + 450 + 90_000
    assert (after.costs_due_fen, after.interest_due_fen, after.lateness) == (0, 0, NEVER_LATE)
    assert (after.advance_open_fen, after.residual_open_fen) == (90_000, 10_000)


@pytest.mark.parametrize("payment_fen", [0, -1, 100_001])
def test_a_payment_is_above_zero_and_at_most_what_is_open(payment_fen: int) -> None:
    with pytest.raises(OverpaidError):
        pay(SOLD, payment_fen, DUE)


def test_a_third_each_of_a_hundred_fen() -> None:
    assert cumulative_shares(100, [1_000, 1_000, 1_000]) == [33, 33, 34]
    assert cumulative_shares(1, [1, 1]) == [0, 1]
    assert cumulative_shares(0, []) == []


@given(weights=st.lists(st.integers(1, 10**9), min_size=1, max_size=20), data=st.data())
def test_shares_sum_exactly_and_none_is_above_its_weight(weights: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(weights)))
    shares = cumulative_shares(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share <= weight
        assert abs(share * sum(weights) - weight * amount) < sum(weights)
