"""The custodian's word on what it holds, without which nothing is minted for long. As in ``acts.py``."""

from collections.abc import Iterable

from settlement.acts import Approval
from settlement.calls import APPROVALS, approval_rows, call
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent

MAX_AGE_S = 36 * 3600
"""Minting stops when the last signed balance is older; deployment counts as the first."""

ATTEST_BALANCE = intent("AttestBalance(uint256 asOf,uint256 balance)")


def attest_balance_digest(domain: Domain, as_of_s: int, balance_micro: int) -> bytes:
    """Signed by the custodian."""
    return digest_of(ATTEST_BALANCE, domain, as_of_s, balance_micro)


def attest_balance(as_of_s: int, balance_micro: int, approvals: Iterable[Approval]) -> Call:
    """What the custodian held at a second that is later than the last; below supply, minting stops."""
    types = ("uint256", "uint256", APPROVALS)
    return call("Cash", "attest_balance", types, as_of_s, balance_micro, approval_rows(approvals))


def attestation() -> Call:
    """-> (as_of_s, balance_micro, is_backed) of the last one."""
    return call("Cash", "attestation", ())
