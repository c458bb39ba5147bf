"""Several nodes of one network: the dead, the slow, the ones behind and the foreign are found out and not asked."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from settlement import endpoints
from settlement.chain import ChainUnavailableError
from settlement.chain_store import ChainStore
from settlement.deploy import deploy_over
from settlement.endpoints import Endpoints, Identity, WrongChainError
from settlement.jsonrpc import HttpPost, JsonRpc
from settlement.node import Node
from settlement.node_methods import answer
from tests.settlement.chain_bench import RELAYER_KEY, commit_calls, live_one_life
from tests.settlement.contract_bench import CHAIN_ID, START_S, genesis

TIMEOUT_S, PATIENCE_S = 0.5, 60.0


class Owned:
    """A node in the one thread that may use its file."""

    def __init__(self, file: Path, chain_id: int = CHAIN_ID, start_s: int = START_S) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._store = self._pool.submit(ChainStore, file, chain_id, start_s).result()
        self.node = self._pool.submit(Node, self._store, chain_id, None).result()

    def answer(self, body: bytes) -> bytes:
        return self._pool.submit(answer, self.node, body).result()

    def mine(self) -> None:
        self._pool.submit(self.node.mine).result()

    def genesis_hash(self) -> bytes:
        (block,) = self._pool.submit(self._store.blocks_between, 0, 0).result()
        return block[1]

    def close(self) -> None:
        self._pool.submit(self._store.close).result()
        self._pool.shutdown()


class Served:
    """A node behind HTTP that can be made to behave badly; ``asked`` counts what is not a look at it."""

    def __init__(self, node: Owned) -> None:
        self.node = node
        self.asked = 0
        self.change: Callable[[bytes], bytes] = lambda body: body
        self.headers: dict[str, str | None] = {}
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> bytes:
        with self._lock:
            self.asked += b"eth_chainId" not in body
            return self.change(self.node.answer(body))


@contextmanager
def served(node: Owned, port: int = 0) -> Iterator[tuple[Served, str]]:
    one = Served(node)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            one.headers = {name: self.headers.get(name) for name in ("Authorization", "Host")} | {"path": self.path}
            said = one.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield one, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Owned]:
    node = Owned(tmp_path / "chain.db")
    node.mine()
    yield node
    node.close()


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "LOOK_EVERY_S", 0.0)


def connect(
    *urls: str, said: list[str] | None = None, timeout_s: float = PATIENCE_S, **options: int
) -> tuple[Endpoints, JsonRpc]:
    lines: list[str] = [] if said is None else said
    made = Endpoints(urls, timeout_s=timeout_s, say=lines.append, chain_id=CHAIN_ID, **options)
    return made, JsonRpc(made)


def test_the_first_that_is_well_is_asked_and_the_next_when_it_dies(node: Owned) -> None:
    said: list[str] = []
    with served(node) as (second, url):
        with served(node) as (first, first_url):
            _, rpc = connect(first_url, url, said=said)
            assert rpc.ask("eth_blockNumber") == "0x1"
            assert (first.asked, second.asked) == (1, 0)
            port = int(first_url.rsplit(":", 1)[1])
        assert rpc.ask("eth_blockNumber") == "0x1"
        assert second.asked == 1
        with served(node, port) as (again, _):
            assert rpc.ask("eth_blockNumber") == "0x1"
            assert again.asked == 1, "it answers again, and comes first again"
    assert [line.split(" ", 1)[1].split(":")[0].split(",")[0] for line in said[-2:]] == ["is away", "answers"]
    with pytest.raises(ChainUnavailableError):
        rpc.ask("eth_blockNumber")


def test_one_that_is_behind_is_asked_only_when_no_other_answers(node: Owned) -> None:
    for _ in range(9):
        node.mine()
    with served(node) as (behind, url):
        behind.change = lambda said: said.replace(b'"0xa"', b'"0x4"')
        with served(node) as (ahead, other):
            _, rpc = connect(url, other, lag_blocks=5)
            assert rpc.ask("eth_blockNumber") == "0xa"
            assert (behind.asked, ahead.asked) == (0, 1)
            behind.change = lambda said: said.replace(b'"0xa"', b'"0x5"')
            assert rpc.ask("eth_blockNumber") == "0x5", "within the bound the order given decides"
            behind.change = lambda said: said.replace(b'"0xa"', b'"0x4"')
        assert rpc.ask("eth_blockNumber") == "0x4"


def test_one_that_does_not_answer_in_time_or_talks_nonsense_is_left(node: Owned) -> None:
    with served(node) as (bad, url), served(node) as (_, other):
        _, rpc = connect(url, other, timeout_s=TIMEOUT_S)
        for change in (lambda said: (time.sleep(3 * TIMEOUT_S), said)[1], lambda _: b"<html>busy</html>"):
            bad.change = change
            assert rpc.ask("eth_blockNumber") == "0x1"


@pytest.mark.parametrize(("chain_id", "start_s"), [(CHAIN_ID + 1, START_S), (CHAIN_ID, START_S + 1)])
def test_one_of_another_chain_id_or_genesis_is_refused(
    node: Owned, tmp_path: Path, chain_id: int, start_s: int
) -> None:
    """At the start the operator hears of it; one that comes later is never asked."""
    other, said = Owned(tmp_path / "other.db", chain_id, start_s), list[str]()
    with served(node) as (_, url):
        with served(other) as (foreign, foreign_url):
            with pytest.raises(WrongChainError, match="another chain"):
                connect(url, foreign_url)
            port = int(foreign_url.rsplit(":", 1)[1])
        made, rpc = connect(f"http://127.0.0.1:{port}", url, said=said)
        with served(other, port) as (foreign, _):
            assert rpc.ask("eth_chainId") == hex(CHAIN_ID)
            assert foreign.asked == 0
        assert any("is refused" in line for line in said)
        kept = Identity(CHAIN_ID, b"\1" * 32)
        with pytest.raises(WrongChainError):
            Endpoints([url], timeout_s=TIMEOUT_S, identity=kept)
        assert made.identity == Identity(CHAIN_ID, node.genesis_hash())
    other.close()


def test_nobody_there_at_the_start_is_an_outage() -> None:
    with pytest.raises(ChainUnavailableError, match="no node"):
        connect("http://127.0.0.1:1")


def test_a_name_and_password_and_a_query_are_sent_along(node: Owned) -> None:
    with served(node) as (one, url):
        place = url.removeprefix("http://")
        rpc = JsonRpc(HttpPost(f"http://gate:se%2Fcret@{place}/rpc?key=7"))
        assert rpc.ask("eth_chainId") == hex(CHAIN_ID)
        assert one.headers == {"Authorization": "Basic Z2F0ZTpzZS9jcmV0", "Host": place, "path": "/rpc?key=7"}


def test_transactions_go_through_whichever_node_answers(node: Owned) -> None:
    with served(node) as (_, url), served(node) as (_, other):
        chain = deploy_over(connect(url, other)[1], genesis(), RELAYER_KEY)
        raw = chain.sign(commit_calls(chain, 2))
        receipts = chain.send(raw[:1])
        through_other = deploy_over(connect(other, url)[1], genesis(), RELAYER_KEY)
        assert through_other.send(raw)[:1] == receipts


def test_blocks_that_a_node_does_not_have_yet_are_not_taken_for_lost(node: Owned) -> None:
    with served(node) as (_, url), served(node) as (_, other):
        options = {"gone_back_after_s": 0.2}
        chain = deploy_over(connect(url, other)[1], genesis(), RELAYER_KEY, **options)
        head = chain.head()
        with pytest.raises(ChainUnavailableError, match="does not have yet"):
            chain.block_hashes([head.number, head.number + 1])
        time.sleep(0.25)
        assert chain.block_hashes([head.number, head.number + 1]) == [head.hash, None]


def test_headers_of_a_proof_of_authority_network_are_nothing_special(node: Owned) -> None:
    """QBFT puts validators and seals into ``extraData``: several hundred bytes where Ethereum allows 32."""

    def of_authority(said: bytes) -> bytes:
        answers = msgspec.json.decode(said)
        for each in answers:
            if isinstance(block := each.get("result"), dict) and "parentHash" in block:
                block |= {"extraData": f"0x{'f8' * 400}", "difficulty": "0x1", "mixHash": f"0x{'63' * 32}"}
                block.pop("baseFeePerGas", None)
        return msgspec.json.encode(answers)

    with served(node) as (one, url):
        one.change = of_authority
        live_one_life(deploy_over(connect(url)[1], genesis(), RELAYER_KEY))
