# pragma version 0.4.3
"""
@title Sales: receivables change hands for money, in one transaction or not at all
@notice Three ways to sell what is listed: a bank's direct offer that the seller accepts, an auction with committed and
        revealed bids (`auctions.vy`), a bank's standing program (`programs.vy`). Each sale carries the number of its
        registration, used once. The money that this contract holds in Cash is the bonds of auctions that run.
"""

import auctions
import eip712
import programs
import sale

initializes: eip712
initializes: sale
initializes: auctions[eip712 := eip712, sale := sale]
initializes: programs[eip712 := eip712, sale := sale]

exports: (
    auctions.auction_count,
    auctions.auction_of,
    auctions.bid_of,
    auctions.open_auction,
    auctions.cancel_auction,
    auctions.commit_bid,
    auctions.reveal_bid,
    auctions.award,
    auctions.settle_auction,
    auctions.lapse,
    auctions.has_auction,
    programs.drawn_of,
    programs.draw,
    programs.cancel_program,
)

struct Offer:
    receivable: bytes32
    bank: uint256
    advance_rate: uint256
    advance: uint256
    proceeds: uint256
    costs: uint256
    late_rate: uint256
    year_days: uint256
    with_recourse: bool
    registration: bytes32
    nonce: uint256
    deadline: uint256


OFFER: constant(bytes32) = keccak256(
    "Offer(bytes32 receivable,uint256 bank,uint256 advanceRate,uint256 advance,uint256 proceeds,uint256 costs,uint256 lateRate,uint256 yearDays,bool withRecourse,bytes32 registration,uint256 nonce,uint256 deadline)"
)
ACCEPTANCE: constant(bytes32) = keccak256(
    "Acceptance(bytes32 offer,uint256 seller,uint256 nonce,uint256 deadline)"
)


@deploy
def __init__(salt: bytes32, members: address, cash: address, receivables: address, day_offset_s: uint256):
    """
    @param salt 32 random genesis bytes
    @param members Who signs, and who is a bank
    @param cash The money contract
    @param receivables Where the claims are
    @param day_offset_s Seconds from UTC to the market's local time
    """
    eip712.__init__(salt)
    sale.__init__(members, cash, receivables, day_offset_s)


@external
def finance(
    offer: Offer,
    bank_r: uint256,
    bank_s: uint256,
    seller_nonce: uint256,
    seller_deadline: uint256,
    seller_r: uint256,
    seller_s: uint256,
):
    """
    @notice A bank's direct offer, accepted: the proceeds to the seller and the claim to the bank, or neither
    @dev Reverts: deadline_passed, not_listed, receivable_frozen, past_due, auction_open, own_receivable,
         advance_above_face, advance_above_rate, costs_above_residual, rate_above_cap, unknown_year, not_whole_fen,
         proceeds_out_of_range, not_a_bank, bad_signature, member_frozen, nonce_used, registration_missing,
         registration_used, insufficient_cash.
    @param offer Signed by the bank; the seller signs an acceptance of its digest
    @param bank_r The bank's signature, and
    @param bank_s its other half
    @param seller_nonce Any number that the seller has not used here
    @param seller_deadline The last second at which the acceptance counts
    @param seller_r The seller's signature, and
    @param seller_s its other half
    """
    eip712._check_deadline(offer.deadline)
    eip712._check_deadline(seller_deadline)
    listing: sale.Listing = sale._check_for_sale(offer.receivable)
    sale._check_buyer(listing, offer.bank)
    terms: sale.Terms = sale.Terms(
        advance_rate=offer.advance_rate,
        advance=offer.advance,
        costs=offer.costs,
        late_rate=offer.late_rate,
        year_days=offer.year_days,
        with_recourse=offer.with_recourse,
    )
    sale._check_terms(listing.face, terms)
    sale._check_proceeds(offer.proceeds, offer.advance)
    offer_digest: bytes32 = eip712._digest(keccak256(abi_encode(OFFER, offer)))
    acceptance: bytes32 = eip712._digest(
        keccak256(abi_encode(ACCEPTANCE, offer_digest, listing.creditor, seller_nonce, seller_deadline))
    )
    assert staticcall sale.MEMBERS.check_sale(
        offer.bank, offer_digest, bank_r, bank_s, listing.creditor, acceptance, seller_r, seller_s
    )
    eip712._use_nonce(offer.bank, offer.nonce)
    eip712._use_nonce(listing.creditor, seller_nonce)
    extcall sale.RECEIVABLES.use_registration(offer.registration)
    sale._exchange(offer.receivable, listing.creditor, offer.bank, terms, offer.proceeds, offer.registration)
