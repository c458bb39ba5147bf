"""A trade's proof on either kind of chain, verified by ``verifier`` as anybody would run it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.database import reading
from settlement import hexjson, proofs, store
from tests.market import documented
from tests.settlement.chained_world import ChainedWorld, chained_world
from tests.settlement.settlement_world import DAY, a_day_of_trading, start_of
from tests.verifier.tampering import put, tampered
from verifier.chain import Known
from verifier.command import main
from verifier.document import MalformedError
from verifier.files import verify
from verifier.report import Report

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainedWorld]:
    with chained_world(tmp_path_factory.mktemp("world")) as chained:
        a_day_of_trading(chained.world)
        chained.world.commit(start_of(DAY), at_once=True)
        chained.send(start_of(DAY))
        yield chained


@pytest.fixture(scope="module")
def files(chained: ChainedWorld) -> dict[str, Any]:
    """The proof of an order signed alone, and of one signed with others."""
    found = {}
    with reading(chained.world.database) as connection:
        for trade in store.trades_between(connection, 1, chained.world.trades):
            gathered = proofs.gather(
                connection, trade.slot_trade.trade_id, trade.slot_trade.buyer, chained.chain.domain("Clearing")
            )
            assert not isinstance(gathered, str)
            file = msgspec.json.decode(hexjson.dumps(proofs.with_events(gathered, chained.chain)))
            found["batch" if file["order"]["count"] else "alone"] = file
    assert set(found) == {"alone", "batch"}
    return found


def is_refused(document: Any) -> bool:
    report = Report()
    try:
        verify(document, report, Known())
    except MalformedError:
        return True
    return not report.holds


@pytest.mark.parametrize("kind", ["alone", "batch"])
def test_every_field_changed_in_turn_is_refused(files: dict[str, Any], kind: str) -> None:
    assert not is_refused(files[kind])
    tried = 0
    for place, document in tampered(files[kind]):
        assert is_refused(document), place
        tried += 1
    assert tried > 300


@pytest.mark.parametrize("kind", ["alone", "batch"])
def test_the_file_is_as_the_openapi_document_says(files: dict[str, Any], kind: str) -> None:
    documented.check("GET", "/v1/trades/1/proof", 200, "application/json", files[kind])
    with pytest.raises(AssertionError):
        documented.check("GET", "/v1/trades/1/proof", 200, "application/json", put(files[kind], ("side",), "buy"))


def run(tmp_path: Path, file: Any, *arguments: str) -> int:
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(file))
    return main([str(path), *arguments])


def test_it_says_what_was_only_believed_and_a_header_ends_that(
    files: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [files["alone"]["committed"], *files["alone"]["key_events"]]
    hashes = sorted({event["block_hash"] for event in events})
    assert run(tmp_path, files["alone"], "--lang", "en") == 0
    assert capsys.readouterr().out.count("it was compared with nothing") == len(hashes) == 2
    given = [argument for each in hashes for argument in ("--block-hash", "0x" + each)]
    assert run(tmp_path, files["alone"], "--lang", "en", *given) == 0
    said = capsys.readouterr().out
    assert "it was compared with nothing" not in said
    assert "is the one you brought" in said
    assert "no change of member 103's key was left out" in said
    assert run(tmp_path, files["alone"], "--block-hash", "00" * 32) == 1
    assert run(tmp_path, files["alone"], "--block-hash", "zz") == 2


def test_a_header_as_a_node_gives_it(
    chained: ChainedWorld, files: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (event,) = [each for each in chained.chain.events(0) if each.event == "Committed"]
    header = chained.chain._rpc.ask("eth_getBlockByNumber", hex(event.block), False)
    path = tmp_path / "header.json"
    path.write_text(json.dumps(header))
    assert run(tmp_path, files["alone"], "--header", str(path), "--lang", "en") == 0
    assert f"Block {event.block} is the one you brought" in capsys.readouterr().out
    path.write_text(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {**header, "hash": "0x" + "11" * 32}}))
    assert run(tmp_path, files["alone"], "--header", str(path)) == 1
    path.write_text("{}")
    assert run(tmp_path, files["alone"], "--header", str(path)) == 2


def test_it_speaks_chinese_where_people_do(
    files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert run(tmp_path, files["alone"]) == 0
    assert "The proof holds." in capsys.readouterr().out
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert run(tmp_path, files["alone"]) == 0
    assert "证明成立" in capsys.readouterr().out
    assert run(tmp_path, put(files["alone"], ("half", "price_ticks"), 1)) == 1
    assert "证明不成立" in capsys.readouterr().out
    assert run(tmp_path, files["alone"], "--lang", "en") == 0
    assert "The proof holds." in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "7", "[]", '{"kind": "cheese"}', '{"a": 1, "a": 2}', '{"a": 1.5}', "[" * 100_000])
def test_what_is_no_proof_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_text(text)
    assert main([str(tmp_path / "proof.json")]) == 2
    assert main([str(tmp_path / "missing.json")]) == 2


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {"market", "finance", "matching", "data", "sqlalchemy", "msgspec", "aiohttp", "eth_abi", "ethereum",
                   "rlp", "trie", "numpy", "pandas", "socket", "sqlite3"} or (
                       top == "settlement" and name not in ("settlement", "settlement.keccak")):
            raise ImportError(f"{name} is not for a verifier")

sys.meta_path.insert(0, Blocker())
sys.argv = ["verifier", *sys.argv[1:]]
import runpy
runpy.run_module("verifier", run_name="__main__")
"""


def test_it_needs_no_market_no_database_and_no_network(files: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(files["batch"]))
    command = [sys.executable, "-c", BLOCKED, str(path), "--lang", "en"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "The proof holds." in done.stdout
    path.write_text(json.dumps(put(files["batch"], ("common", "quantity_lots"), 1)))
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert again.returncode == 1
