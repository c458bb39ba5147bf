"""A witness who sees commands and events only, keeps books of its own, and objects to whatever breaks the rules.

Nothing here is shared with the engine: paths come from sets of ancestors, priority from sorting all that may meet, and
the witness foresees every trade, those of held orders too. What the page demands of single trades is asserted at each
trade, what it demands of books at rest and of links after each command.
"""

from collections import Counter
from dataclasses import dataclass

from matching.order import (
    Accepted,
    Amend,
    Amended,
    Basket,
    Cancel,
    Capacity,
    Close,
    Closed,
    Command,
    Connect,
    Ended,
    Event,
    Level,
    Limited,
    New,
    Reason,
    Rejected,
    Removed,
    Rules,
    Side,
    Tif,
    Traded,
)


@dataclass(eq=False)
class Seen:
    """An order as the witness knows it; ``place`` is its sequence number."""

    new: New
    place: int
    left: int
    price: int


Foreseen = list[tuple[Seen, Seen, int]]
"""Trades to come: taker, counterparty, lots."""


class Witness:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.levels: dict[int, Level] = {}
        self.limits: dict[tuple[int, int | None], tuple[int | None, int | None]] = {}
        self.chains: dict[int, list[int]] = {-1: []}  # by node: itself and all above it
        self.levels_between: dict[tuple[int, int], Level] = {}
        self.flow: Counter[tuple[int, int]] = Counter()  # (slot, node): net upward
        self.over: dict[tuple[int, int], int] = {}  # the same: by how much a limit was set below the flow
        self.resting: dict[int, Seen] = {}
        self.used: set[int] = set()
        self.closed: set[int] = set()
        self.trades = 0
        self.sequence = 0

    # ------------------------------------------------------------------------------------- what is seen

    def see(self, command: Command, events: list[Event]) -> None:
        match command:
            case New(tif=Tif.FOK):
                self._see_orders((command,), events, none_if_not_all=Ended.UNFILLED_FOK)
            case New():
                self._see_orders((command,), events)
            case Basket():
                self._see_orders(command.legs, events, none_if_not_all=Ended.UNFILLED_BASKET)
            case Cancel():
                self._see_cancel(command, events)
            case Amend():
                self._see_amend(command, events)
            case Close():
                self._see_close(command, events)
            case Capacity():
                self._see_limits(command, events)
            case Connect():
                self.sequence += 1
                self.chains[command.node] = [command.node, *self.chains[command.parent]]
                self.levels[command.node] = command.level
                self.limits[command.node, None] = (command.export_lots, command.import_lots)
        self._see_rest()
        self._see_links()

    def _see_orders(self, legs: tuple[New, ...], events: list[Event], none_if_not_all: Ended | None = None) -> None:
        first = self.sequence + 1
        self.sequence += len(legs)
        refused = self._refusals(legs)
        if refused:
            assert events == [Rejected(first + n, leg.order_id, refused[n]) for n, leg in enumerate(legs)]
            return
        assert events[: len(legs)] == [Accepted(first + n, leg.order_id) for n, leg in enumerate(legs)]
        self.used |= {leg.order_id for leg in legs}
        takers = [Seen(leg, first + n, leg.quantity_lots, leg.price_ticks) for n, leg in enumerate(legs)]
        trades, own_met = self._foresee(takers)
        traded_lots = sum(lots for _, _, lots in trades)
        if none_if_not_all and traded_lots < sum(leg.quantity_lots for leg in legs):
            assert events[len(legs) :] == [
                Removed(taker.place, taker.new.order_id, taker.left, none_if_not_all) for taker in takers
            ]
            return
        rest = self._see_trades(trades, events[len(legs) :])
        self._see_end_of_taker(takers[-1], rest, own_met=own_met, rests=legs[-1].tif == Tif.GTC)

    def _see_trades(self, foreseen: Foreseen, events: list[Event], cause: int | None = None) -> list[Event]:
        """Trades are those foreseen; each names ``cause``, otherwise its taker. Returns the events that follow."""
        takers = {taker.new.order_id: taker for taker, _, _ in foreseen}
        assert len(events) >= len(foreseen), (foreseen, events)
        for event, (taker, resting, lots) in zip(events, foreseen, strict=False):
            assert isinstance(event, Traded)
            assert event.sequence == (cause or taker.place)
            assert {event.buy_order, event.sell_order} == {taker.new.order_id, resting.new.order_id}, "priority"
            assert event.quantity_lots == lots
            self._see_trade(event, takers)
        return events[len(foreseen) :]

    def _see_end_of_taker(self, taker: Seen, rest: list[Event], *, own_met: bool, rests: bool) -> None:
        """What became of what is left of a taker, and then the held orders."""
        if taker.left and (own_met or not rests):
            ended = Ended.SELF_TRADE if own_met else Ended.UNFILLED_IOC
            assert rest[0] == Removed(self.sequence, taker.new.order_id, taker.left, ended)
            rest = rest[1:]
        elif taker.left:
            self.resting[taker.new.order_id] = taker
        self._see_held(rest)

    def _see_held(self, events: list[Event]) -> None:
        rest = self._see_trades(self._foresee_passes(), events, cause=self.sequence)
        assert rest == []

    def _see_cancel(self, cancel: Cancel, events: list[Event]) -> None:
        self.sequence += 1
        order = self.resting.pop(cancel.order_id, None)
        if order is None:
            assert events == [Rejected(self.sequence, cancel.order_id, Reason.NOT_OPEN)]
        else:
            assert events == [Removed(self.sequence, cancel.order_id, order.left, Ended.BY_OWNER)]

    def _see_amend(self, amend: Amend, events: list[Event]) -> None:
        self.sequence += 1
        order = self.resting.get(amend.order_id)
        refused = None
        if order is None:
            refused = Reason.NOT_OPEN
        elif amend.quantity_lots is not None and amend.quantity_lots < 1:
            refused = Reason.BAD_QUANTITY
        elif amend.price_ticks is not None and not self._is_price(amend.price_ticks):
            refused = Reason.BAD_PRICE
        if order is None or refused:
            assert events == [Rejected(self.sequence, amend.order_id, refused)]
            return
        left = order.left if amend.quantity_lots is None else amend.quantity_lots
        price = order.price if amend.price_ticks is None else amend.price_ticks
        place = order.place if price == order.price and left <= order.left else self.sequence
        assert events[0] == Amended(self.sequence, amend.order_id, left, price, place)
        moved = place != order.place
        order.left, order.price, order.place = left, price, place
        if not moved:
            assert len(events) == 1
            return
        del self.resting[amend.order_id]
        trades, own_met = self._foresee([order])
        self._see_end_of_taker(order, self._see_trades(trades, events[1:]), own_met=own_met, rests=True)

    def _see_close(self, close: Close, events: list[Event]) -> None:
        self.sequence += 1
        if close.slot in self.closed:
            assert events == []
            return
        self.closed.add(close.slot)
        gone = sorted((o for o in self.resting.values() if o.new.slot == close.slot), key=lambda o: o.place)
        ends = [Removed(self.sequence, order.new.order_id, order.left, Ended.SLOT_CLOSED) for order in gone]
        assert events == [*ends, Closed(self.sequence, close.slot)]
        for order in gone:
            del self.resting[order.new.order_id]

    def _see_limits(self, command: Capacity, events: list[Event]) -> None:
        self.sequence += 1
        limits = (command.export_lots, command.import_lots)
        if command.slot is None:
            self.limits = {key: kept for key, kept in self.limits.items() if key[0] != command.node}
        self.limits[command.node, command.slot] = limits
        self.over = {key: self._beyond_limit(*key) for key in self.flow}
        assert events[0] == Limited(self.sequence, command.node, command.slot, *limits)
        self._see_held(events[1:])

    # ---------------------------------------------------------------------------- what the rules demand

    def _see_trade(self, trade: Traded, takers: dict[int, Seen]) -> None:
        known = self.resting | takers
        buy, sell, lots = known[trade.buy_order], known[trade.sell_order], trade.quantity_lots
        assert buy.new.side == Side.BUY and sell.new.side == Side.SELL
        assert buy.new.slot == sell.new.slot == trade.slot and trade.slot not in self.closed
        assert buy.new.member != sell.new.member
        assert self._fit(buy, sell)
        assert lots == min(buy.left, sell.left, self._room(buy, sell)) > 0
        level = self._distance(buy, sell)
        assert trade.level == level
        fee = self.rules.fee_ticks[level - 1]
        assert trade.buyer_price_ticks == trade.seller_price_ticks + fee
        assert trade.buyer_price_ticks <= buy.price and trade.seller_price_ticks >= sell.price
        if buy.place < sell.place:
            assert (trade.buyer_price_ticks, trade.taker) == (buy.price, Side.SELL)
        else:
            assert (trade.seller_price_ticks, trade.taker) == (sell.price, Side.BUY)
        self._let_flow(buy, sell, lots)
        self._see_limits_kept(buy, sell)
        self.trades += 1
        for order in (buy, sell):
            order.left -= lots
            assert order.left >= 0
            if not order.left:
                self.resting.pop(order.new.order_id, None)

    def _see_limits_kept(self, buy: Seen, sell: Seen) -> None:
        """No link that the trade used is over its limit in the direction of the trade."""
        slot, (up, down) = buy.new.slot, self._links(buy, sell)
        for node in up:
            export_limit, flow = self._limits_of(node, slot)[0], self.flow[slot, node]
            assert export_limit is None or flow <= export_limit
        for node in down:
            import_limit, flow = self._limits_of(node, slot)[1], self.flow[slot, node]
            assert import_limit is None or -flow <= import_limit

    def _see_rest(self) -> None:
        """At rest no two fitting orders have room between them, and none of one member fit at all."""
        for slot in self._slots():
            for buy, sell in self._fitting_pairs(slot):
                assert buy.new.member != sell.new.member, (buy, sell)
                assert self._room(buy, sell) <= 0, (buy, sell)

    def _see_links(self) -> None:
        """No link is over its limit in either direction, but for what flowed when the limit was set."""
        for key in self.flow:
            beyond_lots = self._beyond_limit(*key)
            assert beyond_lots <= self.over.get(key, 0), key
            self.over[key] = beyond_lots

    def _beyond_limit(self, slot: int, node: int) -> int:
        (export_limit, import_limit), flow = self._limits_of(node, slot), self.flow[slot, node]
        beyond_export = 0 if export_limit is None else flow - export_limit
        beyond_import = 0 if import_limit is None else -flow - import_limit
        return max(0, beyond_export, beyond_import)

    def _refusals(self, legs: tuple[New, ...]) -> list[Reason]:
        for bad, leg in enumerate(legs):
            used = self.used | {other.order_id for other in legs[:bad]}
            reason = None
            if leg.order_id in used:
                reason = Reason.DUPLICATE_ORDER_ID
            elif self.levels.get(leg.meter) != Level.METER:
                reason = Reason.UNKNOWN_METER
            elif leg.slot in self.closed:
                reason = Reason.SLOT_CLOSED
            elif leg.quantity_lots < 1:
                reason = Reason.BAD_QUANTITY
            elif not self._is_price(leg.price_ticks):
                reason = Reason.BAD_PRICE
            elif leg.terms_days not in self.rules.terms_days:
                reason = Reason.BAD_TERMS
            if reason:
                return [reason if n == bad else Reason.BASKET_REJECTED for n in range(len(legs))]
        return []

    def _is_price(self, price: int) -> bool:
        return self.rules.floor_ticks <= price <= self.rules.cap_ticks

    def _foresee(self, takers: list[Seen]) -> tuple[Foreseen, bool]:
        """The trades of takers that come in one after the other, and whether the last met its own member."""
        flow, trades, own_met = self.flow.copy(), Foreseen(), False
        left = Counter({order.place: order.left for order in [*self.resting.values(), *takers]})
        for taker in takers:
            more, own_met = self._foresee_one(taker, left)
            trades += more
        self.flow = flow
        return trades, own_met

    def _foresee_passes(self) -> Foreseen:
        """The trades of held orders: slot by slot, pass after pass, each over those that are held when it begins."""
        flow, trades = self.flow.copy(), Foreseen()
        left = Counter({order.place: order.left for order in self.resting.values()})
        for slot in self._slots():
            pairs, before = self._fitting_pairs(slot), -1
            while before != len(trades) and any(self._room(buy, sell) > 0 for buy, sell in pairs):
                before = len(trades)
                still_open = [pair for pair in pairs if left[pair[0].place] and left[pair[1].place]]
                held = {max(pair, key=lambda order: order.place) for pair in still_open}
                for taker in sorted(held, key=lambda order: order.place):
                    trades += self._foresee_one(taker, left)[0]
        self.flow = flow
        return trades

    def _foresee_one(self, taker: Seen, left: Counter[int]) -> tuple[Foreseen, bool]:
        """What one taker trades, with all effects on ``left`` and on the links; whether it met its own member."""
        trades = Foreseen()
        other, own_met = self._next(taker, left)
        while other:
            lots = min(left[taker.place], left[other.place], self._room(taker, other))
            trades.append((taker, other, lots))
            left.subtract({taker.place: lots, other.place: lots})
            self._let_flow(taker, other, lots)
            other, own_met = self._next(taker, left)
        return trades, own_met

    def _slots(self) -> list[int]:
        return sorted({order.new.slot for order in self.resting.values()})

    def _fitting_pairs(self, slot: int) -> list[tuple[Seen, Seen]]:
        """(buy, sell) of all that rest in a slot and fit."""
        orders = [order for order in self.resting.values() if order.new.slot == slot]
        buys = [order for order in orders if order.new.side == Side.BUY]
        sells = [order for order in orders if order.new.side == Side.SELL]
        return [(buy, sell) for buy in buys for sell in sells if buy.price >= sell.price and self._fit(buy, sell)]

    def _next(self, taker: Seen, left: Counter[int]) -> tuple[Seen | None, bool]:
        """The counterparty whose turn it is, if any; whether one of the taker's own member stands before it."""
        open_to_it = [o for o in self.resting.values() if left[o.place] and self._may_meet(taker, o)]
        for other in sorted(open_to_it, key=lambda other: self._rank(taker, other)) if left[taker.place] else []:
            if other.new.member == taker.new.member:
                return None, True
            if self._room(taker, other) > 0:
                return other, False
        return None, False

    def _may_meet(self, one: Seen, other: Seen) -> bool:
        return one.new.slot == other.new.slot and one.new.side != other.new.side and self._fit(one, other)

    def _rank(self, taker: Seen, other: Seen) -> tuple[int, int, int]:
        level = self._distance(taker, other)
        fee = self.rules.fee_ticks[level - 1]
        better = other.price + fee if taker.new.side == Side.BUY else fee - other.price
        return better, level, other.place

    def _fit(self, one: Seen, other: Seen) -> bool:
        buy, sell = (one, other) if one.new.side == Side.BUY else (other, one)
        level = self._distance(buy, sell)
        in_reach = level <= min(buy.new.reach, sell.new.reach)
        affordable = sell.price + self.rules.fee_ticks[level - 1] <= buy.price
        return in_reach and affordable and buy.new.terms_days <= sell.new.terms_days

    def _distance(self, one: Seen, other: Seen) -> Level:
        """The level of the lowest node above both. Kept: a tree that grows changes no distance."""
        key = (one.new.meter, other.new.meter)
        if key not in self.levels_between:
            shared = set(self.chains[key[0]]) & set(self.chains[key[1]])
            self.levels_between[key] = max(Level.TRANSFORMER, min(self.levels[node] for node in shared))
        return self.levels_between[key]

    def _links(self, one: Seen, other: Seen) -> tuple[list[int], list[int]]:
        """(climbed by the seller's energy, descended to the buyer)."""
        buy, sell = (one, other) if one.new.side == Side.BUY else (other, one)
        up, down = self.chains[sell.new.meter], self.chains[buy.new.meter]
        return [node for node in up if node not in down], [node for node in down if node not in up]

    def _room(self, one: Seen, other: Seen) -> int:
        slot, (up, down) = one.new.slot, self._links(one, other)
        room = [2**62]
        for node in up:
            limit = self._limits_of(node, slot)[0]
            room += [] if limit is None else [limit - self.flow[slot, node]]
        for node in down:
            limit = self._limits_of(node, slot)[1]
            room += [] if limit is None else [limit + self.flow[slot, node]]
        return min(room)

    def _limits_of(self, node: int, slot: int) -> tuple[int | None, int | None]:
        return self.limits[node, slot] if (node, slot) in self.limits else self.limits[node, None]

    def _let_flow(self, one: Seen, other: Seen, lots: int) -> None:
        slot, (up, down) = one.new.slot, self._links(one, other)
        for node in up:
            self.flow[slot, node] += lots
        for node in down:
            self.flow[slot, node] -= lots
