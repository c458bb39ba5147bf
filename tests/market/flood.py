"""More load than a market bears, for as long as wanted: what came of it, and how much memory the server took.

Workers send signed batches, each on a connection of its own, and send again at once what was turned away, so that most
of what is offered can not be served. Readers ask for lists and books; others open a stream, subscribe to everything and
never read. Whatever was answered as placed is remembered, to be looked for in the record afterwards.
"""

import asyncio
import base64
import contextlib
import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from data import tables
from data.database import open_database, reading, sqlite_url
from settlement import merkle
from settlement.intents import ORDER_BATCH
from tests.market.test_metrics import Scrape
from tests.market.world import Person, later, open_market, order

CAPACITY_KW = "10000000"
ESCROW_MICRO = 10**15
SLOTS = [later("2026-07-01T10:00:00Z", 15 * number) for number in range(8)]
TURNED_AWAY_PAUSE_S = 1.0
STREAM_LASTS_S = 60.0


@dataclass
class Seller:
    """A member with a meter; ``is_buyer`` ones meet the others' price, so that books do not grow for ever."""

    person: Person
    meter: str
    is_buyer: bool
    sent: int = 0

    def batch(self, count: int) -> tuple[range, bytes]:
        """The next orders, by number, and the body that asks for them."""
        numbers = range(self.sent, self.sent + count)
        self.sent += count
        side, price = ("buy", "0.50") if self.is_buyer else ("sell", "0.40")
        orders = [
            order(name_of(self.meter, number), self.meter, side, "0.01", price, SLOTS[number % len(SLOTS)])
            for number in numbers
        ]
        domain = self.person.world.chain.domain("Clearing")
        root = merkle.root([merkle.leaf(self.person.intent(each).digest(domain)) for each in orders])
        values: dict[str, Any] = {"member": self.person.member, "root": root, "count": count, "basket": False}
        signature = self.person.sign(ORDER_BATCH.digest(domain, values))
        return numbers, msgspec.json.encode({"orders": orders, "basket": False, "signature": signature})


def name_of(meter: str, number: int) -> str:
    return f"{meter}-{number}"


@dataclass
class Report:
    """What came of a flood. ``rss_kib`` and ``queued`` were taken once a second."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    placed: set[str] = field(default_factory=set)
    rss_kib: list[int] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)
    open_orders: list[float] = field(default_factory=list)
    last: Scrape | None = None


async def prepare(folder: Path, count: int) -> list[Seller]:
    """A market with so many members, half of them buyers, and money for anything; their sessions outlast this."""
    async with open_market(folder, session_s=10**6) as world:
        names = [f"m{number}" for number in range(count)]
        people = [await world.newcomer(name) for name in names]
        await world.connect(*((name.upper(), "A", name) for name in names), capacity_kw=CAPACITY_KW)
        for name in names:
            await world.give(name, ESCROW_MICRO)
    return [Seller(person, f"M{number}", number % 2 == 0) for number, person in enumerate(people)]


class Flood:
    """Against a server on 127.0.0.1 whose process is known."""

    def __init__(self, port: int, process: int, sellers: Sequence[Seller], batch: int) -> None:
        self._port, self._process, self._sellers, self._batch = port, process, sellers, batch
        self._is_over = threading.Event()
        self._sold = 0
        self.report = Report()

    async def run(self, seconds: float, *, workers: int, readers: int, idlers: int) -> Report:
        """Everything at once, for so long."""
        work = [self._keep(self._place) for _ in range(workers)]
        work += [self._keep(self._read) for _ in range(readers)]
        work += [self._keep(self._idle) for _ in range(idlers)]
        tasks = [asyncio.create_task(each) for each in [*work, self._watch()]]
        memory = asyncio.create_task(asyncio.to_thread(self._watch_memory))
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        self._is_over.set()
        await memory
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        self.report.last = await self._scrape()
        return self.report

    async def _keep(self, work: Any) -> None:
        """Do it again on a new connection whenever the server closes one."""
        while True:
            try:
                await work()
            except (ConnectionError, asyncio.IncompleteReadError):
                self.report.codes["connection lost"] += 1
                await asyncio.sleep(0.1)

    async def _place(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(writer):
            while True:
                seller = random.choice([each for each in self._sellers if each.is_buyer == (self._sold > 0)])
                numbers, body = seller.batch(self._batch)
                head = _head("POST", "/v1/orders/batch", seller.person.token, len(body))
                answer = None
                while answer is None:
                    answer = await self._ask(reader, writer, head + body)
                    if answer is None:
                        await asyncio.sleep(random.uniform(0, TURNED_AWAY_PAUSE_S))
                placed = [
                    name_of(seller.meter, n)
                    for n, each in zip(numbers, answer["results"], strict=True)
                    if "order" in each
                ]
                self.report.placed.update(placed)
                self._sold += -len(placed) if seller.is_buyer else len(placed)

    async def _read(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(writer):
            while True:
                seller = random.choice(self._sellers)
                path = random.choice(
                    ["/v1/orders?limit=100", f"/v1/book?slot={SLOTS[0]}&meter={seller.meter}", "/v1/account"]
                )
                await self._ask(reader, writer, _head("GET", path, seller.person.token, 0))

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Any:
        """The answer's body, None when it was turned away. Counts it either way."""
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head[head.index(b"Content-Length: ") + 16 :].split(b"\r\n", 1)[0])
        body = msgspec.json.decode(await reader.readexactly(size))
        status = int(head[9:12])
        self.report.statuses[status] += 1
        if status < 300:
            return body
        self.report.codes[body["code"]] += 1
        assert status in (429, 503) and b"Retry-After: " in head, (status, body)
        return None

    async def _idle(self) -> None:
        """Subscribe to all trades and never read."""
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", self._port))
        with contextlib.closing(line):
            key = base64.b64encode(os.urandom(16)).decode()
            upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            upgrade += f"Sec-WebSocket-Key: {key}\r\n"
            text = msgspec.json.encode({"op": "subscribe", "id": "a", "to": {"channel": "trades"}})
            frame = bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text  # masked with zeros
            line.send(_head("GET", "/v1/stream", random.choice(self._sellers).person.token, 0, upgrade))
            await asyncio.sleep(0.5)
            line.send(frame)
            await asyncio.sleep(STREAM_LASTS_S)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            seen = await self._scrape()
            self.report.queued.append(seen("queue_orders"))
            self.report.open_orders.append(seen("open_orders"))

    def _watch_memory(self) -> None:
        """In a thread, so that a second is a second however busy this process is."""
        while not self._is_over.wait(1):
            pages = int(Path(f"/proc/{self._process}/statm").read_text("ascii").split()[1])
            self.report.rss_kib.append(pages * os.sysconf("SC_PAGE_SIZE") // 1024)

    async def _scrape(self) -> Scrape:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(writer):
            writer.write(_head("GET", "/metrics", "", 0))
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head[head.index(b"Content-Length: ") + 16 :].split(b"\r\n", 1)[0])
            return Scrape((await reader.readexactly(size)).decode())


def _head(method: str, path: str, token: str, size: int, more: str = "") -> bytes:
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    body = f"Content-Type: application/json\r\nContent-Length: {size}\r\n" if size else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}{body}{more}\r\n".encode()


def missing_from(folder: Path, placed: set[str]) -> set[str]:
    """Orders that were answered as placed and are not in the record."""
    database = open_database(sqlite_url(folder / "market.db"))
    missing = set(placed)
    with reading(database) as connection:
        for (name,) in connection.execute(select(tables.orders.c.client_order_id)).yield_per(10_000):
            missing.discard(name)
    database.dispose()
    return missing
