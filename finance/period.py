"""The receivables of a billing period, computed from what was delivered on terms: never typed in.

One receivable for each creditor, debtor and terms class. ``face`` is the sum of delivered lots x seller price, with
what the pair carried over from before, rounded down to the fen; the remainder is carried to the next period, never
dropped. A pair whose face is below one fen gets no receivable and carries all.

Receivables are issued as of the day after the period's last, whenever its close is done: terms run from the end of
the period, and everyone computes the same due day.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from data.units import MICRO_PER_FEN, floor_fen
from finance.calendar import LARGE_DEBTOR_CAP_DAYS, due_day
from finance.claim import Claim, TermsTrade, trades_root
from settlement import merkle


class Billing(StrEnum):
    """How long a billing period is."""

    DAY = "day"
    MONTH = "month"

    def first_day(self, day: date) -> date:
        """The first local day of the period that a day belongs to."""
        return day if self is Billing.DAY else day.replace(day=1)

    def last_day(self, day: date) -> date:
        """The last local day of the period that a day belongs to."""
        if self is Billing.DAY:
            return day
        next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return next_month - timedelta(days=1)


class Pair(NamedTuple):
    """Who owes whom, in which terms class."""

    creditor: int
    debtor: int
    terms_days: int


class Bundle(NamedTuple):
    """What one pair's trades of a period come to: ``carried + sum of amounts = face + remainder``, in micro-yuan."""

    pair: Pair
    trades: tuple[TermsTrade, ...]
    carried_micro: int
    face_fen: int
    remainder_micro: int


class Issue(NamedTuple):
    """One receivable to be, the trades it claims, and its id, which is computed once."""

    claim: Claim
    trades: tuple[TermsTrade, ...]
    receivable_id: bytes


class Draft(NamedTuple):
    """A period ready to be checked: receivables in the order of their pairs, and what every pair carries on."""

    period: int
    issues: tuple[Issue, ...]
    remainders_micro: dict[Pair, int]

    @property
    def root(self) -> bytes:
        """Over the receivables' leaves, in order; 32 zero bytes when there is none."""
        return merkle.root([issue.receivable_id for issue in self.issues])


def bundle(trades: Iterable[TermsTrade], carried_micro: Mapping[Pair, int]) -> list[Bundle]:
    """Trades by pair, ascending, with the face each pair comes to. A pair without trades stays as it was carried."""
    by_pair: defaultdict[Pair, list[TermsTrade]] = defaultdict(list)
    for trade in sorted(trades):
        by_pair[Pair(trade.creditor, trade.debtor, trade.terms_days)].append(trade)
    return [_bundle(pair, tuple(by_pair[pair]), carried_micro.get(pair, 0)) for pair in sorted(by_pair)]


def _bundle(pair: Pair, trades: tuple[TermsTrade, ...], carried_micro: int) -> Bundle:
    total_micro = carried_micro + sum(trade.amount_micro for trade in trades)
    face_fen = max(0, floor_fen(total_micro))
    return Bundle(pair, trades, carried_micro, face_fen, total_micro - face_fen * MICRO_PER_FEN)


def issue_day_of(last_day: date) -> date:
    """The day as of which a period's receivables are issued."""
    return last_day + timedelta(days=1)


def due_day_of(issue_day: date, terms_days: int) -> date:
    """The due day of a terms class.

    The market does not record which debtor is a large enterprise, so every debtor on terms of up to 60 days is held
    to the large one's limit; longer terms, which only others may have, end within six months.
    """
    return due_day(issue_day, terms_days, large_debtor=terms_days <= LARGE_DEBTOR_CAP_DAYS)


def draft(period: int, last_day: date, bundles: Iterable[Bundle], salts: Mapping[Pair, bytes]) -> Draft:
    """The receivables of a period. ``salts`` holds 32 random bytes for every pair whose face is at least one fen."""
    bundles = list(bundles)
    issued_on = issue_day_of(last_day)
    due = {days: due_day_of(issued_on, days) for days in {each.pair.terms_days for each in bundles if each.face_fen}}
    issues = []
    for each in bundles:
        if each.face_fen:
            claim = Claim(
                period=period,
                creditor=each.pair.creditor,
                debtor=each.pair.debtor,
                face_fen=each.face_fen,
                terms_days=each.pair.terms_days,
                issue_day=issued_on,
                due_day=due[each.pair.terms_days],
                trades_root=trades_root(each.trades),
                salt=salts[each.pair],
            )
            issues.append(Issue(claim, each.trades, claim.receivable_id))
    return Draft(period, tuple(issues), {each.pair: each.remainder_micro for each in bundles})
