"""Who members are outside the market: legal name, code, bank account; given by them, confirmed by the operator."""

from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_instant
from finance import registry_store
from finance.particulars import LONGEST_NAME, Particulars, fault_of
from finance.references import member_reference
from market import wire
from market.context import CONTEXT
from market.identity import require, require_fresh
from market.openapi.fields import Instant, Number
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse

_OFFICES = ("custodian", "operator", "regulator")


class ParticularsBody(wire.Body, frozen=True):
    """`code`: unified social credit code or identity number. The bank account is where withdrawals are paid to."""

    legal_name: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
    code: Annotated[str, msgspec.Meta(min_length=18, max_length=18, examples=["91110000600037341L"])]
    account: Annotated[str, msgspec.Meta(max_length=34)] = ""
    bank_name: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] = ""
    bank_code: Annotated[str, msgspec.Meta(max_length=12)] = ""


class ConfirmBody(wire.Body, frozen=True):
    """What the operator has seen papers of."""

    member: wire.Id
    legal_name: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
    code: Annotated[str, msgspec.Meta(max_length=18)]


class ParticularsAnswer(msgspec.Struct, frozen=True):
    """What a member last gave, and when. `reference` is what it quotes when it pays money in.

    Registry and tax invoice know it by what the operator `confirmed`; until then by the name it was admitted under.
    """

    member: int
    reference: str
    particulars: Particulars
    given: Instant
    confirmed: Instant | None


@operation(
    ParticularsAnswer,
    who=MEMBER,
    scope="read",
    query={"member": Number},
    refuses=("400 bad_number", "403 forbidden", "404 not_found"),
)
async def show(request: web.Request) -> web.Response:
    """What the member gave of itself; ``?member=`` is for the custodian, who pays, and for those who oversee."""
    asking, context = require(request, scope="read"), request.app[CONTEXT]
    asked = wire.query(request, "member").get("member")
    member = asking.member_id if asked is None else wire.whole_number(asked, "member")
    if member != asking.member_id and not asking.roles.intersection(_OFFICES):
        raise refuse(403, "forbidden", "these are another member's", "member")
    row = await context.read(lambda connection: registry_store.particulars_of(connection, member))
    if row is None:
        raise not_found("member's particulars")
    return wire.reply(_particulars(row, context.chain.chain_id))


@operation(
    ParticularsAnswer,
    status=201,
    who=MEMBER,
    scope="identity",
    body=ParticularsBody,
    is_sensitive=True,
    refuses=("422 bad_particulars",),
)
async def give(request: web.Request) -> web.Response:
    """Legal name, code and bank account, for registry, tax invoice and payments; what was given before is kept."""
    member, context = require(request, scope="identity"), request.app[CONTEXT]
    require_fresh(request)
    body = await wire.read(request, ParticularsBody)
    given = Particulars(body.legal_name, body.code, body.account, body.bank_name, body.bank_code)
    fault = fault_of(given)
    if fault is not None:
        raise refuse(422, "bad_particulars", fault[1], fault[0])
    values = msgspec.structs.asdict(given) | {"given_s": context.clock.now_s()}

    def write(connection: Connection) -> Row[Any]:
        known = registry_store.particulars_of(connection, member.member_id)
        if known is None or _given(known) != given:
            registry_store.add_particulars(connection, member.member_id, **values)
        kept = registry_store.particulars_of(connection, member.member_id)
        assert kept is not None
        return kept

    return await context.write_and_answer(
        write, lambda row: wire.reply(_particulars(row, context.chain.chain_id), status=201)
    )


@operation(
    ParticularsAnswer,
    who=("operator",),
    scope="office",
    body=ConfirmBody,
    refuses=("404 not_found", "409 changed_meanwhile"),
)
async def confirm(request: web.Request) -> web.Response:
    """The operator has seen papers: this name and code are the member's. They must be what the member last gave."""
    require(request, "operator", scope="office")
    context, body = request.app[CONTEXT], await wire.read(request, ConfirmBody)
    now_s, chain_id = context.clock.now_s(), context.chain.chain_id

    def write(connection: Connection) -> Row[Any]:
        found = registry_store.particulars_of(connection, body.member)
        if found is None:
            raise not_found("member's particulars")
        if (found.legal_name, found.code) != (body.legal_name, body.code):
            raise refuse(409, "changed_meanwhile", "the member gave others since; look at them again")
        registry_store.confirm_particulars(connection, found.number, now_s)
        kept = registry_store.particulars_of(connection, body.member)
        assert kept is not None
        return kept

    return await context.write_and_answer(write, lambda row: wire.reply(_particulars(row, chain_id)))


def _given(row: Row[Any]) -> Particulars:
    return Particulars(row.legal_name, row.code, row.account, row.bank_name, row.bank_code)


def _particulars(row: Row[Any], chain_id: int) -> ParticularsAnswer:
    return ParticularsAnswer(
        row.member_id,
        member_reference(chain_id, row.member_id),
        _given(row),
        format_instant(row.given_s),
        wire.time_text(row.confirmed_s),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/particulars", show),
        web.post("/v1/particulars", give),
        web.post("/v1/particulars/confirmation", confirm),
    ]
