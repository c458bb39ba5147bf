"""Which database a test's folder stands for: a SQLite file in it, or the PostgreSQL database that a note in it names.

So a test, or a server that it starts as a process, needs the folder alone, and runs on both.
"""

import atexit
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from sqlalchemy import insert, select

from data.database import open_database, reading, sqlite_url
from data.schema import bring_forward
from data.tables import metadata


def url_of(folder: Path) -> str:
    note = folder / "database.url"
    return note.read_text("utf-8") if note.exists() else sqlite_url(folder / "market.db")


def made(folder: Path) -> str:
    """As ``url_of``, with its tables made: a new SQLite file is the copy of one, which is made once a process."""
    file = folder / "market.db"
    if not (folder / "database.url").exists() and not file.exists():
        shutil.copyfile(_template(), file)
    return url_of(folder)


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="jinsha-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = open_database(sqlite_url(folder / "market.db"))
    bring_forward(database)
    database.dispose()
    return folder / "market.db"


def put_on(folder: Path, url: str) -> None:
    """From now on the folder's database is that of ``url``."""
    (folder / "database.url").write_text(url, "utf-8")


def copy_database(source: Path, folder: Path) -> None:
    """The market of one folder into another, new one, on whatever databases they are: row by row, or as a file."""
    urls = url_of(source), url_of(folder)
    if all(url.startswith("sqlite") for url in urls):
        names = source / "market.db", folder / "market.db"
        with closing(sqlite3.connect(names[0])) as kept, closing(sqlite3.connect(names[1])) as copy:
            kept.backup(copy)
        return
    kept_there, copied_here = (open_database(url) for url in urls)
    bring_forward(copied_here)
    with reading(kept_there) as old, copied_here.begin() as new:
        for table in metadata.sorted_tables:
            rows = [row._asdict() for row in old.execute(select(table).order_by(*table.primary_key))]
            if rows:
                new.execute(insert(table), rows)
    for database in (kept_there, copied_here):
        database.dispose()
