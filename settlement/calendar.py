"""Local days of the market as half-open ranges of UTC seconds.

A settlement cycle is one local day. Where clocks change it has 92 or 100 quarter hours instead of 96, and nobody
needs to know: the range is stored in UTC, a slot belongs to the day in which it starts.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def day_of(instant_s: int, time_zone: str) -> date:
    """The local date at an instant. Raises zoneinfo.ZoneInfoNotFoundError for an unknown zone."""
    return datetime.fromtimestamp(instant_s, UTC).astimezone(ZoneInfo(time_zone)).date()


def start_of(day: date, time_zone: str) -> int:
    """The first instant of a local day, in seconds since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).timestamp())


def bounds(day: date, time_zone: str) -> tuple[int, int]:
    """The local day as ``[start_s, end_s)``: it ends where the next one starts."""
    return start_of(day, time_zone), start_of(day + timedelta(days=1), time_zone)


def slots(day: date, time_zone: str, slot_minutes: int) -> Iterator[int]:
    """The starts, in seconds since the epoch, of the slots that start in a local day, ascending."""
    start_s, end_s = bounds(day, time_zone)
    step_s = slot_minutes * 60
    first_s = -(-start_s // step_s) * step_s
    yield from range(first_s, end_s, step_s)


def due_day(slot_s: int, terms_days: int, time_zone: str) -> date:
    """The local day on which a debt for energy of this slot is due: terms count calendar days from delivery."""
    return day_of(slot_s, time_zone) + timedelta(days=terms_days)
