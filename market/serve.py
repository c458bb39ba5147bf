"""``jinsha serve``: database, chain, sequencer, settlement and HTTP of one market, until told to stop.

Exit codes: 0 stopped when asked, or checked and found in order; 2 the folder or the database can not be served, with
the reason; 70 the sequencer met a bug and stopped, its data safe; 130 stopped at once by a second signal.
"""

import argparse
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from data.database import open_database, reading, sqlite_url
from data.schema import SchemaError
from market import config, running, serving, settings, store
from market.chain_process import ChainProcess, embedded
from market.clock import ManualClock, WallClock, read_clock
from market.config import INSTITUTIONS, Config, ConfigError
from market.connections import make_room
from market.gateways import GatewayError
from market.genesis import genesis_of
from market.lock import AlreadyServedError, served_alone
from market.logs import log, set_level, start_logging
from market.loops import new_loop
from market.network import GONE_BACK_AFTER_S, network, nodes_of
from market.readiness import check
from market.recovery import RecordError
from market.settings import SettingsError
from settlement.chain import Chain, ChainError
from settlement.deploy import deploy, deploy_over
from settlement.officer import Officer

RECURSION_LIMIT = 1_000
"""Python's own. The executable specification, needed to check what is deployed, raises it beyond the C stack."""

OPTIONS = {"folder": "folder", "database": "database_url", "chain": "chain_url", "clock": "clock"}
OPTIONS |= {"host": "server.host", "port": "server.port", "gateways": "server.gateways"}
"""Settings that the command line can set, by argument."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = {setting.name: setting for setting in settings.table()}
    parser.add_argument("folder", nargs="?", help="a market's folder, made by 'jinsha init' (default: JINSHA_FOLDER)")
    for option, name in OPTIONS.items():
        if option != "folder":
            parser.add_argument(
                f"--{option}", metavar=option.upper(), help=f"{known[name].meaning} ({known[name].variable})"
            )
    parser.add_argument(
        "--check", action="store_true", help="look whether it could be served, and say so; serve nothing"
    )
    parser.epilog = "Every setting can also come from market.toml or the environment; 'jinsha settings' lists them."


def run(arguments: argparse.Namespace) -> int:
    """The command; returns its exit code."""
    start_logging()
    try:
        return _serve(arguments)
    except (SettingsError, AlreadyServedError, SchemaError, RecordError, ChainError, GatewayError) as error:
        sys.stderr.write(f"jinsha serve: {error}\n")
    except (DBAPIError, OSError) as error:
        sys.stderr.write(f"jinsha serve: {str(error).splitlines()[0]}\n")
    return 2


def _serve(arguments: argparse.Namespace) -> int:
    options = {name: getattr(arguments, option) for option, name in OPTIONS.items()}
    given = {**settings.from_environment(os.environ), **settings.from_options(options)}
    start = settings.start_of(given)
    if start.folder is None:
        raise ConfigError("which market? name its folder, or set JINSHA_FOLDER")
    folder = Path(start.folder)
    terms = config.load(folder, given)
    set_level(terms.server.log_level)
    make_room(terms.server.connections)
    operator = Officer(INSTITUTIONS["operator"], config.load_key(folder, "operator", terms))
    relayer_key = config.load_relayer_key(folder)
    secret = config.load_server_secret(folder)
    if arguments.check:
        return check(folder, terms, start)
    database = open_database(start.database_url or sqlite_url(folder / "market.db"))
    with ExitStack() as held:
        held.callback(database.dispose)
        hold = held.enter_context(served_alone(database))
        serving.make_tables(database)
        clock = _clock(start.clock, database)
        node = held.enter_context(embedded(folder, terms, clock)) if start.chain_url is None else None
        chain = _deployed(terms, relayer_key, node, database, start.chain_url or "")
        sys.setrecursionlimit(RECURSION_LIMIT)
        with new_loop() as runner:
            return runner.run(running.run(running.Market(terms, database, clock, chain, operator, node, secret, hold)))


def _clock(text: str, database: Engine) -> WallClock | ManualClock:
    """The clock asked for, not before what is on record: time on record never goes back."""
    try:
        clock = read_clock(text)
    except ValueError as error:
        raise ConfigError(f"clock: {error}") from error
    with reading(database) as connection:
        recorded_s = store.latest_time_s(connection)
    if isinstance(clock, ManualClock):
        clock.move_to(max(clock.now_s(), recorded_s))
    else:
        clock.stand_at(recorded_s)
    return clock


def _deployed(
    terms: Config, relayer_key: bytes, node: ChainProcess | None, database: Engine, network_urls: str
) -> Chain:
    def say(line: str) -> None:
        log(logging.INFO, "chain", note=line)

    if node is not None:
        chain = deploy(node.url, genesis_of(terms), relayer_key, say=say)
    else:
        chain = deploy_over(
            network(database, terms, network_urls),
            genesis_of(terms),
            relayer_key,
            confirmations=terms.network.confirmations,
            gone_back_after_s=GONE_BACK_AFTER_S if len(nodes_of(network_urls)) > 1 else 0.0,
            say=say,
        )
    if chain.chain_id != terms.chain.chain_id:
        raise ConfigError(f"chain.chain_id: market.toml says {terms.chain.chain_id}, the chain is {chain.chain_id}")
    return chain
