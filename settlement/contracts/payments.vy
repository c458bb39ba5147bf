# pragma version 0.4.3
"""
@title Payments: what a debtor pays, and what a creditor pays back
@notice Costs, interest for being late, the holder's advance, the residual, in this order. Costs and interest are carried
        by the residual, as far as it goes; so face = open + redeemed, always. Nobody but the debtor can pay a receivable.
"""

import life
import parts

uses: life
uses: parts

interface ICash:
    def spread(source: uint256, payees: DynArray[parts.Payee, 20]): nonpayable


event Repaid:
    receivable: indexed(bytes32)
    amount: uint256
    to_costs: uint256
    to_interest: uint256
    to_advance: uint256
    to_residual: uint256
    redeemed: uint256

event BoughtBack:
    receivable: indexed(bytes32)
    price: uint256

event Compensated:
    receivable: indexed(bytes32)
    amount: uint256


# states in which a payment makes it partly paid; in the others that take one it stays as it is
RUNNING: constant(uint256) = (1 << life.ACKNOWLEDGED) | (1 << life.LISTED) | (1 << life.FINANCED) | (
    1 << life.DUE
) | (1 << life.PARTLY_PAID)
TAKES_MONEY: constant(uint256) = RUNNING | (1 << life.OVERDUE) | (1 << life.RECOURSE) | (1 << life.DEFAULTED) | (
    1 << life.WRITTEN_OFF
)
PPM: constant(uint256) = 1_000_000

REPAY: constant(bytes32) = keccak256(
    "Repay(bytes32 receivable,uint256 debtor,uint256 amount,uint256 nonce,uint256 deadline)"
)
BUY_BACK: constant(bytes32) = keccak256(
    "BuyBack(bytes32 receivable,uint256 creditor,uint256 most,uint256 nonce,uint256 deadline)"
)
COMPENSATE: constant(bytes32) = keccak256(
    "Compensate(bytes32 receivable,uint256 creditor,uint256 amount,uint256 nonce,uint256 deadline)"
)

CASH: immutable(ICash)


@deploy
def __init__(cash: address):
    """
    @param cash Where the money is
    """
    CASH = ICash(cash)


@external
def repay(receivable: bytes32, amount: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The debtor pays, in part or whole: costs, interest, the holder's advance, then the residual
    @dev Reverts: illegal_transition, not_whole_fen, overpaid, deadline_passed, bad_signature, nonce_used,
         insufficient_cash.
    @param receivable Its id
    @param amount Micro-yuan
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the debtor, and
    @param s its other half
    """
    life._check_state(receivable, TAKES_MONEY)
    claim: life.Claim = self._accrued(life._claim(receivable))
    self._check_fen(amount)
    assert amount <= claim.advance_open + claim.residual_open, "overpaid"
    content: bytes32 = keccak256(abi_encode(REPAY, receivable, claim.debtor, amount, nonce, deadline))
    life._use_word(claim.debtor, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    to_costs: uint256 = min(min(amount, claim.costs_due), claim.residual_open)
    to_interest: uint256 = min(min(amount - to_costs, claim.interest_due), claim.residual_open - to_costs)
    taken: uint256 = to_costs + to_interest
    to_advance: uint256 = min(amount - taken, claim.advance_open)
    to_residual: uint256 = amount - taken - to_advance
    payees: DynArray[parts.Payee, 20] = parts._pay(
        receivable,
        claim.debtor,
        parts.Shares(
            taken=taken, to_holder=taken + to_advance, to_advance=to_advance, to_residual=to_residual, buyer=0
        ),
    )
    claim.costs_due -= to_costs
    claim.interest_due -= to_interest
    claim.advance_open -= to_advance
    claim.residual_open -= taken + to_residual
    life._keep(receivable, claim)
    open: uint256 = claim.advance_open + claim.residual_open
    log Repaid(
        receivable=receivable,
        amount=amount,
        to_costs=to_costs,
        to_interest=to_interest,
        to_advance=to_advance,
        to_residual=to_residual,
        redeemed=claim.face - open,
    )
    after: uint256 = claim.state
    if open == 0:
        after = life.SETTLED
    elif life._is_in(claim.state, RUNNING):
        after = life.PARTLY_PAID
    life._change(receivable, claim.debtor, claim.state, after)
    self._spread(claim.debtor, payees)


@external
def buy_back(receivable: bytes32, most: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The creditor pays the holder's open claim with costs and interest, and owns it from now on; once
    @dev Reverts: illegal_transition, receivable_frozen, nothing_open, price_above_most, deadline_passed, bad_signature,
         member_frozen, nonce_used, insufficient_cash.
    @param receivable Its id
    @param most Micro-yuan: it costs no more than this, whatever day it is
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the creditor, and
    @param s its other half
    """
    life._check_state(receivable, 1 << life.RECOURSE)
    life._check_free(receivable)
    claim: life.Claim = self._accrued(life._claim(receivable))
    assert claim.advance_open != 0, "nothing_open"
    content: bytes32 = keccak256(abi_encode(BUY_BACK, receivable, claim.creditor, most, nonce, deadline))
    life._use_movers_word(claim.creditor, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    price: uint256 = claim.costs_due + claim.interest_due + claim.advance_open
    assert price <= most, "price_above_most"
    payees: DynArray[parts.Payee, 20] = parts._pay(
        receivable,
        claim.creditor,
        parts.Shares(taken=0, to_holder=price, to_advance=0, to_residual=0, buyer=claim.creditor),
    )
    claim.costs_due = 0
    claim.interest_due = 0
    claim.late_rate = 0
    claim.with_recourse = False
    life._keep(receivable, claim)
    log BoughtBack(receivable=receivable, price=price)
    life._change(receivable, claim.creditor, life.RECOURSE, life.OVERDUE)
    self._spread(claim.creditor, payees)


@external
def compensate(receivable: bytes32, amount: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The creditor pays the debtor on account of a financed receivable; its claims stay as they are
    @dev Reverts: not_financed, not_whole_fen, deadline_passed, bad_signature, member_frozen, nonce_used,
         insufficient_cash.
    @param receivable Its id
    @param amount Micro-yuan
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature of the creditor, and
    @param s its other half
    """
    claim: life.Claim = life._claim(receivable)
    assert claim.advance != 0, "not_financed"
    self._check_fen(amount)
    content: bytes32 = keccak256(abi_encode(COMPENSATE, receivable, claim.creditor, amount, nonce, deadline))
    life._use_movers_word(claim.creditor, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    log Compensated(receivable=receivable, amount=amount)
    self._spread(claim.creditor, [parts.Payee(account=claim.debtor, amount=amount)])


@internal
def _spread(source: uint256, payees: DynArray[parts.Payee, 20]):
    extcall CASH.spread(source, payees)


@internal
@pure
def _check_fen(amount: uint256):
    assert amount != 0 and amount % life.FEN == 0, "not_whole_fen"


@internal
@view
def _accrued(claim: life.Claim) -> life.Claim:
    """
    @dev A claim with the interest for the days since it was last counted, from the due day on, rounded up to the fen.
    """
    counted: life.Claim = claim
    today: uint256 = life._local_day()
    if claim.advance_open != 0 and today > claim.accrued_day:
        over: uint256 = claim.year_days * PPM * life.FEN
        exact: uint256 = claim.advance_open * claim.late_rate * (today - claim.accrued_day)
        counted.interest_due += (exact + over - 1) // over * life.FEN
        counted.accrued_day = today
    return counted
