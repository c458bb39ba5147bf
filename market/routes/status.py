"""The market clock, how market and settlement stand, and whether the server lives."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant
from finance import period_store
from market import wire
from market.clock import BackwardsError, ManualClock
from market.context import CONTEXT
from market.identity import require
from market.jobs import CloseGates
from market.openapi.fields import Day, Instant, choice
from market.openapi.operation import ANYONE, operation
from market.problems import refuse, unavailable
from market.routes.halts import HaltShown, standing
from market.sequencer import Look
from market.store import CLOCK, put_settings, reverted_calls
from settlement import cycle_store, dispute_store, outbox, store

_UNDER_WAY = ("drafted", "signed", "applying")


class ClockBody(wire.Body, frozen=True):
    now: Instant


class ClockAnswer(msgspec.Struct, frozen=True):
    """The market's time; a manual clock is moved by the operator."""

    now: Instant
    manual: bool


class ClockMoved(msgspec.Struct, frozen=True):
    """The new time, and the slots whose gates closed."""

    now: Instant
    closed: list[Instant]


class CallRefused(msgspec.Struct, frozen=True):
    """A call that the contracts did not take."""

    call: str
    refusal: str


class CycleStanding(msgspec.Struct, frozen=True):
    cycle: int
    day: Day
    state: str


class PeriodStanding(msgspec.Struct, frozen=True):
    period: int
    state: str


class Settled(msgspec.Struct, frozen=True):
    """How far settlement is by the database."""

    outbox_waiting: int
    outbox_reverted: list[CallRefused]
    cycles: list[CycleStanding]
    periods: list[PeriodStanding]
    last_commitment: int | None


class StatusBody(Settled, frozen=True, kw_only=True):
    """How far market and settlement are; `settlement` waits during an outage and is stopped after a bug."""

    now: Instant
    sequence: int
    open_orders: int
    halted: bool
    halts: list[HaltShown]
    settlement: Annotated[str, choice("running", "waiting", "stopped", "off")]
    idle: bool


class Health(msgspec.Struct, frozen=True):
    """``problems`` are those that a person must see to while orders go on."""

    status: Annotated[str, choice("alive", "ready")]
    problems: list[str] = []


@operation(ClockAnswer, who=ANYONE)
async def show_clock(request: web.Request) -> web.Response:
    """What time it is in the market."""
    clock = request.app[CONTEXT].clock
    return wire.reply(ClockAnswer(format_instant(clock.now_s()), clock.is_manual))


@operation(
    ClockMoved,
    who=("operator",),
    scope="office",
    body=ClockBody,
    refuses=("409 wall_clock clock_backwards", "422 bad_time"),
)
async def move_clock(request: web.Request) -> web.Response:
    """Move a manual clock forward. Gates that are due are closed when this answers; settlement follows by itself."""
    require(request, "operator", scope="office")
    context = request.app[CONTEXT]
    body = await wire.read(request, ClockBody)
    now_s = wire.instant_s(body.now, "now")
    if not isinstance(context.clock, ManualClock):
        raise refuse(409, "wall_clock", "this market runs on the wall's clock")
    try:
        context.clock.move_to(now_s)
    except BackwardsError as error:
        raise refuse(409, "clock_backwards", str(error), "now") from error
    await context.write(lambda connection: put_settings(connection, {CLOCK: context.clock.now_s()}))
    outcome = await context.sequencer.submit(CloseGates())
    context.poke()
    closed = [format_instant(slot) for slot in outcome.answer]
    return wire.reply(ClockMoved(format_instant(context.clock.now_s()), closed))


@operation(StatusBody, who=("operator", "regulator", "checker"), scope="read")
async def show_status(request: web.Request) -> web.Response:
    """How far settlement is. ``idle``: nothing is due, under way, or waiting for the checker."""
    require(request, "operator", "regulator", "checker", scope="read")
    context = request.app[CONTEXT]

    found = await context.read(_settled)
    halts = await context.read(standing)
    scheduler = context.scheduler  # asked after the outbox: what was sent since then is followed before it is idle
    condition = scheduler.condition if scheduler is not None else "off"
    is_busy = scheduler is None or scheduler.is_busy
    settled_s = scheduler.settled_s if scheduler is not None else None
    sequence, open_orders = await context.sequencer.look(lambda state: (state.engine.sequence, len(state.open)))
    now_s = context.clock.now_s()
    states = [*(row.state for row in found.cycles), *(row.state for row in found.periods)]
    is_waiting = any(state in _UNDER_WAY for state in states)
    is_settled = settled_s is not None and settled_s >= now_s
    return wire.reply(
        StatusBody(
            **msgspec.structs.asdict(found),
            now=format_instant(now_s),
            sequence=sequence,
            open_orders=open_orders,
            halted=halts.halted,
            halts=halts.halts,
            settlement=condition,
            idle=found.outbox_waiting == 0 and not is_busy and not is_waiting and is_settled,
        )
    )


def _settled(connection: Connection) -> Settled:
    commitment = store.last_commitment(connection)
    return Settled(
        outbox_waiting=outbox.count_unfinished(connection),
        outbox_reverted=[CallRefused(kind, refusal) for kind, refusal in reverted_calls(connection)],
        cycles=[CycleStanding(row.cycle, row.day, row.state) for row in cycle_store.cycles_in(connection)],
        periods=[PeriodStanding(row.period, row.state) for row in period_store.periods_in(connection)],
        last_commitment=commitment.commitment if commitment is not None else None,
    )


@operation(Health, who=ANYONE)
async def healthz(request: web.Request) -> web.Response:
    """The process answers."""
    return wire.reply(Health("alive"))


@operation(Health, who=ANYONE, refuses=("503 settlement_stopped stopping",))
async def readyz(request: web.Request) -> web.Response:
    """Orders can be taken: the sequencer runs and has answered."""
    context = request.app[CONTEXT]
    if context.is_stopping:
        raise unavailable("stopping", "this server was told to stop; it finishes what has begun", 30)
    if not context.sequencer.is_running:
        raise unavailable("market_stopped", "the sequencer has stopped", 30)
    await context.sequencer.submit(Look(lambda state: None))
    if context.scheduler is not None and context.scheduler.condition == "stopped":
        raise unavailable("settlement_stopped", "settlement has stopped; orders are still taken", 30)
    return wire.reply(Health("ready", ["challenge_without_answer"] if await context.read(_unanswered) else []))


def _unanswered(connection: Connection) -> bool:
    return any(row.problem is not None for row in dispute_store.open_challenges(connection))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/clock", show_clock),
        web.post("/v1/clock", move_clock),
        web.get("/v1/status", show_status),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
    ]
