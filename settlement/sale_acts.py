"""Acts about sales of receivables: direct offers, auctions with committed and revealed bids, standing programs.

As ``acts.py``: a digest is what is signed, a call is what any relayer may send. Type strings are those of
``contracts/Sales.vy``, ``auctions.vy`` and ``programs.vy`` to the letter. Amounts are micro-yuan and whole fen; rates
are parts per million, the late one a year's; a registration is the hash of the number under which a sale is registered.
"""

from collections.abc import Sequence
from typing import NamedTuple

from eth_abi.abi import encode

from settlement import merkle
from settlement.calls import SIGNATURE, call, halves
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent
from settlement.keccak import keccak

MOST_BIDS = 20
REVEAL_S = 3_600
"""So long after the close bids are revealed."""

PAY_S = 86_400
"""So long after the award the winner has time to pay."""

MOST_OPEN_S = 7 * 86_400
"""So far ahead an auction may close."""


class Offer(NamedTuple):
    """A bank's offer on a listed receivable: what it will be owed, and the proceeds that it pays now."""

    receivable_id: bytes
    bank: int
    advance_rate_ppm: int
    advance_micro: int
    proceeds_micro: int
    costs_micro: int
    late_rate_ppm: int
    year_days: int
    with_recourse: bool
    registration: bytes
    nonce: int
    deadline_s: int


class Opening(NamedTuple):
    """A seller's auction of a listed receivable: everything is fixed but the proceeds, of which it names the least."""

    receivable_id: bytes
    seller: int
    advance_rate_ppm: int
    advance_micro: int
    minimum_micro: int
    bond_micro: int
    costs_micro: int
    late_rate_ppm: int
    year_days: int
    with_recourse: bool
    closes_s: int
    nonce: int
    deadline_s: int


class Program(NamedTuple):
    """A bank's word to finance what fits its table, up to a limit; ``root`` is that of its price rows."""

    bank: int
    root: bytes
    advance_rate_ppm: int
    limit_micro: int
    fee_micro: int
    costs_micro: int
    late_rate_ppm: int
    year_days: int
    with_recourse: bool
    registration: bytes
    nonce: int
    deadline_s: int


class PriceRow(NamedTuple):
    """At which yearly rate a program takes what a debtor owes, when it falls due within so many days."""

    debtor: int
    max_days: int
    rate_ppm: int


class Drawing(NamedTuple):
    """What a seller sells to a program, and the least that it takes for it."""

    receivable_id: bytes
    minimum_micro: int
    nonce: int
    deadline_s: int


# ----------------------------------------------------------------------------------------------- direct offers

OFFER = intent(
    "Offer(bytes32 receivable,uint256 bank,uint256 advanceRate,uint256 advance,uint256 proceeds,uint256 costs,"
    "uint256 lateRate,uint256 yearDays,bool withRecourse,bytes32 registration,uint256 nonce,uint256 deadline)"
)
ACCEPTANCE = intent("Acceptance(bytes32 offer,uint256 seller,uint256 nonce,uint256 deadline)")

_OFFER = "(bytes32,uint256,uint256,uint256,uint256,uint256,uint256,uint256,bool,bytes32,uint256,uint256)"


def offer_digest(domain: Domain, offer: Offer) -> bytes:
    """Signed by the bank."""
    return digest_of(OFFER, domain, *offer)


def acceptance_digest(domain: Domain, offer: Offer, seller: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the seller, over the digest of the bank's offer."""
    return digest_of(ACCEPTANCE, domain, offer_digest(domain, offer), seller, nonce, deadline_s)


def finance(
    offer: Offer, bank_signature: bytes, seller_signature: bytes, *, seller_nonce: int, seller_deadline_s: int
) -> Call:
    """Delivery versus payment: proceeds to the seller, claim to the bank, or neither."""
    types = (_OFFER, *SIGNATURE, "uint256", "uint256", *SIGNATURE)
    seller = (seller_nonce, seller_deadline_s, *halves(seller_signature))
    return call("Sales", "finance", types, offer, *halves(bank_signature), *seller)


# ---------------------------------------------------------------------------------------------------- auctions

OPEN_AUCTION = intent(
    "OpenAuction(bytes32 receivable,uint256 seller,uint256 advanceRate,uint256 advance,uint256 minimum,uint256 bond,"
    "uint256 costs,uint256 lateRate,uint256 yearDays,bool withRecourse,uint256 closesAt,uint256 nonce,uint256 deadline)"
)
CANCEL_AUCTION = intent("CancelAuction(uint256 auction,uint256 seller,uint256 nonce,uint256 deadline)")
COMMIT_BID = intent("CommitBid(uint256 auction,uint256 bank,bytes32 bid,uint256 nonce,uint256 deadline)")
SETTLE_AUCTION = intent(
    "SettleAuction(uint256 auction,uint256 bank,bytes32 registration,uint256 nonce,uint256 deadline)"
)

_OPENING = (
    "(bytes32,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,bool,uint256,uint256,uint256)"  # Opening
)


def bid_hash(auction: int, bank: int, proceeds_micro: int, salt: bytes) -> bytes:
    """What a bank commits to; ``salt`` is 32 random bytes of its own, without which the bid could be found by trying.

    Auction and bank are in it: nobody can commit to another's bid, and none holds in another auction.
    """
    return keccak(encode(["uint256", "uint256", "uint256", "bytes32"], [auction, bank, proceeds_micro, salt]))


def open_auction_digest(domain: Domain, opening: Opening) -> bytes:
    """Signed by the seller."""
    return digest_of(OPEN_AUCTION, domain, *opening)


def open_auction(opening: Opening, signature: bytes) -> Call:
    """Offer a listed receivable to the banks."""
    return call("Sales", "open_auction", (_OPENING, *SIGNATURE), opening, *halves(signature))


def cancel_auction_digest(domain: Domain, auction: int, seller: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the seller."""
    return digest_of(CANCEL_AUCTION, domain, auction, seller, nonce, deadline_s)


def cancel_auction(auction: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Take back an auction that nobody has bid in."""
    types = ("uint256",) * 3 + SIGNATURE
    return call("Sales", "cancel_auction", types, auction, nonce, deadline_s, *halves(signature))


def commit_bid_digest(domain: Domain, auction: int, bank: int, bid: bytes, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the bank; ``bid`` is a ``bid_hash``."""
    return digest_of(COMMIT_BID, domain, auction, bank, bid, nonce, deadline_s)


def commit_bid(auction: int, bank: int, bid: bytes, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Bid, before the close, without showing what; the bond leaves the bank's cash."""
    types = ("uint256", "uint256", "bytes32", "uint256", "uint256", *SIGNATURE)
    return call("Sales", "commit_bid", types, auction, bank, bid, nonce, deadline_s, *halves(signature))


def reveal_bid(auction: int, bank: int, proceeds_micro: int, salt: bytes) -> Call:
    """Show a bid within the hour after the close; needs no signature."""
    types = ("uint256", "uint256", "uint256", "bytes32")
    return call("Sales", "reveal_bid", types, auction, bank, proceeds_micro, salt)


def award(auction: int) -> Call:
    """Name the winner, once all had their hour; needs no signature."""
    return call("Sales", "award", ("uint256",), auction)


def settle_auction_digest(
    domain: Domain, auction: int, bank: int, registration: bytes, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the winner."""
    return digest_of(SETTLE_AUCTION, domain, auction, bank, registration, nonce, deadline_s)


def settle_auction(auction: int, registration: bytes, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The winner pays and gets the claim; all bonds return."""
    types = ("uint256", "bytes32", "uint256", "uint256", *SIGNATURE)
    return call("Sales", "settle_auction", types, auction, registration, nonce, deadline_s, *halves(signature))


def lapse(auction: int) -> Call:
    """The winner did not pay in time: the next best wins; needs no signature."""
    return call("Sales", "lapse", ("uint256",), auction)


# ---------------------------------------------------------------------------------------------------- programs

PROGRAM = intent(
    "Program(uint256 bank,bytes32 root,uint256 advanceRate,uint256 limit,uint256 fee,uint256 costs,uint256 lateRate,"
    "uint256 yearDays,bool withRecourse,bytes32 registration,uint256 nonce,uint256 deadline)"
)
DRAW = intent("Draw(bytes32 program,bytes32 receivable,uint256 seller,uint256 minimum,uint256 nonce,uint256 deadline)")
CANCEL_PROGRAM = intent("CancelProgram(uint256 bank,uint256 program,uint256 deadline)")

_PROGRAM = "(uint256,bytes32,uint256,uint256,uint256,uint256,uint256,uint256,bool,bytes32,uint256,uint256)"
_ROW = "(uint256,uint256,uint256)"
_DRAWING = "(bytes32,uint256,uint256,uint256)"


def price_leaf(row: PriceRow) -> bytes:
    """The leaf of a row in its program's tree."""
    return merkle.leaf(encode([_ROW], [row]))


def program_digest(domain: Domain, program: Program) -> bytes:
    """Signed by the bank; also the program's name on the chain."""
    return digest_of(PROGRAM, domain, *program)


def draw_digest(domain: Domain, program: Program, seller: int, drawing: Drawing) -> bytes:
    """Signed by the seller, over the digest of the bank's program."""
    receivable_id, *rest = drawing
    return digest_of(DRAW, domain, program_digest(domain, program), receivable_id, seller, *rest)


def draw(
    program: Program,
    bank_signature: bytes,
    priced: tuple[PriceRow, Sequence[tuple[bool, bytes]]],
    drawing: Drawing,
    seller_signature: bytes,
) -> Call:
    """Sell a listed receivable to a program; ``priced``: the debtor's row and its path to the program's root."""
    row, path = priced
    types = (_PROGRAM, *SIGNATURE, _ROW, "(bool,bytes32)[]", _DRAWING, *SIGNATURE)
    bank, seller = halves(bank_signature), halves(seller_signature)
    return call("Sales", "draw", types, program, *bank, row, list(path), drawing, *seller)


def cancel_program_digest(domain: Domain, bank: int, program_nonce: int, *, deadline_s: int) -> bytes:
    """Signed by the bank; ``program_nonce`` is the one that the program carries."""
    return digest_of(CANCEL_PROGRAM, domain, bank, program_nonce, deadline_s)


def cancel_program(bank: int, program_nonce: int, signature: bytes, *, deadline_s: int) -> Call:
    """End a program by using up its nonce."""
    types = ("uint256",) * 3 + SIGNATURE
    return call("Sales", "cancel_program", types, bank, program_nonce, deadline_s, *halves(signature))


# ----------------------------------------------------------------------------------- questions, for chain.view


def auction_count() -> Call:
    """-> (count,) of all auctions ever opened."""
    return call("Sales", "auction_count", ())


def auction_of(auction: int) -> Call:
    """-> ((receivable, seller, minimum, bond, closes, state, winner, pay by, terms),)"""
    return call("Sales", "auction_of", ("uint256",), auction)


def has_auction(receivable_id: bytes) -> Call:
    """-> (truth,): whether an auction is open on a receivable, or awaits its winner's money."""
    return call("Sales", "has_auction", ("bytes32",), receivable_id)


def drawn_of(program: bytes) -> Call:
    """-> (amount_micro,) that a program has advanced, by the digest that its bank signed."""
    return call("Sales", "drawn_of", ("bytes32",), program)
