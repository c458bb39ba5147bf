"""Receivables: who owes whom, until when; acknowledged, listed, repaid by their parties, seen by banks once listed.

``GET /v1/receivables`` is what a bank pulls: filters, and a cursor that follows the latest change, so that whoever
reads on from the last page sees every later change once. ``updated_after`` includes its own second.
An act is answered 202: its signature is checked here as the contract will check it, and it is on its way to the
chain; the receivable's ``act`` says so until the chain's event is back, or says why the contract refused.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from finance import store
from finance.evidence import WholeEvidence, whole_evidence_of
from finance.listing_store import list_receivables, with_consents
from finance.receivable_evidence import ReceivableEvidence, receivable_evidence
from market import wire
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import PAGE, FenGiven, Hash
from market.openapi.operation import MEMBER, operation
from market.problems import unavailable
from market.receivable_answers import (
    NAMED,
    Books,
    Shown,
    Words,
    act_on_many,
    act_operation,
    asked,
    seen,
    shown,
    signed_act,
    today_of,
    with_parts,
)
from market.receivable_filters import FILTERS, filter_of
from market.receivable_views import (
    ACT_REFUSED,
    OUTSIDE_REFUSED,
    ChangeBody,
    ReceivableBody,
    SignedBody,
    change_body,
    money_fen,
    receivable_id_of,
    viewer_of,
    word_of,
)
from settlement import hexjson
from settlement.chain import ChainUnavailableError
from settlement.event_proof import EventNotProvableError


class RejectBody(SignedBody, frozen=True):
    reason: Words = ""


class AcknowledgeBody(SignedBody, frozen=True):
    receivables: Annotated[list[Hash], msgspec.Meta(max_length=1000)]


class RepayBody(SignedBody, frozen=True):
    amount: FenGiven


class ReceivableWithHistory(msgspec.Struct, frozen=True):
    """A receivable and its changes, the oldest first."""

    receivable: ReceivableBody
    history: list[ChangeBody]


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

    def look(connection: Connection) -> tuple[list[Shown], int | None]:
        seeing = with_consents(connection, viewer, now_s)
        rows, last = list_receivables(connection, seeing, asked, today, after=after, limit=limit)
        return with_parts(connection, rows), last

    rows, last = await context.read(look)
    return wire.reply(wire.page(shown(rows, viewer, today), last))


@operation(ReceivableWithHistory, who=MEMBER, scope="read", path=NAMED, refuses=("404 not_found",))
async def show_one(request: web.Request) -> web.Response:
    """One receivable with its history, each change with its actor and the block that made it.

    Where `part` is a number, `before` and `after` are what is open of that part, in CNY; else they are states.
    """
    viewer, context, receivable_id = (
        viewer_of(require(request, scope="read")),
        request.app[CONTEXT],
        receivable_id_of(request),
    )

    def look(connection: Connection) -> tuple[list[Shown], Sequence[Row[Any]]]:
        row = seen(connection, context, viewer, receivable_id)
        return with_parts(connection, [row]), store.history(connection, receivable_id)

    rows, changes = await context.read(look)
    (body,) = shown(rows, viewer, today_of(context))
    return wire.reply(ReceivableWithHistory(body, [change_body(change) for change in changes]))


@operation(WholeEvidence, who=MEMBER, scope="read", path=NAMED, refuses=("404 not_found",))
async def show_evidence(request: web.Request) -> web.Response:
    """All that it takes to check a receivable without the market; see ``finance/evidence.py``."""
    viewer, context, receivable_id = (
        viewer_of(require(request, scope="read")),
        request.app[CONTEXT],
        receivable_id_of(request),
    )

    def gather(connection: Connection) -> bytes:
        return hexjson.dumps(whole_evidence_of(connection, seen(connection, context, viewer, receivable_id)))

    return await wire.reply_bytes(context.read(gather))


@operation(ReceivableEvidence, who=MEMBER, scope="read", path=NAMED, refuses=("404 not_found", "503 chain_unavailable"))
async def show_package(request: web.Request) -> web.Response:
    """One file to keep: the evidence with every event on the receivable and its block's header; for `jinsha verify`."""
    viewer, context, receivable_id = (
        viewer_of(require(request, scope="read")),
        request.app[CONTEXT],
        receivable_id_of(request),
    )

    def gather(connection: Connection) -> bytes:
        row = seen(connection, context, viewer, receivable_id)
        try:
            return hexjson.dumps(receivable_evidence(connection, context.chain, row))
        except (ChainUnavailableError, EventNotProvableError) as error:
            raise unavailable("chain_unavailable", "the chain does not show its events now; ask again") from error

    return await wire.reply_bytes(context.read(gather))


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
    """The debtor agrees to owe up to 100 receivables, with one signature over them in this order.

    It signs the hash of the collection account too (`GET /v1/market`): paying elsewhere does not discharge it.
    """
    return await _acknowledge(request, under_root=False)


@operation(
    ReceivablesAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    body=AcknowledgeBody,
    refuses=(*ACT_REFUSED, "409 too_many", "422 bad_receivable none_named named_twice"),
)
async def acknowledge_root(request: web.Request) -> web.Response:
    """As above for up to 1,000 receivables, with one signature over the Merkle root of their ids in this order."""
    return await _acknowledge(request, under_root=True)


async def _acknowledge(request: web.Request, *, under_root: bool) -> web.Response:
    member, body = require(request, scope="finance"), await wire.read(request, AcknowledgeBody)
    ids = [
        wire.hex_bytes(each, 32, f"receivables[{index}]", "bad_receivable")
        for index, each in enumerate(body.receivables)
    ]
    word = word_of(member, body)
    today = today_of(request.app[CONTEXT])

    def reply(rows: list[Shown]) -> web.Response:
        return wire.reply(ReceivablesAnswer(shown(rows, word.viewer, today)), status=202)

    def act(books: Books, connection: Connection, now_s: int) -> None:
        acknowledge = books.book.acknowledge_root if under_root else books.book.acknowledge
        acknowledge(connection, word, ids, now_s)

    return await act_on_many(request, ids, act, reply)


@act_operation(RejectBody)
async def reject(request: web.Request) -> web.Response:
    """The debtor does not owe this; the optional ``reason`` stands in the history."""
    member, body = await asked(request, RejectBody)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.book.reject(
            connection, word, receivable_id, body.reason, now_s=now_s
        ),
    )


@act_operation(RejectBody)
async def cancel(request: web.Request) -> web.Response:
    """The creditor takes back what its debtor has not acknowledged; the optional ``reason`` stands in the history."""
    member, body = await asked(request, RejectBody)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.book.cancel(
            connection, word, receivable_id, body.reason, now_s=now_s
        ),
    )


@act_operation(SignedBody, *OUTSIDE_REFUSED, "409 receivable_frozen not_whole past_due")
async def put_up(request: web.Request) -> web.Response:
    """The creditor puts an acknowledged receivable up for sale, if registry and tax invoice are in order.

    What is not on the chain yet goes there first, and its trades are claimed there.
    """
    member, body = await asked(request, SignedBody, is_moving=True)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.book.list_for_sale(
            connection, word, receivable_id, now_s=now_s
        ),
    )


@act_operation(SignedBody)
async def withdraw(request: web.Request) -> web.Response:
    """The creditor takes it back from sale."""
    member, body = await asked(request, SignedBody, is_moving=True)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.book.withdraw(
            connection, word, receivable_id, now_s=now_s
        ),
    )


@act_operation(RepayBody, "422 insufficient_cash")
async def repay(request: web.Request) -> web.Response:
    """The debtor pays ``amount``, whole fen, out of its cash: costs, overdue interest, the advance, the residual."""
    member, body = await asked(request, RepayBody)
    amount_fen = money_fen(body.amount, "amount")
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.book.repay(
            connection, word, receivable_id, amount_fen, now_s=now_s
        ),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/receivables", show_all),
        web.post("/v1/receivables/acknowledge", acknowledge),
        web.post("/v1/receivables/acknowledge-root", acknowledge_root),
        web.get("/v1/receivables/{receivable}", show_one),
        web.get("/v1/receivables/{receivable}/evidence", show_evidence),
        web.get("/v1/receivables/{receivable}/package", show_package),
        web.post("/v1/receivables/{receivable}/reject", reject),
        web.post("/v1/receivables/{receivable}/cancel", cancel),
        web.post("/v1/receivables/{receivable}/list", put_up),
        web.post("/v1/receivables/{receivable}/withdraw", withdraw),
        web.post("/v1/receivables/{receivable}/repay", repay),
    ]
