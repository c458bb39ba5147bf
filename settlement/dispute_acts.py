"""Acts about disputes: a trade is challenged, the signed order behind it shown, and what is proven without an answer.

As ``acts.py``: digests are what is signed, calls are what any relayer may send. A trade is shown by an ``Opening``: its
common part and one half, the other half as its hash, with the path to the root of the cycle's trades. Type strings are
those of ``contracts/Disputes.vy`` to the letter; a name of a meter or an order goes onto the chain as its hash.
"""

from collections.abc import Iterable
from typing import NamedTuple

from eth_abi.abi import encode
from msgspec.structs import astuple

from matching.order import Side
from settlement import merkle
from settlement.calls import KEY_HISTORY, SIGNATURE, call, halves
from settlement.chain import Call, ChainEvent
from settlement.intents import Domain, OrderIntent, digest_of, intent
from settlement.keccak import keccak
from settlement.key_changes import KeyHistory
from settlement.trade_leaf import SALT_BYTES, Common, Half, OrderEvidence, TradeRecord, leaf_of, salted_half

CHALLENGE = intent("Challenge(uint256 member,uint256 cycle,bytes32 leaf,uint256 nonce,uint256 deadline)")
CANCEL_RECEIPT = intent("CancelReceipt(bytes32 order,uint256 limitLots,uint256 sequence)")

ANSWER_S = 86_400
"""How long a challenge waits for its answer."""

_PATH = "(bool,bytes32)[]"
_TRADE = "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)"
_HALF = "(bytes32,uint256,bytes32,int256,uint256,uint256)"
_OPENING = f"({_TRADE},bytes32,uint256,{_HALF},bytes32,bytes32,{_PATH})"
_ORDER = "(uint256,bytes32,bytes32,uint256,uint256,uint256,int256,uint256,uint256,uint256,bytes32,uint256)"
_ORDER_SIGNATURE = f"(uint256,uint256,uint256,bool,{_PATH})"
_CANCEL_RECEIPT = "(uint256,uint256,uint256,uint256,uint256,uint256)"


class Opening(NamedTuple):
    """A trade as one side shows it. ``path`` leads to the root of the cycle's trades; an answer needs none."""

    common: Common
    common_salt: bytes
    side: Side
    half: Half
    half_salt: bytes
    other_half: bytes
    path: merkle.Path

    @property
    def leaf(self) -> bytes:
        """The trade's leaf. Raises struct.error where a field holds what no trade can."""
        return leaf_of(
            self.common,
            self.common_salt,
            side=self.side,
            half=self.half,
            half_salt=self.half_salt,
            other_half=self.other_half,
        )

    @property
    def name(self) -> bytes:
        """The name of a challenge by this side."""
        return challenge_name(self.leaf, self.side)


class CancelReceipt(NamedTuple):
    """The operator's word that an order trades at most ``limit_lots`` in all from ``sequence`` on.

    ``order`` is the order's digest; ``signed_s`` any time at which the operator's key held, between the placing of the
    order and the trade that contradicts the receipt.
    """

    order: bytes
    limit_lots: int
    sequence: int
    operator: int
    signed_s: int
    signature: bytes


def open_trade(trade: TradeRecord, side: Side, path: merkle.Path) -> Opening:
    """A recorded trade, shown by one side."""
    common_salt, buy_salt, sell_salt = (trade.salts[at : at + SALT_BYTES] for at in range(0, 96, SALT_BYTES))
    if side == Side.BUY:
        return Opening(trade.common, common_salt, side, trade.buy, buy_salt, salted_half(sell_salt, trade.sell), path)
    return Opening(trade.common, common_salt, side, trade.sell, sell_salt, salted_half(buy_salt, trade.buy), path)


def challenge_name(leaf: bytes, side: int) -> bytes:
    """How the chain names the challenge of a trade by one of its sides."""
    return keccak(encode(["bytes32", "uint256"], [leaf, side]))


def challenge_digest(domain: Domain, member: int, cycle: int, leaf: bytes, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the side that asks; ``domain`` is that of Disputes."""
    return digest_of(CHALLENGE, domain, member, cycle, leaf, nonce, deadline_s)


def challenge(cycle: int, opening: Opening, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Ask for the signed order behind one's side of a trade."""
    types = ("uint256", _OPENING, "uint256", "uint256", *SIGNATURE)
    values = (cycle, _opening_row(opening), nonce, deadline_s, *halves(signature))
    return call("Disputes", "challenge", types, *values)


def answer(opening: Opening, order: OrderEvidence, history: KeyHistory) -> Call:
    """Show the signed order behind a challenged trade; ``history`` reaches back to the key that signed it."""
    types = (_OPENING, _ORDER, _ORDER_SIGNATURE, KEY_HISTORY)
    signature = (*halves(order.signature), order.count, order.basket, list(order.path))
    return call("Disputes", "answer", types, _opening_row(opening), _order_row(order.intent), signature, history)


def uphold(name: bytes) -> Call:
    """Strike the trade of a challenge that was not answered in time; needs no signature."""
    return call("Disputes", "uphold", ("bytes32",), name)


def prove_overlap(cycle: int, first: Opening, second: Opening) -> Call:
    """Two trades fill the same part of one order; ``first`` has the lower number. Needs no signature."""
    types = ("uint256", _OPENING, _OPENING)
    return call("Disputes", "prove_overlap", types, cycle, _opening_row(first), _opening_row(second))


def prove_cancelled(cycle: int, opening: Opening, receipt: CancelReceipt, history: KeyHistory) -> Call:
    """A trade beyond what the operator had confirmed to be cancelled; ``history`` is that of the operator's key."""
    types = ("uint256", _OPENING, _CANCEL_RECEIPT, KEY_HISTORY)
    row = (receipt.limit_lots, receipt.sequence, receipt.operator, receipt.signed_s, *halves(receipt.signature))
    return call("Disputes", "prove_cancelled", types, cycle, _opening_row(opening), row, history)


def prove_struck(cycle: int, leaf: bytes, path: merkle.Path) -> Call:
    """A trade that was struck is under a root again. Needs no signature."""
    return call("Disputes", "prove_struck", ("uint256", "bytes32", _PATH), cycle, leaf, list(path))


def struck_by(events: Iterable[ChainEvent]) -> frozenset[bytes]:
    """The leaves of the trades that were struck; ``events`` are the chain's."""
    found = (event.arguments["leaf"] for event in events if event.event == "Struck" and event.contract == "Disputes")
    return frozenset(leaf for leaf in found if isinstance(leaf, bytes))


def cancel_receipt_digest(domain: Domain, order: bytes, limit_lots: int, sequence: int) -> bytes:
    """Signed by the operator; ``domain`` is that of Clearing, as for the orders themselves."""
    return digest_of(CANCEL_RECEIPT, domain, order, limit_lots, sequence)


def _opening_row(opening: Opening) -> tuple[object, ...]:
    half = opening.half
    shown = (
        bytes(half.order_digest),
        half.member,
        keccak(half.meter.encode()),
        half.price_ticks,
        half.placed_s,
        half.filled_before_lots,
    )
    hidden = (bytes(opening.half_salt), bytes(opening.other_half), list(opening.path))
    return (astuple(opening.common), bytes(opening.common_salt), int(opening.side), shown, *hidden)


def _order_row(intent: OrderIntent) -> tuple[object, ...]:
    return tuple(keccak(value.encode()) if isinstance(value, str) else value for value in astuple(intent))
