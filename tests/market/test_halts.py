"""Halts of everything, of an area, of some slots: shown, kept, lifted; orders can be cancelled and expire as usual."""

from pathlib import Path

import pytest

from data.units import parse_instant_s
from market.clock import ManualClock
from market.jobs import CloseGates
from tests.market.world import SLOT, Person, later, neighbours, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")


async def test_the_whole_market_with_a_reason_over_a_restart(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        operator = await world.institution("operator")
        await ann.place(order("b1", "A1", "buy", "1.00", "0.10"))
        assert (await ann.post("/v1/market/halt", {"halted": True})).status == 403
        halted = await operator.post("/v1/market/halt", {"halted": True, "reason": "a fault on the line"})
        assert halted.body["halted"] is True
        assert [halt["reason"] for halt in halted.body["halts"]] == ["a fault on the line"]
        again = await operator.post("/v1/market/halt", {"halted": True, "reason": "another word"})
        assert again.body == halted.body
        assert (await ann.place(order("b2", "A1", "buy", "1.00", "0.10"))).code == "market_halted"
    async with open_market(tmp_path) as world:
        ann = Person(world, ann.member, ann.key, ann.token)
        operator = await world.institution("operator")
        assert (await ann.place(order("b2", "A1", "buy", "1.00", "0.10"))).code == "market_halted"
        for path in ("/v1/market", "/v1/status"):
            shown = (await operator.get(path)).body
            assert (shown["halted"], shown["halts"]) == (True, halted.body["halts"])
        assert (await ann.delete("/v1/orders/b1")).status == 200
        lifted = await operator.post("/v1/market/halt", {"halted": False, "reason": "mended"})
        assert lifted.body == {"halted": False, "halts": []}
        assert (await ann.place(order("b2", "A1", "buy", "1.00", "0.10"))).status == 201
        await operator.post("/v1/market/halt", {"halted": True})
        assert (await ann.place(order("b3", "A1", "buy", "1.00", "0.10"))).code == "market_halted"


async def test_an_area_and_some_slots(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        operator = await world.institution("operator")
        area = {"halted": True, "node": "A", "reason": "transformer"}
        assert (await operator.post("/v1/market/halt", area)).body["halted"] is False
        slots = {"halted": True, "first_slot": later(SLOT, 15), "end_slot": later(SLOT, 45), "reason": "storm"}
        assert len((await operator.post("/v1/market/halt", slots)).body["halts"]) == 2
        assert (await ann.place(order("a", "A1", "buy", "1.00", "0.10"))).code == "market_halted"
        assert (await bo.place(order("b", "B1", "buy", "1.00", "0.10"))).status == 201, "another transformer"
        answers = [await bo.place(order(f"s{n}", "B1", "buy", "1.00", "0.10", later(SLOT, 15 * n))) for n in range(4)]
        assert [answer.code for answer in answers] == [None, "market_halted", "market_halted", None]
        basket = [order("x", "B1", "buy", "1.00", "0.10"), order("y", "A2", "buy", "1.00", "0.10")]
        refused = await bo.place_batch(basket, basket=True)
        codes = [each["problem"]["code"] for each in refused.body["results"]]
        assert codes == ["basket_rejected", "market_halted"]
        lifted = await operator.post("/v1/market/halt", {**area, "halted": False})
        assert [halt["first_slot"] for halt in lifted.body["halts"]] == [later(SLOT, 15)]
        assert (await ann.place(order("a", "A1", "buy", "1.00", "0.10"))).status == 201


async def test_odd_places_are_refused(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        await neighbours(world)
        operator = await world.institution("operator")
        unknown = await operator.post("/v1/market/halt", {"halted": True, "node": "Z"})
        assert (unknown.status, unknown.code) == (422, "unknown_node")
        backwards = {"halted": True, "first_slot": SLOT, "end_slot": SLOT}
        assert (await operator.post("/v1/market/halt", backwards)).code == "bad_slots"
        assert (await world.get("/v1/market")).body["halts"] == []


async def test_gates_close_and_orders_expire_during_a_halt(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        operator = await world.institution("operator")
        await ann.place(order("b1", "A1", "buy", "1.00", "0.10"))
        await operator.post("/v1/market/halt", {"halted": True})
        assert isinstance(world.context.clock, ManualClock)
        world.context.clock.move_to(parse_instant_s(SLOT))
        await world.context.sequencer.submit(CloseGates())
        assert (await ann.get("/v1/orders/b1")).body["order"]["state"] == "slot_closed"
        assert (await ann.get("/v1/account")).body["reserved"] == "0.000000"
