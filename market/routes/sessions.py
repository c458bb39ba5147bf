"""Sessions: a nonce to sign, a short-lived bearer token for the signature, what is open, and its end."""

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant
from market import token_store, wire
from market.context import CONTEXT, Context
from market.factors import Passkey, SecondFactor, check, relying_party
from market.identity import Member, access_of, require
from market.openapi.fields import Hash, Instant, Number, Signature
from market.openapi.operation import ANYONE, MEMBER, operation
from market.passkeys import request_options
from market.problems import not_found, refuse
from market.scopes import SCOPES, Scope, scopes_of
from market.tokens import FRESH_S, ApiKey, Session
from settlement import signatures
from settlement.intents import LOGIN

Scopes = Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(SCOPES))]


class ChallengeBody(wire.Body, frozen=True):
    member: wire.Id


class SessionBody(wire.Body, frozen=True):
    """``scopes`` bind the token; left out, it may do all that its member may."""

    member: wire.Id
    nonce: Hash
    signature: Signature
    scopes: Scopes | None = None
    second_factor: SecondFactor | None = None


class StepUpBody(wire.Body, frozen=True):
    """``nonce`` of a challenge, where the second factor is a passkey."""

    second_factor: SecondFactor
    nonce: Hash | None = None


class ChallengeAnswer(msgspec.Struct, frozen=True):
    """A nonce to sign, and the options for a passkey to answer it (WebAuthn, PublicKeyCredentialRequestOptionsJSON)."""

    nonce: Hash
    expires: Instant
    passkey: dict[str, Any]


class SessionAnswer(msgspec.Struct, frozen=True):
    """A bearer token, until when it holds, and what it may do."""

    token: str
    session: str
    expires: Instant
    scopes: list[Scope]


class StepUpAnswer(msgspec.Struct, frozen=True):
    fresh_until: Instant


class OwnSession(msgspec.Struct, frozen=True):
    """A session in force; `current` is the one that asks."""

    session: str
    opened: Instant
    expires: Instant
    scopes: list[Scope]
    current: bool


@operation(ChallengeAnswer, who=ANYONE, body=ChallengeBody, refuses=("429 too_many_challenges",))
async def challenge(request: web.Request) -> web.Response:
    """A nonce that stands for two minutes, once. Given for any number, so that nobody can probe who is a member."""
    body = await wire.read(request, ChallengeBody)
    context = request.app[CONTEXT]
    nonce, expires_s = context.directory.challenge(body.member)
    options = request_options(relying_party(context), nonce)
    return wire.reply(ChallengeAnswer(nonce.hex(), format_instant(expires_s), options))


@operation(
    SessionAnswer,
    status=201,
    who=ANYONE,
    body=SessionBody,
    headers={"Cache-Control": "no-store"},
    refuses=(
        "401 bad_login bad_second_factor",
        "403 second_factor_needed",
        "422 bad_hex bad_scopes bad_signature",
        "429 too_many_attempts",
    ),
)
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
    scopes = granted(scopes_of(member.roles), body.scopes)
    if context.directory.has_factor(member.member_id):
        if body.second_factor is None:
            detail = "right so far, but you have a second factor: log in again and send it along"
            raise refuse(403, "second_factor_needed", detail, "second_factor")
        await check(context, member.member_id, body.second_factor, nonce)
    return await _open(context, member, scopes)


async def _open(context: Context, member: Member, scopes: frozenset[Scope]) -> web.Response:
    directory = context.directory
    token, session = directory.new_session(member.member_id, context.config.server.session_s, scopes)
    if directory.has_factor(member.member_id):
        session = _fresh(session, directory.now_s())
    crowded_out, now_s = directory.crowded_out(member.member_id), directory.now_s()

    def write(connection: Connection) -> None:
        token_store.end_sessions(connection, crowded_out)
        token_store.add_session(connection, session, now_s)

    await context.write(write)
    for old in crowded_out:
        directory.end(old)
    if directory.members[member.member_id].key != member.key:
        await context.write(lambda connection: token_store.end_sessions(connection, [session]))
        raise refuse(401, "bad_login", "the key that signed this was changed meanwhile")
    directory.keep(session)
    return wire.reply(
        SessionAnswer(token, session.session_id, format_instant(session.expires_s), sorted(scopes)),
        status=201,
        headers={"Cache-Control": "no-store"},
    )


def granted(allowed: frozenset[Scope], asked: list[Scope] | None) -> frozenset[Scope]:
    """The scopes of a new token: those asked for, or all. Raises ProblemError ``bad_scopes``."""
    if asked is None:
        return allowed
    if not allowed.issuperset(asked):
        raise refuse(422, "bad_scopes", f"you may choose from: {', '.join(sorted(allowed))}", "scopes")
    return frozenset(asked)


def _taken(context: Context, member: Member, text: str | None) -> bytes:
    """The nonce that a passkey answered. Raises ProblemError."""
    nonce = wire.hex_bytes(text or "", 32, "nonce")
    if not context.directory.take_challenge(nonce, member.member_id):
        raise refuse(401, "bad_second_factor", "the nonce is spent or was not given to you", "nonce")
    return nonce


def _fresh(session: Session, now_s: int) -> Session:
    return replace(session, fresh_until_s=now_s + FRESH_S)


@operation(
    StepUpAnswer,
    who=MEMBER,
    body=StepUpBody,
    refuses=("401 bad_second_factor", "403 session_needed", "409 no_factor", "422 bad_hex", "429 too_many_attempts"),
)
async def step_up(request: web.Request) -> web.Response:
    """Show the second factor again: for five minutes this session may do what is sensitive."""
    context, access = request.app[CONTEXT], access_of(request)
    if access.session is None:
        raise refuse(403, "session_needed", "an API key has no second factor; log in")
    body = await wire.read(request, StepUpBody)
    if not context.directory.has_factor(access.member.member_id):
        raise refuse(409, "no_factor", "you have no second factor, and none is asked of you; POST /v1/factors/totp")
    nonce = _taken(context, access.member, body.nonce) if isinstance(body.second_factor, Passkey) else b""
    await check(context, access.member.member_id, body.second_factor, nonce)
    session = _fresh(access.session, context.directory.now_s())
    await context.write(lambda connection: token_store.set_fresh(connection, session))
    if session.token_hash in context.directory.sessions:  # else it was ended meanwhile
        context.directory.keep(session)
    return wire.reply(StepUpAnswer(format_instant(session.fresh_until_s)))


@operation(wire.Page[OwnSession], who=MEMBER, scope="read")
async def show_all(request: web.Request) -> web.Response:
    """Own sessions in force, the oldest first."""
    member, current = require(request, scope="read"), access_of(request).session
    wire.query(request)
    items = [
        OwnSession(
            session=session.session_id,
            opened=format_instant(session.opened_s),
            expires=format_instant(session.expires_s),
            scopes=sorted(session.scopes),
            current=session == current,
        )
        for session in request.app[CONTEXT].directory.sessions_of(member.member_id)
    ]
    return wire.reply(wire.page(items, None))


@operation(None, status=204, who=MEMBER, refuses=("403 session_needed",))
async def log_out(request: web.Request) -> web.Response:
    """End this session at once; any token of a session may end itself."""
    session = access_of(request).session
    if session is None:
        raise refuse(403, "session_needed", "this is an API key; DELETE /v1/api-keys/{api_key} revokes it")
    await end_tokens(request.app[CONTEXT], [session])
    return web.Response(status=204)


@operation(None, status=204, who=MEMBER, scope="identity", path={"session": str}, refuses=("404 not_found",))
async def end_one(request: web.Request) -> web.Response:
    """End one of one's own sessions at once."""
    context, member = request.app[CONTEXT], require(request, scope="identity")
    asked = request.match_info["session"]
    found = [each for each in context.directory.sessions_of(member.member_id) if each.session_id == asked]
    if not found:
        raise not_found("session")
    await end_tokens(context, found)
    return web.Response(status=204)


@operation(
    None,
    status=204,
    who=MEMBER,
    path={"member": Number},
    query={"api_keys": bool},
    refuses=("400 bad_flag bad_number", "403 forbidden scope_missing", "404 not_found"),
)
async def end_all(request: web.Request) -> web.Response:
    """End all sessions of a member, by itself or by the operator; with ``?api_keys=true`` revoke its API keys too."""
    context, asking = request.app[CONTEXT], access_of(request).member
    member_id = wire.whole_number(request.match_info["member"], "member")
    require(request, scope="identity") if asking.member_id == member_id else require(
        request, "operator", scope="office"
    )
    text = wire.query(request, "api_keys").get("api_keys", "false")
    if text not in ("true", "false"):
        raise refuse(400, "bad_flag", "api_keys is true or false", "api_keys")
    if member_id not in context.directory.members:
        raise not_found("member")
    api_keys = context.directory.api_keys_of(member_id) if text == "true" else []
    await end_tokens(context, context.directory.sessions_of(member_id), api_keys)
    return web.Response(status=204)


async def end_tokens(context: Context, sessions: list[Session], api_keys: list[ApiKey] | None = None) -> None:
    """End them in the record, then here."""
    revoked = api_keys or []

    def write(connection: Connection) -> None:
        token_store.end_sessions(connection, sessions)
        token_store.revoke_api_keys(connection, revoked)

    await context.write(write)
    for session in sessions:
        context.directory.end(session)
    for api_key in revoked:
        context.directory.revoke(api_key)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/sessions/challenge", challenge),
        web.post("/v1/sessions", log_in),
        web.post("/v1/sessions/step-up", step_up),
        web.get("/v1/sessions", show_all),
        web.delete("/v1/sessions", log_out),
        web.delete("/v1/sessions/{session}", end_one),
        web.delete("/v1/members/{member}/sessions", end_all),
    ]
