"""Acts about sales of receivables: a bank's offer, the seller's acceptance, and the one transaction of both.

As ``acts.py``: a digest is what is signed, a call is what any relayer may send. Amounts are micro-yuan and whole fen.
"""

from typing import NamedTuple

from settlement.calls import SIGNATURE, call, halves
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent


class Offer(NamedTuple):
    """A bank's offer on a listed receivable: the advance it will collect, the proceeds it pays now."""

    receivable_id: bytes
    bank: int
    advance_micro: int
    proceeds_micro: int
    nonce: int
    deadline_s: int


OFFER = intent("Offer(bytes32 receivable,uint256 bank,uint256 advance,uint256 proceeds,uint256 nonce,uint256 deadline)")
ACCEPTANCE = intent("Acceptance(bytes32 offer,uint256 seller,uint256 nonce,uint256 deadline)")

_OFFER = "(bytes32,uint256,uint256,uint256,uint256,uint256)"


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
    return call("Receivables", "finance", types, offer, *halves(bank_signature), *seller)
