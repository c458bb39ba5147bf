"""Blocks of the embedded chain: what ran, what came of it, what it changed; each names the hash of the one before.

They are our own and are not presented as Ethereum headers. A block is kept whole; its hash covers everything in it, by
way of a header of eight fields. One of them is a Merkle root over the block's events, so that whoever has a header can
be shown a single event with a short path. The genesis block's parent is the hash of the chain's name and id, so that
no two chains share a block.
"""

from collections.abc import Sequence

import msgspec

from settlement import merkle
from settlement.event_proof import EmbeddedEvent, EventNotProvableError
from settlement.evm import BlockContext, Changes, Executed, InvalidTransactionError, LogEntry, Machine
from settlement.hexjson import Hex
from settlement.keccak import keccak

DAY_S = 86_400
NO_ROOT = b""


class Header(msgspec.Struct, frozen=True):
    """What a block's hash is taken of; all but ``number`` and ``timestamp_s`` are 32 bytes, or ``state_root`` none."""

    number: int
    parent_hash: Hex
    timestamp_s: int
    transactions_hash: Hex
    receipts_hash: Hex
    changes_hash: Hex
    events_root: Hex
    state_root: Hex

    def encode(self) -> bytes:
        """The fields in this order, 32 bytes each; only the last may be missing."""
        return (
            self.number.to_bytes(32, "big")
            + self.parent_hash
            + self.timestamp_s.to_bytes(32, "big")
            + self.transactions_hash
            + self.receipts_hash
            + self.changes_hash
            + self.events_root
            + self.state_root
        )

    def hash(self) -> bytes:
        """The keccak of it: the block's name."""
        return keccak(self.encode())


class Block(msgspec.Struct, frozen=True, array_like=True):
    """One block; ``transactions`` are raw, ``receipts`` stand in the same order.

    ``state_root`` is the Merkle-Patricia root of the state *before* the block, in the first block of each UTC day, and
    empty in the others: it costs too much to be taken at every block.
    """

    number: int
    parent_hash: bytes
    timestamp_s: int
    transactions: list[bytes]
    receipts: list[Executed]
    changes: Changes
    state_root: bytes

    def header(self) -> Header:
        """Every field: transactions, receipts and changes by their hashes, what the receipts log also by its root."""
        return Header(
            number=self.number,
            parent_hash=Hex(self.parent_hash),
            timestamp_s=self.timestamp_s,
            transactions_hash=_hashed(self.transactions),
            receipts_hash=_hashed(self.receipts),
            changes_hash=_hashed(self.changes),
            events_root=Hex(merkle.root(self.event_leaves())),
            state_root=Hex(self.state_root),
        )

    def hash(self) -> bytes:
        """The 32 bytes that name the block."""
        return self.header().hash()

    def event_leaves(self) -> list[bytes]:
        """The leaf of every event, in order; their places count through the whole block."""
        logged = [(receipt.transaction_hash, entry) for receipt in self.receipts for entry in receipt.logs]
        return [event_leaf(place, transaction, entry) for place, (transaction, entry) in enumerate(logged)]


def event_leaf(log_index: int, transaction_hash: bytes, entry: LogEntry) -> bytes:
    """The 32-byte leaf of an event: place, transaction, contract, number of topics, each as 32 bytes; topics, data."""
    words = (log_index.to_bytes(32, "big"), transaction_hash, entry.address.rjust(32, b"\0"))
    return merkle.leaf(b"".join((*words, len(entry.topics).to_bytes(32, "big"), *entry.topics, entry.data)))


def prove_event(block: Block, log_index: int) -> EmbeddedEvent:
    """An event by its place in its block. Raises EventNotProvableError when there is none."""
    logged = [(receipt.transaction_hash, entry) for receipt in block.receipts for entry in receipt.logs]
    if log_index >= len(logged):
        raise EventNotProvableError(f"block {block.number} has {len(logged)} events, none with number {log_index}")
    transaction, entry = logged[log_index]
    header = block.header()
    path = merkle.path(block.event_leaves(), log_index)
    return EmbeddedEvent(
        block_hash=Hex(header.hash()),
        header=Hex(header.encode()),
        log_index=log_index,
        transaction_hash=Hex(transaction),
        address=Hex(entry.address),
        topics=tuple(Hex(topic) for topic in entry.topics),
        data=Hex(entry.data),
        path=tuple((on_left, Hex(sibling)) for on_left, sibling in path),
    )


def _hashed(value: object) -> Hex:
    return Hex(keccak(msgspec.msgpack.encode(value)))


def genesis(chain_id: int, timestamp_s: int) -> Block:
    """Block 0 of a chain: empty."""
    return Block(0, genesis_parent(chain_id), timestamp_s, [], [], Changes([], []), NO_ROOT)


def genesis_parent(chain_id: int) -> bytes:
    """What stands where the genesis block would name its parent."""
    return keccak(b"Jinsha chain" + chain_id.to_bytes(32, "big"))


def context_after(parent: Block, parent_hash: bytes, timestamp_s: int) -> BlockContext:
    """What contracts see of the block after ``parent``."""
    return BlockContext(parent.number + 1, timestamp_s, parent_hash)


def next_block(
    machine: Machine, parent: Block, parent_hash: bytes, timestamp_s: int, raw: Sequence[bytes]
) -> tuple[Block, list[Executed | InvalidTransactionError]]:
    """Run transactions on the parent's state; the block that follows, and what came of each transaction.

    Invalid transactions are left out of the block. The machine holds the new state afterwards, to be settled once
    the block is kept. The time is whole seconds and never before the parent's.
    """
    assert timestamp_s >= parent.timestamp_s, "time runs forward"
    begins_day = timestamp_s // DAY_S != parent.timestamp_s // DAY_S
    root = machine.state_root() if begins_day else NO_ROOT
    results = machine.execute(context_after(parent, parent_hash, timestamp_s), raw)
    ran = [(each, result) for each, result in zip(raw, results, strict=True) if isinstance(result, Executed)]
    block = Block(
        number=parent.number + 1,
        parent_hash=parent_hash,
        timestamp_s=timestamp_s,
        transactions=[each for each, _ in ran],
        receipts=[result for _, result in ran],
        changes=machine.changes(),
        state_root=root,
    )
    return block, results
