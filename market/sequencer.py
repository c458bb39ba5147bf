"""The single writer of one market: takes what is waiting as one batch, carries it out, commits it, then answers.

One thread owns the market in memory. It runs every job of a batch against it, writes the batch in one database
transaction, and only then lets the answers go: nothing is acknowledged, or shown, that is not durable. While one batch
commits, the next gathers; there is no timer. The commands of a batch are one link of the hash-chained journal, and the
operator signs the link once, as the receipt for everyone in it.

``StoppedError``       the writer met a bug, or was told to stop; nothing more is answered
``NotRecordedError``   the database failed: nothing of the batch is acknowledged, the memory is built again from what
                       the database really holds before the next batch runs
"""

import asyncio
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from data.database import reading
from market import store
from market.clock import Clock
from market.jobs import Job, PlainJob
from market.logs import REQUEST_ID, is_logged, log, some
from market.metrics import BatchSeen, Metrics
from market.placing import PlaceOrders
from market.problems import NotRecordedError, StoppedError, unavailable
from market.records import JournalLink, Receipt
from market.recovery import rebuild
from market.state import MarketState
from matching.order import encode_commands
from settlement.journal import SALT_BYTES, next_head

BATCH_WEIGHT = 2_000
"""Orders after which a batch is full; what waits beyond goes into the next."""

MOST_TURNS = 16
"""Turns of the loop after which jobs are queued though more keep coming."""

LOOKS_WAITING = 200
"""Looks at the market that may wait: few, so that orders do not wait for them."""

T = TypeVar("T")


class Outcome(NamedTuple):
    """What came of a job. ``receipt`` is that of its batch, None when the batch changed nothing."""

    answer: Any
    receipt: Receipt | None


@dataclass
class Look(PlainJob):
    """Read the market in memory, between batches. Answers what ``view`` returns."""

    view: Callable[[MarketState], Any]

    def run(self, state: MarketState) -> None:
        pass

    def answer(self, state: MarketState) -> Any:
        return self.view(state)


class Listener(Protocol):
    """Who is told of every batch that is durable."""

    def gather(self, state: MarketState) -> object | None:
        """What of ``state.batch`` is news to anyone, as values of its own; None when nothing is. In the writer's
        thread, after the commit: it must be quick, and may read ``state`` but keep nothing of it.
        """
        ...

    def publish(self, news: Any) -> None:
        """Pass on what ``gather`` returned; on the loop, after the answers of the batch were given."""
        ...


class _Waiting(NamedTuple):
    job: Job
    future: asyncio.Future[Outcome]
    since_s: float
    request_id: str | None


class Sequencer:
    """``new_state`` makes an empty market; ``sign(sequence, head)`` is the operator's signature of a receipt.

    ``on_failure`` is called on the loop when the writer stops on a bug; ``listeners`` are told of durable batches;
    ``metrics`` counts them.
    """

    def __init__(
        self,
        *,
        database: Engine,
        clock: Clock,
        new_state: Callable[[], MarketState],
        sign: Callable[[int, bytes], bytes],
        queue_bound: int,
        on_failure: Callable[[], None],
        listeners: Sequence[Listener] = (),
        metrics: Metrics | None = None,
    ) -> None:
        self._database, self._clock, self._new_state, self._sign = database, clock, new_state, sign
        self._queue_bound, self._on_failure = queue_bound, on_failure
        self._listeners = tuple(listeners)
        self._metrics = metrics or Metrics()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._arrived: list[_Waiting] = []
        self._waiting_weight = self._looking = 0
        self._state: MarketState | None = None
        self._durable_batch = 0
        self._has_stopped = self._failed = False
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)

    # ------------------------------------------------------------------------------------ from the loop

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Rebuild the market from the record, then take jobs. Blocks. Raises RecordError, DBAPIError."""
        self._loop = loop
        self._state = self._rebuilt()
        self._durable_batch = self._state.journal_batch
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive() and not self._has_stopped

    @property
    def waiting_weight(self) -> int:
        """How many orders wait or are being carried out."""
        return self._waiting_weight

    @property
    def is_full(self) -> bool:
        """Whether not even one more order would be taken."""
        return self._waiting_weight >= self._queue_bound

    async def submit(self, job: Job) -> Outcome:
        """Have a job carried out; returns once what it did is durable.

        Raises ProblemError ``queue_full`` (503), StoppedError, NotRecordedError.
        """
        if self._has_stopped:
            raise StoppedError("the sequencer has stopped")
        if self._waiting_weight + job.weight > self._queue_bound:
            raise unavailable("queue_full", "more is waiting than can be finished in time; nothing was accepted")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting_weight += job.weight
        self._arrived.append(_Waiting(job, future, time.perf_counter(), REQUEST_ID.get()))
        if len(self._arrived) == 1:
            self._loop.call_soon(self._hand_over, 0, 0)
        return await future

    def _hand_over(self, seen: int, turns: int) -> None:
        """Queue what came, all at once, when a turn of the loop brought nothing more.

        The writer wakes at the first job it sees: queued one by one, they would be committed one by one, and a commit
        costs as much as some twenty orders. ``seen`` is how many were there at the turn before; a turn that finds
        nothing to do takes microseconds, so nobody waits for company that does not come.
        """
        if seen < len(self._arrived) < BATCH_WEIGHT and turns < MOST_TURNS:
            self._loop.call_soon(self._hand_over, len(self._arrived), turns + 1)
            return
        arrived, self._arrived = self._arrived, []
        if self._has_stopped:
            self._answer(arrived, StoppedError("the sequencer has stopped"))
            return
        for waiting in arrived:
            self._queue.put(waiting)

    async def look(self, view: Callable[[MarketState], T]) -> T:
        """``view(state)`` between batches: all that it sees is durable by the time this returns.

        Raises as ``submit``, and ProblemError ``busy`` (503) when too many look already: they stand among the orders.
        """
        if self._looking >= LOOKS_WAITING:
            raise unavailable("busy", "more is asked about the market than can be answered in time")
        self._looking += 1
        try:
            found: T = (await self.submit(Look(view))).answer
        finally:
            self._looking -= 1
        return found

    def stop(self) -> None:
        """Finish what waits and end. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _answer(self, batch: list[_Waiting], outcomes: list[Outcome] | Exception) -> None:
        for index, waiting in enumerate(batch):
            self._waiting_weight -= waiting.job.weight
            if waiting.future.done():  # whoever asked has gone
                continue
            if isinstance(outcomes, Exception):
                waiting.future.set_exception(outcomes)
            else:
                waiting.future.set_result(outcomes[index])

    def _turn_away(self) -> None:
        """On the loop, after the writer ended: nobody can queue any more, and whoever still waits is told."""
        left: list[_Waiting] = []
        while not self._queue.empty():
            waiting = self._queue.get_nowait()
            if waiting is not None:
                left.append(waiting)
        self._answer(left, StoppedError("the sequencer has stopped"))
        if self._failed:
            self._on_failure()

    # ---------------------------------------------------------------------------------- in the writer's thread

    def _run(self) -> None:
        try:
            while batch := self._gather():
                self._try(batch)
        except BaseException:  # noqa: BLE001 - a bug: the market must stop, with its data safe, and say so
            self._failed = True
            log(logging.CRITICAL, "sequencer_stopped", trace=True)
        self._has_stopped = True
        self._loop.call_soon_threadsafe(self._turn_away)

    def _gather(self) -> list[_Waiting]:
        """All that waits, up to a full batch; empty when it is time to stop."""
        first = self._queue.get()
        if first is None:
            return []
        batch, weight = [first], first.job.weight
        while weight < BATCH_WEIGHT:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._queue.put(None)
                break
            batch.append(following)
            weight += following.job.weight
        return batch

    def _try(self, batch: list[_Waiting]) -> None:
        outcomes: list[Outcome] | Exception
        try:
            outcomes = self._carry_out(batch)
        except (DBAPIError, OSError) as error:
            self._state = None
            self._metrics.failed_batches.inc()
            log(
                logging.ERROR,
                "batch_not_recorded",
                jobs=len(batch),
                error=type(error).__name__,
                requests=some(waiting.request_id for waiting in batch),
            )
            outcomes = NotRecordedError("the database failed; nothing was acknowledged")
        except BaseException:
            log(logging.CRITICAL, "batch_met_a_bug", requests=some(waiting.request_id for waiting in batch))
            self._loop.call_soon_threadsafe(self._answer, batch, StoppedError("the sequencer met a bug"))
            raise
        self._loop.call_soon_threadsafe(self._answer, batch, outcomes)
        if self._state is not None and not self._state.batch.is_empty:
            self._tell(self._state)

    def _tell(self, state: MarketState) -> None:
        """Of ``state.batch``. After a failed batch there is no state, and no news, until it is rebuilt."""
        for listener in self._listeners:
            news = listener.gather(state)
            if news is not None:
                self._loop.call_soon_threadsafe(listener.publish, news)

    def _carry_out(self, batch: list[_Waiting]) -> list[Outcome]:
        begun_s = time.perf_counter()
        if self._state is None:
            self._state = self._rebuilt()
            if self._state.journal_batch > self._durable_batch:  # the commit had happened, only word of it was lost
                self._tell(self._state)
                self._durable_batch = self._state.journal_batch
        state = self._state
        state.begin(self._clock.now_s())
        names = [name for waiting in batch for name in waiting.job.names()]
        if names:
            with reading(self._database) as connection:
                state.known = store.known_orders(connection, names)
        for waiting in batch:
            if not isinstance(waiting.job, PlaceOrders):
                state.settle()  # orders are left waiting until someone else looks
            waiting.job.run(state)
        state.settle()
        answers = [waiting.job.answer(state) for waiting in batch]
        matched_s = time.perf_counter()
        receipt = self._record(state)
        seen = BatchSeen(
            jobs=len(batch),
            batch=state.batch,
            answers=answers,
            open_orders=len(state.open),
            oldest_wait_s=begun_s - batch[0].since_s,
            match_s=matched_s - begun_s,
            commit_s=time.perf_counter() - matched_s,
        )
        self._metrics.batch(seen)
        if is_logged(logging.DEBUG):
            log(
                logging.DEBUG,
                "batch",
                jobs=seen.jobs,
                orders=len(state.batch.orders),
                trades=len(state.batch.trades),
                commit_ms=round(1000 * seen.commit_s, 1),
                requests=some(waiting.request_id for waiting in batch),
            )
        return [Outcome(answer, receipt) for answer in answers]

    def _record(self, state: MarketState) -> Receipt | None:
        """Make the batch durable; the receipt, when there were commands."""
        if state.batch.is_empty:
            return None
        link = self._link(state) if state.batch.commands else None
        with self._database.begin() as connection:
            store.write_batch(connection, state.batch, link)
        if link is None:
            return None
        state.head, state.journal_batch = link.head, link.batch
        self._durable_batch = link.batch
        return Receipt(link.last_sequence, link.head, link.signature)

    def _link(self, state: MarketState) -> JournalLink:
        commands, salt = encode_commands(state.batch.commands), secrets.token_bytes(SALT_BYTES)
        batch, first, last = state.journal_batch + 1, state.batch.first_sequence, state.engine.sequence
        head = next_head(
            state.head,
            batch=batch,
            first_sequence=first,
            last_sequence=last,
            recorded_s=state.now_s,
            commands=commands,
            salt=salt,
        )
        return JournalLink(batch, first, last, state.now_s, state.head, commands, head, self._sign(last, head), salt)

    def _rebuilt(self) -> MarketState:
        state = self._new_state()
        with reading(self._database) as connection:
            rebuild(state, connection)
        log(logging.INFO, "rebuilt", batches=state.journal_batch, sequence=state.engine.sequence, open=len(state.open))
        return state
