"""Candles: what was traded in each interval of the market's time, at seller's prices."""

from typing import Annotated

import msgspec
from aiohttp import web

from data.units import format_energy, format_instant, format_price
from market import candle_store, wire
from market.candle_store import Candle, mean_price_ticks_nearest
from market.context import CONTEXT
from market.openapi.fields import Energy, Instant, Price, choice
from market.openapi.operation import ANYONE, operation
from market.problems import refuse

INTERVALS_S = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400, "1d": 86_400}
"""Each starts at a whole number of its length since 1970 in UTC."""


class CandleBody(msgspec.Struct, frozen=True):
    """An interval's trades; `mean_nearest` is their mean by energy, to the nearest step."""

    start: Instant
    open: Price
    high: Price
    low: Price
    close: Price
    mean_nearest: Price
    quantity: Energy
    trades: int


MOST_CANDLES = 1_000
USUAL_CANDLES = 100


@operation(
    wire.Page[CandleBody],
    who=ANYONE,
    query={"slot": Instant, "interval": Annotated[str, choice(*INTERVALS_S)], "from": Instant, "to": Instant},
    refuses=("400 bad_interval", "422 bad_time too_many_candles"),
)
async def show(request: web.Request) -> web.Response:
    """Open, high, low and close by the time of trading, for one delivery slot or for all; oldest first."""
    context = request.app[CONTEXT]
    parameters = wire.query(request, "slot", "interval", "from", "to")
    slot_s = wire.instant_s(parameters["slot"], "slot") if "slot" in parameters else None
    interval_s = INTERVALS_S.get(parameters.get("interval", "15m"))
    if interval_s is None:
        raise refuse(400, "bad_interval", f"an interval is one of {', '.join(INTERVALS_S)}", "interval")
    from_s, to_s = _span(parameters, interval_s, context.clock.now_s())
    found = await context.read(
        lambda connection: candle_store.candles(
            connection, slot_s=slot_s, interval_s=interval_s, from_s=from_s, to_s=to_s
        )
    )
    return wire.reply(wire.page([candle_body(candle) for candle in found], None))


def _span(parameters: dict[str, str], interval_s: int, now_s: int) -> tuple[int, int]:
    """From and to, both at the edge of an interval. Raises ProblemError."""
    to_s = wire.instant_s(parameters["to"], "to") if "to" in parameters else (now_s // interval_s + 1) * interval_s
    from_s = wire.instant_s(parameters["from"], "from") if "from" in parameters else to_s - USUAL_CANDLES * interval_s
    for field, instant_s in (("from", from_s), ("to", to_s)):
        if instant_s % interval_s:
            raise refuse(422, "bad_time", "candles start and end at the edge of an interval", field)
    if not from_s <= to_s:
        raise refuse(422, "bad_time", "from is before to", "from")
    if to_s - from_s > MOST_CANDLES * interval_s:
        raise refuse(422, "too_many_candles", f"ask for up to {MOST_CANDLES} intervals at once", "from")
    return from_s, to_s


def candle_body(candle: Candle) -> CandleBody:
    return CandleBody(
        start=format_instant(candle.start_s),
        open=format_price(candle.open_ticks),
        high=format_price(candle.high_ticks),
        low=format_price(candle.low_ticks),
        close=format_price(candle.close_ticks),
        mean_nearest=format_price(mean_price_ticks_nearest(candle)),
        quantity=format_energy(candle.quantity_lots),
        trades=candle.trades,
    )


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/candles", show)]
