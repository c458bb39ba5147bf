"""A stream as a test holds it: asks and waits for the answer, and keeps whatever else comes in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import msgspec
from aiohttp import WSMsgType

from tests.market.world import Person, World

PATIENCE_S = 10.0


@dataclass
class Line:
    socket: aiohttp.ClientWebSocketResponse
    welcome: dict[str, Any] = field(default_factory=dict)
    _kept: list[dict[str, Any]] = field(default_factory=list)
    _ids: Any = field(default_factory=count)

    async def send(self, op: str, **fields: Any) -> str:
        """Ask, without waiting; the id under which the answer will come."""
        op_id = f"t{next(self._ids)}"
        await self.socket.send_str(msgspec.json.encode({"op": op, "id": op_id, **fields}).decode())
        return op_id

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The answer or the refusal, whatever else came before it."""
        return await self.answer(await self.send(op, **fields))

    async def do(self, op: str, **fields: Any) -> Any:
        """The result of what must not be refused."""
        answer = await self.ask(op, **fields)
        assert answer["type"] == "answer", answer
        return answer["result"]

    async def refusal(self, op: str, **fields: Any) -> tuple[int, str]:
        answer = await self.ask(op, **fields)
        assert answer["type"] == "refusal", answer
        return answer["problem"]["status"], answer["problem"]["code"]

    async def answer(self, op_id: str | None) -> dict[str, Any]:
        return await self._next(lambda told: told["type"] in ("answer", "refusal") and told["id"] == op_id)

    async def next(self, kind: str) -> dict[str, Any]:
        """The next message of this type."""
        return await self._next(lambda told: told["type"] == kind)

    async def nothing(self) -> bool:
        """Whether nothing has come that was not asked for, up to now."""
        await self.do("ping")
        return not self._kept

    async def _next(self, is_it: Any) -> dict[str, Any]:
        for place, told in enumerate(self._kept):
            if is_it(told):
                return self._kept.pop(place)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                received = await self.socket.receive()
                assert received.type is WSMsgType.TEXT, received
                told = msgspec.json.decode(received.data)
                if is_it(told):
                    return dict(told)
                self._kept.append(told)

    async def closed(self) -> tuple[int | None, str]:
        """How the server closed it: the code and the reason."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                received = await self.socket.receive()
                if received.type is WSMsgType.CLOSE:
                    return received.data, received.extra or ""
                if received.type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSING):
                    return self.socket.close_code, ""


@asynccontextmanager
async def stream(world: World, person: Person | None = None) -> AsyncIterator[Line]:
    """A member's stream, or the public's."""
    headers = {"Authorization": f"Bearer {person.token}"} if person is not None else {}
    async with world.http.ws_connect(f"{world.server}/v1/stream", headers=headers, max_msg_size=0) as socket:
        line = Line(socket)
        line.welcome = await line.next("welcome")
        yield line


def signed(person: Person, order: dict[str, Any]) -> dict[str, Any]:
    """An order with its signature, as HTTP and stream take it."""
    return {**order, "signature": person.sign(person.intent(order).digest(person.world.chain.domain("Clearing")))}


def book_of(meter: str, slot: str) -> dict[str, str]:
    return {"channel": "book", "slot": slot, "meter": meter}


def transport_of(line: Line) -> asyncio.Transport:
    """What is under a stream, for tests that treat it badly."""
    connection = line.socket._response.connection
    assert connection is not None
    assert isinstance(connection.transport, asyncio.Transport)
    return connection.transport
