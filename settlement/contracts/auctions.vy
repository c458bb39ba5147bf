# pragma version 0.4.3
"""
@title Auctions: banks bid proceeds for one receivable, and nobody reads a bid before all are in
@notice Until the close a bank commits to keccak256(auction, bank, proceeds, its own salt) and leaves a bond; within the
        hour after it bids are revealed. The highest proceeds win, ties the earlier commitment. Who does not reveal, or
        wins and does not pay within a day, loses its bond to the seller, and the next best wins. All figures but the
        proceeds are the seller's. States: 1 open, 2 awarded, 3 settled, 4 failed, 5 cancelled.
"""

import eip712
import sale

uses: eip712
uses: sale

struct Opening:
    receivable: bytes32
    seller: uint256
    advance_rate: uint256
    advance: uint256
    minimum: uint256
    bond: uint256
    costs: uint256
    late_rate: uint256
    year_days: uint256
    with_recourse: bool
    closes_at: uint256
    nonce: uint256
    deadline: uint256

struct Auction:
    receivable: bytes32
    seller: uint256
    minimum: uint256
    bond: uint256
    closes_at: uint256
    state: uint256
    winner: uint256
    pay_by: uint256
    terms: sale.Terms

# proceeds are 0 until they are revealed, and again when the bond behind them is lost
struct Bid:
    bid: bytes32
    proceeds: uint256


event AuctionOpened:
    auction: indexed(uint256)
    receivable: indexed(bytes32)
    seller: uint256
    advance_rate: uint256
    advance: uint256
    minimum: uint256
    bond: uint256
    costs: uint256
    late_rate: uint256
    year_days: uint256
    with_recourse: bool
    closes_at: uint256

event BidCommitted:
    auction: indexed(uint256)
    bank: uint256
    bid: bytes32

event BidRevealed:
    auction: indexed(uint256)
    bank: uint256
    proceeds: uint256

event BondForfeited:
    auction: indexed(uint256)
    bank: uint256
    amount: uint256

event Awarded:
    auction: indexed(uint256)
    bank: uint256
    proceeds: uint256
    pay_by: uint256

# settled, failed or cancelled; what bonds were left have returned
event AuctionEnded:
    auction: indexed(uint256)
    state: uint256


OPEN: constant(uint256) = 1
AWARDED: constant(uint256) = 2
SETTLED: constant(uint256) = 3
FAILED: constant(uint256) = 4
CANCELLED: constant(uint256) = 5

NOBODY: constant(uint256) = 0
MAX_BIDS: constant(uint256) = 20
MAX_OPEN_S: constant(uint256) = 7 * 86_400
REVEAL_S: constant(uint256) = 3_600
PAY_S: constant(uint256) = 86_400

OPEN_AUCTION: constant(bytes32) = keccak256(
    "OpenAuction(bytes32 receivable,uint256 seller,uint256 advanceRate,uint256 advance,uint256 minimum,uint256 bond,uint256 costs,uint256 lateRate,uint256 yearDays,bool withRecourse,uint256 closesAt,uint256 nonce,uint256 deadline)"
)
CANCEL_AUCTION: constant(bytes32) = keccak256(
    "CancelAuction(uint256 auction,uint256 seller,uint256 nonce,uint256 deadline)"
)
COMMIT_BID: constant(bytes32) = keccak256(
    "CommitBid(uint256 auction,uint256 bank,bytes32 bid,uint256 nonce,uint256 deadline)"
)
SETTLE_AUCTION: constant(bytes32) = keccak256(
    "SettleAuction(uint256 auction,uint256 bank,bytes32 registration,uint256 nonce,uint256 deadline)"
)

auction_count: public(uint256)
auction_of: public(HashMap[uint256, Auction])
# in the order of their commitments
banks_of: HashMap[uint256, DynArray[uint256, MAX_BIDS]]
bid_of: public(HashMap[uint256, HashMap[uint256, Bid]])


@external
def open_auction(opening: Opening, r: uint256, s: uint256):
    """
    @notice The creditor offers a listed receivable to the banks; it stays listed and is sold in no other way meanwhile
    @dev Reverts: deadline_passed, not_listed, receivable_frozen, past_due, auction_open, not_the_creditor,
         advance_above_face, advance_above_rate, costs_above_residual, rate_above_cap, unknown_year, not_whole_fen,
         proceeds_out_of_range (the minimum), bond_out_of_range, close_out_of_range, bad_signature, member_frozen,
         nonce_used.
    @param opening What is sold, and what a bid must come to; the bond is up to the advance, the close up to 7 days
           away, and early enough that the first winner can pay before the due day
    @param r The seller's signature, and
    @param s its other half
    """
    eip712._check_deadline(opening.deadline)
    listing: sale.Listing = sale._check_for_sale(opening.receivable)
    assert opening.seller == listing.creditor, "not_the_creditor"
    terms: sale.Terms = sale.Terms(
        advance_rate=opening.advance_rate,
        advance=opening.advance,
        costs=opening.costs,
        late_rate=opening.late_rate,
        year_days=opening.year_days,
        with_recourse=opening.with_recourse,
    )
    sale._check_terms(listing.face, terms)
    sale._check_proceeds(opening.minimum, opening.advance)
    assert opening.bond != 0 and opening.bond <= opening.advance, "bond_out_of_range"
    assert opening.bond % sale.MICRO_PER_FEN == 0, "not_whole_fen"
    assert opening.closes_at > block.timestamp, "close_out_of_range"
    assert opening.closes_at <= block.timestamp + MAX_OPEN_S, "close_out_of_range"
    assert sale._local_day(opening.closes_at + REVEAL_S + PAY_S) < listing.due_day, "close_out_of_range"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(OPEN_AUCTION, opening)))
    assert staticcall sale.MEMBERS.check_mover(opening.seller, digest, r, s)
    eip712._use_nonce(opening.seller, opening.nonce)
    auction: uint256 = self.auction_count + 1
    self.auction_count = auction
    sale.auction_on[opening.receivable] = auction
    self.auction_of[auction] = Auction(
        receivable=opening.receivable,
        seller=opening.seller,
        minimum=opening.minimum,
        bond=opening.bond,
        closes_at=opening.closes_at,
        state=OPEN,
        winner=NOBODY,
        pay_by=0,
        terms=terms,
    )
    log AuctionOpened(
        auction=auction,
        receivable=opening.receivable,
        seller=opening.seller,
        advance_rate=opening.advance_rate,
        advance=opening.advance,
        minimum=opening.minimum,
        bond=opening.bond,
        costs=opening.costs,
        late_rate=opening.late_rate,
        year_days=opening.year_days,
        with_recourse=opening.with_recourse,
        closes_at=opening.closes_at,
    )


@external
def cancel_auction(auction: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The seller takes back an auction that nobody has bid in
    @dev Reverts: deadline_passed, auction_not_open, has_bids, bad_signature, member_frozen, nonce_used.
    @param auction Its number
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    assert self.auction_of[auction].state == OPEN, "auction_not_open"
    assert len(self.banks_of[auction]) == 0, "has_bids"
    seller: uint256 = self.auction_of[auction].seller
    digest: bytes32 = eip712._digest(keccak256(abi_encode(CANCEL_AUCTION, auction, seller, nonce, deadline)))
    assert staticcall sale.MEMBERS.check_mover(seller, digest, r, s)
    eip712._use_nonce(seller, nonce)
    self._end(auction, CANCELLED)


@external
def commit_bid(
    auction: uint256, bank: uint256, bid: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256
):
    """
    @notice A bank bids without showing what, and leaves a bond; one bid of each bank, at most 20
    @dev Reverts: deadline_passed, auction_not_open, auction_closed, not_for_sale, own_receivable, no_bid, bid_twice,
         auction_full, not_a_bank, bad_signature, member_frozen, nonce_used, insufficient_cash.
    @param auction Its number
    @param bank Who bids
    @param bid keccak256 of the ABI encoding of auction, bank, proceeds and 32 bytes of salt
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    assert self.auction_of[auction].state == OPEN, "auction_not_open"
    assert block.timestamp < self.auction_of[auction].closes_at, "auction_closed"
    listing: sale.Listing = staticcall sale.RECEIVABLES.listing_of(self.auction_of[auction].receivable)
    assert sale._is_for_sale(listing), "not_for_sale"
    sale._check_buyer(listing, bank)
    assert bid != empty(bytes32), "no_bid"
    assert self.bid_of[auction][bank].bid == empty(bytes32), "bid_twice"
    assert len(self.banks_of[auction]) < MAX_BIDS, "auction_full"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(COMMIT_BID, auction, bank, bid, nonce, deadline)))
    sale._check_bank(bank, digest, r, s)
    eip712._use_nonce(bank, nonce)
    self.bid_of[auction][bank].bid = bid
    self.banks_of[auction].append(bank)
    log BidCommitted(auction=auction, bank=bank, bid=bid)
    extcall sale.CASH.move(bank, self._account(), self.auction_of[auction].bond)


@external
def reveal_bid(auction: uint256, bank: uint256, proceeds: uint256, salt: bytes32):
    """
    @notice Show a bid, within the hour after the close; anyone who knows it may
    @dev Reverts: auction_not_open, too_early, too_late, no_bid, revealed_twice, wrong_bid, not_whole_fen,
         proceeds_out_of_range (below the minimum or above the advance: such a bid stays unrevealed).
    @param auction Its number
    @param bank Whose bid it is
    @param proceeds What it pays the seller
    @param salt The 32 bytes that hid it
    """
    it: Auction = self.auction_of[auction]
    assert it.state == OPEN, "auction_not_open"
    assert block.timestamp >= it.closes_at, "too_early"
    assert block.timestamp < it.closes_at + REVEAL_S, "too_late"
    bid: Bid = self.bid_of[auction][bank]
    assert bid.bid != empty(bytes32), "no_bid"
    assert bid.proceeds == 0, "revealed_twice"
    assert keccak256(abi_encode(auction, bank, proceeds, salt)) == bid.bid, "wrong_bid"
    assert proceeds >= it.minimum, "proceeds_out_of_range"
    sale._check_proceeds(proceeds, it.terms.advance)
    self.bid_of[auction][bank].proceeds = proceeds
    log BidRevealed(auction=auction, bank=bank, proceeds=proceeds)


@external
def award(auction: uint256):
    """
    @notice Once all had their hour: the highest proceeds win, and bonds behind bids that nobody revealed go to the
            seller. When the receivable can no longer be sold, all bonds return. Anyone may send it
    @dev Reverts: auction_not_open, too_early.
    @param auction Its number
    """
    it: Auction = self.auction_of[auction]
    assert it.state == OPEN, "auction_not_open"
    assert block.timestamp >= it.closes_at + REVEAL_S, "too_early"
    if not sale._is_for_sale(staticcall sale.RECEIVABLES.listing_of(it.receivable)):
        self._return_bonds(auction, True)
        self._end(auction, FAILED)
        return
    forfeited: uint256 = 0
    for bank: uint256 in self.banks_of[auction]:
        if self.bid_of[auction][bank].proceeds == 0:
            forfeited += it.bond
            log BondForfeited(auction=auction, bank=bank, amount=it.bond)
    if forfeited != 0:
        extcall sale.CASH.move(self._account(), it.seller, forfeited)
    winner: uint256 = self._best(auction)
    if winner == NOBODY:
        self._end(auction, FAILED)
        return
    extcall sale.RECEIVABLES.reserve(it.receivable, winner)
    self._award(auction, winner)


@external
def settle_auction(auction: uint256, registration: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The winner pays: proceeds to the seller, the claim to the bank, all bonds back; or nothing of it
    @dev Its own bond counts towards what it pays. Reverts: deadline_passed, not_awarded, too_late, not_for_sale,
         not_a_bank, bad_signature, member_frozen, nonce_used, registration_missing, registration_used,
         insufficient_cash.
    @param auction Its number
    @param registration Hash of the number under which the sale is registered
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The winner's signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    it: Auction = self.auction_of[auction]
    assert it.state == AWARDED, "not_awarded"
    assert block.timestamp <= it.pay_by, "too_late"
    digest: bytes32 = eip712._digest(
        keccak256(abi_encode(SETTLE_AUCTION, auction, it.winner, registration, nonce, deadline))
    )
    sale._check_bank(it.winner, digest, r, s)
    assert sale._may_change_hands(staticcall sale.RECEIVABLES.listing_of(it.receivable)), "not_for_sale"
    eip712._use_nonce(it.winner, nonce)
    extcall sale.RECEIVABLES.use_registration(registration)
    proceeds: uint256 = self.bid_of[auction][it.winner].proceeds
    self._return_bonds(auction, False)
    self._end(auction, SETTLED)
    sale._exchange(it.receivable, it.seller, it.winner, it.terms, proceeds, registration)


@external
def lapse(auction: uint256):
    """
    @notice The winner did not pay in time: its bond goes to the seller and the next best wins; when nobody is left, the
            receivable is listed again. Of a receivable that is due or frozen, or whose seller is frozen, all bonds return.
            Anyone may send it
    @dev Reverts: not_awarded, too_early.
    @param auction Its number
    """
    it: Auction = self.auction_of[auction]
    assert it.state == AWARDED, "not_awarded"
    assert block.timestamp > it.pay_by, "too_early"
    listing: sale.Listing = staticcall sale.RECEIVABLES.listing_of(it.receivable)
    if not sale._may_change_hands(listing):
        self._give_up(auction, it)
        return
    self.bid_of[auction][it.winner].proceeds = 0
    log BondForfeited(auction=auction, bank=it.winner, amount=it.bond)
    extcall sale.CASH.move(self._account(), it.seller, it.bond)
    winner: uint256 = self._best(auction)
    if winner == NOBODY:
        self._give_up(auction, it)
    else:
        self._award(auction, winner)


@external
@view
def has_auction(receivable: bytes32) -> bool:
    """
    @notice Whether an auction is open on a receivable, or awaits its winner's money
    @param receivable Its id
    @return Whether it can neither be withdrawn nor sold in another way
    """
    return sale.auction_on[receivable] != sale.NO_AUCTION


@internal
def _award(auction: uint256, winner: uint256):
    pay_by: uint256 = block.timestamp + PAY_S
    self.auction_of[auction].state = AWARDED
    self.auction_of[auction].winner = winner
    self.auction_of[auction].pay_by = pay_by
    log Awarded(auction=auction, bank=winner, proceeds=self.bid_of[auction][winner].proceeds, pay_by=pay_by)


@internal
def _give_up(auction: uint256, it: Auction):
    self._return_bonds(auction, False)
    self._end(auction, FAILED)
    extcall sale.RECEIVABLES.release(it.receivable, it.winner)


@internal
def _end(auction: uint256, state: uint256):
    self.auction_of[auction].state = state
    sale.auction_on[self.auction_of[auction].receivable] = sale.NO_AUCTION
    log AuctionEnded(auction=auction, state=state)


@internal
@view
def _best(auction: uint256) -> uint256:
    """
    @notice Who bids most, the earlier of equals; nobody when no bid is left
    """
    winner: uint256 = NOBODY
    most: uint256 = 0
    for bank: uint256 in self.banks_of[auction]:
        proceeds: uint256 = self.bid_of[auction][bank].proceeds
        if proceeds > most:
            most = proceeds
            winner = bank
    return winner


@internal
def _return_bonds(auction: uint256, all_of_them: bool):
    """
    @notice Bonds back to their banks: all, or those behind revealed bids, which are all that is left after an award
    """
    bond: uint256 = self.auction_of[auction].bond
    for bank: uint256 in self.banks_of[auction]:
        if all_of_them or self.bid_of[auction][bank].proceeds != 0:
            extcall sale.CASH.move(self._account(), bank, bond)


@internal
@view
def _account() -> uint256:
    """
    @notice Where the bonds are: this contract's account in Cash
    """
    return convert(convert(self, uint160), uint256)
