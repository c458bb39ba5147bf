"""Edges of slots and gates, and clocks that never go back."""

import pytest

from market.clock import BackwardsError, ManualClock, WallClock, read_clock
from market.timing import Timing

TIMING = Timing(slot_s=900, gate_s=300, horizon_slots=4)
NOON = 43_200


@pytest.mark.parametrize(
    ("slot", "refusal"),
    [
        (NOON - 900, "slot_closed"),
        (NOON, "slot_closed"),
        (NOON + 900, None),
        (NOON + 3 * 900, None),
        (NOON + 4 * 900, "slot_not_open"),
        (NOON + 900 + 1, "slot_not_open"),
    ],
)
def test_which_slots_take_orders_at_noon(slot: int, refusal: str | None) -> None:
    assert TIMING.refusal(slot, NOON) == refusal


def test_a_gate_closes_on_the_second() -> None:
    gate_s = NOON - 300
    assert TIMING.refusal(NOON, gate_s - 1) is None
    assert TIMING.refusal(NOON, gate_s) == "slot_closed"


@pytest.mark.parametrize("now_s", [NOON, NOON + 1, NOON + 599, NOON + 600, NOON + 601, NOON + 899])
def test_open_slots_are_those_that_refuse_nothing(now_s: int) -> None:
    around = range(NOON - 9000, NOON + 18_000, 900)
    assert list(TIMING.open_slots(now_s)) == [slot for slot in around if TIMING.refusal(slot, now_s) is None]


def test_a_manual_clock_moves_forward_only() -> None:
    clock = read_clock("manual:2026-07-01T00:00:00Z")
    assert isinstance(clock, ManualClock)
    start_s = clock.now_s()
    clock.move_to(start_s)
    clock.move_to(start_s + 1)
    with pytest.raises(BackwardsError):
        clock.move_to(start_s)
    assert clock.now_s() == start_s + 1


def test_the_wall_clock_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1000.9, 990.0, 1001.0])
    monkeypatch.setattr("time.time", lambda: next(times))
    clock = WallClock()
    assert [clock.now_s() for _ in range(3)] == [1000, 1000, 1001]


@pytest.mark.parametrize("text", ["", "manual", "manual:", "manual:today", "sundial", "manual:2026-07-01"])
def test_odd_clocks_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="clock"):
        read_clock(text)
