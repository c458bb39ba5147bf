"""The database goes away, the disk is full, the clock jumps: refused cleanly, nothing lost, and on it goes."""

import asyncio
import os
import random
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from data.database import open_database, reading
from data.units import format_instant
from market import serve, store
from market.clock import WallClock
from tests.databases import put_on, url_of
from tests.market.killed_server import child
from tests.market.load import Ledger, check_answered, check_memory, check_record, check_repeats, traders
from tests.market.world import Answer, Person, World, neighbours, open_market, order
from tests.postgresql import TEMPLATE, Cluster

IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
AWAY_S = 10 if IS_SOAK else 2


async def test_postgresql_is_away_for_a_while(tmp_path: Path, lasting_postgresql: Cluster) -> None:
    put_on(tmp_path, lasting_postgresql.new_database(TEMPLATE))
    ledger = Ledger()
    async with open_market(tmp_path) as world:
        everyone = list(zip(await neighbours(world), ("A1", "A2"), strict=True))
        at_work = traders(everyone, ledger, "t", random.Random(7))
        await ledger.grow(50)
        lasting_postgresql.stop()
        await asyncio.sleep(AWAY_S)
        assert (await world.get("/healthz")).status == 200
        refused = await everyone[0][0].place(order("away", "A1", "buy", "0.05", "0.30"))
        assert (refused.status, refused.code) == (503, "storage_unavailable")
        assert refused.headers["Retry-After"].isdigit()
        await asyncio.to_thread(lasting_postgresql.start)
        await ledger.grow(50)
        assert ledger.outages.pop("storage_unavailable") > 0 and not ledger.outages
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)
        await check_answered(everyone, ledger)
        await check_repeats(everyone, ledger)
        await check_memory(world)
        ledger.sent[everyone[0][0].member, "away"] = {}
    check_record(tmp_path, ledger)


# ------------------------------------------------------------------------------------------- the disk is full

Space = Callable[[int], None]
"""Tells the server whose process id is given that there is no more space; called again, that there is."""


@contextmanager
def by_file_size(folder: Path) -> Iterator[tuple[Path, Space]]:
    """No file of the server's may grow by more than a little: writes fail with EFBIG."""
    is_full = False

    def toggle(process: int) -> None:
        nonlocal is_full
        is_full = not is_full
        _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
        largest = max(file.stat().st_size for file in folder.iterdir())
        resource.prlimit(process, resource.RLIMIT_FSIZE, (largest + 100_000 if is_full else hard, hard))

    yield folder, toggle


@contextmanager
def by_small_disk(folder: Path) -> Iterator[tuple[Path, Space]]:
    """A file system in memory with hardly any space left: writes fail with ENOSPC."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount a file system here: {mounted.stderr.strip()}")
    ballast = disk / "ballast"

    def toggle(_: int) -> None:
        if ballast.exists():
            ballast.unlink()
        else:
            free = os.statvfs(disk)
            ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 200_000)))

    try:
        yield disk, toggle
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("make_disk", [by_file_size, by_small_disk])
async def test_the_disk_is_full_and_then_it_is_not(tmp_path: Path, make_disk: Callable[..., object]) -> None:
    ledger = Ledger()
    with make_disk(tmp_path) as (folder, toggle):  # type: ignore[attr-defined]
        async with open_market(folder) as world:
            people = list(zip(await neighbours(world), ("A1", "A2"), strict=True))
        async with child(folder) as (process, address), aiohttp.ClientSession() as http:
            served = World(address, http, world.context, world.chain)
            everyone = [(Person(served, p.member, p.key, p.token), meter) for p, meter in people]
            at_work = traders(everyone, ledger, "t", random.Random(7))
            await ledger.grow(20)
            toggle(process.pid)
            await ledger.suffer(20)
            await check_answered(everyone, ledger)
            toggle(process.pid)
            await ledger.grow(50)
            assert set(ledger.outages) == {"storage_unavailable"}
            process.kill()
            await asyncio.wait_for(asyncio.gather(*at_work), 30)
        async with open_market(folder) as world:
            everyone = [(Person(world, p.member, p.key, p.token), meter) for p, meter in people]
            await check_answered(everyone, ledger)
            await check_repeats(everyone, ledger)
            await check_memory(world)
        check_record(folder, ledger)


# -------------------------------------------------------------------------------------------- the clock jumps


SLOT_S = 900


async def test_the_machines_clock_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward: gates close and sessions end, for so late is it. Back: the market stands still, and nothing reopens."""
    wall_s, ahead_s = time.time, 0
    monkeypatch.setattr(time, "time", lambda: wall_s() + ahead_s)
    near_s = int(wall_s()) // SLOT_S * SLOT_S + 3 * SLOT_S
    near, far = format_instant(near_s), format_instant(near_s + 40 * 3600)
    ledger = Ledger()

    async def place(name: str, slot: str) -> Answer:
        one = order(name, "A1", "buy", "0.05", "0.30", slot)
        ledger.sent[ann.member, name] = one
        answer = await ann.place(one)
        if answer.status == 201:
            ledger.note(ann.member, answer.body["order"])
        return answer

    async with open_market(tmp_path, clock=WallClock()) as world:
        ann, _ = await neighbours(world)
        assert (await place("b0", near)).status == 201
        for hours, is_session_over in ((3, True), (-9, False), (2, True)):
            ahead_s += hours * 3600
            assert ((await ann.get("/v1/account")).status == 401) is is_session_over
            await ann.log_in()
            assert (await place(f"n{hours}", near)).code == "deadline_passed"
            assert (await place(f"f{hours}", far)).status == 201
        await check_answered([(ann, "A1")], ledger)
        await check_memory(world)
    check_record(tmp_path, ledger)
    database = open_database(url_of(tmp_path))
    with reading(database) as connection:
        recorded_s = [link.recorded_s for link in store.read_links(connection)]
    assert recorded_s == sorted(recorded_s) and recorded_s[-1] - recorded_s[0] >= 3 * 3600
    clock = serve._clock("wall", database)  # as after a restart, hours behind what is on record
    assert clock.now_s() >= recorded_s[-1] > int(time.time())
    database.dispose()
