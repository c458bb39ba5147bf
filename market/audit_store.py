"""The queries of the market's part of an audit: its own tables, row by row as they stand."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from data.tables import (
    halts,
    member_controls,
    member_decisions,
    members,
    outbox,
    settings,
    withdrawals,
)


def all_members(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(select(members).order_by(members.c.member_id)).all()


def all_decisions(connection: Connection) -> Sequence[Row[Any]]:
    """In the order in which they were made."""
    return connection.execute(select(member_decisions).order_by(member_decisions.c.number)).all()


def all_controls(connection: Connection) -> Sequence[Row[Any]]:
    """In the order in which they were set."""
    return connection.execute(select(member_controls).order_by(member_controls.c.number)).all()


def all_halts(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(select(halts).order_by(halts.c.number)).all()


def all_settings(connection: Connection) -> dict[str, str]:
    """The JSON of each, by name."""
    return {row.name: row.value for row in connection.execute(select(settings))}


def all_withdrawals(connection: Connection) -> Sequence[Row[Any]]:
    """By number, each with kind, data, state and refusal of the call that it names."""
    call = (outbox.c.kind, outbox.c.call, outbox.c.state.label("call_state"), outbox.c.refusal.label("call_refusal"))
    query = select(withdrawals, *call).outerjoin(outbox, outbox.c.outbox_id == withdrawals.c.outbox_id)
    return connection.execute(query.order_by(withdrawals.c.withdrawal)).all()


def calls_of(connection: Connection, kind: str) -> dict[bytes, Row[Any]]:
    """The calls of one kind by their data."""
    return {row.call: row for row in connection.execute(select(outbox).where(outbox.c.kind == kind))}
