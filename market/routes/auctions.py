"""Auctions: banks bid proceeds for one receivable, and nobody reads a bid before all are in.

A bank makes a salt of its own, sends the hash of its bid (``sale_acts.bid_hash``) with a signature, and shows bid and
salt within the hour after the close. Before the close the market has a hash and nothing else: not even the operator can
read the bid. Every bank that bids keeps its salt: who can not show its bid loses its bond to the seller.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from finance import auction_store, auctions, store
from finance.auction import AuctionState
from finance.auctions import Asked, AuctionBook
from finance.book import refuse as refuse_act
from finance.listing import Viewer
from market import wire
from market.context import CONTEXT, Context
from market.identity import require, require_fresh
from market.openapi.fields import PAGE, FenGiven, Hash, Instant, Number
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
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
    viewer_of,
    word_of,
)
from market.sale_views import YEARS, AuctionBody, LateRequest, auction_body

_NAMED = {"auction": Number}
_REFUSED = (
    "400 bad_number",
    "403 not_a_party forbidden",
    "404 not_found",
    "409 act_pending too_early too_late auction_closed",
    "422 bad_signature bad_time deadline_passed",
)


class OpenRequest(LateRequest, frozen=True):
    """The seller fixes all but the proceeds: the least that it takes, the bond of each bid, when bidding closes."""

    receivable: Hash
    minimum: FenGiven
    bond: FenGiven
    closes: Instant


class BidRequest(SignedBody, frozen=True):
    """The hash of a bid, and the signature over it."""

    bid: Hash


class RevealRequest(wire.Body, frozen=True):
    """Whose bid it is, what it pays, and the salt that hid it."""

    bank: wire.Id
    proceeds: FenGiven
    salt: Hash


class SettleRequest(SignedBody, frozen=True):
    """The hash of the number under which the winner registered its purchase."""

    registration: Hash


class OpenedAnswer(msgspec.Struct, frozen=True):
    """The receivable as it stands; the auction is there when its `act` is through."""

    receivable: ReceivableBody


class AuctionAnswer(msgspec.Struct, frozen=True):
    auction: AuctionBody


def auction_book(context: Context) -> AuctionBook:
    """The auctions of this market."""
    return AuctionBook(context.chain.domain("Sales"), context.outside)


# -------------------------------------------------------------------------------------------------- reading


@operation(
    wire.Page[AuctionBody],
    who=MEMBER,
    scope="read",
    query={"receivable": Hash, "state": AuctionState, **PAGE},
    refuses=("400 bad_parameter", "422 bad_receivable"),
)
async def show_all(request: web.Request) -> web.Response:
    """A seller's own; a bank sees those that run and those that it bid in."""
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    parameters = wire.query(request, "receivable", "state", "limit", "cursor")
    limit, after, now_s = wire.page_limit(parameters), wire.cursor(parameters), context.clock.now_s()
    state, text = one_of(parameters, "state", tuple(AuctionState)), parameters.get("receivable")
    receivable_id = None if text is None else wire.hex_bytes(text, 32, "receivable", "bad_receivable")

    def look(connection: Connection) -> tuple[Sequence[Row[Any]], dict[int, Row[Any]]]:
        rows = auction_store.list_auctions(
            connection, viewer, receivable_id=receivable_id, state=state, after=after, limit=limit
        )
        return rows, auction_store.own_bids(connection, viewer.member, [row.auction for row in rows])

    rows, own = await context.read(look)
    last = rows[-1].auction if len(rows) == limit else None
    items = [auction_body(row, viewer, own.get(row.auction), now_s) for row in rows]
    return wire.reply(wire.page(items, last))


@operation(AuctionAnswer, who=MEMBER, scope="read", path=_NAMED, refuses=("400 bad_number", "404 not_found"))
async def show_one(request: web.Request) -> web.Response:
    """One auction: how many have bid, one's own bid, and after the award what one is told of it."""
    viewer, context, number = viewer_of(require(request, scope="read")), request.app[CONTEXT], _number(request)
    found = await context.read(lambda connection: _look(connection, viewer, number))
    return wire.reply(_answer(found, viewer, context))


def _number(request: web.Request) -> int:
    return wire.whole_number(request.match_info["auction"], "auction")


def _look(connection: Connection, viewer: Viewer, number: int) -> tuple[Row[Any], Row[Any] | None]:
    row = auction_store.seen(connection, viewer, number)
    if row is None:
        raise not_found("auction")
    return row, auction_store.bid_of(connection, number, viewer.member)


def _answer(found: tuple[Row[Any], Row[Any] | None], viewer: Viewer, context: Context) -> AuctionAnswer:
    row, own = found
    return AuctionAnswer(auction_body(row, viewer, own, context.clock.now_s()))


# ---------------------------------------------------------------------------------------------------- acts


@operation(
    OpenedAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    body=OpenRequest,
    is_sensitive=True,
    refuses=(
        *ACT_REFUSED,
        "409 auction_open",
        "422 bad_receivable bad_rate bad_costs bad_minimum bad_bond bad_close",
    ),
)
async def open_one(request: web.Request) -> web.Response:
    """The creditor puts a listed receivable up for auction. The advance is face times `advance_rate`, rounded down."""
    seller = require(request, scope="finance", is_moving=True)
    require_fresh(request)
    body = await wire.read(request, OpenRequest)
    context = request.app[CONTEXT]
    word, asked, now_s = word_of(seller, body), _asked(body), context.clock.now_s()
    receivable_id = wire.hex_bytes(body.receivable, 32, "receivable", "bad_receivable")

    def write(connection: Connection) -> list[Shown]:
        auction_book(context).open(connection, word, receivable_id, asked, now_s=now_s)
        row = store.receivable(connection, receivable_id)
        assert row is not None
        return with_parts(connection, [row])

    def reply(rows: list[Shown]) -> web.Response:
        (receivable,) = shown(rows, word.viewer, today_of(context))
        return wire.reply(OpenedAnswer(receivable), status=202)

    return await attempt(context, write, reply)


def _asked(body: OpenRequest) -> Asked:
    return Asked(
        advance_rate_ppm=rate_ppm(body.advance_rate, "advance_rate"),
        minimum_fen=money_fen(body.minimum, "minimum"),
        bond_fen=money_fen(body.bond, "bond"),
        costs_fen=money_fen(body.costs, "costs"),
        late_rate_ppm=rate_ppm(body.late_rate, "late_rate"),
        year_days=year_of(body.year_days),
        with_recourse=body.recourse,
        closes_s=wire.instant_s(body.closes, "closes"),
    )


def year_of(text: str) -> int:
    """The days of a year of interest. Raises ProblemError ``bad_rate``."""
    if text not in YEARS:
        raise refuse(422, "bad_rate", f"year_days is {' or '.join(YEARS)}", "year_days")
    return int(text)


@operation(
    AuctionAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    path=_NAMED,
    body=SignedBody,
    refuses=(*_REFUSED, "409 has_bids"),
)
async def cancel(request: web.Request) -> web.Response:
    """The seller takes back an auction that nobody has bid in."""
    member, body = require(request, scope="finance", is_moving=True), await wire.read(request, SignedBody)
    word, number, context = word_of(member, body), _number(request), request.app[CONTEXT]
    now_s = context.clock.now_s()
    return await _act(
        request, word.viewer, lambda connection: auction_book(context).cancel(connection, word, number, now_s=now_s)
    )


@operation(
    AuctionAnswer,
    status=202,
    who=("bank",),
    scope="finance",
    path=_NAMED,
    body=BidRequest,
    refuses=(*_REFUSED, "409 bid_twice auction_full", "422 bad_bid no_bid own_receivable insufficient_cash"),
)
async def commit(request: web.Request) -> web.Response:
    """A bank bids, by a hash and its signature; the bond leaves its free cash when the chain has taken it."""
    bank, body = require(request, "bank", scope="finance", is_moving=True), await wire.read(request, BidRequest)
    word, number, context = word_of(bank, body), _number(request), request.app[CONTEXT]
    bid, now_s = wire.hex_bytes(body.bid, 32, "bid", "bad_bid"), context.clock.now_s()
    return await _act(
        request,
        word.viewer,
        lambda connection: auction_book(context).commit(connection, word, number, bid, now_s=now_s),
    )


@operation(
    AuctionAnswer,
    status=202,
    who=MEMBER,
    scope="finance",
    path=_NAMED,
    body=RevealRequest,
    refuses=(*_REFUSED, "422 bad_amount bad_salt wrong_bid"),
)
async def reveal(request: web.Request) -> web.Response:
    """Show a bid within the hour after the close; whoever knows it may. Before the close it is refused and not kept."""
    viewer, body = viewer_of(require(request, scope="finance")), await wire.read(request, RevealRequest)
    number, now_s = _number(request), request.app[CONTEXT].clock.now_s()
    shown = money_fen(body.proceeds, "proceeds"), wire.hex_bytes(body.salt, 32, "salt", "bad_salt")

    def act(connection: Connection) -> None:
        if auction_store.seen(connection, viewer, number) is None:
            refuse_act("not_found", "there is no such auction")
        auctions.reveal(connection, number, body.bank, shown, now_s=now_s)

    return await _act(request, viewer, act)


@operation(
    AuctionAnswer,
    status=202,
    who=("bank",),
    scope="finance",
    path=_NAMED,
    body=SettleRequest,
    refuses=(
        *_REFUSED,
        *OUTSIDE_REFUSED,
        "422 bad_registration insufficient_cash registration_missing registration_too_short",
    ),
)
async def settle(request: web.Request) -> web.Response:
    """The winner pays within a day of the award, its bond counting towards it, and gets the claim."""
    bank, body = require(request, "bank", scope="finance", is_moving=True), await wire.read(request, SettleRequest)
    word, number, context = word_of(bank, body), _number(request), request.app[CONTEXT]
    registration = wire.hex_bytes(body.registration, 32, "registration", "bad_registration")
    now_s = context.clock.now_s()

    def act(connection: Connection) -> None:
        auction_book(context).settle(connection, word, number, registration, now_s=now_s)

    return await _act(request, word.viewer, act)


async def _act(request: web.Request, viewer: Viewer, act: Callable[[Connection], None]) -> web.Response:
    """Do it, and answer with the auction as it stands."""
    context, number = request.app[CONTEXT], _number(request)

    def write(connection: Connection) -> tuple[Row[Any], Row[Any] | None]:
        act(connection)
        return _look(connection, viewer, number)

    return await attempt(context, write, lambda found: wire.reply(_answer(found, viewer, context), status=202))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/auctions", show_all),
        web.post("/v1/auctions", open_one),
        web.get("/v1/auctions/{auction}", show_one),
        web.post("/v1/auctions/{auction}/cancel", cancel),
        web.post("/v1/auctions/{auction}/bids", commit),
        web.post("/v1/auctions/{auction}/reveal", reveal),
        web.post("/v1/auctions/{auction}/settle", settle),
    ]
