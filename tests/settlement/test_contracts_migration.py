"""A market moves to new contracts: two thirds say so, everyone has 14 days to leave, and all that was there arrives."""

from functools import cache
from typing import Any

import pytest

from settlement import acts, calls, migration_acts
from settlement.acts import FUND, Approval, Delta, Role
from settlement.migration_acts import LEAVING_S
from tests.settlement.contract_bench import (
    CUSTODIAN,
    DISPUTE_WINDOW_S,
    GOVERNANCE,
    HORIZON_S,
    LATE_S,
    OPERATOR,
    REGULATOR,
    Bench,
    public,
    sign,
)

ANNA, BORIS, CLARA = 100, 101, 102
TWO, THREE = 8, 9
"""Two more who hold the role governance."""

INSTITUTIONS = list(range(1, 8))
MEMBERS = [*INSTITUTIONS, TWO, THREE, ANNA, BORIS, CLARA]
ZERO = bytes(20)


@cache
def _lived() -> Bench:
    """A market with a past: a key that was changed, somebody frozen, arrears, a credit held back, a commitment."""
    bench = Bench()
    bench.admit(TWO, THREE, ANNA, BORIS, CLARA)
    for index, member in enumerate((TWO, THREE)):
        digest = acts.grant_roles_digest(bench.domain("Members"), member, Role.GOVERNANCE, index)
        bench.do(acts.grant_roles(member, Role.GOVERNANCE, index, bench.approve(GOVERNANCE, digest)))
    bench.mint((ANNA, 30), (CLARA, 1000), (FUND, 5), to_escrow=True)
    bench.mint((BORIS, 77))
    commitment = acts.Commitment(1, bytes(32), b"\1" * 32, b"\2" * 32, 7)
    digest = acts.commit_digest(bench.domain("Clearing"), commitment)
    bench.do(acts.commit(commitment, bench.approve(OPERATOR, digest)))
    bench.settle(1, [Delta(ANNA, -100), Delta(BORIS, 100)])
    once = bench.once()
    digest = acts.rotate_key_digest(bench.domain("Members"), ANNA, public(500), **once)
    bench.do(acts.rotate_key(ANNA, public(500), sign(ANNA, digest), **once))
    digest = acts.freeze_digest(bench.domain("Members"), CLARA, True, 0)
    bench.do(acts.freeze(CLARA, True, 0, bench.approve(REGULATOR, digest)))
    return bench


@pytest.fixture
def bench() -> Bench:
    return _lived().copy()


def announce(bench: Bench, new: Bench | None, *by: int, index: int = 0) -> str:
    named = [ZERO] * 3 if new is None else [new.addresses[name] for name in ("Members", "Cash", "Clearing")]
    digest = migration_acts.announce_digest(bench.domain("Members"), *named, index)
    approvals = [Approval(member, sign(member, digest)) for member in by or (GOVERNANCE, TWO)]
    return bench.try_(migration_acts.announce(*named, index, approvals))


def seal(
    bench: Bench, contract: str, accounts: list[int], index: int = 0, *, afresh: bool = False, by: int = GOVERNANCE
) -> str:
    digest = migration_acts.seal_part_digest(bench.domain(contract), index, afresh, accounts)
    return bench.try_(migration_acts.seal_part(contract, accounts, index, afresh, bench.approve(by, digest)))


def complete(bench: Bench, contract: str) -> str:
    return bench.try_(migration_acts.complete_seal(contract))


def member_rows(bench: Bench, members: list[int]) -> list[tuple[Any, ...]]:
    """What Members keeps of them, asked for one by one."""
    rows = []
    for member in members:
        roles, frozen = (
            bench.view(calls.call("Members", name, ("uint256",), member)) for name in ("roles_of", "is_frozen")
        )
        former = bench.view(calls.former_keys_of(member))
        since_s = bench.view(calls.key_since(member))
        # the window of changes began with the first of them
        times = (1 << 128 | since_s << 64 | since_s) if since_s else 0
        rows.append((member, *bench.view(calls.key_of(member)), roles, frozen, former, times))
    return rows


def cash_rows(bench: Bench, accounts: list[int]) -> list[tuple[int, int]]:
    return [(account, bench.cash_of(account)) for account in accounts]


def escrow_rows(bench: Bench, accounts: list[int]) -> list[tuple[int, int, int, int]]:
    rows = []
    for account in accounts:
        arrears, stage, deadline_s = bench.view(calls.standing_of(account))
        held = bench.view(calls.held_of(account))
        rows.append((account, bench.escrow_of(account), held, deadline_s << 104 | stage << 96 | arrears))
    return rows


def cash_accounts(bench: Bench) -> list[int]:
    return [BORIS, bench.clearing_account]


ESCROWS = [FUND, ANNA, BORIS, CLARA]


def leaving(bench: Bench) -> Bench:
    """Successors are announced and the 14 days are over."""
    new = bench.successor()
    assert announce(bench, new) == ""
    bench.now_s += LEAVING_S
    new.now_s = bench.now_s
    return new


def test_a_market_moves_whole_and_goes_on_where_it_stood(bench: Bench) -> None:
    new = leaving(bench)
    rows = {
        "Members": member_rows(bench, MEMBERS),
        "Cash": cash_rows(bench, cash_accounts(bench)),
        "Clearing": escrow_rows(bench, ESCROWS),
    }
    before = {each: (bench.escrow_of(each), bench.view(calls.held_of(each))) for each in ESCROWS}
    for contract, whole in rows.items():
        first, rest = [row[0] for row in whole[:2]], [row[0] for row in whole[2:]]
        assert seal(bench, contract, first, 0) == ""
        if rest:
            assert complete(bench, contract) in ("account_missing", "total_not_supply", "total_not_cash")
            assert seal(bench, contract, rest, 1) == ""
        assert complete(bench, contract) == ""
    for contract, whole in rows.items():
        for part_index, part in enumerate(part for part in (whole[:2], whole[2:]) if part):
            new.do(migration_acts.import_part(contract, part, part_index))
        new.do(migration_acts.open_successor(contract))
        assert new.view(calls.call(contract, "seal", ())) == (bytes(32), 0, False)
    assert new.view(calls.supply()) == bench.view(calls.supply()) == 1112
    assert {each: (new.escrow_of(each), new.view(calls.held_of(each))) for each in ESCROWS} == before
    assert new.cash_of(new.clearing_account) == bench.cash_of(bench.clearing_account) == 1035
    assert new.view(calls.key_of(ANNA)) == tuple(public(500))
    assert [new.view(calls.holders_of(role)) for role in (Role.GOVERNANCE, Role.OPERATOR)] == [3, 1]
    _goes_on(new)


def _goes_on(new: Bench) -> None:
    """The new contracts work: arrears are paid and what was held is released, the next cycle settles, money leaves."""
    assert new.view(calls.standing_of(ANNA))[:2] == (70, 1)
    new.mint((ANNA, 70), to_escrow=True)
    new.do(acts.release([BORIS]))
    assert (new.escrow_of(BORIS), new.view(calls.held_of(BORIS))) == (100, 0)
    assert new.view(calls.commit_index()) == new.view(calls.applied_cycle()) == 1
    new.settle(2, [Delta(CLARA, -10), Delta(BORIS, 10)])
    assert (new.escrow_of(CLARA), new.escrow_of(BORIS)) == (990, 110)
    entering = acts.enter_digest(new.domain("Clearing"), CLARA, 1, nonce=1, deadline_s=LATE_S)
    frozen = acts.enter(CLARA, 1, sign(CLARA, entering), nonce=1, deadline_s=LATE_S)
    assert new.try_(frozen) == "member_frozen"


def test_two_thirds_of_governance_announce_and_no_fewer(bench: Bench) -> None:
    new = bench.successor()
    assert announce(bench, new, GOVERNANCE) == "approvals_missing"
    assert announce(bench, new, GOVERNANCE, OPERATOR) == "approvals_missing"
    assert announce(bench, new, GOVERNANCE, TWO, index=1) == "index_out_of_order"
    assert announce(bench, new, GOVERNANCE, TWO) == ""
    assert bench.named("SuccessorsAnnounced")[-1]["sealable_from_s"] == bench.now_s + LEAVING_S


def test_nothing_is_closed_before_the_14_days_and_an_announcement_can_be_taken_back(bench: Bench) -> None:
    parts = {"Members": MEMBERS, "Cash": cash_accounts(bench), "Clearing": ESCROWS}
    for contract, accounts in parts.items():
        assert seal(bench, contract, accounts) == "too_early", "nobody announced anything"
    announce(bench, bench.successor())
    bench.now_s += LEAVING_S - 1
    for contract, accounts in parts.items():
        assert seal(bench, contract, accounts) == "too_early"
    assert announce(bench, None, index=1) == ""
    bench.now_s += LEAVING_S
    assert seal(bench, "Cash", cash_accounts(bench)) == "too_early"


def test_everyone_can_leave_meanwhile_without_the_operator(bench: Bench) -> None:
    bench.mint((BORIS, 40), to_escrow=True)
    announce(bench, bench.successor())
    once = bench.once()
    there = bench.escrow_of(BORIS)
    digest = acts.request_exit_digest(bench.domain("Clearing"), BORIS, there, **once)
    bench.do(acts.request_exit(BORIS, there, sign(BORIS, digest), **once))
    bench.now_s += HORIZON_S + DISPUTE_WINDOW_S - 1
    assert bench.try_(acts.exit_escrow(BORIS)) == "exit_too_early", "what was tradable can still be settled"
    bench.now_s += 1
    bench.do(acts.exit_escrow(BORIS))
    paid = acts.Payout(BORIS, 77 + there, b"\xaa" * 32, nonce=9, deadline_s=LATE_S)
    digest = acts.burn_digest(bench.domain("Cash"), paid)
    bench.do(acts.burn(paid, sign(BORIS, digest), bench.approve(CUSTODIAN, digest)))
    assert bench.cash_of(BORIS) == 0


def test_a_closed_contract_moves_nothing_any_more(bench: Bench) -> None:
    leaving(bench)
    for contract in ("Members", "Cash", "Clearing"):
        assert seal(bench, contract, []) == ""
    domain, once = bench.domain("Clearing"), bench.once()
    requesting = acts.request_exit_digest(domain, BORIS, 1, **once)
    rotating = acts.rotate_key_digest(bench.domain("Members"), BORIS, public(501), **once)
    mint = acts.Mint(BORIS, 5, b"\xbb" * 32, False)
    bench.attest()
    minting = acts.mint_many_digest(bench.domain("Cash"), [mint])
    for call in (
        acts.request_exit(BORIS, 1, sign(BORIS, requesting), **once),
        acts.rotate_key(BORIS, public(501), sign(BORIS, rotating), **once),
        acts.mint_many([mint], bench.approve(CUSTODIAN, minting)),
        acts.release([BORIS]),
        acts.escalate(ANNA),
        acts.apply_part(2, 0, []),
    ):
        assert bench.try_(call) == "closed", call.kind


def test_a_list_that_is_wrong_is_begun_again_and_only_governance_makes_one(bench: Bench) -> None:
    leaving(bench)
    accounts = cash_accounts(bench)
    assert seal(bench, "Cash", accounts, by=OPERATOR) == "approvals_missing"
    assert seal(bench, "Cash", accounts[::-1]) == "accounts_not_ascending"
    assert seal(bench, "Cash", [BORIS, BORIS]) == "accounts_not_ascending"
    assert seal(bench, "Cash", [accounts[1]]) == ""
    assert complete(bench, "Cash") == "total_not_supply"
    assert seal(bench, "Cash", [BORIS], 1) == "accounts_not_ascending", "it is too late for the one left out"
    assert seal(bench, "Cash", accounts, 0, afresh=True) == "index_out_of_order", "a list counts once"
    assert seal(bench, "Cash", accounts, 1, afresh=True) == ""
    assert complete(bench, "Cash") == ""
    assert complete(bench, "Cash") == "sealed"
    assert seal(bench, "Cash", accounts, 2, afresh=True) == "sealed"
    assert seal(bench, "Members", [ANNA, 4711]) == "unknown_member"


def test_who_only_owes_or_is_owed_can_not_be_left_out(bench: Bench) -> None:
    """Anna has no escrow, but arrears; Boris' held credit is no cash yet."""
    leaving(bench)
    assert bench.escrow_of(ANNA) == 0
    assert seal(bench, "Clearing", [FUND, BORIS, CLARA]) == ""
    assert complete(bench, "Clearing") == "account_missing"
    assert seal(bench, "Members", MEMBERS[:-1]) == ""
    assert complete(bench, "Members") == "account_missing"


def test_the_successor_takes_what_was_sealed_and_nothing_else(bench: Bench) -> None:
    new, accounts = leaving(bench), cash_accounts(bench)
    rows = cash_rows(bench, accounts)
    assert new.try_(migration_acts.import_part("Cash", rows, 0)) == "wrong_part", "nothing is sealed yet"
    seal(bench, "Cash", accounts)
    richer = [(BORIS, rows[0][1] + 1), rows[1]]
    assert new.try_(migration_acts.import_part("Cash", richer, 0)) == "wrong_part"
    assert new.try_(migration_acts.import_part("Cash", rows[:1], 0)) == "wrong_part"
    assert new.try_(migration_acts.import_part("Cash", rows, 1)) == "part_out_of_order"
    new.do(migration_acts.import_part("Cash", rows, 0))
    assert new.try_(migration_acts.import_part("Cash", rows, 0)) == "part_out_of_order", "imported twice"
    assert new.try_(migration_acts.open_successor("Cash")) == "not_sealed"
    complete(bench, "Cash")
    new.do(migration_acts.open_successor("Cash"))
    assert new.try_(migration_acts.open_successor("Cash")) == "not_importing"
    assert new.try_(migration_acts.import_part("Cash", rows, 0)) == "not_importing"
    seal(bench, "Clearing", ESCROWS)
    complete(bench, "Clearing")
    assert new.try_(migration_acts.open_successor("Clearing")) == "wrong_root"


def test_contracts_that_were_not_named_open_with_nothing(bench: Bench) -> None:
    new, accounts = leaving(bench), cash_accounts(bench)
    rows = cash_rows(bench, accounts)
    bench.now_s -= LEAVING_S
    named_otherwise = [new.addresses[name] for name in ("Members", "Receivables", "Clearing")]
    digest = migration_acts.announce_digest(bench.domain("Members"), *named_otherwise, 1)
    both = [Approval(member, sign(member, digest)) for member in (GOVERNANCE, TWO)]
    bench.do(migration_acts.announce(*named_otherwise, 1, both))
    bench.now_s += LEAVING_S
    seal(bench, "Cash", accounts)
    complete(bench, "Cash")
    new.do(migration_acts.import_part("Cash", rows, 0))
    assert new.try_(migration_acts.open_successor("Cash")) == "not_the_successor"


def test_a_bank_reference_of_before_is_used_after(bench: Bench) -> None:
    used = bench.named("Minted")[0]["reference"]
    new = leaving(bench)
    for contract, accounts, rows in (
        ("Members", MEMBERS, member_rows(bench, MEMBERS)),
        ("Cash", cash_accounts(bench), cash_rows(bench, cash_accounts(bench))),
    ):
        seal(bench, contract, accounts)
        complete(bench, contract)
        new.do(migration_acts.import_part(contract, rows, 0))
        new.do(migration_acts.open_successor(contract))
    assert new.attest() == ""
    mint = acts.Mint(BORIS, 5, used, False)
    digest = acts.mint_many_digest(new.domain("Cash"), [mint])
    assert new.try_(acts.mint_many([mint], new.approve(CUSTODIAN, digest))) == "reference_used"
