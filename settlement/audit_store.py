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
    custody_balances,
    cycles,
    deliveries,
    deposits,
    drafts,
    estimates,
    exits,
    member_keys,
    members,
    nodes,
    orders,
    outbox,
    quarantined_readings,
    reading_signatures,
    readings,
    statement_lines,
)
from settlement.publish_store import order_of, orders_query, stream
from settlement.published import PublishedOrder

BOUNDS = ("first_slot_s", "last_slot_s", "first_node", "last_node")
"""Of ``reading_signatures``: where the readings under each lie."""


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
    """Every member's keys in order, with the signatures that rotated them in and the calls that told the chain."""
    found: dict[int, list[Row[Any]]] = {}
    told = (outbox.c.call, outbox.c.state.label("call_state"))
    calls = select(member_keys, *told).outerjoin(outbox, outbox.c.outbox_id == member_keys.c.outbox_id)
    for row in connection.execute(calls.order_by(member_keys.c.member_id, member_keys.c.number)):
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


def reading_signature_rows(connection: Connection) -> Sequence[Row[Any]]:
    """When each signature over readings came, and between which slots and nodes it was said to be used."""
    columns = ("signature_id", "received_s", *BOUNDS)
    return connection.execute(select(*(reading_signatures.c[name] for name in columns))).all()


def all_nodes(connection: Connection) -> Sequence[Row[Any]]:
    """Every node of the grid, by id."""
    return connection.execute(select(nodes).order_by(nodes.c.node_id)).all()


def all_commitments(connection: Connection) -> Sequence[Row[Any]]:
    """Every commitment, in order."""
    return connection.execute(select(commitments).order_by(commitments.c.commitment)).all()


def all_cycles(connection: Connection) -> Sequence[Row[Any]]:
    """Every cycle, in order."""
    return connection.execute(select(cycles).order_by(cycles.c.cycle)).all()


def draft(connection: Connection) -> Sequence[Row[Any]]:
    """The cycle that is being drafted, if one is."""
    return connection.execute(select(drafts).order_by(drafts.c.cycle)).all()


def settled_in(connection: Connection) -> set[int]:
    """The cycles that deliveries, statement lines and estimates belong to."""
    tables_of = (deliveries, statement_lines, estimates)
    return {number for table in tables_of for number in connection.scalars(select(table.c.cycle).distinct())}


def are_lines_numbered(connection: Connection, cycle: int) -> bool:
    """Whether a cycle's statement lines are 1, 2, 3 ..."""
    line = statement_lines.c.line
    asked = select(func.count(), func.min(line), func.max(line)).where(statement_lines.c.cycle == cycle)
    count, first, last = connection.execute(asked).one()
    return count == 0 or (first, last) == (1, count)


def outbox_rows(connection: Connection) -> Sequence[Row[Any]]:
    """Every call that was ever queued, in order."""
    return connection.execute(select(outbox).order_by(outbox.c.outbox_id)).all()


def all_deposits(connection: Connection) -> Sequence[Row[Any]]:
    """Every deposit with its call, by reference; one without a call has none of its columns."""
    call = (outbox.c.kind, outbox.c.call, outbox.c.state, outbox.c.transaction_hash)
    query = select(deposits, *call).outerjoin(outbox, outbox.c.outbox_id == deposits.c.outbox_id)
    return connection.execute(query.order_by(deposits.c.reference)).all()


def custody_rows(connection: Connection) -> Sequence[Row[Any]]:
    """Every balance that the custodian signed, with its call."""
    query = select(custody_balances, outbox.c.kind, outbox.c.call).outerjoin(
        outbox, outbox.c.outbox_id == custody_balances.c.outbox_id
    )
    return connection.execute(query.order_by(custody_balances.c.as_of_s)).all()


def all_members(connection: Connection) -> Sequence[Row[Any]]:
    """Every member, by id."""
    return connection.execute(select(members).order_by(members.c.member_id)).all()


def all_exits(connection: Connection) -> Sequence[Row[Any]]:
    """Every exit that is kept, with its call if it has one."""
    query = select(exits, outbox.c.kind, outbox.c.call).outerjoin(outbox, outbox.c.outbox_id == exits.c.outbox_id)
    return connection.execute(query.order_by(exits.c.member_id)).all()


def chain_event_rows(connection: Connection) -> Sequence[Row[Any]]:
    """Every event that is kept, in the chain's order."""
    return connection.execute(select(chain_events).order_by(chain_events.c.block, chain_events.c.log_index)).all()
