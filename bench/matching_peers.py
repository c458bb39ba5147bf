"""Other matchers of one flat book, beside which the engine is measured: each says how many lots a batch traded.

``PlainBook`` is the plain Python reference matcher of a flat book: what one writes in Python in an afternoon, with all
that a matcher owes: an order id is used once, an order that meets its own member ends there, a trade is recorded with
both ids, quantity and price. The others come from PyPI (the extra ``bench``). None of them knows fees: a sell comes
with the fee in its price. They know no members either; the flat stream has none that buys and sells.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any, NamedTuple, Protocol

from matching import kernel
from matching.kernel import Rows
from matching.order import Cancel, Capacity, Command, Connect, Level, New, Rules, Side, Tif, Traded
from matching.reference import ReferenceEngine


class Instruction(NamedTuple):
    """A new order, or (price 0) the end of one."""

    order_id: int
    member: int
    side: int
    price_ticks: int
    quantity_lots: int


class Matcher(Protocol):
    """``trades`` are (buy, sell, lots, what the buyer pays) where a matcher tells that much, otherwise empty."""

    trades: list[tuple[int, int, int, int]]

    def trade(self, orders: Sequence[Any]) -> int:
        """Carry out a batch; the lots traded."""


def instructions_of(commands: Rows, fee_ticks: int) -> list[Instruction]:
    """The commands of a stream on one transformer, for books without fees."""
    fees = {int(Side.SELL): fee_ticks, int(Side.BUY): 0}
    fields = ("kind", "order_id", "member", "side", "price_ticks", "quantity_lots")
    return [
        Instruction(order_id, member, side, price_ticks + fees[side] if kind == kernel.NEW else 0, quantity_lots)
        for kind, order_id, member, side, price_ticks, quantity_lots in zip(
            *(commands[field].tolist() for field in fields), strict=True
        )
    ]


def objects_of(rows: Rows) -> list[Command]:
    """The same stream as objects, for the engine that takes them."""
    return [_object_of(row) for row in rows]


def _object_of(row: Any) -> Command:
    kind, quantity_lots, price_ticks = int(row["kind"]), int(row["quantity_lots"]), int(row["price_ticks"])
    if kind == kernel.CANCEL:
        return Cancel(int(row["order_id"]))
    if kind == kernel.NEW:
        ids = (int(row["order_id"]), int(row["member"]), int(row["meter"]))
        return New(*ids, Side(row["side"]), int(row["slot"]), quantity_lots, price_ticks, Tif(row["tif"]))
    up, down = (None if lots == kernel.NO_LIMIT_LOTS else lots for lots in (quantity_lots, price_ticks))
    if kind == kernel.CAPACITY:
        return Capacity(int(row["meter"]), None, up, down)
    assert kind == kernel.CONNECT, f"no stream has commands of kind {kind}"
    return Connect(int(row["meter"]), int(row["terms_days"]), Level(row["reach"]), up, down)


class Reference:
    """The reference matcher of the market, trees, limits and all. It takes objects, the grid among them."""

    def __init__(self, rules: Rules) -> None:
        self.trades: list[tuple[int, int, int, int]] = []
        self._engine = ReferenceEngine(rules)

    def trade(self, orders: Sequence[Command]) -> int:
        traded = [event for event in self._engine.apply(orders) if isinstance(event, Traded)]
        self.trades += [
            (each.buy_order, each.sell_order, each.quantity_lots, each.buyer_price_ticks) for each in traded
        ]
        return sum(each.quantity_lots for each in traded)


class PlainBook:
    """Price levels in dicts, prices in heaps, orders of a level in order of time."""

    def __init__(self) -> None:
        self.trades: list[tuple[int, int, int, int]] = []
        self._levels: tuple[dict[int, OrderedDict[int, list[int]]], ...] = ({}, {})
        self._prices: tuple[list[int], ...] = ([], [])  # costs: a lower one is a better price
        self._places: dict[int, tuple[int, int]] = {}
        self._used_ids: set[int] = set()

    def trade(self, orders: Sequence[Instruction]) -> int:
        before = len(self.trades)
        for order_id, member, side, price_ticks, quantity_lots in orders:
            if not price_ticks:
                self._cancel(order_id)
            elif order_id not in self._used_ids:
                self._used_ids.add(order_id)
                self._enter(order_id, member, side, price_ticks, quantity_lots)
        return sum(trade[2] for trade in self.trades[before:])

    def _enter(self, order_id: int, member: int, side: int, price_ticks: int, left_lots: int) -> None:
        sells = side == Side.SELL
        cost = price_ticks if sells else -price_ticks
        prices, levels = self._prices[not sells], self._levels[not sells]
        while left_lots and prices and prices[0] + cost <= 0:
            level = levels.get(prices[0])
            if not level:
                levels.pop(heappop(prices), None)
                continue
            other_id, other = next(iter(level.items()))
            if other[0] == member:
                return
            lots = min(left_lots, other[1])
            left_lots -= lots
            ids = (other_id, order_id) if sells else (order_id, other_id)
            self.trades.append((*ids, lots, abs(prices[0])))
            if lots == other[1]:
                del level[other_id], self._places[other_id]
            else:
                other[1] -= lots
        if left_lots:
            levels = self._levels[sells]
            if cost not in levels:
                levels[cost] = OrderedDict()
                heappush(self._prices[sells], cost)
            levels[cost][order_id] = [member, left_lots]
            self._places[order_id] = (sells, cost)

    def _cancel(self, order_id: int) -> None:
        place = self._places.pop(order_id, None)
        if place:
            del self._levels[place[0]][place[1]][order_id]


class LightMatchingEngine:
    """lightmatchingengine: numbers orders itself; trades name one side each."""

    def __init__(self) -> None:
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine as Engine

        self.trades: list[tuple[int, int, int, int]] = []
        self._engine = Engine()
        self._known: dict[int, Any] = {}

    def trade(self, orders: Sequence[Instruction]) -> int:
        engine, known, traded_lots = self._engine, self._known, 0
        for order in orders:
            if order.price_ticks:
                placed, trades = engine.add_order("book", order.price_ticks, order.quantity_lots, order.side)
                known[order.order_id] = placed
                traded_lots += sum(trade.trade_qty for trade in trades if trade.order_id == placed.order_id)
            elif order.order_id in known and known[order.order_id].leaves_qty:  # it trips over what is filled
                engine.cancel_order(known[order.order_id].order_id, "book")
        return traded_lots


class PyOrderBook:
    """pyorderbook: orders are its own objects, with ids of their own."""

    def __init__(self) -> None:
        from pyorderbook import book, order

        self.trades: list[tuple[int, int, int, int]] = []
        self._book, self._placed, self._order = book.Book(), {}, order.Order  # type: ignore[var-annotated]
        self._ways = {int(Side.SELL): order.Side.ASK, int(Side.BUY): order.Side.BID}

    def trade(self, orders: Sequence[Instruction]) -> int:
        book, placed, traded_lots = self._book, self._placed, 0
        for order in orders:
            if order.price_ticks:
                new = self._order(self._ways[order.side], "book", order.price_ticks, order.quantity_lots)
                placed[order.order_id] = new
                traded_lots += sum(trade.fill_quantity for trade in book.match(new).trades)
            else:
                old = placed.get(order.order_id)
                if old is not None and old.id in book.order_map:
                    book.cancel(old)
        return traded_lots


class OrderMatching:
    """order-matching: sizes are floats, time comes with the order, ids are text."""

    def __init__(self) -> None:
        from loguru import logger
        from order_matching import enums, matching_engine, order, orders

        logger.remove()
        self.trades: list[tuple[int, int, int, int]] = []
        self._engine, self._at = matching_engine.MatchingEngine(seed=1), datetime(2026, 1, 1)
        self._order, self._orders = order.LimitOrder, orders.Orders
        self._ways = {int(Side.SELL): enums.Side.SELL, int(Side.BUY): enums.Side.BUY}

    def trade(self, orders: Sequence[Instruction]) -> int:
        engine, traded_lots = self._engine, 0
        for order in orders:
            self._at += timedelta(microseconds=1)
            order_id = str(order.order_id)
            if order.price_ticks:
                new = self._order(
                    side=self._ways[order.side],
                    price=order.price_ticks,
                    size=order.quantity_lots,
                    timestamp=self._at,
                    order_id=order_id,
                    trader_id=str(order.member),
                    price_number_of_digits=0,
                )
                engine.place(self._orders([new]))
                traded_lots += int(sum(trade.size for trade in engine.match(timestamp=self._at).trades))
            elif engine.unprocessed_orders.find_order_by_id(order_id) is not None:
                engine.cancel_order(order_id)
        return traded_lots


PLAIN = "plain Python book"
FLAT: dict[str, Callable[[], Matcher]] = {
    PLAIN: PlainBook,
    "lightmatchingengine": LightMatchingEngine,
    "pyorderbook": PyOrderBook,
    "order-matching": OrderMatching,
}
