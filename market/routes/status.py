"""The market clock, how settlement stands, halting, and whether the server lives."""

from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant
from finance import period_store
from market import wire
from market.clock import BackwardsError, ManualClock
from market.context import CONTEXT
from market.identity import require
from market.jobs import CloseGates, Halt
from market.problems import refuse, unavailable
from market.store import CLOCK, put_settings, reverted_calls
from settlement import cycle_store, outbox, store

_UNDER_WAY = ("drafted", "signed", "applying")


class ClockBody(wire.Body, frozen=True):
    now: str


class HaltBody(wire.Body, frozen=True):
    halted: bool


async def show_clock(request: web.Request) -> web.Response:
    """What time it is in the market."""
    clock = request.app[CONTEXT].clock
    return wire.reply({"now": format_instant(clock.now_s()), "manual": clock.is_manual})


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
    return wire.reply(
        {"now": format_instant(context.clock.now_s()), "closed": [format_instant(slot) for slot in outcome.answer]}
    )


async def show_status(request: web.Request) -> web.Response:
    """How far settlement is. ``idle``: nothing is due, under way, or waiting for the checker."""
    require(request, "operator", "regulator", "checker", scope="read")
    context = request.app[CONTEXT]

    def look(connection: Connection) -> dict[str, Any]:
        commitment = store.last_commitment(connection)
        return {
            "outbox_waiting": outbox.count_unfinished(connection),
            "outbox_reverted": [{"call": kind, "refusal": refusal} for kind, refusal in reverted_calls(connection)],
            "cycles": [
                {"cycle": row.cycle, "day": row.day, "state": row.state} for row in cycle_store.cycles_in(connection)
            ],
            "periods": [{"period": row.period, "state": row.state} for row in period_store.periods_in(connection)],
            "last_commitment": commitment.commitment if commitment is not None else None,
        }

    found = await context.read(look)
    scheduler = context.scheduler  # asked after the outbox: what was sent since then is followed before it is idle
    condition = scheduler.condition if scheduler is not None else "off"
    is_busy = scheduler is None or scheduler.is_busy
    settled_s = scheduler.settled_s if scheduler is not None else None
    sequence, open_orders, is_halted = await context.sequencer.look(
        lambda state: (state.engine.sequence, len(state.open), state.is_halted)
    )
    now_s = context.clock.now_s()
    is_waiting = any(row["state"] in _UNDER_WAY for row in (*found["cycles"], *found["periods"]))
    is_settled = settled_s is not None and settled_s >= now_s
    return wire.reply(
        {
            "now": format_instant(now_s),
            "sequence": sequence,
            "open_orders": open_orders,
            "halted": is_halted,
            **found,
            "settlement": condition,
            "idle": found["outbox_waiting"] == 0 and not is_busy and not is_waiting and is_settled,
        }
    )


async def halt(request: web.Request) -> web.Response:
    """Stop taking orders, or take them again; what rests can always be cancelled."""
    require(request, "operator", "regulator", scope="office")
    body = await wire.read(request, HaltBody)
    outcome = await request.app[CONTEXT].sequencer.submit(Halt(body.halted))
    return wire.reply({"halted": outcome.answer})


async def healthz(request: web.Request) -> web.Response:
    """The process answers."""
    return wire.reply({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """Orders can be taken: the sequencer runs and has answered."""
    context = request.app[CONTEXT]
    if context.is_stopping:
        raise unavailable("stopping", "this server was told to stop; it finishes what has begun", 30)
    if not context.sequencer.is_running:
        raise unavailable("market_stopped", "the sequencer has stopped", 30)
    await context.sequencer.look(lambda state: None)
    if context.scheduler is not None and context.scheduler.condition == "stopped":
        raise unavailable("settlement_stopped", "settlement has stopped; orders are still taken", 30)
    return wire.reply({"status": "ready"})


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/clock", show_clock),
        web.post("/v1/clock", move_clock),
        web.get("/v1/status", show_status),
        web.post("/v1/market/halt", halt),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
    ]
