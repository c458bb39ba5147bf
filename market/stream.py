"""One WebSocket connection: what comes in is carried out, what goes out waits in a queue of its own.

Operations are begun in the order they came in, several are under way at once, and each is answered under its own id.
The queue of what goes out is bounded by messages and by bytes: a reader that does not keep up is closed, as
``slow_reader``, and nothing of the market ever waits for it.

A connection ends once, for one ``Ending``; everything else follows from that.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from typing import Any

from aiohttp import WSMsgType, web

from market import stream_messages
from market.feed_reader import message
from market.identity import Access
from market.logs import log
from market.metrics import Metrics
from market.problems import Problem, ProblemError, problem_of, refuse
from market.settings import Streams
from market.stream_messages import AnyOp

CLOSE_S = 2.0
"""For so long a reader may take to receive the reason why it is closed."""

DRAIN_S = 10.0
"""For so long a reader that is sent what it missed may take to read a part of it."""

FINISH_S = 5.0
"""For so long what is under way may go on when the server stops."""


class Ending(Enum):
    """Why the server closes a stream: a code of RFC 6455, or of the range it leaves to applications (4000-4999)."""

    SERVER_STOPPING = 1001
    INTERNAL_ERROR = 1011
    SESSION_ENDED = 4001
    SLOW_READER = 4008

    @property
    def reason(self) -> str:
        return self.name.lower()


Answer = Callable[[Any], None]
Admit = Callable[["Connection"], None]
"""Raises ProblemError when this connection has sent too much."""

CarryOut = Callable[["Connection", AnyOp, Answer], Awaitable[None]]


class Connection:
    """See the module. It is a ``Reader`` of the feeds. ``access`` is None for the public."""

    def __init__(self, limits: Streams, metrics: Metrics, admit: Admit, carry_out: CarryOut) -> None:
        self._limits, self._metrics, self._admit, self._carry_out = limits, metrics, admit, carry_out
        self._socket = web.WebSocketResponse(
            timeout=CLOSE_S,
            heartbeat=limits.heartbeat_s,
            compress=False,
            max_msg_size=2 * limits.message_bytes,
            decode_text=False,
        )
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._has_waiting, self._is_low = asyncio.Event(), asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_mute = False
        self._ending: asyncio.Future[Ending | None] = asyncio.get_running_loop().create_future()
        self.access: Access | None = None
        self.token = ""
        self.address: str | None = None
        self._subscriptions: dict[object, Callable[[], None]] = {}
        self._joining: set[object] = set()
        self.cancels_on_disconnect = False

    # --------------------------------------------------------------------------------------------- a reader

    def send(self, message: bytes) -> None:
        if self._is_mute:
            return
        limits = self._limits
        if len(self._waiting) >= limits.waiting_messages or self._waiting_bytes > limits.waiting_bytes:
            self.end(Ending.SLOW_READER)
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        self._has_waiting.set()
        self._is_low.clear()

    async def drained(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._is_low.wait()
        except TimeoutError:
            self.end(Ending.SLOW_READER)
            raise asyncio.CancelledError from None

    def end(self, ending: Ending | None) -> None:
        """Close for this reason; None when the client has gone. Only the first one counts."""
        if not self._ending.done():
            self._ending.set_result(ending)
            self._is_mute = ending is not Ending.SERVER_STOPPING

    # ---------------------------------------------------------------------------------------- subscriptions

    async def subscribe(
        self, name: object, most: int, join: Callable[[], Awaitable[None]], leave: Callable[[], None]
    ) -> None:
        """Join a feed, and leave it at the end. Raises ProblemError, and what ``join`` raises."""
        if name in self._subscriptions or name in self._joining:
            raise refuse(409, "already_subscribed", "there is such a subscription on this stream", "to")
        if len(self._subscriptions) + len(self._joining) >= most:
            raise refuse(422, "too_many_subscriptions", f"a stream has up to {most} subscriptions", "to")
        self._joining.add(name)
        try:
            await join()
            self._subscriptions[name] = leave
        finally:
            self._joining.discard(name)

    async def renew(self, name: object, resync: Callable[[], Awaitable[None]]) -> None:
        """Begin a subscription anew, once at a time. Raises ProblemError, and what ``resync`` raises."""
        self.check_subscribed(name)
        if name in self._joining:
            raise refuse(409, "already_subscribed", "a snapshot is on its way", "to")
        self._joining.add(name)
        try:
            await resync()
        finally:
            self._joining.discard(name)

    def unsubscribe(self, name: object) -> None:
        """Raises ProblemError ``not_subscribed``, also while a new snapshot is on its way."""
        self.check_subscribed(name)
        if name in self._joining:
            raise refuse(409, "not_subscribed", "a snapshot is on its way", "to")
        self._subscriptions.pop(name)()

    def check_subscribed(self, name: object) -> None:
        """Raises ProblemError ``not_subscribed``."""
        if name not in self._subscriptions:
            raise refuse(409, "not_subscribed", "there is no such subscription on this stream", "to")

    # ---------------------------------------------------------------------------------------------- its life

    async def run(self, request: web.Request) -> web.WebSocketResponse:
        """From the upgrade to the end; then nothing of it is under way any more."""
        await self._socket.prepare(request)
        transport = request.transport
        reading, writing = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        for task in (reading, writing):
            task.add_done_callback(lambda _: self.end(None))
        try:
            ending = await asyncio.shield(self._ending)
            await _cancelled(reading)
            if ending is Ending.SERVER_STOPPING:
                await self._finish()
        finally:
            self.end(None)
            await _cancelled(reading, writing, *self._under_way)
            for leave in self._subscriptions.values():
                leave()
            self._subscriptions.clear()
        if ending is not None:
            self._metrics.streams_dropped.labels(ending.reason).inc()
            await self._close(ending)
        if transport is not None:
            transport.abort()  # else what a slow reader has not taken would be kept for it
        return self._socket

    async def _finish(self) -> None:
        """Let what is under way come to its end, and be told."""
        try:
            async with asyncio.timeout(FINISH_S):
                while self._under_way:
                    await asyncio.wait(self._under_way)
                while self._waiting:
                    self._is_low.clear()
                    await self._is_low.wait()
        except TimeoutError:
            return

    async def _close(self, ending: Ending) -> None:
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._socket.close(code=ending.value, message=ending.reason.encode(), drain=False)
        except TimeoutError:
            return

    async def _write(self) -> None:
        with suppress(ConnectionError):  # the client has gone
            while True:
                await self._has_waiting.wait()
                while self._waiting:
                    following = self._waiting.popleft()
                    self._waiting_bytes -= len(following)
                    await self._socket.send_frame(following, WSMsgType.TEXT)
                    self._metrics.stream_messages.inc()
                    if self._waiting_bytes <= self._limits.waiting_bytes // 2:
                        self._is_low.set()
                self._has_waiting.clear()

    # ------------------------------------------------------------------------------------------- what comes in

    async def _read(self) -> None:
        async for received in self._socket:
            if received.type is WSMsgType.TEXT:
                self._take(received.data)
            elif received.type is WSMsgType.BINARY:
                self._refuse(None, refuse(400, "binary_message", "send text").problem)

    def _take(self, payload: bytes) -> None:
        try:
            op = self._understood(payload)
        except ProblemError as error:
            self._refuse(stream_messages.id_of(payload), error.problem)
            return
        task = asyncio.create_task(self._do(op))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _understood(self, payload: bytes) -> AnyOp:
        """Raises ProblemError."""
        self._admit(self)
        if len(payload) > self._limits.message_bytes:
            raise refuse(413, "too_large", f"a message has up to {self._limits.message_bytes} bytes")
        op = stream_messages.read(payload)
        if len(self._under_way) >= self._limits.in_flight:
            at_once = f"up to {self._limits.in_flight} operations may be under way on a stream"
            raise ProblemError(Problem(429, "too_many_in_flight", at_once, retry_after_s=1))
        return op

    async def _do(self, op: AnyOp) -> None:
        is_answered = False

        def answer(result: Any) -> None:
            nonlocal is_answered
            is_answered = True
            self.send(message("answer", id=op.id, result=result))

        try:
            await self._carry_out(self, op, answer)
        except Exception as error:  # noqa: BLE001 - outages and bugs are logged and answered, as over HTTP
            problem = problem_of(error)
            if is_answered:
                self.end(Ending.INTERNAL_ERROR)
            else:
                self._refuse(op.id, problem)

    def _refuse(self, op_id: str | None, problem: Problem) -> None:
        self.send(message("refusal", id=op_id, problem=problem.body()))


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """Wait until they have ended; what they ended with by themselves is a bug."""
    for task in tasks:
        task.cancel()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(end, Exception):
            log(logging.ERROR, "stream_bug", error=type(end).__name__)
