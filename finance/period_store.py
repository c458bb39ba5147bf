"""The queries of finance about billing periods: which is next, what it is computed from, what was issued in it.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from data.tables import cycles, periods, receivable_trades, receivables, remainders, statement_lines, trades
from data.units import MICRO_PER_FEN
from finance.claim import Claim, TermsTrade, terms_trade
from finance.period import Draft, Issue, Pair
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
    found = [each.record for each in settlement_store.trades_of_slots(connection, start_s, end_s)]
    on_terms = [record for record in found if record.common.terms_days]
    delivered = cycle_store.deliveries_of(connection, [record.common.trade_id for record in on_terms])
    claimable = (terms_trade(record, delivered[record.common.trade_id]) for record in on_terms)
    return [trade for trade in claimable if trade is not None]


def carried(connection: Connection, before: int) -> dict[Pair, int]:
    """What every pair carries into a period, in micro-yuan: what it left in the last period in which it traded."""
    query = select(remainders).where(remainders.c.period < before).order_by(remainders.c.period)
    return {Pair(row.creditor, row.debtor, row.terms_days): row.amount_micro for row in connection.execute(query)}


def add_period(connection: Connection, row: dict[str, Any], drafted: Draft, now_s: int) -> None:
    """Insert a drafted period with its receivables, the trades that they claim, and what is carried on."""
    connection.execute(insert(periods), row)
    number = connection.scalar(select(func.max(receivables.c.number))) or 0
    if drafted.issues:
        rows = [_receivable_row(issue.claim, number + place, now_s) for place, issue in enumerate(drafted.issues, 1)]
        connection.execute(insert(receivables), rows)
        connection.execute(insert(receivable_trades), [row for each in drafted.issues for row in _trade_rows(each)])
    left = [
        {**pair._asdict(), "period": drafted.period, "amount_micro": amount_micro}
        for pair, amount_micro in drafted.remainders_micro.items()
    ]
    if left:
        connection.execute(insert(remainders), left)


def _receivable_row(claim: Claim, number: int, now_s: int) -> dict[str, Any]:
    return {
        **claim._asdict(),
        "receivable_id": claim.receivable_id,
        "number": number,
        "issue_day": claim.issue_day.isoformat(),
        "due_day": claim.due_day.isoformat(),
        "state": "drafted",
        "holder": claim.creditor,
        "advance_fen": 0,
        "proceeds_fen": 0,
        "paid_fen": 0,
        "on_chain": False,
        "changed_s": now_s,
        "change": 0,
    }


def _trade_rows(issue: Issue) -> list[dict[str, Any]]:
    receivable_id = issue.claim.receivable_id
    return [
        {
            "trade_id": trade.trade_id,
            "receivable_id": receivable_id,
            "delivered_lots": trade.delivered_lots,
            "amount_micro": trade.amount_micro,
        }
        for trade in issue.trades
    ]


def receivables_of(connection: Connection, number: int) -> Sequence[Row[Any]]:
    """The receivables of a period, in the order of their leaves under its root."""
    query = select(receivables).where(receivables.c.period == number).order_by(receivables.c.number)
    return connection.execute(query).all()


def trades_of(connection: Connection, number: int) -> dict[bytes, list[PublishedTrade]]:
    """The trades that each receivable of a period claims, by trade id."""
    query = (
        select(receivable_trades)
        .join(receivables, receivables.c.receivable_id == receivable_trades.c.receivable_id)
        .where(receivables.c.period == number)
        .order_by(receivable_trades.c.trade_id)
    )
    found: defaultdict[bytes, list[PublishedTrade]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.receivable_id].append(PublishedTrade(row.trade_id, row.delivered_lots, row.amount_micro))
    return found


def remainders_of(connection: Connection, number: int) -> dict[Pair, int]:
    """What every pair that traded in a period carries on, in micro-yuan."""
    query = select(remainders).where(remainders.c.period == number)
    rows = connection.execute(query.order_by(remainders.c.creditor, remainders.c.debtor, remainders.c.terms_days))
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
