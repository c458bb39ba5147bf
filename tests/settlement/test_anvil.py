"""The same contracts and the same client on somebody else's chain: anvil, with Osaka's rules.

anvil comes from npm into the project's own cache on first use. Without node and npm these tests are skipped, except
where the environment says CI: there they must run.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from settlement.deploy import deploy, deploy_over
from settlement.jsonrpc import HttpPost, JsonRpc
from settlement.rpc import RpcChain
from tests.settlement.chain_bench import RELAYER_KEY, commit_calls, live_one_life
from tests.settlement.contract_bench import CHAIN_ID, START_S, genesis

PACKAGE = "@foundry-rs/anvil@1.7.1"
NPM_FOLDER = Path(__file__).parents[2] / ".cache" / "npm"
COMMAND = NPM_FOLDER / "node_modules" / ".bin" / "anvil"
SETTINGS = {
    "--host": "127.0.0.1",
    "--port": "0",
    "--chain-id": str(CHAIN_ID),
    "--hardfork": "osaka",
    "--timestamp": str(START_S),
    "--gas-price": "0",
    "--base-fee": "0",
    "--gas-limit": str(2**32),
    "--accounts": "1",
}


def installed_anvil() -> Path:
    """The anvil command, installed now if it is not there yet."""
    if not COMMAND.exists():
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            do_without("anvil needs node and npm, which are not here")
        options = ["--no-audit", "--no-fund", "--no-package-lock", "--silent"]
        command = [str(npm), "install", *options, "--prefix", str(NPM_FOLDER), PACKAGE]
        if subprocess.run(command, check=False, timeout=240).returncode != 0:
            do_without(f"npm could not install {PACKAGE}")
    return COMMAND


def do_without(why: str) -> NoReturn:
    assert "CI" not in os.environ, f"{why}; these tests must run where CI is set"
    pytest.skip(why)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [str(installed_anvil()), "--disable-min-priority-fee", "--enable-tx-gas-limit"]
    command += [each for pair in SETTINGS.items() for each in pair]
    said = tmp_path_factory.mktemp("anvil") / "output.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        while not (listening := re.search(r"Listening on .*:(\d+)", said.read_text())):
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening[1]}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def chain(url: str) -> Iterator[RpcChain]:
    """The contracts, freshly deployed; what a test does is undone after it."""
    rpc = JsonRpc(HttpPost(url))
    before = rpc.ask("evm_snapshot")
    yield deploy(url, genesis(), RELAYER_KEY)
    rpc.ask("evm_revert", before)


def test_one_life_on_anvil(chain: RpcChain) -> None:
    live_one_life(chain)


def test_a_refusal_is_found_on_a_node_that_traces_nothing(url: str, chain: RpcChain) -> None:
    post = HttpPost(url)
    without_traces = JsonRpc(lambda body: post(body.replace(b"debug_traceTransaction", b"debug_off")))
    (second,) = commit_calls(chain, 2)[1:]
    chain = deploy_over(without_traces, genesis(), RELAYER_KEY)
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


def test_deploying_again_changes_nothing(url: str, chain: RpcChain) -> None:
    head = chain.head().number
    assert deploy(url, genesis(), RELAYER_KEY).addresses == chain.addresses
    assert chain.head().number == head
