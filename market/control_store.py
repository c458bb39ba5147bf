"""SQL of members' controls: every change is a row that stays, the last one holds."""

from collections.abc import Sequence
from dataclasses import asdict, fields

from sqlalchemy import Connection, func, insert, select

from data.tables import member_controls
from market.guards import Controls

_COLUMNS = [member_controls.c[field.name] for field in fields(Controls)]


def add(connection: Connection, controls: Controls) -> None:
    """Keep a change; it follows all that were kept before."""
    last = connection.scalar(select(func.max(member_controls.c.number))) or 0
    connection.execute(insert(member_controls).values(number=last + 1, **asdict(controls)))


def read_all(connection: Connection) -> list[Controls]:
    """The controls of everyone who has any, as they are now."""
    latest = select(func.max(member_controls.c.number)).group_by(member_controls.c.member_id)
    rows = connection.execute(select(*_COLUMNS).where(member_controls.c.number.in_(latest)))
    return [Controls(*tuple(row)) for row in rows]


def history(connection: Connection, member_id: int, limit: int) -> Sequence[Controls]:
    """The last changes of a member's controls, newest first."""
    asked = select(*_COLUMNS).where(member_controls.c.member_id == member_id)
    rows = connection.execute(asked.order_by(member_controls.c.number.desc()).limit(limit))
    return [Controls(*tuple(row)) for row in rows]
