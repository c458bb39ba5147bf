"""What is read on a stream: every trade once, own orders without a gap, and books that are never torn."""

import asyncio
from pathlib import Path

import pytest

from market import feed_mine, feed_trades
from market.feed_mine import MineFeed
from market.jobs import CloseGates
from tests.market.streamed import Line, book_of, signed, stream
from tests.market.world import SLOT, Person, World, later, neighbours, open_market, order

# ------------------------------------------------------------------------------------------------- trades


async def trade(ann: Person, bo: Person, *names: str) -> None:
    """One trade of 0.10 kWh for each name."""
    await bo.place_batch([order(f"s{name}", "A2", "sell", "0.10", "0.40") for name in names])
    await ann.place_batch([order(f"b{name}", "A1", "buy", "0.10", "0.45") for name in names])


async def numbers(line: Line, last: int) -> list[int]:
    """Numbers of the trades that come, up to ``last``."""
    found: list[int] = []
    while not found or found[-1] < last:
        found += [told["trade"] for told in (await line.next("trades"))["trades"]]
    return found


async def test_a_trade_is_told_as_the_list_of_trades_has_it(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with stream(world) as line:
            assert await line.do("subscribe", to={"channel": "trades"}) == {"after": 0}
            await trade(ann, bo, "1", "2")
            told = (await line.next("trades"))["trades"]
            assert told == (await world.get("/v1/trades?public=true")).body["items"]
            await line.do("unsubscribe", to={"channel": "trades"})
            await trade(ann, bo, "3")
            assert await line.nothing()


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize("after", [0, 2, 7, None])
async def test_missed_trades_come_first_and_none_is_left_out_or_told_twice(
    tmp_path: Path, after: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_trades, "PAGE", 3)
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await trade(ann, bo, *map(str, range(7)))
        async with stream(world) as line:
            joining = await line.send(
                "subscribe", to={"channel": "trades", **({} if after is None else {"after": after})}
            )
            trading = [asyncio.create_task(trade(ann, bo, f"x{n}")) for n in range(10)]
            begun = (await line.answer(joining))["result"]["after"]
            await asyncio.gather(*trading)
            assert begun >= 7 if after is None else begun == after
            assert await numbers(line, 17) == list(range(begun + 1, 18))


async def test_who_missed_too_much_or_asks_for_the_future_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_trades, "REPLAY_BOUND", 3)
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await trade(ann, bo, *map(str, range(5)))
        async with stream(world) as line:
            assert await line.refusal("subscribe", to={"channel": "trades", "after": 1}) == (422, "too_far_back")
            assert await line.refusal("subscribe", to={"channel": "trades", "after": 6}) == (422, "bad_after")
            await line.do("subscribe", to={"channel": "trades", "after": 2})
            assert await numbers(line, 5) == [3, 4, 5]


# ---------------------------------------------------------------------------------------------- own orders


async def test_own_orders_are_told_as_their_owner_sees_them_and_to_nobody_else(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with stream(world, ann) as line, stream(world, bo) as other:
            for each in (line, other):
                await each.do("subscribe", to={"channel": "mine"})
                assert (await each.next("mine"))["orders"] == []
            placed = await line.do("place", order=signed(ann, order("b1", "A1", "buy", "1.00", "0.45")))
            told = await line.next("mine")
            assert (told["number"], told["snapshot"], told["orders"]) == (1, False, [placed["order"]])
            assert told["sequence"] == placed["receipt"]["sequence"]
            assert await other.nothing()
            sold = await other.do("place", order=signed(bo, order("s1", "A2", "sell", "0.40", "0.40")))
            assert (await other.next("mine"))["orders"] == [sold["order"]]
            (bought,) = (await line.next("mine"))["orders"]
            assert (bought["remaining"], bought["state"]) == ("0.60", "open")
            assert [each["trade"] for each in bought["trades"]] == [1]
            await line.do("cancel_all")
            assert [(each["state"], each["trades"]) for each in (await line.next("mine"))["orders"]] == [
                ("by_owner", [])
            ]


async def test_a_gate_that_closes_is_told(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
        async with stream(world, ann) as line:
            await line.do("subscribe", to={"channel": "mine"})
            await line.next("mine")
            operator = await world.institution("operator")
            await operator.post("/v1/clock", {"now": SLOT})
            await world.context.sequencer.submit(CloseGates())
            (expired,) = (await line.next("mine"))["orders"]
            assert expired["state"] == "slot_closed"


async def test_who_was_away_reads_on_where_it_stopped(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            run = (await line.do("subscribe", to={"channel": "mine"}))["run"]
            await line.next("mine")
            await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
            assert (await line.next("mine"))["number"] == 1
        for number in (2, 3, 4):
            await ann.place(order(f"b{number}", "A1", "buy", "1.00", "0.45"))
        async with stream(world, ann) as line:
            begun = await line.do("subscribe", to={"channel": "mine", "run": run, "after": 1})
            assert begun == {"run": run, "resumed": True}
            missed = [await line.next("mine") for _ in range(3)]
            assert [(told["number"], told["orders"][0]["client_order_id"]) for told in missed] == [
                (2, "b2"),
                (3, "b3"),
                (4, "b4"),
            ]
            await ann.place(order("b5", "A1", "buy", "1.00", "0.45"))
            assert (await line.next("mine"))["number"] == 5
        for given in ({"run": run, "after": 9}, {"run": "other", "after": 1}, {"after": 1}, {"run": run}):
            async with stream(world, ann) as line:
                assert (await line.do("subscribe", to={"channel": "mine", **given}))["resumed"] is False
                told = await line.next("mine")
                assert (told["snapshot"], told["number"], len(told["orders"])) == (True, 5, 5)


async def test_what_is_kept_for_those_who_are_away_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_mine, "KEPT_MESSAGES", 2)
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            run = (await line.do("subscribe", to={"channel": "mine"}))["run"]
        for number in range(1, 4):
            await ann.place(order(f"b{number}", "A1", "buy", "1.00", "0.45"))
        async with asyncio.timeout(30):
            while world.context.feed.mine._logs[ann.member].number < 3:  # noqa: ASYNC110 - told after it is answered
                await asyncio.sleep(0.01)
        for after, is_kept in ((1, True), (0, False)):
            async with stream(world, ann) as line:
                begun = await line.do("subscribe", to={"channel": "mine", "run": run, "after": after})
                assert begun["resumed"] is is_kept


async def test_nothing_is_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_mine, "KEPT_S", 0.05)
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        async with stream(world, ann) as line:
            await line.do("subscribe", to={"channel": "mine"})
        feed: MineFeed = world.context.feed.mine
        async with asyncio.timeout(10):
            while feed._members:  # noqa: ASYNC110 - forgetting wakes nobody
                await asyncio.sleep(0.01)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))


async def test_a_resync_of_own_orders_is_a_snapshot_under_the_number_it_stands_for(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        async with stream(world, ann) as line:
            await line.do("subscribe", to={"channel": "mine"})
            await line.next("mine")
            await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
            await bo.place(order("s1", "A2", "sell", "0.40", "0.40"))
            assert [(await line.next("mine"))["number"] for _ in range(2)] == [1, 2]
            await line.do("resync", to={"channel": "mine"})
            told = await line.next("mine")
            assert (told["snapshot"], told["number"], told["last_trade"]) == (True, 2, 1)
            assert [(each["remaining"], each["trades"]) for each in told["orders"]] == [("0.60", [])]
            await line.do("cancel_all")
            assert (await line.next("mine"))["number"] == 3


# -------------------------------------------------------------------------------------------------- books


def applied(snapshot: dict[str, object], *increments: dict[str, object]) -> dict[str, list[tuple[str, str, str]]]:
    """Quotes after some increments, as (price, level, quantity), sorted."""
    book = {}
    for side in ("asks", "bids"):
        quotes: dict[tuple[str, str], str] = {}
        for told in (snapshot, *increments):
            for quote in told[side]:  # type: ignore[attr-defined]
                quotes[quote["price"], quote["level"]] = quote["quantity"]
        book[side] = sorted((*place, lots) for place, lots in quotes.items() if lots != "0.00")
    return book


async def shown(world: World, meter: str, slot: str = SLOT) -> dict[str, list[tuple[str, str, str]]]:
    """The same over HTTP."""
    return applied((await world.get(f"/v1/book?slot={slot}&meter={meter}")).body)


async def test_a_book_is_a_snapshot_and_then_what_changes(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        async with stream(world) as line:
            await line.do("subscribe", to=book_of("A1", SLOT))
            first = await line.next("book")
            assert (first["number"], first["snapshot"], first["slot"], first["meter"]) == (1, True, SLOT, "A1")
            assert first["asks"] == [{"price": "0.4200", "quantity": "1.00", "level": "transformer"}]
            await bo.place(order("s2", "A2", "sell", "1.00", "0.41"))
            second = await line.next("book")
            assert (second["number"], second["snapshot"], len(second["asks"])) == (2, False, 1)
            await ann.place(order("b1", "A1", "buy", "1.50", "0.45"))
            third = await line.next("book")
            assert [quote["quantity"] for quote in third["asks"]] == ["0.50", "0.00"]
            assert applied(first, second, third) == await shown(world, "A1")
            assert third["sequence"] > second["sequence"] > first["sequence"]


async def test_an_order_that_is_reduced_is_told_in_book_and_own_orders(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        _, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        async with stream(world, bo) as line:
            await line.do("subscribe", to=book_of("A1", SLOT))
            await line.do("subscribe", to={"channel": "mine"})
            await line.next("book")
            await line.next("mine")
            reduced = await line.do("amend", client_order_id="s1", amendment={"remaining": "0.30"})
            assert (await line.next("mine"))["orders"] == [reduced["order"]]
            assert [quote["quantity"] for quote in (await line.next("book"))["asks"]] == ["0.30"]
            amendment = {"remaining": "0.31"}
            assert await line.refusal("amend", client_order_id="s1", amendment=amendment) == (422, "not_less")


async def test_books_of_other_slots_and_unchanged_ones_are_silent(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        _, bo = await neighbours(world)
        other = later(SLOT, 15)
        async with stream(world) as line:
            await line.do("subscribe", to=book_of("A1", SLOT))
            await line.next("book")
            await bo.place(order("s1", "A2", "sell", "1.00", "0.40", other))
            await bo.place(order("s2", "A2", "sell", "1.00", "1.50", reach="transformer"))
            told = await line.next("book")
            assert [quote["price"] for quote in told["asks"]] == ["1.5200"]
            await line.do("unsubscribe", to=book_of("A1", SLOT))
            await bo.delete("/v1/orders")
            assert await line.nothing()


async def test_many_readers_of_a_book_share_it_and_a_late_one_joins_at_its_number(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        _, bo = await neighbours(world)
        async with stream(world) as early, stream(world) as late:
            await early.do("subscribe", to=book_of("A1", SLOT))
            snapshot = await early.next("book")
            await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
            increment = await early.next("book")
            await late.do("subscribe", to=book_of("A1", SLOT))
            joined = await late.next("book")
            assert (joined["number"], joined["snapshot"]) == (increment["number"], True)
            assert applied(joined) == applied(snapshot, increment)
            await early.do("resync", to=book_of("A1", SLOT))
            assert await early.next("book") == joined
            await bo.place(order("s2", "A2", "sell", "1.00", "0.41"))
            assert await early.next("book") == await late.next("book")


async def test_room_on_the_grid_is_in_the_book(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        _, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        async with stream(world) as line:
            await line.do("subscribe", to=book_of("B1", SLOT))
            first = await line.next("book")
            assert [quote["quantity"] for quote in first["asks"]] == ["1.00"]
            operator = await world.institution("operator")
            limit = {"node": "B", "slot": SLOT, "export_kw": "2", "import_kw": "2"}
            assert (await operator.post("/v1/grid/limits", {"limits": [limit]})).status < 300
            assert [quote["quantity"] for quote in (await line.next("book"))["asks"]] == ["0.50"]


@pytest.mark.parametrize(
    ("slot", "meter", "status", "code"),
    [
        (SLOT, "Z9", 404, "not_found"),
        ("2026-07-01T10:16:00Z", "A1", 404, "not_found"),
        ("soon", "A1", 422, "bad_time"),
    ],
)
async def test_there_is_no_such_book(tmp_path: Path, slot: str, meter: str, status: int, code: str) -> None:
    async with open_market(tmp_path) as world:
        await neighbours(world)
        async with stream(world) as line:
            assert await line.refusal("subscribe", to=book_of(meter, slot)) == (status, code)
            assert await line.refusal("subscribe", to=book_of(meter, slot)) == (status, code)
            await line.do("subscribe", to=book_of("A1", SLOT))
