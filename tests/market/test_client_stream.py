"""The client's stream: whatever is lost on the way, books are whole and nothing is left out or told twice."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from data.units import parse_instant_s
from market import feed_trades
from market.client import (
    BookChanged,
    Client,
    LocalBook,
    OrdersChanged,
    Placed,
    ReceiptError,
    Refused,
    RefusedError,
    Stream,
    SyncClient,
    SyncStream,
    Traded,
    TradesMissed,
    UnreachableError,
    jwk_of,
)
from matching.order import Level, Side, Tif
from settlement import signatures
from settlement.intents import OrderIntent
from tests.market.lossy import Lossy, lossy, once
from tests.market.test_kill import child
from tests.market.world import SLOT, Person, World, neighbours, open_market, order

SLOT_S = parse_instant_s(SLOT)


@asynccontextmanager
async def client_of(person: Person, server: str, patience_s: float = 20.0) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(http, server, person.member, person.key, patience_s=patience_s)


@asynccontextmanager
async def through(world: World, person: Person) -> AsyncIterator[tuple[Lossy, Stream]]:
    """A stream of this person with something lossy in between."""
    async with lossy(world.server) as between, client_of(person, between.address) as client, client.stream() as stream:
        yield between, stream


def buy(person: Person, name: str, price_ticks: int = 4500, quantity_lots: int = 10) -> OrderIntent:
    return OrderIntent(
        member=person.member,
        client_order_id=name,
        meter="A1",
        side=Side.BUY,
        slot=SLOT_S,
        quantity_lots=quantity_lots,
        price_ticks=price_ticks,
        reach=Level.SUBSTATION,
        terms_days=0,
        tif=Tif.GTC,
        replaces="",
        deadline=SLOT_S,
    )


async def seen(stream: Stream, is_enough: Callable[[Any], bool]) -> list[Any]:
    """The events up to the first that is enough."""
    found: list[Any] = []
    async with asyncio.timeout(20):
        async for event in stream:
            found.append(event)
            if is_enough(event):
                return found
    raise AssertionError("the stream ended before that")


async def is_equal(world: World, book: LocalBook) -> None:
    """Wait until the book at home is the market's."""
    async with asyncio.timeout(20):
        while True:
            told = (await world.get(f"/v1/book?slot={SLOT}&meter={book.meter}")).body
            mine = {
                side: [{"price": q.price, "quantity": q.quantity, "level": q.level} for q in getattr(book, side)]
                for side in ("asks", "bids")
            }
            if book.is_current and mine == {"asks": told["asks"], "bids": told["bids"]}:
                return
            await asyncio.sleep(0.01)


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - any thing to wait for
            await asyncio.sleep(0.01)


async def state_of(person: Person, name: str) -> str:
    return str((await person.get(f"/v1/orders/{name}")).body["order"]["state"])


def numbers_of(events: list[Any]) -> list[int]:
    return [trade.trade for event in events if isinstance(event, Traded) for trade in event.trades]


async def trade(ann: Person, bo: Person, *names: str) -> None:
    for name in names:
        await bo.place(order(f"s{name}", "A2", "sell", "0.10", "0.40"))
        await ann.place(order(f"b{name}", "A1", "buy", "0.10", "0.45"))


def reaches(number: int) -> Callable[[Any], bool]:
    return lambda event: isinstance(event, Traded) and event.trades[-1].trade >= number


# ------------------------------------------------------------------------------------------------- losses


async def test_a_book_that_lost_an_increment_is_whole_again_by_itself(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with through(world, ann) as (between, stream):
            book = await stream.book(SLOT_S, "A1")
            assert book.is_current
            between.drops = once(lambda told: '"book"' in told and '"snapshot":false' in told)
            for name, price in (("s1", "0.40"), ("s2", "0.41"), ("s3", "0.42")):
                await bo.place(order(name, "A2", "sell", "0.10", price))
                await asyncio.sleep(0.02)
            await is_equal(world, book)
            assert [quote.price for quote in book.asks] == ["0.4200", "0.4300", "0.4400"]
            assert between.drops('"book" "snapshot":false') is False, "nothing was lost"
            assert any(isinstance(event, BookChanged) for event in await seen(stream, lambda _: True))


async def test_trades_that_were_lost_are_brought(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with through(world, ann) as (between, stream):
            await stream.trades()
            between.drops = once(lambda told: '"trades"' in told and '"trade":2' in told)
            await trade(ann, bo, "1", "2", "3", "4")
            assert numbers_of(await seen(stream, reaches(4))) == [1, 2, 3, 4]


async def test_own_orders_that_were_lost_are_brought(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with through(world, ann) as (between, stream):
            await stream.mine()
            between.drops = once(lambda told: '"mine"' in told and '"number":2' in told)
            for name in ("b1", "b2", "b3"):
                await ann.place(order(name, "A1", "buy", "0.10", "0.45"))
            events = await seen(stream, lambda event: any(o.client_order_id == "b3" for o in event.orders))
            assert all(isinstance(event, OrdersChanged) for event in events)
            assert [o.client_order_id for event in events for o in event.orders] == ["b1", "b2", "b3"]


async def test_a_stream_that_is_cut_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with through(world, ann) as (between, stream):
            book = await stream.book(SLOT_S, "B1")
            await stream.trades(after=0)
            await stream.mine()
            for name in ("1", "2", "3"):
                await trade(ann, bo, name)
                await between.cut()
                await bo.place(order(f"r{name}", "A2", "sell", "0.10", "0.50"))
            await trade(ann, bo, "4")
            events = await seen(stream, reaches(4))
            assert numbers_of(events) == [1, 2, 3, 4]
            await is_equal(world, book)


async def test_who_was_away_for_too_long_is_told_which_trades_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_trades, "REPLAY_BOUND", 2)
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with through(world, ann) as (between, stream):
            await stream.trades()
            server, between.target = between.target, "http://127.0.0.1:9"
            await between.cut()
            await trade(ann, bo, "1", "2", "3")
            between.target = server
            missed = await seen(stream, lambda event: isinstance(event, TradesMissed))
            assert missed == [TradesMissed(0)]
            await trade(ann, bo, "4")
            assert numbers_of(await seen(stream, reaches(4))) == [4]


async def test_a_server_that_is_killed_and_started_again_is_only_a_pause(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await trade(ann, bo, "1", "2")
    async with (
        child(tmp_path) as (first, address),
        lossy(address) as between,
        client_of(ann, between.address) as client,
        client.stream() as stream,
    ):
        book = await stream.book(SLOT_S, "A2")
        await stream.trades(after=0)
        await stream.mine()
        placed, _ = await stream.place(buy(ann, "x1"))
        assert isinstance(placed, Placed)
        first.kill()
        await first.wait()
        waiting = asyncio.create_task(stream.place(buy(ann, "x2")))
        await asyncio.sleep(0.1)
        async with child(tmp_path) as (_, between.target):
            repeated, receipt = await waiting
            assert isinstance(repeated, Placed)
            assert receipt is not None
            async with client_of(bo, between.address) as seller:
                sell = msgspec.structs.replace(buy(bo, "y1", 4000, 5), meter="A2", side=Side.SELL, member=bo.member)
                await seller.place(sell)
            events = await seen(stream, reaches(3))
            assert numbers_of(events) == [1, 2, 3]
            snapshots = [event for event in events if isinstance(event, OrdersChanged) and event.is_snapshot]
            assert len(snapshots) == 2, "after a new start own orders begin with a snapshot"
            await eventually(lambda: [quote.quantity for quote in book.bids] == ["0.15"])


async def test_a_session_that_ended_is_opened_again(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with through(world, ann) as (_, stream):
            await stream.trades()
            await stream.mine()
            directory = world.context.directory
            for session in directory.sessions_of(ann.member):
                directory.end(session)
            await trade(await ann.log_in(), bo, "1")
            assert numbers_of(await seen(stream, reaches(1))) == [1]


async def test_patience_ends_for_everyone_who_waits(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with lossy(world.server) as between, client_of(ann, between.address, 0.5) as client:
            async with client.stream() as stream:
                await stream.mine()
                await seen(stream, lambda event: event.is_snapshot)
                between.target = "http://127.0.0.1:9"
                await between.cut()
                with pytest.raises(UnreachableError):
                    await stream.place(buy(ann, "x1"))
                with pytest.raises(UnreachableError):
                    await anext(stream)
            with pytest.raises(UnreachableError):
                await client.stream().__aenter__()


# ------------------------------------------------------------------------------------------- order entry


async def test_orders_on_a_stream_are_as_over_http(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with client_of(ann, world.server) as client, client.stream() as stream:
            outcome, receipt = await stream.place(buy(ann, "x1"))
            assert isinstance(outcome, Placed)
            assert receipt is not None
            assert (outcome, receipt) == await client.place(buy(ann, "x1"))
            refused, none = await stream.place(buy(ann, "x2", 99_999))
            assert isinstance(refused, Refused)
            assert (refused.status, refused.code, refused.field, none) == (422, "bad_price", "price", None)
            batch = [buy(ann, "x3"), buy(ann, "x4", 99_999)]
            assert (await stream.place_batch(batch))[0] == (await client.place_batch(batch))[0]
            assert [(await entry.reduce("x1", lots)).remaining for entry, lots in ((stream, 7), (client, 5))] == [
                "0.07",
                "0.05",
            ]
            with pytest.raises(RefusedError, match="not_less"):
                await stream.reduce("x1", 8)
            assert (await stream.cancel("x1")).state == "by_owner"
            with pytest.raises(RefusedError, match="not_open"):
                await stream.cancel("x1")
            assert [gone.client_order_id for gone in await stream.cancel_all(SLOT_S)] == ["x3"]
            assert await client.cancel_all() == []


async def test_many_orders_at_once_are_no_more_than_the_market_takes(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with client_of(ann, world.server) as client, client.stream() as stream:
            outcomes = await asyncio.gather(*(stream.place(buy(ann, f"x{n}", quantity_lots=1)) for n in range(300)))
            assert all(isinstance(outcome, Placed) for outcome, _ in outcomes)


async def test_orders_are_cancelled_when_the_stream_is_lost_also_the_second_time(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with through(world, ann) as (between, stream):
            await stream.cancel_on_disconnect(True)
            for name in ("x1", "x2"):
                await stream.place(buy(ann, name))
                await between.cut()
                async with asyncio.timeout(20):
                    while await state_of(ann, name) != "by_owner":  # noqa: ASYNC110 - asked over HTTP
                        await asyncio.sleep(0.01)


async def test_a_receipt_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with client_of(ann, world.server) as client, client.stream() as stream:
            forger = jwk_of(signatures.new_private_key())
            client.know(msgspec.structs.replace(await client.facts(), operator_key=forger))
            for entry in (client, stream):
                with pytest.raises(ReceiptError):
                    await entry.place(buy(ann, "x1"))
                with pytest.raises(ReceiptError):
                    await entry.place_batch([buy(ann, "x2")])
            with pytest.raises(ReceiptError):
                await stream.cancel("x1")


async def test_an_api_key_stands_in_for_a_session(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        made = await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["read", "trade"]})
        assert made.status == 201, made
        async with aiohttp.ClientSession() as http:
            client = Client(http, world.server, ann.member, ann.key, api_key=made.body["token"])
            async with client.stream() as stream:
                outcome, _ = await stream.place(buy(ann, "x1"))
                assert isinstance(outcome, Placed)
            assert [each.client_order_id for each in await client.orders()] == ["x1"]


# ------------------------------------------------------------------------------------------- without asyncio


def trade_without_asyncio(server: str, ann: Person) -> tuple[list[Any], list[str]]:
    with SyncClient(server, ann.member, ann.key) as client, client.stream() as stream:
        assert client.facts().slot_minutes == 15
        book = stream.book(SLOT_S, "A1")
        stream.mine()
        outcome, receipt = stream.place(buy(ann, "x1"))
        assert isinstance(outcome, Placed)
        assert (outcome, receipt) == client.place(buy(ann, "x1"))
        events = []
        for event in stream:
            events.append(event)
            if isinstance(event, OrdersChanged) and event.orders:
                break
        client.cancel_all()
        stream.close()
        assert all(isinstance(event, BookChanged | OrdersChanged) for event in stream)
        return events, [quote.price for quote in book.asks]


async def test_a_program_without_asyncio_has_the_same_client(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.50"))
        events, prices = await asyncio.to_thread(trade_without_asyncio, world.server, ann)
        assert prices == ["0.5200"]
        assert any(isinstance(event, OrdersChanged) for event in events)
    assert not [thread for thread in threading.enumerate() if thread.name == "jinsha-client"]


@pytest.mark.parametrize(("synchronous", "other"), [(SyncClient, Client), (SyncStream, Stream)])
def test_no_method_is_missing_without_asyncio(synchronous: type, other: type) -> None:
    inner = {"know", "open_socket", "facts", "whoami", "sign"}
    public = {
        name for name in dir(other) if not name.startswith("_") and inspect.iscoroutinefunction(getattr(other, name))
    }
    assert len(public) >= 10
    assert public - inner <= set(vars(synchronous))
