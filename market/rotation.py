"""A change of a member's key, in one order with its orders: those before it verify with the old key, those after it
with the new one, and so does everyone who checks later, by sequence.
"""

from dataclasses import dataclass
from functools import partial

from market import key_store
from market.jobs import PlainJob
from market.key_store import Rotation
from market.problems import Problem
from market.state import MarketState


@dataclass
class RotateKey(PlainJob):
    """Answers the first sequence of the new key, or a Problem."""

    rotation: Rotation
    outcome: int | Problem | None = None

    def run(self, state: MarketState) -> None:
        rotation = self.rotation
        if state.key_of(rotation.member_id) != rotation.old:
            self.outcome = Problem(409, "key_changed", "the key that signed this was changed meanwhile", "signature")
            return
        self.outcome = state.engine.sequence + 1
        state.rotated[rotation.member_id] = rotation.new
        state.batch.writes.append(
            partial(key_store.rotate, rotation=rotation, sequence=self.outcome, now_s=state.now_s)
        )

    def answer(self, state: MarketState) -> int | Problem:
        assert self.outcome is not None
        return self.outcome
