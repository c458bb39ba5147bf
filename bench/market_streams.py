"""Command streams for the benchmarks, as rows of the kernel: one flat book, or a tree of areas with limits and slots.

The mix is the same everywhere: 55% orders that rest near the touch, 35% cancellations of live orders, 10% orders that
trade. To know what lives, a stream is drawn in pieces and traded while it is drawn; what is timed later is a replay.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from matching import kernel
from matching.fast import FastEngine as Engine
from matching.kernel import Rows
from matching.order import Level, Rules, Side, Tif

RULES = Rules(fee_ticks=(200, 500, 1100))
PASSIVE, CANCEL = 0.55, 0.35
_PIECE = 1000
_MIDDLE_TICKS = 4000
_NEAR_TICKS = 200


class Stream(NamedTuple):
    """What connects the grid, and what is traded on it."""

    name: str
    grid: Rows
    commands: Rows


def tree_grid(areas: int, meters: int, limit_lots: int | None) -> Rows:
    """A substation over feeders of at most 32 transformer areas each, with the same limit for every area both ways."""
    feeders = -(-areas // 32)
    rows = [_node(0, -1, Level.SUBSTATION, None)]
    rows += [_node(1 + feeder, 0, Level.FEEDER, None) for feeder in range(feeders)]
    rows += [_node(1 + feeders + area, 1 + area % feeders, Level.TRANSFORMER, limit_lots) for area in range(areas)]
    first = 1 + feeders + areas
    rows += [_node(first + meter, 1 + feeders + meter % areas, Level.METER, None) for meter in range(meters)]
    return np.array(rows, kernel.COMMAND)


def _node(node: int, parent: int, level: Level, limit_lots: int | None) -> tuple[int, ...]:
    lots = kernel.NO_LIMIT_LOTS if limit_lots is None else limit_lots
    return (0, 0, node, 0, lots, lots, parent, 0, kernel.CONNECT, 0, 0, level, 0)


def make_stream(
    name: str, grid: Rows, meters: int, slots: int, *, commands: int, seed: int, passive: float = PASSIVE
) -> Stream:
    """A stream on this grid, whose last rows are its meters. Each is a member's own; half of them sell, half buy."""
    dice, engine = np.random.default_rng(seed), Engine(RULES)
    engine.apply_rows(grid)
    live = _Live()
    pieces = []
    next_id = 1
    for _ in range(-(-commands // _PIECE)):
        rows = np.zeros(_PIECE, kernel.COMMAND)
        draw = dice.random(_PIECE)
        is_cancel = (draw >= passive) & (draw < passive + CANCEL)
        is_passive = draw < passive
        orders = ~is_cancel
        count = int(orders.sum())
        sells = dice.random(_PIECE) < 0.5
        away = dice.integers(0, _NEAR_TICKS, _PIECE)
        fee = RULES.fee_ticks[0] // 2  # so that not even neighbours trade
        far = RULES.fee_ticks[-1] + _NEAR_TICKS
        resting = np.where(sells, _MIDDLE_TICKS - fee + 1 + away, _MIDDLE_TICKS + fee - 1 - away)
        crossing = np.where(sells, _MIDDLE_TICKS - far, _MIDDLE_TICKS + far)
        meter = 2 * dice.integers(0, meters // 2, _PIECE) + sells
        rows["kind"] = np.where(is_cancel, kernel.CANCEL, kernel.NEW)
        rows["order_id"][orders] = np.arange(next_id, next_id + count)
        rows["order_id"][is_cancel] = live.draw(dice, int(is_cancel.sum()))
        rows["member"], rows["meter"] = meter, grid["meter"][-1] - meter
        rows["side"] = np.where(sells, Side.SELL, Side.BUY)
        rows["slot"] = dice.integers(0, slots, _PIECE)
        rows["quantity_lots"] = dice.integers(1, 100, _PIECE)
        rows["price_ticks"] = np.where(is_passive, resting, crossing)
        rows["tif"] = np.where(is_passive, Tif.GTC, Tif.IOC)
        rows["reach"] = Level.SUBSTATION
        live.follow(rows, engine.apply_rows(rows))
        next_id += count
        pieces.append(rows)
    return Stream(name, grid, np.concatenate(pieces)[:commands])


class _Live:
    """Which orders rest, and how much is left of each."""

    def __init__(self) -> None:
        self._left_lots: NDArray[np.int64] = np.zeros(0, np.int64)
        self._ids: NDArray[np.int64] = np.zeros(0, np.int64)

    def draw(self, dice: np.random.Generator, count: int) -> NDArray[np.int64]:
        if len(self._ids) < count:
            return np.zeros(count, np.int64)
        return self._ids[dice.choice(len(self._ids), count, replace=False, shuffle=False)]

    def follow(self, rows: Rows, events: Rows) -> None:
        orders = rows[(rows["kind"] == kernel.NEW) & (rows["tif"] == Tif.GTC)]
        highest = int(rows["order_id"].max())
        if highest >= len(self._left_lots):
            self._left_lots = np.concatenate(
                [self._left_lots, np.zeros(2 * highest + 1 - len(self._left_lots), np.int64)]
            )
        self._left_lots[orders["order_id"]] = orders["quantity_lots"]
        trades = events[events["kind"] == kernel.TRADED]
        np.subtract.at(self._left_lots, trades["order_id"], trades["quantity_lots"])
        np.subtract.at(self._left_lots, trades["other"], trades["quantity_lots"])
        self._left_lots[events["order_id"][events["kind"] == kernel.REMOVED]] = 0
        ids = np.concatenate([self._ids, orders["order_id"]])
        self._ids = ids[self._left_lots[ids] > 0]
