"""Acts of a migration: successors announced, everyone free to leave, then closed, sealed, imported, opened.

The same four steps for each of Members, Cash and Clearing; Cash is opened before Clearing, which looks for its money
there. Digests and calls as in ``acts.py``. A row is what the contract keeps of one account (``Row`` in its source).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from settlement.acts import Approval
from settlement.calls import APPROVALS, abi_hash, approval_rows, call
from settlement.chain import Call
from settlement.intents import Domain, digest_of, intent

LEAVING_S = 14 * 86_400
"""How long everyone may leave before the contracts can be closed."""

AT_ONCE = 100
"""The most accounts in a part."""

ANNOUNCE = intent("Announce(uint256 members,uint256 cash,uint256 clearing,uint256 index)")
SEAL_PART = intent("SealPart(uint256 index,bool afresh,bytes32 accountsHash)")


class _Names(NamedTuple):
    """What a contract calls its part of it, and the ABI type of its rows."""

    seal: str
    take_over: str
    row: str


_OF: Mapping[str, _Names] = {
    "Members": _Names("seal_members", "import_members", "(uint256,uint256,uint256,uint256,bool,bytes32,uint256)"),
    "Cash": _Names("seal_balances", "import_balances", "(uint256,uint256)"),
    "Clearing": _Names("seal_escrow", "import_escrow", "(uint256,uint256,uint256,uint256)"),
}


def _number(address: bytes) -> int:
    return int.from_bytes(address, "big")


def announce_digest(domain: Domain, members: bytes, cash: bytes, clearing: bytes, index: int) -> bytes:
    """Signed by two thirds of governance; ``index`` is ``Members.next_announcement``; addresses of 20 bytes."""
    return digest_of(ANNOUNCE, domain, _number(members), _number(cash), _number(clearing), index)


def announce(members: bytes, cash: bytes, clearing: bytes, index: int, approvals: Iterable[Approval]) -> Call:
    """Name the contracts that will take the place of these; three zero addresses take it back."""
    types = ("address", "address", "address", "uint256", APPROVALS)
    return call("Members", "announce", types, members, cash, clearing, index, approval_rows(approvals))


def seal_part_digest(domain: Domain, index: int, afresh: bool, accounts: Sequence[int]) -> bytes:
    """Signed by governance; ``index`` is the contract's ``next_seal``."""
    return digest_of(SEAL_PART, domain, index, afresh, abi_hash("uint256[]", list(accounts)))


def seal_part(contract: str, accounts: Sequence[int], index: int, afresh: bool, approvals: Iterable[Approval]) -> Call:
    """Close a contract and seal the next accounts, ascending; ``afresh`` begins again."""
    types = ("uint256[]", "uint256", "bool", APPROVALS)
    return call(contract, _OF[contract].seal, types, list(accounts), index, afresh, approval_rows(approvals))


def complete_seal(contract: str) -> Call:
    """All is in it; needs no signature."""
    return call(contract, "complete_seal", ())


def import_part(contract: str, rows: Sequence[tuple[int | bool | bytes, ...]], part_index: int) -> Call:
    """The next sealed part, into the successor; needs no signature, for no other part fits."""
    names = _OF[contract]
    return call(contract, names.take_over, (f"{names.row}[]", "uint256"), list(rows), part_index)


def open_successor(contract: str) -> Call:
    """Begin with what was imported; needs no signature."""
    return call(contract, "open", ())
