"""Between HTTP and selling: auctions, bids and programs as answers, and what their requests share.

Nobody is shown what another bid: before the award only how many have, after it who won and what it pays, and that only
to the seller and to the winner. A bank that lost learns that it lost.
"""

from typing import Annotated, Any

import msgspec
from sqlalchemy import Row

from data.units import format_instant
from finance.auction import AuctionState, Phase, phase
from finance.book import is_on_its_way
from finance.listing import Viewer
from finance.offer import format_rate
from finance.programs import Fitting, PriceKept
from market import wire
from market.openapi.fields import Day, Fen, FenGiven, Hash, Instant, Rate, RateGiven, choice
from market.receivable_views import ActBody, SignedBody, fen_text
from settlement.sale_acts import REVEAL_S, PriceRow

YEARS = ("360", "365")
PROGRAM_STATES = ("drafted", "open", "cancelled", "expired")


class LateRequest(SignedBody, frozen=True):
    """What a sale adds when it is paid late; `year_days` is the year of that interest."""

    advance_rate: RateGiven
    year_days: Annotated[str, choice(*YEARS)]
    costs: FenGiven
    late_rate: RateGiven
    recourse: bool


# -------------------------------------------------------------------------------------------------- auctions


class BidBody(msgspec.Struct, frozen=True):
    """One's own bid. `proceeds` is null until the chain has shown it; `bid` is the hash that was committed to."""

    bid: Hash
    state: Annotated[str, choice("waiting", "refused", "committed", "revealed", "won", "lost", "forfeited")]
    bond: Annotated[str, choice("sent", "held", "returned", "forfeited")]
    proceeds: Fen | None
    refusal: str | None


class AuctionBody(msgspec.Struct, frozen=True):
    """An auction; `winner` and `proceeds` are shown to the seller and to the winner, `bid` is one's own.

    `phase` is what can be done now: bids until `closes`, reveals until `reveal_until`, the winner pays until `pay_by`.
    """

    auction: int
    receivable: Hash
    seller: int
    state: AuctionState
    phase: Phase
    advance_rate: Rate
    advance: Fen
    minimum: Fen
    bond: Fen
    costs: Fen
    late_rate: Rate
    year_days: int
    recourse: bool
    closes: Instant
    reveal_until: Instant
    pay_by: Instant | None
    bids: int
    winner: int | None
    proceeds: Fen | None
    bid: BidBody | None
    act: ActBody | None


def auction_body(row: Row[Any], viewer: Viewer, own: Row[Any] | None, now_s: int) -> AuctionBody:
    """An auction as this viewer may see it; ``own`` is its own bid."""
    knows = viewer.member in (row.seller, row.winner)
    return AuctionBody(
        auction=row.auction,
        receivable=row.receivable_id.hex(),
        seller=row.seller,
        state=AuctionState(row.state),
        phase=phase(row.state, row.closes_s, row.pay_by_s, now_s),
        advance_rate=format_rate(row.advance_rate_ppm),
        advance=fen_text(row.advance_fen),
        minimum=fen_text(row.minimum_fen),
        bond=fen_text(row.bond_fen),
        costs=fen_text(row.costs_fen),
        late_rate=format_rate(row.late_rate_ppm),
        year_days=row.year_days,
        recourse=row.with_recourse,
        closes=format_instant(row.closes_s),
        reveal_until=format_instant(row.closes_s + REVEAL_S),
        pay_by=None if row.pay_by_s is None else format_instant(row.pay_by_s),
        bids=row.bids,
        winner=row.winner if knows else None,
        proceeds=_fen(row.proceeds_fen) if knows else None,
        bid=None if own is None else _bid_body(row, own),
        act=act_of(row, "auction"),
    )


def _bid_body(row: Row[Any], own: Row[Any]) -> BidBody:
    return BidBody(own.bid.hex(), _bid_state(row, own), own.bond, _fen(own.proceeds_fen), own.act_refusal)


def _bid_state(row: Row[Any], own: Row[Any]) -> str:
    """Where a bank's own bid stands."""
    if own.place is None:
        return "waiting" if is_on_its_way(own) else "refused"
    if own.bond == "forfeited":
        return "forfeited"
    if row.state == AuctionState.OPEN:
        return "committed" if own.proceeds_fen is None else "revealed"
    return "won" if row.winner == own.bank else "lost"


def act_of(row: Row[Any], name: str) -> ActBody | None:
    """What is on its way to the chain for a row, or was refused."""
    if row.act_outbox is None:
        return None
    return ActBody(name, "waiting" if is_on_its_way(row) else "refused", row.act_refusal)


def _fen(amount_fen: int | None) -> str | None:
    return None if amount_fen is None else fen_text(amount_fen)


# -------------------------------------------------------------------------------------------------- programs


class PriceGiven(wire.Body, frozen=True):
    """A yearly rate for debtors of a rating, for what falls due within so many days."""

    rating: Annotated[str, msgspec.Meta(min_length=1, max_length=10)]
    max_days: Annotated[int, msgspec.Meta(ge=1, le=366)]
    rate: RateGiven


class PriceBody(msgspec.Struct, frozen=True):
    rating: str
    max_days: int
    rate: Rate


class RowBody(msgspec.Struct, frozen=True):
    """One row of a program's table as its bank signs it; `rate_ppm` is what stands in the leaf."""

    debtor: int
    max_days: int
    rate: Rate
    rate_ppm: int


class ProgramBody(msgspec.Struct, frozen=True):
    """A program as its bank sees it: `root` is that of its `rows`, `digest` what the bank signs."""

    program: int
    bank: int
    state: Annotated[str, choice(*PROGRAM_STATES)]
    prices: list[PriceBody]
    rows: int
    root: Hash
    digest: Hash
    advance_rate: Rate
    limit: Fen
    drawn: Fen
    fee: Fen
    costs: Fen
    late_rate: Rate
    year_days: int
    recourse: bool
    registration: Hash
    nonce: int
    deadline: Instant
    act: ActBody | None


class FittingBody(msgspec.Struct, frozen=True):
    """What a program gives for a receivable today, and what its seller signs over: `digest` names the program."""

    program: int
    bank: int
    digest: Hash
    rate: Rate
    max_days: int
    advance: Fen
    discount: Fen
    fee: Fen
    proceeds: Fen
    residual: Fen
    costs: Fen
    late_rate: Rate
    year_days: int
    recourse: bool
    today: Day


def program_body(row: Row[Any], count: int, now_s: int) -> ProgramBody:
    """A program as it is answered to its bank."""
    is_over = row.state != "cancelled" and row.expires_s < now_s
    prices = msgspec.json.decode(row.prices, type=list[PriceKept])
    return ProgramBody(
        program=row.program,
        bank=row.bank,
        state="expired" if is_over else row.state,
        prices=[PriceBody(each.rating, each.max_days, each.rate) for each in prices],
        rows=count,
        root=row.root.hex(),
        digest=row.digest.hex(),
        advance_rate=format_rate(row.advance_rate_ppm),
        limit=fen_text(row.limit_fen),
        drawn=fen_text(row.drawn_fen),
        fee=fen_text(row.fee_fen),
        costs=fen_text(row.costs_fen),
        late_rate=format_rate(row.late_rate_ppm),
        year_days=row.year_days,
        recourse=row.with_recourse,
        registration=row.registration.hex(),
        nonce=row.nonce,
        deadline=format_instant(row.expires_s),
        act=act_of(row, "cancel"),
    )


def row_body(row: PriceRow) -> RowBody:
    """A row as it is answered."""
    return RowBody(row.debtor, row.max_days, format_rate(row.rate_ppm), row.rate_ppm)


def fitting_body(found: Fitting, today: str) -> FittingBody:
    """What a program gives today."""
    program, row, terms = found
    return FittingBody(
        program=program.program,
        bank=program.bank,
        digest=program.digest.hex(),
        rate=format_rate(row.rate_ppm),
        max_days=row.max_days,
        advance=fen_text(terms.advance_fen),
        discount=fen_text(terms.discount_fen),
        fee=fen_text(terms.fee_fen),
        proceeds=fen_text(terms.proceeds_fen),
        residual=fen_text(terms.residual_fen),
        costs=fen_text(program.costs_fen),
        late_rate=format_rate(program.late_rate_ppm),
        year_days=program.year_days,
        recourse=program.with_recourse,
        today=today,
    )
