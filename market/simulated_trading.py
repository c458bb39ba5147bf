"""A simulated day: the evening before, everyone trades in a few rounds; then gates close, and meters report the truth.

Within a round owners come one after the other, in random order, while the market's clock goes on: the same seed gives
the same trades, to the last lot.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

import numpy as np

from data.units import SECONDS_PER_HOUR, parse_energy_lots
from market import institutions
from market.client import Placed, Refused
from market.institutions import Reading
from market.simulated_town import Desk, Town
from market.tariff import Tariff
from settlement.calendar import bounds, start_of
from settlement.intents import OrderIntent

FIRST_ROUND_HOURS_BEFORE = 12
ROUND_HOURS = 3
LEAST_HORIZON_HOURS = FIRST_ROUND_HOURS_BEFORE + 25
"""Noon of the day before to the end of the day, of which the longest has 25 hours."""

GROUPS_A_ROUND = 12
GROUP_S = 300
"""The clock goes on five minutes after each twelfth of the owners: a round takes an hour."""

REPORT_S = 1800
"""Half an hour after the end of the day the meter operator reports it."""

Step = Callable[[int, str], None]
"""Told (how much more is done, a word on how it stands)."""


@dataclass
class Trading:
    """What came of the orders; energy in lots."""

    orders: int = 0
    repriced: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    readings: int = 0


def opening_of(day: date, tariff: Tariff) -> int:
    """When the market of the simulation opens: at noon of the day before, in seconds."""
    return start_of(day, tariff.time_zone) - FIRST_ROUND_HOURS_BEFORE * SECONDS_PER_HOUR


async def trade(town: Town, rounds: int, trading: Trading, step: Step) -> None:
    """All rounds. ``step`` is told of each owner that is done with a round."""
    rng = np.random.default_rng([town.seed, len(town.desks)])
    for number in range(1, rounds + 1):
        begin_s = opening_of(town.day, town.tariff) + (number - 1) * ROUND_HOURS * SECONDS_PER_HOUR
        order = rng.permutation(len(town.desks)).tolist()
        edges = [len(order) * group // GROUPS_A_ROUND for group in range(GROUPS_A_ROUND + 1)]
        for group, (first, last) in enumerate(pairwise(edges)):
            await institutions.move_clock(town.operator, begin_s + group * GROUP_S)
            for place in order[first:last]:
                desk = town.desks[place]
                await _place(desk, await _orders(desk, number, rounds), number, trading)
                step(1, f"round {number}: {trading.orders:,} orders")


async def _orders(desk: Desk, number: int, rounds: int) -> list[OrderIntent]:
    if number == 1:
        return desk.trader.first_orders()
    still_open = await desk.client.orders(state="open")
    open_lots = {order.client_order_id: parse_energy_lots(order.remaining) for order in still_open}
    return desk.trader.next_orders(number, open_lots, is_last=number == rounds)


async def _place(desk: Desk, orders: list[OrderIntent], number: int, trading: Trading) -> None:
    """One signed batch of all an owner's orders."""
    if not orders:
        return
    results, _ = await desk.client.place_batch(orders)
    trading.refused.update(result.code for result in results if isinstance(result, Refused))
    placed = sum(isinstance(result, Placed) for result in results)
    trading.orders += placed
    trading.repriced += placed if number > 1 else 0


def hours_of(town: Town) -> int:
    """How many times the clock is moved in ``live_through``."""
    start_s, end_s = bounds(town.day, town.tariff.time_zone)
    return (end_s - start_s) // SECONDS_PER_HOUR + 1


async def live_through(town: Town, step: Step) -> None:
    """The day itself: hour by hour the clock goes on and gates close."""
    start_s, end_s = bounds(town.day, town.tariff.time_zone)
    for now_s in range(start_s, end_s + 1, SECONDS_PER_HOUR):
        await institutions.move_clock(town.operator, now_s)
        step(1, f"{(now_s - start_s) // SECONDS_PER_HOUR:02d}:00")


async def deliver(town: Town, trading: Trading, step: Step) -> None:
    """The meters' true profiles as signed readings."""
    _, end_s = bounds(town.day, town.tariff.time_zone)
    await institutions.move_clock(town.operator, end_s + REPORT_S)
    async for results in institutions.report_readings(town.meter_operator, readings_of(town)):
        trading.readings += len(results)
        failed = [result for result in results if result["status"] != "accepted"]
        trading.quarantined.update(str(result.get("code", result["status"])) for result in failed)
        step(len(results), f"{trading.readings:,} readings")


def readings_of(town: Town) -> list[Reading]:
    """Slot by slot, what every meter exported and imported."""
    profiles, rows = town.neighbourhood.profiles, town.rows
    export_lots, import_lots = profiles.export_lots[rows].tolist(), profiles.import_lots[rows].tolist()
    return [
        Reading(meter, slot_s, exported, imported)
        for slot_s, exports, imports in zip(town.slots_s.tolist(), export_lots, import_lots, strict=True)
        for meter, exported, imported in zip(profiles.meters, exports, imports, strict=True)
    ]
