"""One suite for the chain port, on both of its sides: the embedded node's process, and anvil with Osaka's rules."""

from collections.abc import Iterator

import msgspec
import pytest

from settlement import calls, hexjson
from settlement.chain import CallRefusedError, ChainEvent
from settlement.deploy import DeploymentError, deploy, deploy_over
from settlement.jsonrpc import HttpPost, JsonRpc
from settlement.keccak import keccak
from settlement.rpc import RpcChain
from tests.settlement.chain_bench import RELAYER_KEY, commit_calls, live_one_life
from tests.settlement.contract_bench import genesis
from tests.settlement.sides import Side, new_market, side
from tests.verifier.tampering import tampered
from verifier.chain import Known, read_event
from verifier.document import MalformedError
from verifier.report import Report


@pytest.fixture(scope="module", params=["embedded", "anvil"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    with side(request.param, tmp_path_factory.mktemp("chain")) as running:
        yield running


@pytest.fixture
def chain(running: Side) -> RpcChain:
    """Contracts of the test's own."""
    return new_market(running.url)


def committed(chain: RpcChain) -> list[object]:
    return [event.arguments["index"] for event in chain.events(0) if event.event == "Committed"]


def test_one_life(chain: RpcChain) -> None:
    live_one_life(chain)


def test_an_event_changed_in_any_field_is_refused_by_the_verifier(chain: RpcChain) -> None:
    chain.send(chain.sign(commit_calls(chain, 3)))
    event = chain.events(0)[-1]
    shown = msgspec.json.decode(hexjson.dumps(chain.event_proof(event.block, event.log_index)))
    assert is_in_its_block(shown)
    for place, changed in tampered(shown):
        assert not is_in_its_block(changed), place


def is_in_its_block(shown: object) -> bool:
    report = Report()
    try:
        return read_event(shown, "event", report, Known()) is not None and report.holds
    except MalformedError:
        return False


def test_a_refusal_is_found_on_a_node_that_traces_nothing(running: Side) -> None:
    post = HttpPost(running.url)
    without_traces = JsonRpc(lambda body: post(body.replace(b"debug_traceTransaction", b"debug_off")))
    chain = deploy_over(without_traces, genesis(), b"\x11" * 32)
    (second,) = commit_calls(chain, 2)[1:]
    (receipt,) = chain.send(chain.sign([second]))
    assert (receipt.succeeded, receipt.refusal) == (False, "commit_out_of_order")


def test_sending_again_only_returns_the_receipts(chain: RpcChain) -> None:
    raw = chain.sign(commit_calls(chain, 3))
    receipts = chain.send(raw)
    assert [receipt.refusal for receipt in receipts] == ["", "", ""]
    head = chain.head().number
    assert chain.send(raw) == receipts
    assert chain.send([raw[1]]) == [receipts[1]]
    assert chain.head().number == head
    assert committed(chain) == [1, 2, 3]


def test_what_was_handed_over_has_its_receipt_later_and_what_was_not_has_none(chain: RpcChain) -> None:
    first, second = chain.sign(commit_calls(chain, 2))
    chain.submit([first])
    hashes = [keccak(first), keccak(second)]
    (receipt,) = chain.send([first])
    assert chain.receipts(hashes) == [receipt, None]
    assert chain.block_hashes([receipt.block, chain.head().number + 9]) == [receipt.block_hash, None]


def test_numbers_go_on_after_what_is_on_its_way(chain: RpcChain) -> None:
    first, second, third = commit_calls(chain, 3)
    on_its_way = chain.sign([first, second])
    last = chain.sign([third], on_its_way)
    assert last != chain.sign([third])
    assert all(receipt.succeeded for receipt in chain.send([*on_its_way, *last]))
    assert committed(chain) == [1, 2, 3]


def test_a_view_that_reverts_says_why(chain: RpcChain) -> None:
    with pytest.raises(CallRefusedError, match="not_a_mover"):
        chain.view(calls.call("Cash", "move", ("uint256",) * 3, 1, 2, 3))


def test_deploying_again_changes_nothing_and_another_genesis_is_refused(running: Side) -> None:
    chain = deploy(running.url, genesis(), RELAYER_KEY)
    head = chain.head().number
    assert deploy(running.url, genesis(), RELAYER_KEY).addresses == chain.addresses
    assert chain.head().number == head
    with pytest.raises(DeploymentError):
        deploy(running.url, genesis()._replace(salt=bytes(32)), RELAYER_KEY)


def test_only_what_is_deep_enough_is_believed(running: Side, chain: RpcChain) -> None:
    """Receipts and events appear with two blocks on top of theirs, not before."""
    careful = deploy(running.url, genesis(), RELAYER_KEY, confirmations=2)
    (raw,) = careful.sign(commit_calls(careful, 1))
    assert careful.receipts([keccak(raw)]) == [None]
    before = len(careful.events(0))
    careful.submit([raw])
    for _ in range(2):
        assert careful.receipts([keccak(raw)]) == [None]
        assert len(careful.events(0)) == before
        JsonRpc(HttpPost(running.url)).ask("evm_mine")
    (receipt,) = careful.receipts([keccak(raw)])
    assert receipt is not None
    assert receipt.succeeded
    found: list[ChainEvent] = careful.events(receipt.block)
    assert [(each.event, each.block_hash) for each in found] == [("Committed", receipt.block_hash)]
    assert careful.events(receipt.block + 1) == []
