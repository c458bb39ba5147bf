"""One server for one database: whoever comes second is turned away."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from market.store import try_advisory_lock


class AlreadyServedError(Exception):
    """Another process serves this database."""


@contextmanager
def served_alone(database: Engine) -> Iterator[None]:
    """Hold the database for this process while inside. Raises AlreadyServedError at once.

    SQLite: a lock on a file beside it, gone with the process however it ends. PostgreSQL: an advisory lock, gone with
    the connection.
    """
    message = "another server runs on this database; stop it first"
    if database.dialect.name != "sqlite":
        with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()  # closed for good in the end, not handed back to the pool with the lock on it
            if not try_advisory_lock(connection):
                raise AlreadyServedError(message)
            yield
        return
    with Path(f"{database.url.database}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyServedError(message) from error
        yield
