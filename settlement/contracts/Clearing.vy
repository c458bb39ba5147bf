# pragma version 0.4.3
"""
@title Clearing: escrow, the market's commitments, and the settlement cycles
@notice The parts of a cycle add up to zero; a cycle applies once; nobody falls below zero. Roots are in the events,
        under one rolling hash.
"""

import bonds
import commitments
import eip712
import escrow
import escrow_seal
import exits
import migration

initializes: eip712
initializes: migration
initializes: escrow[migration := migration]
initializes: commitments[eip712 := eip712, migration := migration]
initializes: bonds[escrow := escrow, migration := migration]
initializes: exits[eip712 := eip712, escrow := escrow, migration := migration]
initializes: escrow_seal[bonds := bonds, eip712 := eip712, escrow := escrow, migration := migration]

exports: (
    migration.state,
    migration.seal,
    migration.sealed_part,
    migration.imported,
    migration.next_seal,
    escrow_seal.successor,
    escrow_seal.complete_seal,
    escrow_seal.import_escrow,
    escrow.total_arrears,
    escrow.escrow_of,
    escrow.arrears_of,
    escrow.standing_of,
    escrow.escalate,
    escrow.held_of,
    escrow.total_held,
    escrow.applied_cycle,
    exits.request_exit,
    exits.exit,
    exits.exit_of,
    exits.applied_until_s,
    exits.applied_at_s,
    exits.HORIZON_S,
    commitments.commit,
    commitments.commit_index,
    commitments.commitment,
    bonds.disputable_root,
    bonds.open_challenge,
    bonds.close_challenge,
    bonds.void,
    bonds.proposed_cycle,
    bonds.proposed_until_s,
    bonds.backing_of,
    bonds.open_challenges,
    bonds.total_bonds,
    bonds.OPERATOR_BOND,
    bonds.CHALLENGE_BOND,
)

interface IMembers:
    def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool: view
    def both_approve(
        role: uint256,
        approvals: DynArray[eip712.Approval, 5],
        other_role: uint256,
        other_approvals: DynArray[eip712.Approval, 5],
        digest: bytes32,
    ) -> bool: view

interface IPredecessor:
    def commit_index() -> uint256: view
    def commitment() -> bytes32: view
    def applied_cycle() -> uint256: view
    def applied_until_s() -> uint256: view

interface ICash:
    def move(source: uint256, target: uint256, amount: uint256): nonpayable

struct Entry:
    member: uint256
    amount: uint256

struct Delta:
    account: uint256
    amount: int256

struct Part:
    part_hash: bytes32
    sum: int256

struct Proposal:
    end_s: uint256
    part_count: uint256

# how far the cycle being applied has come
struct Progress:
    next_part: uint256
    next_account: uint256
    crediting: bool
    debited: uint256
    collected: uint256
    credited: uint256


event Proposed:
    cycle: indexed(uint256)
    start_s: uint256
    end_s: uint256
    trades_root: bytes32
    readings_root: bytes32
    statements_root: bytes32
    parts_hash: bytes32
    part_count: uint256
    disputable_until_s: uint256

event PartApplied:
    cycle: indexed(uint256)
    part_index: uint256

event CycleApplied:
    cycle: indexed(uint256)
    debited: uint256
    collected: uint256
    credited: uint256


OPERATOR: constant(uint256) = 1
CHECKER: constant(uint256) = 2

ENTER: constant(bytes32) = keccak256("Enter(uint256 member,uint256 amount,uint256 nonce,uint256 deadline)")
PROPOSE: constant(bytes32) = keccak256(
    "Propose(uint256 cycle,uint256 startS,uint256 endS,bytes32 tradesRoot,bytes32 readingsRoot,bytes32 statementsRoot,bytes32 partsHash)"
)

MEMBERS: immutable(IMembers)
CASH: immutable(ICash)
DISPUTE_WINDOW_S: public(immutable(uint256))

proposals: public(HashMap[uint256, Proposal])
parts: HashMap[uint256, HashMap[uint256, Part]]
progress: Progress


@deploy
def __init__(
    salt: bytes32,
    members: address,
    cash: address,
    disputes: address,
    dispute_window_s: uint256,
    horizon_s: uint256,
    operator_bond: uint256,
    challenge_bond: uint256,
    predecessor: address,
):
    """
    @param salt 32 random genesis bytes
    @param cash The money contract, known before it is deployed
    @param disputes Who can void a proposed cycle, known before it is deployed
    @param dispute_window_s Seconds between a proposal and its first part
    @param horizon_s How far ahead slots are traded: money asked back may still be owed that long
    @param operator_bond Locked for each proposed cycle until it is applied, micro-yuan
    @param challenge_bond Locked for each challenge until it is answered or upheld, micro-yuan
    @param predecessor Whose escrow this will be, none for the first
    """
    eip712.__init__(salt)
    migration.__init__(predecessor)
    commitments.__init__(members)
    exits.__init__(members, cash, dispute_window_s, horizon_s)
    escrow_seal.__init__(members, cash)
    bonds.__init__(disputes, operator_bond, challenge_bond)
    MEMBERS = IMembers(members)
    CASH = ICash(cash)
    DISPUTE_WINDOW_S = dispute_window_s


# ---------------------------------------------------------------------------------------------- escrow


@external
def enter(member: uint256, amount: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice A member's cash into its escrow; arrears are paid first
    @dev Reverts: deadline_passed, closed, amount_out_of_range, bad_signature, member_frozen, nonce_used,
         insufficient_cash.
    @param member Whose cash it is
    @param amount Micro-yuan
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    migration._check_open()
    assert amount != 0, "amount_out_of_range"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ENTER, member, amount, nonce, deadline)))
    assert staticcall MEMBERS.check_mover(member, digest, r, s)
    eip712._use_nonce(member, nonce)
    escrow._enter(member, amount)
    extcall CASH.move(member, self._own_account(), amount)


@external
def enter_minted(entries: DynArray[Entry, 100]):
    """
    @notice Escrow of money that Cash has just minted onto this contract's account
    @dev Reverts: not_cash, closed, amount_out_of_range.
    @param entries Whose and how much
    """
    assert msg.sender == CASH.address, "not_cash"
    migration._check_open()
    for entry: Entry in entries:
        escrow._enter(entry.member, entry.amount)


@external
def release(accounts: DynArray[uint256, 100]):
    """
    @notice Pay credits that were held back, when the fund covers all that is held: then the order does not matter
    @dev Reverts: closed, cycle_being_applied, fund_short, amount_out_of_range.
    @param accounts Members
    """
    migration._check_open()
    assert self.progress.next_part == 0, "cycle_being_applied"
    escrow._release(accounts)


# ------------------------------------------------------------------------------------ settlement cycles


@external
def propose(
    cycle: uint256,
    start_s: uint256,
    end_s: uint256,
    trades_root: bytes32,
    readings_root: bytes32,
    statements_root: bytes32,
    parts: DynArray[Part, 64],
    operator_approvals: DynArray[eip712.Approval, 5],
    checker_approvals: DynArray[eip712.Approval, 5],
):
    """
    @notice What a cycle [start_s, end_s) will move; approved by the operator and, over the same digest, the checker
    @dev The bond is out of the escrow of the first operator who approves. A void cycle is proposed again.
         Reverts: closed, cycle_overlaps, cycle_not_over, no_parts, approvals_missing, sum_not_zero,
         cycle_out_of_order, challenge_open, amount_out_of_range, bond_missing.
    @param cycle 1, 2, 3 ...
    @param start_s Seconds since the epoch, included
    @param end_s Seconds since the epoch, excluded
    @param trades_root Root of its trades
    @param readings_root Root of its readings
    @param statements_root Root of its statements
    @param parts Hash and sum of each part; the sums add up to zero
    @param operator_approvals The operator's
    @param checker_approvals The checker's, over the same digest
    """
    migration._check_open()
    assert start_s < end_s, "cycle_overlaps"
    assert end_s <= block.timestamp, "cycle_not_over"
    assert len(parts) != 0, "no_parts"
    parts_hash: bytes32 = keccak256(abi_encode(parts))
    digest: bytes32 = eip712._digest(
        keccak256(
            abi_encode(PROPOSE, cycle, start_s, end_s, trades_root, readings_root, statements_root, parts_hash)
        )
    )
    assert staticcall MEMBERS.both_approve(
        OPERATOR, operator_approvals, CHECKER, checker_approvals, digest
    ), "approvals_missing"
    total: int256 = 0
    index: uint256 = 0
    for part: Part in parts:
        total += part.sum
        self.parts[cycle][index] = part
        index += 1
    assert total == 0, "sum_not_zero"
    disputable_until_s: uint256 = block.timestamp + DISPUTE_WINDOW_S
    bonds._stand(cycle, start_s, end_s, trades_root, disputable_until_s, operator_approvals[0].member)
    self.proposals[cycle] = Proposal(end_s=end_s, part_count=len(parts))
    log Proposed(
        cycle=cycle,
        start_s=start_s,
        end_s=end_s,
        trades_root=trades_root,
        readings_root=readings_root,
        statements_root=statements_root,
        parts_hash=parts_hash,
        part_count=len(parts),
        disputable_until_s=disputable_until_s,
    )


@external
def apply_part(cycle: uint256, part_index: uint256, deltas: DynArray[Delta, 300]):
    """
    @notice Move the money of one part; anyone may send it, for its hash was signed
    @dev Over all parts: debits before credits, accounts ascending in each. Nobody's lack of money reverts it.
         Reverts: closed, cycle_out_of_order, cycle_void, dispute_window_open, challenge_open,
         part_out_of_order, wrong_part, debit_after_credit, account_twice, amount_out_of_range, zero_delta,
         accounts_not_ascending, wrong_sum.
    @param cycle Its number
    @param part_index 0, 1, 2 ...
    @param deltas Accounts ascending, debits first
    """
    migration._check_open()
    proposal: Proposal = self.proposals[cycle]
    part: Part = self.parts[cycle][part_index]
    progress: Progress = self.progress
    assert cycle == escrow.applied_cycle + 1 and proposal.part_count != 0, "cycle_out_of_order"
    bonds._check_undisputed(cycle)
    assert part_index == progress.next_part, "part_out_of_order"
    assert keccak256(abi_encode(cycle, part_index, deltas)) == part.part_hash, "wrong_part"
    total: int256 = 0
    for delta: Delta in deltas:
        total += delta.amount
        if delta.amount < 0:
            assert not progress.crediting, "debit_after_credit"
            owed: uint256 = convert(-delta.amount, uint256)
            taken: uint256 = escrow._debit(cycle, delta.account, owed)
            progress.debited += owed
            progress.collected += taken
        else:
            assert delta.amount != 0, "zero_delta"
            if not progress.crediting:
                covered: uint256 = escrow._cover(cycle, progress.debited - progress.collected)
                progress.crediting = True
                progress.next_account = 0
                progress.collected += covered
            paid: uint256 = escrow._credit(
                cycle, delta.account, convert(delta.amount, uint256), progress.collected, progress.debited
            )
            progress.credited += paid
        # the first account allowed is 1: the fund is nobody's counterparty
        assert delta.account >= max(progress.next_account, 1), "accounts_not_ascending"
        progress.next_account = delta.account + 1
    assert total == part.sum, "wrong_sum"
    progress.next_part += 1
    self.parts[cycle][part_index] = empty(Part)
    log PartApplied(cycle=cycle, part_index=part_index)
    if progress.next_part == proposal.part_count:
        self._finish(cycle, proposal.end_s, progress)
    else:
        self.progress = progress


# ------------------------------------------------------------------------------------------- migration


@external
def seal_escrow(
    accounts: DynArray[uint256, 100], index: uint256, afresh: bool, approvals: DynArray[eip712.Approval, 5]
):
    """
    @notice Close this contract and seal what the next accounts have; approved by governance
    @dev Reverts: cycle_being_applied, too_early, index_out_of_order, approvals_missing, sealed, accounts_not_ascending.
         A cycle that is proposed and not begun falls; it is proposed again to the successor.
    @param accounts Ascending, above all of the parts before; account 0 is the guarantee fund
    @param index Next seal index, from 0
    @param afresh Begin again: the lists before were wrong
    @param approvals Governance's
    """
    assert self.progress.next_part == 0, "cycle_being_applied"
    escrow_seal._seal(accounts, index, afresh, approvals)


@external
def open():
    """
    @notice Begin, with exactly what the predecessor sealed, at its last commitment and cycle; anyone may send it
    @dev Reverts: not_importing, not_the_successor, not_sealed, wrong_root, total_not_cash.
    """
    migration._open()
    escrow_seal._check_imported()
    predecessor: IPredecessor = IPredecessor(migration.PREDECESSOR)
    commitments.commit_index = staticcall predecessor.commit_index()
    commitments.commitment = staticcall predecessor.commitment()
    escrow.applied_cycle = staticcall predecessor.applied_cycle()
    bonds.proposed_cycle = escrow.applied_cycle
    exits.applied_until_s = staticcall predecessor.applied_until_s()
    bonds.proposed_until_s = exits.applied_until_s
    exits.applied_at_s = block.timestamp


# ------------------------------------------------------------------------------------------- internals


@internal
def _finish(cycle: uint256, end_s: uint256, progress: Progress):
    escrow._finish(cycle, progress.collected - progress.credited)
    exits.applied_until_s = end_s
    exits.applied_at_s = block.timestamp
    self.proposals[cycle] = empty(Proposal)
    self.progress = empty(Progress)
    bonds._finish(cycle)
    log CycleApplied(
        cycle=cycle, debited=progress.debited, collected=progress.collected, credited=progress.credited
    )


@internal
@view
def _own_account() -> uint256:
    return convert(convert(self, uint160), uint256)
