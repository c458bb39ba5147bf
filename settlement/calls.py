"""How a contract call is written: selector and ABI encoding, signatures in halves, approvals in ascending order.

Below it, the questions: views of the four contracts, each a ``Call`` for ``chain.view``; the outputs stand behind the
arrow. What can be *done* on the chain is in ``acts.py``. Source: Solidity contract ABI specification.
"""

from collections.abc import Iterable, Sequence

from eth_abi.abi import encode

from settlement.chain import Call
from settlement.keccak import keccak
from settlement.signatures import SIGNATURE_BYTES

APPROVALS = "(uint256,uint256,uint256)[]"
SIGNATURE = ("uint256", "uint256")
KEY_HISTORY = "(bytes32,(uint256,uint256,uint256)[])"


def halves(signature: bytes) -> tuple[int, int]:
    """``r`` and ``s`` of a 64-byte signature, as the contracts take them."""
    assert len(signature) == SIGNATURE_BYTES, "a signature is 64 bytes"
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def approval_rows(approvals: Iterable[tuple[int, bytes]]) -> list[tuple[int, int, int]]:
    """Approvals (member, signature) as the contracts take them: in ascending order of members."""
    return [(member, *halves(signature)) for member, signature in sorted(approvals)]


def call(contract: str, function: str, types: Sequence[str], *values: object) -> Call:
    """A call of ``contract.function`` with ABI types and their values."""
    selector = keccak(f"{function}({','.join(types)})".encode())[:4]
    return Call(contract, function, selector + encode(types, values))


def abi_hash(abi_type: str, value: object) -> bytes:
    """keccak256 of one ABI-encoded value: how an intent stands for an array."""
    return keccak(encode([abi_type], [value]))


# -------------------------------------------------------------------------------- questions, for chain.view


def balance_of(account: int) -> Call:
    """-> (amount_micro,); a contract's account is its address as a number."""
    return call("Cash", "balance_of", ("uint256",), account)


def supply() -> Call:
    """-> (amount_micro,)"""
    return call("Cash", "supply", ())


def escrow_of(account: int) -> Call:
    """-> (amount_micro,)"""
    return call("Clearing", "escrow_of", ("uint256",), account)


def arrears_of(account: int) -> Call:
    """-> (amount_micro,)"""
    return call("Clearing", "arrears_of", ("uint256",), account)


def standing_of(account: int) -> Call:
    """-> ((arrears_micro, stage, deadline_s),): stage 0 nothing owed, 1 margin call, 2 suspended, 3 case."""
    return call("Clearing", "standing_of", ("uint256",), account)


def held_of(account: int) -> Call:
    """-> (amount_micro,): credits held back because debtors were short."""
    return call("Clearing", "held_of", ("uint256",), account)


def latest_commitment() -> Call:
    """-> (hash,): the rolling hash, the next commit's ``previous``."""
    return call("Clearing", "commitment", ())


def commit_index() -> Call:
    """-> (index,) of the last commit, 0 before the first."""
    return call("Clearing", "commit_index", ())


def applied_cycle() -> Call:
    """-> (cycle,), 0 before the first."""
    return call("Clearing", "applied_cycle", ())


def proposed_cycle() -> Call:
    """-> (cycle,), 0 before the first."""
    return call("Clearing", "proposed_cycle", ())


def open_challenges(cycle: int) -> Call:
    """-> (count,) of the challenges that a cycle waits for."""
    return call("Clearing", "open_challenges", ("uint256",), cycle)


def total_bonds() -> Call:
    """-> (amount_micro,) locked for cycles and challenges; it is in nobody's escrow."""
    return call("Clearing", "total_bonds", ())


def next_admission() -> Call:
    """-> (index,) that the next ``admit_many`` must carry."""
    return call("Members", "next_admission", ())


def key_of(member: int) -> Call:
    """-> ((x, y),), both zero for nobody."""
    return call("Members", "key_of", ("uint256",), member)


def key_since(member: int) -> Call:
    """-> (from_s,) of the live key, 0 for a member's first."""
    return call("Members", "key_since", ("uint256",), member)


def holders_of(role: int) -> Call:
    """-> (count,) of the members that hold a role, named by its bit."""
    return call("Members", "holders_of", ("uint256",), role)


def former_keys_of(member: int) -> Call:
    """-> (hash,): the rolling hash of the member's former keys."""
    return call("Members", "former_keys_of", ("uint256",), member)


def was_signed(member: int, digest: bytes, signature: bytes, at_s: int, history: object) -> Call:
    """-> (truth,): whether a key of that time signed; ``history`` is an ``acts.KeyHistory`` back to it."""
    types = ("uint256", "bytes32", *SIGNATURE, "uint256", KEY_HISTORY)
    return call("Members", "was_signed", types, member, digest, *halves(signature), at_s, history)


def claim_of(receivable_id: bytes) -> Call:
    """-> (``receivable_acts.ClaimView``,), all zero before it is materialised."""
    return call("Receivables", "claim_of", ("bytes32",), receivable_id)
