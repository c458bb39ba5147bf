"""Receivables: who owes whom, until when; acknowledged, listed, repaid by their parties, seen by banks once listed.

``GET /v1/receivables`` is what a bank pulls: filters, and a cursor that follows the latest change, so that whoever
reads on from the last page sees every later change once. ``updated_after`` includes its own second.
An act is answered 202: its signature is checked here as the contract will check it, and it is on its way to the
chain; the receivable's ``act`` says so until the chain's event is back, or says why the contract refused.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from finance import store
from finance.book import Book, Word
from finance.evidence import Evidence, evidence_of
from finance.listing import Viewer
from finance.listing_store import Listed, list_receivables, with_consents
from market import wire
from market.context import CONTEXT, Context
from market.identity import require
from market.openapi.fields import PAGE, FenGiven, Hash
from market.openapi.operation import MEMBER, operation
from market.problems import not_found
from market.receivable_filters import FILTERS, filter_of
from market.receivable_views import (
    ACT_REFUSED,
    OUTSIDE_REFUSED,
    ChangeBody,
    ReceivableBody,
    SignedBody,
    attempt,
    change_body,
    money_fen,
    receivable_body,
    receivable_id_of,
    viewer_of,
    word_of,
)
from settlement import calendar, hexjson

_NAMED = {"receivable": Hash}


class RejectBody(SignedBody, frozen=True):
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class AcknowledgeBody(SignedBody, frozen=True):
    receivables: Annotated[list[Hash], msgspec.Meta(max_length=1000)]


class RepayBody(SignedBody, frozen=True):
    amount: FenGiven


class ReceivableWithHistory(msgspec.Struct, frozen=True):
    """A receivable and its changes, the oldest first."""

    receivable: ReceivableBody
    history: list[ChangeBody]


class ReceivableAnswer(msgspec.Struct, frozen=True):
    """The receivable as it stands; its `act` says what is on its way."""

    receivable: ReceivableBody


class ReceivablesAnswer(msgspec.Struct, frozen=True):
    """The receivables as they stand, in the order they were named."""

    receivables: list[ReceivableBody]


# -------------------------------------------------------------------------------------------------- reading


@operation(
    wire.Page[ReceivableBody],
    who=MEMBER,
    scope="read",
    query={**FILTERS, **PAGE},
    refuses=("400 bad_parameter", "422 bad_amount bad_day bad_time"),
)
async def show_all(request: web.Request) -> web.Response:
    """What the member may see, the longest unchanged first; both ends of ranges are included.

    A page may hold less than its limit, even nothing, where a filter matches few: go on while there is a `next`.
    """
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    parameters = wire.query(request, *FILTERS, "limit", "cursor")
    asked, limit, after = filter_of(parameters), wire.page_limit(parameters), wire.cursor(parameters)
    today = today_of(context)
    now_s = context.clock.now_s()

    def look(connection: Connection) -> Listed:
        seeing = with_consents(connection, viewer, now_s)
        return list_receivables(connection, seeing, asked, today, after=after, limit=limit)

    rows, last = await context.read(look)
    return wire.reply(wire.page([receivable_body(row, viewer, today) for row in rows], last))


@operation(ReceivableWithHistory, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show_one(request: web.Request) -> web.Response:
    """One receivable with its history, each change with its actor and the block that made it."""
    viewer, context, receivable_id = (
        viewer_of(require(request, scope="read")),
        request.app[CONTEXT],
        receivable_id_of(request),
    )

    def look(connection: Connection) -> tuple[Row[Any], Sequence[Row[Any]]]:
        return _seen(connection, context, viewer, receivable_id), store.history(connection, receivable_id)

    row, changes = await context.read(look)
    body = receivable_body(row, viewer, today_of(context))
    return wire.reply(ReceivableWithHistory(body, [change_body(change) for change in changes]))


@operation(Evidence, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show_evidence(request: web.Request) -> web.Response:
    """All that it takes to check a receivable without the market; see ``finance/evidence.py``."""
    viewer, context, receivable_id = (
        viewer_of(require(request, scope="read")),
        request.app[CONTEXT],
        receivable_id_of(request),
    )

    def gather(connection: Connection) -> bytes:
        return hexjson.dumps(evidence_of(connection, _seen(connection, context, viewer, receivable_id)))

    return await wire.reply_bytes(context.read(gather))


def today_of(context: Context) -> date:
    """The local day by the market's clock."""
    return calendar.day_of(context.clock.now_s(), context.config.market.time_zone)


def _seen(connection: Connection, context: Context, viewer: Viewer, receivable_id: bytes) -> Row[Any]:
    row = store.receivable(connection, receivable_id)
    if row is None or not with_consents(connection, viewer, context.clock.now_s()).may_see(row):
        raise not_found("receivable")
    return row


# ----------------------------------------------------------------------------------------------------- acts


@operation(
    ReceivablesAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    body=AcknowledgeBody,
    refuses=(*ACT_REFUSED, "409 too_many", "422 bad_receivable none_named named_twice"),
)
async def acknowledge(request: web.Request) -> web.Response:
    """The debtor agrees to owe up to 100 receivables, with one signature over them in this order."""
    member, body = require(request, scope="finance"), await wire.read(request, AcknowledgeBody)
    ids = [
        wire.hex_bytes(each, 32, f"receivables[{index}]", "bad_receivable")
        for index, each in enumerate(body.receivables)
    ]
    word = word_of(member, body)
    today = today_of(request.app[CONTEXT])

    def reply(rows: list[Row[Any]]) -> web.Response:
        return wire.reply(ReceivablesAnswer([receivable_body(row, word.viewer, today) for row in rows]), status=202)

    def act(book: Book, connection: Connection, now_s: int) -> None:
        book.acknowledge(connection, word, ids, now_s)

    return await _act(request, ids, act, reply)


@operation(ReceivableAnswer, status=202, who=MEMBER, scope="finance", path=_NAMED, body=RejectBody, refuses=ACT_REFUSED)
async def reject(request: web.Request) -> web.Response:
    """The debtor does not owe this; the optional ``reason`` stands in the history."""
    member, body = require(request, scope="finance"), await wire.read(request, RejectBody)
    word, receivable_id = word_of(member, body), receivable_id_of(request)

    def act(book: Book, connection: Connection, now_s: int) -> None:
        book.reject(connection, word, receivable_id, body.reason, now_s=now_s)

    return await _act_on_one(request, word, receivable_id, act)


@operation(
    ReceivableAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    path=_NAMED,
    body=SignedBody,
    refuses=(*ACT_REFUSED, *OUTSIDE_REFUSED),
)
async def put_up(request: web.Request) -> web.Response:
    """The creditor puts an acknowledged receivable up for sale, if registry and tax invoice are in order."""
    return await _set_listed(request, listed=True)


@operation(ReceivableAnswer, status=202, who=MEMBER, scope="finance", path=_NAMED, body=SignedBody, refuses=ACT_REFUSED)
async def withdraw(request: web.Request) -> web.Response:
    """The creditor takes it back."""
    return await _set_listed(request, listed=False)


async def _set_listed(request: web.Request, *, listed: bool) -> web.Response:
    member, body = require(request, scope="finance", is_moving=True), await wire.read(request, SignedBody)
    word, receivable_id = word_of(member, body), receivable_id_of(request)

    def act(book: Book, connection: Connection, now_s: int) -> None:
        book.set_listed(connection, word, receivable_id, listed=listed, now_s=now_s)

    return await _act_on_one(request, word, receivable_id, act)


@operation(
    ReceivableAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    path=_NAMED,
    body=RepayBody,
    refuses=(*ACT_REFUSED, "422 insufficient_cash"),
)
async def repay(request: web.Request) -> web.Response:
    """The debtor pays ``amount``, whole fen, out of its cash."""
    member, body = require(request, scope="finance"), await wire.read(request, RepayBody)
    word, receivable_id = word_of(member, body), receivable_id_of(request)
    amount_fen = money_fen(body.amount, "amount")

    def act(book: Book, connection: Connection, now_s: int) -> None:
        book.repay(connection, word, receivable_id, amount_fen, now_s=now_s)

    return await _act_on_one(request, word, receivable_id, act)


ActOnBook = Callable[[Book, Connection, int], None]


async def _act(
    request: web.Request, ids: Sequence[bytes], act: ActOnBook, reply: Callable[[list[Row[Any]]], web.Response]
) -> web.Response:
    """Run an act in one transaction; ``reply`` with the receivables as they stand after it."""
    context = request.app[CONTEXT]
    book, now_s = (
        Book(context.chain.domain("Receivables"), context.config.market.time_zone, context.outside),
        context.clock.now_s(),
    )

    def write(connection: Connection) -> list[Row[Any]]:
        act(book, connection, now_s)
        found = store.receivables_by_id(connection, ids)
        return [found[each] for each in ids]

    return await attempt(context, write, reply)


async def _act_on_one(request: web.Request, word: Word, receivable_id: bytes, act: ActOnBook) -> web.Response:
    today = today_of(request.app[CONTEXT])

    def reply(rows: list[Row[Any]]) -> web.Response:
        return wire.reply(ReceivableAnswer(receivable_body(rows[0], word.viewer, today)), status=202)

    return await _act(request, [receivable_id], act, reply)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/receivables", show_all),
        web.post("/v1/receivables/acknowledge", acknowledge),
        web.get("/v1/receivables/{receivable}", show_one),
        web.get("/v1/receivables/{receivable}/evidence", show_evidence),
        web.post("/v1/receivables/{receivable}/reject", reject),
        web.post("/v1/receivables/{receivable}/list", put_up),
        web.post("/v1/receivables/{receivable}/withdraw", withdraw),
        web.post("/v1/receivables/{receivable}/repay", repay),
    ]
