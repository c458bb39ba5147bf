"""``jinsha replay``: a file of commands through the engine, or, with ``--journal``, a market computed again.

``--journal`` takes a market's folder or the URL of its database. From the journal alone it computes every trade, and
what became of every order, and compares them with the tables, equal to the last lot; on the way each head must follow
from the one before, under the operator's signature. The market may be running: one snapshot of its database is read.
Exit codes: 0 all is equal; 1 at the first contradiction, which is named; 2 the market can not be read.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection
from sqlalchemy.exc import ArgumentError, DBAPIError

from data.database import open_database, reading, sqlite_url
from data.units import format_energy
from market import config, store
from market.config import INSTITUTIONS, Config, ConfigError
from market.serving import GENESIS
from matching import replay as file_replay
from matching.engine import Engine
from matching.reference import ReferenceEngine
from settlement import audit_store, publish_store
from settlement.audit_market import order_ends, read_keys
from settlement.contradiction import Contradiction, differs
from settlement.examine_orders import examine_trades
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay

_AT_ONCE = 2_000
_FIXED = ("market", "fees", "prices", "settlement", "institutions")

Tick = Callable[[], object]


class Figures(NamedTuple):
    """What was computed again. ``head`` is the journal's, after its last batch."""

    batches: int
    commands: int
    orders: int
    trades: int
    energy_lots: int
    head: bytes
    elapsed_ns: int

    def __str__(self) -> str:
        per_s = self.commands * 10**9 // max(self.elapsed_ns, 1)
        return (
            f"{self.batches:,} batches, {self.commands:,} commands, {self.orders:,} orders, {self.trades:,} trades, "
            f"{format_energy(self.energy_lots)} kWh: every one as recorded, to the last lot ({per_s:,} commands/s)\n"
            f"journal head {self.head.hex()}, signed by the operator"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    file_replay.add_arguments(parser)
    market = parser.add_argument_group("a market, computed again from its journal")
    market.add_argument(
        "--journal", metavar="FOLDER|URL", help="a market's folder, or postgresql://... or sqlite:///..."
    )
    market.add_argument("--database", metavar="URL", help="with a folder: postgresql://... instead of market.db in it")
    market.add_argument(
        "--reference", action="store_true", help="with the engine that is written to be read, as a witness: much slower"
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry out ``jinsha replay``. Returns the exit code."""
    if arguments.journal is None:
        return file_replay.run(arguments)
    engine = ReferenceEngine if arguments.reference else Engine
    try:
        url, terms = _place(arguments.journal, arguments.database)
        found = replay_journal(url, terms, engine=engine, screen=Console(stderr=True))
    except (ConfigError, DBAPIError, ArgumentError, OSError) as error:
        sys.stderr.write(f"jinsha replay: {str(error).splitlines()[0]}\n")
        return 2
    if isinstance(found, Contradiction):
        sys.stdout.write(f"CONTRADICTION {found}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


def _place(journal: str, database: str | None) -> tuple[str, Config | None]:
    """The database's URL and, with a folder, what market.toml says. Raises ConfigError."""
    if "://" in journal:
        return journal, None
    folder = Path(journal)
    terms = config.load(folder)
    if database is None and not (folder / "market.db").exists():
        raise ConfigError(f"{folder / 'market.db'} is not there: this market has never been served")
    return database or sqlite_url(folder / "market.db"), terms


def replay_journal(
    url: str, terms: Config | None, *, engine: type[Engine | ReferenceEngine] = Engine, screen: Console
) -> Figures | Contradiction:
    """Compute a market again and compare. ``terms`` must be what it began with, where they are known.

    Raises ConfigError when no market is there, DBAPIError.
    """
    started_ns = time.perf_counter_ns()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    database = open_database(url)
    try:
        with (
            reading(database) as connection,
            Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bars,
        ):
            found = _begun(connection, terms, engine)
            if isinstance(found, Contradiction):
                return found
            for title, table, compare in _STEPS:
                bar = bars.add_task(title, total=audit_store.count(connection, table))
                for contradiction in compare(connection, found, partial(bars.advance, bar)):
                    return contradiction
            return _figures(found, time.perf_counter_ns() - started_ns)
    finally:
        database.dispose()


def _begun(
    connection: Connection, terms: Config | None, engine: type[Engine | ReferenceEngine]
) -> JournalReplay | Contradiction:
    """A replay under the terms that the market began with, before its first batch."""
    genesis = store.read_settings(connection).get(GENESIS)
    if genesis is None:
        raise ConfigError("no market has begun in this database")
    if terms is not None:
        for name in _FIXED:
            if msgspec.json.decode(msgspec.json.encode(getattr(terms, name))) != genesis[name]:
                return Contradiction("settings", GENESIS, name, "is not what market.toml says")
    began = _terms_of(genesis)
    operator = INSTITUTIONS["operator"]
    keys = read_keys(publish_store.all_keys(connection))
    if isinstance(keys, Contradiction):
        return keys
    if keys.all_of(operator)[:1] != [began.key_of("operator")]:
        return Contradiction("member_keys", f"member {operator}", "x, y", "is not the operator's key of the genesis")
    clearing = Domain(began.chain.chain_id, bytes.fromhex(genesis["contracts"]["Clearing"]), began.salt)
    return JournalReplay(began.rules, clearing, operator, keys, engine)


def _terms_of(genesis: dict[str, Any]) -> Config:
    chain = {"chain_id": genesis["chain_id"], "salt": genesis["salt"]}
    return msgspec.convert({name: genesis[name] for name in _FIXED} | {"chain": chain}, Config)


def _journal(connection: Connection, replay: JournalReplay, tick: Tick) -> Iterator[Contradiction]:
    for link in publish_store.all_links(connection):
        found = replay.add(link)
        if found is not None:
            yield found
            return
        tick()


def _trades(connection: Connection, replay: JournalReplay, tick: Tick) -> Iterator[Contradiction]:
    rows, next_trade = publish_store.all_trades(connection), 1
    while piece := list(islice(rows, _AT_ONCE)):
        for row in piece:
            if row.trade_id != next_trade:
                yield _missing(next_trade)
            next_trade += 1
            tick()
        yield from examine_trades(piece, replay)
    if next_trade <= len(replay.trades):
        yield _missing(next_trade)


def _missing(trade_id: int) -> Contradiction:
    return Contradiction("trades", str(trade_id), "trade_id", "is missing: the journal leads to this trade")


def _orders(connection: Connection, replay: JournalReplay, tick: Tick) -> Iterator[Contradiction]:
    seen = 0
    for row in audit_store.order_rows(connection):
        if row.order.order_id not in replay.orders:
            yield Contradiction("orders", str(row.order.order_id), "order_id", "is not in the journal")
        yield from order_ends(row, replay)
        seen += 1
        tick()
    if seen != len(replay.orders):
        yield differs("orders", "all", "count", stated=seen, computed=len(replay.orders))


_STEPS = (
    ("journal: heads, receipts, commands", "journal", _journal),
    ("trades", "trades", _trades),
    ("orders", "orders", _orders),
)


def _figures(replay: JournalReplay, elapsed_ns: int) -> Figures:
    return Figures(
        batches=replay.batch,
        commands=replay.last_sequences.get(replay.batch, 0),
        orders=len(replay.orders),
        trades=len(replay.trades),
        energy_lots=sum(trade.traded.quantity_lots for trade in replay.trades),
        head=replay.head,
        elapsed_ns=elapsed_ns,
    )
