"""Limits of one member and the switch that stops it, over HTTP; across a restart too."""

from pathlib import Path

import pytest

from market.settings import Limits
from tests.market.world import SLOT, Person, neighbours, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")


def buy(client_order_id: str, **more: object) -> dict[str, object]:
    return order(client_order_id, "A1", "buy", "0.10", "0.40", **more)


async def test_open_orders_are_counted_and_cancelling_makes_room(tmp_path: Path) -> None:
    async with open_market(tmp_path, limits=Limits(open_orders=2)) as world:
        ann, bo = await neighbours(world)
        batch = await ann.place_batch([buy("b1"), buy("b2"), buy("b3")])
        assert [each.get("problem", {}).get("code") for each in batch.body["results"]] == [
            None,
            None,
            "too_many_open_orders",
        ]
        refused = await ann.place(buy("b4"))
        assert (refused.status, refused.code) == (422, "too_many_open_orders")
        assert (await ann.place(buy("b5", replaces="b1"))).status == 201, "a replacement opens no more"
        assert (await ann.place(buy("b6", tif="ioc"))).status == 201, "what never rests is not counted"
        assert (await bo.place(order("s1", "A2", "sell", "0.05", "0.60"))).status == 201, "each for itself"
        await ann.delete("/v1/orders/b2")
        assert (await ann.place(buy("b7"))).status == 201
        await bo.place(order("s2", "A2", "sell", "0.20", "0.30"))
        assert (await ann.get(f"/v1/members/{ann.member}/controls")).body["open"] == 0, "traded orders make room"
        basket = await ann.place_batch([buy("c1"), buy("c2"), buy("c3")], basket=True)
        codes = [each["problem"]["code"] for each in basket.body["results"]]
        assert codes == ["basket_rejected", "basket_rejected", "too_many_open_orders"]
        assert (await ann.get(f"/v1/members/{ann.member}/controls")).body["open"] == 0


async def test_a_member_gets_limits_of_its_own_and_a_restart_keeps_them(tmp_path: Path) -> None:
    async with open_market(tmp_path, limits=Limits(open_orders=50)) as world:
        ann, _ = await neighbours(world)
        operator = await world.institution("operator")
        path = f"/v1/members/{ann.member}/controls"
        assert (await ann.post(path, {"reason": "more!", "open_orders": 99})).status in (403, 404)
        await operator.post(path, {"reason": "a first guess", "open_orders": 7})
        changed = await operator.post(path, {"reason": "too small for more", "open_orders": 1, "batch_orders": 2})
        assert (changed.status, changed.body["open_orders"], changed.body["batch_orders"]) == (200, 1, 2)
        assert (await ann.place(buy("b1"))).status == 201
        assert (await ann.place(buy("b2"))).code == "too_many_open_orders"
        assert (await ann.place_batch([buy("b3"), buy("b4"), buy("b5")])).code == "batch_too_large"
    async with open_market(tmp_path, limits=Limits(open_orders=50)) as world:
        ann = Person(world, ann.member, ann.key, ann.token)
        shown = (await ann.get(path)).body
        assert (shown["open_orders"], shown["batch_orders"], shown["open"]) == (1, 2, 1)
        assert [(each["change"], each["by"], each["reason"]) for each in shown["changes"]] == [
            ("limits", 1, "too small for more"),
            ("limits", 1, "a first guess"),
        ]
        assert (await ann.place(buy("b2"))).code == "too_many_open_orders"
        assert (await ann.place_batch([buy("b3"), buy("b4"), buy("b5")])).code == "batch_too_large"


async def test_a_stopped_member_places_nothing_and_cancels_everything(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        operator = await world.institution("operator")
        for name in ("b1", "b2"):
            await ann.place(buy(name))
        stopped = await operator.post(f"/v1/members/{ann.member}/kill", {"reason": "runs wild"})
        assert (stopped.status, stopped.body["stopped"], stopped.body["cancelled"]) == (200, "operator", 0)
        refused = await ann.place(buy("b3"))
        assert (refused.status, refused.code) == (403, "member_stopped")
        assert (await ann.place(buy("b1"))).status == 201, "an order accepted before still gets its first answer"
        assert (await ann.delete("/v1/orders/b1")).body["order"]["state"] == "by_owner"
        assert (await bo.place(order("s1", "A2", "sell", "0.01", "0.60"))).status == 201
        lifted = await ann.post(f"/v1/members/{ann.member}/kill/lift", {"reason": "please"})
        assert (lifted.status, lifted.code) == (403, "stopped_by_operator")
    async with open_market(tmp_path) as world:
        ann = Person(world, ann.member, ann.key, ann.token)
        operator = await world.institution("operator")
        assert (await ann.place(buy("b3"))).code == "member_stopped"
        again = await operator.post(f"/v1/members/{ann.member}/kill", {"reason": "all of it", "cancel_orders": True})
        assert (again.body["cancelled"], again.body["orders"]) == (1, []), "the operator sees how many, not which"
        assert world.is_receipt(again.body["receipt"])
        assert (await ann.get("/v1/orders?state=open")).body["items"] == []
        assert (await ann.get("/v1/account")).body["reserved"] == "0.000000"
        lifted = await operator.post(f"/v1/members/{ann.member}/kill/lift", {"reason": "mended"})
        assert lifted.body["stopped"] is None
        assert (await ann.place(buy("b3"))).status == 201
        changes = (await ann.get(f"/v1/members/{ann.member}/controls")).body["changes"]
        assert [(each["change"], each["reason"]) for each in changes] == [("lift", "mended"), ("kill", "runs wild")]


async def test_a_member_stops_itself_and_only_itself(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        operator = await world.institution("operator")
        await ann.place(buy("b1"))
        assert (await bo.post(f"/v1/members/{ann.member}/kill", {"reason": "rival"})).status == 404
        assert (await bo.get(f"/v1/members/{ann.member}/controls")).status == 404
        own = await ann.post(f"/v1/members/{ann.member}/kill", {"reason": "my program", "cancel_orders": True})
        assert (own.body["stopped"], [each["client_order_id"] for each in own.body["orders"]]) == ("member", ["b1"])
        assert (await ann.place(buy("b2"))).code == "member_stopped"
        await ann.post(f"/v1/members/{ann.member}/kill/lift", {"reason": "mended"})
        assert (await ann.place(buy("b2"))).status == 201
        await ann.post(f"/v1/members/{ann.member}/kill", {"reason": "again"})
        await operator.post(f"/v1/members/{ann.member}/kill", {"reason": "once too often"})
        await ann.post(f"/v1/members/{ann.member}/kill", {"reason": "me too"})
        assert (await ann.post(f"/v1/members/{ann.member}/kill/lift", {"reason": "x"})).code == "stopped_by_operator"


async def test_orders_come_at_their_pace_and_cancels_at_their_own(tmp_path: Path) -> None:
    limits = Limits(messages_per_s=1, message_burst=3, batch_orders=3)
    async with open_market(tmp_path, limits=limits) as world:
        ann, bo = await neighbours(world)
        assert (await ann.place_batch([buy("b1"), buy("b2"), buy("b3")])).status == 200
        refused = await ann.place_batch([buy("b4"), buy("b5"), buy("b6")])
        assert (refused.status, refused.code) == (429, "too_many_messages")
        assert int(refused.headers["Retry-After"]) in (1, 2, 3)
        assert (await bo.place(order("s1", "A2", "sell", "0.01", "0.60"))).status == 201
        assert (await ann.delete("/v1/orders/b1")).status == 200
        assert (await ann.delete(f"/v1/orders?slot={SLOT}")).status == 200
        assert (await ann.get("/v1/orders?state=open")).body["items"] == []


async def test_strangers_are_held_and_members_are_not(tmp_path: Path) -> None:
    async with open_market(tmp_path, limits=Limits(stranger_posts_per_s=1, stranger_post_burst=12)) as world:
        ann, _ = await neighbours(world)
        answers = [await world.post("/v1/sessions/challenge", {"member": 100}) for _ in range(12)]
        assert answers[-1].code == "too_many_messages"
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert (await world.call("POST", "/v1/members", {}, token="guessed")).code == "too_many_messages"
        assert (await world.get("/v1/market")).status == 200
        assert (await ann.place(buy("b1"))).status == 201
