"""What the interface says of itself: the OpenAPI document, and a page for people to read it."""

from functools import cached_property
from typing import Any

import msgspec
from aiohttp import web

from market.context import CONTEXT
from market.openapi.document import document
from market.openapi.operation import ANYONE, operation
from market.openapi.page import Page, render


class Documentation:
    """Both are made when they are first asked for, and once: routes do not change while a server runs."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    @cached_property
    def document(self) -> dict[str, Any]:
        return document(self._app)

    @cached_property
    def payload(self) -> bytes:
        return msgspec.json.encode(self.document)

    @cached_property
    def page(self) -> Page:
        return render(self.document)


_DOCUMENTATION = web.AppKey("documentation", Documentation)


@operation(dict[str, Any], who=ANYONE)
async def show(request: web.Request) -> web.Response:
    """This document: every route with its parameters, bodies, answers and refusals, as OpenAPI 3.1."""
    return web.Response(body=request.app[_DOCUMENTATION].payload, content_type="application/json")


@operation(str, media=("text/html",), who=ANYONE, headers={"Content-Security-Policy": "The page loads nothing"})
async def show_page(request: web.Request) -> web.Response:
    """The same as a page, with examples and a search; it needs nothing from elsewhere."""
    documentation = request.app[_DOCUMENTATION]
    page = await request.app[CONTEXT].in_thread(lambda: documentation.page)
    headers = {"Content-Security-Policy": page.policy}
    return web.Response(body=page.html, content_type="text/html", charset="utf-8", headers=headers)


def install(app: web.Application) -> None:
    """For an application that has all its routes."""
    app[_DOCUMENTATION] = Documentation(app)


def routes() -> list[web.RouteDef]:
    return [web.get("/openapi.json", show), web.get("/docs", show_page)]
