"""The schema of a database: made, or brought forward from an earlier release, by the revisions in ``migrations/``.

``tables.py`` says what the tables are now, the revisions say how they became so; a test holds the two equal. Forward
only, all revisions in one transaction: after a failure the database is what it was. To go back, restore a backup.

Most starts of a server find nothing to do, so Alembic is loaded only where there is: a revision's file begins with its
number, and what a database is of stands in one row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Engine, column, inspect, table

from data.database import reading

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"
_FIRST = "0001"
_TABLE_OF_THE_FIRST = "journal"
"""There since the first release, which kept no revision."""


class SchemaError(Exception):
    """This release can not work on the database's schema; the message says why."""


class Forwarded(NamedTuple):
    """Revisions before, None in a new database, and after."""

    before: str | None
    after: str


def bring_forward(database: Engine) -> Forwarded | None:
    """Make the tables in an empty database, or bring those of an earlier release forward; None: nothing to do.

    Nobody else may be at work on the database. Raises SchemaError when a newer release made it.
    """
    newest = _newest()
    with reading(database) as connection:
        if _revision(connection) == newest:
            return None
    from alembic import command

    with _rebuildable(database) as connection, connection.begin():
        config = _config(connection)
        before = standing(connection)
        if before == _FIRST:
            command.stamp(config, _FIRST)
        command.upgrade(config, "head")
        _check_references(connection)
    return Forwarded(before, newest)


def standing(connection: Connection) -> str | None:
    """The revision that a database is of, None when it has no tables yet. Raises SchemaError when it is too new."""
    revision = _revision(connection)
    if revision is None and inspect(connection).has_table(_TABLE_OF_THE_FIRST):
        return _FIRST
    return revision


def _revision(connection: Connection) -> str | None:
    """What the database says it is. Raises SchemaError when this release does not know it."""
    kept = table("alembic_version", column("version_num"))
    is_kept = inspect(connection).has_table(kept.name)
    revision: str | None = connection.execute(kept.select()).scalar() if is_kept else None
    if revision is not None and revision not in _known():
        raise SchemaError(
            f"the database is of schema {revision} and this release knows none after {_newest()}: "
            "a newer release has served it; use that one, or a backup from before"
        )
    return revision


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def _known() -> frozenset[str]:
    return frozenset(file.name[: len(_FIRST)] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _newest() -> str:
    return max(_known())


@contextmanager
def _rebuildable(database: Engine) -> Iterator[Connection]:
    """On SQLite a table is altered by building it again, so references are checked at the end and not meanwhile."""
    with database.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        if database.dialect.name != "sqlite":
            yield connection
            return
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise SchemaError(f"bringing the schema forward would leave rows of {broken[0]} without {broken[2]}")
