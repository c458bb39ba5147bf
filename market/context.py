"""What a route may use: one ``Context`` for the application, under one key.

Routes run on the event loop. Whatever waits for a disk or another process goes through ``in_thread``:

    rows = await context.in_thread(store.trades_of, context.database, member.member_id)
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine

from market.clock import Clock
from market.config import Config
from market.identity import Directory
from market.sequencer import Sequencer

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Context:
    """``chain`` is the port of ``settlement/chain.py``; ``operator_key`` signs receipts, commitments and proposals."""

    config: Config
    database: Engine
    clock: Clock
    directory: Directory
    operator_key: ec.EllipticCurvePrivateKey
    sequencer: Sequencer
    chain: Any
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="work"))

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function off the loop; what it raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, lambda: function(*args, **kwargs))


CONTEXT = web.AppKey("context", Context)
