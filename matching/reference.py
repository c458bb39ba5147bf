"""The auction, slow and obvious: written to be read beside docs/market_rules.md, and the oracle of every faster one.

One command after another: check it, let its order take what fits, let the rest stand, then try the held orders of
every slot that was touched. Quotations in the docstrings are from that page.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from matching.book import Book, Depth, OpenOrder, Order
from matching.fit import Fit
from matching.grid import Grid, GridError, Path, check_connect, check_limits
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
    Connected,
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
    sequences_of,
)
from matching.room import Limits, LinkLimits
from matching.views import depth_of, hash_of_state, rows_of_books


class _Trade(NamedTuple):
    """Enough of a trade to undo it."""

    book: Book
    taker: Order
    counterparty: Order
    path: Path
    quantity_lots: int


class ReferenceEngine:
    """The state of one market and ``apply``, the only way to change it.

    ``skip_idle_passes=False`` tries the held orders after every command, though no room has grown; the events are the
    same. ``sequence`` is the last sequence number given: 1 for the first command, one for each leg of a basket.
    """

    def __init__(self, rules: Rules, *, skip_idle_passes: bool = True) -> None:
        self.rules = rules
        self.sequence = 0
        self._skip_idle_passes = skip_idle_passes
        self._grid = Grid()
        self._fit = Fit(rules, self._grid)
        self._limits = LinkLimits()
        self._books: dict[int, Book] = {}  # by slot; gone when the slot closes
        self._open: dict[int, Order] = {}
        self._used_ids: set[int] = set()
        self._closed: set[int] = set()
        self._events: list[Event] = []  # of the call of ``apply`` under way
        self._trades: list[_Trade] = []  # of the command under way

    def apply(self, commands: Sequence[Command]) -> list[Event]:
        """Carry out the commands in order and tell what happened. How a stream is cut into calls changes nothing.

        A refused order is an event. Raises GridError, before any effect of any of the commands, when one connects a
        node that can not be connected, limits a node that is not there, or is a basket without legs: the caller's bug.
        """
        self._check(commands)
        self._events = []
        for command in commands:
            self._trades.clear()
            self.sequence += sequences_of(command)
            for slot in sorted(self._carry_out(command)):
                self._try_held_orders(slot)
        return self._events

    # ------------------------------------------------------------------------------------------- commands

    def _check(self, commands: Sequence[Command]) -> None:
        levels = dict(self._grid.levels) if any(isinstance(c, Connect | Capacity) for c in commands) else {}
        for command in commands:
            match command:
                case Connect():
                    check_connect(levels, command)
                    levels[command.node] = Level(command.level)
                case Capacity():
                    if command.node not in levels:
                        raise GridError(f"node {command.node} is not connected and can have no limits")
                    check_limits(command.node, command.export_lots, command.import_lots)
                case Basket(legs=()):
                    raise GridError("a basket needs at least one leg")

    def _carry_out(self, command: Command) -> Iterable[int]:
        """Returns the slots that the command touched."""
        touched: Iterable[int] = ()
        match command:
            case New():
                touched = self._new(command)
            case Basket():
                touched = self._basket(command)
            case Cancel():
                touched = self._cancel(command)
            case Amend():
                touched = self._amend(command)
            case Close():
                self._close(command)
            case Capacity():
                touched = self._capacity(command)
            case Connect():
                self._connect(command)
        return touched

    def _connect(self, connect: Connect) -> None:
        self._grid.connect(connect)
        self._limits.set(connect.node, None, Limits(connect.export_lots, connect.import_lots))
        self._events.append(Connected(self.sequence, connect.node))

    def _new(self, new: New) -> Iterable[int]:
        reason = self._refusal(new)
        if reason:
            self._events.append(Rejected(self.sequence, new.order_id, reason))
            return ()
        order = self._accept(new, self.sequence)
        if new.tif == Tif.FOK:
            self._all_or_none([order], Ended.UNFILLED_FOK)
        else:
            self._enter(order, rests=new.tif == Tif.GTC)
        return (new.slot,)

    def _basket(self, basket: Basket) -> Iterable[int]:
        """Legs take consecutive sequence numbers, refused or not."""
        first = self.sequence - len(basket.legs) + 1
        reasons = self._basket_refusals(basket)
        if reasons:
            for sequence, (leg, reason) in enumerate(zip(basket.legs, reasons, strict=True), first):
                self._events.append(Rejected(sequence, leg.order_id, reason))
            return ()
        orders = [self._accept(leg, sequence) for sequence, leg in enumerate(basket.legs, first)]
        self._all_or_none(orders, Ended.UNFILLED_BASKET)
        return {leg.slot for leg in basket.legs}

    def _cancel(self, cancel: Cancel) -> Iterable[int]:
        order = self._open.get(cancel.order_id)
        if order is None:
            self._events.append(Rejected(self.sequence, cancel.order_id, Reason.NOT_OPEN))
            return ()
        self._leave(order)
        self._end(order, Ended.BY_OWNER, self.sequence)
        return (order.slot,)

    def _amend(self, amend: Amend) -> Iterable[int]:
        """The same price with an equal or lower quantity keeps the order's place. Anything else is like a new order."""
        order = self._open.get(amend.order_id)
        reason = self._amend_refusal(order, amend)
        if order is None or reason:
            self._events.append(Rejected(self.sequence, amend.order_id, reason or Reason.NOT_OPEN))
            return ()
        quantity_lots = order.remaining_lots if amend.quantity_lots is None else amend.quantity_lots
        price_ticks = order.price_ticks if amend.price_ticks is None else amend.price_ticks
        keeps_place = price_ticks == order.price_ticks and quantity_lots <= order.remaining_lots
        if not keeps_place:
            self._leave(order)
            order.sequence = self.sequence
        order.remaining_lots, order.price_ticks = quantity_lots, price_ticks
        self._events.append(Amended(self.sequence, order.order_id, quantity_lots, price_ticks, order.sequence))
        if not keeps_place:
            self._enter(order, rests=True)
        return (order.slot,)

    def _close(self, close: Close) -> None:
        """Its open orders expire. Closing it again does nothing."""
        if close.slot in self._closed:
            return
        self._closed.add(close.slot)
        book = self._books.pop(close.slot, None)
        for order in book.in_time() if book else ():
            del self._open[order.order_id]
            self._end(order, Ended.SLOT_CLOSED, self.sequence)
        self._events.append(Closed(self.sequence, close.slot))

    def _capacity(self, capacity: Capacity) -> Iterable[int]:
        node, slot, limits = capacity.node, capacity.slot, Limits(capacity.export_lots, capacity.import_lots)
        self._limits.set(node, slot, limits)
        self._events.append(Limited(self.sequence, node, slot, *limits))
        touched = [each for each in self._books if slot is None or each == slot]
        for each in touched:
            self._books[each].room.limits_changed(node)
        return touched

    # ------------------------------------------------------------------------------------------- refusals

    def _refusal(self, new: New, ids_in_basket: Collection[int] = ()) -> Reason | None:
        """The first reason, in the page's order, to refuse a new order; it then has no other effect."""
        checks = (
            (new.order_id in self._used_ids or new.order_id in ids_in_basket, Reason.DUPLICATE_ORDER_ID),
            (not self._grid.is_meter(new.meter), Reason.UNKNOWN_METER),
            (new.slot in self._closed, Reason.SLOT_CLOSED),
            (new.quantity_lots <= 0, Reason.BAD_QUANTITY),
            (not self._is_price(new.price_ticks), Reason.BAD_PRICE),
            (new.terms_days not in self.rules.terms_days, Reason.BAD_TERMS),
        )
        return next((reason for is_bad, reason in checks if is_bad), None)

    def _basket_refusals(self, basket: Basket) -> list[Reason]:
        """The first bad leg gets its reason, every other leg ``basket_rejected``; empty when no leg is bad."""
        ids_before: set[int] = set()
        for bad, leg in enumerate(basket.legs):
            reason = self._refusal(leg, ids_before)
            if reason:
                return [reason if each == bad else Reason.BASKET_REJECTED for each in range(len(basket.legs))]
            ids_before.add(leg.order_id)
        return []

    def _amend_refusal(self, order: Order | None, amend: Amend) -> Reason | None:
        if order is None:
            return Reason.NOT_OPEN
        if amend.quantity_lots is not None and amend.quantity_lots <= 0:
            return Reason.BAD_QUANTITY
        if amend.price_ticks is not None and not self._is_price(amend.price_ticks):
            return Reason.BAD_PRICE
        return None

    def _is_price(self, price_ticks: int) -> bool:
        return self.rules.floor_ticks <= price_ticks <= self.rules.cap_ticks

    # ------------------------------------------------------------------------------------------- matching

    def _accept(self, new: New, sequence: int) -> Order:
        self._used_ids.add(new.order_id)
        self._events.append(Accepted(sequence, new.order_id))
        return Order.of(new, sequence)

    def _enter(self, order: Order, *, rests: bool) -> None:
        """Match an order that comes in; what is left of it rests or is cancelled."""
        met_own_member = self._take(order, self.sequence)
        if not order.remaining_lots:
            return
        if met_own_member:
            self._end(order, Ended.SELF_TRADE, self.sequence)
        elif rests:
            self._rest(order)
        else:
            self._end(order, Ended.UNFILLED_IOC, self.sequence)

    def _all_or_none(self, orders: Sequence[Order], ended: Ended) -> None:
        """Orders are tried in full, leg by leg; if any is not filled completely, every effect is undone."""
        start = len(self._events)
        for order in orders:
            self._take(order, order.sequence)
            if order.remaining_lots:
                self._undo_trades()
                del self._events[start:]
                for each in orders:
                    self._end(each, ended, each.sequence)
                return

    def _undo_trades(self) -> None:
        while self._trades:
            trade = self._trades.pop()
            trade.book.room.put(trade.path, -trade.quantity_lots)
            trade.taker.remaining_lots += trade.quantity_lots
            trade.counterparty.remaining_lots += trade.quantity_lots
            self._rest(trade.counterparty)

    def _take(self, taker: Order, cause: int) -> bool:
        """Trade against resting orders that fit, one after the other. Returns whether one of its own member came next.

        "After each trade the search starts again from the top." Which orders fit, and their priority, does not depend
        on what has traded, so they are ranked once. "A counterparty with no room is passed over." ``cause`` is the
        sequence number of the command, or basket leg, to name in the events.
        """
        book = self._book(taker.slot)
        ranked = self._fit.in_priority(taker, book.against(taker.side))
        while taker.remaining_lots:
            for counterparty, path in ranked:
                if not counterparty.remaining_lots:
                    continue
                if counterparty.member == taker.member:
                    return True
                wanted_lots = min(taker.remaining_lots, counterparty.remaining_lots)
                quantity_lots = book.room.part_that_fits(path, wanted_lots)
                if quantity_lots:
                    self._trade(_Trade(book, taker, counterparty, path, quantity_lots), cause)
                    break
            else:
                return False
        return False

    def _trade(self, trade: _Trade, cause: int) -> None:
        """The price is the limit of whichever of the two came first; the buyer pays the fee on top of the seller's."""
        one, other = trade.taker, trade.counterparty
        sell, buy = (one, other) if one.side == Side.SELL else (other, one)
        fee_ticks = self._fit.fee_ticks(trade.path)
        sell_is_first = sell.sequence < buy.sequence
        seller_price_ticks = sell.price_ticks if sell_is_first else buy.price_ticks - fee_ticks
        self._events.append(
            Traded(
                sequence=cause,
                slot=sell.slot,
                buy_order=buy.order_id,
                sell_order=sell.order_id,
                quantity_lots=trade.quantity_lots,
                seller_price_ticks=seller_price_ticks,
                buyer_price_ticks=seller_price_ticks + fee_ticks,
                taker=Side.BUY if sell_is_first else Side.SELL,
                level=trade.path.level,
            )
        )
        self._trades.append(trade)
        trade.book.room.put(trade.path, trade.quantity_lots)
        for order in (sell, buy):
            order.remaining_lots -= trade.quantity_lots
            if not order.remaining_lots:
                self._leave(order)

    def _try_held_orders(self, slot: int) -> None:
        """Pass over the held orders until a pass trades nothing; without grown room a pass would trade nothing at all.

        "The orders held at that moment are tried as takers in order of sequence number; a trade does not restart the
        pass."
        """
        book = self._books.get(slot)
        while book and (book.room.take_grown() or not self._skip_idle_passes):
            trades_before = len(self._trades)
            for order in self._held(book):  # one that has been filled since takes nothing
                met_own_member = self._take(order, self.sequence)
                assert not met_own_member, "fitting orders of one member never rest together"
            if len(self._trades) == trades_before:
                return

    def _held(self, book: Book) -> list[Order]:
        """Of two fitting resting orders the one with the higher sequence number is held."""

        def is_held(order: Order) -> bool:
            earlier = (other for other in book.against(order.side) if other.sequence < order.sequence)
            return any(self._fit.path(order, other) for other in earlier)

        return [order for order in book.in_time() if is_held(order)]

    # --------------------------------------------------------------------------------------------- books

    def _book(self, slot: int) -> Book:
        if slot not in self._books:
            self._books[slot] = Book(slot, self._limits)
        return self._books[slot]

    def _rest(self, order: Order) -> None:
        self._book(order.slot).add(order)
        self._open[order.order_id] = order

    def _leave(self, order: Order) -> None:
        """Take an order out of its book; a taker that never rested is in none."""
        self._book(order.slot).remove(order)
        self._open.pop(order.order_id, None)

    def _end(self, order: Order, ended: Ended, sequence: int) -> None:
        self._events.append(Removed(sequence, order.order_id, order.remaining_lots, ended))

    # --------------------------------------------------------------------------------------------- views

    def open_order(self, order_id: int) -> OpenOrder | None:
        """An order that rests, or None."""
        order = self._open.get(order_id)
        return OpenOrder.of(order) if order else None

    def open_orders(self) -> Iterator[OpenOrder]:
        """All orders that rest, in order of time."""
        return (OpenOrder.of(order) for order in sorted(self._open.values(), key=lambda o: o.sequence))

    def depth(self, slot: int, meter: int) -> Depth:
        """What a new order at this meter could take in this slot, see ``matching.views.depth_of``.

        ``meter`` must be connected; raises GridError otherwise. A closed slot, or one without orders, has no depth.
        """
        if not self._grid.is_meter(meter):
            raise GridError(f"node {meter} is not a meter")
        return depth_of(self._fit, self._books[slot], meter) if slot in self._books else Depth([], [])

    def state_hash(self) -> bytes:
        """32 bytes over sequence, grid, limits, books, flows, closed slots and used ids: equal engines, equal hash."""
        return hash_of_state(
            self.sequence,
            list(self._grid.nodes()),
            list(self._limits.rows()),
            rows_of_books(self._books),
            sorted(self._closed),
            sorted(self._used_ids),
        )
