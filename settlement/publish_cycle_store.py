"""Reads cycles as they are published to checkers and auditors: as a whole, slot by slot, line by line.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row

from settlement import cycle_store, publish_readings_store, publish_store, reading_store
from settlement.delivery import Line
from settlement.drafting import Span, late_slots
from settlement.hexjson import Hex
from settlement.published import PublishedCycle, PublishedSlot, SignedReadings
from settlement.rules import SettlementRules

LINES_AT_ONCE = 20_000


def published_cycle(connection: Connection, number: int, rules: SettlementRules) -> PublishedCycle | None:
    """A cycle as ``GET /v1/cycles/{n}`` shows it to a checker; None when there is no such cycle."""
    row = cycle_store.cycle(connection, number)
    if row is None:
        return None
    areas = publish_readings_store.published_areas(connection)
    return PublishedCycle(
        cycle=row.cycle,
        day=row.day,
        start_s=row.start_s,
        end_s=row.end_s,
        state=row.state,
        salt=Hex(row.salt),
        trades_root=Hex(row.trades_root),
        readings_root=Hex(row.readings_root),
        statements_root=Hex(row.statements_root),
        parts=tuple(part.deltas for part in cycle_store.parts_from_json(row.parts)),
        parts_hash=Hex(row.parts_hash),
        operator_signature=Hex(row.operator_signature),
        checker_signature=None if row.checker_signature is None else Hex(row.checker_signature),
        slots=tuple(reading_store.busy_slots(connection, row.start_s, row.end_s)),
        late_slots=tuple(_late_slots(connection, row, rules)),
        meters=tuple(publish_store.all_meters(connection)),
        areas=tuple(areas),
        area_keys=tuple(publish_store.keys_of(connection, {area.signer for area in areas})),
    )


def _late_slots(connection: Connection, row: Row[Any], rules: SettlementRules) -> list[int]:
    before = cycle_store.cycle(connection, row.cycle - 1)
    after = None if before is None else date.fromisoformat(before.day)
    span = Span(row.cycle, date.fromisoformat(row.day), after)
    return [slot_s for slot_s, _ in late_slots(connection, span, rules)]


def published_slot(connection: Connection, number: int, slot_s: int) -> PublishedSlot:
    """A slot as ``GET /v1/cycles/{n}/slots`` shows it to a checker."""
    traded, struck = (publish_store.trades_at(connection, slot_s, struck=each) for each in (False, True))
    named = (order for trade in (*traded, *struck) for order in (trade.buy_order, trade.sell_order))
    behind = publish_store.orders_by_id(connection, named)
    return PublishedSlot(
        slot_s=slot_s,
        deliveries=tuple(cycle_store.deliveries_at(connection, number, slot_s)),
        estimates=tuple(cycle_store.estimates_at(connection, number, slot_s)),
        trades=tuple(traded),
        orders=tuple(behind),
        order_signatures=tuple(publish_store.signatures_by_id(connection, (order.signature_id for order in behind))),
        readings=tuple(publish_readings_store.readings_of_slot(connection, slot_s)),
        keys=tuple(publish_store.keys_of(connection, (order.intent.member for order in behind))),
        struck=tuple(struck),
    )


class StoredCycle:
    """A cycle's slots and lines from the database, as ``examine_cycle.CycleSource`` asks for them."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection, self._number = connection, number

    def slot(self, slot_s: int) -> PublishedSlot:
        return published_slot(self._connection, self._number, slot_s)

    def lines(self, after: int) -> Sequence[Line]:
        return cycle_store.lines_of(self._connection, self._number, after, LINES_AT_ONCE)

    def reading_signature(self, signature_id: int) -> SignedReadings | None:
        return publish_readings_store.signed_readings(self._connection, signature_id)
