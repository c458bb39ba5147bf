"""The queries about disputes about readings. Every function takes a ``Connection`` inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select

from data.tables import meters, nodes, reading_dispute_steps, reading_disputes, readings


class Dispute(NamedTuple):
    """A dispute with the name of its meter, its steps in order, and the newest reading."""

    number: int
    meter: str
    slot_s: int
    member: int
    version: int
    steps: Sequence[Row[Any]]
    newest: Row[Any]


def owned_meter(connection: Connection, name: str, member: int) -> int | None:
    """The node of a member's own meter."""
    query = select(meters.c.node_id).join(nodes, nodes.c.node_id == meters.c.node_id)
    return connection.scalar(query.where(nodes.c.name == name, meters.c.member_id == member))


def newest_reading(connection: Connection, node: int, slot_s: int) -> Row[Any] | None:
    """The last version of a reading."""
    query = select(readings).where(readings.c.node_id == node, readings.c.slot_s == slot_s)
    return connection.execute(query.order_by(readings.c.version.desc()).limit(1)).first()


def of_reading(connection: Connection, node: int, slot_s: int, version: int) -> int | None:
    """The dispute about one version of a reading."""
    is_meant = (reading_disputes.c.node_id == node) & (reading_disputes.c.slot_s == slot_s)
    return connection.scalar(select(reading_disputes.c.number).where(is_meant, reading_disputes.c.version == version))


def add_dispute(connection: Connection, row: dict[str, Any]) -> int:
    """Insert a dispute under the next number, which is returned."""
    number = (connection.scalar(select(func.max(reading_disputes.c.number))) or 0) + 1
    connection.execute(insert(reading_disputes), {"number": number, **row})
    return int(number)


def add_step(connection: Connection, number: int, row: dict[str, Any]) -> None:
    """Insert the next step of a dispute."""
    counted = select(func.count()).where(reading_dispute_steps.c.number == number)
    step = (connection.scalar(counted) or 0) + 1
    connection.execute(insert(reading_dispute_steps), {"number": number, "step": step, **row})


def disputes(connection: Connection, *, member: int | None = None, number: int | None = None) -> list[Dispute]:
    """All disputes, those of one member, or one, oldest first."""
    query = select(reading_disputes, nodes.c.name.label("meter")).join(
        nodes, nodes.c.node_id == reading_disputes.c.node_id
    )
    if member is not None:
        query = query.where(reading_disputes.c.member_id == member)
    if number is not None:
        query = query.where(reading_disputes.c.number == number)
    found = []
    for row in connection.execute(query.order_by(reading_disputes.c.number)):
        steps = select(reading_dispute_steps).where(reading_dispute_steps.c.number == row.number)
        newest = newest_reading(connection, row.node_id, row.slot_s)
        assert newest is not None, "what is disputed is never removed"
        ordered = connection.execute(steps.order_by(reading_dispute_steps.c.step)).all()
        found.append(Dispute(row.number, row.meter, row.slot_s, row.member_id, row.version, ordered, newest))
    return found
