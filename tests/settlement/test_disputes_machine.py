"""Whatever is asked, answered, upheld and applied in whatever order: money moves once, and no bond is lost or left."""

from functools import cache

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from settlement import calls, dispute_acts
from settlement.dispute_acts import ANSWER_S, Opening
from settlement.trade_leaf import trade_leaf
from tests.settlement.contract_bench import DISPUTE_WINDOW_S, OPERATOR, YUAN
from tests.settlement.dispute_bench import ANNA, BONDS, BORIS, CLARA, Day, order

TRADES = 5
CYCLES = 2


@cache
def _begun() -> Day:
    """Anna ordered and sold once to nobody's harm; trades 2 and 3 fill one part, trade 4 is above her limit."""
    day = Day.begun()
    day.bench.mint((OPERATOR, 50_000 * YUAN), (ANNA, 1_000 * YUAN), to_escrow=True)
    day.trade(order())
    day.trade(order(client_order_id="a-2"))
    day.trade(order(client_order_id="a-2"), filled_before_lots=20)
    day.trade(order(client_order_id="a-3"), price_ticks=4_600)
    day.trade(order(client_order_id="a-4"), filled_before_lots=60)
    return day


HONEST = {0: "a-1", 1: "a-2", 2: "a-2", 4: "a-4"}
"""The orders that can be shown for trades; whether two of them overlap is no matter of either."""


class Disputes(RuleBasedStateMachine):
    """One set of trades, proposed as cycle 1, then as cycle 2; the contract is asked to do anything at any time."""

    @initialize()
    def begin(self) -> None:
        self.day = _begun().copy()
        self.records = list(self.day.records)
        self.whole_micro = self.day.money_micro()
        self.applied = 0
        self.proposed = 0
        self.asked: dict[bytes, Opening] = {}

    def opening(self, place: int) -> Opening:
        return self.day.opening(self.records[place])

    def is_struck(self, place: int) -> bool:
        leaf = trade_leaf(self.records[place])
        return bool(self.day.bench.view(calls.call("Disputes", "struck", ("bytes32",), leaf)))

    @rule(cycle=st.integers(1, CYCLES), honestly=st.booleans())
    def propose(self, cycle: int, honestly: bool) -> None:
        """With the trades that were not struck; or with all, which costs the operator."""
        self.day.records = [
            record for place, record in enumerate(self.records) if not (honestly and self.is_struck(place))
        ]
        before = list(self.day.records)
        if self.day.propose(cycle) == "":
            self.proposed = cycle
        self.day.records = before

    @rule(cycle=st.integers(1, CYCLES), place=st.integers(0, TRADES - 1))
    def ask(self, cycle: int, place: int) -> None:
        opening = self.opening(place)
        if self.day.challenge(opening, cycle=cycle) == "":
            self.asked[opening.name] = opening

    @rule(place=st.sampled_from(sorted(HONEST)))
    def answer(self, place: int) -> None:
        self.day.answer(self.opening(place), self.day.sign(order(client_order_id=HONEST[place])))

    @rule(place=st.integers(0, TRADES - 1))
    def uphold(self, place: int) -> None:
        self.day.uphold(self.opening(place))

    @rule(cycle=st.integers(1, CYCLES))
    def overlap(self, cycle: int) -> None:
        self.day.bench.try_(dispute_acts.prove_overlap(cycle, self.opening(1), self.opening(2)))

    @rule(cycle=st.integers(1, CYCLES), place=st.integers(0, TRADES - 1))
    def again(self, cycle: int, place: int) -> None:
        opening = self.opening(place)
        self.day.bench.try_(dispute_acts.prove_struck(cycle, opening.leaf, opening.path))

    @rule(wait_s=st.sampled_from([60, DISPUTE_WINDOW_S, ANSWER_S + 1]))
    def wait(self, wait_s: int) -> None:
        self.day.bench.now_s += wait_s

    @precondition(lambda self: self.applied < CYCLES)
    @rule(cycle=st.integers(1, CYCLES))
    def apply(self, cycle: int) -> None:
        if self.day.apply(cycle) == "":
            assert cycle == self.applied + 1
            self.applied = cycle

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        if hasattr(self, "day"):
            assert self.day.money_micro() == self.whole_micro
            assert self.day.bench.view(calls.total_bonds()) == self.due_bonds_micro()

    def due_bonds_micro(self) -> int:
        """What must be locked: one bond for each proposal that stands or will again, one for each open challenge."""
        bench = self.day.bench
        challenges = sum(int(bench.view(calls.open_challenges(cycle))) for cycle in range(1, CYCLES + 1))
        locked = [calls.call("Clearing", "backing_of", ("uint256",), cycle) for cycle in range(1, CYCLES + 1)]
        return challenges * BONDS.challenge_micro + sum(bench.view(each)[4] for each in locked)

    def teardown(self) -> None:
        """Whatever happened, the operator can bring it to an end, and then nothing is locked."""
        if not hasattr(self, "day"):
            return
        bench = self.day.bench
        for opening in self.asked.values():
            place = next(at for at in range(TRADES) if trade_leaf(self.records[at]) == opening.leaf)
            if place in HONEST:
                self.answer(place)
        bench.now_s += ANSWER_S + 1
        for opening in self.asked.values():
            self.day.uphold(opening)
        for cycle in range(self.applied + 1, CYCLES + 1):
            self.propose(cycle, honestly=True)
            bench.now_s += DISPUTE_WINDOW_S
            assert self.day.apply(cycle) == ""
        assert bench.view(calls.total_bonds()) == 0
        assert len(bench.named("CycleApplied")) == CYCLES
        assert self.day.money_micro() == self.whole_micro
        paid = sum(each["amount"] for each in bench.named("BondPaid"))
        assert paid == sum(each["amount"] for each in bench.named("BondLocked"))
        assert bench.escrow_of(BORIS) == (50 + 5 * CYCLES) * YUAN, "the cycles' money moved once"
        assert bench.escrow_of(CLARA) == 50 * YUAN


Disputes.TestCase.settings = settings(
    max_examples=8, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
TestDisputes = Disputes.TestCase
