"""Keys of a member: which held when, and a new one that the old one signs in."""

from typing import Annotated

import msgspec
from aiohttp import web

from market import key_store, wire
from market.config import INSTITUTIONS
from market.context import CONTEXT, Context
from market.identity import Member, named, require, require_fresh
from market.key_store import Rotation
from market.openapi.fields import Instant, Number, Signature, choice
from market.openapi.operation import MEMBER, operation
from market.problems import Problem, ProblemError, not_found, refuse
from market.rotation import RotateKey
from settlement import acts, signatures
from settlement.jwk import Jwk, to_jwk

OVERSEERS = frozenset({"operator", "regulator", "checker"})

SHORTEST_DEADLINE_S = 600
"""How long a signature must hold on, so that the chain has the new key in time."""


class RotationBody(wire.Body, frozen=True):
    """``signature`` of the old key and ``proof`` of the new one, both over ``RotateKey`` in the domain of Members."""

    public_key: Jwk
    nonce: wire.Id
    deadline: Instant
    signature: Signature
    proof: Signature
    keep_api_keys: bool = False


class NewKey(msgspec.Struct, frozen=True):
    """A member's key, and the first sequence of the journal at which it holds."""

    member: int
    public_key: Jwk
    from_sequence: int


class KeyShown(msgspec.Struct, frozen=True):
    """A key, where it holds or held, and what became of the call that tells the chain; a first key has none."""

    public_key: Jwk
    from_sequence: int
    to_sequence: int | None
    since: Instant | None
    call: Annotated[str, choice("waiting", "sent", "done", "reverted")] | None
    refusal: str | None


class KeysAnswer(msgspec.Struct, frozen=True):
    items: list[KeyShown]
    next: None = None


_NAMED = {"member": Number}


@operation(
    NewKey,
    status=201,
    who=MEMBER,
    scope="identity",
    is_sensitive=True,
    path=_NAMED,
    body=RotationBody,
    refuses=(
        "404 not_found",
        "409 institution_key key_changed key_used nonce_used not_admitted",
        "422 bad_key bad_signature bad_time deadline_passed",
    ),
)
async def rotate(request: web.Request) -> web.Response:
    """Change one's key. All sessions end, and API keys too unless they are to be kept; open orders stay."""
    context, member = request.app[CONTEXT], require(request, scope="identity")
    require_fresh(request)
    if named(request) != member:
        raise not_found("member")
    body = await wire.read(request, RotationBody)
    rotation = _checked(context, member, body)
    if await context.read(lambda connection: key_store.is_nonce_used(connection, member.member_id, body.nonce)):
        raise refuse(409, "nonce_used", "an earlier change of keys had this nonce", "nonce")
    with context.directory.claiming([rotation.new]):
        first: int | Problem = (await context.sequencer.submit(RotateKey(rotation))).answer
        if isinstance(first, Problem):
            raise ProblemError(first)
        context.directory.set_key(member.member_id, rotation.new, keeps_api_keys=body.keep_api_keys)
    context.poke()
    return wire.reply(NewKey(member.member_id, to_jwk(rotation.new), first), status=201)


def _checked(context: Context, member: Member, body: RotationBody) -> Rotation:
    """What was asked for, with both signatures verified. Raises ProblemError."""
    if member.member_id in INSTITUTIONS.values():
        raise refuse(409, "institution_key", "keys of institutions are fixed in market.toml")
    if member.status == "pending":
        raise refuse(409, "not_admitted", "the chain does not know you yet; register again with the other key")
    new = wire.public_key(body.public_key)
    if context.directory.has_key(new):
        raise refuse(409, "key_used", "somebody has or had this key; make a new one", "public_key")
    deadline_s = wire.instant_s(body.deadline, "deadline")
    if deadline_s < context.clock.now_s() + SHORTEST_DEADLINE_S:
        raise refuse(422, "deadline_passed", "the chain needs some minutes; sign a later deadline", "deadline")
    digest = acts.rotate_key_digest(
        context.chain.domain("Members"), member.member_id, new, nonce=body.nonce, deadline_s=deadline_s
    )
    signature, proof = wire.signature(body.signature), wire.signature(body.proof, "proof")
    if not signatures.is_signed(member.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not your present key's signature over these fields", "signature")
    if not signatures.is_signed(new, digest, proof):
        raise refuse(422, "bad_signature", "this is not the new key's signature over these fields", "proof")
    return Rotation(member.member_id, member.key, new, body.nonce, deadline_s, signature, body.keep_api_keys)


@operation(KeysAnswer, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show(request: web.Request) -> web.Response:
    """A member's keys, the oldest first, to itself and to those who oversee."""
    context, asking = request.app[CONTEXT], require(request, scope="read")
    member = named(request)
    if asking.member_id != member.member_id and not asking.roles & OVERSEERS:
        raise not_found("member")
    wire.query(request)
    rows = await context.read(lambda connection: key_store.history(connection, member.member_id))
    items = [
        KeyShown(
            public_key=to_jwk(row.key),
            from_sequence=row.from_sequence,
            to_sequence=row.to_sequence,
            since=wire.time_text(row.rotated_s),
            call=row.call,
            refusal=row.refusal,
        )
        for row in rows
    ]
    return wire.reply(KeysAnswer(items))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/members/{member}/keys", show),
        web.post("/v1/members/{member}/keys", rotate),
    ]
