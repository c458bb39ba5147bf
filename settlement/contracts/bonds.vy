# pragma version 0.4.3
"""
@title Bonds: what a cycle has from its proposal until it is applied: its root, its window, its bond, its challenges
@notice A void cycle takes every later one with it, for what is in those may follow from it; all are proposed again. A
        bond is in nobody's escrow while it is locked; it leaves in one of two ways, once.
"""

import escrow
import migration

uses: escrow
uses: migration

struct Backing:
    start_s: uint256
    trades_root: bytes32
    disputable_until_s: uint256
    payer: uint256
    bond: uint256


event CycleVoided:
    cycle: indexed(uint256)

event BondLocked:
    account: indexed(uint256)
    cycle: indexed(uint256)
    amount: uint256
    escrow: uint256

event BondPaid:
    account: indexed(uint256)
    cycle: indexed(uint256)
    amount: uint256
    escrow: uint256
    arrears: uint256


DISPUTES: immutable(address)
OPERATOR_BOND: public(immutable(uint256))
CHALLENGE_BOND: public(immutable(uint256))

# the last cycle whose proposal stands, 0 before the first, and the end of its slots; a void cycle takes both back
proposed_cycle: public(uint256)
proposed_until_s: public(uint256)
backing_of: public(HashMap[uint256, Backing])
open_challenges: public(HashMap[uint256, uint256])
# all that is locked
total_bonds: public(uint256)


@deploy
def __init__(disputes: address, operator_bond: uint256, challenge_bond: uint256):
    """
    @param disputes Who decides what a cycle is challenged for
    @param operator_bond Locked for each proposed cycle until it is applied, micro-yuan
    @param challenge_bond Locked for each challenge until it is answered or upheld, micro-yuan
    """
    DISPUTES = disputes
    OPERATOR_BOND = operator_bond
    CHALLENGE_BOND = challenge_bond


@external
@view
def disputable_root(cycle: uint256) -> bytes32:
    """
    @notice The root of the trades of a proposed cycle in its dispute window; reverts outside of it
    @dev Reverts: cycle_not_proposed, dispute_window_over.
    @param cycle Its number
    """
    assert cycle > escrow.applied_cycle and cycle <= self.proposed_cycle, "cycle_not_proposed"
    assert block.timestamp < self.backing_of[cycle].disputable_until_s, "dispute_window_over"
    return self.backing_of[cycle].trades_root


@external
def open_challenge(cycle: uint256, member: uint256):
    """
    @notice Called by Disputes: the member's bond is locked, and the cycle waits
    @dev Reverts: not_disputes, closed, amount_out_of_range, bond_missing.
    @param cycle The one that is challenged
    @param member Who challenges
    """
    assert msg.sender == DISPUTES, "not_disputes"
    migration._check_open()
    self.open_challenges[cycle] += 1
    self._lock(member, cycle, CHALLENGE_BOND)


@external
def close_challenge(cycle: uint256, challenger: uint256):
    """
    @notice Called by Disputes: the bond of a challenge goes back, or to the cycle's proposer
    @dev Reverts: not_disputes, closed, amount_out_of_range.
    @param cycle The one that was challenged
    @param challenger Who gets its bond back; 0 when the challenge was answered
    """
    assert msg.sender == DISPUTES, "not_disputes"
    migration._check_open()
    self.open_challenges[cycle] -= 1
    account: uint256 = challenger
    if account == 0:
        account = self.backing_of[cycle].payer
    self._pay(account, cycle, CHALLENGE_BOND)


@external
def void(cycle: uint256, member: uint256):
    """
    @notice Called by Disputes: the cycle falls, and every later one; its proposer's bond, if still locked, is paid
    @dev Reverts: not_disputes, closed, amount_out_of_range.
    @param cycle The one that falls
    @param member Who is paid
    """
    assert msg.sender == DISPUTES, "not_disputes"
    migration._check_open()
    backing: Backing = self.backing_of[cycle]
    self.backing_of[cycle].bond = 0
    if cycle <= self.proposed_cycle:
        self.proposed_cycle = cycle - 1
        self.proposed_until_s = backing.start_s
        log CycleVoided(cycle=cycle)
    self._pay(member, cycle, backing.bond)


@internal
def _stand(
    cycle: uint256, start_s: uint256, end_s: uint256, trades_root: bytes32, disputable_until_s: uint256, payer: uint256
):
    """
    @dev A proposal stands from now on. Its payer's bond is locked, unless one is still locked from a proposal that fell
         with an earlier cycle.
    """
    assert cycle == self.proposed_cycle + 1, "cycle_out_of_order"
    assert start_s >= self.proposed_until_s, "cycle_overlaps"
    assert self.open_challenges[cycle] == 0, "challenge_open"
    backing: Backing = self.backing_of[cycle]
    if backing.bond == 0:
        self._lock(payer, cycle, OPERATOR_BOND)
        backing.payer = payer
        backing.bond = OPERATOR_BOND
    backing.start_s = start_s
    backing.trades_root = trades_root
    backing.disputable_until_s = disputable_until_s
    self.backing_of[cycle] = backing
    self.proposed_cycle = cycle
    self.proposed_until_s = end_s


@internal
@view
def _check_undisputed(cycle: uint256):
    assert cycle <= self.proposed_cycle, "cycle_void"
    assert block.timestamp >= self.backing_of[cycle].disputable_until_s, "dispute_window_open"
    assert self.open_challenges[cycle] == 0, "challenge_open"


@internal
def _finish(cycle: uint256):
    """
    @dev The cycle is applied: its proposer's bond is free.
    """
    backing: Backing = self.backing_of[cycle]
    self.backing_of[cycle] = empty(Backing)
    self._pay(backing.payer, cycle, backing.bond)


@internal
def _lock(account: uint256, cycle: uint256, amount: uint256):
    if amount == 0:
        return
    assert escrow._take(account, amount), "bond_missing"
    self.total_bonds += amount
    log BondLocked(account=account, cycle=cycle, amount=amount, escrow=escrow._holding(account))


@internal
def _pay(account: uint256, cycle: uint256, amount: uint256):
    """
    @dev A bond to whoever gets it, arrears first; nothing when it was paid already.
    """
    if amount == 0:
        return
    self.total_bonds -= amount
    escrow._give(account, amount)
    log BondPaid(
        account=account,
        cycle=cycle,
        amount=amount,
        escrow=escrow._holding(account),
        arrears=escrow._arrears(account),
    )
