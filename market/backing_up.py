"""``jinsha backup``: a copy of a market that may be running, from which it can be served again.

Both SQLite files are copied through SQLite's own online backup, each as one snapshot that no writer waits for. The two
must belong together: a call that the chain took after the market was copied would be unknown to the copy. So the chain
must not have changed from before the first copy to after the second; when it has, both are taken again.

A market on PostgreSQL, or on another network's chain, is backed up with the tools of those: see `docs/operating.md`.
"""

import argparse
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

TRIES = 30
PAUSE_S = 1.0
DATABASES = ("market.db", "chain.db")


class BackupError(Exception):
    """There is no backup; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the market's folder")
    parser.add_argument("target", type=Path, help="a folder to be made; it can be served as it is, keys apart")
    parser.add_argument("--keys", action="store_true", help="copy the private keys too, which makes the copy secret")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0; 1 when no copy could be taken, with the reason."""
    try:
        back_up(arguments.folder, arguments.target, with_keys=arguments.keys)
    except (BackupError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"jinsha backup: {error}\n")
        return 1
    sizes = ", ".join(f"{file.name} {file.stat().st_size:,} bytes" for file in sorted(arguments.target.glob("*.db")))
    sys.stdout.write(f"{arguments.target}: market.toml, {sizes}; checked.\n")
    return 0


def back_up(folder: Path, target: Path, *, with_keys: bool = False) -> None:
    """Copy a market. Raises BackupError, OSError, sqlite3.Error; the target is then not there."""
    if target.exists():
        raise BackupError(f"{target} exists already; choose another folder")
    if not (folder / "market.db").exists():
        raise BackupError(f"{folder / 'market.db'} is not there; is the market on PostgreSQL?")
    target.mkdir(mode=0o700, parents=True)
    try:
        _copy_together(folder, target)
        for name in DATABASES:
            _check(target / name)
        if (folder / "market.toml").exists():
            shutil.copy2(folder / "market.toml", target)
        if with_keys:
            shutil.copytree(folder / "keys", target / "keys")
            (target / "keys").chmod(0o700)
    except BaseException:
        shutil.rmtree(target)
        raise


def _copy_together(folder: Path, target: Path) -> None:
    """Both databases, of one moment of the chain."""
    if not (folder / "chain.db").exists():
        _copy(folder / "market.db", target / "market.db")
        return
    with closing(_open(folder / "chain.db")) as chain:
        for _ in range(TRIES):
            before = _version(chain)
            for name in DATABASES:
                _copy(folder / name, target / name)
            if _version(chain) == before:
                return
            time.sleep(PAUSE_S)
    raise BackupError("the chain was never quiet; try again, or stop the server first")


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)


def _version(connection: sqlite3.Connection) -> int:
    """A number that is another one as soon as anybody else has committed to the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _copy(file: Path, copy: Path) -> None:
    """One snapshot of a file, in one step: step by step it would begin again with every commit."""
    copy.unlink(missing_ok=True)
    with closing(_open(file)) as source, closing(sqlite3.connect(copy)) as destination:
        source.backup(destination)
    copy.chmod(0o600)


def _check(file: Path) -> None:
    if not file.exists():
        return
    with closing(sqlite3.connect(file)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise BackupError(f"{file}: {found}")
