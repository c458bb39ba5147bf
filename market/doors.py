"""Who may connect, how many at once, and how long a request's head may take.

aiohttp closes a connection on which no complete head arrived within its keep-alive time; here a head that has begun
must end sooner, and connections are counted, overall and by address. Whoever comes too many is told so in one write,
before anything was read or remembered. What is not HTTP is answered in the one shape of all refusals, and the address
it came from is not logged.
"""

import asyncio
import logging
from collections import Counter
from http import HTTPStatus
from typing import cast

import msgspec
from aiohttp import web

from market.logs import log
from market.metrics import Metrics
from market.problems import Problem, problem_response
from market.settings import Server

LINGER_S = 2.0
"""How long the rest of a refused request's body is read and thrown away before the connection is closed."""

FULL = Problem(503, "too_many_connections", "this server has no room for more connections", retry_after_s=5)
GREEDY = Problem(429, "too_many_connections", "close some of the connections from your address first", retry_after_s=5)
LATE = Problem(408, "too_slow", "the request's head did not arrive in time")


class Doors:
    """Makes a ``Connection`` for whoever comes. One for each server."""

    def __init__(self, server: web.Server, settings: Server, metrics: Metrics) -> None:
        self.settings = settings
        self._server, self._metrics = server, metrics
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._exempt = frozenset(settings.trusted_proxies)

    def __call__(self) -> "Connection":
        return Connection(self, self._server)

    def let_in(self, address: str) -> Problem | None:
        """Count a connection; or the reason why not."""
        if self._count >= self.settings.connections:
            return self._refuse(FULL)
        if self._by_address[address] >= self.settings.connections_per_address and address not in self._exempt:
            return self._refuse(GREEDY)
        self._count += 1
        self._by_address[address] += 1
        self._metrics.connections.set(self._count)
        return None

    def let_out(self, address: str) -> None:
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        self._metrics.connections.set(self._count)

    def late(self) -> None:
        self._metrics.connections_refused.labels("slow_head").inc()

    def _refuse(self, problem: Problem) -> Problem:
        self._metrics.connections_refused.labels("all" if problem is FULL else "address").inc()
        return problem


class Connection(web.RequestHandler):
    """One connection; what aiohttp makes of it, behind the doors."""

    __slots__ = ("_address", "_doors", "_head_due")

    def __init__(self, doors: Doors, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=doors.settings.keep_alive_s,
            access_log=cast(logging.Logger, None),  # aiohttp's own way to say that there is none
            lingering_time=LINGER_S,
        )
        self._doors = doors
        self._address: str | None = None
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        refusal = self._doors.let_in(address)
        if refusal is not None:
            _say(transport, refusal)
            transport.close()
            return
        self._address = address
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._address is None:
            return
        self._doors.let_out(self._address)
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._address is None:
            return
        super().data_received(data)
        if self._waiter is not None and not self._waiter.done():  # it still waits: what came is part of a head
            if self._head_due is None:
                loop = asyncio.get_running_loop()
                self._head_due = loop.call_later(self._doors.settings.head_s, self._head_is_late)
        elif self._head_due is not None:
            self._head_arrived()

    def _head_arrived(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _head_is_late(self) -> None:
        self._doors.late()
        if self.transport is not None:
            _say(self.transport, LATE)
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or broke where no middleware saw it."""
        log(logging.INFO if status < 500 else logging.ERROR, "unreadable", error=type(exc).__name__, status=status)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        bad = Problem(status, "bad_request" if status < 500 else "internal_error", "the request can not be read")
        response = problem_response(bad)
        response.force_close()
        return response


def _say(transport: asyncio.BaseTransport, problem: Problem) -> None:
    """A whole answer, without a request."""
    body = msgspec.json.encode(problem.body())
    head = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if problem.retry_after_s is not None:
        head.append(f"Retry-After: {problem.retry_after_s}")
    cast(asyncio.Transport, transport).write("\r\n".join([*head, "", ""]).encode() + body)
