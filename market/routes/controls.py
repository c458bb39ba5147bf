"""What a member may do: its controls, and the switch that stops its orders at once."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec.structs import asdict

from data.units import format_instant
from market import control_store, wire
from market.context import CONTEXT, Context
from market.controls import Kill, Lift, SetControls
from market.guards import Controls, Stopped
from market.identity import Member, access_of, require
from market.openapi.fields import Instant, Number, choice
from market.openapi.operation import MEMBER, operation
from market.problems import Problem, ProblemError, not_found
from market.records import ReceiptBody
from market.views import OrderBody, order_body

HISTORY_SHOWN = 100
_NAMED = {"member": Number}
_SWITCHED = ("403 forbidden scope_missing", "404 not_found")

_Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class ControlsBody(wire.Body, frozen=True):
    """A limit that is null is the market's."""

    reason: _Reason
    open_orders: _Count | None = None
    batch_orders: _Count | None = None
    messages_per_s: _Count | None = None
    message_burst: _Count | None = None


class KillBody(wire.Body, frozen=True):
    """``cancel_orders``: also cancel all its open orders."""

    reason: _Reason
    cancel_orders: bool = False


class LiftBody(wire.Body, frozen=True):
    reason: _Reason


class InForce(msgspec.Struct, frozen=True):
    """The limits that hold for a member; `stopped` says by whom, if it is."""

    member: int
    stopped: Stopped
    open_orders: int
    batch_orders: int
    messages_per_s: int
    message_burst: int


class Change(msgspec.Struct, frozen=True):
    """One change, and whose it was; a limit of null is the market's."""

    change: Annotated[str, choice("limits", "kill", "lift")]
    at: Instant
    by: int
    reason: str
    stopped: Stopped
    open_orders: int | None
    batch_orders: int | None
    messages_per_s: int | None
    message_burst: int | None


class ControlsAnswer(InForce, frozen=True, kw_only=True):
    """What holds, how many orders are open, and the latest changes."""

    open: int
    changes: list[Change]


class KillAnswer(InForce, frozen=True, kw_only=True):
    """What holds now, how many orders were cancelled, and which when they are one's own."""

    cancelled: int
    orders: list[OrderBody]
    receipt: ReceiptBody | None


@operation(ControlsAnswer, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show(request: web.Request) -> web.Response:
    """The limits that hold for a member, whether it is stopped, and how that came."""
    context, asking = request.app[CONTEXT], require(request, scope="read")
    member_id = _member(context, request, asking, "operator", "regulator", "checker")
    wire.query(request)
    own, count = await context.sequencer.look(
        lambda state: (state.controls.of(member_id), state.controls.open_orders(member_id))
    )
    changes = await context.read(lambda connection: control_store.history(connection, member_id, HISTORY_SHOWN))
    held = _in_force(context, own)
    return wire.reply(ControlsAnswer(**asdict(held), open=count, changes=[_change(each) for each in changes]))


@operation(InForce, who=("operator",), scope="office", path=_NAMED, body=ControlsBody, refuses=("404 not_found",))
async def change(request: web.Request) -> web.Response:
    """Give a member limits of its own."""
    operator, context = require(request, "operator", scope="office"), request.app[CONTEXT]
    member_id = _member(context, request, operator, "operator")
    body = await wire.read(request, ControlsBody)
    job = SetControls(
        member_id,
        operator.member_id,
        body.reason,
        body.open_orders,
        body.batch_orders,
        body.messages_per_s,
        body.message_burst,
    )
    controls: Controls = (await context.sequencer.submit(job)).answer
    context.rates.set_own([controls])
    return wire.reply(_in_force(context, controls))


@operation(KillAnswer, who=MEMBER, path=_NAMED, body=KillBody, refuses=_SWITCHED)
async def kill(request: web.Request) -> web.Response:
    """Stop a member: no new orders from the next batch on. By the operator, or by the member for itself."""
    context, asking = request.app[CONTEXT], _switcher(request)
    member_id = _member(context, request, asking, "operator")
    body = await wire.read(request, KillBody)
    is_operator = "operator" in asking.roles
    outcome = await context.sequencer.submit(
        Kill(member_id, asking.member_id, body.reason, is_operator, body.cancel_orders)
    )
    controls, cancelled = outcome.answer
    receipt = outcome.receipt.body() if outcome.receipt is not None and cancelled else None
    orders = [order_body(order) for order in cancelled] if asking.member_id == member_id else []
    held = _in_force(context, controls)
    return wire.reply(KillAnswer(**asdict(held), cancelled=len(cancelled), orders=orders, receipt=receipt))


@operation(InForce, who=MEMBER, path=_NAMED, body=LiftBody, refuses=(*_SWITCHED, "403 stopped_by_operator"))
async def lift(request: web.Request) -> web.Response:
    """Let it place orders again; what the operator set only the operator lifts."""
    context, asking = request.app[CONTEXT], _switcher(request)
    member_id = _member(context, request, asking, "operator")
    body = await wire.read(request, LiftBody)
    job = Lift(member_id, asking.member_id, body.reason, "operator" in asking.roles)
    outcome = await context.sequencer.submit(job)
    if isinstance(outcome.answer, Problem):
        raise ProblemError(outcome.answer)
    return wire.reply(_in_force(context, outcome.answer))


def _switcher(request: web.Request) -> Member:
    """Who stops or lifts: the operator by its office, a member for itself as a trader."""
    access = access_of(request)
    return access.allow(scope="office" if "operator" in access.member.roles else "trade", is_moving=True)


def _member(context: Context, request: web.Request, asking: Member, *roles: str) -> int:
    """The member named in the path, when it is the one who asks or one of these roles asks. Raises ProblemError."""
    text = request.match_info["member"]
    member = context.directory.members.get(int(text)) if len(text) <= 18 and text.isascii() and text.isdigit() else None
    is_seen = member is not None and (asking.member_id == member.member_id or asking.roles.intersection(roles))
    if member is None or not is_seen:
        raise not_found("member")
    return member.member_id


def _in_force(context: Context, own: Controls) -> InForce:
    pace, batch_orders = context.rates.limits_of(own.member_id)
    limits = context.config.limits
    return InForce(
        member=own.member_id,
        stopped=own.stopped,
        open_orders=own.open_orders or limits.open_orders,
        batch_orders=batch_orders,
        messages_per_s=pace.per_s,
        message_burst=pace.burst,
    )


def _change(each: Controls) -> Change:
    return Change(
        change=each.change,
        at=format_instant(each.changed_s),
        by=each.changed_by,
        reason=each.reason,
        stopped=each.stopped,
        open_orders=each.open_orders,
        batch_orders=each.batch_orders,
        messages_per_s=each.messages_per_s,
        message_burst=each.message_burst,
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/members/{member}/controls", show),
        web.post("/v1/members/{member}/controls", change),
        web.post("/v1/members/{member}/kill", kill),
        web.post("/v1/members/{member}/kill/lift", lift),
    ]
