"""How the simulated owners trade: a forecast with an error, and prices of zero intelligence within a budget.

*Quantity.* An owner knows its meter's true profile up to a relative error that wanders slowly through the day (an
autoregressive process), as large as is usual for its kind. Sun and wind sell a little less than forecast, because a
shortfall costs more than a surplus loses.

*Price.* No buyer pays more than retail and no seller takes less than feed-in: those are their ways out. In the first
round each asks anywhere between the two, evenly at random: traders with no intelligence but a budget, who are known to
find most of the gains there are (Gode and Sunder, Journal of Political Economy 101, 1993). What has not traded is
offered again in the next rounds, each time a share nearer to the owner's way out, and at last at it.

Everything random comes from a seeded generator: the same seed gives the same orders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.units import limit_lots_floor
from market.neighbourhood import Meter
from market.profiles import Lots
from market.tariff import Tariff
from matching.order import Level, Side, Tif
from settlement.intents import OrderIntent

FORECAST_ERROR = {
    "household": 0.15,
    "business": 0.08,
    "quarter": 0.05,
    "pv": 0.08,
    "wind": 0.10,
    "hydro": 0.03,
    "biomass": 0.02,
}
"""ASSUMPTION: standard deviation of the relative error of a forecast made the day before, by kind of meter."""

OTHER_FORECAST_ERROR = 0.10
PERSISTENCE = 0.9
"""ASSUMPTION: correlation of the error from one slot to the next."""

CONCESSION = 0.6
"""The share of the way to its way out that an owner goes with each new round."""

CAUTION = 0.5
"""Sellers offer so many standard deviations less than forecast: about the quantile at which the last lot sold earns,
above feed-in, as much as it risks in shortfall."""

LEAST_LOTS = 10
"""0.10 kWh: for less than this nobody sends an order."""

Floats = npt.NDArray[np.float64]


def relative_errors(rng: np.random.Generator, deviation: float, slots: int) -> Floats:
    """Relative forecast errors, shape (slots,), mean 0, each correlated with the one before."""
    shocks = rng.normal(0.0, deviation, slots)
    errors = np.empty(slots)
    errors[:1] = shocks[:1]
    for slot in range(1, slots):
        errors[slot] = PERSISTENCE * errors[slot - 1] + np.sqrt(1 - PERSISTENCE**2) * shocks[slot]
    return errors


def forecast_lots_nearest(true_lots: Lots, errors: Floats) -> Lots:
    """The true profile bent by relative errors, rounded to the nearest lot and never below zero."""
    forecast: Lots = np.rint(np.maximum(true_lots * (1 + errors), 0)).astype(np.int64)
    return forecast


def drawn_ticks_nearest(rng: np.random.Generator, low_ticks: int, high_ticks: int) -> int:
    """A price drawn evenly from low to high, both included."""
    return int(rng.integers(low_ticks, high_ticks + 1))


def conceded_ticks_nearest(price_ticks: int, way_out_ticks: int, *, is_last: bool) -> int:
    """The next round's price: a share nearer to the way out, and in the last round at it."""
    return way_out_ticks if is_last else round(price_ticks + CONCESSION * (way_out_ticks - price_ticks))


@dataclass(frozen=True, slots=True)
class Want:
    """What an owner would trade at one meter in one slot; ``way_out_ticks`` is what it gets or pays elsewhere."""

    name: str
    meter: str
    side: Side
    slot_s: int
    quantity_lots: int
    first_ticks: int
    way_out_ticks: int
    terms_days: int


def wants_of(
    meter: Meter, place: int, slots_s: Lots, energy: tuple[Lots, Lots], *, tariff: Tariff, seed: int
) -> list[Want]:
    """What stands to be traded at a meter over some slots; ``energy`` is its true (export, import) in lots.

    ``place`` is the meter's number in its neighbourhood: together with the seed it fixes everything random here.
    """
    rng = np.random.default_rng([seed, place])
    deviation = FORECAST_ERROR.get(meter.kind, OTHER_FORECAST_ERROR)
    errors = relative_errors(rng, deviation, len(slots_s))
    most_lots = {side: limit_lots_floor(text, tariff.slot_minutes) for side, text in _capacities(meter)}
    sells = np.minimum(forecast_lots_nearest(energy[0], errors - CAUTION * deviation), most_lots[Side.SELL])
    buys = np.minimum(forecast_lots_nearest(energy[1], errors), most_lots[Side.BUY])
    found = []
    for index, slot_s in enumerate(slots_s.tolist()):
        net_lots = int(buys[index] - sells[index])
        side, way_out_ticks = (Side.BUY, tariff.retail_ticks) if net_lots > 0 else (Side.SELL, tariff.feed_in_ticks)
        first_ticks = drawn_ticks_nearest(rng, tariff.feed_in_ticks, tariff.retail_ticks)
        if abs(net_lots) >= LEAST_LOTS:
            name = f"{slot_s}.{place}"
            terms = (way_out_ticks, meter.terms_days)
            found.append(Want(name, meter.meter, side, slot_s, abs(net_lots), first_ticks, *terms))
    return found


def _capacities(meter: Meter) -> tuple[tuple[Side, str], tuple[Side, str]]:
    return (Side.SELL, meter.export_kw), (Side.BUY, meter.import_kw)


@dataclass
class _Standing:
    """The latest order of a want."""

    client_order_id: str
    price_ticks: int


class Trader:
    """One member's trading: asks for each want once, then again for what is left of it, nearer to its way out."""

    def __init__(self, member: int, wants: Sequence[Want]) -> None:
        self.member = member
        self.wants = tuple(wants)
        self._standing: dict[str, _Standing] = {}

    def first_orders(self) -> list[OrderIntent]:
        """An order for every want."""
        return [self._order(want, 1, want.quantity_lots, want.first_ticks) for want in self.wants]

    def next_orders(self, number: int, open_lots: Mapping[str, int], *, is_last: bool) -> list[OrderIntent]:
        """Round ``number``: what is open (lots by client order id) again, nearer to its way out."""
        found = []
        for want in self.wants:
            standing = self._standing.get(want.name)
            if standing is None or not (left_lots := open_lots.get(standing.client_order_id, 0)):
                continue
            price_ticks = conceded_ticks_nearest(standing.price_ticks, want.way_out_ticks, is_last=is_last)
            if price_ticks != standing.price_ticks:
                found.append(self._order(want, number, left_lots, price_ticks))
        return found

    def _order(self, want: Want, number: int, quantity_lots: int, price_ticks: int) -> OrderIntent:
        replaced = self._standing.get(want.name)
        standing = _Standing(f"{want.name}.{number}", price_ticks)
        self._standing[want.name] = standing
        return OrderIntent(
            member=self.member,
            client_order_id=standing.client_order_id,
            meter=want.meter,
            side=want.side,
            slot=want.slot_s,
            quantity_lots=quantity_lots,
            price_ticks=price_ticks,
            reach=Level.SUBSTATION,
            terms_days=want.terms_days,
            tif=Tif.GTC,
            replaces=replaced.client_order_id if replaced else "",
            deadline=want.slot_s,
        )
