"""Everyone's trades as they happen, and what was missed of them from the record.

Trades are numbered without holes, so a reader sees for itself whether one is missing, and says from which number on it
wants them. Who joins is read what is recorded; what happens meanwhile is kept aside for it, until the two meet.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Engine

from market import order_store
from market.feed_reader import Reader, Welcome, message
from market.problems import refuse
from market.records import TradeRecord
from market.state import MarketState
from market.views import public_trade_body

REPLAY_BOUND = 10_000
"""Trades that are read from the record for one who joins; who missed more asks ``GET /v1/trades?public=true``."""

PAGE = 500


class TradeFeed:
    """``_is_read`` is all that the writer's thread looks at."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._live: set[Reader] = set()
        self._joining: dict[Reader, list[TradeRecord]] = {}
        self._is_read = False

    def gather(self, state: MarketState) -> Sequence[TradeRecord] | None:
        return tuple(state.batch.trades) if self._is_read and state.batch.trades else None

    def publish(self, news: Sequence[TradeRecord]) -> None:
        for kept in self._joining.values():
            kept.extend(news)
        if self._live:
            told = _message(news)
            for reader in self._live:
                reader.send(told)

    async def join(self, reader: Reader, after: int | None, welcome: Welcome) -> None:
        """Read on after trade number ``after``, or with None from the next one on.

        Raises ProblemError ``too_far_back``, ``bad_after``, DBAPIError.
        """
        self._joining[reader] = []
        self._is_read = True
        try:
            last = await asyncio.to_thread(order_store.last_trade_of, self._database)
            after = last if after is None else after
            if after > last:
                raise refuse(422, "bad_after", f"the latest trade is number {last}", "to.after")
            if last - after > REPLAY_BOUND:
                raise refuse(422, "too_far_back", f"more than {REPLAY_BOUND} trades; see /v1/trades", "to.after")
            welcome({"after": after})
            await self._catch_up(reader, after, last)
        finally:
            self._joining.pop(reader, None)
            self._is_read = bool(self._live or self._joining)

    async def _catch_up(self, reader: Reader, after: int, last: int) -> None:
        """Send what is recorded up to ``last``, then what was kept aside; from then on the reader is live."""
        kept = self._joining[reader]
        while after < last:
            page = await asyncio.to_thread(order_store.all_trades, self._database, after=after, limit=PAGE)
            after = page[-1].trade_id
            reader.send(_message(page))
            await reader.drained()
        newer = [trade for trade in kept if trade.trade_id > after]
        if newer:
            reader.send(_message(newer))
        self._live.add(reader)

    def leave(self, reader: Reader) -> None:
        self._live.discard(reader)
        self._is_read = bool(self._live or self._joining)


def _message(trades: Sequence[TradeRecord]) -> bytes:
    return message("trades", trades=[public_trade_body(trade) for trade in trades])
