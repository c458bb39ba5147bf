"""The queries of witnesses' statements.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from data.tables import witness_statements


def statements(connection: Connection) -> Sequence[RowMapping]:
    """Every statement, by witness and number."""
    query = select(witness_statements).order_by(witness_statements.c.witness, witness_statements.c.number)
    return connection.execute(query).mappings().all()


def statements_after(connection: Connection, witness: str, after: int, limit: int) -> Sequence[RowMapping]:
    """Some statements of one witness, in order."""
    query = (
        select(witness_statements)
        .where(witness_statements.c.witness == witness, witness_statements.c.number > after)
        .order_by(witness_statements.c.number)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def newest(connection: Connection, witness: str) -> RowMapping | None:
    """The newest statement of one witness."""
    query = select(witness_statements).where(witness_statements.c.witness == witness)
    return connection.execute(query.order_by(witness_statements.c.number.desc()).limit(1)).mappings().first()


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """Keep a statement."""
    connection.execute(insert(witness_statements), dict(row))
