# pragma version 0.4.3
"""
@title Life: where a receivable stands, who owes it to whom, and what of it is open
@notice States: 1 issued, 2 acknowledged, 3 listed, 4 reserved, 5 financed, 6 due, 7 partly paid, 8 overdue, 9 recourse,
        10 defaulted, 11 written off, 12 settled, 13 rejected, 14 cancelled, 15 disputed, 16 void.
        Amounts are micro-yuan and whole fen; days are counted from 1970-01-01 in the market's time zone.
"""

import eip712

uses: eip712

interface IMembers:
    def roles_of(member: uint256) -> uint256: view
    def key_of(member: uint256) -> Key: view
    def is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def is_frozen(member: uint256) -> bool: view
    def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool: view

# as Members has it; all zero for nobody
struct Key:
    x: uint256
    y: uint256

interface ISales:
    def has_auction(receivable: bytes32) -> bool: view

# what lives here. Two claims: the holder's, of which `advance_open` is open with what is due on it before, and the
# residual; `advance` is what was sold, 0 when nothing was. Interest is counted up to `accrued_day`.
struct Claim:
    state: uint256
    creditor: uint256
    debtor: uint256
    face: uint256
    due_day: uint256
    trades_root: bytes32
    residual_open: uint256
    advance: uint256
    advance_open: uint256
    costs_due: uint256
    interest_due: uint256
    late_rate: uint256
    year_days: uint256
    accrued_day: uint256
    with_recourse: bool
    is_frozen: bool
    last_part: uint256

# a signature over a member's own act
struct Word:
    nonce: uint256
    deadline: uint256
    r: uint256
    s: uint256


event Changed:
    receivable: indexed(bytes32)
    actor: uint256
    before: uint256
    after: uint256


ABSENT: constant(uint256) = 0
ISSUED: constant(uint256) = 1
ACKNOWLEDGED: constant(uint256) = 2
LISTED: constant(uint256) = 3
RESERVED: constant(uint256) = 4
FINANCED: constant(uint256) = 5
DUE: constant(uint256) = 6
PARTLY_PAID: constant(uint256) = 7
OVERDUE: constant(uint256) = 8
RECOURSE: constant(uint256) = 9
DEFAULTED: constant(uint256) = 10
WRITTEN_OFF: constant(uint256) = 11
SETTLED: constant(uint256) = 12
REJECTED: constant(uint256) = 13
CANCELLED: constant(uint256) = 14
DISPUTED: constant(uint256) = 15
VOID: constant(uint256) = 16

NOBODY: constant(uint256) = 0
BANK: constant(uint256) = 128
DAY_S: constant(uint256) = 86_400
FEN: constant(uint256) = 10_000

MEMBERS: immutable(IMembers)
SALES: immutable(ISales)
DAY_OFFSET_S: immutable(uint256)

claims: HashMap[bytes32, Claim]
# registration -> used, for a pledge or a sale
is_registered: public(HashMap[bytes32, bool])


@deploy
def __init__(members: address, sales: address, day_offset_s: uint256):
    """
    @param members Whose signatures count
    @param sales Where receivables are sold
    @param day_offset_s What local time is ahead of UTC
    """
    MEMBERS = IMembers(members)
    SALES = ISales(sales)
    DAY_OFFSET_S = day_offset_s


@external
@view
def claim_of(receivable: bytes32) -> Claim:
    """
    @notice Where a receivable stands and what of it is open
    @param receivable Its id
    @return All zero when it is not on the chain
    """
    return self._claim(receivable)


@internal
@view
def _claim(receivable: bytes32) -> Claim:
    """
    @dev One copy of the code that reads it all.
    """
    return self.claims[receivable]


@internal
def _keep(receivable: bytes32, claim: Claim):
    self.claims[receivable] = claim


@internal
@view
def _local_day() -> uint256:
    return (block.timestamp + DAY_OFFSET_S) // DAY_S


@internal
@pure
def _is_in(state: uint256, states: uint256) -> bool:
    """
    @dev Whether a state is among some, given as bits.
    """
    return (1 << state) & states != 0


@internal
@view
def _check_state(receivable: bytes32, states: uint256):
    """
    @dev Reverts illegal_transition unless the receivable is in one of these states, given as bits.
    """
    assert (1 << self.claims[receivable].state) & states != 0, "illegal_transition"


@internal
@view
def _check_free(receivable: bytes32):
    assert not self.claims[receivable].is_frozen, "receivable_frozen"


@internal
def _change(receivable: bytes32, actor: uint256, before: uint256, after: uint256):
    self.claims[receivable].state = after
    log Changed(receivable=receivable, actor=actor, before=before, after=after)


@internal
def _use_word(member: uint256, content: bytes32, word: Word):
    """
    @dev A member's own act. Reverts: deadline_passed, bad_signature, nonce_used.
    """
    eip712._check_deadline(word.deadline)
    assert staticcall MEMBERS.is_signed(member, eip712._digest(content), word.r, word.s), "bad_signature"
    eip712._use_nonce(member, word.nonce)


@internal
def _use_plain_word(act: bytes32, receivable: bytes32, member: uint256, word: Word):
    """
    @dev An act that says no more than what is done with which receivable.
    """
    self._use_word(member, keccak256(abi_encode(act, receivable, member, word.nonce, word.deadline)), word)


@internal
def _use_movers_word(member: uint256, content: bytes32, word: Word):
    """
    @dev An act that moves a member's assets: a frozen member can not. Reverts as well: member_frozen.
    """
    self._use_word(member, content, word)
    assert not staticcall MEMBERS.is_frozen(member), "member_frozen"


@internal
@view
def _is_bank(member: uint256) -> bool:
    return (staticcall MEMBERS.roles_of(member)) & BANK != 0


@internal
@view
def _has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool:
    return staticcall MEMBERS.has_approvals(role, digest, approvals)


@internal
def _register(registration: bytes32):
    assert registration != empty(bytes32), "registration_missing"
    assert not self.is_registered[registration], "registration_used"
    self.is_registered[registration] = True
