"""Acts about a receivable that does not simply run to its due day: cancelled, late, bought back, disputed, frozen.

As ``acts.py``. What the calendar does needs no signature (``mark_many``); a default and a write-off need the word of
those who own more than half of the holder's claim, or of the residual where nothing is financed; what the regulator
orders carries an index. Type strings are those of ``contracts/fates.vy`` to the letter.
"""

from collections.abc import Iterable, Sequence

from settlement.acts import Approval
from settlement.calls import APPROVALS, SIGNATURE, approval_rows, call, halves
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent

GRACE_DAYS = 3
"""Days after the due day on which a payment is still no delay (an assumption)."""

DEFAULT_DAYS = 30
"""Days after the due day after which the holders may declare a default (an assumption)."""

MARKED_AT_ONCE = 100

_WORD = ("uint256", "uint256", *SIGNATURE)

CANCEL = intent("Cancel(bytes32 receivable,uint256 creditor,uint256 nonce,uint256 deadline)")
DEMAND = intent("Demand(bytes32 receivable,uint256 member,uint256 nonce,uint256 deadline)")
BUY_BACK = intent("BuyBack(bytes32 receivable,uint256 creditor,uint256 most,uint256 nonce,uint256 deadline)")
DECLARE_DEFAULT = intent("DeclareDefault(bytes32 receivable,uint256 deadline)")
WRITE_OFF = intent("WriteOff(bytes32 receivable,uint256 deadline)")
DISPUTE = intent("Dispute(bytes32 receivable,uint256 debtor,bytes32 reason,uint256 nonce,uint256 deadline)")
WITHDRAW_DISPUTE = intent("WithdrawDispute(bytes32 receivable,uint256 debtor,uint256 nonce,uint256 deadline)")
CONCEDE = intent("Concede(bytes32 receivable,uint256 creditor,uint256 nonce,uint256 deadline)")
COMPENSATE = intent("Compensate(bytes32 receivable,uint256 creditor,uint256 amount,uint256 nonce,uint256 deadline)")
DECIDE = intent("Decide(bytes32 receivable,bool isVoid,uint256 index)")
SET_FROZEN = intent("SetFrozen(bytes32 receivable,bool frozen,uint256 index)")


def cancel_digest(domain: Domain, receivable_id: bytes, creditor: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the creditor."""
    return digest_of(CANCEL, domain, receivable_id, creditor, nonce, deadline_s)


def cancel(receivable_id: bytes, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The creditor takes back a receivable that its debtor has not acknowledged."""
    types = ("bytes32", *_WORD)
    return call("Receivables", "cancel", types, receivable_id, nonce, deadline_s, *halves(signature))


# --------------------------------------------------------------------------------------------------- late


def mark_many(receivable_ids: Sequence[bytes]) -> Call:
    """Bring at most 100 receivables to where the calendar has them, due or overdue; the others stay as they are."""
    return call("Receivables", "mark_many", ("bytes32[]",), list(receivable_ids))


def demand_digest(domain: Domain, receivable_id: bytes, member: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by an owner of a part of the holder's claim."""
    return digest_of(DEMAND, domain, receivable_id, member, nonce, deadline_s)


def demand(receivable_id: bytes, member: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """A holder asks the creditor to buy back what was sold with recourse and is overdue."""
    types = ("bytes32", "uint256", *_WORD)
    return call("Receivables", "demand", types, receivable_id, member, nonce, deadline_s, *halves(signature))


def buy_back_digest(
    domain: Domain, receivable_id: bytes, creditor: int, most_micro: int, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the creditor; it pays no more than ``most_micro``."""
    return digest_of(BUY_BACK, domain, receivable_id, creditor, most_micro, nonce, deadline_s)


def buy_back(receivable_id: bytes, most_micro: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The creditor pays the holder's open claim with costs and interest, and owns it from now on."""
    types = ("bytes32", "uint256", *_WORD)
    return call("Receivables", "buy_back", types, receivable_id, most_micro, nonce, deadline_s, *halves(signature))


def declare_default_digest(domain: Domain, receivable_id: bytes, *, deadline_s: int) -> bytes:
    """Signed by members who together own more than half of the claim."""
    return digest_of(DECLARE_DEFAULT, domain, receivable_id, deadline_s)


def declare_default(receivable_id: bytes, approvals: Iterable[Approval], *, deadline_s: int) -> Call:
    """Those who own most of the claim say that it is in default; at most 20 approvals."""
    types = ("bytes32", "uint256", APPROVALS)
    return call("Receivables", "declare_default", types, receivable_id, deadline_s, approval_rows(approvals))


def write_off_digest(domain: Domain, receivable_id: bytes, *, deadline_s: int) -> bytes:
    """Signed by members who together own more than half of the claim."""
    return digest_of(WRITE_OFF, domain, receivable_id, deadline_s)


def write_off(receivable_id: bytes, approvals: Iterable[Approval], *, deadline_s: int) -> Call:
    """Those who own most of the claim expect nothing more; what comes later is recovery."""
    types = ("bytes32", "uint256", APPROVALS)
    return call("Receivables", "write_off", types, receivable_id, deadline_s, approval_rows(approvals))


# ----------------------------------------------------------------------------------------------- disputed


def dispute_digest(
    domain: Domain, receivable_id: bytes, debtor: int, reason: bytes, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the debtor; ``reason`` is the hash of its words."""
    return digest_of(DISPUTE, domain, receivable_id, debtor, reason, nonce, deadline_s)


def dispute(receivable_id: bytes, reason: bytes, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The debtor takes issue with what it acknowledged, before anybody but the creditor has a right in it."""
    types = ("bytes32", "bytes32", *_WORD)
    return call("Receivables", "dispute", types, receivable_id, reason, nonce, deadline_s, *halves(signature))


def withdraw_dispute_digest(domain: Domain, receivable_id: bytes, debtor: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the debtor."""
    return digest_of(WITHDRAW_DISPUTE, domain, receivable_id, debtor, nonce, deadline_s)


def withdraw_dispute(receivable_id: bytes, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The debtor owes it after all."""
    types = ("bytes32", *_WORD)
    return call("Receivables", "withdraw_dispute", types, receivable_id, nonce, deadline_s, *halves(signature))


def concede_digest(domain: Domain, receivable_id: bytes, creditor: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the creditor."""
    return digest_of(CONCEDE, domain, receivable_id, creditor, nonce, deadline_s)


def concede(receivable_id: bytes, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The creditor gives in: the receivable is void, its period and its trades are free."""
    types = ("bytes32", *_WORD)
    return call("Receivables", "concede", types, receivable_id, nonce, deadline_s, *halves(signature))


def compensate_digest(
    domain: Domain, receivable_id: bytes, creditor: int, amount_micro: int, *, nonce: int, deadline_s: int
) -> bytes:
    """Signed by the creditor."""
    return digest_of(COMPENSATE, domain, receivable_id, creditor, amount_micro, nonce, deadline_s)


def compensate(receivable_id: bytes, amount_micro: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The creditor pays the debtor on account of a financed receivable, whose claims stay as they are."""
    types = ("bytes32", "uint256", *_WORD)
    return call("Receivables", "compensate", types, receivable_id, amount_micro, nonce, deadline_s, *halves(signature))


# ---------------------------------------------------------------------------------------- the regulator's


def decide_digest(domain: Domain, receivable_id: bytes, is_void: bool, index: int) -> bytes:
    """Signed by the regulator; ``index`` is ``next_ruling``."""
    return digest_of(DECIDE, domain, receivable_id, is_void, index)


def decide(receivable_id: bytes, is_void: bool, index: int, approvals: Iterable[Approval]) -> Call:
    """End a dispute: the receivable is void, or acknowledged again."""
    types = ("bytes32", "bool", "uint256", APPROVALS)
    return call("Receivables", "decide", types, receivable_id, is_void, index, approval_rows(approvals))


def set_frozen_digest(domain: Domain, receivable_id: bytes, frozen: bool, index: int) -> bytes:
    """Signed by the regulator; ``index`` is ``next_ruling``."""
    return digest_of(SET_FROZEN, domain, receivable_id, frozen, index)


def set_frozen(receivable_id: bytes, frozen: bool, index: int, approvals: Iterable[Approval]) -> Call:
    """Freeze a receivable, or release it: while frozen its parts stay where they are."""
    types = ("bytes32", "bool", "uint256", APPROVALS)
    return call("Receivables", "set_frozen", types, receivable_id, frozen, index, approval_rows(approvals))


def next_ruling() -> Call:
    """-> (index,) that the next ``decide`` or ``set_frozen`` must carry."""
    return call("Receivables", "next_ruling", ())
