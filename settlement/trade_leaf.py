"""The leaf of a trade under a commitment, and the proof with which one side shows it to a stranger.

``leaf = keccak256(0x00 || common || buyer half || seller half)``: each of the three is itself a salted hash of words of
32 bytes, big-endian as the contracts encode them, so that a contract can check what a side opens, and the other's
order, name and meter stay hidden behind their salt:

* ``common = keccak256(salt || the fields of Common, in their order)``
* ``half = keccak256(salt || order digest || member || keccak256(meter) || price || placed || filled before)``

A proof also holds the signed order that stands in the half, so that whoever reads it needs nothing from the market:
only the commitment, as the chain shows it, and the member's key.

Source: ``docs/settlement_and_chain.md``, "The journal and the batches". Pure: no SQL, no clock.
"""

import struct
from typing import NamedTuple

import msgspec

from matching.order import Level, Side
from settlement import merkle
from settlement.hexjson import Hex
from settlement.intents import ORDER_BATCH, Domain, OrderIntent, Value, hash_of_name
from settlement.jwk import Jwk, from_jwk
from settlement.keccak import keccak
from settlement.signatures import PublicKey, is_signed

SALT_BYTES = 32

JsonPath = list[tuple[bool, Hex]]
"""A ``merkle.Path`` whose siblings are hex in JSON."""


class Half(msgspec.Struct, frozen=True):
    """One side's terms: its signed order's digest, its name, its meter, and the price it pays or gets, in ticks.

    ``placed_s`` is when the batch that took the order was recorded: the key of that time must have signed it.
    ``filled_before_lots`` is how much of the order had been traded before, so that two trades that fill the same part
    of an order contradict each other.
    """

    order_digest: Hex
    member: int
    meter: str
    price_ticks: int
    placed_s: int
    filled_before_lots: int


class Common(msgspec.Struct, frozen=True):
    """What both sides know of a trade. ``taker`` is a ``Side``, ``level`` the distance."""

    trade_id: int
    sequence: int
    slot_s: int
    quantity_lots: int
    terms_days: int
    taker: int
    level: int
    traded_s: int


class TradeRecord(NamedTuple):
    """A trade as it is committed. ``salts`` are 96 random bytes: of the common part, the buyer's half, the seller's."""

    common: Common
    buy: Half
    sell: Half
    salts: bytes


class Commitment(msgspec.Struct, frozen=True):
    """What the chain's ``Committed`` event says."""

    number: int
    previous: Hex
    journal_head: Hex
    trade_root: Hex
    trade_count: int


class OrderEvidence(msgspec.Struct, frozen=True):
    """A signed order. ``count`` 0: the signature is over its digest; else over a batch of so many, with the path."""

    intent: OrderIntent
    key: Jwk
    signature: Hex
    count: int = 0
    basket: bool = False
    path: JsonPath = []


class ProofDomain(msgspec.Struct, frozen=True):
    """``intents.Domain`` in JSON."""

    chain_id: int
    contract: Hex
    salt: Hex


class TradeProof(msgspec.Struct, frozen=True):
    """All that a stranger needs to see that a trade, with this signed order, stands under a commitment."""

    domain: ProofDomain
    side: int
    common: Common
    common_salt: Hex
    half: Half
    half_salt: Hex
    other_half: Hex
    path: JsonPath
    commitment: Commitment
    order: OrderEvidence


def json_path(path: merkle.Path) -> JsonPath:
    """A Merkle path for JSON."""
    return [(on_left, Hex(sibling)) for on_left, sibling in path]


_WORD = "24xQ"
_COMMON = struct.Struct(">32s" + 8 * _WORD)
_HALF = struct.Struct(">32s32s" + _WORD + "32s24sq" + 2 * _WORD)
_SIGN_OF_WORD = (bytes(24), b"\xff" * 24)
"""What stands before the last eight bytes of a word that holds a number from 0 on, or a negative one."""


def salted_common(salt: bytes, common: Common) -> bytes:
    """The 32 bytes in which the common part stays hidden until its salt is shown. Raises struct.error."""
    return keccak(_COMMON.pack(salt, *msgspec.structs.astuple(common)))


def salted_half(salt: bytes, half: Half) -> bytes:
    """The 32 bytes in which a half stays hidden until its salt is shown. Raises struct.error."""
    price_ticks = half.price_ticks
    return keccak(
        _HALF.pack(
            salt,
            half.order_digest,
            half.member,
            hash_of_name(half.meter),
            _SIGN_OF_WORD[price_ticks < 0],
            price_ticks,
            half.placed_s,
            half.filled_before_lots,
        )
    )


def trade_leaf(trade: TradeRecord) -> bytes:
    """The 32-byte leaf of a trade."""
    salts = trade.salts
    assert len(salts) == 3 * SALT_BYTES
    return _leaf(
        salted_common(salts[:SALT_BYTES], trade.common),
        salted_half(salts[SALT_BYTES : 2 * SALT_BYTES], trade.buy),
        salted_half(salts[2 * SALT_BYTES :], trade.sell),
    )


def prove_trade(
    trade: TradeRecord, path: merkle.Path, commitment: Commitment, order: OrderEvidence, *, domain: Domain
) -> TradeProof:
    """The proof for the side whose order this is; ``path`` leads from the trade's leaf to the commitment's root."""
    common_salt, buy_salt, sell_salt = _salts(trade.salts)
    shown, hidden = (trade.buy, buy_salt), (trade.sell, sell_salt)
    if order.intent.side == Side.SELL:
        shown, hidden = hidden, shown
    return TradeProof(
        domain=ProofDomain(domain.chain_id, Hex(domain.contract), Hex(domain.salt)),
        side=order.intent.side,
        common=trade.common,
        common_salt=common_salt,
        half=shown[0],
        half_salt=shown[1],
        other_half=Hex(salted_half(hidden[1], hidden[0])),
        path=json_path(path),
        commitment=commitment,
        order=order,
    )


def leaf_of(common: Common, common_salt: bytes, *, side: int, half: Half, half_salt: bytes, other_half: bytes) -> bytes:
    """The leaf of a trade of which one half is shown and the other is its hash. Raises struct.error."""
    shown, other = salted_half(half_salt, half), bytes(other_half)
    halves = (shown, other) if side == Side.BUY else (other, shown)
    return _leaf(salted_common(common_salt, common), *halves)


def evidence_problems(order: OrderEvidence, domain: Domain, key: PublicKey | None = None) -> list[str]:
    """Why the signature is not the member's over this order; empty when it is. No ``key``: the shown one counts."""
    try:
        shown_key = from_jwk(order.key)
    except ValueError as error:
        return [f"the order's key is none: {error}"]
    if key is not None and shown_key != key:
        return ["the order's key is not the member's"]
    digest = order.intent.digest(domain)
    if order.count:
        root = merkle.climb(merkle.leaf(digest), list(order.path))
        digest = batch_digest(domain, order.intent.member, root, order.count, basket=order.basket)
    elif order.path or order.basket:
        return ["an order signed by itself has a path or a basket"]
    return [] if is_signed(shown_key, digest, order.signature) else ["the order is not signed with the member's key"]


def batch_digest(domain: Domain, member: int, root: bytes, count: int, *, basket: bool) -> bytes:
    """The 32 bytes that sign ``count`` orders at once: the root over the leaves of their digests."""
    values: dict[str, Value] = {"member": member, "root": root, "count": count, "basket": basket}
    return ORDER_BATCH.digest(domain, values)


def order_problems(intent: OrderIntent, side: int, common: Common, half: Half, domain: Domain) -> list[str]:
    """Whether a signed order allows a trade: who, where, when, at which price, how far, on which terms.

    The same as ``Disputes.answer`` checks. Raises OverflowError for an order with fields that no order can have.
    """
    is_buy = side == Side.BUY
    checks = {
        "is not the one that the trade names": intent.digest(domain) == half.order_digest,
        "is of the other side": side in (Side.BUY, Side.SELL) and intent.side == side,
        "is another member's": intent.member == half.member,
        "is for another meter": intent.meter == half.meter,
        "is for another slot": intent.slot == common.slot_s,
        "has a limit that the price breaks": (
            half.price_ticks <= intent.price_ticks if is_buy else half.price_ticks >= intent.price_ticks
        ),
        "is smaller than what was traded": (
            common.quantity_lots > 0
            and half.filled_before_lots >= 0
            and half.filled_before_lots + common.quantity_lots <= intent.quantity_lots
        ),
        "was taken after its deadline or after the trade": half.placed_s < intent.deadline
        and half.placed_s <= common.traded_s,
        "does not reach so far": Level.TRANSFORMER <= common.level <= intent.reach,
        "has other terms": (
            common.terms_days == intent.terms_days if is_buy else 0 <= common.terms_days <= intent.terms_days
        ),
    }
    return [f"the order {problem}" for problem, holds in checks.items() if not holds]


def _salts(salts: bytes) -> tuple[Hex, Hex, Hex]:
    assert len(salts) == 3 * SALT_BYTES
    return Hex(salts[:SALT_BYTES]), Hex(salts[SALT_BYTES : 2 * SALT_BYTES]), Hex(salts[2 * SALT_BYTES :])


def _leaf(common: bytes, buy: bytes, sell: bytes) -> bytes:
    return merkle.leaf(common + buy + sell)
