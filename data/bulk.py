"""Many rows in few statements: what a database does well, and a loop over rows in Python does not.

A statement for each row costs a turn of the interpreter's lock for each row: with an event loop busy beside the
writer, every turn can be a wait. Here a thousand rows are one or two statements (SQLite: ``VALUES`` of many rows;
PostgreSQL: ``COPY``). Rows are tuples in the order of ``columns``, of values that the driver itself takes: whole
numbers, text, bytes, booleans, None. All of it belongs to the caller's transaction.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

AT_ONCE = 512
"""The most rows of one statement. SQLite bears 32,766 values in one, our widest table has some thirty columns."""

Rows = Sequence[tuple[Any, ...]]


def _portions(rows: Rows) -> Iterator[Rows]:
    """Rows in portions of AT_ONCE, then of falling powers of two: a few statements, each prepared once."""
    start, size = 0, AT_ONCE
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        yield rows[start : start + size]
        start += size


def insert_rows(connection: Connection, table: Table, columns: tuple[str, ...], rows: Rows) -> None:
    """Insert all rows, or raise DBAPIError."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, rows)
        return
    for some in _portions(rows):
        _run(connection, _insert(table.name, columns, len(some)), some)


def update_rows(connection: Connection, table: Table, key: str, columns: tuple[str, ...], rows: Rows) -> None:
    """Set ``columns`` of the rows whose ``key`` is the first value of each tuple; the others follow in order."""
    names = (key, *columns)
    types = _types(connection, table, names)
    for some in _portions(rows):
        statement = _update(table.name, names, types, len(some))
        _run(connection, statement, some)


def rows_with_keys(
    connection: Connection, table: Table, keys: tuple[str, ...], wanted: Rows, columns: tuple[str, ...]
) -> list[tuple[Any, ...]]:
    """``columns`` of the rows whose ``keys`` are one of the tuples ``wanted``, in no order; of tuples that stand twice,
    the row twice.

    SQLite looks through a whole table for ``(a, b) IN (VALUES ...)``. It keeps the order of a CROSS JOIN: takes the
    values one by one and finds the row of each by the index.
    """
    found: list[tuple[Any, ...]] = []
    types = _types(connection, table, keys)
    for some in _portions(wanted):
        statement = _select(table.name, keys, columns, types, len(some))
        found += _run(connection, statement, some).fetchall()
    return found


def _types(connection: Connection, table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    """PostgreSQL's types, for it takes what stands in ``VALUES`` for text; on SQLite there are none."""
    if connection.dialect.name != "postgresql":
        return ()
    return tuple(table.c[name].type.compile(connection.dialect) for name in names)


def _run(connection: Connection, statement: str, rows: Rows) -> Any:
    """The driver's cursor after one statement, past SQLAlchemy's own work for each, which is more than SQLite's."""
    driver: Any = connection.connection.dbapi_connection
    with _told_as_outage(connection, statement):
        return driver.execute(statement, tuple(chain.from_iterable(rows)))


def _copy(connection: Connection, table: Table, columns: tuple[str, ...], rows: Rows) -> None:
    driver: Any = connection.connection.dbapi_connection
    statement = f"COPY {table.name} ({', '.join(map(_quoted, columns))}) FROM STDIN"
    with _told_as_outage(connection, statement), driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _told_as_outage(connection: Connection, statement: str) -> Iterator[None]:
    """SQLAlchemy stands not between: what fails must look as if it did."""
    driver_error: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except driver_error as error:
        raise DBAPIError.instance(statement, None, error, driver_error, dialect=connection.dialect) from error


@lru_cache(maxsize=1024)
def _insert(table: str, columns: tuple[str, ...], count: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(map(_quoted, columns))}) VALUES {', '.join([row] * count)}"


@lru_cache(maxsize=1024)
def _update(table: str, names: tuple[str, ...], types: tuple[str, ...], count: int) -> str:
    changes = ", ".join(f"{_quoted(name)} = given.column{place}" for place, name in enumerate(names[1:], start=2))
    values = _values(len(names), types, count)
    return f"UPDATE {table} SET {changes} FROM ({values}) AS given WHERE {table}.{_quoted(names[0])} = given.column1"


@lru_cache(maxsize=1024)
def _select(table: str, keys: tuple[str, ...], columns: tuple[str, ...], types: tuple[str, ...], count: int) -> str:
    asked = ", ".join(f"{table}.{_quoted(name)}" for name in columns)
    same = " AND ".join(f"{table}.{_quoted(name)} = given.column{place}" for place, name in enumerate(keys, start=1))
    return f"SELECT {asked} FROM ({_values(len(keys), types, count)}) AS given CROSS JOIN {table} WHERE {same}"


def _values(width: int, types: tuple[str, ...], count: int) -> str:
    """``VALUES`` of so many rows; the first one's types hold for all."""
    mark = "%s" if types else "?"
    plain = f"({', '.join([mark] * width)})"
    first = f"({', '.join(f'{mark}::{kind}' for kind in types)})" if types else plain
    return f"VALUES {', '.join([first, *[plain] * (count - 1)])}"


def _quoted(name: str) -> str:
    return f'"{name}"'
