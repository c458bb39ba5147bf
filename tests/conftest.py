"""What all tests share: how many random cases Hypothesis tries, a compiled engine, and databases of both kinds.

No deadlines: a slow machine is no bug. ``make soak`` chooses the profile ``soak`` through HYPOTHESIS_PROFILE.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from matching.engine import Engine
from matching.order import Rules
from matching.replay_rehearsal import rehearse_files
from settlement.compile import compiled
from tests.databases import put_on, url_of
from tests.postgresql import TEMPLATE, Cluster, cluster, with_template

settings.register_profile("usual", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))


def pytest_configure(config: pytest.Config) -> None:
    """What is compiled is compiled once, before the workers and the servers that tests start would each do so."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # of servers that tests start, five hundred modules each
    if not hasattr(config, "workerinput"):
        Engine(Rules(fee_ticks=(0, 0, 0)))
        rehearse_files()
        compiled(lambda line: sys.stderr.write(f"jinsha: {line}\n"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """One PostgreSQL for all tests of this process; none where no test asks."""
    with cluster() as made:
        yield with_template(made)


@pytest.fixture(scope="module")
def lasting_postgresql() -> Iterator[Cluster]:
    """A PostgreSQL that writes to the disk before it answers, for tests that stop and kill it."""
    with cluster(fsync=True) as made:
        yield with_template(made)


@pytest.fixture
def postgresql_url(postgresql: Cluster) -> Iterator[str]:
    """A new market database on PostgreSQL, without rows."""
    url = postgresql.new_database(TEMPLATE)
    yield url
    postgresql.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new market database, that of the folder ``tmp_path``; a test that takes it runs once on each kind.

    On SQLite the file is not made yet. ``pytestmark = pytest.mark.usefixtures("database_url")`` takes it for a file of
    tests.
    """
    if request.param == "postgresql":
        put_on(tmp_path, request.getfixturevalue("postgresql_url"))
    return url_of(tmp_path)
