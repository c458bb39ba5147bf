"""The queries about credits on the custodian's account, and what they may be for.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select

from data.tables import bank_entries, deposits, receivables
from finance.iso20022.camt_054 import Entry
from finance.listing import DRAFTED
from finance.receivable import State
from finance.reconciliation import Debt, Deposited
from settlement.store import chunks


def known(connection: Connection, account: str, references: Sequence[str]) -> set[str]:
    """Those of the bank's references on an account that were consumed before."""
    found: set[str] = set()
    for chunk in chunks(references):
        same = (bank_entries.c.account == account) & bank_entries.c.reference.in_(chunk)
        found.update(connection.scalars(select(bank_entries.c.reference).where(same)))
    return found


def add(connection: Connection, message: str, entries: Sequence[tuple[Entry, bytes | None]], now_s: int) -> None:
    """Consume credits, each with the receivable that it is for."""
    first = (connection.scalar(select(func.max(bank_entries.c.entry))) or 0) + 1
    rows = [
        {
            "entry": number,
            "account": entry.account,
            "reference": entry.reference,
            "message": message,
            "amount_fen": entry.amount_fen,
            "booked_day": "" if entry.booked_day is None else entry.booked_day.isoformat(),
            "payer": entry.payer,
            "quoted": msgspec.json.encode(entry.quoted).decode(),
            "receivable_id": receivable_id,
            "taken_s": now_s,
        }
        for number, (entry, receivable_id) in enumerate(entries, first)
    ]
    if rows:
        connection.execute(insert(bank_entries), rows)


def some(connection: Connection, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """Consumed credits by number, from the one after ``after`` on."""
    query = select(bank_entries).where(bank_entries.c.entry > after)
    return connection.execute(query.order_by(bank_entries.c.entry).limit(limit)).all()


def deposited(connection: Connection, references: Sequence[str]) -> dict[str, Deposited]:
    """The deposits under these references of the bank."""
    found = {}
    for chunk in chunks(references):
        query = select(deposits.c.reference, deposits.c.member_id, deposits.c.amount_micro)
        rows = connection.execute(query.where(deposits.c.reference.in_(chunk)))
        found.update({row.reference: Deposited(row.member_id, row.amount_micro) for row in rows})
    return found


def debts(connection: Connection, numbers: Sequence[int]) -> dict[int, Debt]:
    """The receivables with these numbers that were issued, and what is open of each: nothing of one that has ended."""
    found = {}
    for chunk in chunks(numbers):
        asked = receivables.c.number.in_(chunk) & (receivables.c.state != DRAFTED)
        for row in connection.execute(select(receivables).where(asked)):
            open_fen = 0 if State(row.state).ended else row.face_fen - row.paid_fen
            found[row.number] = Debt(row.receivable_id, row.debtor, open_fen)
    return found
