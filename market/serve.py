"""``jinsha serve``: database, chain, sequencer, settlement and HTTP of one market, until told to stop.

Exit codes: 0 stopped when asked; 2 the folder or the database can not be served, with the reason; 70 the sequencer
met a bug and stopped, its data safe.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from data.database import open_database, reading, sqlite_url
from data.schema import SchemaError
from data.units import format_instant
from market import app, config, serving, settling, store
from market.clock import ManualClock, WallClock, read_clock
from market.config import INSTITUTIONS, Config, ConfigError
from market.context import Context
from market.genesis import genesis_of
from market.lock import AlreadyServedError, served_alone
from market.logs import log, start_logging
from market.recovery import RecordError
from market.serving import Parts
from settlement.chain import Chain, ChainError, ChainUnavailableError
from settlement.deploy import deploy
from settlement.embedded import EmbeddedNode, start_embedded
from settlement.officer import Officer

BUG = 70
"""EX_SOFTWARE of sysexits."""

RECURSION_LIMIT = 1_000
"""Python's own. The executable specification, needed to check what is deployed, raises it beyond the C stack."""

KEEP_ALIVE_S = 75
SHUTDOWN_S = 10
CHAIN_WATCH_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a market's folder, made by 'jinsha init'")
    parser.add_argument("--database", metavar="URL", help="postgresql://... instead of market.db in the folder")
    parser.add_argument("--chain", metavar="URL", help="JSON-RPC of an EVM network instead of the embedded chain")
    parser.add_argument("--host", help="address to listen on (default: that of market.toml)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any (default: that of market.toml)")
    parser.add_argument(
        "--clock", default="wall", help="'wall' (default), or 'manual:2026-07-01T00:00:00Z', moved by the operator"
    )


def run(arguments: argparse.Namespace) -> int:
    """The command; returns its exit code."""
    start_logging()
    try:
        return _serve(arguments)
    except (ConfigError, AlreadyServedError, SchemaError, RecordError, ChainError) as error:
        sys.stderr.write(f"jinsha serve: {error}\n")
    except (DBAPIError, OSError) as error:
        sys.stderr.write(f"jinsha serve: {str(error).splitlines()[0]}\n")
    return 2


def _serve(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder
    terms = config.load(folder)
    operator = Officer(INSTITUTIONS["operator"], config.load_key(folder, "operator", terms))
    database = open_database(arguments.database or sqlite_url(folder / "market.db"))
    with ExitStack() as held:
        held.callback(database.dispose)
        held.enter_context(served_alone(database))
        serving.make_tables(database)
        clock = _clock(arguments.clock, database)
        node = None
        if arguments.chain is None:
            node = held.enter_context(_embedded(folder, terms, clock))
        chain = _deployed(folder, terms, node.url if node is not None else arguments.chain)
        listen = arguments.host or terms.server.host, _port(arguments.port, terms)
        sys.setrecursionlimit(RECURSION_LIMIT)
        with _loop() as runner:
            return runner.run(_run(_Market(terms, database, clock, chain, operator, node, listen)))


def _port(asked: int | None, terms: Config) -> int:
    port = terms.server.port if asked is None else asked
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port: {port} is no port")
    return port


def _clock(text: str, database: Engine) -> WallClock | ManualClock:
    """The clock asked for; a manual one goes on from where it stood when the server stopped."""
    try:
        clock = read_clock(text)
    except ValueError as error:
        raise ConfigError(f"--clock: {error}") from error
    if isinstance(clock, ManualClock):
        with reading(database) as connection:
            clock.move_to(max(clock.now_s(), store.latest_time_s(connection)))
    return clock


@contextmanager
def _embedded(folder: Path, terms: Config, clock: WallClock | ManualClock) -> Iterator["_Node"]:
    log(logging.INFO, "starting_chain")
    node = _Node(folder / "chain.db", terms.chain.chain_id, clock)
    try:
        yield node
    finally:
        node.stop()


class _Node:
    """The embedded chain's process, started again on the same port should it end by itself."""

    def __init__(self, file: Path, chain_id: int, clock: WallClock | ManualClock) -> None:
        self._file, self._chain_id, self._clock = file, chain_id, clock
        self._running = self._start(0)
        self.url = self._running.url

    def _start(self, port: int) -> EmbeddedNode:
        return start_embedded(
            self._file,
            chain_id=self._chain_id,
            clock="manual" if self._clock.is_manual else "wall",
            genesis_s=self._clock.now_s(),
            port=port,
        )

    def revive(self) -> None:
        """Start it again if it has ended. Blocks. Raises ChainUnavailableError."""
        code = self._running.process.poll()
        if code is not None:
            log(logging.ERROR, "chain_ended", code=code)
            self._running = self._start(int(self.url.rsplit(":", 1)[1]))
            log(logging.INFO, "chain_started_again")

    def stop(self) -> None:
        self._running.stop()


def _deployed(folder: Path, terms: Config, url: str) -> Chain:
    relayer_key = config.load_relayer_key(folder)
    chain = deploy(url, genesis_of(terms), relayer_key, say=lambda line: log(logging.INFO, "chain", note=line))
    if chain.chain_id != terms.chain.chain_id:
        raise ConfigError(f"chain.chain_id: market.toml says {terms.chain.chain_id}, the network is {chain.chain_id}")
    return chain


def _loop() -> asyncio.Runner:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@dataclass(frozen=True)
class _Market:
    """What a server was started with; ``node`` is None on another network's chain."""

    terms: Config
    database: Engine
    clock: WallClock | ManualClock
    chain: Chain
    operator: Officer
    node: _Node | None
    listen: tuple[str, int]


async def _run(market: _Market) -> int:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    failed = asyncio.Event()

    def fail() -> None:
        failed.set()
        stopped.set()

    parts = Parts(market.terms, market.database, market.clock, market.chain, market.operator, fail)
    context = await loop.run_in_executor(None, serving.assemble, parts, loop)
    watch = [loop.create_task(_settle(context, loop)), loop.create_task(_keep_chain(market.node))]
    for task in watch:
        task.add_done_callback(lambda done: None if done.cancelled() else fail())
    try:
        await _answer(context, market.listen, stopped)
    finally:
        for task in watch:
            task.cancel()
        ends = await asyncio.gather(*watch, return_exceptions=True)
        await loop.run_in_executor(None, context.sequencer.stop)
    for end in ends:
        if isinstance(end, Exception):
            log(logging.CRITICAL, "stopped_by_bug", error=f"{type(end).__name__}: {end}")
    log(logging.INFO, "stopped")
    return BUG if failed.is_set() else 0


async def _answer(context: Context, listen: tuple[str, int], stopped: asyncio.Event) -> None:
    """HTTP until told to stop; requests that have begun are finished."""
    runner = web.AppRunner(
        app.build(context), access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, *listen).start()
        host, port = runner.addresses[0][:2]
        log(logging.INFO, "listening", host=host, port=port, now=format_instant(context.clock.now_s()))
        sys.stdout.write(f"Jinsha serves at http://{host}:{port}\n")
        sys.stdout.flush()
        await stopped.wait()
        log(logging.INFO, "stopping")
    finally:
        await runner.cleanup()


async def _settle(context: Context, loop: asyncio.AbstractEventLoop) -> None:
    def freeze(member: int, is_frozen: bool) -> None:
        loop.call_soon_threadsafe(context.directory.set_status, member, "suspended" if is_frozen else "admitted")

    await serving.schedule(context, settling.steps_of(context, freeze)).run()


async def _keep_chain(node: _Node | None) -> None:
    """Bring the embedded chain back whenever its process ends."""
    while True:
        await asyncio.sleep(CHAIN_WATCH_S)
        if node is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(None, node.revive)
            except ChainUnavailableError as error:
                log(logging.ERROR, "chain_does_not_start", error=str(error))
