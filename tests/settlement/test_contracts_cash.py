"""Cash: supply = minted - burned = the sum of balances, a bank reference counts once, only contracts move money."""

from functools import cache

import pytest

from settlement import acts, calls
from settlement.acts import Mint, Payout
from settlement.chain import Call
from tests.settlement.contract_bench import CUSTODIAN, LATE_S, OPERATOR, YUAN, Bench, sign

ANNA, BORIS, STRANGER = 100, 101, 999
REFERENCE = b"\xaa" * 32


@cache
def _prepared() -> Bench:
    bench = Bench()
    bench.admit(ANNA, BORIS)
    return bench


@pytest.fixture
def bench() -> Bench:
    return _prepared().copy()


def minting(bench: Bench, *mints: Mint, by: int = CUSTODIAN) -> Call:
    digest = acts.mint_many_digest(bench.domain("Cash"), mints)
    return acts.mint_many(mints, bench.approve(by, digest))


def payout(bench: Bench, paid: Payout, *, member: int = ANNA, custodian: int = CUSTODIAN) -> str:
    digest = acts.burn_digest(bench.domain("Cash"), paid)
    return bench.try_(acts.burn(paid, sign(member, digest), bench.approve(custodian, digest)))


def test_money_arrives_on_balances_in_escrow_and_in_the_fund(bench: Bench) -> None:
    bench.do(
        minting(
            bench,
            Mint(ANNA, 5 * YUAN, b"\1" * 32, False),
            Mint(BORIS, 7 * YUAN, b"\2" * 32, True),
            Mint(acts.FUND, 3 * YUAN, b"\3" * 32, True),
        )
    )
    assert bench.cash_of(ANNA) == 5 * YUAN
    assert (bench.cash_of(BORIS), bench.escrow_of(BORIS)) == (0, 7 * YUAN)
    assert bench.escrow_of(acts.FUND) == 3 * YUAN
    assert bench.cash_of(bench.clearing_account) == 10 * YUAN
    assert bench.view(calls.supply()) == 15 * YUAN


def test_a_reference_is_minted_once_and_a_batch_counts_whole_or_not_at_all(bench: Bench) -> None:
    bench.do(minting(bench, Mint(ANNA, 5, REFERENCE, False)))
    again = minting(bench, Mint(ANNA, 5, REFERENCE, False))
    assert bench.try_(again) == "reference_used"
    with_another = minting(bench, Mint(ANNA, 5, b"\1" * 32, False), Mint(ANNA, 5, REFERENCE, False))
    assert bench.try_(with_another) == "reference_used"
    twice_inside = minting(bench, Mint(ANNA, 5, b"\2" * 32, False), Mint(BORIS, 5, b"\2" * 32, False))
    assert bench.try_(twice_inside) == "reference_used"
    assert bench.cash_of(ANNA) == bench.view(calls.supply()) == 5


@pytest.mark.parametrize(
    ("mint", "refusal"),
    [
        (Mint(ANNA, 0, REFERENCE, False), "amount_out_of_range"),
        (Mint(ANNA, 2**96, REFERENCE, False), "amount_out_of_range"),
        (Mint(STRANGER, 5, REFERENCE, False), "unknown_member"),
        (Mint(STRANGER, 5, REFERENCE, True), "unknown_member"),
        (Mint(acts.FUND, 5, REFERENCE, False), "unknown_member"),
    ],
)
def test_minting_is_refused(bench: Bench, mint: Mint, refusal: str) -> None:
    assert bench.try_(minting(bench, mint)) == refusal


def test_only_the_custodian_mints_and_what_it_signed(bench: Bench) -> None:
    mint = Mint(ANNA, 5, REFERENCE, False)
    assert bench.try_(minting(bench, mint, by=OPERATOR)) == "approvals_missing"
    digest = acts.mint_many_digest(bench.domain("Cash"), [mint])
    more = acts.mint_many([mint._replace(amount_micro=6)], bench.approve(CUSTODIAN, digest))
    assert bench.try_(more) == "approvals_missing"


def test_a_payout_needs_both_signatures_the_money_and_a_fresh_reference(bench: Bench) -> None:
    bench.mint((ANNA, 100))
    paid = Payout(ANNA, 60, REFERENCE, nonce=1, deadline_s=LATE_S)
    assert payout(bench, paid, member=BORIS) == "bad_signature"
    assert payout(bench, paid, custodian=OPERATOR) == "approvals_missing"
    assert payout(bench, paid._replace(amount_micro=101)) == "insufficient_cash"
    assert payout(bench, paid._replace(amount_micro=0)) == "amount_out_of_range"
    assert payout(bench, paid._replace(deadline_s=bench.now_s - 1)) == "deadline_passed"
    assert payout(bench, paid) == ""
    assert payout(bench, paid) == "reference_used"
    assert payout(bench, paid._replace(reference=b"\1" * 32, amount_micro=10)) == "nonce_used"
    assert bench.cash_of(ANNA) == bench.view(calls.supply()) == 40


def mint_again(bench: Bench) -> str:
    return bench.try_(minting(bench, Mint(ANNA, 5, bench.nonce().to_bytes(32, "big"), False)))


def test_nothing_is_minted_without_the_custodians_word_of_the_last_36_hours(bench: Bench) -> None:
    bench.now_s += 36 * 3600
    assert mint_again(bench) == "", "deployment counts as the first"
    bench.now_s += 1
    assert mint_again(bench) == "balance_late"
    assert bench.attest(100) == ""
    assert mint_again(bench) == ""
    bench.now_s += 36 * 3600 + 1
    assert mint_again(bench) == "balance_late"


def test_a_balance_below_supply_stops_minting_until_it_is_whole_again(bench: Bench) -> None:
    bench.mint((ANNA, 100))
    bench.now_s += 1
    assert bench.attest(99) == ""
    assert bench.named("BalanceAttested") == [{"as_of_s": bench.now_s, "balance": 99, "supply": 100}]
    assert mint_again(bench) == "balance_below_supply"
    assert payout(bench, Payout(ANNA, 60, REFERENCE, nonce=1, deadline_s=LATE_S)) == "", "paying out goes on"
    assert mint_again(bench) == "balance_below_supply", "as it was when it was signed"
    bench.now_s += 1
    assert bench.attest(40) == ""
    assert mint_again(bench) == ""


def test_a_balance_is_the_custodians_newer_than_the_last_and_not_of_tomorrow(bench: Bench) -> None:
    bench.now_s += 1000
    assert bench.attest(100, by=OPERATOR) == "approvals_missing"
    assert bench.attest(100, as_of_s=bench.now_s + 601) == "balance_from_the_future"
    assert bench.attest(100, as_of_s=bench.now_s + 600) == ""
    assert bench.attest(100, as_of_s=bench.now_s + 600) == "balance_not_newer"
    assert bench.attest(100) == "balance_not_newer"


def test_only_clearing_receivables_and_sales_move_money(bench: Bench) -> None:
    bench.mint((ANNA, 100))
    move = calls.call("Cash", "move", ("uint256", "uint256", "uint256"), ANNA, BORIS, 1)
    spread = calls.call("Cash", "spread", ("uint256", "(uint256,uint256)[]"), ANNA, [(BORIS, 1)])
    mint_escrow = calls.call("Clearing", "enter_minted", ("(uint256,uint256)[]",), [(BORIS, 5)])
    assert bench.try_(move) == bench.try_(spread) == "not_a_mover"
    assert bench.try_(mint_escrow) == "not_cash"


def test_events_carry_the_balances_they_left(bench: Bench) -> None:
    bench.mint((ANNA, 100))
    digest = acts.enter_digest(bench.domain("Clearing"), ANNA, 30, nonce=1, deadline_s=LATE_S)
    bench.do(acts.enter(ANNA, 30, sign(ANNA, digest), nonce=1, deadline_s=LATE_S))
    assert bench.named("Minted")[-1]["balance"] == 100
    moved = bench.named("Moved")[-1]
    assert (moved["source"], moved["target"], moved["amount"]) == (ANNA, bench.clearing_account, 30)
    assert (moved["source_balance"], moved["target_balance"]) == (70, 30)
    assert bench.named("Entered")[-1] == {"member": ANNA, "amount": 30, "escrow": 30, "arrears": 0}
