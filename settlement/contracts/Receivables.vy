# pragma version 0.4.3
#pragma optimize codesize

"""
@title Receivables: who owes whom, and who advanced the money
@notice A receivable can only come from a period's root, which operator and checker signed; a (creditor, debtor, terms,
        period) and each trade are claimed once; nothing is financed before its debtor acknowledged it. Every change of
        state is an event with actor, before and after. States are in `life.vy`.
"""

import eip712
import fates
import life
import origin
import parts
import payments
import trade_claims

initializes: eip712
initializes: life[eip712 := eip712]
initializes: trade_claims[life := life]
initializes: parts[life := life, trade_claims := trade_claims]
initializes: origin[eip712 := eip712, life := life, parts := parts]
initializes: payments[life := life, parts := parts]
initializes: fates[eip712 := eip712, life := life, parts := parts]

exports: (
    life.claim_of,
    life.is_registered,
    origin.collection,
    origin.last_period,
    origin.root_of,
    origin.is_root_acknowledged,
    origin.issue_period,
    origin.materialise_many,
    origin.acknowledge_many,
    origin.acknowledge_root,
    origin.acknowledge_proven,
    origin.reject,
    origin.cancel,
    trade_claims.claim_trades,
    trade_claims.claimant_of,
    trade_claims.claimed_count,
    trade_claims.is_complete,
    parts.split_part,
    parts.transfer_part,
    parts.merge_parts,
    parts.pledge_part,
    parts.release_part,
    parts.parts_of,
    parts.part_of,
    payments.repay,
    payments.buy_back,
    payments.compensate,
    fates.next_ruling,
    fates.mark_many,
    fates.demand,
    fates.declare_default,
    fates.write_off,
    fates.dispute,
    fates.withdraw_dispute,
    fates.concede,
    fates.decide,
    fates.set_frozen,
)

# what a sale must know
struct Listing:
    state: uint256
    creditor: uint256
    debtor: uint256
    face: uint256
    due_day: uint256
    is_frozen: bool


event Assigned:
    receivable: indexed(bytes32)
    bank: uint256
    advance: uint256
    costs: uint256
    late_rate: uint256
    year_days: uint256
    with_recourse: bool
    registration: bytes32


SET_LISTED: constant(bytes32) = keccak256(
    "SetListed(bytes32 receivable,uint256 creditor,bool listed,uint256 nonce,uint256 deadline)"
)


@deploy
def __init__(
    salt: bytes32, members: address, cash: address, sales: address, collection: bytes32, day_offset_s: uint256
):
    """
    @param salt 32 random genesis bytes
    @param members Whose signatures count
    @param cash The money contract
    @param sales Where receivables are sold, known before it is deployed
    @param collection Hash of the account into which debtors pay
    @param day_offset_s What local time is ahead of UTC
    """
    eip712.__init__(salt)
    life.__init__(members, sales, day_offset_s)
    payments.__init__(cash)
    origin.__init__(collection)


# -------------------------------------------------------------------------------------------- the creditor


@external
def set_listed(receivable: bytes32, listed: bool, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The creditor puts a whole acknowledged receivable up for sale, or takes it back
    @dev Reverts: illegal_transition, receivable_frozen, trades_unclaimed, not_whole, past_due, auction_open,
         deadline_passed, bad_signature, member_frozen, nonce_used.
    @param receivable Its id
    @param listed Whether it shall be for sale
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    before: uint256 = life.LISTED
    after: uint256 = life.ACKNOWLEDGED
    if listed:
        before = life.ACKNOWLEDGED
        after = life.LISTED
    life._check_state(receivable, 1 << before)
    if listed:
        life._check_free(receivable)
        assert trade_claims.is_complete[receivable], "trades_unclaimed"
        assert len(parts.held[receivable]) == 1, "not_whole"
        parts._check_creditors(receivable)
        assert life._local_day() < life.claims[receivable].due_day, "past_due"
    else:
        assert not staticcall life.SALES.has_auction(receivable), "auction_open"
    creditor: uint256 = life.claims[receivable].creditor
    content: bytes32 = keccak256(abi_encode(SET_LISTED, receivable, creditor, listed, nonce, deadline))
    life._use_movers_word(creditor, content, life.Word(nonce=nonce, deadline=deadline, r=r, s=s))
    life._change(receivable, creditor, before, after)


# ----------------------------------------------------------------------------------------------- for Sales


@external
@view
def listing_of(receivable: bytes32) -> Listing:
    """
    @notice What a sale must know of a receivable
    @param receivable Its id
    @return All zero when it is not on the chain
    """
    claim: life.Claim = life._claim(receivable)
    return Listing(
        state=claim.state,
        creditor=claim.creditor,
        debtor=claim.debtor,
        face=claim.face,
        due_day=claim.due_day,
        is_frozen=claim.is_frozen,
    )


@external
def use_registration(registration: bytes32):
    """
    @notice Use up the registration under which something is sold; only for Sales
    @dev Reverts: not_sales, registration_missing, registration_used.
    @param registration Hash of the registry's number
    """
    self._check_sales()
    life._register(registration)


@external
def reserve(receivable: bytes32, bank: uint256):
    """
    @notice An auction was won: nothing else happens to the receivable until the winner pays; only for Sales
    @dev Reverts: not_sales, illegal_transition, receivable_frozen.
    @param receivable Its id
    @param bank The winner
    """
    self._check_sales()
    life._check_state(receivable, 1 << life.LISTED)
    life._check_free(receivable)
    life._change(receivable, bank, life.LISTED, life.RESERVED)


@external
def release(receivable: bytes32, bank: uint256):
    """
    @notice Nobody paid: the receivable is for sale again; only for Sales
    @dev Reverts: not_sales, illegal_transition.
    @param receivable Its id
    @param bank Whose time is over
    """
    self._check_sales()
    life._check_state(receivable, 1 << life.RESERVED)
    life._change(receivable, bank, life.RESERVED, life.LISTED)


@external
def assign(
    receivable: bytes32,
    bank: uint256,
    advance: uint256,
    costs: uint256,
    late_rate: uint256,
    year_days: uint256,
    with_recourse: bool,
    registration: bytes32,
):
    """
    @notice The receivable is sold: the advance is the bank's, the rest the creditor's residual; only for Sales
    @dev Sales checked terms and day, and used up the registration. Reverts: not_sales, illegal_transition,
         receivable_frozen, advance_above_face.
    @param receivable Its id
    @param bank Who pays for it
    @param advance Micro-yuan that the bank is owed at maturity
    @param costs Micro-yuan that it is owed before that, out of the residual
    @param late_rate Yearly interest after the due day, parts per million
    @param year_days 360 or 365
    @param with_recourse Whether the creditor buys it back when it is overdue and the holder demands
    @param registration Hash of the registry's number
    """
    self._check_sales()
    life._check_state(receivable, (1 << life.LISTED) | (1 << life.RESERVED))
    life._check_free(receivable)
    claim: life.Claim = life._claim(receivable)
    assert advance != 0 and advance <= claim.face, "advance_above_face"
    claim.residual_open = claim.face - advance
    claim.advance = advance
    claim.advance_open = advance
    claim.costs_due = costs
    claim.late_rate = late_rate
    claim.year_days = year_days
    claim.accrued_day = claim.due_day
    claim.with_recourse = with_recourse
    life._keep(receivable, claim)
    parts._assign(receivable, bank, advance)
    log Assigned(
        receivable=receivable,
        bank=bank,
        advance=advance,
        costs=costs,
        late_rate=late_rate,
        year_days=year_days,
        with_recourse=with_recourse,
        registration=registration,
    )
    life._change(receivable, claim.creditor, claim.state, life.FINANCED)


# ----------------------------------------------------------------------------------------------- the steps


@internal
@view
def _check_sales():
    assert msg.sender == life.SALES.address, "not_sales"
