# pragma version 0.4.3
"""
@title Receivables: who owes whom, and who advanced the money
@notice A receivable can only come from a period's root, which operator and checker signed; a (creditor, debtor,
        terms, period) is claimed once; nothing is financed before its debtor acknowledged it; cash in = the holder's
        advance, then the seller's residual. Every change of state is an event with actor, before and after.
        States: 1 issued, 2 acknowledged, 3 listed, 5 financed, 7 partly paid, 12 settled, 13 rejected.
"""

import eip712

initializes: eip712

interface IMembers:
    def is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def check_mover(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool: view
    def both_approve(
        role: uint256,
        approvals: DynArray[eip712.Approval, 5],
        other_role: uint256,
        other_approvals: DynArray[eip712.Approval, 5],
        digest: bytes32,
    ) -> bool: view
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
    def split(source: uint256, first: uint256, first_amount: uint256, second: uint256, second_amount: uint256): nonpayable

# what the period's tree commits to; days are counted from 1970-01-01
struct Receivable:
    period: uint256
    creditor: uint256
    debtor: uint256
    face: uint256
    terms_days: uint256
    issue_day: uint256
    due_day: uint256
    trades_root: bytes32
    salt: bytes32

struct ProofStep:
    on_left: bool
    sibling: bytes32

struct Offer:
    receivable: bytes32
    bank: uint256
    advance: uint256
    proceeds: uint256
    nonce: uint256
    deadline: uint256

struct Proven:
    receivable: Receivable
    proof: DynArray[ProofStep, 32]

# what lives here: the holder's claim is `advance`, the creditor's the rest of the face
struct Claim:
    state: uint256
    creditor: uint256
    debtor: uint256
    holder: uint256
    face: uint256
    advance: uint256
    paid: uint256


event PeriodIssued:
    period: indexed(uint256)
    root: bytes32
    count: uint256

event Materialised:
    receivable: indexed(bytes32)
    period: uint256
    creditor: uint256
    debtor: uint256
    face: uint256
    due_day: uint256

event Changed:
    receivable: indexed(bytes32)
    actor: uint256
    before: uint256
    after: uint256

event Financed:
    receivable: indexed(bytes32)
    bank: uint256
    advance: uint256
    proceeds: uint256

event Repaid:
    receivable: indexed(bytes32)
    amount: uint256
    to_holder: uint256
    to_creditor: uint256
    paid: uint256


OPERATOR: constant(uint256) = 1
CHECKER: constant(uint256) = 2

ABSENT: constant(uint256) = 0
ISSUED: constant(uint256) = 1
ACKNOWLEDGED: constant(uint256) = 2
LISTED: constant(uint256) = 3
FINANCED: constant(uint256) = 5
PARTLY_PAID: constant(uint256) = 7
SETTLED: constant(uint256) = 12
REJECTED: constant(uint256) = 13

NOBODY: constant(uint256) = 0
MICRO_PER_FEN: constant(uint256) = 10_000

ISSUE_PERIOD: constant(bytes32) = keccak256("IssuePeriod(uint256 period,bytes32 root,uint256 count)")
ACKNOWLEDGE_MANY: constant(bytes32) = keccak256(
    "AcknowledgeMany(uint256 debtor,bytes32 receivablesHash,uint256 nonce,uint256 deadline)"
)
REJECT: constant(bytes32) = keccak256("Reject(bytes32 receivable,uint256 debtor,uint256 nonce,uint256 deadline)")
SET_LISTED: constant(bytes32) = keccak256(
    "SetListed(bytes32 receivable,uint256 creditor,bool listed,uint256 nonce,uint256 deadline)"
)
OFFER: constant(bytes32) = keccak256(
    "Offer(bytes32 receivable,uint256 bank,uint256 advance,uint256 proceeds,uint256 nonce,uint256 deadline)"
)
ACCEPTANCE: constant(bytes32) = keccak256(
    "Acceptance(bytes32 offer,uint256 seller,uint256 nonce,uint256 deadline)"
)
REPAY: constant(bytes32) = keccak256(
    "Repay(bytes32 receivable,uint256 debtor,uint256 amount,uint256 nonce,uint256 deadline)"
)

MEMBERS: immutable(IMembers)
CASH: immutable(ICash)

last_period: public(uint256)
root_of: public(HashMap[uint256, bytes32])
is_claimed: public(HashMap[bytes32, bool])
claim_of: public(HashMap[bytes32, Claim])


@deploy
def __init__(salt: bytes32, members: address, cash: address):
    """
    @param salt 32 random genesis bytes
    @param cash The money contract, known before it is deployed
    """
    eip712.__init__(salt)
    MEMBERS = IMembers(members)
    CASH = ICash(cash)


@external
def issue_period(
    period: uint256,
    root: bytes32,
    count: uint256,
    operator_approvals: DynArray[eip712.Approval, 5],
    checker_approvals: DynArray[eip712.Approval, 5],
):
    """
    @notice The root of all receivables of a billing period; operator and checker approve the same digest
    @dev Reverts: period_not_ascending, no_receivables, approvals_missing.
    @param period Ascending; periods without receivables may be left out
    @param root Root of its receivables
    @param count How many they are
    @param operator_approvals The operator's
    @param checker_approvals The checker's, over the same digest
    """
    assert period > self.last_period, "period_not_ascending"
    assert count != 0, "no_receivables"
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ISSUE_PERIOD, period, root, count)))
    assert staticcall MEMBERS.both_approve(
        OPERATOR, operator_approvals, CHECKER, checker_approvals, digest
    ), "approvals_missing"
    self.last_period = period
    self.root_of[period] = root
    log PeriodIssued(period=period, root=root, count=count)


@external
def materialise_many(proven: DynArray[Proven, 20]):
    """
    @notice Bring receivables of issued periods onto the chain; anyone may, the proofs are all it takes
    @dev A receivable's id is its leaf in the period's tree. Reverts: claimed_twice, not_whole_fen, wrong_proof.
    @param proven Up to 20 receivables with their paths
    """
    for each: Proven in proven:
        self._materialise(each.receivable, each.proof)


@external
def acknowledge_many(
    debtor: uint256, receivables: DynArray[bytes32, 100], nonce: uint256, deadline: uint256, r: uint256, s: uint256
):
    """
    @notice The debtor agrees to owe; one signature for many. It waives defences against later holders
    @dev Reverts: deadline_passed, bad_signature, nonce_used, not_issued, not_the_debtor.
    @param debtor Who owes
    @param receivables Their ids
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    hashed: bytes32 = keccak256(abi_encode(receivables))
    digest: bytes32 = eip712._digest(keccak256(abi_encode(ACKNOWLEDGE_MANY, debtor, hashed, nonce, deadline)))
    assert staticcall MEMBERS.is_signed(debtor, digest, r, s), "bad_signature"
    eip712._use_nonce(debtor, nonce)
    for receivable: bytes32 in receivables:
        assert self.claim_of[receivable].state == ISSUED, "not_issued"
        assert self.claim_of[receivable].debtor == debtor, "not_the_debtor"
        self._change(receivable, debtor, ISSUED, ACKNOWLEDGED)


@external
def reject(receivable: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The debtor refuses a receivable it has not acknowledged
    @dev Reverts: deadline_passed, not_issued, bad_signature, nonce_used.
    @param receivable Its id
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    assert self.claim_of[receivable].state == ISSUED, "not_issued"
    debtor: uint256 = self.claim_of[receivable].debtor
    digest: bytes32 = eip712._digest(keccak256(abi_encode(REJECT, receivable, debtor, nonce, deadline)))
    assert staticcall MEMBERS.is_signed(debtor, digest, r, s), "bad_signature"
    eip712._use_nonce(debtor, nonce)
    self._change(receivable, debtor, ISSUED, REJECTED)


@external
def set_listed(receivable: bytes32, listed: bool, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The creditor puts an acknowledged receivable up for sale, or takes it back
    @dev Reverts: deadline_passed, not_acknowledged, bad_signature, member_frozen, nonce_used.
    @param receivable Its id
    @param listed Whether it shall be for sale
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    before: uint256 = ACKNOWLEDGED if listed else LISTED
    after: uint256 = LISTED if listed else ACKNOWLEDGED
    assert self.claim_of[receivable].state == before, "not_acknowledged" if listed else "not_listed"
    creditor: uint256 = self.claim_of[receivable].creditor
    digest: bytes32 = eip712._digest(keccak256(abi_encode(SET_LISTED, receivable, creditor, listed, nonce, deadline)))
    assert staticcall MEMBERS.check_mover(creditor, digest, r, s)
    eip712._use_nonce(creditor, nonce)
    self._change(receivable, creditor, before, after)


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
    @notice Delivery versus payment: the proceeds to the seller and the claim to the bank, or neither
    @dev Reverts: deadline_passed, not_listed, advance_above_face, proceeds_out_of_range, not_whole_fen,
         not_a_bank, bad_signature, member_frozen, nonce_used, insufficient_cash.
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
    claim: Claim = self.claim_of[offer.receivable]
    assert claim.state == LISTED, "not_listed"
    assert offer.advance <= claim.face, "advance_above_face"
    assert offer.proceeds != 0 and offer.proceeds <= offer.advance, "proceeds_out_of_range"
    assert offer.advance % MICRO_PER_FEN == 0 and offer.proceeds % MICRO_PER_FEN == 0, "not_whole_fen"
    offer_digest: bytes32 = eip712._digest(keccak256(abi_encode(OFFER, offer)))
    acceptance: bytes32 = eip712._digest(
        keccak256(abi_encode(ACCEPTANCE, offer_digest, claim.creditor, seller_nonce, seller_deadline))
    )
    assert staticcall MEMBERS.check_sale(
        offer.bank, offer_digest, bank_r, bank_s, claim.creditor, acceptance, seller_r, seller_s
    )
    eip712._use_nonce(offer.bank, offer.nonce)
    eip712._use_nonce(claim.creditor, seller_nonce)
    self.claim_of[offer.receivable].holder = offer.bank
    self.claim_of[offer.receivable].advance = offer.advance
    log Financed(
        receivable=offer.receivable, bank=offer.bank, advance=offer.advance, proceeds=offer.proceeds
    )
    self._change(offer.receivable, claim.creditor, LISTED, FINANCED)
    extcall CASH.move(offer.bank, claim.creditor, offer.proceeds)


@external
def repay(receivable: bytes32, amount: uint256, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The debtor pays, in part or whole: the holder's advance first, then the seller's residual
    @dev Reverts: deadline_passed, not_payable, not_whole_fen, overpaid, bad_signature, nonce_used,
         insufficient_cash.
    @param receivable Its id
    @param amount Micro-yuan
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    eip712._check_deadline(deadline)
    claim: Claim = self.claim_of[receivable]
    assert claim.state >= ACKNOWLEDGED and claim.state <= PARTLY_PAID, "not_payable"
    assert amount != 0 and amount % MICRO_PER_FEN == 0, "not_whole_fen"
    assert claim.paid + amount <= claim.face, "overpaid"
    digest: bytes32 = eip712._digest(
        keccak256(abi_encode(REPAY, receivable, claim.debtor, amount, nonce, deadline))
    )
    assert staticcall MEMBERS.is_signed(claim.debtor, digest, r, s), "bad_signature"
    eip712._use_nonce(claim.debtor, nonce)
    paid: uint256 = claim.paid + amount
    to_holder: uint256 = min(amount, claim.advance - min(claim.paid, claim.advance))
    self.claim_of[receivable].paid = paid
    log Repaid(
        receivable=receivable, amount=amount, to_holder=to_holder, to_creditor=amount - to_holder, paid=paid
    )
    self._change(receivable, claim.debtor, claim.state, SETTLED if paid == claim.face else PARTLY_PAID)
    extcall CASH.split(claim.debtor, claim.holder, to_holder, claim.creditor, amount - to_holder)


@internal
def _change(receivable: bytes32, actor: uint256, before: uint256, after: uint256):
    self.claim_of[receivable].state = after
    log Changed(receivable=receivable, actor=actor, before=before, after=after)


@internal
def _materialise(receivable: Receivable, proof: DynArray[ProofStep, 32]):
    receivable_id: bytes32 = keccak256(concat(x"00", abi_encode(receivable)))
    claim: bytes32 = keccak256(
        abi_encode(receivable.creditor, receivable.debtor, receivable.terms_days, receivable.period)
    )
    assert self.claim_of[receivable_id].state == ABSENT and not self.is_claimed[claim], "claimed_twice"
    assert receivable.face != 0 and receivable.face % MICRO_PER_FEN == 0, "not_whole_fen"
    root: bytes32 = receivable_id
    for step: ProofStep in proof:
        if step.on_left:
            root = keccak256(concat(x"01", step.sibling, root))
        else:
            root = keccak256(concat(x"01", root, step.sibling))
    assert root == self.root_of[receivable.period], "wrong_proof"
    self.is_claimed[claim] = True
    self.claim_of[receivable_id] = Claim(
        state=ABSENT,
        creditor=receivable.creditor,
        debtor=receivable.debtor,
        holder=receivable.creditor,
        face=receivable.face,
        advance=0,
        paid=0,
    )
    log Materialised(
        receivable=receivable_id,
        period=receivable.period,
        creditor=receivable.creditor,
        debtor=receivable.debtor,
        face=receivable.face,
        due_day=receivable.due_day,
    )
    self._change(receivable_id, NOBODY, ABSENT, ISSUED)
