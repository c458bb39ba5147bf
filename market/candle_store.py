"""SQL for the market's public history: candles, and where in the trades a time stands.

Trades are numbered without holes, in order of the market's clock, which never goes back. So the trades of a time span
are a range of numbers, found by bisection over the primary key: no index on the time has to be kept.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from data.tables import trades


@dataclass(frozen=True, slots=True)
class Candle:
    """Trades of one interval from ``start_s`` on, at seller's prices; ``amount_micro`` is the sum of lots x price."""

    start_s: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    quantity_lots: int
    amount_micro: int
    trades: int


def mean_price_ticks_nearest(candle: Candle) -> int:
    """The mean of seller's prices weighted by energy, rounded to the nearest tick, a half upwards."""
    return (2 * candle.amount_micro + candle.quantity_lots) // (2 * candle.quantity_lots)


def candles(connection: Connection, *, slot_s: int | None, interval_s: int, from_s: int, to_s: int) -> list[Candle]:
    """Candles by the time of trading, ``from_s <= traded < to_s``, without those in which nothing was traded.

    With ``slot_s`` only what is delivered in that slot counts.
    """
    first, end = first_trade_from(connection, from_s), first_trade_from(connection, to_s)
    start = trades.c.traded_s - trades.c.traded_s % interval_s
    amount = trades.c.quantity_lots * trades.c.seller_price_ticks
    grouped = (
        select(
            start.label("start_s"),
            func.min(trades.c.trade_id).label("first"),
            func.max(trades.c.trade_id).label("last"),
            func.max(trades.c.seller_price_ticks).label("high"),
            func.min(trades.c.seller_price_ticks).label("low"),
            func.sum(trades.c.quantity_lots).label("lots"),
            func.sum(amount).label("amount"),
            func.count().label("trades"),
        )
        .where(trades.c.trade_id >= first, trades.c.trade_id < end)
        .group_by(start)
    )
    if slot_s is not None:
        grouped = grouped.where(trades.c.slot_s == slot_s)
    found = grouped.subquery()
    opening, closing = trades.alias("opening"), trades.alias("closing")
    asked = (
        select(found, opening.c.seller_price_ticks.label("open"), closing.c.seller_price_ticks.label("close"))
        .join(opening, opening.c.trade_id == found.c.first)
        .join(closing, closing.c.trade_id == found.c.last)
        .order_by(found.c.start_s)
    )
    return [
        Candle(row.start_s, row.open, row.high, row.low, row.close, int(row.lots), int(row.amount), row.trades)
        for row in connection.execute(asked)
    ]


def first_trade_from(connection: Connection, from_s: int) -> int:
    """The number of the first trade that was made at ``from_s`` or later, or would be."""
    low, high = 1, last_trade(connection) + 1
    while low < high:
        middle = (low + high) // 2
        traded_s = connection.scalar(select(trades.c.traded_s).where(trades.c.trade_id == middle))
        assert traded_s is not None, "trades are numbered without holes"
        if traded_s < from_s:
            low = middle + 1
        else:
            high = middle
    return low


def last_trade(connection: Connection) -> int:
    """The number of the latest trade, 0 when there is none."""
    return connection.scalar(select(func.coalesce(func.max(trades.c.trade_id), 0))) or 0
