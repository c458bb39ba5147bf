"""A member's money: what is there, what is reserved, and what a bank lends."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant, format_money
from market import key_recovery_store, statement_store, wire
from market.context import CONTEXT
from market.identity import require
from market.key_recovery_store import Pending
from market.openapi.fields import Instant, Money, choice
from market.openapi.operation import MEMBER, operation
from market.routes.recoveries import PendingShown, shown
from settlement import ladder_store
from settlement.ladder_store import Standing

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


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/account", account)]
