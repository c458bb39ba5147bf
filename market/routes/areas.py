"""Area meters: their terms, as the grid company signs them, and how each slot's sums compare with their readings."""

from datetime import date
from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import UnitError, format_energy, format_instant, limit_lots_floor
from market import wire
from market.context import CONTEXT, Context
from market.identity import require
from market.openapi.fields import Cursor, Day, Energy, EnergyGiven, Instant, Limit, Power, Signature, choice
from market.openapi.operation import MEMBER, operation
from market.problems import refuse
from market.routes.readings import local_day
from settlement import calendar, reading_store, signatures
from settlement.areas import AreaMeter, Comparison
from settlement.delivery import Established
from settlement.reading_leaf import area_digest

SLOTS_AT_ONCE = 24
_OFFICES = ("operator", "grid_company", "meter_operator", "checker", "regulator")
_MOST_BP = 10_000


class AreaBody(wire.Body, frozen=True):
    """An area meter at a node, for slots from ``from`` on. ``number`` is 1 for a node's first terms, then one more.

    For losses there are ``tolerance`` and ``tolerance_bp``, which is of what the meters below exported and imported
    together. Where both limits are 0 there is no area meter any more. ``signature`` is the grid company's over
    ``AreaMeter``.
    """

    area: wire.Name
    number: Annotated[int, msgspec.Meta(ge=1, le=30_000)]
    from_: Instant = msgspec.field(name="from")
    export_kw: Power
    import_kw: Power
    tolerance_bp: Annotated[int, msgspec.Meta(ge=0, le=_MOST_BP)]
    tolerance: EnergyGiven
    signature: Signature


class AreaShown(msgspec.Struct, frozen=True):
    """The terms of an area meter: energy it can measure in one slot, and its tolerance."""

    area: str
    number: int
    from_: Instant = msgspec.field(name="from")
    export: Energy
    import_: Energy = msgspec.field(name="import")
    tolerance_bp: int
    tolerance: Energy
    signature: Signature


class AreasAnswer(msgspec.Struct, frozen=True):
    items: list[AreaShown]
    next: None = None


class AreaSlot(msgspec.Struct, frozen=True):
    """One area in one slot: the sum over its meters that were read, what the area meter measured, and the difference.

    `held` names the meters whose readings do not count until they are corrected; `missing` counts meters without one.
    """

    slot: Instant
    area: str
    status: Annotated[str, choice("reconciled", "incomplete", "held", "unread")]
    exported: Energy
    imported: Energy
    measured_export: Energy | None
    measured_import: Energy | None
    difference: Energy
    tolerance: Energy
    missing: int
    held: list[str]


@operation(
    AreaShown,
    status=201,
    who=("grid_company",),
    scope="office",
    body=AreaBody,
    refuses=("409 number_used", "422 unknown_node bad_area bad_limit bad_quantity bad_time bad_signature"),
)
async def put(request: web.Request) -> web.Response:
    """Set up an area meter, change its terms, or end it, for slots to come. The same terms again change nothing."""
    grid_company = require(request, "grid_company", scope="office")
    context, body = request.app[CONTEXT], await wire.read(request, AreaBody)
    terms = AreaMeter(
        -1,
        body.number,
        wire.instant_s(body.from_, "from"),
        _lots(context, body.export_kw, "export_kw"),
        _lots(context, body.import_kw, "import_kw"),
        body.tolerance_bp,
        wire.energy_lots(body.tolerance, "tolerance"),
    )
    if terms.tolerance_lots < 0:
        raise refuse(422, "bad_quantity", "a tolerance is not negative", "tolerance")
    signature = wire.signature(body.signature)
    digest = area_digest(context.chain.domain("Clearing"), body.area, terms)
    if not signatures.is_signed(grid_company.key, digest, signature):
        raise refuse(422, "bad_signature", "this is not the grid company's signature over these terms", "signature")
    now_s = context.clock.now_s()

    def write(connection: Connection) -> None:
        place = reading_store.area_place(connection, body.area)
        if place is None:
            raise refuse(422, "unknown_node", "there is no such node", "area")
        if place.is_meter:
            raise refuse(422, "bad_area", "a meter is no area", "area")
        given = terms._replace(node=place.node)
        if given in place.terms:
            return
        if body.number != len(place.terms) + 1:
            raise refuse(409, "number_used", f"the next terms there have number {len(place.terms) + 1}", "number")
        if terms.from_s <= now_s:
            raise refuse(422, "bad_time", "terms hold for slots that have not begun", "from")
        reading_store.add_area_meter(connection, given, set_s=now_s, signer=grid_company.member_id, signature=signature)

    shown = _shown(body.area, terms, signature)
    return await context.write_and_answer(write, lambda _: wire.reply(shown, status=201))


@operation(AreasAnswer, who=MEMBER, scope="read")
async def show(request: web.Request) -> web.Response:
    """The terms of all area meters there ever were, by node: of those of a slot's time the last hold."""
    require(request, scope="read")
    wire.query(request)
    rows = await request.app[CONTEXT].read(reading_store.area_rows)
    items = [
        _shown(row.name, AreaMeter(row.node_id, *(getattr(row, name) for name in AreaMeter._fields[1:])), row.signature)
        for row in rows
    ]
    return wire.reply(AreasAnswer(items))


@operation(
    wire.Page[AreaSlot],
    who=_OFFICES,
    scope="read",
    query={"day": Day, "limit": Limit, "cursor": Cursor},
    needed=("day",),
    refuses=("400 missing_parameter", "422 bad_time"),
)
async def show_readings(request: web.Request) -> web.Response:
    """How the areas of a local day compare, slot by slot, with the readings that count in the day's cycle as of now."""
    require(request, *_OFFICES, scope="read")
    context, parameters = request.app[CONTEXT], wire.query(request, "day", "limit", "cursor")
    day, limit, after = local_day(parameters.get("day")), wire.page_limit(parameters), wire.cursor(parameters)
    items, last = await context.read(lambda connection: _compared(context, connection, day, after, limit))
    return wire.reply(wire.page(items, last))


def _compared(
    context: Context, connection: Connection, day: date, after: int, limit: int
) -> tuple[list[AreaSlot], int | None]:
    """The areas of the slots from the one after ``after`` on, and the last of those slots if there may be more."""
    rules = context.config.settlement_rules
    grid = reading_store.areas(connection)
    names = {row.node_id: row.name for row in reading_store.area_rows(connection)}
    slots = list(calendar.slots(day, rules.time_zone, rules.slot_minutes))
    items: list[AreaSlot] = []
    if not names:
        return items, None
    for place in range(after + 1, min(after + 1 + SLOTS_AT_ONCE, len(slots))):
        counted = grid.count(slots[place], reading_store.readings_at(connection, slots[place], rules.cut_s(day)))
        held = [node for node, each in counted.established.items() if each == Established.HELD]
        held_names = reading_store.names_of(connection, held)
        below = {each.node: grid.nearest(held, counted.comparisons, each.node) for each in counted.comparisons}
        items += [
            _compared_area(each, names[each.node], [held_names[node] for node in below[each.node]])
            for each in counted.comparisons
        ]
        if len(items) >= limit:
            return items, place
    following = after + SLOTS_AT_ONCE
    return items, following if following < len(slots) - 1 else None


def _compared_area(each: Comparison, name: str, held: list[str]) -> AreaSlot:
    return AreaSlot(
        slot=format_instant(each.slot_s),
        area=name,
        status=each.status,
        exported=format_energy(each.exported_lots),
        imported=format_energy(each.imported_lots),
        measured_export=None if each.measured is None else format_energy(each.measured.export_lots),
        measured_import=None if each.measured is None else format_energy(each.measured.import_lots),
        difference=format_energy(each.difference_lots),
        tolerance=format_energy(each.tolerance_lots),
        missing=each.missing,
        held=held,
    )


def _shown(name: str, terms: AreaMeter, signature: bytes) -> AreaShown:
    return AreaShown(
        area=name,
        number=terms.number,
        from_=format_instant(terms.from_s),
        export=format_energy(terms.export_lots),
        import_=format_energy(terms.import_lots),
        tolerance_bp=terms.tolerance_bp,
        tolerance=format_energy(terms.tolerance_lots),
        signature=signature.hex(),
    )


def _lots(context: Context, limit_kw: str, field: str) -> int:
    try:
        return limit_lots_floor(limit_kw, context.config.market.slot_minutes)
    except UnitError as error:
        raise refuse(422, "bad_limit", str(error), field) from error


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/areas", put),
        web.get("/v1/areas", show),
        web.get("/v1/areas/readings", show_readings),
    ]
