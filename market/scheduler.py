"""Does what is due on the market clock: closes gates, and carries settlement on step by step.

Gates are the sequencer's business and are closed on the loop. Settlement runs in a thread of its own, one pass after
another: every step does what is due at that time and says whether it did something; a pass in which one did is
followed by another at once. An outage (chain or database) is waited for. A bug stops settlement, loudly, and nothing
else: orders go on, and ``readyz`` tells.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Literal

from sqlalchemy.exc import DBAPIError

from market.clock import Clock
from market.jobs import CloseGates
from market.logs import log
from market.problems import NotRecordedError, ProblemError, StoppedError
from market.sequencer import Sequencer
from settlement.chain import ChainUnavailableError

TICK_S = 0.25
PASS_EVERY_S = 0.5
OUTAGE_PAUSE_S = 2.0

Step = Callable[[int], bool]
"""Called in a thread with the market's time; whether it did something."""

Condition = Literal["running", "waiting", "stopped"]


class Scheduler:
    """``steps`` are settlement's, in order, by name; ``after_work`` is awaited when a pass did something.

    ``condition`` is ``waiting`` during an outage and ``stopped`` after a bug. ``settled_s`` is the latest market time
    at which a pass found nothing to do.
    """

    def __init__(
        self,
        clock: Clock,
        sequencer: Sequencer,
        steps: Sequence[tuple[str, Step]],
        after_work: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock, self._sequencer, self._steps, self._after_work = clock, sequencer, steps, after_work
        self._poked = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="settlement")
        self.condition: Condition = "running"
        self.is_busy = False
        self.settled_s: int | None = None
        self._is_stopping = False

    def stop(self) -> None:
        """Begin no further step of settlement."""
        self._is_stopping = True

    def poke(self) -> None:
        """Something may be due: do not wait for the next turn."""
        self._poked.set()

    async def run(self) -> None:
        """Until cancelled, or until the sequencer stops."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_gates())
                tasks.create_task(self._keep_settling())
        finally:
            await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def _keep_gates(self) -> None:
        while self._sequencer.is_running:
            try:
                await self._sequencer.submit(CloseGates())
            except (NotRecordedError, ProblemError):
                log(logging.WARNING, "gates_wait")
            except StoppedError:
                return
            await asyncio.sleep(TICK_S)

    async def _keep_settling(self) -> None:
        while self._sequencer.is_running and self.condition != "stopped":
            with suppress(TimeoutError):  # nobody poked: it is time to look anyway
                await asyncio.wait_for(self._poked.wait(), PASS_EVERY_S)
            self._poked.clear()
            await self._settle()
            if self.condition == "waiting":
                await asyncio.sleep(OUTAGE_PAUSE_S)

    async def _settle(self) -> None:
        """Passes until one finds nothing to do."""
        self.is_busy = True
        try:
            while await self._pass():
                pass
            self.condition = "running"
        except (ChainUnavailableError, DBAPIError, NotRecordedError, ProblemError) as error:
            self.condition = "waiting"
            log(logging.WARNING, "settlement_waits", error=type(error).__name__)
        except StoppedError:
            self.condition = "stopped"
        except Exception:  # noqa: BLE001 - a bug in settlement must not take the market along; readyz tells
            self.condition = "stopped"
            log(logging.CRITICAL, "settlement_stopped", trace=True)
        finally:
            self.is_busy = False

    async def _pass(self) -> bool:
        now_s = self._clock.now_s()
        has_worked = await asyncio.get_running_loop().run_in_executor(self._thread, self._carry_on, now_s)
        if has_worked:
            await self._after_work()
        else:
            self.settled_s = now_s
        return has_worked

    def _carry_on(self, now_s: int) -> bool:
        has_worked = False
        for name, step in self._steps:
            if self._is_stopping:
                return False
            if step(now_s):
                has_worked = True
                log(logging.INFO, "settlement", step=name, now_s=now_s)
        return has_worked
