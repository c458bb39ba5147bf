"""Settlement cycles and billing periods: what the operator drafted, and the checker's word on it."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_instant
from finance import period_store, periods
from finance.published import PublishedPeriod
from market import wire
from market.context import CONTEXT, Context
from market.identity import Member, require
from market.openapi.fields import Day, Instant, Number, choice, text
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
from settlement import cycle, cycle_store, dispute_store, hexjson, publish_cycle_store
from settlement.published import PublishedCycle, PublishedLines, PublishedSlot

_OVERSEERS = ("checker", "operator", "regulator")
_PAGE = r"^([0-9]{1,18}\.){3}[0-9]{1,4}$"
"""Where a page of a period goes on: see ``finance/periods.py``."""


_STATES = ("drafted", "refused", "signed", "proposed", "disputed", "applying", "applied", "void")
_NUMBERED = {"number": Number}
_JUDGED = ("404 not_found", "409 already_signed", "422 bad_verdict bad_signature")


class VerdictBody(wire.Body, frozen=True):
    """A signature over the draft, or why there is none."""

    signature: Annotated[str, text("A signature over the draft", "^([0-9a-f]{128})?$", "0f" * 64)] = ""
    refusal: str = ""


class CycleBody(msgspec.Struct, frozen=True):
    """A settlement cycle; `refusal` is the checker's. One that fell in a dispute is `void` until it is drafted again,
    as its next `round`.
    """

    cycle: int
    round: int
    day: Day
    start: Instant
    end: Instant
    state: Annotated[str, choice(*_STATES)]
    disputable_until: Instant | None
    refusal: str | None


class CycleState(msgspec.Struct, frozen=True):
    cycle: int
    state: str


class PeriodBody(msgspec.Struct, frozen=True):
    """A billing period, its days and cycles, and how many receivables came of it."""

    period: int
    first_day: Day
    last_day: Day
    first_cycle: int
    last_cycle: int
    state: Annotated[str, choice("drafted", "refused", "signed", "issued")]
    count: int


class PeriodState(msgspec.Struct, frozen=True):
    period: int
    state: str


@operation(wire.Page[CycleBody], who=MEMBER, scope="read")
async def show_cycles(request: web.Request) -> web.Response:
    """All cycles and their states, the oldest first."""
    require(request, scope="read")
    wire.query(request)
    rows, fallen = await request.app[CONTEXT].read(
        lambda connection: (cycle_store.cycles_in(connection), dispute_store.waiting(connection))
    )
    items = [
        CycleBody(
            cycle=row.cycle,
            round=row.round,
            day=row.day,
            start=format_instant(row.start_s),
            end=format_instant(row.end_s),
            state=row.state,
            disputable_until=wire.time_text(row.disputable_until_s),
            refusal=row.refusal,
        )
        for row in rows
    ]
    return wire.reply(wire.page([*items, *map(_void_body, fallen)], None))


def _void_body(row: Row[Any]) -> CycleBody:
    return CycleBody(
        cycle=row.cycle,
        round=row.round,
        day=row.day,
        start=format_instant(row.start_s),
        end=format_instant(row.end_s),
        state="void",
        disputable_until=None,
        refusal=None,
    )


@operation(PublishedCycle, who=_OVERSEERS, scope="read", path=_NUMBERED, refuses=("404 not_found",))
async def show_cycle(request: web.Request) -> web.Response:
    """A cycle with all that a checker needs to compute it again; see ``settlement/published.py``."""
    require(request, *_OVERSEERS, scope="read")
    context, number = request.app[CONTEXT], _number(request)
    rules = context.config.settlement_rules
    found = await context.read(lambda connection: publish_cycle_store.published_cycle(connection, number, rules))
    if found is None:
        raise not_found("cycle")
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, found))


@operation(
    PublishedSlot,
    who=_OVERSEERS,
    scope="read",
    path=_NUMBERED,
    query={"slot": Instant},
    needed=("slot",),
    refuses=("400 missing_parameter", "404 not_found", "422 bad_time"),
)
async def show_slot(request: web.Request) -> web.Response:
    """What a cycle was computed from in one slot, and what was delivered; see ``settlement/published.py``."""
    require(request, *_OVERSEERS, scope="read")
    context, number = request.app[CONTEXT], _number(request)
    text = wire.query(request, "slot").get("slot")
    if text is None:
        raise refuse(400, "missing_parameter", "choose a slot: ?slot=2026-07-01T00:00:00Z", "slot")
    slot_s = wire.instant_s(text, "slot")

    def slot(connection: Connection) -> PublishedSlot:
        if cycle_store.cycle(connection, number) is None:
            raise not_found("cycle")
        return publish_cycle_store.published_slot(connection, number, slot_s)

    return await wire.reply_bytes(context.in_thread(hexjson.dumps, await context.read(slot)))


@operation(
    PublishedLines, who=_OVERSEERS, scope="read", path=_NUMBERED, query={"after": Number}, refuses=("404 not_found",)
)
async def show_lines(request: web.Request) -> web.Response:
    """A cycle's statement lines after one of them, some thousands at a time; see ``settlement/published.py``."""
    require(request, *_OVERSEERS, scope="read")
    context, number = request.app[CONTEXT], _number(request)
    after = _whole(wire.query(request, "after").get("after", "0"))

    def lines(connection: Connection) -> PublishedLines:
        if cycle_store.cycle(connection, number) is None:
            raise not_found("cycle")
        return PublishedLines(tuple(publish_cycle_store.StoredCycle(connection, number).lines(after)))

    return await wire.reply_bytes(context.in_thread(hexjson.dumps, await context.read(lines)))


@operation(CycleState, who=("checker",), scope="office", path=_NUMBERED, body=VerdictBody, refuses=_JUDGED)
async def judge_cycle(request: web.Request) -> web.Response:
    """The checker signs a drafted cycle, or says why not; the same word again changes nothing."""
    checker = require(request, "checker", scope="office")
    context, number = request.app[CONTEXT], _number(request)
    body = await wire.read(request, VerdictBody)
    await _judge(
        context,
        body,
        lambda connection, signature: cycle.accept_signature(
            connection, number, signature, **_parties(context, checker), domain=context.chain.domain("Clearing")
        ),
        lambda connection: cycle.refuse(connection, number, body.refusal),
    )
    row = await context.read(lambda connection: cycle_store.cycle(connection, number))
    assert row is not None
    return wire.reply(CycleState(number, row.state))


@operation(wire.Page[PeriodBody], who=MEMBER, scope="read")
async def show_periods(request: web.Request) -> web.Response:
    """All billing periods and their states, the oldest first."""
    require(request, scope="read")
    wire.query(request)
    rows = await request.app[CONTEXT].read(period_store.periods_in)
    items = [PeriodBody(**{name: row._mapping[name] for name in PeriodBody.__struct_fields__}) for row in rows]
    return wire.reply(wire.page(items, None))


@operation(
    PublishedPeriod,
    who=_OVERSEERS,
    scope="read",
    path=_NUMBERED,
    query={"after": Annotated[str, msgspec.Meta(pattern=_PAGE)]},
    refuses=("400 bad_parameter", "404 not_found"),
)
async def show_period(request: web.Request) -> web.Response:
    """A period with all that a checker needs to compute it again, in pages: `?after=` takes what one has as `next`."""
    require(request, *_OVERSEERS, scope="read")
    context, number = request.app[CONTEXT], _number(request)
    after = wire.query(request, "after").get("after", periods.FROM_THE_FIRST)
    if not re.fullmatch(_PAGE, after, re.ASCII):
        raise refuse(400, "bad_parameter", "after is what the page before said as next", "after")
    found = await context.read(lambda connection: periods.published_period(connection, number, after))
    if found is None:
        raise not_found("period")
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, found))


@operation(PeriodState, who=("checker",), scope="office", path=_NUMBERED, body=VerdictBody, refuses=_JUDGED)
async def judge_period(request: web.Request) -> web.Response:
    """The checker signs a drafted period, or says why not; the same word again changes nothing."""
    checker = require(request, "checker", scope="office")
    context, number = request.app[CONTEXT], _number(request)
    body = await wire.read(request, VerdictBody)
    await _judge(
        context,
        body,
        lambda connection, signature: periods.accept_signature(
            connection, number, signature, **_parties(context, checker), domain=context.chain.domain("Receivables")
        ),
        lambda connection: periods.refuse(connection, number, body.refusal),
    )
    row = await context.read(lambda connection: period_store.period(connection, number))
    assert row is not None
    return wire.reply(PeriodState(number, row.state))


def _parties(context: Context, checker: Member) -> dict[str, Any]:
    return {"checker": checker.member_id, "key": checker.key, "operator": context.operator.member}


async def _judge(
    context: Context,
    body: VerdictBody,
    accept: Callable[[Connection, bytes], str | None],
    reject: Callable[[Connection], str | None],
) -> None:
    if bool(body.signature) == bool(body.refusal):
        raise refuse(422, "bad_verdict", "send a signature or a refusal, one of them")
    if body.signature:
        signature = wire.signature(body.signature)
        code = await context.write(lambda connection: accept(connection, signature))
    else:
        code = await context.write(reject)
    if code is None:
        context.poke()
    elif code.startswith("unknown"):
        raise not_found("draft")
    elif code == "bad_signature":
        raise refuse(422, code, "this is not the checker's signature over the draft", "signature")
    else:
        raise refuse(409, code, "the draft has been signed already")


def _number(request: web.Request) -> int:
    return _whole(request.match_info["number"])


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise not_found("draft")
    return int(text)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/cycles", show_cycles),
        web.get("/v1/cycles/{number}", show_cycle),
        web.get("/v1/cycles/{number}/slots", show_slot),
        web.get("/v1/cycles/{number}/lines", show_lines),
        web.post("/v1/cycles/{number}/signature", judge_cycle),
        web.get("/v1/periods", show_periods),
        web.get("/v1/periods/{number}", show_period),
        web.post("/v1/periods/{number}/signature", judge_period),
    ]
