"""The revisions lead to the tables, from nothing and from the first release, and lose no row on the way."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, Table, insert, inspect, select, text

from data import schema
from data.database import open_database, sqlite_url
from data.schema import Forwarded, SchemaError, bring_forward
from data.tables import metadata
from tests.data.small_market import rows_by_table
from tests.postgresql import Cluster

OF_ALEMBIC = "alembic_version"
MOVED = {
    "members": {"admission_record"},
    "readings": {"received_s"},
    "reading_signatures": {"leaves"},
}
"""Columns whose content is elsewhere by now: in ``member_decisions``, in the signature of readings, in two columns."""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "market.db")
        return
    server: Cluster = request.getfixturevalue("postgresql")
    url = server.new_database()
    yield url
    server.drop_database(url)


LEAVES = bytes(range(64))
BEFORE: dict[str, dict[str, Any]] = {"readings": {"received_s": 17}, "reading_signatures": {"leaves": LEAVES}}
"""What the first release had in such columns."""


def first_release(database: Engine, *, keeps_revision: bool) -> dict[str, list[dict[str, Any]]]:
    """Make a database as the first release left it, with a market in it; its rows by table."""
    with database.begin() as connection:
        command.upgrade(schema._config(connection), "0001")
        if not keeps_revision:
            connection.execute(text(f"DROP TABLE {OF_ALEMBIC}"))
        tables = MetaData()
        tables.reflect(connection)
        for name, rows in rows_by_table().items():
            columns = tables.tables[name].c
            kept = [
                {column: value for column, value in row.items() if column in columns} | BEFORE.get(name, {})
                for row in rows
            ]
            connection.execute(insert(tables.tables[name]), kept)
        return rows_in(connection, tables)


def rows_in(connection: Connection, tables: MetaData) -> dict[str, list[dict[str, Any]]]:
    """Every row of these tables, in these columns but those that moved."""

    def columns(table: Table) -> list[Any]:
        return [column for column in table.c if column.name not in MOVED.get(table.name, ())]

    return {
        table.name: [
            dict(row._mapping) for row in connection.execute(select(*columns(table)).order_by(*table.primary_key))
        ]
        for table in tables.sorted_tables
        if table.name != OF_ALEMBIC
    }


def differences(database: Engine) -> list[Any]:
    with database.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), metadata)


def test_the_revisions_lead_to_the_tables(empty_url: str) -> None:
    database = open_database(empty_url)
    assert bring_forward(database) == Forwarded(None, schema._newest())
    assert differences(database) == []
    assert bring_forward(database) is None
    database.dispose()


@pytest.mark.parametrize("keeps_revision", [True, False])
def test_a_market_of_the_first_release_comes_forward_whole(empty_url: str, keeps_revision: bool) -> None:
    database = open_database(empty_url)
    before = first_release(database, keeps_revision=keeps_revision)
    assert before["trades"] and before["receivables"]
    first = MetaData()
    first.reflect(database)
    assert bring_forward(database) == Forwarded("0001", schema._newest())
    assert differences(database) == []
    with database.connect() as connection:
        assert rows_in(connection, first) == before
        signed = connection.execute(text("SELECT received_s, other_leaves FROM reading_signatures")).one()
        placed = bytes(4) + LEAVES[:32] + b"\0\0\0\1" + LEAVES[32:]
        assert (signed.received_s, bytes(signed.other_leaves)) == (17, placed)
    database.dispose()


ANOTHER = """
    INSERT INTO receivables SELECT :id, :at, period, creditor, debtor, face_fen, terms_days, issue_day, due_day,
    trades_root, salt, :state, holder, :advance, proceeds_fen, :paid, :on, act, act_outbox, act_reason, changed_s,
    change FROM receivables WHERE number = 1
"""
"""A receivable like the one that the first release left, but for its state and its sums."""


def test_what_a_bank_had_financed_becomes_two_parts(empty_url: str) -> None:
    """Paid from the holder's claim on; what was never sold is one part, and what is not on the chain has none."""
    database = open_database(empty_url)
    first_release(database, keeps_revision=True)
    with database.begin() as connection:
        rows = [("partly_paid", 40, 45, True), ("acknowledged", 0, 10, True), ("rejected", 0, 0, True)]
        for at, (state, advance, paid, on_chain) in enumerate([*rows, ("issued", 0, 0, False)]):
            given = {"id": bytes([at]) * 32, "at": at + 10, "state": state, "advance": advance, "paid": paid}
            connection.execute(text(ANOTHER), given | {"on": on_chain})
    bring_forward(database)
    with database.connect() as connection:
        query = "SELECT receivable_id, part, claim, open_fen FROM receivable_parts ORDER BY receivable_id, part"
        found = [(bytes(each[0])[0], *each[1:]) for each in connection.execute(text(query))]
    assert found == [(0, 1, 1, 0), (0, 2, 0, 7), (1, 1, 0, 42), (2, 1, 0, 0)]
    database.dispose()


def test_a_newer_database_is_left_alone(empty_url: str) -> None:
    database = open_database(empty_url)
    bring_forward(database)
    with database.begin() as connection:
        connection.execute(text(f"UPDATE {OF_ALEMBIC} SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="of schema 9999 and this release knows none after"):
        bring_forward(database)
    database.dispose()


def test_what_fails_half_way_changes_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(empty_url)
    before = first_release(database, keeps_revision=False)

    def fail(_: Connection) -> None:
        raise SchemaError("after the last revision, before the commit")

    monkeypatch.setattr(schema, "_check_references", fail)
    with pytest.raises(SchemaError):
        bring_forward(database)
    tables = MetaData()
    tables.reflect(database)
    assert not inspect(database).has_table(OF_ALEMBIC)
    with database.connect() as connection:
        assert rows_in(connection, tables) == before
    database.dispose()


def test_a_reference_left_behind_is_noticed(tmp_path: Path) -> None:
    """SQLite looks at references only at the end of a migration; PostgreSQL at every step."""
    database = open_database(sqlite_url(tmp_path / "market.db"))
    first_release(database, keeps_revision=True)
    with closing(sqlite3.connect(tmp_path / "market.db")) as driver, driver:  # checks no references by itself
        driver.execute("DELETE FROM members WHERE member_id = (SELECT min(member_id) FROM orders)")
    with pytest.raises(SchemaError, match="without members"):
        bring_forward(database)
    database.dispose()


def test_a_revision_is_known_by_its_file() -> None:
    """What is known without Alembic is what Alembic would walk through."""
    with open_database("sqlite://").connect() as connection:
        scripts = ScriptDirectory.from_config(schema._config(connection)).walk_revisions()
    assert {script.revision for script in scripts} == schema._known()
