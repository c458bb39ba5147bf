"""More than the server bears for some seconds: the queue stays bounded, what was answered is there, it goes on."""

import os
from pathlib import Path

from tests.market.flood import Flood, missing_from, prepare
from tests.market.killed_server import child

SECONDS = 60 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 8
QUEUE_BOUND = 1_000
ROOM_KIB = 256 * 1024
"""How much more memory than at first a server of this size may take; a queue without a bound would take more."""


async def test_a_flood_is_borne(tmp_path: Path) -> None:
    sellers = await prepare(tmp_path, 10)
    settings = {"queue_bound": QUEUE_BOUND, "reads_waiting": 10, "log_every": 0}
    async with child(tmp_path, **settings) as (process, address):
        flood = Flood(int(address.rpartition(":")[2]), process.pid, sellers, batch=50)
        report = await flood.run(SECONDS, workers=60, readers=20, idlers=5)
        assert process.returncode is None
        process.kill()
    assert report.placed and missing_from(tmp_path, report.placed) == set()
    assert report.codes["queue_full"] > 0
    assert set(report.statuses) <= {200, 429, 503}
    assert max(report.queued) <= QUEUE_BOUND
    assert report.last is not None and report.last("sequencer_up") == 1
    assert max(report.rss_kib) - report.rss_kib[0] < ROOM_KIB
