# pragma version 0.4.3
"""
@title Recovery: another key for a member that lost its own
@notice Governance proposes it, the live key has seven days to veto, and then anyone completes it.
"""

import eip712
import keys
import migration
import offices

uses: eip712
uses: keys
uses: migration
uses: offices

# a key that governance proposes for a member that lost its own
struct Recovery:
    x: uint256
    y: uint256
    vetoable_until_s: uint256


event RecoveryProposed:
    member: indexed(uint256)
    x: uint256
    y: uint256
    vetoable_until_s: uint256

# by the live key's word, or because it changed itself
event RecoveryVetoed:
    member: indexed(uint256)
    x: uint256
    y: uint256


GOVERNANCE: constant(uint256) = 32
RECOVERY_VETO_S: constant(uint256) = 7 * 86_400

PROPOSE_RECOVERY: constant(bytes32) = keccak256("ProposeRecovery(uint256 member,uint256 x,uint256 y,uint256 index)")
VETO_RECOVERY: constant(bytes32) = keccak256(
    "VetoRecovery(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)"
)

recovery_of: public(HashMap[uint256, Recovery])
# the index that the next proposal must carry
next_recovery: public(uint256)


@external
def propose_recovery(
    member: uint256, x: uint256, y: uint256, index: uint256, approvals: DynArray[eip712.Approval, 5]
):
    """
    @notice Begin the recovery of a lost key: for 7 days the live key can veto it, then anyone may complete it
    @dev Reverts: index_out_of_order, no_key, unknown_member, approvals_missing. A new proposal takes the place of one
         that is pending and begins the 7 days again.
    @param member Who lost its key
    @param x The key to be, and
    @param y its other coordinate
    @param index Next recovery index, from 0
    @param approvals Governance's
    """
    migration._check_open()
    assert index == self.next_recovery, "index_out_of_order"
    assert x != 0, "no_key"
    assert keys.live[member].x != 0, "unknown_member"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(PROPOSE_RECOVERY, member, x, y, index)))
    assert offices._has_approvals(GOVERNANCE, digest, approvals), "approvals_missing"
    self.next_recovery = index + 1
    until_s: uint256 = block.timestamp + RECOVERY_VETO_S
    self.recovery_of[member] = Recovery(x=x, y=y, vetoable_until_s=until_s)
    log RecoveryProposed(member=member, x=x, y=y, vetoable_until_s=until_s)


@external
def veto_recovery(
    member: uint256, x: uint256, y: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256
):
    """
    @notice End a pending recovery: the key is not lost. Possible until somebody completes it
    @dev Reverts: deadline_passed, no_recovery, bad_signature, nonce_used.
    @param member Whose key it is
    @param x The key that was proposed, and
    @param y its other coordinate
    @param nonce Any number that the member has not used here
    @param deadline The last second at which the signature counts
    @param r Signature of the live key, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    pending: Recovery = self.recovery_of[member]
    assert pending.x != 0 and pending.x == x and pending.y == y, "no_recovery"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(VETO_RECOVERY, member, x, y, nonce, deadline)))
    assert keys._is_signed(member, digest, r, s), "bad_signature"
    eip712._use_nonce(member, nonce)
    self._end_recovery(member)


@external
def recover_key(member: uint256):
    """
    @notice The proposed key becomes the member's; anyone may send it once the 7 days are over
    @dev Reverts: no_recovery, veto_open.
    @param member Whose key it is
    """
    pending: Recovery = self.recovery_of[member]
    assert pending.x != 0, "no_recovery"
    assert block.timestamp > pending.vetoable_until_s, "veto_open"
    migration._check_open()
    self.recovery_of[member] = empty(Recovery)
    # at most one a week: these can not bury a key
    keys._change_key(member, pending.x, pending.y, max_value(uint256))


@internal
def _end_recovery(member: uint256):
    pending: Recovery = self.recovery_of[member]
    if pending.x != 0:
        self.recovery_of[member] = empty(Recovery)
        log RecoveryVetoed(member=member, x=pending.x, y=pending.y)
