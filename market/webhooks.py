"""Webhooks: the feed brought to members, signed, in order, at least once.

Each webhook remembers the last event that its receiver took (any answer 200 to 299), in the database. What is not
written there is sent again: after a crash a receiver may hear an event twice, with the same number, and never misses
one. While an event is not taken the later ones wait, so that order is kept; it is tried again after 10 s, 20 s, 40 s
and so on up to an hour, each shortened by chance by up to a half, so that receivers that fail together are not asked
together. After three days without success the webhook is given up, which its owner sees, until it is replayed.

Signatures are HMAC-SHA256 (RFC 2104) over ``timestamp.body``; ``market/client/webhooks.py`` checks them.
"""

import asyncio
import hashlib
import hmac
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

import aiohttp
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from data.database import reading
from finance import feed_store
from market import outgoing, webhook_store
from market.event_views import event_body, event_bytes
from market.logs import log
from market.vault import SealError, Vault
from market.webhook_store import GIVEN_UP, Webhook

T = TypeVar("T")

FIRST_PAUSE_S = 10
LONGEST_PAUSE_S = 3_600
GIVE_UP_S = 3 * 86_400
AT_ONCE = 50
"""Events that are read, and whose delivery is noted, together."""

MOST_UNDER_WAY = 16
LOOK_EVERY_S = 30.0
OUTAGE_PAUSE_S = 2.0

EVENT, TIMESTAMP, SIGNATURE, WEBHOOK = "Jinsha-Event", "Jinsha-Timestamp", "Jinsha-Signature", "Jinsha-Webhook"

Listeners = Callable[[int], Sequence[int] | None]
"""By member: in whose name it hears; None: all there is."""


class Outcome(NamedTuple):
    """What became of a delivery: HTTP's status, or why there is none."""

    status: int | None
    error: str | None

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def sign(secret: bytes, timestamp_s: int, body: bytes) -> str:
    """The value of ``Jinsha-Signature``."""
    return "v1=" + hmac.digest(secret, b"%d." % timestamp_s + body, hashlib.sha256).hex()


def pause_s(attempts: int, chance: float) -> int:
    """How long to wait after so many attempts without success (1, 2, 3 ...); ``chance`` is in [0, 1)."""
    full_s = min(FIRST_PAUSE_S << min(attempts - 1, 20), LONGEST_PAUSE_S)
    return full_s - int(full_s * chance / 2)


@dataclass(frozen=True, slots=True)
class Terms:
    """``inside``: addresses of the operator's own network are allowed."""

    inside: bool
    timeout_s: float


class Deliveries:
    """Brings events to webhooks until cancelled; has its own thread, so that no read and no order waits for it.

    ``now_s`` is the machine's time. Its state is in the database alone.
    """

    def __init__(
        self,
        database: Engine,
        vault: Vault,
        listeners: Listeners,
        terms: Terms,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._vault, self._listeners, self._terms = database, vault, listeners, terms
        self._now_s = now_s
        self._woken = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MOST_UNDER_WAY)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhooks")
        self._loop = asyncio.get_running_loop()
        self._http: aiohttp.ClientSession | None = None

    def wake(self) -> None:
        """Something may be there to deliver. Thread-safe."""
        with suppress(RuntimeError):  # the loop has ended: nobody is left to be woken
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Until cancelled. An outage of the database is waited for."""
        try:
            async with outgoing.session(inside=self._terms.inside, timeout_s=self._terms.timeout_s) as self._http:
                while True:
                    self._woken.clear()
                    wait_s = await self._begin_what_is_due()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), wait_s)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
            self._thread.shutdown()

    async def _begin_what_is_due(self) -> float:
        """Start on every webhook whose turn it is; how long until the next one's."""
        busy = set(self._under_way)  # of one that ends meanwhile, what is read may be how it stood before
        try:
            waiting = await self._read(lambda it: webhook_store.behind(it, feed_store.last_number(it)))
        except DBAPIError as error:
            log(logging.WARNING, "webhooks_wait", error=type(error).__name__)
            return OUTAGE_PAUSE_S
        now_s, next_s = self._now_s(), LOOK_EVERY_S
        for webhook in waiting:
            if webhook.webhook_id in busy:
                continue
            if webhook.next_try_s > now_s:
                next_s = min(next_s, webhook.next_try_s - now_s)
                continue
            task = self._loop.create_task(self._deliver_all(webhook))
            self._under_way[webhook.webhook_id] = task
            task.add_done_callback(partial(self._ended, webhook.webhook_id))
        return max(next_s, 0.05)

    def _ended(self, webhook_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[webhook_id]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:  # an outage or a bug: orders go on, the next look tries again
            log(logging.ERROR, "webhook_failed", webhook=webhook_id, error=repr(error))
            self._loop.call_later(OUTAGE_PAUSE_S, self._woken.set)
        else:
            self._woken.set()

    async def _deliver_all(self, webhook: Webhook) -> None:
        """Event after event until none is left, one is not taken, or the webhook was moved meanwhile."""
        async with self._slots:
            at: Webhook | None = webhook
            while at is not None:
                at = await self._deliver_some(at)

    async def _deliver_some(self, webhook: Webhook) -> Webhook | None:
        """The next events; where the webhook stands then, None when it does not go on now."""
        rows, newest = await self._read(partial(_next_events, webhook, self._listeners(webhook.member_id)))
        at, outcome = webhook, Outcome(webhook.last_status, None)
        for row in rows:
            if not webhook.kinds or row.kind in webhook.kinds:
                outcome = await self.post(webhook, row.number, event_bytes(event_body(row)))
                if outcome.error is not None:
                    await self._move(webhook, self._failed(webhook, at, outcome))
                    return None
                at = replace(at, delivered=at.delivered + 1)
            at = replace(at, position=row.number)
        is_all = len(rows) < AT_ONCE
        at = replace(
            at,
            position=max(at.position, newest) if is_all else at.position,
            attempts=0,
            failing_s=None,
            last_status=outcome.status,
            last_error=None,
        )
        is_moved = await self._move(webhook, at)
        return at if is_moved and not is_all else None

    def _failed(self, before: Webhook, at: Webhook, outcome: Outcome) -> Webhook:
        """Where a webhook stands that got to ``at``, where an event was not taken."""
        now_s, is_first = int(self._now_s()), at.position != before.position or before.failing_s is None
        attempts = 1 if is_first else before.attempts + 1
        failing_s = before.failing_s if not is_first and before.failing_s is not None else now_s
        is_over = now_s - failing_s >= GIVE_UP_S
        if is_over:
            log(logging.WARNING, "webhook_given_up", webhook=before.webhook_id, member=before.member_id)
        return replace(
            at,
            attempts=attempts,
            failing_s=failing_s,
            next_try_s=now_s + pause_s(attempts, random.random()),
            state=GIVEN_UP if is_over else at.state,
            last_status=outcome.status,
            last_error=outcome.error,
        )

    async def post(self, webhook: Webhook, number: int, body: bytes) -> Outcome:
        """Send one event; redirects are not followed, nothing of the answer is read but its head."""
        assert self._http is not None, "deliveries run"
        refusal = outgoing.refusal_of(webhook.url, inside=self._terms.inside)
        if refusal is not None:
            return Outcome(None, refusal)
        try:
            secret = self._vault.open(f"webhook:{webhook.webhook_id}", webhook.secret)
        except SealError:
            return Outcome(None, "its secret was sealed by another server")
        timestamp_s = int(self._now_s())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "jinsha-webhooks",
            WEBHOOK: webhook.webhook_id,
            EVENT: str(number),
            TIMESTAMP: str(timestamp_s),
            SIGNATURE: sign(secret, timestamp_s, body),
        }
        try:
            async with self._http.post(webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
                return Outcome(answer.status, None if 200 <= answer.status < 300 else f"it answered {answer.status}")
        except TimeoutError:
            return Outcome(None, f"no answer within {self._terms.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, outgoing.ForbiddenAddressError) else error
            return Outcome(None, str(cause)[:200] or type(error).__name__)

    async def _read(self, function: Callable[[Connection], T]) -> T:
        def look() -> T:
            with reading(self._database) as connection:
                return function(connection)

        return await self._loop.run_in_executor(self._thread, look)

    async def _move(self, before: Webhook, after: Webhook) -> bool:
        def write() -> bool:
            with self._database.begin() as connection:
                return webhook_store.move(connection, before, after)

        return await self._loop.run_in_executor(self._thread, write)


def _next_events(
    webhook: Webhook, listeners: Sequence[int] | None, connection: Connection
) -> tuple[feed_store.Events, int]:
    """The events that come next, and the number of the newest, which may be for others."""
    rows = feed_store.events_after(connection, listeners, webhook.position, AT_ONCE)
    return rows, feed_store.last_number(connection)
