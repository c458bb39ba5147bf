"""Where gateways hand in orders: a connection each, on a Unix socket, messages in MessagePack with their length first.

A gateway has read an order, made its digest and verified its signature; what is left to decide is decided here: whether
the token still stands, whether the key is still the member's, how much it may send, and then by the sequencer. So a
gateway can be behind the times without anything wrong being accepted. A question of who a token belongs to is answered
in the same way. Answers carry the number of what they answer and come in any order.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec
from msgspec.structs import astuple

from market import entry
from market.context import Context
from market.identity import Access
from market.logs import REQUEST_ID, log
from market.placing import PlaceOrders, Signed, SignedOrder
from market.problems import Problem, ProblemError, problem_of, refuse
from settlement.intents import OrderIntent
from settlement.signatures import PublicKey

LENGTH_BYTES = 4
LARGEST_MESSAGE = 2**26

STALE = Problem(409, "stale", "the member's key is another one by now")
"""Never leaves the house: the gateway asks again who the member is."""


class SentIntent(OrderIntent, frozen=True, array_like=True):
    """An order's intent without the names of its fields."""


class SentOrders(msgspec.Struct, frozen=True, array_like=True):
    """Orders whose signature was verified with ``key`` (x and y, 32 bytes each). ``digests`` stand end to end."""

    member_id: int
    key: bytes
    kind: str
    root: bytes
    leaves: bytes
    signature: bytes
    is_basket: bool
    intents: list[SentIntent]
    digests: bytes


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """From a gateway: who a token is, when ``orders`` is None; else place them."""

    number: int
    request_id: str
    token: str
    address: str
    orders: SentOrders | None = None


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """To a gateway: a refusal; or the member and its key; or an answer, ready to be sent."""

    number: int
    problem: Problem | None = None
    member_id: int = 0
    key: bytes = b""
    status: int = 0
    body: bytes = b""


_ask = msgspec.msgpack.Decoder(Ask)
encode = msgspec.msgpack.Encoder().encode


def key_bytes(key: PublicKey) -> bytes:
    return key.x.to_bytes(32, "big") + key.y.to_bytes(32, "big")


def key_of(given: bytes) -> PublicKey:
    return PublicKey(int.from_bytes(given[:32], "big"), int.from_bytes(given[32:], "big"))


def sent(job: PlaceOrders) -> SentOrders:
    """A verified job as a gateway sends it."""
    return SentOrders(
        job.member_id,
        key_bytes(job.signed.key),
        job.signed.kind,
        job.signed.root,
        job.signed.leaves,
        job.signed.signature,
        job.is_basket,
        [SentIntent(*astuple(order.intent)) for order in job.orders],
        b"".join(order.digest for order in job.orders),
    )


def received(orders: SentOrders) -> PlaceOrders:
    """The job again."""
    signed = Signed(orders.kind, orders.root, orders.leaves, orders.signature, key_of(orders.key))
    digests = [orders.digests[start : start + 32] for start in range(0, len(orders.digests), 32)]
    pairs = [SignedOrder(intent, digest) for intent, digest in zip(orders.intents, digests, strict=True)]
    return PlaceOrders(orders.member_id, pairs, signed, is_basket=orders.is_basket)


class Frames:
    """Cuts what arrives into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            assert size <= LARGEST_MESSAGE, "the two sides of the desk speak different languages"
            end = LENGTH_BYTES + size
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[LENGTH_BYTES:end])
            del self._buffer[:end]
            yield message


def frame(message: bytes) -> bytes:
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


class _Gateway(asyncio.Protocol):
    """The market's end of one gateway's connection."""

    def __init__(self, context: Context) -> None:
        self._context, self._frames = context, Frames()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            task = asyncio.get_running_loop().create_task(self._answer(_ask.decode(message)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, ask: Ask) -> None:
        REQUEST_ID.set(ask.request_id)
        try:
            reply = await _reply(self._context, ask)
        except Exception as error:  # noqa: BLE001 - outages and bugs are logged and answered, as over HTTP
            reply = Reply(ask.number, problem_of(error))
        if not self._transport.is_closing():
            self._transport.write(frame(encode(reply)))


async def _reply(context: Context, ask: Ask) -> Reply:
    access = context.directory.find(ask.token, ask.address)
    if access is None:
        raise refuse(401, "not_logged_in", "send Authorization: Bearer <token>; POST /v1/sessions gives one")
    if ask.orders is None:
        member = access.allow(scope="trade")
        return Reply(ask.number, None, member.member_id, key_bytes(member.key))
    started_s = time.perf_counter()
    route = "/v1/orders/batch" if ask.orders.kind == "batch" else "/v1/orders"
    status = 500
    try:
        reply = await _place(context, access, ask, ask.orders)
        status = reply.status
    except ProblemError as error:
        status = error.problem.status
        context.metrics.problems.labels(error.problem.code).inc()
        raise
    finally:
        context.metrics.request("POST", route, status, time.perf_counter() - started_s)
    return reply


async def _place(context: Context, access: Access, ask: Ask, orders: SentOrders) -> Reply:
    member = access.allow(scope="trade")
    if (member.member_id, key_bytes(member.key)) != (orders.member_id, orders.key):
        return Reply(ask.number, STALE)
    context.rates.orders(member.member_id, len(orders.intents))
    outcome = await entry.submit(context, received(orders))
    if orders.kind == "batch":
        return Reply(ask.number, status=200, body=msgspec.json.encode(entry.many_answer(*outcome)))
    return Reply(ask.number, status=201, body=msgspec.json.encode(entry.one_answer(*outcome)))


@asynccontextmanager
async def opened(context: Context, path: Path) -> AsyncIterator[None]:
    """Take gateways' connections at this socket while inside."""
    server = await asyncio.get_running_loop().create_unix_server(lambda: _Gateway(context), path)
    log(logging.INFO, "desk_opened")
    try:
        yield
    finally:
        server.close()
