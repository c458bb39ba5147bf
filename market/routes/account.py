"""A member's money: what is there, what is reserved, what a bank lends, and what each day came to."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_energy, format_instant, format_money, format_price
from market import member_store, statement_store, wire
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import PAGE, Day, Energy, Instant, Money, MoneyGiven, Price, choice
from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.statement_store import StatementLine
from settlement import ladder_store
from settlement.delivery import How, Kind
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
    orders, then a `case` for governance.
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


class LineBody(msgspec.Struct, frozen=True):
    """One line of a statement: `amount` is + received, - paid, energy times price."""

    day: Day
    cycle: int
    line: int
    slot: Instant
    meter: str | None
    kind: Kind
    counterparty: int | None
    trade: int | None
    energy: Energy
    price: Price
    amount: Money
    how: How


@operation(AccountBody, who=MEMBER, scope="read")
async def account(request: web.Request) -> web.Response:
    """Cash is free; escrow stands behind orders: ``reserved`` of it is taken by open orders and unsettled trades,
    ``leaving`` by withdrawals."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    position = await context.sequencer.look(lambda state: state.exposures.account(member.member_id))

    def kept(connection: Connection) -> tuple[int, int, Standing]:
        free_micro, arrears_micro = statement_store.free_and_arrears(connection, member.member_id)
        standing = ladder_store.standings(connection).get(member.member_id, Standing(0, None))
        return free_micro, arrears_micro, standing

    free_micro, arrears_micro, standing = await context.read(kept)
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


@operation(wire.Page[LineBody], who=MEMBER, scope="read", query={"day": Day, **PAGE}, refuses=("422 bad_time",))
async def statements(request: web.Request) -> web.Response:
    """One's own lines, by cycle; ``?day=`` chooses a local day. Each slot's lines of all members add up to zero."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, "day", "limit", "cursor")
    day, limit, after = parameters.get("day"), wire.page_limit(parameters), wire.cursor(parameters)
    if day is not None:
        wire.instant_s(f"{day}T00:00:00Z", "day")

    def lines(connection: Connection) -> list[StatementLine]:
        return statement_store.lines_of(connection, member.member_id, day, max(after, 0), limit)

    found = await context.read(lines)
    last = after_key(found[-1]) if len(found) == limit else None
    return wire.reply(wire.page([_line_body(line) for line in found], last))


def after_key(line: StatementLine) -> int:
    """Cycle and line in one number, for the cursor."""
    return line.cycle << 32 | line.line


def _line_body(line: StatementLine) -> LineBody:
    return LineBody(
        day=line.day,
        cycle=line.cycle,
        line=line.line,
        slot=format_instant(line.slot_s),
        meter=line.meter,
        kind=Kind(line.kind),
        counterparty=line.counterparty,
        trade=line.trade_id,
        energy=format_energy(line.energy_lots),
        price=format_price(line.price_ticks),
        amount=format_money(line.amount_micro),
        how=How(line.how),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/account", account),
        web.post("/v1/credit-limits", set_credit_limits),
        web.get("/v1/statements", statements),
    ]
