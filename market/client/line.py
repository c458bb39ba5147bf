"""One WebSocket connection from end to end: what is asked is answered under its id, the rest is handed on."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import aiohttp
import msgspec
from aiohttp import WSMsgType

from market.client.errors import Refused, RefusedError

HEARTBEAT_S = 20.0

_LOST = "the stream was lost before the answer came"


class LostError(Exception):
    """The connection ended; what was under way may have happened or not. Never leaves the client."""


class Told(msgspec.Struct, frozen=True):
    """What every message of the server has, and what an answer has."""

    type: str
    id: str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    problem: Refused | None = None


class Line:
    """One connection. It has to be read for answers to come."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[str, asyncio.Future[bytes | Refused]] = {}
        self._ids = count(1)
        self._is_over = False

    def is_awaited(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._waiting)

    async def do(self, op: str, **fields: object) -> bytes:
        """The result's JSON. Raises RefusedError, LostError."""
        if self._is_over:
            raise LostError(_LOST)
        op_id = str(next(self._ids))
        answer: asyncio.Future[bytes | Refused] = asyncio.get_running_loop().create_future()
        self._waiting[op_id] = answer
        try:
            await self._socket.send_str(msgspec.json.encode({"op": op, "id": op_id, **fields}).decode())
            found = await answer
        except (ConnectionError, aiohttp.ClientError) as error:
            raise LostError(_LOST) from error
        finally:
            del self._waiting[op_id]
        if isinstance(found, Refused):
            raise RefusedError(found)
        return found

    async def read(self, hand_on: Callable[[str, bytes, "Line"], Awaitable[None]]) -> str:
        """Until it ends, or ``hand_on`` raises LostError; why, as far as that is known. What nobody asked for goes to
        ``hand_on``, in order, one after the other.
        """
        try:
            async for received in self._socket:
                if received.type is WSMsgType.TEXT:
                    await self._take(received.data.encode(), hand_on)
            return f"closed with code {self._socket.close_code}"
        except LostError as error:
            await self._socket.close()
            return str(error)
        finally:
            self._is_over = True
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(LostError(_LOST))

    async def _take(self, payload: bytes, hand_on: Callable[[str, bytes, "Line"], Awaitable[None]]) -> None:
        told = msgspec.json.decode(payload, type=Told)
        if told.id is not None:
            self._answer(told)
        else:
            await hand_on(told.type, payload, self)

    def _answer(self, told: Told) -> None:
        answer = self._waiting.get(told.id or "")
        if answer is not None and not answer.done():
            answer.set_result(told.problem if told.problem is not None else bytes(told.result))

    async def close(self) -> None:
        await self._socket.close()
