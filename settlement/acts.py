"""Acts: everything that can be done on the chain, as three things each.

* the intent that authorises it: ``..._digest(domain, ...)`` gives the 32 bytes that members or roles sign, where
  ``domain`` is the domain of the contract that checks it (``chain.domain("Clearing")``),
* the call that carries it: ``chain.Call``, ready to be sent by any relayer,
* the small structure that both share.

Type strings are those of ``contracts/*.vy`` to the letter. Money is micro-yuan; a signature is 64 bytes ``r || s``;
times are seconds since the epoch; a nonce is any number below 2**256 that its signer has not used in this contract.
"""

from collections.abc import Iterable, Sequence
from enum import IntFlag
from typing import NamedTuple

from eth_abi.abi import encode

from settlement.calls import APPROVALS, SIGNATURE, abi_hash, approval_rows, call, halves
from settlement.chain import Call
from settlement.intents import Domain
from settlement.intents import digest_of as _digest
from settlement.intents import intent as _intent
from settlement.keccak import keccak
from settlement.signatures import PublicKey

FUND = 0
"""The guarantee fund's account in Clearing."""


class Role(IntFlag):
    """Bits of a member's role mask in ``Members``."""

    OPERATOR = 1
    CHECKER = 2
    METER_OPERATOR = 4
    CUSTODIAN = 8
    GRID_COMPANY = 16
    GOVERNANCE = 32
    REGULATOR = 64
    BANK = 128


class Approval(NamedTuple):
    """A role holder's 64-byte signature over the digest of an act."""

    member: int
    signature: bytes


class Admission(NamedTuple):
    """A member to be admitted; ``roles`` is a mask of ``Role``."""

    member: int
    key: PublicKey
    roles: int


class Mint(NamedTuple):
    """Money that reached the custodian; ``reference`` is 32 bytes, the hash of the bank's own."""

    member: int
    amount_micro: int
    reference: bytes
    to_escrow: bool


class Payout(NamedTuple):
    """Money that the custodian pays to a member's bank account; ``reference`` is the hash of the bank's own."""

    member: int
    amount_micro: int
    reference: bytes
    nonce: int
    deadline_s: int


class Commitment(NamedTuple):
    """What a commit binds: ``number`` 1, 2, 3 ..., ``previous`` the ``rolling_hash`` before (first: 32 zero bytes)."""

    number: int
    previous: bytes
    journal_head: bytes
    trade_root: bytes
    trade_count: int

    def rolling_hash(self) -> bytes:
        """What Clearing holds after this commit: the next one's ``previous``."""
        types = ("bytes32", "uint256", "bytes32", "bytes32", "uint256")
        return keccak(encode(types, (self.previous, self.number, *self[2:])))


class Delta(NamedTuple):
    """What one account receives (+) or pays (-) in a cycle."""

    account: int
    amount_micro: int


class Part(NamedTuple):
    """Up to 300 deltas of a cycle, as the proposal names them."""

    part_hash: bytes
    sum_micro: int


class Proposal(NamedTuple):
    """What the cycle over the half-open [start_s, end_s) will move: 1 to 64 parts whose sums add up to zero."""

    cycle: int
    start_s: int
    end_s: int
    trades_root: bytes
    readings_root: bytes
    statements_root: bytes
    parts: Sequence[Part]


# ------------------------------------------------------------------------------------------------- Members

ADMIT_MANY = _intent("AdmitMany(uint256 index,bytes32 admissionsHash)")
ROTATE_KEY = _intent("RotateKey(uint256 member,uint256 x,uint256 y,uint256 nonce,uint256 deadline)")
GRANT_ROLES = _intent("GrantRoles(uint256 member,uint256 roles,uint256 index)")
FREEZE = _intent("Freeze(uint256 member,bool frozen,uint256 index)")

_ADMISSIONS = "(uint256,uint256,uint256,uint256)[]"


def _admission_rows(admissions: Iterable[Admission]) -> list[tuple[int, int, int, int]]:
    return [(each.member, each.key.x, each.key.y, each.roles) for each in admissions]


def admit_many_digest(domain: Domain, admissions: Sequence[Admission], index: int) -> bytes:
    """Signed by the operator; at most 100 admissions, ``index`` is ``Members.next_admission``."""
    return _digest(ADMIT_MANY, domain, index, abi_hash(_ADMISSIONS, _admission_rows(admissions)))


def admit_many(admissions: Sequence[Admission], index: int, approvals: Iterable[Approval]) -> Call:
    """Admit up to 100 members; of the roles only BANK can be given here."""
    types = (_ADMISSIONS, "uint256", APPROVALS)
    return call("Members", "admit_many", types, _admission_rows(admissions), index, approval_rows(approvals))


def rotate_key_digest(domain: Domain, member: int, key: PublicKey, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the member's old key."""
    return _digest(ROTATE_KEY, domain, member, key.x, key.y, nonce, deadline_s)


def rotate_key(member: int, key: PublicKey, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Replace a member's key."""
    types = ("uint256",) * 5 + SIGNATURE
    return call("Members", "rotate_key", types, member, key.x, key.y, nonce, deadline_s, *halves(signature))


def grant_roles_digest(domain: Domain, member: int, roles: int, index: int) -> bytes:
    """Signed by governance; ``index`` is ``Members.next_grant``."""
    return _digest(GRANT_ROLES, domain, member, roles, index)


def grant_roles(member: int, roles: int, index: int, approvals: Iterable[Approval]) -> Call:
    """Set a member's whole role mask."""
    types = ("uint256", "uint256", "uint256", APPROVALS)
    return call("Members", "grant_roles", types, member, roles, index, approval_rows(approvals))


def freeze_digest(domain: Domain, member: int, frozen: bool, index: int) -> bytes:
    """Signed by the regulator; ``index`` is ``Members.next_freeze``."""
    return _digest(FREEZE, domain, member, frozen, index)


def freeze(member: int, frozen: bool, index: int, approvals: Iterable[Approval]) -> Call:
    """Freeze a member, or release it."""
    types = ("uint256", "bool", "uint256", APPROVALS)
    return call("Members", "freeze", types, member, frozen, index, approval_rows(approvals))


# ---------------------------------------------------------------------------------------------------- Cash

MINT_MANY = _intent("MintMany(bytes32 mintsHash)")
BURN = _intent("Burn(uint256 member,uint256 amount,bytes32 reference,uint256 nonce,uint256 deadline)")

_MINTS = "(uint256,uint256,bytes32,bool)[]"


def mint_many_digest(domain: Domain, mints: Sequence[Mint]) -> bytes:
    """Signed by the custodian; at most 100 mints."""
    return _digest(MINT_MANY, domain, abi_hash(_MINTS, list(mints)))


def mint_many(mints: Sequence[Mint], approvals: Iterable[Approval]) -> Call:
    """Money in, to balances or into escrow; member 0 into escrow is the guarantee fund."""
    return call("Cash", "mint_many", (_MINTS, APPROVALS), list(mints), approval_rows(approvals))


def burn_digest(domain: Domain, payout: Payout) -> bytes:
    """Signed by the member and by the custodian."""
    return _digest(BURN, domain, *payout)


def burn(payout: Payout, signature: bytes, approvals: Iterable[Approval]) -> Call:
    """Money out; ``signature`` is the member's."""
    types = ("uint256", "uint256", "bytes32", "uint256", "uint256", *SIGNATURE, APPROVALS)
    return call("Cash", "burn", types, *payout, *halves(signature), approval_rows(approvals))


# ------------------------------------------------------------------------------------------------ Clearing

ENTER = _intent("Enter(uint256 member,uint256 amount,uint256 nonce,uint256 deadline)")
REQUEST_EXIT = _intent("RequestExit(uint256 member,uint256 amount,uint256 nonce,uint256 deadline)")
COMMIT = _intent("Commit(uint256 index,bytes32 previous,bytes32 journalHead,bytes32 tradeRoot,uint256 tradeCount)")
PROPOSE = _intent(
    "Propose(uint256 cycle,uint256 startS,uint256 endS,"
    "bytes32 tradesRoot,bytes32 readingsRoot,bytes32 statementsRoot,bytes32 partsHash)"
)

_MONEY_TYPES = ("uint256",) * 4 + SIGNATURE
_PARTS = "(bytes32,int256)[]"
_DELTAS = "(uint256,int256)[]"


def enter_digest(domain: Domain, member: int, amount_micro: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the member."""
    return _digest(ENTER, domain, member, amount_micro, nonce, deadline_s)


def enter(member: int, amount_micro: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """The member's cash into its escrow."""
    return call("Clearing", "enter", _MONEY_TYPES, member, amount_micro, nonce, deadline_s, *halves(signature))


def request_exit_digest(domain: Domain, member: int, amount_micro: int, *, nonce: int, deadline_s: int) -> bytes:
    """Signed by the member."""
    return _digest(REQUEST_EXIT, domain, member, amount_micro, nonce, deadline_s)


def request_exit(member: int, amount_micro: int, signature: bytes, *, nonce: int, deadline_s: int) -> Call:
    """Ask for escrow back; ``exit_escrow`` pays it out later."""
    values = (member, amount_micro, nonce, deadline_s, *halves(signature))
    return call("Clearing", "request_exit", _MONEY_TYPES, *values)


def exit_escrow(member: int) -> Call:
    """Pay out a requested exit that is due; needs no signature."""
    return call("Clearing", "exit", ("uint256",), member)


def release(accounts: Sequence[int]) -> Call:
    """Pay out credits that were held back, once the guarantee fund covers all of them; needs no signature."""
    return call("Clearing", "release", ("uint256[]",), list(accounts))


def escalate(account: int) -> Call:
    """The next step of the default ladder for a member whose deadline has passed; needs no signature."""
    return call("Clearing", "escalate", ("uint256",), account)


def commit_digest(domain: Domain, commitment: Commitment) -> bytes:
    """Signed by the operator."""
    return _digest(COMMIT, domain, *commitment)


def commit(commitment: Commitment, approvals: Iterable[Approval]) -> Call:
    """Bind the journal's head and the root of new trades."""
    types = ("uint256", "bytes32", "bytes32", "bytes32", "uint256", APPROVALS)
    return call("Clearing", "commit", types, *commitment, approval_rows(approvals))


def part(cycle: int, part_index: int, deltas: Sequence[Delta]) -> Part:
    """A part's hash and sum, as the proposal names them; ``part_index`` from 0."""
    content = encode(["uint256", "uint256", _DELTAS], [cycle, part_index, list(deltas)])
    return Part(keccak(content), sum(delta.amount_micro for delta in deltas))


def parts_hash(parts: Sequence[Part]) -> bytes:
    """What operator and checker sign for all parts together."""
    return abi_hash(_PARTS, list(parts))


def propose_digest(domain: Domain, proposal: Proposal) -> bytes:
    """Signed by the operator and by the checker."""
    return _digest(PROPOSE, domain, *proposal[:6], parts_hash(proposal.parts))


def propose(proposal: Proposal, operator_approvals: Iterable[Approval], checker_approvals: Iterable[Approval]) -> Call:
    """Open a cycle's dispute window; cycles are proposed in order, 1, 2, 3 ..., once they are over."""
    types = ("uint256",) * 3 + ("bytes32",) * 3 + (_PARTS, APPROVALS, APPROVALS)
    approvals = map(approval_rows, (operator_approvals, checker_approvals))
    return call("Clearing", "propose", types, *proposal[:6], list(proposal.parts), *approvals)


def apply_part(cycle: int, part_index: int, deltas: Sequence[Delta]) -> Call:
    """Move the money of one part of at most 300 deltas: over all parts debits first, accounts ascending in each.

    Needs no signature: the part's hash was signed.
    """
    return call("Clearing", "apply_part", ("uint256", "uint256", _DELTAS), cycle, part_index, list(deltas))
