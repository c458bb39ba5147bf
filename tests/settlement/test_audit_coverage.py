"""Every column of every table, and every field of a block, is changed in turn: the audit finds it, or says why not.

``market/audit_coverage.py`` names the columns that are not covered. All others are claimed to be, also those that
nobody has thought of yet.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from functools import partial
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from data.tables import metadata
from market import audit_coverage
from market.audit_coverage import UNCOVERED, block_fields
from market.auditing import steps_above
from settlement import audit
from settlement.blocks import Block
from settlement.chain_audit import ContradictionError, verify_chain_file
from settlement.compile import compiled
from tests.databases import url_of
from tests.settlement.chained_world import audit_terms, chained_world
from tests.settlement.mutated import Mutant, Remembering
from tests.settlement.settlement_world import a_day_of_trading
from tests.settlement.test_disputed_cycle import fallen, propose
from tests.settlement.whole_world import BEGUN, whole_world

PAGE = Path(__file__).parents[2] / "docs" / "audit_coverage.md"
IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
ROWS = 10_000 if IS_SOAK else 1
"""Rows in which each covered column is changed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with whole_world(folder):
        pass
    return folder


@pytest.fixture(scope="module")
def mutant(folder: Path) -> Iterator[Mutant]:
    with Remembering(folder / "chain.db", audit_terms().genesis.salt, compiled()) as chain:
        mutant = Mutant(url_of(folder), chain, audit_terms(), partial(steps_above, BEGUN))
        yield mutant
        mutant.close()


def test_as_it_is_it_holds_and_is_witnessed(folder: Path) -> None:
    said = StringIO()
    result = audit.run(
        url_of(folder),
        folder / "chain.db",
        audit_terms(),
        more_steps=partial(steps_above, BEGUN),
        console=Console(file=said, width=120),
    )
    assert result.contradiction is None, said.getvalue()
    assert result.witnesses == 1
    assert "UNWITNESSED" not in said.getvalue()


NO_ROWS = ("challenges", "reading_dispute_steps", "reading_disputes", "struck_trades", "void_cycles")
"""Nobody disputes anything in this world."""


@pytest.mark.parametrize("table", sorted(metadata.tables.keys() - set(NO_ROWS)))
def test_the_whole_world_has_a_row_of_every_table(mutant: Mutant, table: str) -> None:
    assert next(mutant.cells(next(iter(metadata.tables[table].c))), None) is not None


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_another_value_is_found_wherever_it_is_claimed(mutant: Mutant, table: str) -> None:
    for name in audit_coverage.covered(table):
        for cell in islice(mutant.cells(metadata.tables[table].c[name]), ROWS):
            found = mutant.audited(cell)
            assert found is not None, f"{cell} may be changed unseen"
            assert found.table != "record", f"{cell}: {found}"


@pytest.mark.parametrize("table", sorted(UNCOVERED.keys() - set(NO_ROWS)))
def test_what_is_said_not_to_be_covered_is_not(mutant: Mutant, table: str) -> None:
    for name in UNCOVERED[table]:
        cells = mutant.cells(metadata.tables[table].c[name])
        assert any(mutant.audited(cell) is None for cell in cells), f"{table}.{name} is covered after all"


@pytest.fixture(scope="module")
def disputed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mutant]:
    """A day with a trade that was struck, before its cycle is drafted again."""
    folder = tmp_path_factory.mktemp("disputed")
    with chained_world(folder) as chained:
        a_day_of_trading(chained.world)
        propose(chained)
        fallen(chained)
        with Remembering(chained.chain_file, audit_terms().genesis.salt, compiled()) as chain:
            mutant = Mutant(chained.url, chain, audit_terms(), lambda _: [])
            yield mutant
            mutant.close()


@pytest.mark.parametrize("table", ["challenges", "struck_trades", "void_cycles"])
def test_another_value_in_a_dispute_is_found(disputed: Mutant, table: str) -> None:
    for name in audit_coverage.covered(table):
        cells = list(disputed.cells(metadata.tables[table].c[name]))
        assert cells and all(disputed.audited(cell) is not None for cell in cells), f"{table}.{name}"


def test_the_page_is_the_lists() -> None:
    assert PAGE.read_text() == audit_coverage.markdown(), "python -m market.audit_coverage > docs/audit_coverage.md"


# ---------------------------------------------------------------------------------------------------- blocks


def changed_at(value: Any, path: tuple[str, ...]) -> Any:
    """The same with another value at a path of fields; of a list the first is changed."""
    if isinstance(value, list):
        at = next(index for index, each in enumerate(value) if _leads(each, path))
        return [*value[:at], changed_at(value[at], path), *value[at + 1 :]]
    if path:
        inner = changed_at(getattr(value, path[0]), path[1:])
        is_struct = isinstance(value, msgspec.Struct)
        return msgspec.structs.replace(value, **{path[0]: inner}) if is_struct else value._replace(**{path[0]: inner})
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:] if value else b"\1"


def _leads(value: Any, path: tuple[str, ...]) -> bool:
    """Whether there is a value at the path: no list on the way is empty."""
    if isinstance(value, list):
        return any(_leads(each, path) for each in value)
    return not path or _leads(getattr(value, path[0]), path[1:])


def blocks(file: Path) -> list[Block]:
    with sqlite3.connect(file) as connection:
        bodies = connection.execute("SELECT body FROM blocks ORDER BY number").fetchall()
    return [msgspec.msgpack.decode(body, type=Block) for (body,) in bodies]


@pytest.mark.parametrize("is_linked_again", [False, True])
@pytest.mark.parametrize("path", list(block_fields()), ids=".".join)
def test_another_value_in_a_block_is_found(
    folder: Path, tmp_path: Path, path: tuple[str, ...], is_linked_again: bool
) -> None:
    """Also by somebody who computes the hashes of the block and of all later ones anew."""
    file = Path(shutil.copy(folder / "chain.db", tmp_path / "chain.db"))
    chain = blocks(file)
    place = next(block.number for block in chain[5:] if _leads(block, path))
    with sqlite3.connect(file) as connection:
        write = "UPDATE blocks SET body = ?, hash = ? WHERE number = ?"
        parent_hash = chain[place].parent_hash
        for block in chain[place:] if is_linked_again else chain[place : place + 1]:
            forged = msgspec.structs.replace(block, parent_hash=parent_hash) if block.number > place else block
            forged = changed_at(forged, path) if block.number == place else forged
            parent_hash = forged.hash()
            kept_hash = parent_hash if is_linked_again else block.hash()
            connection.execute(write, (msgspec.msgpack.encode(forged), kept_hash, block.number))
    try:
        list(verify_chain_file(file))
    except ContradictionError:
        return
    assert is_linked_again, "the hashes alone give it away"
    result = audit.run(url_of(folder), file, audit_terms(), thorough=True, console=Console(file=StringIO()))
    assert result.contradiction is not None
