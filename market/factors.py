"""Showing a second factor: at log-in where one is enrolled, and again before what is sensitive."""

from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection

from market import factor_store, passkeys
from market.context import Context
from market.passkeys import NotProvenError, RelyingParty
from market.problems import refuse
from market.second_factor import matching_step


class Totp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="totp"):
    """Six digits that an app shows now."""

    code: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}$")]


class Recovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="recovery"):
    """One of the codes that were given at enrolment."""

    code: Annotated[str, msgspec.Meta(pattern=r"^[A-Z2-7]{4}(-[A-Z2-7]{4}){3}$")]


class Passkey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="passkey"):
    """What ``navigator.credentials.get`` answered, as JSON, to the options that came with the nonce."""

    credential: dict[str, Any]


SecondFactor = Totp | Recovery | Passkey


def relying_party(context: Context) -> RelyingParty:
    return RelyingParty(context.config.server.relying_party, context.config.server.origin)


async def check(context: Context, member_id: int, shown: SecondFactor, nonce: bytes) -> None:
    """Let a member pass that shows a second factor of its own, and use it up.

    ``nonce`` was given to this member and is spent by now; a passkey answers it.
    Raises ProblemError: 401 ``bad_second_factor``, 429 ``too_many_attempts``.
    """
    attempts = context.directory.attempts
    attempts.begin(member_id, context.directory.now_s())
    if not await _is_good(context, member_id, shown, nonce):
        raise refuse(401, "bad_second_factor", "wrong, used already, or not yours", "second_factor")
    attempts.succeed(member_id)


async def _is_good(context: Context, member_id: int, shown: SecondFactor, nonce: bytes) -> bool:
    match shown:
        case Totp():
            return await context.write(lambda connection: _use_totp(context, connection, member_id, shown.code))
        case Recovery():
            mark = context.vault.mark(str(member_id), shown.code)
            return await context.write(lambda connection: factor_store.use_recovery_code(connection, member_id, mark))
        case Passkey():
            return await context.write(lambda connection: _use_passkey(context, connection, member_id, shown, nonce))


def _use_totp(context: Context, connection: Connection, member_id: int, code: str) -> bool:
    now_s = context.directory.now_s()
    for factor in factor_store.factors_of(connection, member_id):
        if factor.kind == "totp":
            secret = context.vault.open(factor.factor_id, factor.secret)
            step = matching_step(secret, code, now_s, factor.counter)
            if step is not None:
                return factor_store.use(connection, factor, step, now_s)
    return False


def _use_passkey(context: Context, connection: Connection, member_id: int, shown: Passkey, nonce: bytes) -> bool:
    try:
        asked = passkeys.id_of(shown.credential)
        for factor in factor_store.factors_of(connection, member_id):
            if factor.kind == "passkey" and passkeys.decode(factor.secret).credential_id == asked:
                credential = passkeys.decode(factor.secret)
                party = relying_party(context)
                counted = passkeys.verify_use(party, nonce, shown.credential, credential, factor.counter)
                return factor_store.use(connection, factor, counted, context.directory.now_s())
    except NotProvenError:
        return False
    return False
