"""The queries about what a bank holds: its parts of holders' claims, what is open of each, and what came in late.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, func, select

from data.tables import receivable_history, receivable_parts, receivables
from data.units import parse_money_fen
from finance.parts import ClaimKind
from finance.portfolio import Group
from finance.receivable import State

_parts, _history = receivable_parts.c, receivable_history.c


def groups(connection: Connection, bank: int) -> Iterator[Group]:
    """What is open of a bank's parts, by seller, debtor, due day, state and recourse."""
    of = receivables.c
    keys = (of.creditor, of.debtor, of.due_day, of.state, of.with_recourse)
    number, open_fen = func.count(_parts.receivable_id.distinct()), func.sum(_parts.open_fen)
    query: Select[Any] = (
        select(*keys, number.label("number"), open_fen.label("open_fen"))
        .select_from(receivable_parts)
        .join(receivables, of.receivable_id == _parts.receivable_id)
        .where(_parts.owner == bank, _parts.claim == int(ClaimKind.HOLDER), _parts.open_fen > 0)
        .group_by(*keys)
    )
    for row in connection.execute(query):
        held = (row.creditor, row.debtor, row.due_day, row.state, bool(row.with_recourse))
        yield Group(*held, int(row.number), int(row.open_fen))


def recovered_fen(connection: Connection, bank: int) -> int:
    """What came in of a bank's parts after they were written off: what the debtor's payments took from them."""
    written_off = receivable_history.alias()
    query: Select[Any] = (
        select(_history.before, _history.after)
        .select_from(receivable_parts)
        .join(receivables, receivables.c.receivable_id == _parts.receivable_id)
        .join(written_off, written_off.c.receivable_id == _parts.receivable_id)
        .join(receivable_history, _history.receivable_id == _parts.receivable_id)
        .where(
            _parts.owner == bank,
            _parts.claim == int(ClaimKind.HOLDER),
            written_off.c.after == State.WRITTEN_OFF,
            written_off.c.before != State.WRITTEN_OFF,
            _history.part == _parts.part,
            _history.change > written_off.c.change,
            _history.actor == receivables.c.debtor,
        )
    )
    return sum(parse_money_fen(row.before) - parse_money_fen(row.after) for row in connection.execute(query))
