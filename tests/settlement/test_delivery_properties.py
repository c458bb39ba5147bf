"""What is promised of every slot, whatever was traded, metered and charged: the properties of delivery by name."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.delivery import How, LateSlot, Line, Reading, SlotOutcome, SlotTrade, adjust_slot, settle_slot
from settlement.rules import SettlementRules
from tests.settlement import lot_by_lot

SLOT = 1_782_900_900
GRID = 5
NODES = range(1, 7)
OWNERS = {1: 101, 2: 102, 3: 103, 4: 104, 5: 102, 6: 101}
"""Two members have two meters each."""

PRICES = st.integers(-2_000, 20_000)
LOTS = st.integers(0, 40)
READING = st.builds(Reading, LOTS, LOTS)
READINGS = st.dictionaries(st.sampled_from(NODES), READING, max_size=6)


@st.composite
def allowed_rules(draw: st.DrawFn) -> SettlementRules:
    feed_in, retail, shortfall = sorted(draw(st.lists(st.integers(0, 20_000), min_size=3, max_size=3)))
    return SettlementRules(
        time_zone="Asia/Shanghai",
        slot_minutes=15,
        retail_ticks=retail,
        feed_in_ticks=feed_in,
        shortfall_ticks=shortfall,
        grid_company=GRID,
        reading_deadline_s=3_600,
        correction_window_s=3_600,
    )


class Case(NamedTuple):
    """A slot: what was traded, what was read, and the market's prices."""

    trades: list[SlotTrade]
    readings: dict[int, Reading]
    rules: SettlementRules

    def settle(self, **changed: Any) -> SlotOutcome:
        """What it comes to, with other trades or readings where they are given."""
        case = self._replace(**changed)
        return settle_slot(SLOT, case.trades, case.readings, OWNERS, case.rules)

    def adjust(self, before: Mapping[int, Reading], after: Mapping[int, Reading]) -> list[Line]:
        return adjust_slot(LateSlot(SLOT, 7, self.trades, before, after), OWNERS, self.rules)


@st.composite
def trades_of_a_slot(draw: st.DrawFn) -> list[SlotTrade]:
    trades = []
    for trade_id in range(1, draw(st.integers(0, 5)) + 1):
        buy, sell = draw(st.lists(st.sampled_from(NODES), min_size=2, max_size=2, unique=True))
        price, fee = draw(PRICES), draw(st.sampled_from([0, 200, 1_100]))
        lots, terms = draw(st.integers(1, 30)), draw(st.sampled_from([0, 30, 60]))
        trades.append(SlotTrade(trade_id, SLOT, OWNERS[buy], OWNERS[sell], buy, sell, lots, price, price + fee, terms))
    return trades


CASES = st.builds(Case, trades_of_a_slot(), READINGS, allowed_rules())


def money(lines: list[Line]) -> dict[tuple[int, str], int]:
    """Micro-yuan by member and way of paying, without zeros."""
    sums: Counter[tuple[int, str]] = Counter()
    for line in lines:
        sums[line.member, str(line.how)] += line.amount_micro
    return {key: amount_micro for key, amount_micro in sums.items() if amount_micro}


def total(lines: list[Line], member: int) -> int:
    return sum(line.amount_micro for line in lines if line.member == member)


@given(CASES)
def test_a_slot_is_what_it_comes_to_lot_by_lot(case: Case) -> None:
    outcome, counted = case.settle(), lot_by_lot.settle(case.trades, case.readings, OWNERS, case.rules)
    assert money(outcome.lines) == {key: micro for key, micro in counted.money_micro.items() if micro}
    assert {each.trade_id: each.delivered_lots for each in outcome.deliveries} == {
        trade.trade_id: counted.delivered[trade.trade_id] for trade in case.trades
    }


@given(CASES)
def test_each_way_of_paying_sums_to_zero_to_the_micro_yuan(case: Case) -> None:
    sums: Counter[str] = Counter()
    for line in case.settle().lines:
        assert line.energy_lots > 0
        assert abs(line.amount_micro) == line.energy_lots * abs(line.price_ticks)
        sums[line.how] += line.amount_micro
    assert set(sums) <= set(How)
    assert set(sums.values()) <= {0}


@given(CASES, st.sampled_from(NODES), READING)
def test_only_the_deviating_party_pays(case: Case, node: int, other: Reading) -> None:
    """Whatever one meter does, and whether it is read, moves money between its owner and the grid company only."""
    without = {each: reading for each, reading in case.readings.items() if each != node}
    silent = money(case.settle(readings=without).lines)
    read = money(case.settle(readings={**without, node: other}).lines)
    for member in {*OWNERS.values()} - {OWNERS[node]}:
        for how in How:
            assert silent.get((member, how)) == read.get((member, how))
    assert silent.get((OWNERS[node], How.TERMS)) == read.get((OWNERS[node], How.TERMS))


@given(CASES, st.sampled_from(NODES), READING, st.integers(1, 40))
def test_missing_on_purpose_never_pays(case: Case, node: int, honest: Reading, withheld_lots: int) -> None:
    """With less exported, less taken, or the meter silent, nobody is better off at any prices that the rules allow.

    Energy that is not taken is worth to its buyer at least what the grid charges for it: it has to be bought there.
    A silent meter is taken to have used what it bought; more than that is on the grid company's bill when it is read.
    """

    def worth(reading: Reading | None, taken_lots: int) -> int:
        at = {each: kept for each, kept in case.readings.items() if each != node}
        if reading is not None:
            at[node] = reading
        return total(case.settle(readings=at).lines, OWNERS[node]) + taken_lots * case.rules.retail_ticks

    export_lots, import_lots = honest
    full = worth(honest, import_lots)
    assert worth(Reading(max(export_lots - withheld_lots, 0), import_lots), import_lots) <= full
    less_lots = max(import_lots - withheld_lots, 0)
    assert worth(Reading(export_lots, less_lots), less_lots) <= full
    bought_lots = sum(trade.quantity_lots for trade in case.trades if trade.buy_node == node)
    used_lots = min(import_lots, bought_lots)
    assert worth(None, used_lots) <= worth(Reading(export_lots, used_lots), used_lots)


@given(CASES)
def test_delivered_energy_is_never_above_the_meter_and_never_above_the_trade(case: Case) -> None:
    trade_of = {trade.trade_id: trade for trade in case.trades}
    by_node: Counter[int] = Counter()
    for each in case.settle().deliveries:
        trade = trade_of[each.trade_id]
        assert 0 <= each.delivered_lots <= trade.quantity_lots
        assert each.financeable == (trade.sell_node in case.readings)
        by_node[trade.sell_node] += each.delivered_lots
    for node, delivered_lots in by_node.items():
        assert delivered_lots <= (case.readings[node].export_lots if node in case.readings else 0)


@given(CASES, st.randoms())
def test_the_order_of_the_trades_of_a_slot_changes_no_total(case: Case, chance: Random) -> None:
    """Neither the order in which they are handed in, nor, for the totals, which of them was struck first."""
    shuffled = case.trades[:]
    chance.shuffle(shuffled)
    as_traded = case.settle()
    assert case.settle(trades=shuffled, readings=dict(sorted(case.readings.items(), reverse=True))) == as_traded
    renumbered = [trade._replace(trade_id=place) for place, trade in enumerate(shuffled, start=1)]
    assert money(case.settle(trades=renumbered).lines) == money(as_traded.lines)


@pytest.mark.parametrize("prices", [(-1, 0, 0), (2, 1, 3), (0, 2, 1)], ids=str)
def test_prices_at_which_missing_would_pay_are_no_rules(prices: tuple[int, int, int]) -> None:
    feed_in, retail, shortfall = prices
    with pytest.raises(ValueError, match="missing on purpose"):
        SettlementRules("Asia/Shanghai", 15, retail, feed_in, shortfall, GRID, 0, 0)


# ------------------------------------------------------------------------------------------- late readings


@given(CASES, st.lists(READINGS, min_size=1, max_size=3))
def test_statement_and_adjustments_are_the_statement_that_would_have_been(
    case: Case, corrections: list[dict[int, Reading]]
) -> None:
    """By member, meter, kind and way of paying, to the micro-yuan, after each of several corrections in a row."""

    def sums(lines: list[Line]) -> dict[tuple[object, ...], int]:
        found: Counter[tuple[object, ...]] = Counter()
        for line in lines:
            found[line.member, line.node, line.kind, line.counterparty, line.how] += line.amount_micro
        return {key: amount_micro for key, amount_micro in found.items() if amount_micro}

    lines, counted = case.settle().lines, case.readings
    for correction in corrections:
        corrected = {**counted, **correction}
        adjusted = case.adjust(counted, corrected)
        assert all(line.adjusts == 7 and line.energy_lots > 0 for line in adjusted)
        assert sum(line.amount_micro for line in adjusted) == 0
        lines, counted = lines + adjusted, corrected
        assert sums(lines) == sums(case.settle(readings=counted).lines)


@given(CASES, READINGS)
def test_a_late_correction_back_to_the_original_pays_everything_back(case: Case, others: dict[int, Reading]) -> None:
    other = {node: others.get(node, reading) for node, reading in case.readings.items()}
    there, back = case.adjust(case.readings, other), case.adjust(other, case.readings)
    assert money(there + back) == {}
    assert len(there) == len(back)


@given(CASES, READINGS)
def test_what_is_owed_for_a_trade_is_never_adjusted(case: Case, others: dict[int, Reading]) -> None:
    """Receivables, and what was financed, stand: a buyer owes the whole trade, whoever delivered it."""
    adjusted = case.adjust(case.readings, {**case.readings, **others})
    assert {line.how for line in adjusted} <= {How.CYCLE, How.BILL}
    assert all(line.trade_id is None for line in adjusted)
