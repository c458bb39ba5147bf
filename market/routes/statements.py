"""What a member's days came to: line by line, as totals, and a month as a page to print or a file."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.export import Format
from data.units import format_energy, format_instant, format_money, format_price
from market import monthly, statement_files, statement_store, wire
from market.context import CONTEXT
from market.identity import require
from market.monthly import month_of
from market.openapi.fields import PAGE, Day, Energy, Instant, Money, Month, Price, choice, text
from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.statement_store import By, Span, StatementLine, Total
from market.statement_words import Language
from settlement.delivery import How, Kind

MOST_LINES = 200_000
"""Of one monthly statement; the grid company, a party to every line of a bill, takes /v1/residuals."""

HTML = "text/html"


class LineBody(msgspec.Struct, frozen=True):
    """One line of a statement: `amount` is + received, - paid, energy times price.

    `adjusts` is the cycle of which a late reading put this slot right, 0 where its day had none. `estimated`: the meter
    had traded and no reading of it counted.
    """

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
    adjusts: int | None
    estimated: bool


class TotalBody(msgspec.Struct, frozen=True):
    """One kind and way of paying in one slot, day or month; `adjustments` are in `received` and `paid` already."""

    of: Annotated[str, text("A slot's start, a day, or a month", "^[0-9TZ:-]+$", "2026-07-01")]
    kind: Kind
    how: How
    lines: int
    received: Money
    paid: Money
    adjustments: Money


class TotalsBody(msgspec.Struct, frozen=True):
    items: list[TotalBody]


@operation(
    wire.Page[LineBody],
    who=MEMBER,
    scope="read",
    query={"day": Day, "month": Month, "slot": Instant, **PAGE},
    refuses=("422 bad_time",),
)
async def lines(request: web.Request) -> web.Response:
    """One's own lines, by cycle; of one local day, month or slot. Each slot's lines of all members add up to zero.

    A slot that was put right has lines in more than one cycle.
    """
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, "day", "month", "slot", "limit", "cursor")
    span, limit, after = _span(parameters), wire.page_limit(parameters), wire.cursor(parameters)

    def read(connection: Connection) -> list[StatementLine]:
        return statement_store.lines_of(connection, member.member_id, span, max(after, 0), limit)

    found = await context.read(read)
    last = after_key(found[-1]) if len(found) == limit else None
    return wire.reply(wire.page([_line_body(line) for line in found], last))


@operation(
    TotalsBody,
    who=MEMBER,
    scope="read",
    query={"by": By, "day": Day, "month": Month, "slot": Instant},
    needed=("by",),
    refuses=("400 missing_parameter bad_value", "422 bad_time"),
)
async def totals(request: web.Request) -> web.Response:
    """One's own sums for each slot, day or month: by slot of one day, by day of one month, by month of all."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, "by", "day", "month", "slot")
    by, span = _by(parameters), _span(parameters)
    if by == By.SLOT and not parameters.keys() & {"day", "slot"}:
        raise refuse(400, "missing_parameter", "totals by slot are of one day: ?by=slot&day=2026-07-01", "day")
    if by == By.DAY and not parameters.keys() & {"month", "day"}:
        raise refuse(400, "missing_parameter", "totals by day are of one month: ?by=day&month=2026-07", "month")
    found = await context.read(
        lambda connection: list(statement_store.totals_of(connection, member.member_id, span, by))
    )
    return wire.reply(TotalsBody([_total_body(each) for each in found]))


@operation(
    bytes,
    media=(HTML, Format.CSV.content_type),
    who=MEMBER,
    scope="read",
    query={"month": Month, "format": Annotated[str, choice("html", "csv")], "language": Language},
    needed=("month",),
    headers={"Content-Disposition": "A name for the file"},
    refuses=("400 missing_parameter bad_format bad_value", "422 bad_time too_many_lines"),
)
async def month_file(request: web.Request) -> web.Response:
    """A month to read and print (``html``, A4) or with every line (``csv``), in Chinese (``zh``) or English (``en``).

    It holds the cycles of the month's local days. What is estimated and what puts an earlier slot right is marked.
    """
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, "month", "format", "language")
    if "month" not in parameters:
        raise refuse(400, "missing_parameter", "choose a month: ?month=2026-07", "month")
    month, language, chosen = month_of(parameters["month"]), _language(parameters), parameters.get("format", "html")
    if chosen not in ("html", "csv"):
        raise refuse(400, "bad_format", "the formats are: html, csv", "format")
    zone = context.config.zone
    heading = statement_files.Heading(
        member.member_id,
        context.directory.members[member.member_id].name,
        f"Jinsha 金沙 {context.config.chain.chain_id}",
        zone,
        datetime.fromtimestamp(context.clock.now_s(), UTC).astimezone(zone),
    )

    def make(connection: Connection) -> tuple[bytes, dict[str, str]]:
        if statement_store.count_of(connection, member.member_id, month.span) > MOST_LINES:
            raise refuse(422, "too_many_lines", f"a statement has at most {MOST_LINES} lines; take days, or residuals")
        found = statement_store.lines_of(connection, member.member_id, month.span, 0, MOST_LINES)
        if chosen == "csv":
            return b"".join(statement_files.csv_of(found, zone, language)), {}
        page = statement_files.page_of(monthly.statement_of(month, found, zone), heading, language)
        return page.html, {"Content-Security-Policy": page.policy}

    body, headers = await context.read(make)
    name = f"jinsha-{member.member_id}-{month}.{chosen}"
    return web.Response(
        body=body,
        content_type=HTML if chosen == "html" else Format.CSV.content_type,
        charset="utf-8",
        headers={"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, no-store", **headers},
    )


def after_key(line: StatementLine) -> int:
    """Cycle and line in one number, for the cursor."""
    return line.cycle << 32 | line.line


def _span(parameters: dict[str, str]) -> Span:
    span = Span()
    if "month" in parameters:
        span = month_of(parameters["month"]).span
    if "day" in parameters:
        day = parameters["day"]
        wire.instant_s(f"{day}T00:00:00Z", "day")
        span = Span(max(day, span.first_day), min(f"{day}~", span.end_day))  # "~" sorts behind the day itself alone
    if "slot" in parameters:
        span = span._replace(slot_s=wire.instant_s(parameters["slot"], "slot"))
    return span


def _by(parameters: dict[str, str]) -> By:
    try:
        return By(parameters["by"])
    except KeyError:
        raise refuse(400, "missing_parameter", f"totals are by {', '.join(By)}: ?by=month", "by") from None
    except ValueError:
        raise refuse(400, "bad_value", f"totals are by {', '.join(By)}", "by") from None


def _language(parameters: dict[str, str]) -> Language:
    try:
        return Language(parameters.get("language", Language.CHINESE))
    except ValueError:
        raise refuse(400, "bad_value", f"the languages are: {', '.join(Language)}", "language") from None


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
        adjusts=line.adjusts,
        estimated=line.is_estimated,
    )


def _total_body(total: Total) -> TotalBody:
    return TotalBody(
        of=total.of if isinstance(total.of, str) else format_instant(total.of),
        kind=Kind(total.kind),
        how=How(total.how),
        lines=total.lines,
        received=format_money(total.received_micro),
        paid=format_money(total.paid_micro),
        adjustments=format_money(total.adjusted_micro),
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/statements", lines),
        web.get("/v1/statements/totals", totals),
        web.get("/v1/statements/monthly", month_file, allow_head=False),
    ]
