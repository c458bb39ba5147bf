"""Load over HTTP and WebSocket from prepared bytes: as little work beside the server as Python can do.

Requests are made, and signed, before anything is measured. A connection sends one, waits for its answer, and sends the
next: so many connections, so many requests under way. Times are those of this process's monotonic clock.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from market.client import order_body
from matching.order import Level, Side, Tif
from settlement import merkle, signatures
from settlement.intents import ORDER_BATCH, Domain, OrderIntent


@dataclass
class Trader:
    """A member that sends orders, each with an id that nobody has used."""

    member: int
    meter: str
    token: str
    key: ec.EllipticCurvePrivateKey
    domain: Domain
    slots: Sequence[int]
    is_buyer: bool
    sent: int = 0

    def intent(self) -> OrderIntent:
        """A small order near the middle: about every second one finds another to trade with."""
        self.sent += 1
        number = self.sent * 7919 + self.member
        return OrderIntent(
            member=self.member,
            client_order_id=f"{self.meter}-{self.sent}",
            meter=self.meter,
            side=int(Side.BUY if self.is_buyer else Side.SELL),
            slot=self.slots[number % len(self.slots)],
            quantity_lots=1 + number % 50,
            price_ticks=4_000 + number % 1_000,
            reach=int(Level.SUBSTATION),
            terms_days=0,
            tif=int(Tif.GTC),
            replaces="",
            deadline=self.slots[-1],
        )

    def one(self) -> dict[str, Any]:
        """The body of a single order."""
        intent = self.intent()
        return order_body(intent) | {"signature": signatures.sign(self.key, intent.digest(self.domain)).hex()}

    def many(self, count: int) -> dict[str, Any]:
        """The body of a batch under one signature."""
        intents = [self.intent() for _ in range(count)]
        root = merkle.root([merkle.leaf(intent.digest(self.domain)) for intent in intents])
        values: dict[str, Any] = {"member": self.member, "root": root, "count": count, "basket": False}
        signature = signatures.sign(self.key, ORDER_BATCH.digest(self.domain, values)).hex()
        return {"orders": [order_body(intent) for intent in intents], "basket": False, "signature": signature}


def request_of(path: str, token: str, body: dict[str, Any]) -> bytes:
    """A POST as it goes over the wire."""
    payload = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


@dataclass
class Tally:
    """What was answered: counts by status, and how long each answer took, in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    server_cpu_s: float = 0.0

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / max(self.seconds, 1e-9)

    @property
    def rate_of_cpu(self) -> float:
        """Answers for each second that the server's process ran: what a core of its own would bear at most."""
        return self.answered / max(self.server_cpu_s, 1e-9)

    def add(self, other: "Tally") -> None:
        self.statuses.update(other.statuses)
        self.latencies_s += other.latencies_s
        self.seconds += other.seconds
        self.server_cpu_s += other.server_cpu_s

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def cpu_s_of(process: int) -> float:
    """Seconds that a process has run on any core, its threads included; Linux."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def timed(tally: Tally, process: int) -> Iterator[None]:
    started_s, started_cpu_s = time.monotonic(), cpu_s_of(process)
    yield
    tally.seconds += time.monotonic() - started_s
    tally.server_cpu_s += cpu_s_of(process) - started_cpu_s


class _Connection(asyncio.Protocol):
    """One connection, one request under way."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send; the future is the answer's status and body, when all of it is there."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end >= 0:
            at = buffer.find(b"Content-Length: ", 0, end)
            size = int(buffer[at + 16 : buffer.find(b"\r\n", at)]) if at >= 0 else 0
            if len(buffer) >= end + 4 + size:
                self._buffer = b""
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result((int(buffer[9:12]), buffer[end + 4 :]))
                return
        self._buffer = buffer

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()


class Server(NamedTuple):
    """A server on this machine, and its process."""

    port: int
    process: int


async def connections(server: Server, count: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(_Connection, "127.0.0.1", server.port))[1] for _ in range(count)]


async def closed_loop(server: Server, requests: Sequence[bytes], count: int) -> Tally:
    """All requests over so many connections, each sending the next when the last is answered."""
    tally, waiting = Tally(), iter(requests)
    everyone = await connections(server, count)
    with timed(tally, server.process):
        await asyncio.gather(*[_work(connection, waiting, tally) for connection in everyone])
    for connection in everyone:
        connection.close()
    return tally


async def _work(connection: _Connection, waiting: Iterator[bytes], tally: Tally) -> None:
    for request in waiting:
        sent_s = time.monotonic()
        status, _ = await connection.ask(request)
        tally.statuses[status] += 1
        tally.latencies_s.append(time.monotonic() - sent_s)


Seen = Callable[[bytes, float], None]
"""Told of each answer's body, and when it had come."""


async def open_loop(
    server: Server, requests: Sequence[bytes], rate: float, count: int, seen: Seen | None = None
) -> Tally:
    """Requests due at a steady rate, whatever the answers do; a latency counts from when its request was due."""
    tally = Tally()
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    everyone = await connections(server, count)
    for connection in everyone:
        idle.put_nowait(connection)

    async def send(request: bytes, due_s: float) -> None:
        connection = await idle.get()
        status, body = await connection.ask(request)
        answered_s = time.monotonic()
        tally.statuses[status] += 1
        tally.latencies_s.append(answered_s - due_s)
        if seen is not None:
            seen(body, answered_s)
        idle.put_nowait(connection)

    start_s = time.monotonic()
    with timed(tally, server.process):
        async with asyncio.TaskGroup() as tasks:
            await _send_when_due(tasks, send, requests, start_s, rate)
    for connection in everyone:
        connection.close()
    return tally


async def _send_when_due(
    tasks: asyncio.TaskGroup,
    send: Callable[[bytes, float], Coroutine[Any, Any, None]],
    requests: Sequence[bytes],
    start_s: float,
    rate: float,
) -> None:
    for number, request in enumerate(requests):
        due_s = start_s + number / rate
        pause_s = due_s - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        tasks.create_task(send(request, due_s))
