"""Load and measurement on ``/v1/stream``: order entry with many under way, and a book as it is seen elsewhere."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec
from http_load import Server, Tally, Trader, open_loop, timed

UNDER_WAY = 50
"""Orders of one stream that are not answered yet."""


async def stream_entry(server: Server, traders: Sequence[Trader], each: int) -> Tally:
    """So many single signed orders by each of these traders, on a stream of its own."""
    tally = Tally()
    messages = [
        [msgspec.json.encode({"op": "place", "id": str(n), "order": trader.one()}).decode() for n in range(each)]
        for trader in traders
    ]
    async with aiohttp.ClientSession() as http:
        sockets = [await _opened(http, server, trader.token) for trader in traders]
        with timed(tally, server.process):
            await asyncio.gather(*[_place(*pair, tally) for pair in zip(sockets, messages, strict=True)])
        for socket in sockets:
            await socket.close()
    return tally


async def _opened(http: aiohttp.ClientSession, server: Server, token: str) -> aiohttp.ClientWebSocketResponse:
    socket = await http.ws_connect(
        f"http://127.0.0.1:{server.port}/v1/stream", headers={"Authorization": f"Bearer {token}"}, max_msg_size=0
    )
    await socket.receive()  # the welcome
    return socket


async def _place(socket: aiohttp.ClientWebSocketResponse, messages: Sequence[str], tally: Tally) -> None:
    waiting: Iterator[str] = iter(messages)
    for message in [next(waiting) for _ in range(min(UNDER_WAY, len(messages)))]:
        await socket.send_str(message)
    for _ in messages:
        answer = await socket.receive()
        tally.statuses[200 if '"answer"' in answer.data[:40] else 400] += 1
        message = next(waiting, None)
        if message is not None:
            await socket.send_str(message)


async def book_delay(
    server: Server, watcher: Trader, requests: Sequence[bytes], rate: float, slot: str
) -> tuple[list[float], Tally]:
    """Seconds from the acknowledgement of each order that traded to the first book that knows of it.

    Below zero where the book was there first. All in one process with one clock.
    """
    heard: list[tuple[int, float]] = []
    traded: list[tuple[int, float]] = []

    def seen(body: bytes, answered_s: float) -> None:
        for result in msgspec.json.decode(body)["results"]:
            placed: dict[str, Any] = result.get("order") or {}
            if placed.get("trades"):
                traded.append((placed["sequence"], answered_s))

    async with aiohttp.ClientSession() as http:
        socket = await _opened(http, server, watcher.token)
        subscription = {"channel": "book", "slot": slot, "meter": watcher.meter}
        await socket.send_json({"op": "subscribe", "id": "b", "to": subscription})
        listening = asyncio.create_task(_listen(socket, heard))
        tally = await open_loop(server, requests, rate, 16, seen)
        await asyncio.sleep(0.5)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await socket.close()
    sequences = [sequence for sequence, _ in heard]
    delays = []
    for sequence, answered_s in traded:
        place = bisect_left(sequences, sequence)
        if place < len(heard):
            delays.append(heard[place][1] - answered_s)
    return delays, tally


async def _listen(socket: aiohttp.ClientWebSocketResponse, heard: list[tuple[int, float]]) -> None:
    async for message in socket:
        told = msgspec.json.decode(message.data)
        if told["type"] == "book":
            heard.append((told["sequence"], time.monotonic()))
