"""What a member's own receivables and debts qualify for now, what that costs, and what would make it better."""

from datetime import date
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_money
from finance.calendar import days_between
from finance.credit import personal_store, store
from finance.credit.improving import improvements
from finance.credit.personal import Suggested, suggested
from finance.credit.ratings import NO_HISTORY
from finance.offer import format_rate, yearly_cost_ppm_ceil
from finance.receivable import State
from market import wire
from market.context import CONTEXT, Context
from market.credit_views import (
    CardBody,
    ImprovementBody,
    Rating,
    Words,
    card_body,
    improvement_body,
    scored,
)
from market.identity import require
from market.openapi.fields import Day, Fen, Hash, Money, Rate, choice
from market.openapi.operation import MEMBER, operation
from market.receivable_answers import today_of
from market.receivable_views import OfferBody, fen_text, offer_body
from market.routes import programs
from market.sale_views import FittingBody, fitting_body

MOST_WITH_PROGRAMS = 20
"""Of so many it is asked which programs take them; of one more, ``GET /v1/receivables/{receivable}/programs`` says."""

_NEXT = {
    State.ISSUED: Words("等债务人确认后才能挂牌出售", "to be sold it must be acknowledged by its debtor, then listed"),
    State.ACKNOWLEDGED: Words("挂牌后银行即可报价", "list it, and banks may offer"),
    State.LISTED: Words("已挂牌，银行可以报价", "listed: banks may offer"),
}
_NO_PRICE = {
    "past_due": Words("今天或之前已到期，不能再贴现", "it falls due today or did before: there is nothing to advance"),
    "not_financed": Words("债务人的评级或剩余天数没有建议价", "no price is suggested for this debtor or so many days"),
    "too_small": Words("金额太小，贴现后没有所得", "too small: the discount would take it all"),
}
_EARLY = Words(
    "提前付款不打折；付款后相应的信用额度立即可用",
    "paying early earns no discount; it frees that much of your credit at once",
)
_LATE = Words("已过到期日：请尽快付款，逾期会降低评级", "past its due day: pay soon, delays lower your rating")


class SuggestedBody(msgspec.Struct, frozen=True):
    """What a sale would come to at the scorecard's rate for this debtor, ACT/360, without a fee. No bank has said it.

    `cost` is what the seller gives up now, `yearly_cost` the same as a simple yearly rate on the proceeds; the
    `residual` comes at maturity.
    """

    rate: Rate
    days: int
    advance: Fen
    proceeds: Fen
    residual: Fen
    cost: Fen
    yearly_cost: Rate


class ToSell(msgspec.Struct, frozen=True):
    """A receivable of one's own. `next` says what has to happen; `offers` are banks' that can be accepted now, and
    `programs` banks' standing ones that would finance it at once (of the first 20 receivables), those that pay most
    first. Without a `suggested` price, `why` says why."""

    receivable: Hash
    number: int
    state: Annotated[str, choice("issued", "acknowledged", "listed")]
    face: Fen
    due: Day
    next: Words
    offers: list[OfferBody]
    programs: list[FittingBody]
    suggested: SuggestedBody | None
    why: Words | None


class ToPay(msgspec.Struct, frozen=True):
    """A debt. Nobody gives a discount for paying early, so `saves` is 0.00; `frees` is credit that it gives back."""

    receivable: Hash
    number: int
    state: State
    owed: Fen
    due: Day
    days: int
    saves: Fen
    frees: Fen
    words: Words


class CreditNow(msgspec.Struct, frozen=True):
    """What lenders let this member owe, what of it is taken by debts and orders on terms, and what is free."""

    limit: Money
    used: Money
    free: Money
    suggested: Fen


class PersonalOffers(msgspec.Struct, frozen=True):
    """`improvements` change one thing each and leave everything else as it is; those that lift the rating come first.

    At most 200 receivables and 200 debts are shown, those that fall due first.
    """

    rating: Rating
    card: CardBody
    to_sell: list[ToSell]
    to_pay: list[ToPay]
    credit: CreditNow
    improvements: list[ImprovementBody]


@operation(PersonalOffers, who=MEMBER, scope="read")
async def show_personal(request: web.Request) -> web.Response:
    """Receivables that could be sold and what that would cost, debts and what paying them early does, credit, and what
    would make all of it better; of the member itself."""
    member, context = require(request, scope="read").member_id, request.app[CONTEXT]
    wire.query(request)
    now_s, today, card = context.clock.now_s(), today_of(context), context.config.scorecard
    position = await context.sequencer.look(lambda state: state.exposures.account(member))

    def look(connection: Connection) -> PersonalOffers:
        found = scored(connection, member, card)
        given = found.given
        decided = store.decision_of(connection, member)
        return PersonalOffers(
            rating=found.score.rating,
            card=card_body(found.card),
            to_sell=_to_sell(connection, context, member, today, now_s),
            to_pay=[_to_pay(row, today) for row in personal_store.owed(connection, member)],
            credit=CreditNow(
                format_money(position.credit_limit_micro),
                format_money(position.credit_used_micro),
                format_money(max(0, position.credit_available_micro)),
                fen_text(0 if decided is None else decided.limit_fen),
            ),
            improvements=[
                improvement_body(each) for each in improvements(found.card, given.features, given.bought_monthly_fen)
            ],
        )

    return wire.reply(await context.read(look))


def _to_sell(connection: Connection, context: Context, member: int, today: date, now_s: int) -> list[ToSell]:
    rows, card = personal_store.saleable(connection, member), context.config.scorecard
    ratings = store.ratings_of(connection, [row.debtor for row in rows])
    offers: dict[bytes, list[OfferBody]] = {}
    for offer in personal_store.open_offers(connection, [row.receivable_id for row in rows], now_s):
        offers.setdefault(offer.receivable_id, []).append(offer_body(offer, now_s))
    book = programs.program_book(context)
    found = []
    for place, row in enumerate(rows):
        fitting = book.fitting(connection, row, now_s) if place < MOST_WITH_PROGRAMS else []
        shown = [fitting_body(each, today.isoformat()) for each in fitting]
        price = suggested(card, ratings.get(row.debtor, NO_HISTORY), row.face_fen, _due(row), today)
        found.append(_saleable(row, offers.get(row.receivable_id, []), shown, price))
    return found


def _due(row: Row[Any]) -> date:
    return date.fromisoformat(row.due_day)


def _saleable(row: Row[Any], offers: list[OfferBody], fitting: list[FittingBody], price: Suggested | str) -> ToSell:
    return ToSell(
        receivable=row.receivable_id.hex(),
        number=row.number,
        state=row.state,
        face=fen_text(row.face_fen),
        due=row.due_day,
        next=_NEXT[State(row.state)],
        offers=offers,
        programs=fitting,
        suggested=_suggested_body(price) if isinstance(price, Suggested) else None,
        why=None if isinstance(price, Suggested) else _NO_PRICE[price],
    )


def _suggested_body(price: Suggested) -> SuggestedBody:
    terms = price.terms
    return SuggestedBody(
        rate=format_rate(price.rate_ppm),
        days=price.days,
        advance=fen_text(terms.advance_fen),
        proceeds=fen_text(terms.proceeds_fen),
        residual=fen_text(terms.residual_fen),
        cost=fen_text(terms.discount_fen + terms.fee_fen),
        yearly_cost=format_rate(yearly_cost_ppm_ceil(terms, price.days)),
    )


def _to_pay(row: Row[Any], today: date) -> ToPay:
    owed_fen, days = row.face_fen - row.paid_fen, days_between(today, _due(row))
    return ToPay(
        receivable=row.receivable_id.hex(),
        number=row.number,
        state=State(row.state),
        owed=fen_text(owed_fen),
        due=row.due_day,
        days=days,
        saves=fen_text(0),
        frees=fen_text(owed_fen),
        words=_EARLY if days >= 0 else _LATE,
    )


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/offers/personal", show_personal)]
