"""The queries of an audit: tables read row by row as they stand, and counted.

Every function takes a ``Connection`` on one snapshot and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, func, select

from data import tables
from data.tables import (
    chain_events,
    commitments,
    cycles,
    deposits,
    member_keys,
    nodes,
    orders,
    outbox,
    quarantined_readings,
    readings,
    statement_lines,
)
from settlement.publish_store import order_of, orders_query, stream
from settlement.published import PublishedOrder


class OrderRow(NamedTuple):
    """An order with what became of it."""

    order: PublishedOrder
    basket: int | None
    state: str
    remaining_lots: int
    reduced_lots: int
    changed_sequence: int
    received_s: int


def count(connection: Connection, name: str) -> int:
    """How many rows a table has."""
    return connection.scalar(select(func.count()).select_from(_table(name))) or 0


def _table(name: str) -> Table:
    return tables.metadata.tables[name]


def key_rows(connection: Connection) -> dict[int, list[Row[Any]]]:
    """Every member's keys in order, with the signatures that rotated them in."""
    found: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(select(member_keys).order_by(member_keys.c.member_id, member_keys.c.number)):
        found.setdefault(row.member_id, []).append(row)
    return found


def order_rows(connection: Connection) -> Iterator[OrderRow]:
    """Every order, by id."""
    return stream(connection, orders_query(), _order_row)


def _order_row(row: Row[Any]) -> OrderRow:
    end = (row.state, row.remaining_lots, row.reduced_lots, row.changed_sequence, row.received_s)
    return OrderRow(order_of(row), row.basket, *end)


def first_sequences(connection: Connection) -> dict[int, int]:
    """The lowest sequence among the orders under each signature."""
    query = select(orders.c.signature_id, func.min(orders.c.sequence).label("sequence")).group_by(orders.c.signature_id)
    return {row.signature_id: row.sequence for row in connection.execute(query)}


def count_lines(connection: Connection, cycle: int) -> int:
    """How many statement lines a cycle has."""
    query = select(func.count()).select_from(statement_lines).where(statement_lines.c.cycle == cycle)
    return connection.scalar(query) or 0


def reading_slots(connection: Connection) -> list[int]:
    """Every slot of which there is a reading, ascending."""
    return list(connection.scalars(select(readings.c.slot_s).distinct().order_by(readings.c.slot_s)))


def quarantined(connection: Connection) -> Sequence[Row[Any]]:
    """Every reading that was not taken."""
    key = (quarantined_readings.c.signature_id, quarantined_readings.c.leaf_index)
    return connection.execute(select(quarantined_readings).order_by(*key)).all()


def all_nodes(connection: Connection) -> Sequence[Row[Any]]:
    """Every node of the grid, by id."""
    return connection.execute(select(nodes).order_by(nodes.c.node_id)).all()


def all_commitments(connection: Connection) -> Sequence[Row[Any]]:
    """Every commitment, in order."""
    return connection.execute(select(commitments).order_by(commitments.c.commitment)).all()


def all_cycles(connection: Connection) -> Sequence[Row[Any]]:
    """Every cycle, in order."""
    return connection.execute(select(cycles).order_by(cycles.c.cycle)).all()


def outbox_rows(connection: Connection) -> Sequence[Row[Any]]:
    """Every call that was ever queued, in order."""
    return connection.execute(select(outbox).order_by(outbox.c.outbox_id)).all()


def all_deposits(connection: Connection) -> Sequence[Row[Any]]:
    """Every deposit with the state of its call, by reference."""
    query = select(deposits, outbox.c.state, outbox.c.transaction_hash).join(
        outbox, outbox.c.outbox_id == deposits.c.outbox_id
    )
    return connection.execute(query.order_by(deposits.c.reference)).all()


def chain_event_rows(connection: Connection) -> Sequence[Row[Any]]:
    """Every event that is kept, in the chain's order."""
    return connection.execute(select(chain_events).order_by(chain_events.c.block, chain_events.c.log_index)).all()
