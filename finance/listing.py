"""Who may see which receivables, and what can be asked of a list of them. The query is in ``listing_store.py``."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, false, or_

from data.tables import receivables
from finance.receivable import ENDED, GRACE_DAYS, Standing, State

DRAFTED = "drafted"
"""The state of receivables whose period is not issued yet: nobody is shown them."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: a party sees its own; a bank also what is listed, and what it holds; an overseer sees all."""

    member: int
    is_bank: bool = False
    is_overseer: bool = False

    def may_see(self, row: Row[Any]) -> bool:
        """Whether one row of ``receivables`` is shown."""
        if row.state == DRAFTED:
            return False
        own = self.member in (row.creditor, row.debtor, row.holder)
        return own or self.is_overseer or (self.is_bank and row.state == State.LISTED)

    @property
    def clause(self) -> ColumnElement[bool]:
        """The same as a condition on ``receivables``."""
        parties = (receivables.c.creditor, receivables.c.debtor, receivables.c.holder)
        allowed = [party == self.member for party in parties]
        if self.is_bank:
            allowed.append(receivables.c.state == State.LISTED)
        shown = receivables.c.state != DRAFTED
        return shown if self.is_overseer else shown & or_(false(), *allowed)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; None leaves it open. ``updated_after_s`` includes its own second, so that none is missed."""

    state: str | None = None
    standing: Standing | None = None
    creditor: int | None = None
    debtor: int | None = None
    holder: int | None = None
    updated_after_s: int | None = None

    def clauses(self, today: date) -> list[ColumnElement[bool]]:
        columns = ("state", "creditor", "debtor", "holder")
        asked: list[ColumnElement[bool]] = [
            receivables.c[name] == getattr(self, name) for name in columns if getattr(self, name) is not None
        ]
        if self.updated_after_s is not None:
            asked.append(receivables.c.changed_s >= self.updated_after_s)
        if self.standing is not None:
            asked.append(stands(self.standing, today))
        return asked


def stands(asked: Standing, today: date) -> ColumnElement[bool]:
    """Where a receivable stands with the calendar, as a condition."""
    ended = receivables.c.state.in_(sorted(ENDED))
    grace_over = receivables.c.due_day < (today - timedelta(days=GRACE_DAYS)).isoformat()
    due = receivables.c.due_day <= today.isoformat()
    return {
        Standing.RUNNING: ~ended & ~due,
        Standing.DUE: ~ended & due & ~grace_over,
        Standing.OVERDUE: ~ended & grace_over,
        Standing.ENDED: ended,
    }[asked]
