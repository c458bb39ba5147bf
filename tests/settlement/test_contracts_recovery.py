"""A lost key: governance proposes another, the live key has seven days to say no, and then anyone completes it."""

from functools import cache

import pytest

from settlement import acts, calls, recovery_acts
from settlement.key_changes import history_back_to
from settlement.recovery_acts import RECOVERY_VETO_S
from tests.settlement.contract_bench import GOVERNANCE, LATE_S, OPERATOR, Bench, public, sign

ANNA, BORIS, STRANGER, FOUND = 100, 101, 999, 500


@cache
def _prepared() -> Bench:
    bench = Bench()
    bench.admit(ANNA, BORIS)
    return bench


@pytest.fixture
def bench() -> Bench:
    return _prepared().copy()


def propose(bench: Bench, index: int = 0, *, member: int = ANNA, key: int = FOUND, by: int = GOVERNANCE) -> str:
    digest = recovery_acts.propose_recovery_digest(bench.domain("Members"), member, public(key), index)
    return bench.try_(recovery_acts.propose_recovery(member, public(key), index, bench.approve(by, digest)))


def veto(bench: Bench, *, by: int = ANNA, key: int = FOUND, deadline_s: int = LATE_S) -> str:
    once = {"nonce": bench.nonce(), "deadline_s": deadline_s}
    digest = recovery_acts.veto_recovery_digest(bench.domain("Members"), ANNA, public(key), **once)
    return bench.try_(recovery_acts.veto_recovery(ANNA, public(key), sign(by, digest), **once))


def key_of(bench: Bench, member: int = ANNA) -> tuple[int, int]:
    found: tuple[int, int] = bench.view(calls.key_of(member))
    return found


def test_a_proposed_key_becomes_the_members_after_seven_days_and_no_earlier(bench: Bench) -> None:
    assert propose(bench) == ""
    until_s = bench.now_s + RECOVERY_VETO_S
    assert bench.view(recovery_acts.recovery_of(ANNA)) == (*public(FOUND), until_s)
    bench.now_s = until_s
    assert bench.try_(recovery_acts.recover_key(ANNA)) == "veto_open"
    bench.now_s += 1
    assert bench.try_(recovery_acts.recover_key(BORIS)) == "no_recovery"
    bench.do(recovery_acts.recover_key(ANNA))
    assert key_of(bench) == tuple(public(FOUND))
    assert bench.named("KeyRotated")[-1]["from_s"] == bench.now_s == bench.view(calls.key_since(ANNA))
    assert bench.try_(recovery_acts.recover_key(ANNA)) == "no_recovery"


def test_only_governance_proposes_and_in_order(bench: Bench) -> None:
    assert propose(bench, by=OPERATOR) == "approvals_missing"
    assert propose(bench, 1) == "index_out_of_order"
    assert propose(bench, member=STRANGER) == "unknown_member"
    assert propose(bench) == ""
    assert propose(bench) == "index_out_of_order"


def test_the_live_key_vetoes_and_no_other(bench: Bench) -> None:
    propose(bench)
    assert veto(bench, by=BORIS) == veto(bench, by=FOUND) == "bad_signature"
    assert veto(bench, key=STRANGER) == "no_recovery", "a word against another key"
    assert veto(bench, deadline_s=bench.now_s - 1) == "deadline_passed"
    bench.now_s += RECOVERY_VETO_S
    assert veto(bench) == ""
    assert bench.named("RecoveryVetoed") == [{"member": ANNA, "x": public(FOUND).x, "y": public(FOUND).y}]
    bench.now_s += 1
    assert bench.try_(recovery_acts.recover_key(ANNA)) == "no_recovery"
    assert key_of(bench) == tuple(public(ANNA))
    assert veto(bench) == "no_recovery"


def test_a_veto_counts_as_long_as_nobody_completed(bench: Bench) -> None:
    propose(bench)
    bench.now_s += 2 * RECOVERY_VETO_S
    assert veto(bench) == ""


def test_a_key_that_changes_itself_is_not_lost(bench: Bench) -> None:
    propose(bench)
    once = bench.once()
    digest = acts.rotate_key_digest(bench.domain("Members"), ANNA, public(501), **once)
    bench.do(acts.rotate_key(ANNA, public(501), sign(ANNA, digest), **once))
    bench.now_s += RECOVERY_VETO_S + 1
    assert bench.try_(recovery_acts.recover_key(ANNA)) == "no_recovery"
    assert key_of(bench) == tuple(public(501))


def test_another_proposal_begins_the_seven_days_again(bench: Bench) -> None:
    propose(bench)
    bench.now_s += RECOVERY_VETO_S
    assert propose(bench, 1, key=501) == ""
    bench.now_s += 1
    assert bench.try_(recovery_acts.recover_key(ANNA)) == "veto_open"
    bench.now_s += RECOVERY_VETO_S
    bench.do(recovery_acts.recover_key(ANNA))
    assert key_of(bench) == tuple(public(501))


def test_what_the_lost_key_signed_is_still_its_word(bench: Bench) -> None:
    signed_s, digest = bench.now_s, b"\xd1" * 32
    propose(bench)
    bench.now_s += RECOVERY_VETO_S + 1
    bench.do(recovery_acts.recover_key(ANNA))
    history = history_back_to(bench.chain_events(), ANNA, signed_s)
    assert bench.view(calls.was_signed(ANNA, digest, sign(ANNA, digest), signed_s, history))
    assert not bench.view(calls.was_signed(ANNA, digest, sign(FOUND, digest), signed_s, history))
