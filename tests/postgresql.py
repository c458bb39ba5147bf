"""A PostgreSQL server of our own, gone afterwards, where its programs are on this machine."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = Path(shutil.which("initdb") or "/nowhere").resolve().parent
ACCOUNT = "postgres"


def _account() -> str | None:
    """Who runs the database: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return ACCOUNT if ACCOUNT in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database; skips the test where PostgreSQL is not installed."""
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
