"""Gateways as processes before one market: the same answers, and nothing lost when one is killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from market import gateways
from settlement import signatures
from tests.market.streamed import stream, transport_of
from tests.market.test_key_rotation import rotate
from tests.market.world import SLOT, Person, World, later, open_market, order

shared = pytest.mark.asyncio(loop_scope="module")
"""On the loop of the module's one market, whose gateway takes seconds to start."""

PAIRS = 7


class Scene(NamedTuple):
    """A market, the same as it is seen through its gateway, and two neighbours whose slot nobody else trades.

    ``ann`` and ``bo`` are seen through the gateway; Ann's meter is ``buyer``, Bo's is ``seller``; ``name`` is Ann's.
    """

    market: World
    outside: World
    ann: Person
    bo: Person
    name: str
    buyer: str
    seller: str
    slot: str

    def buy(self, client_order_id: str, quantity: str = "0.60") -> dict[str, Any]:
        return order(client_order_id, self.buyer, "buy", quantity, "0.45", self.slot)

    def sell(self, client_order_id: str) -> dict[str, Any]:
        return order(client_order_id, self.seller, "sell", "1.00", "0.40", self.slot)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scenes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Iterator[Scene]]:
    """One market behind one gateway; each test takes the next scene."""
    folder = tmp_path_factory.mktemp("gateways")
    async with open_market(folder, port=0) as world:
        await pairs(world)
        async with gateways.before(world.context, 1) as (host, port):
            outside = World(f"http://{host}:{port}", world.http, world.context, world.chain)
            yield (scene(world, outside, number) for number in range(PAIRS))


async def pairs(world: World) -> None:
    meters = []
    for number in range(PAIRS):
        for name, meter in ((f"ann{number}", f"A{number}"), (f"bo{number}", f"B{number}")):
            await world.newcomer(name)
            meters.append((meter, "A", name))
    await world.connect(*meters)
    for _, _, name in meters:
        await world.give(name, 1_000_000_000, 100_000_000)


def scene(market: World, outside: World, number: int) -> Scene:
    name = f"ann{number}"
    ann, bo = through(outside, market.people[name]), through(outside, market.people[f"bo{number}"])
    return Scene(market, outside, ann, bo, name, f"A{number}", f"B{number}", later(SLOT, 15 * number))


def through(world: World, person: Person) -> Person:
    return Person(world, person.member, person.key, person.token)


@shared
async def test_orders_are_answered_as_without_gateways(scenes: Iterator[Scene]) -> None:
    here = next(scenes)
    ann, bo = here.ann, here.bo
    rests = await bo.place(here.sell("s1"))
    assert (rests.status, rests.body["order"]["state"]) == (201, "open")
    assert here.market.is_receipt(rests.body["receipt"])
    several = await ann.place_batch([here.buy("b1"), here.buy("b2", "9999.00")])
    first, second = several.body["results"]
    assert first["order"]["state"] == "filled" and second["problem"]["code"] == "over_capacity"
    again = await bo.place(here.sell("s1"))
    assert (again.status, again.body) == (rests.status, rests.body)
    shown = await bo.get("/v1/orders/s1")
    assert shown.body["order"]["remaining"] == "0.40"
    assert (await bo.delete("/v1/orders/s1")).status == 200
    assert (await here.outside.get("/v1/market")).body == (await here.market.get("/v1/market")).body


@shared
async def test_refusals_are_the_markets(scenes: Iterator[Scene]) -> None:
    here = next(scenes)
    ann = here.ann
    buy = here.buy("b1")
    stranger = await Person(here.outside, ann.member, ann.key, "").place(buy)
    assert (stranger.status, stranger.code) == (401, "not_logged_in")
    wrong = await Person(here.outside, ann.member, ann.key, "x" * 43).place(buy)
    assert (wrong.status, wrong.code) == (401, "not_logged_in")
    forged = await Person(here.outside, ann.member, signatures.new_private_key(), ann.token).place(buy)
    assert (forged.status, forged.code, forged.body["field"]) == (422, "bad_signature", "signature")
    odd = await here.outside.call("POST", "/v1/orders", token=ann.token, raw=b'{"a":1,"a":2}')
    assert odd.status == 400
    large = await here.outside.call("POST", "/v1/orders", token=ann.token, raw=b" " * 2**15)
    assert (large.status, large.code) == (413, "too_large")
    nowhere = await here.outside.get("/v1/nowhere")
    assert (nowhere.status, nowhere.code) == (404, "no_such_route")
    assert (await ann.delete("/v1/sessions")).status == 204
    late = await ann.place(buy)
    assert (late.status, late.code) == (401, "not_logged_in")
    named = await here.outside.call("GET", "/v1/market", headers={"X-Request-Id": "my-request-1"})
    assert named.headers.getall("X-Request-Id") == ["my-request-1"]


@shared
async def test_a_gateway_hears_of_a_new_key(scenes: Iterator[Scene]) -> None:
    here = next(scenes)
    ann = here.ann
    ann.token = (await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["trade"]})).body["token"]
    assert (await ann.place(here.buy("b1"))).status == 201
    new = signatures.new_private_key()
    changed = await rotate(here.market.people[here.name], new, keep_api_keys=True)
    assert changed.status == 201
    renewed = Person(here.outside, ann.member, new, ann.token)
    assert (await ann.place(here.buy("b2"))).code == "bad_signature"
    assert (await renewed.place(here.buy("b2"))).status == 201
    assert (await ann.place(here.buy("b3"))).code == "bad_signature"


@shared
async def test_a_gateway_that_was_not_asked_meanwhile_hears_of_it_too(scenes: Iterator[Scene]) -> None:
    here = next(scenes)
    ann = here.ann
    ann.token = (await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["trade"]})).body["token"]
    assert (await ann.place(here.buy("b1"))).status == 201
    new = signatures.new_private_key()
    await rotate(here.market.people[here.name], new, keep_api_keys=True)
    renewed = Person(here.outside, ann.member, new, ann.token)
    assert (await renewed.place(here.buy("b2"))).status == 201


@shared
async def test_a_stream_passes_through(scenes: Iterator[Scene]) -> None:
    here = next(scenes)
    ann, bo = here.ann, here.bo
    async with stream(here.outside, ann) as line:
        assert line.welcome["member"] == ann.member
        await line.do("subscribe", to={"channel": "mine"})
        await bo.place(here.sell("s1"))
        placed = await line.do("place", order=ann.signed(here.buy("b1")))
        assert placed["order"]["state"] == "filled"
        await line.do("ping")


@shared
async def test_orders_are_cancelled_when_a_stream_through_a_gateway_is_lost(scenes: Iterator[Scene]) -> None:
    here = next(scenes)
    ann = here.ann
    async with stream(here.outside, ann) as line:
        await line.do("cancel_on_disconnect", enabled=True)
        await line.do("place", order=ann.signed(here.buy("b1")))
        transport_of(line).abort()
    async with asyncio.timeout(20):
        while (await ann.get("/v1/orders/b1")).body["order"]["state"] != "by_owner":  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.02)


@shared
async def test_a_gateway_that_is_killed_comes_back(scenes: Iterator[Scene]) -> None:
    here = next(scenes)
    assert (await here.ann.place(here.buy("b1"))).status == 201
    os.kill(await gateway_of(), signal.SIGKILL)
    status = 0
    for _ in range(200):
        try:
            status = (await here.ann.place(here.buy("b2"))).status
            break
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    assert status == 201
    listed = (await here.ann.get("/v1/orders")).body["items"]
    assert {each["client_order_id"] for each in listed} == {"b1", "b2"}


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
