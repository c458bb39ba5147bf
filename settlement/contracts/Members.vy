# pragma version 0.4.3
"""
@title Members: who takes part, with which key, in which roles
@notice One live key per member; the history of keys is in the events. A frozen member still settles and receives,
        but withdraws and transfers nothing. Whoever sends a transaction means nothing here: signatures decide.
        Bits of a role mask: 0 operator, 1 checker, 2 meter operator, 3 custodian, 4 grid company, 5 governance,
        6 regulator, 7 bank. The bits above are kept free for the suite of a member's key.
"""

import eip712
import p256

initializes: eip712
initializes: p256

struct Admission:
    member: uint256
    x: uint256
    y: uint256
    roles: uint256

struct Key:
    x: uint256
    y: uint256


event Admitted:
    member: indexed(uint256)
    x: uint256
    y: uint256
    roles: uint256

event KeyRotated:
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

ADMIT_MANY: constant(bytes32) = keccak256("AdmitMany(uint256 index,bytes32 admissionsHash)")
ROTATE_KEY: constant(bytes32) = keccak256(
    "RotateKey(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)"
)
GRANT_ROLES: constant(bytes32) = keccak256("GrantRoles(uint256 member,uint256 roles,uint256 index)")
FREEZE: constant(bytes32) = keccak256("Freeze(uint256 member,bool frozen,uint256 index)")

keys: HashMap[uint256, Key]
# how many approvals an act of the role needs; keyed by the role's bit
threshold_of: public(HashMap[uint256, uint256])
roles_of: public(HashMap[uint256, uint256])
is_frozen: public(HashMap[uint256, bool])
# the index that the next admission, grant and freeze must carry
next_admission: public(uint256)
next_grant: public(uint256)
next_freeze: public(uint256)


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
    """
    eip712._check_deadline(deadline)
    assert x != 0, "no_key"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ROTATE_KEY, member, x, y, nonce, deadline)))
    assert self._is_signed(member, digest, r, s), "bad_signature"
    eip712._use_nonce(member, nonce)
    self.keys[member] = Key(x=x, y=y)
    log KeyRotated(member=member, x=x, y=y)


@external
def grant_roles(member: uint256, roles: uint256, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Set a member's whole role mask; approved by governance
    @param index Next grant index, from 0
    """
    assert index == self.next_grant, "index_out_of_order"
    assert self.keys[member].x != 0, "unknown_member"
    assert roles & ~ALL_ROLES == 0, "unknown_role"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(GRANT_ROLES, member, roles, index)))
    assert self._has_approvals(GOVERNANCE, digest, approvals), "approvals_missing"
    self.next_grant = index + 1
    self.roles_of[member] = roles
    log RolesGranted(member=member, roles=roles)


@external
def freeze(member: uint256, frozen: bool, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Freeze or release a member; approved by the regulator
    @param index Next freeze index, from 0
    """
    assert index == self.next_freeze, "index_out_of_order"
    assert self.keys[member].x != 0, "unknown_member"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(FREEZE, member, frozen, index)))
    assert self._has_approvals(REGULATOR, digest, approvals), "approvals_missing"
    self.next_freeze = index + 1
    self.is_frozen[member] = frozen
    log Frozen(member=member, frozen=frozen)


@external
@view
def key_of(member: uint256) -> Key:
    """
    @notice The live key, (0, 0) for nobody
    """
    return self.keys[member]


@external
@view
def are_members(members: DynArray[uint256, 100]) -> bool:
    """
    @notice Whether every id has been admitted
    """
    for member: uint256 in members:
        if self.keys[member].x == 0:
            return False
    return True


@external
@view
def is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool:
    """
    @notice Whether the member's live key signed the digest
    """
    return self._is_signed(member, digest, r, s)


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
    assert self._is_signed(member, digest, r, s), "bad_signature"
    assert not self.is_frozen[member], "member_frozen"


@internal
def _admit(admission: Admission):
    assert admission.member != 0 and admission.x != 0, "no_key"
    assert admission.roles & ~ALL_ROLES == 0, "unknown_role"
    assert self.keys[admission.member].x == 0, "member_exists"
    self.keys[admission.member] = Key(x=admission.x, y=admission.y)
    self.roles_of[admission.member] = admission.roles
    log Admitted(member=admission.member, x=admission.x, y=admission.y, roles=admission.roles)


@internal
@view
def _is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool:
    key: Key = self.keys[member]
    return key.x != 0 and p256._is_valid(digest, r, s, key.x, key.y)


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
        if not self._is_signed(approval.member, digest, approval.r, approval.s):
            return False
        last = approval.member
    return True
