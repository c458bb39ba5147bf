"""Something between client and market that loses what a test tells it to, and whose market may move."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import WSMsgType, web


@dataclass
class Lossy:
    """``drops`` is asked for each message of the market whether it gets lost."""

    target: str
    address: str = ""
    drops: Callable[[str], bool] = lambda _: False
    streams: set[web.WebSocketResponse] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name in ("Authorization", "Content-Type")}
        async with aiohttp.ClientSession() as http:
            if request.path == "/v1/stream":
                return await self._stream(request, http, headers)
            payload = await request.read()
            try:
                async with http.request(
                    request.method, f"{self.target}{request.path_qs}", data=payload, headers=headers
                ) as answer:
                    return web.Response(status=answer.status, body=await answer.read())
            except aiohttp.ClientConnectionError:
                return web.Response(status=503)

    async def _stream(
        self, request: web.Request, http: aiohttp.ClientSession, headers: dict[str, str]
    ) -> web.StreamResponse:
        try:
            market = await http.ws_connect(f"{self.target}/v1/stream", headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        except aiohttp.ClientConnectionError:
            return web.Response(status=503)
        client = web.WebSocketResponse()
        await client.prepare(request)
        self.streams.add(client)
        ways = [asyncio.create_task(self._forward(*way)) for way in ((client, market), (market, client))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.streams.discard(client)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await client.close()
            await market.close()
        return client

    async def _forward(
        self,
        source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    ) -> None:
        is_told = isinstance(source, aiohttp.ClientWebSocketResponse)
        async for received in source:
            if received.type is WSMsgType.TEXT and not (is_told and self.drops(received.data)):
                await sink.send_str(received.data)

    async def cut(self) -> None:
        """Close every stream."""
        for each in list(self.streams):
            await each.close()


@asynccontextmanager
async def lossy(target: str) -> AsyncIterator[Lossy]:
    between = Lossy(target)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", between.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    between.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield between
    finally:
        await runner.cleanup()


def once(is_it: Callable[[str], bool]) -> Callable[[str], bool]:
    """Lose the first message that this is true of."""
    is_lost = False

    def drops(told: str) -> bool:
        nonlocal is_lost
        if is_lost or not is_it(told):
            return False
        is_lost = True
        return True

    return drops
