"""What everyone has at stake, computed plainly: from all orders, all trades and all facts, from scratch each time.

Nothing here is kept up to date but the list of what happened. Slow on purpose, and short enough to be believed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from market.risk import Facts
from matching.order import Side


@dataclass
class PlainOrder:
    """An order that was accepted; ``taken_back_lots`` is what its owner reduced it by."""

    member: int
    node: int
    side: Side
    slot: int
    price_ticks: int
    terms_days: int
    quantity_lots: int
    client_order_id: str
    traded_lots: int = 0
    taken_back_lots: int = 0
    is_open: bool = True

    @property
    def remaining_lots(self) -> int:
        return self.quantity_lots - self.traded_lots - self.taken_back_lots


@dataclass(frozen=True)
class PlainTrade:
    """``terms_days`` is the buy's."""

    buyer: int
    seller: int
    buy_node: int
    sell_node: int
    slot: int
    lots: int
    seller_ticks: int
    buyer_ticks: int
    terms_days: int


@dataclass
class PlainMarket:
    """Micro-yuan by member, ``requests`` by number of the withdrawal, ``exits`` as (amount, horizon) by member."""

    shortfall_ticks: int
    orders: dict[int, PlainOrder] = field(default_factory=dict)
    trades: list[PlainTrade] = field(default_factory=list)
    escrow: dict[int, int] = field(default_factory=dict)
    credit: dict[int, int] = field(default_factory=dict)
    paid: dict[int, int] = field(default_factory=dict)
    requests: dict[int, tuple[int, int]] = field(default_factory=dict)
    exits: dict[int, tuple[int, int]] = field(default_factory=dict)
    last_request: int = 0
    applied_until: int = 0

    def open_orders(self, member: int | None = None) -> Iterator[tuple[int, PlainOrder]]:
        return ((n, order) for n, order in self.orders.items() if order.is_open and member in (None, order.member))

    def unsettled(self) -> list[PlainTrade]:
        return [trade for trade in self.trades if trade.slot >= self.applied_until]

    # ----------------------------------------------------------------------------------- what one order takes

    def cash_of(self, order: PlainOrder, lots: int) -> int:
        """Cash that an open order holds back for so many lots."""
        if order.side is Side.BUY:
            return 0 if order.terms_days else lots * order.price_ticks
        return lots * (self.shortfall_ticks if order.terms_days else max(0, self.shortfall_ticks - order.price_ticks))

    @staticmethod
    def credit_of(order: PlainOrder, lots: int) -> int:
        return lots * order.price_ticks if order.side is Side.BUY and order.terms_days else 0

    def cash_of_trade(self, trade: PlainTrade, member: int) -> int:
        """Cash that a trade can still cost a member, as long as it is not settled."""
        amount = 0
        if trade.buyer == member and not trade.terms_days:
            amount += trade.lots * trade.buyer_ticks
        if trade.seller == member and trade.terms_days:
            amount += trade.lots * self.shortfall_ticks
        if trade.seller == member and not trade.terms_days:
            amount += trade.lots * max(0, self.shortfall_ticks - trade.seller_ticks)
        return amount

    # ----------------------------------------------------------------------------------------- sums over all

    def reserved(self, member: int) -> int:
        return sum(self.cash_of(order, order.remaining_lots) for _, order in self.open_orders(member))

    def committed(self, member: int) -> int:
        return sum(self.cash_of_trade(trade, member) for trade in self.unsettled())

    def leaving(self, member: int) -> int:
        asked = sum(amount for whose, amount in self.requests.values() if whose == member)
        return asked + self.exits.get(member, (0, 0))[0]

    def available(self, member: int) -> int:
        held = self.reserved(member) + self.committed(member) + self.leaving(member)
        return self.escrow.get(member, 0) - held

    def owed(self, member: int) -> int:
        """Debts of trades on terms, less what was paid on them."""
        debts = sum(t.lots * t.seller_ticks for t in self.trades if t.buyer == member and t.terms_days)
        return debts - self.paid.get(member, 0)

    def credit_used(self, member: int) -> int:
        return self.owed(member) + sum(
            self.credit_of(order, order.remaining_lots) for _, order in self.open_orders(member)
        )

    def lots_used(self, node: int, slot: int, side: Side) -> int:
        """Connection capacity that is taken: open, or traded and not settled."""
        place = (node, slot, side)
        lots = sum(o.remaining_lots for _, o in self.open_orders() if (o.node, o.slot, o.side) == place)
        for trade in self.unsettled():
            used = trade.buy_node if side is Side.BUY else trade.sell_node
            lots += trade.lots if (used, trade.slot) == (node, slot) else 0
        return lots

    def refusal(self, new: PlainOrder, capacity_lots: int, replaced: PlainOrder | None) -> str | None:
        """Why a new order is not covered."""
        freed = replaced.remaining_lots if replaced is not None else 0
        used = self.lots_used(new.node, new.slot, new.side)
        if replaced is not None and (replaced.node, replaced.slot, replaced.side) == (new.node, new.slot, new.side):
            used -= freed
        if used + new.quantity_lots > capacity_lots:
            return "over_capacity"
        cash, credit = self.cash_of(new, new.quantity_lots), self.credit_of(new, new.quantity_lots)
        free_cash = self.available(new.member) + (self.cash_of(replaced, freed) if replaced is not None else 0)
        if cash and cash > free_cash:
            return "insufficient_funds" if new.side is Side.BUY else "insufficient_cover"
        free_credit = self.credit.get(new.member, 0) - self.credit_used(new.member)
        free_credit += self.credit_of(replaced, freed) if replaced is not None else 0
        return "insufficient_credit" if credit and credit > free_credit else None

    # ------------------------------------------------------------------------------------------ facts, cycles

    def facts(self) -> Facts:
        """What a look into the database would find now."""
        members = {*self.escrow, *self.exits, *(whose for whose, _ in self.requests.values())}
        return Facts(
            escrow_micro=dict(self.escrow),
            credit_limit_micro=dict(self.credit),
            paid_micro=dict(self.paid),
            applied_until_s=self.applied_until,
            leaving_micro={member: self.leaving(member) for member in members},
            last_withdrawal=self.last_request,
        )

    def settle(self, until: int, delivered: dict[int, int]) -> None:
        """Move the money of all trades up to a slot; ``delivered`` lots by place in ``trades``, else all of them."""
        for place, trade in enumerate(self.trades):
            if not self.applied_until <= trade.slot < until:
                continue
            missing = trade.lots - min(trade.lots, delivered.get(place, trade.lots))
            self._pay(trade.seller, -missing * self.shortfall_ticks)
            if not trade.terms_days:
                self._pay(trade.seller, trade.lots * trade.seller_ticks)
                self._pay(trade.buyer, -trade.lots * trade.buyer_ticks)
        self.applied_until = until

    def _pay(self, member: int, amount: int) -> None:
        self.escrow[member] = self.escrow.get(member, 0) + amount
