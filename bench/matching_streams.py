"""Command streams for ``bench_matching.py``, as rows of the kernel: a flat book, or a tree of areas, limits and slots.

Orders are numbered as a market numbers them and are good till cancelled. A stream says of each stage how many of its
commands rest near the touch and how many cancel an order that lives; the others trade at once. To know what lives, a
stream is traded while it is drawn, piece by piece; what is timed later is a replay.

On a tree, half of the areas are the makers' and half the takers'. Makers quote near the touch; whoever rests in a
takers' area quotes worse by more than the fee to the next area, so that takers buy and sell outside while there is
room. A takers' area has turns of surplus, when nine of ten that trade at once sell, and of need, when nine of ten buy:
its link fills in one direction, trades go on inside, what is left is held, and the next turn empties the link and fills
it the other way. Now and then an area's limits are changed for all slots, which sets held orders free.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from matching import kernel
from matching.fast import FastEngine
from matching.kernel import Rows
from matching.order import Level, Rules, Side, Tif

RULES = Rules(fee_ticks=(200, 500, 1100))
METERS = 2048
_MIDDLE_TICKS = 4000
_NEAR_TICKS = 200
_LARGEST_LOTS = 100
_SURPLUS = 0.9
_DEEPER_TICKS = 600
_TAKERS_REST = 0.1
"""The part of the orders near the touch that rest in takers' areas."""
CHANGE = 2000
"""Commands from one change of limits to the next."""


class Stage(NamedTuple):
    """So many commands; which part of them rests near the touch, and which cancels. The rest of them trade."""

    commands: int
    resting: float = 0.55
    cancels: float = 0.35


class Shape(NamedTuple):
    """Of a stream: ``tightness`` is the limit of every area as a part of the net energy of one turn, 0 for none."""

    areas: int
    slots: int
    tightness: float
    turns: int
    stages: Sequence[Stage]
    piece: int = 1000
    """So many commands are drawn at a time: what is cancelled was live before the first of them."""
    seed: int = 1

    @property
    def commands(self) -> int:
        return sum(stage.commands for stage in self.stages)

    @property
    def limit_lots(self) -> int | None:
        """An order is of ``_LARGEST_LOTS / 2`` lots on average, and half of the areas are the takers'."""
        trading = sum(stage.commands * (1 - stage.resting - stage.cancels) for stage in self.stages)
        turn_lots = (2 * _SURPLUS - 1) * trading * _LARGEST_LOTS / (self.areas * self.slots * self.turns)
        return max(_LARGEST_LOTS // 3, round(self.tightness * turn_lots)) if self.tightness else None


class Stream(NamedTuple):
    """What connects the grid, what is traded on it, the trades that came of it, and how many orders rest at the end."""

    shape: Shape
    grid: Rows
    commands: Rows
    trades: Rows
    resting: int


class Congestion(NamedTuple):
    """``full`` and ``flips`` count links of single slots: those that were full at a glance, and how often one was next
    found full in the other direction. ``held`` counts trades of an order that had rested for want of room."""

    limit_lots: int | None
    most_full: int
    flips: int
    held: int


def tree_grid(areas: int, limit_lots: int | None) -> Rows:
    """A substation over feeders of at most 32 transformer areas each, with the same limit for every area both ways."""
    feeders, meters = -(-areas // 32), METERS // areas
    rows = [_node(0, -1, Level.SUBSTATION, None)]
    rows += [_node(1 + feeder, 0, Level.FEEDER, None) for feeder in range(feeders)]
    rows += [_node(1 + feeders + area, 1 + area % feeders, Level.TRANSFORMER, limit_lots) for area in range(areas)]
    first = 1 + feeders + areas
    rows += [_node(first + meter, 1 + feeders + meter // meters, Level.METER, None) for meter in range(METERS)]
    return np.array(rows, kernel.COMMAND)


def _node(node: int, parent: int, level: Level, limit_lots: int | None) -> tuple[int, ...]:
    lots = kernel.NO_LIMIT_LOTS if limit_lots is None else limit_lots
    return (0, 0, node, 0, lots, lots, parent, 0, kernel.CONNECT, 0, 0, level, 0)


def make_stream(shape: Shape) -> Stream:
    """A stream of this shape; the same for the same shape on every machine."""
    dice, engine = np.random.default_rng(shape.seed), FastEngine(RULES)
    grid = tree_grid(shape.areas, shape.limit_lots)
    engine.apply_rows(grid)
    rows = _orders(shape, dice, int(grid["meter"][-1]) - METERS + 1)
    live = _Live(shape.commands)
    trades = []
    for start in range(0, len(rows), shape.piece):
        piece = rows[start : start + shape.piece]
        is_cancel = piece["kind"] == kernel.CANCEL
        piece["order_id"][is_cancel] = live.draw(dice, int(is_cancel.sum()))
        events = engine.apply_rows(piece)
        live.follow(piece[piece["kind"] == kernel.NEW], events)
        trades.append(events[events["kind"] == kernel.TRADED])
    return Stream(shape, grid, rows, np.concatenate(trades), live.count())


def _orders(shape: Shape, dice: np.random.Generator, first_meter: int) -> Rows:
    """All commands, but for which orders are cancelled."""
    count = shape.commands
    rows = np.zeros(count, kernel.COMMAND)
    sizes = [stage.commands for stage in shape.stages]
    resting = np.repeat([stage.resting for stage in shape.stages], sizes)
    cancels = np.repeat([stage.cancels for stage in shape.stages], sizes)
    draw = dice.random(count)
    rests, is_order = draw < resting, (draw < resting) | (draw >= resting + cancels)
    area = dice.integers(0, shape.areas, count)
    if shape.areas > 1:
        taking = np.where(rests, dice.random(count) < _TAKERS_REST, True)
        area = _area_beside(shape.areas, area, taking)
    sells = dice.random(count) < np.where(rests, 0.5, _surplus(shape, area))
    meters = METERS // shape.areas
    meter = area * meters + 2 * dice.integers(0, meters // 2, count) + sells
    fee, far = RULES.fee_ticks[0] // 2, RULES.fee_ticks[-1] + _NEAR_TICKS  # not even neighbours trade, or all do
    away = dice.integers(0, _NEAR_TICKS, count) + 1 - fee + _DEEPER_TICKS * _is_taking(shape.areas, area)
    rows["kind"] = np.where(is_order, kernel.NEW, kernel.CANCEL)
    rows["order_id"] = np.where(is_order, np.cumsum(is_order), 0)
    rows["member"], rows["meter"] = meter, first_meter + meter
    rows["side"] = np.where(sells, Side.SELL, Side.BUY)
    rows["slot"] = dice.integers(0, shape.slots, count)
    rows["quantity_lots"] = dice.integers(1, _LARGEST_LOTS, count)
    rows["price_ticks"] = _MIDDLE_TICKS + np.where(sells, 1, -1) * np.where(rests, away, -far)
    rows["tif"], rows["reach"] = Tif.GTC, Level.SUBSTATION
    if shape.limit_lots is not None:
        _change_limits(rows[CHANGE - 1 :: CHANGE], first_meter - shape.areas, shape, dice)
    return rows


def _change_limits(rows: Rows, first_area: int, shape: Shape, dice: np.random.Generator) -> None:
    """Commands that set an area's limits, for all slots, to from half as much to half as much again."""
    assert shape.limit_lots is not None
    limits = dice.integers(shape.limit_lots // 2, 3 * shape.limit_lots // 2 + 1, len(rows))
    rows[:] = np.zeros(1, kernel.COMMAND)
    rows["kind"], rows["flags"] = kernel.CAPACITY, kernel.FOR_ALL_SLOTS
    rows["meter"] = first_area + dice.integers(0, shape.areas, len(rows))
    rows["quantity_lots"] = rows["price_ticks"] = limits


def _is_taking(areas: int, area: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Every second area of each feeder is the takers'."""
    feeders = -(-areas // 32)
    taking: NDArray[np.bool_] = area // feeders % 2 == 1
    return taking


def _area_beside(areas: int, area: NDArray[np.int64], taking: NDArray[np.bool_]) -> NDArray[np.int64]:
    """This area, or the one beside it, so that it is a takers' area or not."""
    feeders = -(-areas // 32)
    beside: NDArray[np.int64] = area - feeders * _is_taking(areas, area) + feeders * taking
    return beside


def _surplus(shape: Shape, area: NDArray[np.int64]) -> NDArray[np.float64]:
    """The part of what trades that sells. The turns of areas begin at different times."""
    if shape.areas == 1:
        return np.full(len(area), 0.5)
    turn = np.arange(shape.commands) / shape.commands * shape.turns + 2 * area / shape.areas
    return np.where(turn.astype(np.int64) % 2 == 0, _SURPLUS, 1 - _SURPLUS)


class _Live:
    """Which orders rest, and how much is left of each."""

    def __init__(self, orders: int) -> None:
        self._left_lots: NDArray[np.int64] = np.zeros(orders + 1, np.int64)
        self._ids: NDArray[np.int64] = np.zeros(orders, np.int64)  # those that live, and some that did
        self._count = 0

    def draw(self, dice: np.random.Generator, count: int) -> NDArray[np.int64]:
        """So many different live orders, in any order; 0 for want of one."""
        drawn = self._ids[dice.integers(0, max(1, self._count), 4 * count)]
        alive = np.unique(drawn[self._left_lots[drawn] > 0])
        if len(alive) < 2 * count:
            ids = self._ids[: self._count]
            ids = ids[self._left_lots[ids] > 0]
            self._count = len(ids)
            self._ids[: self._count] = ids
            if len(alive) < count:
                alive = ids
        found = np.zeros(count, np.int64)
        some = dice.permutation(alive)[:count]
        found[: len(some)] = some
        return found

    def count(self) -> int:
        return int((self._left_lots > 0).sum())

    def follow(self, orders: Rows, events: Rows) -> None:
        ids = orders["order_id"]
        self._left_lots[ids] = orders["quantity_lots"]
        trades = events[events["kind"] == kernel.TRADED]
        np.subtract.at(self._left_lots, trades["order_id"], trades["quantity_lots"])
        np.subtract.at(self._left_lots, trades["other"], trades["quantity_lots"])
        self._left_lots[events["order_id"][events["kind"] == kernel.REMOVED]] = 0
        ids = ids[self._left_lots[ids] > 0]
        self._ids[self._count : self._count + len(ids)] = ids
        self._count += len(ids)


def congestion_of(stream: Stream) -> Congestion:
    """What the limits did, seen a hundred times in the course of the stream."""
    shape, trades, rows = stream.shape, stream.trades, stream.commands
    is_order = rows["kind"] == kernel.NEW
    areas_of = np.zeros(int(rows["order_id"].max()) + 1, np.int64)
    areas_of[rows["order_id"][is_order]] = rows["member"][is_order] // (METERS // shape.areas)
    cause = rows["order_id"][trades["sequence"] - 1 - len(stream.grid)]
    held = int(((cause != trades["order_id"]) & (cause != trades["other"])).sum())
    flow_lots, limits = np.zeros((shape.slots, shape.areas), np.int64), np.full(shape.areas, shape.limit_lots or 0)
    last, most, flips = np.zeros_like(flow_lots), 0, 0
    changes, first_area = (
        np.flatnonzero(rows["kind"] == kernel.CAPACITY),
        int(stream.grid["meter"][-METERS]) - shape.areas,
    )
    for end in np.linspace(0, len(rows), 100, dtype=np.int64)[1:] if shape.limit_lots else ():
        place = trades["sequence"] - 1 - len(stream.grid)
        part, trades = trades[place < end], trades[place >= end]
        np.add.at(flow_lots, (part["slot"], areas_of[part["other"]]), part["quantity_lots"])
        np.subtract.at(flow_lots, (part["slot"], areas_of[part["order_id"]]), part["quantity_lots"])
        changed, changes = rows[changes[changes < end]], changes[changes >= end]
        limits[changed["meter"] - first_area] = changed["quantity_lots"]
        now = np.sign(flow_lots) * (np.abs(flow_lots) >= limits)
        most, flips = max(most, int((now != 0).sum())), flips + int((now * last < 0).sum())
        last = np.where(now, now, last)
    return Congestion(shape.limit_lots, most, flips, held)
