"""Orders over HTTP: placed, matched, answered with receipts, repeated, replaced, cancelled, refused."""

from pathlib import Path

import pytest

from tests.market.world import SLOT, Person, World, later, neighbours, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")


async def test_two_neighbours_trade_and_hold_receipts(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        rests = await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        assert rests.status == 201, rests
        assert (rests.body["order"]["state"], rests.body["order"]["remaining"]) == ("open", "1.00")
        takes = await ann.place(order("b1", "A1", "buy", "0.60", "0.45"))
        assert takes.body["order"]["state"] == "filled"
        (trade,) = takes.body["order"]["trades"]
        assert (trade["quantity"], trade["price"], trade["amount"], trade["level"]) == (
            "0.60",
            "0.4200",
            "0.252000",
            "transformer",
        )
        assert world.is_receipt(rests.body["receipt"]) and world.is_receipt(takes.body["receipt"])
        assert takes.body["receipt"]["sequence"] == rests.body["receipt"]["sequence"] + 1
        forged = {**takes.body["receipt"], "sequence": 99}
        assert not world.is_receipt(forged)
        shown = (await bo.get("/v1/orders/s1")).body["order"]
        assert (shown["state"], shown["remaining"], shown["trades"][0]["price"]) == ("open", "0.40", "0.4000")


async def test_a_repeat_gets_the_first_answer_and_places_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        sell = order("s1", "A2", "sell", "1.00", "0.40")
        first = await bo.place(sell)
        await ann.place(order("b1", "A1", "buy", "0.60", "0.45"))
        await bo.delete("/v1/orders/s1")
        again = await bo.place(sell)
        assert (again.status, again.body) == (first.status, first.body)
        other = await bo.place({**sell, "price": "0.41"})
        assert (other.status, other.code) == (409, "duplicate_order_id")
        assert len((await bo.get("/v1/orders")).body["items"]) == 1


async def test_a_replacement_takes_the_place_of_the_order_it_names(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "10.00", "0.45"))
        second = await ann.place(order("b2", "A1", "buy", "10.00", "0.46", replaces="b1"))
        assert second.body["order"]["replaces"] == "b1"
        states = {o["client_order_id"]: o["state"] for o in (await ann.get("/v1/orders")).body["items"]}
        assert states == {"b1": "by_owner", "b2": "open"}
        third = await ann.place(order("b3", "A1", "buy", "1.00", "0.46", replaces="b1"))
        assert (third.status, third.code) == (422, "not_open")
        refused = await ann.place(order("b4", "A1", "buy", "99999.00", "0.46", replaces="b2"))
        assert refused.code == "over_capacity"
        assert (await ann.get("/v1/orders/b2")).body["order"]["state"] == "open"


async def test_cancelling(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        for number, slot in enumerate((SLOT, SLOT, later(SLOT, 15))):
            await ann.place(order(f"b{number}", "A1", "buy", "1.00", "0.10", slot))
        one = await ann.delete("/v1/orders/b0")
        assert one.body["order"]["state"] == "by_owner" and world.is_receipt(one.body["receipt"])
        assert (await ann.delete("/v1/orders/b0")).code == "not_open"
        assert (await bo.delete("/v1/orders/b1")).status == 404
        assert (await ann.delete("/v1/orders/nothing")).status == 404
        of_slot = await ann.delete(f"/v1/orders?slot={SLOT}")
        assert [o["client_order_id"] for o in of_slot.body["orders"]] == ["b1"]
        everything = await ann.delete("/v1/orders")
        assert [o["client_order_id"] for o in everything.body["orders"]] == ["b2"]
        nothing = await ann.delete("/v1/orders")
        assert nothing.body == {"orders": [], "receipt": None}
        assert (await ann.get("/v1/account")).body["reserved"] == "0.000000"


async def test_a_batch_is_signed_once_and_answered_one_by_one(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        orders = [
            order("b1", "A1", "buy", "1.00", "0.45"),
            order("b2", "A2", "buy", "1.00", "0.45"),
            order("b3", "A1", "buy", "1.00", "0.30"),
        ]
        answer = await ann.place_batch(orders)
        assert answer.status == 200, answer
        first, second, third = answer.body["results"]
        assert first["order"]["state"] == "filled"
        assert second["problem"]["code"] == "not_meter_owner"
        assert third["order"]["state"] == "open"
        assert world.is_receipt(answer.body["receipt"])
        again = await ann.place_batch(orders)
        assert again.body == answer.body


async def test_a_basket_trades_whole_or_not_at_all(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        next_slot = later(SLOT, 15)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        legs = [order("l1", "A1", "buy", "1.00", "0.45"), order("l2", "A1", "buy", "1.00", "0.45", next_slot)]
        unfilled = await ann.place_batch(legs, basket=True)
        assert [r["order"]["state"] for r in unfilled.body["results"]] == ["unfilled_basket"] * 2
        await bo.place(order("s2", "A2", "sell", "1.00", "0.40", next_slot))
        legs = [{**leg, "client_order_id": f"again-{leg['client_order_id']}"} for leg in legs]
        filled = await ann.place_batch(legs, basket=True)
        assert [r["order"]["state"] for r in filled.body["results"]] == ["filled"] * 2
        bad = [order("l3", "A1", "buy", "1.00", "0.45"), order("l4", "ZZ", "buy", "1.00", "0.45")]
        refused = await ann.place_batch(bad, basket=True)
        assert [r["problem"]["code"] for r in refused.body["results"]] == ["basket_rejected", "unknown_meter"]
        assert refused.body["receipt"] is None
        assert (await ann.get("/v1/orders/l3")).status == 404


async def _refusals(world: World, ann: Person) -> list[tuple[dict[str, object], int, str]]:
    good = order("x", "A1", "buy", "1.00", "0.45")
    return [
        ({**good, "quantity": "0.00"}, 422, "bad_quantity"),
        ({**good, "quantity": "0.001"}, 422, "bad_quantity"),
        ({**good, "quantity": "-1.00"}, 422, "bad_quantity"),
        ({**good, "quantity": "1e2"}, 422, "bad_quantity"),
        ({**good, "price": "2.0001"}, 422, "bad_price"),
        ({**good, "price": "0.00001"}, 422, "bad_price"),
        ({**good, "price": "-0.1"}, 422, "bad_price"),
        ({**good, "price": "NaN"}, 422, "bad_price"),
        ({**good, "terms": 31}, 422, "bad_terms"),
        ({**good, "meter": "nowhere"}, 422, "unknown_meter"),
        ({**good, "meter": "A2"}, 422, "not_meter_owner"),
        ({**good, "slot": "2026-07-01T10:16:00Z"}, 422, "slot_not_open"),
        ({**good, "slot": "2026-08-01T10:15:00Z", "deadline": "2026-08-01T10:15:00Z"}, 422, "slot_not_open"),
        ({**good, "slot": "2026-07-01T00:00:00Z"}, 422, "slot_closed"),
        ({**good, "slot": "2026-02-30T00:00:00Z"}, 422, "bad_time"),
        ({**good, "slot": "1969-07-01T00:00:00Z"}, 422, "bad_time"),
        ({**good, "deadline": "2026-07-01T00:00:00Z"}, 422, "deadline_passed"),
        ({**good, "quantity": "10.01"}, 422, "over_capacity"),
        ({**good, "side": "both"}, 400, "bad_value"),
        ({**good, "client_order_id": "a b"}, 400, "bad_value"),
        ({**good, "client_order_id": ""}, 400, "bad_value"),
        ({**good, "surprise": 1}, 400, "unknown_field"),
        ({**good, "quantity": 1}, 400, "wrong_type"),
    ]


async def test_each_refusal_has_its_code_and_changes_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        before = (await ann.get("/v1/account")).body
        for bad, status, code in await _refusals(world, ann):
            answer = await ann.post("/v1/orders", {**bad, "signature": "00" * 64})
            if answer.code == "bad_signature":
                answer = await ann.place(bad)
            assert (answer.status, answer.code) == (status, code), (bad, answer)
            assert answer.headers["Content-Type"].startswith("application/problem+json")
        good = order("x", "A1", "buy", "1.00", "0.45")
        forged = await ann.post("/v1/orders", {**good, "signature": "00" * 64})
        assert (forged.status, forged.code) == (422, "bad_signature")
        assert (await ann.get("/v1/account")).body == before
        assert (await ann.get("/v1/orders")).body["items"] == []
        assert (await ann.place(good)).status == 201


async def test_a_signature_over_other_fields_is_refused(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        good = order("x", "A1", "buy", "1.00", "0.45")
        signature = ann.sign(ann.intent(good).digest(world.chain.domain("Clearing")))
        for field, value in {"quantity": "2.00", "price": "0.46", "replaces": "y", "tif": "ioc", "terms": 30}.items():
            answer = await ann.post("/v1/orders", {**good, field: value, "signature": signature})
            assert (answer.status, answer.code) == (422, "bad_signature"), field
        other_contract = ann.sign(ann.intent(good).digest(world.chain.domain("Cash")))
        assert (await ann.post("/v1/orders", {**good, "signature": other_contract})).code == "bad_signature"


@pytest.mark.parametrize(
    ("money", "bad", "code"),
    [
        ((449_999, 0), order("x", "A1", "buy", "1.00", "0.45"), "insufficient_funds"),
        ((10**9, 449_999), order("x", "A1", "buy", "1.00", "0.45", terms=30), "insufficient_credit"),
        ((199_999, 0), order("x", "A1", "sell", "1.00", "0.40"), "insufficient_cover"),
        ((599_999, 0), order("x", "A1", "sell", "1.00", "0.40", terms=30), "insufficient_cover"),
    ],
)
async def test_cover_is_reserved_to_the_micro(
    tmp_path: Path, money: tuple[int, int], bad: dict[str, object], code: str
) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await world.give("ann", *money)
        assert (await ann.place(bad)).code == code
        await world.give("ann", money[0] + 1, money[1] + 1)
        assert (await ann.place(bad)).status == 201
        more = await ann.place({**bad, "client_order_id": "y", "quantity": "0.01"})
        assert more.code == code


async def test_strangers_see_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.10"))
        assert (await bo.get("/v1/orders/b1")).status == 404
        assert (await bo.get("/v1/orders")).body["items"] == []
        assert (await world.get("/v1/orders/b1")).status == 401
        pending = await world.newcomer("cy", admitted=False)
        refused = await pending.place(order("c1", "A1", "buy", "1.00", "0.10"))
        assert (refused.status, refused.code) == (403, "not_admitted")


async def test_halted_market_takes_cancels_only(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        operator = await world.institution("operator")
        await ann.place(order("b1", "A1", "buy", "1.00", "0.10"))
        assert (await operator.post("/v1/market/halt", {"halted": True})).body["halted"] is True
        assert (await ann.place(order("b2", "A1", "buy", "1.00", "0.10"))).code == "market_halted"
        assert (await ann.delete("/v1/orders/b1")).status == 200
    async with open_market(tmp_path) as world:
        operator = await world.institution("operator")
        assert (await operator.get("/v1/status")).body["halted"] is True
        await operator.post("/v1/market/halt", {"halted": False})
        assert (await operator.get("/v1/status")).body["halted"] is False


async def test_gates_close_on_the_market_clock(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        operator = await world.institution("operator")
        await ann.place(order("b1", "A1", "buy", "1.00", "0.10"))
        early = await operator.post("/v1/clock", {"now": "2026-07-01T10:09:59Z"})
        assert early.body["closed"] == []
        moved = await operator.post("/v1/clock", {"now": "2026-07-01T10:10:00Z"})
        assert moved.body["closed"] == [SLOT]
        assert (await ann.get("/v1/orders/b1")).body["order"]["state"] == "slot_closed"
        assert (await ann.place(order("b2", "A1", "buy", "1.00", "0.10"))).code == "slot_closed"
        assert (await ann.get("/v1/account")).body["reserved"] == "0.000000"
        back = await operator.post("/v1/clock", {"now": "2026-07-01T10:00:00Z"})
        assert (back.status, back.code) == (409, "clock_backwards")
        assert (await ann.post("/v1/clock", {"now": "2026-07-01T11:00:00Z"})).status == 403


async def test_book_shows_what_this_meter_would_pay(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        await bo.place(order("s2", "B1", "sell", "1.00", "0.38"))
        await ann.place(order("b1", "A1", "buy", "0.50", "0.20"))
        book = (await world.get(f"/v1/book?slot={SLOT}&meter=A1")).body
        assert [(q["price"], q["quantity"], q["level"]) for q in book["asks"]] == [
            ("0.4200", "1.00", "transformer"),
            ("0.4300", "1.00", "feeder"),
        ]
        assert (await world.get(f"/v1/book?slot={SLOT}&meter=nowhere")).status == 404
        assert (await world.get(f"/v1/book?slot={SLOT}")).code == "missing_parameter"


async def test_trades_are_public_without_names(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40", terms=60))
        for number in range(3):
            await ann.place(order(f"b{number}", "A1", "buy", "0.10", "0.45", terms=30))
        public = (await world.get("/v1/trades?public=true")).body["items"]
        assert len(public) == 3
        assert set(public[0]) == {"trade", "slot", "quantity", "seller_price", "buyer_price", "level", "at"}
        own = (await ann.get("/v1/trades")).body["items"]
        assert [(t["client_order_id"], t["side"], t["price"], t["meter"]) for t in own] == [
            (f"b{number}", "buy", "0.4200", "A1") for number in range(3)
        ]
        page = (await bo.get("/v1/trades?limit=2")).body
        rest = (await bo.get(f"/v1/trades?limit=2&cursor={page['next']}")).body
        assert [t["trade"] for t in page["items"] + rest["items"]] == [1, 2, 3] and rest["next"] is None
        assert {t["client_order_id"] for t in page["items"]} == {"s1"}
        assert (await world.get("/v1/trades")).status == 401
