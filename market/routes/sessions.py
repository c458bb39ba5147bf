"""Sessions: a nonce to sign, a short-lived bearer token for the signature, and its end."""

from typing import Annotated

import msgspec
from aiohttp import web

from market import member_store, wire
from market.context import CONTEXT
from market.identity import SCOPES, Member, Scope, access_of, hash_of, scopes_of, token_of
from market.problems import refuse
from settlement import signatures
from settlement.intents import LOGIN


class ChallengeBody(wire.Body, frozen=True):
    member: wire.Id


class SessionBody(wire.Body, frozen=True):
    """``scopes`` bind the token; left out, it may do all that its member may."""

    member: wire.Id
    nonce: str
    signature: str
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(SCOPES))] | None = None


async def challenge(request: web.Request) -> web.Response:
    """A nonce that stands for two minutes, once. Given for any number, so that nobody can probe who is a member."""
    body = await wire.read(request, ChallengeBody)
    nonce, expires_s = request.app[CONTEXT].directory.challenge(body.member)
    return wire.reply({"nonce": nonce.hex(), "expires": wire.time_text(expires_s)})


async def log_in(request: web.Request) -> web.Response:
    """A token for a signature over the nonce. What failed is not told apart."""
    context = request.app[CONTEXT]
    body = await wire.read(request, SessionBody)
    nonce, signature = wire.hex_bytes(body.nonce, 32, "nonce"), wire.signature(body.signature)
    member = context.directory.members.get(body.member)
    has_challenge = context.directory.take_challenge(nonce, body.member)
    digest = LOGIN.digest(context.chain.domain("Members"), {"member": body.member, "nonce": nonce})
    if member is None or not has_challenge or not signatures.is_signed(member.key, digest, signature):
        raise refuse(401, "bad_login", "unknown member, spent nonce, or not this member's signature over it")
    scopes = _granted(member, body.scopes)
    token, session = context.directory.new_session(member.member_id, context.config.server.session_s, scopes)
    now_s = context.directory.now_s()
    await context.write(lambda connection: member_store.add_session(connection, session, now_s))
    context.directory.keep(session)
    return wire.reply(
        {"token": token, "expires": wire.time_text(session.expires_s), "scopes": sorted(scopes)},
        status=201,
        headers={"Cache-Control": "no-store"},
    )


def _granted(member: Member, asked: list[Scope] | None) -> frozenset[Scope]:
    allowed = scopes_of(member.roles)
    if asked is None:
        return allowed
    if not allowed.issuperset(asked):
        raise refuse(422, "bad_scopes", f"your roles allow: {', '.join(sorted(allowed))}", "scopes")
    return frozenset(asked)


async def log_out(request: web.Request) -> web.Response:
    """End this session at once; any token may end itself."""
    context, token = request.app[CONTEXT], token_of(request)
    access_of(request)
    assert token is not None
    token_hash = hash_of(token)
    await context.write(lambda connection: member_store.end_session(connection, token_hash))
    context.directory.end(token_hash)
    return web.Response(status=204)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/sessions/challenge", challenge),
        web.post("/v1/sessions", log_in),
        web.delete("/v1/sessions", log_out),
    ]
