"""The two sides of the chain port as processes: the embedded node, and anvil as somebody else's network.

Both can be killed, come back as they were or as they were once, and carry one market after another: each has its own
relayer, and so its own contracts. anvil comes from npm into the project's own cache on first use. Without node and npm
its tests are skipped, except where the environment says CI: there they must run.
"""

import gzip
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from settlement.deploy import deploy
from settlement.embedded import EmbeddedNode, start_embedded
from settlement.jsonrpc import HttpPost, JsonRpc
from settlement.rpc import RpcChain
from tests.settlement.contract_bench import CHAIN_ID, START_S, genesis

PACKAGE = "@foundry-rs/anvil@1.7.1"
NPM_FOLDER = Path(__file__).parents[2] / ".cache" / "npm"
COMMAND = NPM_FOLDER / "node_modules" / ".bin" / "anvil"
SETTINGS = {
    "--host": "127.0.0.1",
    "--hardfork": "osaka",
    "--timestamp": str(START_S),
    "--gas-price": "0",
    "--base-fee": "0",
    "--gas-limit": str(2**32),
    "--accounts": "1",
}
_relayers = itertools.count(1)


class Side(Protocol):
    """One chain as a process; ``url`` stays the same when it comes back."""

    url: str

    def kill(self) -> None:
        """As by the machine: nothing is said to it before."""

    def start(self) -> None:
        """Come back after ``kill`` with all that it had answered."""

    def keep(self) -> None:
        """Remember the state now, for ``go_back``."""

    def go_back(self) -> None:
        """Kill it, and come back as it was at ``keep``."""


class Embedded:
    """The embedded node on a file."""

    def __init__(self, folder: Path) -> None:
        self._file, self._kept = folder / "chain.db", folder / "kept.db"
        self._node = self._started(0)
        self.url = self._node.url

    def _started(self, port: int) -> EmbeddedNode:
        return start_embedded(self._file, chain_id=CHAIN_ID, clock="manual", genesis_s=START_S, port=port)

    def kill(self) -> None:
        self._node.process.kill()
        self._node.stop()

    def start(self) -> None:
        self._node = self._started(int(self.url.rsplit(":", 1)[1]))

    def keep(self) -> None:
        self._node.stop()
        shutil.copyfile(self._file, self._kept)
        self.start()

    def go_back(self) -> None:
        self.kill()
        for name in ("chain.db-wal", "chain.db-shm"):
            self._file.with_name(name).unlink(missing_ok=True)
        shutil.copyfile(self._kept, self._file)
        self.start()


class Anvil:
    """anvil on a port of its own. What it has it keeps in memory: before it is killed its state is dumped."""

    def __init__(self, folder: Path, options: Sequence[str] = (), chain_id: int = CHAIN_ID) -> None:
        self._folder, self._options, self._chain_id = folder, options, chain_id
        self._kept, self._last = "", ""
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._begin('0')}"

    def _begin(self, port: str, *more: str) -> str:
        """Start it; the port on which it listens."""
        settings = SETTINGS | {"--port": port, "--chain-id": str(self._chain_id)}
        command = [str(installed_anvil()), "--disable-min-priority-fee", "--enable-tx-gas-limit", *self._options, *more]
        command += [each for pair in settings.items() for each in pair]
        said = self._folder / "output.txt"
        with said.open("wb") as output:
            # npm's command starts the real one: they are a group, to be killed together
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        while not (listening := re.search(r"Listening on .*:(\d+)", said.read_text())):
            assert self._process.poll() is None, said.read_text()
            time.sleep(0.02)
        return listening[1]

    @property
    def rpc(self) -> JsonRpc:
        return JsonRpc(HttpPost(self.url))

    def kill(self) -> None:
        self.rpc.ask("evm_setAutomine", False)  # what comes after the dump is in no block, so nobody counts on it
        self._last = self.rpc.ask("anvil_dumpState")
        self.end()

    def end(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def start(self) -> None:
        self._come_back(self._last)

    def keep(self) -> None:
        self._kept = self.rpc.ask("anvil_dumpState")

    def go_back(self) -> None:
        self.end()
        self._come_back(self._kept)

    def _come_back(self, state: str) -> None:
        """With its state from the first answer on: a node with another one would be another chain."""
        file = self._folder / "state.json"
        file.write_bytes(gzip.decompress(bytes.fromhex(state.removeprefix("0x"))))
        self._begin(self.url.rsplit(":", 1)[1], "--load-state", str(file))
        rpc = self.rpc
        newest = rpc.ask("eth_getBlockByNumber", "latest", False)
        rpc.ask("evm_setNextBlockTimestamp", int(newest["timestamp"], 16) + 1)  # its clock began anew


@contextmanager
def side(name: str, folder: Path, options: Sequence[str] = ()) -> Iterator[Side]:
    """``embedded`` or ``anvil``, running; gone afterwards."""
    folder.mkdir(exist_ok=True)
    if name == "embedded":
        embedded = Embedded(folder)
        try:
            yield embedded
        finally:
            embedded.kill()
    else:
        anvil = Anvil(folder, options)
        try:
            yield anvil
        finally:
            anvil.end()


def new_market(url: str, **options: int) -> RpcChain:
    """Contracts of their own on a chain that others use too."""
    return deploy(url, genesis(), next(_relayers).to_bytes(32, "big"), **options)


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
