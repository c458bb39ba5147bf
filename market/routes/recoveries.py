"""A lost key: governance proposes another, the live key can veto it for seven days, and then the chain has it."""

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant
from market import key_recovery_store, wire
from market.config import INSTITUTIONS
from market.context import CONTEXT
from market.identity import Member, named, require
from market.key_recovery_store import Pending
from market.openapi.fields import Instant, Number, Signature
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
from market.routes.keys import OVERSEERS, SHORTEST_DEADLINE_S
from settlement import acts, outbox, recovery_acts, signatures
from settlement.jwk import Jwk, to_jwk

_NAMED = {"member": Number}


class ProposalBody(wire.Body, frozen=True):
    """``signature`` is governance's, ``proof`` the new key's, over ``ProposeRecovery`` in the domain of Members."""

    public_key: Jwk
    index: wire.Id
    signature: Signature
    proof: Signature


class VetoBody(wire.Body, frozen=True):
    """``signature`` of the live key over ``VetoRecovery``, which names the proposed one."""

    nonce: wire.Id
    deadline: Instant
    signature: Signature


class PendingShown(msgspec.Struct, frozen=True):
    """A proposed key, and until when the live one can veto it for certain."""

    public_key: Jwk
    vetoable_until: Instant


class RecoveryAnswer(msgspec.Struct, frozen=True):
    """What is pending, if anything, and the index that governance's next proposal carries, for whomever."""

    member: int
    pending: PendingShown | None
    next_index: int


@operation(
    RecoveryAnswer,
    status=202,
    who=("governance",),
    scope="office",
    path=_NAMED,
    body=ProposalBody,
    refuses=(
        "404 not_found",
        "409 index_out_of_order institution_key key_used not_admitted",
        "422 bad_key bad_signature",
    ),
)
async def propose(request: web.Request) -> web.Response:
    """Begin the seven days after which this key is the member's, unless its live key vetoes."""
    governance, context = require(request, "governance", scope="office"), request.app[CONTEXT]
    member = named(request)
    if member.member_id in INSTITUTIONS.values():
        raise refuse(409, "institution_key", "keys of institutions are fixed in market.toml")
    if member.status == "pending":
        raise refuse(409, "not_admitted", "the chain does not know this member yet; it can register again")
    body = await wire.read(request, ProposalBody)
    new = wire.public_key(body.public_key)
    if context.directory.has_key(new):
        raise refuse(409, "key_used", "somebody has or had this key; make a new one", "public_key")
    digest = recovery_acts.propose_recovery_digest(context.chain.domain("Members"), member.member_id, new, body.index)
    word = wire.signature(body.signature)
    if not signatures.is_signed(governance.key, digest, word):
        raise refuse(422, "bad_signature", "this is not governance's signature over this recovery", "signature")
    if not signatures.is_signed(new, digest, wire.signature(body.proof, "proof")):
        raise refuse(422, "bad_signature", "this is not the new key's signature over this recovery", "proof")

    def write(connection: Connection) -> RecoveryAnswer:
        if key_recovery_store.next_index(connection) != body.index:
            raise refuse(409, "index_out_of_order", "another recovery was proposed; ask for next_index", "index")
        approval = acts.Approval(governance.member_id, word)
        outbox.put(connection, recovery_acts.propose_recovery(member.member_id, new, body.index, [approval]))
        return _shown(connection, member)

    answer = await context.write_and_answer(write, lambda found: wire.reply(found, status=202))
    context.poke()
    return answer


@operation(
    RecoveryAnswer,
    status=202,
    who=MEMBER,
    scope="identity",
    path=_NAMED,
    body=VetoBody,
    refuses=("404 not_found", "409 no_recovery", "422 bad_signature bad_time deadline_passed"),
)
async def veto(request: web.Request) -> web.Response:
    """One's key is not lost: end a proposed recovery."""
    member, context = require(request, scope="identity"), request.app[CONTEXT]
    if named(request) != member:
        raise not_found("member")
    body = await wire.read(request, VetoBody)
    deadline_s = wire.instant_s(body.deadline, "deadline")
    if deadline_s < context.clock.now_s() + SHORTEST_DEADLINE_S:
        raise refuse(422, "deadline_passed", "the chain needs some minutes; sign a later deadline", "deadline")
    pending = (await context.read(key_recovery_store.on_chain)).pending.get(member.member_id)
    if pending is None:
        raise refuse(409, "no_recovery", "nobody has proposed another key for you")
    once = {"nonce": body.nonce, "deadline_s": deadline_s}
    digest = recovery_acts.veto_recovery_digest(context.chain.domain("Members"), member.member_id, pending.key, **once)
    word = wire.signature(body.signature)
    if not signatures.is_signed(member.key, digest, word):
        raise refuse(422, "bad_signature", "this is not your key's signature over these fields", "signature")

    def write(connection: Connection) -> RecoveryAnswer:
        outbox.put(connection, recovery_acts.veto_recovery(member.member_id, pending.key, word, **once))
        return _shown(connection, member)

    answer = await context.write_and_answer(write, lambda found: wire.reply(found, status=202))
    context.poke()
    return answer


@operation(RecoveryAnswer, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show(request: web.Request) -> web.Response:
    """Whether another key is proposed for a member: to itself, to governance, and to those who oversee."""
    asking, context = require(request, scope="read"), request.app[CONTEXT]
    member = named(request)
    if asking.member_id != member.member_id and not asking.roles & (OVERSEERS | {"governance"}):
        raise not_found("member")
    wire.query(request)
    return wire.reply(await context.read(lambda connection: _shown(connection, member)))


def _shown(connection: Connection, member: Member) -> RecoveryAnswer:
    pending = key_recovery_store.on_chain(connection).pending.get(member.member_id)
    return RecoveryAnswer(member.member_id, shown(pending), key_recovery_store.next_index(connection))


def shown(pending: Pending | None) -> PendingShown | None:
    """A pending recovery as it is answered."""
    return None if pending is None else PendingShown(to_jwk(pending.key), format_instant(pending.vetoable_until_s))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/members/{member}/recovery", show),
        web.post("/v1/members/{member}/recovery", propose),
        web.post("/v1/members/{member}/recovery/veto", veto),
    ]
