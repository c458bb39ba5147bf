"""Orders: placed one by one or many under one signature, looked at, cancelled. Only their owner ever sees them."""

from aiohttp import web

from market import entry, order_store, wire
from market.context import CONTEXT
from market.entry import OneOrder, OrderBatch
from market.identity import require
from market.problems import not_found, refuse
from market.views import order_body
from matching.order import Ended

_STATES = ("open", "filled", *(ended.code for ended in Ended))


async def place(request: web.Request) -> web.Response:
    """One order with its own signature."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.place_one(context, member, await wire.read(request, OneOrder)), status=201)


async def place_batch(request: web.Request) -> web.Response:
    """Many orders under one signature over the root of their digests; independent, or a basket."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.place_many(context, member, await wire.read(request, OrderBatch)))


async def cancel(request: web.Request) -> web.Response:
    """Cancel one open order."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.cancel_one(context, member, _client_order_id(request)))


async def cancel_many(request: web.Request) -> web.Response:
    """Cancel all open orders, or those of ``?slot=``."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.cancel_many(context, member, _slot(wire.query(request, "slot"))))


async def show(request: web.Request) -> web.Response:
    """One order as it stands."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    name = _client_order_id(request)
    found = await context.in_thread(order_store.order_of, context.database, member.member_id, name)
    if found is None:
        raise not_found("order")
    return wire.reply({"order": order_body(found)})


async def show_all(request: web.Request) -> web.Response:
    """Own orders, oldest first; ``?state=`` and ``?slot=`` choose among them."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, "state", "slot", "limit", "cursor")
    state, limit = parameters.get("state"), wire.page_limit(parameters)
    if state is not None and state not in _STATES:
        raise refuse(400, "bad_state", f"an order's state is one of {', '.join(_STATES)}", "state")
    found = await context.in_thread(
        order_store.orders_of,
        context.database,
        member.member_id,
        state=state,
        slot=_slot(parameters),
        after=wire.cursor(parameters),
        limit=limit,
    )
    last = found[-1].order.order_id if len(found) == limit else None
    return wire.reply(wire.page([order_body(placed) for placed in found], last))


def _slot(parameters: dict[str, str]) -> int | None:
    return wire.instant_s(parameters["slot"], "slot") if "slot" in parameters else None


def _client_order_id(request: web.Request) -> str:
    """A name that nobody can have given is simply not there."""
    return request.match_info["client_order_id"]


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/orders", place),
        web.post("/v1/orders/batch", place_batch),
        web.get("/v1/orders", show_all),
        web.delete("/v1/orders", cancel_many),
        web.get("/v1/orders/{client_order_id}", show),
        web.delete("/v1/orders/{client_order_id}", cancel),
    ]
