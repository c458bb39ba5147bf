"""A cycle is a local day, also where clocks change."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.units import format_instant
from settlement import calendar

ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Beirut", "Asia/Kathmandu", "America/Sao_Paulo"]


@pytest.mark.parametrize(
    ("zone", "day", "slots"),
    [
        ("Asia/Shanghai", date(2026, 7, 1), 96),
        ("Europe/Berlin", date(2026, 3, 29), 92),
        ("Europe/Berlin", date(2026, 10, 25), 100),
        ("Europe/Berlin", date(2026, 10, 26), 96),
        ("Asia/Beirut", date(2026, 3, 29), 92),  # clocks change at midnight: the day starts at 01:00
    ],
)
def test_a_day_has_92_96_or_100_quarter_hours(zone: str, day: date, slots: int) -> None:
    assert len(list(calendar.slots(day, zone, 15))) == slots


def test_a_day_in_sichuan_is_a_half_open_range_of_utc() -> None:
    start_s, end_s = calendar.bounds(date(2026, 7, 1), "Asia/Shanghai")
    assert (format_instant(start_s), format_instant(end_s)) == ("2026-06-30T16:00:00Z", "2026-07-01T16:00:00Z")
    assert calendar.day_of(end_s - 1, "Asia/Shanghai") == date(2026, 7, 1)
    assert calendar.day_of(end_s, "Asia/Shanghai") == date(2026, 7, 2)


def test_terms_count_calendar_days_from_the_local_day_of_delivery() -> None:
    late_evening_s = calendar.start_of(date(2026, 7, 2), "Asia/Shanghai") - 900
    assert calendar.due_day(late_evening_s, 30, "Asia/Shanghai") == date(2026, 7, 31)


@given(st.dates(date(2000, 1, 1), date(2037, 12, 30)), st.sampled_from(ZONES), st.sampled_from([15, 30, 60]))
def test_days_follow_one_another_without_gap_and_every_slot_has_one_day(day: date, zone: str, minutes: int) -> None:
    start_s, end_s = calendar.bounds(day, zone)
    assert start_s < end_s == calendar.start_of(day + timedelta(days=1), zone)
    slots = list(calendar.slots(day, zone, minutes))
    assert slots == sorted(slots)
    assert {calendar.day_of(slot_s, zone) for slot_s in slots} == {day}
    assert all(slot_s % (minutes * 60) == 0 for slot_s in slots)
    assert calendar.day_of(slots[0] - minutes * 60, zone) < day < calendar.day_of(slots[-1] + minutes * 60, zone)
