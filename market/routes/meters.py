"""Meters that sign for themselves: their keys and readings; what was read of a meter, and what was not taken."""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import format_energy, format_instant
from market import wire
from market.context import CONTEXT, Context
from market.identity import Member, access_of, require
from market.openapi.fields import PAGE, Day, Energy, EnergyGiven, Instant, Signature, choice
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
from market.records import MeterRecord
from market.routes.readings import AT_ONCE, ReadingsAnswer, local_day, record, result_of
from settlement import calendar, reading_store, readings, signatures
from settlement.jwk import Jwk, to_jwk
from settlement.meters import Code, Submitted
from settlement.reading_leaf import meter_digest, meter_key_digest
from settlement.reading_store import MeterKey

_OFFICES = frozenset({"operator", "meter_operator", "checker", "regulator", "grid_company"})
_NAMED = {"meter": wire.Name}


class MeterKeyBody(wire.Body, frozen=True):
    """A meter's key: ``number`` 1 for its first, then one more. ``signature`` and ``proof`` are over ``MeterKey``."""

    number: Annotated[int, msgspec.Meta(ge=1, le=30_000)]
    public_key: Jwk
    signature: Signature
    proof: Signature


class MeterKeyShown(msgspec.Struct, frozen=True):
    """A key of a meter, and for which signatures over readings it holds."""

    number: int
    public_key: Jwk
    from_signature: int
    to_signature: int | None
    registered: Instant


class MeterKeysAnswer(msgspec.Struct, frozen=True):
    items: list[MeterKeyShown]
    next: None = None


class OwnReadingBody(wire.Body, frozen=True):
    """Energy that the meter exported and imported in one slot, kWh."""

    slot: Instant
    export: EnergyGiven
    import_: EnergyGiven = msgspec.field(name="import")


class OwnReadingsBody(wire.Body, frozen=True):
    """``signature`` is the meter's own, over ``MeterReadings``."""

    readings: Annotated[list[OwnReadingBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]
    signature: Signature


class ReadingShown(msgspec.Struct, frozen=True):
    """One version of a reading; the highest counts. `signed_by` is the meter itself or the meter operator."""

    slot: Instant
    version: int
    export: Energy
    import_: Energy = msgspec.field(name="import")
    signed_by: Annotated[str, choice("meter", "meter_operator")]
    batch: int
    received: Instant


class MeterReadingsAnswer(msgspec.Struct, frozen=True):
    items: list[ReadingShown]
    next: None = None


class QuarantinedShown(msgspec.Struct, frozen=True):
    """A reading that was not taken, and why; `row` is its place in its batch, from 1."""

    batch: int
    row: int
    meter: str
    slot: Instant
    export: Energy
    import_: Energy = msgspec.field(name="import")
    code: Code
    received: Instant


async def _meter(context: Context, request: web.Request) -> tuple[str, MeterRecord]:
    """The meter that the path names. Raises ProblemError 404."""
    name = request.match_info["meter"]
    found = await context.sequencer.look(lambda state: state.meters.get(name))
    if found is None:
        raise not_found("meter")
    return name, found


# ---------------------------------------------------------------------------------------------------- keys


@operation(
    MeterKeyShown,
    status=201,
    who=("meter_operator",),
    scope="office",
    path=_NAMED,
    body=MeterKeyBody,
    refuses=("404 not_found", "409 number_used key_used", "422 bad_key bad_signature"),
)
async def register_key(request: web.Request) -> web.Response:
    """Register a meter's key, the first or one in the place of the last; the meter proves that it has it."""
    meter_operator = require(request, "meter_operator", scope="office")
    context = request.app[CONTEXT]
    name, meter = await _meter(context, request)
    body = await wire.read(request, MeterKeyBody)
    key = wire.public_key(body.public_key)
    signature, proof = wire.signature(body.signature), wire.signature(body.proof, "proof")
    digest = meter_key_digest(context.chain.domain("Clearing"), name, body.number, key)
    if not signatures.is_signed(meter_operator.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not the meter operator's signature over this key", "signature")
    if not signatures.is_signed(key, digest, proof):
        raise refuse(422, "bad_signature", "this is not the meter's own signature over its key", "proof")
    now_s = context.clock.now_s()

    def write(connection: Connection) -> MeterKey:
        known = reading_store.meter_keys(connection, meter.node_id)
        if known and (known[-1].number, known[-1].key) == (body.number, key):
            return known[-1]
        if body.number != len(known) + 1:
            raise refuse(409, "number_used", f"the next key of this meter has number {len(known) + 1}", "number")
        if reading_store.is_meter_key(connection, key):
            raise refuse(409, "key_used", "a meter has or had this key; make a new one", "public_key")
        first = reading_store.next_signature(connection)
        new = MeterKey(meter.node_id, body.number, first, None, key, now_s)
        reading_store.add_meter_key(connection, new, signer=meter_operator.member_id, signature=signature, proof=proof)
        return new

    return await context.write_and_answer(write, lambda new: wire.reply(_key_shown(new), status=201))


@operation(MeterKeysAnswer, who=MEMBER, scope="read", path=_NAMED, refuses=("404 not_found",))
async def show_keys(request: web.Request) -> web.Response:
    """A meter's keys, the oldest first, to its owner and the offices."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    _, meter = await _meter(context, request)
    _check_sight(member, meter)
    known = await context.read(lambda connection: reading_store.meter_keys(connection, meter.node_id))
    return wire.reply(MeterKeysAnswer([_key_shown(each) for each in known]))


def _key_shown(key: MeterKey) -> MeterKeyShown:
    return MeterKeyShown(
        key.number, to_jwk(key.key), key.from_signature, key.to_signature, format_instant(key.registered_s)
    )


def _check_sight(member: Member, meter: MeterRecord) -> None:
    """A meter is seen by its owner and by offices. Raises ProblemError 404."""
    if member.member_id != meter.member_id and not member.roles & _OFFICES:
        raise not_found("meter")


# ------------------------------------------------------------------------------------------------ readings


@operation(
    ReadingsAnswer,
    who=MEMBER,
    path=_NAMED,
    body=OwnReadingsBody,
    refuses=(
        "403 forbidden scope_missing",
        "404 not_found",
        "409 no_key key_changed",
        "422 bad_quantity bad_time bad_signature",
    ),
)
async def submit(request: web.Request) -> web.Response:
    """Take readings that a meter signed with its own key, whether its owner or the meter operator brings them."""
    context = request.app[CONTEXT]
    is_office = "meter_operator" in access_of(request).member.roles
    member = require(request, "meter_operator", scope="office") if is_office else require(request, scope="trade")
    name, meter = await _meter(context, request)
    if not is_office and member.member_id != meter.member_id:
        raise not_found("meter")
    body = await wire.read(request, OwnReadingsBody)
    submitted = [_submitted(name, each, f"readings[{index}].") for index, each in enumerate(body.readings)]
    signature = wire.signature(body.signature)
    keys = await context.read(lambda connection: reading_store.meter_keys(connection, meter.node_id))
    if not keys:
        raise refuse(409, "no_key", "this meter has no key of its own; the meter operator reads it")
    batch = await context.in_thread(readings.batch_of, submitted, signature=signature, node=meter.node_id)
    digest = meter_digest(context.chain.domain("Clearing"), name, batch.root, len(batch.leaves))
    if not signatures.is_signed(keys[-1].key, digest, signature):
        raise refuse(422, "bad_signature", "this is not the meter's own signature over these readings", "signature")

    def check(connection: Connection) -> None:
        if reading_store.meter_keys(connection, meter.node_id)[-1] != keys[-1]:
            raise refuse(409, "key_changed", "the key that signed this was changed meanwhile", "signature")

    return await record(
        context, batch, lambda verdicts: wire.reply(ReadingsAnswer([result_of(each) for each in verdicts])), check
    )


def _submitted(meter: str, body: OwnReadingBody, at: str) -> Submitted:
    return Submitted(
        meter,
        wire.instant_s(body.slot, f"{at}slot"),
        wire.energy_lots(body.export, f"{at}export"),
        wire.energy_lots(body.import_, f"{at}import"),
    )


@operation(
    MeterReadingsAnswer,
    who=MEMBER,
    scope="read",
    path=_NAMED,
    query={"day": Day},
    needed=("day",),
    refuses=("400 missing_parameter", "404 not_found", "422 bad_time"),
)
async def show(request: web.Request) -> web.Response:
    """What was read of a meter on a local day, every version, and who signed it: to its owner and the offices."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    day = local_day(wire.query(request, "day").get("day"))
    _, meter = await _meter(context, request)
    _check_sight(member, meter)
    bounds = calendar.bounds(day, context.config.market.time_zone)
    rows = await context.read(lambda connection: reading_store.versions_of(connection, meter.node_id, *bounds))
    items = [
        ReadingShown(
            slot=format_instant(row.slot_s),
            version=row.version,
            export=format_energy(row.export_lots),
            import_=format_energy(row.import_lots),
            signed_by="meter" if row.by_meter else "meter_operator",
            batch=row.signature_id,
            received=format_instant(row.received_s),
        )
        for row in rows
    ]
    return wire.reply(MeterReadingsAnswer(items))


@operation(wire.Page[QuarantinedShown], who=MEMBER, scope="read", query=PAGE)
async def show_quarantine(request: web.Request) -> web.Response:
    """Readings that were not taken, oldest first: of one's own meters; offices see all."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, "limit", "cursor")
    limit, after = wire.page_limit(parameters), wire.cursor(parameters)
    owner = None if member.roles & _OFFICES else member.member_id
    rows = await context.read(lambda connection: reading_store.quarantined(connection, after, limit + 1, owner))
    items = [
        QuarantinedShown(
            batch=row.signature_id,
            row=row.leaf_index + 1,
            meter=row.meter,
            slot=format_instant(row.slot_s),
            export=format_energy(row.export_lots),
            import_=format_energy(row.import_lots),
            code=row.code,
            received=format_instant(row.received_s),
        )
        for row in rows[:limit]
    ]
    last = reading_store.quarantine_key(rows[limit - 1]) if len(rows) > limit else None
    return wire.reply(wire.page(items, last))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/readings/quarantine", show_quarantine),
        web.post("/v1/meters/{meter}/keys", register_key),
        web.get("/v1/meters/{meter}/keys", show_keys),
        web.post("/v1/meters/{meter}/readings", submit),
        web.get("/v1/meters/{meter}/readings", show),
    ]
