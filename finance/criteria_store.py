"""The queries that criteria need: what a bank asks, what it holds, and receivables as its criteria look at them.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, func, insert, select

from data.tables import criteria, fapiao, receivables, registrations
from finance import holding_store
from finance.calendar import days_between
from finance.credit import store as credit_store
from finance.eligibility import Book, Candidate, Criteria
from finance.listing import DRAFTED
from finance.receivable import ENDED, GRACE_DAYS, State
from settlement.store import chunks

_NOT_ACKNOWLEDGED = frozenset({DRAFTED, State.ISSUED, State.REJECTED, State.CANCELLED, State.DISPUTED, State.VOID})


def criteria_of(connection: Connection, bank: int) -> tuple[Criteria, int]:
    """What a bank asks, and the number of that version; before it has said anything, the defaults and 0."""
    query = select(criteria).where(criteria.c.bank == bank).order_by(criteria.c.version.desc()).limit(1)
    row = connection.execute(query).first()
    return (Criteria(), 0) if row is None else (msgspec.json.decode(row.content, type=Criteria), row.version)


def set_criteria(connection: Connection, bank: int, asked: Criteria, now_s: int) -> int:
    """Keep what a bank asks from now on; the number of the version. The same again is no new version."""
    before, version = criteria_of(connection, bank)
    if version and before == asked:
        return version
    content = msgspec.json.encode(asked).decode()
    row = {"bank": bank, "version": version + 1, "set_s": now_s, "content": content}
    connection.execute(insert(criteria), row)
    return version + 1


def book_of(connection: Connection, bank: int) -> Book:
    """What a bank is exposed to now; what is written off is no exposure any more."""
    by_debtor: dict[int, int] = {}
    by_seller: dict[int, int] = {}
    for group in holding_store.groups(connection, bank):
        if group.state == State.WRITTEN_OFF:
            continue
        by_debtor[group.debtor] = by_debtor.get(group.debtor, 0) + group.open_fen
        by_seller[group.creditor] = by_seller.get(group.creditor, 0) + group.open_fen
    return Book(by_debtor, by_seller, sum(by_debtor.values()))


def candidates(connection: Connection, rows: Sequence[Row[Any]], bank: int, today: date) -> list[Candidate]:
    """Rows of ``receivables`` as the criteria of a bank look at them, in the same order."""
    ids, debtors = [row.receivable_id for row in rows], sorted({row.debtor for row in rows})
    ratings = credit_store.ratings_of(connection, debtors)
    debts = _debts(connection, debtors, today)
    invoiced, registered = _invoiced(connection, ids), _registered(connection, ids, bank)
    return [
        Candidate(
            receivable_id=row.receivable_id,
            creditor=row.creditor,
            debtor=row.debtor,
            is_acknowledged=row.state not in _NOT_ACKNOWLEDGED,
            tenor_days=days_between(today, date.fromisoformat(row.due_day)),
            face_fen=row.face_fen,
            exposure_fen=row.face_fen,
            rating=ratings.get(row.debtor),
            overdue_fen=debts.get(row.debtor, (0, 0))[0],
            debt_fen=debts.get(row.debtor, (0, 0))[1],
            source=row.source,
            with_recourse=None,
            has_fapiao=row.receivable_id in invoiced,
            has_registration=row.receivable_id in registered,
        )
        for row in rows
    ]


def _debts(connection: Connection, debtors: Iterable[int], today: date) -> dict[int, tuple[int, int]]:
    """Of each debtor (overdue, open) in fen, over all that it acknowledged and owes here."""
    open_fen = receivables.c.face_fen - receivables.c.paid_fen
    grace_over = (today - timedelta(days=GRACE_DAYS)).isoformat()
    late = case((receivables.c.due_day < grace_over, open_fen), else_=0)
    over = sorted(_NOT_ACKNOWLEDGED | ENDED)
    found = {}
    for chunk in chunks(sorted(debtors)):
        query = (
            select(receivables.c.debtor, func.sum(late).label("late"), func.sum(open_fen).label("open"))
            .where(receivables.c.debtor.in_(chunk), receivables.c.state.not_in(over))
            .group_by(receivables.c.debtor)
        )
        found.update({row.debtor: (int(row.late), int(row.open)) for row in connection.execute(query)})
    return found


def _invoiced(connection: Connection, ids: Sequence[bytes]) -> set[bytes]:
    """Those with a tax invoice that the tax office verified."""
    found: set[bytes] = set()
    for chunk in chunks(ids):
        verified = (fapiao.c.receivable_id.in_(chunk)) & (fapiao.c.state == "verified")
        found.update(connection.scalars(select(fapiao.c.receivable_id).where(verified)))
    return found


def _registered(connection: Connection, ids: Sequence[bytes], bank: int) -> set[bytes]:
    """Those registered for a bank."""
    found: set[bytes] = set()
    for chunk in chunks(ids):
        own = (registrations.c.receivable_id.in_(chunk)) & (registrations.c.party == bank)
        found.update(connection.scalars(select(registrations.c.receivable_id).where(own)))
    return found
