# pragma version 0.4.3
"""
@title Parts: who owns how much of a receivable's two claims
@notice Each claim is held in parts, which have numbers of their own and add up to what is open. A part that is pledged,
        or whose receivable is listed, reserved, disputed or frozen, stays where it is. Money on a part goes to its
        owner, or to the bank it is pledged to.
"""

import life
import trade_claims

uses: life
uses: trade_claims

struct Part:
    number: uint256
    claim: uint256
    owner: uint256
    open: uint256
    pledgee: uint256

# as Cash takes them
struct Payee:
    account: uint256
    amount: uint256

# what a payment does: the holder's parts are paid `to_holder` and go down by `to_advance`, the residual's go down by
# `taken` first and then by `to_residual`, which they are paid; `buyer` owns the holder's parts afterwards, if not 0
struct Shares:
    taken: uint256
    to_holder: uint256
    to_advance: uint256
    to_residual: uint256
    buyer: uint256


event PartChanged:
    receivable: indexed(bytes32)
    part: uint256
    actor: uint256
    claim: uint256
    owner: uint256
    before: uint256
    after: uint256
    pledgee: uint256

event PartPledged:
    receivable: indexed(bytes32)
    part: uint256
    registration: bytes32


RESIDUAL: constant(uint256) = 0
HOLDER: constant(uint256) = 1
MAX_PARTS: constant(uint256) = 20
# 1 CNY
MIN_PART: constant(uint256) = 1_000_000

# acknowledged, financed and all that may follow while something is open
MOVABLE: constant(uint256) = (1 << life.ACKNOWLEDGED) | (1 << life.FINANCED) | (1 << life.DUE) | (
    1 << life.PARTLY_PAID
) | (1 << life.OVERDUE) | (1 << life.RECOURSE) | (1 << life.DEFAULTED) | (1 << life.WRITTEN_OFF)

SPLIT_PART: constant(bytes32) = keccak256(
    "SplitPart(bytes32 receivable,uint256 owner,uint256 part,uint256 amount,uint256 nonce,uint256 deadline)"
)
TRANSFER_PART: constant(bytes32) = keccak256(
    "TransferPart(bytes32 receivable,uint256 owner,uint256 part,uint256 amount,uint256 to,uint256 nonce,uint256 deadline)"
)
MERGE_PARTS: constant(bytes32) = keccak256(
    "MergeParts(bytes32 receivable,uint256 owner,uint256 part,uint256 other,uint256 nonce,uint256 deadline)"
)
PLEDGE_PART: constant(bytes32) = keccak256(
    "PledgePart(bytes32 receivable,uint256 owner,uint256 part,uint256 pledgee,bytes32 registration,uint256 nonce,uint256 deadline)"
)
RELEASE_PART: constant(bytes32) = keccak256(
    "ReleasePart(bytes32 receivable,uint256 pledgee,uint256 part,uint256 nonce,uint256 deadline)"
)

# by ascending number
held: HashMap[bytes32, DynArray[Part, MAX_PARTS]]


# ------------------------------------------------------------------------------------------- what owners do


@external
def split_part(
    receivable: bytes32, part: uint256, amount: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256
):
    """
    @notice Make a new part out of a part, of the same owner; both sides of at least 1 CNY
    @dev Reverts: illegal_transition, receivable_frozen, no_such_part, pledged, deadline_passed, bad_signature, member_frozen,
         nonce_used, not_whole_fen, part_too_small, too_many_parts.
    @param receivable Its id
    @param part The part's number
    @param amount Micro-yuan of the new part
    @param nonce Any number that the owner has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the part's owner, and
    @param s its other half
    """
    at: uint256 = self._movable(receivable, part)
    owner: uint256 = self.held[receivable][at].owner
    content: bytes32 = keccak256(abi_encode(SPLIT_PART, receivable, owner, part, amount, nonce, deadline))
    life._use_movers_word(owner, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    self._split(receivable, at, amount, owner)


@external
def transfer_part(
    receivable: bytes32,
    part: uint256,
    amount: uint256,
    to: uint256,
    nonce: uint256,
    deadline: uint256,
    r: uint256,
    s: uint256,
):
    """
    @notice Give a part, or so much of it, to another: the holder's claim to a bank or the creditor, a residual to anyone
    @dev Reverts: illegal_transition, receivable_frozen, no_such_part, pledged, trades_unclaimed, deadline_passed,
         bad_signature, member_frozen, nonce_used, not_a_bank, unknown_member, not_whole_fen, part_too_small,
         too_many_parts.
    @param receivable Its id
    @param part The part's number
    @param amount Micro-yuan: all that is open of the part, or less
    @param to Who gets it
    @param nonce Any number that the owner has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the part's owner, and
    @param s its other half
    """
    at: uint256 = self._movable(receivable, part)
    assert trade_claims.is_complete[receivable], "trades_unclaimed"
    held: Part = self.held[receivable][at]
    content: bytes32 = keccak256(abi_encode(TRANSFER_PART, receivable, held.owner, part, amount, to, nonce, deadline))
    life._use_movers_word(held.owner, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    if held.claim == HOLDER:
        assert life._is_bank(to) or to == life.claims[receivable].creditor, "not_a_bank"
    else:
        assert (staticcall life.MEMBERS.key_of(to)).x != 0, "unknown_member"
    if amount == held.open:
        self.held[receivable][at].owner = to
        self._log(receivable, self.held[receivable][at], held.owner, held.open)
    else:
        self._split(receivable, at, amount, to)


@external
def merge_parts(
    receivable: bytes32, part: uint256, other: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256
):
    """
    @notice Put a part into another of the same owner and claim
    @dev Reverts: illegal_transition, receivable_frozen, no_such_part, pledged, not_mergeable, deadline_passed,
         bad_signature, member_frozen, nonce_used.
    @param receivable Its id
    @param part Number of the part that stays
    @param other Number of the part that goes
    @param nonce Any number that the owner has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the owner of both, and
    @param s its other half
    """
    at: uint256 = self._movable(receivable, part)
    other_at: uint256 = self._movable(receivable, other)
    into: Part = self.held[receivable][at]
    gone: Part = self.held[receivable][other_at]
    assert part != other and into.owner == gone.owner and into.claim == gone.claim, "not_mergeable"
    content: bytes32 = keccak256(abi_encode(MERGE_PARTS, receivable, into.owner, part, other, nonce, deadline))
    life._use_movers_word(into.owner, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    self._set_open(receivable, at, into.open + gone.open)
    self._set_open(receivable, other_at, 0)
    self._pay(receivable, life.NOBODY, empty(Shares))


@external
def pledge_part(
    receivable: bytes32,
    part: uint256,
    pledgee: uint256,
    registration: bytes32,
    nonce: uint256,
    deadline: uint256,
    r: uint256,
    s: uint256,
):
    """
    @notice Pledge a part to a bank: money on it goes to the bank, and it does not move, until the bank releases it
    @dev Reverts: illegal_transition, receivable_frozen, no_such_part, pledged, trades_unclaimed, not_a_bank, deadline_passed,
         bad_signature, member_frozen, nonce_used, registration_missing, registration_used.
    @param receivable Its id
    @param part The part's number
    @param pledgee The bank
    @param registration Hash of the registry's number, used once for all pledges and sales
    @param nonce Any number that the owner has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the part's owner, and
    @param s its other half
    """
    at: uint256 = self._movable(receivable, part)
    assert trade_claims.is_complete[receivable], "trades_unclaimed"
    assert life._is_bank(pledgee), "not_a_bank"
    held: Part = self.held[receivable][at]
    content: bytes32 = keccak256(
        abi_encode(PLEDGE_PART, receivable, held.owner, part, pledgee, registration, nonce, deadline)
    )
    life._use_movers_word(held.owner, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    life._register(registration)
    self.held[receivable][at].pledgee = pledgee
    log PartPledged(receivable=receivable, part=part, registration=registration)
    self._log(receivable, self.held[receivable][at], held.owner, held.open)


@external
def release_part(receivable: bytes32, part: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice End a pledge; the pledgee may at any time
    @dev Reverts: no_such_part, not_pledged, deadline_passed, bad_signature, nonce_used.
    @param receivable Its id
    @param part The part's number
    @param nonce Any number that the pledgee has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the pledgee, and
    @param s its other half
    """
    at: uint256 = self._place(receivable, part)
    held: Part = self.held[receivable][at]
    assert held.pledgee != life.NOBODY, "not_pledged"
    content: bytes32 = keccak256(abi_encode(RELEASE_PART, receivable, held.pledgee, part, nonce, deadline))
    life._use_word(held.pledgee, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    self.held[receivable][at].pledgee = life.NOBODY
    self._log(receivable, self.held[receivable][at], held.pledgee, held.open)


@external
@view
def parts_of(receivable: bytes32) -> DynArray[Part, MAX_PARTS]:
    """
    @notice The parts of a receivable in which something is open
    @param receivable Its id
    @return By ascending number
    """
    return self._load(receivable)


@external
@view
def part_of(receivable: bytes32, part: uint256) -> Part:
    """
    @notice One part of a receivable
    @dev Reverts: no_such_part.
    @param receivable Its id
    @param part The part's number
    @return Its claim (0 residual, 1 holder), owner, what is open, and to whom it is pledged
    """
    return self.held[receivable][self._place(receivable, part)]


# ------------------------------------------------------------------------------ what happens to a receivable


@internal
def _begin(receivable: bytes32, creditor: uint256, face: uint256):
    """
    @dev A new receivable is one residual of its creditor.
    """
    self._append(receivable, Part(number=0, claim=RESIDUAL, owner=creditor, open=face, pledgee=0), life.NOBODY)


@internal
@view
def _check_creditors(receivable: bytes32):
    """
    @dev Reverts not_whole unless every part is the creditor's own and unpledged.
    """
    creditor: uint256 = life.claims[receivable].creditor
    all_parts: DynArray[Part, MAX_PARTS] = self._load(receivable)
    for each: Part in all_parts:
        assert each.owner == creditor and each.pledgee == life.NOBODY, "not_whole"


@internal
@view
def _owned(receivable: bytes32, claim: uint256, member: uint256) -> uint256:
    """
    @dev What is open of a member's parts of one claim.
    """
    owned: uint256 = 0
    all_parts: DynArray[Part, MAX_PARTS] = self._load(receivable)
    for each: Part in all_parts:
        if each.claim == claim and each.owner == member:
            owned += each.open
    return owned


@internal
def _assign(receivable: bytes32, bank: uint256, advance: uint256):
    """
    @dev Of a whole receivable the advance becomes the bank's, the rest stays the creditor's residual.
    """
    creditor: uint256 = self.held[receivable][0].owner
    self._append(receivable, Part(number=0, claim=HOLDER, owner=bank, open=advance, pledgee=0), creditor)
    self._set_open(receivable, 0, self.held[receivable][0].open - advance)
    self._pay(receivable, life.NOBODY, empty(Shares))


@internal
def _end(receivable: bytes32, actor: uint256):
    """
    @dev Nothing is owed, of what was never sold: no part is left.
    """
    self._pay(receivable, actor, Shares(taken=life.claims[receivable].residual_open, to_holder=0, to_advance=0, to_residual=0, buyer=0))
    life.claims[receivable].residual_open = 0


@internal
def _pay(receivable: bytes32, actor: uint256, shares: Shares) -> DynArray[Payee, MAX_PARTS]:
    """
    @dev Share a payment among the parts; those in which nothing is open go. Returns who is to be paid how much.
    """
    holder_open: uint256 = life.claims[receivable].advance_open
    residual_open: uint256 = life.claims[receivable].residual_open
    payees: DynArray[Payee, MAX_PARTS] = []
    kept: DynArray[Part, MAX_PARTS] = []
    before: uint256[2] = [0, 0]
    left_before: uint256 = 0
    all_parts: DynArray[Part, MAX_PARTS] = self._load(receivable)
    for held: Part in all_parts:
        each: Part = held
        given: uint256 = 0
        if each.claim == HOLDER:
            given = self._slice(before[HOLDER], held.open, shares.to_holder, holder_open)
            each.open -= self._slice(before[HOLDER], held.open, shares.to_advance, holder_open)
            if shares.buyer != life.NOBODY:
                each.owner = shares.buyer
                each.pledgee = life.NOBODY
        else:
            each.open -= self._slice(before[RESIDUAL], held.open, shares.taken, residual_open)
            given = self._slice(left_before, each.open, shares.to_residual, residual_open - shares.taken)
            left_before += each.open
            each.open -= given
        before[held.claim] += held.open
        if given != 0:
            payees.append(Payee(account=held.owner if held.pledgee == life.NOBODY else held.pledgee, amount=given))
        if each.open != held.open or (each.claim == HOLDER and shares.buyer != life.NOBODY):
            self._log(receivable, each, actor, held.open)
        if each.open != 0:
            kept.append(each)
    self._store(receivable, kept)
    return payees


@internal
@pure
def _slice(before: uint256, open: uint256, amount: uint256, total: uint256) -> uint256:
    """
    @dev A part's share of an amount, in whole fen: what the parts up to this one get, rounded down, less what those
         before it get. Shares add up to the amount exactly, and nothing is won by splitting.
    """
    if amount == 0:
        return 0
    upto: uint256 = (before + open) * amount // (total * life.FEN)
    return (upto - before * amount // (total * life.FEN)) * life.FEN


# ---------------------------------------------------------------------------------------------- the steps


@internal
@view
def _load(receivable: bytes32) -> DynArray[Part, MAX_PARTS]:
    return self.held[receivable]


@internal
def _store(receivable: bytes32, kept: DynArray[Part, MAX_PARTS]):
    self.held[receivable] = kept


@internal
@view
def _place(receivable: bytes32, part: uint256) -> uint256:
    for at: uint256 in range(len(self.held[receivable]), bound=MAX_PARTS):
        if self.held[receivable][at].number == part:
            return at
    raise "no_such_part"


@internal
@view
def _movable(receivable: bytes32, part: uint256) -> uint256:
    """
    @dev Where a part is that its owner may split, transfer, merge or pledge.
    """
    life._check_state(receivable, MOVABLE)
    life._check_free(receivable)
    at: uint256 = self._place(receivable, part)
    assert self.held[receivable][at].pledgee == life.NOBODY, "pledged"
    return at


@internal
def _split(receivable: bytes32, at: uint256, amount: uint256, to: uint256):
    held: Part = self.held[receivable][at]
    assert amount % life.FEN == 0, "not_whole_fen"
    assert amount >= MIN_PART and held.open >= amount + MIN_PART, "part_too_small"
    assert len(self.held[receivable]) < MAX_PARTS, "too_many_parts"
    self._set_open(receivable, at, held.open - amount)
    self._append(receivable, Part(number=0, claim=held.claim, owner=to, open=amount, pledgee=0), held.owner)


@internal
def _set_open(receivable: bytes32, at: uint256, open: uint256):
    """
    @dev By its owner. A part that has come to nothing goes with the next payment, be it of nothing.
    """
    before: uint256 = self.held[receivable][at].open
    self.held[receivable][at].open = open
    self._log(receivable, self.held[receivable][at], self.held[receivable][at].owner, before)


@internal
def _append(receivable: bytes32, part: Part, actor: uint256):
    number: uint256 = life.claims[receivable].last_part + 1
    life.claims[receivable].last_part = number
    numbered: Part = part
    numbered.number = number
    self.held[receivable].append(numbered)
    self._log(receivable, numbered, actor, 0)


@internal
def _log(receivable: bytes32, part: Part, actor: uint256, before: uint256):
    log PartChanged(
        receivable=receivable,
        part=part.number,
        actor=actor,
        claim=part.claim,
        owner=part.owner,
        before=before,
        after=part.open,
        pledgee=part.pledgee,
    )
