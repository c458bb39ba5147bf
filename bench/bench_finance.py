"""Finance measured: a billing period closed, pages of receivables, auctions, scoring: ``make bench-finance``.

    python bench/bench_finance.py [--only close,pages] [--help for the sizes]

Sections run one after the other in one process, each on files of its own; a module beside this one holds each. Times
are those of the clock, so an otherwise idle machine is wanted.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from importlib import import_module

from progress_shown import progress
from rich.console import Console
from rich.table import Table

Rows = list[tuple[str, str]]

SECTIONS: dict[str, str] = {
    "close": "finance_close",
    "pages": "finance_pages",
    "auctions": "finance_auctions",
    "scoring": "finance_scoring",
}


def main() -> int:
    options = _options()
    wanted = options.only.split(",") if options.only else list(SECTIONS)
    unknown = sorted(set(wanted) - set(SECTIONS))
    if unknown:
        sys.exit(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    table = Table("section", "what", "found", title="Finance")
    failed: list[str] = []
    with progress() as shown:
        task = shown.add_task("", total=len(wanted))
        for name in wanted:
            shown.update(task, description=name)
            try:
                for what, found in _run(name, options, lambda said: shown.update(task, description=said)):
                    table.add_row(name, what, found)
            except Exception as error:  # noqa: BLE001 - the other sections are still worth their time; the table says it
                failed.append(name)
                table.add_row(name, "broke off", repr(error))
            shown.advance(task)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    return 1 if failed else 0


def _run(name: str, options: argparse.Namespace, say: Callable[[str], None]) -> Rows:
    """A section's rows: its name for each figure, and the figure with its unit."""
    run: Callable[..., Rows] = import_module(SECTIONS[name]).run
    if name == "close":
        return run(options.sellers, options.debtors, lambda what: say(f"close: {what}"))
    sizes = {"pages": options.receivables, "auctions": options.auctions}
    return run(sizes[name]) if name in sizes else run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="SECTIONS", help=f"some of {', '.join(SECTIONS)}, with commas between them")
    parser.add_argument("--sellers", type=int, default=10_000, help="in the period that is closed")
    parser.add_argument("--debtors", type=int, default=50, help="of each of them")
    parser.add_argument("--receivables", type=int, default=1_000_000, help="in the list whose pages are read")
    parser.add_argument("--auctions", type=int, default=10, help="of 20 bids each")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
