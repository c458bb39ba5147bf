"""Acts about receivables: issued, acknowledged, listed, held in parts, pledged, paid, disputed, written off.

As ``acts.py``: a digest is what is signed, a call is what any relayer may send. Type strings are those of
``contracts/Receivables.vy`` and its modules to the letter. Amounts are micro-yuan and whole fen.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from settlement import merkle
from settlement.acts import Approval
from settlement.calls import APPROVALS, SIGNATURE, abi_hash, approval_rows, call, halves
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent


class ChainState(IntEnum):
    """Where a receivable stands, as the contract numbers it."""

    ISSUED = 1
    ACKNOWLEDGED = 2
    LISTED = 3
    RESERVED = 4
    FINANCED = 5
    DUE = 6
    PARTLY_PAID = 7
    OVERDUE = 8
    RECOURSE = 9
    DEFAULTED = 10
    WRITTEN_OFF = 11
    SETTLED = 12
    REJECTED = 13
    CANCELLED = 14
    DISPUTED = 15
    VOID = 16


class ClaimView(NamedTuple):
    """What ``claim_of`` gives; ``advance_micro`` is 0 unless it was sold, interest is counted up to ``accrued_day``."""

    state: int
    creditor: int
    debtor: int
    face_micro: int
    due_day: int
    trades_root: bytes
    residual_open_micro: int
    advance_micro: int
    advance_open_micro: int
    costs_due_micro: int
    interest_due_micro: int
    late_rate_ppm: int
    year_days: int
    accrued_day: int
    with_recourse: bool
    is_frozen: bool
    last_part: int


class Receivable(NamedTuple):
    """What a period's tree commits to; days are counted from 1970-01-01, hashes and salt are 32 bytes."""

    period: int
    creditor: int
    debtor: int
    face_micro: int
    terms_days: int
    issue_day: int
    due_day: int
    trades_root: bytes
    salt: bytes


ISSUE_PERIOD = intent("IssuePeriod(uint256 period,bytes32 root,uint256 count)")
ACKNOWLEDGE_MANY = intent(
    "AcknowledgeMany(uint256 debtor,bytes32 receivablesHash,bytes32 collection,uint256 nonce,uint256 deadline)"
)
ACKNOWLEDGE_ROOT = intent(
    "AcknowledgeRoot(uint256 debtor,bytes32 root,bytes32 collection,uint256 nonce,uint256 deadline)"
)
REJECT = intent("Reject(bytes32 receivable,uint256 debtor,uint256 nonce,uint256 deadline)")
SET_LISTED = intent("SetListed(bytes32 receivable,uint256 creditor,bool listed,uint256 nonce,uint256 deadline)")
REPAY = intent("Repay(bytes32 receivable,uint256 debtor,uint256 amount,uint256 nonce,uint256 deadline)")

_PATH = "(uint256,bytes32[])"
_RECEIVABLE = "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,bytes32,bytes32)"


def receivable_id(receivable: Receivable) -> bytes:
    """The leaf in its period's tree, and its name on the chain: over nine words, as ``abi.encode`` puts them.

    Put together here, for a period may have hundreds of thousands and eth-abi takes thirty times as long.
    """
    *numbers, trades_root, salt = receivable
    assert len(trades_root) == len(salt) == 32, "hashes and salts are words"
    words = [number.to_bytes(32, "big") for number in numbers]
    return merkle.leaf(b"".join(words) + trades_root + salt)


def issue_period_digest(domain: Domain, period: int, root: bytes, count: int) -> bytes:
    """Signed by the operator and by the checker; ``root`` is ``merkle.root`` of the receivables' ids."""
    return digest_of(ISSUE_PERIOD, domain, period, root, count)


def issue_period(
    period: int, root: bytes, count: int, operator_approvals: Iterable[Approval], checker_approvals: Iterable[Approval]
) -> Call:
    """Commit to a billing period's receivables; period numbers ascend, ``count`` is at least 1."""
    types = ("uint256", "bytes32", "uint256", APPROVALS, APPROVALS)
    approvals = map(approval_rows, (operator_approvals, checker_approvals))
    return call("Receivables", "issue_period", types, period, root, count, *approvals)


def materialise_many(proven: Sequence[tuple[Receivable, merkle.Path]]) -> Call:
    """Bring at most 20 receivables of issued periods onto the chain, all or none.

    Needs no signature: the proofs are all it takes.
    """
    rows = [(receivable, _path_row(path)) for receivable, path in proven]
    return call("Receivables", "materialise_many", (f"({_RECEIVABLE},{_PATH})[]",), rows)


def materialise(receivable: Receivable, proof: merkle.Path) -> Call:
    """Bring one receivable of an issued period onto the chain."""
    return materialise_many([(receivable, proof)])


def acknowledge_many_digest(
    domain: Domain, debtor: int, receivable_ids: Sequence[bytes], collection: bytes, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the debtor; at most 100 receivables. It owes them, and pays into the collection account only."""
    hashed = abi_hash("bytes32[]", list(receivable_ids))
    return digest_of(ACKNOWLEDGE_MANY, domain, debtor, hashed, collection, nonce, deadline_s)


def acknowledge_many(
    debtor: int, receivable_ids: Sequence[bytes], collection: bytes, signature: bytes, *, nonce: int, deadline_s: int
) -> Call:
    """The debtor agrees to owe them; ``collection`` is the hash that the contract was deployed with."""
    types = ("uint256", "bytes32[]", "bytes32", "uint256", "uint256", *SIGNATURE)
    values = (debtor, list(receivable_ids), collection, nonce, deadline_s, *halves(signature))
    return call("Receivables", "acknowledge_many", types, *values)


def acknowledge_root_digest(
    domain: Domain, debtor: int, root: bytes, collection: bytes, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the debtor; ``root`` is ``merkle.root`` of receivables' ids, as many as there are."""
    return digest_of(ACKNOWLEDGE_ROOT, domain, debtor, root, collection, nonce, deadline_s)


def acknowledge_root(
    debtor: int, root: bytes, collection: bytes, signature: bytes, *, nonce: int, deadline_s: int
) -> Call:
    """The debtor agrees to owe all under a root; ``acknowledge_proven`` carries it out."""
    types = ("uint256", "bytes32", "bytes32", "uint256", "uint256", *SIGNATURE)
    values = (debtor, root, collection, nonce, deadline_s, *halves(signature))
    return call("Receivables", "acknowledge_root", types, *values)


def acknowledge_proven(debtor: int, root: bytes, proven: Sequence[tuple[bytes, merkle.Path]]) -> Call:
    """Acknowledge at most 50 receivables under a root that their debtor signed. Needs no signature."""
    rows = [(receivable_id, _path_row(path)) for receivable_id, path in proven]
    types = ("uint256", "bytes32", f"(bytes32,{_PATH})[]")
    return call("Receivables", "acknowledge_proven", types, debtor, root, rows)


def _path_row(path: merkle.Path) -> tuple[int, list[bytes]]:
    """The siblings from below, and a bit for each, set where it is on the left."""
    return sum(on_left << at for at, (on_left, _) in enumerate(path)), [sibling for _, sibling in path]


def reject_digest(domain: Domain, receivable_id: bytes, debtor: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the debtor."""
    return digest_of(REJECT, domain, receivable_id, debtor, nonce, deadline_s)


def reject(receivable_id: bytes, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The debtor refuses a receivable that it has not acknowledged."""
    types = ("bytes32", "uint256", "uint256", *SIGNATURE)
    return call("Receivables", "reject", types, receivable_id, nonce, deadline_s, *halves(signature))


def set_listed_digest(
    domain: Domain, receivable_id: bytes, creditor: int, listed: bool, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the creditor."""
    return digest_of(SET_LISTED, domain, receivable_id, creditor, listed, nonce, deadline_s)


def set_listed(receivable_id: bytes, listed: bool, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Put an acknowledged receivable up for sale, or take it back."""
    types = ("bytes32", "bool", "uint256", "uint256", *SIGNATURE)
    return call("Receivables", "set_listed", types, receivable_id, listed, nonce, deadline_s, *halves(signature))


def repay_digest(
    domain: Domain, receivable_id: bytes, debtor: int, amount_micro: int, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the debtor."""
    return digest_of(REPAY, domain, receivable_id, debtor, amount_micro, nonce, deadline_s)


def repay(receivable_id: bytes, amount_micro: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The debtor pays whole fen, in part or whole: costs, interest, the holder's advance, then the residual."""
    types = ("bytes32", "uint256", "uint256", "uint256", *SIGNATURE)
    return call("Receivables", "repay", types, receivable_id, amount_micro, nonce, deadline_s, *halves(signature))
