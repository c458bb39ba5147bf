"""Books as meters see them: a snapshot, then numbered increments.

A book is that of one meter in one slot, for what there is to be had depends on where one stands. Whoever reads the same
book shares one computation and one encoded message. Books are conflated: a batch only marks those of its slots as
dirty, and one look at a time computes what the dirty ones hold by then, so that a book is never older than a look and
never costs more than one look for many batches.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from data.units import format_energy, format_instant, format_price
from market.feed_reader import Look, Reader, Welcome, message
from market.problems import NotRecordedError, ProblemError, StoppedError, not_found
from market.state import MarketState
from matching.book import Depth, Quote
from matching.order import Capacity, Connect, Level

BOOKS_AT_ONCE = 4
OUTAGE_PAUSE_S = 0.1

Key = tuple[int, str]
"""Slot and meter."""

_Side = dict[tuple[int, Level], int]
"""Lots by price and distance."""


class Seen(NamedTuple):
    """What a look found: the market's sequence, and what the depths are (None: no such meter)."""

    sequence: int
    depths: Sequence[Depth | None]


@dataclass
class _Book:
    """What readers of one book have been told. Number 0: it has not been looked at yet."""

    key: Key
    first: asyncio.Future[bool]
    number: int = 0
    sequence: int = 0
    asks: _Side = field(default_factory=dict)
    bids: _Side = field(default_factory=dict)
    readers: set[Reader] = field(default_factory=set)
    joining: int = 0
    _snapshot: bytes | None = None

    def snapshot(self) -> bytes:
        """All of it, encoded once for each number."""
        if self._snapshot is None:
            self._snapshot = self._message(True, self.asks, self.bids)
        return self._snapshot

    def take(self, sequence: int, depth: Depth) -> bytes | None:
        """The next increment: quotes that are new or have another quantity, and those that are gone with 0.00.

        None when nothing changed.
        """
        asks, bids = _side(depth.asks), _side(depth.bids)
        changed_asks, changed_bids = _difference(self.asks, asks), _difference(self.bids, bids)
        if self.number and not changed_asks and not changed_bids:
            return None
        self.number, self.sequence, self.asks, self.bids, self._snapshot = self.number + 1, sequence, asks, bids, None
        return self._message(False, changed_asks, changed_bids)

    def _message(self, is_snapshot: bool, asks: _Side, bids: _Side) -> bytes:
        slot_s, meter = self.key
        return message(
            "book",
            slot=format_instant(slot_s),
            meter=meter,
            number=self.number,
            sequence=self.sequence,
            snapshot=is_snapshot,
            asks=_bodies(asks),
            bids=_bodies(bids),
        )


class BookFeed:
    """``_slots`` is all that the writer's thread looks at; it is replaced, not changed."""

    def __init__(self) -> None:
        self._books: dict[Key, _Book] = {}
        self._slots: frozenset[int] = frozenset()
        self._dirty: dict[Key, None] = {}
        self._worker: asyncio.Task[None] | None = None
        self._look: Look

    def begin(self, look: Look) -> None:
        """Where books are looked at; before anybody joins."""
        self._look = look

    def gather(self, state: MarketState) -> Collection[int] | None:
        """The slots whose books may have changed."""
        read, batch = self._slots, state.batch
        if not read:
            return None
        if any(isinstance(command, Capacity | Connect) for command in batch.commands):
            return read
        slots = {order.slot_s for orders in (batch.orders, batch.changed) for order in orders.values()}
        return slots & read or None

    def publish(self, news: Collection[int]) -> None:
        for key in self._books:
            if key[0] in news:
                self._dirty[key] = None
        self._work()

    async def join(self, key: Key, reader: Reader, welcome: Welcome) -> None:
        """From a snapshot on. Raises ProblemError ``not_found`` where there is no such meter, ``queue_full``;
        StoppedError, NotRecordedError.
        """
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = _Book(key, asyncio.get_running_loop().create_future())
            self._note_slots()
            self._dirty[key] = None
        book.joining += 1
        try:
            self._work()
            if not await asyncio.shield(book.first):
                raise not_found("meter")
            welcome({})
            reader.send(book.snapshot())
            book.readers.add(reader)
        finally:
            book.joining -= 1
            self._forget(book)

    def resync(self, key: Key, reader: Reader, welcome: Welcome) -> None:
        """A fresh snapshot for one who reads already."""
        welcome({})
        reader.send(self._books[key].snapshot())

    def leave(self, key: Key, reader: Reader) -> None:
        book = self._books.get(key)
        if book is not None:
            book.readers.discard(reader)
            self._forget(book)

    def _forget(self, book: _Book) -> None:
        if not book.readers and not book.joining and self._books.get(book.key) is book:
            del self._books[book.key]
            self._dirty.pop(book.key, None)
            self._note_slots()

    def _note_slots(self) -> None:
        self._slots = frozenset(slot_s for slot_s, _ in self._books)

    # ------------------------------------------------------------------------------------------ the one job

    def _work(self) -> None:
        if self._dirty and (self._worker is None or self._worker.done()):
            self._worker = asyncio.get_running_loop().create_task(self._look_at_dirty())

    async def _look_at_dirty(self) -> None:
        while self._dirty:
            keys = list(self._dirty)[:BOOKS_AT_ONCE]
            for key in keys:
                del self._dirty[key]
            try:
                seen = await self._look(partial(_depths, keys))
            except (ProblemError, NotRecordedError, StoppedError) as error:
                self._fail(keys, error)
                await asyncio.sleep(OUTAGE_PAUSE_S)
                continue
            for key, depth in zip(keys, seen.depths, strict=True):
                self._tell(key, seen.sequence, depth)

    def _fail(self, keys: Sequence[Key], error: Exception) -> None:
        """Whoever waits for a first look is told; for the others it is tried again, while there is a market."""
        for key in keys:
            book = self._books.get(key)
            if book is None:
                continue
            if not book.number:
                del self._books[key]
                book.first.set_exception(error)
                book.first.exception()  # it may be that nobody waits any more
            elif not isinstance(error, StoppedError):
                self._dirty[key] = None
        self._note_slots()

    def _tell(self, key: Key, sequence: int, depth: Depth | None) -> None:
        book = self._books.get(key)
        if book is None:
            return
        if depth is None:
            book.first.set_result(False)
            return
        told = book.take(sequence, depth)
        if not book.first.done():
            book.first.set_result(True)
        if told is not None:
            for reader in book.readers:
                reader.send(told)


def _depths(keys: Sequence[Key], state: MarketState) -> Seen:
    """In the writer's thread."""
    depths = []
    for slot_s, name in keys:
        meter = state.meters.get(name)
        depths.append(None if meter is None else state.engine.depth(slot_s, meter.node_id))
    return Seen(state.engine.sequence, depths)


def _side(quotes: Sequence[Quote]) -> _Side:
    return {(quote.price_ticks, quote.level): quote.quantity_lots for quote in quotes}


def _difference(before: _Side, after: _Side) -> _Side:
    changed = {place: lots for place, lots in after.items() if before.get(place) != lots}
    changed.update((place, 0) for place in before if place not in after)
    return changed


def _bodies(side: _Side) -> list[dict[str, Any]]:
    return [
        {"price": format_price(price_ticks), "quantity": format_energy(lots), "level": level.name.lower()}
        for (price_ticks, level), lots in side.items()
    ]
