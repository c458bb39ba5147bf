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

# what an account can spend, without the credit below
settled: HashMap[uint256, uint256]
# cycle << 192 | held << 96 | credit, in one slot so that 300 accounts always fit one transaction's gas:
# the last cycle that named the account; what is held back for it; its credit of that cycle, which counts once applied
latest: HashMap[uint256, uint256]


@external
@view
def escrow_of(account: uint256) -> uint256:
    """
    @notice What an account can spend or owe from; account 0 is the guarantee fund
    @param account A member, or 0 for the guarantee fund
    """
    cycle: uint256 = 0
    held: uint256 = 0
    credit: uint256 = 0
    cycle, held, credit = self._latest(account)
    if cycle <= self.applied_cycle:
        return self.settled[account] + credit
    return self.settled[account]


@external
@view
def held_of(account: uint256) -> uint256:
    """
    @notice Credits of the account that were held back and not released yet
    @param account A member, or 0 for the guarantee fund
    """
    return (self.latest[account] >> 96) & MAX_AMOUNT


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
    self._fold(member)
    kept: uint256 = amount - self._pay_arrears(member, amount)
    self.settled[member] += kept
    log Entered(member=member, amount=amount, escrow=self._holding(member), arrears=self._arrears(member))


@internal
def _exit(member: uint256, wanted: uint256) -> uint256:
    """
    @dev Take out what is wanted, as far as it is there; returns what was taken.
    """
    self._fold(member)
    amount: uint256 = min(wanted, self.settled[member])
    self.settled[member] -= amount
    log Exited(member=member, amount=amount, escrow=self._holding(member))
    return amount


@internal
def _debit(cycle: uint256, account: uint256, owed: uint256) -> uint256:
    """
    @dev Take what is there, record the rest as arrears; returns what was taken.
    """
    last_cycle: uint256 = 0
    held: uint256 = 0
    credit: uint256 = 0
    last_cycle, held, credit = self._latest(account)
    assert last_cycle != cycle, "account_twice"
    available: uint256 = self.settled[account] + credit
    taken: uint256 = min(owed, available)
    standing: uint256 = self.standings[account]
    if taken != owed:
        standing = self._add_arrears(account, standing, owed - taken)
    arrears: uint256 = standing & MAX_AMOUNT
    self.settled[account] = available - taken
    self._set_latest(account, cycle, held, 0)
    log Settled(
        cycle=cycle,
        account=account,
        delta=-convert(owed, int256),
        escrow=available - taken,
        arrears=arrears,
        held=held,
    )
    return taken


@internal
def _cover(cycle: uint256, short: uint256) -> uint256:
    """
    @dev The guarantee fund stands in for what debtors could not pay, as far as it reaches; returns how far.
    """
    if short == 0:
        return 0
    covered: uint256 = min(short, self.settled[FUND])
    self.settled[FUND] -= covered
    log Covered(cycle=cycle, short=short, covered=covered)
    log FundChanged(escrow=self.settled[FUND])
    return covered


@internal
def _credit(cycle: uint256, account: uint256, due: uint256, collected: uint256, debited: uint256) -> uint256:
    """
    @dev Pay in proportion to what was collected, rounded down, arrears first; returns what was paid.
    """
    last_cycle: uint256 = 0
    held: uint256 = 0
    credit: uint256 = 0
    last_cycle, held, credit = self._latest(account)
    assert last_cycle != cycle, "account_twice"
    paid: uint256 = due
    if collected != debited:
        paid = due * collected // debited
        held += due - paid
        self.total_held += due - paid
    kept: uint256 = paid - self._pay_arrears(account, paid)
    before: uint256 = self.settled[account] + credit
    if credit != 0:
        self.settled[account] = before
    self._set_latest(account, cycle, held, kept)
    log Settled(
        cycle=cycle,
        account=account,
        delta=convert(due, int256),
        escrow=before + kept,
        arrears=self._arrears(account),
        held=held,
    )
    return paid


@internal
def _finish(cycle: uint256, remainder: uint256):
    """
    @dev The credits of the cycle become spendable; what rounding down left over is the fund's.
    """
    self.applied_cycle = cycle
    if remainder != 0:
        self.settled[FUND] += remainder
        log FundChanged(escrow=self.settled[FUND])


@internal
def _release(accounts: DynArray[uint256, 100]):
    """
    @dev Pay what is held back, when the fund covers all of it: then the order does not matter.
    """
    assert self.settled[FUND] >= self.total_held, "fund_short"
    for account: uint256 in accounts:
        self._fold(account)
        cycle: uint256 = 0
        amount: uint256 = 0
        credit: uint256 = 0
        cycle, amount, credit = self._latest(account)
        if amount != 0:
            self._set_latest(account, cycle, 0, credit)
            self.total_held -= amount
            self.settled[FUND] -= amount
            self.settled[account] += amount
            log Released(account=account, amount=amount, escrow=self._holding(account))
    log FundChanged(escrow=self.settled[FUND])


@internal
def _add_arrears(account: uint256, standing: uint256, amount: uint256) -> uint256:
    """
    @dev More arrears; the first call the margin. Returns what the account's slot holds now.
    """
    arrears: uint256 = (standing & MAX_AMOUNT) + amount
    assert arrears <= MAX_AMOUNT, "amount_out_of_range"
    self.total_arrears += amount
    changed: uint256 = standing + amount
    if standing == 0:
        deadline_s: uint256 = block.timestamp + MARGIN_CALL_S
        changed = deadline_s << 104 | MARGIN_CALL << 96 | amount
        log MarginCalled(account=account, arrears=amount, deadline_s=deadline_s)
    self.standings[account] = changed
    return changed


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
    self.settled[FUND] += repaid
    log FundChanged(escrow=self.settled[FUND])
    return repaid


@internal
def _take_over(account: uint256, amount: uint256, held: uint256, standing: uint256):
    """
    @dev An account as the predecessor had it, which counts every one once.
    """
    self.settled[account] = amount
    self._set_latest(account, 0, held, 0)
    self.standings[account] = standing
    self.total_held += held
    self.total_arrears += standing & MAX_AMOUNT


@internal
def _fold(account: uint256):
    """
    @dev Move a credit of an applied cycle to what is settled; one of the cycle being applied stays where it is.
    """
    cycle: uint256 = 0
    held: uint256 = 0
    credit: uint256 = 0
    cycle, held, credit = self._latest(account)
    if credit != 0 and cycle <= self.applied_cycle:
        self.settled[account] += credit
        self._set_latest(account, cycle, held, 0)


@internal
@view
def _arrears(account: uint256) -> uint256:
    return self.standings[account] & MAX_AMOUNT


@internal
@view
def _holding(account: uint256) -> uint256:
    return self.settled[account] + (self.latest[account] & MAX_AMOUNT)


@internal
@view
def _latest(account: uint256) -> (uint256, uint256, uint256):
    packed: uint256 = self.latest[account]
    return packed >> 192, (packed >> 96) & MAX_AMOUNT, packed & MAX_AMOUNT


@internal
def _set_latest(account: uint256, cycle: uint256, held: uint256, credit: uint256):
    assert held <= MAX_AMOUNT and credit <= MAX_AMOUNT, "amount_out_of_range"
    self.latest[account] = cycle << 192 | held << 96 | credit
