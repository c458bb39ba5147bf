"""Gateways as processes before one market: the same answers, and nothing lost when one is killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from market import gateways
from settlement import signatures
from tests.market.streamed import stream, transport_of
from tests.market.test_key_rotation import rotate
from tests.market.world import Person, World, neighbours, open_market, order


@asynccontextmanager
async def behind_gateways(folder: Path, count: int = 1) -> AsyncIterator[tuple[World, World]]:
    """A market, and the same as it is seen through gateways."""
    async with open_market(folder, port=0) as world, gateways.before(world.context, count) as (host, port):
        yield world, World(f"http://{host}:{port}", world.http, world.context, world.chain)


def through(world: World, person: Person) -> Person:
    return Person(world, person.member, person.key, person.token)


async def test_orders_are_answered_as_without_gateways(tmp_path: Path) -> None:
    async with behind_gateways(tmp_path) as (market, outside):
        ann, bo = [through(outside, person) for person in await neighbours(market)]
        rests = await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        assert (rests.status, rests.body["order"]["state"]) == (201, "open")
        assert market.is_receipt(rests.body["receipt"])
        several = await ann.place_batch(
            [order("b1", "A1", "buy", "0.60", "0.45"), order("b2", "A1", "buy", "9999.00", "0.45")]
        )
        first, second = several.body["results"]
        assert first["order"]["state"] == "filled" and second["problem"]["code"] == "over_capacity"
        again = await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        assert (again.status, again.body) == (rests.status, rests.body)
        shown = await bo.get("/v1/orders/s1")
        assert shown.body["order"]["remaining"] == "0.40"
        assert (await bo.delete("/v1/orders/s1")).status == 200
        assert (await outside.get("/v1/market")).body == (await market.get("/v1/market")).body


async def test_refusals_are_the_markets(tmp_path: Path) -> None:
    async with behind_gateways(tmp_path) as (market, outside):
        ann, _ = [through(outside, person) for person in await neighbours(market)]
        buy = order("b1", "A1", "buy", "0.60", "0.45")
        stranger = await Person(outside, ann.member, ann.key, "").place(buy)
        assert (stranger.status, stranger.code) == (401, "not_logged_in")
        wrong = await Person(outside, ann.member, ann.key, "x" * 43).place(buy)
        assert (wrong.status, wrong.code) == (401, "not_logged_in")
        forged = await Person(outside, ann.member, signatures.new_private_key(), ann.token).place(buy)
        assert (forged.status, forged.code, forged.body["field"]) == (422, "bad_signature", "signature")
        odd = await outside.call("POST", "/v1/orders", token=ann.token, raw=b'{"a":1,"a":2}')
        assert odd.status == 400
        large = await outside.call("POST", "/v1/orders", token=ann.token, raw=b" " * 2**15)
        assert (large.status, large.code) == (413, "too_large")
        nowhere = await outside.get("/v1/nowhere")
        assert (nowhere.status, nowhere.code) == (404, "no_such_route")
        assert (await ann.delete("/v1/sessions")).status == 204
        late = await ann.place(buy)
        assert (late.status, late.code) == (401, "not_logged_in")
        named = await outside.call("GET", "/v1/market", headers={"X-Request-Id": "my-request-1"})
        assert named.headers.getall("X-Request-Id") == ["my-request-1"]


async def test_a_gateway_hears_of_a_new_key(tmp_path: Path) -> None:
    async with behind_gateways(tmp_path) as (market, outside):
        ann, _ = [through(outside, person) for person in await neighbours(market)]
        ann.token = (await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["trade"]})).body["token"]
        assert (await ann.place(order("b1", "A1", "buy", "0.60", "0.45"))).status == 201
        new = signatures.new_private_key()
        changed = await rotate(market.people["ann"], new, keep_api_keys=True)
        assert changed.status == 201
        renewed = Person(outside, ann.member, new, ann.token)
        assert (await ann.place(order("b2", "A1", "buy", "0.60", "0.45"))).code == "bad_signature"
        assert (await renewed.place(order("b2", "A1", "buy", "0.60", "0.45"))).status == 201
        assert (await ann.place(order("b3", "A1", "buy", "0.60", "0.45"))).code == "bad_signature"


async def test_a_gateway_that_was_not_asked_meanwhile_hears_of_it_too(tmp_path: Path) -> None:
    async with behind_gateways(tmp_path) as (market, outside):
        ann, _ = [through(outside, person) for person in await neighbours(market)]
        ann.token = (await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["trade"]})).body["token"]
        assert (await ann.place(order("b1", "A1", "buy", "0.60", "0.45"))).status == 201
        new = signatures.new_private_key()
        await rotate(market.people["ann"], new, keep_api_keys=True)
        renewed = Person(outside, ann.member, new, ann.token)
        assert (await renewed.place(order("b2", "A1", "buy", "0.60", "0.45"))).status == 201


async def test_a_stream_passes_through(tmp_path: Path) -> None:
    async with behind_gateways(tmp_path) as (market, outside):
        ann, bo = [through(outside, person) for person in await neighbours(market)]
        async with stream(outside, ann) as line:
            assert line.welcome["member"] == ann.member
            await line.do("subscribe", to={"channel": "mine"})
            await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
            placed = await line.do("place", order=ann.signed(order("b1", "A1", "buy", "0.60", "0.45")))
            assert placed["order"]["state"] == "filled"
            await line.do("ping")


async def test_orders_are_cancelled_when_a_stream_through_a_gateway_is_lost(tmp_path: Path) -> None:
    async with behind_gateways(tmp_path) as (market, outside):
        ann, _ = [through(outside, person) for person in await neighbours(market)]
        async with stream(outside, ann) as line:
            await line.do("cancel_on_disconnect", enabled=True)
            await line.do("place", order=ann.signed(order("b1", "A1", "buy", "0.60", "0.45")))
            transport_of(line).abort()
        async with asyncio.timeout(20):
            while (await ann.get("/v1/orders/b1")).body["order"]["state"] != "by_owner":  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.02)


async def test_a_gateway_that_is_killed_comes_back(tmp_path: Path) -> None:
    async with open_market(tmp_path, port=0) as market:
        ann, _ = await neighbours(market)
        async with gateways.before(market.context, 1) as (host, port):
            outside = World(f"http://{host}:{port}", market.http, market.context, market.chain)
            ann = through(outside, ann)
            assert (await ann.place(order("b1", "A1", "buy", "0.60", "0.45"))).status == 201
            os.kill(await gateway_of(), signal.SIGKILL)
            status = 0
            for _ in range(200):
                try:
                    status = (await ann.place(order("b2", "A1", "buy", "0.60", "0.45"))).status
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
            assert status == 201
            assert {each["client_order_id"] for each in (await ann.get("/v1/orders")).body["items"]} == {"b1", "b2"}


async def gateway_of() -> int:
    """The process of the one gateway that this process started."""
    listed = await asyncio.create_subprocess_exec(
        *("pgrep", "-P", str(os.getpid()), "-f", "market.gateway"), stdout=asyncio.subprocess.PIPE
    )
    (line,) = (await listed.communicate())[0].split()
    return int(line)


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async with open_market(tmp_path, port=0) as market:
        taken = int(market.server.rsplit(":", 1)[1])
    async with open_market(tmp_path, port=taken) as market:
        listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", taken)
        try:
            with pytest.raises(OSError, match="in use"):
                async with gateways.before(market.context, 1):
                    pass
        finally:
            listener.close()
