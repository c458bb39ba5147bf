"""A copy taken while orders stream in: a market that can be computed again, and served."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from data.database import sqlite_url
from market import backing_up
from market.backing_up import BackupError, back_up
from market.main import main
from tests.databases import put_on, url_of
from tests.market.flood import Flood, missing_from, prepare
from tests.market.killed_server import child
from tests.market.test_recovery import some_trading
from tests.market.world import Person, neighbours, open_market, order
from tests.postgresql import TEMPLATE, Cluster


async def test_a_copy_taken_under_load_is_a_market(tmp_path: Path) -> None:
    folder, copy = tmp_path / "market", tmp_path / "copy"
    folder.mkdir()
    sellers = await prepare(folder, 4)
    async with child(folder) as (process, address):
        flood = Flood(int(address.rpartition(":")[2]), process.pid, sellers, batch=10)
        loading = asyncio.create_task(flood.run(4, workers=8, readers=2, idlers=0))
        await asyncio.sleep(1.5)
        before = set(flood.report.placed)
        await asyncio.to_thread(back_up, folder, copy)
        report = await loading
        process.kill()
    assert before and len(report.placed) > len(before)
    assert missing_from(copy, before) == set()
    assert missing_from(copy, report.placed) != set()  # it was taken in the middle
    assert main(["replay", "--journal", sqlite_url(copy / "market.db")]) == 0
    async with open_market(copy) as world:  # which compares every table with a replay of the journal
        seller = sellers[0].person
        again = Person(world, seller.member, seller.key, seller.token)
        assert (await again.place(order("after", "M0", "buy", "0.01", "0.10"))).status == 201


def a_market(folder: Path) -> Path:
    (folder / "keys").mkdir(parents=True)
    (folder / "keys" / "operator.pem").write_text("secret", "utf-8")
    (folder / "market.toml").write_text("x", "utf-8")
    for name in backing_up.DATABASES:
        with closing(sqlite3.connect(folder / name)) as made:
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("CREATE TABLE t (x)")
    return folder


def test_keys_only_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_market(tmp_path / "market")
    assert main(["backup", str(folder), str(tmp_path / "a")]) == 0
    assert main(["backup", str(folder), str(tmp_path / "b"), "--keys"]) == 0
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["chain.db", "market.db", "market.toml"]
    assert (tmp_path / "b" / "keys" / "operator.pem").exists()
    assert (tmp_path / "a" / "market.db").stat().st_mode & 0o077 == 0
    assert main(["backup", str(folder), str(tmp_path / "a")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "nothing"), str(tmp_path / "c")]) == 1
    assert not (tmp_path / "c").exists()


def test_market_and_chain_are_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the chain goes on between the two copies they are taken again; never quiet is no backup."""
    folder, copy_file = a_market(tmp_path / "market"), backing_up._copy
    busy = 3

    def copy(file: Path, to: Path) -> None:
        nonlocal busy
        copy_file(file, to)
        if file.name == "market.db" and busy:
            busy -= 1
            with closing(sqlite3.connect(folder / "chain.db")) as chain:
                chain.execute("INSERT INTO t VALUES (1)")
                chain.commit()

    monkeypatch.setattr(backing_up, "_copy", copy)
    monkeypatch.setattr(backing_up, "PAUSE_S", 0)
    back_up(folder, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / "chain.db")) as kept:
        assert kept.execute("SELECT count(*) FROM t").fetchone() == (3,)
    busy = 10**6
    with pytest.raises(BackupError, match="never quiet"):
        back_up(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_damaged_file_is_no_backup(tmp_path: Path) -> None:
    folder = a_market(tmp_path / "market")
    with closing(sqlite3.connect(folder / "market.db")) as made:
        made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (folder / "market.db").open("r+b") as file:
        file.seek(4096)
        file.write(bytes([255]) * 4096)
    with pytest.raises((BackupError, sqlite3.Error)):
        back_up(folder, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_dump_of_postgresql_is_a_market_too(tmp_path: Path, postgresql: Cluster) -> None:
    """As `docs/operating.md` says it: pg_dump while the market runs, pg_restore into an empty database."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, template in ((first, TEMPLATE), (second, "template0")):
        folder.mkdir()
        put_on(folder, postgresql.new_database(template))
    dump = str(tmp_path / "market.dump")
    async with open_market(first) as world:
        ann, bo = await neighbours(world)
        await some_trading(ann, bo)
        await program(postgresql, "pg_dump", "--format=custom", "--file", dump, url_of(first))
        placed = (await ann.get("/v1/orders")).body
    await program(postgresql, "pg_restore", "--exit-on-error", "--dbname", url_of(second), dump)
    assert main(["replay", "--journal", url_of(second)]) == 0
    async with open_market(second) as world:
        assert (await Person(world, ann.member, ann.key, ann.token).get("/v1/orders")).body == placed
    for folder in (first, second):
        postgresql.drop_database(url_of(folder))


async def program(cluster: Cluster, name: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(str(cluster.programs / name), *arguments)
    assert await process.wait() == 0
