"""Order entry on WebSocket streams beside HTTP, and how long after its acknowledgement a trade is seen.

    python bench/bench_stream.py [--seconds 5] [--rounds 3] [--rate 2000] [--books 1]

Servers as in ``bench_http.py``: on core 0 alone, on SQLite. Entry: as many single signed orders under way on streams as
over HTTP, slice by slice in turn. Sight: orders at a steady rate on streams; one reader of everyone's trades and one of
--books books. A lag is from the answer's arrival to the news' arrival in one process; it may be negative.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop
from bench_http import CONNECTIONS, MEMBERS, SERVER_CORE, SLICE_S, Figures, accepted, server, singles, traders_of
from http_load import Server, Tally, Trader, closed_loop, timed

from data.database import sqlite_url
from data.units import format_instant

UNDER_WAY = CONNECTIONS // MEMBERS + 1
GUESS = 3_000
"""Orders a second that a round of entry is made for."""

PATIENCE_S = 2.0
"""After the last answer, news may take this long."""


@dataclass
class Line:
    """A stream and its orders, each as the text to be sent."""

    trader: Trader
    socket: aiohttp.ClientWebSocketResponse
    number: int = 0

    def order(self) -> str:
        self.number += 1
        op = {"op": "place", "id": str(self.number), "order": self.trader.one()}
        return msgspec.json.encode(op).decode()


class Placed(msgspec.Struct):
    """What is read of an answer."""

    type: str
    result: dict[str, Any] = {}


async def opened(
    stack: AsyncExitStack, market: Server, trader: Trader | None = None
) -> aiohttp.ClientWebSocketResponse:
    http = await stack.enter_async_context(aiohttp.ClientSession())
    headers = {"Authorization": f"Bearer {trader.token}"} if trader is not None else {}
    address = f"http://127.0.0.1:{market.port}/v1/stream"
    socket = await stack.enter_async_context(http.ws_connect(address, headers=headers, max_msg_size=0))
    await socket.receive()
    return socket


# -------------------------------------------------------------------------------------------------- entry


async def entry(lines: Sequence[Line], market: Server, count: int) -> Tally:
    """So many orders over all streams, ``UNDER_WAY`` at once on each."""
    tally = Tally()
    orders = [[line.order() for _ in range(count // len(lines))] for line in lines]
    with timed(tally, market.process):
        await asyncio.gather(*(_work(line, texts, tally) for line, texts in zip(lines, orders, strict=True)))
    return tally


async def _work(line: Line, texts: Sequence[str], tally: Tally) -> None:
    for text in texts[:UNDER_WAY]:
        await line.socket.send_str(text)
    for answered in range(len(texts)):
        answer = (await line.socket.receive()).data
        tally.statuses[201 if '"type":"answer"' in answer else 0] += 1
        if answered + UNDER_WAY < len(texts):
            await line.socket.send_str(texts[answered + UNDER_WAY])


# -------------------------------------------------------------------------------------------------- sight


@dataclass
class Sight:
    """When what arrived, in seconds: answers by trade, trades, and books by slot as (market's sequence, when)."""

    answered: dict[int, float] = field(default_factory=dict)
    asked_of_books: list[tuple[str, int, float]] = field(default_factory=list)
    traded: dict[int, float] = field(default_factory=dict)
    books: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def note_answer(self, payload: str) -> None:
        now_s = time.monotonic()
        answer = msgspec.json.decode(payload, type=Placed)
        if answer.type != "answer":
            raise SystemExit(f"unexpected answer: {payload}")
        trades = answer.result["order"]["trades"]
        self.answered.update((trade["trade"], now_s) for trade in trades)
        if trades:
            self.asked_of_books.append((answer.result["order"]["slot"], answer.result["receipt"]["sequence"], now_s))

    def note_news(self, payload: str) -> None:
        now_s = time.monotonic()
        told = msgspec.json.decode(payload)
        if told["type"] == "trades":
            self.traded.update((trade["trade"], now_s) for trade in told["trades"])
        elif told["type"] == "book":
            self.books.setdefault(told["slot"], []).append((told["sequence"], now_s))

    def trade_lags_ms(self) -> list[float]:
        """Of every trade: from the first answer that told of it."""
        return [1000 * (self.traded[trade] - at_s) for trade, at_s in self.answered.items()]

    def book_lags_ms(self) -> list[float]:
        """Of every answer with a trade: until the first book of its slot that is as of its receipt or later."""
        lags = []
        for slot, sequence, at_s in self.asked_of_books:
            seen = next((seen_s for of, seen_s in self.books.get(slot, []) if of >= sequence), None)
            if seen is not None:  # else the book is what it was before
                lags.append(1000 * (seen - at_s))
        return lags


async def sight(lines: Sequence[Line], market: Server, rate: float, seconds: float, books: int) -> tuple[Sight, float]:
    """What was seen, and how many orders a second were answered."""
    found, count = Sight(), int(rate * seconds)
    texts = [(lines[n % len(lines)].socket, lines[n % len(lines)].order()) for n in range(count)]
    async with AsyncExitStack() as stack:
        readers = [await opened(stack, market) for _ in range(2)]
        await readers[0].send_str('{"op": "subscribe", "id": "t", "to": {"channel": "trades"}}')
        for slot_s in lines[0].trader.slots[:books]:
            to = {"channel": "book", "slot": format_instant(slot_s), "meter": lines[0].trader.meter}
            await readers[1].send_str(msgspec.json.encode({"op": "subscribe", "id": "b", "to": to}).decode())
        reading = [asyncio.create_task(_read(reader, found)) for reader in readers]
        share = [len(range(first, count, len(lines))) for first in range(len(lines))]
        answers = [asyncio.create_task(_answers(*each, found)) for each in zip(lines, share, strict=True)]
        begun_s = time.monotonic()
        for number, (socket, text) in enumerate(texts):
            pause_s = begun_s + number / rate - time.monotonic()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            await socket.send_str(text)
        await asyncio.gather(*answers)
        answered_per_s = count / (time.monotonic() - begun_s)
        await asyncio.sleep(PATIENCE_S)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    return found, answered_per_s


async def _read(socket: aiohttp.ClientWebSocketResponse, found: Sight) -> None:
    async for received in socket:
        found.note_news(received.data)


async def _answers(line: Line, count: int, found: Sight) -> None:
    for _ in range(count):
        found.note_answer((await line.socket.receive()).data)


# ------------------------------------------------------------------------------------------------- rounds


async def measure_round(figures: Figures, seconds: float, rate: float, books: int, folder: Path) -> None:
    over_http, on_streams = Tally(), Tally()
    url = sqlite_url(folder / "market.db")
    with server("market", str(SERVER_CORE), str(folder), url, str(MEMBERS)) as (market, told):
        traders = traders_of(told)
        await closed_loop(market, singles(traders, 500), CONNECTIONS)  # to be warm
        async with AsyncExitStack() as stack:
            lines = [Line(trader, await opened(stack, market, trader)) for trader in traders]
            for _ in range(max(1, round(seconds / SLICE_S))):
                requests = singles(traders, int(GUESS * SLICE_S))
                over_http.add(accepted(await closed_loop(market, requests, CONNECTIONS), 201))
                on_streams.add(accepted(await entry(lines, market, int(GUESS * SLICE_S)), 201))
            found, answered_per_s = await sight(lines, market, rate, seconds, books)
    figures.add("over HTTP: single signed orders/s", over_http.rate)
    figures.add("on streams: single signed orders/s", on_streams.rate)
    figures.add("streams beside HTTP", on_streams.rate / over_http.rate)
    figures.add("the same, of CPU", on_streams.rate_of_cpu / over_http.rate_of_cpu)
    figures.add(f"asked for {rate:,.0f} orders/s, answered", answered_per_s)
    for name, lags_ms in (("trade", found.trade_lags_ms()), ("book", found.book_lags_ms())):
        ordered = sorted(lags_ms)
        figures.add(f"{name} seen after its answer, median ms", statistics.median(ordered))
        figures.add(f"{name} seen after its answer, p99 ms", ordered[int(0.99 * len(ordered))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2_000.0)
    parser.add_argument("--books", type=int, default=1)
    given = parser.parse_args()
    figures = Figures()
    for number in range(1, given.rounds + 1):
        sys.stderr.write(f"round {number}\n")
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure_round(figures, given.seconds, given.rate, given.books, Path(folder)))
    print(figures.table())


if __name__ == "__main__":
    main()
