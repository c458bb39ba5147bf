"""What members are trusted with: how far lenders let them buy on terms."""

from collections.abc import Container
from typing import Annotated

import msgspec
from aiohttp import web

from data.units import format_money
from finance.credit import store
from market import wire
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import Money, MoneyGiven
from market.openapi.operation import operation
from market.problems import refuse


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
    who=("bank",),
    scope="finance",
    body=CreditLimits,
    refuses=("422 bad_amount unknown_member",),
)
async def set_credit_limits(request: web.Request) -> web.Response:
    """How far this lender lets members buy on terms, beside what others let them. Lowering it undoes nothing; it stops
    what comes next."""
    lender, context = require(request, "bank", scope="finance"), request.app[CONTEXT]
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


def routes() -> list[web.RouteDef]:
    return [web.post("/v1/credit-limits", set_credit_limits)]
