"""Other matchers of one flat book, beside which the engine is measured: each says how much it traded.

``PlainBook`` is what one writes in Python in an afternoon. The others install from PyPI (``pip install
jinsha[bench]``); one that is not there is left out. None of them knows fees: a sell comes with the fee in its price.
"""

import importlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

from matching import kernel
from matching.kernel import Rows
from matching.order import Side, Tif


class Instruction(NamedTuple):
    """A new order, or (price 0) the end of one."""

    order_id: int
    side: int
    price_ticks: int
    quantity_lots: int
    rests: bool


def instructions_of(commands: Rows, fee_ticks: int) -> list[Instruction]:
    """The commands of a stream on one transformer, for books without fees."""
    return [
        Instruction(
            int(row["order_id"]),
            int(row["side"]),
            (int(row["price_ticks"]) + (fee_ticks if row["side"] == Side.SELL else 0))
            if row["kind"] == kernel.NEW
            else 0,
            int(row["quantity_lots"]),
            row["tif"] == Tif.GTC,
        )
        for row in commands
    ]


class PlainBook:
    """Price levels in dicts, prices in heaps, orders of a level in order of time."""

    def __init__(self) -> None:
        self.traded_lots = 0
        self._levels: tuple[dict[int, OrderedDict[int, int]], ...] = ({}, {})
        self._prices: tuple[list[int], ...] = ([], [])  # costs: a lower one is a better price
        self._places: dict[int, tuple[int, int]] = {}

    def carry_out(self, order: Instruction) -> None:
        if not order.price_ticks:
            self._cancel(order.order_id)
            return
        mine, other = order.side - 1, 2 - order.side
        cost = order.price_ticks if order.side == Side.SELL else -order.price_ticks
        left_lots = order.quantity_lots
        prices, levels = self._prices[other], self._levels[other]
        while left_lots and prices and prices[0] + cost <= 0:
            level = levels.get(prices[0])
            if not level:
                levels.pop(heappop(prices), None)
                continue
            order_id, open_lots = next(iter(level.items()))
            lots = min(left_lots, open_lots)
            self.traded_lots += lots
            left_lots -= lots
            if lots == open_lots:
                del level[order_id], self._places[order_id]
            else:
                level[order_id] -= lots
        if left_lots and order.rests:
            if cost not in self._levels[mine]:
                self._levels[mine][cost] = OrderedDict()
                heappush(self._prices[mine], cost)
            self._levels[mine][cost][order.order_id] = left_lots
            self._places[order.order_id] = (mine, cost)

    def _cancel(self, order_id: int) -> None:
        place = self._places.pop(order_id, None)
        if place:
            del self._levels[place[0]][place[1]][order_id]


def plain(orders: list[Instruction]) -> int:
    book = PlainBook()
    for order in orders:
        book.carry_out(order)
    return book.traded_lots


def lightmatchingengine(orders: list[Instruction]) -> int:
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine

    engine, known, traded_lots = LightMatchingEngine(), {}, 0
    for order in orders:
        if order.price_ticks:
            placed, trades = engine.add_order("book", order.price_ticks, order.quantity_lots, order.side)
            known[order.order_id] = placed
            traded_lots += sum(trade.trade_qty for trade in trades if trade.order_id == placed.order_id)
            if placed.leaves_qty and not order.rests:
                engine.cancel_order(placed.order_id, "book")
        elif order.order_id in known and known[order.order_id].leaves_qty:  # it trips over what is filled
            engine.cancel_order(known[order.order_id].order_id, "book")
    return traded_lots


def pyorderbook(orders: list[Instruction]) -> int:
    from pyorderbook.book import Book
    from pyorderbook.order import Order
    from pyorderbook.order import Side as Way

    book, placed, traded_lots = Book(), {}, 0
    for order in orders:
        if order.price_ticks:
            way = Way.ASK if order.side == Side.SELL else Way.BID
            new = placed[order.order_id] = Order(way, "book", order.price_ticks, order.quantity_lots)
            traded_lots += sum(trade.fill_quantity for trade in book.match(new).trades)
            if new.quantity and not order.rests:
                book.cancel(new)
        else:
            old = placed.get(order.order_id)
            if old is not None and old.id in book.order_map:
                book.cancel(old)
    return traded_lots


def order_matching(orders: list[Instruction]) -> int:
    from datetime import datetime, timedelta

    from loguru import logger
    from order_matching.enums import Side as Way
    from order_matching.matching_engine import MatchingEngine
    from order_matching.order import LimitOrder
    from order_matching.orders import Orders

    logger.remove()
    engine, start, traded_lots = MatchingEngine(seed=1), datetime(2026, 1, 1), 0
    for number, order in enumerate(orders):
        at = start + timedelta(microseconds=number)
        if order.price_ticks:
            way = Way.SELL if order.side == Side.SELL else Way.BUY
            new = LimitOrder(
                side=way,
                price=order.price_ticks,
                size=order.quantity_lots,
                timestamp=at,
                order_id=str(order.order_id),
                trader_id="any",
                price_number_of_digits=0,
            )
            engine.place(Orders([new]))
        elif engine.unprocessed_orders.find_order_by_id(str(order.order_id)) is not None:
            engine.cancel_order(str(order.order_id))
        traded_lots += int(sum(trade.size for trade in engine.match(timestamp=at).trades))
        if not order.rests and engine.unprocessed_orders.find_order_by_id(str(order.order_id)) is not None:
            engine.cancel_order(str(order.order_id))
    return traded_lots


def peers() -> Iterator[tuple[str, Callable[[list[Instruction]], Any], bool]]:
    """(name, what trades instructions and returns the lots traded, whether it is slow) of all that are there."""
    yield "plain Python book", plain, False
    for name, run in (
        ("lightmatchingengine.lightmatchingengine", lightmatchingengine),
        ("pyorderbook.book", pyorderbook),
        ("order_matching.matching_engine", order_matching),
    ):
        try:
            importlib.import_module(name)
        except ImportError as missing:
            print(f"{name} is left out: {missing}")
            continue
        yield name.partition(".")[0], run, run is order_matching
