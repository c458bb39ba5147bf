"""One market at work: sequencer, settlement and HTTP in one event loop, until told to stop.

Told to stop (SIGTERM, Ctrl-C) it takes no more connections, finishes the requests that have begun, closes streams with
a reason, commits what waits, ends settlement between two steps, and then the chain's process. All of it within
``stop_s``; what is not done by then is left, and so it is at a second signal. Nothing that was answered is lost either
way, for it was on the disk before it was answered.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy import Engine

from data.units import format_instant
from market import chain_process, gateways, key_recovery, lock, serving, settling
from market.chain_process import ChainProcess
from market.clock import ManualClock, WallClock
from market.config import Config
from market.connections import Runner
from market.context import Context
from market.lock import Hold
from market.logs import log, stop_logging
from market.serving import Parts
from settlement.chain import Chain
from settlement.officer import Officer
from settlement.signatures import PublicKey

BUG = 70
"""EX_SOFTWARE of sysexits."""

INTERRUPTED = 130

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Market:
    """What a server was started with; ``node`` is None on another network's chain, ``hold`` on SQLite."""

    terms: Config
    database: Engine
    clock: WallClock | ManualClock
    chain: Chain
    operator: Officer
    node: ChainProcess | None
    secret: bytes
    hold: Hold | None


class Stop:
    """When to stop, and how hard. ``within_s`` counts from the first signal."""

    def __init__(self, within_s: int) -> None:
        self.asked = asyncio.Event()
        self.has_failed = False
        self._within_s = within_s
        self._has_signal = False

    def on_signal(self) -> None:
        """In good order at the first signal, at once at the second."""
        if self._has_signal:
            _leave("stopped_at_once", INTERRUPTED)
        self._has_signal = True
        self.asked.set()
        late = threading.Timer(self._within_s, _leave, ("stopped_late", 0))
        late.daemon = True
        late.start()

    def fail(self) -> None:
        """A bug: stop, and say so with the exit code."""
        self.has_failed = True
        self.asked.set()


def _leave(event: str, code: int) -> None:
    """End the process here and now. The chain's process ends with it; databases recover as after a crash."""
    log(logging.WARNING, event)
    stop_logging()
    os._exit(code)


async def run(market: Market) -> int:
    """Serve until told to stop; the exit code."""
    loop = asyncio.get_running_loop()
    settings = market.terms.server
    stop = Stop(settings.stop_notice_s + settings.stop_s)
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.on_signal)
    parts = Parts(market.terms, market.database, market.clock, market.chain, market.operator, stop.fail, market.secret)
    context = await loop.run_in_executor(None, serving.assemble, parts, loop)
    serving.tune_interpreter()
    watch = [loop.create_task(_settle(context, loop)), loop.create_task(chain_process.keep(market.node))]
    if market.hold is not None:
        watch.append(loop.create_task(lock.keep(market.hold)))
    for task in watch:
        task.add_done_callback(lambda done: None if done.cancelled() else stop.fail())
    try:
        await _answer(context, stop)
    finally:
        await _end(context, watch)
    return BUG if stop.has_failed else 0


async def _end(context: Context, watch: list[asyncio.Task[None]]) -> None:
    """After the last answer: settlement between two steps, then the sequencer with what waits."""
    if context.scheduler is not None:
        context.scheduler.stop()
    for task in watch:
        task.cancel()
    ends = await asyncio.gather(*watch, return_exceptions=True)
    await asyncio.get_running_loop().run_in_executor(None, context.sequencer.stop)
    for end in ends:
        if isinstance(end, Exception):
            log(logging.CRITICAL, "stopped_by_bug", error=type(end).__name__)
    log(logging.INFO, "stopped")


async def _answer(context: Context, stop: Stop) -> None:
    """HTTP until told to stop; requests that have begun are finished."""
    settings = context.config.server
    async with gateways.before(context, settings.gateways) if settings.gateways else _alone(context) as (host, port):
        log(logging.INFO, "listening", host=host, port=port, now=format_instant(context.clock.now_s()))
        sys.stdout.write(f"Jinsha serves at http://{host}:{port}\n")
        sys.stdout.flush()
        await stop.asked.wait()
        context.is_stopping = True
        log(logging.INFO, "stopping")
        await asyncio.sleep(settings.stop_notice_s)


@asynccontextmanager
async def _alone(context: Context) -> AsyncIterator[tuple[str, int]]:
    """Serve this context by this process; the value is where it listens."""
    settings = context.config.server
    runner = Runner(context, shutdown_timeout=settings.stop_s / 3)  # spent up to twice; some is left for the rest
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        yield host, port
    finally:
        await runner.cleanup()


async def _settle(context: Context, loop: asyncio.AbstractEventLoop) -> None:
    def freeze(member: int, is_frozen: bool) -> None:
        loop.call_soon_threadsafe(context.directory.set_frozen, member, is_frozen)

    following: set[asyncio.Task[None]] = set()

    def follow(member: int, here: PublicKey, there: PublicKey) -> None:
        def begin() -> None:
            if not following:  # heard of again at the next look
                task = loop.create_task(key_recovery.follow(context, member, here, there))
                following.add(task)
                task.add_done_callback(ended)

        loop.call_soon_threadsafe(begin)

    def ended(task: asyncio.Task[None]) -> None:
        following.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log(logging.WARNING, "key_waits", error=type(task.exception()).__name__)

    await serving.schedule(context, settling.steps_of(context, freeze, follow)).run()
