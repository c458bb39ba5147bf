"""The chain as the house sees it: calls go in as signed transactions, receipts and events come out.

One client (``rpc.py``) implements this port over JSON-RPC; behind it stands the embedded node (``embedded.py``), anvil
in tests, or an EVM network. All methods block; they are called from threads. Calls are built by ``acts.py``.

Exceptions::

    ChainError
    +-- ChainUnavailableError   nobody answers, or not in time: try again later, nothing is known to have happened
    +-- ChainRefusedError       the node refused the request itself; the message is the node's
    |   +-- StaleTransactionError   the number of a signed transaction was used by another: sign anew
    +-- CallRefusedError        a view reverted

A transaction that the contract refuses is neither: its receipt says ``succeeded=False`` and why.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from settlement.event_proof import EventProof
from settlement.headers import BlockHeader
from settlement.intents import Domain

CONTRACTS = ("Members", "Cash", "Clearing", "Receivables", "Disputes", "Sales")
"""In the order of deployment."""


class ChainError(Exception):
    """Something between us and the chain."""


class ChainUnavailableError(ChainError):
    """Nobody answers, or not in time."""


class ChainRefusedError(ChainError):
    """The node answered a request with an error of its own."""


class StaleTransactionError(ChainRefusedError):
    """Signed transactions that can never be accepted: their numbers were used by others. ``hashes`` are theirs."""

    def __init__(self, message: str, hashes: Sequence[bytes]) -> None:
        super().__init__(message)
        self.hashes = frozenset(hashes)


class CallRefusedError(ChainError):
    """A view reverted; ``refusal`` is the contract's reason, a stable snake_case code."""

    def __init__(self, refusal: str) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Call(NamedTuple):
    """One contract call: the contract's name, the function's, and the whole call data."""

    contract: str
    function: str
    data: bytes

    @property
    def kind(self) -> str:
        """``Clearing.commit``, as the outbox names it."""
        return f"{self.contract}.{self.function}"


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction; ``refusal`` is the contract's reason when it reverted, else empty."""

    transaction_hash: bytes
    block: int
    block_hash: bytes
    gas: int
    succeeded: bool
    refusal: str


class ChainEvent(msgspec.Struct, frozen=True):
    """One event of our contracts; ``log_index`` counts within the block, ``block_s`` is the block's time."""

    block: int
    log_index: int
    block_s: int
    transaction_hash: bytes
    contract: str
    event: str
    arguments: dict[str, int | bytes | bool]
    block_hash: bytes = bytes(32)


class Head(NamedTuple):
    """The newest block."""

    number: int
    hash: bytes
    timestamp_s: int


class ReadableChain(Protocol):
    """The reading half of the ``Chain`` port: a file of the embedded chain, or a network over JSON-RPC."""

    addresses: dict[str, bytes]

    @property
    def deployer(self) -> bytes: ...

    def domain(self, contract: str) -> Domain: ...

    def view(self, call: Call) -> tuple[Any, ...]: ...

    def events(self, from_block: int) -> list[ChainEvent]: ...

    def headers(self, first: int, last: int) -> list[BlockHeader]: ...

    def event_proof(self, block: int, log_index: int) -> EventProof: ...

    def head(self) -> Head: ...


class Chain(Protocol):
    """One chain with our contracts on it, and one relayer whose transactions are numbered."""

    chain_id: int
    addresses: dict[str, bytes]
    """Contract name to its 20 bytes."""

    @property
    def deployer(self) -> bytes:
        """The account whose first transactions made the contracts, 20 bytes."""

    def domain(self, contract: str) -> Domain:
        """Where intents for a contract hold."""

    def sign(self, calls: Sequence[Call], after: Sequence[bytes] = ()) -> list[bytes]:
        """Raw signed transactions with the relayer's next numbers, in order. Sends nothing.

        The numbers begin after those that the chain knows of and those of ``after``, signed before and on their way.
        """

    def submit(self, raw: Sequence[bytes]) -> None:
        """Hand transactions over and wait for nothing; one that is waiting or on the chain already changes nothing.

        Raises ChainUnavailableError, ChainRefusedError, StaleTransactionError.
        """

    def receipts(self, hashes: Sequence[bytes]) -> list[Receipt | None]:
        """What became of transactions; None where it is not final yet, or the chain does not know of one."""

    def send(self, raw: Sequence[bytes]) -> list[Receipt]:
        """Submit, and wait until all are final; a transaction that is on the chain already only returns its receipt.

        Raises ChainUnavailableError, ChainRefusedError, StaleTransactionError.
        """

    def block_hashes(self, numbers: Sequence[int]) -> list[bytes | None]:
        """The hash of each block that the chain has now, None where it has none of that number."""

    def view(self, call: Call) -> tuple[object, ...]:
        """Run a view at the newest block; the decoded outputs. Raises CallRefusedError when it reverts."""

    def events(self, from_block: int) -> list[ChainEvent]:
        """The events of our contracts from a block on, in order."""

    def event_proof(self, block: int, log_index: int) -> EventProof:
        """The proof of an event by its place in its block. Raises EventNotProvableError, ChainUnavailableError."""

    def headers(self, first: int, last: int) -> list[BlockHeader]:
        """The headers of blocks ``first`` to ``last``, both included, as far as there are any."""

    def head(self) -> Head:
        """The newest block."""

    def advance_to(self, timestamp_s: int) -> None:
        """Put the chain's clock forward; an earlier time than the head's changes nothing.

        Only chains with a manual clock; others raise ChainRefusedError.
        """
