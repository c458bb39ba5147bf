"""The audit of a true market finds nothing; of a market in which anything was changed it finds what, and where."""

import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from settlement import audit, chain_audit
from settlement.audit import AuditResult, Scene, Step
from settlement.audit_scene import Tick
from settlement.compile import compiled
from settlement.contradiction import Contradiction
from tests.settlement.chained_world import ChainedWorld, audit_terms, settled_world
from tests.settlement.mutated import Remembering


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainedWorld]:
    with settled_world(tmp_path_factory.mktemp("settled")) as world:
        yield world


def run(
    url: str,
    chain_file: Path,
    *,
    thorough: bool = False,
    more_steps: Callable[[Scene], list[Step]] = lambda _: [],
) -> tuple[AuditResult, str]:
    said = io.StringIO()
    result = audit.run(
        url,
        chain_file,
        audit_terms(),
        thorough=thorough,
        seed=7,
        more_steps=more_steps,
        console=Console(file=said, width=120),
    )
    return result, said.getvalue()


# ------------------------------------------------------------------------------------------- the true market


def test_a_true_market_holds_and_the_audit_says_what_it_checked(settled: ChainedWorld) -> None:
    def no_steps(scene: Scene) -> list[Step]:
        assert [each.record.common.trade_id for each in scene.examiner.settled] == [1, 2, 3]
        return [Step("receivables", "receivables", 0, lambda _scene, _tick: iter(()))]

    result, said = run(settled.url, settled.chain_file, thorough=True, more_steps=no_steps)
    assert result.contradiction is None, said
    assert result.exit_code == 0
    done = {each.title: each.done for each in result.examined}
    assert done["orders against the journal"] == 7
    assert done["commitments, leaf by leaf"] == 3
    assert done["calls sent to the chain"] == 6
    assert done["a second verifier, all of them"] == 12
    unused = (
        "receivables",
        "challenges and struck trades",
        "exits against the chain",
        "what the custodian says it holds",
        "what outside witnesses saw of the chain",
    )
    assert all(number for title, number in done.items() if title not in unused), done
    assert "UNWITNESSED" in said
    assert "No contradiction" in said


def test_what_lies_above_settlement_is_asked_too(settled: ChainedWorld) -> None:
    def object_to(_scene: Scene, tick: Tick) -> Iterator[Contradiction]:
        tick(3)
        yield Contradiction("receivables", "3", "face_fen", "stated 2, computed 1")

    result, said = run(
        settled.url, settled.chain_file, more_steps=lambda _: [Step("receivables", "receivables", 5, object_to)]
    )
    assert result.exit_code == 1
    assert result.examined[-1] == ("receivables", 3, "receivables")
    assert "CONTRADICTION receivables 3, face_fen: stated 2, computed 1" in said


# -------------------------------------------------------------------------------------- a changed database


@pytest.fixture(scope="module")
def remembered(settled: ChainedWorld) -> Remembering:
    return Remembering(settled.chain_file, audit_terms().genesis.salt, compiled())


@pytest.fixture
def audited(
    settled: ChainedWorld, remembered: Remembering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Contradiction | None]:
    """Runs SQL on a copy of the database and audits that, taking the chain's file as checked."""
    monkeypatch.setattr(audit, "open_file", lambda *_: remembered)
    monkeypatch.setattr(chain_audit, "verify_chain_file", lambda *_, **__: iter(()))

    def change_and_audit(sql: str) -> Contradiction | None:
        copy = tmp_path / "copy.db"
        with sqlite3.connect(settled.folder / "market.db") as source, sqlite3.connect(copy) as target:
            source.backup(target)
            target.execute("PRAGMA foreign_keys=OFF")
            assert target.execute(sql).rowcount > 0, f"{sql} changes nothing"
        result, said = run(f"sqlite:///{copy}", settled.chain_file)
        assert (result.contradiction is None) == ("CONTRADICTION" not in said)
        copy.unlink()
        return result.contradiction

    return change_and_audit


def first_of(table: str, where: str = "1") -> str:
    """Says which row is the first of a table; the readings have no number but their key."""
    key = "slot_s, node_id, version" if table == "readings" else "rowid"
    return f"({key}) = (SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT 1)"


@pytest.mark.parametrize(
    "table", ["journal", "orders", "signatures", "trades", "commitments", "readings", "cycles", "statement_lines",
              "deliveries", "reading_signatures", "nodes", "chain_events", "cash", "deposits"],
)  # fmt: skip
def test_a_row_that_is_gone_is_missed(audited: Callable[[str], Contradiction | None], table: str) -> None:
    found = audited(f"DELETE FROM {table} WHERE {first_of(table)}")
    assert found is not None


def test_two_swapped_signatures_are_found(audited: Callable[[str], Contradiction | None]) -> None:
    found = audited(
        "UPDATE signatures SET signature = "
        "(SELECT s.signature FROM signatures s WHERE s.signature_id = 3 - signatures.signature_id) "
        "WHERE signature_id IN (1, 2)"
    )
    assert found is not None
    assert (found.table, found.column) == ("signatures", "signature")


def test_the_contradiction_names_table_key_and_column(audited: Callable[[str], Contradiction | None]) -> None:
    named = {
        "UPDATE orders SET price_ticks = 4801 WHERE order_id = 5": "orders 5, price_ticks: stated 4801, computed 4800",
        "UPDATE trades SET quantity_lots = 249 WHERE trade_id = 1": "trades 1, quantity_lots: stated 249, computed 250",
        "UPDATE statement_lines SET amount_micro = 1 WHERE cycle = 1 AND line = 3": (
            "cycles 1, statement line 3, amount_micro: stated 1, computed -50000"
        ),
    }
    for sql, words in named.items():
        assert str(audited(sql)) == words


def test_what_was_not_changed_is_not_objected_to(audited: Callable[[str], Contradiction | None]) -> None:
    assert audited("UPDATE members SET registered_s = 7 WHERE member_id = 100") is None


# ------------------------------------------------------------------------------------------ a changed chain


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE blocks SET body = CAST(substr(body, 1, length(body) - 1) || x'01' AS BLOB) WHERE number = 3",
        "UPDATE blocks SET body = 'no blob' WHERE number = 3",
        "UPDATE blocks SET hash = zeroblob(32) WHERE number = 3",
        "DELETE FROM blocks WHERE number = 3",
        "UPDATE transactions SET position = position + 1 WHERE block = 3",
        "UPDATE storage SET value = CAST(zeroblob(31) || x'7e' AS BLOB) WHERE rowid_of_any",
    ],
)
def test_a_changed_chain_file_is_found(settled: ChainedWorld, tmp_path: Path, sql: str) -> None:
    copy = tmp_path / "chain.db"
    with sqlite3.connect(settled.chain_file) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        any_slot = "(address, key) = (SELECT address, key FROM storage LIMIT 1)"
        assert target.execute(sql.replace("rowid_of_any", any_slot)).rowcount > 0
    result, said = run(settled.url, copy)
    assert result.contradiction is not None
    assert result.contradiction.table == "chain" or "no blob" in sql
    assert len(result.examined) == 1, said


def test_a_chain_of_another_market_is_none_of_ours(settled: ChainedWorld, tmp_path: Path) -> None:
    """Database and chain are each true, but not of one market."""
    with sqlite3.connect(settled.chain_file) as source, sqlite3.connect(tmp_path / "chain.db") as target:
        source.backup(target)
    terms = audit_terms()
    other = terms._replace(genesis=terms.genesis._replace(horizon_s=1))
    result = audit.run(settled.url, tmp_path / "chain.db", other, console=Console(file=io.StringIO()))
    assert result.contradiction is not None
    assert result.contradiction.key == "contract Clearing"
