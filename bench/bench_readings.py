"""How fast a day's readings go in, what they take on the disk, and how long orders wait meanwhile; parts as ratios.

    python bench/bench_readings.py --meters 20000 --slots 96

Readings go through ``settlement.readings`` as the HTTP route calls it (parse CSV, leaves, root, verify the signature,
judge on a snapshot, write), in portions of 10,000, in the order of a file that goes meter by meter or slot by slot.
Beside it a second thread commits one row at a time, as the sequencer does: how long it waits is what orders would.
"""

import argparse
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sqlalchemy import Engine, insert

from data import tables
from data.bulk import insert_rows
from data.database import open_database, reading, sqlite_url
from data.schema import bring_forward
from market.reading_rows import read_csv, write_csv
from settlement import merkle, readings, signatures
from settlement.intents import Domain
from settlement.meters import Submitted
from settlement.reading_leaf import reading_leaves, root_digest
from settlement.rules import SettlementRules

SLOT_S = 900
START_S = 1_782_835_200
METER_OPERATOR = 3
DOMAIN = Domain(20260, bytes(20), bytes(32))
RULES = SettlementRules("Asia/Shanghai", 15, 5_500, 3_500, 6_000, 5, 86_400, 86_400)


class Figures(NamedTuple):
    """Of one run: ``parts_s`` is the processor's time for each part, ``waits_s`` how long commits beside it took."""

    readings: int
    wall_s: float
    cpu_s: float
    parts_s: Counter[str]
    bytes_each: float
    waits_s: list[float]
    rss_grown_mib: float

    @property
    def per_s(self) -> float:
        """Readings per second of the processor's time: what a machine with nothing else to do comes to."""
        return self.readings / self.cpu_s


def market_with(folder: Path, meters: int) -> Engine:
    """A database with so many meters under transformers of a hundred."""
    database = open_database(sqlite_url(folder / "market.db"))
    bring_forward(database)
    with database.begin() as connection:
        member = {"member_id": METER_OPERATOR, "name": "m", "kind": "institution", "roles": "[]", "status": "admitted"}
        connection.execute(insert(tables.members), {**member, "registered_s": 0})
        rows = [(node, f"M{node:06d}", None, 0, "40", "40", 0) for node in range(1, meters + 1)]
        columns = ("node_id", "name", "parent_id", "level", "export_kw", "import_kw", "connected_s")
        insert_rows(connection, tables.nodes, columns, rows)
        owned = [(node, METER_OPERATOR, "household", 1_000, 1_000) for node in range(1, meters + 1)]
        insert_rows(connection, tables.meters, ("node_id", "member_id", "kind", "export_lots", "import_lots"), owned)
    return database


def day_of(meters: int, slots: int, at_once: int, *, by_slot: bool) -> Iterator[list[Submitted]]:
    """A day's readings in the order of a file, in portions."""
    portion: list[Submitted] = []
    outer, inner = (slots, meters) if by_slot else (meters, slots)
    for first in range(outer):
        for second in range(inner):
            slot, meter = (first, second) if by_slot else (second, first)
            lots = (meter * 7 + slot * 13) % 700
            portion.append(Submitted(f"M{meter + 1:06d}", START_S + slot * SLOT_S, lots // 3, lots))
            if len(portion) == at_once:
                yield portion
                portion = []
    if portion:
        yield portion


def measure(meters: int, slots: int, *, at_once: int = 10_000, by_slot: bool = False) -> Figures:
    """One day of so many meters into a new SQLite file."""
    with TemporaryDirectory(prefix="jinsha-bench-") as folder:
        database = market_with(Path(folder), meters)
        before_bytes = (Path(folder) / "market.db").stat().st_size
        key = signatures.new_private_key()
        verifying = signatures.public_key(key)
        waits_s: list[float] = []
        stopped = threading.Event()
        orders = threading.Thread(target=_commit_beside, args=(database, waits_s, stopped))
        parts_s: Counter[str] = Counter()
        rss_mib = _rss_mib()
        orders.start()
        count, wall_s = 0, 0.0
        for some in day_of(meters, slots, at_once, by_slot=by_slot):
            root = merkle.root(reading_leaves(some))
            payload, signature = (
                write_csv(some),
                signatures.sign(key, root_digest(DOMAIN, METER_OPERATOR, root, len(some))),
            )
            wall_s += _record(database, payload, signature, verifying, parts_s)
            count += len(some)
        stopped.set()
        orders.join()
        database.dispose()
        size = (Path(folder) / "market.db").stat().st_size - before_bytes
        return Figures(count, wall_s, sum(parts_s.values()), parts_s, size / count, waits_s, _rss_mib() - rss_mib)


def _record(
    database: Engine, payload: bytes, signature: bytes, key: signatures.PublicKey, parts_s: Counter[str]
) -> float:
    begun_s = time.perf_counter()
    marks = [("", time.thread_time())]
    rows = [row for row in read_csv(payload) if isinstance(row, Submitted)]
    marks.append(("parse CSV", time.thread_time()))
    batch = readings.batch_of(rows, signer=METER_OPERATOR, signature=signature)
    assert signatures.is_signed(key, root_digest(DOMAIN, METER_OPERATOR, batch.root, len(rows)), signature)
    marks.append(("leaves, root, signature", time.thread_time()))
    now_s = START_S + 86_400
    with reading(database) as snapshot:
        judged = readings.judge_batch(snapshot, batch, now_s=now_s, rules=RULES)
    marks.append(("judge on a snapshot", time.thread_time()))
    with database.begin() as connection:
        readings.write(connection, batch, judged, now_s=now_s, rules=RULES)
    marks.append(("write, with the lock", time.thread_time()))
    for (_, earlier_s), (name, later_s) in pairwise(marks):
        parts_s[name] += later_s - earlier_s
    return time.perf_counter() - begun_s


def _commit_beside(database: Engine, waits_s: list[float], stopped: threading.Event) -> None:
    number = 0
    while not stopped.wait(0.005):
        number += 1
        begun_s = time.perf_counter()
        with database.begin() as connection:
            connection.execute(insert(tables.settings), {"name": f"order {number}", "value": "1"})
        waits_s.append(time.perf_counter() - begun_s)


def _rss_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--meters", type=int, default=20_000)
    parser.add_argument("--slots", type=int, default=96)
    parser.add_argument("--at-once", type=int, default=10_000, help="readings under one signature")
    options = parser.parse_args()
    for by_slot in (True, False):
        figures = measure(options.meters, options.slots, at_once=options.at_once, by_slot=by_slot)
        waits_s = sorted(figures.waits_s)
        order = "slot by slot" if by_slot else "meter by meter"
        middle, hundredth = waits_s[len(waits_s) // 2], waits_s[len(waits_s) * 99 // 100]
        sys.stdout.write(
            f"{order}: {figures.readings:,} readings, {figures.per_s:,.0f} per second of processor time "
            f"({figures.readings / figures.wall_s:,.0f} by the wall), {figures.bytes_each:.1f} bytes each, "
            f"memory grown by {figures.rss_grown_mib:.0f} MiB\n"
            f"  a commit beside it waits {1000 * middle:.1f} ms, one in a hundred {1000 * hundredth:.0f} ms\n"
        )
        for name, part_s in figures.parts_s.most_common():
            share, each_us = part_s / figures.cpu_s, 1e6 * part_s / figures.readings
            sys.stdout.write(f"  {share:4.0%}  {each_us:5.2f} us each  {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
