"""Disputes about readings: opened by a meter's owner, answered by the meter operator, decided by the arbiter."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_energy, format_instant
from market import wire
from market.config import INSTITUTIONS
from market.context import CONTEXT, Context
from market.identity import Member, require, require_fresh
from market.openapi.fields import Energy, EnergyGiven, Instant, Number, choice
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
from settlement import calendar, reading_dispute_store
from settlement.reading_dispute import Act, Party, due_s, refusal
from settlement.reading_dispute_store import Dispute

_OFFICES = ("meter_operator", "checker", "operator", "regulator")
_ACTS = tuple(str(act) for act in Act)

Note = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, description="Why, for the record")]


class DisputeBody(wire.Body, frozen=True):
    """A reading of one's own meter, what it should say, and why."""

    meter: wire.Name
    slot: Instant
    export: EnergyGiven
    import_: EnergyGiven = msgspec.field(name="import")
    note: Note


class AnswerBody(wire.Body, frozen=True):
    """The meter operator's answer; a correction was sent before it, signed as every reading."""

    act: Literal["stood_by", "corrected"]
    note: Note


class StepBody(wire.Body, frozen=True):
    """The next step. `overruled` says what was metered; the meter operator sends that as a signed reading."""

    act: Literal["appealed", "upheld", "overruled"]
    note: Note
    export: EnergyGiven | None = None
    import_: EnergyGiven | None = msgspec.field(name="import", default=None)


class StepShown(msgspec.Struct, frozen=True):
    """One step: who said what, and which energy if it names any."""

    act: Annotated[str, choice(*_ACTS)]
    member: int
    at: Instant
    export: Energy | None
    import_: Energy | None = msgspec.field(name="import")
    note: str


class DisputeShown(msgspec.Struct, frozen=True):
    """A dispute with every step. After `due` the signed reading stands, unless it was overruled before; `export` and
    `import` are the reading as it is now, `version` the one that was disputed.
    """

    dispute: int
    meter: str
    slot: Instant
    member: int
    version: int
    due: Instant | None
    export: Energy
    import_: Energy = msgspec.field(name="import")
    steps: list[StepShown]


@operation(
    DisputeShown,
    status=201,
    who=MEMBER,
    scope="trade",
    body=DisputeBody,
    is_sensitive=True,
    refuses=("404 not_found", "409 already_disputed", "422 bad_quantity bad_time too_late"),
)
async def open_dispute(request: web.Request) -> web.Response:
    """Dispute the newest reading of an own meter in a slot, as long as it could still be corrected."""
    context, member = request.app[CONTEXT], require(request, scope="trade")
    require_fresh(request)
    body = await wire.read(request, DisputeBody)
    slot_s, now_s, rules = wire.instant_s(body.slot, "slot"), context.clock.now_s(), context.config.settlement_rules
    energy = wire.energy_lots(body.export, "export"), wire.energy_lots(body.import_, "import")
    _, day_end_s = calendar.bounds(calendar.day_of(slot_s, rules.time_zone), rules.time_zone)
    if now_s >= day_end_s + rules.window_s + rules.late_s:
        raise refuse(422, "too_late", "no reading of this slot is taken any more", "slot")

    def write(connection: Connection) -> web.Response:
        node = reading_dispute_store.owned_meter(connection, body.meter, member.member_id)
        newest = None if node is None else reading_dispute_store.newest_reading(connection, node, slot_s)
        if node is None or newest is None:
            raise not_found("such a reading of a meter of yours")
        if reading_dispute_store.of_reading(connection, node, slot_s, newest.version) is not None:
            raise refuse(409, "already_disputed", "this reading is disputed, or was; see /v1/readings/disputes")
        row = {"node_id": node, "slot_s": slot_s, "member_id": member.member_id, "version": newest.version}
        number = reading_dispute_store.add_dispute(connection, row)
        step = {"act": str(Act.OPENED), "member_id": member.member_id, "at_s": now_s, "note": body.note}
        _add_step(connection, number, step, energy)
        return _one(connection, number, status=201)

    return await context.write_and_answer(write, lambda answer: answer)


@operation(wire.Page[DisputeShown], who=MEMBER, scope="read")
async def show_disputes(request: web.Request) -> web.Response:
    """One's own disputes with every step; the offices and the arbiter see all."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    sees_all = member.roles.intersection(_OFFICES) or member.member_id == context.config.settlement.arbiter
    own = None if sees_all else member.member_id
    found = await context.read(lambda connection: reading_dispute_store.disputes(connection, member=own))
    return wire.reply(wire.page([_shown(each) for each in found], None))


@operation(
    DisputeShown,
    who=MEMBER,
    scope="trade",
    path={"dispute": Number},
    body=StepBody,
    is_sensitive=True,
    refuses=(
        "400 bad_number",
        "403 is_party",
        "404 not_found",
        "409 dispute_over not_your_turn",
        "422 bad_quantity missing_energy",
    ),
)
async def take_step(request: web.Request) -> web.Response:
    """The owner appeals, the arbiter decides."""
    member = require(request, scope="trade")
    require_fresh(request)
    body = await wire.read(request, StepBody)
    act = Act(body.act)
    return await _take(request, member, act, body.note, _energy(body) if act is Act.OVERRULED else None)


@operation(
    DisputeShown,
    who=("meter_operator",),
    scope="office",
    path={"dispute": Number},
    body=AnswerBody,
    refuses=("400 bad_number", "404 not_found", "409 dispute_over not_your_turn not_corrected"),
)
async def answer(request: web.Request) -> web.Response:
    """The meter operator has corrected the disputed reading, or stands by it."""
    member = require(request, "meter_operator", scope="office")
    body = await wire.read(request, AnswerBody)
    return await _take(request, member, Act(body.act), body.note, None)


async def _take(
    request: web.Request, member: Member, act: Act, note: str, energy: tuple[int, int] | None
) -> web.Response:
    context = request.app[CONTEXT]
    number, now_s = wire.whole_number(request.match_info["dispute"], "dispute"), context.clock.now_s()

    def write(connection: Connection) -> web.Response:
        found = reading_dispute_store.disputes(connection, number=number)
        party = _party(context, member, found[0]) if found else None
        if party is None:
            raise not_found("such a dispute")
        last = found[0].steps[-1]
        code = refusal(Act(last.act), last.at_s, act, party, now_s)
        if code is not None:
            raise refuse(409, code, "see the steps of the dispute at /v1/readings/disputes")
        if act is Act.CORRECTED and found[0].newest.version == found[0].version:
            raise refuse(409, "not_corrected", "send the correction first, signed as every reading", "act")
        step = {"act": str(act), "member_id": member.member_id, "at_s": now_s, "note": note}
        _add_step(connection, number, step, energy)
        return _one(connection, number, status=200)

    return await context.write_and_answer(write, lambda answer: answer)


def _energy(body: StepBody) -> tuple[int, int]:
    if body.export is None or body.import_ is None:
        raise refuse(422, "missing_energy", "say what was metered: export and import", "export")
    return wire.energy_lots(body.export, "export"), wire.energy_lots(body.import_, "import")


def _party(context: Context, member: Member, dispute: Dispute) -> Party | None:
    """What the member is in this dispute. Raises ProblemError when it decides in a matter of its own."""
    if member.member_id == context.config.settlement.arbiter:
        if member.member_id == dispute.member or member.member_id in INSTITUTIONS.values():
            raise refuse(403, "is_party", "an arbiter decides in no matter of its own")
        return Party.ARBITER
    if "meter_operator" in member.roles:
        return Party.METER_OPERATOR
    return Party.OWNER if member.member_id == dispute.member else None


def _add_step(connection: Connection, number: int, row: dict[str, object], energy: tuple[int, int] | None) -> None:
    export_lots, import_lots = energy or (None, None)
    reading_dispute_store.add_step(connection, number, {**row, "export_lots": export_lots, "import_lots": import_lots})


def _one(connection: Connection, number: int, *, status: int) -> web.Response:
    (found,) = reading_dispute_store.disputes(connection, number=number)
    return wire.reply(_shown(found), status=status)


def _shown(dispute: Dispute) -> DisputeShown:
    last = dispute.steps[-1]
    return DisputeShown(
        dispute=dispute.number,
        meter=dispute.meter,
        slot=format_instant(dispute.slot_s),
        member=dispute.member,
        version=dispute.version,
        due=wire.time_text(due_s(Act(last.act), last.at_s)),
        export=format_energy(dispute.newest.export_lots),
        import_=format_energy(dispute.newest.import_lots),
        steps=[
            StepShown(
                act=step.act,
                member=step.member_id,
                at=format_instant(step.at_s),
                export=None if step.export_lots is None else format_energy(step.export_lots),
                import_=None if step.import_lots is None else format_energy(step.import_lots),
                note=step.note,
            )
            for step in dispute.steps
        ],
    )


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/readings/disputes", show_disputes),
        web.post("/v1/readings/disputes", open_dispute),
        web.post("/v1/readings/disputes/{dispute}/answer", answer),
        web.post("/v1/readings/disputes/{dispute}/steps", take_step),
    ]
