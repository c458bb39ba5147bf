"""What a stream tells its user, and where it waits to be taken."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import msgspec

from market.client.book import LocalBook
from market.client.shapes import Placed

EVENTS_KEPT = 10_000
"""Events that wait before the stream stops reading; then the market closes it, and it comes back."""

ROOM_CHECK_S = 0.05


class BookChanged(NamedTuple):
    """``book`` is as it stands when this is looked at: changes that nobody took in between are one event."""

    book: LocalBook


class PublicTrade(msgspec.Struct, frozen=True):
    """A trade as everyone may see it."""

    trade: int
    slot: str
    quantity: str
    seller_price: str
    buyer_price: str
    level: str
    at: str


class Traded(NamedTuple):
    trades: list[PublicTrade]


class TradesMissed(NamedTuple):
    """The stream was away for too many trades: those after ``after`` are in ``GET /v1/trades?public=true``."""

    after: int


class OrdersChanged(NamedTuple):
    """Own orders as they stand, each with the trades of this change; ``is_snapshot``: all that are open, no trades."""

    orders: list[Placed]
    is_snapshot: bool


Event = BookChanged | Traded | TradesMissed | OrdersChanged


class Waiting:
    """Events that nobody has taken yet, in order. A book waits once, however often it changes meanwhile."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._books: set[LocalBook] = set()
        self._has_news, self._has_room = asyncio.Event(), asyncio.Event()
        self._is_ended = False
        self._failure: Exception | None = None

    async def put(self, event: Event, is_urgent: Callable[[], bool]) -> None:
        """Waits while there is no room, unless what is behind the event ``is_urgent``."""
        if isinstance(event, BookChanged):
            if event.book in self._books:
                return
            self._books.add(event.book)
        while len(self._events) >= EVENTS_KEPT and not is_urgent():
            self._has_room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_room.wait(), ROOM_CHECK_S)
        self._events.append(event)
        self._has_news.set()

    async def take(self) -> Event:
        """Raises StopAsyncIteration at the end, or what it ended with."""
        while not self._events:
            if self._is_ended:
                raise self._failure or StopAsyncIteration
            self._has_news.clear()
            await self._has_news.wait()
        event = self._events.popleft()
        self._has_room.set()
        if isinstance(event, BookChanged):
            self._books.discard(event.book)
        return event

    def end(self, failure: Exception | None) -> None:
        """There is no more, because of this. Only the first end counts."""
        if not self._is_ended:
            self._is_ended, self._failure = True, failure
            self._has_news.set()
