"""Receivables that do not simply run to their due day: disputed, demanded and bought back, lost, frozen.

Before a sale a dispute ends in a withdrawal, a concession or the regulator's decision; after it in a payment
(`compensate`). What is overdue and was sold with recourse is bought back on demand; what is lost is declared so, and
written off, by those who own more than half of the claim.
"""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from finance import store
from finance.book import Word
from market import wire
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import FenGiven, Signature
from market.openapi.operation import operation
from market.receivable_answers import (
    NAMED,
    Books,
    ReceivableAnswer,
    Words,
    act_operation,
    asked,
    signed_act,
)
from market.receivable_views import ACT_REFUSED, SignedBody, money_fen

Ruling = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class DisputeBody(SignedBody, frozen=True):
    """`reason` is signed by its Keccak-256 hash; the words stand in the history."""

    reason: Words


class CompensateBody(SignedBody, frozen=True):
    amount: FenGiven


class BuyBackBody(SignedBody, frozen=True):
    """`most` is the highest price that the seller agrees to."""

    most: FenGiven


class OwnerBody(wire.Body, frozen=True):
    """The signature of another owner over the same digest."""

    member: wire.Id
    signature: Signature


class MajorityBody(SignedBody, frozen=True):
    """`others` sign with the same deadline; the nonce is not part of what is signed."""

    others: Annotated[tuple[OwnerBody, ...], msgspec.Meta(max_length=19)] = ()


class RulingBody(SignedBody, frozen=True):
    """`ruling` is the number from `GET /v1/rulings/next`; nonce and deadline are not part of what is signed."""

    ruling: Ruling


class DecideBody(RulingBody, frozen=True):
    void: bool


class FreezeBody(RulingBody, frozen=True):
    frozen: bool


class NextRuling(msgspec.Struct, frozen=True):
    """The number that the regulator's next ruling on a receivable carries."""

    ruling: int


@act_operation(DisputeBody, "409 not_whole")
async def dispute(request: web.Request) -> web.Response:
    """The debtor contests what it acknowledged, while nobody but its creditor has a right in it."""
    member, body = await asked(request, DisputeBody)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.dispute(
            connection, word, receivable_id, body.reason, now_s=now_s
        ),
    )


@act_operation(SignedBody)
async def withdraw_dispute(request: web.Request) -> web.Response:
    """The debtor owes it after all."""
    member, body = await asked(request, SignedBody)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.withdraw_dispute(
            connection, word, receivable_id, now_s=now_s
        ),
    )


@act_operation(SignedBody)
async def concede(request: web.Request) -> web.Response:
    """The creditor gives in: the receivable is void, its period and its trades can be claimed again."""
    member, body = await asked(request, SignedBody)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.concede(
            connection, word, receivable_id, now_s=now_s
        ),
    )


@act_operation(CompensateBody, "422 insufficient_cash")
async def compensate(request: web.Request) -> web.Response:
    """The creditor pays the debtor on account of a receivable that was sold: how a dispute ends then."""
    member, body = await asked(request, CompensateBody, is_moving=True)
    amount_fen = money_fen(body.amount, "amount")
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.compensate(
            connection, word, receivable_id, amount_fen, now_s=now_s
        ),
    )


@act_operation(SignedBody, "409 no_recourse", "403 not_a_holder")
async def demand(request: web.Request) -> web.Response:
    """A holder asks the seller to buy back what is overdue and was sold with recourse."""
    member, body = await asked(request, SignedBody)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.demand(
            connection, word, receivable_id, now_s=now_s
        ),
    )


@act_operation(BuyBackBody, "409 receivable_frozen nothing_open", "422 price_above_most insufficient_cash")
async def buy_back(request: web.Request) -> web.Response:
    """The seller pays costs, interest and advance as of the day, and has the holder's claim back."""
    member, body = await asked(request, BuyBackBody, is_moving=True)
    most_fen = money_fen(body.most, "most")
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.buy_back(
            connection, word, receivable_id, most_fen, now_s=now_s
        ),
    )


@act_operation(MajorityBody, "409 too_early", "403 no_majority", "422 named_twice")
async def declare_default(request: web.Request) -> web.Response:
    """Those who own more than half of the claim declare a default, at the earliest 31 days after the due day."""
    member, body = await asked(request, MajorityBody)
    others = _others(body)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.declare_default(
            connection, word, receivable_id, others, now_s=now_s
        ),
    )


@act_operation(MajorityBody, "403 no_majority", "422 named_twice")
async def write_off(request: web.Request) -> web.Response:
    """The same expect nothing more; what is paid later is recovered."""
    member, body = await asked(request, MajorityBody)
    others = _others(body)
    return await signed_act(
        request,
        member,
        body,
        lambda books, connection, word, receivable_id, now_s: books.fates.write_off(
            connection, word, receivable_id, others, now_s=now_s
        ),
    )


def _others(body: MajorityBody) -> dict[int, bytes]:
    return {each.member: wire.signature(each.signature) for each in body.others}


# ------------------------------------------------------------------------------------------- the regulator

_RULES = ("regulator",)


@operation(NextRuling, who=_RULES, scope="office", refuses=("403 forbidden",))
async def next_ruling(request: web.Request) -> web.Response:
    """The number that the next ruling carries: rulings are counted on the chain."""
    require(request, *_RULES, scope="office")
    return wire.reply(NextRuling(await request.app[CONTEXT].read(store.next_ruling)))


@operation(
    ReceivableAnswer,
    status=202,
    who=_RULES,
    scope="office",
    path=NAMED,
    body=DecideBody,
    refuses=(*ACT_REFUSED, "409 index_out_of_order"),
)
async def decide(request: web.Request) -> web.Response:
    """The regulator ends a dispute: void, or owed as acknowledged."""
    member, body = await asked(request, DecideBody, *_RULES, scope="office")

    def carry(books: Books, connection: Connection, word: Word, receivable_id: bytes, now_s: int) -> None:
        books.fates.decide(connection, word, receivable_id, body.ruling, is_void=body.void, now_s=now_s)

    return await signed_act(request, member, body, carry)


@operation(
    ReceivableAnswer,
    status=202,
    who=_RULES,
    scope="office",
    path=NAMED,
    body=FreezeBody,
    refuses=(*ACT_REFUSED, "409 index_out_of_order"),
)
async def freeze(request: web.Request) -> web.Response:
    """The regulator stops every sale and move of parts, or ends that; the debtor may pay meanwhile."""
    member, body = await asked(request, FreezeBody, *_RULES, scope="office")

    def carry(books: Books, connection: Connection, word: Word, receivable_id: bytes, now_s: int) -> None:
        books.fates.set_frozen(connection, word, receivable_id, body.ruling, frozen=body.frozen, now_s=now_s)

    return await signed_act(request, member, body, carry)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/receivables/{receivable}/dispute", dispute),
        web.post("/v1/receivables/{receivable}/withdraw-dispute", withdraw_dispute),
        web.post("/v1/receivables/{receivable}/concede", concede),
        web.post("/v1/receivables/{receivable}/compensate", compensate),
        web.post("/v1/receivables/{receivable}/demand", demand),
        web.post("/v1/receivables/{receivable}/buy-back", buy_back),
        web.post("/v1/receivables/{receivable}/declare-default", declare_default),
        web.post("/v1/receivables/{receivable}/write-off", write_off),
        web.get("/v1/rulings/next", next_ruling),
        web.post("/v1/receivables/{receivable}/decide", decide),
        web.post("/v1/receivables/{receivable}/freeze", freeze),
    ]
