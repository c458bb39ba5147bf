"""Order entry over HTTP, beside a handler that does nothing: ``make bench-http``.

    python bench/bench_http.py [--seconds 5] [--rounds 3] [--databases sqlite,postgresql]

The server runs on core 0 alone; load, and PostgreSQL where it is used, on the others. Every order is signed, checked,
matched and durable before it is answered (SQLite with synchronous=FULL, PostgreSQL with fsync). Each round starts new
servers; a figure is the median of the rounds, with the lowest and highest. The tables are Markdown.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from http_load import Server, Tally, Trader, closed_loop, open_loop, request_of
from http_streams import book_delay, stream_entry

from data.database import sqlite_url
from data.units import parse_instant_s
from settlement import signatures
from tests.market.world import SLOT, NamedChain
from tests.postgresql import cluster

SERVER_CORE = 0
MEMBERS = 20
SLOTS = 16
CONNECTIONS = 64
BATCH_CONNECTIONS = 16
BATCH = 100
STREAMS = 8
BOOK_ORDERS_RATE, BOOK_BATCH = 2_000, 10
SLICE_S = 0.5
GUESS_SINGLE, GUESS_BATCHES, GUESS_NOOP = 3_000, 200, 9_000
"""Requests a second that a round is made for; it ends when they are all answered."""


@contextmanager
def server(*arguments: str) -> Iterator[tuple[Server, Any]]:
    """A server of ``http_server.py``, and what it says of itself."""
    command = [sys.executable, str(Path(__file__).with_name("http_server.py")), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=_environment()) as child:
        assert child.stdout is not None and child.stdin is not None
        try:
            told = msgspec.json.decode(child.stdout.readline())
            yield Server(told["port"], child.pid), told
        finally:
            child.stdin.close()
            child.wait(60)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def traders_of(told: Any) -> list[Trader]:
    first = parse_instant_s(SLOT)
    slots = [first + 900 * number for number in range(SLOTS)]
    return [
        Trader(
            each["member"],
            each["meter"],
            each["token"],
            signatures.private_from_pem(each["key"].encode()),
            NamedChain().domain("Clearing"),
            slots,
            number % 2 == 0,
        )
        for number, each in enumerate(told["members"])
    ]


def singles(traders: list[Trader], count: int) -> list[bytes]:
    chosen = [traders[number % len(traders)] for number in range(count)]
    return [request_of("/v1/orders", trader.token, trader.one()) for trader in chosen]


def batches(traders: list[Trader], count: int, size: int) -> list[bytes]:
    chosen = [traders[number % len(traders)] for number in range(count)]
    return [request_of("/v1/orders/batch", trader.token, trader.many(size)) for trader in chosen]


def accepted(tally: Tally, status: int) -> Tally:
    """The tally, when every answer was the one expected."""
    if set(tally.statuses) != {status}:
        raise SystemExit(f"unexpected answers: {dict(tally.statuses)}")
    return tally


class Figures:
    """Every figure's values, round by round."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self._found.setdefault(name, []).append(value)

    def table(self) -> str:
        lines = ["| what | median | lowest | highest |", "|---|---:|---:|---:|"]
        for name, values in self._found.items():
            shown = [statistics.median(values), min(values), max(values)]
            cells = [f"{value:,.2f}" if value < 100 else f"{value:,.0f}" for value in shown]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return "\n".join(lines)


async def measure_round(figures: Figures, options: argparse.Namespace, name: str, url: str, folder: Path) -> None:
    """A slice of each in turn, so that what else the machine does falls on all alike."""
    seconds = options.seconds
    idle_body = {"client_order_id": "x" * 500}
    nothing, one, streamed, many = Tally(), Tally(), Tally(), Tally()
    place = [str(SERVER_CORE), str(folder), url, str(MEMBERS), str(options.gateways)]
    with server("noop", str(SERVER_CORE)) as (noop, _), server("market", *place) as (market, told):
        traders = traders_of(told)
        await closed_loop(market, singles(traders, 500), CONNECTIONS)  # to be warm
        idle = [request_of("/v1/orders", "x" * 43, idle_body)] * int(GUESS_NOOP * SLICE_S)
        for _ in range(max(1, round(seconds / SLICE_S))):
            requests = singles(traders, int(GUESS_SINGLE * SLICE_S))
            nothing.add(accepted(await closed_loop(noop, idle, CONNECTIONS), 200))
            one.add(accepted(await closed_loop(market, requests, CONNECTIONS), 201))
            streamed.add(
                accepted(await stream_entry(market, traders[:STREAMS], int(GUESS_SINGLE * SLICE_S) // STREAMS), 200)
            )
            requests = batches(traders, int(GUESS_BATCHES * SLICE_S), BATCH)
            many.add(accepted(await closed_loop(market, requests, BATCH_CONNECTIONS), 200))
        half = one.rate / 2
        calm = accepted(await open_loop(market, singles(traders, int(half * seconds)), half, CONNECTIONS), 201)
        requests = batches(one_slot(traders), int(BOOK_ORDERS_RATE / BOOK_BATCH * seconds), BOOK_BATCH)
        delays, _ = await book_delay(market, traders[0], requests, BOOK_ORDERS_RATE / BOOK_BATCH, SLOT)
    figures.add(f"{name}: no-op requests/s", nothing.rate)
    figures.add(f"{name}: no-op requests/s of CPU", nothing.rate_of_cpu)
    figures.add(f"{name}: single signed orders/s", one.rate)
    figures.add(f"{name}: single signed orders/s of CPU", one.rate_of_cpu)
    figures.add(f"{name}: single orders, share of the no-op's rate", one.rate / nothing.rate)
    figures.add(f"{name}: single orders, share of the no-op's rate, of CPU", one.rate_of_cpu / nothing.rate_of_cpu)
    figures.add(f"{name}: at half of that, median ms", calm.quantile_ms(0.5))
    figures.add(f"{name}: at half of that, 99 % within ms", calm.quantile_ms(0.99))
    figures.add(f"{name}: orders/s in batches of {BATCH}", many.rate * BATCH)
    figures.add(f"{name}: orders/s of CPU in batches of {BATCH}", many.rate_of_cpu * BATCH)
    figures.add(f"{name}: batches, 99 % within ms", many.quantile_ms(0.99))
    figures.add(f"{name}: single orders/s on streams", streamed.rate)
    figures.add(f"{name}: single orders on streams, times HTTP", streamed.rate / one.rate)
    figures.add(f"{name}: single orders on streams, times HTTP, of CPU", streamed.rate_of_cpu / one.rate_of_cpu)
    if delays:
        what = f"{name}: at {BOOK_ORDERS_RATE:,} orders/s, book after acknowledgement"
        figures.add(f"{what}, median ms", 1000 * statistics.median(delays))
        figures.add(f"{what}, 99 % within ms", 1000 * sorted(delays)[int(0.99 * len(delays))])


def one_slot(traders: list[Trader]) -> list[Trader]:
    """The same traders with eyes for the first slot alone."""
    for trader in traders:
        trader.slots = [trader.slots[0]]
    return traders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="how long each measurement is made for")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gateways", type=int, default=0, help="processes before the market, on all cores")
    parser.add_argument("--databases", default="sqlite,postgresql")
    options = parser.parse_args()
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {SERVER_CORE} or {SERVER_CORE})
    figures = Figures()
    for number in range(options.rounds):
        for name in options.databases.split(","):
            sys.stderr.write(f"round {number + 1} of {options.rounds}, {name}\n")
            with ExitStack() as held:
                folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="jinsha-bench-")))
                url = (
                    sqlite_url(folder / "market.db")
                    if name == "sqlite"
                    else held.enter_context(cluster(fsync=True)).new_database()
                )
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(measure_round(figures, options, name, url, folder))
    print(figures.table())


if __name__ == "__main__":
    main()
