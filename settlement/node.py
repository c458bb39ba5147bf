"""The embedded chain as an object: transactions in, blocks kept, questions answered. Knows no network.

A batch of transactions becomes one block, run and kept before anything is answered; what was answered is on the disk.
A transaction that is on the chain already is not run again: its sender simply learns its hash once more.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from settlement.blocks import Block, context_after, next_block
from settlement.chain_store import ChainStore
from settlement.evm import Executed, InvalidTransactionError, LogEntry, Machine
from settlement.keccak import keccak


class NotManualError(Exception):
    """The chain follows the wall clock: nobody sets its time."""


class BackwardError(Exception):
    """A time before the newest block's."""


class Hashed(NamedTuple):
    """A block and its hash, which costs a while to compute."""

    block: Block
    hash: bytes


class Found(NamedTuple):
    """A transaction on the chain."""

    block: Block
    block_hash: bytes
    position: int

    @property
    def receipt(self) -> Executed:
        return self.block.receipts[self.position]


class LogPlace(NamedTuple):
    """A log with its place in the chain; ``log_index`` counts within the block."""

    block: Block
    block_hash: bytes
    position: int
    log_index: int
    entry: LogEntry


class Node:
    """One chain, its file and as much of its state as was used of late. Not thread-safe."""

    def __init__(self, store: ChainStore, chain_id: int, wall_clock_s: Callable[[], int] | None) -> None:
        """``wall_clock_s`` gives the time of new blocks; None: the clock is moved by hand."""
        self.chain_id = chain_id
        self.head = store.head()
        self.head_hash = self.head.hash()
        self._store = store
        self._wall_clock_s = wall_clock_s
        self._next_s: int | None = None
        self._machine = Machine(chain_id, store.kept)

    # ---------------------------------------------------------------------------------------- writing

    def send(self, raw: Sequence[bytes]) -> list[InvalidTransactionError | None]:
        """Put new transactions into one block; for each the reason why it cannot be in any, or None."""
        fresh = [each for each in dict.fromkeys(raw) if self._store.place_of(keccak(each)) is None]
        if not fresh:
            return [None] * len(raw)
        block, results = next_block(self._machine, self.head, self.head_hash, self.next_timestamp_s(), fresh)
        if block.transactions:
            self._append(block)
        paired = zip(fresh, results, strict=True)
        errors = {each: result for each, result in paired if isinstance(result, InvalidTransactionError)}
        return [errors.get(each) for each in raw]

    def mine(self) -> None:
        """An empty block, to keep the time that was set."""
        block, _ = next_block(self._machine, self.head, self.head_hash, self.next_timestamp_s(), [])
        self._append(block)

    def set_next_timestamp(self, timestamp_s: int) -> None:
        """The time of the next block and, until it is set again, of those after it.

        Raises NotManualError, BackwardError.
        """
        if self._wall_clock_s is not None:
            raise NotManualError("this chain follows the wall clock")
        if timestamp_s < self.head.timestamp_s:
            raise BackwardError(f"{timestamp_s} is before the newest block's {self.head.timestamp_s}")
        self._next_s = timestamp_s

    def next_timestamp_s(self) -> int:
        """The time the next block will have."""
        wanted_s = self._next_s or 0 if self._wall_clock_s is None else self._wall_clock_s()
        return max(wanted_s, self.head.timestamp_s)

    def _append(self, block: Block) -> None:
        block_hash = block.hash()
        self._store.append(block, block_hash)
        self._machine.settle()
        self.head, self.head_hash = block, block_hash

    # -------------------------------------------------------------------------------------- questions

    def nonce_of(self, address: bytes) -> int:
        """How many transactions an account has sent."""
        return self._machine.account(address).nonce

    def code_at(self, address: bytes) -> bytes:
        """A contract's code; empty for anything else."""
        return self._machine.account(address).code

    def block(self, number: int) -> Hashed | None:
        """A block by its number."""
        if number == self.head.number:
            return Hashed(self.head, self.head_hash)
        return next((Hashed(*each) for each in self._store.blocks_between(number, number)), None)

    def find(self, transaction_hash: bytes) -> Found | None:
        """A transaction by its hash."""
        place = self._store.place_of(transaction_hash)
        if place is None:
            return None
        found = self.block(place[0])
        assert found is not None
        return Found(*found, place[1])

    def logs(self, first: int, last: int, addresses: frozenset[bytes] | None) -> list[LogPlace]:
        """Logs of blocks ``first`` to ``last``, of these contracts or all, in order."""
        return [
            place
            for block, block_hash in self._store.blocks_between(first, last)
            for place in logs_of(block, block_hash)
            if addresses is None or place.entry.address in addresses
        ]

    def call(self, sender: bytes, target: bytes, data: bytes) -> tuple[bool, bytes]:
        """Run a call on the newest state at the next block's time, and forget it: (succeeded, returned)."""
        context = context_after(self.head, self.head_hash, self.next_timestamp_s())
        return self._machine.view(context, sender, target, data)


def logs_of(block: Block, block_hash: bytes) -> list[LogPlace]:
    """All logs of a block, numbered through its transactions."""
    entries = [(position, entry) for position, receipt in enumerate(block.receipts) for entry in receipt.logs]
    return [LogPlace(block, block_hash, position, index, entry) for index, (position, entry) in enumerate(entries)]
