"""Programs: a bank's standing word to finance what fits its price table, and sellers that draw on it.

``POST /v1/programs`` writes the table out for each debtor that the bank's criteria and the ratings let in. The bank
reads the rows, computes their root itself (``finance.program.root_of``), and signs the digest: only then is it open.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from finance import program_store, store
from finance.credit import store as credit_store
from finance.program import MOST_PRICES, Conditions, Price
from finance.programs import Fitting, Posted, ProgramBook
from market import wire
from market.context import CONTEXT, Context
from market.identity import require, require_fresh
from market.openapi.fields import PAGE, FenGiven, Hash, Instant, Number, RateGiven, Signature, choice
from market.openapi.operation import MEMBER, operation
from market.problems import not_found
from market.receivable_answers import Shown, shown, today_of, with_parts
from market.receivable_views import (
    ACT_REFUSED,
    OUTSIDE_REFUSED,
    ReceivableBody,
    SignedBody,
    attempt,
    money_fen,
    one_of,
    rate_ppm,
    receivable_id_of,
    viewer_of,
    word_of,
)
from market.routes.auctions import year_of
from market.sale_views import (
    PROGRAM_STATES,
    YEARS,
    FittingBody,
    PriceGiven,
    ProgramBody,
    RowBody,
    fitting_body,
    program_body,
    row_body,
)

_NAMED = {"program": Number}
_BANK_REFUSED = ("400 bad_number", "404 not_found", "422 bad_signature bad_time deadline_passed")


class ProgramRequest(wire.Body, frozen=True):
    """What a bank will sign once it has read the rows; `registration` covers all draws and no other sale."""

    advance_rate: RateGiven
    year_days: Annotated[str, choice(*YEARS)]
    prices: Annotated[list[PriceGiven], msgspec.Meta(max_length=MOST_PRICES)]
    limit: FenGiven
    fee: FenGiven
    costs: FenGiven
    late_rate: RateGiven
    recourse: bool
    registration: Hash
    nonce: wire.Id
    deadline: Instant


class ProgramSignature(wire.Body, frozen=True):
    """Over the program's digest."""

    signature: Signature


class CancelRequest(wire.Body, frozen=True):
    """A signature over `CancelProgram` with this deadline; the nonce that it uses up is the program's."""

    deadline: Instant
    signature: Signature


class DrawRequest(SignedBody, frozen=True):
    """The receivable, and the least proceeds that its seller takes for it."""

    receivable: Hash
    minimum: FenGiven


class ProgramAnswer(msgspec.Struct, frozen=True):
    program: ProgramBody


class DrawnAnswer(msgspec.Struct, frozen=True):
    """The receivable as it stands; the exchange is on its way to the chain."""

    receivable: ReceivableBody


class FittingAnswer(msgspec.Struct, frozen=True):
    """The programs that would finance it today, the one that pays most first."""

    programs: list[FittingBody]


def program_book(context: Context) -> ProgramBook:
    """The programs of this market."""
    return ProgramBook(context.chain.domain("Sales"), context.config.market.time_zone, context.outside)


# ---------------------------------------------------------------------------------------------------- banks


@operation(
    ProgramAnswer,
    status=201,
    who=("bank",),
    scope="finance",
    body=ProgramRequest,
    refuses=(
        "409 registration_used",
        "422 bad_time deadline_passed bad_amount bad_rate bad_fee bad_costs bad_limit bad_prices no_rows",
        "422 bad_registration",
    ),
)
async def draft(request: web.Request) -> web.Response:
    """Write out a price table for each debtor that is let in; the same nonce again answers with the same program."""
    bank, body = require(request, "bank", scope="finance"), await wire.read(request, ProgramRequest)
    context, posted = request.app[CONTEXT], _posted(body)
    now_s = context.clock.now_s()

    def write(connection: Connection) -> tuple[Row[Any], int]:
        ratings = credit_store.latest_ratings(connection)
        number = program_book(context).draft(connection, bank.member_id, posted, ratings, now_s=now_s)
        return _own(connection, bank.member_id, number)

    return await attempt(context, write, lambda found: wire.reply(_answer(found, now_s), status=201))


def _posted(body: ProgramRequest) -> Posted:
    return Posted(
        prices=[
            Price(each.rating, each.max_days, rate_ppm(each.rate, f"prices[{at}].rate"))
            for at, each in enumerate(body.prices)
        ],
        conditions=Conditions(
            rate_ppm(body.advance_rate, "advance_rate"), money_fen(body.fee, "fee"), year_of(body.year_days)
        ),
        limit_fen=money_fen(body.limit, "limit"),
        costs_fen=money_fen(body.costs, "costs"),
        late_rate_ppm=rate_ppm(body.late_rate, "late_rate"),
        with_recourse=body.recourse,
        registration=wire.hex_bytes(body.registration, 32, "registration", "bad_registration"),
        nonce=body.nonce,
        expires_s=wire.instant_s(body.deadline, "deadline"),
    )


def _own(connection: Connection, bank: int, number: int) -> tuple[Row[Any], int]:
    row = program_store.program(connection, number)
    if row is None or row.bank != bank:
        raise not_found("program")
    return row, program_store.count_rows(connection, number)


def _answer(found: tuple[Row[Any], int], now_s: int) -> ProgramAnswer:
    return ProgramAnswer(program_body(*found, now_s))


@operation(
    wire.Page[ProgramBody],
    who=("bank",),
    scope="read",
    query={"state": Annotated[str, choice(*PROGRAM_STATES)], **PAGE},
    refuses=("400 bad_parameter",),
)
async def show_all(request: web.Request) -> web.Response:
    """A bank's own programs."""
    bank, context = require(request, "bank", scope="read"), request.app[CONTEXT]
    parameters = wire.query(request, "state", "limit", "cursor")
    limit, after, now_s = wire.page_limit(parameters), wire.cursor(parameters), context.clock.now_s()
    state = one_of(parameters, "state", PROGRAM_STATES)

    def look(connection: Connection) -> list[tuple[Row[Any], int]]:
        rows = program_store.list_programs(
            connection, bank.member_id, state=state, now_s=now_s, after=after, limit=limit
        )
        return [(row, program_store.count_rows(connection, row.program)) for row in rows]

    found = await context.read(look)
    last = found[-1][0].program if len(found) == limit else None
    return wire.reply(wire.page([program_body(*each, now_s) for each in found], last))


@operation(ProgramAnswer, who=("bank",), scope="read", path=_NAMED, refuses=("400 bad_number", "404 not_found"))
async def show_one(request: web.Request) -> web.Response:
    """One of a bank's own programs, and how much of its limit is drawn."""
    bank, context, number = require(request, "bank", scope="read"), request.app[CONTEXT], _number(request)
    found = await context.read(lambda connection: _own(connection, bank.member_id, number))
    return wire.reply(_answer(found, context.clock.now_s()))


def _number(request: web.Request) -> int:
    return wire.whole_number(request.match_info["program"], "program")


@operation(
    wire.Page[RowBody],
    who=("bank",),
    scope="read",
    path=_NAMED,
    query=PAGE,
    refuses=("400 bad_number bad_parameter", "404 not_found"),
)
async def show_rows(request: web.Request) -> web.Response:
    """The rows of a program in the order of their leaves: a bank signs their root when it agrees with every one."""
    bank, context, number = require(request, "bank", scope="read"), request.app[CONTEXT], _number(request)
    parameters = wire.query(request, "limit", "cursor")
    limit, after = wire.page_limit(parameters), wire.cursor(parameters)

    def look(connection: Connection) -> list[Any]:
        _own(connection, bank.member_id, number)
        return program_store.rows_of(connection, number, after=max(after, 0), limit=limit)

    rows = await context.read(look)
    last = max(after, 0) + limit if len(rows) == limit else None
    return wire.reply(wire.page([row_body(row) for row in rows], last))


@operation(
    ProgramAnswer,
    who=("bank",),
    scope="finance",
    path=_NAMED,
    body=ProgramSignature,
    refuses=("400 bad_number", "404 not_found", "409 not_open", "422 bad_signature"),
)
async def sign(request: web.Request) -> web.Response:
    """The bank's signature over the digest: from now on sellers draw on it."""
    bank, body = require(request, "bank", scope="finance", is_moving=True), await wire.read(request, ProgramSignature)
    context, number, signature = request.app[CONTEXT], _number(request), wire.signature(body.signature)
    now_s = context.clock.now_s()

    def write(connection: Connection) -> tuple[Row[Any], int]:
        program_book(context).sign(connection, bank.member_id, number, signature, now_s=now_s)
        return _own(connection, bank.member_id, number)

    return await attempt(context, write, lambda found: wire.reply(_answer(found, now_s)))


@operation(
    ProgramAnswer,
    status=202,
    who=("bank",),
    scope="finance",
    path=_NAMED,
    body=CancelRequest,
    refuses=(*_BANK_REFUSED, "409 act_pending"),
)
async def cancel(request: web.Request) -> web.Response:
    """The bank ends its program; nothing more is drawn once this is sent."""
    bank, body = require(request, "bank", scope="finance"), await wire.read(request, CancelRequest)
    context, number, signature = request.app[CONTEXT], _number(request), wire.signature(body.signature)
    deadline_s, now_s = wire.instant_s(body.deadline, "deadline"), context.clock.now_s()

    def write(connection: Connection) -> tuple[Row[Any], int]:
        program_book(context).cancel(connection, bank.member_id, number, signature, deadline_s, now_s=now_s)
        return _own(connection, bank.member_id, number)

    return await attempt(context, write, lambda found: wire.reply(_answer(found, now_s), status=202))


# -------------------------------------------------------------------------------------------------- sellers


@operation(FittingAnswer, who=MEMBER, scope="read", path={"receivable": Hash}, refuses=("404 not_found",))
async def fitting(request: web.Request) -> web.Response:
    """What the banks' programs would give its seller for a receivable today; nobody else is told."""
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    receivable_id, now_s = receivable_id_of(request), context.clock.now_s()

    def look(connection: Connection) -> Sequence[Fitting]:
        row = store.receivable(connection, receivable_id)
        if row is None or row.creditor != viewer.member or not viewer.may_see(row):
            raise not_found("receivable")
        return program_book(context).fitting(connection, row, now_s)

    found, today = await context.read(look), today_of(context).isoformat()
    return wire.reply(FittingAnswer([fitting_body(each, today) for each in found]))


@operation(
    DrawnAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    path=_NAMED,
    body=DrawRequest,
    is_sensitive=True,
    refuses=(
        *ACT_REFUSED,
        *OUTSIDE_REFUSED,
        "400 bad_number",
        "409 not_open auction_open past_due",
        "422 bad_receivable insufficient_cash own_receivable limit_reached below_minimum bad_costs not_eligible",
        "422 no_price no_proceeds",
    ),
)
async def draw(request: web.Request) -> web.Response:
    """The seller draws: its listed receivable for what the program pays today, at least `minimum`."""
    seller = require(request, scope="finance", is_moving=True)
    require_fresh(request)
    body = await wire.read(request, DrawRequest)
    word, number, context = word_of(seller, body), _number(request), request.app[CONTEXT]
    receivable_id = wire.hex_bytes(body.receivable, 32, "receivable", "bad_receivable")
    minimum_fen, now_s = money_fen(body.minimum, "minimum"), context.clock.now_s()

    def write(connection: Connection) -> list[Shown]:
        program_book(context).draw(connection, word, number, receivable_id, minimum_fen, now_s=now_s)
        row = store.receivable(connection, receivable_id)
        assert row is not None
        return with_parts(connection, [row])

    def reply(rows: list[Shown]) -> web.Response:
        (receivable,) = shown(rows, word.viewer, today_of(context))
        return wire.reply(DrawnAnswer(receivable), status=202)

    return await attempt(context, write, reply)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/programs", show_all),
        web.post("/v1/programs", draft),
        web.get("/v1/programs/{program}", show_one),
        web.get("/v1/programs/{program}/rows", show_rows),
        web.post("/v1/programs/{program}/sign", sign),
        web.post("/v1/programs/{program}/cancel", cancel),
        web.post("/v1/programs/{program}/draws", draw),
        web.get("/v1/receivables/{receivable}/programs", fitting),
    ]
