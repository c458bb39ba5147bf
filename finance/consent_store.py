"""The queries about consents: which bank may see what of a seller that is not for sale.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from data.tables import consents
from settlement.store import chunks


def _in_force(now_s: int) -> ColumnElement[bool]:
    return and_(consents.c.until_s > now_s, consents.c.withdrawn_s.is_(None))


def of_sellers(connection: Connection, sellers: Collection[int], now_s: int) -> list[Row[Any]]:
    """The consents in force that some sellers gave."""
    found: list[Row[Any]] = []
    for chunk in chunks(sorted(sellers)):
        query = select(consents).where(consents.c.seller.in_(chunk), _in_force(now_s))
        found += connection.execute(query.order_by(consents.c.consent))
    return found


def of_bank(connection: Connection, bank: int, now_s: int) -> Sequence[Row[Any]]:
    """The consents in force that a bank has."""
    query = select(consents).where(consents.c.bank == bank, _in_force(now_s))
    return connection.execute(query.order_by(consents.c.consent)).all()


def between(connection: Connection, seller: int, bank: int, now_s: int) -> int:
    """How many consents of a seller are in force for a bank."""
    query = select(func.count()).where(consents.c.seller == seller, consents.c.bank == bank, _in_force(now_s))
    return connection.scalar(query) or 0


def add(connection: Connection, row: dict[str, Any]) -> int:
    """Insert a consent; returns its number."""
    number = (connection.scalar(select(func.max(consents.c.consent))) or 0) + 1
    values = {"consent": number, "withdrawn_s": None, "change": _next_change(connection)}
    connection.execute(insert(consents), values | row)
    return number


def _next_change(connection: Connection) -> int:
    return (connection.scalar(select(func.max(consents.c.change))) or 0) + 1


def changes_after(connection: Connection, change: int, limit: int) -> Sequence[Row[Any]]:
    """Consents that were granted or withdrawn after a change, by their latest."""
    query = select(consents).where(consents.c.change > change)
    return connection.execute(query.order_by(consents.c.change).limit(limit)).all()


def consent(connection: Connection, number: int) -> Row[Any] | None:
    """One row of ``consents``."""
    return connection.execute(select(consents).where(consents.c.consent == number)).first()


def withdraw(connection: Connection, number: int, now_s: int) -> None:
    """End a consent."""
    values = {"withdrawn_s": now_s, "change": _next_change(connection)}
    connection.execute(update(consents).where(consents.c.consent == number).values(**values))


def page(connection: Connection, member: int, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """Consents that a member gave or was given, ended ones too, by number."""
    own = (consents.c.seller == member) | (consents.c.bank == member)
    query = select(consents).where(own, consents.c.consent > after)
    return connection.execute(query.order_by(consents.c.consent).limit(limit)).all()
