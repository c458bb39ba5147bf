"""Offers: a bank quotes on a listed receivable, its seller accepts, and money and claim change hands in one step."""

from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from finance import store
from finance.calendar import DayCount
from finance.offer import Quote
from finance.offers import Added, OfferBook
from market import wire
from market.context import CONTEXT, Context
from market.identity import require, require_fresh
from market.openapi.fields import PAGE, FenGiven, Hash, Number, RateGiven, choice
from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.receivable_answers import Shown, shown, today_of, with_parts
from market.receivable_views import (
    ACT_REFUSED,
    OFFER_STATES,
    OUTSIDE_REFUSED,
    OfferBody,
    ReceivableBody,
    SignedBody,
    attempt,
    money_fen,
    offer_body,
    one_of,
    rate_ppm,
    viewer_of,
    word_of,
)


class OfferRequest(SignedBody, frozen=True):
    """Rates and fee as decimals; the signature is over the amounts that they come to today (``finance/offer.py``)."""

    receivable: Hash
    advance_rate: RateGiven
    rate: RateGiven
    days_basis: Annotated[str, choice(*DayCount)]
    fee: FenGiven
    registration: Hash
    costs: FenGiven = "0"
    late_rate: RateGiven = "0"
    recourse: bool = False


class OfferAnswer(msgspec.Struct, frozen=True):
    offer: OfferBody


class AcceptedAnswer(msgspec.Struct, frozen=True):
    """The offer and its receivable as they stand; the exchange is on its way to the chain."""

    offer: OfferBody
    receivable: ReceivableBody


@operation(
    OfferAnswer,
    status=201,
    who=("bank",),
    scope="finance",
    body=OfferRequest,
    refuses=(
        *ACT_REFUSED,
        "409 too_many",
        "422 bad_receivable bad_registration bad_rate bad_fee bad_costs past_due no_proceeds own_receivable",
    ),
)
async def make(request: web.Request) -> web.Response:
    """A bank offers. The market computes the amounts from the quote; the signature must be over the same ones."""
    bank, body = require(request, "bank", scope="finance"), await wire.read(request, OfferRequest)
    context = request.app[CONTEXT]
    word, quote = word_of(bank, body), _quote(body)
    receivable_id = wire.hex_bytes(body.receivable, 32, "receivable", "bad_receivable")
    added = _added(body)
    book, now_s = offer_book(context), context.clock.now_s()

    def write(connection: Connection) -> Row[Any]:
        made = store.offer(connection, book.make(connection, word, receivable_id, quote, added, now_s=now_s))
        assert made is not None
        return made

    return await attempt(context, write, lambda made: wire.reply(OfferAnswer(offer_body(made, now_s)), status=201))


def offer_book(context: Context) -> OfferBook:
    """The offers of this market."""
    return OfferBook(context.chain.domain("Sales"), context.config.market.time_zone, context.outside)


def _added(body: OfferRequest) -> Added:
    return Added(
        costs_fen=money_fen(body.costs, "costs"),
        late_rate_ppm=rate_ppm(body.late_rate, "late_rate"),
        with_recourse=body.recourse,
        registration=wire.hex_bytes(body.registration, 32, "registration", "bad_registration"),
    )


def _quote(body: OfferRequest) -> Quote:
    if body.days_basis not in tuple(DayCount):
        raise refuse(422, "bad_rate", f"days_basis is {' or '.join(DayCount)}", "days_basis")
    return Quote(
        advance_rate_ppm=rate_ppm(body.advance_rate, "advance_rate"),
        rate_ppm=rate_ppm(body.rate, "rate"),
        day_count=DayCount(body.days_basis),
        fee_fen=money_fen(body.fee, "fee"),
    )


@operation(
    wire.Page[OfferBody],
    who=MEMBER,
    scope="read",
    query={"receivable": Hash, "state": Annotated[str, choice(*OFFER_STATES)], **PAGE},
    refuses=("400 bad_parameter", "422 bad_receivable"),
)
async def show_all(request: web.Request) -> web.Response:
    """A bank's own offers, or those that a seller got; ``?receivable=`` and ``?state=open|accepted|lapsed`` choose."""
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    parameters = wire.query(request, "receivable", "state", "limit", "cursor")
    limit, after, now_s = wire.page_limit(parameters), wire.cursor(parameters), context.clock.now_s()
    state = one_of(parameters, "state", OFFER_STATES)
    text = parameters.get("receivable")
    receivable_id = None if text is None else wire.hex_bytes(text, 32, "receivable", "bad_receivable")
    rows = await context.read(
        lambda connection: store.list_offers(
            connection, viewer, receivable_id=receivable_id, state=state, now_s=now_s, after=after, limit=limit
        )
    )
    last = rows[-1].offer_id if len(rows) == limit else None
    return wire.reply(wire.page([offer_body(row, now_s) for row in rows], last))


@operation(
    AcceptedAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    path={"offer": Number},
    body=SignedBody,
    is_sensitive=True,
    refuses=(
        *ACT_REFUSED,
        *OUTSIDE_REFUSED,
        "400 bad_number",
        "409 not_open",
        "422 insufficient_cash registration_missing registration_too_short",
    ),
)
async def accept(request: web.Request) -> web.Response:
    """The seller takes an offer: its signature over the bank's. Answered 202: the chain makes the exchange."""
    seller = require(request, scope="finance", is_moving=True)
    require_fresh(request)
    body = await wire.read(request, SignedBody)
    context, offer_id = request.app[CONTEXT], wire.whole_number(request.match_info["offer"], "offer")
    word, now_s = word_of(seller, body), context.clock.now_s()
    book = offer_book(context)

    def write(connection: Connection) -> tuple[Row[Any], list[Shown]]:
        offer = book.accept(connection, word, offer_id, now_s)
        row = store.receivable(connection, offer.receivable_id)
        assert row is not None
        return offer, with_parts(connection, [row])

    def reply(done: tuple[Row[Any], list[Shown]]) -> web.Response:
        offer, rows = done
        (receivable,) = shown(rows, word.viewer, today_of(context))
        return wire.reply(AcceptedAnswer(offer_body(offer, now_s), receivable), status=202)

    return await attempt(context, write, reply)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/offers", show_all),
        web.post("/v1/offers", make),
        web.post("/v1/offers/{offer}/accept", accept),
    ]
