"""Members: who is let in, who may sign for what, and every way in which a signature does not count."""

from functools import cache

import pytest

from settlement import acts, calls
from settlement.acts import Admission, Approval, Role
from settlement.chain import ChainEvent
from settlement.compile import compiled
from settlement.deploy import creation_codes
from settlement.evm import BlockContext, Executed, Machine
from settlement.intents import Domain
from settlement.key_changes import FormerKey, KeyHistory, history_back_to
from settlement.rpc import sign_transaction
from settlement.signatures import PublicKey
from tests.settlement.contract_bench import (
    CHAIN_ID,
    CHECKER,
    GOVERNANCE,
    LATE_S,
    OPERATOR,
    REGULATOR,
    RELAYER,
    SALT,
    START_S,
    Bench,
    genesis,
    high_s,
    public,
    sign,
)

ANNA, BORIS, STRANGER = 100, 101, 999
DIGEST = b"\xd1" * 32


@cache
def _prepared() -> Bench:
    bench = Bench()
    bench.admit(ANNA, BORIS)
    return bench


@pytest.fixture
def bench() -> Bench:
    return _prepared().copy()


def test_admitted_members_have_their_keys(bench: Bench) -> None:
    assert bench.view(calls.key_of(ANNA)) == tuple(public(ANNA))
    assert bench.view(calls.key_of(STRANGER)) == (0, 0)
    assert bench.view(calls.next_admission()) == 1


def test_admission_needs_the_operator_and_the_next_index(bench: Bench) -> None:
    domain = bench.domain("Members")
    admissions = [Admission(102, public(102), 0)]
    digest = acts.admit_many_digest(domain, admissions, 1)
    assert bench.try_(acts.admit_many(admissions, 1, bench.approve(CHECKER, digest))) == "approvals_missing"
    assert bench.try_(acts.admit_many(admissions, 1, [])) == "approvals_missing"
    assert bench.try_(acts.admit_many(admissions, 2, bench.approve(OPERATOR, digest))) == "index_out_of_order"
    bench.do(acts.admit_many(admissions, 1, bench.approve(OPERATOR, digest)))
    assert bench.try_(acts.admit_many(admissions, 1, bench.approve(OPERATOR, digest))) == "index_out_of_order"


@pytest.mark.parametrize(
    ("admission", "refusal"),
    [
        (Admission(ANNA, public(102), 0), "member_exists"),
        (Admission(102, public(102), Role.CHECKER), "role_needs_governance"),
        (Admission(102, PublicKey(0, 0), 0), "no_key"),
        (Admission(0, public(102), 0), "no_key"),
    ],
)
def test_admission_is_refused(bench: Bench, admission: Admission, refusal: str) -> None:
    digest = acts.admit_many_digest(bench.domain("Members"), [admission], 1)
    assert bench.try_(acts.admit_many([admission], 1, bench.approve(OPERATOR, digest))) == refusal


def test_governance_grants_roles_and_the_operator_cannot(bench: Bench) -> None:
    digest = acts.grant_roles_digest(bench.domain("Members"), ANNA, Role.CUSTODIAN, 0)
    by_operator = acts.grant_roles(ANNA, Role.CUSTODIAN, 0, bench.approve(OPERATOR, digest))
    assert bench.try_(by_operator) == "approvals_missing"
    bench.do(acts.grant_roles(ANNA, Role.CUSTODIAN, 0, bench.approve(GOVERNANCE, digest)))
    mints = [acts.Mint(BORIS, 5, b"\1" * 32, False)]
    digest = acts.mint_many_digest(bench.domain("Cash"), mints)
    bench.do(acts.mint_many(mints, bench.approve(ANNA, digest)))


def test_the_old_key_signs_the_new_one_in_and_then_counts_no_more(bench: Bench) -> None:
    domain = bench.domain("Members")
    digest = acts.rotate_key_digest(domain, ANNA, public(500), nonce=1, deadline_s=LATE_S)
    by_stranger = acts.rotate_key(ANNA, public(500), sign(BORIS, digest), nonce=1, deadline_s=LATE_S)
    assert bench.try_(by_stranger) == "bad_signature"
    bench.do(acts.rotate_key(ANNA, public(500), sign(ANNA, digest), nonce=1, deadline_s=LATE_S))
    assert bench.view(calls.key_of(ANNA)) == tuple(public(500))
    digest = acts.rotate_key_digest(domain, ANNA, public(501), nonce=2, deadline_s=LATE_S)
    by_old = acts.rotate_key(ANNA, public(501), sign(ANNA, digest), nonce=2, deadline_s=LATE_S)
    assert bench.try_(by_old) == "bad_signature"


def rotate(bench: Bench, before: int, after: int) -> None:
    """Anna's key becomes that of another number."""
    once = bench.once()
    digest = acts.rotate_key_digest(bench.domain("Members"), ANNA, public(after), **once)
    bench.do(acts.rotate_key(ANNA, public(after), sign(before, digest), **once))


def renewed(bench: Bench) -> tuple[int, int, list[ChainEvent]]:
    """Anna changes her key on day 1 (to 500) and on day 2 (to 501): when that was, and what the chain said of it."""
    bench.now_s = first_s = START_S + 86_400
    rotate(bench, ANNA, 500)
    bench.now_s = second_s = first_s + 86_400
    rotate(bench, 500, 501)
    bench.now_s += 86_400
    return first_s, second_s, bench.chain_events()


def was_signed(bench: Bench, key: int, at_s: int, history: KeyHistory) -> bool:
    return bool(bench.view(calls.was_signed(ANNA, DIGEST, sign(key, DIGEST), at_s, history)))


def test_an_old_signature_counts_with_the_key_of_its_day_and_with_no_other(bench: Bench) -> None:
    first_s, second_s, events = renewed(bench)
    for key, from_s, to_s in ((ANNA, START_S, first_s), (500, first_s, second_s), (501, second_s, bench.now_s)):
        middle_s = (from_s + to_s) // 2
        for other in (ANNA, 500, 501, BORIS):
            assert was_signed(bench, other, middle_s, history_back_to(events, ANNA, middle_s)) == (key == other)


def test_market_and_chain_may_take_a_change_of_keys_ten_minutes_apart(bench: Bench) -> None:
    first_s, second_s, events = renewed(bench)
    for changed_s, before, after in ((first_s, ANNA, 500), (second_s, 500, 501)):
        for key, last_s in ((before, changed_s + 600), (after, changed_s - 600)):
            past_s = last_s + (1 if last_s > changed_s else -1)
            assert was_signed(bench, key, last_s, history_back_to(events, ANNA, last_s))
            assert not was_signed(bench, key, past_s, history_back_to(events, ANNA, past_s))


def test_whoever_proves_an_old_signature_can_not_invent_leave_out_or_swap_keys(bench: Bench) -> None:
    first_s, _, events = renewed(bench)
    at_s = first_s - 3600
    history = history_back_to(events, ANNA, at_s)
    assert len(history.former) == 2 and was_signed(bench, ANNA, at_s, history)
    longer = FormerKey(*public(STRANGER), 0)
    forged = [
        history._replace(former=history.former[1:]),
        history._replace(former=history.former[:1]),
        history._replace(former=history.former[::-1]),
        history._replace(former=[longer, *history.former]),
        history._replace(before=b"\1" * 32),
        history._replace(former=[history.former[0], history.former[1]._replace(from_s=first_s + 1)]),
    ]
    for each in forged:
        with pytest.raises(AssertionError, match="wrong_key_history"):
            was_signed(bench, ANNA, at_s, each)


def test_keys_that_were_over_by_then_are_shown_as_a_hash_only(bench: Bench) -> None:
    _, second_s, events = renewed(bench)
    late_s = second_s + 601
    history = history_back_to(events, ANNA, late_s)
    assert history.former == [] and was_signed(bench, 501, late_s, history)
    assert not was_signed(bench, 500, late_s, history_back_to(events, ANNA, 0)), "however much is shown"
    hidden = history_back_to(events, ANNA, late_s)
    assert not was_signed(bench, 501, second_s - 3600, hidden), "hiding keys makes no other one older"


def test_no_member_changes_its_key_so_often_that_an_old_one_can_not_be_shown(bench: Bench) -> None:
    for _ in range(24):
        assert rotation(bench, bench.domain("Members"), nonce=bench.nonce()) == ""
    assert rotation(bench, bench.domain("Members"), nonce=bench.nonce()) == "too_many_changes"
    history = history_back_to(bench.chain_events(), ANNA, 0)
    assert len(history.former) == 24 and was_signed(bench, ANNA, START_S, history)
    bench.now_s += 90 * 86_400
    assert rotation(bench, bench.domain("Members"), nonce=bench.nonce()) == ""


def test_the_holders_of_each_role_are_counted(bench: Bench) -> None:
    def holders() -> list[int]:
        return [bench.view(calls.holders_of(role)) for role in (Role.OPERATOR, Role.CUSTODIAN, Role.BANK)]

    assert holders() == [1, 1, 0]
    bench.admit(102, roles=Role.BANK)
    assert holders() == [1, 1, 1]
    for index, (roles, counted) in enumerate([(Role.CUSTODIAN | Role.BANK, [1, 2, 2]), (0, [1, 1, 1])]):
        digest = acts.grant_roles_digest(bench.domain("Members"), ANNA, roles, index)
        bench.do(acts.grant_roles(ANNA, roles, index, bench.approve(GOVERNANCE, digest)))
        assert holders() == counted


def rotation(bench: Bench, domain: Domain, *, nonce: int = 7, deadline_s: int = LATE_S, high: bool = False) -> str:
    """What is said to Anna's rotating her key to the same key, signed for this domain."""
    digest = acts.rotate_key_digest(domain, ANNA, public(ANNA), nonce=nonce, deadline_s=deadline_s)
    signature = high_s(sign(ANNA, digest)) if high else sign(ANNA, digest)
    return bench.try_(acts.rotate_key(ANNA, public(ANNA), signature, nonce=nonce, deadline_s=deadline_s))


def test_a_high_s_is_refused(bench: Bench) -> None:
    assert rotation(bench, bench.domain("Members"), high=True) == "bad_signature"
    assert rotation(bench, bench.domain("Members")) == ""


def test_a_nonce_is_used_once_and_in_any_order(bench: Bench) -> None:
    domain = bench.domain("Members")
    for nonce in (300, 7, 255, 256, 2**256 - 1):
        assert rotation(bench, domain, nonce=nonce) == ""
    for nonce in (300, 7, 255, 256, 2**256 - 1):
        assert rotation(bench, domain, nonce=nonce) == "nonce_used"


def test_a_passed_deadline_is_refused(bench: Bench) -> None:
    domain = bench.domain("Members")
    assert rotation(bench, domain, deadline_s=bench.now_s - 1) == "deadline_passed"
    assert rotation(bench, domain, deadline_s=bench.now_s) == ""


@pytest.mark.parametrize("other", ["chain", "contract", "salt"])
def test_an_intent_holds_in_one_contract_on_one_chain_of_one_genesis(bench: Bench, other: str) -> None:
    domain = bench.domain("Members")
    sister = {
        "chain": domain._replace(chain_id=CHAIN_ID + 1),
        "contract": bench.domain("Cash"),
        "salt": domain._replace(salt=bytes(32)),
    }[other]
    assert rotation(bench, sister) == "bad_signature"


def test_a_frozen_member_moves_nothing_out_and_the_regulator_can_release_it(bench: Bench) -> None:
    bench.mint((ANNA, 100))
    domain, clearing = bench.domain("Members"), bench.domain("Clearing")
    entering = acts.enter_digest(clearing, ANNA, 40, nonce=1, deadline_s=LATE_S)
    enter = acts.enter(ANNA, 40, sign(ANNA, entering), nonce=1, deadline_s=LATE_S)
    digest = acts.freeze_digest(domain, ANNA, True, 0)
    assert bench.try_(acts.freeze(ANNA, True, 0, bench.approve(OPERATOR, digest))) == "approvals_missing"
    bench.do(acts.freeze(ANNA, True, 0, bench.approve(REGULATOR, digest)))
    assert bench.try_(enter) == "member_frozen"
    digest = acts.freeze_digest(domain, ANNA, False, 1)
    bench.do(acts.freeze(ANNA, False, 1, bench.approve(REGULATOR, digest)))
    bench.do(enter)


def test_a_role_with_a_threshold_needs_as_many_holders_in_ascending_order() -> None:
    """A market of its own, in which two of the operator's three keys must agree."""
    operators = [Admission(member, public(member), Role.OPERATOR) for member in (1, 11, 12)]
    bench = Bench()
    two = genesis()._replace(members=operators, thresholds={Role.OPERATOR: 2})
    bench.machine = Machine(CHAIN_ID)
    codes = creation_codes(compiled(), two, bench.addresses)
    raw = [sign_transaction(RELAYER, CHAIN_ID, nonce, None, code) for nonce, code in enumerate(codes)]
    for result in bench.machine.execute(BlockContext(1, START_S, bytes(32)), raw):
        assert isinstance(result, Executed) and result.succeeded
    admissions = [Admission(ANNA, public(ANNA), 0)]
    digest = acts.admit_many_digest(Domain(CHAIN_ID, bench.addresses["Members"], SALT), admissions, 0)

    def by(*members: int) -> str:
        return bench.try_(acts.admit_many(admissions, 0, [Approval(each, sign(each, digest)) for each in members]))

    assert by(1) == by(11, 11) == by(1, ANNA) == "approvals_missing"
    assert by(12, 1) == ""
