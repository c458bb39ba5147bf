"""Order entry, whatever it came in by: what is sent, what was signed, and what came of it.

HTTP and WebSocket both end here. Answers are plain values, ready for JSON; refusals are raised as ProblemError. An
order that was accepted before, sent again as it was, gets its first answer again, with the receipt that went with it.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec

from data.units import UnitError, parse_energy_lots, parse_instant_s, parse_price_ticks
from market import order_store, wire
from market.cancel_receipts import cancel_receipt
from market.context import Context
from market.identity import Member
from market.jobs import CancelMany, CancelOne, Placed, ReduceOne, Repeat
from market.openapi.fields import EnergyGiven, Instant, PriceGiven, Signature
from market.order_store import FirstAnswer
from market.placing import PlaceOrders, Signed, SignedOrder
from market.problems import Problem, ProblemError, refuse
from market.records import Receipt
from market.views import order_body, result_body
from matching.order import Level, Side, Tif
from settlement import merkle, signatures
from settlement.intents import ORDER_BATCH, Domain, OrderIntent, Value
from settlement.signatures import PublicKey

LARGEST_BATCH = 1000


class Signer(Protocol):
    """Whose orders they are, and the key that it signs with now."""

    @property
    def member_id(self) -> int: ...

    @property
    def key(self) -> PublicKey: ...


_SIDES = {side.name.lower(): int(side) for side in Side}
_LEVELS = {level.name.lower(): int(level) for level in Level}
_TIFS = {tif.name.lower(): int(tif) for tif in Tif}


class OrderFields(wire.Body, frozen=True):
    """An order as its owner signs it; see ``settlement/intents.py`` for what is signed."""

    client_order_id: wire.ClientId
    meter: wire.Name
    side: Literal["buy", "sell"]
    slot: Instant
    quantity: EnergyGiven
    price: PriceGiven
    deadline: Instant
    reach: Literal["transformer", "feeder", "substation"] = "substation"
    terms: Annotated[int, msgspec.Meta(ge=0, lt=2**16)] = 0
    tif: Literal["gtc", "ioc", "fok"] = "gtc"
    replaces: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9._:-]{1,64})?$")] = ""


class OneOrder(OrderFields, frozen=True, kw_only=True):
    signature: Signature


class OrderBatch(wire.Body, frozen=True):
    orders: Annotated[list[OrderFields], msgspec.Meta(min_length=1, max_length=LARGEST_BATCH)]
    signature: Signature
    basket: bool = False


Sent = TypeVar("Sent", OneOrder, OrderBatch)
"""What a request to place orders is."""


class Amendment(wire.Body, frozen=True):
    """One of the two. ``remaining``: what is to stay open, less than is open now, in kWh; nothing new is signed for
    it, and the order keeps its place in time. ``order``: a new signed order that names this one in ``replaces``.
    """

    remaining: str | None = None
    order: OneOrder | None = None


def intent_of(member_id: int, order: OrderFields, at: str = "") -> OrderIntent:
    """What was signed. ``at`` stands before the field in a refusal. Raises ProblemError."""
    try:
        quantity_lots = parse_energy_lots(order.quantity)
        price_ticks = parse_price_ticks(order.price)
        slot, deadline = parse_instant_s(order.slot), parse_instant_s(order.deadline)
    except UnitError:
        quantity_lots, price_ticks, slot, deadline = -1, -1, -1, -1
    if quantity_lots < 0 or slot < 0 or deadline < 0:
        raise _fault_of(order, at)
    return OrderIntent(  # by place, for this runs once for each order: see the fields of OrderIntent
        member_id,
        order.client_order_id,
        order.meter,
        _SIDES[order.side],
        slot,
        quantity_lots,
        price_ticks,
        _LEVELS[order.reach],
        order.terms,
        _TIFS[order.tif],
        order.replaces,
        deadline,
    )


def _fault_of(order: OrderFields, at: str) -> ProblemError:
    """The first of an order's numbers and times that is none, as a refusal."""
    try:
        if wire.energy_lots(order.quantity, f"{at}quantity") < 0:
            return refuse(422, "bad_quantity", "the quantity must be positive", f"{at}quantity")
        wire.instant_s(order.slot, f"{at}slot")
        wire.price_ticks(order.price, f"{at}price")
        wire.instant_s(order.deadline, f"{at}deadline")
    except ProblemError as error:
        return error
    raise AssertionError("an order with no fault was refused")


async def place_one(context: Context, member: Member, body: OneOrder) -> dict[str, Any]:
    """Place one order with its own signature."""
    context.rates.orders(member.member_id)
    return one_answer(*await submit(context, signed_one(member, body, context.chain.domain("Clearing"))))


async def place_many(context: Context, member: Member, body: OrderBatch) -> dict[str, Any]:
    """Place many orders under one signature over the root of their digests; independent, or a basket."""
    context.rates.orders(member.member_id, len(body.orders))
    return many_answer(*await submit(context, signed_many(member, body, context.chain.domain("Clearing"))))


def signed_one(member: Signer, body: OneOrder, domain: Domain) -> PlaceOrders:
    """The job that places an order, once its signature was found to be its member's. Raises ProblemError."""
    intent = intent_of(member.member_id, body)
    digest = intent.digest(domain)
    signed = Signed("order", digest, b"", _checked(member, digest, body.signature), member.key)
    return PlaceOrders(member.member_id, [SignedOrder(intent, digest)], signed)


def signed_many(member: Signer, body: OrderBatch, domain: Domain) -> PlaceOrders:
    """The job that places a batch, once the signature over its root was found to be its member's."""
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
    signed = Signed("batch", root, b"".join(leaves), signature, member.key)
    return PlaceOrders(member.member_id, orders, signed, is_basket=body.basket)


def one_answer(outcomes: Sequence[Placed | Problem], receipt: Receipt | None) -> dict[str, Any]:
    """What a single order is answered. Raises ProblemError when it was refused."""
    if isinstance(outcomes[0], Problem):
        raise ProblemError(outcomes[0])
    assert receipt is not None
    return {"order": order_body(outcomes[0]), "receipt": receipt.body()}


def many_answer(outcomes: Sequence[Placed | Problem], receipt: Receipt | None) -> dict[str, Any]:
    """What a batch is answered: each order's own fate."""
    results = [result_body(outcome) for outcome in outcomes]
    return {"results": results, "receipt": receipt.body() if receipt is not None else None}


def _checked(member: Signer, digest: bytes, text: str) -> bytes:
    signature = wire.signature(text)
    if not signatures.is_signed(member.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not your key's signature over these fields", "signature")
    return signature


async def submit(context: Context, job: PlaceOrders) -> tuple[Sequence[Placed | Problem], Receipt | None]:
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


async def amend_one(context: Context, member: Member, client_order_id: str, body: Amendment) -> dict[str, Any]:
    """Change an open order: take a part of it back, or put a new signed order in its place."""
    if (body.remaining is None) == (body.order is None):
        raise refuse(422, "bad_amendment", "give either remaining, or a whole signed order that replaces this one")
    if body.order is not None:
        if body.order.replaces != client_order_id:
            raise refuse(422, "bad_amendment", "the new order has to name this one in replaces", "order.replaces")
        return await place_one(context, member, body.order)
    assert body.remaining is not None
    remaining_lots = wire.energy_lots(body.remaining, "remaining")
    if remaining_lots <= 0:
        raise refuse(422, "bad_quantity", "what remains must be positive; DELETE takes back all of it", "remaining")
    context.rates.cancels(member.member_id)
    job = ReduceOne(member.member_id, client_order_id, remaining_lots)
    outcome = await context.sequencer.submit(job)
    if isinstance(outcome.answer, Problem):
        raise ProblemError(outcome.answer)
    receipt = outcome.receipt.body() if outcome.receipt is not None and job.has_changed else None
    limited = cancel_receipt(context, outcome.answer.order)
    return {"order": order_body(outcome.answer), "receipt": receipt, "cancel_receipt": limited}


async def cancel_one(context: Context, member: Member, client_order_id: str) -> dict[str, Any]:
    """Cancel one open order."""
    context.rates.cancels(member.member_id)
    outcome = await context.sequencer.submit(CancelOne(member.member_id, client_order_id))
    if isinstance(outcome.answer, Problem):
        raise ProblemError(outcome.answer)
    assert outcome.receipt is not None
    ended = cancel_receipt(context, outcome.answer.order)
    return {"order": order_body(outcome.answer), "receipt": outcome.receipt.body(), "cancel_receipt": ended}


async def cancel_many(context: Context, member: Member, slot: int | None) -> dict[str, Any]:
    """Cancel all open orders, or those of one slot."""
    context.rates.cancels(member.member_id)
    outcome = await context.sequencer.submit(CancelMany(member.member_id, slot))
    orders: list[Placed] = outcome.answer
    receipt = outcome.receipt.body() if outcome.receipt is not None and orders else None
    return {"orders": [order_body(order) for order in orders], "receipt": receipt}
