"""The report of ``bench_matching.py`` as Markdown: what was missed first, then all that was found."""

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numba
from matching_runs import BATCHES, PEER_BATCH, STEADY, TAILS, Prepared
from matching_streams import CHANGE

FLAT_GOAL, TREE_GOALS = 10e6, {64: 6e6, 1024: 3e6}
PLAIN_GOAL = 15
FAR_READS_GOAL = 3
"""A cancel reads its place among the ids, the order, its neighbours: about four reads, each of which needs the one
before. An order that comes to rest reads the last of its queue, one that trades reads the first."""

Found = dict[tuple[str, str], list[Any]]


class Goal(NamedTuple):
    what: str
    wanted: str
    found: str
    is_reached: bool


def report(found: Found, streams: dict[str, Prepared], rounds: int, took: str) -> str:
    by_kind = {
        kind: {name: runs for (each, name), runs in found.items() if each == kind}
        for kind in ("stream", "beside", "resting")
    }
    goals = sorted(_goals(by_kind, streams), key=lambda goal: goal.is_reached)
    missed = sum(not goal.is_reached for goal in goals)
    parts = [
        f"# The auction engine: {missed} of {len(goals)} goals missed",
        f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, numba {numba.__version__}; "
        f"{rounds} rounds in {took}. Figures are medians of the rounds, the best in brackets, of processor time.",
        _table(
            ("goal", "wanted", "found", ""),
            [(goal.what, goal.wanted, goal.found, "reached" if goal.is_reached else "**missed**") for goal in goals],
        ),
        *_of_streams(by_kind["stream"], streams),
        *_of_peers(by_kind["beside"]),
        *_of_resting(by_kind["resting"]),
    ]
    return "\n\n".join(parts)


def _goals(found: dict[str, dict[str, list[Any]]], streams: dict[str, Prepared]) -> Iterable[Goal]:
    for name, runs in found["stream"].items():
        goal = TREE_GOALS.get(streams[name].shape.areas, FLAT_GOAL)
        speed = min(median(_speed(run[batch]) for run in runs) for batch in (1_000, 100_000))
        yield Goal(
            f"{name}: commands/s in batches of 1,000 and 100,000", f"{goal:,.0f}", f"{speed:,.0f}", speed >= goal
        )
    ratio = median(_ratio(run) for run in found["beside"]["plain Python book"])
    yield Goal(
        "flat, batches of 1,000: faster than the plain Python book",
        f"{PLAIN_GOAL}x",
        f"{ratio:.1f}x",
        ratio >= PLAIN_GOAL,
    )
    few, many = found["resting"]["1,000"], found["resting"]["1,000,000"]
    times = median(b.timed.seconds / a.timed.seconds for a, b in zip(few, many, strict=True))
    reads = median((_ns(b) - _ns(a)) / b.far_read_ns for a, b in zip(few, many, strict=True))
    yield Goal(
        "cost of a command on 10^6 resting orders, against 10^3",
        f"not above, but for {FAR_READS_GOAL} reads of far memory",
        f"{times:.2f}x: {reads:.1f} reads more",
        reads <= FAR_READS_GOAL,
    )


def _of_streams(found: dict[str, list[Any]], streams: dict[str, Prepared]) -> list[str]:
    batches = [f"{batch:,}" for batch in BATCHES]
    speeds, times, memory, course = [], [], [], []
    for name, runs in found.items():
        last, shape, congestion = runs[-1][1_000], streams[name].shape, streams[name].congestion
        warm = median(shape.commands / 2 / run[1_000].second_half_s for run in runs) / 1e6
        speeds.append(
            (name, *(_median_and_best([_speed(run[batch]) / 1e6 for run in runs]) for batch in BATCHES), f"{warm:.2f}")
        )
        times.append((name, *(_half_and_most([run[batch] for run in runs]) for batch in BATCHES)))
        used = (median(run[batch].used_mb for run in runs) for batch in (1_000, 100_000))
        memory.append((name, *(f"{mb:,.0f}" for mb in used), f"{median(run[1_000].reserved_mb for run in runs):,.0f}"))
        counts = (shape.commands, last.trades, last.traded_lots, last.rejects, streams[name].resting)
        links = f"{congestion.most_full:,} of {shape.areas * shape.slots:,}" if shape.limit_lots else "-"
        limit = f"{shape.limit_lots:,}" if shape.limit_lots else "-"
        course.append(
            (name, *(f"{n:,}" for n in counts), limit, links, f"{congestion.flips:,}", f"{congestion.held:,}")
        )
    tails = ", ".join(f"{commands:,} in batches of {batch:,}" for batch, commands in TAILS.items())
    return [
        f"## Million commands/s, by size of batch\n\nSmall batches are timed on a stream's last commands: {tails}. "
        "Large ones are timed from an empty book on, first use of all memory included; the last column leaves out the "
        "stream's first half.",
        _table(("stream", *batches, "second half, 1,000"), speeds),
        "## Microseconds of a batch, p50 / p99",
        _table(("stream", *batches), times),
        "## MB that the process grew by, grid and events of a batch included",
        _table(("stream", "used, batches of 1,000", "used, of 100,000", "reserved"), memory),
        "## What the streams do\n\n55% rest near the touch, 35% cancel live orders, 10% trade at once. Limits are lots "
        "each way, of a link in a slot; *full* is the most such links at a time, *turned* how often one was next full "
        "the other way, *held* counts trades of orders that had waited for room. One command in "
        f"{CHANGE:,} changes the limits of an area.",
        _table(
            ("stream", "commands", "trades", "lots", "rejects", "resting", "limit", "full", "turned", "held"), course
        ),
    ]


def _of_peers(found: dict[str, list[Any]]) -> list[str]:
    rows = []
    for name, runs in found.items():
        many = [run.matcher for run in runs]
        rows.append(
            (
                name,
                f"{many[0].commands:,}",
                f"{median(map(_speed, many)):,.0f}",
                f"{median(run.matcher.commands / run.engine_seconds for run in runs):,.0f}",
                _median_and_best([_ratio(run) for run in runs], "x"),
                _half_and_most(many),
                f"{median(run.used_mb for run in many):,.0f}",
                f"{many[0].traded_lots:,}",
            )
        )
    columns = ("commands", "commands/s", "engine in batches of 1,000", "engine faster by")
    return [
        "## Beside others\n\nThe flat stream's first commands unless a stream is named. Each traded as many lots as "
        "the engine did in the same process. The plain book and the reference made the very same trades: the plain "
        "book refuses used ids, ends an order that meets its own member, and records both ids, quantity and price of "
        f"each trade. p50 / p99 are of {PEER_BATCH} commands; of one in the first row.",
        _table(("matcher", *columns, "us", "MB", "lots"), rows),
    ]


def _of_resting(found: dict[str, list[Any]]) -> list[str]:
    rows = [
        (
            name,
            f"{runs[0].resting:,}",
            f"{median(map(_ns, runs)):,.0f} ({min(map(_ns, runs)):,.0f})",
            f"{median(_ns(run) / _ns(few) for run, few in zip(runs, found['1,000'], strict=True)):.2f}x",
            f"{median(run.far_read_ns for run in runs):,.0f}",
            _half_and_most([run.timed for run in runs]),
            f"{median(run.timed.used_mb for run in runs):,.0f}",
            f"{runs[0].timed.rejects:,}",
        )
        for name, runs in found.items()
    ]
    return [
        f"## On more and more resting orders\n\n{STEADY.commands:,} commands in batches of 1,000, drawn with the same "
        f"dice: {STEADY.resting:.0%} come to rest, {STEADY.cancels:.0%} cancel any order that rests, the others trade, "
        "so that about as many rest at the end. *Far read*: one read at an address that the last gave, in 128 bytes an "
        "order.",
        _table(
            ("resting", "at the end", "ns a command", "against 1,000", "far read, ns", "us p50 / p99", "MB", "rejects"),
            rows,
        ),
    ]


def _speed(run: Any) -> float:
    return float(run.commands / run.seconds)


def _ns(run: Any) -> float:
    return float(run.timed.seconds / run.timed.commands * 1e9)


def _ratio(run: Any) -> float:
    return float(run.matcher.seconds / run.engine_seconds)


def _half_and_most(runs: Sequence[Any]) -> str:
    return f"{median(run.p50_us for run in runs):,.1f} / {median(run.p99_us for run in runs):,.1f}"


def _median_and_best(values: Sequence[float], unit: str = "") -> str:
    return f"{median(values):,.2f}{unit} ({max(values):,.2f})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")
