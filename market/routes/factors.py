"""Second factors of one's own: enrolled, listed, removed; and the codes for the day they are lost."""

import secrets
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant
from market import factor_store, passkeys, wire
from market.context import CONTEXT, Context
from market.factor_store import Factor
from market.factors import relying_party
from market.identity import Member, require, require_fresh, require_recent
from market.openapi.fields import Instant
from market.openapi.operation import MEMBER, operation
from market.passkeys import NotProvenError
from market.problems import not_found, refuse
from market.second_factor import matching_step, new_recovery_codes, new_totp_secret, otpauth_uri, secret_text
from market.tokens import new_id

MOST = 10
"""Factors of one member."""

ENROLLING_S = 600
"""How long an enrolment that was begun can be finished."""

NO_STORE = {"Cache-Control": "no-store"}
NOT_RECENT = "403 session_needed second_factor_needed login_needed"
_NAMED = {"factor": str}

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class NameBody(wire.Body, frozen=True):
    name: Name


class FactorShown(msgspec.Struct, frozen=True):
    """A second factor, without its secret."""

    factor: str
    kind: str
    name: str
    created: Instant
    last_used: Instant | None


class FactorsAnswer(msgspec.Struct, frozen=True):
    """All factors, and how many recovery codes are left."""

    items: list[FactorShown]
    next: None
    recovery_codes_left: int


class TotpAnswer(msgspec.Struct, frozen=True):
    """A secret in base32, and the same as a URI for an app to scan."""

    factor: str
    secret: str
    otpauth: str


class EnrolledAnswer(msgspec.Struct, frozen=True):
    """The factor that counts from now on; recovery codes come with the first one, and once."""

    factor: str
    kind: str
    name: str
    recovery_codes: list[str]


class CodesAnswer(msgspec.Struct, frozen=True):
    """Recovery codes, shown this once."""

    recovery_codes: list[str]


class CodeBody(wire.Body, frozen=True):
    code: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}$")]


class PasskeyAnswer(msgspec.Struct, frozen=True):
    """Options for a browser (WebAuthn, PublicKeyCredentialCreationOptionsJSON)."""

    factor: str
    options: dict[str, Any]


class CredentialBody(wire.Body, frozen=True):
    """What ``navigator.credentials.create`` answered, as JSON."""

    credential: dict[str, Any]


@operation(FactorsAnswer, who=MEMBER, scope="read")
async def show_all(request: web.Request) -> web.Response:
    """Own factors, the oldest first, and how many recovery codes are left."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    found, left = await context.read(
        lambda connection: (
            factor_store.factors_of(connection, member.member_id),
            factor_store.recovery_codes_left(connection, member.member_id),
        )
    )
    items = [
        FactorShown(
            factor=factor.factor_id,
            kind=factor.kind,
            name=factor.name,
            created=format_instant(factor.created_s),
            last_used=wire.time_text(factor.used_s),
        )
        for factor in found
    ]
    return wire.reply(FactorsAnswer(items, None, left))


@operation(
    TotpAnswer,
    status=201,
    who=MEMBER,
    scope="identity",
    body=NameBody,
    headers=NO_STORE,
    refuses=(NOT_RECENT, "409 too_many_factors", "422 bad_name"),
)
async def begin_totp(request: web.Request) -> web.Response:
    """A secret for an authenticator app, shown this once; it counts once a code of it has been sent."""
    context, member = enrolling(request)
    body = await wire.read(request, NameBody)
    check_name(body.name)
    factor_id, secret = new_id(), new_totp_secret()
    now_s = context.directory.now_s()
    sealed = context.vault.seal(factor_id, secret)
    context.directory.enrolling[member.member_id] = Factor(
        factor_id, member.member_id, "totp", body.name, sealed, 0, now_s
    )
    answer = TotpAnswer(factor_id, secret_text(secret), otpauth_uri(secret, member.member_id))
    return wire.reply(answer, status=201, headers=NO_STORE)


@operation(
    EnrolledAnswer,
    status=201,
    who=MEMBER,
    scope="identity",
    path=_NAMED,
    body=CodeBody,
    headers=NO_STORE,
    refuses=(NOT_RECENT, "404 not_found", "409 too_many_factors", "422 bad_second_factor", "429 too_many_attempts"),
)
async def finish_totp(request: web.Request) -> web.Response:
    """Enrol the factor, with a code that proves that the app has it."""
    context, member = enrolling(request)
    body = await wire.read(request, CodeBody)
    context.directory.attempts.begin(member.member_id, context.directory.now_s())
    factor, now_s = _under_way(context, member, request.match_info["factor"], "totp"), context.directory.now_s()
    step = matching_step(context.vault.open(factor.factor_id, factor.secret), body.code, now_s, factor.counter)
    if step is None:
        raise refuse(422, "bad_second_factor", "this is not the code that the app shows now", "code")
    context.directory.attempts.succeed(member.member_id)
    del context.directory.enrolling[member.member_id]
    return await enrol(context, member, factor._replace(counter=step))


@operation(
    PasskeyAnswer,
    status=201,
    who=MEMBER,
    scope="identity",
    body=NameBody,
    headers=NO_STORE,
    refuses=(NOT_RECENT, "409 too_many_factors", "422 bad_name"),
)
async def begin_passkey(request: web.Request) -> web.Response:
    """What a browser needs to make a passkey; it counts once the browser's answer has been sent."""
    context, member = enrolling(request)
    body = await wire.read(request, NameBody)
    check_name(body.name)
    factor_id, challenge = new_id(), secrets.token_bytes(32)
    now_s = context.directory.now_s()
    context.directory.enrolling[member.member_id] = Factor(
        factor_id, member.member_id, "passkey", body.name, challenge, 0, now_s
    )
    kept = await context.read(lambda connection: factor_store.factors_of(connection, member.member_id))
    own = [passkeys.decode(factor.secret) for factor in kept if factor.kind == "passkey"]
    options = passkeys.creation_options(relying_party(context), member.member_id, challenge, own)
    return wire.reply(PasskeyAnswer(factor_id, options), status=201, headers=NO_STORE)


@operation(
    EnrolledAnswer,
    status=201,
    who=MEMBER,
    scope="identity",
    path=_NAMED,
    body=CredentialBody,
    headers=NO_STORE,
    refuses=(NOT_RECENT, "404 not_found", "409 too_many_factors", "422 bad_second_factor"),
)
async def finish_passkey(request: web.Request) -> web.Response:
    """Enrol the passkey, with what the browser answered; an enrolment is tried once."""
    context, member = enrolling(request)
    body = await wire.read(request, CredentialBody)
    factor = _under_way(context, member, request.match_info["factor"], "passkey")
    del context.directory.enrolling[member.member_id]
    try:
        credential, counted = passkeys.verify_creation(relying_party(context), factor.secret, body.credential)
    except NotProvenError as error:
        detail = "this is not an answer of a passkey to these options"
        raise refuse(422, "bad_second_factor", detail, "credential") from error
    return await enrol(context, member, factor._replace(secret=credential.encode(), counter=counted))


def _under_way(context: Context, member: Member, factor_id: str, kind: str) -> Factor:
    """The factor that a member is enrolling. Raises ProblemError."""
    factor: Factor | None = context.directory.enrolling.get(member.member_id)
    if factor is None or (factor.factor_id, factor.kind) != (factor_id, kind):
        raise not_found("enrolment under way")
    if factor.created_s + ENROLLING_S <= context.directory.now_s():
        raise not_found("enrolment under way")
    return factor


def enrolling(request: web.Request) -> tuple[Context, Member]:
    """Who may enrol one more factor: who has just logged in or, having one, has just shown it. Raises ProblemError."""
    context, member = request.app[CONTEXT], require(request, scope="identity")
    require_recent(request)
    if len(context.directory.factors.get(member.member_id, ())) >= MOST:
        raise refuse(409, "too_many_factors", f"a member has {MOST} at most; remove one")
    return context, member


def check_name(name: str) -> None:
    """Raises ProblemError."""
    if not name.isprintable():
        raise refuse(422, "bad_name", "a name has no control characters", "name")


async def enrol(context: Context, member: Member, factor: Factor) -> web.Response:
    """Keep a factor that was proven. With the first one come the recovery codes."""
    directory = context.directory
    codes = [] if directory.has_factor(member.member_id) else new_recovery_codes()
    directory.factors[member.member_id].add(factor.factor_id)

    def write(connection: Connection) -> None:
        factor_store.add(connection, factor)
        if codes:
            factor_store.set_recovery_codes(connection, member.member_id, _marks(context, member, codes))

    try:
        await context.write(write)
    except BaseException:
        directory.factors[member.member_id].discard(factor.factor_id)
        raise
    answer = EnrolledAnswer(factor.factor_id, factor.kind, factor.name, codes)
    return wire.reply(answer, status=201, headers=NO_STORE)


@operation(
    CodesAnswer,
    status=201,
    who=MEMBER,
    scope="identity",
    is_sensitive=True,
    headers=NO_STORE,
    refuses=("409 no_factor",),
)
async def new_codes(request: web.Request) -> web.Response:
    """Ten new recovery codes, shown this once; the old ones are void."""
    context, member = request.app[CONTEXT], require(request, scope="identity")
    require_fresh(request)
    if not context.directory.has_factor(member.member_id):
        raise refuse(409, "no_factor", "recovery codes stand in for a second factor; enrol one first")
    codes = new_recovery_codes()
    marks = _marks(context, member, codes)
    await context.write(lambda connection: factor_store.set_recovery_codes(connection, member.member_id, marks))
    return wire.reply(CodesAnswer(codes), status=201, headers=NO_STORE)


def _marks(context: Context, member: Member, codes: list[str]) -> list[bytes]:
    return [context.vault.mark(str(member.member_id), code) for code in codes]


@operation(
    None,
    status=204,
    who=MEMBER,
    scope="identity",
    is_sensitive=True,
    path=_NAMED,
    refuses=("404 not_found",),
)
async def remove(request: web.Request) -> web.Response:
    """Remove a factor; it takes a factor, or a recovery code, shown just now. With the last one the codes go too."""
    context, member = request.app[CONTEXT], require(request, scope="identity")
    require_fresh(request)
    factor_id, enrolled = request.match_info["factor"], context.directory.factors.get(member.member_id, set())
    if factor_id not in enrolled:
        raise not_found("factor")

    def write(connection: Connection) -> None:
        factor_store.remove(connection, factor_id)
        if not factor_store.factors_of(connection, member.member_id):
            factor_store.set_recovery_codes(connection, member.member_id, [])

    await context.write(write)
    enrolled.discard(factor_id)
    return web.Response(status=204)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/factors", show_all),
        web.post("/v1/factors/totp", begin_totp),
        web.post("/v1/factors/totp/{factor}/confirmation", finish_totp),
        web.post("/v1/factors/passkeys", begin_passkey),
        web.post("/v1/factors/passkeys/{factor}/confirmation", finish_passkey),
        web.post("/v1/factors/recovery-codes", new_codes),
        web.delete("/v1/factors/{factor}", remove),
    ]
