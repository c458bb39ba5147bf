"""Disputes about readings: who may say what next, and that silence leaves the signed reading standing."""

import itertools

import pytest

from settlement.reading_dispute import TURNS, Act, Party, due_s, refusal

DAY_S = 86_400


@pytest.mark.parametrize(
    ("last", "act", "party", "days"),
    [
        (Act.OPENED, Act.STOOD_BY, Party.METER_OPERATOR, 3),
        (Act.OPENED, Act.CORRECTED, Party.METER_OPERATOR, 3),
        (Act.STOOD_BY, Act.APPEALED, Party.OWNER, 3),
        (Act.APPEALED, Act.UPHELD, Party.ARBITER, 7),
        (Act.APPEALED, Act.OVERRULED, Party.ARBITER, 7),
    ],
)
def test_a_step_can_follow_until_its_time_is_over(last: Act, act: Act, party: Party, days: int) -> None:
    assert due_s(last, 100) == 100 + days * DAY_S
    assert refusal(last, 100, act, party, 100 + days * DAY_S) is None
    assert refusal(last, 100, act, party, 101 + days * DAY_S) == "dispute_over"


def test_no_other_step_can_follow() -> None:
    allowed = {(last, act, turn.party) for last, turn in TURNS.items() for act in turn.acts}
    assert len(allowed) == 5
    for last, act, party in itertools.product(Act, Act, Party):
        if (last, act, party) not in allowed:
            assert refusal(last, 0, act, party, 1) == ("not_your_turn" if last in TURNS else "dispute_over")
