"""Acts about the parts of a receivable: split, transferred, merged, pledged, released; and the claim on its trades.

A receivable carries two claims, the holder's and the seller's residual; each is held in parts, which have numbers of
their own and add up to what is open. A part's owner signs what is done with it, a pledge is released by the pledgee.
Type strings are those of ``contracts/parts.vy`` to the letter; amounts are micro-yuan and whole fen.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from settlement import merkle
from settlement.calls import SIGNATURE, call, halves
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent

MOST_PARTS = 20
"""Parts of one receivable, of both claims together."""

LEAST_PART_MICRO = 1_000_000
"""What both sides of a split must at least come to."""

CLAIMED_AT_ONCE = 100
"""Trades that one call can claim."""


class ClaimKind(IntEnum):
    """Which of a receivable's two claims a part belongs to."""

    RESIDUAL = 0
    HOLDER = 1


class Part(NamedTuple):
    """A part as ``part_of`` and ``parts_of`` give it; ``pledgee`` 0: not pledged."""

    number: int
    claim: int
    owner: int
    open_micro: int
    pledgee: int


class TradeClaim(NamedTuple):
    """A trade under ``trades_root``: its number, what is owed for it, and its own salted leaf."""

    trade_id: int
    amount_micro: int
    leaf: bytes

    @property
    def claim_leaf(self) -> bytes:
        """The leaf under ``trades_root``: three words of 32 bytes."""
        amount = self.amount_micro.to_bytes(32, "big", signed=True)
        return merkle.leaf(self.trade_id.to_bytes(32, "big") + amount + self.leaf)


class Transfer(NamedTuple):
    """A part, or ``amount_micro`` of it, that goes to another member."""

    receivable_id: bytes
    part: int
    amount_micro: int
    to: int


class Pledge(NamedTuple):
    """A part pledged to a bank; ``registration`` is the hash of the registry's number, used once on the chain."""

    receivable_id: bytes
    part: int
    pledgee: int
    registration: bytes


_TRADE_CLAIMS = "(uint256,int256,bytes32)[]"
_FOUR = ("bytes32", "uint256", "uint256", "uint256", *SIGNATURE)
_FIVE = ("bytes32", "uint256", "uint256", "uint256", "uint256", *SIGNATURE)

SPLIT_PART = intent(
    "SplitPart(bytes32 receivable,uint256 owner,uint256 part,uint256 amount,uint256 nonce,uint256 deadline)"
)
TRANSFER_PART = intent(
    "TransferPart(bytes32 receivable,uint256 owner,uint256 part,uint256 amount,uint256 to,"
    "uint256 nonce,uint256 deadline)"
)
MERGE_PARTS = intent(
    "MergeParts(bytes32 receivable,uint256 owner,uint256 part,uint256 other,uint256 nonce,uint256 deadline)"
)
PLEDGE_PART = intent(
    "PledgePart(bytes32 receivable,uint256 owner,uint256 part,uint256 pledgee,bytes32 registration,"
    "uint256 nonce,uint256 deadline)"
)
RELEASE_PART = intent("ReleasePart(bytes32 receivable,uint256 pledgee,uint256 part,uint256 nonce,uint256 deadline)")


# --------------------------------------------------------------------------------------------------- trades


def claim_trades(receivable_id: bytes, start: int, trades: Sequence[TradeClaim], rest: Sequence[bytes]) -> Call:
    """Claim at most 100 trades of a receivable on the chain, the first being number ``start`` (from 0) of them.

    ``rest`` completes them, with those before, to ``trades_root`` (``merkle.rest``); empty when none follow. Needs no
    signature. Trades that were claimed by a call before are passed over, so a call can be sent twice.
    """
    types = ("bytes32", "uint256", _TRADE_CLAIMS, "bytes32[]")
    return call("Receivables", "claim_trades", types, receivable_id, start, list(trades), list(rest))


def claim_all_trades(receivable_id: bytes, trades: Sequence[TradeClaim]) -> list[Call]:
    """The calls that claim all trades of a receivable, in order; ``trades`` are those under ``trades_root``."""
    leaves = [each.claim_leaf for each in trades]
    return [
        claim_trades(receivable_id, start, chunk, merkle.rest(leaves, start + len(chunk)))
        for start in range(0, len(trades), CLAIMED_AT_ONCE)
        for chunk in [trades[start : start + CLAIMED_AT_ONCE]]
    ]


# ---------------------------------------------------------------------------------------------------- parts


def split_part_digest(
    domain: Domain, receivable_id: bytes, owner: int, part: int, amount_micro: int, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the part's owner."""
    return digest_of(SPLIT_PART, domain, receivable_id, owner, part, amount_micro, nonce, deadline_s)


def split_part(
    receivable_id: bytes, part: int, amount_micro: int, signature: bytes, *, nonce: int, deadline_s: int
) -> Call:
    """Make a new part of ``amount_micro`` out of a part; both sides at least ``LEAST_PART_MICRO``."""
    values = (receivable_id, part, amount_micro, nonce, deadline_s, *halves(signature))
    return call("Receivables", "split_part", _FIVE, *values)


def transfer_part_digest(domain: Domain, owner: int, transfer: Transfer, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the part's owner."""
    receivable_id, part, amount_micro, to = transfer
    return digest_of(TRANSFER_PART, domain, receivable_id, owner, part, amount_micro, to, nonce, deadline_s)


def transfer_part(transfer: Transfer, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The holder's claim goes to a bank or the creditor only, a residual to any member; less than all makes a part."""
    types = ("bytes32", *("uint256",) * 5, *SIGNATURE)
    return call("Receivables", "transfer_part", types, *transfer, nonce, deadline_s, *halves(signature))


def merge_parts_digest(
    domain: Domain, receivable_id: bytes, owner: int, part: int, other: int, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the owner of both parts."""
    return digest_of(MERGE_PARTS, domain, receivable_id, owner, part, other, nonce, deadline_s)


def merge_parts(receivable_id: bytes, part: int, other: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Put ``other`` into ``part``: both of the same owner and claim, neither pledged."""
    values = (receivable_id, part, other, nonce, deadline_s, *halves(signature))
    return call("Receivables", "merge_parts", _FIVE, *values)


def pledge_part_digest(domain: Domain, owner: int, pledge: Pledge, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the part's owner."""
    receivable_id, part, pledgee, registration = pledge
    return digest_of(PLEDGE_PART, domain, receivable_id, owner, part, pledgee, registration, nonce, deadline_s)


def pledge_part(pledge: Pledge, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Pledge a part to a bank: money on it goes to the bank until it releases the part."""
    types = ("bytes32", "uint256", "uint256", "bytes32", "uint256", "uint256", *SIGNATURE)
    return call("Receivables", "pledge_part", types, *pledge, nonce, deadline_s, *halves(signature))


def release_part_digest(
    domain: Domain, receivable_id: bytes, pledgee: int, part: int, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the pledgee."""
    return digest_of(RELEASE_PART, domain, receivable_id, pledgee, part, nonce, deadline_s)


def release_part(receivable_id: bytes, part: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """End a pledge."""
    return call("Receivables", "release_part", _FOUR, receivable_id, part, nonce, deadline_s, *halves(signature))


# -------------------------------------------------------------------------------- questions, for chain.view


def parts_of(receivable_id: bytes) -> Call:
    """-> ([(number, claim, owner, open_micro, pledgee), ...],): ``Part``, by ascending number."""
    return call("Receivables", "parts_of", ("bytes32",), receivable_id)


def part_of(receivable_id: bytes, part: int) -> Call:
    """-> ((number, claim, owner, open_micro, pledgee),): ``Part``, all zero when there is none."""
    return call("Receivables", "part_of", ("bytes32", "uint256"), receivable_id, part)


def is_complete(receivable_id: bytes) -> Call:
    """-> (truth,): whether all trades of a receivable are claimed."""
    return call("Receivables", "is_complete", ("bytes32",), receivable_id)


def claimed_count(receivable_id: bytes) -> Call:
    """-> (count,) of its trades that are claimed so far."""
    return call("Receivables", "claimed_count", ("bytes32",), receivable_id)


def claimant_of(trade_id: int) -> Call:
    """-> (receivable,) that claimed a trade; 32 zero bytes when none did."""
    return call("Receivables", "claimant_of", ("uint256",), trade_id)
