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
from settlement.signatures import PublicKey


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


@dataclass
class FollowKey(PlainJob):
    """Take over the key that the chain has: recovered there, or changed past the operator. Answers whether it did."""

    member_id: int
    old: PublicKey
    new: PublicKey
    is_followed: bool = False

    def run(self, state: MarketState) -> None:
        if state.key_of(self.member_id) != self.old:
            return  # changed meanwhile: the next look at the chain decides
        state.rotated[self.member_id] = self.new
        sequence = state.engine.sequence + 1
        write = partial(key_store.follow, member_id=self.member_id, new=self.new)
        state.batch.writes.append(partial(write, sequence=sequence, now_s=state.now_s))
        self.is_followed = True

    def answer(self, state: MarketState) -> bool:
        return self.is_followed
