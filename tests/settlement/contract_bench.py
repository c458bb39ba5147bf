"""The deployed contracts on a machine of our own, with known keys: what tests of contracts act on.

Deployment happens once; each bench starts from the state it left. Acts go in as signed transactions and come out as
their refusal, a word, or nothing.
"""

from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric import ec
from eth_abi.abi import decode
from eth_account import Account

from settlement import abi, acts, calls, custody_acts, signatures
from settlement.acts import Admission, Approval, Role
from settlement.chain import CONTRACTS, Call, ChainEvent
from settlement.compile import compiled
from settlement.deploy import Genesis, contract_addresses, creation_codes
from settlement.evm import BlockContext, Changes, Executed, Machine
from settlement.intents import Domain
from settlement.rpc import sign_transaction
from settlement.signatures import PublicKey

CHAIN_ID = 31337
SALT = bytes(range(32))
RELAYER = Account.from_key(b"\7" * 32)
START_S = 1_000_000
DISPUTE_WINDOW_S, HORIZON_S = 3_600, 7 * 86_400
COLLECTION = b"\x0c" * 32
LATE_S = 10**10
"""A deadline that never passes here."""

OPERATOR, CHECKER, METER_OPERATOR, CUSTODIAN, GRID_COMPANY, GOVERNANCE, REGULATOR = range(1, 8)
ROLES = dict(zip(range(1, 8), Role, strict=False))
YUAN = 1_000_000


@cache
def key(member: int) -> ec.EllipticCurvePrivateKey:
    """A member's key: the same in every run."""
    return ec.derive_private_key(10**9 + member, ec.SECP256R1())


def public(member: int) -> PublicKey:
    return signatures.public_key(key(member))


class Bonds(NamedTuple):
    """What is locked for each proposed cycle, and for each challenge; most tests lock nothing."""

    operator_micro: int = 0
    challenge_micro: int = 0


NO_BONDS = Bonds()


def genesis(bonds: Bonds = NO_BONDS) -> Genesis:
    members = [Admission(member, public(member), role) for member, role in ROLES.items()]
    return Genesis(
        SALT,
        members,
        DISPUTE_WINDOW_S,
        HORIZON_S,
        operator_bond_micro=bonds.operator_micro,
        challenge_bond_micro=bonds.challenge_micro,
        collection=COLLECTION,
    )


@cache
def _deployed(bonds: Bonds) -> Changes:
    machine = Machine(CHAIN_ID)
    codes = creation_codes(compiled(), genesis(bonds), _addresses())
    raw = [sign_transaction(RELAYER, CHAIN_ID, nonce, None, code) for nonce, code in enumerate(codes)]
    results = machine.execute(BlockContext(1, START_S, bytes(32)), raw)
    assert all(isinstance(result, Executed) and result.succeeded for result in results)
    return machine.everything()


@cache
def _addresses() -> dict[str, bytes]:
    return contract_addresses(bytes.fromhex(RELAYER.address[2:]))


class Bench:
    """The contracts as deployed, at ``now_s``, which a test moves as it likes."""

    def __init__(self, bonds: Bonds = NO_BONDS) -> None:
        self.machine = Machine(CHAIN_ID)
        self.machine.apply(_deployed(bonds))
        self.addresses = _addresses()
        self.now_s = START_S
        self.gas = 0  # of the last act
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._nonce = 0  # of intents
        self._admission = 0

    def copy(self) -> Self:
        """Another bench that stands where this one stands."""
        other = copy(self)
        other.machine = Machine(CHAIN_ID)
        other.machine.apply(self.machine.everything())
        other.events = list(self.events)
        return other

    def successor(self) -> Self:
        """Contracts that will take the place of these, on the same chain, with nothing in them."""
        other = copy(self)
        relayer = Account.from_key(b"\x08" * 32)
        other.addresses = contract_addresses(bytes.fromhex(relayer.address[2:]))
        codes = creation_codes(compiled(), genesis()._replace(members=[], predecessors=self.addresses), other.addresses)
        raw = [sign_transaction(relayer, CHAIN_ID, nonce, None, code) for nonce, code in enumerate(codes)]
        for result in self.machine.execute(BlockContext(2, self.now_s, bytes(32)), raw):
            assert isinstance(result, Executed) and result.succeeded
        self.machine.settle()
        other.events, other._admission = [], 0
        return other

    # ---------------------------------------------------------------------------------------- acting

    def try_(self, call: Call) -> str:
        """Send a call; why it was refused, or nothing."""
        target = self.addresses[call.contract]
        nonce = self.machine.account(bytes.fromhex(RELAYER.address[2:])).nonce
        raw = sign_transaction(RELAYER, CHAIN_ID, nonce, target, call.data)
        (result,) = self.machine.execute(BlockContext(2, self.now_s, bytes(32)), [raw])
        assert isinstance(result, Executed), result
        self.machine.settle()
        self.gas = result.gas
        self.events += [event for log in result.logs if (event := self._event(log.address, log.topics, log.data))]
        return "" if result.succeeded else abi.refusal(result.output)

    def do(self, call: Call) -> None:
        """Send a call that must succeed."""
        refusal = self.try_(call)
        assert refusal == "", f"{call.kind}: {refusal}"

    def view(self, call: Call) -> Any:
        """The single output of a view."""
        succeeded, output = self.machine.view(
            BlockContext(2, self.now_s, bytes(32)), bytes(20), self.addresses[call.contract], call.data
        )
        assert succeeded, abi.refusal(output)
        return decode(abi.output_types(compiled()[call.contract])[call.function], output)[0]

    def named(self, event: str) -> list[dict[str, Any]]:
        """The arguments of all events of a name, oldest first."""
        return [arguments for name, arguments in self.events if name == event]

    def chain_events(self) -> list[ChainEvent]:
        """All that was said, as the chain's client gives it; only names and arguments mean something here."""
        contract_of = {shape.name: name for name in CONTRACTS for shape in abi.event_shapes(compiled()[name]).values()}
        return [
            ChainEvent(2, at, self.now_s, b"", contract_of[each], each, it) for at, (each, it) in enumerate(self.events)
        ]

    def _event(self, address: bytes, topics: list[bytes], data: bytes) -> tuple[str, dict[str, Any]]:
        name = next(each for each, place in self.addresses.items() if place == address)
        shape = abi.event_shapes(compiled()[name])[topics[0]]
        return shape.name, shape.read(topics[1:], data)

    # --------------------------------------------------------------------------------------- signing

    def domain(self, contract: str) -> Domain:
        return Domain(CHAIN_ID, self.addresses[contract], SALT)

    def approve(self, member: int, digest: bytes) -> list[Approval]:
        """One member's approval, as acts take it."""
        return [Approval(member, sign(member, digest))]

    def nonce(self) -> int:
        """A nonce that no intent here has used."""
        self._nonce += 1
        return self._nonce

    def once(self) -> dict[str, int]:
        """A fresh nonce and a deadline that never passes."""
        return {"nonce": self.nonce(), "deadline_s": LATE_S}

    # ------------------------------------------------------------------------------ what many tests need

    def admit(self, *members: int, roles: int = 0) -> None:
        admissions = [Admission(member, public(member), roles) for member in members]
        digest = acts.admit_many_digest(self.domain("Members"), admissions, self._admission)
        self.do(acts.admit_many(admissions, self._admission, self.approve(OPERATOR, digest)))
        self._admission += 1

    def attest(self, micro: int = 2**90, *, as_of_s: int | None = None, by: int = CUSTODIAN) -> str:
        """The custodian says what it holds (by itself, more than enough); why it was refused, or nothing."""
        as_of_s = self.now_s if as_of_s is None else as_of_s
        digest = custody_acts.attest_balance_digest(self.domain("Cash"), as_of_s, micro)
        return self.try_(custody_acts.attest_balance(as_of_s, micro, self.approve(by, digest)))

    def mint(self, *amounts: tuple[int, int], to_escrow: bool = False) -> None:
        mints = [acts.Mint(member, micro, self.nonce().to_bytes(32, "big"), to_escrow) for member, micro in amounts]
        digest = acts.mint_many_digest(self.domain("Cash"), mints)
        if self.now_s > self.view(custody_acts.attestation())[0] + custody_acts.MAX_AGE_S:
            assert self.attest() == ""
        self.do(acts.mint_many(mints, self.approve(CUSTODIAN, digest)))

    def proposal(self, cycle: int, parts: Sequence[Sequence[acts.Delta]]) -> acts.Proposal:
        """A cycle of one day, the cycle's number being the day's since START_S."""
        start_s = START_S + (cycle - 1) * 86_400
        shown = [acts.part(cycle, at, deltas) for at, deltas in enumerate(parts)]
        return acts.Proposal(cycle, start_s, start_s + 86_400, b"\1" * 32, b"\2" * 32, b"\3" * 32, shown)

    def propose(self, proposal: acts.Proposal) -> Call:
        digest = acts.propose_digest(self.domain("Clearing"), proposal)
        return acts.propose(proposal, self.approve(OPERATOR, digest), self.approve(CHECKER, digest))

    def settle(self, cycle: int, *parts: Sequence[acts.Delta]) -> None:
        """Propose a cycle after its end, let the dispute window pass and apply all parts."""
        proposal = self.proposal(cycle, parts)
        self.now_s = max(self.now_s, proposal.end_s)
        self.do(self.propose(proposal))
        self.now_s += DISPUTE_WINDOW_S
        for at, deltas in enumerate(parts):
            self.do(acts.apply_part(cycle, at, deltas))

    def cash_of(self, member: int) -> int:
        return int(self.view(calls.balance_of(member)))

    def escrow_of(self, account: int) -> int:
        return int(self.view(calls.escrow_of(account)))

    @property
    def clearing_account(self) -> int:
        """The account of Clearing in Cash."""
        return int.from_bytes(self.addresses["Clearing"], "big")


def sign(member: int, digest: bytes) -> bytes:
    return signatures.sign(key(member), digest)


def high_s(signature: bytes) -> bytes:
    """The other signature that the curve allows for the same digest."""
    s = signatures.ORDER_N - int.from_bytes(signature[32:], "big")
    return signature[:32] + s.to_bytes(32, "big")
