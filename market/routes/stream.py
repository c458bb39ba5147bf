"""The WebSocket: books, trades, own orders as they change, order entry; ``market/stream_messages.py`` has its ops."""

from aiohttp import web

from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.streams import KEEPER

_FULL = ("426 upgrade_required", "429 too_many_streams", "503 too_many_streams stopping")


@operation(None, status=101, who=MEMBER, is_public_too=True, refuses=_FULL)
async def serve(request: web.Request) -> web.StreamResponse:
    """Upgraded with a token, it is a member's; without one it is the public's until it logs in."""
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise refuse(426, "upgrade_required", "this is a WebSocket (RFC 6455); connect to it as one")
    return await request.app[KEEPER].serve(request)


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/stream", serve)]
