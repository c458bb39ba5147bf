"""What ``bench_matching.py`` measures, each function in a process of its own: times of batches, and memory.

Times are processor time of the process, less what reading the clock takes, so that neighbours on the machine do not
count as work. What is told is counted outside the time. Memory is how far the process grew above what it had before
the engine or matcher was made; commands were there already.
"""

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matching_peers import FLAT, Matcher, Reference, instructions_of, objects_of
from matching_streams import RULES, Congestion, Shape, Stage, congestion_of, make_stream, tree_grid
from numba import njit
from numpy.typing import NDArray

from matching import kernel
from matching.fast import FastEngine
from matching.kernel import Rows

BATCHES = (1, 10, 100, 1_000, 100_000)
TAILS = {1: 10_000, 10: 50_000, 100: 100_000}
"""Small batches are timed on so many of a stream's last commands, on the book that the others left."""
STEADY = Stage(100_000, 0.5, 0.4)
"""As many orders come to rest as are cancelled or filled."""
_WARMING = 20_000
_KEPT = 10_000
_ROW_BYTES = 128
"""About what an order takes, with its place among the used ids."""
_CELLS = _ROW_BYTES // 8
_PEAK, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
PEER_BATCH = 100


class Timed(NamedTuple):
    """Commands timed in batches, and of that the second half; the counts are of the whole stream."""

    commands: int
    seconds: float
    second_half_s: float
    p50_us: float
    p99_us: float
    traded_lots: int = 0
    trades: int = 0
    rejects: int = 0
    used_mb: float = 0
    reserved_mb: float = 0


class Beside(NamedTuple):
    """A matcher, and the engine in batches of 1,000 on the same commands in the same process."""

    matcher: Timed
    engine_seconds: float


class Resting(NamedTuple):
    timed: Timed
    resting: int
    far_read_ns: float


class Prepared(NamedTuple):
    """A stream in a file, and what is known of it."""

    shape: Shape
    path: Path
    traded_lots: int
    resting: int
    congestion: Congestion


class Memory:
    """How far this process grows, in MB: ``used`` is resident, at its most; ``reserved`` is addresses. Linux only."""

    def __init__(self) -> None:
        gc.collect()
        if _PEAK.exists():
            _PEAK.write_text("5")
        self._used, _, self._reserved = _status_mb()

    def growth(self) -> tuple[float, float]:
        _, most, reserved = _status_mb()
        return most - self._used, reserved - self._reserved


def _status_mb() -> tuple[float, float, float]:
    if not _PEAK.exists():
        return nan, nan, nan
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    used, most, reserved = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM", "VmSize"))
    return used, most, reserved


class Watch:
    """Processor time, less what reading it takes."""

    def __init__(self) -> None:
        clock = time.process_time_ns
        self._reading_ns = int(np.median([-clock() + clock() for _ in range(1000)]))

    def run(self, do: Callable[[Any], Any], batches: Iterable[Any], told: Callable[[Any], object]) -> NDArray[np.int64]:
        """Nanoseconds of each batch; what ``do`` returns is told now and then."""
        clock, took, kept = time.process_time_ns, [], []
        for batch in batches:
            began = clock()
            kept.append(do(batch))
            took.append(clock() - began)
            if len(kept) * len(batch) >= _KEPT:
                for each in kept:
                    told(each)
                kept.clear()
        for each in kept:
            told(each)
        times: NDArray[np.int64] = np.maximum(np.array(took, np.int64) - self._reading_ns, 0)
        return times


class Count:
    """Of what the engine tells."""

    def __init__(self) -> None:
        self.lots = self.trades = self.rejects = 0

    def __call__(self, events: Rows) -> None:
        traded = events["kind"] == kernel.TRADED
        self.trades += int(traded.sum())
        self.lots += int(events["quantity_lots"][traded].sum())
        self.rejects += int((events["kind"] == kernel.REJECTED).sum())


def warm() -> None:
    """Compile what is measured, or load it."""
    FastEngine(RULES)
    _chase(np.zeros(1, np.int64), 1)


def cut(rows: Any, batch: int) -> list[Any]:
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


def timed(commands: int, took: NDArray[np.int64]) -> Timed:
    half, most = np.percentile(took / 1000, (50, 99))
    second_half_s = int(took[len(took) // 2 :].sum()) / 1e9 * (len(took) / 2) / (len(took) - len(took) // 2)
    return Timed(commands, int(took.sum()) / 1e9, second_half_s, float(half), float(most))


def prepare(shape: Shape, path: Path) -> Prepared:
    stream = make_stream(shape)
    np.save(path, stream.commands)
    lots = int(stream.trades["quantity_lots"].sum())
    return Prepared(shape, path, lots, stream.resting, congestion_of(stream))


def start_engine(shape: Shape) -> FastEngine:
    engine = FastEngine(RULES)
    engine.apply_rows(tree_grid(shape.areas, shape.limit_lots))
    return engine


def engine_in_batches(stream: Prepared) -> dict[int, Timed]:
    """The whole stream in large batches; its end in small ones. All must trade as much."""
    rows, watch = np.load(stream.path), Watch()
    return {batch: _whole(stream, rows, batch, watch) for batch in (100_000, 1_000)} | _ends(stream, rows, watch)


def _whole(stream: Prepared, rows: Rows, batch: int, watch: Watch) -> Timed:
    memory, count = Memory(), Count()
    engine = start_engine(stream.shape)
    took = watch.run(engine.apply_rows, cut(rows, batch), count)
    return _of_engine(timed(len(rows), took), count, memory, stream)


def _ends(stream: Prepared, rows: Rows, watch: Watch) -> dict[int, Timed]:
    tails = {batch: min(most, len(rows) // 4) for batch, most in TAILS.items()}
    memory, count = Memory(), Count()
    engine = start_engine(stream.shape)
    place = len(rows) - sum(tails.values())
    for part in cut(rows[:place], 1_000):
        count(engine.apply_rows(part))
    ends = {}
    for batch, commands in tails.items():
        took = watch.run(engine.apply_rows, cut(rows[place : place + commands], batch), count)
        ends[batch] = timed(commands, took)
        place += commands
    return {batch: _of_engine(each, count, memory, stream) for batch, each in ends.items()}


def _of_engine(done: Timed, count: Count, memory: Memory, stream: Prepared) -> Timed:
    used_mb, reserved_mb = memory.growth()
    assert count.lots == stream.traded_lots, f"{count.lots} lots traded, {stream.traded_lots} when the stream was drawn"
    return done._replace(
        traded_lots=count.lots,
        trades=count.trades,
        rejects=count.rejects,
        used_mb=used_mb,
        reserved_mb=reserved_mb,
    )


def engine_one_by_one(stream: Prepared, commands: int) -> Beside:
    """The face that takes and gives objects, called with one command at a time."""
    rows = np.load(stream.path)[:commands]
    objects, watch, lots = objects_of(rows), Watch(), [0]

    def told(events: list[Any]) -> None:
        lots[0] += sum(event.quantity_lots for event in events if hasattr(event, "buyer_price_ticks"))

    memory, engine = Memory(), start_engine(stream.shape)
    took = watch.run(engine.apply, cut(objects, 1), told)
    used_mb, _ = memory.growth()
    count, seconds = _engine_on(stream.shape, rows, watch)
    assert lots[0] == count.lots
    return Beside(timed(commands, took)._replace(traded_lots=lots[0], used_mb=used_mb), seconds)


def _engine_on(shape: Shape, rows: Rows, watch: Watch) -> tuple[Count, float]:
    """Fresh engines on the same commands: the median of three."""
    seconds = []
    for _ in range(3):
        engine, count = start_engine(shape), Count()
        seconds.append(int(watch.run(engine.apply_rows, cut(rows, 1000), count).sum()) / 1e9)
    return count, sorted(seconds)[1]


def reference_beside(stream: Prepared, commands: int) -> Beside:
    rows = np.load(stream.path)[:commands]
    grid, objects = objects_of(tree_grid(stream.shape.areas, stream.shape.limit_lots)), objects_of(rows)

    def start() -> Matcher:
        matcher = Reference(RULES)
        matcher.trade(grid)
        return matcher

    return _beside(stream.shape, rows, start, objects)


def peer_beside(stream: Prepared, name: str, commands: int) -> Beside:
    rows = np.load(stream.path)[:commands]
    return _beside(stream.shape, rows, FLAT[name], instructions_of(rows, RULES.fee_ticks[0]))


def _beside(shape: Shape, rows: Rows, start: Callable[[], Matcher], orders: Sequence[Any]) -> Beside:
    """Both must trade as much; a matcher that tells its trades must have made the very same."""
    watch = Watch()
    lots: list[int] = []
    start()  # whatever it imports or makes once
    memory = Memory()
    gc.freeze()  # the commands themselves are no garbage of the matcher's
    matcher = start()
    took = watch.run(matcher.trade, cut(orders, PEER_BATCH), lots.append)
    used_mb, _ = memory.growth()
    count, seconds = _engine_on(shape, rows, watch)
    assert sum(lots) == count.lots, f"{type(matcher).__name__} traded {sum(lots)} lots, the engine {count.lots}"
    if matcher.trades:
        assert matcher.trades == _trades_of_engine(shape, rows), f"{type(matcher).__name__} made other trades"
    return Beside(timed(len(rows), took)._replace(traded_lots=sum(lots), used_mb=used_mb), seconds)


def _trades_of_engine(shape: Shape, rows: Rows) -> list[tuple[int, int, int, int]]:
    events = start_engine(shape).apply_rows(rows)
    traded = events[events["kind"] == kernel.TRADED]
    fields = ("order_id", "other", "quantity_lots", "buyer_price_ticks")
    return list(zip(*(traded[field].tolist() for field in fields), strict=True))


def on_resting(stream: Prepared) -> Resting:
    """The steady mix on top of many orders, after some of it has warmed the memory."""
    rows, watch = np.load(stream.path), Watch()
    memory, count = Memory(), Count()
    engine = start_engine(stream.shape)
    before = len(rows) - STEADY.commands
    for part in cut(rows[:before], 1000):
        count(engine.apply_rows(part))
    took = watch.run(engine.apply_rows, cut(rows[before:], 1000), count)
    done = _of_engine(timed(STEADY.commands, took), count, memory, stream)
    return Resting(done, stream.resting, _far_read_ns(stream.shape.stages[0].commands, watch))


def resting_shape(orders: int) -> Shape:
    stages = (Stage(orders, 1, 0), STEADY._replace(commands=_WARMING), STEADY)
    return Shape(1, 1, 0, 1, stages, piece=min(1000, orders // 20))


def _far_read_ns(rows: int, watch: Watch) -> float:
    """One read at an address that the last one gave, in as much memory as so many orders take."""
    order = np.random.default_rng(1).permutation(rows)
    cells = np.zeros(rows * _CELLS, np.int64)
    cells[order * _CELLS] = np.roll(order, -1) * _CELLS
    _chase(cells, rows)
    reads = 200_000
    return int(watch.run(lambda count: _chase(cells, len(count)), [range(reads)], bool).sum()) / reads


@njit(cache=True)
def _chase(cells: NDArray[np.int64], reads: int) -> int:
    place = 0
    for _ in range(reads):
        place = cells[place]
    return place
