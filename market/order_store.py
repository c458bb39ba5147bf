"""SQL for looking at orders, trades and the journal, off the sequencer's way. Each function is one snapshot."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Select, or_, select

from data.database import reading
from data.tables import journal, nodes, orders, trades
from market.candle_store import first_trade_from, last_trade
from market.jobs import Placed
from market.records import JournalLink, OrderRecord, TradeRecord

_ORDER = [orders.c[name] for name in OrderRecord.__struct_fields__]
_TRADE = [trades.c[name] for name in TradeRecord.__struct_fields__]


class FirstAnswer(NamedTuple):
    """An order as it was first answered, and the journal link whose receipt went with it."""

    placed: Placed
    link: JournalLink


class OwnTrade(NamedTuple):
    """A trade as one side sees it."""

    trade: TradeRecord
    order_id: int
    client_order_id: str
    meter: str


def orders_of(
    database: Engine, member_id: int, *, state: str | None, slot: int | None, after: int, limit: int
) -> list[Placed]:
    """A member's orders with their trades, by id, from the one after ``after`` on."""
    asked = _orders().where(orders.c.member_id == member_id, orders.c.order_id > after)
    if state is not None:
        asked = asked.where(orders.c.state == state)
    if slot is not None:
        asked = asked.where(orders.c.slot_s == slot)
    with reading(database) as connection:
        return _with_trades(connection, connection.execute(asked.order_by(orders.c.order_id).limit(limit)).all())


def order_of(database: Engine, member_id: int, client_order_id: str) -> Placed | None:
    """A member's order as it stands, and its trades; None when there is no such order."""
    asked = _orders().where(orders.c.member_id == member_id, orders.c.client_order_id == client_order_id)
    with reading(database) as connection:
        found = _with_trades(connection, connection.execute(asked).all())
    return found[0] if found else None


def first_answers(database: Engine, order_ids: Sequence[int]) -> dict[int, FirstAnswer]:
    """Orders with their trades and journal links as they stood when their own batch was recorded.

    What happened to an order later is left out: that it changed later means that it was open then.
    """
    answers = {}
    with reading(database) as connection:
        rows = connection.execute(_orders().where(orders.c.order_id.in_(order_ids))).all()
        for placed in _with_trades(connection, rows):
            order = placed.order
            after = select(journal).where(journal.c.last_sequence >= order.sequence)
            link = JournalLink(*connection.execute(after.order_by(journal.c.last_sequence).limit(1)).one())
            first = [trade for trade in placed.trades if trade.sequence <= link.last_sequence]
            if order.changed_sequence > link.last_sequence:
                order.state = "open"
                order.remaining_lots = order.quantity_lots - sum(trade.quantity_lots for trade in first)
                order.reduced_lots = 0
            answers[order.order_id] = FirstAnswer(Placed(order, first, placed.meter), link)
    return answers


def _orders() -> Select[Any]:
    return select(*_ORDER, nodes.c.name).join(nodes, nodes.c.node_id == orders.c.node_id)


def _with_trades(connection: Connection, rows: Sequence[Row[Any]]) -> list[Placed]:
    trades_by: dict[int, list[TradeRecord]] = {row[0]: [] for row in rows}
    for start in range(0, len(rows), 400):
        ids = [row[0] for row in rows[start : start + 400]]
        asked = select(*_TRADE).where(or_(trades.c.buy_order.in_(ids), trades.c.sell_order.in_(ids)))
        for row in connection.execute(asked.order_by(trades.c.trade_id)):
            trade = TradeRecord(*row)
            for order_id in (trade.buy_order, trade.sell_order):
                if order_id in trades_by:
                    trades_by[order_id].append(trade)
    return [Placed(OrderRecord(*tuple(row)[:-1]), trades_by[row[0]], row[-1]) for row in rows]


def own_trades(database: Engine, member_id: int, *, slot: int | None, after: int, limit: int) -> list[OwnTrade]:
    """A member's trades by id from the one after ``after`` on. A trade between two of its own orders can not be."""
    mine = trades.c.buy_order == orders.c.order_id, trades.c.sell_order == orders.c.order_id
    asked = (
        select(*_TRADE, orders.c.order_id, orders.c.client_order_id, nodes.c.name)
        .join(orders, or_(*mine))
        .join(nodes, nodes.c.node_id == orders.c.node_id)
        .where(trades.c.trade_id > after, or_(trades.c.buyer == member_id, trades.c.seller == member_id))
        .where(orders.c.member_id == member_id)
    )
    if slot is not None:
        asked = asked.where(trades.c.slot_s == slot)
    with reading(database) as connection:
        rows = connection.execute(asked.order_by(trades.c.trade_id).limit(limit)).all()
    return [OwnTrade(TradeRecord(*tuple(row)[:-3]), *tuple(row)[-3:]) for row in rows]


def all_trades(
    database: Engine,
    *,
    slot: int | None = None,
    from_s: int | None = None,
    to_s: int | None = None,
    after: int,
    limit: int,
) -> list[TradeRecord]:
    """Everyone's trades by id from the one after ``after`` on; of those made in ``from_s <= traded < to_s``."""
    asked = select(*_TRADE).where(trades.c.trade_id > after)
    if slot is not None:
        asked = asked.where(trades.c.slot_s == slot)
    with reading(database) as connection:
        if from_s is not None:
            asked = asked.where(trades.c.trade_id >= first_trade_from(connection, from_s))
        if to_s is not None:
            asked = asked.where(trades.c.trade_id < first_trade_from(connection, to_s))
        return [TradeRecord(*row) for row in connection.execute(asked.order_by(trades.c.trade_id).limit(limit))]


def last_trade_of(database: Engine) -> int:
    """The number of the latest trade that is recorded, 0 when there is none."""
    with reading(database) as connection:
        return last_trade(connection)
