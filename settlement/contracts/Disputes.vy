# pragma version 0.4.3
"""
@title Disputes: a side of a trade asks for the signed order behind it, and the operator's bond answers for the rest
@notice A challenge is answered with the order, which is checked here field by field, or it is upheld: the trade is
        struck, the cycle is void, and the operator's bond is the challenger's. Some wrongs need no answer, for they are
        proven by what is shown. A trade is shown by opening one half of its leaf; the other stays hidden.
        Words and hashes are those of `settlement/trade_leaf.py` and `settlement/intents.py`, to the letter.
"""

import eip712

initializes: eip712

interface IMembers:
    def roles_of(member: uint256) -> uint256: view
    def is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def was_signed(
        member: uint256, digest: bytes32, r: uint256, s: uint256, at_s: uint256, history: eip712.KeyHistory
    ) -> bool: view

interface IClearing:
    def disputable_root(cycle: uint256) -> bytes32: view
    def open_challenge(cycle: uint256, member: uint256): nonpayable
    def close_challenge(cycle: uint256, challenger: uint256): nonpayable
    def void(cycle: uint256, member: uint256): nonpayable

struct Challenge:
    leaf: bytes32
    cycle: uint256
    challenger: uint256
    due_s: uint256

struct Step:
    on_left: bool
    sibling: bytes32

struct Trade:
    trade: uint256
    sequence: uint256
    slot: uint256
    quantity: uint256
    terms_days: uint256
    taker: uint256
    level: uint256
    traded_s: uint256

struct Half:
    order_digest: bytes32
    member: uint256
    meter: bytes32
    price: int256
    placed_s: uint256
    filled_before: uint256

# a trade as one side shows it; side is 1 for the buyer, 2 for the seller
struct Opening:
    trade: Trade
    trade_salt: bytes32
    side: uint256
    half: Half
    half_salt: bytes32
    other_half: bytes32
    path: DynArray[Step, 32]

# texts are their keccak256
struct Order:
    member: uint256
    client_order_id: bytes32
    meter: bytes32
    side: uint256
    slot: uint256
    quantity: uint256
    price: int256
    reach: uint256
    terms_days: uint256
    tif: uint256
    replaces: bytes32
    deadline: uint256

# count 0: over the order's digest; else over the root of so many, with the order's path to it
struct OrderSignature:
    r: uint256
    s: uint256
    count: uint256
    basket: bool
    path: DynArray[Step, 32]

# the operator's word that an order can trade no more than so much from a sequence number on
struct CancelReceipt:
    limit: uint256
    sequence: uint256
    operator: uint256
    signed_s: uint256
    r: uint256
    s: uint256


event Challenged:
    challenge: indexed(bytes32)
    cycle: indexed(uint256)
    challenger: uint256
    trade: uint256
    side: uint256
    leaf: bytes32
    due_s: uint256

event Answered:
    challenge: indexed(bytes32)
    cycle: indexed(uint256)

event Upheld:
    challenge: indexed(bytes32)
    cycle: indexed(uint256)

# the trade with this leaf is in no cycle any more; who is paid for having shown it
event Struck:
    cycle: indexed(uint256)
    leaf: bytes32
    member: uint256


ANSWER_S: constant(uint256) = 86_400
BUY: constant(uint256) = 1
SELL: constant(uint256) = 2
NEAREST: constant(uint256) = 1
OPERATOR_ROLE: constant(uint256) = 1

CHALLENGE: constant(bytes32) = keccak256(
    "Challenge(uint256 member,uint256 cycle,bytes32 leaf,uint256 nonce,uint256 deadline)"
)
CANCEL_RECEIPT: constant(bytes32) = keccak256("CancelReceipt(bytes32 order,uint256 limitLots,uint256 sequence)")
ORDER: constant(bytes32) = keccak256(
    "Order(uint64 member,string clientOrderId,string meter,uint8 side,uint64 slot,uint64 quantityLots,int64 priceTicks,uint8 reach,uint16 termsDays,uint8 tif,string replaces,uint64 deadline)"
)
ORDER_BATCH: constant(bytes32) = keccak256("OrderBatch(uint64 member,bytes32 root,uint64 count,bool basket)")

MEMBERS: immutable(IMembers)
CLEARING: immutable(IClearing)

# by keccak256 of the trade's leaf and the side that asked; what has ended is gone
challenges: public(HashMap[bytes32, Challenge])
# leaf of a struck trade -> who showed it
struck: public(HashMap[bytes32, uint256])


@deploy
def __init__(salt: bytes32, members: address, clearing: address):
    """
    @param salt 32 random genesis bytes
    @param members Where keys and roles are
    @param clearing Where cycles and bonds are; orders and cancel receipts are signed for it
    """
    eip712.__init__(salt)
    MEMBERS = IMembers(members)
    CLEARING = IClearing(clearing)


# ------------------------------------------------------------------------------------------ asked and answered


@external
def challenge(cycle: uint256, opening: Opening, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice Ask for the signed order behind one's own side of a trade, against a bond; a frozen member may
    @dev The cycle is not applied while a challenge is open. Reverts: deadline_passed, no_such_side,
         wrong_proof, bad_signature, nonce_used, already_challenged, closed, amount_out_of_range, bond_missing.
    @param cycle A proposed cycle in its dispute window
    @param opening The trade with the half of the member who asks and signs
    @param nonce Any number that the member has not used here
    @param deadline The last second at which the signature counts
    @param r Signature of the member over Challenge, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    member: uint256 = opening.half.member
    leaf: bytes32 = self._leaf_in(cycle, opening)
    digest: bytes32 = eip712._digest(keccak256(abi_encode(CHALLENGE, member, cycle, leaf, nonce, deadline)))
    assert staticcall MEMBERS.is_signed(member, digest, r, s), "bad_signature"
    eip712._use_nonce(member, nonce)
    name: bytes32 = keccak256(abi_encode(leaf, opening.side))
    assert self.challenges[name].due_s == 0, "already_challenged"
    extcall CLEARING.open_challenge(cycle, member)
    due_s: uint256 = block.timestamp + ANSWER_S
    self.challenges[name] = Challenge(leaf=leaf, cycle=cycle, challenger=member, due_s=due_s)
    log Challenged(
        challenge=name,
        cycle=cycle,
        challenger=member,
        trade=opening.trade.trade,
        side=opening.side,
        leaf=leaf,
        due_s=due_s,
    )


@external
def answer(opening: Opening, order: Order, signature: OrderSignature, history: eip712.KeyHistory):
    """
    @notice Show the signed order behind a challenged trade; anyone may, within 24 hours. The bond is the operator's
    @dev Reverts: no_such_side, no_challenge, answer_too_late, wrong_order, wrong_member, wrong_meter,
         wrong_side, wrong_slot, wrong_reach, wrong_price, wrong_terms, placed_too_late, wrong_quantity,
         bad_signature, closed, amount_out_of_range.
    @param opening The trade as it was challenged; its path is not needed
    @param order The fields that were signed
    @param signature Of the order, or of the batch that it came in
    @param history The former keys of the member, back to the one that held when the order was placed
    """
    name: bytes32 = keccak256(abi_encode(self._leaf(opening), opening.side))
    asked: Challenge = self.challenges[name]
    assert asked.due_s != 0, "no_challenge"
    assert block.timestamp <= asked.due_s, "answer_too_late"
    self._check_order(opening, order)
    assert self._was_ordered(opening.half, signature, history), "bad_signature"
    self.challenges[name] = empty(Challenge)
    extcall CLEARING.close_challenge(asked.cycle, 0)
    log Answered(challenge=name, cycle=asked.cycle)


@external
def uphold(name: bytes32):
    """
    @notice Strike the trade of a challenge that nobody answered in time; anyone may
    @dev Reverts: no_challenge, answer_awaited, closed, amount_out_of_range.
    @param name keccak256 of the trade's leaf and the side that asked
    """
    asked: Challenge = self.challenges[name]
    assert asked.due_s != 0, "no_challenge"
    assert block.timestamp > asked.due_s, "answer_awaited"
    self.challenges[name] = empty(Challenge)
    extcall CLEARING.close_challenge(asked.cycle, asked.challenger)
    log Upheld(challenge=name, cycle=asked.cycle)
    self._strike(asked.cycle, asked.leaf, asked.challenger)


# --------------------------------------------------------------------------------------------- proven at once


@external
def prove_overlap(cycle: uint256, first: Opening, second: Opening):
    """
    @notice Two trades that fill the same part of one order: the later one is struck; the member is paid the bond
    @dev Reverts: no_such_side, wrong_proof, not_one_order, trades_not_ascending, no_overlap, closed,
         amount_out_of_range.
    @param cycle Its number
    @param first The trade with the lower number, opened on the side of the order
    @param second The other one
    """
    self._leaf_in(cycle, first)
    leaf: bytes32 = self._leaf_in(cycle, second)
    assert first.half.order_digest == second.half.order_digest, "not_one_order"
    assert first.trade.trade < second.trade.trade, "trades_not_ascending"
    assert (
        second.half.filled_before < first.half.filled_before + first.trade.quantity
        and first.half.filled_before < second.half.filled_before + second.trade.quantity
    ), "no_overlap"
    self._strike(cycle, leaf, second.half.member)


@external
def prove_cancelled(cycle: uint256, opening: Opening, receipt: CancelReceipt, history: eip712.KeyHistory):
    """
    @notice A trade beyond what the operator had confirmed to be cancelled: it is struck; the member is paid the bond
    @dev Reverts: no_such_side, wrong_proof, not_operator, signed_at_another_time, bad_signature,
         receipt_not_older, within_receipt, closed, amount_out_of_range.
    @param cycle Its number
    @param opening The trade, on the side of the order
    @param receipt Signed by a holder of the operator's role between the placing of the order and the trade
    @param history The former keys of that operator, back to the one that signed
    """
    leaf: bytes32 = self._leaf_in(cycle, opening)
    assert staticcall MEMBERS.roles_of(receipt.operator) & OPERATOR_ROLE != 0, "not_operator"
    assert (
        opening.half.placed_s <= receipt.signed_s and receipt.signed_s <= opening.trade.traded_s
    ), "signed_at_another_time"
    digest: bytes32 = self._clearing_digest(
        keccak256(abi_encode(CANCEL_RECEIPT, opening.half.order_digest, receipt.limit, receipt.sequence))
    )
    assert staticcall MEMBERS.was_signed(
        receipt.operator, digest, receipt.r, receipt.s, receipt.signed_s, history
    ), "bad_signature"
    assert receipt.sequence < opening.trade.sequence, "receipt_not_older"
    assert opening.half.filled_before + opening.trade.quantity > receipt.limit, "within_receipt"
    self._strike(cycle, leaf, opening.half.member)


@external
def prove_struck(cycle: uint256, leaf: bytes32, path: DynArray[Step, 32]):
    """
    @notice A trade that was struck is under a root again; whoever showed it first is paid again
    @dev Reverts: not_struck, wrong_proof, closed, amount_out_of_range.
    @param cycle Its number
    @param leaf Of the trade that was struck before
    @param path From the leaf to the root of the cycle's trades
    """
    assert self.struck[leaf] != 0, "not_struck"
    assert self._climb(leaf, path) == staticcall CLEARING.disputable_root(cycle), "wrong_proof"
    self._strike(cycle, leaf, self.struck[leaf])


# ------------------------------------------------------------------------------------------------ internals


@internal
def _strike(cycle: uint256, leaf: bytes32, member: uint256):
    self.struck[leaf] = member
    extcall CLEARING.void(cycle, member)
    log Struck(cycle=cycle, leaf=leaf, member=member)


@internal
@view
def _leaf_in(cycle: uint256, opening: Opening) -> bytes32:
    """
    @dev The leaf of an opened trade, which must be under the root of a cycle in its dispute window.
    """
    leaf: bytes32 = self._leaf(opening)
    assert self._climb(leaf, opening.path) == staticcall CLEARING.disputable_root(cycle), "wrong_proof"
    return leaf


@internal
@pure
def _leaf(opening: Opening) -> bytes32:
    common: bytes32 = keccak256(concat(opening.trade_salt, abi_encode(opening.trade)))
    buy: bytes32 = keccak256(concat(opening.half_salt, abi_encode(opening.half)))
    sell: bytes32 = opening.other_half
    if opening.side == SELL:
        sell = buy
        buy = opening.other_half
    else:
        assert opening.side == BUY, "no_such_side"
    return keccak256(concat(x"00", common, buy, sell))


@internal
@pure
def _climb(leaf: bytes32, path: DynArray[Step, 32]) -> bytes32:
    root: bytes32 = leaf
    for step: Step in path:
        if step.on_left:
            root = keccak256(concat(x"01", step.sibling, root))
        else:
            root = keccak256(concat(x"01", root, step.sibling))
    return root


@internal
@view
def _check_order(opening: Opening, order: Order):
    """
    @dev Whether the order that the half names allows the trade: who, where, when, at which price, how far, how much.
    """
    trade: Trade = opening.trade
    half: Half = opening.half
    assert self._clearing_digest(keccak256(abi_encode(ORDER, order))) == half.order_digest, "wrong_order"
    assert order.member == half.member, "wrong_member"
    assert order.meter == half.meter, "wrong_meter"
    assert order.side == opening.side, "wrong_side"
    assert order.slot == trade.slot, "wrong_slot"
    assert NEAREST <= trade.level and trade.level <= order.reach, "wrong_reach"
    if opening.side == BUY:
        assert half.price <= order.price, "wrong_price"
        assert trade.terms_days == order.terms_days, "wrong_terms"
    else:
        assert half.price >= order.price, "wrong_price"
        assert trade.terms_days <= order.terms_days, "wrong_terms"
    assert half.placed_s < order.deadline and half.placed_s <= trade.traded_s, "placed_too_late"
    assert trade.quantity != 0 and half.filled_before + trade.quantity <= order.quantity, "wrong_quantity"


@internal
@view
def _was_ordered(half: Half, signature: OrderSignature, history: eip712.KeyHistory) -> bool:
    digest: bytes32 = half.order_digest
    if signature.count != 0:
        root: bytes32 = self._climb(keccak256(concat(x"00", digest)), signature.path)
        digest = self._clearing_digest(
            keccak256(abi_encode(ORDER_BATCH, half.member, root, signature.count, signature.basket))
        )
    return staticcall MEMBERS.was_signed(half.member, digest, signature.r, signature.s, half.placed_s, history)


@internal
@view
def _clearing_digest(struct_hash: bytes32) -> bytes32:
    """
    @dev What is signed for Clearing: orders, batches of them, and cancel receipts.
    """
    return eip712._digest_for(CLEARING.address, struct_hash)
