# pragma version 0.4.3
"""
@title What the market does not do: every trade filled on the chain, both orders shown and both signatures checked
@notice For comparison in `make bench-settlement` alone. It does the least that such a contract must: both digests,
        both signatures by P256VERIFY, price, slot and deadline, fills per order, money from the buyer to the seller.
"""

import eip712
import p256

initializes: eip712
initializes: p256

struct Key:
    x: uint256
    y: uint256

struct Order:
    member: uint256
    side: uint256
    slot: uint256
    quantity_lots: uint256
    price_ticks: uint256
    nonce: uint256
    deadline: uint256

struct Signature:
    r: uint256
    s: uint256


event Filled:
    buy: indexed(bytes32)
    sell: indexed(bytes32)
    quantity_lots: uint256
    price_ticks: uint256


BUY: constant(uint256) = 1
SELL: constant(uint256) = 2
MICRO_PER_LOT_TICK: constant(uint256) = 1
ORDER: constant(bytes32) = keccak256(
    "Order(uint256 member,uint256 side,uint256 slot,uint256 quantityLots,uint256 priceTicks,uint256 nonce,uint256 deadline)"
)

keys: HashMap[uint256, Key]
balance_of: HashMap[uint256, uint256]
filled_lots: HashMap[bytes32, uint256]


@deploy
def __init__(verifier: address, salt: bytes32, keys: DynArray[Key, 10], balance: uint256):
    """
    @param keys Of members 1, 2, 3 ...
    @param balance What each of them begins with
    """
    eip712.__init__(salt)
    p256.__init__(verifier)
    member: uint256 = 0
    for key: Key in keys:
        member += 1
        self.keys[member] = key
        self.balance_of[member] = balance


@external
def fill(
    buy: Order, buy_signature: Signature, sell: Order, sell_signature: Signature, quantity: uint256, price: uint256
):
    """
    @notice One trade between two signed orders
    """
    assert buy.side == BUY and sell.side == SELL and buy.slot == sell.slot, "no_match"
    assert sell.price_ticks <= price and price <= buy.price_ticks, "price_beyond_limit"
    buy_digest: bytes32 = self._take(buy, buy_signature, quantity)
    sell_digest: bytes32 = self._take(sell, sell_signature, quantity)
    amount: uint256 = quantity * price * MICRO_PER_LOT_TICK
    self.balance_of[buy.member] -= amount
    self.balance_of[sell.member] += amount
    log Filled(buy=buy_digest, sell=sell_digest, quantity_lots=quantity, price_ticks=price)


@internal
def _take(order: Order, signature: Signature, quantity: uint256) -> bytes32:
    eip712._check_deadline(order.deadline)
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ORDER, order)))
    key: Key = self.keys[order.member]
    assert key.x != 0 and p256._is_valid(digest, signature.r, signature.s, key.x, key.y), "bad_signature"
    filled: uint256 = self.filled_lots[digest] + quantity
    assert filled <= order.quantity_lots, "beyond_quantity"
    self.filled_lots[digest] = filled
    return digest
