"""Reads the readings that are published to checkers and auditors, as the structs of ``published.py``.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from data.tables import meter_keys, nodes, reading_signatures, readings
from settlement import calendar, publish_store, reading_store
from settlement.hexjson import Hex
from settlement.published import (
    PublishedArea,
    PublishedMeterKey,
    PublishedReading,
    PublishedReadings,
    PublishedReadingSignature,
    SignedReadings,
)
from settlement.store import chunks


def readings_of_day(connection: Connection, day: date, time_zone: str) -> PublishedReadings:
    """All readings of a local day, as ``GET /v1/readings`` shows them."""
    start_s, end_s = calendar.bounds(day, time_zone)
    within = _readings().where(readings.c.slot_s >= start_s, readings.c.slot_s < end_s)
    found = [_reading(row) for row in connection.execute(within)]
    by_id = select(reading_signatures).order_by(reading_signatures.c.signature_id)
    signed: list[PublishedReadingSignature] = []
    for chunk in chunks(sorted({reading.signature_id for reading in found})):
        rows = connection.execute(by_id.where(reading_signatures.c.signature_id.in_(chunk))).all()
        signed += [_signature(connection, row) for row in rows]
    own = keys_of_meters(connection, {each.node for each in signed if each.node is not None})
    signers = {each.signer for each in signed if each.signer is not None} | {each.signer for each in own}
    keys = publish_store.keys_of(connection, signers)
    return PublishedReadings(day.isoformat(), tuple(found), tuple(signed), tuple(keys), tuple(own))


def readings_of_slot(connection: Connection, slot_s: int) -> list[PublishedReading]:
    """All versions of the readings of a slot, by node and version."""
    return [_reading(row) for row in connection.execute(_readings().where(readings.c.slot_s == slot_s))]


def all_readings(connection: Connection) -> Iterator[PublishedReading]:
    """All versions of all readings, by slot, node and version."""
    return publish_store.stream(connection, _readings(), _reading)


def _readings() -> Select[Any]:
    return (
        select(
            readings,
            nodes.c.name.label("meter"),
            reading_signatures.c.received_s,
            reading_signatures.c.node_id.is_not(None).label("by_meter"),
        )
        .join(nodes, nodes.c.node_id == readings.c.node_id)
        .outerjoin(reading_signatures, reading_signatures.c.signature_id == readings.c.signature_id)
        .order_by(readings.c.slot_s, readings.c.node_id, readings.c.version)
    )


def _reading(row: Row[Any]) -> PublishedReading:
    return PublishedReading(
        row.node_id,
        row.meter,
        row.slot_s,
        row.version,
        row.export_lots,
        row.import_lots,
        row.received_s or 0,
        row.signature_id,
        row.leaf_index,
        bool(row.by_meter),
    )


def signed_readings(connection: Connection, signature_id: int) -> SignedReadings | None:
    """A signature over readings; None when there is no such one."""
    row = reading_store.signature(connection, signature_id)
    if row is None:
        return None
    own = [] if row.node_id is None else keys_of_meters(connection, [row.node_id])
    signers = {each.signer for each in own} | ({row.signer} if row.signer is not None else set())
    keys = publish_store.keys_of(connection, signers)
    return SignedReadings(_signature(connection, row), tuple(keys), tuple(own))


def all_reading_signatures(connection: Connection) -> Iterator[PublishedReadingSignature]:
    """Every signature over readings, by id."""
    numbers = connection.scalars(select(reading_signatures.c.signature_id).order_by(reading_signatures.c.signature_id))
    for number in numbers.all():
        row = reading_store.signature(connection, number)
        assert row is not None
        yield _signature(connection, row)


def _signature(connection: Connection, row: Row[Any]) -> PublishedReadingSignature:
    return PublishedReadingSignature(
        row.signature_id,
        row.signer,
        row.node_id,
        Hex(row.root),
        Hex(reading_store.leaves_of(connection, row)),
        row._mapping["count"],  # row.count is the tuple's own
        Hex(row.signature),
    )


def keys_of_meters(connection: Connection, nodes_asked: Iterable[int]) -> list[PublishedMeterKey]:
    """All keys of some meters, by meter and number."""
    query = select(meter_keys).order_by(meter_keys.c.node_id, meter_keys.c.number)
    found = []
    for chunk in chunks(sorted(nodes_asked)):
        found += [_meter_key(row) for row in connection.execute(query.where(meter_keys.c.node_id.in_(chunk)))]
    return found


def all_meter_keys(connection: Connection) -> list[PublishedMeterKey]:
    """All keys of all meters, by meter and number."""
    query = select(meter_keys).order_by(meter_keys.c.node_id, meter_keys.c.number)
    return [_meter_key(row) for row in connection.execute(query)]


def _meter_key(row: Row[Any]) -> PublishedMeterKey:
    return PublishedMeterKey(
        row.node_id,
        row.number,
        row.from_signature,
        row.to_signature,
        Hex(row.x),
        Hex(row.y),
        row.signer,
        Hex(row.signature),
        Hex(row.proof),
    )


def published_areas(connection: Connection) -> list[PublishedArea]:
    """The terms of all area meters, by node and number."""
    return [
        PublishedArea(
            row.node_id,
            row.number,
            row.from_s,
            row.export_lots,
            row.import_lots,
            row.tolerance_bp,
            row.tolerance_lots,
            row.name,
            row.signer,
            Hex(row.signature),
        )
        for row in reading_store.area_rows(connection)
    ]
