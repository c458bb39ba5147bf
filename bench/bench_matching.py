"""The auction engine beside the reference matcher and other matchers, on seeded streams: ``make bench-matching``.

    python bench/bench_matching.py [--commands 1000000] [--rounds 5]

Streams are drawn once. Then everything is measured in rounds, one after another, each time in a process of its own: so
what else the machine does falls on all alike, and a figure is the median of the rounds. The processes are forked from
this one, which holds the compiled engine and nothing else. After three rounds, none is begun that would not end
within five minutes. The tables are Markdown.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import matching_runs as runs
import matching_tables as tables
from matching_peers import FLAT, PLAIN
from matching_streams import Shape, Stage

import matching

TIGHT, TURNS = 0.12, 8
FEWEST_ROUNDS, MOST_S = 3, 300
RESTING = (10**3, 10**4, 10**5, 10**6)
PEER_COMMANDS = {PLAIN: 300_000, "lightmatchingengine": 100_000, "pyorderbook": 100_000, "order-matching": 1_500}
ONE_BY_ONE_COMMANDS, REFERENCE_COMMANDS, REFERENCE_TREE_COMMANDS = 20_000, 1_500, 600


class Job(NamedTuple):
    name: tuple[str, str]
    do: Callable[..., Any]
    arguments: tuple[Any, ...]


def shapes_of(commands: int) -> dict[str, Shape]:
    """All streams by name; those of trees are half as long as the flat one."""
    shapes = {"flat": Shape(1, 1, 0, 1, (Stage(commands),))}
    for areas in (64, 1024):
        for slots in (1, 96):
            for limits, tightness in (("no limits", 0), ("tight limits", TIGHT)):
                name = f"{areas:,} areas, {slots} slot{'s' * (slots > 1)}, {limits}"
                shapes[name] = Shape(areas, slots, tightness, TURNS, (Stage(commands // 2),))
    return shapes


def small_shapes() -> dict[str, Shape]:
    """Streams short enough for the reference."""
    stages = (Stage(REFERENCE_TREE_COMMANDS),)
    return {f"{areas:,} areas, 1 slot, tight limits": Shape(areas, 1, TIGHT, TURNS, stages) for areas in (64, 1024)}


def jobs_of(
    streams: dict[str, runs.Prepared], small: dict[str, runs.Prepared], resting: dict[int, runs.Prepared]
) -> list[Job]:
    flat = streams["flat"]
    return [
        *(Job(("stream", name), runs.engine_in_batches, (stream,)) for name, stream in streams.items()),
        Job(("beside", "engine, one object at a time"), runs.engine_one_by_one, (flat, ONE_BY_ONE_COMMANDS)),
        *(Job(("beside", name), runs.peer_beside, (flat, name, PEER_COMMANDS[name])) for name in FLAT),
        Job(("beside", "reference matcher"), runs.reference_beside, (flat, REFERENCE_COMMANDS)),
        *(
            Job(("beside", f"reference matcher; {name}"), runs.reference_beside, (stream, REFERENCE_TREE_COMMANDS))
            for name, stream in small.items()
        ),
        *(Job(("resting", f"{orders:,}"), runs.on_resting, (stream,)) for orders, stream in resting.items()),
    ]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def apart(do: Callable[..., Any], *arguments: Any) -> Any:
    """What ``do`` returns in a process of its own. Raises ChildProcessError when that ends without a result."""
    context = get_context("fork")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(its, do, arguments))
    process.start()
    its.close()
    try:
        result = mine.recv()
    except EOFError:
        raise ChildProcessError(f"{do.__name__} failed; what it said is above") from None
    finally:
        process.join()
    return result


def _send(its: Connection, do: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    its.send(do(*arguments))


def draw(shapes: dict[Any, Shape], folder: Path) -> dict[Any, runs.Prepared]:
    drawn = {}
    for name, shape in shapes.items():
        began = time.monotonic()
        drawn[name] = apart(runs.prepare, shape, folder / f"{abs(hash(shape))}.npy")
        say(f"drew {shape.commands:,} commands: {name}, {time.monotonic() - began:.1f} s")
    return drawn


def _ends_in_time(began: float, drawn_at: float, rounds: int) -> bool:
    now = time.monotonic()
    return now + (now - drawn_at) / rounds < began + MOST_S


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=1_000_000, help="of the flat stream (default 1000000)")
    parser.add_argument("--rounds", type=int, default=5, help="at most (default 5)")
    arguments = parser.parse_args()
    began, load = time.monotonic(), os.getloadavg()[0]
    say(f"measuring {Path(matching.__file__).parent}")
    runs.warm()
    with tempfile.TemporaryDirectory() as folder:
        streams = draw(shapes_of(arguments.commands), Path(folder))
        small = draw(small_shapes(), Path(folder))
        resting = draw({orders: runs.resting_shape(orders) for orders in RESTING}, Path(folder))
        jobs, drawn_at = jobs_of(streams, small, resting), time.monotonic()
        found: dict[tuple[str, str], list[Any]] = {job.name: [] for job in jobs}
        rounds = 0
        while rounds < arguments.rounds and (rounds < FEWEST_ROUNDS or _ends_in_time(began, drawn_at, rounds)):
            rounds += 1
            for job in jobs:
                started = time.monotonic()
                found[job.name].append(apart(job.do, *job.arguments))
                say(f"round {rounds}, {': '.join(job.name)}, {time.monotonic() - started:.1f} s")
    took = f"{time.monotonic() - began:.0f} s; load of the machine {load:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(tables.report(found, streams, rounds, took))


if __name__ == "__main__":
    main()
