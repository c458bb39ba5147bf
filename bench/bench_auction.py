"""Commands per second of the compiled engine, beside the reference and other matchers, on seeded streams.

    python bench/bench_auction.py [--commands 1000000] [--peers 5000] [--seed 1]

55% orders that rest near the touch, 35% cancellations of live orders, 10% orders that trade. All figures of a run come
from one machine in one state and are processor time, so that neighbours on the machine do not count as work: read them
as ratios. Streams are drawn first and replayed as rows; p50 and p99 are of one batch.
"""

import argparse
import resource
import time
from typing import NamedTuple

import numpy as np
from flat_peers import instructions_of, peers
from market_streams import RULES, Stream, make_stream, tree_grid
from rich.console import Console
from rich.table import Table

from matching import kernel
from matching.engine import ReferenceEngine
from matching.fast import FastEngine as Engine
from matching.kernel import Rows
from matching.order import Cancel as CancelOrder
from matching.order import Command, Connect, Level, New, Side, Tif, Traded

METERS = 2048
TIGHT_LOTS = 300
COLUMNS = ("batch", "commands/s", "p50 us", "p99 us", "trades", "rejects", "resting", "memory")


class Run(NamedTuple):
    commands: int
    seconds: float
    batch_seconds: list[float]
    trades: int
    rejects: int
    traded_lots: int
    resting: int


def run(stream: Stream, batch: int, before: Rows | None = None) -> Run:
    """Replay a stream; ``before`` is done first and not timed."""
    engine = Engine(RULES)
    engine.apply_rows(stream.grid)
    if before is not None:
        engine.apply_rows(before)
    took, trades, rejects, lots = [], 0, 0, 0
    for start in range(0, len(stream.commands), batch):
        part = stream.commands[start : start + batch]
        began = time.process_time()
        events = engine.apply_rows(part)
        took.append(time.process_time() - began)
        traded = events[events["kind"] == kernel.TRADED]
        trades, lots = trades + len(traded), lots + int(traded["quantity_lots"].sum())
        rejects += int((events["kind"] == kernel.REJECTED).sum())
    return Run(len(stream.commands), sum(took), took, trades, rejects, lots, sum(1 for _ in engine.open_orders()))


def add(table: Table, name: str, batch: int, done: Run) -> None:
    half, most = np.percentile(np.array(done.batch_seconds) * 1e6, (50, 99))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    table.add_row(
        name,
        f"{batch:,}",
        f"{done.commands / done.seconds:,.0f}",
        f"{half:,.0f}",
        f"{most:,.0f}",
        f"{done.trades:,}",
        f"{done.rejects:,}",
        f"{done.resting:,}",
        f"{peak_mb:,} MB",
    )


def table_of(title: str) -> Table:
    table = Table("stream", title=title)
    for column in COLUMNS:
        table.add_column(column, justify="right")
    return table


def commands_of(rows: Rows) -> list[Command]:
    """The same stream as objects, for the engine that takes them."""
    return [
        Connect(int(row["meter"]), int(row["terms_days"]), Level(row["reach"]))
        if row["kind"] == kernel.CONNECT
        else CancelOrder(int(row["order_id"]))
        if row["kind"] == kernel.CANCEL
        else New(
            int(row["order_id"]),
            int(row["member"]),
            int(row["meter"]),
            Side(row["side"]),
            int(row["slot"]),
            int(row["quantity_lots"]),
            int(row["price_ticks"]),
            Tif(row["tif"]),
        )
        for row in rows
    ]


def compare(console: Console, flat: Stream, commands: int) -> None:
    """The first commands of the flat stream through everything that can trade them; all must trade as much."""
    table = Table("matcher", title="flat book, the stream's first commands, one after another")
    for column in ("commands", "commands/s", "engine in batches of 1,000", "faster by"):
        table.add_column(column, justify="right")

    def row(name: str, count: int, seconds: float, lots: int) -> None:
        mine = run(Stream(flat.name, flat.grid, flat.commands[:count]), 1000)
        assert lots == mine.traded_lots, f"{name} traded {lots} lots, the engine {mine.traded_lots}"
        speeds = (f"{count / seconds:,.0f}", f"{count / mine.seconds:,.0f}", f"{seconds / mine.seconds:,.1f}x")
        table.add_row(name, f"{count:,}", *speeds)

    many = min(20 * commands, len(flat.commands))
    for name, engine, count in (
        ("engine, one object at a time", Engine(RULES), many),
        ("reference", ReferenceEngine(RULES), commands),
    ):
        engine.apply(commands_of(flat.grid))
        objects = commands_of(flat.commands[:count])
        began = time.process_time()
        events = [event for each in objects for event in engine.apply([each])]
        took = time.process_time() - began
        row(name, count, took, sum(event.quantity_lots for event in events if isinstance(event, Traded)))
    for name, trade, is_slow in peers():
        count = commands if is_slow else many
        orders = instructions_of(flat.commands[:count], RULES.fee_ticks[0])
        began = time.process_time()
        lots = trade(orders)
        row(name, count, time.process_time() - began, lots)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=1_000_000, help="in each stream (default 1000000)")
    parser.add_argument(
        "--peers",
        type=int,
        default=5_000,
        help="commands for the slowest matchers (default 5000), 20 times that for others",
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    console, screen = Console(width=140), Console(stderr=True)
    began = time.process_time()
    Engine(RULES)
    screen.print(f"engine ready after {time.process_time() - began:.1f} s of processor time")

    def draw(name: str, grid: Rows, slots: int, passive: float = 0.55, commands: int = arguments.commands) -> Stream:
        screen.print(f"drawing {name}")
        return make_stream(name, grid, METERS, slots, commands=commands, seed=arguments.seed, passive=passive)

    flat = draw("flat", tree_grid(1, METERS, None), 1)
    table = table_of(f"flat book, {arguments.commands:,} commands")
    for batch in (1, 10, 100, 1_000, 100_000):
        part = Stream(flat.name, flat.grid, flat.commands[: max(20_000, min(arguments.commands, batch * 20_000))])
        add(table, "flat", batch, run(part, batch))
    console.print(table)
    compare(console, flat, arguments.peers)

    table = table_of(f"trees, {arguments.commands:,} commands, batches of 1,000")
    for areas in (64, 1024):
        for slots in (1, 96):
            for limit_lots in (None, TIGHT_LOTS):
                limits = f"areas limited to {limit_lots} lots" if limit_lots else "no limits"
                stream = draw(f"{areas} areas, {slots} slots, {limits}", tree_grid(areas, METERS, limit_lots), slots)
                add(table, stream.name, 1000, run(stream, 1000))
    console.print(table)

    table = table_of("flat book, the same 100,000 commands on top of more and more resting orders")
    for resting in (10**3, 10**4, 10**5, 10**6):
        before = draw(f"{resting:,} resting orders", flat.grid, 1, 1.0, resting).commands.copy()
        before["order_id"] += 10**9
        part = Stream("flat", flat.grid, flat.commands[:100_000])
        add(table, f"on {resting:,} orders", 1000, run(part, 1000, before))
    console.print(table)


if __name__ == "__main__":
    main()
