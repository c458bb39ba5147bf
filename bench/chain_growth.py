"""What a commitment costs, and how long a restart takes, as the embedded chain's state grows to a million slots.

    python bench/chain_growth.py [--slots 0 100000 1000000]

The slots are written into the chain's file beside the contracts' own, where a market of so many members would have
left them: what is measured is finding one's own among them.
"""

import argparse
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from settlement import acts, merkle
from settlement.acts import Approval, Commitment
from settlement.blocks import DAY_S
from settlement.deploy import deploy
from settlement.embedded import start_embedded
from settlement.officer import Officer
from settlement.rpc import RpcChain
from tests.settlement.contract_bench import CHAIN_ID, OPERATOR, START_S, genesis, key

RELAYER_KEY = b"\7" * 32
COMMITS = 40


class Growth(NamedTuple):
    """At so many slots: seconds to be ready again, per commitment, and for the day's first block with its root."""

    slots: int
    restart_s: float
    commit_s: float
    day_s: float
    file_bytes: int


def measure(wanted: Sequence[int]) -> Iterator[Growth]:
    """One chain, grown to each of these sizes in turn."""
    with tempfile.TemporaryDirectory() as folder:
        file, done = Path(folder) / "chain.db", 0
        with start_embedded(file, chain_id=CHAIN_ID, clock="manual", genesis_s=START_S) as node:
            deploy(node.url, genesis(), RELAYER_KEY)
        for slots in wanted:
            _grow(file, slots)
            began = time.perf_counter()
            with start_embedded(file, chain_id=CHAIN_ID, clock="manual", genesis_s=START_S) as node:
                restart_s = time.perf_counter() - began
                chain = deploy(node.url, genesis(), RELAYER_KEY)
                took_s = [_commit(chain, done + each) for each in range(1, COMMITS + 1)]
                done += COMMITS
                began = time.perf_counter()
                chain.advance_to((chain.head().timestamp_s // DAY_S + 1) * DAY_S)
                day_s = time.perf_counter() - began
            yield Growth(slots, restart_s, statistics.median(took_s), day_s, file.stat().st_size)


def _grow(file: Path, slots: int) -> None:
    """Fill the storage of ``Clearing`` up to so many slots."""
    with sqlite3.connect(file) as connection:
        (address,) = connection.execute("SELECT address FROM storage ORDER BY address DESC LIMIT 1").fetchone()
        missing = slots - connection.execute("SELECT count(*) FROM storage").fetchone()[0]
        rows = ((address, os.urandom(32), os.urandom(8).rjust(32, b"\0")) for _ in range(missing))
        connection.executemany("INSERT INTO storage VALUES (?, ?, ?)", rows)
    connection.close()


_commitments: dict[int, Commitment] = {}


def _commit(chain: RpcChain, number: int) -> float:
    previous = _commitments[number - 1].rolling_hash() if number > 1 else bytes(32)
    made = _commitments[number] = Commitment(number, previous, merkle.leaf(b"head"), merkle.leaf(b"root"), 10_000)
    operator = Officer(OPERATOR, key(OPERATOR))
    approval = operator.approve(acts.commit_digest(chain.domain("Clearing"), made)).signature
    raw = chain.sign([acts.commit(made, [Approval(OPERATOR, approval)])])
    began = time.perf_counter()
    (receipt,) = chain.send(raw)
    assert receipt.succeeded, receipt
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[0, 100_000, 1_000_000])
    console = Console()
    for each in measure(parser.parse_args().slots):
        console.print(
            f"{each.slots:9,} slots: restart {each.restart_s:.1f} s, commitment {1000 * each.commit_s:.1f} ms, "
            f"first block of a day {each.day_s:.1f} s, file {each.file_bytes:,} bytes"
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    console.print(f"the node's memory at its highest: {peak / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
