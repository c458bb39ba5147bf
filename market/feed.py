"""Market data out: everyone's trades, a member's own orders, and books, each a feed in a file of its own.

The sequencer tells of each durable batch. In the writer's thread each feed takes out only what somebody reads; on the
loop, after the answers, it is written as JSON once and handed to every reader. A reader never makes anybody wait: what
is sent only goes into the reader's own queue, and what becomes of one that does not keep up is its own affair.
"""

import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Engine

from market.feed_books import BookFeed
from market.feed_look import GentleLook
from market.feed_mine import MineFeed, OwnNews
from market.feed_reader import Look
from market.feed_trades import TradeFeed
from market.metrics import Metrics
from market.records import TradeRecord
from market.state import MarketState


class News(NamedTuple):
    """What of a batch somebody reads, and when it was gathered; ``slots`` are those whose books may have changed."""

    gathered_s: float
    trades: Sequence[TradeRecord] | None
    own: OwnNews | None
    slots: Collection[int] | None


class Feed:
    """The sequencer's listener. See the module."""

    def __init__(self, database: Engine, metrics: Metrics) -> None:
        self._metrics = metrics
        self.trades, self.mine, self.books = TradeFeed(database), MineFeed(), BookFeed()

    def begin(self, look: Look) -> None:
        """The sequencer that tells is also the one to be looked at: for books, and apart from that for own orders."""
        self.mine.begin(GentleLook(look))
        self.books.begin(GentleLook(look))

    def gather(self, state: MarketState) -> News | None:
        news = self.trades.gather(state), self.mine.gather(state), self.books.gather(state)
        return News(time.perf_counter(), *news) if any(news) else None

    def publish(self, news: News) -> None:
        if news.trades is not None:
            self.trades.publish(news.trades)
        if news.own is not None:
            self.mine.publish(news.own)
        if news.slots is not None:
            self.books.publish(news.slots)
        self._metrics.stream_lag_seconds.observe(time.perf_counter() - news.gathered_s)
