# pragma version 0.4.3
"""
@title Members: who takes part, with which key, in which roles
@notice One live key per member. Of former keys a rolling hash is kept, so that storage does not grow with them: whoever
        proves an old signature gives the keys, and they are hashed again. A frozen member still settles and receives,
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
    from_s: uint256

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

# market and chain take a change of keys at slightly different times: by so much a key holds earlier and longer
KEY_CHANGE_GRACE_S: constant(uint256) = 600
# so few changes in so long that 64 former keys always reach back further, whatever a member does to its keys
MAX_KEY_CHANGES: constant(uint256) = 24
KEY_CHANGES_WINDOW_S: constant(uint256) = 90 * 86_400
LOW_64: constant(uint256) = 2**64 - 1

ADMIT_MANY: constant(bytes32) = keccak256("AdmitMany(uint256 index,bytes32 admissionsHash)")
ROTATE_KEY: constant(bytes32) = keccak256(
    "RotateKey(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)"
)
GRANT_ROLES: constant(bytes32) = keccak256("GrantRoles(uint256 member,uint256 roles,uint256 index)")
FREEZE: constant(bytes32) = keccak256("Freeze(uint256 member,bool frozen,uint256 index)")

keys: HashMap[uint256, Key]
# changes in the window << 128 | start of the window << 64 | second since which the live key holds
key_times: HashMap[uint256, uint256]
# a rolling hash of the member's former keys, the oldest first
former_keys_of: public(HashMap[uint256, bytes32])
# how many approvals an act of the role needs; keyed by the role's bit
threshold_of: public(HashMap[uint256, uint256])
roles_of: public(HashMap[uint256, uint256])
# how many members hold a role; keyed by the role's bit
holders_of: public(HashMap[uint256, uint256])
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
    assert self._is_signed(member, digest, r, s), "bad_signature"
    eip712._use_nonce(member, nonce)
    self._change_key(member, x, y, MAX_KEY_CHANGES)


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
    self._set_roles(member, roles)
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
def key_since(member: uint256) -> uint256:
    """
    @notice The second since which the live key holds, 0 for a member's first
    """
    return self.key_times[member] & LOW_64


@external
@view
def was_signed(
    member: uint256, digest: bytes32, r: uint256, s: uint256, at_s: uint256, history: eip712.KeyHistory
) -> bool:
    """
    @notice Whether a key that was the member's at a time signed the digest
    @dev Reverts: wrong_key_history. A key counts 600 s earlier and longer than it held.
    @param at_s Seconds since the epoch
    @param history The member's former keys, back to the one that held at that time; older ones as a hash
    """
    former_keys: bytes32 = history.before
    for key: eip712.FormerKey in history.former:
        former_keys = self._and_former(former_keys, key)
    assert former_keys == self.former_keys_of[member], "wrong_key_history"
    live: Key = self.keys[member]
    last: eip712.FormerKey = eip712.FormerKey(x=live.x, y=live.y, from_s=self.key_times[member] & LOW_64)
    if last.x == 0:
        return False
    count: uint256 = len(history.former)
    for place: uint256 in range(65):
        if place > count:
            break
        key: eip712.FormerKey = last
        if place < count:
            key = history.former[place]
            next_s: uint256 = last.from_s
            if place + 1 < count:
                next_s = history.former[place + 1].from_s
            if at_s > next_s + KEY_CHANGE_GRACE_S:
                continue
        if at_s + KEY_CHANGE_GRACE_S < key.from_s:
            return False
        if p256._is_valid(digest, r, s, key.x, key.y):
            return True
    return False


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
def _change_key(member: uint256, x: uint256, y: uint256, max_changes: uint256):
    """
    @dev The live key becomes a former one; every change counts, and at most so many are let through in a window.
    """
    live: Key = self.keys[member]
    times: uint256 = self.key_times[member]
    self.former_keys_of[member] = self._and_former(
        self.former_keys_of[member], eip712.FormerKey(x=live.x, y=live.y, from_s=times & LOW_64)
    )
    window_s: uint256 = (times >> 64) & LOW_64
    changes: uint256 = times >> 128
    if block.timestamp >= window_s + KEY_CHANGES_WINDOW_S:
        window_s = block.timestamp
        changes = 0
    assert changes < max_changes, "too_many_changes"
    self.key_times[member] = (changes + 1) << 128 | window_s << 64 | block.timestamp
    self.keys[member] = Key(x=x, y=y)
    log KeyRotated(member=member, x=x, y=y, from_s=block.timestamp)


@internal
@pure
def _and_former(former_keys: bytes32, key: eip712.FormerKey) -> bytes32:
    return keccak256(abi_encode(former_keys, key.x, key.y, key.from_s))


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
