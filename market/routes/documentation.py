"""What the interface says of itself: the OpenAPI document."""

from typing import Any

import msgspec
from aiohttp import web

from market.openapi.document import document
from market.openapi.operation import ANYONE, operation

_DOCUMENT = web.AppKey("openapi", bytes)


@operation(dict[str, Any], who=ANYONE)
async def show(request: web.Request) -> web.Response:
    """This document: every route with its parameters, bodies, answers and refusals, as OpenAPI 3.1."""
    return web.Response(body=request.app[_DOCUMENT], content_type="application/json")


def install(app: web.Application) -> None:
    """Make the document of an application that has all its routes."""
    app[_DOCUMENT] = msgspec.json.encode(document(app))


def routes() -> list[web.RouteDef]:
    return [web.get("/openapi.json", show)]
