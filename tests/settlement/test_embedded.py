"""The embedded chain as a process: it survives being killed, and goes when it should."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from settlement.chain import CONTRACTS, ChainUnavailableError, Receipt
from settlement.chain_audit import Progress, verify_chain_file
from settlement.deploy import deploy
from settlement.embedded import EmbeddedNode, start_embedded
from settlement.rpc import RpcChain
from tests.settlement.chain_bench import RELAYER_KEY, commit_calls
from tests.settlement.contract_bench import CHAIN_ID, START_S, genesis

PATIENCE_S = 60


@contextlib.contextmanager
def running(file: Path) -> Iterator[tuple[EmbeddedNode, RpcChain]]:
    """A node on a chain file, and the deployed contracts on it."""
    with start_embedded(file, chain_id=CHAIN_ID, clock="manual", genesis_s=START_S) as node:
        yield node, deploy(node.url, genesis(), RELAYER_KEY)


def kill(node: EmbeddedNode) -> None:
    node.process.kill()
    node.process.wait()


def is_running(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        if not Path("/proc").exists():
            return True
        # a child that nobody waits for stays in the list of processes, as a zombie
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]
    return False


def test_what_was_answered_is_there_after_kill_9(tmp_path: Path) -> None:
    file = tmp_path / "chain.db"
    with running(file) as (node, chain):
        raw = chain.sign(commit_calls(chain, 2))
        receipts, head, events = chain.send(raw), chain.head(), chain.events(0)
        kill(node)
        with pytest.raises(ChainUnavailableError):
            chain.head()
    with running(file) as (_, chain):
        assert (chain.head(), chain.events(0)) == (head, events)
        assert chain.send(raw) == receipts
        assert chain.head() == head


def test_kill_9_while_batches_stream_in_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A sender that keeps what it signed, as the writer does, and a node that is killed under it three times."""
    file, total = tmp_path / "chain.db", 24
    raw: list[bytes] = []
    answered: dict[int, Receipt] = {}
    for delay_s in (0.1, 0.3, 0.6):
        with running(file) as (node, chain):
            raw = raw or chain.sign(commit_calls(chain, total))
            killer = threading.Timer(delay_s, kill, [node])
            killer.start()
            with contextlib.suppress(ChainUnavailableError):
                for first in range(0, total, 2):
                    receipts = chain.send(raw[first : first + 2])
                    for at, receipt in enumerate(receipts, first):
                        assert answered.setdefault(at, receipt) == receipt
            killer.join()
    with running(file) as (_, chain):
        receipts = chain.send(raw)
        assert all(receipts[at] == receipt for at, receipt in answered.items())
        committed = [event.arguments["index"] for event in chain.events(0) if event.event == "Committed"]
        assert committed == list(range(1, total + 1))
        last = chain.head().number
    assert list(verify_chain_file(file))[-1] == Progress(last, last)


def test_a_file_has_one_node_and_a_refusal_says_so(tmp_path: Path) -> None:
    file = tmp_path / "chain.db"
    with running(file), pytest.raises(ChainUnavailableError, match="in use"):
        start_embedded(file, chain_id=CHAIN_ID)
    with pytest.raises(ChainUnavailableError, match="holds chain"):
        start_embedded(file, chain_id=CHAIN_ID + 1)


def test_it_stops_when_told_and_not_on_ctrl_c(tmp_path: Path) -> None:
    with running(tmp_path / "chain.db") as (node, chain):
        node.process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert chain.head().number == len(CONTRACTS)
        node.stop()
        assert node.process.returncode == 0


def test_it_goes_when_the_one_who_started_it_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from settlement.embedded import start_embedded
node = start_embedded(Path({str(tmp_path / "chain.db")!r}))
sys.stdout.write(f"{{node.process.pid}}\\n")
sys.stdout.flush()
time.sleep({PATIENCE_S})
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while is_running(pid):
        assert time.monotonic() < deadline, "the node outlived its parent"
        time.sleep(0.05)


def test_a_page_in_a_browser_cannot_talk_to_it(tmp_path: Path) -> None:
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}'
    with start_embedded(tmp_path / "chain.db") as node:
        host = node.url.removeprefix("http://")
        for headers in (
            {"Content-Type": "text/plain", "Host": host},
            {"Content-Type": "application/json", "Host": "rebound.example"},
        ):
            connection = http.client.HTTPConnection(host)
            connection.request("POST", "/", body, headers)
            assert connection.getresponse().status == 415
            connection.close()


def test_a_node_with_a_bug_stops_loudly_with_its_data_safe(tmp_path: Path) -> None:
    """Taking the table away under the node stands for any failure in the middle of keeping a block."""
    import sqlite3

    file = tmp_path / "chain.db"
    with running(file) as (node, chain):
        (raw,) = chain.sign(commit_calls(chain, 1))
        other = sqlite3.connect(file)
        other.execute("ALTER TABLE storage RENAME TO elsewhere")
        other.close()
        with pytest.raises(ChainUnavailableError):
            chain.send([raw])
        assert node.process.wait(PATIENCE_S) == 2
    other = sqlite3.connect(file)
    other.execute("ALTER TABLE elsewhere RENAME TO storage")
    other.close()
    with running(file) as (_, chain):
        assert chain.send([raw])[0].succeeded
