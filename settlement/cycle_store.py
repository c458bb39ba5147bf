"""The queries of settlement about cycles: which day is next, what it is computed from, what it came to.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from data.tables import cycles, deliveries, estimates, meters, readings, statement_lines, trades
from settlement import calendar, netting
from settlement.cycle_outcome import CycleOutcome
from settlement.delivery import Delivery, Estimate, Line, PlainDebt, plain_debt_lots
from settlement.store import chunks, slot_trade

# --------------------------------------------------------------------------------------------------- cycles


def cycle(connection: Connection, number: int) -> Row[Any] | None:
    """One row of ``cycles``."""
    return connection.execute(select(cycles).where(cycles.c.cycle == number)).first()


def last_cycle(connection: Connection) -> Row[Any] | None:
    """The newest row of ``cycles``."""
    return connection.execute(select(cycles).order_by(cycles.c.cycle.desc()).limit(1)).first()


def cycles_in(connection: Connection, *states: str) -> Sequence[Row[Any]]:
    """The cycles in these states (all when none is named), in their order."""
    query = select(cycles).order_by(cycles.c.cycle)
    return connection.execute(query.where(cycles.c.state.in_(states)) if states else query).all()


def covers(connection: Connection, slots: Iterable[int]) -> set[int]:
    """Those of the slots that are in a cycle which is drafted already."""
    end_s = connection.scalar(select(func.max(cycles.c.end_s)))
    return set() if end_s is None else {slot_s for slot_s in slots if slot_s < end_s}


def set_cycle(connection: Connection, number: int, **values: Any) -> None:
    """Change columns of a cycle."""
    connection.execute(update(cycles).where(cycles.c.cycle == number).values(**values))


def add_cycle(connection: Connection, row: dict[str, Any], outcome: CycleOutcome) -> None:
    """Insert a drafted cycle with its deliveries and its statement lines."""
    number = row["cycle"]
    connection.execute(insert(cycles), {**row, "parts": parts_to_json(outcome.parts)})
    if outcome.deliveries:
        connection.execute(insert(deliveries), [{"cycle": number, **each._asdict()} for each in outcome.deliveries])
    if outcome.lines:
        connection.execute(insert(statement_lines), [_line_row(number, *each) for each in enumerate(outcome.lines, 1)])
    if outcome.estimates:
        rows = [{"cycle": number, "slot_s": s, "node_id": node, "held": held} for s, node, held in outcome.estimates]
        connection.execute(insert(estimates), rows)


def stated_outcome(connection: Connection, row: Row[Any]) -> CycleOutcome:
    """What the database says a cycle came to."""
    number = row.cycle
    kept = connection.execute(select(deliveries).where(deliveries.c.cycle == number).order_by(deliveries.c.trade_id))
    return CycleOutcome(
        trades_root=row.trades_root,
        readings_root=row.readings_root,
        statements_root=row.statements_root,
        deliveries=[Delivery(each.trade_id, each.delivered_lots, each.financeable) for each in kept],
        lines=lines_of(connection, number),
        parts=parts_from_json(row.parts),
        estimates=_estimates_of(connection, number),
    )


def _estimates_of(connection: Connection, number: int) -> list[Estimate]:
    query = select(estimates).where(estimates.c.cycle == number).order_by(estimates.c.slot_s, estimates.c.node_id)
    return [Estimate(row.slot_s, row.node_id, row.held) for row in connection.execute(query)]


def lines_of(connection: Connection, number: int) -> list[Line]:
    """The statement lines of a cycle, in their order."""
    query = select(statement_lines).where(statement_lines.c.cycle == number).order_by(statement_lines.c.line)
    return [line_of(row) for row in connection.execute(query)]


def line_of(row: Row[Any]) -> Line:
    """A row of ``statement_lines`` as a line."""
    return Line(
        slot_s=row.slot_s,
        member=row.member_id,
        node=row.node_id,
        kind=row.kind,
        counterparty=row.counterparty,
        trade_id=row.trade_id,
        energy_lots=row.energy_lots,
        price_ticks=row.price_ticks,
        amount_micro=row.amount_micro,
        how=row.how,
    )


def _line_row(number: int, place: int, line: Line) -> dict[str, Any]:
    row = line._asdict()
    return {"cycle": number, "line": place, "member_id": row.pop("member"), "node_id": row.pop("node"), **row}


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


def next_day(connection: Connection, after: date | None, time_zone: str) -> date | None:
    """The first local day after another on which there is something to settle: trades, readings, debts that fall due.

    ``after`` None: the first such day at all. None is returned when there is no such day.
    """
    from_s = calendar.bounds(after, time_zone)[1] if after is not None else None
    found = [
        calendar.day_of(slot_s, time_zone)
        for slot_s in (_first_slot(connection, trades, from_s), _first_slot(connection, readings, from_s))
        if slot_s is not None
    ]
    if after is not None:
        found += _first_due_days(connection, after, time_zone)
    return min(found, default=None)


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
        .where(
            trades.c.terms_days == terms_days,
            or_(deliveries.c.delivered_lots < trades.c.quantity_lots, deliveries.c.financeable.is_(False)),
        )
    )


def _terms_in_use(connection: Connection) -> list[int]:
    query = select(trades.c.terms_days).where(trades.c.terms_days > 0).distinct()
    return sorted(connection.scalars(query))


# --------------------------------------------------------------------------------------------- for others


def unsettled_before(connection: Connection, end_s: int, time_zone: str) -> bool:
    """Whether anything of the slots before an instant is in no cycle yet, or in one that is not applied."""
    if connection.scalar(select(func.count()).where(cycles.c.start_s < end_s, cycles.c.state != "applied")):
        return True
    newest = last_cycle(connection)
    after = None if newest is None else date.fromisoformat(newest.day)
    day = next_day(connection, after, time_zone)
    return day is not None and calendar.start_of(day, time_zone) < end_s


def deliveries_of(connection: Connection, trade_ids: Sequence[int]) -> dict[int, Delivery]:
    """What was delivered of some trades, as far as they are settled."""
    found = {}
    for chunk in chunks(trade_ids):
        for row in connection.execute(select(deliveries).where(deliveries.c.trade_id.in_(chunk))):
            found[row.trade_id] = Delivery(row.trade_id, row.delivered_lots, row.financeable)
    return found
