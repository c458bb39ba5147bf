# pragma version 0.4.3
"""
@title Escrow: what each account can settle from, what it owes, what is held back for it
@notice A credit is kept apart until its cycle is applied in full. Account 0 is the guarantee fund: it covers what
        debtors could not pay, and their arrears are owed to it. Nobody falls below zero, nothing is lost in rounding.
        Escrow in an event is all that the account has, the credits of the cycle being applied included.
        Whoever is in arrears goes down a ladder, each step with a deadline: margin call, suspension, case; whoever pays
        is off it. Stages: 0 nothing owed, 1 margin call, 2 suspended, 3 case.
"""

import migration

uses: migration


event Entered:
    member: indexed(uint256)
    amount: uint256
    escrow: uint256
    arrears: uint256

event Exited:
    member: indexed(uint256)
    amount: uint256
    escrow: uint256

# what the account has after its delta
event Settled:
    cycle: indexed(uint256)
    account: indexed(uint256)
    delta: int256
    escrow: uint256
    arrears: uint256
    held: uint256

event Covered:
    cycle: indexed(uint256)
    short: uint256
    covered: uint256

event FundChanged:
    escrow: uint256

event Released:
    account: indexed(uint256)
    amount: uint256
    escrow: uint256

# arrears began: whoever has not paid them by the deadline can be suspended
event MarginCalled:
    account: indexed(uint256)
    arrears: uint256
    deadline_s: uint256

# the member may not trade; a case can be opened after the deadline
event Suspended:
    account: indexed(uint256)
    arrears: uint256
    deadline_s: uint256

# governance decides what follows
event CaseOpened:
    account: indexed(uint256)
    arrears: uint256

event Cured:
    account: indexed(uint256)


FUND: constant(uint256) = 0
MAX_AMOUNT: constant(uint256) = 2**96 - 1
MARK: constant(uint256) = 1 << 192
CYCLE_AT: constant(uint256) = 193

MARGIN_CALL: constant(uint256) = 1
SUSPENDED: constant(uint256) = 2
CASE: constant(uint256) = 3
MARGIN_CALL_S: constant(uint256) = 86_400
SUSPENSION_S: constant(uint256) = 7 * 86_400

# where an account stands on the default ladder
struct Standing:
    arrears: uint256
    stage: uint256
    deadline_s: uint256


# the last cycle of which every part was applied
applied_cycle: public(uint256)
# deadline << 104 | stage << 96 | arrears, in one slot: a part of debtors only must fit one transaction too
standings: HashMap[uint256, uint256]
# the sum of all credits held back because debtors were short
total_held: public(uint256)
total_arrears: public(uint256)

# cycle << 193 | MARK | settled << 96 | credit, in one slot, for a cycle writes it once for each account that it names:
# the last cycle that named the account; whether it owes or waits for something, so that who does neither costs no
# second look; what it can spend; its credit of that cycle, which counts once the cycle is applied
accounts: HashMap[uint256, uint256]
# credits of the account that were held back
helds: HashMap[uint256, uint256]


@external
@view
def escrow_of(account: uint256) -> uint256:
    """
    @notice What an account can spend or owe from; account 0 is the guarantee fund
    @param account A member, or 0 for the guarantee fund
    @return Micro-yuan
    """
    packed: uint256 = self.accounts[account]
    if packed >> CYCLE_AT <= self.applied_cycle:
        return self._settled(packed) + (packed & MAX_AMOUNT)
    return self._settled(packed)


@external
@view
def held_of(account: uint256) -> uint256:
    """
    @notice Credits of the account that were held back and not released yet
    @param account A member, or 0 for the guarantee fund
    @return Micro-yuan
    """
    return self.helds[account]


@external
@view
def arrears_of(account: uint256) -> uint256:
    """
    @notice What the account could not pay and owes to the guarantee fund
    @param account A member
    @return Micro-yuan
    """
    return self.standings[account] & MAX_AMOUNT


@external
@view
def standing_of(account: uint256) -> Standing:
    """
    @notice Where the account stands on the default ladder
    @param account A member
    @return Arrears, stage (0 nothing owed, 1 margin call, 2 suspended, 3 case), the deadline of stages 1 and 2
    """
    standing: uint256 = self.standings[account]
    return Standing(
        arrears=standing & MAX_AMOUNT, stage=(standing >> 96) & 255, deadline_s=standing >> 104
    )


@external
def escalate(account: uint256):
    """
    @notice The next step of the default ladder, once the deadline of the last has passed; anyone may send it
    @dev Reverts: closed, nothing_owed, ladder_ended, deadline_not_passed.
    @param account A member in arrears
    """
    migration._check_open()
    standing: uint256 = self.standings[account]
    arrears: uint256 = standing & MAX_AMOUNT
    stage: uint256 = (standing >> 96) & 255
    assert stage != 0, "nothing_owed"
    assert stage != CASE, "ladder_ended"
    assert block.timestamp > standing >> 104, "deadline_not_passed"
    if stage == MARGIN_CALL:
        deadline_s: uint256 = block.timestamp + SUSPENSION_S
        self.standings[account] = deadline_s << 104 | SUSPENDED << 96 | arrears
        log Suspended(account=account, arrears=arrears, deadline_s=deadline_s)
    else:
        self.standings[account] = CASE << 96 | arrears
        log CaseOpened(account=account, arrears=arrears)


@internal
def _enter(member: uint256, amount: uint256):
    """
    @dev Money that reached this contract's account for a member; its arrears are paid first.
    """
    self._give(member, amount)
    log Entered(member=member, amount=amount, escrow=self._holding(member), arrears=self._arrears(member))


@internal
def _exit(member: uint256, wanted: uint256) -> uint256:
    """
    @dev Take out what is wanted, as far as it is there; returns what was taken.
    """
    self._fold(member)
    amount: uint256 = min(wanted, self._settled(self.accounts[member]))
    self._take(member, amount)
    log Exited(member=member, amount=amount, escrow=self._holding(member))
    return amount


@internal
def _take(account: uint256, amount: uint256) -> bool:
    """
    @dev Take an amount out of what an account can spend; whether it was there. Nothing is taken when it was not.
    """
    self._fold(account)
    packed: uint256 = self.accounts[account]
    if self._settled(packed) < amount:
        return False
    self.accounts[account] = packed - (amount << 96)
    return True


@internal
def _give(account: uint256, amount: uint256):
    """
    @dev Add to what an account can spend; its arrears are paid first.
    """
    self._fold(account)
    kept: uint256 = amount
    mark: uint256 = 0
    if self.accounts[account] & MARK != 0:
        kept -= self._pay_arrears(account, amount)
        mark = self._mark(account)
    packed: uint256 = self.accounts[account]
    self._set(account, packed >> CYCLE_AT, mark, self._settled(packed) + kept, packed & MAX_AMOUNT)


@internal
def _debit(cycle: uint256, account: uint256, owed: uint256) -> uint256:
    """
    @dev Take what is there, record the rest as arrears; returns what was taken.
    """
    packed: uint256 = self.accounts[account]
    assert packed >> CYCLE_AT != cycle, "account_twice"
    available: uint256 = self._settled(packed) + (packed & MAX_AMOUNT)
    taken: uint256 = min(owed, available)
    mark: uint256 = packed & MARK
    if taken != owed:
        self._add_arrears(account, owed - taken)
        mark = MARK
    self._set(account, cycle, mark, available - taken, 0)
    self._log_settled(cycle, account, -convert(owed, int256), available - taken, mark)
    return taken


@internal
def _cover(cycle: uint256, short: uint256) -> uint256:
    """
    @dev The guarantee fund stands in for what debtors could not pay, as far as it reaches; returns how far.
    """
    if short == 0:
        return 0
    fund: uint256 = self._settled(self.accounts[FUND])
    covered: uint256 = min(short, fund)
    self.accounts[FUND] -= covered << 96
    log Covered(cycle=cycle, short=short, covered=covered)
    log FundChanged(escrow=fund - covered)
    return covered


@internal
def _credit(cycle: uint256, account: uint256, due: uint256, collected: uint256, debited: uint256) -> uint256:
    """
    @dev Pay in proportion to what was collected, rounded down, arrears first; returns what was paid.
    """
    packed: uint256 = self.accounts[account]
    assert packed >> CYCLE_AT != cycle, "account_twice"
    paid: uint256 = due
    if collected != debited:
        paid = due * collected // debited
        self.helds[account] += due - paid
        self.total_held += due - paid
    kept: uint256 = paid
    mark: uint256 = packed & MARK
    if mark != 0:
        kept -= self._pay_arrears(account, paid)
    if mark != 0 or paid != due:
        mark = self._mark(account)
    before: uint256 = self._settled(packed) + (packed & MAX_AMOUNT)
    self._set(account, cycle, mark, before, kept)
    self._log_settled(cycle, account, convert(due, int256), before + kept, mark)
    return paid


@internal
def _finish(cycle: uint256, remainder: uint256):
    """
    @dev The credits of the cycle become spendable; what rounding down left over is the fund's.
    """
    self.applied_cycle = cycle
    if remainder != 0:
        self._add_to_fund(remainder)


@internal
def _release(accounts: DynArray[uint256, 100]):
    """
    @dev Pay what is held back, when the fund covers all of it: then the order does not matter.
    """
    assert self._settled(self.accounts[FUND]) >= self.total_held, "fund_short"
    for account: uint256 in accounts:
        self._fold(account)
        amount: uint256 = self.helds[account]
        if amount != 0:
            self.helds[account] = 0
            self.total_held -= amount
            self.accounts[FUND] -= amount << 96
            packed: uint256 = self.accounts[account]
            self._set(
                account,
                packed >> CYCLE_AT,
                self._mark(account),
                self._settled(packed) + amount,
                packed & MAX_AMOUNT,
            )
            log Released(account=account, amount=amount, escrow=self._holding(account))
    log FundChanged(escrow=self._settled(self.accounts[FUND]))


@internal
def _add_arrears(account: uint256, amount: uint256):
    """
    @dev More arrears; the first call the margin. The caller marks the account.
    """
    standing: uint256 = self.standings[account]
    arrears: uint256 = (standing & MAX_AMOUNT) + amount
    assert arrears <= MAX_AMOUNT, "amount_out_of_range"
    self.total_arrears += amount
    changed: uint256 = standing + amount
    if standing == 0:
        deadline_s: uint256 = block.timestamp + MARGIN_CALL_S
        changed = deadline_s << 104 | MARGIN_CALL << 96 | amount
        log MarginCalled(account=account, arrears=amount, deadline_s=deadline_s)
    self.standings[account] = changed


@internal
def _pay_arrears(account: uint256, amount: uint256) -> uint256:
    """
    @dev Arrears are owed to the fund, which covered them or will release what was held; returns what went there.
    """
    standing: uint256 = self.standings[account]
    arrears: uint256 = standing & MAX_AMOUNT
    if arrears == 0:
        return 0
    repaid: uint256 = min(arrears, amount)
    self.total_arrears -= repaid
    if repaid == arrears:
        self.standings[account] = 0
        log Cured(account=account)
    else:
        self.standings[account] = standing - repaid
    self._add_to_fund(repaid)
    return repaid


@internal
def _add_to_fund(amount: uint256):
    packed: uint256 = self.accounts[FUND]
    fund: uint256 = self._settled(packed) + amount
    self._set(FUND, packed >> CYCLE_AT, packed & MARK, fund, packed & MAX_AMOUNT)
    log FundChanged(escrow=fund)


@internal
def _take_over(account: uint256, amount: uint256, held: uint256, standing: uint256):
    """
    @dev An account as the predecessor had it, which counts every one once.
    """
    self.helds[account] = held
    self.standings[account] = standing
    self._set(account, 0, self._mark(account), amount, 0)
    self.total_held += held
    self.total_arrears += standing & MAX_AMOUNT


@internal
def _fold(account: uint256):
    """
    @dev Move a credit of an applied cycle to what is settled; one of the cycle being applied stays where it is.
    """
    packed: uint256 = self.accounts[account]
    credit: uint256 = packed & MAX_AMOUNT
    if credit != 0 and packed >> CYCLE_AT <= self.applied_cycle:
        self._set(account, packed >> CYCLE_AT, packed & MARK, self._settled(packed) + credit, 0)


@internal
def _log_settled(cycle: uint256, account: uint256, delta: int256, holding: uint256, mark: uint256):
    arrears: uint256 = 0
    held: uint256 = 0
    if mark != 0:
        arrears = self._arrears(account)
        held = self.helds[account]
    log Settled(cycle=cycle, account=account, delta=delta, escrow=holding, arrears=arrears, held=held)


@internal
@view
def _arrears(account: uint256) -> uint256:
    return self.standings[account] & MAX_AMOUNT


@internal
@view
def _holding(account: uint256) -> uint256:
    """
    @dev All that the account has, the credit of a cycle being applied included.
    """
    packed: uint256 = self.accounts[account]
    return self._settled(packed) + (packed & MAX_AMOUNT)


@internal
@view
def _mark(account: uint256) -> uint256:
    if self.standings[account] == 0 and self.helds[account] == 0:
        return 0
    return MARK


@internal
@pure
def _settled(packed: uint256) -> uint256:
    return (packed >> 96) & MAX_AMOUNT


@internal
def _set(account: uint256, cycle: uint256, mark: uint256, settled: uint256, credit: uint256):
    assert settled <= MAX_AMOUNT and credit <= MAX_AMOUNT, "amount_out_of_range"
    self.accounts[account] = cycle << CYCLE_AT | mark | settled << 96 | credit
