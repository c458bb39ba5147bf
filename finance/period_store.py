"""The queries of finance about billing periods: which is next, what it is computed from, what was issued in it.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, literal, select, tuple_, update

from data.bulk import insert_rows
from data.tables import (
    cycles,
    periods,
    receivable_history,
    receivable_trades,
    receivables,
    remainders,
    statement_lines,
    trades,
)
from data.units import MICRO_PER_FEN
from finance.claim import TermsTrade, terms_trade
from finance.period import Issue, Pair
from finance.published import PublishedTrade
from settlement import cycle_store
from settlement import store as settlement_store
from settlement.delivery import Kind


def period(connection: Connection, number: int) -> Row[Any] | None:
    """One row of ``periods``."""
    return connection.execute(select(periods).where(periods.c.period == number)).first()


def last_period(connection: Connection) -> Row[Any] | None:
    """The newest row of ``periods``."""
    return connection.execute(select(periods).order_by(periods.c.period.desc()).limit(1)).first()


def periods_in(connection: Connection, *states: str) -> Sequence[Row[Any]]:
    """The periods in these states (all when none is named), in their order."""
    query = select(periods).order_by(periods.c.period)
    return connection.execute(query.where(periods.c.state.in_(states)) if states else query).all()


def count_of(row: Row[Any]) -> int:
    """How many receivables a period has; ``row.count`` is a method of rows."""
    count: int = row._mapping["count"]
    return count


def set_period(connection: Connection, number: int, **values: Any) -> None:
    """Change columns of a period."""
    connection.execute(update(periods).where(periods.c.period == number).values(**values))


def cycles_after(connection: Connection, number: int) -> Sequence[Row[Any]]:
    """Number, day and UTC range of the cycles after one, in their order."""
    query: Select[Any] = select(cycles.c.cycle, cycles.c.day, cycles.c.start_s, cycles.c.end_s)
    return connection.execute(query.where(cycles.c.cycle > number).order_by(cycles.c.cycle)).all()


def terms_trades(connection: Connection, start_s: int, end_s: int) -> list[TermsTrade]:
    """What receivables may hold of the settled trades of the slots in ``[start_s, end_s)``, by trade id."""
    on_terms = [each.record for each in settlement_store.trades_of_slots(connection, start_s, end_s, on_terms=True)]
    delivered = cycle_store.deliveries_of(connection, [record.common.trade_id for record in on_terms])
    claimable = (terms_trade(record, delivered[record.common.trade_id]) for record in on_terms)
    return [trade for trade in claimable if trade is not None]


def carried(connection: Connection, before: int) -> dict[Pair, int]:
    """What every pair carries into a period, in micro-yuan: what it left in the last period in which it traded."""
    query = select(remainders).where(remainders.c.period < before).order_by(remainders.c.period)
    return {Pair(row.creditor, row.debtor, row.terms_days): row.amount_micro for row in connection.execute(query)}


def carried_by(connection: Connection, pair: Pair, before: int) -> int:
    """What one pair carries into a period, in micro-yuan."""
    own = (remainders.c.creditor == pair.creditor) & (remainders.c.debtor == pair.debtor)
    own &= (remainders.c.terms_days == pair.terms_days) & (remainders.c.period < before)
    query = select(remainders.c.amount_micro).where(own).order_by(remainders.c.period.desc())
    return connection.scalar(query.limit(1)) or 0


def add_period(connection: Connection, row: dict[str, Any]) -> None:
    """Insert a drafted period whose content is there already: from now on it exists."""
    connection.execute(insert(periods), row)


def drop_unfinished(connection: Connection, number: int) -> None:
    """Delete what a crash left of a period that was being written and does not exist."""
    ours = select(receivables.c.receivable_id).where(receivables.c.period == number)
    connection.execute(delete(receivable_trades).where(receivable_trades.c.receivable_id.in_(ours)))
    connection.execute(delete(receivables).where(receivables.c.period == number))
    connection.execute(delete(remainders).where(remainders.c.period == number))


def add_receivables(connection: Connection, issues: Sequence[Issue], now_s: int) -> range:
    """Insert the next receivables of a period, in the order of their leaves, with the trades that they claim.

    Returns the numbers that they got.
    """
    number = connection.scalar(select(func.max(receivables.c.number))) or 0
    rows = [_receivable_row(issue, number + place, now_s) for place, issue in enumerate(issues, 1)]
    insert_rows(connection, receivables, tuple(rows[0]), [tuple(row.values()) for row in rows])
    claimed = [
        (trade.trade_id, issue.receivable_id, trade.delivered_lots, trade.amount_micro)
        for issue in issues
        for trade in issue.trades
    ]
    insert_rows(connection, receivable_trades, _CLAIMED, claimed)
    return range(number + 1, number + 1 + len(issues))


def add_remainders(connection: Connection, number: int, left: Iterable[tuple[Pair, int]]) -> None:
    """Insert what some pairs carry on from a period, in micro-yuan."""
    insert_rows(connection, remainders, _LEFT, [(*pair, number, amount_micro) for pair, amount_micro in left])


_CLAIMED = ("trade_id", "receivable_id", "delivered_lots", "amount_micro")
_LEFT = ("creditor", "debtor", "terms_days", "period", "amount_micro")


def _receivable_row(issue: Issue, number: int, now_s: int) -> dict[str, Any]:
    """Values that the driver itself takes, always in the same order."""
    claim = issue.claim
    return {
        **claim._asdict(),
        "receivable_id": issue.receivable_id,
        "number": number,
        "issue_day": claim.issue_day.isoformat(),
        "due_day": claim.due_day.isoformat(),
        "state": "drafted",
        "holder": claim.creditor,
        "advance_fen": 0,
        "proceeds_fen": 0,
        "paid_fen": 0,
        "costs_due_fen": 0,
        "interest_due_fen": 0,
        "accrued_day": claim.due_day.isoformat(),
        "late_rate_ppm": 0,
        "year_days": 360,
        "with_recourse": False,
        "bought_back": False,
        "frozen": False,
        "claimed_count": 0,
        "complete": False,
        "marked_s": 0,
        "on_chain": False,
        "changed_s": now_s,
        "change": 0,
    }


def issue_all(connection: Connection, number: int, change: dict[str, Any], after_change: int, now_s: int) -> int:
    """Let all receivables of a period be issued, in two statements however many there are; returns how many.

    ``change`` is what the history says of each; their changes are numbered on from ``after_change``, in their order.
    """
    ours = receivables.c.period == number
    first, count = connection.execute(select(func.min(receivables.c.number), func.count()).where(ours)).one()
    if not count:
        return 0
    place = receivables.c.number - first + after_change + 1
    said = {name: literal(value, receivable_history.c[name].type) for name, value in change.items()}
    written = select(place, receivables.c.receivable_id, receivables.c.state, *said.values()).where(ours)
    connection.execute(insert(receivable_history).from_select(["change", "receivable_id", "before", *said], written))
    changed = {"state": change["after"], "change": place, "changed_s": now_s}
    connection.execute(update(receivables).where(ours).values(**changed))
    return int(count)


def numbers_of(connection: Connection, number: int) -> range:
    """The numbers of a period's receivables: 1, 2, 3 ... through all periods in their order, so no row is looked at."""
    before = connection.scalar(select(func.sum(periods.c.count)).where(periods.c.period < number)) or 0
    row = period(connection, number)
    assert row is not None, f"there is no period {number}"
    return range(int(before) + 1, int(before) + 1 + count_of(row))


def ids_of(connection: Connection, numbers: range) -> list[bytes]:
    """The ids of the receivables with these numbers, in their order."""
    query = select(receivables.c.receivable_id).where(_numbered(numbers)).order_by(receivables.c.number)
    return list(connection.scalars(query))


def receivables_of(connection: Connection, numbers: range) -> Sequence[Row[Any]]:
    """The receivables with these numbers, in their order: within a period that of the leaves under its root."""
    return connection.execute(select(receivables).where(_numbered(numbers)).order_by(receivables.c.number)).all()


def trades_of(connection: Connection, numbers: range) -> dict[bytes, list[PublishedTrade]]:
    """The trades that each receivable with one of these numbers claims, by trade id."""
    query = (
        select(receivable_trades)
        .join(receivables, receivables.c.receivable_id == receivable_trades.c.receivable_id)
        .where(_numbered(numbers))
        .order_by(receivable_trades.c.trade_id)
    )
    found: defaultdict[bytes, list[PublishedTrade]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.receivable_id].append(PublishedTrade(row.trade_id, row.delivered_lots, row.amount_micro))
    return found


def _numbered(numbers: range) -> ColumnElement[bool]:
    return receivables.c.number.between(numbers.start, numbers.stop - 1)


def remainders_of(connection: Connection, number: int, after: Pair, limit: int) -> dict[Pair, int]:
    """What the next ``limit`` pairs that traded in a period carry on, in micro-yuan, in the order of the pairs."""
    pair = (remainders.c.creditor, remainders.c.debtor, remainders.c.terms_days)
    query = select(remainders).where(remainders.c.period == number, tuple_(*pair) > tuple_(*after))
    rows = connection.execute(query.order_by(*pair).limit(limit))
    return {Pair(row.creditor, row.debtor, row.terms_days): row.amount_micro for row in rows}


def bought_on_terms_micro(connection: Connection, member: int) -> int:
    """All that a member ever bought on terms, at the sellers' prices, in micro-yuan."""
    amount = func.sum(trades.c.quantity_lots * trades.c.seller_price_ticks)
    query = select(amount).where(trades.c.buyer == member, trades.c.terms_days > 0)
    return int(connection.scalar(query) or 0)


def paid_on_terms_micro(connection: Connection, member: int) -> int:
    """All that a member paid on what it bought on terms, in micro-yuan: on receivables, and on debts in cycles."""
    on_receivables = select(func.sum(receivables.c.paid_fen)).where(receivables.c.debtor == member)
    paid_fen = int(connection.scalar(on_receivables) or 0)
    in_cycles = (
        select(func.sum(statement_lines.c.amount_micro))
        .join(cycles, cycles.c.cycle == statement_lines.c.cycle)
        .where(
            statement_lines.c.member_id == member,
            statement_lines.c.kind == Kind.ENERGY_DUE,
            statement_lines.c.amount_micro < 0,
            cycles.c.state == "applied",
        )
    )
    return paid_fen * MICRO_PER_FEN - int(connection.scalar(in_cycles) or 0)
