"""Opening the database: SQLite by default, PostgreSQL by its URL; short explicit transactions on both.

``with database.begin() as connection`` is a writing transaction (``BEGIN IMMEDIATE`` on SQLite: it waits for its turn
at the start, so it never fails half way on a lock). ``with reading(database) as connection`` is a snapshot that blocks
nobody. On SQLite: write-ahead log, ``synchronous=FULL`` (a commit that returned survives a power cut), foreign keys on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

LOCK_WAIT_S = 30

_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5}
"""libpq's, in seconds, ``tcp_user_timeout`` in milliseconds: a network that swallows everything is an outage too."""


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def open_database(url: str) -> Engine:
    """An engine for ``sqlite:///file`` or ``postgresql://...``. Threads may share it. Creates no tables."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, connect_args=_PATIENCE)
    engine = create_engine(url, connect_args={"timeout": LOCK_WAIT_S})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def reading(database: Engine) -> Iterator[Connection]:
    """A read-only snapshot: what is read inside belongs together, and no writer waits for it."""
    options: dict[str, Any] = {"jinsha_reading": True}
    if database.dialect.name != "sqlite":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with database.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def _set_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver sends no BEGIN of its own
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    is_reading = connection.get_execution_options().get("jinsha_reading", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")
