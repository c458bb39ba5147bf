"""What a route may use: one ``Context`` for the application, under one key.

Routes run on the event loop. Whatever waits for a disk or another process goes through ``in_thread``:

    rows = await context.in_thread(store.trades_of, context.database, member.member_id)
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar

from aiohttp import web
from sqlalchemy import Connection, Engine

from data.database import reading
from finance.outside import Outside
from market.clock import Clock
from market.config import Config
from market.feed import Feed
from market.identity import Directory
from market.jobs import Learn
from market.metrics import Metrics
from market.once import ONCE
from market.problems import unavailable
from market.rate import MessageRates
from market.scheduler import Scheduler
from market.sequencer import Sequencer
from market.store import read_facts
from market.timing import Timing
from market.vault import Vault, new_secret
from market.webhooks import Deliveries
from settlement.chain import Chain
from settlement.officer import Officer

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Context:
    """``operator`` signs receipts, commitments, proposals and admissions; ``scheduler`` does what is due; ``rates`` is
    asked before an order is read closely; ``vault`` seals members' secrets; ``outside`` is asked before a sale;
    ``deliveries`` brings events to webhooks.

    ``is_stopping`` once the server was told to stop: what has begun is finished, balancers should send nothing new.
    ``succeeded`` counts the requests that went well, ``under_way`` those that are being answered,
    ``reads_waiting`` what runs or waits in ``threads``, never more than ``reads_bound``.
    """

    config: Config
    database: Engine
    clock: Clock
    timing: Timing
    directory: Directory
    operator: Officer
    sequencer: Sequencer
    chain: Chain
    feed: Feed
    metrics: Metrics = field(default_factory=Metrics)
    scheduler: Scheduler | None = None
    deliveries: Deliveries | None = None
    rates: MessageRates = field(default_factory=MessageRates)
    vault: Vault = field(default_factory=lambda: Vault(new_secret()))
    outside: Outside = field(default_factory=Outside)
    is_stopping: bool = False
    succeeded: int = 0
    under_way: int = 0
    reads_waiting: int = 0
    reads_bound: int = 200
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="work"))
    writers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="write"))
    _learning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function off the loop, for the same request; what it raises is raised here.

        Raises ProblemError ``busy`` (503) when too many wait already: whoever lists much does not slow the others.
        """
        if self.reads_waiting >= self.reads_bound:
            raise unavailable("busy", "more reads are waiting than can be answered in time")
        self.reads_waiting += 1
        try:
            return await _run(self.threads, partial(function, *args, **kwargs))
        finally:
            self.reads_waiting -= 1

    async def write(self, function: Callable[[Connection], T]) -> T:
        """Run ``function(connection)`` in one writing transaction, off the loop; no read stands before it."""

        def transaction() -> T:
            with self.database.begin() as connection:
                return function(connection)

        return await _run(self.writers, transaction)

    async def write_and_answer(
        self, function: Callable[[Connection], T], reply: Callable[[T], web.Response]
    ) -> web.Response:
        """``reply`` to what ``function`` returned in one writing transaction.

        Under an idempotency key the answer is kept in the same transaction: it is there exactly when the effect is.
        ``reply`` runs off the loop and must not depend on what is yet to be done.
        """
        once = ONCE.get()

        def transaction(connection: Connection) -> web.Response:
            answer = reply(function(connection))
            if once is not None:
                once.keep(connection, answer)
            return answer

        answer = await self.write(transaction)
        if once is not None:
            once.is_kept = True
        return answer

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run ``function(connection)`` on one snapshot, off the loop. Raises ProblemError as ``in_thread``."""
        return await self.in_thread(self._snapshot, function)

    def _snapshot(self, function: Callable[[Connection], T]) -> T:
        with reading(self.database) as connection:
            return function(connection)

    def poke(self) -> None:
        """Something may be due: let the scheduler look at once."""
        if self.scheduler is not None:
            self.scheduler.poke()

    def hear(self) -> None:
        """The feed has gone on, or somebody wants to be told of it. Thread-safe."""
        if self.deliveries is not None:
            self.deliveries.wake()

    async def learn(self) -> None:
        """Let the sequencer know what chain and banks decided, as the database has it now."""
        async with self._learning:
            await self.sequencer.submit(Learn(await _run(self.writers, partial(self._snapshot, read_facts))))


async def _run(threads: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, call)


CONTEXT = web.AppKey("context", Context)
