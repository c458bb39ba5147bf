"""Business days and due dates, against the State Council's own notices."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance import calendar
from finance.calendar import DayCount, TermsError, due_day, is_business_day

DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


def days(first: str, last: str) -> list[date]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2025-10-01", "2025-10-08"),  # National Day and Mid-Autumn
        ("2026-01-01", "2026-01-03"),
        ("2026-02-15", "2026-02-23"),  # Spring Festival
        ("2026-04-04", "2026-04-06"),
        ("2026-05-01", "2026-05-05"),
        ("2026-06-19", "2026-06-21"),
        ("2026-09-25", "2026-09-27"),
        ("2026-10-01", "2026-10-07"),  # National Day
    ],
)
def test_every_day_of_a_holiday_is_off_and_the_days_around_it_are_not(first: str, last: str) -> None:
    off = days(first, last)
    assert [day for day in off if is_business_day(day)] == []
    assert is_business_day(off[-1] + timedelta(days=1))


@pytest.mark.parametrize(
    "day",
    ["2025-09-28", "2025-10-11", "2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"],
)
def test_weekend_days_that_pay_for_a_holiday_are_worked(day: str) -> None:
    assert date.fromisoformat(day).weekday() >= 5
    assert is_business_day(date.fromisoformat(day))


def test_other_weekend_days_are_off() -> None:
    assert not is_business_day(date(2026, 7, 4))
    assert not is_business_day(date(2026, 7, 5))
    assert is_business_day(date(2026, 7, 6))


@pytest.mark.parametrize(
    ("issue", "terms", "due"),
    [
        ("2026-06-01", 30, "2026-07-01"),  # a Wednesday
        ("2026-06-04", 30, "2026-07-06"),  # Saturday to Monday
        ("2026-09-01", 30, "2026-10-08"),  # the first day of National Day to the day after it
        ("2026-01-16", 30, "2026-02-24"),  # into Spring Festival
        ("2026-01-15", 30, "2026-02-14"),  # a Saturday that is worked
        ("2026-09-10", 30, "2026-10-10"),
    ],
)
def test_a_due_day_moves_to_the_next_business_day(issue: str, terms: int, due: str) -> None:
    assert due_day(date.fromisoformat(issue), terms, large_debtor=False) == date.fromisoformat(due)


def test_a_large_debtor_pays_before_a_holiday_that_moving_on_would_carry_past_sixty_days() -> None:
    issue = date(2026, 8, 3)
    assert issue + timedelta(days=60) == date(2026, 10, 2)
    assert due_day(issue, 60, large_debtor=True) == date(2026, 9, 30)
    assert due_day(issue, 60, large_debtor=False) == date(2026, 10, 8)


def test_moving_on_to_the_sixtieth_day_itself_is_within_the_limit() -> None:
    issue = date(2026, 6, 4)
    assert due_day(issue, 59, large_debtor=True) == issue + timedelta(days=60)  # Sunday to Monday


def test_six_months_end_on_the_same_day_or_the_months_last() -> None:
    assert calendar.latest_due_day(date(2026, 8, 31), large_debtor=False) == date(2027, 2, 28)
    assert calendar.latest_due_day(date(2026, 1, 15), large_debtor=False) == date(2026, 7, 15)


def test_the_six_month_cap_moves_a_due_day_back_too() -> None:
    issue = date(2026, 4, 3)  # six months later is a Saturday in National Day
    assert due_day(issue, 183, large_debtor=False) == date(2026, 9, 30)


@given(issue=DAYS)
def test_the_longest_terms_that_a_market_may_have_end_within_six_months_of_any_day(issue: date) -> None:
    assert due_day(issue, calendar.LONGEST_TERMS_DAYS, large_debtor=False) <= calendar.add_months(issue, 6)


def test_a_day_more_would_not() -> None:
    with pytest.raises(TermsError):
        due_day(date(2026, 8, 31), calendar.LONGEST_TERMS_DAYS + 1, large_debtor=False)


@pytest.mark.parametrize(("terms", "large"), [(0, False), (-1, False), (61, True), (185, False)])
def test_terms_beyond_the_law_are_refused(terms: int, large: bool) -> None:
    with pytest.raises(TermsError):
        due_day(date(2026, 6, 1), terms, large_debtor=large)


@given(issue=DAYS, terms=st.integers(1, 60), large=st.booleans())
def test_every_due_day_is_a_business_day_within_its_cap_and_near_its_terms(
    issue: date, terms: int, large: bool
) -> None:
    due = due_day(issue, terms, large_debtor=large)
    plain = issue + timedelta(days=terms)
    assert is_business_day(due)
    assert due <= calendar.latest_due_day(issue, large_debtor=large)
    assert abs((due - plain).days) <= 12
    between = days(str(min(due, plain)), str(max(due, plain)))
    assert [day for day in between if is_business_day(day)] == [due]


@given(day=DAYS)
def test_contract_days_are_counted_one_by_one(day: date) -> None:
    assert calendar.epoch_day(day + timedelta(days=1)) == calendar.epoch_day(day) + 1
    assert calendar.epoch_day(date(1970, 1, 2)) == 1


def test_interest_counts_local_dates() -> None:
    assert calendar.days_between(date(2026, 6, 30), date(2026, 7, 1)) == 1
    assert (DayCount.ACT_360.year_days, DayCount("365").year_days) == (360, 365)
    assert DayCount.ACT_360.days(date(2026, 1, 31), date(2026, 3, 1)) == 29


@pytest.mark.parametrize(
    ("first", "last", "counted"),
    [  # the two that tell 30E/360 from the American 30/360: a last 31st, and no rule for February's end
        ("2007-01-15", "2007-01-30", 15),
        ("2007-01-15", "2007-02-15", 30),
        ("2007-09-30", "2007-10-31", 30),
        ("2007-09-15", "2007-10-31", 45),
        ("2007-02-28", "2007-03-31", 32),
        ("2008-02-29", "2009-02-28", 359),
        ("2008-08-31", "2009-02-28", 178),
        ("2026-07-30", "2026-07-31", 0),
    ],
)
def test_thirty_e_360_counts_months_of_thirty_days(first: str, last: str, counted: int) -> None:
    days_basis = DayCount("30E/360")
    assert days_basis.days(date.fromisoformat(first), date.fromisoformat(last)) == counted
    assert days_basis.year_days == 360


@given(first=DAYS, last=DAYS)
def test_thirty_e_360_is_never_far_from_the_actual_days(first: date, last: date) -> None:
    actual, counted = calendar.days_between(first, last), DayCount.THIRTY_E_360.days(first, last)
    years = abs(last.year - first.year) + 1
    assert abs(actual - counted) <= 6 * years
    assert counted == -DayCount.THIRTY_E_360.days(last, first)
