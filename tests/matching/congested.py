"""Random grids and command streams that congest: price ties, tight and zero limits, phases of surplus and of need.

A stream is drawn from one seed and nothing else. ``Mix`` says what kind of market it is; ``MIXES`` are those that the
tests go through, ``any_mix`` draws others. Numbers are small on purpose: orders must meet.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from matching.order import (
    BAD_PRICE_TICKS,
    BAD_QUANTITY_LOTS,
    Amend,
    Basket,
    Cancel,
    Capacity,
    Close,
    Command,
    Connect,
    Level,
    New,
    Rules,
    Side,
    Tif,
)


@dataclass(frozen=True)
class Mix:
    """What a market is like: how its links are limited, how many slots, meters and members, how prices spread."""

    limits_lots: tuple[int | None, ...] = (None,)
    own_links: bool = True  # whether meters have limits of their own
    slots: int = 2
    meters: int = 12
    members: int = 6
    prices: tuple[int, int] = (40, 60)
    fees: tuple[int, int, int] = (2, 5, 11)
    floor: int = 0
    cap: int = 100
    terms: tuple[int, ...] = (0, 30, 60)
    plain: float = 0.5  # the share of orders of default reach and terms
    cancels: float = 0.15
    amends: float = 0.1
    capacities: float = 0.05
    baskets: float = 0.05
    closes: float = 0.005
    phase: int = 60  # commands of surplus, then as many of need
    opposed: bool = False  # half the meters have surplus while the others are in need
    connects: float = 0.01  # nodes of any level that join while the others trade
    most_lots: int = 12  # in an order
    id_step: int = 1  # between the ids of orders


MIXES = {
    "free": Mix(),
    "tight": Mix(limits_lots=(None, 5, 10, 20)),
    "zero": Mix(limits_lots=(0, 0, 3, None), capacities=0.1),
    "one slot, many ties": Mix(limits_lots=(4, 8, 30), slots=1, prices=(48, 54), closes=0.0, meters=8),
    "areas only": Mix(limits_lots=(3, 6, 12), own_links=False, slots=1, closes=0.0, meters=20, members=20),
    "one member a meter": Mix(limits_lots=(6, 15, 40), members=1000, meters=30, slots=3),
    "equal fees": Mix(limits_lots=(5, 15, None), fees=(3, 3, 3), slots=1, closes=0.0),
    "no fees": Mix(limits_lots=(5, 15, None), fees=(0, 0, 0), slots=1, closes=0.0, plain=1.0),
    "below zero": Mix(limits_lots=(7, 20), floor=-50, cap=70, prices=(-50, 70)),
    "wide prices": Mix(limits_lots=(7, None), floor=-(10**6), cap=10**9, prices=(0, 3000)),
    "one class": Mix(limits_lots=(2, 5, 9), terms=(0,), plain=1.0, slots=1, closes=0.0, capacities=0.02),
    "short phases": Mix(
        limits_lots=(1, 2, 3, 30), slots=1, closes=0.0, meters=40, members=200, phase=15, cancels=0.02, fees=(1, 2, 3)
    ),
    "opposed": Mix(
        limits_lots=(5, 10, 20),
        own_links=False,
        members=500,
        meters=25,
        phase=30,
        cancels=0.05,
        fees=(1, 2, 3),
        opposed=True,
    ),
    "opposed, own links": Mix(
        limits_lots=(5, 10, 20, 40),
        members=500,
        meters=25,
        phase=20,
        slots=1,
        closes=0.0,
        cancels=0.05,
        fees=(1, 2, 3),
        opposed=True,
    ),
    "plain, opposed": Mix(
        limits_lots=(4, 12),
        plain=1.0,
        own_links=False,
        members=500,
        meters=16,
        phase=25,
        slots=1,
        closes=0.0,
        cancels=0.05,
        amends=0.03,
        capacities=0.05,
        baskets=0.02,
        fees=(1, 2, 3),
        opposed=True,
    ),
    "large numbers": Mix(
        limits_lots=(2**37, 2**38, 2**60, None), most_lots=2**38, id_step=-(2**50), members=2**62, fees=(0, 1, 2)
    ),
    "full span": Mix(limits_lots=(5, 15, None), cap=63, prices=(0, 63), fees=(0, 0, 1), slots=1, closes=0.0),
    "many slots": Mix(limits_lots=(0, 3, 6, None), slots=5, meters=6, members=40, capacities=0.2, plain=1.0),
    "growing": Mix(limits_lots=(4, 9, 30, None), connects=0.1, meters=6, members=100, cancels=0.1, baskets=0.1),
}


def any_mix(seed: int) -> Mix:
    """A market of any kind."""
    dice = random.Random(f"mix {seed}")
    scale = dice.choice((1, 1, 1, 100))
    limits = dice.choice(
        ((None,), (0,), (0, 0, 3, None), (1, 2, 3), (None, 5, 10, 20), (4, 8, 30), (20, 60), (40, None))
    )
    floor, span = dice.choice((0, 0, -50, 7)), dice.choice((0, 1, 10, 30, 63, 64, 100, 4095, 4096, 20_000))
    lowest = floor + dice.randint(0, span)
    fees = sorted(dice.choice((0, 0, 1, 2, 3, span // 4, span)) for _ in range(3))
    slots = dice.choice((1, 1, 2, 6))
    return Mix(
        limits_lots=tuple(lots and lots * scale for lots in limits),
        own_links=dice.random() < 0.5,
        slots=slots,
        meters=dice.choice((1, 2, 5, 12, 25, 40)),
        members=dice.choice((1, 2, 6, 20, 1000)),
        prices=(lowest, min(floor + span, lowest + dice.choice((0, 2, 8, 20, 3000)))),
        fees=(fees[0], fees[1], fees[2]),
        floor=floor,
        cap=floor + span,
        terms=dice.choice(((0,), (0, 30, 60), (60, 0, 7), tuple(range(15)))),
        plain=dice.choice((0.0, 0.5, 1.0)),
        cancels=dice.choice((0.02, 0.15, 0.35)),
        amends=dice.choice((0.03, 0.1, 0.3)),
        capacities=dice.choice((0.0, 0.02, 0.05, 0.2)),
        baskets=dice.choice((0.02, 0.05, 0.2)),
        closes=0.0 if slots == 1 else dice.choice((0.0, 0.005, 0.02)),
        phase=dice.choice((10, 25, 60, 200)),
        opposed=dice.random() < 0.5,
        connects=dice.choice((0.0, 0.01, 0.05)),
        most_lots=scale * dice.choice((1, 3, 12, 40)),
        id_step=dice.choice((1, 1, -1, 997, 2**40)),
    )


def rules_of(mix: Mix) -> Rules:
    return Rules(fee_ticks=mix.fees, floor_ticks=mix.floor, cap_ticks=mix.cap, terms_days=mix.terms)


def make_stream(seed: int, mix: Mix, commands: int) -> list[Command]:
    """A grid and so many commands on it."""
    return list(_Stream(random.Random(f"{seed} {mix}"), mix).commands(commands))


class _Stream:
    def __init__(self, dice: random.Random, mix: Mix) -> None:
        self.dice = dice
        self.mix = mix
        self.levels: dict[int, Level] = {}
        self.meters: list[int] = []
        self.members: dict[int, list[int]] = {}
        self.next_id = 1
        self.first_slot = 0

    def commands(self, count: int) -> Iterator[Command]:
        yield from self._grid()
        for number in range(count):
            self.is_surplus = (number // self.mix.phase) % 2 == 0
            yield self._command()

    def _grid(self) -> Iterator[Command]:
        """One to four levels; a meter may hang under a node of any level."""
        dice = self.dice
        top = dice.choice((Level.SUBSTATION, Level.SUBSTATION, Level.SUBSTATION, Level.FEEDER, Level.TRANSFORMER))
        yield self._node(-1, top)
        for level in (Level.FEEDER, Level.TRANSFORMER):
            if level < top:
                for _ in range(dice.randint(0 if level == Level.FEEDER else 1, 4)):
                    above = [node for node, its_level in self.levels.items() if its_level > level]
                    yield self._node(dice.choice(above), level)
        for _ in range(self.mix.meters):
            yield self._meter()

    def _meter(self) -> Connect:
        dice = self.dice
        transformers = [node for node, level in self.levels.items() if level == Level.TRANSFORMER]
        others = [node for node, level in self.levels.items() if level != Level.METER]
        parent = dice.choice(transformers) if transformers and dice.random() < 0.8 else dice.choice(others)
        connect = self._node(parent, Level.METER)
        self.meters.append(connect.node)
        self.members[connect.node] = [dice.randrange(self.mix.members) for _ in range(dice.choice((1, 1, 2, 3)))]
        return connect

    def _node(self, parent: int, level: Level) -> Connect:
        node = self.dice.randrange(10**6)  # which says nothing about its place in the tree
        while node in self.levels:
            node = self.dice.randrange(10**6)
        self.levels[node] = level
        if level == Level.METER and not self.mix.own_links:
            return Connect(node, parent, level)
        return Connect(node, parent, level, self._limit(), self._limit())

    def _limit(self) -> int | None:
        return self.dice.choice(self.mix.limits_lots)

    def _command(self) -> Command:
        dice, mix = self.dice, self.mix
        draw = dice.random()
        if (draw := draw - mix.cancels) < 0:
            return Cancel(self._old_id())
        if (draw := draw - mix.amends) < 0:
            quantities = [dice.randint(1, mix.most_lots) for _ in range(8)]
            quantity_lots = dice.choice((None, BAD_QUANTITY_LOTS, *quantities))
            price_ticks = dice.choice((None, None, None, BAD_PRICE_TICKS, self._price(), self._price(), self._price()))
            return Amend(self._old_id(), quantity_lots, price_ticks)
        if (draw := draw - mix.capacities) < 0:
            slot = None if dice.random() < 0.3 else self._slot() + dice.choice((0, 0, 1))
            return Capacity(dice.choice(list(self.levels)), slot, self._limit(), self._limit())
        if (draw := draw - mix.baskets) < 0:
            return Basket(tuple(self._order() for _ in range(dice.choice((1, 1, 2, 2, 3, 5)))))
        if (draw := draw - mix.closes) < 0:
            slot = self._slot()
            self.first_slot += slot == self.first_slot
            return Close(slot)
        return self._late_node() if draw < mix.connects else self._order()

    def _late_node(self) -> Connect:
        """Mostly a meter, which soon trades; seldom a transformer or feeder, under which later meters hang."""
        level = self.dice.choice((Level.METER, Level.METER, Level.METER, Level.TRANSFORMER, Level.FEEDER))
        above = [node for node, its_level in self.levels.items() if its_level > level]
        return self._meter() if level == Level.METER or not above else self._node(self.dice.choice(above), level)

    def _old_id(self) -> int:
        """Mostly of the last orders, some of which are still open."""
        return (self.next_id - self.dice.randint(0, min(self.next_id, 40))) * self.mix.id_step

    def _slot(self) -> int:
        """One of those that are open, seldom the one that closed last."""
        return self.first_slot + (-1 if self.dice.random() < 0.02 else self.dice.randrange(self.mix.slots))

    def _price(self) -> int:
        if self.dice.random() < 0.05:
            return self.dice.choice((self.mix.floor, self.mix.cap, self.mix.floor - 1, self.mix.cap + 1))
        return self.dice.randint(*self.mix.prices)

    def _order(self) -> New:
        dice, mix = self.dice, self.mix
        order_id = self.next_id * mix.id_step
        self.next_id += 1
        if dice.random() < 0.02:
            order_id = self._old_id()
        meter = dice.choice(self.meters)
        is_plain = dice.random() < mix.plain
        has_surplus = self.is_surplus ^ (mix.opposed and meter % 2 == 0)
        return New(
            order_id=order_id,
            member=dice.choice(self.members[meter]),
            meter=-1 if dice.random() < 0.01 else dice.choice(list(self.levels)) if dice.random() < 0.01 else meter,
            side=Side.SELL if dice.random() < (0.75 if has_surplus else 0.25) else Side.BUY,
            slot=self._slot(),
            quantity_lots=dice.choice((BAD_QUANTITY_LOTS, -1))
            if dice.random() < 0.01
            else dice.randint(1, mix.most_lots),
            price_ticks=BAD_PRICE_TICKS if dice.random() < 0.01 else self._price(),
            tif=Tif.GTC if dice.random() < 0.8 else dice.choice(list(Tif)),
            reach=Level.SUBSTATION if is_plain else dice.choice(list(Level)),
            terms_days=0 if is_plain else 45 if dice.random() < 0.02 else dice.choice(mix.terms),
        )
