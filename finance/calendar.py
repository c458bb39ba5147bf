"""Business days and due dates in mainland China, and the day counts that interest runs on.

A business day is a Monday to Friday that is no public holiday, or a weekend day that the State Council made a working
day to pay for a longer holiday (the yearly notice of its General Office, as the ``holidays`` library records it). For
years without a notice yet, only the statutory holidays are known; a due date, once issued, is never recomputed.

Sources: Civil Code, Art. 201 (the first day does not count), 202 (months end on the same day or the month's last) and
203 (a period that ends on a holiday ends on the day after it); Regulation on Ensuring Payments to Small and
Medium-sized Enterprises, State Council Decree 802 of 2025, Art. 9 (a large enterprise pays within 60 days); notice
of the People's Bank of China and five others on supply-chain finance, in force since 2025-06-15 (payment within six
months).
"""

from calendar import monthrange
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

CAP_MONTHS = 6
"""No receivable falls due later than this after its issue."""

LONGEST_TERMS_DAYS = 181
"""The longest terms that end within six months of any day: from the end of August to that of February."""

LARGE_DEBTOR_CAP_DAYS = 60
"""Nor later than this where a large enterprise owes a small one."""

_ONE_DAY = timedelta(days=1)


class TermsError(ValueError):
    """Terms that are longer than the law allows this debtor; the message says by which limit."""


class _Year(NamedTuple):
    off: frozenset[date]
    made_up: frozenset[date]


@lru_cache(maxsize=256)
def _year(year: int) -> _Year:
    import holidays  # only those who look for business days need it

    calendar = holidays.country_holidays("CN", years=year, expand=False)
    made_up: set[date] = getattr(calendar, "weekend_workdays", set())
    return _Year(frozenset(calendar), frozenset(day for day in made_up if day.year == year))


def is_business_day(day: date) -> bool:
    """Whether banks settle on this local day."""
    year = _year(day.year)
    if day in year.made_up:
        return True
    return day.weekday() < 5 and day not in year.off


def business_day_on_or_after(day: date) -> date:
    while not is_business_day(day):
        day += _ONE_DAY
    return day


def business_day_on_or_before(day: date) -> date:
    while not is_business_day(day):
        day -= _ONE_DAY
    return day


def add_months(day: date, months: int) -> date:
    """The same day some months later, or that month's last where it has no such day (Civil Code, Art. 202)."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month0 + 1, min(day.day, monthrange(year, month0 + 1)[1]))


def latest_due_day(issue_day: date, *, large_debtor: bool) -> date:
    """The last day on which a receivable issued on a day may fall due."""
    latest = add_months(issue_day, CAP_MONTHS)
    return min(latest, issue_day + timedelta(days=LARGE_DEBTOR_CAP_DAYS)) if large_debtor else latest


def due_day(issue_day: date, terms_days: int, *, large_debtor: bool) -> date:
    """The local day on which a receivable falls due: issue day plus terms, moved to the next business day.

    Where moving on would pass ``latest_due_day`` the day moves back to the last business day before.
    Raises TermsError when the terms themselves pass it.
    """
    latest = latest_due_day(issue_day, large_debtor=large_debtor)
    plain = issue_day + timedelta(days=terms_days)
    if terms_days < 1:
        raise TermsError(f"terms of {terms_days} days are no terms: energy without terms is paid in its cycle")
    if plain > latest:
        raise TermsError(f"{terms_days} days from {issue_day} would fall due after {latest}, the last day allowed")
    moved_on = business_day_on_or_after(plain)
    return moved_on if moved_on <= latest else business_day_on_or_before(plain)


class DayCount(StrEnum):
    """How days of interest are counted and how many make a year: the value is what a bank quotes over HTTP.

    Of the family of 30/360 this is 30E/360, the Eurobond basis, which treats both ends alike and February as any other
    month. Sources: 2006 ISDA Definitions, section 4.16 (d) ACT/365 (Fixed), (e) ACT/360, (g) 30E/360; ICMA rule 251.
    """

    ACT_360 = "360"
    ACT_365F = "365"
    THIRTY_E_360 = "30E/360"

    @property
    def year_days(self) -> int:
        return 365 if self is DayCount.ACT_365F else 360

    def days(self, first: date, last: date) -> int:
        """Days of interest from one local day to another, which may be none between a 30th and a 31st in 30E/360."""
        if self is not DayCount.THIRTY_E_360:
            return days_between(first, last)
        months = 12 * (last.year - first.year) + last.month - first.month
        return 30 * months + min(last.day, 30) - min(first.day, 30)


def days_between(first: date, last: date) -> int:
    """Actual days of interest from one local day to another: the first does not count, the last does."""
    return (last - first).days


def epoch_day(day: date) -> int:
    """Days since 1970-01-01, as the contracts count days."""
    return (day - date(1970, 1, 1)).days
