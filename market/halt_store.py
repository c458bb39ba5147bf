"""SQL of halts."""

from dataclasses import asdict, fields

from sqlalchemy import Connection, insert, select, update

from data.tables import halts, nodes
from market.guards import Halt

_COLUMNS = [halts.c[field.name] for field in fields(Halt)]


def add(connection: Connection, halt: Halt) -> None:
    connection.execute(insert(halts).values(**asdict(halt)))


def lift(connection: Connection, halt: Halt) -> None:
    """Record by whom, when and why a halt was lifted."""
    columns = ("lifted_s", "lifted_by", "lift_reason")
    changed = update(halts).where(halts.c.number == halt.number)
    connection.execute(changed.values({name: getattr(halt, name) for name in columns}))


def read(connection: Connection) -> list[Halt]:
    """All halts there ever were, by number."""
    return [Halt(*tuple(row)) for row in connection.execute(select(*_COLUMNS).order_by(halts.c.number))]


def standing(connection: Connection) -> list[tuple[Halt, str | None]]:
    """The halts that stand, by number, each with the name of its node."""
    asked = select(*_COLUMNS, nodes.c.name).outerjoin(nodes, nodes.c.node_id == halts.c.node_id)
    rows = connection.execute(asked.where(halts.c.lifted_s.is_(None)).order_by(halts.c.number))
    return [(Halt(*tuple(row)[:-1]), row[-1]) for row in rows]
