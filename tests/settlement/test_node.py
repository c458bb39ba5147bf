"""The embedded chain in this process: what it takes, what it answers, what it keeps and what it never runs twice."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from settlement import calls
from settlement.chain import (
    CONTRACTS,
    CallRefusedError,
    ChainRefusedError,
    ChainUnavailableError,
    StaleTransactionError,
)
from settlement.chain_store import ChainFileError, ChainReader, ChainStore
from settlement.deploy import DeploymentError, deploy_over
from settlement.event_proof import EventNotProvableError
from settlement.jsonrpc import Failure, JsonRpc, Request
from settlement.node import Node
from settlement.node_methods import answer
from settlement.rpc import RpcChain, number_of, sign_transaction, submit_raw
from tests.settlement.chain_bench import RELAYER_KEY, chain_on, commit_calls, live_one_life, node_on, rpc_to
from tests.settlement.contract_bench import CHAIN_ID, RELAYER, START_S, genesis


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_on(tmp_path / "chain.db") as node:
        yield node


@pytest.fixture
def chain(node: Node) -> RpcChain:
    return chain_on(node)


def test_one_life_on_the_embedded_chain(chain: RpcChain) -> None:
    live_one_life(chain)


def test_an_event_that_is_not_there_is_not_proven(chain: RpcChain) -> None:
    (receipt,) = chain.send(chain.sign(commit_calls(chain, 1)))
    assert chain.event_proof(receipt.block, 0).data
    for block, log_index in ((receipt.block, 1), (receipt.block + 1, 0), (2**70, 0)):
        with pytest.raises(EventNotProvableError):
            chain.event_proof(block, log_index)


def test_a_batch_is_one_block_and_sending_it_again_changes_nothing(chain: RpcChain) -> None:
    raw = chain.sign(commit_calls(chain, 3))
    receipts = chain.send(raw)
    head = chain.head()
    assert {receipt.block for receipt in receipts} == {head.number}
    assert chain.send(raw) == receipts
    assert chain.send(raw[1:2]) == receipts[1:2]
    assert chain.head() == head


def test_deploying_again_changes_nothing_and_another_genesis_is_refused(node: Node, chain: RpcChain) -> None:
    head = chain.head()
    assert chain_on(node).addresses == chain.addresses
    assert chain.head() == head
    with pytest.raises(DeploymentError, match="Members"):
        deploy_over(rpc_to(node), genesis()._replace(salt=bytes(32)), RELAYER_KEY)


def test_a_deployment_that_stopped_half_way_is_carried_on(node: Node) -> None:
    def stop_at_clearing(line: str) -> None:
        if "Clearing" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy_over(rpc_to(node), genesis(), RELAYER_KEY, say=stop_at_clearing)
    assert node.head.number == 2
    assert chain_on(node).view(calls.commit_index()) == (0,)
    assert node.head.number == len(CONTRACTS)


def test_a_number_used_by_another_transaction_is_told_apart(node: Node, chain: RpcChain) -> None:
    first, second = commit_calls(chain, 2)
    (raw,) = chain.sign([first])
    (other,) = chain.sign([second])
    chain.send([raw])
    with pytest.raises(StaleTransactionError) as caught:
        chain.send([raw, other])
    assert len(caught.value.hashes) == 1


class _SlowReceipts(JsonRpc):
    """A node that refuses what it has already, and shows receipts only when it has been asked some times."""

    def __init__(self, node: Node, hidden: int) -> None:
        super().__init__(lambda body: answer(node, body))
        self._hidden = hidden

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        if {each.method for each in requests} == {"eth_sendRawTransaction"}:
            return [Failure(-32003, "nonce too low", "") for _ in requests]
        if {each.method for each in requests} == {"eth_getTransactionReceipt"} and self._hidden:
            self._hidden -= 1
            return [None for _ in requests]
        return super().batch(requests)


def test_what_is_counted_before_its_receipt_shows_is_not_taken_for_lost(
    node: Node, chain: RpcChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed anew it would happen twice."""
    raw = chain.sign(commit_calls(chain, 2))
    chain.send(raw)
    submit_raw(_SlowReceipts(node, hidden=3), raw)
    monkeypatch.setattr("settlement.rpc.STALE_AFTER_S", 0.05)
    with pytest.raises(StaleTransactionError):
        submit_raw(_SlowReceipts(node, hidden=1_000), raw)


def test_a_number_too_high_only_waits(chain: RpcChain) -> None:
    first, second = commit_calls(chain, 2)
    early = chain.sign([second], chain.sign([first]))
    with pytest.raises(ChainUnavailableError, match="does not have what goes before"):
        chain.submit(early)


def test_what_no_block_can_hold_is_refused_and_the_rest_goes_in(node: Node, chain: RpcChain) -> None:
    good, late = chain.sign(commit_calls(chain, 2))
    gap = sign_transaction(RELAYER, CHAIN_ID, 99, chain.addresses["Cash"], b"")
    other_chain = sign_transaction(RELAYER, CHAIN_ID + 1, number_of(good), chain.addresses["Cash"], b"")
    for bad in (gap, other_chain, b"", b"\x02\x01", b"\x7f" * 40, b"\xf8" * 40, good[:-1]):
        (problem,) = node.send([bad])
        assert problem is not None
    number = node.head.number
    assert [problem is None for problem in node.send([gap, good, late])] == [False, True, True]
    assert node.head.number == number + 1
    with pytest.raises(ChainRefusedError):
        chain.send([b"\x02\x01"])


def test_views_that_revert_say_why(chain: RpcChain) -> None:
    with pytest.raises(CallRefusedError, match="not_a_mover"):
        chain.view(calls.call("Cash", "move", ("uint256",) * 3, 1, 2, 3))
    with pytest.raises(CallRefusedError, match="reverted_without_reason"):
        chain.view(calls.call("Cash", "no_such_function", ()))


def test_time_goes_where_it_is_put_and_never_back(node: Node, chain: RpcChain) -> None:
    assert chain.head().timestamp_s == START_S
    chain.advance_to(START_S + 500)
    assert chain.head().timestamp_s == START_S + 500
    number = chain.head().number
    chain.advance_to(START_S + 100)
    chain.advance_to(START_S + 500)
    assert chain.head().number == number
    chain.send(chain.sign(commit_calls(chain, 1)))
    assert chain.head().timestamp_s == START_S + 500
    with pytest.raises(ChainRefusedError, match="before"):
        rpc_to(node).ask("evm_setNextBlockTimestamp", START_S)


def test_a_chain_on_the_wall_clock_takes_its_time_from_there(tmp_path: Path) -> None:
    now_s = START_S + 1_000
    store = ChainStore(tmp_path / "wall.db", CHAIN_ID, START_S)
    chain = chain_on(node := Node(store, CHAIN_ID, lambda: now_s))
    assert chain.head().timestamp_s == START_S + 1_000
    with pytest.raises(ChainRefusedError, match="wall clock"):
        chain.advance_to(START_S + 5_000)
    now_s = START_S  # a wall clock that was put back
    node.mine()
    assert chain.head().timestamp_s == START_S + 1_000
    store.close()


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "chain.db"
    with node_on(file) as node:
        chain = chain_on(node)
        raw = chain.sign(commit_calls(chain, 2))
        receipts, head, events = chain.send(raw), chain.head(), chain.events(0)
    with node_on(file) as node:
        chain = chain_on(node)
        assert (chain.head(), chain.send(raw), chain.events(0)) == (head, receipts, events)
        assert chain.view(calls.commit_index()) == (2,)


def test_a_file_belongs_to_one_chain_and_one_process(tmp_path: Path) -> None:
    file = tmp_path / "chain.db"
    with node_on(file), pytest.raises(ChainFileError, match="in use"):
        ChainStore(file, CHAIN_ID, START_S)
    with pytest.raises(ChainFileError, match="holds chain"):
        ChainStore(file, CHAIN_ID + 1, START_S)
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE meta SET value = 1 WHERE name = 'format'")
    for _ in range(2):
        with pytest.raises(ChainFileError, match="format 1"):
            ChainStore(file, CHAIN_ID, START_S)
    with pytest.raises(ChainFileError, match="format 1"):
        ChainReader(file)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"[" * 5_000, -32700),
        (b"7", -32600),
        (b'{"id": 1, "method": "eth_chainId", "params": {}}', -32600),
        (b'{"id": 1, "method": "eth_mining", "params": []}', -32601),
        (b'{"id": 1, "method": "eth_getCode", "params": []}', -32602),
        (b'{"id": 1, "method": "eth_getCode", "params": ["0x12"]}', -32602),
        (b'{"id": 1, "method": "eth_getCode", "params": [7]}', -32602),
        (b'{"id": 1, "method": "eth_sendRawTransaction", "params": ["0xzz"]}', -32602),
        (b'{"id": 1, "method": "eth_sendRawTransaction", "params": ["0x"]}', -32000),
        (b'{"id": 1, "method": "eth_getBlockByNumber", "params": [true]}', -32602),
        (b'{"id": 1, "method": "eth_getLogs", "params": [[]]}', -32602),
        (b'{"id": 1, "method": "eth_getLogs", "params": [{"address": 7}]}', -32602),
        (b'{"id": 1, "method": "eth_getLogs", "params": [{"topics": ["0x00"]}]}', -32602),
        (b'{"id": 1, "method": "eth_call", "params": [{"data": "0x"}]}', -32602),
        (b'{"id": 1, "method": "evm_setNextBlockTimestamp", "params": ["0xffffffffffffffffff"]}', -32602),
    ],
)
def test_requests_that_mean_nothing_are_answered_with_their_code(node: Node, body: bytes, code: int) -> None:
    assert json.loads(answer(node, body))["error"]["code"] == code
    assert node.head.number == 0


def test_what_is_not_there_is_null(node: Node) -> None:
    rpc = rpc_to(node)
    assert rpc.ask("eth_getTransactionReceipt", "0x" + "00" * 32) is None
    assert rpc.ask("eth_getBlockByNumber", hex(2**70)) is None
    assert rpc.ask("eth_getCode", "0x" + "11" * 20) == "0x"
    assert rpc.ask("eth_getLogs", {"fromBlock": hex(2**70)}) == []


def test_events_are_found_by_their_topics(node: Node, chain: RpcChain) -> None:
    rpc = rpc_to(node)
    logs = rpc.ask("eth_getLogs", {"fromBlock": "0x0"})
    event, member = next(log["topics"] for log in logs if len(log["topics"]) == 2)

    def found(*topics: object) -> list[object]:
        return list(rpc.ask("eth_getLogs", {"fromBlock": "0x0", "topics": list(topics)}))

    assert found() == logs
    assert found(event) == [log for log in logs if log["topics"][0] == event]
    assert found(member) == [], "it is no event"
    assert found(None, member) == [log for log in logs if log["topics"][1:2] == [member]]
    assert found([event, member], [member]) == [log for log in logs if log["topics"] == [event, member]]
    assert found(event, member, None) == [], "no event here has three"
