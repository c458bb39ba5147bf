# pragma version 0.4.3
"""
@title Fates: what becomes of a receivable that does not simply run to its due day
@notice Due and overdue come of the calendar, and anyone may say so. A holder whose purchase was with recourse may demand;
        those who own most of the claim may declare a default, and write it off. A debtor may dispute what it acknowledged
        only while nobody but the creditor has a right in it.
"""

import eip712
import life
import parts

uses: eip712
uses: life
uses: parts


event Disputed:
    receivable: indexed(bytes32)
    reason: bytes32

event FrozenChanged:
    receivable: indexed(bytes32)
    actor: uint256
    frozen: bool


REGULATOR: constant(uint256) = 64
# days after the due day: so long a payment is no delay, and so long no default can be declared
GRACE_DAYS: constant(uint256) = 3
DEFAULT_DAYS: constant(uint256) = 30

FALLING_DUE: constant(uint256) = (1 << life.ACKNOWLEDGED) | (1 << life.LISTED) | (1 << life.FINANCED)
FALLING_OVERDUE: constant(uint256) = (1 << life.DUE) | (1 << life.PARTLY_PAID)
LATE: constant(uint256) = (1 << life.OVERDUE) | (1 << life.RECOURSE)
DISPUTABLE: constant(uint256) = (1 << life.ACKNOWLEDGED) | (1 << life.LISTED)

DEMAND: constant(bytes32) = keccak256("Demand(bytes32 receivable,uint256 member,uint256 nonce,uint256 deadline)")
DECLARE_DEFAULT: constant(bytes32) = keccak256("DeclareDefault(bytes32 receivable,uint256 deadline)")
WRITE_OFF: constant(bytes32) = keccak256("WriteOff(bytes32 receivable,uint256 deadline)")
DISPUTE: constant(bytes32) = keccak256(
    "Dispute(bytes32 receivable,uint256 debtor,bytes32 reason,uint256 nonce,uint256 deadline)"
)
WITHDRAW_DISPUTE: constant(bytes32) = keccak256(
    "WithdrawDispute(bytes32 receivable,uint256 debtor,uint256 nonce,uint256 deadline)"
)
CONCEDE: constant(bytes32) = keccak256("Concede(bytes32 receivable,uint256 creditor,uint256 nonce,uint256 deadline)")
DECIDE: constant(bytes32) = keccak256("Decide(bytes32 receivable,bool isVoid,uint256 index)")
SET_FROZEN: constant(bytes32) = keccak256("SetFrozen(bytes32 receivable,bool frozen,uint256 index)")

# the index that the regulator's next decision, or freeze, must carry
next_ruling: public(uint256)


# --------------------------------------------------------------------------------------------------- late


@external
def mark_many(receivables: DynArray[bytes32, 100]):
    """
    @notice Bring receivables to where the calendar has them, due or overdue; anyone may. The others stay as they are
    @param receivables Up to 100 ids
    """
    today: uint256 = life._local_day()
    for each: bytes32 in receivables:
        state: uint256 = life.claims[each].state
        due_day: uint256 = life.claims[each].due_day
        if life._is_in(state, FALLING_DUE) and today >= due_day:
            life._change(each, life.NOBODY, state, life.DUE)
            state = life.DUE
        if life._is_in(state, FALLING_OVERDUE) and today > due_day + GRACE_DAYS:
            life._change(each, life.NOBODY, state, life.OVERDUE)


@external
def demand(receivable: bytes32, member: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice A holder asks the creditor to buy back what it sold with recourse and is overdue
    @dev Reverts: illegal_transition, no_recourse, not_a_holder, deadline_passed, bad_signature, nonce_used.
    @param receivable Its id
    @param member Who owns a part of the holder's claim
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of that member, and
    @param s its other half
    """
    life._check_state(receivable, 1 << life.OVERDUE)
    assert life.claims[receivable].with_recourse, "no_recourse"
    assert parts._owned(receivable, parts.HOLDER, member) != 0, "not_a_holder"
    life._use_plain_word(DEMAND, receivable, member, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    life._change(receivable, member, life.OVERDUE, life.RECOURSE)


@external
def declare_default(receivable: bytes32, deadline: uint256, approvals: DynArray[eip712.Approval, 20]):
    """
    @notice Those who own more than half of the holder's claim, or of the residual where none is open, declare a default
    @dev Reverts: illegal_transition, too_early, deadline_passed, approvals_not_ascending, bad_signature, no_majority.
    @param receivable Its id
    @param deadline The last second at which the approvals count
    @param approvals Of owners, members ascending
    """
    state: uint256 = life.claims[receivable].state
    life._check_state(receivable, LATE)
    assert life._local_day() > life.claims[receivable].due_day + DEFAULT_DAYS, "too_early"
    actor: uint256 = self._majority(receivable, DECLARE_DEFAULT, deadline, approvals)
    life._change(receivable, actor, state, life.DEFAULTED)


@external
def write_off(receivable: bytes32, deadline: uint256, approvals: DynArray[eip712.Approval, 20]):
    """
    @notice The same majority expects nothing more; what is paid later is recovery
    @dev Reverts: illegal_transition, deadline_passed, approvals_not_ascending, bad_signature, no_majority.
    @param receivable Its id
    @param deadline The last second at which the approvals count
    @param approvals Of owners, members ascending
    """
    life._check_state(receivable, 1 << life.DEFAULTED)
    actor: uint256 = self._majority(receivable, WRITE_OFF, deadline, approvals)
    life._change(receivable, actor, life.DEFAULTED, life.WRITTEN_OFF)


# ------------------------------------------------------------------------------------------------ disputed


@external
def dispute(receivable: bytes32, reason: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The debtor takes issue with what it acknowledged, while nobody but the creditor has a right in it
    @dev Reverts: illegal_transition, auction_open, not_whole, deadline_passed, bad_signature, nonce_used.
    @param receivable Its id
    @param reason Hash of the debtor's words
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the debtor, and
    @param s its other half
    """
    state: uint256 = life.claims[receivable].state
    debtor: uint256 = life.claims[receivable].debtor
    life._check_state(receivable, DISPUTABLE)
    assert not staticcall life.SALES.has_auction(receivable), "auction_open"
    parts._check_creditors(receivable)
    content: bytes32 = keccak256(abi_encode(DISPUTE, receivable, debtor, reason, nonce, deadline))
    life._use_word(debtor, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    log Disputed(receivable=receivable, reason=reason)
    life._change(receivable, debtor, state, life.DISPUTED)


@external
def withdraw_dispute(receivable: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The debtor owes it after all
    @dev Reverts: illegal_transition, deadline_passed, bad_signature, nonce_used.
    @param receivable Its id
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the debtor, and
    @param s its other half
    """
    life._check_state(receivable, 1 << life.DISPUTED)
    debtor: uint256 = life.claims[receivable].debtor
    life._use_plain_word(WITHDRAW_DISPUTE, receivable, debtor, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    life._change(receivable, debtor, life.DISPUTED, life.ACKNOWLEDGED)


@external
def concede(receivable: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The creditor gives in: the receivable is void, its period and its trades can be claimed again
    @dev Reverts: illegal_transition, deadline_passed, bad_signature, nonce_used.
    @param receivable Its id
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the creditor, and
    @param s its other half
    """
    life._check_state(receivable, 1 << life.DISPUTED)
    creditor: uint256 = life.claims[receivable].creditor
    life._use_plain_word(CONCEDE, receivable, creditor, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    parts._end(receivable, creditor)
    life._change(receivable, creditor, life.DISPUTED, life.VOID)


@external
def decide(receivable: bytes32, is_void: bool, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice The regulator ends a dispute
    @dev Reverts: illegal_transition, index_out_of_order, approvals_missing.
    @param receivable Its id
    @param is_void Whether nothing is owed; else it is acknowledged again
    @param index Next ruling index, from 0
    @param approvals The regulator's
    """
    life._check_state(receivable, 1 << life.DISPUTED)
    self._rule(keccak256(abi_encode(DECIDE, receivable, is_void, index)), index, approvals)
    if is_void:
        parts._end(receivable, approvals[0].member)
    life._change(receivable, approvals[0].member, life.DISPUTED, life.VOID if is_void else life.ACKNOWLEDGED)


@external
def set_frozen(receivable: bytes32, frozen: bool, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice The regulator freezes a receivable, or releases it: while frozen it is not sold and its parts do not move
    @dev Reverts: illegal_transition, index_out_of_order, approvals_missing.
    @param receivable Its id
    @param frozen Whether it shall be
    @param index Next ruling index, from 0
    @param approvals The regulator's
    """
    life._check_state(receivable, ~(1 << life.ABSENT))
    self._rule(keccak256(abi_encode(SET_FROZEN, receivable, frozen, index)), index, approvals)
    life.claims[receivable].is_frozen = frozen
    log FrozenChanged(receivable=receivable, actor=approvals[0].member, frozen=frozen)


# ----------------------------------------------------------------------------------------------- the steps


@internal
def _rule(content: bytes32, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    assert index == self.next_ruling, "index_out_of_order"
    assert life._has_approvals(REGULATOR, eip712._digest(content), approvals), "approvals_missing"
    self.next_ruling = index + 1


@internal
@view
def _majority(
    receivable: bytes32, act: bytes32, deadline: uint256, approvals: DynArray[eip712.Approval, 20]
) -> uint256:
    """
    @dev Members who own more than half of the claim that is served first. Returns the first of them.
    """
    eip712._check_deadline(deadline)
    claim: uint256 = parts.HOLDER
    open: uint256 = life.claims[receivable].advance_open
    if open == 0:
        claim = parts.RESIDUAL
        open = life.claims[receivable].residual_open
    digest: bytes32 = eip712._digest(keccak256(abi_encode(act, receivable, deadline)))
    owned: uint256 = 0
    last: uint256 = 0
    for approval: eip712.Approval in approvals:
        assert approval.member > last, "approvals_not_ascending"
        assert staticcall life.MEMBERS.is_signed(approval.member, digest, approval.r, approval.s), "bad_signature"
        owned += parts._owned(receivable, claim, approval.member)
        last = approval.member
    assert 2 * owned > open, "no_majority"
    return approvals[0].member
