"""A receivable on the contracts under acts at random, beside a plain model that moves one fen at a time.

The invariants are numbered as in ``tests/properties.md``, where each has its twin on the Python rules. Those about one
receivable are checked after every act of the machine; 4, 5 and 6 have a test of their own below it as well.
"""

import os
from collections import Counter
from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from settlement import fate_acts, part_acts, receivable_acts
from settlement.chain import Call
from settlement.part_acts import Part
from settlement.receivable_acts import ChainState, ClaimView
from tests.settlement.contract_bench import RELAYER, YUAN
from tests.settlement.plain_receivable import HOLDER, RESIDUAL, Plain, PlainOffer
from tests.settlement.receivable_bench import DUE, TRADES, Owed, owed_at
from tests.settlement.sale_bench import ADVANCE, BANKS, FACE, FACTORY, FEN, SELLER, SHOP, THIRD, TODAY

PEOPLE = [SELLER, FACTORY, SHOP, *BANKS]
RELAYER_ADDRESS = bytes.fromhex(RELAYER.address[2:])
PLACES = some.integers(0, 5)
FACE_FEN = FACE // FEN
FENS = some.one_of(some.integers(1, FACE_FEN), some.integers(98, 102), some.sampled_from([FACE_FEN, 8_000, 2_000]))


@cache
def _ready(state: ChainState) -> Owed:
    """Acknowledged, with another receivable of the same trades and the same parties beside it."""
    owed = owed_at(state)
    owed.twin = owed.issue(owed.receivable(11))  # type: ignore[attr-defined]
    return owed


class ReceivableMachine(RuleBasedStateMachine):
    """Acts are drawn without regard to whether they are allowed: the model says what the contracts must answer."""

    @initialize(is_financed=some.booleans(), costs=some.integers(0, 200), rate=some.sampled_from([0, 60_000, 240_000]))
    def begin(self, is_financed: bool, costs: int, rate: int) -> None:
        self.bench = _ready(ChainState.ACKNOWLEDGED).copy()
        self.bench.events = [each for each in self.bench.events if each[1].get("receivable") == self.bench.first]
        cash = Counter({member: self.bench.cash_of(member) // FEN for member in PEOPLE})
        self.last: tuple[int, Any] = (-1, None)
        self.supply = sum(cash.values())
        self.plain = Plain(SELLER, FACTORY, frozenset(BANKS), DUE, FACE_FEN, cash, TODAY)
        if is_financed:
            self.show()
            self.finance(0, ADVANCE // FEN, 900_000, costs, rate)

    def check(self, call: Call, wanted: str) -> None:
        assert self.bench.try_(call) == wanted

    @property
    def looked(self) -> tuple[ClaimView, list[Part]]:
        """The receivable and its parts after the last act."""
        acts = self.bench.machine.account(RELAYER_ADDRESS).nonce
        if self.last[0] != acts:
            self.last = acts, (self.bench.claim(), self.bench.parts())
        return self.last[1]

    def pick(self, place: int) -> tuple[int, int, int]:
        """Number, owner and open fen of a part, perhaps of one that is not there."""
        parts = self.plain.parts
        if place >= len(parts):
            return 99, SELLER, 500
        return parts[place].number, parts[place].owner, parts[place].open_fen

    # ------------------------------------------------------------------------------------------------ parts

    @rule(place=PLACES, fen=FENS)
    def split(self, place: int, fen: int) -> None:
        number, owner, _ = self.pick(place)
        self.check(self.bench.splitting(number, fen * FEN, owner), self.plain.split(number, fen))

    @rule(place=PLACES, fen=FENS, whole=some.booleans(), to=some.sampled_from([SELLER, SHOP, *BANKS]))
    def transfer(self, place: int, fen: int, whole: bool, to: int) -> None:
        number, owner, all_of_it = self.pick(place)
        fen = all_of_it if whole else fen
        self.check(self.bench.transferring(number, fen * FEN, owner, to), self.plain.transfer(number, fen, to))

    @rule(place=PLACES, other=PLACES)
    def merge(self, place: int, other: int) -> None:
        number, owner, _ = self.pick(place)
        self.check(
            self.bench.merging(number, self.pick(other)[0], owner), self.plain.merge(number, self.pick(other)[0])
        )

    @rule(place=PLACES, pledgee=some.sampled_from(BANKS))
    def pledge(self, place: int, pledgee: int) -> None:
        number, owner, _ = self.pick(place)
        self.check(self.bench.pledging(number, owner, pledgee), self.plain.pledge(number, pledgee))

    @rule(place=PLACES)
    def release(self, place: int) -> None:
        number, _, _ = self.pick(place)
        part = self.plain.part(number)
        pledgee = part.pledgee if part is not None and part.pledgee else THIRD
        self.check(self.bench.releasing(number, pledgee), self.plain.release(number))

    # -------------------------------------------------------------------------------------------- sale, payment

    @rule()
    def show(self) -> None:
        self.check(self.bench.listing(self.bench.first), self.plain.show())

    @rule(
        place=some.integers(0, 2),
        advance=some.integers(1, FACE_FEN + 1),
        rate_ppm=some.sampled_from([800_000, 900_000, 10**6]),
        costs=some.integers(0, 2_000),
        late_rate=some.sampled_from([0, 60_000, 240_000]),
    )
    def finance(self, place: int, advance: int, rate_ppm: int, costs: int, late_rate: int) -> None:
        bank, proceeds = BANKS[place], max(1, advance - 100)
        offer = self.bench.offer(
            bank=bank,
            advance_rate_ppm=rate_ppm,
            advance_micro=advance * FEN,
            proceeds_micro=proceeds * FEN,
            costs_micro=costs * FEN,
            late_rate_ppm=late_rate,
        )
        plain = PlainOffer(bank, advance, rate_ppm, proceeds, costs, late_rate)
        self.check(self.bench.financing(offer), self.plain.finance(plain))

    @rule(fen=FENS)
    def repay(self, fen: int) -> None:
        self.check(self.bench.repaying(fen * FEN), self.plain.repay(fen))

    # --------------------------------------------------------------------------------------- late and disputed

    @rule(days=some.sampled_from([0, 1, 2, 3, 30, 59, 60, 64, 91]))
    def wait(self, days: int) -> None:
        self.plain.today += days
        self.bench.to_day(self.plain.today)
        self.plain.mark()
        self.bench.do(fate_acts.mark_many([self.bench.first]))

    @rule(member=some.sampled_from([SELLER, *BANKS]))
    def demand(self, member: int) -> None:
        self.check(self.bench.demanding(member), self.plain.demand(member))

    @rule()
    def buy_back(self) -> None:
        self.check(self.bench.buying_back(10 * FACE), self.plain.buy_back())

    @rule(members=some.sets(some.sampled_from([SELLER, *BANKS]), min_size=1), off=some.booleans())
    def give_up(self, members: set[int], off: bool) -> None:
        named = sorted(members)
        if off:
            self.check(self.bench.writing_off(*named), self.plain.write_off(members))
        else:
            self.check(self.bench.defaulting(*named), self.plain.declare_default(members))

    @rule(withdraw=some.booleans())
    def dispute(self, withdraw: bool) -> None:
        if withdraw:
            self.check(self.bench.withdrawing_dispute(), self.plain.withdraw_dispute())
        else:
            self.check(self.bench.disputing(), self.plain.dispute())

    @rule()
    def freeze(self) -> None:
        self.plain.frozen = not self.plain.frozen
        self.bench.freeze(self.bench.first, self.plain.frozen)

    # ---------------------------------------------------------------------------------------------- invariants

    @invariant()
    def test_invariant_1_live_redeemed_and_written_off_are_the_face(self) -> None:
        claim, _ = self.looked
        open_micro = claim.advance_open_micro + claim.residual_open_micro
        written_off = open_micro if claim.state == ChainState.WRITTEN_OFF else 0
        live = open_micro - written_off
        redeemed = sum(event["amount"] for event in self.bench.named("Repaid"))
        assert live + redeemed + written_off == claim.face_micro == FACE
        assert self.plain.redeemed_fen * FEN == redeemed

    @invariant()
    def test_invariant_2_parts_sum_to_the_whole(self) -> None:
        claim, parts = self.looked
        assert sum(part.open_micro for part in parts if part.claim == HOLDER) == claim.advance_open_micro
        assert sum(part.open_micro for part in parts if part.claim == RESIDUAL) == claim.residual_open_micro

    @invariant()
    def test_invariant_3_one_holder_for_each_fraction_where_the_model_has_it(self) -> None:
        said = [tuple(part) for part in self.looked[1]]
        wanted = [(part.number, part.claim, part.owner, part.open_fen * FEN, part.pledgee) for part in self.plain.parts]
        assert said == wanted
        claim, _ = self.looked
        assert (claim.state, claim.is_frozen, claim.with_recourse) == (
            self.plain.state,
            self.plain.frozen,
            self.plain.with_recourse,
        )
        assert (claim.costs_due_micro, claim.interest_due_micro) == (
            self.plain.costs_due * FEN,
            self.plain.interest_due * FEN,
        )

    @invariant()
    def test_invariant_4_nobody_else_has_its_period_or_its_trades(self) -> None:
        assert self.bench.view(part_acts.claimant_of(TRADES[0].trade_id)) == self.bench.first

    @invariant()
    def test_invariant_7_cash_in_is_what_was_paid_out_and_nothing_goes_to_the_residual_first(self) -> None:
        held = {member: self.bench.cash_of(member) // FEN for member in PEOPLE}
        assert held == {member: self.plain.cash[member] for member in PEOPLE}
        assert sum(held.values()) == self.supply
        for event in self.bench.named("Repaid"):
            shares = [event[name] for name in ("to_costs", "to_interest", "to_advance", "to_residual")]
            assert sum(shares) == event["amount"]
        paid = self.bench.named("Repaid")
        if paid and paid[-1]["to_residual"]:
            assert self.looked[0].advance_open_micro == 0

    @invariant()
    def test_invariant_11_every_change_has_actor_before_and_after(self) -> None:
        state, opens = 0, Counter[int]()
        for name, event in self.bench.events:
            if name == "Changed" and event["receivable"] == self.bench.first:
                assert event["before"] == state
                state = event["after"]
                calendar = state in (ChainState.ISSUED, ChainState.DUE, ChainState.OVERDUE)
                assert event["actor"] in PEOPLE or (calendar and event["actor"] == 0)
            if name == "PartChanged" and event["receivable"] == self.bench.first:
                assert event["before"] == opens[event["part"]]
                assert event["actor"] in PEOPLE or event["before"] == 0
                opens[event["part"]] = event["after"]
        assert state == self.looked[0].state
        assert +opens == Counter({part.number: part.open_micro for part in self.looked[1]})


TestReceivable = ReceivableMachine.TestCase
TestReceivable.settings = settings(
    max_examples=500 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 4, stateful_step_count=20, deadline=None
)


# ------------------------------------------------------------------------------------- where one act is enough


def test_invariant_4_a_period_and_a_trade_are_claimed_once() -> None:
    owed: Any = _ready(ChainState.ACKNOWLEDGED).copy()
    assert owed.try_(part_acts.claim_trades(owed.twin, 0, TRADES, [])) == "trade_claimed"
    assert owed.try_(receivable_acts.materialise(owed.owed, [])) == "claimed_twice"


def test_invariant_5_nothing_is_financed_before_it_is_acknowledged() -> None:
    owed = owed_at(ChainState.ISSUED)
    owed.do(owed.claiming())
    assert owed.try_(owed.listing(owed.first)) == "illegal_transition"
    assert owed.try_(owed.financing(owed.offer())) == "not_listed"


def test_invariant_6_no_more_is_financed_than_the_advance_rate_of_the_face() -> None:
    owed = owed_at(ChainState.LISTED)
    for rate_ppm in (1, 799_999, 800_000, 10**6 + 1):
        refused = owed.copy().try_(owed.financing(owed.offer(advance_rate_ppm=rate_ppm)))
        assert refused == ("" if rate_ppm == 800_000 else "advance_above_rate")
    assert owed.try_(owed.financing(owed.offer(advance_rate_ppm=10**6, advance_micro=FACE + YUAN))) == (
        "advance_above_face"
    )
