"""Outside parties countersign the chain's head; a chain that was rewritten is not signed, and is noticed."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from data.database import reading
from market.config import Witness as WitnessTerms
from market.main import main
from settlement import hexjson, signatures, witnesses
from settlement.checker_client import MarketClient
from settlement.contradiction import Contradiction
from settlement.deploy import deploy_over
from settlement.headers import HeaderError, read_header
from settlement.jsonrpc import JsonRpc
from settlement.jwk import to_jwk
from settlement.node import Node
from settlement.node_methods import answer
from settlement.officer import Officer
from settlement.rpc import RpcChain
from settlement.witness import (
    RewrittenError,
    StatementsFile,
    StatementsFileError,
    Witness,
    follow,
    headers_of_market,
    headers_of_node,
)
from settlement.witnesses import Signer, Statement, Witnessed, witnessed_heads
from tests.market.world import World, open_market
from tests.settlement.chain_bench import RELAYER_KEY, chain_on, commit_calls, node_on, rpc_to
from tests.settlement.contract_bench import genesis

on_both_databases = pytest.mark.usefixtures("database_url")

KEY = ec.derive_private_key(77, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(78, ec.SECP256R1())
NOW_S = 1_782_864_000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_on(tmp_path / "chain.db") as node:
        yield node


@pytest.fixture
def chain(node: Node) -> RpcChain:
    return chain_on(node)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RpcChain]:
    """A chain that several threads may ask: its node lives in one of its own, as in its process."""
    with ThreadPoolExecutor(1) as own, ExitStack() as held:
        node = own.submit(held.enter_context, node_on(tmp_path / "served.db")).result()
        rpc = JsonRpc(lambda body: own.submit(answer, node, body).result())
        yield deploy_over(rpc, genesis(), RELAYER_KEY)
        own.submit(held.close).result()


@pytest.fixture
async def world(tmp_path: Path, served: RpcChain) -> AsyncIterator[World]:
    known = {
        name: WitnessTerms(to_jwk(signatures.public_key(key))) for name, key in (("press", KEY), ("bureau", OTHER_KEY))
    }
    async with open_market(tmp_path, chain=served, witnesses=known) as world:
        yield world


def witness_at(world: World, file: Path, name: str = "press", key: ec.EllipticCurvePrivateKey = KEY) -> Witness:
    market = MarketClient(world.server, Officer(0, key))
    signer = Signer(name, key, world.chain.domain("Clearing"))
    return Witness(signer, StatementsFile(file, signer), headers_of_market(market), market, lambda: NOW_S)


def grow(chain: RpcChain, count: int) -> None:
    """So many commitments more, each in a block of its own."""
    done = chain.head().number - 4
    for raw in chain.sign(commit_calls(chain, done + count)[done:]):
        chain.send([raw])


@on_both_databases
async def test_heads_are_signed_one_after_another_and_published(world: World, served: RpcChain, tmp_path: Path) -> None:
    file = tmp_path / "statements.jsonl"
    press = witness_at(world, file)
    first = await asyncio.to_thread(press.witness)
    assert first is not None
    assert (first.number, first.block, bytes(first.block_hash)) == (1, served.head().number, served.head().hash)
    assert await asyncio.to_thread(press.witness) is None, "no new block, nothing to sign"
    await asyncio.to_thread(grow, served, 3)
    again = witness_at(world, file)  # after a restart it goes on from its file
    second = await asyncio.to_thread(again.witness)
    assert second is not None
    assert (second.number, second.block) == (2, first.block + 3)
    assert bytes(second.previous) == witnesses.digest(world.chain.domain("Clearing"), first)
    shown = await world.get("/v1/witnesses")
    by_name = {each["witness"]: each for each in shown.body["witnesses"]}
    assert (by_name["press"]["statements"], by_name["bureau"]["newest"]) == (2, None)
    listed = await world.get("/v1/witnesses/statements?witness=press&after=1")
    assert listed.body["statements"] == [hexjson.dump(second)]
    assert (await world.get("/v1/witnesses/statements?witness=nobody")).status == 404


@on_both_databases
async def test_the_audit_gets_what_holds_and_what_contradicts(world: World, tmp_path: Path) -> None:
    await asyncio.to_thread(witness_at(world, tmp_path / "press.jsonl").witness)
    await asyncio.to_thread(witness_at(world, tmp_path / "bureau.jsonl", "bureau", OTHER_KEY).witness)
    known = Witnessed(world.context.config.witness_keys, world.chain.domain("Clearing"))

    def heads(witnessed: Witnessed) -> list[Statement | Contradiction]:
        with reading(world.context.database) as connection:
            return list(witnessed_heads(connection, witnessed))

    assert [each.witness for each in heads(known) if isinstance(each, Statement)] == ["bureau", "press"]
    swapped = {"press": known.keys["bureau"], "bureau": known.keys["press"]}
    assert all(isinstance(each, Contradiction) for each in heads(known._replace(keys=swapped)))
    assert all(isinstance(each, Contradiction) for each in heads(known._replace(keys={})))


async def test_what_is_no_next_statement_is_refused(world: World, tmp_path: Path) -> None:
    press = witness_at(world, tmp_path / "press.jsonl")
    said = await asyncio.to_thread(press.witness)
    assert said is not None
    body = hexjson.dump(said)
    assert (await world.post("/v1/witnesses/statements", body)).status == 201, "the same again changes nothing"
    domain = world.chain.domain("Clearing")
    for change, code in (
        ({"witness": "nobody"}, "unknown_witness"),
        ({"number": 2}, "out_of_order"),
        ({"block_s": said.block_s + 1}, "out_of_order"),
        ({"previous": "zz"}, "bad_hex"),
    ):
        refused = await world.post("/v1/witnesses/statements", {**body, **change})
        assert refused.code == code, (change, refused)
    following = msgspec.structs.replace(said, number=2, previous=hexjson.Hex(witnesses.digest(domain, said)))
    stolen = signatures.sign(OTHER_KEY, witnesses.digest(domain, following))
    forged = msgspec.structs.replace(following, signature=hexjson.Hex(stolen))
    assert (await world.post("/v1/witnesses/statements", hexjson.dump(forged))).code == "bad_signature"


def test_a_rewritten_chain_is_noticed_and_not_signed(tmp_path: Path) -> None:
    """The same contracts, another history: block by block in order, and still not what was signed."""
    kept = tmp_path / "kept.db"
    with node_on(tmp_path / "chain.db") as node:
        chain = chain_on(node)
    shutil.copy(tmp_path / "chain.db", kept)
    with node_on(tmp_path / "chain.db") as node:
        chain = chain_on(node)
        grow(chain, 2)
        signer = Signer("press", KEY, chain.domain("Clearing"))
        said = witnesses.state(signer, follow(headers_of_node(rpc_to(node)), None), None, NOW_S)
        grow(chain, 1)
        assert follow(headers_of_node(rpc_to(node)), said).number == said.block + 1
    with node_on(kept) as node:  # the database of an operator that went back and did something else
        chain = chain_on(node)
        node.mine()
        with pytest.raises(RewrittenError, match=f"no block {said.block}"):
            follow(headers_of_node(rpc_to(node)), said)
        for raw in chain.sign(commit_calls(chain, 3)):
            chain.send([raw])
        assert node.head.number > said.block
        with pytest.raises(RewrittenError, match=f"block {said.block} was"):
            follow(headers_of_node(rpc_to(node)), said)


def test_headers_that_do_not_follow_one_another_are_noticed(node: Node, chain: RpcChain) -> None:
    grow(chain, 3)
    read = headers_of_node(rpc_to(node))

    def with_a_hole(first: int, last: int) -> list[object]:
        found = read(first, last)
        return [*found[:2], *found[3:]]

    with pytest.raises(RewrittenError, match="does not follow"):
        follow(with_a_hole, None)  # type: ignore[arg-type]
    for junk in (b"", b"\xc0", bytes(300), b"\xf9\x02\x00"):
        with pytest.raises(HeaderError):
            read_header(junk)


def test_its_own_file_changed_by_others_is_not_gone_on_with(node: Node, chain: RpcChain, tmp_path: Path) -> None:
    signer, file = Signer("press", KEY, chain.domain("Clearing")), tmp_path / "statements.jsonl"
    kept = StatementsFile(file, signer)
    for count in range(3):
        grow(chain, 1)
        kept.append(witnesses.state(signer, follow(headers_of_node(rpc_to(node)), kept.last), kept.last, NOW_S + count))
    assert StatementsFile(file, signer).statements == kept.statements
    lines = file.read_bytes().splitlines(keepends=True)
    for wrong in (
        [lines[0], lines[2]],
        [lines[1], lines[2]],
        [lines[0], lines[1].replace(b'"number":2', b'"number":3')],
    ):
        file.write_bytes(b"".join(wrong))
        with pytest.raises(StatementsFileError, match="line"):
            StatementsFile(file, signer)


async def test_the_command_signs_once_and_tells_a_stranger_what_to_do(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, key in (("press", KEY), ("stranger", ec.derive_private_key(79, ec.SECP256R1()))):
        (tmp_path / f"{name}.pem").write_bytes(signatures.private_to_pem(key))

    def run(name: str) -> int:
        files = ["--key", str(tmp_path / f"{name}.pem"), "--file", str(tmp_path / f"{name}.jsonl")]
        return main(["witness", "--server", world.server, "--once", *files])

    assert await asyncio.to_thread(run, "press") == 0
    assert "signed 1: block" in capsys.readouterr().out
    assert await asyncio.to_thread(run, "stranger") == 2
    assert "[witnesses.NAME]" in capsys.readouterr().err
