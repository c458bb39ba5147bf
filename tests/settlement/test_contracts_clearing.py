"""Clearing: commitments in one chain, cycles proposed by two and applied in order, each part once and exactly."""

from collections.abc import Sequence
from functools import cache

import pytest

from settlement import acts, calls
from settlement.acts import Commitment, Delta
from settlement.chain import Call
from tests.settlement.contract_bench import (
    CHECKER,
    DISPUTE_WINDOW_S,
    HORIZON_S,
    OPERATOR,
    START_S,
    Bench,
    sign,
)

ANNA, BORIS, CLARA, DAVID = 100, 101, 102, 103
DAY_S = 86_400


@cache
def _prepared() -> Bench:
    bench = Bench()
    bench.admit(ANNA, BORIS, CLARA, DAVID)
    bench.mint((ANNA, 1000), (BORIS, 1000), to_escrow=True)
    return bench


@pytest.fixture
def bench() -> Bench:
    return _prepared().copy()


def entering(bench: Bench, member: int, micro: int, *, by: int | None = None) -> Call:
    once = bench.once()
    digest = acts.enter_digest(bench.domain("Clearing"), member, micro, **once)
    return acts.enter(member, micro, sign(by or member, digest), **once)


def committing(bench: Bench, commitment: Commitment, by: int = OPERATOR) -> Call:
    digest = acts.commit_digest(bench.domain("Clearing"), commitment)
    return acts.commit(commitment, bench.approve(by, digest))


# ---------------------------------------------------------------------------------------------- commitments


def test_commitments_form_one_chain(bench: Bench) -> None:
    first = Commitment(1, bytes(32), b"\1" * 32, b"\2" * 32, 5)
    second = Commitment(2, first.rolling_hash(), b"\3" * 32, b"\4" * 32, 0)
    assert bench.try_(committing(bench, first._replace(number=2))) == "commit_out_of_order"
    assert bench.try_(committing(bench, first._replace(previous=b"\1" * 32))) == "wrong_previous"
    assert bench.try_(committing(bench, first, by=CHECKER)) == "approvals_missing"
    bench.do(committing(bench, first))
    assert bench.try_(committing(bench, first)) == "commit_out_of_order"
    assert bench.try_(committing(bench, second._replace(previous=bytes(32)))) == "wrong_previous"
    bench.do(committing(bench, second))
    assert bench.view(calls.latest_commitment()) == second.rolling_hash()
    assert bench.view(calls.commit_index()) == 2
    assert bench.named("Committed")[-1]["commitment"] == second.rolling_hash()


# --------------------------------------------------------------------------------------------------- escrow


def test_cash_enters_escrow_on_the_owners_word(bench: Bench) -> None:
    bench.mint((CLARA, 100))
    assert bench.try_(entering(bench, CLARA, 40, by=ANNA)) == "bad_signature"
    assert bench.try_(entering(bench, CLARA, 101)) == "insufficient_cash"
    assert bench.try_(entering(bench, CLARA, 0)) == "amount_out_of_range"
    bench.do(entering(bench, CLARA, 40))
    assert (bench.cash_of(CLARA), bench.escrow_of(CLARA)) == (60, 40)


def request_exit(bench: Bench, member: int, micro: int) -> None:
    once = bench.once()
    digest = acts.request_exit_digest(bench.domain("Clearing"), member, micro, **once)
    bench.do(acts.request_exit(member, micro, sign(member, digest), **once))


def test_an_exit_waits_for_every_slot_that_was_tradable_when_it_was_asked_for(bench: Bench) -> None:
    assert bench.try_(acts.exit_escrow(ANNA)) == "exit_not_requested"
    request_exit(bench, ANNA, 400)
    assert bench.try_(acts.exit_escrow(ANNA)) == "exit_too_early"
    cycles = HORIZON_S // DAY_S
    for cycle in range(1, cycles):
        bench.settle(cycle, [Delta(ANNA, -10), Delta(BORIS, 10)])
    assert bench.try_(acts.exit_escrow(ANNA)) == "exit_too_early"
    bench.settle(cycles, [Delta(ANNA, -10), Delta(BORIS, 10)])
    bench.do(acts.exit_escrow(ANNA))
    assert (bench.cash_of(ANNA), bench.escrow_of(ANNA)) == (400, 1000 - 10 * cycles - 400)
    assert bench.try_(acts.exit_escrow(ANNA)) == "exit_not_requested"


def test_after_14_days_without_a_cycle_an_exit_needs_no_operator(bench: Bench) -> None:
    bench.now_s += 5 * DAY_S
    request_exit(bench, ANNA, 5000)
    bench.now_s += 14 * DAY_S - 1
    assert bench.try_(acts.exit_escrow(ANNA)) == "exit_too_early"
    bench.now_s += 1
    bench.do(acts.exit_escrow(ANNA))
    assert (bench.cash_of(ANNA), bench.escrow_of(ANNA)) == (1000, 0)


def test_what_is_asked_back_still_settles_until_it_left(bench: Bench) -> None:
    request_exit(bench, ANNA, 1000)
    bench.settle(1, [Delta(ANNA, -300), Delta(BORIS, 300)])
    bench.now_s += 14 * DAY_S
    bench.do(acts.exit_escrow(ANNA))
    assert bench.cash_of(ANNA) == 700


# ------------------------------------------------------------------------------------------------ proposing


def test_a_proposal_needs_operator_and_checker_over_the_same_digest(bench: Bench) -> None:
    proposal = bench.proposal(1, [[Delta(ANNA, -5), Delta(BORIS, 5)]])
    other = proposal._replace(statements_root=b"\7" * 32)
    bench.now_s = proposal.end_s
    digest = acts.propose_digest(bench.domain("Clearing"), proposal)
    elsewhere = acts.propose_digest(bench.domain("Clearing"), other)
    operator, checker = bench.approve(OPERATOR, digest), bench.approve(CHECKER, digest)
    assert bench.try_(acts.propose(proposal, operator, [])) == "approvals_missing"
    assert bench.try_(acts.propose(proposal, operator, bench.approve(OPERATOR, digest))) == "approvals_missing"
    assert bench.try_(acts.propose(proposal, operator, bench.approve(CHECKER, elsewhere))) == "approvals_missing"
    assert bench.try_(acts.propose(proposal, bench.approve(CHECKER, digest), checker)) == "approvals_missing"
    bench.do(acts.propose(proposal, operator, checker))
    assert bench.named("Proposed")[-1]["disputable_until_s"] == bench.now_s + DISPUTE_WINDOW_S
    assert bench.named("Proposed")[-1]["parts_hash"] == acts.parts_hash(proposal.parts)


def test_cycles_are_proposed_in_order_after_their_end_and_without_overlap(bench: Bench) -> None:
    parts = [[Delta(ANNA, -5), Delta(BORIS, 5)]]
    first, second = bench.proposal(1, parts), bench.proposal(2, parts)
    bench.now_s = first.end_s - 1
    assert bench.try_(bench.propose(first)) == "cycle_not_over"
    bench.now_s = second.end_s
    assert bench.try_(bench.propose(second)) == "cycle_out_of_order"
    bench.do(bench.propose(first))
    assert bench.try_(bench.propose(first)) == "cycle_out_of_order"
    assert bench.try_(bench.propose(second._replace(start_s=first.end_s - 1))) == "cycle_overlaps"
    assert bench.try_(bench.propose(second._replace(end_s=second.start_s))) == "cycle_overlaps"
    bench.do(bench.propose(second))


def test_a_proposals_sums_are_zero_together(bench: Bench) -> None:
    bench.now_s = START_S + DAY_S
    assert bench.try_(bench.propose(bench.proposal(1, [[Delta(ANNA, -5)], [Delta(BORIS, 6)]]))) == "sum_not_zero"
    assert bench.try_(bench.propose(bench.proposal(1, []))) == "no_parts"
    bench.do(bench.propose(bench.proposal(1, [[Delta(ANNA, -5)], [Delta(BORIS, 5)]])))


# ------------------------------------------------------------------------------------------------- applying


def proposed(bench: Bench, *parts: Sequence[Delta]) -> None:
    """Cycle 1 proposed, its dispute window over."""
    proposal = bench.proposal(1, parts)
    bench.now_s = proposal.end_s
    bench.do(bench.propose(proposal))
    bench.now_s += DISPUTE_WINDOW_S


def test_parts_are_applied_after_the_window_in_order_and_once(bench: Bench) -> None:
    parts = ([Delta(ANNA, -5)], [Delta(BORIS, -1), Delta(CLARA, 6)])
    proposed(bench, *parts)
    first, second = acts.apply_part(1, 0, parts[0]), acts.apply_part(1, 1, parts[1])
    bench.now_s -= 1
    assert bench.try_(first) == "dispute_window_open"
    bench.now_s += 1
    assert bench.try_(second) == "part_out_of_order"
    assert bench.try_(acts.apply_part(2, 0, parts[0])) == "cycle_out_of_order"
    bench.do(first)
    assert bench.try_(first) == "part_out_of_order"
    assert bench.try_(acts.apply_part(1, 1, parts[0])) == "wrong_part"
    bench.do(second)
    assert bench.try_(second) == "cycle_out_of_order"
    assert bench.view(calls.applied_cycle()) == 1
    assert [bench.escrow_of(member) for member in (ANNA, BORIS, CLARA)] == [995, 999, 6]


def test_credits_are_spendable_only_after_the_last_part(bench: Bench) -> None:
    parts = ([Delta(ANNA, -10), Delta(CLARA, 4)], [Delta(DAVID, 6)])
    proposed(bench, *parts)
    bench.do(acts.apply_part(1, 0, parts[0]))
    assert (bench.escrow_of(ANNA), bench.escrow_of(CLARA)) == (990, 0)
    request_exit(bench, CLARA, 4)
    bench.now_s += 14 * DAY_S
    bench.do(acts.exit_escrow(CLARA))
    assert bench.cash_of(CLARA) == 0
    bench.do(acts.apply_part(1, 1, parts[1]))
    assert (bench.escrow_of(CLARA), bench.escrow_of(DAVID)) == (4, 6)


def test_money_entering_between_parts_is_not_lost(bench: Bench) -> None:
    bench.mint((CLARA, 100))
    parts = ([Delta(ANNA, -10), Delta(CLARA, 4)], [Delta(DAVID, 6)])
    proposed(bench, *parts)
    bench.do(acts.apply_part(1, 0, parts[0]))
    bench.do(entering(bench, CLARA, 70))
    assert bench.escrow_of(CLARA) == 70
    assert bench.named("Entered")[-1]["escrow"] == 74
    bench.do(acts.apply_part(1, 1, parts[1]))
    assert bench.escrow_of(CLARA) == 74


def test_a_creditor_may_stand_before_a_debtor_in_the_order_of_accounts(bench: Bench) -> None:
    bench.settle(1, [Delta(BORIS, -5), Delta(ANNA, 5)])
    assert (bench.escrow_of(ANNA), bench.escrow_of(BORIS)) == (1005, 995)


@pytest.mark.parametrize(
    ("parts", "refusal"),
    [
        ([[Delta(CLARA, 5), Delta(ANNA, -5)]], "debit_after_credit"),
        ([[Delta(ANNA, -5), Delta(CLARA, 10)], [Delta(BORIS, -5)]], "debit_after_credit"),
        ([[Delta(BORIS, -5), Delta(ANNA, -5), Delta(CLARA, 10)]], "accounts_not_ascending"),
        ([[Delta(ANNA, -5), Delta(ANNA, -5), Delta(CLARA, 10)]], "account_twice"),
        ([[Delta(BORIS, -5)], [Delta(ANNA, -5), Delta(CLARA, 10)]], "accounts_not_ascending"),
        ([[Delta(ANNA, -5), Delta(DAVID, 1), Delta(CLARA, 4)]], "accounts_not_ascending"),
        ([[Delta(ANNA, -5), Delta(ANNA, 5)]], "account_twice"),
        ([[Delta(ANNA, -5)], [Delta(ANNA, 5)]], "account_twice"),
        ([[Delta(ANNA, 0), Delta(CLARA, 0)]], "zero_delta"),
        ([[Delta(acts.FUND, -5), Delta(CLARA, 5)]], "accounts_not_ascending"),
    ],
)
def test_a_part_out_of_shape_is_refused(bench: Bench, parts: list[list[Delta]], refusal: str) -> None:
    proposed(bench, *parts)
    refusals = [bench.try_(acts.apply_part(1, at, deltas)) for at, deltas in enumerate(parts)]
    assert next(each for each in refusals if each) == refusal
    assert bench.view(calls.applied_cycle()) == 0


def test_a_part_whose_sum_is_not_as_declared_is_refused(bench: Bench) -> None:
    deltas = [Delta(ANNA, -5), Delta(BORIS, 6)]
    part = acts.part(1, 0, deltas)._replace(sum_micro=0)
    proposal = bench.proposal(1, [])._replace(parts=[part])
    bench.now_s = proposal.end_s
    bench.do(bench.propose(proposal))
    bench.now_s += DISPUTE_WINDOW_S
    assert bench.try_(acts.apply_part(1, 0, deltas)) == "wrong_sum"


def test_a_full_part_fits_a_transaction_even_when_everyone_is_new_and_short() -> None:
    """Most gas is spent where an account's every slot is written for the first time."""
    bench = Bench()
    debits = [Delta(account, -7) for account in range(1000, 1300)]
    credits_ = [Delta(1300, 7 * 300)]
    bench.mint((acts.FUND, 1_000), to_escrow=True)
    proposed(bench, debits, credits_)
    bench.do(acts.apply_part(1, 0, debits))
    assert 10**7 < bench.gas < 2**24
    assert bench.view(calls.arrears_of(1000)) == 7
    bench.do(acts.apply_part(1, 1, credits_))
    assert bench.view(calls.held_of(1300)) == 7 * 300 - 1_000
