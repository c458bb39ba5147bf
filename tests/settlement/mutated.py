"""A market's database changed cell by cell, each time audited, each time put back as it was.

A step of the audit is a function of the tables that it reads, of the chain, and of what earlier steps learnt. Which
tables each step reads is recorded while the true market is audited. After a change to one table, the steps that read
it are run again; all of them are, from the opening on, when the change could have reached what they have learnt: the
keys, the meters, the replayed journal.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Column, LargeBinary, Row, Table, UniqueConstraint, event, select, text, update

from data.database import open_database
from data.tables import metadata
from settlement import audit
from settlement.audit import StepsOf
from settlement.audit_scene import AuditTerms, Sampler, Scene, Step
from settlement.chain import ReadableChain
from settlement.chain_file import FileChain
from settlement.contradiction import Contradiction
from settlement.dispute_acts import struck_by
from settlement.examine_cycle import CycleExaminer, Parties

LEARNT_FROM = ("journal: heads, receipts, replay", "cycles: statements, deltas, roots")
SEED = 7
_WORDS = re.compile(r"\w+")


class Remembering(FileChain):
    """A chain's file, read once for many audits; whoever uses it leaves it open."""

    def __exit__(self, *_: object) -> None:
        """Stays open."""

    events = cache(FileChain.events)
    view = cache(FileChain.view)
    transactions = cache(FileChain.transactions)
    deployments = cache(FileChain.deployments)


class Cell(NamedTuple):
    """One value of one row; ``row`` is the row as it was."""

    column: Column[Any]
    row: Row[Any]

    @property
    def table(self) -> Table:
        assert isinstance(self.column.table, Table)
        return self.column.table

    def __str__(self) -> str:
        key = ", ".join(str(self.row._mapping[each]) for each in self.table.primary_key)
        return f"{self.column} of ({key})"


class Mutant:
    """One connection on a market; ``chain`` must be readable as often as one likes."""

    def __init__(self, url: str, chain: ReadableChain, terms: AuditTerms, more_steps: StepsOf) -> None:
        self._database = open_database(url)
        self._chain, self._terms, self._more_steps = chain, terms, more_steps
        self.connection = self._database.connect()
        self._lift_foreign_keys()
        self._read: set[str] = set()
        event.listen(self._database, "before_cursor_execute", self._note_tables)
        self._scene = self._opened()
        self._opening = self._taken()
        self._steps: list[tuple[Step, set[str]]] = []
        self._examiner_needed = False
        for step in audit.all_steps(self._scene, thorough=True, seed=SEED, more_steps=more_steps):
            found = audit.first_contradiction(step, self._scene)
            assert found is None, found
            self._steps.append((step, self._taken()))
            if step.title == LEARNT_FROM[0]:
                self._opening |= self._steps[-1][1]

    def close(self) -> None:
        event.remove(self._database, "before_cursor_execute", self._note_tables)
        self.connection.close()
        self._database.dispose()

    # ------------------------------------------------------------------------------------------------ changes

    def cells(self, column: Column[Any]) -> Iterator[Cell]:
        """Every value of a column, those that are not null first."""
        table = column.table
        assert isinstance(table, Table)
        rows = self.connection.execute(select(table).order_by(column.is_(None), *table.primary_key)).all()
        return (Cell(column, row) for row in rows)

    def audited(self, cell: Cell) -> Contradiction | None:
        """What the audit says once another value stands in a cell."""
        with self._changed(cell):
            if cell.table.name in self._opening:
                return self._from_the_start()
            return self._again(cell.table.name)

    @contextmanager
    def _changed(self, cell: Cell) -> Iterator[None]:
        same_row = [each == cell.row._mapping[each] for each in cell.table.primary_key]
        with self.connection.begin_nested() as savepoint:
            changed = self.connection.execute(
                update(cell.table).where(*same_row).values({cell.column: another(cell.column, cell.row)})
            )
            assert changed.rowcount == 1
            yield
            savepoint.rollback()

    # ------------------------------------------------------------------------------------------------- audits

    def _from_the_start(self) -> Contradiction | None:
        scene = self._opened()
        if isinstance(scene, Contradiction):
            return scene
        for step in audit.all_steps(scene, thorough=False, seed=SEED, more_steps=self._more_steps):
            found = audit.first_contradiction(step, scene)
            if found is not None:
                return found
        return None

    def _again(self, table: str) -> Contradiction | None:
        """The steps that read a table; from that of the cycles on all, when it does: they rely on its examiner."""
        scene, is_examined = self._scene, True
        for step, read in self._steps:
            if step.title == LEARNT_FROM[1] and table in read:
                scene, is_examined = replace(scene, examiner=self._new_examiner(scene)), False
            if table in read or not is_examined:
                found = audit.first_contradiction(step, scene)
                if found is not None:
                    return found
        return None

    def _new_examiner(self, scene: Scene) -> CycleExaminer:
        parties = Parties(self._terms.operator, self._terms.checker, self._terms.reading_signers, scene.keys)
        return CycleExaminer(self._terms.rules, scene.clearing, parties, scene.replay, lambda: struck_by(scene.events))

    def _opened(self) -> Any:
        return audit.open_scene(self.connection, self._chain, None, self._terms, Sampler(0, SEED))

    # ------------------------------------------------------------------------------------------------- within

    def _note_tables(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self._read.update(metadata.tables.keys() & set(_WORDS.findall(statement)))

    def _taken(self) -> set[str]:
        read, self._read = self._read, set()
        return read

    def _lift_foreign_keys(self) -> None:
        """Whoever changes a database by hand is not stopped by them."""
        is_sqlite = self.connection.dialect.name == "sqlite"
        self.connection.execute(
            text("PRAGMA defer_foreign_keys=ON" if is_sqlite else "SET session_replication_role = replica")
        )


def another(column: Column[Any], row: Row[Any]) -> Any:
    """Another value of the same kind: a bit of a blob, one more of a number, another last letter or digit."""
    value, kind = row._mapping[column], column.type
    if isinstance(kind, Boolean):
        return not value
    if isinstance(kind, LargeBinary):
        middle = len(value or b"") // 2
        return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :] if value else b"\1"
    if kind.python_type is int:
        is_key = _is_unique(column)  # one that is there already would be refused
        return (value or 0) + (1_000 if is_key else 1)
    places = [at for at, letter in enumerate(value or "") if letter.isalnum()]
    if not places:
        return f"{value or ''}x"
    place = places[-1]
    return value[:place] + ("y" if value[place] in "xX" else "x") + value[place + 1 :]


def _is_unique(column: Column[Any]) -> bool:
    together = (each.columns for each in column.table.constraints if isinstance(each, UniqueConstraint))
    return column.primary_key or any(column.name in columns for columns in together)
