"""Members: anyone may ask to become one; the operator registers and admits many at once."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from market import decision_store, member_store, wire
from market.admission import put_admissions
from market.context import CONTEXT, Context
from market.decision_store import DECISIONS, Check, Decision
from market.identity import Member, named, require
from market.member_store import Registration
from market.openapi.fields import Instant, Number, choice
from market.openapi.operation import ANYONE, MEMBER, operation
from market.problems import not_found, refuse
from market.scopes import OPEN_ROLES
from settlement.jwk import Jwk, to_jwk
from settlement.signatures import PublicKey

AT_ONCE = 1000

Roles = Annotated[list[str], msgspec.Meta(min_length=1, max_length=20)]
STATUSES = ("pending", "refused", "admitted", "suspended")
Status = Annotated[str, choice(*STATUSES)]
_NAMED = {"member": Number}
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class RegistrationBody(wire.Body, frozen=True):
    """``public_key`` is a JWK; ``roles`` are asked for and given by the operator."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    kind: Literal["household", "business", "plant", "bank", "institution"]
    roles: Roles
    public_key: Jwk


class AdmittedBody(RegistrationBody, frozen=True, kw_only=True):
    """``record`` says what was checked."""

    record: _Text


class AdmittedMany(wire.Body, frozen=True):
    members: Annotated[list[AdmittedBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]


class MemberState(msgspec.Struct, frozen=True):
    """A member's id, its own for good, and where it stands."""

    member: int
    status: Status


class MemberStates(msgspec.Struct, frozen=True):
    items: list[MemberState]


class DecisionBody(msgspec.Struct, frozen=True):
    """What was decided about a member, and why; who decided and what was checked is for those who oversee."""

    decision: Annotated[str, choice(*DECISIONS)]
    at: Instant | None
    reason: str | None
    by: int | None
    record: str | None
    checked: list[Check] | None


class MemberBody(msgspec.Struct, frozen=True):
    """All that is known of a member. ``frozen``: by the regulator, on the chain."""

    member: int
    name: str
    kind: str
    roles: list[str]
    status: Status
    frozen: bool
    public_key: Jwk
    registered: Instant | None
    admitted: Instant | None
    decisions: list[DecisionBody]


@operation(
    MemberState,
    status=201,
    who=ANYONE,
    body=RegistrationBody,
    headers={"Location": "Where the member is"},
    refuses=("409 key_used", "422 bad_key bad_name bad_roles"),
)
async def register(request: web.Request) -> web.Response:
    """Ask to become a member; the answer names the id that will be one's own for good. Asking again changes nothing."""
    context = request.app[CONTEXT]
    body = await wire.read(request, RegistrationBody)
    member = context.directory.with_key(wire.public_key(body.public_key))
    if member is None or (member.name, member.kind, member.roles) != (body.name, body.kind, frozenset(body.roles)):
        member = _member(context, body, _fresh_key(context, body.public_key, "public_key"), "pending", "")
        registration = Registration(member, context.clock.now_s())
        with context.directory.claiming([member.key]):
            await context.write(lambda connection: member_store.add_members(connection, [registration]))
            context.directory.put([member])
    headers = {"Location": f"/v1/members/{member.member_id}"}
    return wire.reply(MemberState(member.member_id, member.status), status=201, headers=headers)


@operation(
    MemberStates,
    status=201,
    who=("operator",),
    scope="office",
    body=AdmittedMany,
    refuses=("409 key_used", "422 bad_key bad_name bad_roles"),
)
async def register_admitted(request: web.Request) -> web.Response:
    """Register and admit many at once; all of them or none."""
    operator = require(request, "operator", scope="office")
    context = request.app[CONTEXT]
    body = await wire.read(request, AdmittedMany)
    keys: list[PublicKey] = []
    for index, each in enumerate(body.members):
        at = f"members[{index}]."
        keys.append(_fresh_key(context, each.public_key, f"{at}public_key"))
        check_roles(each.roles, f"{at}roles")
    if len(set(keys)) < len(keys):
        raise refuse(409, "key_used", "two of these members have the same key", "members")
    now_s = context.clock.now_s()
    members = [
        _member(context, each, key, "admitted", f"members[{index}].")
        for index, (each, key) in enumerate(zip(body.members, keys, strict=True))
    ]
    decisions = [
        Decision(member.member_id, "admitted", now_s, operator.member_id, each.record)
        for member, each in zip(members, body.members, strict=True)
    ]

    def write(connection: Connection) -> None:
        member_store.add_members(connection, [Registration(member, now_s, now_s) for member in members])
        decision_store.add(connection, decisions)
        put_admissions(connection, members, context.operator, context.chain.domain("Members"))

    items = [MemberState(member.member_id, member.status) for member in members]
    with context.directory.claiming(keys):
        answer = await context.write_and_answer(write, lambda _: wire.reply(MemberStates(items), status=201))
        context.directory.put(members)
    context.poke()
    return answer


@operation(MemberBody, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show(request: web.Request) -> web.Response:
    """A member to itself, and to those who oversee."""
    context, asking = request.app[CONTEXT], require(request, scope="read")
    member = named(request)
    oversees = bool(asking.roles & {"operator", "regulator", "checker"})
    if asking.member_id != member.member_id and not oversees:
        raise not_found("member")
    (registered_s, admitted_s), decisions = await context.read(
        lambda connection: (
            member_store.member_times(connection, member.member_id),
            decision_store.of(connection, member.member_id),
        )
    )
    return wire.reply(
        MemberBody(
            member=member.member_id,
            name=member.name,
            kind=member.kind,
            roles=sorted(member.roles),
            status=member.status,
            frozen=member.is_frozen,
            public_key=to_jwk(member.key),
            registered=wire.time_text(registered_s),
            admitted=wire.time_text(admitted_s),
            decisions=[_decision(each, oversees) for each in decisions],
        )
    )


def _decision(each: Decision, oversees: bool) -> DecisionBody:
    is_record = each.decision == "admitted"
    return DecisionBody(
        decision=each.decision,
        at=wire.time_text(each.decided_s),
        reason=None if is_record else each.note,
        by=each.decided_by if oversees else None,
        record=each.note if is_record and oversees else None,
        checked=list(each.checked) if is_record and oversees else None,
    )


def _fresh_key(context: Context, jwk: Jwk, field: str) -> PublicKey:
    key = wire.public_key(jwk, field)
    if context.directory.has_key(key):
        raise refuse(409, "key_used", "a member with this key is registered already", field)
    return key


def check_roles(roles: list[str], field: str) -> None:
    """Raises ProblemError ``bad_roles`` unless all of them are open."""
    if not OPEN_ROLES.issuperset(roles):
        raise refuse(422, "bad_roles", f"ask for some of: {', '.join(sorted(OPEN_ROLES))}", field)


def _member(context: Context, body: RegistrationBody, key: PublicKey, status: str, at: str) -> Member:
    check_roles(body.roles, f"{at}roles")
    if not body.name.isprintable():
        raise refuse(422, "bad_name", "a name has no control characters", f"{at}name")
    return Member(context.directory.next_id(), body.name, body.kind, frozenset(body.roles), status, key)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/members", register),
        web.post("/v1/members/batch", register_admitted),
        web.get("/v1/members/{member}", show),
    ]
