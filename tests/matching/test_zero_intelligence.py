"""Traders without intelligence: random prices, no loss. The auction alone must lead them to the surplus there is.

After Gode and Sunder, "Allocative Efficiency of Markets with Zero-Intelligence Traders" (1993): each trader has units,
the first of the greatest value to a buyer, or of the least cost to a seller, and quotes one at a time, at any price
that does not lose. Whoever is drawn next puts a new price on its unit; what nobody has taken stays in the book.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from statistics import mean

import pytest

from matching.order import Amend, Command, Connect, Level, New, Rules, Side, Traded
from matching.reference import ReferenceEngine
from tests.matching.market_script import EngineType

CAP_TICKS = 200
QUOTES_PER_UNIT = 20
MARKETS = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 4
SLOT = 1


@dataclass(frozen=True)
class Unit:
    """One lot that a trader wants to buy for at most, or to sell for at least, ``price_ticks``."""

    meter: int
    price_ticks: int


@dataclass(frozen=True)
class Schedule:
    """What the units of every buyer are worth, and what those of every seller cost."""

    buyers: list[list[int]]
    sellers: list[list[int]]


def slope(first: int, step: int, traders: int, units: int) -> list[list[int]]:
    """Prices down or up a line, dealt out in turn; every trader has its best unit first."""
    return [[first + step * (unit * traders + trader) for unit in range(units)] for trader in range(traders)]


SCHEDULES = {
    "symmetric": Schedule(slope(190, -7, 6, 4), slope(10, 7, 6, 4)),
    "steep supply": Schedule(slope(120, -1, 6, 4), slope(10, 8, 6, 4)),
    "steep demand": Schedule(slope(190, -8, 6, 4), slope(80, 1, 6, 4)),
    "box": Schedule(slope(130, 0, 5, 4), slope(70, 0, 8, 4)),
    "few buyers": Schedule(slope(180, -10, 3, 4), slope(20, 5, 10, 3)),
    "few sellers": Schedule(slope(180, -5, 10, 3), slope(20, 10, 3, 4)),
}

Fees = tuple[int, int, int]
Fee = Callable[[int, int], int]
"""(one meter, another) -> ticks"""
Grid = Callable[[int], list[Connect]]
"""A grid with so many meters."""


class Market:
    """Traders at meters of their own, who know nothing of each other."""

    def __init__(self, engine_type: EngineType, rules: Rules, grid: list[Connect], schedule: Schedule) -> None:
        self.engine = engine_type(rules)
        self.engine.apply(grid)
        meters = [node.node for node in grid if node.level == Level.METER]
        sides = [Side.BUY] * len(schedule.buyers) + [Side.SELL] * len(schedule.sellers)
        self.left = {
            (meter, side): list(units)
            for meter, side, units in zip(meters, sides, [*schedule.buyers, *schedule.sellers], strict=True)
        }
        self.quoted: dict[int, int] = {}  # meter: order
        self.units: dict[int, Unit] = {}  # order: what it is for
        self.surplus_ticks = 0

    def run(self, dice: random.Random, fee: Fee) -> None:
        traders = [trader for trader, units in self.left.items() for _ in units]
        for _ in range(QUOTES_PER_UNIT * len(traders)):
            command = self._quote(dice, *dice.choice(traders))
            for event in self.engine.apply([command] if command else []):
                if isinstance(event, Traded):
                    buy, sell = self.units[event.buy_order], self.units[event.sell_order]
                    self.surplus_ticks += buy.price_ticks - sell.price_ticks - fee(buy.meter, sell.meter)

    def _quote(self, dice: random.Random, meter: int, side: Side) -> Command | None:
        order_id = self.quoted.get(meter, 0)
        is_new = self.engine.open_order(order_id) is None
        if is_new:
            if not self.left[meter, side]:
                return None
            order_id = self.quoted[meter] = len(self.units) + 1
            self.units[order_id] = Unit(meter, self.left[meter, side].pop(0))
        limit_ticks = self.units[order_id].price_ticks
        price_ticks = dice.randint(0, limit_ticks) if side == Side.BUY else dice.randint(limit_ticks, CAP_TICKS)
        if is_new:
            return New(order_id, meter, meter, side, SLOT, 1, price_ticks)
        return Amend(order_id, None, price_ticks)


def greatest_surplus_ticks(buys: list[Unit], sells: list[Unit], fee: Fee) -> int:
    """Of all ways to pair buys with sells, fees paid. Pairs are added one by one, each by whichever change of the
    pairs so far gains most, until none gains anything."""
    seller_of: dict[int, int] = {}
    total_ticks = 0
    while True:
        buyer_of = {sell: buy for buy, sell in seller_of.items()}
        gain = {buy: 0 for buy in range(len(buys)) if buy not in seller_of}  # of the best change that begins there
        via: dict[int, int] = {}  # sell: the buy that would get it
        gain_of_sell: dict[int, int] = {}
        changed = True
        while changed:
            changed = False
            for buy, gained in list(gain.items()):
                for sell, unit in enumerate(sells):
                    pair_ticks = buys[buy].price_ticks - unit.price_ticks - fee(buys[buy].meter, unit.meter)
                    if seller_of.get(buy) == sell or gained + pair_ticks <= gain_of_sell.get(sell, -(10**9)):
                        continue
                    gain_of_sell[sell], via[sell], changed = gained + pair_ticks, buy, True
                    if sell in buyer_of:
                        loser = buyer_of[sell]
                        lost_ticks = buys[loser].price_ticks - unit.price_ticks - fee(buys[loser].meter, unit.meter)
                        gain[loser] = gain_of_sell[sell] - lost_ticks
        ends = [sell for sell in gain_of_sell if sell not in buyer_of and gain_of_sell[sell] > 0]
        if not ends:
            return total_ticks
        sell = max(ends, key=lambda each: gain_of_sell[each])
        total_ticks += gain_of_sell[sell]
        while True:
            buy = via[sell]
            given_up = seller_of.get(buy)
            seller_of[buy] = sell
            if given_up is None:
                break
            sell = given_up


def flat(meters: int) -> list[Connect]:
    """All meters under one transformer."""
    return [Connect(0, -1, Level.TRANSFORMER), *(Connect(1 + meter, 0, Level.METER) for meter in range(meters))]


def tree(meters: int) -> list[Connect]:
    """Two feeders, two transformers under each, meters under them in turn."""
    nodes = [Connect(0, -1, Level.SUBSTATION), Connect(1, 0, Level.FEEDER), Connect(2, 0, Level.FEEDER)]
    nodes += [Connect(3 + number, 1 + number % 2, Level.TRANSFORMER) for number in range(4)]
    return nodes + [Connect(10 + meter, 3 + meter % 4, Level.METER) for meter in range(meters)]


def fee_in_tree(fees: tuple[int, int, int]) -> Fee:
    def fee(one: int, other: int) -> int:
        areas, feeders = ((one - 10) % 4, (other - 10) % 4), ((one - 10) % 2, (other - 10) % 2)
        return fees[0] if areas[0] == areas[1] else fees[1] if feeders[0] == feeders[1] else fees[2]

    return fee


def mean_efficiency(engine_type: EngineType, schedule: Schedule, grid: Grid, fees: Fees, fee: Fee) -> float:
    """The share of the greatest surplus that traders came to, on the mean of some markets."""
    nodes = grid(len(schedule.buyers) + len(schedule.sellers))
    rules = Rules(fee_ticks=fees, cap_ticks=CAP_TICKS)
    left = Market(engine_type, rules, nodes, schedule).left.items()
    buys, sells = (
        [Unit(meter, price) for (meter, its_side), prices in left if its_side == side for price in prices]
        for side in Side
    )
    greatest_ticks = greatest_surplus_ticks(buys, sells, fee)
    shares = []
    for seed in range(MARKETS):
        market = Market(engine_type, rules, nodes, schedule)
        market.run(random.Random(seed), fee)
        shares.append(market.surplus_ticks / greatest_ticks)
    return mean(shares)


@pytest.mark.parametrize("name", SCHEDULES)
def test_in_one_area_without_fees(engine_type: EngineType, name: str):
    fees = (0, 0, 0)
    assert mean_efficiency(engine_type, SCHEDULES[name], flat, fees, lambda one, other: 0) >= 0.97


@pytest.mark.parametrize("name", SCHEDULES)
def test_in_a_tree_with_one_fee(name: str):
    fees = (5, 5, 5)
    assert mean_efficiency(ReferenceEngine, SCHEDULES[name], tree, fees, fee_in_tree(fees)) >= 0.97


@pytest.mark.parametrize("name", SCHEDULES)
def test_in_a_tree_with_fees_that_rise_with_distance(name: str):
    """The greatest surplus pairs neighbours. Random prices meet far away before a neighbour has come: what is lost is
    the difference of fees, so less can be asked for."""
    fees = (2, 5, 11)
    assert mean_efficiency(ReferenceEngine, SCHEDULES[name], tree, fees, fee_in_tree(fees)) >= 0.9


@pytest.mark.parametrize("seed", range(20))
def test_the_greatest_surplus_is_the_best_of_all_pairings(seed: int):
    dice = random.Random(seed)
    buys, sells = ([Unit(dice.randrange(10, 18), dice.randint(0, 60)) for _ in range(5)] for _ in range(2))
    fee = fee_in_tree((2, 5, 11))
    of_pairings = (
        sum(
            max(0, buy.price_ticks - sell.price_ticks - fee(buy.meter, sell.meter))
            for buy, sell in zip(buys, pairing, strict=True)
        )
        for pairing in permutations(sells)
    )
    assert greatest_surplus_ticks(buys, sells, fee) == max(of_pairings)
