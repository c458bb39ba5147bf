# pragma version 0.4.3
"""
@title Members: who takes part, with which key, in which roles
@notice One live key per member, see `keys.vy`. A frozen member still settles and receives, but withdraws and transfers
        nothing. Whoever sends a transaction means nothing here: signatures decide.
        Bits of a role mask: 0 operator, 1 checker, 2 meter operator, 3 custodian, 4 grid company, 5 governance,
        6 regulator, 7 bank. The bits above are kept free for the suite of a member's key.
"""

import eip712
import keys
import p256

initializes: eip712
initializes: p256
initializes: keys[p256 := p256]

exports: (
    keys.key_of,
    keys.key_since,
    keys.former_keys_of,
    keys.was_signed,
    keys.is_signed,
)

struct Admission:
    member: uint256
    x: uint256
    y: uint256
    roles: uint256

# a key that governance proposes for a member that lost its own
struct Recovery:
    x: uint256
    y: uint256
    vetoable_until_s: uint256


event Admitted:
    member: indexed(uint256)
    x: uint256
    y: uint256
    roles: uint256

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

event RolesGranted:
    member: indexed(uint256)
    roles: uint256

event Frozen:
    member: indexed(uint256)
    frozen: bool


OPERATOR: constant(uint256) = 1
GOVERNANCE: constant(uint256) = 32
REGULATOR: constant(uint256) = 64
BANK: constant(uint256) = 128
ALL_ROLES: constant(uint256) = 255
ROLE_COUNT: constant(uint256) = 8

RECOVERY_VETO_S: constant(uint256) = 7 * 86_400

ADMIT_MANY: constant(bytes32) = keccak256("AdmitMany(uint256 index,bytes32 admissionsHash)")
ROTATE_KEY: constant(bytes32) = keccak256(
    "RotateKey(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)"
)
PROPOSE_RECOVERY: constant(bytes32) = keccak256("ProposeRecovery(uint256 member,uint256 x,uint256 y,uint256 index)")
VETO_RECOVERY: constant(bytes32) = keccak256(
    "VetoRecovery(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)"
)
GRANT_ROLES: constant(bytes32) = keccak256("GrantRoles(uint256 member,uint256 roles,uint256 index)")
FREEZE: constant(bytes32) = keccak256("Freeze(uint256 member,bool frozen,uint256 index)")

# how many approvals an act of the role needs; keyed by the role's bit
threshold_of: public(HashMap[uint256, uint256])
roles_of: public(HashMap[uint256, uint256])
# how many members hold a role; keyed by the role's bit
holders_of: public(HashMap[uint256, uint256])
is_frozen: public(HashMap[uint256, bool])
recovery_of: public(HashMap[uint256, Recovery])
# the index that the next admission, grant, freeze and proposed recovery must carry
next_admission: public(uint256)
next_grant: public(uint256)
next_freeze: public(uint256)
next_recovery: public(uint256)


@deploy
def __init__(
    verifier: address, salt: bytes32, genesis: DynArray[Admission, 20], thresholds: uint256[ROLE_COUNT]
):
    """
    @param verifier Where P256VERIFY answers
    @param salt 32 random genesis bytes
    @param genesis The institutions, with roles
    @param thresholds Approvals needed by each role, from bit 0 upward; at least 1
    """
    eip712.__init__(salt)
    p256.__init__(verifier)
    for admission: Admission in genesis:
        self._admit(admission)
    for role: uint256 in range(ROLE_COUNT):
        assert thresholds[role] != 0, "threshold_zero"
        self.threshold_of[1 << role] = thresholds[role]


@external
def admit_many(admissions: DynArray[Admission, 100], index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Admit members; approved by the operator, who can make banks but no other role
    @param index Next admission index, from 0
    """
    assert index == self.next_admission, "index_out_of_order"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ADMIT_MANY, index, keccak256(abi_encode(admissions)))))
    assert self._has_approvals(OPERATOR, digest, approvals), "approvals_missing"
    self.next_admission = index + 1
    for admission: Admission in admissions:
        assert admission.roles & ~BANK == 0, "role_needs_governance"
        self._admit(admission)


@external
def rotate_key(
    member: uint256, x: uint256, y: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256
):
    """
    @notice Replace a member's key; the old key signs the new one in
    @dev Reverts: deadline_passed, no_key, bad_signature, nonce_used, too_many_changes (24 in a window of 90 days).
    @param member Whose key it is
    @param x The new key, and
    @param y its other coordinate
    @param nonce Any number that the member has not used here
    @param deadline The last second at which the signature counts
    @param r Signature of the old key, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    assert x != 0, "no_key"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ROTATE_KEY, member, x, y, nonce, deadline)))
    assert keys._is_signed(member, digest, r, s), "bad_signature"
    eip712._use_nonce(member, nonce)
    self._end_recovery(member)
    keys._change_key(member, x, y, keys.MAX_KEY_CHANGES)


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
    assert index == self.next_recovery, "index_out_of_order"
    assert x != 0, "no_key"
    assert keys.live[member].x != 0, "unknown_member"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(PROPOSE_RECOVERY, member, x, y, index)))
    assert self._has_approvals(GOVERNANCE, digest, approvals), "approvals_missing"
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
    self.recovery_of[member] = empty(Recovery)
    # at most one a week: these can not bury a key
    keys._change_key(member, pending.x, pending.y, max_value(uint256))


@external
def grant_roles(member: uint256, roles: uint256, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Set a member's whole role mask; approved by governance
    @param index Next grant index, from 0
    """
    assert index == self.next_grant, "index_out_of_order"
    assert keys.live[member].x != 0, "unknown_member"
    assert roles & ~ALL_ROLES == 0, "unknown_role"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(GRANT_ROLES, member, roles, index)))
    assert self._has_approvals(GOVERNANCE, digest, approvals), "approvals_missing"
    self.next_grant = index + 1
    self._set_roles(member, roles)
    log RolesGranted(member=member, roles=roles)


@external
def freeze(member: uint256, frozen: bool, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Freeze or release a member; approved by the regulator
    @param index Next freeze index, from 0
    """
    assert index == self.next_freeze, "index_out_of_order"
    assert keys.live[member].x != 0, "unknown_member"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(FREEZE, member, frozen, index)))
    assert self._has_approvals(REGULATOR, digest, approvals), "approvals_missing"
    self.next_freeze = index + 1
    self.is_frozen[member] = frozen
    log Frozen(member=member, frozen=frozen)


@external
@view
def are_members(members: DynArray[uint256, 100]) -> bool:
    """
    @notice Whether every id has been admitted
    """
    for member: uint256 in members:
        if keys.live[member].x == 0:
            return False
    return True


@external
@view
def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool:
    """
    @notice Whether enough holders of the role, not frozen and in ascending order, signed the digest
    @param role One bit of the role mask
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
    """
    return self._has_approvals(role, digest, approvals) and self._has_approvals(other_role, digest, other_approvals)


@external
@view
def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool:
    """
    @notice Revert unless the member signed an act that moves its assets, and may: it is not frozen
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
def _admit(admission: Admission):
    assert admission.member != 0 and admission.x != 0, "no_key"
    assert admission.roles & ~ALL_ROLES == 0, "unknown_role"
    assert keys.live[admission.member].x == 0, "member_exists"
    keys.live[admission.member] = keys.Key(x=admission.x, y=admission.y)
    self._set_roles(admission.member, admission.roles)
    log Admitted(member=admission.member, x=admission.x, y=admission.y, roles=admission.roles)


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
def _end_recovery(member: uint256):
    pending: Recovery = self.recovery_of[member]
    if pending.x != 0:
        self.recovery_of[member] = empty(Recovery)
        log RecoveryVetoed(member=member, x=pending.x, y=pending.y)


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
