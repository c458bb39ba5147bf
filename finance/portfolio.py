"""A bank's portfolio: its exposure by debtor, seller, rating, maturity, age and recourse, and what it lost.

Exposure is what is open of the bank's parts of holders' claims, on what is not written off. Every breakdown divides the
same exposure, so each adds up to it to the fen. Days late count from the due day. Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import NamedTuple

from finance.receivable import State


class Group(NamedTuple):
    """Parts that are alike, and what is open of them together, in fen; ``number`` says how many receivables."""

    creditor: int
    debtor: int
    due_day: str
    state: str
    with_recourse: bool
    number: int
    open_fen: int


class Slice(NamedTuple):
    """Part of an exposure, in fen, and on how many receivables."""

    name: str
    amount_fen: int
    number: int


class Portfolio(NamedTuple):
    """``by`` holds the slices of each breakdown, in the order of DIMENSIONS; written off is no part of any of them."""

    exposure_fen: int
    number: int
    by: Mapping[str, tuple[Slice, ...]]
    written_off_fen: int
    recovered_fen: int


UNRATED = "unrated"

MATURITIES = ((0, "due"), (30, "1-30 days"), (60, "31-60 days"), (90, "61-90 days"), (180, "91-180 days"))
BEYOND = "over 180 days"
"""By days left until the due day, at most; ``due`` is what falls due today or did before."""

AGES = ((0, "current"), (30, "1-30 days late"), (60, "31-60 days late"), (90, "61-90 days late"))
OLD = "over 90 days late"
"""By days since the due day, at most."""

DIMENSIONS = ("debtor", "seller", "rating", "maturity", "age", "recourse", "state")


def portfolio(groups: Iterable[Group], ratings: Mapping[int, str], today: date, *, recovered_fen: int = 0) -> Portfolio:
    """The figures of what a bank holds today; ``ratings`` are debtors'."""
    groups = list(groups)
    live = [group for group in groups if group.state != State.WRITTEN_OFF]
    names: dict[str, Callable[[Group], str]] = {
        "debtor": lambda group: str(group.debtor),
        "seller": lambda group: str(group.creditor),
        "rating": lambda group: ratings.get(group.debtor, UNRATED),
        "maturity": lambda group: _bucket(_days_left(group, today), MATURITIES, BEYOND),
        "age": lambda group: _bucket(-_days_left(group, today), AGES, OLD),
        "recourse": lambda group: "with" if group.with_recourse else "without",
        "state": lambda group: group.state,
    }
    return Portfolio(
        exposure_fen=sum(group.open_fen for group in live),
        number=sum(group.number for group in live),
        by={dimension: _slices(live, names[dimension], dimension) for dimension in DIMENSIONS},
        written_off_fen=sum(group.open_fen for group in groups if group.state == State.WRITTEN_OFF),
        recovered_fen=recovered_fen,
    )


def _days_left(group: Group, today: date) -> int:
    return (date.fromisoformat(group.due_day) - today).days


def _bucket(days: int, bounds: tuple[tuple[int, str], ...], beyond: str) -> str:
    return next((name for most, name in bounds if days <= most), beyond)


_ORDER = {
    "maturity": [name for _, name in MATURITIES] + [BEYOND],
    "age": [name for _, name in AGES] + [OLD],
}


def _slices(groups: list[Group], name_of: Callable[[Group], str], dimension: str) -> tuple[Slice, ...]:
    """Buckets of time in their order, all of them; the others by amount, the largest first."""
    amounts = {name: [0, 0] for name in _ORDER.get(dimension, ())}
    for group in groups:
        found = amounts.setdefault(name_of(group), [0, 0])
        found[0] += group.open_fen
        found[1] += group.number
    slices = [Slice(name, amount_fen, number) for name, (amount_fen, number) in amounts.items()]
    return tuple(slices) if dimension in _ORDER else tuple(sorted(slices, key=lambda each: (-each[1], each[0])))
