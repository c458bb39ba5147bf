"""What is in the outbox happens on the chain once and in order, whatever is killed, lost, doubled or given up.

Each on both sides of the chain port, with processes that are really killed. A commitment is refused by the contract
unless it follows the one before, so a call too many, too few or out of order shows.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from data.database import open_database, reading
from data.schema import bring_forward
from data.tables import outbox as table
from settlement import acts, calls, mirror, mirror_store, outbox, reorganisation, store
from settlement.acts import Admission, Mint
from settlement.chain import Call, Chain, ChainUnavailableError
from settlement.deploy import deploy, deploy_over
from settlement.jsonrpc import HttpPost, JsonRpc
from settlement.keccak import keccak
from settlement.rpc import RpcChain
from settlement.writer import Writer
from tests.databases import url_of
from tests.settlement.chain_bench import ANNA, BORIS, commit_calls
from tests.settlement.contract_bench import CUSTODIAN, OPERATOR, YUAN, genesis, public, sign
from tests.settlement.sides import Anvil, Side, side

PATIENCE_S = 60
MOMENTS = ("signed", "kept", "half", "handed")


@pytest.fixture(scope="module", params=["embedded", "anvil"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    with side(request.param, tmp_path_factory.mktemp("chain")) as running:
        yield running


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with side("anvil", tmp_path_factory.mktemp("anvil")) as running:
        assert isinstance(running, Anvil)
        yield running


@pytest.fixture
def relayer(request: pytest.FixtureRequest) -> bytes:
    """A key of the test's own, so that its contracts are its own too."""
    return keccak(request.node.name.encode())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    database = open_database(url_of(tmp_path))
    bring_forward(database)
    yield database
    database.dispose()


@pytest.fixture
def either(database_url: str, database: Engine) -> Engine:
    """The database on SQLite and on PostgreSQL."""
    assert database_url
    return database


def market(running: Side, relayer: bytes) -> RpcChain:
    return deploy(running.url, genesis(), relayer)


def put(database: Engine, wanted: Sequence[Call]) -> None:
    with database.begin() as connection:
        for call in wanted:
            outbox.put(connection, call)


def rows(database: Engine) -> list[Any]:
    with reading(database) as connection:
        return list(connection.execute(select(table).order_by(table.c.outbox_id)))


def check(database: Engine, chain: RpcChain, count: int) -> None:
    """So many commitments on the chain, each once and in order, and recorded as the chain has them."""
    kept = rows(database)
    assert [(row.state, row.refusal) for row in kept] == [("done", None)] * len(kept)
    found = [event for event in chain.events(0) if event.event == "Committed"]
    assert [event.arguments["index"] for event in found] == list(range(1, count + 1))
    by_hash = {row.transaction_hash: (row.block, row.block_hash) for row in kept}
    assert all(by_hash[event.transaction_hash] == (event.block, event.block_hash) for event in found)


def test_a_writer_that_is_killed_at_any_moment(running: Side, database: Engine, relayer: bytes, tmp_path: Path) -> None:
    """Stored and not kept as signed, kept and not sent, half sent, sent and not marked as done."""
    chain = market(running, relayer)
    wanted = iter(commit_calls(chain, 2 * len(MOMENTS)))
    for moment in MOMENTS:
        put(database, [next(wanted), next(wanted)])
        command = [sys.executable, "-m", "tests.settlement.dying_writer"]
        command += [url_of(tmp_path), running.url, relayer.hex(), moment]
        assert subprocess.run(command, check=False, timeout=PATIENCE_S).returncode == -signal.SIGKILL
    assert Writer(database, chain).drain() == 2 * len(MOMENTS), "none lived to mark what it had sent"
    check(database, chain, 2 * len(MOMENTS))


def test_a_node_that_is_killed_and_comes_back(
    running: Side, database: Engine, relayer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlement.writer.RETRY_S", 0.05)
    monkeypatch.setattr("settlement.writer.CALLS_IN_BATCH", 2)
    chain = market(running, relayer)
    wanted, outages = commit_calls(chain, 12), list[ChainUnavailableError]()
    stop, wake = threading.Event(), threading.Event()
    writer = Writer(database, chain)
    thread = threading.Thread(target=writer.run, args=(stop, wake, outages.append))
    thread.start()
    try:
        put(database, wanted[:6])
        running.kill()
        put(database, wanted[6:])
        wait_for(lambda: bool(outages))
        running.start()
        wait_for(lambda: not writer.waiting())
    finally:
        stop.set()
        thread.join()
    check(database, chain, 12)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


class LosingPost:
    """Delivers every request, and loses the answers to those of some methods, as often as said."""

    def __init__(self, url: str, lost: dict[bytes, int]) -> None:
        self._post, self.lost = HttpPost(url), lost

    def __call__(self, body: bytes) -> bytes:
        answer = self._post(body)
        for method, times in self.lost.items():
            if method in body and times:
                self.lost[method] = times - 1
                raise ChainUnavailableError("the answer got lost")
        return answer


def test_answers_and_receipts_that_are_lost(running: Side, database: Engine, relayer: bytes) -> None:
    market(running, relayer)
    post = LosingPost(running.url, {})
    chain = deploy_over(JsonRpc(post), genesis(), relayer)
    put(database, commit_calls(chain, 5))
    post.lost = {b"eth_sendRawTransaction": 2, b"eth_getTransactionReceipt": 3, b"eth_getTransactionCount": 1}
    writer, lost = Writer(database, chain), 0
    while writer.waiting():
        try:
            writer.step()
        except ChainUnavailableError:
            lost += 1
    assert lost == 6
    check(database, chain, 5)


# ------------------------------------------------------------------------------------------ two at once


def test_two_writers_on_one_outbox(running: Side, either: Engine, relayer: bytes) -> None:
    """Each with its own connections; they sign the same calls, and send the same transactions, at the same time."""
    chain = market(running, relayer)
    wanted, errors, stop = commit_calls(chain, 30), list[Exception](), threading.Event()

    def write(chain: RpcChain) -> None:
        try:
            while not stop.is_set():
                Writer(either, chain).step()
        except Exception as error:  # noqa: BLE001 - shown by the test, whatever it is
            errors.append(error)

    threads = [threading.Thread(target=write, args=(market(running, relayer),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for at in range(0, 30, 3):
        put(either, wanted[at : at + 3])
    watcher = Writer(either, chain)
    wait_for(lambda: bool(errors) or not watcher.waiting())
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    check(either, chain, 30)


def test_the_same_transactions_sent_by_two(running: Side, relayer: bytes) -> None:
    chains = [market(running, relayer) for _ in range(2)]
    raw = chains[0].sign(commit_calls(chains[0], 6))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda chain: chain.send(raw), chains))
    assert found == [chains[0].send(raw)] * 2
    committed = [event.arguments["index"] for event in chains[0].events(0) if event.event == "Committed"]
    assert committed == [1, 2, 3, 4, 5, 6]


def test_two_transactions_that_queue_at_once_get_numbers_of_their_own(either: Engine) -> None:
    barrier, taken = threading.Barrier(4), list[int]()

    def queue() -> None:
        barrier.wait()
        for _ in range(10):
            with either.begin() as connection:
                taken.append(outbox.put(connection, Call("Clearing", "commit", b"")))

    threads = [threading.Thread(target=queue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [row.outbox_id for row in rows(either)] == list(range(1, 41))


# ----------------------------------------------------------------------------------- a chain that goes back


def money_calls(chain: Chain) -> list[Call]:
    """Two members and their money."""
    admissions = [Admission(ANNA, public(ANNA), 0), Admission(BORIS, public(BORIS), 0)]
    mints = [Mint(ANNA, 50 * YUAN, b"\1" * 32, True), Mint(BORIS, 20 * YUAN, b"\2" * 32, False)]
    digests = (
        acts.admit_many_digest(chain.domain("Members"), admissions, 0),
        acts.mint_many_digest(chain.domain("Cash"), mints),
    )
    by = [acts.Approval(OPERATOR, sign(OPERATOR, digests[0]))], [acts.Approval(CUSTODIAN, sign(CUSTODIAN, digests[1]))]
    return [acts.admit_many(admissions, 0, by[0]), acts.mint_many(mints, by[1])]


def carry(database: Engine, chain: RpcChain) -> int | None:
    """What a pass of settlement does: look whether all stands, undo what does not, send, mirror."""
    first = reorganisation.first_lost_block(database, chain)
    if first is not None:
        with database.begin() as connection:
            reorganisation.unroll(connection, first)
    Writer(database, chain).drain()
    with database.begin() as connection:
        mirror.pull(connection, chain)
    return first


def mirrored(database: Engine) -> tuple[dict[int, store.Balance], list[tuple[str, object]]]:
    with reading(database) as connection:
        events = mirror_store.mirrored_events(connection)
        return store.balances(connection), [(each.event, sorted(each.arguments.items())) for each in events]


def test_a_node_that_comes_back_with_an_older_state(running: Side, database: Engine, relayer: bytes) -> None:
    """Everything since goes out again with the same bytes; a call that came meanwhile waits for its turn."""
    chain = market(running, relayer)
    wanted = commit_calls(chain, 5)
    put(database, wanted[:1])
    carry(database, chain)
    running.keep()
    put(database, money_calls(chain) + wanted[1:4])
    carry(database, chain)
    before, sent = mirrored(database), [row.raw for row in rows(database)]
    running.go_back()
    assert chain.view(calls.commit_index()) == (1,)
    put(database, wanted[4:])
    assert carry(database, chain) is not None
    balances, events = mirrored(database)
    assert (balances, events[:-1]) == before
    assert [row.raw for row in rows(database)][:-1] == sent
    assert carry(database, chain) is None
    assert balances[ANNA] == {"free_micro": 0, "escrow_micro": 50 * YUAN, "arrears_micro": 0}
    check(database, chain, 5)


def test_nothing_is_sent_over_a_chain_that_has_gone_back_before_what_it_lacks(
    running: Side, database: Engine, relayer: bytes
) -> None:
    """Between the loss and its discovery a new call must not take the number of a lost one."""
    chain = market(running, relayer)
    wanted = commit_calls(chain, 3)
    running.keep()
    put(database, wanted[:2])
    carry(database, chain)
    running.go_back()
    put(database, wanted[2:])
    writer = Writer(database, chain)
    with contextlib.suppress(ChainUnavailableError):
        assert writer.step() == 0
    assert chain.view(calls.commit_index()) == (0,)
    assert carry(database, chain) is not None
    check(database, chain, 3)


def test_a_reorganisation_of_depth_three(anvil: Anvil, database: Engine, relayer: bytes) -> None:
    """The last three blocks are replaced, first by empty ones, then by one that holds all that was in them."""
    chain = market(anvil, relayer)
    for call in commit_calls(chain, 2) + money_calls(chain):  # a block for each
        put(database, [call])
        carry(database, chain)
    before, sent = mirrored(database), [row.raw for row in rows(database)]
    assert before[0][ANNA]["escrow_micro"] == 50 * YUAN
    anvil.rpc.ask("anvil_reorg", 3, [])
    first = reorganisation.first_lost_block(database, chain)
    assert first == chain.head().number - 2
    with database.begin() as connection:
        assert reorganisation.unroll(connection, first) == 3
    balances, events = mirrored(database)
    assert [name for name, _ in events][-1] == "Committed"
    assert all(set(balance.values()) == {0} for balance in balances.values())
    assert carry(database, chain) is None
    assert mirrored(database) == before
    assert [row.raw for row in rows(database)] == sent
    check(database, chain, 2)
    anvil.rpc.ask("anvil_reorg", 3, [[f"0x{raw.hex()}", 0] for raw in sent[1:]])
    assert carry(database, chain) is not None
    assert mirrored(database) == before
    check(database, chain, 2)


def test_blocks_deeper_than_the_depth_that_is_waited_for_are_never_given_up(
    anvil: Anvil, database: Engine, relayer: bytes
) -> None:
    """With three confirmations nothing of the last three blocks was believed, so nothing has to be undone."""
    market(anvil, relayer)
    for _ in range(3):
        anvil.rpc.ask("evm_mine")
    chain = deploy(anvil.url, genesis(), relayer, confirmations=3)
    put(database, commit_calls(chain, 1))
    writer = Writer(database, chain)
    assert writer.step() == 0
    anvil.rpc.ask("anvil_reorg", 1, [])
    assert reorganisation.first_lost_block(database, chain) is None
    writer = Writer(database, chain)  # as after half a minute: it is handed over once more
    assert writer.step() == 0
    for _ in range(3):
        anvil.rpc.ask("evm_mine")
    assert writer.step() == 1
    check(database, chain, 1)
