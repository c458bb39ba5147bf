"""The market clock: the wall's, or one that an operator moves forward by hand.

Everything that the market decides by time (gates, deadlines, cycles, due days) asks this clock, so that a day can run
in minutes. Sessions and timeouts, which guard the server and not the market, keep the wall's time.
"""

import time
from typing import Protocol

from data.units import UnitError, format_instant, parse_instant_s


class Clock(Protocol):
    is_manual: bool

    def now_s(self) -> int:
        """Seconds since the epoch, UTC; never less than the last answer."""
        ...


class BackwardsError(ValueError):
    """The market clock moves forward only."""


class WallClock:
    """The machine's time; should that step back, this one stands until it has caught up."""

    is_manual = False

    def __init__(self) -> None:
        self._latest_s = 0

    def stand_at(self, recorded_s: int) -> None:
        """Never say less than what is on record: the machine's clock may have stepped back while nobody served."""
        self._latest_s = max(self._latest_s, recorded_s)

    def now_s(self) -> int:
        self._latest_s = max(self._latest_s, int(time.time()))
        return self._latest_s


class ManualClock:
    """Stands still until it is moved."""

    is_manual = True

    def __init__(self, now_s: int) -> None:
        self._now_s = now_s

    def now_s(self) -> int:
        return self._now_s

    def move_to(self, now_s: int) -> None:
        """Raises BackwardsError when that would turn it back; the same time again is fine."""
        if now_s < self._now_s:
            raise BackwardsError(f"the clock stands at {format_instant(self._now_s)} and moves forward only")
        self._now_s = now_s


def read_clock(text: str) -> WallClock | ManualClock:
    """``wall`` or ``manual:2026-07-01T00:00:00Z``. Raises ValueError."""
    if text == "wall":
        return WallClock()
    kind, _, instant = text.partition(":")
    if kind != "manual":
        raise ValueError(f"the clock is 'wall' or 'manual:INSTANT', not {text!r}")
    try:
        return ManualClock(parse_instant_s(instant))
    except UnitError as error:
        raise ValueError(f"the clock's {error}") from error
