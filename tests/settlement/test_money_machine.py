"""Cash, escrow and the default ladder under acts at random, beside a plain model: every micro-yuan is somewhere.

Supply = minted - burned = the sum of all balances; nobody falls below zero; a reference is minted once; what is held
back and what is owed are accounted; a stage follows from arrears and time.
"""

import os
from dataclasses import dataclass, field
from functools import cache

from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from settlement import acts, calls
from settlement.acts import FUND, Delta
from tests.settlement.contract_bench import CUSTODIAN, LATE_S, Bench, sign

MEMBERS = [100, 101, 102]
DAY_S = 86_400
AMOUNTS = some.integers(1, 10**6)
WHO = some.sampled_from(MEMBERS)


@cache
def _admitted() -> Bench:
    bench = Bench()
    bench.admit(*MEMBERS)
    return bench


@dataclass
class Money:
    """One account as the model has it; stage and deadline are those of the ladder."""

    cash: int = 0
    escrow: int = 0
    arrears: int = 0
    held: int = 0
    stage: int = 0
    deadline_s: int = 0


@dataclass
class Model:
    accounts: dict[int, Money] = field(default_factory=lambda: {each: Money() for each in [FUND, *MEMBERS]})

    def receive(self, account: int, amount: int) -> None:
        """Into escrow, arrears first; those go to the fund."""
        money = self.accounts[account]
        repaid = min(amount, money.arrears)
        money.arrears -= repaid
        money.escrow += amount - repaid
        self.accounts[FUND].escrow += repaid
        if repaid and not money.arrears:
            money.stage = money.deadline_s = 0

    def settle(self, debtor: int, creditor: int, amount: int, now_s: int) -> None:
        payer, fund = self.accounts[debtor], self.accounts[FUND]
        taken = min(amount, payer.escrow)
        payer.escrow -= taken
        if taken < amount:
            if not payer.arrears:
                payer.stage, payer.deadline_s = 1, now_s + DAY_S
            payer.arrears += amount - taken
        covered = min(amount - taken, fund.escrow)
        fund.escrow -= covered
        paid = amount * (taken + covered) // amount
        self.accounts[creditor].held += amount - paid
        self.receive(creditor, paid)


class MoneyMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.bench = _admitted().copy()
        self.model = Model()
        self.minted = self.burned = self.cycle = 0
        self.mints: list[acts.Mint] = []

    @rule(member=some.sampled_from([FUND, *MEMBERS]), amount=AMOUNTS, to_escrow=some.booleans())
    def mint(self, member: int, amount: int, to_escrow: bool) -> None:
        to_escrow = to_escrow or member == FUND
        self.bench.mint((member, amount), to_escrow=to_escrow)
        self.minted += amount
        if to_escrow:
            self.model.receive(member, amount)
        else:
            self.model.accounts[member].cash += amount

    @rule(amount=AMOUNTS, member=WHO)
    def mint_a_reference_twice(self, amount: int, member: int) -> None:
        mint = acts.Mint(member, amount, self.bench.nonce().to_bytes(32, "big"), False)
        self.bench.attest()
        digest = acts.mint_many_digest(self.bench.domain("Cash"), [mint])
        call = acts.mint_many([mint], self.bench.approve(CUSTODIAN, digest))
        self.bench.do(call)
        assert self.bench.try_(call) == "reference_used"
        self.minted += amount
        self.model.accounts[member].cash += amount

    @rule(member=WHO, amount=AMOUNTS)
    def enter(self, member: int, amount: int) -> None:
        once = self.bench.once()
        digest = acts.enter_digest(self.bench.domain("Clearing"), member, amount, **once)
        refused = self.bench.try_(acts.enter(member, amount, sign(member, digest), **once))
        money = self.model.accounts[member]
        assert refused == ("insufficient_cash" if amount > money.cash else "")
        if not refused:
            money.cash -= amount
            self.model.receive(member, amount)

    @rule(member=WHO, amount=AMOUNTS)
    def leave(self, member: int, amount: int) -> None:
        """Asked for, and taken 14 days later without the operator, as far as it is there."""
        once = self.bench.once()
        digest = acts.request_exit_digest(self.bench.domain("Clearing"), member, amount, **once)
        self.bench.do(acts.request_exit(member, amount, sign(member, digest), **once))
        assert self.bench.try_(acts.exit_escrow(member)) == "exit_too_early"
        self.bench.now_s += 14 * DAY_S
        self.bench.do(acts.exit_escrow(member))
        money = self.model.accounts[member]
        left = min(amount, money.escrow)
        money.escrow -= left
        money.cash += left

    @rule(member=WHO, amount=AMOUNTS)
    def burn(self, member: int, amount: int) -> None:
        paid = acts.Payout(member, amount, self.bench.nonce().to_bytes(32, "big"), self.bench.nonce(), LATE_S)
        digest = acts.burn_digest(self.bench.domain("Cash"), paid)
        refused = self.bench.try_(acts.burn(paid, sign(member, digest), self.bench.approve(CUSTODIAN, digest)))
        money = self.model.accounts[member]
        assert refused == ("insufficient_cash" if amount > money.cash else "")
        if not refused:
            money.cash -= amount
            self.burned += amount

    @rule(sides=some.permutations(MEMBERS), amount=AMOUNTS)
    def settle(self, sides: list[int], amount: int) -> None:
        debtor, creditor, _ = sides
        self.cycle += 1
        self.bench.settle(self.cycle, [Delta(debtor, -amount), Delta(creditor, amount)])
        self.model.settle(debtor, creditor, amount, self.bench.now_s)

    @rule(member=WHO, wait_s=some.sampled_from([0, DAY_S + 1, 8 * DAY_S]))
    def escalate(self, member: int, wait_s: int) -> None:
        self.bench.now_s += wait_s
        money, now_s = self.model.accounts[member], self.bench.now_s
        refused = self.bench.try_(acts.escalate(member))
        if money.stage in (0, 3):
            assert refused == ("ladder_ended" if money.stage else "nothing_owed")
        elif now_s <= money.deadline_s:
            assert refused == "deadline_not_passed"
        else:
            assert refused == ""
            money.stage += 1
            money.deadline_s = now_s + 7 * DAY_S if money.stage == 2 else 0

    @rule()
    def release(self) -> None:
        held, fund = sum(each.held for each in self.model.accounts.values()), self.model.accounts[FUND]
        refused = self.bench.try_(acts.release(MEMBERS))
        assert refused == ("fund_short" if fund.escrow < held else "")
        if not refused:
            fund.escrow -= held
            for money in self.model.accounts.values():
                money.escrow, money.held = money.escrow + money.held, 0

    @invariant()
    def every_micro_is_somewhere(self) -> None:
        bench = self.bench
        for account, money in self.model.accounts.items():
            standing = bench.view(calls.standing_of(account))
            assert standing == (money.arrears, money.stage, money.deadline_s)
            assert (bench.escrow_of(account), bench.view(calls.held_of(account))) == (money.escrow, money.held)
            if account != FUND:
                assert bench.cash_of(account) == money.cash
        escrow = sum(each.escrow for each in self.model.accounts.values())
        cash = sum(each.cash for each in self.model.accounts.values())
        assert bench.cash_of(bench.clearing_account) == escrow
        assert bench.view(calls.supply()) == self.minted - self.burned == cash + escrow


TestMoney = MoneyMachine.TestCase
TestMoney.settings = settings(
    max_examples=500 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 4, stateful_step_count=12, deadline=None
)
