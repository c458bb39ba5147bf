"""A member's stream: one WebSocket that is opened again whenever it is lost, and goes on where it stopped.

::

    async with client.stream() as stream:
        book = await stream.book(slot_s, "A1")
        await stream.trades()
        async for event in stream:
            if isinstance(event, BookChanged):
                print(event.book.asks[:1])

Books come back as snapshots, trades from the number after the last one seen, own orders from the last message seen or
as a snapshot. Orders on a stream are repeated after a loss as over HTTP: their ids make that safe.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

import msgspec

from data.units import format_instant
from market.client.book import BookMessage, LocalBook
from market.client.entry import Act, OrderEntry
from market.client.errors import ClientError, RefusedError
from market.client.events import BookChanged, Event, OrdersChanged, PublicTrade, Traded, TradesMissed, Waiting
from market.client.keeper import Keeper, Opener
from market.client.line import Line, LostError
from market.client.shapes import Facts, Placed


class _Trades(msgspec.Struct):
    trades: list[PublicTrade]


class _Mine(msgspec.Struct):
    run: str
    number: int
    snapshot: bool
    orders: list[Placed]


class _Begun(msgspec.Struct):
    after: int


BookKey = tuple[str, str]
"""Slot and meter, as texts."""


class Stream(OrderEntry):
    """See the module. After ``client.patience_s`` without a connection it ends, with UnreachableError for its users."""

    def __init__(self, client: Opener) -> None:
        self._client = client
        self._keeper = Keeper(client, resume=self._resume, hand_on=self._hand_on, lost=self._lost)
        self._events = Waiting()
        self._books: dict[BookKey, LocalBook] = {}
        self._whole: dict[BookKey, asyncio.Event] = {}
        self._resyncing: set[asyncio.Task[None]] = set()
        self._last_trade: int | None = None
        self._reads_trades = self._reads_mine = self._cancels_on_disconnect = False
        self._mine: _Mine | None = None

    # --------------------------------------------------------------------------------------------- its life

    async def __aenter__(self) -> Self:
        """Connected. Raises RefusedError, UnreachableError."""
        await self._keeper.start(self._events.end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it; whoever iterates over it comes to the end."""
        self._events.end(None)
        for task in self._resyncing:
            task.cancel()
        await self._keeper.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Raises UnreachableError, RefusedError when the stream could not go on."""
        return await self._events.take()

    # ------------------------------------------------------------------------------------------ subscriptions

    async def book(self, slot_s: int, meter: str) -> LocalBook:
        """Keep this book; it is whole when this returns. Raises RefusedError, UnreachableError."""
        key = (format_instant(slot_s), meter)
        book = self._books.setdefault(key, LocalBook(slot_s, meter))
        whole = self._whole.setdefault(key, asyncio.Event())
        try:
            await self._subscribe(_book(key))
        except ClientError:
            self._books.pop(key, None)
            raise
        await whole.wait()
        return book

    async def leave_book(self, book: LocalBook) -> None:
        """Keep it no longer. Raises RefusedError, UnreachableError."""
        key = (format_instant(book.slot_s), book.meter)
        del self._books[key], self._whole[key]
        await self._keeper.ask("unsubscribe", to=_book(key))

    async def trades(self, after: int | None = None) -> None:
        """Everyone's trades from the one after ``after``, or the next one, on: events ``Traded``.

        Raises RefusedError ``too_far_back``, UnreachableError.
        """
        self._last_trade = after
        answer = await self._keeper.ask("subscribe", to=self._trades_from_here())
        self._begin_trades(answer)

    async def mine(self) -> None:
        """Own orders as they change: events ``OrdersChanged``, a snapshot first. Raises as ``trades`` does."""
        await self._subscribe({"channel": "mine"})
        self._reads_mine = True

    async def cancel_on_disconnect(self, enabled: bool) -> None:
        """Whether the market cancels all of this member's open orders when it loses this stream, also for a moment."""
        await self._keeper.ask("cancel_on_disconnect", enabled=enabled)
        self._cancels_on_disconnect = enabled

    async def _subscribe(self, to: dict[str, Any]) -> None:
        try:
            await self._keeper.ask("subscribe", to=to)
        except RefusedError as error:
            if error.refused.code != "already_subscribed":  # by the one who came back meanwhile
                raise

    def _trades_from_here(self) -> dict[str, object]:
        return {"channel": "trades"} if self._last_trade is None else {"channel": "trades", "after": self._last_trade}

    def _begin_trades(self, answer: bytes) -> None:
        """Trades may have come before this is looked at."""
        self._reads_trades = True
        if self._last_trade is None:
            self._last_trade = msgspec.json.decode(answer, type=_Begun).after

    # ----------------------------------------------------------------------------------------- coming back

    async def _resume(self, line: Line) -> None:
        """On a new connection: everything that was read. Raises LostError, RefusedError."""
        for key in self._books:
            await line.do("subscribe", to=_book(key))
        if self._reads_trades:
            await self._resume_trades(line)
        if self._reads_mine:
            since = {} if self._mine is None else {"run": self._mine.run, "after": self._mine.number}
            await line.do("subscribe", to={"channel": "mine", **since})
        if self._cancels_on_disconnect:
            await line.do("cancel_on_disconnect", enabled=True)

    async def _resume_trades(self, line: Line) -> None:
        try:
            await line.do("subscribe", to=self._trades_from_here())
        except RefusedError as error:
            if error.refused.code != "too_far_back" or self._last_trade is None:
                raise
            await self._events.put(TradesMissed(self._last_trade), lambda: True)
            self._last_trade = None
            self._begin_trades(await line.do("subscribe", to=self._trades_from_here()))

    def _lost(self) -> None:
        for book in self._books.values():
            book.lose()

    # -------------------------------------------------------------------------------------- what is told

    async def _hand_on(self, kind: str, payload: bytes, line: Line) -> None:
        """A message that nobody asked for. Raises LostError when one before it is missing: then all is resumed."""
        match kind:
            case "book":
                await self._take_book(msgspec.json.decode(payload, type=BookMessage), line)
            case "trades":
                await self._take_trades(msgspec.json.decode(payload, type=_Trades).trades, line)
            case "mine":
                await self._take_mine(msgspec.json.decode(payload, type=_Mine), line)

    async def _take_book(self, told: BookMessage, line: Line) -> None:
        key = (told.slot, told.meter)
        book = self._books.get(key)
        if book is None:
            return
        was_current = book.is_current
        if book.take(told):
            self._whole[key].set()
            await self._events.put(BookChanged(book), line.is_awaited)
        elif was_current:
            task = asyncio.create_task(self._resync(key, line))
            self._resyncing.add(task)
            task.add_done_callback(self._resyncing.discard)

    async def _resync(self, key: BookKey, line: Line) -> None:
        """When that fails, the connection is done with: a new one begins with snapshots."""
        try:
            await line.do("resync", to=_book(key))
        except (LostError, RefusedError):
            await line.close()

    async def _take_trades(self, trades: list[PublicTrade], line: Line) -> None:
        if self._last_trade is not None and trades[0].trade != self._last_trade + 1:
            raise LostError("a trade is missing")
        self._last_trade = trades[-1].trade
        await self._events.put(Traded(trades), line.is_awaited)

    async def _take_mine(self, told: _Mine, line: Line) -> None:
        before = self._mine
        if not told.snapshot and (before is None or (before.run, before.number + 1) != (told.run, told.number)):
            raise LostError("news of own orders are missing")
        self._mine = told
        await self._events.put(OrdersChanged(told.orders, told.snapshot), line.is_awaited)

    # --------------------------------------------------------------------------------------------- orders

    async def facts(self) -> Facts:
        """See ``Client``."""
        return await self._client.facts()

    def whoami(self) -> int:
        """See ``Client``."""
        return self._client.whoami()

    def sign(self, digest: bytes) -> str:
        """See ``Client``."""
        return self._client.sign(digest)

    async def _enter(self, act: Act) -> bytes:
        return await self._keeper.ask(act.op, **act.fields)


def _book(key: BookKey) -> dict[str, str]:
    slot, meter = key
    return {"channel": "book", "slot": slot, "meter": meter}
