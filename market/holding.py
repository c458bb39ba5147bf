"""Holds back whoever sends too much without having logged in: registrations, log-ins, guesses at tokens."""

from aiohttp import web
from aiohttp.typedefs import Handler

from market.context import CONTEXT
from market.identity import known

_ELSEWHERE = "/v1/orders"
"""Counted by member, and refused without a token before anything is read."""


@web.middleware
async def hold_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts POSTs that no member is behind, by the address they come from. Stands inside the problems middleware."""
    if request.method == "POST" and not request.path.startswith(_ELSEWHERE) and known(request) is None:
        request.app[CONTEXT].rates.stranger(request.remote or "")
    return await handler(request)
