"""The same market on PostgreSQL, where its programs are on this machine: a server of our own, gone afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.database import open_database
from market.lock import AlreadyServedError, served_alone
from tests.market.test_recovery import picture, some_trading
from tests.market.world import Person, neighbours, open_market, order

PROGRAMS = Path(shutil.which("initdb") or "/nowhere").resolve().parent
ACCOUNT = "postgres"


def _account() -> str | None:
    """Who runs the database: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return ACCOUNT if ACCOUNT in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if not (PROGRAMS / "initdb").exists() or not (PROGRAMS / "postgres").exists():
        pytest.skip("PostgreSQL is not installed on this machine")
    folder = Path(tempfile.mkdtemp(prefix="jinsha-postgresql-"))
    account = _account()
    if account is not None:
        shutil.chown(folder, account)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [PROGRAMS / "initdb", "-D", data, "-A", "trust", "-U", "jinsha", "-E", "UTF8", "--no-sync"],
        user=account,
        cwd="/",
        check=True,
        capture_output=True,
    )
    options = f"-p {port} -k {folder} -c fsync=off -c listen_addresses=127.0.0.1"
    control = [PROGRAMS / "pg_ctl", "-D", data, "-l", folder / "log", "-w"]
    subprocess.run([*control, "-o", options, "start"], user=account, cwd="/", check=True, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://jinsha@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], user=account, cwd="/", check=True, capture_output=True)
        shutil.rmtree(folder)


async def test_a_market_on_postgresql_starts_again_as_it_was(tmp_path: Path, url: str) -> None:
    async with open_market(tmp_path, database=open_database(url)) as world:
        ann, bo = await neighbours(world)
        await some_trading(ann, bo)
        sell = order("s7", "A2", "sell", "3.00", "0.40", terms=30)
        first = await bo.place(sell)
        before = await picture(world, ann, bo)
    async with open_market(tmp_path, database=open_database(url)) as again:
        ann, bo = (Person(again, person.member, person.key, person.token) for person in (ann, bo))
        assert await picture(again, ann, bo) == before
        assert (await bo.place(sell)).body == first.body


def test_two_servers_on_one_postgresql(url: str) -> None:
    one, other = open_database(url), open_database(url)
    with served_alone(one), pytest.raises(AlreadyServedError), served_alone(other):
        pass
    with served_alone(other):
        pass
    for database in (one, other):
        database.dispose()
