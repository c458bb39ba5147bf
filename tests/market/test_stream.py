"""The stream's own manners: who may connect, how strictly it reads, its limits, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from market import entry
from market.settings import Limits, Streams
from tests.market.streamed import book_of, signed, stream, transport_of
from tests.market.world import SLOT, Person, World, neighbours, open_market, order


@pytest_asyncio.fixture
async def market(tmp_path: Path) -> AsyncIterator[World]:
    async with open_market(tmp_path) as world:
        yield world


# -------------------------------------------------------------------------------------------- who is there


async def test_a_token_at_the_upgrade_or_in_a_message_makes_it_a_members(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with stream(world, ann) as line:
            assert line.welcome["member"] == ann.member
            assert line.welcome["limits"]["in_flight"] == Streams().in_flight
        async with stream(world) as line:
            assert line.welcome["member"] is None
            assert await line.refusal("subscribe", to={"channel": "mine"}) == (401, "not_logged_in")
            assert await line.refusal("cancel_all") == (401, "not_logged_in")
            assert await line.refusal("log_in", token="nonsense") == (401, "not_logged_in")
            assert await line.do("log_in", token=ann.token) == {"member": ann.member}
            assert (await line.do("subscribe", to={"channel": "mine"}))["resumed"] is False
            assert await line.refusal("log_in", token=bo.token) == (409, "already_logged_in")


async def test_a_token_that_is_not_in_force_opens_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        stranger = Person(world, 100, None, "nonsense")  # type: ignore[arg-type]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            async with stream(world, stranger):
                pass


async def test_what_is_no_websocket_is_told_so(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        answer = await world.get("/v1/stream")
        assert (answer.status, answer.code) == (426, "upgrade_required")


async def test_a_token_without_the_scope_reads_but_places_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        token, session = world.context.directory.new_session(ann.member, 60, ["read"])
        world.context.directory.keep(session)
        async with stream(world, Person(world, ann.member, ann.key, token)) as line:
            await line.do("subscribe", to={"channel": "mine"})
            placing = signed(ann, order("b1", "A1", "buy", "1.00", "0.45"))
            assert await line.refusal("place", order=placing) == (403, "scope_missing")


# ------------------------------------------------------------------------------------------- strict reading

GIVEN_ID = b'"id": "x1"'


@pytest.mark.parametrize(
    ("payload", "code", "has_id"),
    [
        (b"", "malformed_json", False),
        (b"hello", "malformed_json", False),
        (b"[]", "wrong_type", False),
        (b'"ping"', "wrong_type", False),
        (b'{"op": "ping"}', "missing_field", False),
        (b'{"op": "dance", %s}' % GIVEN_ID, "bad_value", True),
        (b"{%s}" % GIVEN_ID, "missing_field", True),
        (b'{"op": "ping", "id": 7}', "wrong_type", False),
        (b'{"op": "ping", "id": ""}', "bad_value", False),
        (b'{"op": "ping", "more": 1, %s}' % GIVEN_ID, "unknown_field", True),
        (b'{"op": "ping", "op": "ping", %s}' % GIVEN_ID, "duplicate_key", False),
        (b'{"op": "ping", "id": "\\ud800"}', "malformed_json", False),
        (b'{"op": "subscribe", "to": {"channel": "gossip"}, %s}' % GIVEN_ID, "bad_value", True),
        (b'{"op": "subscribe", "to": {"channel": "book", "slot": "s"}, %s}' % GIVEN_ID, "missing_field", True),
        (b'{"op": "subscribe", "to": {"channel": "trades", "after": -1}, %s}' % GIVEN_ID, "bad_value", True),
        (b'{"op": "unsubscribe", "to": {"channel": "trades", "after": 1}, %s}' % GIVEN_ID, "unknown_field", True),
        (b'{"op": "cancel_on_disconnect", "enabled": 1, %s}' % GIVEN_ID, "wrong_type", True),
        (b'{"op": "ping", "id": %s}' % (b"[" * 5000), "too_deep", False),
        (b'{"op": "ping", "id": NaN}', "malformed_json", False),
        (b'{"op": "cancel", "client_order_id": "b1", %s}' % GIVEN_ID, "not_logged_in", True),
    ],
)
async def test_what_is_not_understood_is_answered_and_goes_on(
    market: World, payload: bytes, code: str, has_id: bool
) -> None:
    async with stream(market) as line:
        await line.socket.send_str(payload.decode())
        answer = await line.answer("x1" if has_id else None)
        assert answer["problem"]["code"] == code
        assert await line.do("ping") == {}


async def test_bytes_are_refused_and_text_that_is_none_ends_it(market: World) -> None:
    async with stream(market) as line:
        await line.socket.send_bytes(b'{"op": "ping", "id": "x1"}')
        assert (await line.answer(None))["problem"]["code"] == "binary_message"
        assert await line.do("ping") == {}


async def test_too_large_is_refused_and_much_too_large_ends_it(tmp_path: Path) -> None:
    async with open_market(tmp_path, streams=Streams(message_bytes=1000)) as world, stream(world) as line:
        await line.socket.send_str('{"op": "ping", "id": "x1"}'.ljust(1001))
        assert (await line.answer("x1"))["problem"]["code"] == "too_large"
        await line.socket.send_str(" " * 3000)
        assert (await line.closed())[0] == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_a_bug_is_answered_without_its_trace_and_the_stream_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(entry, "cancel_one", fail)
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            answer = await line.ask("cancel", client_order_id="b1")
            assert answer["problem"]["code"] == "internal_error"
            assert "secret" not in str(answer)
            assert await line.do("ping") == {}


# ------------------------------------------------------------------------------------------------- limits


async def test_connections_are_bounded_for_a_member_and_for_the_public(tmp_path: Path) -> None:
    limits = Streams(connections=6, connections_per_member=2)
    async with open_market(tmp_path, streams=limits) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann), stream(world, ann), stream(world) as public:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                async with stream(world, ann):
                    pass
            assert await public.refusal("log_in", token=ann.token) == (429, "too_many_streams")
            async with stream(world), stream(world):
                with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                    async with stream(world):
                        pass
        async with stream(world, ann):
            pass


async def test_subscriptions_are_bounded_and_stand_once(tmp_path: Path) -> None:
    async with open_market(tmp_path, streams=Streams(subscriptions=2)) as world:
        await neighbours(world)
        async with stream(world) as line:
            book = book_of("A1", SLOT)
            await line.do("subscribe", to=book)
            assert await line.refusal("subscribe", to=book) == (409, "already_subscribed")
            await line.do("subscribe", to={"channel": "trades"})
            assert await line.refusal("subscribe", to=book_of("A2", SLOT)) == (422, "too_many_subscriptions")
            await line.do("unsubscribe", to={"channel": "trades"})
            assert await line.refusal("unsubscribe", to={"channel": "trades"}) == (409, "not_subscribed")
            assert await line.refusal("resync", to=book_of("A3", SLOT)) == (409, "not_subscribed")
            await line.do("subscribe", to=book_of("A2", SLOT))


async def test_operations_under_way_are_bounded(tmp_path: Path) -> None:
    async with open_market(tmp_path, streams=Streams(in_flight=3)) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            names = [
                await line.send("place", order=signed(ann, order(f"b{n}", "A1", "buy", "1.00", "0.45")))
                for n in range(10)
            ]
            answers = [await line.answer(name) for name in names]
            placed = sum(answer["type"] == "answer" for answer in answers)
            refused = {answer["problem"]["code"] for answer in answers if answer["type"] == "refusal"}
            assert placed >= 3
            assert refused <= {"too_many_in_flight"}
        held = (await ann.get("/v1/orders")).body["items"]
        assert len(held) == placed


async def test_strangers_are_held_back_on_a_stream_too(tmp_path: Path) -> None:
    limits = Limits(stranger_posts_per_s=1, stranger_post_burst=20)
    async with open_market(tmp_path, limits=limits) as world:
        ann, _ = await neighbours(world)
        async with stream(world) as line, stream(world, ann) as members:
            answers = [await line.ask("ping") for _ in range(30)]
            assert answers[-1]["problem"]["code"] == "too_many_messages"
            assert [await members.do("ping") for _ in range(30)] == [{}] * 30


async def test_a_reader_that_does_not_keep_up_is_closed_and_nobody_waits(tmp_path: Path) -> None:
    limits = Streams(waiting_bytes=50_000, waiting_messages=200)
    async with open_market(tmp_path, streams=limits) as world:
        ann, bo = await neighbours(world)
        await ann.place_batch([order(f"b{n}", "A1", "buy", "0.01", "0.10") for n in range(600)])
        async with stream(world, ann) as slow, stream(world) as quick:
            await slow.do("subscribe", to={"channel": "mine"})
            await quick.do("subscribe", to={"channel": "trades"})
            transport_of(slow).pause_reading()
            asked = 0
            while not world.context.metrics.streams_dropped.labels("slow_reader")._value.get():
                asked += 1
                await slow.send("resync", to={"channel": "mine"})
                await quick.do("ping")
                assert asked < 1000, "a reader that reads nothing must be noticed"
            await bo.place(order("s1", "A2", "sell", "1.00", "0.05"))
            assert len((await quick.next("trades"))["trades"]) == 100
            transport_of(slow).resume_reading()
            assert await slow.closed() in [(4008, "slow_reader"), (1006, "")]


# ------------------------------------------------------------------------------------------------- its end


async def test_the_end_of_a_session_ends_its_streams(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with stream(world, ann) as line, stream(world, bo) as other:
            assert (await ann.delete("/v1/sessions")).status == 204
            assert await line.closed() == (4001, "session_ended")
            assert await other.do("ping") == {}


async def test_a_session_that_runs_out_ends_its_streams(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            now_s = world.context.directory.now_s()
            world.context.directory.now_s = lambda: now_s + 10_000
            assert await line.closed() == (4001, "session_ended")


async def test_a_new_token_of_the_same_member_keeps_it_open(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            renewed = await Person(world, ann.member, ann.key).log_in()
            await line.do("log_in", token=renewed.token)
            assert (await ann.delete("/v1/sessions")).status == 204
            assert await line.do("ping") == {}


async def test_a_server_that_stops_says_so_after_its_answers(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as outside:
        async with open_market(tmp_path) as world:
            ann, _ = await neighbours(world)
            world.http, inside = outside, world.http
            opened = stream(world, ann)
            line = await opened.__aenter__()
            world.http = inside
            names = [
                await line.send("place", order=signed(ann, order(f"b{n}", "A1", "buy", "1.00", "0.45")))
                for n in range(5)
            ]
            await line.do("ping")
        for name in names:
            assert (await line.answer(name))["type"] == "answer"
        assert await line.closed() == (1001, "server_stopping")


async def test_orders_are_cancelled_with_the_stream_when_that_was_asked_for(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        for person, meter, is_asked in ((ann, "A1", True), (bo, "B1", False)):
            async with stream(world, person) as line:
                await line.do("cancel_on_disconnect", enabled=True)
                await line.do("cancel_on_disconnect", enabled=is_asked)
                await line.do("place", order=signed(person, order("x1", meter, "buy", "1.00", "0.10")))
                transport_of(line).abort()
        assert await _settled(ann) == "by_owner"
        assert await _settled(bo) == "open"


async def _settled(person: Person) -> Any:
    """The order's state, once no stream is open any more."""
    async with asyncio.timeout(10):
        while person.world.context.metrics.streams._value.get():  # noqa: ASYNC110 - a count, which wakes nobody
            await asyncio.sleep(0.01)
    return (await person.get("/v1/orders/x1")).body["order"]["state"]


# ---------------------------------------------------------------------------------------------- order entry


async def test_placing_on_the_stream_is_placing_over_http(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            wanted = order("b1", "A1", "buy", "1.00", "0.45")
            on_stream = await line.do("place", order=signed(ann, wanted))
            assert world.is_receipt(on_stream["receipt"])
            assert (await ann.place(wanted)).body == on_stream  # a repeat gets the first answer
            over_http = (await ann.place(order("b2", "A1", "buy", "1.00", "0.45"))).body["order"]
            assert on_stream["order"].keys() == over_http.keys()
            forged = {**signed(ann, wanted), "price": "0.46"}
            assert await line.refusal("place", order=forged) == (422, "bad_signature")
            too_dear = signed(ann, order("b3", "A1", "buy", "1.00", "9.99"))
            assert await line.refusal("place", order=too_dear) == (422, "bad_price")
            assert (await line.do("cancel", client_order_id="b1"))["order"]["state"] == "by_owner"
            assert await line.refusal("cancel", client_order_id="b1") == (409, "not_open")
            assert await line.refusal("cancel", client_order_id="b9") == (404, "not_found")
            gone = await line.do("cancel_all", slot=SLOT)
            assert [each["client_order_id"] for each in gone["orders"]] == ["b2"]
            assert await line.refusal("cancel_all", slot="noon") == (422, "bad_time")


async def test_operations_are_carried_out_in_the_order_they_were_sent(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            names = []
            for number in range(20):
                placing = signed(ann, order(f"b{number}", "A1", "buy", "1.00", "0.45"))
                names.append(await line.send("place", order=placing))
                names.append(await line.send("cancel", client_order_id=f"b{number}"))
            assert {(await line.answer(name))["type"] for name in names} == {"answer"}


async def test_a_batch_on_the_stream_has_one_signature(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        orders = [order(f"b{n}", "A1", "buy", "1.00", "0.45") for n in range(3)]
        over_http = await ann.place_batch(orders)
        sent: list[dict[str, Any]] = []

        async def caught(path: str, body: Any, **_: str) -> None:
            sent.append(body)

        ann.post = caught  # type: ignore[method-assign, assignment]
        await ann.place_batch(orders)
        async with stream(world, ann) as line:
            assert await line.do("place_batch", batch=sent[0]) == over_http.body
