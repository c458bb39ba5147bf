"""The queries of settlement about cycles: which day is next, what it is computed from, what it came to.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from data import bulk
from data.tables import cycles, deliveries, drafts, estimates, meters, readings, statement_lines, trades
from settlement import calendar, netting, reading_store
from settlement.cycle_outcome import CycleTotals, Portion
from settlement.delivery import Delivery, Estimate, Line, PlainDebt, plain_debt_lots
from settlement.rules import SettlementRules
from settlement.store import chunks, slot_trade

# --------------------------------------------------------------------------------------------------- cycles


def cycle(connection: Connection, number: int) -> Row[Any] | None:
    """One row of ``cycles``."""
    return connection.execute(select(cycles).where(cycles.c.cycle == number)).first()


def cycle_of_slot(connection: Connection, slot_s: int) -> Row[Any] | None:
    """The cycle that a slot is settled in, when it is drafted."""
    query = select(cycles).where(cycles.c.start_s <= slot_s, cycles.c.end_s > slot_s)
    return connection.execute(query).first()


def last_cycle(connection: Connection) -> Row[Any] | None:
    """The newest row of ``cycles``."""
    return connection.execute(select(cycles).order_by(cycles.c.cycle.desc()).limit(1)).first()


def cycles_in(connection: Connection, *states: str) -> Sequence[Row[Any]]:
    """The cycles in these states (all when none is named), in their order."""
    query = select(cycles).order_by(cycles.c.cycle)
    return connection.execute(query.where(cycles.c.state.in_(states)) if states else query).all()


def last_cut(connection: Connection, window_s: int, *, is_writing: bool = True) -> int:
    """Since when readings count in a later cycle only: the end of the last window for which one is drafted, or was.

    For one who writes no cycle begins to be drafted until the transaction ends, so that what is recorded with this cut
    is seen by those after it.
    """
    if is_writing and connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE drafts IN SHARE MODE")  # SQLite has one writer anyway
    ends = [connection.scalar(select(func.max(table.c.end_s))) for table in (cycles, drafts)]
    end_s = max((end_s for end_s in ends if end_s is not None), default=None)
    return 0 if end_s is None else end_s + window_s


def set_cycle(connection: Connection, number: int, **values: Any) -> None:
    """Change columns of a cycle."""
    connection.execute(update(cycles).where(cycles.c.cycle == number).values(**values))


def totals_of(row: Row[Any]) -> CycleTotals:
    """What a row of ``cycles`` says that it came to."""
    return CycleTotals(row.trades_root, row.readings_root, row.statements_root, parts_from_json(row.parts))


def move_cycle(connection: Connection, number: int, before: str, after: str) -> None:
    """Change a cycle's state, when it is the one said."""
    same = (cycles.c.cycle == number) & (cycles.c.state == before)
    connection.execute(update(cycles).where(same).values(state=after))


def lines_of(connection: Connection, number: int, after: int = 0, limit: int | None = None) -> list[Line]:
    """The statement lines of a cycle after one of them, in their order."""
    columns = statement_lines.c
    query = select(*(columns[name] for name in LINE_COLUMNS[2:])).where(columns.cycle == number, columns.line > after)
    return [Line(*row) for row in connection.execute(query.order_by(columns.line).limit(limit))]


def deliveries_at(connection: Connection, number: int, slot_s: int) -> list[Delivery]:
    """What a cycle says was delivered of the trades of a slot, by trade id."""
    query = (
        select(deliveries.c.trade_id, deliveries.c.delivered_lots, deliveries.c.financeable)
        .join(trades, trades.c.trade_id == deliveries.c.trade_id)
        .where(trades.c.slot_s == slot_s, deliveries.c.cycle == number)
        .order_by(deliveries.c.trade_id)
    )
    return [Delivery(*row) for row in connection.execute(query)]


def estimates_at(connection: Connection, number: int, slot_s: int) -> list[Estimate]:
    """The meters that a cycle says were estimated in a slot, by node."""
    query = select(estimates.c.slot_s, estimates.c.node_id, estimates.c.held)
    query = query.where(estimates.c.cycle == number, estimates.c.slot_s == slot_s).order_by(estimates.c.node_id)
    return [Estimate(*row) for row in connection.execute(query)]


# --------------------------------------------------------------------------------------------------- drafts

LINE_COLUMNS = (
    "cycle",
    "line",
    "slot_s",
    "member_id",
    "node_id",
    "kind",
    "counterparty",
    "trade_id",
    "energy_lots",
    "price_ticks",
    "amount_micro",
    "how",
    "adjusts",
)
"""The columns of ``statement_lines``; all but the first two are a ``Line``, in its order."""

_ESTIMATE_COLUMNS = ("cycle", "slot_s", "node_id", "held")
_DELIVERY_COLUMNS = ("cycle", "trade_id", "delivered_lots", "financeable")


def draft(connection: Connection) -> Row[Any] | None:
    """The row of ``drafts``, when a cycle is being drafted or its drafting was broken off."""
    return connection.execute(select(drafts)).first()


def begin_draft(connection: Connection, number: int, day: date, end_s: int) -> None:
    """From the caller's commit on, readings of this day and of all before it come late."""
    connection.execute(insert(drafts), {"cycle": number, "day": day.isoformat(), "end_s": end_s})


def write_draft(connection: Connection, number: int, first_line: int, portion: Portion) -> None:
    """Add some of the cycle being drafted; the first of the lines has the number ``first_line``."""
    given = [(number, *each) for each in portion.deliveries]
    bulk.insert_rows(connection, deliveries, _DELIVERY_COLUMNS, given)
    rows = [(number, place, *_plain(line)) for place, line in enumerate(portion.lines, first_line)]
    bulk.insert_rows(connection, statement_lines, LINE_COLUMNS, rows)
    bulk.insert_rows(connection, estimates, _ESTIMATE_COLUMNS, [(number, *each) for each in portion.estimates])


def _plain(line: Line) -> tuple[Any, ...]:
    return (*line[:3], str(line.kind), *line[4:9], str(line.how), line.adjusts)


def end_draft(connection: Connection, row: dict[str, Any], parts: Sequence[netting.Part]) -> bool:
    """What was drafted counts from the caller's commit on; not when an earlier cycle fell meanwhile."""
    is_wanted = connection.execute(delete(drafts).where(drafts.c.cycle == row["cycle"])).rowcount > 0
    if is_wanted:
        connection.execute(insert(cycles), {**row, "parts": parts_to_json(parts)})
    return is_wanted


def remove_drafted(connection: Connection, number: int, at_most: int) -> bool:
    """Remove some of what a broken-off draft has left of a cycle; whether there may be more."""
    removed = 0
    keys = (statement_lines.c.line, deliveries.c.trade_id, estimates.c.slot_s)
    for table, key in zip((statement_lines, deliveries, estimates), keys, strict=True):
        some = select(key).where(table.c.cycle == number).limit(at_most)
        result = connection.execute(delete(table).where(table.c.cycle == number, key.in_(some)))
        removed += result.rowcount
    return removed > 0


def parts_to_json(parts: Sequence[netting.Part]) -> str:
    """Parts as ``cycles.parts`` keeps them: a list of parts, each a list of [account, "amount_micro"]."""
    return json.dumps([[[account, str(amount_micro)] for account, amount_micro in part.deltas] for part in parts])


def parts_from_json(text: str) -> list[netting.Part]:
    """The inverse of ``parts_to_json``."""
    deltas = [tuple((int(account), int(amount)) for account, amount in part) for part in json.loads(text)]
    return [netting.Part(part, sum(amount_micro for _, amount_micro in part)) for part in deltas]


# -------------------------------------------------------------------------- what the next cycle is made from


def owners(connection: Connection) -> dict[int, int]:
    """The member of every meter, by node."""
    return {row.node_id: row.member_id for row in connection.execute(select(meters.c.node_id, meters.c.member_id))}


def next_day(connection: Connection, after: date | None, rules: SettlementRules) -> date | None:
    """The first local day after another on which there is something to settle.

    That is trades, readings that came in time, debts that fall due. ``after`` None: the first such day at all. None is
    returned when there is no such day.
    """
    from_s = calendar.bounds(after, rules.time_zone)[1] if after is not None else None
    found = [_first_read_day(connection, from_s, rules)]
    traded_s = _first_slot(connection, trades, from_s)
    if traded_s is not None:
        found.append(calendar.day_of(traded_s, rules.time_zone))
    if after is not None:
        found += _first_due_days(connection, after, rules.time_zone)
    return min((day for day in found if day is not None), default=None)


def _first_read_day(connection: Connection, from_s: int | None, rules: SettlementRules) -> date | None:
    while (slot_s := _first_slot(connection, readings, from_s)) is not None:
        day = calendar.day_of(slot_s, rules.time_zone)
        start_s, end_s = calendar.bounds(day, rules.time_zone)
        if reading_store.read_on_time(connection, start_s, end_s, end_s + rules.window_s):
            return day
        from_s = end_s
    return None


def debts_due(connection: Connection, after: date, upto: date, time_zone: str) -> list[PlainDebt]:
    """The plain debts that fall due on the local days after one and up to another, by trade id."""
    debts = []
    for terms_days in _terms_in_use(connection):
        first_s, _ = calendar.bounds(after + timedelta(days=1 - terms_days), time_zone)
        _, end_s = calendar.bounds(upto - timedelta(days=terms_days), time_zone)
        query = (
            _undelivered(terms_days)
            .where(trades.c.slot_s >= first_s, trades.c.slot_s < end_s)
            .order_by(trades.c.trade_id)
        )
        for row in connection.execute(query):
            trade = slot_trade(row)
            energy_lots = plain_debt_lots(trade, Delivery(row.trade_id, row.delivered_lots, row.financeable))
            debts.append(PlainDebt(trade, energy_lots))
    return sorted(debts, key=lambda debt: debt.trade.trade_id)


def _first_slot(connection: Connection, table: Any, from_s: int | None) -> int | None:
    query = select(func.min(table.c.slot_s))
    slot_s: int | None = connection.scalar(query if from_s is None else query.where(table.c.slot_s >= from_s))
    return slot_s


def _first_due_days(connection: Connection, after: date, time_zone: str) -> list[date]:
    days = []
    for terms_days in _terms_in_use(connection):
        first_s, _ = calendar.bounds(after + timedelta(days=1 - terms_days), time_zone)
        earliest = _undelivered(terms_days).where(trades.c.slot_s >= first_s).order_by(trades.c.slot_s).limit(1)
        row = connection.execute(earliest).first()
        if row is not None:
            days.append(calendar.due_day(row.slot_s, terms_days, time_zone))
    return days


def _undelivered(terms_days: int) -> Any:
    """Settled trades on these terms of which something can not become a receivable."""
    return (
        select(trades, deliveries.c.delivered_lots, deliveries.c.financeable)
        .join(deliveries, deliveries.c.trade_id == trades.c.trade_id)
        .join(cycles, cycles.c.cycle == deliveries.c.cycle)
        .where(
            trades.c.terms_days == terms_days,
            or_(deliveries.c.delivered_lots < trades.c.quantity_lots, deliveries.c.financeable.is_(False)),
        )
    )


def _terms_in_use(connection: Connection) -> list[int]:
    query = select(trades.c.terms_days).where(trades.c.terms_days > 0).distinct()
    return sorted(connection.scalars(query))


# --------------------------------------------------------------------------------------------- for others


def unsettled_before(connection: Connection, end_s: int, rules: SettlementRules) -> bool:
    """Whether anything of the slots before an instant is in no cycle yet, or in one that is not applied."""
    if connection.scalar(select(func.count()).where(cycles.c.start_s < end_s, cycles.c.state != "applied")):
        return True
    newest = last_cycle(connection)
    after = None if newest is None else date.fromisoformat(newest.day)
    day = next_day(connection, after, rules)
    return day is not None and calendar.start_of(day, rules.time_zone) < end_s


def deliveries_of(connection: Connection, trade_ids: Sequence[int]) -> dict[int, Delivery]:
    """What was delivered of some trades, as far as they are settled."""
    found = {}
    for chunk in chunks(trade_ids):
        query = select(deliveries).join(cycles, cycles.c.cycle == deliveries.c.cycle)
        for row in connection.execute(query.where(deliveries.c.trade_id.in_(chunk))):
            found[row.trade_id] = Delivery(row.trade_id, row.delivered_lots, row.financeable)
    return found
