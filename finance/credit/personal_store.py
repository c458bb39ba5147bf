"""The queries behind personal offers: what a member could sell, what banks offer it, what it owes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from data.tables import offers, receivables
from finance import consent_store
from finance.credit.personal import SALEABLE
from finance.listing import DRAFTED
from finance.receivable import State

AT_MOST = 200
"""So many receivables are looked at on each side, those that fall due first."""

_OWED = (
    State.ISSUED,
    State.ACKNOWLEDGED,
    State.LISTED,
    State.RESERVED,
    State.FINANCED,
    State.DUE,
    State.PARTLY_PAID,
    State.OVERDUE,
    State.RECOURSE,
    State.DEFAULTED,
)


def saleable(connection: Connection, member: int) -> Sequence[Row[Any]]:
    """A creditor's own receivables that are still whole and not frozen, the first due first."""
    mine = (receivables.c.creditor == member) & receivables.c.state.in_(SALEABLE) & ~receivables.c.frozen
    query = select(receivables).where(mine).order_by(receivables.c.due_day, receivables.c.number)
    return connection.execute(query.limit(AT_MOST)).all()


def owed(connection: Connection, member: int) -> Sequence[Row[Any]]:
    """What a debtor still owes on receivables, the first due first."""
    mine = (receivables.c.debtor == member) & receivables.c.state.in_(_OWED)
    query = select(receivables).where(mine).order_by(receivables.c.due_day, receivables.c.number)
    return connection.execute(query.limit(AT_MOST)).all()


def open_offers(connection: Connection, receivable_ids: Sequence[bytes], now_s: int) -> Sequence[Row[Any]]:
    """Banks' offers that could be accepted now, the one that pays most first."""
    alive = offers.c.receivable_id.in_(receivable_ids) & (offers.c.state == "open") & (offers.c.expires_s >= now_s)
    return connection.execute(
        select(offers).where(alive).order_by(offers.c.proceeds_fen.desc(), offers.c.offer_id)
    ).all()


def may_see(connection: Connection, bank: int, member: int, now_s: int) -> bool:
    """Whether a bank may see a member's rating: it has the member's own consent to see all, or it may see a receivable
    of which the member is the debtor: it holds it, it is listed, its seller consented."""
    consents = consent_store.of_bank(connection, bank, now_s)
    whole = {row.seller for row in consents if row.receivable_id is None}
    single = [row.receivable_id for row in consents if row.receivable_id is not None]
    if member in whole:
        return True
    seen = (
        (receivables.c.holder == bank)
        | (receivables.c.state == State.LISTED)
        | receivables.c.creditor.in_(sorted(whole))
        | receivables.c.receivable_id.in_(single)
    )
    owes = (receivables.c.debtor == member) & (receivables.c.state != DRAFTED)
    return bool(connection.scalar(select(exists().where(owes, seen))))
