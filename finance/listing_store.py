"""The listing of receivables: what a viewer may see, page by page, by latest change.

A page costs the same however deep it lies, whoever asks, and however many receivables there are. For each way in which
the viewer sees receivables (``Viewer.ways``) one range of an index that ends in ``change`` is read, and the ranges are
merged: an ``OR`` over them would have the database sort all of them for each page. Filters that no such index begins
with are looked at row by row, at most ``EXAMINED`` rows of a range for one page: where they match few, a page holds
less than was asked for, or nothing, and says where to go on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select, union, update

from data.tables import meters, receivable_trades, receivables, trades
from finance import consent_store
from finance.listing import DRAFTED, Equal, Filter, Viewer
from finance.store import with_act

EXAMINED = 2_000
"""So many rows of each range are looked at for one page at the most; never less than a page holds."""

CHUNK = 2_000

_RANGES_AT_ONCE = 200
"""SQLite takes at most 500 in one UNION; a bank sees that many only by the consents of that many sellers."""

_SLACK_S = 60
"""Two writers may take the time in one order and the number of their change in the other, within a moment."""


class Listed(NamedTuple):
    """A page; ``after`` is where the next one begins, None when all was seen."""

    rows: Sequence[Row[Any]]
    after: int | None


def list_receivables(
    connection: Connection, viewer: Viewer, asked: Filter, today: date, *, after: int, limit: int
) -> Listed:
    """What a viewer may see, the longest unchanged first, from the one whose latest change is after ``after`` on.

    A page without rows, or with less than ``limit``, is the last one only when its ``after`` is None.
    """
    start = max(after, 0, _start_of(connection, asked))  # drafted ones have no change yet
    most = limit if asked == Filter() else max(EXAMINED, limit)
    ways = [each for each in viewer.ways if _may_both_hold(each, asked.equal)]
    ranges = [_range(way, asked.equal, start, most) for way in ways]
    end = min((end for each in ranges if (end := _end_of(connection, each, most)) is not None), default=None)
    passing = [_passing(each, way, asked, today, end) for each, way in zip(ranges, ways, strict=True)]
    found = _merged(connection, passing, limit)
    rows = connection.execute(with_act().where(receivables.c.change.in_(found)).order_by(receivables.c.change)).all()
    return Listed(rows, rows[-1].change if len(rows) == limit else end)


def with_consents(connection: Connection, viewer: Viewer, now_s: int) -> Viewer:
    """The same viewer with what sellers let it see now."""
    if not viewer.is_bank:
        return viewer
    given = consent_store.of_bank(connection, viewer.member, now_s)
    sellers = frozenset(each.seller for each in given if each.receivable_id is None)
    return replace(viewer, sellers=sellers, shown=frozenset(each.receivable_id for each in given) - {None})


def every_page(connection: Connection, viewer: Viewer, asked: Filter, today: date) -> Iterator[Sequence[Row[Any]]]:
    """All that a viewer may see of what is asked for, a page in memory at a time."""
    after: int | None = -1
    while after is not None:
        rows, after = list_receivables(connection, viewer, asked, today, after=after, limit=CHUNK)
        if rows:
            yield rows


def _start_of(connection: Connection, asked: Filter) -> int:
    """No change before this number is of what was updated at the time that is asked for, or later."""
    if asked.updated_after_s is None:
        return 0
    since = receivables.c.changed_s >= asked.updated_after_s - _SLACK_S
    query = select(receivables.c.change).where(since).order_by(receivables.c.changed_s, receivables.c.change).limit(1)
    first = connection.scalar(query)
    newest = connection.scalar(select(func.max(receivables.c.change))) or 0
    return newest if first is None else first - 1


# ------------------------------------------------------------------------------------------------- ranges

_INDEXES = (
    ("receivable_id",),
    ("creditor", "state"),
    ("debtor", "state"),
    ("holder",),
    ("creditor",),
    ("debtor",),
    ("state",),
    (),
)
"""What the indexes begin with that end in ``change``, the narrower ones first."""


def _may_both_hold(way: Equal, asked: Equal) -> bool:
    return all(asked.get(name, value) == value for name, value in way.items())


def _range(way: Equal, asked: Equal, start: int, most: int) -> Select[Any]:
    """The first ``most`` rows after ``start`` in the index that suits the way, whatever else is asked for.

    An index on the viewer's own column is taken before one on what is asked for: its range is the shorter one. The
    bound is a fence, too: neither database looks past it for an index that would need sorting.
    """
    equal = {**asked, **way}
    suiting = [index for index in _INDEXES if equal.keys() >= set(index)]
    own = way.keys() - {"state"}
    chosen = next((index for index in suiting if own <= set(index)), suiting[0])
    clauses = [_is(receivables.c[name], equal[name]) for name in chosen]
    query = select(receivables).where(receivables.c.change > start, *clauses)
    return query.order_by(receivables.c.change).limit(most)


def _is(column: ColumnElement[Any], value: str | int | frozenset[bytes]) -> ColumnElement[bool]:
    return column.in_(sorted(value)) if isinstance(value, frozenset) else column == value


def _end_of(connection: Connection, found: Select[Any], most: int) -> int | None:
    """The change with which a range of ``most`` rows ends; None when it ends before."""
    return connection.scalar(found.with_only_columns(receivables.c.change).limit(1).offset(most - 1))


def _passing(found: Select[Any], way: Equal, asked: Filter, today: date, end: int | None) -> Select[Any]:
    """The changes of a range, up to ``end``, of those that are shown and asked for."""
    columns = found.subquery().c
    clauses = [columns.state != DRAFTED, *(_is(columns[name], value) for name, value in way.items())]
    if end is not None:
        clauses.append(columns.change <= end)
    return select(columns.change).where(*clauses, *asked.clauses(columns, today)).order_by(columns.change)


def _merged(connection: Connection, passing: list[Select[Any]], limit: int) -> list[int]:
    """The first ``limit`` changes of all ranges together, each once, in order."""
    found: set[int] = set()
    for start in range(0, len(passing), _RANGES_AT_ONCE):
        firsts = [each.limit(limit).subquery().select() for each in passing[start : start + _RANGES_AT_ONCE]]
        together = union(*firsts).subquery()
        found.update(connection.scalars(select(together.c.change).order_by(together.c.change).limit(limit)))
    return sorted(found)[:limit]


def set_sources(connection: Connection, numbers: range) -> None:
    """Note of each receivable with these numbers what its energy comes from: the kind of the meters that sold it."""
    kind: Select[Any] = (
        select(case((func.min(meters.c.kind) == func.max(meters.c.kind), func.min(meters.c.kind)), else_="mixed"))
        .select_from(receivable_trades)
        .join(trades, trades.c.trade_id == receivable_trades.c.trade_id)
        .join(meters, meters.c.node_id == trades.c.sell_node)
        .where(receivable_trades.c.receivable_id == receivables.c.receivable_id)
    )
    ours = receivables.c.number.between(numbers.start, numbers.stop - 1)
    connection.execute(update(receivables).where(ours).values(source=func.coalesce(kind.scalar_subquery(), "")))
