"""What the market counts about itself, for Prometheus: one registry for each server, nothing global.

The order path pays once per batch (``Metrics.batch``) and once per request (``Metrics.request``). What is a state and
not an event, such as the depth of the queue, is set when somebody asks (`market/routes/metrics.py`). Labels are bounded
by the code that sets them: refusal codes, routes, outcomes, states; never a member, an order or an address.
"""

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPMethod
from itertools import chain
from operator import attrgetter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest

from market.jobs import Repeat
from market.problems import Problem
from market.records import Batch
from matching.order import Cancel, Close

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS = frozenset(map(str, HTTPMethod))

_state_of = attrgetter("state")


@dataclass(frozen=True, slots=True)
class BatchSeen:
    """One batch, once it is durable or has failed. Durations in seconds; ``answers`` as the jobs gave them.

    ``oldest_wait_s`` is how long its first job stood in the queue.
    """

    jobs: int
    batch: Batch
    answers: Sequence[Any]
    open_orders: int
    oldest_wait_s: float
    match_s: float
    commit_s: float


class Metrics:
    """All counters of one server. Threads may share it."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._of_orders(registry)
        self._of_batches(registry)
        self._of_http(registry)
        self._of_streams(registry)
        self._of_settlement(registry)
        self._routes: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def _of_orders(self, registry: CollectorRegistry) -> None:
        self.orders = Counter(
            "jinsha_orders",
            "Orders by what came of them: the state after their batch, refused, or repeated",
            ["outcome"],
            registry=registry,
        )
        self.refusals = Counter(
            "jinsha_order_refusals", "Refused orders and cancels by code", ["code"], registry=registry
        )
        self.cancels = Counter("jinsha_cancels", "Cancel commands", registry=registry)
        self.gate_closures = Counter("jinsha_gate_closures", "Slots whose gate was closed", registry=registry)
        self.trades = Counter("jinsha_trades", "Trades", registry=registry)
        self.open_orders = Gauge("jinsha_open_orders", "Open orders after the last batch", registry=registry)

    def _of_batches(self, registry: CollectorRegistry) -> None:
        self.batch_jobs = Histogram("jinsha_batch_jobs", "Jobs in a batch", buckets=SIZES, registry=registry)
        self.batch_orders = Histogram("jinsha_batch_orders", "New orders in a batch", buckets=SIZES, registry=registry)
        self.match_seconds = Histogram(
            "jinsha_batch_match_seconds", "Risk and matching of a batch", buckets=SECONDS, registry=registry
        )
        self.commit_seconds = Histogram(
            "jinsha_batch_commit_seconds", "Making a batch durable", buckets=SECONDS, registry=registry
        )
        self.queue_wait_seconds = Histogram(
            "jinsha_queue_wait_seconds", "Wait of a batch's oldest job", buckets=SECONDS, registry=registry
        )
        self.failed_batches = Counter("jinsha_failed_batches", "Batches that could not be recorded", registry=registry)
        self.queue_orders = Gauge("jinsha_queue_orders", "Weight of what waits for the sequencer", registry=registry)
        self.queue_bound = Gauge("jinsha_queue_bound_orders", "Weight that may wait", registry=registry)
        self.sequencer_up = Gauge("jinsha_sequencer_up", "1 while the sequencer takes orders", registry=registry)

    def _of_http(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "jinsha_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "jinsha_http_request_seconds",
            "From the headers' arrival to the answer",
            ["method", "route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.problems = Counter("jinsha_http_problems", "Problems answered, by code", ["code"], registry=registry)
        self.requests_under_way = Gauge("jinsha_http_requests_under_way", "Requests being answered", registry=registry)
        self.connections = Gauge("jinsha_http_connections", "Open connections", registry=registry)
        self.connections_refused = Counter(
            "jinsha_http_connections_refused", "Connections closed unheard, by reason", ["reason"], registry=registry
        )
        self.reads_waiting = Gauge("jinsha_reads_waiting", "Reads that wait for a thread", registry=registry)

    def _of_streams(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge("jinsha_stream_connections", "Open WebSocket streams", registry=registry)
        self.stream_messages = Counter("jinsha_stream_messages", "Messages sent on streams", registry=registry)
        self.stream_lag_seconds = Histogram(
            "jinsha_stream_lag_seconds",
            "From a batch's answers to its news being handed to all streams",
            buckets=SECONDS,
            registry=registry,
        )
        self.streams_dropped = Counter(
            "jinsha_streams_dropped", "Streams closed by the server, by reason", ["reason"], registry=registry
        )

    def _of_settlement(self, registry: CollectorRegistry) -> None:
        self.outbox_waiting = Gauge("jinsha_outbox_waiting", "Calls on their way to the chain", registry=registry)
        self.challenges_open = Gauge("jinsha_challenges_open", "Challenges that wait for an answer", registry=registry)
        self.challenges_unanswered = Gauge(
            "jinsha_challenges_unanswered", "Open challenges to which the market has no answer", registry=registry
        )
        self.database_up = Gauge("jinsha_database_up", "1 when the database answered just now", registry=registry)
        self.chain_up = Gauge("jinsha_chain_up", "1 when the chain answered just now", registry=registry)
        self.chain_lag = Gauge("jinsha_chain_lag_blocks", "Blocks not yet mirrored", registry=registry)
        self.settlement_up = Gauge("jinsha_settlement_up", "1 running, 0 waiting or stopped", registry=registry)
        self.settlement_lag = Gauge(
            "jinsha_settlement_lag_seconds", "Market time since settlement last had nothing to do", registry=registry
        )

    # ------------------------------------------------------------------------------------------- events

    def batch(self, seen: BatchSeen) -> None:
        """A batch is durable. Called once per batch, in the writer's thread."""
        batch = seen.batch
        self.batch_jobs.observe(seen.jobs)
        self.queue_wait_seconds.observe(seen.oldest_wait_s)
        self.match_seconds.observe(seen.match_s)
        self.open_orders.set(seen.open_orders)
        if not batch.is_empty:
            self.commit_seconds.observe(seen.commit_s)
        if batch.orders:
            self.batch_orders.observe(len(batch.orders))
            for state, count in Tally(map(_state_of, batch.orders.values())).items():
                self.orders.labels(state).inc(count)
        kinds = Tally(map(type, batch.commands))
        self.cancels.inc(kinds[Cancel])
        self.gate_closures.inc(kinds[Close])
        self.trades.inc(len(batch.trades))
        self._answered(seen.answers)

    def _answered(self, answers: Sequence[Any]) -> None:
        """Count refusals and repeats. Placing orders answers with a list, cancelling one order with its problem."""
        placing = [answer for answer in answers if isinstance(answer, list)]
        kinds = Tally(map(type, chain.from_iterable(placing)))
        if kinds[Repeat]:
            self.orders.labels("repeated").inc(kinds[Repeat])
        if kinds[Problem]:
            self.orders.labels("refused").inc(kinds[Problem])
        refused = chain(answers, chain.from_iterable(placing) if kinds[Problem] else ())
        for code, count in Tally(each.code for each in refused if isinstance(each, Problem)).items():
            self.refusals.labels(code).inc(count)

    def request(self, method: str, route: str, status: int, duration_s: float) -> None:
        """A request is answered. ``route`` is the pattern, never the path that was asked for."""
        key = (method, route, status)
        seen = self._routes.get(key)
        if seen is None:
            known = method if method in METHODS else "other"
            seen = self.requests.labels(known, route, str(status)), self.request_seconds.labels(known, route)
            if known == method:
                self._routes[key] = seen
        seen[0].inc()
        seen[1].observe(duration_s)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)
