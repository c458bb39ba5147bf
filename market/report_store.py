"""What the report asks of the tables: sums and counts, whole numbers all of them.

Every function takes a ``Connection`` inside one snapshot, so that the figures of one report belong together. Nothing is
read row by row that the database can add up.
"""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, FromClause, Row, and_, case, func, or_, select

from data.tables import (
    cash,
    chain_events,
    commitments,
    cycles,
    deliveries,
    members,
    meters,
    nodes,
    orders,
    outbox,
    receivable_history,
    receivables,
    statement_lines,
    trades,
)
from data.units import floor_fen
from settlement import calendar
from settlement.cycle_store import parts_from_json

_t, _l = trades.c, statement_lines.c


class SlotTrades(NamedTuple):
    """What was traded for one slot. The amounts over the lots are the mean prices."""

    slot_s: int
    trades: int
    lots: int
    seller_micro: int
    buyer_micro: int


class Flow(NamedTuple):
    """All that one meter sold another for one slot."""

    slot_s: int
    sell_node: int
    buy_node: int
    lots: int


class Lines(NamedTuple):
    """A member's settled lines of one kind in one slot; ``received``: as the seller, or paid for a deviation."""

    member_id: int
    slot_s: int
    kind: str
    received: bool
    lots: int
    amount_micro: int


def count(connection: Connection, table: FromClause) -> int:
    """How many rows a table or a query has."""
    return connection.scalar(select(func.count()).select_from(table)) or 0


def count_by(connection: Connection, column: Column[str]) -> dict[str, int]:
    """How many rows there are of each value of a column."""
    return dict(connection.execute(select(column, func.count()).group_by(column).order_by(column)).all())


def meter_kinds(connection: Connection) -> dict[int, str]:
    """The kind of every meter, by node."""
    return dict(connection.execute(select(meters.c.node_id, meters.c.kind)).all())


def traders(connection: Connection) -> int:
    """Members who had an order accepted."""
    return connection.scalar(select(func.count(func.distinct(orders.c.member_id)))) or 0


def slots(connection: Connection) -> list[SlotTrades]:
    """What was traded, by slot."""
    query = (
        select(
            _t.slot_s,
            func.count(),
            func.sum(_t.quantity_lots),
            func.sum(_t.quantity_lots * _t.seller_price_ticks),
            func.sum(_t.quantity_lots * _t.buyer_price_ticks),
        )
        .group_by(_t.slot_s)
        .order_by(_t.slot_s)
    )
    return [SlotTrades(*map(int, row)) for row in connection.execute(query)]


def lots_by_level(connection: Connection) -> dict[int, int]:
    """Traded lots by the distance of the two meters."""
    query = select(_t.level, func.sum(_t.quantity_lots)).group_by(_t.level).order_by(_t.level)
    return {level: int(lots) for level, lots in connection.execute(query)}


def lots_on_terms(connection: Connection) -> int:
    return int(connection.scalar(select(func.sum(_t.quantity_lots)).where(_t.terms_days > 0)) or 0)


def flows(connection: Connection) -> list[Flow]:
    """Who sold to whom, by slot."""
    query = (
        select(_t.slot_s, _t.sell_node, _t.buy_node, func.sum(_t.quantity_lots))
        .group_by(_t.slot_s, _t.sell_node, _t.buy_node)
        .order_by(_t.slot_s, _t.sell_node, _t.buy_node)
    )
    return [Flow(*map(int, row)) for row in connection.execute(query)]


def grid(connection: Connection) -> Sequence[Row[Any]]:
    """Every node in order of connection: node_id, name, parent_id, level, export_kw, import_kw."""
    return connection.execute(select(nodes).order_by(nodes.c.node_id)).all()


def settled_lines(connection: Connection, grid_company: int) -> list[Lines]:
    """What settled slots came to for each member; a debt's later payment (``energy_due``) is not counted again."""
    is_seller = and_(_l.kind == "energy", _l.member_id == _t.seller)
    received = case((or_(is_seller, _l.kind.in_(("surplus", "under_consumed"))), 1), else_=0)
    columns = (_l.member_id, _l.slot_s, _l.kind, received)
    query = (
        select(*columns, func.sum(_l.energy_lots), func.sum(_l.amount_micro))
        .select_from(statement_lines.outerjoin(trades, _l.trade_id == _t.trade_id))
        .where(_l.member_id != grid_company, _l.kind != "energy_due")
        .group_by(*columns)
    )
    return [
        Lines(m, slot, kind, bool(got), int(lots), int(micro))
        for m, slot, kind, got, lots, micro in connection.execute(query)
    ]


def delivered(connection: Connection) -> tuple[int, int]:
    """Settled lots: contracted, and delivered by their sellers' meters."""
    query = select(func.sum(_t.quantity_lots), func.sum(deliveries.c.delivered_lots)).select_from(
        deliveries.join(trades)
    )
    contracted, done = connection.execute(query).one()
    return int(contracted or 0), int(done or 0)


def statement_totals(connection: Connection) -> tuple[int, int, dict[str, int]]:
    """Lines, statements (one for each member and cycle), and the sum of all amounts by how they are paid."""
    statements = select(_l.cycle, _l.member_id).distinct().subquery()
    sums = select(_l.how, func.sum(_l.amount_micro)).group_by(_l.how).order_by(_l.how)
    return (
        count(connection, statement_lines),
        count(connection, statements),
        {how: int(micro) for how, micro in connection.execute(sums)},
    )


def transfers(connection: Connection) -> tuple[int, int, int]:
    """Payments that applied cycles asked for, transfers left after netting, and the micro-yuan that these moved."""
    applied = cycles.c.state == "applied"
    before = (
        select(func.count())
        .select_from(statement_lines.join(cycles, cycles.c.cycle == _l.cycle))
        .where(applied, _l.how == "cycle", _l.amount_micro < 0)
    )
    after, moved_micro = 0, 0
    for (parts,) in connection.execute(select(cycles.c.parts).where(applied)):
        amounts = [amount_micro for part in parts_from_json(parts) for _, amount_micro in part.deltas]
        after += len(amounts)
        moved_micro += sum(amount for amount in amounts if amount > 0)
    return connection.scalar(before) or 0, after, moved_micro


def committed(connection: Connection) -> tuple[int, int]:
    """Commitments, and trades under them."""
    covered = func.sum(commitments.c.last_trade - commitments.c.first_trade + 1)
    number, under = connection.execute(select(func.count(), covered)).one()
    return int(number), int(under or 0)


class Acts(NamedTuple):
    """Transactions of one kind: how many, gas in all, how many the contract refused."""

    kind: str
    sent: int
    gas: int
    reverted: int


def chain_acts(connection: Connection) -> list[Acts]:
    """What was sent to the chain, by contract function."""
    o = outbox.c
    reverted = func.sum(case((o.state == "reverted", 1), else_=0))
    query = select(o.kind, func.count(), func.sum(func.coalesce(o.gas, 0)), reverted).group_by(o.kind).order_by(o.kind)
    return [Acts(kind, int(number), int(gas), int(bad)) for kind, number, gas, bad in connection.execute(query)]


class Cash(NamedTuple):
    """Micro-yuan: minted and burned by the custodian, free and in escrow with members and fund, locked as bonds,
    missing.
    """

    minted: int
    burned: int
    free: int
    escrow: int
    bonds: int
    arrears: int


def money(connection: Connection) -> Cash:
    """Where the settlement money is, by the chain's own events and the mirror of its balances."""
    minted, burned = (_sum_of_events(connection, "Cash", event) for event in ("Minted", "Burned"))
    c = cash.c
    query = select(func.sum(c.free_micro), func.sum(c.escrow_micro), func.sum(c.arrears_micro))
    free, escrow, arrears = (int(value or 0) for value in connection.execute(query).one())
    locked, paid = (_sum_of_events(connection, "Clearing", event) for event in ("BondLocked", "BondPaid"))
    return Cash(minted, burned, free, escrow, locked - paid, arrears)


def _sum_of_events(connection: Connection, contract: str, event: str) -> int:
    e = chain_events.c
    query = select(e.arguments).where(e.contract == contract, e.event == event)
    return sum(int(json.loads(arguments)["amount"]) for (arguments,) in connection.execute(query))


class Stage(NamedTuple):
    """How many receivables ever reached a state, and their faces."""

    state: str
    receivables: int
    face_fen: int


def stages(connection: Connection) -> list[Stage]:
    """Receivables by every state they ever were in; ``issued`` counts all that were issued."""
    v, h = receivables.c, receivable_history.c
    ever = select(h.receivable_id, h.after).distinct().subquery()
    query = (
        select(ever.c.after, func.count(), func.sum(v.face_fen))
        .select_from(ever.join(receivables, ever.c.receivable_id == v.receivable_id))
        .group_by(ever.c.after)
    )
    found = {state: Stage(state, int(number), int(face)) for state, number, face in connection.execute(query)}
    issued = select(func.count(), func.sum(v.face_fen)).where(v.state != "drafted")
    number, face = connection.execute(issued).one()
    found["issued"] = Stage("issued", int(number), int(face or 0))
    return list(found.values())


def paid_fen(connection: Connection) -> int:
    """All that debtors paid on receivables."""
    return int(connection.scalar(select(func.sum(receivables.c.paid_fen))) or 0)


class Sale(NamedTuple):
    """A receivable that a bank paid for, in whatever way it was sold, in fen; ``days`` from that day to the due day."""

    bank: str
    advance_fen: int
    proceeds_fen: int
    days: int


def sales(connection: Connection, time_zone: str) -> list[Sale]:
    """What the chain says was financed, in its order."""
    e, v = chain_events.c, receivables.c
    query = select(e.block_s, e.arguments).where(e.contract == "Sales", e.event == "Financed")
    said = [
        (at_s, json.loads(arguments)) for at_s, arguments in connection.execute(query.order_by(e.block, e.log_index))
    ]
    due = {row.receivable_id: row.due_day for row in connection.execute(select(v.receivable_id, v.due_day))}
    names = {row.member_id: row.name for row in connection.execute(select(members.c.member_id, members.c.name))}
    return [
        Sale(
            names[int(each["bank"])],
            floor_fen(int(each["advance"])),
            floor_fen(int(each["proceeds"])),
            days=(date.fromisoformat(due[_bytes(each["receivable"])]) - calendar.day_of(at_s, time_zone)).days,
        )
        for at_s, each in said
    ]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
