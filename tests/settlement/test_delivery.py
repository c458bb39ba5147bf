"""Who pays for what in a slot: the examples one can add up by hand, and what follows for sellers and debts.

What holds of every slot is in ``test_delivery_properties.py``.
"""

from hypothesis import given
from hypothesis import strategies as st

from settlement.delivery import (
    Delivery,
    How,
    Kind,
    Line,
    PlainDebt,
    Reading,
    SlotOutcome,
    SlotTrade,
    due_lines,
    plain_debt_lots,
    settle_slot,
)
from settlement.rules import SettlementRules

SLOT = 1_782_900_900
GRID = 5
RULES = SettlementRules(
    time_zone="Asia/Shanghai",
    slot_minutes=15,
    retail_ticks=5_224,
    feed_in_ticks=3_000,
    shortfall_ticks=6_000,
    grid_company=GRID,
    reading_deadline_s=3_600,
    correction_window_s=3_600,
)


def trade(
    trade_id: int, buy: int, sell: int, lots: int, *, seller_ticks: int = 4_000, fee: int = 200, terms: int = 0
) -> SlotTrade:
    """A trade between the meters of members ``100 + node``."""
    return SlotTrade(trade_id, SLOT, 100 + buy, 100 + sell, buy, sell, lots, seller_ticks, seller_ticks + fee, terms)


def settle(trades: list[SlotTrade], readings: dict[int, Reading]) -> SlotOutcome:
    nodes = {node for t in trades for node in (t.buy_node, t.sell_node)} | set(readings)
    return settle_slot(SLOT, trades, readings, {node: 100 + node for node in nodes}, RULES)


def paid_by(lines: list[Line], member: int, *hows: How) -> int:
    return sum(line.amount_micro for line in lines if line.member == member and line.how in hows)


def facts(lines: list[Line]) -> list[tuple[int, str, int, str]]:
    return [(line.member, line.kind, line.amount_micro, line.how) for line in lines]


def test_a_prepaid_trade_delivered_in_full_pays_energy_and_wheeling() -> None:
    outcome = settle([trade(1, buy=1, sell=2, lots=100)], {1: Reading(0, 100), 2: Reading(100, 0)})
    assert outcome.deliveries == [Delivery(1, 100, True)]
    assert facts(outcome.lines) == [
        (101, "energy", -400_000, "cycle"),
        (102, "energy", 400_000, "cycle"),
        (101, "wheeling", -20_000, "cycle"),
        (GRID, "wheeling", 20_000, "cycle"),
    ]


def test_a_trade_on_terms_is_owed_and_its_wheeling_goes_to_the_bill() -> None:
    outcome = settle([trade(1, buy=1, sell=2, lots=100, terms=30)], {1: Reading(0, 100), 2: Reading(100, 0)})
    assert facts(outcome.lines) == [
        (101, "energy", -400_000, "terms"),
        (102, "energy", 400_000, "terms"),
        (101, "wheeling", -20_000, "bill"),
        (GRID, "wheeling", 20_000, "bill"),
    ]


def test_a_short_seller_pays_its_own_shortfall_and_the_earlier_trade_is_delivered_first() -> None:
    trades = [trade(2, buy=1, sell=2, lots=50), trade(1, buy=3, sell=2, lots=60)]
    outcome = settle(trades, {1: Reading(0, 50), 2: Reading(80, 0), 3: Reading(0, 60)})
    assert outcome.deliveries == [Delivery(1, 60, True), Delivery(2, 20, True)]
    assert (102, "shortfall", -30 * 6_000, "cycle") in facts(outcome.lines)
    assert (GRID, "shortfall", 30 * 6_000, "cycle") in facts(outcome.lines)


def test_residuals_are_shown_at_retail_and_feed_in_and_not_collected() -> None:
    outcome = settle(
        [trade(1, buy=1, sell=2, lots=100)],
        {1: Reading(0, 130), 2: Reading(110, 7), 3: Reading(0, 9), 4: Reading(5, 0)},
    )
    residuals = [fact for fact in facts(outcome.lines) if fact[0] != GRID and fact[1] not in ("energy", "wheeling")]
    assert residuals == [
        (101, "over_consumed", -30 * 5_224, "bill"),
        (102, "surplus", 10 * 3_000, "bill"),
        (102, "over_consumed", -7 * 5_224, "bill"),
        (103, "over_consumed", -9 * 5_224, "bill"),
        (104, "surplus", 5 * 3_000, "bill"),
    ]


def test_what_a_buyer_did_not_take_is_handed_over_at_the_feed_in_price() -> None:
    outcome = settle([trade(1, buy=1, sell=2, lots=100)], {1: Reading(0, 40), 2: Reading(100, 0)})
    assert (101, "under_consumed", 60 * 3_000, "bill") in facts(outcome.lines)


def test_a_missing_reading_is_zero_for_a_seller_and_the_contract_for_a_buyer() -> None:
    outcome = settle([trade(1, buy=1, sell=2, lots=100, terms=30)], {})
    assert outcome.deliveries == [Delivery(1, 0, False)]
    assert [fact for fact in facts(outcome.lines) if fact[1] not in ("energy", "wheeling")] == [
        (102, "shortfall", -600_000, "cycle"),
        (GRID, "shortfall", 600_000, "cycle"),
    ]


def test_a_plain_debt_is_what_no_receivable_can_hold() -> None:
    on_terms, prepaid = trade(1, 1, 2, 100, terms=30), trade(2, 1, 2, 100)
    assert plain_debt_lots(on_terms, Delivery(1, 60, True)) == 40
    assert plain_debt_lots(on_terms, Delivery(1, 60, False)) == 100
    assert plain_debt_lots(prepaid, Delivery(2, 0, False)) == 0
    assert facts(due_lines([PlainDebt(on_terms, 40)])) == [
        (101, "energy_due", -160_000, "cycle"),
        (102, "energy_due", 160_000, "cycle"),
    ]


# --------------------------------------------------------------------------------------------- properties

NODES = range(1, 7)
PRICES = st.integers(-2_000, 6_000)


@st.composite
def trades_of_a_slot(draw: st.DrawFn) -> list[SlotTrade]:
    pairs = st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)).filter(lambda pair: pair[0] != pair[1])
    count = draw(st.integers(0, 8))
    return [
        trade(
            trade_id,
            *draw(pairs),
            lots=draw(st.integers(1, 500)),
            seller_ticks=draw(PRICES),
            fee=draw(st.sampled_from([0, 200, 500, 1_100])),
            terms=draw(st.sampled_from([0, 30, 60])),
        )
        for trade_id in range(1, count + 1)
    ]


READINGS = st.dictionaries(
    st.sampled_from(NODES), st.builds(Reading, st.integers(0, 900), st.integers(0, 900)), max_size=6
)


@given(trades_of_a_slot(), READINGS)
def test_delivery_is_first_come_first_served(trades: list[SlotTrade], readings: dict[int, Reading]) -> None:
    short: set[int] = set()
    by_id = {t.trade_id: t for t in trades}
    for delivery in sorted(settle(trades, readings).deliveries):
        node = by_id[delivery.trade_id].sell_node
        assert not (node in short and delivery.delivered_lots), "a later trade got energy that an earlier one lacked"
        if delivery.delivered_lots < by_id[delivery.trade_id].quantity_lots:
            short.add(node)


@given(st.integers(1, 500), st.integers(0, 500), st.integers(3_000, 5_224))
def test_selling_what_one_has_not_and_buying_what_one_needs_not_never_pay(
    lots: int, need_lots: int, seller_ticks: int
) -> None:
    """At any price between feed-in and retail, a trade behind which there is no energy, or no need, earns nothing."""
    readings = {1: Reading(0, need_lots), 2: Reading(0, 0)}
    honest = settle([], readings).lines
    traded = settle([trade(1, buy=1, sell=2, lots=need_lots + lots, seller_ticks=seller_ticks)], readings).lines
    needed = settle([trade(1, buy=1, sell=2, lots=need_lots, seller_ticks=seller_ticks)] if need_lots else [], readings)
    assert paid_by(traded, 102, *How) <= paid_by(honest, 102, *How)
    assert paid_by(traded, 101, *How) <= paid_by(needed.lines, 101, *How)


@given(trades_of_a_slot(), READINGS)
def test_energy_on_terms_is_receivable_plus_plain_debt(trades: list[SlotTrade], readings: dict[int, Reading]) -> None:
    outcome = settle(trades, readings)
    by_id = {delivery.trade_id: delivery for delivery in outcome.deliveries}
    on_terms = [t for t in trades if t.terms_days]
    owed = sum(line.amount_micro for line in outcome.lines if line.how == How.TERMS and line.amount_micro > 0)
    receivable = sum(
        by_id[t.trade_id].delivered_lots * t.seller_price_ticks for t in on_terms if by_id[t.trade_id].financeable
    )
    plain = sum(plain_debt_lots(t, by_id[t.trade_id]) * t.seller_price_ticks for t in on_terms)
    total = sum(t.quantity_lots * t.seller_price_ticks for t in on_terms)
    assert receivable + plain == total
    assert owed == sum(abs(t.quantity_lots * t.seller_price_ticks) for t in on_terms)
    assert not [line for line in outcome.lines if line.kind == Kind.ENERGY and line.how == How.BILL]


def test_a_reading_that_proves_nothing_counts_and_makes_nothing_financeable() -> None:
    trades = [trade(1, buy=1, sell=2, lots=10)]
    proven = settle_slot(SLOT, trades, {2: Reading(10, 0), 1: Reading(0, 10)}, {1: 101, 2: 102}, RULES)
    unproven = settle_slot(SLOT, trades, {2: Reading(10, 0), 1: Reading(0, 10)}, {1: 101, 2: 102}, RULES, unproven={2})
    assert (proven.deliveries, unproven.deliveries) == ([Delivery(1, 10, True)], [Delivery(1, 10, False)])
    assert proven.lines == unproven.lines


def test_meters_that_traded_and_were_not_read_are_told() -> None:
    outcome = settle_slot(SLOT, [trade(1, buy=1, sell=2, lots=10)], {3: Reading(0, 1)}, {1: 101, 2: 102, 3: 103}, RULES)
    assert outcome.estimated == [1, 2]
