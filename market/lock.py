"""One server for one database: whoever comes second is turned away, and whoever lost its hold stops.

SQLite: a lock on a file beside it, gone with the process however it ends. PostgreSQL: an advisory lock, gone with its
connection, and so lost when PostgreSQL restarts. No connection outlives that; so every new one first makes sure of the
lock, and nothing is ever written through a connection that is younger than a lock lost. ``keep`` looks again and again.
"""

import asyncio
import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from market.store import has_answer, try_advisory_lock

PATIENCE_S = 3.0
"""How long the server before us may take to be gone once it was killed, and PostgreSQL to notice."""

KEEP_EVERY_S = 2.0


class AlreadyServedError(Exception):
    """Another process serves this database."""


class Hold:
    """PostgreSQL's lock, on a connection of its own. Any thread may ask."""

    def __init__(self, database: Engine) -> None:
        self._apart = create_engine(
            database.url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 5},
        )
        self._guard = threading.Lock()
        self._connection: Connection | None = None

    def ensure(self) -> None:
        """Hold the lock, or take it again. Raises AlreadyServedError when another has it, DBAPIError in an outage."""
        with self._guard:
            if self._connection is not None and not has_answer(self._connection):
                self._connection.invalidate()
                self._connection.close()
                self._connection = None
            if self._connection is None:
                self._connection = self._taken()

    def release(self) -> None:
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self._apart.dispose()

    def _taken(self) -> Connection:
        connection = self._apart.connect()
        try:
            _patiently(lambda: try_advisory_lock(connection))
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def served_alone(database: Engine) -> Iterator[Hold | None]:
    """Hold the database for this process while inside; what holds it on PostgreSQL. Raises AlreadyServedError."""
    if database.dialect.name == "sqlite":
        with _locked_file(Path(f"{database.url.database}.lock")):
            yield None
        return
    hold = Hold(database)

    def ensure(*_: object) -> None:
        hold.ensure()

    try:
        hold.ensure()
        event.listen(database, "connect", ensure)
        yield hold
    finally:
        if event.contains(database, "connect", ensure):
            event.remove(database, "connect", ensure)
        hold.release()


async def keep(hold: Hold) -> None:
    """Make sure of the lock from time to time. Ends, with AlreadyServedError, only when another server has it."""
    while True:
        await asyncio.sleep(KEEP_EVERY_S)
        try:
            await asyncio.to_thread(hold.ensure)
        except DBAPIError:
            continue  # an outage: whoever writes meets it and says so


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        _patiently(lambda: _flock(file))
        yield


def _flock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _patiently(take: Callable[[], bool]) -> None:
    """Raises AlreadyServedError."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not take():
        if time.monotonic() > deadline_s:
            raise AlreadyServedError("another server runs on this database; stop it first")
        time.sleep(0.05)
