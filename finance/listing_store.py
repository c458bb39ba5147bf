"""The listing of receivables: what a viewer may see, page by page, by latest change.

A page costs the same however deep it lies, whoever asks, and however many receivables there are. For each way in which
the viewer sees receivables (``Viewer.ways``) one range of an index that ends in ``change`` is read, and the ranges are
merged: an ``OR`` over them would have the database sort all of them for each page. Statements are built once for each
way and set of filters, for building one takes longer than running it. Filters that no such index begins
with are looked at row by row, at most ``EXAMINED`` rows of a range for one page: where they match few, a page holds
less than was asked for, or nothing, and says where to go on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, bindparam, case, func, select, update

from data.tables import meters, receivable_parts, receivable_trades, receivables, trades
from finance import consent_store
from finance.listing import DRAFTED, EQUAL, Filter, Viewer, bound_of, stands
from finance.receivable import Standing
from finance.store import with_act

EXAMINED = 2_000
"""So many rows of each range are looked at for one page at the most; never less than a page holds."""

CHUNK = 2_000

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
    found: set[int] = set()
    ends: list[int] = []
    for way in viewer.ways:
        if not all(asked.equal.get(name, value) == value for name, value in way.items()):
            continue
        ranged = _statements(frozenset(way), frozenset(asked.given), asked.standing)
        values = {**asked.values(today), **way, "start": start, "most": most, "last": most - 1}
        found.update(connection.scalars(ranged.passing, values))
        end = connection.scalar(ranged.end, values)
        ends += [] if end is None else [end]
    end = min(ends, default=None)
    changes = sorted(each for each in found if end is None or each <= end)[:limit]
    rows = connection.execute(_rows_of(), {"changes": changes}).all() if changes else []
    return Listed(rows, changes[-1] if len(changes) == limit else end)


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


class _Range(NamedTuple):
    """Statements on one range of an index: what passes in it, and the change with which it ends if it is cut off."""

    passing: Select[Any]
    end: Select[Any]


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


@lru_cache(maxsize=1_024)
def _statements(way: frozenset[str], given: frozenset[str], standing: Standing | None) -> _Range:
    """The statements for a way of seeing and what is asked for besides, by names of columns; built once, run often.

    An index on the viewer's own column is taken before one on what is asked for: its range is the shorter one. The
    bound on the range is a fence, too: no database looks past it for an index that would need sorting.
    """
    equal = given & EQUAL | way
    suiting = [index for index in _INDEXES if equal >= set(index)]
    of_parts = way & {"owner", "pledgee"}
    own = next((index for index in suiting if way - {"state"} <= set(index)), suiting[0])
    chosen = tuple(of_parts) or own
    table = receivable_parts if of_parts else receivables  # parts carry the change of their receivable
    in_range = [_is(table.c[name]) for name in chosen]
    ranged = select(table.c.change).where(table.c.change > bindparam("start"), *in_range).order_by(table.c.change)
    cut = ranged.limit(bindparam("most", type_=Integer))
    asked = [_is(receivables.c[name]) for name in sorted(equal - set(chosen))]
    asked += [bound_of(name) for name in sorted(given - EQUAL)]
    asked += [] if standing is None else [stands(standing)]
    end = ranged.limit(1).offset(bindparam("last", type_=Integer))
    if not asked:
        return _Range(cut, end)
    few = cut.subquery()  # not sorted again: SQLite would walk all receivables in their order instead
    joined = select(receivables.c.change).select_from(few).join(receivables, receivables.c.change == few.c.change)
    return _Range(joined.where(*asked), end)


def _is(column: ColumnElement[Any]) -> ColumnElement[bool]:
    name = str(column.key)
    return column.in_(bindparam(name, expanding=True)) if name == "receivable_id" else column == bindparam(name)


@cache
def _rows_of() -> Select[Any]:
    """The rows with some changes, in order, but for what the chain gave up and is drafted again."""
    chosen = receivables.c.change.in_(bindparam("changes", expanding=True))
    return with_act().where(chosen, receivables.c.state != DRAFTED).order_by(receivables.c.change)


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
