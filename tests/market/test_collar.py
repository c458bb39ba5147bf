"""The price collar: references by hand, whole ticks, the same after a restart; and over HTTP."""

from pathlib import Path

import pytest

from market.collar import LAST_TRADES, NEIGHBOURS, Band, Collar
from market.config import Limits
from tests.market.world import SLOT, Person, later, neighbours, open_market, order

S = 900
MIDDLE = 4_500


def collar(width_ticks: int | None = 1_000) -> Collar:
    return Collar(width_ticks, middle_ticks=MIDDLE, slot_s=S, floor_ticks=0, cap_ticks=20_000)


def test_without_trades_the_reference_is_the_middle_of_feed_in_and_retail() -> None:
    assert collar().band(10 * S) == Band(MIDDLE, 3_500, 5_500)


def test_a_band_includes_its_ends_and_keeps_inside_floor_and_cap() -> None:
    found = collar()
    assert [found.outside(S, ticks) is None for ticks in (3_499, 3_500, 5_500, 5_501)] == [False, True, True, False]
    wide = Collar(8_000, middle_ticks=MIDDLE, slot_s=S, floor_ticks=1_000, cap_ticks=10_000)
    assert wide.band(S) == Band(MIDDLE, 1_000, 10_000)


def test_the_reference_is_weighted_by_quantity_and_rounded_down() -> None:
    found = collar()
    found.traded(10 * S, 3, 4_000, 4_200)
    found.traded(10 * S, 1, 5_000, 5_001)
    assert found.band(10 * S).reference_ticks == (3 * 8_200 + 10_001) // 8 == 4_325


def test_only_the_last_trades_count() -> None:
    found = collar()
    found.traded(10 * S, 10**6, 9_000, 9_000)
    for _ in range(LAST_TRADES):
        found.traded(10 * S, 1, 3_000, 3_000)
    assert found.band(10 * S).reference_ticks == 3_000


def test_the_nearest_slot_with_trades_speaks_for_a_slot_without_and_the_earlier_of_two() -> None:
    found = collar()
    found.traded(10 * S, 1, 3_000, 3_000)
    found.traded(14 * S, 1, 5_000, 5_000)
    references = {n: found.band(n * S).reference_ticks for n in range(5, 20)}
    assert references == {
        **dict.fromkeys((5,), MIDDLE),
        **dict.fromkeys((6, 7, 8, 9, 10, 11, 12), 3_000),
        **dict.fromkeys((13, 14, 15, 16, 17, 18), 5_000),
        **dict.fromkeys((19,), MIDDLE),
    }


def test_what_is_forgotten_no_open_slot_asked_for() -> None:
    found, kept = collar(), collar()
    for each in (found, kept):
        for n in range(20):
            each.traded(n * S, 1, 100 * n, 100 * n)
    found.forget_before(10 * S)
    assert [found.band(n * S) for n in range(10, 30)] == [kept.band(n * S) for n in range(10, 30)]
    assert len(found._last) == 10 + NEIGHBOURS


def test_no_width_is_no_collar() -> None:
    assert collar(None).outside(S, 20_000) is None


@pytest.mark.usefixtures("database_url")
async def test_prices_far_from_the_last_trades_are_refused_also_after_a_restart(tmp_path: Path) -> None:
    limits = Limits(collar="0.10")
    async with open_market(tmp_path, limits=limits) as world:
        ann, bo = await neighbours(world)
        shown = (await world.get(f"/v1/slots?slot={SLOT}")).body["items"][0]
        assert shown["collar"] == {"reference": "0.4500", "lowest": "0.3500", "highest": "0.5500"}
        refused = await ann.place(order("b1", "A1", "buy", "1.00", "0.5501"))
        assert (refused.status, refused.code, refused.body["field"]) == (422, "outside_collar", "price")
        assert "from 0.3500 to 0.5500" in refused.body["detail"]
        assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.5500"))).status == 201
        assert (await bo.place(order("s1", "A2", "sell", "1.00", "0.3500"))).body["order"]["state"] == "filled"
        before = (await world.get("/v1/slots")).body["items"]
    async with open_market(tmp_path, limits=limits) as world:
        ann = Person(world, ann.member, ann.key, ann.token)
        assert (await world.get("/v1/slots")).body["items"] == before
        bands = {item["slot"]: item["collar"] for item in before}
        assert bands[SLOT] == bands[later(SLOT, 60)] != bands[later(SLOT, 75)]
        assert bands[SLOT]["reference"] == "0.5400", "the middle of 0.53 and 0.55"
        assert (await world.get("/v1/market")).body["collar"] == "0.10"
        basket = [order("c1", "A1", "buy", "0.10", "0.50"), order("c2", "A1", "buy", "0.10", "0.20")]
        answer = await ann.place_batch(basket, basket=True)
        codes = [each["problem"]["code"] for each in answer.body["results"]]
        assert codes == ["basket_rejected", "outside_collar"]
