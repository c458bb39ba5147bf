"""Every way in which a signature does not count, at a signed act of each contract: the door is the same everywhere."""

from collections.abc import Callable
from functools import cache

import pytest

from settlement import acts, receivable_acts, recovery_acts
from settlement.chain import Call
from settlement.intents import Domain
from tests.settlement.contract_bench import (
    CHAIN_ID,
    COLLECTION,
    CUSTODIAN,
    GOVERNANCE,
    LATE_S,
    Bench,
    high_s,
    public,
    sign,
)

ANNA, BORIS, BEFORE = 100, 101, 500
"""Anna's key was that of 500 until she changed it."""


@cache
def _prepared() -> Bench:
    bench = Bench()
    admission = acts.Admission(ANNA, public(BEFORE), 0)
    digest = acts.admit_many_digest(bench.domain("Members"), [admission], 0)
    bench.do(acts.admit_many([admission], 0, bench.approve(1, digest)))
    bench.mint((ANNA, 1000))
    once = bench.once()
    digest = acts.rotate_key_digest(bench.domain("Members"), ANNA, public(ANNA), **once)
    bench.do(acts.rotate_key(ANNA, public(ANNA), sign(BEFORE, digest), **once))
    digest = recovery_acts.propose_recovery_digest(bench.domain("Members"), ANNA, public(777), 0)
    bench.do(recovery_acts.propose_recovery(ANNA, public(777), 0, bench.approve(GOVERNANCE, digest)))
    return bench


Word = Callable[[bytes], bytes]
Act = Callable[[Bench, Domain, Word, int, int], Call]
"""(bench, domain, how it is signed, nonce, deadline)"""


def rotate(bench: Bench, domain: Domain, word: Word, nonce: int, deadline_s: int) -> Call:
    once = {"nonce": nonce, "deadline_s": deadline_s}
    return acts.rotate_key(ANNA, public(ANNA), word(acts.rotate_key_digest(domain, ANNA, public(ANNA), **once)), **once)


def veto(bench: Bench, domain: Domain, word: Word, nonce: int, deadline_s: int) -> Call:
    once = {"nonce": nonce, "deadline_s": deadline_s}
    digest = recovery_acts.veto_recovery_digest(domain, ANNA, public(777), **once)
    return recovery_acts.veto_recovery(ANNA, public(777), word(digest), **once)


def burn(bench: Bench, domain: Domain, word: Word, nonce: int, deadline_s: int) -> Call:
    reference = bench.nonce().to_bytes(32, "big")
    paid = acts.Payout(ANNA, 5, reference, nonce, deadline_s)
    true_digest = acts.burn_digest(bench.domain("Cash"), paid)
    return acts.burn(paid, word(acts.burn_digest(domain, paid)), bench.approve(CUSTODIAN, true_digest))


def enter(bench: Bench, domain: Domain, word: Word, nonce: int, deadline_s: int) -> Call:
    once = {"nonce": nonce, "deadline_s": deadline_s}
    return acts.enter(ANNA, 5, word(acts.enter_digest(domain, ANNA, 5, **once)), **once)


def request_exit(bench: Bench, domain: Domain, word: Word, nonce: int, deadline_s: int) -> Call:
    once = {"nonce": nonce, "deadline_s": deadline_s}
    return acts.request_exit(ANNA, 5, word(acts.request_exit_digest(domain, ANNA, 5, **once)), **once)


def acknowledge(bench: Bench, domain: Domain, word: Word, nonce: int, deadline_s: int) -> Call:
    once = {"nonce": nonce, "deadline_s": deadline_s}
    digest = receivable_acts.acknowledge_many_digest(domain, ANNA, [], COLLECTION, **once)
    return receivable_acts.acknowledge_many(ANNA, [], COLLECTION, word(digest), **once)


ACTS: list[tuple[str, Act]] = [
    ("Members", rotate),
    ("Members", veto),
    ("Cash", burn),
    ("Clearing", enter),
    ("Clearing", request_exit),
    ("Receivables", acknowledge),
]


@pytest.mark.parametrize(("contract", "act"), ACTS, ids=[act.__name__ for _, act in ACTS])
def test_a_signature_counts_in_one_way_only(contract: str, act: Act) -> None:
    bench = _prepared().copy()
    domain = bench.domain(contract)
    other_contract = bench.domain("Members" if contract != "Members" else "Cash")

    def mine(digest: bytes) -> bytes:
        return sign(ANNA, digest)

    forged: list[tuple[str, Domain, Word]] = [
        ("the key of somebody else", domain, lambda digest: sign(BORIS, digest)),
        ("the key of another day", domain, lambda digest: sign(BEFORE, digest)),
        ("a high s", domain, lambda digest: high_s(mine(digest))),
        ("another chain", domain._replace(chain_id=CHAIN_ID + 1), mine),
        ("another contract", other_contract, mine),
        ("another genesis", domain._replace(salt=bytes(32)), mine),
    ]
    for why, where, word in forged:
        assert bench.try_(act(bench, where, word, 300, LATE_S)) == "bad_signature", why
    assert bench.try_(act(bench, domain, mine, 300, bench.now_s - 1)) == "deadline_passed"
    assert bench.try_(act(bench, domain, mine, 300, bench.now_s)) == ""
    if act is not veto:  # one that is over can not be vetoed again
        assert bench.try_(act(bench, domain, mine, 300, LATE_S)) == "nonce_used"
    if act is veto:
        digest = recovery_acts.propose_recovery_digest(bench.domain("Members"), ANNA, public(777), 1)
        bench.do(recovery_acts.propose_recovery(ANNA, public(777), 1, bench.approve(GOVERNANCE, digest)))
        assert bench.try_(act(bench, domain, mine, 300, LATE_S)) == "nonce_used"
