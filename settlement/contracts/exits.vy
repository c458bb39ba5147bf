# pragma version 0.4.3
"""
@title Exits: escrow on its way back to its member, in two steps
@notice What is asked for still settles until it leaves: all that was tradable at the request must be applied before.
"""

import eip712
import escrow
import migration

uses: eip712
uses: escrow
uses: migration

interface IMembers:
    def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def is_frozen(member: uint256) -> bool: view
    def has_successors() -> bool: view

interface ICash:
    def move(source: uint256, target: uint256, amount: uint256): nonpayable

struct Exit:
    amount: uint256
    requested_s: uint256
    horizon_s: uint256


event ExitRequested:
    member: indexed(uint256)
    amount: uint256
    horizon_s: uint256


EXIT_WITHOUT_OPERATOR_S: constant(uint256) = 14 * 86400

REQUEST_EXIT: constant(bytes32) = keccak256(
    "RequestExit(uint256 member,uint256 amount,uint256 nonce,uint256 deadline)"
)

MEMBERS: immutable(IMembers)
CASH: immutable(ICash)
# a proposal's window: so long after the end of its slots a cycle can be applied
LAST_WINDOW_S: immutable(uint256)
HORIZON_S: public(immutable(uint256))

exit_of: public(HashMap[uint256, Exit])
# up to when slots are settled, and when that was done
applied_until_s: public(uint256)
applied_at_s: public(uint256)


@deploy
def __init__(members: address, cash: address, dispute_window_s: uint256, horizon_s: uint256):
    """
    @param members Who signs, and who is frozen
    @param cash Where the money goes
    @param dispute_window_s Seconds between a proposal and its first part
    @param horizon_s How far ahead slots are traded
    """
    MEMBERS = IMembers(members)
    CASH = ICash(cash)
    LAST_WINDOW_S = dispute_window_s
    HORIZON_S = horizon_s
    self.applied_at_s = block.timestamp


@external
def request_exit(member: uint256, amount: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice Ask for escrow back; a later request replaces an earlier one. Until `exit` the money still settles
    @dev Reverts: deadline_passed, closed, amount_out_of_range, bad_signature, member_frozen, nonce_used.
    @param member Whose escrow it is
    @param amount Micro-yuan
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    migration._check_open()
    assert amount != 0, "amount_out_of_range"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(REQUEST_EXIT, member, amount, nonce, deadline)))
    assert staticcall MEMBERS.check_mover(member, digest, r, s)
    eip712._use_nonce(member, nonce)
    horizon_s: uint256 = block.timestamp + HORIZON_S
    self.exit_of[member] = Exit(amount=amount, requested_s=block.timestamp, horizon_s=horizon_s)
    log ExitRequested(member=member, amount=amount, horizon_s=horizon_s)


@external
def exit(member: uint256):
    """
    @notice Pay out a requested exit, as far as escrow reaches, once all that was tradable at the request is applied
    @dev Anyone may send it. When no cycle has been applied for 14 days it needs no operator; nor when successors of
         these contracts are announced and the cycle of all that was tradable could have been applied. Reverts:
         closed, exit_not_requested, exit_too_early, member_frozen, amount_out_of_range.
    @param member Who asked
    """
    migration._check_open()
    request: Exit = self.exit_of[member]
    assert request.amount != 0, "exit_not_requested"
    idle_since_s: uint256 = max(request.requested_s, self.applied_at_s)
    is_due: bool = (
        self.applied_until_s >= request.horizon_s or block.timestamp >= idle_since_s + EXIT_WITHOUT_OPERATOR_S
    )
    if not is_due and block.timestamp >= request.horizon_s + LAST_WINDOW_S:
        is_due = staticcall MEMBERS.has_successors()
    assert is_due, "exit_too_early"
    assert not staticcall MEMBERS.is_frozen(member), "member_frozen"
    self.exit_of[member] = empty(Exit)
    amount: uint256 = escrow._exit(member, request.amount)
    extcall CASH.move(convert(convert(self, uint160), uint256), member, amount)
