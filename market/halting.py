"""Halting the market, an area of it, or some slots. Cancelling always works; gates close and orders expire as usual."""

from dataclasses import dataclass, replace
from functools import partial

from market import halt_store
from market.guards import Halt
from market.jobs import PlainJob
from market.problems import Problem
from market.state import MarketState


@dataclass
class SetHalt(PlainJob):
    """Halt one place, or lift the halt of just that place. Answers the halts that stand, or a Problem.

    ``node`` None is everywhere, ``start_s`` and ``end_s`` None have no bound. Again changes nothing.
    """

    is_halted: bool
    by: int
    reason: str
    node: str | None = None
    start_s: int | None = None
    end_s: int | None = None
    problem: Problem | None = None

    def run(self, state: MarketState) -> None:
        node = None
        if self.node is not None:
            node = state.nodes.get(self.node)
            if node is None:
                self.problem = Problem(422, "unknown_node", "there is no such node", "node")
                return
        place = (node.node_id if node is not None else None, self.start_s, self.end_s)
        standing = state.halts.standing.get(place)
        if self.is_halted and standing is None:
            new = Halt(state.halts.last_number + 1, *place, state.now_s, self.by, self.reason)
            state.halts.put([new])
            state.batch.writes.append(partial(halt_store.add, halt=new))
        elif not self.is_halted and standing is not None:
            lifted = replace(standing, lifted_s=state.now_s, lifted_by=self.by, lift_reason=self.reason)
            state.halts.put([lifted])
            state.batch.writes.append(partial(halt_store.lift, halt=lifted))

    def answer(self, state: MarketState) -> list[Halt] | Problem:
        return self.problem or sorted(state.halts.standing.values(), key=lambda halt: halt.number)
