"""What each member may do beside the rules that hold for all: how many orders, how fast, and whether any at all.

Controls are set by jobs of the sequencer, so that they stand in one order with the orders that they stop, and every
change is a row that stays. A member is *stopped* by the operator or by itself: no new orders, cancels as always. What
the operator set only the operator lifts.
"""

from dataclasses import dataclass, field, replace
from functools import partial

from market import control_store
from market.guards import Controls, Stopped
from market.jobs import CancelMany, Placed, PlainJob
from market.problems import Problem
from market.state import MarketState


@dataclass
class SetControls(PlainJob):
    """Change a member's own limits; None is the market's. Answers the ``Controls`` as they are now."""

    member_id: int
    by: int
    reason: str
    open_orders: int | None
    batch_orders: int | None
    messages_per_s: int | None
    message_burst: int | None

    def run(self, state: MarketState) -> None:
        _record(
            state,
            replace(
                state.controls.of(self.member_id),
                change="limits",
                changed_s=state.now_s,
                changed_by=self.by,
                reason=self.reason,
                open_orders=self.open_orders,
                batch_orders=self.batch_orders,
                messages_per_s=self.messages_per_s,
                message_burst=self.message_burst,
            ),
        )

    def answer(self, state: MarketState) -> Controls:
        return state.controls.of(self.member_id)


@dataclass
class Kill(PlainJob):
    """Stop a member; ``cancels`` also cancels all its open orders, in the same batch.

    Answers the controls and the orders cancelled. A member that is stopped by itself can be stopped by the operator.
    """

    member_id: int
    by: int
    reason: str
    by_operator: bool
    cancels: bool
    cancelling: CancelMany = field(init=False)

    def __post_init__(self) -> None:
        self.cancelling = CancelMany(self.member_id, None)

    def run(self, state: MarketState) -> None:
        now = state.controls.of(self.member_id)
        stopped: Stopped = "operator" if self.by_operator else "member"
        if now.stopped not in ("operator", stopped):
            _record(
                state,
                replace(
                    now,
                    change="kill",
                    changed_s=state.now_s,
                    changed_by=self.by,
                    reason=self.reason,
                    stopped=stopped,
                ),
            )
        if self.cancels:
            self.cancelling.run(state)

    def answer(self, state: MarketState) -> tuple[Controls, list[Placed]]:
        return state.controls.of(self.member_id), self.cancelling.answer(state)


@dataclass
class Lift(PlainJob):
    """Let a stopped member place orders again. Answers the controls or a Problem; lifting twice changes nothing."""

    member_id: int
    by: int
    reason: str
    by_operator: bool
    problem: Problem | None = None

    def run(self, state: MarketState) -> None:
        now = state.controls.of(self.member_id)
        if now.stopped == "operator" and not self.by_operator:
            self.problem = Problem(403, "stopped_by_operator", "the operator set this; only the operator lifts it")
        elif now.stopped is not None:
            _record(
                state,
                replace(
                    now, change="lift", changed_s=state.now_s, changed_by=self.by, reason=self.reason, stopped=None
                ),
            )

    def answer(self, state: MarketState) -> Controls | Problem:
        return self.problem or state.controls.of(self.member_id)


def _record(state: MarketState, controls: Controls) -> None:
    state.controls.put([controls])
    state.batch.writes.append(partial(control_store.add, controls=controls))
