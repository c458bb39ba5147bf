"""``jinsha serve --check``: could this market be served? Looks, changes nothing, and may run beside a server."""

import os
import sys
from pathlib import Path

from sqlalchemy import Engine

from data.database import open_database, reading, sqlite_url
from data.schema import standing
from market import serving, store
from market.clock import read_clock
from market.config import Config, ConfigError
from market.network import NETWORK, connect
from market.settings import Start


def check(folder: Path, terms: Config, start: Start) -> int:
    """Settings and keys were read already; here: clock, folder, database and chain. Exit code 0.

    Raises ConfigError, SchemaError, ChainError, DBAPIError.
    """
    try:
        read_clock(start.clock)
    except ValueError as error:
        raise ConfigError(f"clock: {error}") from error
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder}: this user can not write there")
    found = [
        f"{folder}: settings and keys are in order",
        *_database(folder, terms, start),
        *_chain(folder, terms, start),
    ]
    sys.stdout.write("\n".join(found) + "\n")
    return 0


def _database(folder: Path, terms: Config, start: Start) -> list[str]:
    file = folder / "market.db"
    if start.database_url is None and not file.exists():
        return ["market.db: will be made"]
    database = open_database(start.database_url or sqlite_url(file))
    try:
        return [f"database: {_look(database, terms)}"]
    finally:
        database.dispose()


def _look(database: Engine, terms: Config) -> str:
    with reading(database) as connection:
        revision = standing(connection)
        if revision is None:
            return "empty; its tables will be made"
        begun = store.read_settings(connection).get(serving.GENESIS)
    if begun is not None:
        serving.compare(begun, serving.fixed_by(terms))
    return f"schema {revision}, this market's"


def _chain(folder: Path, terms: Config, start: Start) -> list[str]:
    if start.chain_url is None:
        return ["chain: embedded"]
    endpoints = connect(terms, start.chain_url, _network_of(folder, start))
    return [f"chain: network {endpoints.identity.chain_id} answers, {endpoints.count} nodes are set"]


def _network_of(folder: Path, start: Start) -> dict[str, str] | None:
    """The network that the market began on; None when it has not begun."""
    file = folder / "market.db"
    if start.database_url is None and not file.exists():
        return None
    database = open_database(start.database_url or sqlite_url(file))
    try:
        with reading(database) as connection:
            known = None if standing(connection) is None else store.read_settings(connection).get(NETWORK)
            return known if isinstance(known, dict) else None
    finally:
        database.dispose()
