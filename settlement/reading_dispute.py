"""A dispute about a reading: who may say what next, and what holds when nobody says anything. Pure.

The owner of a meter disputes its reading; the meter operator corrects it or stands by it; who is not content appeals to
the arbiter, who is no party. Silence leaves the signed reading standing. What is decided becomes a reading as every
other does, signed; once the day was drafted it comes late, and the next cycle pays the difference.
"""

from enum import StrEnum
from typing import NamedTuple

_DAY_S = 86_400


class Act(StrEnum):
    """The steps of a dispute."""

    OPENED = "opened"
    STOOD_BY = "stood_by"
    CORRECTED = "corrected"
    APPEALED = "appealed"
    UPHELD = "upheld"
    OVERRULED = "overruled"


class Party(StrEnum):
    """Who may take a step."""

    OWNER = "owner"
    METER_OPERATOR = "meter_operator"
    ARBITER = "arbiter"


class Turn(NamedTuple):
    """Whose turn it is after a step, with which acts, and for how many seconds."""

    party: Party
    acts: frozenset[Act]
    for_s: int


TURNS = {
    Act.OPENED: Turn(Party.METER_OPERATOR, frozenset({Act.STOOD_BY, Act.CORRECTED}), 3 * _DAY_S),
    Act.STOOD_BY: Turn(Party.OWNER, frozenset({Act.APPEALED}), 3 * _DAY_S),
    Act.APPEALED: Turn(Party.ARBITER, frozenset({Act.UPHELD, Act.OVERRULED}), 7 * _DAY_S),
}
"""After every other act the dispute is over."""


def refusal(last: Act, last_s: int, act: Act, party: Party, now_s: int) -> str | None:
    """Why a step can not follow now: ``dispute_over``, ``not_your_turn``; None when it can."""
    turn = TURNS.get(last)
    if turn is None or now_s > last_s + turn.for_s:
        return "dispute_over"
    return None if party is turn.party and act in turn.acts else "not_your_turn"


def due_s(last: Act, last_s: int) -> int | None:
    """Until when the next step can be taken; None when there is none."""
    turn = TURNS.get(last)
    return None if turn is None else last_s + turn.for_s
