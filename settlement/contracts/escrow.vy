# pragma version 0.4.3
"""
@title Escrow: what each account can settle from, what it owes, what is held back for it
@notice A credit is kept apart until its cycle is applied in full. Account 0 is the guarantee fund: it covers what
        debtors could not pay, and their arrears are owed to it. Nobody falls below zero, nothing is lost in rounding.
        Escrow in an event is all that the account has, the credits of the cycle being applied included.
"""


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


FUND: constant(uint256) = 0
MAX_AMOUNT: constant(uint256) = 2**96 - 1

# the last cycle of which every part was applied
applied_cycle: public(uint256)
arrears_of: public(HashMap[uint256, uint256])
# the sum of all credits held back because debtors were short
total_held: public(uint256)

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
    """
    return (self.latest[account] >> 96) & MAX_AMOUNT


@internal
def _enter(member: uint256, amount: uint256):
    """
    @dev Money that reached this contract's account for a member; its arrears are paid first.
    """
    self._fold(member)
    kept: uint256 = amount - self._pay_arrears(member, amount)
    self.settled[member] += kept
    log Entered(member=member, amount=amount, escrow=self._holding(member), arrears=self.arrears_of[member])


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
    arrears: uint256 = self.arrears_of[account]
    if taken != owed:
        arrears += owed - taken
        self.arrears_of[account] = arrears
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
        arrears=self.arrears_of[account],
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
def _pay_arrears(account: uint256, amount: uint256) -> uint256:
    """
    @dev Arrears are owed to the fund, which covered them or will release what was held; returns what went there.
    """
    arrears: uint256 = self.arrears_of[account]
    if arrears == 0:
        return 0
    repaid: uint256 = min(arrears, amount)
    self.arrears_of[account] = arrears - repaid
    self.settled[FUND] += repaid
    log FundChanged(escrow=self.settled[FUND])
    return repaid


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
