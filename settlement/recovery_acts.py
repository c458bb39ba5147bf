"""Acts on a key that is lost: governance proposes a new one, the live key can veto for seven days, anyone completes.

Digests, calls and times as in ``acts.py``.
"""

from collections.abc import Iterable

from settlement.acts import Approval
from settlement.calls import APPROVALS, SIGNATURE, approval_rows, call, halves
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent
from settlement.signatures import PublicKey

RECOVERY_VETO_S = 7 * 86_400
"""How long the live key can veto a proposed one."""

PROPOSE_RECOVERY = intent("ProposeRecovery(uint256 member,uint256 x,uint256 y,uint256 index)")
VETO_RECOVERY = intent("VetoRecovery(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)")


def propose_recovery_digest(domain: Domain, member: int, key: PublicKey, index: int) -> bytes:
    """Signed by governance; ``index`` is ``Members.next_recovery``."""
    return digest_of(PROPOSE_RECOVERY, domain, member, key.x, key.y, index)


def propose_recovery(member: int, key: PublicKey, index: int, approvals: Iterable[Approval]) -> Call:
    """Begin the seven days after which the key becomes the member's; it takes the place of an earlier proposal."""
    types = ("uint256",) * 4 + (APPROVALS,)
    return call("Members", "propose_recovery", types, member, key.x, key.y, index, approval_rows(approvals))


def veto_recovery_digest(domain: Domain, member: int, key: PublicKey, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the member's live key; ``key`` is the proposed one."""
    return digest_of(VETO_RECOVERY, domain, member, key.x, key.y, nonce, deadline_s)


def veto_recovery(member: int, key: PublicKey, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The live key is not lost: end a proposal."""
    types = ("uint256",) * 5 + SIGNATURE
    return call("Members", "veto_recovery", types, member, key.x, key.y, nonce, deadline_s, *halves(signature))


def recover_key(member: int) -> Call:
    """The proposed key becomes the member's, once its seven days are over; needs no signature."""
    return call("Members", "recover_key", ("uint256",), member)


def recovery_of(member: int) -> Call:
    """-> ((x, y, vetoable_until_s),) of a pending recovery, all zero when there is none."""
    return call("Members", "recovery_of", ("uint256",), member)


def next_recovery() -> Call:
    """-> (index,) that the next ``propose_recovery`` must carry."""
    return call("Members", "next_recovery", ())
