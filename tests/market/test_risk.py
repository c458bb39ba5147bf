"""Exposures against a plain recomputation from every order and trade there ever was."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from market.risk import Exposures, Facts, Refusal, Stake
from matching.order import Side

SHORTFALL_TICKS = 60
MEMBERS = (1, 2, 3)
SLOTS = (900, 1800, 2700)
LIMIT = st.integers(0, 100)
LOTS = st.integers(1, 20)


def stake(side: Side, lots: int, price_ticks: int, *, member: int = 1, terms_days: int = 0, slot: int = 900) -> Stake:
    return Stake(member, 10 * member, side, slot, price_ticks, terms_days, lots)


def exposures(escrow_micro: int = 0, credit_micro: int = 0) -> Exposures:
    found = Exposures(SHORTFALL_TICKS)
    everyone = dict.fromkeys(MEMBERS, escrow_micro)
    found.learn(Facts(escrow_micro=everyone, credit_limit_micro=dict.fromkeys(MEMBERS, credit_micro)))
    return found


def test_prepaid_buy_needs_quantity_times_limit_to_the_micro() -> None:
    assert exposures(escrow_micro=500).refusal(stake(Side.BUY, 10, 50), 100) is None
    assert exposures(escrow_micro=499).refusal(stake(Side.BUY, 10, 50), 100) is Refusal.INSUFFICIENT_FUNDS


def test_buy_on_terms_needs_credit_and_no_cash() -> None:
    on_terms = stake(Side.BUY, 10, 50, terms_days=30)
    assert exposures(credit_micro=500).refusal(on_terms, 100) is None
    assert exposures(escrow_micro=10_000, credit_micro=499).refusal(on_terms, 100) is Refusal.INSUFFICIENT_CREDIT


def test_sell_needs_cover_for_what_a_shortfall_costs_beyond_its_price() -> None:
    assert exposures(escrow_micro=100).refusal(stake(Side.SELL, 10, 50), 100) is None
    assert exposures(escrow_micro=99).refusal(stake(Side.SELL, 10, 50), 100) is Refusal.INSUFFICIENT_COVER
    assert exposures().refusal(stake(Side.SELL, 10, SHORTFALL_TICKS), 100) is None


def test_sell_that_accepts_terms_needs_the_whole_shortfall_price() -> None:
    waits = stake(Side.SELL, 10, 50, terms_days=60)
    assert exposures(escrow_micro=600).refusal(waits, 100) is None
    assert exposures(escrow_micro=599).refusal(waits, 100) is Refusal.INSUFFICIENT_COVER


def test_capacity_counts_open_and_traded_lots_of_one_direction() -> None:
    book = exposures(escrow_micro=10**9)
    book.reserve(1, stake(Side.SELL, 60, 50))
    book.reserve(2, stake(Side.BUY, 60, 55, member=2))
    book.trade(2, 1, 40, 50, 55)
    book.release(1)
    assert book.refusal(stake(Side.SELL, 60, 50), 100) is None
    assert book.refusal(stake(Side.SELL, 61, 50), 100) is Refusal.OVER_CAPACITY
    assert book.refusal(stake(Side.BUY, 100, 50), 100) is None


def test_a_replacement_is_covered_by_what_it_replaces() -> None:
    book = exposures(escrow_micro=500)
    book.reserve(7, stake(Side.BUY, 10, 50))
    assert book.refusal(stake(Side.BUY, 10, 50), 10) is Refusal.OVER_CAPACITY
    assert book.refusal(stake(Side.BUY, 10, 50), 10, releasing=7) is None
    assert book.refusal(stake(Side.BUY, 10, 51), 10, releasing=7) is Refusal.INSUFFICIENT_FUNDS


def test_a_better_price_frees_the_difference() -> None:
    book = exposures(escrow_micro=1000)
    book.reserve(1, stake(Side.BUY, 10, 50))
    book.reserve(2, stake(Side.SELL, 10, 20, member=2))
    book.trade(1, 2, 10, 20, 22)
    assert book.account(1).available_micro == 1000 - 220
    assert book.account(2).available_micro == 1000 - 10 * (SHORTFALL_TICKS - 20)


@dataclass
class PlainOrder:
    stake: Stake
    is_open: bool = True


@dataclass
class PlainTrade:
    buy: Stake
    sell: Stake
    lots: int
    seller_ticks: int
    buyer_ticks: int


class ExposureMachine(RuleBasedStateMachine):
    """Orders come, trade, end; cycles settle; debts are paid. After each step everything is computed from scratch."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Exposures(SHORTFALL_TICKS)
        self.orders: dict[int, PlainOrder] = {}
        self.trades: list[PlainTrade] = []
        self.facts = Facts()

    @rule(
        new=st.builds(
            stake,
            st.sampled_from(Side),
            LOTS,
            LIMIT,
            member=st.sampled_from(MEMBERS),
            terms_days=st.sampled_from((0, 30)),
            slot=st.sampled_from(SLOTS),
        )
    )
    def place(self, new: Stake) -> None:
        if new.slot < self.facts.applied_until_s:
            return
        order_id = len(self.orders) + 1
        self.book.reserve(order_id, replace(new))
        self.orders[order_id] = PlainOrder(new)

    def _pairs(self) -> list[tuple[int, int]]:
        buys = [i for i, o in self.orders.items() if o.is_open and o.stake.side is Side.BUY]
        sells = [i for i, o in self.orders.items() if o.is_open and o.stake.side is Side.SELL]
        return [
            (b, s)
            for b in buys
            for s in sells
            if self.orders[b].stake.slot == self.orders[s].stake.slot
            and self.orders[b].stake.terms_days <= self.orders[s].stake.terms_days
            and self.orders[b].stake.price_ticks >= self.orders[s].stake.price_ticks
        ]

    @precondition(lambda self: self._pairs())
    @rule(data=st.data())
    def trade(self, data: st.DataObject) -> None:
        buy_id, sell_id = data.draw(st.sampled_from(self._pairs()))
        buy, sell = self.orders[buy_id].stake, self.orders[sell_id].stake
        lots = data.draw(st.integers(1, min(buy.remaining_lots, sell.remaining_lots)))
        seller_ticks = data.draw(st.integers(sell.price_ticks, buy.price_ticks))
        buyer_ticks = data.draw(st.integers(seller_ticks, buy.price_ticks))
        self.book.trade(buy_id, sell_id, lots, seller_ticks, buyer_ticks)
        self.trades.append(PlainTrade(buy, sell, lots, seller_ticks, buyer_ticks))
        for order_id in (buy_id, sell_id):
            order = self.orders[order_id]
            order.stake.remaining_lots -= lots
            if not order.stake.remaining_lots:
                self._end(order_id)

    @precondition(lambda self: any(order.is_open for order in self.orders.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._end(data.draw(st.sampled_from([i for i, order in self.orders.items() if order.is_open])))

    def _end(self, order_id: int) -> None:
        self.book.release(order_id)
        self.orders[order_id].is_open = False

    @rule(escrow=st.integers(0, 5000), paid=st.integers(0, 500), member=st.sampled_from(MEMBERS))
    def hear_of_money(self, escrow: int, paid: int, member: int) -> None:
        facts = self.facts
        self.facts = Facts(
            {**facts.escrow_micro, member: escrow},
            {**facts.credit_limit_micro, member: 2 * escrow},
            {**facts.paid_micro, member: facts.paid_micro.get(member, 0) + paid},
            facts.applied_until_s,
        )
        self.book.learn(self.facts)

    @rule(slot=st.sampled_from(SLOTS))
    def settle(self, slot: int) -> None:
        if slot + 900 < self.facts.applied_until_s:
            return
        for order_id, order in self.orders.items():
            if order.is_open and order.stake.slot <= slot:
                self._end(order_id)
        facts = self.facts
        self.facts = Facts(facts.escrow_micro, facts.credit_limit_micro, facts.paid_micro, slot + 900)
        self.book.learn(self.facts)

    @invariant()
    def accounts_are_what_a_recomputation_gives(self) -> None:
        for member in MEMBERS:
            account = self.book.account(member)
            assert account.reserved_micro == sum(self._open_cash(order.stake) for order in self._open_of(member))
            assert account.committed_micro == sum(self._committed(trade, member) for trade in self._unsettled())
            used = sum(
                order.stake.remaining_lots * order.stake.price_ticks
                for order in self._open_of(member)
                if order.stake.side is Side.BUY and order.stake.terms_days
            )
            used += sum(t.lots * t.seller_ticks for t in self.trades if t.buy.member == member and t.buy.terms_days)
            assert account.credit_used_micro == used - self.facts.paid_micro.get(member, 0)

    @invariant()
    def capacity_is_what_a_recomputation_gives(self) -> None:
        for member in MEMBERS:
            for slot in SLOTS:
                for side in Side:
                    lots = sum(
                        o.stake.remaining_lots
                        for o in self._open_of(member)
                        if (o.stake.slot, o.stake.side) == (slot, side)
                    )
                    for trade in self._unsettled():
                        one = trade.buy if side is Side.BUY else trade.sell
                        lots += trade.lots if (one.member, one.slot) == (member, slot) else 0
                    assert self.book.lots_used(10 * member, slot, side) == lots

    def _open_of(self, member: int) -> list[PlainOrder]:
        return [order for order in self.orders.values() if order.is_open and order.stake.member == member]

    def _unsettled(self) -> list[PlainTrade]:
        return [trade for trade in self.trades if trade.buy.slot >= self.facts.applied_until_s]

    def _open_cash(self, one: Stake) -> int:
        if one.side is Side.BUY:
            return 0 if one.terms_days else one.remaining_lots * one.price_ticks
        short = SHORTFALL_TICKS if one.terms_days else max(0, SHORTFALL_TICKS - one.price_ticks)
        return one.remaining_lots * short

    def _committed(self, trade: PlainTrade, member: int) -> int:
        amount = 0
        if trade.buy.member == member and not trade.buy.terms_days:
            amount += trade.lots * trade.buyer_ticks
        if trade.sell.member == member:
            short = SHORTFALL_TICKS if trade.buy.terms_days else max(0, SHORTFALL_TICKS - trade.seller_ticks)
            amount += trade.lots * short
        return amount


TestExposures = ExposureMachine.TestCase
