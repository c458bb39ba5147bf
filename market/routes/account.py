"""A member's money: what is there, what is reserved, and what a bank lends."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant, format_money
from market import key_recovery_store, member_store, statement_store, wire
from market.context import CONTEXT
from market.identity import require
from market.key_recovery_store import Pending
from market.openapi.fields import Instant, Money, MoneyGiven, choice
from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.routes.recoveries import PendingShown, shown
from settlement import ladder_store
from settlement.ladder_store import Standing


class CreditLimit(wire.Body, frozen=True):
    """How far one member may buy on terms."""

    member: wire.Id
    limit: MoneyGiven


class CreditLimits(wire.Body, frozen=True):
    limits: Annotated[list[CreditLimit], msgspec.Meta(min_length=1, max_length=1000)]


class CreditLimitBody(msgspec.Struct, frozen=True):
    member: int
    limit: Money


class CreditLimitsAnswer(msgspec.Struct, frozen=True):
    """The limits as they are now."""

    items: list[CreditLimitBody]


STANDINGS = ("good", "margin_call", "suspended", "case")
"""By the chain's stages."""


class AccountBody(msgspec.Struct, frozen=True):
    """Cash is free; of escrow, `reserved` is taken by orders, `leaving` by withdrawals, and the rest `available`.

    `standing` is `good`, or where arrears have led: a `margin_call` to pay them by `pay_by`, then `suspended` from new
    orders, then a `case` for governance. `recovery` is a key that governance proposes in place of yours: veto it unless
    you lost yours.
    """

    cash: Money
    escrow: Money
    reserved: Money
    leaving: Money
    available: Money
    arrears: Money
    standing: Annotated[str, choice(*STANDINGS)]
    pay_by: Instant | None
    credit_limit: Money
    credit_used: Money
    recovery: PendingShown | None


@operation(AccountBody, who=MEMBER, scope="read")
async def account(request: web.Request) -> web.Response:
    """Cash is free; escrow stands behind orders: ``reserved`` of it is taken by open orders and unsettled trades,
    ``leaving`` by withdrawals."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    position = await context.sequencer.look(lambda state: state.exposures.account(member.member_id))

    def kept(connection: Connection) -> tuple[int, int, Standing, Pending | None]:
        free_micro, arrears_micro = statement_store.free_and_arrears(connection, member.member_id)
        standing = ladder_store.standings(connection).get(member.member_id, Standing(0, None))
        pending = key_recovery_store.on_chain(connection).pending.get(member.member_id)
        return free_micro, arrears_micro, standing, pending

    free_micro, arrears_micro, standing, pending = await context.read(kept)
    return wire.reply(
        AccountBody(
            cash=format_money(free_micro),
            escrow=format_money(position.escrow_micro),
            reserved=format_money(position.reserved_micro + position.committed_micro),
            leaving=format_money(position.leaving_micro),
            available=format_money(position.available_micro),
            arrears=format_money(arrears_micro),
            standing=STANDINGS[standing.stage],
            pay_by=None if standing.deadline_s is None else format_instant(standing.deadline_s),
            credit_limit=format_money(position.credit_limit_micro),
            credit_used=format_money(position.credit_used_micro),
            recovery=shown(pending),
        )
    )


@operation(
    CreditLimitsAnswer,
    who=("bank",),
    scope="finance",
    body=CreditLimits,
    refuses=("422 bad_amount unknown_member",),
)
async def set_credit_limits(request: web.Request) -> web.Response:
    """How far a bank lets members buy on terms. Lowering it undoes nothing; it stops what comes next."""
    require(request, "bank", scope="finance")
    context = request.app[CONTEXT]
    body = await wire.read(request, CreditLimits)
    limits: dict[int, int] = {}
    for index, each in enumerate(body.limits):
        limit_micro = wire.money_micro(each.limit, f"limits[{index}].limit")
        if limit_micro < 0:
            raise refuse(422, "bad_amount", "a limit is not negative", f"limits[{index}].limit")
        if each.member not in context.directory.members:
            raise refuse(422, "unknown_member", "there is no such member", f"limits[{index}].member")
        limits[each.member] = limit_micro
    items = [CreditLimitBody(member, format_money(limit_micro)) for member, limit_micro in limits.items()]
    answer = await context.write_and_answer(
        lambda connection: member_store.set_credit_limits(connection, limits),
        lambda _: wire.reply(CreditLimitsAnswer(items)),
    )
    for member_id, limit_micro in limits.items():
        context.directory.set_credit_limit(member_id, limit_micro)
    await context.learn()
    return answer


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/account", account),
        web.post("/v1/credit-limits", set_credit_limits),
    ]
