"""Looking at the market in memory without taking the writer's time from orders."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from market.feed_reader import Look
from market.state import MarketState

T = TypeVar("T")

PAUSES_FOR_EACH_LOOK = 9
"""Looks get a tenth of the writer's time, counted as its thread's own, without what it waits for others."""


class GentleLook:
    """One look at a time, each followed by a pause of nine times what it took the writer."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._turn = asyncio.Lock()
        self._free_s = 0.0

    async def __call__(self, view: Callable[[MarketState], T]) -> T:
        """What ``Sequencer.look`` answers and raises."""
        async with self._turn:
            await asyncio.sleep(max(0.0, self._free_s - time.monotonic()))
            took_s = 0.0

            def timed(state: MarketState) -> T:
                nonlocal took_s
                begun_s = time.thread_time()
                found = view(state)
                took_s = time.thread_time() - begun_s
                return found

            try:
                return await self._look(timed)
            finally:
                self._free_s = time.monotonic() + PAUSES_FOR_EACH_LOOK * took_s
