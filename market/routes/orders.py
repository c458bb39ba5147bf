"""Orders: placed one by one or many under one signature, looked at, cancelled. Only their owner ever sees them."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from market import order_store, wire
from market.context import CONTEXT, Context
from market.identity import Member, require
from market.jobs import CancelMany, CancelOne, Placed, Repeat
from market.order_store import FirstAnswer
from market.placing import PlaceOrders, Signed, SignedOrder
from market.problems import Problem, ProblemError, not_found, refuse
from market.records import Receipt
from market.views import order_body, result_body
from matching.order import Ended, Level, Side, Tif
from settlement import merkle, signatures
from settlement.intents import ORDER_BATCH, OrderIntent, Value

LARGEST_BATCH = 1000

_STATES = ("open", "filled", *(ended.code for ended in Ended))


class OrderFields(wire.Body, frozen=True):
    """An order as its owner signs it; see ``settlement/intents.py`` for what is signed."""

    client_order_id: wire.ClientId
    meter: wire.Name
    side: Literal["buy", "sell"]
    slot: str
    quantity: str
    price: str
    deadline: str
    reach: Literal["transformer", "feeder", "substation"] = "substation"
    terms: Annotated[int, msgspec.Meta(ge=0, lt=2**16)] = 0
    tif: Literal["gtc", "ioc", "fok"] = "gtc"
    replaces: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9._:-]{1,64})?$")] = ""


class OneOrder(OrderFields, frozen=True, kw_only=True):
    signature: str


class OrderBatch(wire.Body, frozen=True):
    orders: Annotated[list[OrderFields], msgspec.Meta(min_length=1, max_length=LARGEST_BATCH)]
    signature: str
    basket: bool = False


def intent_of(member_id: int, order: OrderFields, at: str = "") -> OrderIntent:
    """What was signed. ``at`` stands before the field in a refusal. Raises ProblemError."""
    quantity_lots = wire.energy_lots(order.quantity, f"{at}quantity")
    if quantity_lots < 0:
        raise refuse(422, "bad_quantity", "the quantity must be positive", f"{at}quantity")
    return OrderIntent(
        member=member_id,
        client_order_id=order.client_order_id,
        meter=order.meter,
        side=Side[order.side.upper()],
        slot=wire.instant_s(order.slot, f"{at}slot"),
        quantity_lots=quantity_lots,
        price_ticks=wire.price_ticks(order.price, f"{at}price"),
        reach=Level[order.reach.upper()],
        terms_days=order.terms,
        tif=Tif[order.tif.upper()],
        replaces=order.replaces,
        deadline=wire.instant_s(order.deadline, f"{at}deadline"),
    )


async def place(request: web.Request) -> web.Response:
    """One order with its own signature."""
    context, member = request.app[CONTEXT], require(request)
    body = await wire.read(request, OneOrder)
    intent = intent_of(member.member_id, body)
    digest = intent.digest(context.chain.domain("Clearing"))
    signature = _checked(member, digest, body.signature)
    signed = Signed("order", digest, b"", signature)
    outcomes, receipt = await _place(context, PlaceOrders(member.member_id, [SignedOrder(intent, digest)], signed))
    if isinstance(outcomes[0], Problem):
        raise ProblemError(outcomes[0])
    assert receipt is not None
    return wire.reply({"order": order_body(outcomes[0]), "receipt": receipt.body()}, status=201)


async def place_batch(request: web.Request) -> web.Response:
    """Many orders under one signature over the root of their digests; independent, or a basket."""
    context, member = request.app[CONTEXT], require(request)
    body = await wire.read(request, OrderBatch)
    domain = context.chain.domain("Clearing")
    intents = [intent_of(member.member_id, order, f"orders[{i}].") for i, order in enumerate(body.orders)]
    orders = [SignedOrder(intent, intent.digest(domain)) for intent in intents]
    leaves = [merkle.leaf(order.digest) for order in orders]
    root = merkle.root(leaves)
    values: dict[str, Value] = {
        "member": member.member_id,
        "root": root,
        "count": len(orders),
        "basket": body.basket,
    }
    signature = _checked(member, ORDER_BATCH.digest(domain, values), body.signature)
    signed = Signed("batch", root, b"".join(leaves), signature)
    job = PlaceOrders(member.member_id, orders, signed, is_basket=body.basket)
    outcomes, receipt = await _place(context, job)
    results = [result_body(outcome) for outcome in outcomes]
    return wire.reply({"results": results, "receipt": receipt.body() if receipt is not None else None})


def _checked(member: Member, digest: bytes, text: str) -> bytes:
    signature = wire.signature(text)
    if not signatures.is_signed(member.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not your key's signature over these fields", "signature")
    return signature


async def _place(context: Context, job: PlaceOrders) -> tuple[Sequence[Placed | Problem], Receipt | None]:
    """What came of each order; a repeated one gets its first answer again, with the receipt that went with it."""
    outcome = await context.sequencer.submit(job)
    answers: list[Placed | Repeat | Problem] = outcome.answer
    has_new = any(isinstance(answer, Placed) for answer in answers)
    receipt = outcome.receipt if has_new else None
    repeated = [answer.order_id for answer in answers if isinstance(answer, Repeat)]
    if not repeated:
        return [answer for answer in answers if not isinstance(answer, Repeat)], receipt
    first = await context.in_thread(order_store.first_answers, context.database, repeated)
    if receipt is None:
        receipt = _receipt_of(max(first.values(), key=lambda answer: answer.link.batch))
    return [first[answer.order_id].placed if isinstance(answer, Repeat) else answer for answer in answers], receipt


def _receipt_of(first: FirstAnswer) -> Receipt:
    return Receipt(first.link.last_sequence, first.link.head, first.link.signature)


async def cancel(request: web.Request) -> web.Response:
    """Cancel one open order."""
    context, member = request.app[CONTEXT], require(request)
    outcome = await context.sequencer.submit(CancelOne(member.member_id, _client_order_id(request)))
    if isinstance(outcome.answer, Problem):
        raise ProblemError(outcome.answer)
    assert outcome.receipt is not None
    return wire.reply({"order": order_body(outcome.answer), "receipt": outcome.receipt.body()})


async def cancel_many(request: web.Request) -> web.Response:
    """Cancel all open orders, or those of ``?slot=``."""
    context, member = request.app[CONTEXT], require(request)
    slot = _slot(wire.query(request, "slot"))
    outcome = await context.sequencer.submit(CancelMany(member.member_id, slot))
    orders: list[Placed] = outcome.answer
    receipt = outcome.receipt.body() if outcome.receipt is not None and orders else None
    return wire.reply({"orders": [order_body(order) for order in orders], "receipt": receipt})


async def show(request: web.Request) -> web.Response:
    """One order as it stands."""
    context, member = request.app[CONTEXT], require(request)
    name = _client_order_id(request)
    found = await context.in_thread(order_store.order_of, context.database, member.member_id, name)
    if found is None:
        raise not_found("order")
    return wire.reply({"order": order_body(found)})


async def show_all(request: web.Request) -> web.Response:
    """Own orders, oldest first; ``?state=`` and ``?slot=`` choose among them."""
    context, member = request.app[CONTEXT], require(request)
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
