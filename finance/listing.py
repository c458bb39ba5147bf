"""Who may see which receivables, and what can be asked for when they are listed. The query is in ``listing_store.py``.

Whoever asks sees a receivable in one of a few *ways*: as creditor, as debtor, as holder, because it is listed and the
viewer is a bank, or because the viewer oversees the market. Each way is one equality on an indexed column, so that a
page can be read as one short range of an index for each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam

from data.tables import receivables
from finance.receivable import ENDED, GRACE_DAYS, Standing, State

DRAFTED = "drafted"
"""The state of receivables whose period is not issued yet: nobody is shown them."""

Equal = Mapping[str, str | int | frozenset[bytes]]
"""Columns of ``receivables`` and what they must be, or be among."""

EQUAL = frozenset({"state", "creditor", "debtor", "holder", "source"})
"""What of ``Filter`` is a column of the same name and its value."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: a party sees its own; a bank also what is listed, what it holds, and what sellers let it see; an
    overseer sees all. ``sellers`` let it see all that is theirs, ``shown`` are further receivables, by consent.
    """

    member: int
    is_bank: bool = False
    is_overseer: bool = False
    sellers: frozenset[int] = frozenset()
    shown: frozenset[bytes] = frozenset()

    def may_see(self, row: Row[Any]) -> bool:
        """Whether one row of ``receivables`` is shown."""
        if row.state == DRAFTED:
            return False
        if self.is_overseer or self.member in (row.creditor, row.debtor, row.holder):
            return True
        by_consent = row.creditor in self.sellers or row.receivable_id in self.shown
        return self.is_bank and (row.state == State.LISTED or by_consent)

    @property
    def ways(self) -> list[Equal]:
        """The same as columns of ``receivables`` and what they must be, any one of which will do; {} is all of them.

        ``owner`` and ``pledgee`` are columns of its parts, of which one must be so; ``may_see`` does not know them.

        What is drafted must be left out besides.
        """
        if self.is_overseer:
            return [{}]
        own: list[Equal] = [{party: self.member} for party in ("creditor", "debtor", "holder", "owner", "pledgee")]
        if not self.is_bank:
            return own
        shown: list[Equal] = [{"receivable_id": self.shown}] if self.shown else []
        return [*own, {"state": State.LISTED}, *({"creditor": seller} for seller in sorted(self.sellers)), *shown]


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; None leaves it open. Both ends of every range are included.

    ``updated_after_s`` includes its own second, so that none is missed.
    """

    state: str | None = None
    standing: Standing | None = None
    creditor: int | None = None
    debtor: int | None = None
    holder: int | None = None
    source: str | None = None
    due_from: date | None = None
    due_to: date | None = None
    face_from_fen: int | None = None
    face_to_fen: int | None = None
    updated_after_s: int | None = None

    @property
    def equal(self) -> Equal:
        """The columns that must be equal to something, and to what."""
        return {name: getattr(self, name) for name in EQUAL if getattr(self, name) is not None}

    @property
    def given(self) -> list[str]:
        """The names of what is asked for, but for the standing."""
        return [name for name in (*EQUAL, *_BOUNDS) if getattr(self, name) is not None]

    def values(self, today: date) -> dict[str, Any]:
        """What the conditions of ``equal``, ``bound_of`` and ``stands`` are filled in with."""
        found = {name: getattr(self, name) for name in self.given}
        plain = {name: value.isoformat() if isinstance(value, date) else value for name, value in found.items()}
        return plain if self.standing is None else plain | days_of(today)


_columns = receivables.c

_BOUNDS: dict[str, ColumnElement[bool]] = {
    "due_from": _columns.due_day >= bindparam("due_from"),
    "due_to": _columns.due_day <= bindparam("due_to"),
    "face_from_fen": _columns.face_fen >= bindparam("face_from_fen"),
    "face_to_fen": _columns.face_fen <= bindparam("face_to_fen"),
    "updated_after_s": _columns.changed_s >= bindparam("updated_after_s"),
}


def bound_of(name: str) -> ColumnElement[bool]:
    """A bound of ``Filter`` as a condition, to be filled in."""
    return _BOUNDS[name]


def days_of(today: date) -> dict[str, str]:
    """What ``stands`` is filled in with."""
    return {"today": today.isoformat(), "grace": (today - timedelta(days=GRACE_DAYS)).isoformat()}


def stands(asked: Standing) -> ColumnElement[bool]:
    """Where a receivable stands with the calendar, as a condition, to be filled in with ``today`` and ``grace``."""
    ended = _columns.state.in_(sorted(ENDED))
    grace_over = _columns.due_day < bindparam("grace")
    due = _columns.due_day <= bindparam("today")
    found: dict[Standing, ColumnElement[bool]] = {
        Standing.RUNNING: ~ended & ~due,
        Standing.DUE: ~ended & due & ~grace_over,
        Standing.OVERDUE: ~ended & grace_over,
        Standing.ENDED: ended,
    }
    return found[asked]
