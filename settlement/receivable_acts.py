"""Acts about receivables: issued, acknowledged, listed, held in parts, pledged, paid, disputed, written off.

As ``acts.py``: a digest is what is signed, a call is what any relayer may send. Type strings are those of
``contracts/Receivables.vy`` and its modules to the letter. Amounts are micro-yuan and whole fen.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from settlement import merkle
from settlement.acts import Approval
from settlement.calls import APPROVALS, SIGNATURE, abi_hash, approval_rows, call, halves
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent


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
ACKNOWLEDGE_MANY = intent("AcknowledgeMany(uint256 debtor,bytes32 receivablesHash,uint256 nonce,uint256 deadline)")
REJECT = intent("Reject(bytes32 receivable,uint256 debtor,uint256 nonce,uint256 deadline)")
SET_LISTED = intent("SetListed(bytes32 receivable,uint256 creditor,bool listed,uint256 nonce,uint256 deadline)")
REPAY = intent("Repay(bytes32 receivable,uint256 debtor,uint256 amount,uint256 nonce,uint256 deadline)")

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
    types = (f"({_RECEIVABLE},(bool,bytes32)[])[]",)
    return call("Receivables", "materialise_many", types, list(proven))


def materialise(receivable: Receivable, proof: merkle.Path) -> Call:
    """Bring one receivable of an issued period onto the chain."""
    return materialise_many([(receivable, proof)])


def acknowledge_many_digest(
    domain: Domain, debtor: int, receivable_ids: Sequence[bytes], *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the debtor; at most 100 receivables."""
    hashed = abi_hash("bytes32[]", list(receivable_ids))
    return digest_of(ACKNOWLEDGE_MANY, domain, debtor, hashed, nonce, deadline_s)


def acknowledge_many(
    debtor: int, receivable_ids: Sequence[bytes], signature: bytes, *, nonce: int, deadline_s: int
) -> Call:
    """The debtor agrees to owe them."""
    types = ("uint256", "bytes32[]", "uint256", "uint256", *SIGNATURE)
    values = (debtor, list(receivable_ids), nonce, deadline_s, *halves(signature))
    return call("Receivables", "acknowledge_many", types, *values)


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
    """The debtor pays whole fen, in part or whole: the holder's advance first, then the seller's residual."""
    types = ("bytes32", "uint256", "uint256", "uint256", *SIGNATURE)
    return call("Receivables", "repay", types, receivable_id, amount_micro, nonce, deadline_s, *halves(signature))
