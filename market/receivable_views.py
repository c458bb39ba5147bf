"""Between HTTP and finance: who asks, what a member signed, refusals as problems, receivables and offers as answers."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import FEN_DECIMALS, UnitError, format_instant, format_steps, parse_money_fen
from finance import offer
from finance.book import RefusedError, Word, is_on_its_way
from finance.calendar import DayCount
from finance.life import FinancedReceivable
from finance.listing import Viewer
from finance.offer import OfferError, Terms
from finance.offers import QuotedTerms
from finance.parts import Part
from finance.receivable import IllegalTransitionError, Standing, State, standing
from finance.rows import restore
from finance.waterfall import accrue
from market import wire
from market.context import Context
from market.identity import Member
from market.openapi.fields import Day, Fen, Hash, Instant, Rate, Signature, choice
from market.problems import ProblemError, not_found, refuse, unavailable

T = TypeVar("T")

_OVERSEERS = frozenset({"operator", "regulator", "checker"})

_STATUS = {
    "not_found": 404,
    "not_a_party": 403,
    "illegal_transition": 409,
    "act_pending": 409,
    "nonce_used": 409,
    "not_open": 409,
    "too_many": 409,
    "not_the_owner": 403,
    "not_the_pledgee": 403,
    "not_a_holder": 403,
    "no_majority": 403,
    "receivable_frozen": 409,
    "pledged": 409,
    "not_whole": 409,
    "past_due": 409,
    "too_early": 409,
    "no_recourse": 409,
    "nothing_open": 409,
    "trades_unclaimed": 409,
    "index_out_of_order": 409,
    "auction_open": 409,
    "auction_closed": 409,
    "auction_full": 409,
    "bid_twice": 409,
    "has_bids": 409,
    "too_late": 409,
    "registration_used": 409,
}
"""Refusals that are no rule's (422): unknown, not allowed, or in conflict with the state of things."""

OFFER_STATES = ("open", "accepted", "lapsed")

ACT_REFUSED = (
    "403 not_a_party forbidden",
    "404 not_found",
    "409 illegal_transition act_pending nonce_used",
    "422 bad_signature bad_time deadline_passed other_receivable bad_amount",
)
"""What every act on receivables can be refused for."""

OUTSIDE_REFUSED = (
    "422 registry_search_missing registry_search_stale registry_search_incomplete registry_conflict",
    "422 fapiao_missing fapiao_not_verified",
    "503 registry_unavailable",
)
"""What stands outside the market can bar a listing; a sale besides, for want of its registration."""

REGISTRATION_REFUSED = (
    *OUTSIDE_REFUSED,
    "422 registration_missing registration_too_short",
)
"""What can bar a sale or a pledge under a registration."""

_FIELDS = {
    "bad_signature": "signature",
    "deadline_passed": "deadline",
    "nonce_used": "nonce",
    "bad_amount": "amount",
    "bad_fee": "fee",
    "none_named": "receivables",
    "named_twice": "receivables",
    "no_such_part": "part",
    "not_the_owner": "part",
    "part_too_small": "amount",
    "price_above_most": "most",
    "index_out_of_order": "ruling",
    "unknown_member": "to",
}


class SignedBody(wire.Body, frozen=True):
    """What every act carries: a signature over its digest in ``settlement/acts.py``, with this nonce and deadline."""

    nonce: wire.Id
    deadline: Instant
    signature: Signature


def viewer_of(member: Member) -> Viewer:
    """Who asks, as far as finance cares; roles count once the member is admitted."""
    roles = member.roles if member.is_admitted else frozenset()
    return Viewer(member.member_id, is_bank="bank" in roles, is_overseer=bool(roles & _OVERSEERS))


def word_of(member: Member, body: SignedBody) -> Word:
    """A member's signature on an act. Raises ProblemError."""
    deadline_s, signature = wire.instant_s(body.deadline, "deadline"), wire.signature(body.signature)
    return Word(viewer_of(member), body.nonce, deadline_s, signature)


async def attempt(
    context: Context, write: Callable[[Connection], T], reply: Callable[[T], web.Response]
) -> web.Response:
    """``context.write_and_answer``, with what finance refuses as a problem, then let the scheduler look."""
    try:
        answer = await context.write_and_answer(write, reply)
    except (RefusedError, IllegalTransitionError, OfferError) as error:
        raise problem_of(error) from error
    context.poke()
    return answer


def problem_of(error: RefusedError | IllegalTransitionError | OfferError) -> ProblemError:
    """A refusal by finance as it is answered; a registry that does not answer is an outage."""
    if error.code == "registry_unavailable":
        return unavailable(error.code, str(error), 60)
    return refuse(_STATUS.get(error.code, 422), error.code, str(error), _FIELDS.get(error.code))


def receivable_id_of(request: web.Request) -> bytes:
    """The receivable in the path. Raises ProblemError."""
    text = request.match_info["receivable"]
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise not_found("receivable")
    return bytes.fromhex(text)


def money_fen(text: str, field: str) -> int:
    """CNY in whole fen. Raises ProblemError ``bad_amount``."""
    try:
        return parse_money_fen(text)
    except UnitError as error:
        raise refuse(422, "bad_amount", str(error), field) from error


def rate_ppm(text: str, field: str) -> int:
    """A rate in parts per million. Raises ProblemError ``bad_rate``."""
    try:
        return offer.parse_rate_ppm(text)
    except UnitError as error:
        raise refuse(422, "bad_rate", str(error), field) from error


def fen_text(amount_fen: int) -> str:
    """Fen as a decimal string in CNY."""
    return format_steps(amount_fen, FEN_DECIMALS)


def one_of(parameters: dict[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    """A query parameter that is one of some words. Raises ProblemError."""
    text = parameters.get(name)
    if text is not None and text not in allowed:
        raise refuse(400, "bad_parameter", f"{name} is one of {', '.join(allowed)}", name)
    return text


# -------------------------------------------------------------------------------------------------- answers


class ActBody(msgspec.Struct, frozen=True):
    """The act on its way to the chain, or the last one when the contract refused it, and why."""

    act: str
    state: Annotated[str, choice("waiting", "refused")]
    refusal: str | None


class FapiaoMark(msgspec.Struct, frozen=True):
    """The tax invoice that its seller recorded, and whether the tax office knows it."""

    number: str
    state: Annotated[str, choice("unverified", "verified", "refused")]


class PartBody(msgspec.Struct, frozen=True):
    """A fraction of one of the two claims; `pledgee`, if any, gets the money on it."""

    part: int
    claim: Annotated[str, choice("residual", "holder")]
    owner: int
    open: Fen
    pledgee: int | None


class SaleBody(msgspec.Struct, frozen=True):
    """What was agreed with whoever advanced the money; what is due of it is as of today."""

    costs_due: Fen
    interest_due: Fen
    late_rate: Rate
    days_basis: Annotated[str, choice("360", "365")]
    with_recourse: bool
    bought_back: bool


class ReceivableBody(msgspec.Struct, frozen=True):
    """A receivable; `proceeds`, what the holder paid for it, is shown to holder and seller alone.

    `parts` are those of which something is open, `sale` is null until it is sold; `frozen` by the regulator; `claimed`:
    all its trades are claimed on the chain.
    """

    receivable: Hash
    number: int
    period: int
    creditor: int
    debtor: int
    holder: int
    state: State
    standing: Standing
    face: Fen
    advance: Fen
    proceeds: Fen | None
    paid: Fen
    outstanding: Fen
    terms: int
    issue_day: Day
    due_day: Day
    updated: Instant
    fapiao: FapiaoMark | None
    frozen: bool
    claimed: bool
    sale: SaleBody | None
    parts: list[PartBody]
    act: ActBody | None


class ChangeBody(msgspec.Struct, frozen=True):
    """One change in a receivable's history; actor 0 is the calendar, or nobody.

    `before` and `after` are states; where `part` is a number they are what is open of that part, in CNY.
    """

    part: int | None
    before: str | None
    after: str
    actor: int
    at: Instant
    reason: str | None
    block: int | None
    transaction: Hash | None


class OfferBody(msgspec.Struct, frozen=True):
    """An offer with what it comes to; `yearly_cost` is all that the seller pays as a rate on what it gets.

    Paid late, `costs` and interest at `late_rate` on the advance come out of the residual, before it.
    """

    offer: int
    receivable: Hash
    bank: int
    state: Annotated[str, choice(*OFFER_STATES)]
    advance_rate: Rate
    rate: Rate
    days_basis: DayCount
    days: int
    advance: Fen
    discount: Fen
    fee: Fen
    proceeds: Fen
    yearly_cost: Rate
    costs: Fen
    late_rate: Rate
    recourse: bool
    registration: Hash
    nonce: int
    deadline: Instant
    made: Instant


def receivable_body(row: Row[Any], parts: Sequence[Part], viewer: Viewer, today: date) -> ReceivableBody:
    """A receivable as it is shown. What the holder paid for it is between it and the seller."""
    knows_price = viewer.is_overseer or viewer.member in (row.creditor, row.holder)
    return ReceivableBody(
        receivable=row.receivable_id.hex(),
        number=row.number,
        period=row.period,
        creditor=row.creditor,
        debtor=row.debtor,
        holder=row.holder,
        state=State(row.state),
        standing=standing(State(row.state), date.fromisoformat(row.due_day), today),
        face=fen_text(row.face_fen),
        advance=fen_text(row.advance_fen),
        proceeds=fen_text(row.proceeds_fen) if knows_price and row.proceeds_fen else None,
        paid=fen_text(row.paid_fen),
        outstanding=fen_text(row.face_fen - row.paid_fen),
        terms=row.terms_days,
        issue_day=row.issue_day,
        due_day=row.due_day,
        updated=format_instant(row.changed_s),
        fapiao=None if row.fapiao_number is None else FapiaoMark(row.fapiao_number, row.fapiao_state),
        frozen=row.frozen,
        claimed=row.complete,
        sale=_sale_body(row, parts, today) if row.advance_fen else None,
        parts=[_part_body(part) for part in parts if part.open_fen],
        act=_act_body(row),
    )


def _part_body(part: Part) -> PartBody:
    return PartBody(part.number, part.claim.name.lower(), part.owner, fen_text(part.open_fen), part.pledgee or None)


def _sale_body(row: Row[Any], parts: Sequence[Part], today: date) -> SaleBody:
    value = restore(row, parts)
    assert isinstance(value, FinancedReceivable), "it was sold"
    balance = accrue(value.balance, today)
    return SaleBody(
        costs_due=fen_text(balance.costs_due_fen),
        interest_due=fen_text(balance.interest_due_fen),
        late_rate=offer.format_rate(row.late_rate_ppm),
        days_basis=str(row.year_days),
        with_recourse=row.with_recourse,
        bought_back=row.bought_back,
    )


def _act_body(row: Row[Any]) -> ActBody | None:
    if row.act_outbox is None:
        return None
    return ActBody(row.act, "waiting" if is_on_its_way(row) else "refused", row.act_refusal)


def change_body(row: Row[Any]) -> ChangeBody:
    """A change as it is answered."""
    return ChangeBody(
        part=row.part,
        before=row.before,
        after=row.after,
        actor=row.actor,
        at=format_instant(row.at_s),
        reason=row.reason,
        block=row.block,
        transaction=None if row.transaction_hash is None else row.transaction_hash.hex(),
    )


def offer_body(row: Row[Any], now_s: int) -> OfferBody:
    """An offer as it is answered."""
    quoted = msgspec.json.decode(row.terms, type=QuotedTerms)
    terms = Terms(row.advance_fen, row.discount_fen, row.fee_fen, row.proceeds_fen, 0)
    expired = row.state == "open" and row.expires_s < now_s
    return OfferBody(
        offer=row.offer_id,
        receivable=row.receivable_id.hex(),
        bank=row.bank,
        state="lapsed" if expired else row.state,
        advance_rate=quoted.advance_rate,
        rate=quoted.rate,
        days_basis=DayCount(quoted.days_basis),
        days=quoted.days,
        advance=fen_text(row.advance_fen),
        discount=fen_text(row.discount_fen),
        fee=fen_text(row.fee_fen),
        proceeds=fen_text(row.proceeds_fen),
        yearly_cost=offer.format_rate(offer.yearly_cost_ppm_ceil(terms, quoted.days)),
        costs=fen_text(row.costs_fen),
        late_rate=offer.format_rate(row.late_rate_ppm),
        recourse=row.with_recourse,
        registration=row.registration.hex(),
        nonce=row.nonce,
        deadline=format_instant(row.expires_s),
        made=format_instant(row.made_s),
    )
