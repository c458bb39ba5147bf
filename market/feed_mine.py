"""A member's own orders as they change, numbered, so that whoever was away reads on where it stopped.

Each durable batch that touched a member's orders is one message for it: the orders as they stand, with the trades of
that batch alone. The latest messages are kept, also for a while after the last reader has left; who comes back with
the last number it saw gets what it missed. Whoever missed more gets a snapshot: all open orders, and the number that
it stands for. Numbers go on within one run of the server.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from market.feed_reader import RUN, Look, Reader, Welcome, message
from market.jobs import Placed, placed
from market.state import MarketState
from market.views import order_body

KEPT_MESSAGES = 1_000
KEPT_BYTES = 2**18
KEPT_S = 60.0
"""For so long after the last reader has left, a member's news is still kept."""


class OwnNews(NamedTuple):
    """What a batch did to the orders of those who read theirs; ``sequence`` is the market's, after the batch."""

    sequence: int
    by_member: Mapping[int, Sequence[Placed]]


class _Message(NamedTuple):
    number: int
    sequence: int
    encoded: bytes


@dataclass
class _Log:
    """One member's latest messages, and who reads them."""

    number: int = 0
    kept: deque[_Message] = field(default_factory=deque)
    kept_bytes: int = 0
    dropped_sequence: int = 0
    readers: set[Reader] = field(default_factory=set)
    joining: int = 0
    visits: int = 0

    def add(self, sequence: int, orders: Sequence[Placed]) -> bytes:
        self.number += 1
        bodies = [order_body(order) for order in orders]
        encoded = message("mine", run=RUN, number=self.number, sequence=sequence, snapshot=False, orders=bodies)
        self.kept.append(_Message(self.number, sequence, encoded))
        self.kept_bytes += len(encoded)
        while len(self.kept) > KEPT_MESSAGES or self.kept_bytes > KEPT_BYTES:
            dropped = self.kept.popleft()
            self.kept_bytes -= len(dropped.encoded)
            self.dropped_sequence = dropped.sequence
        return encoded

    def has_all_after(self, number: int) -> bool:
        return self.number - len(self.kept) <= number <= self.number


class _Snapshot(NamedTuple):
    sequence: int
    last_trade: int
    orders: Sequence[Placed]


class MineFeed:
    """``_members`` is all that the writer's thread looks at; it is replaced, not changed."""

    def __init__(self) -> None:
        self._logs: dict[int, _Log] = {}
        self._members: frozenset[int] = frozenset()
        self._look: Look

    def begin(self, look: Look) -> None:
        """Where snapshots are taken; before anybody joins."""
        self._look = look

    def gather(self, state: MarketState) -> OwnNews | None:
        members, batch = self._members, state.batch
        if not members:
            return None
        by_member: dict[int, list[Placed]] = {}
        for orders in (batch.orders, batch.changed):
            for order in orders.values():
                if order.member_id in members:
                    by_member.setdefault(order.member_id, []).append(placed(state, order.order_id))
        return OwnNews(state.engine.sequence, by_member) if by_member else None

    def publish(self, news: OwnNews) -> None:
        for member_id, orders in news.by_member.items():
            log = self._logs.get(member_id)
            if log is not None:
                told = log.add(news.sequence, orders)
                for reader in log.readers:
                    reader.send(told)

    async def join(self, member_id: int, reader: Reader, after: tuple[str, int] | None, welcome: Welcome) -> None:
        """Read on after (run, number), or from a snapshot when that is not kept.

        Raises ProblemError ``queue_full``, StoppedError, NotRecordedError.
        """
        log = self._log(member_id)
        log.joining += 1
        log.visits += 1
        try:
            if after is not None and after[0] == RUN and log.has_all_after(after[1]):
                welcome({"run": RUN, "resumed": True})
                for kept in log.kept:
                    if kept.number > after[1]:
                        reader.send(kept.encoded)
            else:
                found = await _taken(self._look, member_id, log)
                welcome({"run": RUN, "resumed": False})
                _begin(log, reader, found)
            log.readers.add(reader)
        finally:
            log.joining -= 1
            self._forget_later(member_id, log)

    async def resync(self, member_id: int, reader: Reader, welcome: Welcome) -> None:
        """A fresh snapshot for one who reads already. Raises as ``join`` does; then the numbers show what it missed."""
        readers = self._logs[member_id].readers
        readers.discard(reader)
        try:
            await self.join(member_id, reader, None, welcome)
        finally:
            readers.add(reader)

    def leave(self, member_id: int, reader: Reader) -> None:
        log = self._logs.get(member_id)
        if log is not None:
            log.readers.discard(reader)
            self._forget_later(member_id, log)

    def _log(self, member_id: int) -> _Log:
        """The member's news, which are gathered from now on."""
        log = self._logs.setdefault(member_id, _Log())
        self._members = frozenset(self._logs)
        return log

    def _forget_later(self, member_id: int, log: _Log) -> None:
        if not log.readers and not log.joining:
            asyncio.get_running_loop().call_later(KEPT_S, self._forget, member_id, log, log.visits)

    def _forget(self, member_id: int, log: _Log, visits: int) -> None:
        """Unless somebody has come since."""
        if self._logs.get(member_id) is log and log.visits == visits:
            del self._logs[member_id]
            self._members = frozenset(self._logs)


async def _taken(look: Look, member_id: int, log: _Log) -> _Snapshot:
    """A snapshot, all that came after which is still kept."""
    while True:
        found = await look(lambda state: _open_orders(state, member_id))
        if log.dropped_sequence <= found.sequence:
            return found


def _begin(log: _Log, reader: Reader, found: _Snapshot) -> None:
    """The snapshot under the number it stands for, and what has been told since it was taken.

    A batch whose orders are in the snapshot may be told only after it: it says the same once more, which does no harm,
    for every message has orders as they stand.
    """
    later = [kept for kept in log.kept if kept.sequence > found.sequence]
    number = later[0].number - 1 if later else log.number
    reader.send(
        message(
            "mine",
            run=RUN,
            number=number,
            sequence=found.sequence,
            snapshot=True,
            last_trade=found.last_trade,
            orders=[order_body(order) for order in found.orders],
        )
    )
    for kept in later:
        reader.send(kept.encoded)


def _open_orders(state: MarketState, member_id: int) -> _Snapshot:
    """A member's open orders by age, without their trades."""
    orders = sorted(
        (order for order in state.open.values() if order.member_id == member_id), key=lambda order: order.order_id
    )
    found = [Placed(copy(order), (), state.node_names[order.node_id]) for order in orders]
    return _Snapshot(state.engine.sequence, state.next_trade - 1, found)
