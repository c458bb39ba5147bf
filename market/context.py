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
from market.clock import Clock
from market.config import Config
from market.feed import Feed
from market.identity import Directory
from market.jobs import Learn
from market.metrics import Metrics
from market.rate import MessageRates
from market.scheduler import Scheduler
from market.sequencer import Sequencer
from market.store import read_facts
from market.timing import Timing
from market.vault import Vault, new_secret
from settlement.chain import Chain
from settlement.officer import Officer

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Context:
    """``operator`` signs receipts, commitments, proposals and admissions; ``scheduler`` does what is due; ``rates`` is
    asked before an order is read closely; ``vault`` seals members' secrets.

    ``is_stopping`` once the server was told to stop: what has begun is finished, balancers should send nothing new.
    ``succeeded`` counts the requests that went well.
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
    rates: MessageRates = field(default_factory=MessageRates)
    vault: Vault = field(default_factory=lambda: Vault(new_secret()))
    is_stopping: bool = False
    succeeded: int = 0
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="work"))
    _learning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function off the loop, for the same request; what it raises is raised here."""
        call = partial(copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    async def write(self, function: Callable[[Connection], T]) -> T:
        """Run ``function(connection)`` in one writing transaction, off the loop."""

        def transaction() -> T:
            with self.database.begin() as connection:
                return function(connection)

        return await self.in_thread(transaction)

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run ``function(connection)`` on one snapshot, off the loop."""

        def snapshot() -> T:
            with reading(self.database) as connection:
                return function(connection)

        return await self.in_thread(snapshot)

    def poke(self) -> None:
        """Something may be due: let the scheduler look at once."""
        if self.scheduler is not None:
            self.scheduler.poke()

    async def learn(self) -> None:
        """Let the sequencer know what chain and banks decided, as the database has it now."""
        async with self._learning:
            await self.sequencer.submit(Learn(await self.read(read_facts)))


CONTEXT = web.AppKey("context", Context)
