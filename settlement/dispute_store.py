"""The queries about disputes: challenges, struck trades, void cycles.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from data.tables import challenges, cycles, drafts, struck_trades, trades, void_cycles

OPEN, ANSWERED, UPHELD = "open", "answered", "upheld"


# ----------------------------------------------------------------------------------------------- challenges


def add_challenge(connection: Connection, row: dict[str, Any]) -> None:
    """Insert a challenge, open, under the next number."""
    last = connection.scalar(select(func.max(challenges.c.number))) or 0
    connection.execute(insert(challenges), {"number": last + 1, "state": OPEN, **row})


def close_challenge(connection: Connection, name: bytes, state: str) -> None:
    """The open challenge of this name has ended."""
    is_meant = (challenges.c.name == name) & (challenges.c.state == OPEN)
    connection.execute(update(challenges).where(is_meant).values(state=state))


def set_challenge(connection: Connection, number: int, **values: Any) -> None:
    """Change columns of a challenge."""
    connection.execute(update(challenges).where(challenges.c.number == number).values(**values))


def drop_challenges(connection: Connection, after: int) -> None:
    """Those after a number were never asked."""
    connection.execute(delete(challenges).where(challenges.c.number > after))


def open_challenges(connection: Connection, cycle: int | None = None) -> Sequence[Row[Any]]:
    """The open challenges, or those of one cycle, oldest first."""
    query = select(challenges).where(challenges.c.state == OPEN).order_by(challenges.c.number)
    return connection.execute(query if cycle is None else query.where(challenges.c.cycle == cycle)).all()


def challenges_of(connection: Connection, cycle: int) -> Sequence[Row[Any]]:
    """All challenges of a cycle, oldest first."""
    return connection.execute(select(challenges).where(challenges.c.cycle == cycle).order_by(challenges.c.number)).all()


def all_challenges(connection: Connection) -> Sequence[Row[Any]]:
    """Every challenge there ever was, oldest first."""
    return connection.execute(select(challenges).order_by(challenges.c.number)).all()


def trade_challenged_as(connection: Connection, leaf: bytes) -> int | None:
    """The trade that a challenge gave this leaf."""
    return connection.scalar(select(challenges.c.trade_id).where(challenges.c.leaf == leaf).limit(1))


# -------------------------------------------------------------------------------------------- struck trades


def is_struck() -> Any:
    """A condition on ``trades``."""
    return trades.c.trade_id.in_(select(struck_trades.c.trade_id))


def add_struck(connection: Connection, row: dict[str, Any]) -> None:
    """A trade is in no cycle any more; struck again, when it was proposed again, it stays as it was."""
    known = select(struck_trades.c.trade_id).where(struck_trades.c.trade_id == row["trade_id"])
    if connection.scalar(known) is None:
        connection.execute(insert(struck_trades), row)


def drop_struck(connection: Connection, trade_ids: Sequence[int]) -> None:
    """These trades were not struck after all."""
    for trade_id in trade_ids:
        connection.execute(delete(struck_trades).where(struck_trades.c.trade_id == trade_id))


def struck(connection: Connection) -> Sequence[Row[Any]]:
    """All struck trades, by id."""
    return connection.execute(select(struck_trades).order_by(struck_trades.c.trade_id)).all()


# -------------------------------------------------------------------------------------------- void cycles


def void_from(connection: Connection, number: int, voided_s: int) -> None:
    """A cycle and every later one are no more: they are drafted again, and what was drafted of them is removed then."""
    rows = connection.execute(select(cycles).where(cycles.c.cycle >= number)).all()
    kept = ("cycle", "round", "day", "start_s", "end_s", "trades_root")
    if rows:
        fallen = [{**{name: row._mapping[name] for name in kept}, "voided_s": voided_s} for row in rows]
        connection.execute(insert(void_cycles), fallen)
        connection.execute(delete(cycles).where(cycles.c.cycle >= number))
    connection.execute(delete(drafts).where(drafts.c.cycle >= number))


def void_rounds(connection: Connection, number: int) -> Sequence[Row[Any]]:
    """The rounds of a cycle that fell, oldest first."""
    query = select(void_cycles).where(void_cycles.c.cycle == number).order_by(void_cycles.c.round)
    return connection.execute(query).all()


def all_void(connection: Connection) -> Sequence[Row[Any]]:
    """Every round of every cycle that fell."""
    return connection.execute(select(void_cycles).order_by(void_cycles.c.cycle, void_cycles.c.round)).all()


def waiting(connection: Connection) -> Sequence[Row[Any]]:
    """The cycles that fell and are not drafted again yet, each as it last was."""
    newest: dict[int, Row[Any]] = {}
    drafted = set(connection.scalars(select(cycles.c.cycle)))
    for row in connection.execute(select(void_cycles).order_by(void_cycles.c.cycle, void_cycles.c.round)):
        if row.cycle not in drafted:
            newest[row.cycle] = row
    return list(newest.values())
