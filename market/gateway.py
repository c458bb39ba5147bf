"""One gateway: a process that speaks HTTP in front of the market, reads orders and verifies their signatures.

``python -m market.gateway`` is started by ``jinsha serve --gateways N``, which tells it on standard input, as one line
of JSON, where to listen and where the market is; when that input ends, the market has gone, and so does the gateway.
All gateways listen on one port (SO_REUSEPORT), and the system spreads connections over them. Orders go to the desk;
all else is forwarded. A gateway keeps nothing that matters: it can be killed at any time.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from market import entry, wire
from market.desk import STALE, Ask, Frames, Reply, encode, frame, key_of, sent
from market.doors import Doors
from market.entry import OneOrder, OrderBatch
from market.forwarding import Forwarder
from market.identity import token_of
from market.logs import REQUEST_ID, log, set_level, start_logging, stop_logging
from market.loops import new_loop
from market.metrics import Metrics
from market.overload import BUSY
from market.placing import PlaceOrders
from market.problems import ProblemError, answer_problems, refuse, unavailable
from market.requests import HEADER, for_whom, id_of
from market.settings import Server
from settlement.intents import Domain
from settlement.signatures import PublicKey

RECONNECT_S = 0.2
KNOWN_TOKENS = 50_000
READY = "ready"


class Orders(msgspec.Struct, frozen=True):
    """What a gateway is told when it starts. Numbers and bytes of the domain as hex."""

    host: str
    port: int
    desk: str
    market: str
    settings: Server
    chain_id: int
    contract: str
    salt: str

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, bytes.fromhex(self.contract), bytes.fromhex(self.salt))


class Who(NamedTuple):
    member_id: int
    key: PublicKey


class Desk(asyncio.Protocol):
    """The gateway's end of its connection to the desk; connects again whenever it is lost."""

    def __init__(self, path: Path) -> None:
        self._path, self._frames = path, Frames()
        self._decode = msgspec.msgpack.Decoder(Reply).decode
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    async def stay_connected(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(OSError):
                self._lost.clear()
                await asyncio.get_running_loop().create_unix_connection(lambda: self, str(self._path))
                await self._lost.wait()
            await asyncio.sleep(RECONNECT_S)

    async def ask(self, ask: Callable[[int], Ask]) -> Reply:
        """The reply; ``ask`` is given the number. Raises ProblemError, also when the market is not there."""
        if self._transport is None:
            raise _no_market()
        self._number += 1
        number, future = self._number, asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._transport.write(frame(encode(ask(number))))
            reply: Reply = await future
        finally:
            self._waiting.pop(number, None)
        if reply.problem is not None and reply.problem != STALE:
            raise ProblemError(reply.problem)
        return reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._frames = cast(asyncio.Transport, transport), Frames()  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            reply = self._decode(message)
            future = self._waiting.get(reply.number)
            if future is not None and not future.done():
                future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for future in self._waiting.values():
            if not future.done():  # whether it was placed is not known; the order's own id tells, when it is sent again
                future.set_exception(_no_market())
        self._lost.set()


def _no_market() -> ProblemError:
    return unavailable("market_unavailable", "the market behind this gateway does not answer; send it again", 2)


class Gateway:
    """``known`` are the members of tokens that were asked about; the desk has the last word on them."""

    def __init__(self, orders: Orders) -> None:
        self.settings, self._domain = orders.settings, orders.domain
        self.desk, self.forwarder = Desk(Path(orders.desk)), Forwarder(Path(orders.market))
        self._known: dict[tuple[str, str], Who] = {}
        self._under_way = 0

    async def place(self, request: web.Request) -> web.Response:
        """One order."""
        return await self._place(request, OneOrder, entry.signed_one, self.settings.order_bytes)

    async def place_batch(self, request: web.Request) -> web.Response:
        """Many orders under one signature."""
        return await self._place(request, OrderBatch, entry.signed_many, self.settings.batch_bytes)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Everything else."""
        return await self.forwarder.forward(request, REQUEST_ID.get() or "")

    async def _place(
        self,
        request: web.Request,
        kind: type[entry.Sent],
        signed: Callable[[Who, entry.Sent, Domain], PlaceOrders],
        largest: int,
    ) -> web.Response:
        if self._under_way >= self.settings.requests:
            raise ProblemError(BUSY)
        request[wire.BODY_TERMS] = largest, self.settings.body_s
        self._under_way += 1
        try:
            token, address = token_of(request), request.remote or ""
            if token is None:
                raise refuse(401, "not_logged_in", "send Authorization: Bearer <token>; POST /v1/sessions gives one")
            body = await wire.read(request, kind)
            reply = await self._sent(token, address, body, signed)
            if reply.problem is not None:  # its key has changed since this gateway asked
                self._known.pop((token, address), None)
                reply = await self._sent(token, address, body, signed)
        finally:
            self._under_way -= 1
        if reply.problem is not None:  # and once more: it keeps changing, or the order was signed with the old one
            raise refuse(422, "bad_signature", "this is not your key's signature over these fields", "signature")
        return web.Response(status=reply.status, body=reply.body, content_type="application/json")

    async def _sent(
        self, token: str, address: str, body: entry.Sent, signed: Callable[[Who, entry.Sent, Domain], PlaceOrders]
    ) -> Reply:
        request_id = REQUEST_ID.get() or ""
        known = self._known.get((token, address))
        try:
            job = signed(known or await self._who(token, address), body, self._domain)
        except ProblemError as error:
            if known is None or error.problem.code != "bad_signature":
                raise
            job = signed(await self._who(token, address), body, self._domain)  # it may be another key's by now
        orders = sent(job)
        return await self.desk.ask(lambda number: Ask(number, request_id, token, address, orders))

    async def _who(self, token: str, address: str) -> Who:
        request_id = REQUEST_ID.get() or ""
        found = await self.desk.ask(lambda number: Ask(number, request_id, token, address))
        if len(self._known) >= KNOWN_TOKENS:
            self._known.clear()
        who = self._known[token, address] = Who(found.member_id, key_of(found.key))
        return who


def _identified(proxies: Collection[str]) -> Middleware:
    """Gives each request its id and the address of whoever asks; the market logs it and counts it."""

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = id_of(request)
        REQUEST_ID.set(request_id)
        response = await handler(for_whom(request, proxies))
        if not response.prepared:
            response.headers[HEADER] = request_id
        return response

    return identify


def application(gateway: Gateway) -> web.Application:
    app = web.Application(
        middlewares=[_identified(gateway.settings.trusted_proxies), answer_problems], client_max_size=2**30
    )
    app.router.add_post("/v1/orders", gateway.place)
    app.router.add_post("/v1/orders/batch", gateway.place_batch)
    app.router.add_route("*", "/{path:.*}", gateway.forward)
    return app


class _Runner(web.AppRunner):
    """Runs the gateway's application behind the same doors as a market without gateways."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(application(gateway), access_log=None, shutdown_timeout=gateway.settings.stop_s / 3)
        self._settings = gateway.settings
        self._doors: Doors | None = None

    @property
    def server(self) -> web.Server | None:
        made = super().server
        if made is not None and self._doors is None:
            self._doors = Doors(made, self._settings, Metrics())
        return cast(web.Server | None, self._doors)


class _InputEnds(asyncio.Protocol):
    """Standard input, of which only the end matters."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell()


async def serve(orders: Orders) -> None:
    """Serve until told to stop, or until standard input ends: the market has gone."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    gateway = Gateway(orders)
    connecting = loop.create_task(gateway.desk.stay_connected())
    await loop.connect_read_pipe(lambda: _InputEnds(stopped.set), sys.stdin)
    runner = _Runner(gateway)
    await runner.setup()
    try:
        with shared_socket(orders.host, orders.port) as listener:
            await web.SockSite(runner, listener).start()
            sys.stdout.write(f"{READY}\n")
            sys.stdout.flush()
            await stopped.wait()
            await runner.cleanup()
    finally:
        connecting.cancel()
        await gateway.forwarder.close()


def shared_socket(host: str, port: int) -> socket.socket:
    """A socket on a port that others of this user may share."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    return made


def main() -> None:
    start_logging()
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    set_level(orders.settings.log_level)
    try:
        with new_loop() as runner:
            runner.run(serve(orders))
    except OSError as error:
        log(logging.ERROR, "gateway_does_not_start", error=type(error).__name__)
        sys.exit(1)
    finally:
        stop_logging()


if __name__ == "__main__":
    main()
