"""Halts: the whole market, what hangs below a node, or some slots, stopped and let go again."""

import logging
from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_instant
from market import halt_store, wire
from market.context import CONTEXT
from market.guards import Halt
from market.halting import SetHalt
from market.identity import require
from market.logs import log
from market.openapi.fields import Instant
from market.openapi.operation import operation
from market.problems import Problem, ProblemError, refuse


class HaltBody(wire.Body, frozen=True):
    """Without `node` everywhere, without `first_slot` and `end_slot` for all slots; `end_slot` is the first after.

    Lifting names the same place.
    """

    halted: bool
    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    node: wire.Name | None = None
    first_slot: Instant | None = None
    end_slot: Instant | None = None


class HaltShown(msgspec.Struct, frozen=True):
    """A halt that stands: where, for which slots, since when, why."""

    node: str | None
    first_slot: Instant | None
    end_slot: Instant | None
    since: Instant
    reason: str


class HaltAnswer(msgspec.Struct, frozen=True):
    """`halted`: everywhere, for all slots. `halts` are all that stand."""

    halted: bool
    halts: list[HaltShown]


def standing(connection: Connection) -> HaltAnswer:
    """What is halted, by the record."""
    found = halt_store.standing(connection)
    return HaltAnswer(any(halt.place == (None, None, None) for halt, _ in found), [_shown(*each) for each in found])


def _shown(halt: Halt, node: str | None) -> HaltShown:
    first, end = wire.time_text(halt.start_s), wire.time_text(halt.end_s)
    return HaltShown(node, first, end, format_instant(halt.halted_s), halt.reason)


@operation(
    HaltAnswer,
    who=("operator", "regulator"),
    scope="office",
    body=HaltBody,
    refuses=("422 bad_time bad_slots unknown_node",),
)
async def halt(request: web.Request) -> web.Response:
    """Take no orders, or take them again; what rests can always be cancelled."""
    member, context = require(request, "operator", "regulator", scope="office"), request.app[CONTEXT]
    body = await wire.read(request, HaltBody)
    start_s = None if body.first_slot is None else wire.instant_s(body.first_slot, "first_slot")
    end_s = None if body.end_slot is None else wire.instant_s(body.end_slot, "end_slot")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise refuse(422, "bad_slots", "end_slot comes after first_slot", "end_slot")
    job = SetHalt(body.halted, member.member_id, body.reason, body.node, start_s, end_s)
    answer = (await context.sequencer.submit(job)).answer
    if isinstance(answer, Problem):
        raise ProblemError(answer)
    log(logging.WARNING, "halt", halted=body.halted, node=body.node, start_s=start_s, end_s=end_s, halts=len(answer))
    return wire.reply(await context.read(standing))


def routes() -> list[web.RouteDef]:
    return [web.post("/v1/market/halt", halt)]
