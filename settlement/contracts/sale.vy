# pragma version 0.4.3
"""
@title Sale: what every way of selling a receivable has in common
@notice The figures that a sale may have, who may sell and buy, and the exchange itself: the proceeds one way and the
        claim the other in one transaction, or neither. Amounts are micro-yuan and whole fen, rates parts per million.
"""

interface IMembers:
    def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def roles_of(member: uint256) -> uint256: view
    def is_frozen(member: uint256) -> bool: view
    def check_sale(
        bank: uint256,
        offer: bytes32,
        bank_r: uint256,
        bank_s: uint256,
        seller: uint256,
        acceptance: bytes32,
        seller_r: uint256,
        seller_s: uint256,
    ) -> bool: view

interface ICash:
    def move(source: uint256, target: uint256, amount: uint256): nonpayable

interface IReceivables:
    def listing_of(receivable: bytes32) -> Listing: view
    def use_registration(registration: bytes32): nonpayable
    def reserve(receivable: bytes32, bank: uint256): nonpayable
    def release(receivable: bytes32, bank: uint256): nonpayable
    def assign(
        receivable: bytes32,
        bank: uint256,
        advance: uint256,
        costs: uint256,
        late_rate: uint256,
        year_days: uint256,
        with_recourse: bool,
        registration: bytes32,
    ): nonpayable

# what a sale must know of a receivable
struct Listing:
    state: uint256
    creditor: uint256
    debtor: uint256
    face: uint256
    due_day: uint256
    is_frozen: bool

# what the bank will be owed: `advance` at maturity, `costs` and interest at `late_rate` before it when that is late
struct Terms:
    advance_rate: uint256
    advance: uint256
    costs: uint256
    late_rate: uint256
    year_days: uint256
    with_recourse: bool


event Financed:
    receivable: indexed(bytes32)
    bank: uint256
    advance: uint256
    proceeds: uint256


BANK: constant(uint256) = 128
LISTED: constant(uint256) = 3
NO_AUCTION: constant(uint256) = 0

PPM: constant(uint256) = 1_000_000
MICRO_PER_FEN: constant(uint256) = 10_000
# the dearest yearly rate: 24 %
MAX_RATE: constant(uint256) = 240_000
DAY_S: constant(uint256) = 86_400

MEMBERS: immutable(IMembers)
CASH: immutable(ICash)
RECEIVABLES: immutable(IReceivables)
# from UTC to the market's local time
DAY_OFFSET_S: immutable(uint256)

# the auction that is open on a receivable or awaits its winner's money
auction_on: HashMap[bytes32, uint256]


@deploy
def __init__(members: address, cash: address, receivables: address, day_offset_s: uint256):
    """
    @param members Who signs, and who is a bank
    @param cash Where the money is
    @param receivables Where the claims are
    @param day_offset_s Seconds from UTC to the market's local time
    """
    MEMBERS = IMembers(members)
    CASH = ICash(cash)
    RECEIVABLES = IReceivables(receivables)
    DAY_OFFSET_S = day_offset_s


@internal
@view
def _local_day(at_s: uint256) -> uint256:
    """
    @notice Days from 1970-01-01 to a second, in the market's time zone
    """
    return (at_s + DAY_OFFSET_S) // DAY_S


@internal
@view
def _is_for_sale(listing: Listing) -> bool:
    """
    @notice Whether it is listed and may change hands
    """
    return listing.state == LISTED and self._may_change_hands(listing)


@internal
@view
def _may_change_hands(listing: Listing) -> bool:
    """
    @notice Whether it is not due, and neither it nor its creditor is frozen
    """
    if listing.is_frozen or self._local_day(block.timestamp) >= listing.due_day:
        return False
    return not staticcall MEMBERS.is_frozen(listing.creditor)


@internal
@view
def _check_for_sale(receivable: bytes32) -> Listing:
    """
    @notice What is known of a receivable that can be sold now. Reverts: not_listed, receivable_frozen, past_due,
            auction_open
    """
    listing: Listing = staticcall RECEIVABLES.listing_of(receivable)
    assert listing.state == LISTED, "not_listed"
    assert not listing.is_frozen, "receivable_frozen"
    assert self._local_day(block.timestamp) < listing.due_day, "past_due"
    assert self.auction_on[receivable] == NO_AUCTION, "auction_open"
    return listing


@internal
@pure
def _check_buyer(listing: Listing, bank: uint256):
    assert bank != listing.creditor and bank != listing.debtor, "own_receivable"


@internal
@view
def _check_bank(bank: uint256, digest: bytes32, r: uint256, s: uint256):
    """
    @notice Revert unless a bank that may move its money signed. Reverts: not_a_bank, bad_signature, member_frozen
    """
    assert (staticcall MEMBERS.roles_of(bank)) & BANK != 0, "not_a_bank"
    assert staticcall MEMBERS.check_mover(bank, digest, r, s)


@internal
@pure
def _check_terms(face: uint256, terms: Terms):
    """
    @notice Revert unless these terms can be had on a face value
    """
    assert terms.advance != 0 and terms.advance <= face, "advance_above_face"
    assert terms.advance_rate <= PPM and terms.advance * PPM <= face * terms.advance_rate, "advance_above_rate"
    assert terms.costs <= face - terms.advance, "costs_above_residual"
    assert terms.late_rate <= MAX_RATE, "rate_above_cap"
    assert terms.year_days == 360 or terms.year_days == 365, "unknown_year"
    assert terms.advance % MICRO_PER_FEN == 0 and terms.costs % MICRO_PER_FEN == 0, "not_whole_fen"


@internal
@pure
def _check_proceeds(proceeds: uint256, advance: uint256):
    """
    @notice Revert unless a seller may get so much for an advance
    """
    assert proceeds != 0 and proceeds <= advance, "proceeds_out_of_range"
    assert proceeds % MICRO_PER_FEN == 0, "not_whole_fen"


@internal
def _exchange(
    receivable: bytes32, seller: uint256, bank: uint256, terms: Terms, proceeds: uint256, registration: bytes32
):
    """
    @notice The claim to the bank and the proceeds to the seller. Reverts: insufficient_cash
    """
    log Financed(receivable=receivable, bank=bank, advance=terms.advance, proceeds=proceeds)
    extcall RECEIVABLES.assign(
        receivable,
        bank,
        terms.advance,
        terms.costs,
        terms.late_rate,
        terms.year_days,
        terms.with_recourse,
        registration,
    )
    extcall CASH.move(bank, seller, proceeds)
