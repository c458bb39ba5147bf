"""Blocks of the embedded chain: what ran, what came of it, what it changed; each names the hash of the one before.

They are our own and are not presented as Ethereum headers. A block is kept whole; its hash covers everything in it.
The genesis block's parent is the hash of the chain's name and id, so that no two chains share a block.
"""

from collections.abc import Sequence

import msgspec

from settlement.evm import BlockContext, Changes, Executed, InvalidTransactionError, Machine
from settlement.keccak import keccak

DAY_S = 86_400
NO_ROOT = b""


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

    def hash(self) -> bytes:
        """32 bytes over every field; transactions, receipts and changes by their own hashes."""
        header = [
            self.number,
            self.parent_hash,
            self.timestamp_s,
            _hashed(self.transactions),
            _hashed(self.receipts),
            _hashed(self.changes),
            self.state_root,
        ]
        return _hashed(header)


def _hashed(value: object) -> bytes:
    return keccak(msgspec.msgpack.encode(value))


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

    Invalid transactions are left out of the block. The machine holds the new state afterwards. The time is whole
    seconds and never before the parent's.
    """
    assert timestamp_s >= parent.timestamp_s, "time runs forward"
    begins_day = timestamp_s // DAY_S != parent.timestamp_s // DAY_S
    root = machine.state_root() if begins_day else NO_ROOT
    before = machine.snapshot()
    results = machine.execute(context_after(parent, parent_hash, timestamp_s), raw)
    ran = [(each, result) for each, result in zip(raw, results, strict=True) if isinstance(result, Executed)]
    block = Block(
        number=parent.number + 1,
        parent_hash=parent_hash,
        timestamp_s=timestamp_s,
        transactions=[each for each, _ in ran],
        receipts=[result for _, result in ran],
        changes=machine.changes_since(before),
        state_root=root,
    )
    return block, results
