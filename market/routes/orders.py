"""Orders: placed one by one or many under one signature, looked at, cancelled. Only their owner ever sees them."""

import re
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from market import entry, order_store, wire
from market.cancel_receipts import CancelReceiptBody, cancel_receipt
from market.context import CONTEXT
from market.entry import Amendment, OneOrder, OrderBatch
from market.identity import require
from market.openapi.fields import PAGE, Instant, choice
from market.openapi.operation import MEMBER, operation
from market.placing import refusals
from market.problems import not_found, refuse
from market.records import ReceiptBody
from market.views import OrderBody, OrderResult, order_body
from matching.order import Ended

_STATES = ("open", "filled", *(ended.code for ended in Ended))
_NAMED = {"client_order_id": wire.ClientId}
_UNREADABLE = ("422 bad_quantity bad_price bad_time bad_signature",)
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_TOO_MANY = "429 too_many_messages"


class OneAnswer(msgspec.Struct, frozen=True):
    """An order as it stands after what was asked, and the receipt for that."""

    order: OrderBody
    receipt: ReceiptBody


class CancelAnswer(msgspec.Struct, frozen=True):
    """An order as it ended, the receipt for that, and the operator's word that it trades no more."""

    order: OrderBody
    receipt: ReceiptBody
    cancel_receipt: CancelReceiptBody


class AmendedAnswer(msgspec.Struct, frozen=True):
    """The order that is open now; no receipt when nothing changed. A reduced order has a cancel receipt too."""

    order: OrderBody
    receipt: ReceiptBody | None
    cancel_receipt: CancelReceiptBody | UnsetType | None = UNSET


class BatchAnswer(msgspec.Struct, frozen=True):
    """What became of each order, in their order; no receipt when none was taken."""

    results: list[OrderResult]
    receipt: ReceiptBody | None


class CancelledAnswer(msgspec.Struct, frozen=True):
    """The orders that were cancelled; no receipt when there were none."""

    orders: list[OrderBody]
    receipt: ReceiptBody | None


class OrderAnswer(msgspec.Struct, frozen=True):
    """An order as it stands."""

    order: OrderBody


@operation(OneAnswer, status=201, who=MEMBER, scope="trade", body=OneOrder, refuses=(*_UNREADABLE, *refusals()))
async def place(request: web.Request) -> web.Response:
    """One order with its own signature."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.place_one(context, member, await wire.read(request, OneOrder)), status=201)


@operation(BatchAnswer, who=MEMBER, scope="trade", body=OrderBatch, refuses=(*_UNREADABLE, "422 batch_too_large"))
async def place_batch(request: web.Request) -> web.Response:
    """Many orders under one signature over the root of their digests; independent, or a basket."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.place_many(context, member, await wire.read(request, OrderBatch)))


@operation(
    AmendedAnswer,
    who=MEMBER,
    scope="trade",
    path=_NAMED,
    body=Amendment,
    refuses=(*_UNREADABLE, *refusals(), "404 not_found", "409 not_open", "422 bad_amendment not_less"),
)
async def amend(request: web.Request) -> web.Response:
    """Take back a part of an open order, or put a new signed one in its place."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    body = await wire.read(request, Amendment)
    return wire.reply(await entry.amend_one(context, member, _client_order_id(request), body))


@operation(CancelAnswer, who=MEMBER, scope="trade", path=_NAMED, refuses=("404 not_found", "409 not_open", _TOO_MANY))
async def cancel(request: web.Request) -> web.Response:
    """Cancel one open order. The cancel receipt is kept by whoever may have to prove a trade after it."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.cancel_one(context, member, _client_order_id(request)))


@operation(CancelledAnswer, who=MEMBER, scope="trade", query={"slot": Instant}, refuses=("422 bad_time", _TOO_MANY))
async def cancel_many(request: web.Request) -> web.Response:
    """Cancel all open orders, or those of ``?slot=``."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    return wire.reply(await entry.cancel_many(context, member, _slot(wire.query(request, "slot"))))


@operation(OrderAnswer, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show(request: web.Request) -> web.Response:
    """One order as it stands."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    name = _client_order_id(request)
    found = await context.in_thread(order_store.order_of, context.database, member.member_id, name)
    if found is None:
        raise not_found("order")
    return wire.reply(OrderAnswer(order_body(found)))


@operation(CancelReceiptBody, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found", "409 nothing_cancelled"))
async def show_cancel_receipt(request: web.Request) -> web.Response:
    """The operator's word on how much an order that has ended, or was reduced, can have traded in all."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    name = _client_order_id(request)
    found = await context.in_thread(order_store.order_of, context.database, member.member_id, name)
    if found is None:
        raise not_found("order")
    receipt = cancel_receipt(context, found.order)
    if receipt is None:
        raise refuse(409, "nothing_cancelled", "all of this order may still trade", "client_order_id")
    return wire.reply(receipt)


@operation(
    wire.Page[OrderBody],
    who=MEMBER,
    scope="read",
    query={"state": Annotated[str, choice(*_STATES)], "slot": Instant, **PAGE},
    refuses=("400 bad_state", "422 bad_time"),
)
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
    name = request.match_info["client_order_id"]
    if not _CLIENT_ID.fullmatch(name):
        raise not_found("order")
    return name


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/orders", place),
        web.post("/v1/orders/batch", place_batch),
        web.get("/v1/orders", show_all),
        web.delete("/v1/orders", cancel_many),
        web.get("/v1/orders/{client_order_id}", show),
        web.get("/v1/orders/{client_order_id}/cancel-receipt", show_cancel_receipt),
        web.patch("/v1/orders/{client_order_id}", amend),
        web.delete("/v1/orders/{client_order_id}", cancel),
    ]
