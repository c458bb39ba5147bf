"""SQL of what a member looks up about its money."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from data.tables import cash, cycles, estimates, meters, nodes, statement_lines

_ALWAYS = ("0000-00-00", "9999-99-99")


class By(StrEnum):
    """What totals are given for each of."""

    SLOT = "slot"
    DAY = "day"
    MONTH = "month"


class StatementLine(NamedTuple):
    """One line of a member's statement; ``amount_micro`` is + received, - paid.

    ``adjusts`` is the cycle of which it puts the slot right (0: the slot's day had none). ``is_estimated``: its meter
    had traded and no reading of it counted; a late reading is an adjustment.
    """

    cycle: int
    line: int
    day: str
    slot_s: int
    meter: str
    kind: str
    counterparty: int | None
    trade_id: int | None
    energy_lots: int
    price_ticks: int
    amount_micro: int
    how: str
    adjusts: int | None
    is_estimated: bool


class Total(NamedTuple):
    """Sums of one kind and way of paying in one slot, day or month; both amounts are positive."""

    of: str | int
    kind: str
    how: str
    lines: int
    received_micro: int
    paid_micro: int
    adjusted_micro: int


class Span(NamedTuple):
    """Cycles of the local days ``first_day <= day < end_day``, and of these perhaps one slot alone."""

    first_day: str = _ALWAYS[0]
    end_day: str = _ALWAYS[1]
    slot_s: int | None = None

    def within(self) -> ColumnElement[bool]:
        within = and_(cycles.c.day >= self.first_day, cycles.c.day < self.end_day)
        return within if self.slot_s is None else and_(within, statement_lines.c.slot_s == self.slot_s)


def free_and_arrears(connection: Connection, member_id: int) -> tuple[int, int]:
    """A member's free cash and what it still owes the clearing, micro-yuan."""
    row = connection.execute(
        select(cash.c.free_micro, cash.c.arrears_micro).where(cash.c.member_id == member_id)
    ).one_or_none()
    return (0, 0) if row is None else (row.free_micro, row.arrears_micro)


def escrow_micro(connection: Connection, member_id: int) -> int:
    """A member's escrow, micro-yuan."""
    return connection.scalar(select(cash.c.escrow_micro).where(cash.c.member_id == member_id)) or 0


def lines_of(connection: Connection, member_id: int, span: Span, after_key: int, limit: int) -> list[StatementLine]:
    """A member's lines by (cycle, line), from the one after ``cycle << 32 | line`` on."""
    cycle, line, columns = after_key >> 32, after_key & 0xFFFFFFFF, statement_lines.c
    asked = (
        _lines(member_id, span)
        .where(or_(columns.cycle > cycle, and_(columns.cycle == cycle, columns.line > line)))
        .limit(limit)
    )
    return [StatementLine(*row)._replace(is_estimated=row.held is not None) for row in connection.execute(asked)]


def _lines(member_id: int, span: Span) -> Select[Any]:
    columns = statement_lines.c
    is_mine = and_(
        estimates.c.cycle == columns.cycle,
        estimates.c.slot_s == columns.slot_s,
        estimates.c.node_id == columns.node_id,
        meters.c.member_id == member_id,
    )
    return (
        select(
            columns.cycle,
            columns.line,
            cycles.c.day,
            columns.slot_s,
            nodes.c.name,
            columns.kind,
            columns.counterparty,
            columns.trade_id,
            columns.energy_lots,
            columns.price_ticks,
            columns.amount_micro,
            columns.how,
            columns.adjusts,
            estimates.c.held,
        )
        .join(cycles, cycles.c.cycle == columns.cycle)
        .join(nodes, nodes.c.node_id == columns.node_id)
        .join(meters, meters.c.node_id == columns.node_id)
        .outerjoin(estimates, is_mine)
        .where(columns.member_id == member_id, span.within())
        .order_by(columns.cycle, columns.line)
    )


def count_of(connection: Connection, member_id: int, span: Span) -> int:
    """How many lines a member has."""
    query = select(func.count()).select_from(statement_lines).join(cycles, cycles.c.cycle == statement_lines.c.cycle)
    return connection.scalar(query.where(statement_lines.c.member_id == member_id, span.within())) or 0


def totals_of(connection: Connection, member_id: int, span: Span, by: By) -> Iterator[Total]:
    """A member's sums, in time, each kind and way of paying for itself; a slot is the one that was settled."""
    amount, adjusts = statement_lines.c.amount_micro, statement_lines.c.adjusts
    of: Any = {By.SLOT: statement_lines.c.slot_s, By.DAY: cycles.c.day, By.MONTH: func.substr(cycles.c.day, 1, 7)}[by]
    keys = (of, statement_lines.c.kind, statement_lines.c.how)
    query = (
        select(
            *keys,
            func.count(),
            func.sum(case((amount > 0, amount), else_=0)),
            func.sum(case((amount < 0, -amount), else_=0)),
            func.sum(case((adjusts.is_not(None), amount), else_=0)),
        )
        .join(cycles, cycles.c.cycle == statement_lines.c.cycle)
        .where(statement_lines.c.member_id == member_id, span.within())
        .group_by(*keys)
        .order_by(*keys)
    )
    for row in connection.execute(query):
        yield Total(row[0], row[1], row[2], int(row[3]), int(row[4]), int(row[5]), int(row[6]))
