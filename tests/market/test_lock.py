"""Two servers on one database: the second refuses to start, and the first stops if it ever loses its hold."""

import asyncio
import sys
from pathlib import Path

import pytest

from data.database import open_database
from market import lock
from market.lock import AlreadyServedError, served_alone
from tests.databases import url_of
from tests.postgresql import TEMPLATE, Cluster

ROOT = Path(__file__).parents[2]
HOLD = """
import signal, sys
from data.database import open_database
from market.lock import served_alone

with served_alone(open_database(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""
"""A server as far as its lock goes; it starts in a moment."""


@pytest.mark.usefixtures("database_url")
def test_the_second_server_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 1.0)
    one, other = (open_database(url_of(tmp_path)) for _ in range(2))
    with served_alone(one), pytest.raises(AlreadyServedError), served_alone(other):
        pass
    with served_alone(other):
        pass
    for database in (one, other):
        database.dispose()


@pytest.mark.usefixtures("database_url")
async def test_after_a_kill_9_the_next_one_starts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(url_of(tmp_path))
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, url_of(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"held\n"
        with monkeypatch.context() as hurried:
            hurried.setattr(lock, "PATIENCE_S", 1.0)
            with pytest.raises(AlreadyServedError), served_alone(database):
                pass
        holder.kill()
        with served_alone(database):
            pass
    finally:
        if holder.returncode is None:
            holder.kill()
        await holder.wait()
        database.dispose()


def test_a_hold_is_taken_again_when_postgresql_was_away(
    lasting_postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 1.0)
    url = lasting_postgresql.new_database(TEMPLATE)
    one, other = open_database(url), open_database(url)
    with served_alone(one):
        one.connect().close()
        lasting_postgresql.kill()
        lasting_postgresql.start()
        one.connect().close()  # the first use after an outage
        with pytest.raises(AlreadyServedError), served_alone(other):
            pass
    for database in (one, other):
        database.dispose()


def test_nothing_is_written_once_another_server_has_come(
    lasting_postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 1.0)
    url = lasting_postgresql.new_database(TEMPLATE)
    one, other = open_database(url), open_database(url)
    with served_alone(one):
        one.connect().close()
        lasting_postgresql.stop()
        lasting_postgresql.start()
        with served_alone(other):
            with pytest.raises(AlreadyServedError):
                one.connect()
            other.connect().close()
    for database in (one, other):
        database.dispose()


async def test_a_server_that_lost_its_hold_is_told(
    lasting_postgresql: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 1.0)
    monkeypatch.setattr(lock, "KEEP_EVERY_S", 0.05)
    url = lasting_postgresql.new_database(TEMPLATE)
    one, other = open_database(url), open_database(url)
    with served_alone(one) as hold:
        assert hold is not None
        watching = asyncio.create_task(lock.keep(hold))
        lasting_postgresql.stop()
        await asyncio.sleep(0.3)
        assert not watching.done()
        with monkeypatch.context() as unwatched:  # the other one is quicker
            unwatched.setattr(hold, "ensure", lambda: None)
            lasting_postgresql.start()
            taken = served_alone(other)
            taken.__enter__()
        with pytest.raises(AlreadyServedError):
            await asyncio.wait_for(watching, 10)
        taken.__exit__(None, None, None)
    for database in (one, other):
        database.dispose()
