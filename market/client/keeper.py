"""Keeps one line to the market: opened again whenever it is lost, and what was asked on the old one asked again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import aiohttp

from market.client.errors import ClientError, RefusedError
from market.client.line import Line, LostError
from market.client.patience import Patience
from market.client.sending import REPEATABLE
from market.client.shapes import Facts

IN_FLIGHT = 64
"""Operations that are sent at once; the others wait here, not at the market."""


class Opener(Protocol):
    """What a stream needs of its client."""

    patience_s: float

    async def facts(self) -> Facts: ...

    def whoami(self) -> int: ...

    def sign(self, digest: bytes) -> str: ...

    async def open_socket(self) -> aiohttp.ClientWebSocketResponse:
        """A connection with a token that is in force. Raises RefusedError, and what aiohttp raises."""
        ...


class Keeper:
    """``resume(line)`` asks for what was read before, on a new line that nobody else uses yet; ``hand_on`` gets what
    nobody asked for, and raises LostError to have all of it resumed; ``lost`` is called between two lines.
    """

    def __init__(
        self,
        client: Opener,
        *,
        resume: Callable[[Line], Awaitable[None]],
        hand_on: Callable[[str, bytes, Line], Awaitable[None]],
        lost: Callable[[], None],
    ) -> None:
        self._client, self._resume, self._hand_on, self._lost = client, resume, hand_on, lost
        self._line: Line | None = None
        self._changed = asyncio.Condition()
        self._failure: ClientError | None = None
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)
        self._task: asyncio.Task[None] | None = None

    async def start(self, ended: Callable[[Exception | None], None]) -> None:
        """Returns when there is a line. ``ended`` is called when there will be none any more. Raises ClientError."""

        async def keep() -> None:
            try:
                await self._keep()
            except ClientError as error:
                await self._set(None, error)
                ended(error)

        self._task = asyncio.create_task(keep())
        try:
            await self._current()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        line = self._line
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if line is not None:
            await line.close()

    async def ask(self, op: str, **fields: object) -> bytes:
        """The result, repeated until there is one that a repeat would not change. Raises ClientError."""
        patience = Patience(self._client.patience_s, f"{op} on the stream")
        async with self._in_flight:
            while True:
                try:
                    return await (await self._current()).do(op, **fields)
                except LostError as error:
                    reason = str(error)
                except RefusedError as error:
                    if error.refused.status not in REPEATABLE:
                        raise
                    reason = str(error)
                await patience.pause(reason)

    async def _current(self) -> Line:
        """The line, once there is one. Raises ClientError when there will be none."""
        async with self._changed:
            while self._line is None:
                if self._failure is not None:
                    raise self._failure
                await self._changed.wait()
            return self._line

    async def _set(self, line: Line | None, failure: ClientError | None = None) -> None:
        async with self._changed:
            self._line, self._failure = line, failure
            self._changed.notify_all()

    async def _keep(self) -> None:
        while True:
            patience = Patience(self._client.patience_s, "the stream")
            reading = await self._opened(patience)
            reason = await reading
            await self._set(None)
            self._lost()
            await Patience(self._client.patience_s, "the stream").pause(reason)

    async def _opened(self, patience: Patience) -> "asyncio.Task[str]":
        """A line on which all is resumed, being read. Raises ClientError."""
        while True:
            try:
                line = Line(await self._client.open_socket())
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                await patience.pause(f"{type(error).__name__}: {error}")
                continue
            reading = asyncio.create_task(line.read(self._hand_on))
            try:
                await self._resume(line)
            except (LostError, RefusedError) as error:
                await line.close()
                await reading
                self._lost()
                if isinstance(error, RefusedError) and error.refused.status not in REPEATABLE:
                    raise
                await patience.pause(str(error))
                continue
            await self._set(line)
            return reading
