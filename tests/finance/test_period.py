"""A billing period's receivables: computed to the micro-yuan, remainders carried, nothing claimed twice."""

from collections.abc import Sequence
from datetime import date

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from data.units import MICRO_PER_FEN
from finance.calendar import TermsError
from finance.claim import Claim, TermsTrade
from finance.period import Billing, Bundle, Draft, Pair, bundle, draft, due_day_of
from settlement import merkle
from settlement.keccak import keccak

PLANT, HYDRO, FACTORY, SHOP = 100, 101, 200, 201
LAST_DAY = date(2026, 6, 30)


def trade(trade_id: int, creditor: int, debtor: int, lots: int, ticks: int, *, terms: int = 60) -> TermsTrade:
    return TermsTrade(trade_id, creditor, debtor, terms, lots, ticks, keccak(b"trade %d" % trade_id))


def salted(bundles: Sequence[Bundle]) -> dict[Pair, bytes]:
    return {each.pair: keccak(repr(each.pair).encode()) for each in bundles}


def close(trades: Sequence[TermsTrade], carried: dict[Pair, int], period: int = 1) -> Draft:
    bundles = bundle(trades, carried)
    return draft(period, LAST_DAY, bundles, salted(bundles))


def test_one_receivable_for_each_creditor_debtor_and_terms_class() -> None:
    drafted = close(
        [
            trade(1, PLANT, FACTORY, 1_000, 3_500),
            trade(2, HYDRO, FACTORY, 2_000, 3_000),
            trade(3, PLANT, FACTORY, 500, 3_600),
            trade(4, PLANT, FACTORY, 100, 3_500, terms=30),
            trade(5, PLANT, SHOP, 200, 4_000),
        ],
        {},
    )
    assert [
        (issue.claim.creditor, issue.claim.debtor, issue.claim.terms_days, issue.claim.face_fen, len(issue.trades))
        for issue in drafted.issues
    ] == [
        (PLANT, FACTORY, 30, 35, 1),
        (PLANT, FACTORY, 60, 530, 2),
        (PLANT, SHOP, 60, 80, 1),
        (HYDRO, FACTORY, 60, 600, 1),
    ]
    assert {issue.claim.issue_day for issue in drafted.issues} == {date(2026, 7, 1)}
    assert drafted.issues[0].claim.due_day == date(2026, 7, 31)
    assert drafted.issues[1].claim.due_day == date(2026, 8, 28)  # the sixtieth day is a Sunday, and 60 is the limit
    assert set(drafted.remainders_micro.values()) == {0}


def test_a_remainder_is_carried_over_two_periods_and_comes_out_as_a_fen() -> None:
    pair = Pair(PLANT, FACTORY, 60)
    first = close([trade(1, PLANT, FACTORY, 1, 14_000)], {})
    assert (first.issues[0].claim.face_fen, first.remainders_micro) == (1, {pair: 4_000})
    second = close([trade(2, PLANT, FACTORY, 1, 3_000)], first.remainders_micro, period=2)
    assert (second.issues, second.remainders_micro) == ((), {pair: 7_000})
    assert second.root == merkle.EMPTY_ROOT
    third = close([trade(3, PLANT, FACTORY, 1, 3_000)], second.remainders_micro, period=3)
    assert (third.issues[0].claim.face_fen, third.remainders_micro) == (1, {pair: 0})


def test_energy_at_a_negative_price_is_carried_against_what_comes() -> None:
    pair = Pair(PLANT, FACTORY, 60)
    first = close([trade(1, PLANT, FACTORY, 100, -500)], {})
    assert (first.issues, first.remainders_micro) == ((), {pair: -50_000})
    second = close([trade(2, PLANT, FACTORY, 100, 1_000)], first.remainders_micro, period=2)
    assert (second.issues[0].claim.face_fen, second.remainders_micro) == (5, {pair: 0})


def test_the_leaf_is_the_contracts() -> None:
    claim = Claim(7, PLANT, FACTORY, 530, 60, date(2026, 7, 1), date(2026, 8, 28), b"\1" * 32, b"\2" * 32)
    words = ["uint256"] * 7 + ["bytes32"] * 2
    encoded = encode(words, [7, 100, 200, 5_300_000, 60, 20_635, 20_693, b"\1" * 32, b"\2" * 32])
    assert claim.receivable_id == keccak(b"\0" + encoded)


def test_the_trades_root_binds_ids_amounts_and_the_trades_own_leaves() -> None:
    base = trade(1, PLANT, FACTORY, 10, 300)
    assert base.claim_leaf == merkle.leaf((1).to_bytes(32, "big") + (3_000).to_bytes(32, "big") + base.leaf)
    others = [base._replace(trade_id=2), base._replace(delivered_lots=11), base._replace(leaf=bytes(32))]
    assert len({each.claim_leaf for each in [base, *others]}) == 4


@pytest.mark.parametrize(
    ("day", "first", "last", "billing"),
    [
        ("2026-06-01", "2026-06-01", "2026-06-30", Billing.MONTH),
        ("2026-06-17", "2026-06-01", "2026-06-30", Billing.MONTH),
        ("2026-12-31", "2026-12-01", "2026-12-31", Billing.MONTH),
        ("2028-02-29", "2028-02-01", "2028-02-29", Billing.MONTH),
        ("2026-06-17", "2026-06-17", "2026-06-17", Billing.DAY),
    ],
)
def test_a_period_is_a_day_or_a_calendar_month(day: str, first: str, last: str, billing: Billing) -> None:
    within = date.fromisoformat(day)
    assert (billing.first_day(within), billing.last_day(within)) == (
        date.fromisoformat(first),
        date.fromisoformat(last),
    )


def test_terms_beyond_sixty_days_end_within_six_months() -> None:
    assert due_day_of(date(2026, 7, 1), 90) == date(2026, 9, 29)
    with pytest.raises(TermsError):
        due_day_of(date(2026, 7, 1), 190)


PEOPLE = st.integers(100, 103)
TRADES = st.builds(
    trade,
    st.integers(1, 10**6),
    PEOPLE,
    PEOPLE,
    st.integers(0, 10**6),
    st.integers(-20_000, 20_000),
    terms=st.sampled_from([30, 60]),
)


@given(periods=st.lists(st.lists(TRADES, max_size=12, unique_by=lambda each: each.trade_id), max_size=5))
def test_nothing_is_lost_and_nothing_counted_twice_over_any_periods(periods: list[list[TermsTrade]]) -> None:
    carried: dict[Pair, int] = {}
    faces_micro = total_micro = 0
    for number, trades in enumerate(periods, 1):
        drafted = close(trades, carried, number)
        claimed = [each.trade_id for issue in drafted.issues for each in issue.trades]
        assert len(claimed) == len(set(claimed))
        pairs = [(issue.claim.creditor, issue.claim.debtor, issue.claim.terms_days) for issue in drafted.issues]
        assert len(pairs) == len(set(pairs))
        assert all(issue.claim.face_fen > 0 for issue in drafted.issues)
        assert all(rest < MICRO_PER_FEN for rest in drafted.remainders_micro.values())
        carried |= drafted.remainders_micro
        faces_micro += sum(issue.claim.face_micro for issue in drafted.issues)
        total_micro += sum(each.amount_micro for each in trades)
    assert faces_micro + sum(carried.values()) == total_micro


@given(trades=st.lists(TRADES, max_size=12, unique_by=lambda each: each.trade_id), data=st.data())
def test_the_order_in_which_trades_are_read_does_not_matter(trades: list[TermsTrade], data: st.DataObject) -> None:
    assert close(data.draw(st.permutations(trades)), {}) == close(trades, {})
