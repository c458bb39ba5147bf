"""What can be seen of an engine without changing it: the depth for one meter, the hash of its state."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from matching.book import Book, Depth, Order, Quote
from matching.fit import Fit
from matching.order import Level, Side

_ANY_PRICE_TICKS = 2**62
_ANY_TERMS_DAYS = 2**31


def depth_of(fit: Fit, book: Book, meter: int) -> Depth:
    """What an order at this meter, of any price and terms and of reach substation, could take from this book.

    Ask = seller's price + the fee this meter would pay; bid = buyer's price - that fee. All quotes of one side could
    be had together: each takes its room before the next is looked at.
    """
    return Depth(asks=_quotes(fit, book, meter, Side.BUY), bids=_quotes(fit, book, meter, Side.SELL))


def _quotes(fit: Fit, book: Book, meter: int, side: Side) -> list[Quote]:
    """What a taker on this side would meet, in priority, one quote for each price and level."""
    room = book.room.copy()
    quantities_lots: dict[tuple[int, Level], int] = {}
    taker = _greediest_order(meter, side)
    for other, path in fit.in_priority(taker, book.against(side)):
        quantity_lots = room.part_that_fits(path, other.remaining_lots)
        if quantity_lots:
            room.put(path, quantity_lots)
            fee_ticks = fit.fee_ticks(path)
            price_ticks = other.price_ticks + (fee_ticks if side == Side.BUY else -fee_ticks)
            quantities_lots[price_ticks, path.level] = quantities_lots.get((price_ticks, path.level), 0) + quantity_lots
    return [Quote(price_ticks, quantity_lots, level) for (price_ticks, level), quantity_lots in quantities_lots.items()]


def _greediest_order(meter: int, side: Side) -> Order:
    """An order that fits everything within reach."""
    return Order(
        order_id=-1,
        member=-1,
        meter=meter,
        side=side,
        slot=-1,
        price_ticks=_ANY_PRICE_TICKS if side == Side.BUY else -_ANY_PRICE_TICKS,
        remaining_lots=0,
        sequence=-1,
        reach=Level.SUBSTATION,
        terms_days=0 if side == Side.BUY else _ANY_TERMS_DAYS,
    )


def hash_of_state(*state: object) -> bytes:
    """SHA-256 over the canonical JSON of whatever tells the state, already in one order: 32 bytes."""
    return sha256(msgspec.json.encode(state)).digest()


def rows_of_books(books: Mapping[int, Book]) -> list[tuple[int, list[tuple[int, ...]], list[tuple[int, int]]]]:
    """(slot, orders in time, flows) by slot. A book that nothing rests or flows in is as good as none."""
    rows = [
        (slot, [_row(order) for order in book.in_time()], book.room.flows()) for slot, book in sorted(books.items())
    ]
    return [(slot, orders, flows) for slot, orders, flows in rows if orders or flows]


def _row(order: Order) -> tuple[int, ...]:
    return (
        order.sequence,
        order.order_id,
        order.member,
        order.meter,
        order.side,
        order.slot,
        order.price_ticks,
        order.remaining_lots,
        order.reach,
        order.terms_days,
    )
