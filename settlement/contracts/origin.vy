# pragma version 0.4.3
"""
@title Origin: where receivables come from, and whether both sides stand by them
@notice Operator and checker sign the root of a period; whatever is proven under it comes onto the chain, and a (creditor,
        debtor, terms, period) once. Then the debtor acknowledges or rejects it, or the creditor cancels it.
"""

import eip712
import life
import parts

uses: eip712
uses: life
uses: parts

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

# the way up a tree: `sides` has a bit for each sibling, from below, set where the sibling is on the left
struct Path:
    sides: uint256
    siblings: DynArray[bytes32, 32]

struct Proven:
    receivable: Receivable
    path: Path

# a receivable under a root that its debtor acknowledged
struct Acknowledged:
    receivable: bytes32
    path: Path


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

event RootAcknowledged:
    debtor: indexed(uint256)
    root: bytes32


OPERATOR: constant(uint256) = 1
CHECKER: constant(uint256) = 2

ISSUE_PERIOD: constant(bytes32) = keccak256("IssuePeriod(uint256 period,bytes32 root,uint256 count)")
ACKNOWLEDGE_MANY: constant(bytes32) = keccak256(
    "AcknowledgeMany(uint256 debtor,bytes32 receivablesHash,bytes32 collection,uint256 nonce,uint256 deadline)"
)
ACKNOWLEDGE_ROOT: constant(bytes32) = keccak256(
    "AcknowledgeRoot(uint256 debtor,bytes32 root,bytes32 collection,uint256 nonce,uint256 deadline)"
)
REJECT: constant(bytes32) = keccak256("Reject(bytes32 receivable,uint256 debtor,uint256 nonce,uint256 deadline)")
CANCEL: constant(bytes32) = keccak256("Cancel(bytes32 receivable,uint256 creditor,uint256 nonce,uint256 deadline)")

# hash of the account into which debtors pay; they sign that paying elsewhere does not discharge them
COLLECTION: immutable(bytes32)

last_period: public(uint256)
root_of: public(HashMap[uint256, bytes32])
# (creditor, debtor, terms, period) -> the receivable that claimed it
claimed_by: HashMap[bytes32, bytes32]
# debtor -> root -> whether it acknowledged all that is under it
is_root_acknowledged: public(HashMap[uint256, HashMap[bytes32, bool]])


@deploy
def __init__(collection: bytes32):
    """
    @param collection Hash of the account into which debtors pay
    """
    COLLECTION = collection


@external
@view
def collection() -> bytes32:
    """
    @notice The hash of the account into which debtors pay, as they sign it
    @return 32 bytes
    """
    return COLLECTION


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
    assert life._has_approvals(OPERATOR, digest, operator_approvals), "approvals_missing"
    assert life._has_approvals(CHECKER, digest, checker_approvals), "approvals_missing"
    self.last_period = period
    self.root_of[period] = root
    log PeriodIssued(period=period, root=root, count=count)


@external
def materialise_many(proven: DynArray[Proven, 20]):
    """
    @notice Bring receivables of issued periods onto the chain; anyone may, the proofs are all it takes
    @dev A receivable's id is its leaf in the period's tree. Reverts: claimed_twice, not_whole_fen, due_before_issue,
         wrong_proof.
    @param proven Up to 20 receivables with their paths
    """
    for each: Proven in proven:
        self._materialise(each.receivable, each.path)


# ---------------------------------------------------------------------------------------------- the debtor


@external
def acknowledge_many(
    debtor: uint256,
    receivables: DynArray[bytes32, 100],
    collection: bytes32,
    nonce: uint256,
    deadline: uint256,
    r: uint256,
    s: uint256,
):
    """
    @notice The debtor agrees to owe, and to pay into the collection account only. It waives defences against later holders
    @dev Reverts: wrong_collection, deadline_passed, bad_signature, nonce_used, illegal_transition, not_the_debtor.
    @param debtor Who owes
    @param receivables Their ids, one signature for all
    @param collection Hash of the collection account
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    named: bytes32 = keccak256(abi_encode(receivables))
    self._use_notice(
        ACKNOWLEDGE_MANY, debtor, named, collection, life.Word(nonce=nonce, deadline=deadline, r=r, s=s)
    )
    for receivable: bytes32 in receivables:
        self._acknowledge(receivable, debtor)


@external
def acknowledge_root(
    debtor: uint256, root: bytes32, collection: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256
):
    """
    @notice The debtor agrees to owe all receivables under a root; each is acknowledged when it is proven
    @dev Reverts: wrong_collection, deadline_passed, bad_signature, nonce_used.
    @param debtor Who owes
    @param root Root over the receivables' ids
    @param collection Hash of the collection account
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    self._use_notice(
        ACKNOWLEDGE_ROOT, debtor, root, collection, life.Word(nonce=nonce, deadline=deadline, r=r, s=s)
    )
    self.is_root_acknowledged[debtor][root] = True
    log RootAcknowledged(debtor=debtor, root=root)


@external
def acknowledge_proven(debtor: uint256, root: bytes32, proven: DynArray[Acknowledged, 50]):
    """
    @notice Acknowledge receivables under a root that their debtor acknowledged; anyone may
    @dev Reverts: root_not_acknowledged, wrong_proof, illegal_transition, not_the_debtor.
    @param debtor Who owes
    @param root The root that it signed
    @param proven Up to 50 receivables with their paths
    """
    assert self.is_root_acknowledged[debtor][root], "root_not_acknowledged"
    for each: Acknowledged in proven:
        assert self._climb(each.receivable, each.path) == root, "wrong_proof"
        self._acknowledge(each.receivable, debtor)


@external
def reject(receivable: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The debtor refuses a receivable it has not acknowledged
    @dev Reverts: illegal_transition, deadline_passed, bad_signature, nonce_used.
    @param receivable Its id
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    self._refuse(
        receivable,
        life.claims[receivable].debtor,
        REJECT,
        life.REJECTED,
        life.Word(nonce=nonce, deadline=deadline, r=r, s=s),
    )


@external
def cancel(receivable: bytes32, nonce: uint256, deadline: uint256, r: uint256, s: uint256):
    """
    @notice The creditor takes back a receivable that is not acknowledged
    @dev Reverts: illegal_transition, deadline_passed, bad_signature, nonce_used.
    @param receivable Its id
    @param nonce Any number that the signer has not used here
    @param deadline The last second at which the signature counts
    @param r The signature, and
    @param s its other half
    """
    self._refuse(
        receivable,
        life.claims[receivable].creditor,
        CANCEL,
        life.CANCELLED,
        life.Word(nonce=nonce, deadline=deadline, r=r, s=s),
    )


# ----------------------------------------------------------------------------------------------- the steps


@internal
def _use_notice(act: bytes32, debtor: uint256, named: bytes32, collection: bytes32, word: life.Word):
    """
    @dev The debtor's word that it owes, and where it pays.
    """
    assert collection == COLLECTION, "wrong_collection"
    content: bytes32 = keccak256(abi_encode(act, debtor, named, collection, word.nonce, word.deadline))
    life._use_word(debtor, content, word)


@internal
def _acknowledge(receivable: bytes32, debtor: uint256):
    life._check_state(receivable, 1 << life.ISSUED)
    assert life.claims[receivable].debtor == debtor, "not_the_debtor"
    life._change(receivable, debtor, life.ISSUED, life.ACKNOWLEDGED)


@internal
def _refuse(receivable: bytes32, member: uint256, act: bytes32, after: uint256, word: life.Word):
    """
    @dev One side does not want it: no part is left.
    """
    life._check_state(receivable, 1 << life.ISSUED)
    life._use_plain_word(act, receivable, member, word)
    parts._end(receivable, member)
    life._change(receivable, member, life.ISSUED, after)


@internal
def _materialise(receivable: Receivable, path: Path):
    name: bytes32 = keccak256(concat(x"00", abi_encode(receivable)))
    key: bytes32 = keccak256(
        abi_encode(receivable.creditor, receivable.debtor, receivable.terms_days, receivable.period)
    )
    before: bytes32 = self.claimed_by[key]
    is_free: bool = before == empty(bytes32) or life.claims[before].state == life.VOID
    assert is_free and life.claims[name].state == life.ABSENT, "claimed_twice"
    assert receivable.face != 0 and receivable.face % life.FEN == 0, "not_whole_fen"
    assert receivable.due_day >= receivable.issue_day, "due_before_issue"
    assert self._climb(name, path) == self.root_of[receivable.period], "wrong_proof"
    self.claimed_by[key] = name
    claim: life.Claim = empty(life.Claim)
    claim.creditor = receivable.creditor
    claim.debtor = receivable.debtor
    claim.face = receivable.face
    claim.due_day = receivable.due_day
    claim.trades_root = receivable.trades_root
    claim.residual_open = receivable.face
    life._keep(name, claim)
    log Materialised(
        receivable=name,
        period=receivable.period,
        creditor=receivable.creditor,
        debtor=receivable.debtor,
        face=receivable.face,
        due_day=receivable.due_day,
    )
    parts._begin(name, receivable.creditor, receivable.face)
    life._change(name, life.NOBODY, life.ABSENT, life.ISSUED)


@internal
@pure
def _climb(leaf: bytes32, path: Path) -> bytes32:
    root: bytes32 = leaf
    sides: uint256 = path.sides
    for sibling: bytes32 in path.siblings:
        if sides & 1 == 1:
            root = keccak256(concat(x"01", sibling, root))
        else:
            root = keccak256(concat(x"01", root, sibling))
        sides >>= 1
    return root
