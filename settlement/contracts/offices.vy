# pragma version 0.4.3
"""
@title Offices: who may sign for what, how many must, and who is frozen
@notice Bits of a role mask: 0 operator, 1 checker, 2 meter operator, 3 custodian, 4 grid company, 5 governance,
        6 regulator, 7 bank. The bits above are kept free for the suite of a member's key.
"""

import eip712
import keys

uses: keys


event RolesGranted:
    member: indexed(uint256)
    roles: uint256

event Frozen:
    member: indexed(uint256)
    frozen: bool


BANK: constant(uint256) = 128
ALL_ROLES: constant(uint256) = 255
ROLE_COUNT: constant(uint256) = 8

# how many approvals an act of the role needs; keyed by the role's bit
threshold_of: public(HashMap[uint256, uint256])
roles_of: public(HashMap[uint256, uint256])
# how many members hold a role; keyed by the role's bit
holders_of: public(HashMap[uint256, uint256])
is_frozen: public(HashMap[uint256, bool])


@external
@view
def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool:
    """
    @notice Whether enough holders of the role, not frozen and in ascending order, signed the digest
    @param role One bit of the role mask
    @param digest 32 bytes
    @param approvals Signatures of holders of the role, in ascending order of members
    """
    return self._has_approvals(role, digest, approvals)


@external
@view
def both_approve(
    role: uint256,
    approvals: DynArray[eip712.Approval, 5],
    other_role: uint256,
    other_approvals: DynArray[eip712.Approval, 5],
    digest: bytes32,
) -> bool:
    """
    @notice Whether both roles approved the same digest
    @param role One bit of the role mask
    @param approvals Signatures of holders of the role, in ascending order of members
    @param other_role Another bit
    @param other_approvals Of the other role
    @param digest 32 bytes
    """
    return self._has_approvals(role, digest, approvals) and self._has_approvals(other_role, digest, other_approvals)


@external
@view
def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool:
    """
    @notice Revert unless the member signed an act that moves its assets, and may: it is not frozen
    @dev Reverts: bad_signature, member_frozen.
    @param member Who signed
    @param digest 32 bytes
    @param r The signature, and
    @param s its other half
    @return Always true
    """
    self._check_mover(member, digest, r, s)
    return True


@external
@view
def check_sale(
    bank: uint256,
    offer: bytes32,
    bank_r: uint256,
    bank_s: uint256,
    seller: uint256,
    acceptance: bytes32,
    seller_r: uint256,
    seller_s: uint256,
) -> bool:
    """
    @notice Revert unless a bank signed the offer and the seller its acceptance, and both may move assets
    @dev Reverts: not_a_bank, bad_signature, member_frozen.
    @param bank Who offers
    @param offer Digest of its offer
    @param bank_r The bank's signature, and
    @param bank_s its other half
    @param seller Who accepts
    @param acceptance Digest of the acceptance
    @param seller_r The seller's signature, and
    @param seller_s its other half
    @return Always true
    """
    assert self.roles_of[bank] & BANK != 0, "not_a_bank"
    self._check_mover(bank, offer, bank_r, bank_s)
    self._check_mover(seller, acceptance, seller_r, seller_s)
    return True


@internal
@view
def _check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256):
    assert keys._is_signed(member, digest, r, s), "bad_signature"
    assert not self.is_frozen[member], "member_frozen"


@internal
def _set_roles(member: uint256, roles: uint256):
    changed: uint256 = self.roles_of[member] ^ roles
    self.roles_of[member] = roles
    if changed == 0:
        return
    for place: uint256 in range(ROLE_COUNT):
        role: uint256 = 1 << place
        if changed & role != 0:
            if roles & role != 0:
                self.holders_of[role] += 1
            else:
                self.holders_of[role] -= 1


@internal
@view
def _has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool:
    threshold: uint256 = self.threshold_of[role]
    if threshold == 0 or len(approvals) < threshold:
        return False
    last: uint256 = 0
    for approval: eip712.Approval in approvals:
        if approval.member <= last or self.roles_of[approval.member] & role == 0 or self.is_frozen[approval.member]:
            return False
        if not keys._is_signed(approval.member, digest, approval.r, approval.s):
            return False
        last = approval.member
    return True
