"""The tax invoice (数电发票) of a receivable: recorded by its seller, verified with the tax office."""

from datetime import date
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_instant
from finance import fapiao, outside, registry_store
from finance.fapiao import Fapiao, State
from finance.outside import Outside
from finance.registry import Named, RegistryError
from market import wire
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import Day, Fen, FenGiven, Hash, Instant, choice
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse, unavailable
from market.receivable_answers import seen, today_of
from market.receivable_views import fen_text, money_fen, receivable_id_of, viewer_of

_NAMED = {"receivable": Hash}
_FIELDS = {"bad_fapiao": "number", "fapiao_amount": "total", "fapiao_party": "seller"}
_REPLACEABLE = ("issued", "acknowledged")
"""States in which a seller may still record another invoice; one that was refused it may replace in any."""


class PartyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party as it stands on the invoice; `code` is its taxpayer number, empty for a person who gave none."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=140)]
    code: Annotated[str, msgspec.Meta(max_length=18, pattern="^[0-9A-Z]*$")] = ""


class FapiaoBody(wire.Body, frozen=True):
    """`net` without tax, `tax`, and `total`, which is the receivable's face."""

    number: Annotated[str, msgspec.Meta(min_length=20, max_length=20, examples=["26352000000000000017"])]
    issued: Day
    net: FenGiven
    tax: FenGiven
    total: FenGiven
    seller: PartyBody
    buyer: PartyBody


class FapiaoShown(msgspec.Struct, frozen=True):
    """`verified` is when the tax office's answer was read; `reason` is that of a refusal."""

    receivable: Hash
    number: str
    issued: Day
    net: Fen
    tax: Fen
    total: Fen
    seller: PartyBody
    buyer: PartyBody
    state: Annotated[str, choice("unverified", "verified", "refused")]
    reason: str
    recorded: Instant
    verified: Instant | None


@operation(FapiaoShown, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show(request: web.Request) -> web.Response:
    """The tax invoice of a receivable, to all who see the receivable."""
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    receivable_id = receivable_id_of(request)

    def look(connection: Connection) -> Row[Any]:
        seen(connection, context, viewer, receivable_id)
        found = registry_store.fapiao_of(connection, receivable_id)
        if found is None:
            raise not_found("tax invoice")
        return found

    return wire.reply(_shown(await context.read(look)))


@operation(
    FapiaoShown,
    status=201,
    who=MEMBER,
    scope="finance",
    path=_NAMED,
    body=FapiaoBody,
    refuses=(
        "403 not_a_party",
        "404 not_found",
        "409 fapiao_used fapiao_recorded",
        "422 bad_amount bad_day bad_fapiao fapiao_amount fapiao_party",
        "503 registry_unavailable",
    ),
)
async def record(request: web.Request) -> web.Response:
    """The seller records the invoice; the tax office is asked at once, and again when the same is recorded again.

    Its total is the face: tax included, in whole fen; what was below a fen is invoiced in the period it is carried to.
    """
    member, context = require(request, scope="finance"), request.app[CONTEXT]
    viewer, receivable_id = viewer_of(member), receivable_id_of(request)
    said = _said(await wire.read(request, FapiaoBody))
    now_s, today = context.clock.now_s(), today_of(context)

    def write(connection: Connection) -> Row[Any]:
        row = seen(connection, context, viewer, receivable_id)
        if member.member_id != row.creditor:
            raise refuse(403, "not_a_party", "the seller records its invoice")
        barred = fapiao.refusal_of(said, outside.owed_of(connection, row), today)
        if barred is not None:
            raise refuse(422, barred.code, barred.reason, _FIELDS[barred.code])
        _put(connection, row, said, now_s)
        _verify(connection, context.outside, said, now_s)
        kept = registry_store.fapiao_of(connection, receivable_id)
        assert kept is not None
        return kept

    return await context.write_and_answer(write, lambda row: wire.reply(_shown(row), status=201))


def _said(body: FapiaoBody) -> Fapiao:
    try:
        issued = date.fromisoformat(body.issued)
    except ValueError as error:
        raise refuse(422, "bad_day", f"{body.issued[:40]!r} is no day such as 2026-07-01", "issued") from error
    return Fapiao(
        body.number,
        issued,
        money_fen(body.net, "net"),
        money_fen(body.tax, "tax"),
        money_fen(body.total, "total"),
        Named(body.seller.name, body.seller.code),
        Named(body.buyer.name, body.buyer.code),
    )


def _put(connection: Connection, row: Row[Any], said: Fapiao, now_s: int) -> None:
    """Keep the invoice, unless it is the one that is kept. Raises ProblemError."""
    known = registry_store.fapiao_by_number(connection, said.number)
    if known is not None:
        if known.receivable_id != row.receivable_id or known.state == "replaced" or outside.said_of(known) != said:
            raise refuse(409, "fapiao_used", "this number has been recorded otherwise", "number")
        return
    before = registry_store.fapiao_of(connection, row.receivable_id)
    if before is not None:
        if before.state != "refused" and row.state not in _REPLACEABLE:
            raise refuse(409, "fapiao_recorded", f"invoice {before.number} stands for it, and it is {row.state}")
        registry_store.set_fapiao(connection, before.number, state="replaced")
    registry_store.add_fapiao(
        connection,
        number=said.number,
        receivable_id=row.receivable_id,
        issue_day=said.issued.isoformat(),
        net_fen=said.net_fen,
        tax_fen=said.tax_fen,
        total_fen=said.total_fen,
        seller_name=said.seller.name,
        seller_code=said.seller.code,
        buyer_name=said.buyer.name,
        buyer_code=said.buyer.code,
        state="unverified",
        reason="",
        recorded_s=now_s,
    )


def _verify(connection: Connection, checks: Outside, said: Fapiao, now_s: int) -> None:
    try:
        state: State
        state, reason = checks.judge(said)
    except RegistryError as error:
        raise unavailable("registry_unavailable", str(error), 60) from error
    verified_s = None if state == "unverified" else now_s
    registry_store.set_fapiao(connection, said.number, state=state, reason=reason, verified_s=verified_s)


def _shown(row: Row[Any]) -> FapiaoShown:
    return FapiaoShown(
        receivable=row.receivable_id.hex(),
        number=row.number,
        issued=row.issue_day,
        net=fen_text(row.net_fen),
        tax=fen_text(row.tax_fen),
        total=fen_text(row.total_fen),
        seller=PartyBody(row.seller_name, row.seller_code),
        buyer=PartyBody(row.buyer_name, row.buyer_code),
        state=row.state,
        reason=row.reason,
        recorded=format_instant(row.recorded_s),
        verified=wire.time_text(row.verified_s),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/receivables/{receivable}/fapiao", show),
        web.post("/v1/receivables/{receivable}/fapiao", record),
    ]
