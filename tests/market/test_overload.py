"""Too many, too large, too slow: refused early and in one shape, and whoever keeps to the rules is served meanwhile."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from market.connections import make_room
from market.problems import Problem, problem_response
from tests.market.test_metrics import Scrape, scrape
from tests.market.world import World, neighbours, open_market, order


@dataclass
class Wire:
    """One connection by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, dict[str, str], str]:
        """Status, headers and problem code of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = msgspec.json.decode(await self.reader.readexactly(int(headers["content-length"])))
        return int(head[0].split()[1]), headers, body.get("code", "")

    async def is_closed(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 20) == b""
        return True


@asynccontextmanager
async def connected(world: World, text: str = "") -> AsyncIterator[Wire]:
    host, port = world.server.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text.encode())
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def seen(world: World) -> Scrape:
    """The counters, without asking over HTTP."""
    return Scrape(world.context.metrics.text().decode())


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")


HEALTH = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("setting", "status", "reason"), [("connections", 503, "all"), ("connections_per_address", 429, "address")]
)
async def test_connections_are_counted(tmp_path: Path, setting: str, status: int, reason: str) -> None:
    async with open_market(tmp_path, **{setting: 3}) as world:
        async with connected(world, HEALTH) as one, connected(world, HEALTH) as two, connected(world, HEALTH) as three:
            for each in (one, two, three):
                assert (await each.answer())[0] == 200
            async with connected(world, HEALTH) as fourth:
                told, headers, code = await fourth.answer()
                assert (told, code, headers["retry-after"]) == (status, "too_many_connections", "5")
                assert await fourth.is_closed()
        await until(lambda: seen(world)("http_connections") == 0)
        async with connected(world, HEALTH) as again:
            assert (await again.answer())[0] == 200
        assert seen(world)("http_connections_refused_total", reason=reason) == 1


async def test_a_proxy_may_have_any_number_and_tells_who_asks(tmp_path: Path) -> None:
    async with open_market(tmp_path, connections_per_address=1, trusted_proxies=("127.0.0.1",)) as world:
        async with connected(world, HEALTH) as one, connected(world, HEALTH) as two:
            assert (await one.answer())[0] == (await two.answer())[0] == 200
        asked_by: list[str] = []
        world.context.rates.stranger = asked_by.append  # type: ignore[method-assign] # who is counted for a request
        for named in ("192.0.2.1, 192.0.2.7, 127.0.0.1", "127.0.0.1", ""):
            await world.call("POST", "/v1/sessions/challenge", {"member": 1}, headers={"X-Forwarded-For": named})
        assert asked_by == ["192.0.2.7", "127.0.0.1", "127.0.0.1"]


async def test_a_head_that_drips_in_is_cut_off(tmp_path: Path) -> None:
    async with open_market(tmp_path, head_s=1) as world, connected(world, "GET /healthz HTTP/1.1\r\n") as slow:
        dripping = asyncio.create_task(drip(slow.writer))
        assert (await slow.answer())[0::2] == (408, "too_slow")
        assert await slow.is_closed()
        dripping.cancel()
        async with connected(world, HEALTH[:10]) as steady:
            steady.writer.write(HEALTH[10:].encode())
            assert (await steady.answer())[0] == 200
            await asyncio.sleep(1.2)  # idle between two requests is no crime
            steady.writer.write(HEALTH.encode())
            assert (await steady.answer())[0] == 200


async def drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"X-A: b\r\n")
        await asyncio.sleep(0.1)


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with open_market(tmp_path, keep_alive_s=1) as world, connected(world) as idle:
        assert await idle.is_closed()


async def test_what_is_not_http_is_refused_in_the_same_shape(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        for text in ("nonsense\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n", "\x16\x03\x01\x02\x00\x01\r\n\r\n"):
            async with connected(world, text) as wire:
                status, headers, code = await wire.answer()
                assert (status, code) == (400, "bad_request")
                assert headers["content-type"] == "application/problem+json"


async def test_a_body_is_limited_by_its_route(tmp_path: Path) -> None:
    async with open_market(tmp_path, order_bytes=1_000, body_bytes=2_000, readings_bytes=3_000) as world:
        ann, _ = await neighbours(world)
        token = f"Authorization: Bearer {ann.token}\r\nContent-Type: application/json\r\nHost: x\r\n"
        for route, limit in {"/v1/orders": 1_000, "/v1/deposits": 2_000, "/v1/readings": 3_000}.items():
            # a body that says it is too large is refused before any of it came
            async with connected(world, f"POST {route} HTTP/1.1\r\n{token}Content-Length: {limit + 1}\r\n\r\n") as wire:
                assert (await wire.answer())[0::2] == (413, "too_large")
            assert (await ann.post(route, "x" * (limit - 2))).status != 413
        head = f"POST /v1/orders HTTP/1.1\r\n{token}Transfer-Encoding: chunked\r\n\r\n"
        async with connected(world, head) as wire:  # one that does not say it, as soon as it is
            for _ in range(6):
                wire.writer.write(b"100\r\n" + b"x" * 256 + b"\r\n")
            assert (await wire.answer())[0::2] == (413, "too_large")


async def test_orders_are_turned_away_before_they_are_read(tmp_path: Path) -> None:
    async with open_market(tmp_path, queue_bound=6) as world:
        ann, _ = await neighbours(world)
        async with held(world):
            waiting = [asyncio.create_task(ann.place(order(f"b{n}", "A1", "buy", "0.10", "0.40"))) for n in range(5)]
            await until(lambda: world.context.sequencer.is_full)
            head = f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n"
            head += "Content-Length: 500\r\n\r\n"
            async with connected(world, head) as wire:
                status, headers, code = await wire.answer()
                assert (status, code, headers["retry-after"]) == (503, "queue_full", "1")
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [201] * 5


@asynccontextmanager
async def held(world: World) -> AsyncIterator[None]:
    """The sequencer is held up meanwhile, as by a slow disk."""
    let_go, begun = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        begun.set()
        let_go.wait(20)

    looking = asyncio.create_task(world.context.sequencer.look(wait))
    await asyncio.to_thread(begun.wait, 20)
    try:
        yield
    finally:
        let_go.set()
        await looking


async def test_too_many_requests_at_once_and_cancels_go_through(tmp_path: Path) -> None:
    async with open_market(tmp_path, requests=2) as world:
        ann, _ = await neighbours(world)
        async with held(world):
            waiting = [asyncio.create_task(ann.place(order(f"b{n}", "A1", "buy", "0.10", "0.40"))) for n in range(2)]
            await until(lambda: world.context.under_way == 2)
            turned_away = await ann.get("/v1/orders")
            assert (turned_away.status, turned_away.code, turned_away.headers["Retry-After"]) == (
                503,
                "overloaded",
                "1",
            )
            assert (await world.get("/healthz")).status == 200
            cancelled = asyncio.create_task(ann.delete("/v1/orders"))
            await until(lambda: world.context.under_way == 3)
        assert (await cancelled).status == 200
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [201] * 2


async def test_reads_wait_in_a_short_line_and_writes_pass_them(tmp_path: Path) -> None:
    async with open_market(tmp_path, reads_waiting=12) as world:
        ann, bo = await neighbours(world)
        let_go = threading.Event()
        slow = [asyncio.create_task(world.context.in_thread(let_go.wait, 20)) for _ in range(12)]
        await asyncio.sleep(0)
        turned_away = await ann.get("/v1/orders")
        assert (turned_away.status, turned_away.code, turned_away.headers["Retry-After"]) == (503, "busy", "1")
        assert (await bo.place(order("s1", "A2", "sell", "0.10", "0.40"))).status == 201
        await world.newcomer("caro")
        assert (await scrape(world))("reads_waiting") == 12
        let_go.set()
        await asyncio.gather(*slow)
        assert (await ann.get("/v1/orders")).status == 200


async def test_looks_at_the_market_stand_in_a_short_line_too(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with held(world):
            looks = [asyncio.create_task(world.context.sequencer.look(lambda state: None)) for _ in range(199)]
            await asyncio.sleep(0)
            answer = await ann.get("/v1/account")
            assert (answer.status, answer.code) == (503, "busy")
        await asyncio.gather(*looks)


def test_every_429_and_503_says_when_to_come_again() -> None:
    assert [problem_response(Problem(status, "x", "")).headers["Retry-After"] for status in (429, 503)] == ["1", "1"]


def test_more_connections_than_files_are_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="raise that limit"):
        make_room(10**9)
