"""Requests that a gateway does not answer itself: passed on to the market's own server, and its answers passed back.

Bodies stream through in both directions, WebSockets message by message. The market learns the asker's address from the
last entry of ``X-Forwarded-For``, which it trusts only on its own socket.
"""

import asyncio
from pathlib import Path

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from market.problems import unavailable

CHUNK_BYTES = 2**16
LARGEST_MESSAGE = 2**26
HEARTBEAT_S = 20.0
"""The market's own pings end here: without these a client that vanished would go unnoticed, and its orders stand."""

_BY_THE_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "content-length", "host", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}
)
"""Headers of one connection, not of the request (RFC 9110, 7.6.1), and those that aiohttp makes itself."""


class Forwarder:
    """``session`` speaks to the market's socket."""

    def __init__(self, socket: Path) -> None:
        connector = aiohttp.UnixConnector(str(socket), limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self.session = aiohttp.ClientSession(
            "http://market", connector=connector, timeout=timeout, auto_decompress=False
        )

    async def close(self) -> None:
        await self.session.close()

    async def forward(self, request: web.Request, request_id: str) -> web.StreamResponse:
        """The market's answer. Raises ProblemError when there is no market."""
        headers = _headers(request, request_id)
        is_stream = request.headers.get("Upgrade", "").lower() == "websocket"
        try:
            if is_stream:
                return await self._stream(request, headers)
            return await self._pass(request, headers)
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
            raise unavailable("market_unavailable", "the market behind this gateway does not answer", 2) from error

    async def _pass(self, request: web.Request, headers: CIMultiDict[str]) -> web.StreamResponse:
        body = request.content if request.can_read_body else None
        async with self.session.request(
            request.method, request.raw_path, headers=headers, data=body, allow_redirects=False
        ) as found:
            answer = web.StreamResponse(status=found.status, reason=found.reason)
            answer.headers.extend((name, value) for name, value in found.headers.items() if not _is_hop(name))
            answer.content_length = found.content_length
            await answer.prepare(request)
            async for chunk in found.content.iter_chunked(CHUNK_BYTES):
                await answer.write(chunk)
            await answer.write_eof()
            return answer

    async def _stream(self, request: web.Request, headers: CIMultiDict[str]) -> web.StreamResponse:
        try:
            opened = await self.session.ws_connect(request.raw_path, headers=headers, max_msg_size=LARGEST_MESSAGE)
        except aiohttp.WSServerHandshakeError:
            return await self._pass(request, headers)  # it says why without a stream
        async with opened as inner:
            outer = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE, heartbeat=HEARTBEAT_S)
            await outer.prepare(request)
            outwards = asyncio.ensure_future(_pump(inner, outer))
            inwards = asyncio.ensure_future(_pump(outer, inner))
            try:
                await asyncio.wait([outwards, inwards], return_when=asyncio.FIRST_COMPLETED)
            finally:
                inwards.cancel()
                if not outwards.done():  # the client has gone
                    outwards.cancel()
                await asyncio.gather(outwards, inwards, return_exceptions=True)
            return outer


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: Socket, target: Socket) -> None:
    """Messages from one side to the other; its closing too, with code and reason."""
    while True:
        message = await source.receive()
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        else:
            code = message.data if message.type is WSMsgType.CLOSE else 1011
            await target.close(code=code, message=(message.extra or "").encode())
            return


def _is_hop(name: str) -> bool:
    return name.lower() in _BY_THE_HOP


def _headers(request: web.Request, request_id: str) -> CIMultiDict[str]:
    kept = CIMultiDict((name, value) for name, value in request.headers.items() if not _is_hop(name))
    kept["X-Request-Id"] = request_id
    kept.add("X-Forwarded-For", request.remote or "unknown")
    return kept
