"""Commands per second of the matching engines on one seeded day: 350 meters, 96 slots, about 40,000 orders.

    python bench/bench_matching.py [--orders 40000] [--seed 1]

All figures of a table come from one run on one machine: read them as ratios. The day is traded as it would be with
every slot open from the start: orders, cancels, amendments, changed limits, then one gate closure after the other.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from matching.order import (
    Amend,
    Basket,
    Cancel,
    Capacity,
    Close,
    Command,
    Connect,
    Level,
    New,
    Rejected,
    Rules,
    Side,
    Tif,
    Traded,
)
from matching.reference import ReferenceEngine as Engine

RULES = Rules(fee_ticks=(200, 500, 1100))
METERS, TRANSFORMERS, FEEDERS, SLOTS = 350, 12, 3, 96
BATCH = 1000


class Day(NamedTuple):
    """What connects the grid, and what is traded on it. ``tight`` transformers make a congested day."""

    grid: list[Command]
    commands: list[Command]


class Run(NamedTuple):
    name: str
    seconds: float
    commands: int
    trades: int
    rejects: int
    most_open: int


def make_day(orders: int, seed: int, transformer_lots: int | None) -> Day:
    """Meters 100..449 under transformers 10..21 under feeders 1..3 under substation 0; a third of them sell."""
    dice = random.Random(seed)
    grid: list[Command] = [Connect(0, -1, Level.SUBSTATION)]
    grid += [Connect(1 + feeder, 0, Level.FEEDER, 4000, 4000) for feeder in range(FEEDERS)]
    grid += [
        Connect(10 + area, 1 + area % FEEDERS, Level.TRANSFORMER, transformer_lots, transformer_lots)
        for area in range(TRANSFORMERS)
    ]
    grid += [Connect(100 + meter, 10 + meter % TRANSFORMERS, Level.METER, 750, 500) for meter in range(METERS)]
    return Day(grid, list(_commands(dice, orders)) + [Close(slot) for slot in range(SLOTS)])


def _commands(dice: random.Random, orders: int) -> Iterator[Command]:
    order_id = 0
    while order_id < orders:
        match dice.choices(("new", "cancel", "amend", "basket", "capacity"), (880, 50, 60, 8, 2))[0]:
            case "cancel":
                yield Cancel(dice.randrange(order_id + 1))
            case "amend":
                yield Amend(dice.randrange(order_id + 1), dice.randint(1, 200), None)
            case "capacity":
                limit_lots = dice.randint(100, 2000)
                yield Capacity(10 + dice.randrange(TRANSFORMERS), dice.randrange(SLOTS), limit_lots, limit_lots)
            case "basket":
                yield Basket((_order(dice, order_id), _order(dice, order_id + 1)))
                order_id += 2
            case _:
                yield _order(dice, order_id)
                order_id += 1


def _order(dice: random.Random, order_id: int) -> New:
    meter = dice.randrange(METERS)
    side = Side.SELL if meter % 3 == 0 else Side.BUY
    return New(
        order_id=order_id,
        member=meter,
        meter=100 + meter,
        side=side,
        slot=dice.randrange(SLOTS),
        quantity_lots=dice.randint(20, 400) if side is Side.SELL else dice.randint(10, 200),
        price_ticks=dice.randint(3000, 4600),
        tif=dice.choices((Tif.GTC, Tif.IOC, Tif.FOK), (94, 4, 2))[0],
        reach=dice.choices((Level.SUBSTATION, Level.FEEDER, Level.TRANSFORMER), (70, 20, 10))[0],
        terms_days=dice.choices((0, 30, 60), (70, 20, 10))[0],
    )


def run(name: str, engine: Engine, day: Day, console: Console) -> Run:
    engine.apply(day.grid)
    counts: Counter[type] = Counter()
    most_open, seconds = 0, 0.0
    batches: Sequence[int] = range(0, len(day.commands), BATCH)
    for start in track(batches, description=name, console=console, transient=True):
        batch = day.commands[start : start + BATCH]
        began = time.perf_counter()
        events = engine.apply(batch)
        seconds += time.perf_counter() - began
        counts.update(type(event) for event in events)
        most_open = max(most_open, max(Counter(order.slot for order in engine.open_orders()).values(), default=0))
    return Run(name, seconds, len(day.commands), counts[Traded], counts[Rejected], most_open)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=40_000, help="orders in the day (default 40000)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    progress, console = Console(stderr=True), Console()
    free = make_day(arguments.orders, arguments.seed, transformer_lots=None)
    tight = make_day(arguments.orders, arguments.seed, transformer_lots=600)
    short = Day(tight.grid, tight.commands[: arguments.orders // 8])
    runs = [
        run("reference, transformers without limits", Engine(RULES), free, progress),
        run("reference, congested transformers", Engine(RULES), tight, progress),
        run("reference, congested, first eighth", Engine(RULES), short, progress),
        run("same, never skipping a pass", Engine(RULES, skip_idle_passes=False), short, progress),
    ]
    table = Table("engine and day", title=f"matching, {arguments.orders} orders, seed {arguments.seed}")
    for column in ("commands", "trades", "rejects", "most open in a slot", "seconds", "commands/s"):
        table.add_column(column, justify="right")
    for each in runs:
        counted = (each.commands, each.trades, each.rejects, each.most_open)
        table.add_row(each.name, *map(str, counted), f"{each.seconds:.2f}", f"{each.commands / each.seconds:,.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
