"""More than a market bears, for ten minutes: does its memory grow?

    python bench/bench_overload.py [--seconds 600] [--workers 200] [--readers 20] [--idlers 20]

The server is a process of its own (SQLite, synchronous=FULL); this one sends signed batches of orders on 127.0.0.1, and
sends again what was turned away. Readers ask for lists and books, idlers subscribe to every trade and never read. The
server's resident memory is taken every second. Afterwards every order that was answered as placed is looked for in the
record; exit code 1 when one is missing.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.market.flood import Flood, Report, missing_from, prepare
from tests.market.killed_server import child

MEMBERS = 40
BATCH = 100
BOUNDS = {"queue_bound": 5_000, "requests": 60}
"""Far below what the workers hold ready: 20,000 orders in 200 requests."""

COLUMNS, ROWS = 72, 12


def chart(values: Sequence[float], unit: str) -> str:
    """The values over time, from 0 to their highest, as text."""
    top = max(values)
    width = min(COLUMNS, len(values))
    means = [_mean(values[n * len(values) // width : (n + 1) * len(values) // width]) for n in range(width)]
    lines = []
    for row in range(ROWS, 0, -1):
        bar = "".join("█" if mean >= top * (row - 0.5) / ROWS else " " for mean in means)
        lines.append(f"{top * row / ROWS:8.0f} {unit} |{bar}".rstrip())
    lines.append(f"{'':{10 + len(unit)}}+{'-' * width}")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def told(report: Report, seconds: float) -> str:
    rss_mib = [each / 1024 for each in report.rss_kib]
    third = len(rss_mib) // 3
    first, middle, last = _mean(rss_mib[:third]), _mean(rss_mib[third:-third]), _mean(rss_mib[-third:])
    asked = sum(report.statuses.values())
    seen = report.last
    assert seen is not None
    dropped = {reason: seen("streams_dropped_total", reason=reason) for reason in seen.labels("streams_dropped_total")}
    return "\n".join(
        [
            f"{seconds:.0f} s: {asked:,} requests, {asked / max(report.statuses[200], 1):.1f} for each that was served",
            f"answered: {', '.join(f'{status}: {count:,}' for status, count in sorted(report.statuses.items()))}",
            f"turned away: {', '.join(f'{code}: {count:,}' for code, count in sorted(report.codes.items()))}",
            f"orders placed: {len(report.placed):,}, {len(report.placed) / seconds:,.0f} a second",
            f"highest queue: {max(report.queued):,.0f} of {seen('queue_bound_orders'):,.0f} orders",
            f"streams closed by the server: {', '.join(f'{k}: {v:.0f}' for k, v in dropped.items()) or 'none'}",
            f"open orders at most: {max(report.open_orders):,.0f}",
            f"memory: thirds of the time {first:.1f}, {middle:.1f}, {last:.1f} MiB; {100 * (last / first - 1):+.1f} %",
            "",
            chart(rss_mib, "MiB"),
        ]
    )


async def measure(options: argparse.Namespace, folder: Path) -> int:
    sellers = await prepare(folder, MEMBERS)
    async with child(folder, log_every=0, **BOUNDS) as (process, address):
        flood = Flood(int(address.rpartition(":")[2]), process.pid, sellers, BATCH)
        report = await flood.run(
            options.seconds, workers=options.workers, readers=options.readers, idlers=options.idlers
        )
        process.kill()
    print(told(report, options.seconds))
    missing = missing_from(folder, report.placed)
    print(f"answered and not in the record: {len(missing)}")
    return 1 if missing else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--workers", type=int, default=200, help="connections that place orders")
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--idlers", type=int, default=20, help="streams that nobody reads")
    with tempfile.TemporaryDirectory(prefix="jinsha-bench-") as folder:
        sys.exit(asyncio.run(measure(parser.parse_args(), Path(folder))))


if __name__ == "__main__":
    main()
