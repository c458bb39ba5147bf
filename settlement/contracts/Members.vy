# pragma version 0.4.3
"""
@title Members: who takes part, with which key, in which roles
@notice One live key per member, see `keys.vy`. A frozen member still settles and receives, but withdraws and transfers
        nothing. Whoever sends a transaction means nothing here: signatures decide.
        The bits of a role mask are in `offices.vy`.
"""

import eip712
import keys
import migration
import offices
import p256
import recovery

initializes: eip712
initializes: p256
initializes: keys[p256 := p256]
initializes: migration
initializes: offices[keys := keys]
initializes: recovery[eip712 := eip712, keys := keys, migration := migration, offices := offices]

exports: (
    migration.state,
    migration.seal,
    migration.sealed_part,
    migration.imported,
    migration.next_seal,
    offices.threshold_of,
    offices.roles_of,
    offices.holders_of,
    offices.is_frozen,
    offices.has_approvals,
    offices.both_approve,
    offices.check_mover,
    offices.check_sale,
    recovery.recovery_of,
    recovery.next_recovery,
    recovery.propose_recovery,
    recovery.veto_recovery,
    recovery.recover_key,
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

# the contracts that will take the place of these, and when these may be closed and sealed
struct Successors:
    members: address
    cash: address
    clearing: address
    sealable_from_s: uint256

# all there is of a member, as its successor takes it over
struct Row:
    member: uint256
    x: uint256
    y: uint256
    roles: uint256
    is_frozen: bool
    former_keys: bytes32
    key_times: uint256


event Admitted:
    member: indexed(uint256)
    x: uint256
    y: uint256
    roles: uint256

event SuccessorsAnnounced:
    members: address
    cash: address
    clearing: address
    sealable_from_s: uint256


OPERATOR: constant(uint256) = 1
GOVERNANCE: constant(uint256) = 32
REGULATOR: constant(uint256) = 64

# how long everyone may leave before these contracts can be closed
LEAVING_S: constant(uint256) = 14 * 86_400

ADMIT_MANY: constant(bytes32) = keccak256("AdmitMany(uint256 index,bytes32 admissionsHash)")
ROTATE_KEY: constant(bytes32) = keccak256(
    "RotateKey(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)"
)
ANNOUNCE: constant(bytes32) = keccak256("Announce(uint256 members,uint256 cash,uint256 clearing,uint256 index)")
GRANT_ROLES: constant(bytes32) = keccak256("GrantRoles(uint256 member,uint256 roles,uint256 index)")
FREEZE: constant(bytes32) = keccak256("Freeze(uint256 member,bool frozen,uint256 index)")

# the index that the next admission, grant, freeze and announcement must carry
next_admission: public(uint256)
next_grant: public(uint256)
next_freeze: public(uint256)
next_announcement: public(uint256)

successors: public(Successors)
member_count: public(uint256)
# of the parts sealed so far
sealed_count: uint256


@deploy
def __init__(
    verifier: address,
    salt: bytes32,
    genesis: DynArray[Admission, 20],
    thresholds: uint256[offices.ROLE_COUNT],
    predecessor: address,
):
    """
    @param verifier Where P256VERIFY answers
    @param salt 32 random genesis bytes
    @param genesis The institutions, with roles; nobody where there is a predecessor
    @param thresholds Approvals needed by each role, from bit 0 upward; at least 1
    @param predecessor Whose members these are, none for the first
    """
    assert predecessor == empty(address) or len(genesis) == 0, "members_exist"
    eip712.__init__(salt)
    p256.__init__(verifier)
    migration.__init__(predecessor)
    for admission: Admission in genesis:
        self._admit(admission)
    for role: uint256 in range(offices.ROLE_COUNT):
        assert thresholds[role] != 0, "threshold_zero"
        offices.threshold_of[1 << role] = thresholds[role]


@external
def admit_many(admissions: DynArray[Admission, 100], index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Admit members; approved by the operator, who can make banks but no other role
    @dev Reverts: closed, index_out_of_order, approvals_missing, role_needs_governance, no_key, unknown_role,
         member_exists.
    @param admissions Up to 100: id, key and roles
    @param index Next admission index, from 0
    @param approvals The operator's
    """
    migration._check_open()
    assert index == self.next_admission, "index_out_of_order"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ADMIT_MANY, index, keccak256(abi_encode(admissions)))))
    assert offices._has_approvals(OPERATOR, digest, approvals), "approvals_missing"
    self.next_admission = index + 1
    for admission: Admission in admissions:
        assert admission.roles & ~offices.BANK == 0, "role_needs_governance"
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
    migration._check_open()
    eip712._check_deadline(deadline)
    assert x != 0, "no_key"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ROTATE_KEY, member, x, y, nonce, deadline)))
    assert keys._is_signed(member, digest, r, s), "bad_signature"
    eip712._use_nonce(member, nonce)
    recovery._end_recovery(member)
    keys._change_key(member, x, y, keys.MAX_KEY_CHANGES)


@external
def grant_roles(member: uint256, roles: uint256, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Set a member's whole role mask; approved by governance
    @dev Reverts: closed, index_out_of_order, unknown_member, unknown_role, approvals_missing.
    @param member Who gets them
    @param roles The whole mask
    @param index Next grant index, from 0
    @param approvals Governance's
    """
    migration._check_open()
    assert index == self.next_grant, "index_out_of_order"
    assert keys.live[member].x != 0, "unknown_member"
    assert roles & ~offices.ALL_ROLES == 0, "unknown_role"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(GRANT_ROLES, member, roles, index)))
    assert offices._has_approvals(GOVERNANCE, digest, approvals), "approvals_missing"
    self.next_grant = index + 1
    offices._set_roles(member, roles)
    log offices.RolesGranted(member=member, roles=roles)


@external
def freeze(member: uint256, frozen: bool, index: uint256, approvals: DynArray[eip712.Approval, 5]):
    """
    @notice Freeze or release a member; approved by the regulator
    @dev Reverts: closed, index_out_of_order, unknown_member, approvals_missing.
    @param member Who is frozen or released
    @param frozen Whether it shall be
    @param index Next freeze index, from 0
    @param approvals The regulator's
    """
    migration._check_open()
    assert index == self.next_freeze, "index_out_of_order"
    assert keys.live[member].x != 0, "unknown_member"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(FREEZE, member, frozen, index)))
    assert offices._has_approvals(REGULATOR, digest, approvals), "approvals_missing"
    self.next_freeze = index + 1
    offices.is_frozen[member] = frozen
    log offices.Frozen(member=member, frozen=frozen)


# ------------------------------------------------------------------------------------------- migration


@external
def announce(
    members: address, cash: address, clearing: address, index: uint256, approvals: DynArray[eip712.Approval, 5]
):
    """
    @notice Name the contracts that will take the place of these; two thirds of governance. Everyone has 14 days to leave
    @dev Reverts: closed, index_out_of_order, no_successor, approvals_missing. A later announcement takes the place of
         an earlier one and begins the 14 days again; one of no contracts at all takes it back.
    @param members The new Members
    @param cash The new Cash
    @param clearing The new Clearing
    @param index Next announcement index, from 0
    @param approvals Of at least two thirds of those who hold the role governance
    """
    migration._check_open()
    assert index == self.next_announcement, "index_out_of_order"
    is_none: bool = members == empty(address) and cash == empty(address) and clearing == empty(address)
    is_whole: bool = members != empty(address) and cash != empty(address) and clearing != empty(address)
    assert is_none or is_whole, "no_successor"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ANNOUNCE, members, cash, clearing, index)))
    assert 3 * len(approvals) >= 2 * offices.holders_of[GOVERNANCE], "approvals_missing"
    assert offices._has_approvals(GOVERNANCE, digest, approvals), "approvals_missing"
    self.next_announcement = index + 1
    from_s: uint256 = block.timestamp + LEAVING_S
    if is_none:
        from_s = 0
    self.successors = Successors(members=members, cash=cash, clearing=clearing, sealable_from_s=from_s)
    log SuccessorsAnnounced(members=members, cash=cash, clearing=clearing, sealable_from_s=from_s)


@external
@view
def successor() -> address:
    """
    @notice The contract that takes the place of this one, none unless announced
    @return Its address
    """
    return self.successors.members


@external
@view
def has_successors() -> bool:
    """
    @notice Whether contracts that will take the place of these are announced
    @return Whether everyone may leave
    """
    return self.successors.sealable_from_s != 0


@external
@view
def may_seal() -> bool:
    """
    @notice Whether successors are announced and the 14 days in which everyone may leave are over
    @return Whether these contracts may be closed
    """
    return self._may_seal()


@external
def seal_members(
    members: DynArray[uint256, 100], index: uint256, afresh: bool, approvals: DynArray[eip712.Approval, 5]
):
    """
    @notice Close this contract and seal the next part of its members; approved by governance
    @dev Reverts: too_early, index_out_of_order, approvals_missing, sealed, accounts_not_ascending, unknown_member.
    @param members Ascending, above all of the parts before
    @param index Next seal index, from 0
    @param afresh Begin again: the lists before were wrong
    @param approvals Governance's
    """
    assert self._may_seal(), "too_early"
    content: bytes32 = migration._seal_content(index, afresh, keccak256(abi_encode(members)))
    assert offices._has_approvals(GOVERNANCE, eip712._digest(content), approvals), "approvals_missing"
    next_member: uint256 = migration._begin_part(index, afresh)
    if afresh:
        self.sealed_count = 0
    rows: DynArray[Row, 100] = []
    for member: uint256 in members:
        assert member >= next_member, "accounts_not_ascending"
        assert keys.live[member].x != 0, "unknown_member"
        next_member = member + 1
        rows.append(
            Row(
                member=member,
                x=keys.live[member].x,
                y=keys.live[member].y,
                roles=offices.roles_of[member],
                is_frozen=offices.is_frozen[member],
                former_keys=keys.former_keys_of[member],
                key_times=keys.key_times[member],
            )
        )
    self.sealed_count += len(members)
    migration._seal_part(keccak256(abi_encode(rows)), next_member)


@external
def complete_seal():
    """
    @notice End the sealing, once every member is in it; anyone may send it
    @dev Reverts: not_sealed, sealed, account_missing.
    """
    assert self.sealed_count == self.member_count, "account_missing"
    migration._complete_seal()


@external
def import_members(rows: DynArray[Row, 100], part_index: uint256):
    """
    @notice Take over the next sealed part of the predecessor; anyone may send it, no other part fits
    @dev Reverts: not_importing, part_out_of_order, wrong_part.
    @param rows As they were sealed
    @param part_index 0, 1, 2 ...
    """
    migration._import_part(part_index, keccak256(abi_encode(rows)))
    for row: Row in rows:
        self._admit(Admission(member=row.member, x=row.x, y=row.y, roles=row.roles))
        keys.former_keys_of[row.member] = row.former_keys
        keys.key_times[row.member] = row.key_times
        if row.is_frozen:
            offices.is_frozen[row.member] = True
            log offices.Frozen(member=row.member, frozen=True)


@external
def open():
    """
    @notice Begin, with exactly what the predecessor sealed; anyone may send it
    @dev Reverts: not_importing, not_the_successor, not_sealed, wrong_root.
    """
    migration._open()


# ----------------------------------------------------------------------------------------------- views


@external
@view
def are_members(members: DynArray[uint256, 100]) -> bool:
    """
    @notice Whether every id has been admitted
    @param members Ids
    """
    for member: uint256 in members:
        if keys.live[member].x == 0:
            return False
    return True


@internal
@view
def _may_seal() -> bool:
    from_s: uint256 = self.successors.sealable_from_s
    return from_s != 0 and block.timestamp >= from_s


@internal
def _admit(admission: Admission):
    assert admission.member != 0 and admission.x != 0, "no_key"
    assert admission.roles & ~offices.ALL_ROLES == 0, "unknown_role"
    assert keys.live[admission.member].x == 0, "member_exists"
    keys.live[admission.member] = keys.Key(x=admission.x, y=admission.y)
    self.member_count += 1
    offices._set_roles(admission.member, admission.roles)
    log Admitted(member=admission.member, x=admission.x, y=admission.y, roles=admission.roles)
