"""The queries of readings: what is known of meters, what was read and when, what is added.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
Thousands of rows go in and are found by a few statements (``data/bulk.py``).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import CTE, Connection, Row, Table, exists, func, insert, select, update

from data import tables
from data.bulk import insert_rows, rows_with_keys
from data.tables import area_meters, meters, nodes, quarantined_readings, reading_signatures, readings, trades
from settlement.areas import AreaMeter, Areas, Place
from settlement.delivery import Reading
from settlement.meters import Connection as MeterConnection
from settlement.meters import Kept
from settlement.reading_leaf import placed_leaves, reading_leaf
from settlement.signatures import PublicKey
from settlement.store import chunks

TakenRow = tuple[int, int, int, int, int, int, int]
"""slot_s, node_id, version, export_lots, import_lots, signature_id, leaf_index."""

_TAKEN = ("slot_s", "node_id", "version", "export_lots", "import_lots", "signature_id", "leaf_index")

QuarantinedRow = tuple[int, int, str, int, int, int, str, int]
"""signature_id, leaf_index, meter, slot_s, export_lots, import_lots, code, received_s."""

_QUARANTINED = ("signature_id", "leaf_index", "meter", "slot_s", "export_lots", "import_lots", "code", "received_s")


def meters_by_name(connection: Connection, names: Collection[str]) -> dict[str, MeterConnection]:
    """Node and capacity of each meter that exists, area meters among them."""
    known = rows_with_keys(connection, nodes, ("name",), [(name,) for name in names], ("node_id", "name"))
    wanted = [(node,) for node, _ in known]
    capacity = ("node_id", "export_lots", "import_lots")
    connections = {
        node: MeterConnection(node, export_lots, import_lots)
        for node, export_lots, import_lots in rows_with_keys(connection, meters, ("node_id",), wanted, capacity)
    }
    others = [node for node in wanted if node[0] not in connections]
    numbered = rows_with_keys(connection, area_meters, ("node_id",), others, ("number", *capacity))
    for _, node, export_lots, import_lots in sorted(numbered):
        connections[node] = MeterConnection(node, export_lots, import_lots)
    return {name: connections[node] for node, name in known if node in connections}


def areas(connection: Connection) -> Areas:
    """Every area meter, with the meters below each."""
    configured = [_area_meter(row) for row in connection.execute(select(area_meters))]
    parents: dict[int, int | None] = {}
    if configured:
        parents = {row.node_id: row.parent_id for row in connection.execute(select(nodes.c.node_id, nodes.c.parent_id))}
    query = select(meters.c.node_id, nodes.c.connected_s, meters.c.export_lots, meters.c.import_lots)
    found = connection.execute(query.join(nodes, nodes.c.node_id == meters.c.node_id))
    return Areas(parents, [Place(*row) for row in found], configured)


def _area_meter(row: Row[Any]) -> AreaMeter:
    return AreaMeter(row.node_id, *(getattr(row, name) for name in AreaMeter._fields[1:]))


def add_area_meter(connection: Connection, area: AreaMeter, *, set_s: int, signer: int, signature: bytes) -> None:
    """Insert the terms of an area meter."""
    row = {"node_id": area.node, **area._asdict(), "set_s": set_s, "signer": signer, "signature": signature}
    del row["node"]
    connection.execute(insert(area_meters), row)


class AreaPlace(NamedTuple):
    """A node where an area meter may be, and all terms that one had there, oldest first."""

    node: int
    is_meter: bool
    terms: list[AreaMeter]


def area_place(connection: Connection, name: str) -> AreaPlace | None:
    """The node of this name."""
    node = connection.scalar(select(nodes.c.node_id).where(nodes.c.name == name))
    if node is None:
        return None
    is_meter = connection.execute(select(meters.c.node_id).where(meters.c.node_id == node)).first() is not None
    query = select(area_meters).where(area_meters.c.node_id == node).order_by(area_meters.c.number)
    return AreaPlace(node, is_meter, [_area_meter(row) for row in connection.execute(query)])


def names_of(connection: Connection, wanted: Collection[int]) -> dict[int, str]:
    """The names of some nodes."""
    asked = [(node,) for node in wanted]
    return {row[0]: row[1] for row in rows_with_keys(connection, nodes, ("node_id",), asked, ("node_id", "name"))}


class MeterKey(NamedTuple):
    """A key of a meter, for its signatures over readings with ``from_signature <= id < to_signature``."""

    node: int
    number: int
    from_signature: int
    to_signature: int | None
    key: PublicKey
    registered_s: int


def meter_keys(connection: Connection, node: int) -> list[MeterKey]:
    """All keys that a meter has or had, oldest first."""
    query = select(tables.meter_keys).where(tables.meter_keys.c.node_id == node).order_by(tables.meter_keys.c.number)
    return [
        MeterKey(
            row.node_id,
            row.number,
            row.from_signature,
            row.to_signature,
            PublicKey(int.from_bytes(row.x, "big"), int.from_bytes(row.y, "big")),
            row.registered_s,
        )
        for row in connection.execute(query)
    ]


def is_meter_key(connection: Connection, key: PublicKey) -> bool:
    """Whether some meter has or had this key."""
    point = key.x.to_bytes(32, "big"), key.y.to_bytes(32, "big")
    query = select(tables.meter_keys.c.node_id).where(
        tables.meter_keys.c.x == point[0], tables.meter_keys.c.y == point[1]
    )
    return connection.execute(query).first() is not None


def add_meter_key(connection: Connection, new: MeterKey, *, signer: int, signature: bytes, proof: bytes) -> None:
    """A meter's next key: the one before holds up to where this begins."""
    keys = tables.meter_keys
    connection.execute(
        update(keys)
        .where(keys.c.node_id == new.node, keys.c.to_signature.is_(None))
        .values(to_signature=new.from_signature)
    )
    row = {"node_id": new.node, "number": new.number, "from_signature": new.from_signature}
    point = {"x": new.key.x.to_bytes(32, "big"), "y": new.key.y.to_bytes(32, "big")}
    signed = {"registered_s": new.registered_s, "signer": signer, "signature": signature, "proof": proof}
    connection.execute(insert(keys), row | point | signed)


def area_rows(connection: Connection) -> Sequence[Row[Any]]:
    """The terms of all area meters with the names of their nodes, by node and number."""
    query = select(area_meters, nodes.c.name).join(nodes, nodes.c.node_id == area_meters.c.node_id)
    return connection.execute(query.order_by(area_meters.c.node_id, area_meters.c.number)).all()


def kept_readings(connection: Connection, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[Kept]]:
    """All versions of the readings at these (slot, node), oldest first."""
    found = rows_with_keys(
        connection,
        readings,
        ("slot_s", "node_id"),
        list(places),
        ("slot_s", "node_id", "version", "export_lots", "import_lots", "signature_id"),
    )
    by_meter = _signed_by_meters(connection, {row[5] for row in found})
    kept: dict[tuple[int, int], list[Kept]] = {}
    for slot_s, node, _, export_lots, import_lots, signature in sorted(found):
        version = Kept(Reading(export_lots, import_lots), signature in by_meter)
        kept.setdefault((slot_s, node), []).append(version)
    return kept


def _signed_by_meters(connection: Connection, signatures: Iterable[int]) -> set[int]:
    """Those of the signatures that a meter made itself."""
    query = select(reading_signatures.c.signature_id).where(reading_signatures.c.node_id.is_not(None))
    found: set[int] = set()
    for chunk in chunks(sorted(signatures)):
        found.update(connection.scalars(query.where(reading_signatures.c.signature_id.in_(chunk))))
    return found


def readings_at(connection: Connection, slot_s: int, before_s: int) -> dict[int, Kept]:
    """The readings of a slot that count when all received before an instant do, by node: of each the latest."""
    query = (
        select(
            readings.c.node_id,
            readings.c.export_lots,
            readings.c.import_lots,
            reading_signatures.c.node_id.is_not(None),
        )
        .join(reading_signatures, reading_signatures.c.signature_id == readings.c.signature_id)
        .where(readings.c.slot_s == slot_s, reading_signatures.c.received_s < before_s)
        .order_by(readings.c.node_id, readings.c.version)
    )
    return {node: Kept(Reading(out, into), bool(own)) for node, out, into, own in connection.execute(query)}


def busy_slots(connection: Connection, start_s: int, end_s: int) -> list[int]:
    """The slots in ``[start_s, end_s)`` of which there are trades or readings, ascending."""
    found: set[int] = set()
    for table in (trades, readings):
        distinct = _slots_of(table, start_s, end_s)
        found.update(slot_s for slot_s in connection.scalars(select(distinct.c.slot_s)) if slot_s is not None)
    return sorted(found)


def slots_read_between(connection: Connection, slots: tuple[int, int], received_s: tuple[int, int]) -> list[int]:
    """Those of the slots in a half-open range of which a reading was received in another; ascending."""
    signed = reading_signatures.c
    query = select(signed.signature_id, signed.first_slot_s, signed.last_slot_s).where(
        signed.received_s >= received_s[0],
        signed.received_s < received_s[1],
        signed.first_slot_s < slots[1],
        signed.last_slot_s >= slots[0],
    )
    found: set[int] = set()
    for number, first_s, last_s in connection.execute(query).all():
        within = _slots_of(readings, max(first_s, slots[0]), min(last_s + 1, slots[1]))
        read = select(readings.c.slot_s).where(readings.c.slot_s == within.c.slot_s, readings.c.signature_id == number)
        found.update(connection.scalars(select(within.c.slot_s).where(exists(read))))
    return sorted(found)


def _slots_of(table: Table, start_s: int, end_s: int) -> CTE:
    """The slots of a table within a range, and a null: from one to the next by the index, for rows are many."""
    slot_s = table.c.slot_s
    within = (slot_s >= start_s) & (slot_s < end_s)
    found = select(func.min(slot_s).label("slot_s")).where(within).cte("found", recursive=True)
    following = select(func.min(slot_s)).where(within, slot_s > found.c.slot_s).scalar_subquery()
    return found.union_all(select(following).where(found.c.slot_s.is_not(None)))


def read_on_time(connection: Connection, start_s: int, end_s: int, before_s: int) -> bool:
    """Whether a reading of the slots in ``[start_s, end_s)`` was received before an instant."""
    query = (
        select(readings.c.slot_s)
        .join(reading_signatures, reading_signatures.c.signature_id == readings.c.signature_id)
        .where(readings.c.slot_s >= start_s, readings.c.slot_s < end_s, reading_signatures.c.received_s < before_s)
    )
    return connection.execute(query.limit(1)).first() is not None


def versions_of(connection: Connection, node: int, start_s: int, end_s: int) -> Sequence[Row[Any]]:
    """Every version of a meter's readings of the slots in ``[start_s, end_s)``, with who signed it and when it came."""
    slots = _slots_of(readings, start_s, end_s)
    query = (
        select(
            readings,
            reading_signatures.c.received_s,
            reading_signatures.c.node_id.is_not(None).label("by_meter"),
        )
        .select_from(slots)
        .join(readings, readings.c.slot_s == slots.c.slot_s)
        .join(reading_signatures, reading_signatures.c.signature_id == readings.c.signature_id)
        .where(readings.c.node_id == node)
        .order_by(readings.c.slot_s, readings.c.version)
    )
    return connection.execute(query).all()


QUARANTINE_STEP = 2**16
"""More readings than one signature covers."""


def quarantine_key(row: Row[Any]) -> int:
    """Where a quarantined reading stands among all."""
    return int(row.signature_id) * QUARANTINE_STEP + int(row.leaf_index)


def quarantined(connection: Connection, after: int, limit: int, owner: int | None) -> Sequence[Row[Any]]:
    """Some quarantined readings after a ``quarantine_key``, in its order: all, or those of a member's meters."""
    signed, place = divmod(max(after, 0), QUARANTINE_STEP)
    kept = quarantined_readings.c
    later = (kept.signature_id > signed) | ((kept.signature_id == signed) & (kept.leaf_index > place))
    query = select(quarantined_readings).where(later).order_by(kept.signature_id, kept.leaf_index).limit(limit)
    if owner is not None:
        own = select(nodes.c.name).join(meters, meters.c.node_id == nodes.c.node_id).where(meters.c.member_id == owner)
        query = query.where(kept.meter.in_(own))
    return connection.execute(query).all()


def next_signature(connection: Connection) -> int:
    """The id that the next signature over readings gets."""
    return (connection.scalar(select(func.max(reading_signatures.c.signature_id))) or 0) + 1


def add_readings(
    connection: Connection,
    signature: dict[str, Any],
    taken: Sequence[TakenRow],
    quarantined: Sequence[QuarantinedRow],
) -> None:
    """Insert a signature over readings, those that were taken (in the order of their keys is fastest), and others."""
    connection.execute(insert(reading_signatures), signature)
    insert_rows(connection, readings, _TAKEN, taken)
    insert_rows(connection, quarantined_readings, _QUARANTINED, quarantined)


def signature(connection: Connection, number: int) -> Row[Any] | None:
    """One row of ``reading_signatures``."""
    return connection.execute(select(reading_signatures).where(reading_signatures.c.signature_id == number)).first()


def leaves_of(connection: Connection, row: Row[Any]) -> bytes:
    """All leaves under a signature, end to end: those that are kept, the others from the readings taken of it.

    A leaf of which nothing is left is left out: then the root is another.
    """
    placed = placed_leaves(row.other_leaves)
    if len(placed) < row._mapping["count"] and row.first_slot_s is not None:
        slots = _slots_of(readings, row.first_slot_s, row.last_slot_s + 1)
        query = (
            select(
                nodes.c.name, readings.c.slot_s, readings.c.export_lots, readings.c.import_lots, readings.c.leaf_index
            )
            .select_from(slots)
            .join(readings, readings.c.slot_s == slots.c.slot_s)
            .join(nodes, nodes.c.node_id == readings.c.node_id)
            .where(
                readings.c.node_id.between(row.first_node, row.last_node),
                readings.c.signature_id == row.signature_id,
            )
        )
        for *content, place in connection.execute(query):
            placed.setdefault(place, reading_leaf(*content))
    return b"".join(leaf for _, leaf in sorted(placed.items()))
