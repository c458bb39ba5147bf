"""The embedded chain's own file: blocks, and the state after the newest, written in one transaction per block.

SQLite with a write-ahead log and ``synchronous=FULL``: whatever kills the process, the file holds whole blocks and the
state that belongs to the last of them. One process writes, and a lock beside the file keeps out a second; anyone may
read meanwhile. The blocks alone are the truth: the state can be had from them again (``chain_audit.py``).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from settlement.blocks import Block, genesis
from settlement.evm import AccountRow, Changes, StorageRow

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
    hash BLOB PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    address BLOB PRIMARY KEY, nonce INTEGER NOT NULL, balance BLOB NOT NULL, code BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS storage (
    address BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (address, key)) WITHOUT ROWID;
"""
_FORMAT = 2
"""Raised when blocks are hashed or kept in another way: a file of another format is refused, not misread."""
_CACHE_KIB = 64 * 1024  # pages of a large state are read again and again


class ChainFileError(Exception):
    """A chain file that can not be used: in use by another process, of another chain, or no chain file at all."""


class StoredBlock(NamedTuple):
    """A row of ``blocks``: its number, the hash kept beside it, and its encoded body."""

    number: int
    hash: bytes
    body: bytes

    def decode(self) -> Block:
        """The block. Raises msgspec.DecodeError when the bytes are none."""
        return msgspec.msgpack.decode(self.body, type=Block)


class KeptState:
    """The state after the newest block, row by row. Whoever asks for all of it reads what is there when it begins."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def account(self, address: bytes) -> AccountRow | None:
        """An account; None when there is none."""
        query = "SELECT address, nonce, balance, code FROM accounts WHERE address = ?"
        row = self._connection.execute(query, (address,)).fetchone()
        return None if row is None else AccountRow(*row)

    def accounts(self) -> Iterator[AccountRow]:
        """Every account."""
        rows = self._connection.execute("SELECT address, nonce, balance, code FROM accounts ORDER BY address")
        return (AccountRow(*row) for row in rows)

    def contracts(self) -> list[bytes]:
        """The addresses that have storage."""
        # one look for each account: DISTINCT would read every slot
        has_slots = "SELECT 1 FROM storage WHERE storage.address = accounts.address"
        rows = self._connection.execute(f"SELECT address FROM accounts WHERE EXISTS ({has_slots})")
        return [address for (address,) in rows]

    def slot(self, address: bytes, key: bytes) -> bytes | None:
        """The 32 bytes of a storage slot; None when they are zero."""
        query = "SELECT value FROM storage WHERE address = ? AND key = ?"
        row = self._connection.execute(query, (address, key)).fetchone()
        return None if row is None else bytes(row[0])

    def slots(self, address: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every slot of a contract that is not zero: key and value."""
        return iter(self._connection.execute("SELECT key, value FROM storage WHERE address = ?", (address,)))


class ChainReader:
    """A chain file seen as it was at one moment, while others may write on."""

    def __init__(self, path: Path) -> None:
        """Raises ChainFileError when there is no chain in the file."""
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            self._connection.execute("BEGIN")
            self.chain_id = _meta(self._connection, "chain_id")
            _check_format(self._connection, path)
            self.kept = KeptState(self._connection)
        except sqlite3.Error as error:
            raise ChainFileError(f"{path} is no chain file: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def count(self) -> int:
        """How many blocks there are, genesis included."""
        return int(self._connection.execute("SELECT count(*) FROM blocks").fetchone()[0])

    def blocks(self) -> Iterator[StoredBlock]:
        """Every block, in order."""
        rows = self._connection.execute("SELECT number, hash, body FROM blocks ORDER BY number")
        return map(StoredBlock._make, rows)

    def block(self, number: int) -> StoredBlock | None:
        """One block."""
        row = self._connection.execute("SELECT number, hash, body FROM blocks WHERE number = ?", (number,)).fetchone()
        return None if row is None else StoredBlock._make(row)

    def places(self) -> dict[bytes, tuple[int, int]]:
        """Block and position of each transaction, by its hash, as the index has them."""
        rows = self._connection.execute("SELECT hash, block, position FROM transactions")
        return {each: (block, position) for each, block, position in rows}

    def state(self) -> Changes:
        """The whole state, sorted as in ``Changes``."""
        return _state(self._connection)


class ChainStore:
    """The writing side: for one process at a time."""

    def __init__(self, path: Path, chain_id: int, genesis_s: int) -> None:
        """Open a chain file, or begin one with a genesis block of this time.

        Raises ChainFileError when another process has it, or it belongs to another chain.
        """
        self._lock = _lock(path)
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"cache_size=-{_CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)
        if self._connection.execute("SELECT 1 FROM blocks").fetchone() is None:
            self._begin_chain(chain_id, genesis_s)
        try:
            _check_format(self._connection, path)
            if (found := _meta(self._connection, "chain_id")) != chain_id:
                raise ChainFileError(f"{path} holds chain {found}, not chain {chain_id}")
        except ChainFileError:
            self.close()
            raise
        self.kept = KeptState(self._connection)

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    def _begin_chain(self, chain_id: int, genesis_s: int) -> None:
        with _writing(self._connection):
            rows = [("chain_id", chain_id), ("format", _FORMAT)]
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            first = genesis(chain_id, genesis_s)
            self._insert(first, first.hash())

    def append(self, block: Block, block_hash: bytes) -> None:
        """Keep a block with its hash and the state after it, all or none."""
        with _writing(self._connection):
            self._insert(block, block_hash)
            self._put_state(block.changes)

    def _insert(self, block: Block, block_hash: bytes) -> None:
        row = (block.number, block_hash, msgspec.msgpack.encode(block))
        self._connection.execute("INSERT INTO blocks VALUES (?, ?, ?)", row)
        places = [(each.transaction_hash, block.number, position) for position, each in enumerate(block.receipts)]
        self._connection.executemany("INSERT INTO transactions VALUES (?, ?, ?)", places)

    def _put_state(self, changes: Changes) -> None:
        nothing = bytes(32)
        for row in changes.accounts:
            self._connection.execute("DELETE FROM accounts WHERE address = ?", (row.address,))
            if row.nonce or row.code or row.balance != nothing:
                values = (row.address, row.nonce, row.balance, row.code)
                self._connection.execute("INSERT INTO accounts VALUES (?, ?, ?, ?)", values)
        kept = [(slot.address, slot.key, slot.value) for slot in changes.storage if slot.value != nothing]
        gone = [(slot.address, slot.key) for slot in changes.storage if slot.value == nothing]
        self._connection.executemany("INSERT OR REPLACE INTO storage VALUES (?, ?, ?)", kept)
        self._connection.executemany("DELETE FROM storage WHERE address = ? AND key = ?", gone)

    def head(self) -> Block:
        """The newest block."""
        body = self._connection.execute("SELECT body FROM blocks ORDER BY number DESC LIMIT 1").fetchone()[0]
        return msgspec.msgpack.decode(body, type=Block)

    def blocks_between(self, first: int, last: int) -> list[tuple[Block, bytes]]:
        """Blocks ``first`` to ``last``, both included, as far as they exist, each with its hash."""
        query = "SELECT body, hash FROM blocks WHERE number BETWEEN ? AND ? ORDER BY number"
        rows = self._connection.execute(query, (first, last)).fetchall()
        return [(msgspec.msgpack.decode(body, type=Block), block_hash) for body, block_hash in rows]

    def place_of(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """Block and position of a transaction."""
        row = self._connection.execute(
            "SELECT block, position FROM transactions WHERE hash = ?", (transaction_hash,)
        ).fetchone()
        return None if row is None else (row[0], row[1])


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and on the disk when it ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _lock(path: Path) -> sqlite3.Connection:
    """A lock that the operating system gives back when the holder dies: an open transaction on a file of its own."""
    connection = sqlite3.connect(path.with_name(path.name + ".lock"), isolation_level=None, timeout=0)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        raise ChainFileError(f"{path} is in use by another process") from error
    return connection


def _meta(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(f"{name} is missing")
    return int(row[0])


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    if (found := _meta(connection, "format")) != _FORMAT:
        raise ChainFileError(f"{path} has format {found}, and this version reads format {_FORMAT} only")


def _state(connection: sqlite3.Connection) -> Changes:
    accounts = connection.execute("SELECT address, nonce, balance, code FROM accounts ORDER BY address")
    slots = connection.execute("SELECT address, key, value FROM storage ORDER BY address, key")
    return Changes([AccountRow(*row) for row in accounts], [StorageRow(*row) for row in slots])
