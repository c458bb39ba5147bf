"""The queries of the evidence of a trade: where the chain says what, and what was signed over the trade's meters.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from data.tables import cycles, journal, meter_keys, nodes, reading_signatures, readings, statement_lines
from settlement.store import EventPlace, events_with


def receipt_of(connection: Connection, sequence: int) -> Row[Any]:
    """The link of the journal whose batch did what has this sequence."""
    query: Select[Any] = select(journal.c.last_sequence, journal.c.head, journal.c.signature)
    found = query.where(journal.c.last_sequence >= sequence).order_by(journal.c.last_sequence).limit(1)
    return connection.execute(found).one()


def cycles_of_trade(connection: Connection, trade_id: int, slot_s: int) -> Sequence[Row[Any]]:
    """The cycle of the trade's slot, and every other that has lines of the trade, in order."""
    lines = select(statement_lines.c.cycle).where(statement_lines.c.slot_s == slot_s)
    lines = lines.where(statement_lines.c.trade_id == trade_id)
    covers = (cycles.c.start_s <= slot_s) & (cycles.c.end_s > slot_s)
    return connection.execute(select(cycles).where(covers | cycles.c.cycle.in_(lines)).order_by(cycles.c.cycle)).all()


def cycle_before(connection: Connection, number: int) -> Row[Any] | None:
    """The cycle before one."""
    return connection.execute(select(cycles).where(cycles.c.cycle == number - 1)).first()


def meter_nodes(connection: Connection, names: Collection[str]) -> dict[int, str]:
    """The names of meters by their nodes."""
    query = select(nodes.c.node_id, nodes.c.name).where(nodes.c.name.in_(names))
    return {row.node_id: row.name for row in connection.execute(query)}


def signed_versions(connection: Connection, slot_s: int, node: int) -> Sequence[Row[Any]]:
    """Every version of a reading with the signature that it came under, oldest first."""
    query = (
        select(
            readings.c.version,
            readings.c.export_lots,
            readings.c.import_lots,
            readings.c.leaf_index,
            reading_signatures,
        )
        .join(reading_signatures, reading_signatures.c.signature_id == readings.c.signature_id)
        .where(readings.c.slot_s == slot_s, readings.c.node_id == node)
        .order_by(readings.c.version)
    )
    return connection.execute(query).all()


def meter_key_at(connection: Connection, node: int, signature_id: int) -> Row[Any] | None:
    """The key of its own with which a meter made a signature."""
    query = select(meter_keys).where(
        meter_keys.c.node_id == node,
        meter_keys.c.from_signature <= signature_id,
        meter_keys.c.to_signature.is_(None) | (meter_keys.c.to_signature > signature_id),
    )
    return connection.execute(query).first()


def cycle_event(connection: Connection, event: str, cycle: int) -> EventPlace | None:
    """The newest event of Clearing of this name about a cycle."""
    found = events_with(connection, "Clearing", (event,), "cycle", str(cycle))
    return found[-1] if found else None


def receivable_events(connection: Connection, receivable_id: bytes, period: int) -> list[EventPlace]:
    """What the chain says of a receivable: that its period was issued, and every change of its own."""
    issued = events_with(connection, "Receivables", ("PeriodIssued",), "period", str(period))
    return issued + events_with(connection, "Receivables", _OF_RECEIVABLE, "receivable", f"0x{receivable_id.hex()}")


_OF_RECEIVABLE = (
    "Materialised",
    "Changed",
    "TradesClaimed",
    "Assigned",
    "Repaid",
    "BoughtBack",
    "Compensated",
    "Disputed",
    "FrozenChanged",
    "PartPledged",
    "PartChanged",
)
"""Every event of ``Receivables`` on one receivable."""
