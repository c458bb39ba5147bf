"""Orders changed while they are open: a part taken back, or a new one in their place."""

from pathlib import Path

import pytest

from tests.market.world import Person, World, neighbours, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")


async def reserved(person: Person) -> str:
    body = (await person.get("/v1/account")).body
    return str(body["reserved"])


async def test_a_reduced_order_keeps_its_place_in_time(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("first", "A2", "sell", "1.00", "0.40"))
        await bo.place(order("second", "A2", "sell", "1.00", "0.40"))
        reduced = await bo.patch("/v1/orders/first", {"remaining": "0.30"})
        assert reduced.status == 200, reduced
        told = reduced.body["order"]
        assert (told["state"], told["quantity"], told["remaining"], told["reduced"]) == ("open", "1.00", "0.30", "0.70")
        assert world.is_receipt(reduced.body["receipt"])
        await ann.place(order("b1", "A1", "buy", "0.50", "0.45"))
        first = (await bo.get("/v1/orders/first")).body["order"]
        second = (await bo.get("/v1/orders/second")).body["order"]
        assert (first["state"], first["remaining"]) == ("filled", "0.00")
        assert (second["state"], second["remaining"]) == ("open", "0.80")


async def test_what_is_taken_back_is_free_again_to_the_micro_yuan(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.4567"))
        assert await reserved(ann) == "0.456700"
        await ann.patch("/v1/orders/b1", {"remaining": "0.01"})
        assert await reserved(ann) == "0.004567"
        await ann.delete("/v1/orders/b1")
        assert await reserved(ann) == "0.000000"


async def test_the_same_again_changes_nothing_and_has_no_receipt(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
        first = await ann.patch("/v1/orders/b1", {"remaining": "0.30"})
        again = await ann.patch("/v1/orders/b1", {"remaining": "0.30"})
        assert (again.status, again.body["order"], again.body["receipt"]) == (200, first.body["order"], None)


async def test_a_new_order_in_its_place(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
        new = ann.signed(order("b2", "A1", "buy", "2.00", "0.46", replaces="b1"))
        answer = await ann.patch("/v1/orders/b1", {"order": new})
        assert (answer.status, answer.body["order"]["client_order_id"]) == (200, "b2")
        states = {o["client_order_id"]: o["state"] for o in (await ann.get("/v1/orders")).body["items"]}
        assert states == {"b1": "by_owner", "b2": "open"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"remaining": "1.01"}, 422, "not_less"),
        ({"remaining": "0"}, 422, "bad_quantity"),
        ({"remaining": "-1.00"}, 422, "bad_quantity"),
        ({"remaining": "0.001"}, 422, "bad_quantity"),
        ({}, 422, "bad_amendment"),
        ({"remaining": "0.50", "price": "0.45"}, 400, "unknown_field"),
        ({"remaining": 0.5}, 400, "wrong_type"),
    ],
)
async def test_what_is_no_amendment(tmp_path: Path, body: dict[str, object], status: int, code: str) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
        answer = await ann.patch("/v1/orders/b1", body)
        assert (answer.status, answer.code) == (status, code)
        assert (await ann.get("/v1/orders/b1")).body["order"]["remaining"] == "1.00"


async def test_only_ones_own_open_orders(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
        stranger = await bo.patch("/v1/orders/b1", {"remaining": "0.50"})
        assert (stranger.status, stranger.code) == (404, "not_found")
        await ann.delete("/v1/orders/b1")
        late = await ann.patch("/v1/orders/b1", {"remaining": "0.50"})
        assert (late.status, late.code) == (409, "not_open")
        wrong = ann.signed(order("b2", "A1", "buy", "2.00", "0.46", replaces="b9"))
        answer = await ann.patch("/v1/orders/b1", {"order": wrong})
        assert (answer.status, answer.code) == (422, "bad_amendment")


async def test_a_reduction_survives_a_restart_and_the_first_answer_stays_the_first(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        buy = order("b1", "A1", "buy", "1.00", "0.45")
        first = await ann.place(buy)
        await ann.patch("/v1/orders/b1", {"remaining": "0.30"})
        people = {"ann": (ann.member, ann.key, ann.token), "bo": (bo.member, bo.key, bo.token)}
    async with open_market(tmp_path) as world:
        ann, bo = (Person(world, *each) for each in people.values())
        assert (await ann.get("/v1/orders/b1")).body["order"]["remaining"] == "0.30"
        assert await reserved(ann) == "0.135000"
        again = await ann.place(buy)
        assert (again.status, again.body) == (first.status, first.body)
        await sells_all(world, bo)
        filled = (await ann.get("/v1/orders/b1")).body["order"]
        assert (filled["state"], filled["remaining"], filled["reduced"]) == ("filled", "0.00", "0.70")


async def sells_all(world: World, seller: Person) -> None:
    answer = await seller.place(order("s1", "A2", "sell", "5.00", "0.40"))
    assert answer.body["order"]["remaining"] == "4.70"
