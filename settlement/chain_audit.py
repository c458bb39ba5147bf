"""Checking an embedded chain's file as a stranger would: every link, every block run again, the state that results.

Each block keeps what it changed, so the state before any block is had by adding changes up. That lets several
processes run different stretches of the chain at once, each from the state it begins with: if every block turns the
state before it into the state after it, so does the whole chain. The file may be in use meanwhile.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec

from settlement.blocks import Block, genesis_parent, next_block
from settlement.chain_store import ChainReader, StoredBlock
from settlement.evm import Changes, Machine, collect_garbage_rarely

STRETCH_BLOCKS = 50


class ContradictionError(Exception):
    """What the file says cannot be so: ``block`` and ``field`` are where, the message is what."""

    def __init__(self, block: int, field: str, what: str) -> None:
        super().__init__(block, field, what)
        self.block, self.field, self.what = block, field, what

    def __str__(self) -> str:
        return f"chain block {self.block}, {self.field}: {self.what}"


class Progress(NamedTuple):
    """How many blocks have been run again, of how many that will be."""

    done: int
    total: int


def verify_chain_file(path: Path, *, sample: int | None = None, workers: int = 1) -> Iterator[Progress]:
    """Check a chain file; yields progress, raises ContradictionError at the first contradiction it meets.

    Links, hashes, times, the index of transactions and the final state are always checked for every block. ``sample``
    blocks, chosen at random, are run again; None runs all of them. Raises ChainFileError when there is no chain.
    """
    reader = ChainReader(path)
    try:
        count = reader.count()
        machine_state = _check_links(reader, count)
        _check_state(machine_state, reader.state(), count - 1)
    finally:
        reader.close()
    wanted = (
        range(1, count) if sample is None else random.SystemRandom().sample(range(1, count), min(sample, count - 1))
    )
    yield Progress(0, len(wanted))
    done = 0
    for stretch_done in _run_stretches(path, sorted(wanted), workers):
        done += stretch_done
        yield Progress(done, len(wanted))


# ------------------------------------------------------------------------------- links, index, final state


def _check_links(reader: ChainReader, count: int) -> Changes:
    """Every block's own word against its neighbours and the index; the state that their changes add up to."""
    places = reader.places()
    parent: Block | None = None
    parent_hash = genesis_parent(reader.chain_id)
    sum_of_changes = _Sum()
    for number, stored in zip(range(count), reader.blocks(), strict=True):
        block = _decoded(stored, number)
        if block.parent_hash != parent_hash:
            raise ContradictionError(number, "parent_hash", "is not the hash of the block before")
        if parent is not None and block.timestamp_s < parent.timestamp_s:
            raise ContradictionError(number, "timestamp_s", f"{block.timestamp_s} is before {parent.timestamp_s}")
        for position, receipt in enumerate(block.receipts):
            if places.pop(receipt.transaction_hash, None) != (number, position):
                raise ContradictionError(number, "transactions", f"transaction {position} is not where the index says")
        sum_of_changes.add(block.changes)
        parent, parent_hash = block, stored.hash
    if places:
        raise ContradictionError(count - 1, "transactions", f"the index has {len(places)} that are in no block")
    return sum_of_changes.total()


def _decoded(stored: StoredBlock, number: int) -> Block:
    if stored.number != number:
        raise ContradictionError(number, "number", "the block is missing")
    try:
        block = stored.decode()
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ContradictionError(number, "body", f"is no block: {error}") from error
    if block.number != number:
        raise ContradictionError(number, "number", f"the block says {block.number}")
    if block.hash() != stored.hash:
        raise ContradictionError(number, "hash", "is not the hash of the block")
    return block


class _Sum:
    """Changes added up: the rows that are there after them."""

    def __init__(self) -> None:
        self._machine = Machine(0)

    def add(self, changes: Changes) -> None:
        self._machine.apply(changes)

    def total(self) -> Changes:
        return self._machine.everything()


def _check_state(expected: Changes, found: Changes, block: int) -> None:
    """The state tables against what the blocks add up to."""
    accounts = {row.address: row for row in expected.accounts}
    if accounts != (have := {row.address: row for row in found.accounts}):
        address = next(each for each in accounts.keys() | have.keys() if accounts.get(each) != have.get(each))
        raise ContradictionError(block, "state", f"account 0x{address.hex()} is not what the blocks made of it")
    slots = {(slot.address, slot.key): slot for slot in expected.storage}
    if slots != (stored := {(slot.address, slot.key): slot for slot in found.storage}):
        place = next(each for each in slots.keys() | stored.keys() if slots.get(each) != stored.get(each))
        where = f"storage 0x{place[1].hex()} of 0x{place[0].hex()}"
        raise ContradictionError(block, "state", f"{where} is not what the blocks made of it")


# -------------------------------------------------------------------------------------- running them again


def _run_stretches(path: Path, wanted: Sequence[int], workers: int) -> Iterator[int]:
    """Run the wanted blocks again, a stretch at a time; yields how many each stretch had."""
    stretches = [wanted[at : at + STRETCH_BLOCKS] for at in range(0, len(wanted), STRETCH_BLOCKS)]
    if workers == 1 or len(stretches) <= 1:
        for stretch in stretches:
            yield run_stretch(path, stretch)
        return
    # spawn: a forked child would share the threads and connections of whoever audits
    with ProcessPoolExecutor(workers, get_context("spawn"), collect_garbage_rarely) as pool:
        tasks = [pool.submit(run_stretch, path, stretch) for stretch in stretches]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_stretch(path: Path, wanted: Sequence[int]) -> int:
    """Run ascending blocks again, each on the state that the blocks before it left; returns how many.

    Raises ContradictionError where what a block says it did is not what it does.
    """
    reader = ChainReader(path)
    try:
        machine = Machine(reader.chain_id)
        parent: Block | None = None
        remaining = set(wanted)
        for stored in reader.blocks():
            block = stored.decode()
            if block.number in remaining and parent is not None:
                _check_run(machine, parent, block)
                remaining.discard(block.number)
            else:
                machine.apply(block.changes)
            if not remaining:
                break
            parent = block
    finally:
        reader.close()
    return len(wanted)


def _check_run(machine: Machine, parent: Block, block: Block) -> None:
    """Run one block again; the machine stands on the state after it."""
    again, _ = next_block(machine, parent, block.parent_hash, block.timestamp_s, block.transactions)
    machine.settle()
    for field in ("transactions", "receipts", "changes", "state_root"):
        if getattr(again, field) != getattr(block, field):
            raise ContradictionError(block.number, field, _difference(field, again, block))


def _difference(field: str, again: Block, block: Block) -> str:
    if field == "receipts":
        for position, (mine, theirs) in enumerate(zip(again.receipts, block.receipts, strict=False)):
            for name in mine.__struct_fields__:
                if getattr(mine, name) != getattr(theirs, name):
                    return f"{name} of transaction {position} is not what comes of running it"
    return "are not what comes of running the block's transactions"
