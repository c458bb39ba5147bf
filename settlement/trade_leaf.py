"""The leaf of a trade under a commitment, and the proof with which one side shows it to a stranger.

``leaf = keccak256(0x00 || common || buyer half || seller half)``: each of the three is itself the salted hash
``keccak256(salt || canonical JSON)``, so that a side can open what is common and its own half, and the other's order,
name and meter stay hidden behind their salt. A proof also holds the signed order that stands in the half, so that
whoever reads it needs nothing from the market: only the commitment, as the chain shows it, and the member's key.

Source: ``docs/settlement_and_chain.md``, "The journal and the batches". Pure: no SQL, no clock.
"""

from typing import NamedTuple

import msgspec

from matching.order import Level, Side
from settlement import merkle
from settlement.hexjson import Hex
from settlement.intents import ORDER_BATCH, Domain, OrderIntent, Value
from settlement.jwk import Jwk, from_jwk
from settlement.keccak import keccak
from settlement.signatures import PublicKey, is_signed

SALT_BYTES = 32

JsonPath = list[tuple[bool, Hex]]
"""A ``merkle.Path`` whose siblings are hex in JSON."""


class Half(msgspec.Struct, frozen=True):
    """One side's terms: its signed order's digest, its name, its meter, and the price it pays or gets, in ticks."""

    order_digest: Hex
    member: int
    meter: str
    price_ticks: int


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


def salted(salt: bytes, content: msgspec.Struct) -> bytes:
    """The 32 bytes in which some content stays hidden until its salt is shown."""
    return keccak(salt + msgspec.json.encode(_plain(content)))


def trade_leaf(trade: TradeRecord) -> bytes:
    """The 32-byte leaf of a trade."""
    common_salt, buy_salt, sell_salt = _salts(trade.salts)
    return _leaf(salted(common_salt, trade.common), salted(buy_salt, trade.buy), salted(sell_salt, trade.sell))


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
        other_half=Hex(salted(hidden[1], hidden[0])),
        path=json_path(path),
        commitment=commitment,
        order=order,
    )


def verify_trade_proof(proof: TradeProof, commitment: Commitment, key: PublicKey | None = None) -> list[str]:
    """Why the proof does not hold; empty when it does.

    ``commitment`` is read from the chain, and so should be ``key``, the member's at the time of the order; without it
    the proof's own key is believed.
    """
    problems = []
    if proof.commitment != commitment:
        problems.append("the proof speaks of another commitment than the chain's")
    own, other = salted(proof.half_salt, proof.half), bytes(proof.other_half)
    halves = (own, other) if proof.side == Side.BUY else (other, own)
    leaf = _leaf(salted(proof.common_salt, proof.common), *halves)
    if merkle.climb(leaf, list(proof.path)) != commitment.trade_root:
        problems.append("the trade is not under the commitment's root")
    domain = Domain(proof.domain.chain_id, proof.domain.contract, proof.domain.salt)
    try:
        return problems + _order_problems(proof, domain) + evidence_problems(proof.order, domain, key)
    except (OverflowError, UnicodeEncodeError):
        return [*problems, "the order has fields that no order can have"]


def evidence_problems(order: OrderEvidence, domain: Domain, key: PublicKey | None = None) -> list[str]:
    """Why the signature is not the member's over this order; empty when it is. ``key`` as in verify_trade_proof."""
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


def _order_problems(proof: TradeProof, domain: Domain) -> list[str]:
    """Whether the signed order allows the trade: who, where, when, at which price, how far, on which terms."""
    intent, common, half = proof.order.intent, proof.common, proof.half
    is_buy = proof.side == Side.BUY
    checks = {
        "is not the one that the trade names": intent.digest(domain) == half.order_digest,
        "is of the other side": proof.side in (Side.BUY, Side.SELL) and intent.side == proof.side,
        "is another member's": intent.member == half.member,
        "is for another meter": intent.meter == half.meter,
        "is for another slot": intent.slot == common.slot_s,
        "has a limit that the price breaks": (
            half.price_ticks <= intent.price_ticks if is_buy else half.price_ticks >= intent.price_ticks
        ),
        "is smaller than the trade": 0 < common.quantity_lots <= intent.quantity_lots,
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


def _plain(content: msgspec.Struct) -> list[object]:
    """The fields in their order; bytes as hex."""
    values = msgspec.structs.astuple(content)
    return [value.hex() if isinstance(value, bytes) else value for value in values]
