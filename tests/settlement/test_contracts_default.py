"""When a debtor is short: what is there is taken, the fund covers, the rest is held back fairly; nothing is lost."""

import random
from functools import cache
from typing import NamedTuple

import pytest

from settlement import acts, calls
from settlement.acts import FUND, Delta
from settlement.evm import TRANSACTION_GAS_CAP
from tests.settlement.contract_bench import CUSTODIAN, LATE_S, REGULATOR, Bench, sign

ANNA, BORIS, CLARA, DAVID = 100, 101, 102, 103
DAY_S = 86_400


@cache
def _admitted() -> Bench:
    bench = Bench()
    bench.admit(ANNA, BORIS, CLARA, DAVID)
    return bench


def bench_with(*escrows: tuple[int, int]) -> Bench:
    bench = _admitted().copy()
    bench.mint(*escrows, to_escrow=True)
    return bench


def arrears_of(bench: Bench, account: int) -> int:
    return int(bench.view(calls.arrears_of(account)))


def held_of(bench: Bench, account: int) -> int:
    return int(bench.view(calls.held_of(account)))


def test_the_guarantee_fund_covers_what_a_debtor_lacks() -> None:
    bench = bench_with((ANNA, 30), (FUND, 1000))
    bench.settle(1, [Delta(ANNA, -100), Delta(CLARA, 100)])
    assert (bench.escrow_of(ANNA), arrears_of(bench, ANNA)) == (0, 70)
    assert (bench.escrow_of(CLARA), held_of(bench, CLARA)) == (100, 0)
    assert bench.escrow_of(FUND) == 930
    assert bench.named("Covered")[-1] == {"cycle": 1, "short": 70, "covered": 70}


def test_without_a_fund_credits_are_held_back_in_proportion_and_the_remainder_stays() -> None:
    bench = bench_with((ANNA, 10), (BORIS, 60))
    bench.settle(1, [Delta(ANNA, -40), Delta(BORIS, -60), Delta(CLARA, 33), Delta(DAVID, 67)])
    # 70 of 100 were collected: 33 * 70 // 100 and 67 * 70 // 100, one micro over
    assert (bench.escrow_of(CLARA), held_of(bench, CLARA)) == (23, 10)
    assert (bench.escrow_of(DAVID), held_of(bench, DAVID)) == (46, 21)
    assert bench.escrow_of(FUND) == 1
    assert arrears_of(bench, ANNA) == 30


def test_a_fund_that_is_too_small_covers_what_it_can() -> None:
    bench = bench_with((ANNA, 50), (FUND, 30))
    bench.settle(1, [Delta(ANNA, -100), Delta(CLARA, 50), Delta(DAVID, 50)])
    assert (bench.escrow_of(CLARA), bench.escrow_of(DAVID)) == (40, 40)
    assert (held_of(bench, CLARA), bench.escrow_of(FUND)) == (10, 0)


def test_arrears_are_paid_from_the_next_credit_and_the_next_deposit() -> None:
    bench = bench_with((BORIS, 1000), (FUND, 100))
    bench.settle(1, [Delta(ANNA, -100), Delta(CLARA, 100)])
    bench.settle(2, [Delta(BORIS, -30), Delta(ANNA, 30)])
    assert (bench.escrow_of(ANNA), arrears_of(bench, ANNA), bench.escrow_of(FUND)) == (0, 70, 30)
    bench.mint((ANNA, 90), to_escrow=True)
    assert (bench.escrow_of(ANNA), arrears_of(bench, ANNA), bench.escrow_of(FUND)) == (20, 0, 100)
    assert bench.named("Entered")[-1] == {"member": ANNA, "amount": 90, "escrow": 20, "arrears": 0}


def test_what_was_held_back_is_released_when_the_fund_reaches_for_all_of_it() -> None:
    bench = bench_with((ANNA, 40))
    bench.settle(1, [Delta(ANNA, -100), Delta(CLARA, 50), Delta(DAVID, 50)])
    assert bench.try_(acts.release([CLARA])) == "fund_short"
    bench.mint((ANNA, 60), to_escrow=True)
    bench.do(acts.release([CLARA, DAVID, BORIS]))
    assert (bench.escrow_of(CLARA), bench.escrow_of(DAVID), bench.escrow_of(FUND)) == (50, 50, 0)
    bench.do(acts.release([CLARA]))
    assert bench.escrow_of(CLARA) == 50


def test_nothing_is_released_between_the_parts_of_a_cycle() -> None:
    bench = bench_with((ANNA, 40), (BORIS, 100))
    bench.settle(1, [Delta(ANNA, -100), Delta(CLARA, 100)])
    bench.mint((FUND, 60), to_escrow=True)
    proposal = bench.proposal(2, parts := ([Delta(BORIS, -10)], [Delta(DAVID, 10)]))
    bench.now_s = max(bench.now_s, proposal.end_s)
    bench.do(bench.propose(proposal))
    bench.now_s += 10**5
    bench.do(acts.apply_part(2, 0, parts[0]))
    assert bench.try_(acts.release([CLARA])) == "cycle_being_applied"
    bench.do(acts.apply_part(2, 1, parts[1]))
    bench.do(acts.release([CLARA]))


def test_a_frozen_member_settles_and_receives_but_withdraws_and_transfers_nothing() -> None:
    bench = bench_with((ANNA, 100), (BORIS, 100))
    bench.mint((ANNA, 50))
    domain, once, again = bench.domain("Clearing"), bench.once(), bench.once()
    asked = sign(ANNA, acts.request_exit_digest(domain, ANNA, 10, **once))
    bench.do(acts.request_exit(ANNA, 10, asked, **once))
    digest = acts.freeze_digest(bench.domain("Members"), ANNA, True, 0)
    bench.do(acts.freeze(ANNA, True, 0, bench.approve(REGULATOR, digest)))
    bench.settle(1, [Delta(ANNA, -30), Delta(BORIS, 30)])
    bench.settle(2, [Delta(BORIS, -5), Delta(ANNA, 5)])
    assert bench.escrow_of(ANNA) == 75
    bench.now_s += 15 * DAY_S
    assert bench.try_(acts.exit_escrow(ANNA)) == "member_frozen", "though nobody applied a cycle for 14 days"
    asked = sign(ANNA, acts.request_exit_digest(domain, ANNA, 10, **again))
    assert bench.try_(acts.request_exit(ANNA, 10, asked, **again)) == "member_frozen"
    entering = sign(ANNA, acts.enter_digest(domain, ANNA, 10, **again))
    assert bench.try_(acts.enter(ANNA, 10, entering, **again)) == "member_frozen"
    paid = acts.Payout(ANNA, 10, b"\xaa" * 32, nonce=9, deadline_s=LATE_S)
    digest = acts.burn_digest(bench.domain("Cash"), paid)
    assert bench.try_(acts.burn(paid, sign(ANNA, digest), bench.approve(CUSTODIAN, digest))) == "member_frozen"
    assert (bench.cash_of(ANNA), bench.escrow_of(ANNA)) == (50, 75)


# ------------------------------------------------------------------------------------------ the default ladder


def standing_of(bench: Bench, account: int) -> tuple[int, int, int]:
    """Arrears, stage, deadline."""
    found: tuple[int, int, int] = bench.view(calls.standing_of(account))
    return found


def in_arrears() -> Bench:
    """Anna could not pay 70 of 100 in cycle 1; Clara got what there was."""
    bench = bench_with((ANNA, 30))
    bench.settle(1, [Delta(ANNA, -100), Delta(CLARA, 100)])
    return bench


def test_arrears_call_the_margin_and_then_each_step_waits_for_its_deadline() -> None:
    bench = in_arrears()
    deadline_s = bench.now_s + DAY_S
    assert bench.named("MarginCalled") == [{"account": ANNA, "arrears": 70, "deadline_s": deadline_s}]
    assert standing_of(bench, ANNA) == (70, 1, deadline_s)
    bench.now_s = deadline_s
    assert bench.try_(acts.escalate(ANNA)) == "deadline_not_passed"
    bench.now_s += 1
    bench.do(acts.escalate(ANNA))
    suspended_until_s = bench.now_s + 7 * DAY_S
    assert standing_of(bench, ANNA) == (70, 2, suspended_until_s)
    assert bench.named("Suspended") == [{"account": ANNA, "arrears": 70, "deadline_s": suspended_until_s}]
    bench.now_s = suspended_until_s
    assert bench.try_(acts.escalate(ANNA)) == "deadline_not_passed"
    bench.now_s += 1
    bench.do(acts.escalate(ANNA))
    assert standing_of(bench, ANNA) == (70, 3, 0)
    assert bench.named("CaseOpened") == [{"account": ANNA, "arrears": 70}]
    bench.now_s += 10**9
    assert bench.try_(acts.escalate(ANNA)) == "ladder_ended"


def test_whoever_owes_nothing_is_not_on_the_ladder() -> None:
    bench = in_arrears()
    bench.now_s += 10**9
    assert bench.try_(acts.escalate(CLARA)) == bench.try_(acts.escalate(FUND)) == "nothing_owed"


def test_more_arrears_do_not_move_the_deadline() -> None:
    bench = in_arrears()
    _, _, deadline_s = standing_of(bench, ANNA)
    bench.settle(2, [Delta(ANNA, -5), Delta(CLARA, 5)])
    assert standing_of(bench, ANNA) == (75, 1, deadline_s)
    assert len(bench.named("MarginCalled")) == 1


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_whoever_pays_all_is_off_the_ladder_and_what_was_held_is_paid(steps: int) -> None:
    bench = in_arrears()
    for _ in range(steps):
        bench.now_s += 8 * DAY_S
        bench.do(acts.escalate(ANNA))
    before = standing_of(bench, ANNA)
    bench.mint((ANNA, 69), to_escrow=True)
    assert standing_of(bench, ANNA) == (1, *before[1:]), "one micro short is still owing"
    assert bench.named("Cured") == []
    bench.mint((ANNA, 1), to_escrow=True)
    assert standing_of(bench, ANNA) == (0, 0, 0)
    assert bench.named("Cured") == [{"account": ANNA}]
    bench.do(acts.release([CLARA]))
    assert (bench.escrow_of(CLARA), held_of(bench, CLARA), bench.escrow_of(FUND)) == (100, 0, 0)


def test_a_credit_pays_arrears_too_and_owing_again_begins_at_the_first_step() -> None:
    bench = in_arrears()
    bench.now_s += 2 * DAY_S
    bench.do(acts.escalate(ANNA))
    bench.mint((BORIS, 100), to_escrow=True)
    bench.settle(2, [Delta(BORIS, -80), Delta(ANNA, 80)])
    assert standing_of(bench, ANNA) == (0, 0, 0)
    bench.settle(3, [Delta(ANNA, -15), Delta(CLARA, 15)])
    assert standing_of(bench, ANNA) == (5, 1, bench.now_s + DAY_S)


def test_a_part_of_three_hundred_who_can_not_pay_fits_one_transaction() -> None:
    bench = Bench()
    debtors = list(range(1_000, 1_300))
    deltas = [Delta(member, -1_000_000) for member in debtors]
    creditor = [Delta(2_000, 300_000_000)]
    proposal = bench.proposal(1, [deltas, creditor])
    bench.now_s = proposal.end_s
    bench.do(bench.propose(proposal))
    bench.now_s += 10**5
    bench.do(acts.apply_part(1, 0, deltas))
    assert bench.gas < TRANSACTION_GAS_CAP
    assert len(bench.named("MarginCalled")) == 300


# ---------------------------------------------------------- many cycles at random, against an obvious model


class Account(NamedTuple):
    """What the model knows of one account, in micro-yuan."""

    escrow: int = 0
    arrears: int = 0
    held: int = 0


def settled_by_model(accounts: dict[int, Account], deltas: list[Delta]) -> None:
    """One cycle: debits as far as they go, the fund for the rest, credits in proportion, arrears first."""
    owed = collected = 0
    for account, amount in deltas:
        if amount < 0:
            before = accounts[account]
            taken = min(-amount, before.escrow)
            owed, collected = owed - amount, collected + taken
            accounts[account] = Account(before.escrow - taken, before.arrears - amount - taken, before.held)
    covered = min(owed - collected, accounts[FUND].escrow)
    collected += covered
    fund = accounts[FUND].escrow - covered
    credited = 0
    for account, amount in deltas:
        if amount > 0:
            before = accounts[account]
            paid = amount * collected // owed
            repaid = min(paid, before.arrears)
            credited, fund = credited + paid, fund + repaid
            accounts[account] = Account(
                before.escrow + paid - repaid, before.arrears - repaid, before.held + amount - paid
            )
    accounts[FUND] = Account(fund + collected - credited)


def deltas_at_random(chance: random.Random, members: list[int]) -> list[Delta]:
    debtors = sorted(chance.sample(members, chance.randint(1, len(members) - 1)))
    creditors = sorted(set(members) - set(debtors))
    amounts = [chance.randint(1, 10**6) for _ in creditors]
    total = sum(amounts)
    cuts = sorted(chance.sample(range(1, total), len(debtors) - 1))
    shares = [high - low for low, high in zip([0, *cuts], [*cuts, total], strict=True)]
    debits = [Delta(member, -share) for member, share in zip(debtors, shares, strict=True)]
    return [*debits, *(Delta(member, amount) for member, amount in zip(creditors, amounts, strict=True))]


@pytest.mark.parametrize("seed", [1, 2])
def test_many_cycles_settle_as_the_model_says_and_conserve_every_micro(seed: int) -> None:
    chance = random.Random(seed)
    members = list(range(100, 108))
    bench = Bench()
    bench.admit(*members)
    start = [(member, chance.randint(1, 2 * 10**6)) for member in members]
    bench.mint(*start, (FUND, 10**6), to_escrow=True)
    accounts = {member: Account(micro) for member, micro in [*start, (FUND, 10**6)]}
    supply = bench.view(calls.supply())
    for cycle in range(1, 7):
        deltas = deltas_at_random(chance, members)
        cut = chance.randint(0, len(deltas))
        bench.events.clear()
        bench.settle(cycle, deltas[:cut], deltas[cut:])
        settled_by_model(accounts, deltas)
        said = {each["account"]: (each["escrow"], each["arrears"], each["held"]) for each in bench.named("Settled")}
        assert said == {account: tuple(accounts[account]) for account in said}
        assert len(said) == len(deltas)
    found = {
        account: Account(bench.escrow_of(account), arrears_of(bench, account), held_of(bench, account))
        for account in accounts
    }
    assert found == accounts
    assert sum(account.escrow for account in found.values()) == bench.cash_of(bench.clearing_account) == supply
