"""Consents: a seller lets a bank see receivables that are not for sale, for a time, and takes that back.

A listing is shown to all banks; what is not listed is shown to none but by consent. Granting and withdrawing stay as
history with both sides, and both are told (``/v1/events``).
"""

from typing import Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_instant
from finance import consent_store, store
from market import wire
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import PAGE, Hash, Instant, Number
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse

MOST = 100
"""Consents in force of one seller for one bank; to show more, it shows all."""

LONGEST_S = 366 * 86_400


class ConsentBody(wire.Body, frozen=True):
    """``receivable``: one of one's own; without it all of them, later ones too. At most a year."""

    bank: wire.Id
    until: Instant
    receivable: Hash | None = None


class ConsentShown(msgspec.Struct, frozen=True):
    """A consent, in force until `until` unless `withdrawn` before. `receivable` null: all of the seller's."""

    consent: int
    seller: int
    bank: int
    receivable: Hash | None
    granted: Instant
    until: Instant
    withdrawn: Instant | None


@operation(
    ConsentShown,
    status=201,
    who=MEMBER,
    scope="finance",
    body=ConsentBody,
    refuses=("404 not_found", "409 too_many_consents", "422 bad_time bad_receivable not_a_bank"),
)
async def grant(request: web.Request) -> web.Response:
    """Let a bank see one's own receivables, listed or not, until a time."""
    context, member = request.app[CONTEXT], require(request, scope="finance")
    body = await wire.read(request, ConsentBody)
    now_s, until_s = context.clock.now_s(), wire.instant_s(body.until, "until")
    if not now_s < until_s <= now_s + LONGEST_S:
        raise refuse(422, "bad_time", "a consent ends in the future, within a year", "until")
    bank = context.directory.members.get(body.bank)
    if bank is None or "bank" not in bank.roles or not bank.is_admitted:
        raise refuse(422, "not_a_bank", "only admitted banks can be let see receivables", "bank")
    receivable_id = None
    if body.receivable is not None:
        receivable_id = wire.hex_bytes(body.receivable, 32, "receivable", "bad_receivable")

    def write(connection: Connection) -> Row[Any]:
        if receivable_id is not None:
            row = store.receivable(connection, receivable_id)
            if row is None or row.creditor != member.member_id:
                raise not_found("receivable of yours")
        if consent_store.between(connection, member.member_id, body.bank, now_s) >= MOST:
            raise refuse(409, "too_many_consents", f"{MOST} are in force for this bank; withdraw some, or show all")
        given = {"seller": member.member_id, "bank": body.bank, "receivable_id": receivable_id}
        number = consent_store.add(connection, {**given, "granted_s": now_s, "until_s": until_s})
        made = consent_store.consent(connection, number)
        assert made is not None
        return made

    answer = await context.write_and_answer(write, lambda row: wire.reply(_shown(row), status=201))
    context.poke()
    return answer


@operation(wire.Page[ConsentShown], who=MEMBER, scope="read", query=PAGE)
async def show_all(request: web.Request) -> web.Response:
    """Consents that the member gave or was given, those that ended too, by number."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, *PAGE)
    limit, after = wire.page_limit(parameters), wire.cursor(parameters)
    rows = await context.read(lambda it: consent_store.page(it, member.member_id, after=after, limit=limit))
    return wire.reply(wire.page([_shown(row) for row in rows], rows[-1].consent if len(rows) == limit else None))


@operation(
    ConsentShown, who=MEMBER, scope="finance", path={"consent": Number}, refuses=("400 bad_number", "404 not_found")
)
async def withdraw(request: web.Request) -> web.Response:
    """Take a consent back; the bank sees nothing by it from now on. Once more changes nothing."""
    context, member = request.app[CONTEXT], require(request, scope="finance")
    number, now_s = wire.whole_number(request.match_info["consent"], "consent"), context.clock.now_s()

    def write(connection: Connection) -> Row[Any]:
        row = consent_store.consent(connection, number)
        if row is None or row.seller != member.member_id:
            raise not_found("consent of yours")
        if row.withdrawn_s is None:
            consent_store.withdraw(connection, number, now_s)
        after = consent_store.consent(connection, number)
        assert after is not None
        return after

    answer = await context.write_and_answer(write, lambda row: wire.reply(_shown(row)))
    context.poke()
    return answer


def _shown(row: Row[Any]) -> ConsentShown:
    return ConsentShown(
        consent=row.consent,
        seller=row.seller,
        bank=row.bank,
        receivable=None if row.receivable_id is None else row.receivable_id.hex(),
        granted=format_instant(row.granted_s),
        until=format_instant(row.until_s),
        withdrawn=wire.time_text(row.withdrawn_s),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/consents", grant),
        web.get("/v1/consents", show_all),
        web.delete("/v1/consents/{consent}", withdraw),
    ]
