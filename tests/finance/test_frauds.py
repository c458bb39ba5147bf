"""Frauds in what becomes a receivable, tried and refused: by what is financeable, and by the checker before it signs.

The operator of these stories is the fraud: it drafts with whatever it likes, computes ids and roots anew, and signs.
What the contract refuses is tested where the contract is, in ``tests/settlement``.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from data import tables
from data.database import reading
from data.units import MICRO_PER_FEN
from finance.calendar import TermsError, due_day
from finance.claim import TermsTrade, terms_trade
from finance.examine import PeriodExaminer
from finance.period import Draft, Issue, Pair, bundle, draft, due_day_of
from finance.published import PublishedPeriod, PublishedRemainder, publish_receivable, publish_trade, verify_period
from settlement import cycle_store, dispute_store
from settlement.delivery import Delivery
from settlement.examine_cycle import SettledTrade
from settlement.hexjson import Hex
from settlement.trade_leaf import Common, Half, TradeRecord
from tests.finance.ledger import FACTORY, NEXT_DAY, Ledger
from tests.settlement.settlement_world import DAY, Wish

SELLER, ACCOMPLICE, DEBTOR, SHELL = 100, 101, 200, 201
CAP_TICKS = 20_000
LAST_DAY = date(2026, 6, 30)


class Sold(NamedTuple):
    """A trade on terms and what its seller's meter delivered of it."""

    trade_id: int
    seller: int
    buyer: int
    ticks: int
    lots: int
    delivered: Delivery

    @property
    def record(self) -> TradeRecord:
        buy, sell = (Half(bytes([n]) * 32, who, f"m{who}", self.ticks, 0, 0) for n, who in enumerate(self[1:3]))
        return TradeRecord(Common(self.trade_id, 1, 0, self.lots, 60, 1, 1, 0), sell, buy, bytes(range(96)))

    @property
    def claimable(self) -> TermsTrade | None:
        return terms_trade(self.record, self.delivered)


SOLD = [
    Sold(1, SELLER, DEBTOR, 3_501, 1_001, Delivery(1, 1_001, financeable=True)),
    Sold(2, SELLER, DEBTOR, 3_600, 500, Delivery(2, 500, financeable=True)),
    Sold(3, ACCOMPLICE, DEBTOR, 3_000, 2_000, Delivery(3, 2_000, financeable=True)),
    Sold(4, ACCOMPLICE, SHELL, CAP_TICKS, 9_000, Delivery(4, 0, financeable=True)),  # the meter stands still
    Sold(5, ACCOMPLICE, SHELL, CAP_TICKS, 9_000, Delivery(5, 9_000, financeable=False)),  # nobody has read it
]
HONEST = [each.claimable for each in SOLD if each.claimable is not None]
PAIRS = {(each.creditor, each.debtor) for each in HONEST}


def test_a_shell_debtor_that_buys_at_the_cap_from_a_meter_that_stands_still_owes_nothing() -> None:
    """Nor does what was only estimated for it; the prices of others do not matter."""
    assert [each.trade_id for each in HONEST] == [1, 2, 3]
    assert {(SELLER, DEBTOR), (ACCOMPLICE, DEBTOR)} == PAIRS


# ----------------------------------------------------------------------------------- what the operator makes up


def published(trades: Sequence[TermsTrade], number: int = 1, change: Callable[[Issue], Issue] = lambda it: it) -> Any:
    """A period drafted of these trades and then changed, its ids and root right for what it says."""
    bundles = bundle(trades, {})
    drafted = draft(number, LAST_DAY, bundles, {each.pair: bytes([each.pair.creditor]) * 32 for each in bundles})
    changed = (change(issue) for issue in drafted.issues)
    issues = tuple(issue._replace(receivable_id=issue.claim.receivable_id) for issue in changed)
    drafted = Draft(number, issues, drafted.remainders_micro)
    return PublishedPeriod(
        period=number,
        billing="month",
        first_day="2026-06-01",
        last_day=LAST_DAY.isoformat(),
        first_cycle=1,
        last_cycle=30,
        root=Hex(drafted.root),
        count=len(issues),
        receivables=tuple(
            publish_receivable(each.receivable_id, each.claim, map(publish_trade, each.trades)) for each in issues
        ),
        remainders=tuple(PublishedRemainder(*pair, micro) for pair, micro in drafted.remainders_micro.items()),
        state="drafted",
        operator_signature=Hex(bytes(64)),
    )


def named(stated: PublishedPeriod) -> set[str]:
    """The columns that the checker names, which knows the trades as they were delivered."""
    return {each.column for each in verify_period(stated, HONEST, {})}


def test_the_honest_period_holds() -> None:
    assert named(published(HONEST)) == set()


FIRST, SECOND, THIRD = HONEST[:3]
FORGED = {
    "a dearer price": [FIRST._replace(seller_price_ticks=3_502), SECOND, THIRD],
    "more energy than was delivered": [FIRST._replace(delivered_lots=1_002), SECOND, THIRD],
    "a trade that was never struck": [*HONEST, FIRST._replace(trade_id=77, leaf=b"\7" * 32)],
    "energy that was never delivered": [*HONEST, SOLD[3].claimable or FIRST._replace(trade_id=4, debtor=SHELL)],
    "a trade left out": [FIRST, THIRD],
    "a trade twice in one receivable": [FIRST, FIRST, SECOND, THIRD],
    "the same trade in two receivables": [*HONEST, FIRST._replace(terms_days=30)],
    "another creditor": [FIRST._replace(creditor=ACCOMPLICE), SECOND, THIRD],
    "another debtor": [FIRST, SECOND, THIRD._replace(debtor=SHELL)],
    "other terms": [FIRST, SECOND, THIRD._replace(terms_days=30)],
    "another leaf": [FIRST, SECOND, THIRD._replace(leaf=bytes(32))],
}


@pytest.mark.parametrize("trades", FORGED.values(), ids=FORGED)
def test_a_period_that_is_not_what_was_delivered_is_refused(trades: list[TermsTrade]) -> None:
    """Consistent in itself, ids and root and all; and not what the trades come to."""
    found = verify_period(published(trades), HONEST, {})
    assert {each.table for each in found} <= {"periods", "receivables"} and found


def _with(**values: Any) -> Callable[[Issue], Issue]:
    return lambda issue: issue._replace(claim=issue.claim._replace(**values)) if issue.trades[0] == FIRST else issue


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("face_fen", 1_000_000),
        ("due_day", date(2026, 6, 29)),  # before it is issued
        ("due_day", date(2026, 12, 31)),  # later than was agreed
        ("issue_day", date(2026, 6, 1)),
        ("trades_root", b"\7" * 32),
    ],
)
def test_an_amount_or_a_day_that_was_typed_in_is_named(column: str, value: object) -> None:
    assert column in named(published(HONEST, change=_with(**{column: value})))


def test_a_salt_changed_after_signing_makes_another_receivable_and_is_named() -> None:
    """The id is the leaf: with another salt it is another leaf, under another root than the one that was signed."""
    signed = published(HONEST)
    first, *rest = signed.receivables
    changed = msgspec.structs.replace(first, salt=Hex(b"\7" * 32))
    assert named(msgspec.structs.replace(signed, receivables=(changed, *rest))) == {"receivable_id", "root"}


def test_a_remainder_that_is_kept_is_named() -> None:
    assert named(msgspec.structs.replace(published(HONEST), remainders=())) == {"remainders"}


def test_the_same_period_a_second_time_is_refused() -> None:
    """Under its own number, under the next one, with its salts or with others: its cycles are billed."""
    settled = [SettledTrade(1, each.record, each.delivered) for each in SOLD]
    days = {cycle: (date(2026, 5, 31) + timedelta(days=cycle)).isoformat() for cycle in range(1, 31)}
    examiner = PeriodExaminer()
    assert examiner.examine(published(HONEST), settled, days) is None
    for again in (published(HONEST), published(HONEST, 2), published(HONEST, 2, _with(salt=b"\7" * 32))):
        found = examiner.examine(again, settled, days)
        assert found is not None and found.column in ("period", "first_cycle")


# ------------------------------------------------------------------------------------ zero and negative prices


@given(
    amounts=st.lists(st.lists(st.tuples(st.integers(-500, 500), st.integers(1, 400)), max_size=4), max_size=6),
    carried=st.integers(-(10**5), 9_999),
)
def test_faces_are_never_negative_and_what_is_below_zero_is_carried_to_the_micro_yuan(
    amounts: list[list[tuple[int, int]]], carried: int
) -> None:
    """Over any periods: all faces and what is left come to all that was sold, to the micro-yuan."""
    pair, left, faces_fen, sold_micro = Pair(SELLER, DEBTOR, 60), carried, 0, carried
    for trades in amounts:
        mine = [TermsTrade(n, *pair, lots, ticks, bytes(32)) for n, (ticks, lots) in enumerate(trades)]
        sold_micro += sum(each.amount_micro for each in mine)
        for each in bundle(mine, {pair: left}):
            assert each.face_fen >= 0
            assert each.remainder_micro < MICRO_PER_FEN and (each.face_fen == 0 or each.remainder_micro >= 0)
            faces_fen, left = faces_fen + each.face_fen, each.remainder_micro
        assert faces_fen * MICRO_PER_FEN + left == sold_micro


@pytest.mark.parametrize("ticks", [0, -3_500])
def test_energy_given_away_makes_no_receivable(ticks: int) -> None:
    bundles = bundle([FIRST._replace(seller_price_ticks=ticks)], {})
    assert draft(1, LAST_DAY, bundles, {}).issues == ()
    assert bundles[0].remainder_micro == 1_001 * ticks


# --------------------------------------------------------------------------------------------- due before issue


@pytest.mark.parametrize("terms_days", [0, -1, -60])
def test_nothing_falls_due_before_or_on_the_day_it_is_issued(terms_days: int) -> None:
    with pytest.raises(TermsError):
        due_day(LAST_DAY, terms_days, large_debtor=True)
    with pytest.raises(TermsError):
        due_day_of(LAST_DAY, terms_days)


# ------------------------------------------------------------------------------------- through the whole market


def sell_at_the_cap(ledger: Ledger, *readings: tuple[str, int, int, int]) -> None:
    """The plant, whose meter does what ``readings`` say, sells 100 lots to the factory at the highest price."""
    ledger.trade(Wish("A1", "sell", 10, 100, 19_000, 60))
    ledger.trade(Wish("A2", "buy", 10, 100, CAP_TICKS, 60))
    ledger.world.close(10)
    ledger.world.meter(("A2", 10, 0, 100), *readings)


def claimed(ledger: Ledger) -> list[tuple[int, int]]:
    """Every trade that a receivable claims, with the energy it claims of it."""
    with reading(ledger.database) as connection:
        query = select(tables.receivable_trades.c.trade_id, tables.receivable_trades.c.delivered_lots)
        return [(row.trade_id, row.delivered_lots) for row in connection.execute(query)]


@pytest.mark.parametrize(
    ("readings", "becomes"),
    [
        ([("A1", 10, 0, 0)], []),  # read, and it stands still
        ([], []),  # not read: what is estimated is financed by nobody
        ([("A1", 10, 40, 0)], [(1, 40)]),
        ([("A1", 10, 900, 0)], [(1, 100)]),  # more than was sold is no claim on the buyer
    ],
)
def test_only_what_the_sellers_own_meter_delivered_is_owed(
    ledger: Ledger, readings: list[tuple[str, int, int, int]], becomes: list[tuple[int, int]]
) -> None:
    sell_at_the_cap(ledger, *readings)
    ledger.settle(DAY)
    assert ledger.close() == 1
    assert claimed(ledger) == becomes


def test_a_reading_that_comes_when_its_period_is_closed_makes_nothing_financeable(ledger: Ledger) -> None:
    """It is paid for in the next cycle, with money and not with a claim."""
    sell_at_the_cap(ledger)
    ledger.settle(DAY)
    assert ledger.close() == 1
    ledger.world.meter(("A1", 10, 100, 0), now_s=ledger.now_s + 60)
    sell_next_day(ledger)
    ledger.settle(NEXT_DAY)
    assert ledger.close() == 2
    assert claimed(ledger) == [(2, 10)]


def test_a_trade_that_the_chain_struck_is_in_no_receivable(ledger: Ledger) -> None:
    sell_at_the_cap(ledger, ("A1", 10, 100, 0))
    with ledger.database.begin() as connection:
        row = {"trade_id": 1, "leaf": bytes(32), "cycle": 1, "member_id": FACTORY, "struck_s": ledger.now_s}
        connection.execute(insert(tables.struck_trades), row)
    ledger.settle(DAY)
    assert ledger.close() == 1
    assert claimed(ledger) == []


def test_a_cycle_that_fell_is_billed_by_nobody_until_it_stands_again(ledger: Ledger) -> None:
    sell_at_the_cap(ledger, ("A1", 10, 100, 0))
    ledger.settle(DAY)
    with ledger.database.begin() as connection:
        dispute_store.void_from(connection, 1, ledger.now_s)
    assert ledger.close() is None
    assert claimed(ledger) == []
    ledger.settle(DAY)
    with reading(ledger.database) as connection:
        assert [row.round for row in cycle_store.cycles_in(connection)] == [2]
    assert ledger.close() == 1
    assert claimed(ledger) == [(1, 100)]


def sell_next_day(ledger: Ledger) -> None:
    ledger.trade(Wish("A1", "sell", 10, 10, 4_000, 60, NEXT_DAY))
    ledger.trade(Wish("A2", "buy", 10, 10, 5_000, 60, NEXT_DAY))
    ledger.world.close(10, day=NEXT_DAY)
    ledger.world.meter(("A1", 10, 10, 0), ("A2", 10, 0, 10), day=NEXT_DAY)
