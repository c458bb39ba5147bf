"""Candles: held against a plain count over the same trades, and what may not be asked."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from data.units import format_energy, format_price, parse_energy_lots, parse_instant_s, parse_price_ticks
from market.candle_store import Candle, mean_price_ticks_nearest
from market.clock import ManualClock
from tests.market.world import START, World, later, neighbours, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")

SLOTS = ("2026-07-01T10:15:00Z", "2026-07-01T10:30:00Z")


async def some_trades(world: World) -> None:
    """A trade every four minutes for half an hour, in two slots, at prices that go up and down."""
    ann, bo = await neighbours(world)
    clock = world.context.clock
    assert isinstance(clock, ManualClock)
    for number in range(8):
        clock.move_to(parse_instant_s(later(START, 4 * number)))
        slot, price = SLOTS[number % 2], format_price(4000 + 37 * (number * number % 7))
        assert (await bo.place(order(f"s{number}", "A2", "sell", f"1.{number}0", price, slot))).status == 201
        assert (await ann.place(order(f"b{number}", "A1", "buy", f"1.{number}0", "0.60", slot))).status == 201


def plain_candle(start_s: int, trades: list[dict[str, Any]]) -> dict[str, Any]:
    """The same, slowly and without SQL."""
    prices = [parse_price_ticks(trade["seller_price"]) for trade in trades]
    lots = [parse_energy_lots(trade["quantity"]) for trade in trades]
    amount_micro = sum(price * quantity for price, quantity in zip(prices, lots, strict=True))
    mean = Candle(start_s, 0, 0, 0, 0, sum(lots), amount_micro, 1)
    return {
        "open": format_price(prices[0]),
        "high": format_price(max(prices)),
        "low": format_price(min(prices)),
        "close": format_price(prices[-1]),
        "mean_nearest": format_price(mean_price_ticks_nearest(mean)),
        "quantity": format_energy(sum(lots)),
        "trades": len(trades),
    }


@pytest.mark.parametrize("chosen", ["", f"&slot={SLOTS[1]}"])
async def test_candles_are_those_of_the_public_trades(tmp_path: Path, chosen: str) -> None:
    async with open_market(tmp_path) as world:
        await some_trades(world)
        trades = (await world.get(f"/v1/trades?public=true{chosen}")).body["items"]
        found = (await world.get(f"/v1/candles?interval=5m{chosen}")).body["items"]
        by_start = groupby(trades, lambda trade: parse_instant_s(trade["at"]) // 300 * 300)
        assert len(found) == (4 if chosen else 6)
        assert [(parse_instant_s(candle.pop("start")), candle) for candle in found] == [
            (start_s, plain_candle(start_s, list(group))) for start_s, group in by_start
        ]


async def test_a_span_leaves_out_what_was_traded_before_and_after(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        await some_trades(world)
        span = f"from={later(START, 5)}&to={later(START, 15)}"
        candles = (await world.get(f"/v1/candles?interval=5m&{span}")).body["items"]
        assert [candle["start"] for candle in candles] == [later(START, 5), later(START, 10)]
        trades = (await world.get(f"/v1/trades?public=true&{span}")).body["items"]
        assert [trade["at"] for trade in trades] == [later(START, 8), later(START, 12)]
        (day,) = (await world.get("/v1/candles?interval=1d")).body["items"]
        assert day["trades"] == 8


async def test_a_market_without_trades_has_no_candles(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        assert (await world.get("/v1/candles")).body == {"items": [], "next": None}
        assert (await world.get(f"/v1/trades?public=true&from={START}")).body == {"items": [], "next": None}


def test_the_mean_is_rounded_to_the_nearest_tick_a_half_upwards() -> None:
    assert mean_price_ticks_nearest(Candle(0, 0, 0, 0, 0, 2, 2 * 4000 + 1, 1)) == 4001
    assert mean_price_ticks_nearest(Candle(0, 0, 0, 0, 0, 3, 3 * 4000 + 1, 1)) == 4000


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/candles?interval=7m", 400, "bad_interval"),
        ("/v1/candles?interval=", 400, "bad_interval"),
        ("/v1/candles?slot=now", 422, "bad_time"),
        ("/v1/candles?interval=1h&from=2026-07-01T00:15:00Z", 422, "bad_time"),
        ("/v1/candles?from=2026-07-01T01:00:00Z&to=2026-07-01T00:00:00Z", 422, "bad_time"),
        ("/v1/candles?interval=1m&from=2026-06-01T00:00:00Z&to=2026-07-01T00:00:00Z", 422, "too_many_candles"),
        ("/v1/candles?meter=A1", 400, "unknown_parameter"),
        ("/v1/trades?public=true&from=yesterday", 422, "bad_time"),
        ("/v1/trades?from=2026-07-01T00:00:00Z", 400, "unknown_parameter"),
    ],
)
async def test_what_makes_no_candles_is_refused(tmp_path: Path, path: str, status: int, code: str) -> None:
    async with open_market(tmp_path) as world:
        answer = await world.get(path)
        assert (answer.status, answer.code) == (status, code)
