"""What the operator decides about members: admitted, refused, suspended, reinstated, each with a record that stays.

A suspension is the operator's; what the regulator froze on the chain stands beside it, and only the regulator ends it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from market import decision_store, member_store, token_store, wire
from market.admission import put_admissions
from market.config import INSTITUTIONS
from market.context import CONTEXT, Context
from market.decision_store import AFTER, BEFORE, Decision
from market.identity import Member, named, require, require_fresh
from market.openapi.fields import PAGE, Instant, Number
from market.openapi.operation import operation
from market.problems import refuse
from market.routes.members import STATUSES, MemberState, Roles, Status, check_roles

OVERSEERS = ("operator", "regulator", "checker")

_NAMED = {"member": Number}

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class CheckBody(wire.Body, frozen=True):
    """One thing that was checked, and how: against which document, in which register, by whom."""

    what: Literal["identity", "address", "meter", "bank_account", "licence", "authority"]
    how: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class AdmissionBody(wire.Body, frozen=True):
    """``record`` says in words what was checked, ``checked`` one by one."""

    record: _Text
    checked: Annotated[tuple[CheckBody, ...], msgspec.Meta(max_length=20)] = ()


class ReasonBody(wire.Body, frozen=True):
    """``reason`` is shown to the member."""

    reason: _Text


class RolesBody(ReasonBody, frozen=True, kw_only=True):
    """All roles that a member holds from now on."""

    roles: Roles


class MemberRoles(msgspec.Struct, frozen=True):
    """What a member is."""

    member: int
    roles: list[str]


class MemberLine(msgspec.Struct, frozen=True):
    """A member, in short."""

    member: int
    name: str
    kind: str
    roles: list[str]
    status: Status
    frozen: bool
    registered: Instant | None


class MembersAnswer(msgspec.Struct, frozen=True):
    items: list[MemberLine]
    next: str | None


@operation(
    MemberState,
    who=("operator",),
    scope="office",
    path=_NAMED,
    body=AdmissionBody,
    refuses=("404 not_found", "409 in_progress wrong_status"),
)
async def admit(request: web.Request) -> web.Response:
    """Admit a member who asked, also one that was refused before; admitting again changes nothing."""
    operator, context = require(request, "operator", scope="office"), request.app[CONTEXT]
    body = await wire.read(request, AdmissionBody)
    checked = tuple(decision_store.Check(each.what, each.how) for each in body.checked)
    member = named(request)
    decision = Decision(member.member_id, "admitted", context.clock.now_s(), operator.member_id, body.record, checked)

    def write(connection: Connection) -> None:
        member_store.admit(connection, member.member_id, decision.decided_s)
        put_admissions(connection, [member], context.operator, context.chain.domain("Members"))

    state = await _decide(context, member, decision, write)
    context.poke()
    return wire.reply(state)


@operation(
    MemberState,
    who=("operator",),
    scope="office",
    path=_NAMED,
    body=ReasonBody,
    refuses=("404 not_found", "409 in_progress institution wrong_status"),
)
async def reject(request: web.Request) -> web.Response:
    """Refuse an applicant, with a reason that it can see."""
    return await _with_reason(request, "refused")


@operation(
    MemberState,
    who=("operator",),
    scope="office",
    path=_NAMED,
    body=ReasonBody,
    refuses=("404 not_found", "409 in_progress institution wrong_status"),
)
async def suspend(request: web.Request) -> web.Response:
    """Suspend a member, with a reason: it sees what is its own, cancels and pays, and nothing else."""
    return await _with_reason(request, "suspended")


@operation(
    MemberState,
    who=("operator",),
    scope="office",
    path=_NAMED,
    body=ReasonBody,
    refuses=("404 not_found", "409 in_progress institution wrong_status"),
)
async def reinstate(request: web.Request) -> web.Response:
    """End a suspension; what the regulator froze stays frozen."""
    return await _with_reason(request, "reinstated")


@operation(
    MemberRoles,
    who=("operator",),
    scope="office",
    is_sensitive=True,
    path=_NAMED,
    body=RolesBody,
    refuses=("404 not_found", "409 in_progress institution needs_governance", "422 bad_roles"),
)
async def set_roles(request: web.Request) -> web.Response:
    """Say which of the open roles a member holds; tokens that may do more than they allow end.

    Being a bank is known to the chain from admission on: only governance changes it later. Open orders stay open; to
    have them cancelled stop the member first.
    """
    operator, context = require(request, "operator", scope="office"), request.app[CONTEXT]
    require_fresh(request)
    body = await wire.read(request, RolesBody)
    member, roles = _ordinary(context, request), frozenset(body.roles)
    check_roles(body.roles, "roles")
    if member.status not in ("pending", "refused") and ("bank" in roles) != ("bank" in member.roles):
        raise refuse(409, "needs_governance", "the chain knows who is a bank; governance changes it there", "roles")
    decision = Decision(member.member_id, "roles_set", context.clock.now_s(), operator.member_id, body.reason)
    sessions, api_keys = context.directory.beyond(member.member_id, roles)

    def write(connection: Connection) -> None:
        member_store.set_roles(connection, member.member_id, roles)
        token_store.end_sessions(connection, sessions)
        token_store.revoke_api_keys(connection, api_keys)
        decision_store.add(connection, [decision])

    with _alone(context, member.member_id):
        await context.write(write)
        context.directory.set_roles(member.member_id, roles)
    return wire.reply(MemberRoles(member.member_id, sorted(roles)))


def _ordinary(context: Context, request: web.Request) -> Member:
    """A member that is no institution. Raises ProblemError."""
    member = named(request)
    if member.member_id in INSTITUTIONS.values():
        raise refuse(409, "institution", "institutions are appointed by governance, not by the operator")
    return member


async def _with_reason(request: web.Request, name: str) -> web.Response:
    operator, context = require(request, "operator", scope="office"), request.app[CONTEXT]
    body = await wire.read(request, ReasonBody)
    member = _ordinary(context, request)
    decision = Decision(member.member_id, name, context.clock.now_s(), operator.member_id, body.reason)

    def write(connection: Connection) -> None:
        member_store.set_status(connection, member.member_id, AFTER[name])

    return wire.reply(await _decide(context, member, decision, write))


async def _decide(
    context: Context, member: Member, decision: Decision, write: Callable[[Connection], None]
) -> MemberState:
    """Carry a decision out, once; where it stands already nothing changes. Raises ProblemError."""
    after = AFTER[decision.decision]
    if member.status == after:
        return MemberState(member.member_id, after)
    if member.status not in BEFORE[decision.decision]:
        raise refuse(409, "wrong_status", f"this member is {member.status}; it can not be {decision.decision}")

    def both(connection: Connection) -> None:
        write(connection)
        decision_store.add(connection, [decision])

    with _alone(context, member.member_id):
        await context.write(both)
        context.directory.set_status(member.member_id, after)
    return MemberState(member.member_id, after)


@contextmanager
def _alone(context: Context, member_id: int) -> Iterator[None]:
    """One decision about a member at a time. Raises ProblemError."""
    deciding = context.directory.deciding
    if member_id in deciding:
        raise refuse(409, "in_progress", "another decision about this member is being recorded; ask again")
    deciding.add(member_id)
    try:
        yield
    finally:
        deciding.remove(member_id)


@operation(
    MembersAnswer,
    who=OVERSEERS,
    scope="read",
    query={"status": Status, **PAGE},
    refuses=("400 bad_status",),
)
async def show_all(request: web.Request) -> web.Response:
    """Members by number, or those of ``?status=``."""
    context = request.app[CONTEXT]
    require(request, *OVERSEERS, scope="read")
    parameters = wire.query(request, "status", "limit", "cursor")
    status, limit = parameters.get("status"), wire.page_limit(parameters)
    if status is not None and status not in STATUSES:
        raise refuse(400, "bad_status", f"a member's status is one of {', '.join(STATUSES)}", "status")
    after = wire.cursor(parameters)
    rows = await context.read(
        lambda connection: decision_store.some_members(connection, status=status, after=after, limit=limit)
    )
    items = [
        MemberLine(
            member=row.member_id,
            name=row.name,
            kind=row.kind,
            roles=msgspec.json.decode(row.roles, type=list[str]),
            status=row.status,
            frozen=row.frozen,
            registered=wire.time_text(row.registered_s),
        )
        for row in rows
    ]
    return wire.reply(wire.page(items, rows[-1].member_id if len(rows) == limit else None))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/members", show_all),
        web.post("/v1/members/{member}/admission", admit),
        web.post("/v1/members/{member}/refusal", reject),
        web.post("/v1/members/{member}/suspension", suspend),
        web.post("/v1/members/{member}/reinstatement", reinstate),
        web.post("/v1/members/{member}/roles", set_roles),
    ]
