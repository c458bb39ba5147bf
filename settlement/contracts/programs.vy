# pragma version 0.4.3
"""
@title Programs: what fits a bank's price table is financed on its seller's word
@notice A bank signs once: a limit, a fee, and the root of a table that says for each debtor how long it may still run
        and at which yearly rate. A seller draws on it with the debtor's row and its path; the contract computes what
        it gets. Until the limit is reached, the deadline has passed, or the bank uses up the program's nonce.
"""

import eip712
import sale

uses: eip712
uses: sale

struct ProofStep:
    on_left: bool
    sibling: bytes32

struct Program:
    bank: uint256
    root: bytes32
    advance_rate: uint256
    limit: uint256
    fee: uint256
    costs: uint256
    late_rate: uint256
    year_days: uint256
    with_recourse: bool
    registration: bytes32
    nonce: uint256
    deadline: uint256

# a leaf of the table: the yearly rate in ppm for what this debtor owes and what runs so many days at most
struct PriceRow:
    debtor: uint256
    max_days: uint256
    rate: uint256

struct Drawing:
    receivable: bytes32
    minimum: uint256
    nonce: uint256
    deadline: uint256


event Drawn:
    program: indexed(bytes32)
    receivable: indexed(bytes32)
    bank: uint256
    advance: uint256
    proceeds: uint256
    drawn: uint256

event ProgramCancelled:
    bank: indexed(uint256)
    nonce: uint256


PROGRAM: constant(bytes32) = keccak256(
    "Program(uint256 bank,bytes32 root,uint256 advanceRate,uint256 limit,uint256 fee,uint256 costs,uint256 lateRate,uint256 yearDays,bool withRecourse,bytes32 registration,uint256 nonce,uint256 deadline)"
)
DRAW: constant(bytes32) = keccak256(
    "Draw(bytes32 program,bytes32 receivable,uint256 seller,uint256 minimum,uint256 nonce,uint256 deadline)"
)
CANCEL_PROGRAM: constant(bytes32) = keccak256("CancelProgram(uint256 bank,uint256 program,uint256 deadline)")

# what a program has advanced, by the digest that its bank signed
drawn_of: public(HashMap[bytes32, uint256])


@external
def draw(
    program: Program,
    bank_r: uint256,
    bank_s: uint256,
    row: PriceRow,
    path: DynArray[ProofStep, 32],
    drawing: Drawing,
    r: uint256,
    s: uint256,
):
    """
    @notice The seller takes what a program gives for a listed receivable: proceeds against the claim, or neither
    @dev Reverts: deadline_passed, program_cancelled, not_listed, receivable_frozen, past_due, auction_open,
         own_receivable, other_debtor, tenor_too_long, wrong_row, rate_above_cap, no_proceeds, below_minimum,
         limit_reached, advance_above_face, costs_above_residual, unknown_year, not_whole_fen, not_a_bank,
         bad_signature, member_frozen, nonce_used, registration_missing, registration_used, insufficient_cash.
    @param program As its bank signed it
    @param bank_r The bank's signature, and
    @param bank_s its other half
    @param row The debtor's row of its table
    @param path From the row to the table's root
    @param drawing What the seller sells, and the least that it takes for it
    @param r The seller's signature, and
    @param s its other half
    """
    eip712._check_deadline(program.deadline)
    eip712._check_deadline(drawing.deadline)
    assert not self._is_cancelled(program.bank, program.nonce), "program_cancelled"
    listing: sale.Listing = sale._check_for_sale(drawing.receivable)
    sale._check_buyer(listing, program.bank)
    days: uint256 = listing.due_day - sale._local_day(block.timestamp)
    self._check_row(row, path, program.root, listing.debtor, days)
    terms: sale.Terms = self._terms(program, listing.face)
    sale._check_terms(listing.face, terms)
    proceeds: uint256 = self._proceeds(program, terms.advance, row.rate, days)
    assert proceeds >= drawing.minimum, "below_minimum"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(PROGRAM, program)))
    drawn: uint256 = self.drawn_of[digest]
    if drawn == 0:
        extcall sale.RECEIVABLES.use_registration(program.registration)
    drawn += terms.advance
    assert drawn <= program.limit, "limit_reached"
    self.drawn_of[digest] = drawn
    word: bytes32 = eip712._digest(
        keccak256(
            abi_encode(
                DRAW, digest, drawing.receivable, listing.creditor, drawing.minimum, drawing.nonce, drawing.deadline
            )
        )
    )
    assert staticcall sale.MEMBERS.check_sale(program.bank, digest, bank_r, bank_s, listing.creditor, word, r, s)
    eip712._use_nonce(listing.creditor, drawing.nonce)
    log Drawn(
        program=digest,
        receivable=drawing.receivable,
        bank=program.bank,
        advance=terms.advance,
        proceeds=proceeds,
        drawn=drawn,
    )
    sale._exchange(drawing.receivable, listing.creditor, program.bank, terms, proceeds, program.registration)


@external
def cancel_program(bank: uint256, program: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The bank ends its program, by using up the nonce that it carries
    @dev Reverts: deadline_passed, bad_signature, nonce_used. A frozen bank may cancel too.
    @param bank Whose program it is
    @param program The program's nonce
    @param deadline The last second at which the signature counts
    @param r The bank's signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    digest: bytes32 = eip712._digest(keccak256(abi_encode(CANCEL_PROGRAM, bank, program, deadline)))
    assert staticcall sale.MEMBERS.is_signed(bank, digest, r, s), "bad_signature"
    eip712._use_nonce(bank, program)
    log ProgramCancelled(bank=bank, nonce=program)


@internal
@view
def _is_cancelled(bank: uint256, nonce: uint256) -> bool:
    return eip712.used_nonces[bank][nonce >> 8] & (1 << (nonce & 255)) != 0


@internal
@pure
def _check_row(row: PriceRow, path: DynArray[ProofStep, 32], root: bytes32, debtor: uint256, days: uint256):
    """
    @notice Revert unless the row is in the table and speaks of this debtor and of so many days
    """
    assert row.debtor == debtor, "other_debtor"
    assert days <= row.max_days, "tenor_too_long"
    assert row.rate <= sale.MAX_RATE, "rate_above_cap"
    node: bytes32 = keccak256(concat(x"00", abi_encode(row)))
    for step: ProofStep in path:
        if step.on_left:
            node = keccak256(concat(x"01", step.sibling, node))
        else:
            node = keccak256(concat(x"01", node, step.sibling))
    assert node == root, "wrong_row"


@internal
@pure
def _terms(program: Program, face: uint256) -> sale.Terms:
    """
    @notice What the bank will be owed on a face value; the advance is rounded down to the fen
    """
    face_fen: uint256 = face // sale.MICRO_PER_FEN
    return sale.Terms(
        advance_rate=program.advance_rate,
        advance=face_fen * program.advance_rate // sale.PPM * sale.MICRO_PER_FEN,
        costs=program.costs,
        late_rate=program.late_rate,
        year_days=program.year_days,
        with_recourse=program.with_recourse,
    )


@internal
@pure
def _proceeds(program: Program, advance: uint256, rate: uint256, days: uint256) -> uint256:
    """
    @notice What the seller gets: the advance less the discount, rounded up to the fen, and the fee
    """
    advance_fen: uint256 = advance // sale.MICRO_PER_FEN
    year: uint256 = sale.PPM * program.year_days
    discount: uint256 = (advance_fen * rate * days + year - 1) // year * sale.MICRO_PER_FEN
    assert program.fee % sale.MICRO_PER_FEN == 0, "not_whole_fen"
    assert advance > discount + program.fee, "no_proceeds"
    return advance - discount - program.fee
