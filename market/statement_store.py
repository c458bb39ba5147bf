"""SQL of what a member looks up about its money."""

from typing import NamedTuple

from sqlalchemy import Connection, and_, or_, select

from data.tables import cash, cycles, nodes, statement_lines


class StatementLine(NamedTuple):
    """One line of a member's statement; ``amount_micro`` is + received, - paid."""

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


def free_and_arrears(connection: Connection, member_id: int) -> tuple[int, int]:
    """A member's free cash and what it still owes the clearing, micro-yuan."""
    row = connection.execute(
        select(cash.c.free_micro, cash.c.arrears_micro).where(cash.c.member_id == member_id)
    ).one_or_none()
    return (0, 0) if row is None else (row.free_micro, row.arrears_micro)


def escrow_micro(connection: Connection, member_id: int) -> int:
    """A member's escrow, micro-yuan."""
    return connection.scalar(select(cash.c.escrow_micro).where(cash.c.member_id == member_id)) or 0


def lines_of(
    connection: Connection, member_id: int, day: str | None, after_key: int, limit: int
) -> list[StatementLine]:
    """A member's lines by (cycle, line), from the one after ``cycle << 32 | line`` on."""
    cycle, line = after_key >> 32, after_key & 0xFFFFFFFF
    columns = statement_lines.c
    asked = (
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
        )
        .join(cycles, cycles.c.cycle == columns.cycle)
        .join(nodes, nodes.c.node_id == columns.node_id)
        .where(columns.member_id == member_id)
        .where(or_(columns.cycle > cycle, and_(columns.cycle == cycle, columns.line > line)))
        .order_by(columns.cycle, columns.line)
        .limit(limit)
    )
    if day is not None:
        asked = asked.where(cycles.c.day == day)
    return [StatementLine(*tuple(row)) for row in connection.execute(asked)]
