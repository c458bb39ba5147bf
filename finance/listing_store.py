"""The listing of receivables: what a viewer may see, page by page, by latest change."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row

from data.tables import receivables
from finance.listing import Filter, Viewer
from finance.store import with_act


def list_receivables(
    connection: Connection, viewer: Viewer, asked: Filter, today: date, *, after: int, limit: int
) -> Sequence[Row[Any]]:
    """What a viewer may see, the longest unchanged first, from the one whose latest change is after ``after`` on."""
    query = with_act().where(viewer.clause, *asked.clauses(today), receivables.c.change > after)
    return connection.execute(query.order_by(receivables.c.change).limit(limit)).all()
