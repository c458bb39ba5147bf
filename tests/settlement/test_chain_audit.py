"""A chain file that was touched, anywhere and however well, is found out, and where."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from settlement.blocks import DAY_S, Block
from settlement.chain import CONTRACTS
from settlement.chain_audit import ContradictionError, Progress, verify_chain_file
from settlement.chain_store import ChainFileError
from tests.settlement.chain_bench import chain_on, commit_calls, node_on
from tests.settlement.contract_bench import START_S

DEPLOYED = len(CONTRACTS)
COMMITS = 5
FIRST_COMMIT, LAST = DEPLOYED + 2, DEPLOYED + 1 + COMMITS


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of all deployments, an empty block on the next day, and five commits of a block each."""
    file = tmp_path_factory.mktemp("chain") / "chain.db"
    with node_on(file) as node:
        chain = chain_on(node)
        chain.advance_to(START_S + DAY_S)
        for raw in chain.sign(commit_calls(chain, COMMITS)):
            chain.send([raw])
        assert node.head.number == LAST
    assert [block.number for block in blocks(file) if block.state_root] == [DEPLOYED + 1]
    return file


@pytest.fixture
def file(sound: Path, tmp_path: Path) -> Path:
    """A copy of it to tamper with."""
    return Path(shutil.copy(sound, tmp_path / "chain.db"))


def found_in(file: Path) -> tuple[int, str]:
    """Block and field of the first contradiction."""
    with pytest.raises(ContradictionError) as caught:
        list(verify_chain_file(file))
    assert str(caught.value.block) in str(caught.value)
    return caught.value.block, caught.value.field


def execute(file: Path, statement: str, *parameters: object) -> None:
    with sqlite3.connect(file) as connection:
        assert connection.execute(statement, parameters).rowcount == 1
    connection.close()


def blocks(file: Path) -> Iterator[Block]:
    connection = sqlite3.connect(file)
    for (body,) in connection.execute("SELECT body FROM blocks ORDER BY number").fetchall():
        yield msgspec.msgpack.decode(body, type=Block)
    connection.close()


def forge(file: Path, number: int, change: Callable[[Block], Block]) -> None:
    """Change one block and link everything after it again, as somebody with time would."""
    parent_hash: bytes | None = None
    for block in list(blocks(file)):
        forged = change(block) if block.number == number else block
        if parent_hash is not None:
            forged = msgspec.structs.replace(forged, parent_hash=parent_hash)
        parent_hash = forged.hash() if block.number >= number else None
        body = msgspec.msgpack.encode(forged)
        execute(file, "UPDATE blocks SET body = ?, hash = ? WHERE number = ?", body, forged.hash(), block.number)


def test_a_sound_chain_passes_whole_in_part_and_in_parallel(file: Path) -> None:
    assert list(verify_chain_file(file))[-1] == Progress(LAST, LAST)
    assert list(verify_chain_file(file, sample=3))[-1] == Progress(3, 3)
    assert list(verify_chain_file(file, workers=2))[-1] == Progress(LAST, LAST)


def test_it_can_be_checked_while_the_node_has_it(file: Path) -> None:
    with node_on(file) as node:
        chain = chain_on(node)
        assert list(verify_chain_file(file))[-1].done == chain.head().number


def test_what_is_no_chain_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ChainFileError):
        list(verify_chain_file(tmp_path / "missing.db"))
    (tmp_path / "text.db").write_text("this is no database, only a text that is long enough to be looked at")
    with pytest.raises(ChainFileError):
        list(verify_chain_file(tmp_path / "text.db"))


def test_one_bit_of_a_block(file: Path) -> None:
    body = msgspec.msgpack.encode(list(blocks(file))[FIRST_COMMIT])
    at = len(body) // 2
    flipped = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    execute(file, "UPDATE blocks SET body = ? WHERE number = ?", flipped, FIRST_COMMIT)
    block, field = found_in(file)
    assert block == FIRST_COMMIT
    assert field in ("hash", "body")


@pytest.mark.parametrize(
    ("statement", "block", "field"),
    [
        (f"UPDATE blocks SET hash = zeroblob(32) WHERE number = {LAST}", LAST, "hash"),
        (f"DELETE FROM blocks WHERE number = {FIRST_COMMIT}", FIRST_COMMIT, "number"),
        (f"UPDATE transactions SET position = 1 WHERE block = {FIRST_COMMIT}", FIRST_COMMIT, "transactions"),
        ("INSERT INTO transactions VALUES (zeroblob(32), 1, 0)", LAST, "transactions"),
        ("UPDATE accounts SET nonce = nonce + 1 WHERE length(code) = 0", LAST, "state"),
        ("UPDATE storage SET value = zeroblob(32) WHERE rowid_of = 1", LAST, "state"),
        ("UPDATE meta SET value = 1 WHERE name = 'chain_id'", 0, "parent_hash"),
    ],
)
def test_one_row(file: Path, statement: str, block: int, field: str) -> None:
    first_slot = "(address, key) = (SELECT address, key FROM storage LIMIT 1)"
    execute(file, statement.replace("rowid_of = 1", first_slot))
    assert found_in(file) == (block, field)


def more_gas(block: Block) -> Block:
    (receipt,) = block.receipts
    return msgspec.structs.replace(block, receipts=[msgspec.structs.replace(receipt, gas=receipt.gas + 1)])


def another_log(block: Block) -> Block:
    (receipt,) = block.receipts
    log = msgspec.structs.replace(receipt.logs[0], data=bytes(len(receipt.logs[0].data)))
    return msgspec.structs.replace(block, receipts=[msgspec.structs.replace(receipt, logs=[log])])


def another_root(block: Block) -> Block:
    return msgspec.structs.replace(block, state_root=b"\1" * 32)


def another_time(block: Block) -> Block:
    return msgspec.structs.replace(block, timestamp_s=block.timestamp_s + 10 * DAY_S)


@pytest.mark.parametrize(
    ("change", "number", "block", "field"),
    [
        (more_gas, FIRST_COMMIT, FIRST_COMMIT, "receipts"),
        (another_log, LAST, LAST, "receipts"),
        (another_root, DEPLOYED + 1, DEPLOYED + 1, "state_root"),
        (another_root, LAST, LAST, "state_root"),
        (another_time, FIRST_COMMIT, FIRST_COMMIT + 1, "timestamp_s"),
        (another_time, LAST, LAST, "state_root"),
    ],
)
def test_a_block_forged_with_all_its_links(
    file: Path, change: Callable[[Block], Block], number: int, block: int, field: str
) -> None:
    forge(file, number, change)
    assert found_in(file) == (block, field)


def test_a_forged_state_with_a_block_that_says_so(file: Path) -> None:
    """Both the state table and the block that made it agree with each other; only running it tells."""
    slot = list(blocks(file))[LAST].changes.storage[0]
    wrong = msgspec.structs.replace(slot, value=b"\7" * 32)

    def rewrite(block: Block) -> Block:
        changed = [wrong if each == slot else each for each in block.changes.storage]
        return msgspec.structs.replace(block, changes=msgspec.structs.replace(block.changes, storage=changed))

    forge(file, LAST, rewrite)
    execute(file, "UPDATE storage SET value = ? WHERE address = ? AND key = ?", b"\7" * 32, slot.address, slot.key)
    assert found_in(file) == (LAST, "changes")
