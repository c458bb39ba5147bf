"""What members are trusted with: how they are rated and why, and how far lenders let them buy on terms."""

from collections.abc import Container
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_instant, format_money
from finance.credit import personal_store, store
from finance.credit.card import limit_fen_floor
from market import wire
from market.context import CONTEXT
from market.credit_views import (
    CardBody,
    DecisionBody,
    Rating,
    ReasonBody,
    Scored,
    SuggestedPrice,
    Words,
    caps,
    card_body,
    decision_body,
    prices,
    reasons,
    scored,
)
from market.identity import named, require
from market.openapi.fields import PAGE, Fen, Instant, Money, MoneyGiven, Number
from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.receivable_views import fen_text, viewer_of

LENDERS = ("bank", "insurer")
"""Who sets limits: whoever lends, or stands for what is owed."""


class CreditLimit(wire.Body, frozen=True):
    """How far one member may buy on terms."""

    member: wire.Id
    limit: MoneyGiven


class CreditLimits(wire.Body, frozen=True):
    limits: Annotated[list[CreditLimit], msgspec.Meta(min_length=1, max_length=1000)]


class CreditLimitBody(msgspec.Struct, frozen=True):
    """`limit` is this lender's own, `total` what all lenders together let the member owe."""

    member: int
    limit: Money
    total: Money


class CreditLimitsAnswer(msgspec.Struct, frozen=True):
    """The limits as they are now."""

    items: list[CreditLimitBody]


@operation(
    CreditLimitsAnswer,
    who=LENDERS,
    scope="finance",
    body=CreditLimits,
    refuses=("422 bad_amount unknown_member",),
)
async def set_credit_limits(request: web.Request) -> web.Response:
    """How far this lender lets members buy on terms, beside what others let them. Lowering it undoes nothing; it stops
    what comes next."""
    lender, context = require(request, *LENDERS, scope="finance"), request.app[CONTEXT]
    limits = _limits(await wire.read(request, CreditLimits), context.directory.members)
    now_s = context.clock.now_s()
    totals: dict[int, int] = {}

    def reply(sums: dict[int, int]) -> web.Response:
        totals.update(sums)
        items = [
            CreditLimitBody(member, format_money(limits[member]), format_money(total_micro))
            for member, total_micro in sums.items()
        ]
        return wire.reply(CreditLimitsAnswer(items))

    answer = await context.write_and_answer(
        lambda connection: store.set_limits(connection, lender.member_id, limits, now_s), reply
    )
    for member_id, total_micro in totals.items():
        context.directory.set_credit_limit(member_id, total_micro)
    await context.learn()
    return answer


def _limits(body: CreditLimits, members: Container[int]) -> dict[int, int]:
    """Micro-yuan by member. Raises ProblemError."""
    limits: dict[int, int] = {}
    for index, each in enumerate(body.limits):
        limit_micro = wire.money_micro(each.limit, f"limits[{index}].limit")
        if limit_micro < 0:
            raise refuse(422, "bad_amount", "a limit is not negative", f"limits[{index}].limit")
        if each.member not in members:
            raise refuse(422, "unknown_member", "there is no such member", f"limits[{index}].member")
        limits[each.member] = limit_micro
    return limits


class LimitBody(msgspec.Struct, frozen=True):
    """A limit as a lender set it, and the `decision` that the member had then; the last of each lender holds."""

    number: int
    member: int
    lender: int
    limit: Money
    set: Instant
    decision: int | None


@operation(
    wire.Page[LimitBody],
    who=MEMBER,
    scope="read",
    query={"member": Number, **PAGE},
    refuses=("400 bad_number",),
)
async def show_credit_limits(request: web.Request) -> web.Response:
    """Every limit that was set, the oldest first: a lender's own, a member's, all for those who oversee."""
    viewer, context = viewer_of(require(request, scope="read")), request.app[CONTEXT]
    parameters = wire.query(request, "member", "limit", "cursor")
    limit, after = wire.page_limit(parameters), wire.cursor(parameters)
    asked = wire.whole_number(parameters["member"], "member") if "member" in parameters else None
    rows = await context.read(
        lambda connection: store.limit_history(connection, viewer, member=asked, after=after, limit=limit)
    )
    last = rows[-1].number if len(rows) == limit else None
    return wire.reply(wire.page([_limit_body(row) for row in rows], last))


def _limit_body(row: Row[Any]) -> LimitBody:
    limit, set_at = format_money(row.limit_micro), format_instant(row.set_s)
    return LimitBody(row.number, row.member_id, row.lender, limit, set_at, row.decision)


class CreditBody(msgspec.Struct, frozen=True):
    """How a member is rated, and why. What it really may owe is set by lenders.

    Banks and insurers see rating and reasons; points, limit, prices and the decision are for the member and overseers.
    """

    member: int
    rating: Rating
    card: CardBody
    caps: list[Words]
    reasons: list[ReasonBody]
    total: int | None = None
    limit: Fen | None = None
    prices: list[SuggestedPrice] | None = None
    decision: DecisionBody | None = None


@operation(
    CreditBody,
    who=MEMBER,
    scope="read",
    path={"member": Number},
    refuses=("403 forbidden", "404 not_found"),
)
async def show_credit(request: web.Request) -> web.Response:
    """A member's rating with its reasons: its own, or for those who oversee; a bank or credit insurer sees those of
    debtors whose receivables are listed, held by it or shown to it by consent, and of sellers who let it see all that
    is theirs."""
    asking, context = require(request, scope="read"), request.app[CONTEXT]
    viewer, member, now_s = viewer_of(asking), named(request).member_id, context.clock.now_s()
    is_lender = asking.is_admitted and not asking.roles.isdisjoint(LENDERS)
    is_whole = viewer.is_overseer or asking.member_id == member

    def look(connection: Connection) -> Scored | None:
        may_see = is_whole or (is_lender and personal_store.may_see(connection, viewer.member, member, now_s))
        return scored(connection, member, context.config.scorecard) if may_see else None

    found = await context.read(look)
    if found is None:
        raise refuse(
            403,
            "forbidden",
            "you see no receivable that it owes, and it has not let you see all of its own",
        )
    return wire.reply(_credit_body(member, found, is_whole=is_whole))


def _credit_body(member: int, found: Scored, *, is_whole: bool) -> CreditBody:
    body = CreditBody(member, found.score.rating, card_body(found.card), caps(found), reasons(found, is_whole=is_whole))
    if not is_whole:
        return body
    limit_fen = limit_fen_floor(found.card, found.score.rating, found.given.bought_monthly_fen)
    return msgspec.structs.replace(
        body,
        total=found.score.total,
        limit=fen_text(limit_fen),
        prices=prices(found),
        decision=decision_body(found),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/credit-limits", set_credit_limits),
        web.get("/v1/credit-limits", show_credit_limits),
        web.get("/v1/credit/{member}", show_credit),
    ]
