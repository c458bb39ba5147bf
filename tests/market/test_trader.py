"""The simulated owners: seeded forecasts in whole lots, prices within a budget that concede round by round."""

import numpy as np
import pytest

from market.neighbourhood import Meter
from market.profiles import Lots
from market.tariff import Tariff
from market.trader import (
    LEAST_LOTS,
    Trader,
    Want,
    conceded_ticks_nearest,
    forecast_lots_nearest,
    relative_errors,
    wants_of,
)
from matching.order import Side

TARIFF = Tariff(
    time_zone="Asia/Shanghai",
    slot_minutes=15,
    gate_minutes=5,
    horizon_hours=48,
    billing_period="day",
    terms_days=(0, 30, 60),
    retail_ticks=5224,
    feed_in_ticks=4012,
    shortfall_ticks=5746,
    floor_ticks=0,
    cap_ticks=10_000,
    fee_ticks=(150, 300, 600),
    released_share_bp=10_000,
    reading_deadline_hours=6,
    correction_window_hours=6,
    dispute_window_hours=48,
    operator_bond_fen=100_000,
    challenge_bond_fen=1_000,
    escrow_days=2,
    credit_days=60,
    guarantee_fund_fen=0,
    banks=(),
)
SLOTS = np.arange(96, dtype=np.int64) * 900 + 1_782_835_200
NONE = np.zeros(96, dtype=np.int64)


def meter(kind: str = "quarter", *, export_kw: str = "0", import_kw: str = "200", terms_days: int = 0) -> Meter:
    return Meter("M1", "T", "Owner", "business", kind, export_kw, import_kw, terms_days)


def wants(at: Meter, export_lots: Lots, import_lots: Lots, *, place: int = 3, seed: int = 1) -> list[Want]:
    return wants_of(at, place, SLOTS, (export_lots, import_lots), tariff=TARIFF, seed=seed)


def test_forecasts_are_rounded_to_the_nearest_lot_and_never_negative() -> None:
    true = np.array([100, 100, 10, 7], dtype=np.int64)
    forecast = forecast_lots_nearest(true, np.array([0.004, 0.006, -2.0, 0.0]))
    assert forecast.tolist() == [100, 101, 0, 7]
    assert forecast.dtype == np.int64


def test_errors_are_as_large_as_asked_for_and_wander_slowly() -> None:
    errors = relative_errors(np.random.default_rng(7), 0.10, 20_000)
    assert errors.std() == pytest.approx(0.10, rel=0.1)
    assert abs(errors.mean()) < 0.02
    assert np.corrcoef(errors[:-1], errors[1:])[0, 1] == pytest.approx(0.9, abs=0.03)


def test_no_slots_need_no_errors() -> None:
    assert relative_errors(np.random.default_rng(7), 0.1, 0).tolist() == []


def test_a_consumer_buys_its_import_within_its_budget() -> None:
    found = wants(meter(), NONE, NONE + 1000)
    assert [want.slot_s for want in found] == SLOTS.tolist()
    assert {want.side for want in found} == {Side.BUY}
    assert {want.way_out_ticks for want in found} == {TARIFF.retail_ticks}
    assert all(TARIFF.feed_in_ticks <= want.first_ticks <= TARIFF.retail_ticks for want in found)
    assert len({want.first_ticks for want in found}) > 48
    assert np.mean([want.quantity_lots for want in found]) == pytest.approx(1000, rel=0.1)


def test_a_plant_sells_a_little_less_than_it_expects() -> None:
    plant = meter("wind", export_kw="2000", import_kw="0", terms_days=60)
    found = wants(plant, NONE + 10_000, NONE)
    assert {(want.side, want.way_out_ticks, want.terms_days) for want in found} == {
        (Side.SELL, TARIFF.feed_in_ticks, 60)
    }
    offered = [
        np.mean([want.quantity_lots for want in wants(plant, NONE + 10_000, NONE, place=place)]) for place in range(40)
    ]
    assert np.mean(offered) == pytest.approx(9_500, rel=0.03)


def test_a_prosumer_trades_what_is_left_behind_its_meter() -> None:
    export_lots, import_lots = NONE.copy(), NONE.copy()
    export_lots[:48], import_lots[48:] = 200, 300
    found = wants(meter("household", export_kw="20", import_kw="20"), export_lots, import_lots)
    assert [want.side for want in found] == [Side.SELL] * 48 + [Side.BUY] * 48


def test_nobody_offers_more_than_the_connection_carries() -> None:
    # 10 kW for a quarter of an hour is 2.50 kWh.
    found = wants(meter("household", import_kw="10"), NONE, NONE + 250)
    assert max(want.quantity_lots for want in found) == 250
    assert min(want.quantity_lots for want in found) < 250


def test_nobody_bothers_with_almost_nothing() -> None:
    assert wants(meter("hydro"), NONE, NONE + LEAST_LOTS - 2) == []


def test_the_same_seed_gives_the_same_wants_and_another_gives_others() -> None:
    first, again, other = (wants(meter(), NONE, NONE + 1000, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert wants(meter(), NONE, NONE + 1000, place=4) != first


@pytest.mark.parametrize(
    ("price_ticks", "way_out_ticks", "is_last", "expected"),
    [(4100, 5100, False, 4700), (5100, 4100, False, 4500), (4100, 5100, True, 5100), (5100, 5100, False, 5100)],
)
def test_prices_concede_toward_the_way_out(price_ticks: int, way_out_ticks: int, is_last: bool, expected: int) -> None:
    assert conceded_ticks_nearest(price_ticks, way_out_ticks, is_last=is_last) == expected


BUY = Want("1782835200.3", "M1", Side.BUY, 1_782_835_200, 400, 4100, 5100, 30)
SELL = Want("1782836100.3", "M1", Side.SELL, 1_782_836_100, 70, 5100, 4100, 60)


def test_the_first_round_asks_for_every_want() -> None:
    orders = Trader(100, [BUY, SELL]).first_orders()
    assert [(order.client_order_id, order.side, order.quantity_lots, order.price_ticks) for order in orders] == [
        ("1782835200.3.1", Side.BUY, 400, 4100),
        ("1782836100.3.1", Side.SELL, 70, 5100),
    ]
    assert [(order.member, order.terms_days, order.replaces, order.deadline) for order in orders] == [
        (100, 30, "", BUY.slot_s),
        (100, 60, "", SELL.slot_s),
    ]


def test_later_rounds_replace_what_is_open_and_only_that() -> None:
    trader = Trader(100, [BUY, SELL])
    trader.first_orders()
    (second,) = trader.next_orders(2, {"1782835200.3.1": 150}, is_last=False)
    assert (second.client_order_id, second.replaces) == ("1782835200.3.2", "1782835200.3.1")
    assert (second.quantity_lots, second.price_ticks) == (150, 4700)
    (third,) = trader.next_orders(3, {"1782835200.3.2": 20, "1782835200.3.1": 150}, is_last=True)
    assert (third.replaces, third.quantity_lots, third.price_ticks) == ("1782835200.3.2", 20, 5100)
    assert trader.next_orders(4, {"1782835200.3.3": 20}, is_last=True) == []
