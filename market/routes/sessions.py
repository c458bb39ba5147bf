"""Sessions: a nonce to sign, a short-lived bearer token for the signature, and its end."""

from aiohttp import web

from market import member_store, wire
from market.context import CONTEXT
from market.identity import Session, hash_of, require, token_of
from market.problems import refuse
from settlement import signatures
from settlement.intents import LOGIN


class ChallengeBody(wire.Body, frozen=True):
    member: wire.Id


class SessionBody(wire.Body, frozen=True):
    member: wire.Id
    nonce: str
    signature: str


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
    token, session = context.directory.new_session(member.member_id, context.config.server.session_s)
    scopes = sorted(member.roles)

    def keep(kept: Session) -> None:
        with context.database.begin() as connection:
            member_store.add_session(connection, kept, scopes, context.directory.now_s())

    await context.in_thread(keep, session)
    context.directory.keep(session)
    return wire.reply(
        {"token": token, "expires": wire.time_text(session.expires_s), "scopes": scopes},
        status=201,
        headers={"Cache-Control": "no-store"},
    )


async def log_out(request: web.Request) -> web.Response:
    """End this session at once."""
    context = request.app[CONTEXT]
    require(request)
    token = token_of(request)
    assert token is not None
    token_hash = hash_of(token)

    def end() -> None:
        with context.database.begin() as connection:
            member_store.end_session(connection, token_hash)

    await context.in_thread(end)
    context.directory.sessions.pop(token_hash, None)
    return web.Response(status=204)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/sessions/challenge", challenge),
        web.post("/v1/sessions", log_in),
        web.delete("/v1/sessions", log_out),
    ]
