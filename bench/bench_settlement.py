"""Settlement measured from the gas of a trade to the audit of a market: ``make bench-settlement``.

    python bench/bench_settlement.py [--only gas,proof] [--help for the sizes]

Sections run one after the other in one process, each on files of its own; what they compare with is measured in the
same run. Times are those of the clock, so an otherwise idle machine is wanted. The table is Markdown, misses first.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable

import receivable_gas
import settlement_gas
import settlement_latency
import settlement_market
import settlement_pipe
from progress_shown import progress
from settlement_figures import Figure, Section, table

SECTIONS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "gas": lambda _: settlement_gas.section,
    "receivables": lambda _: receivable_gas.section,
    "commitments": lambda _: settlement_pipe.commitments_section,
    "cycle": lambda _: settlement_pipe.cycle_section,
    "growth": lambda _: settlement_pipe.growth_section,
    "latency": lambda _: settlement_latency.section,
    "audit": lambda options: settlement_market.audit_section(options.trades),
    "restart": lambda options: settlement_market.restart_section(options.orders),
}


def main() -> int:
    options = _options()
    wanted = options.only.split(",") if options.only else list(SECTIONS)
    unknown = sorted(set(wanted) - set(SECTIONS))
    if unknown:
        sys.exit(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    figures: dict[str, list[Figure]] = {}
    failed: dict[str, str] = {}
    with progress() as shown:
        task = shown.add_task("", total=len(wanted))
        for name in wanted:
            found = figures.setdefault(name, [])

            def say(what: str, name: str = name) -> None:
                shown.update(task, description=f"{name}: {what}")

            try:
                for figure in SECTIONS[name](options)(say):
                    found.append(figure)
            except Exception as error:  # noqa: BLE001 - the other sections are still worth their time; the table says it
                failed[name] = repr(error)
            shown.advance(task)
    print(table(figures, failed))
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="SECTIONS", help=f"some of {', '.join(SECTIONS)}, with commas between them")
    parser.add_argument("--trades", type=int, default=10_000, help="in the market that is audited")
    parser.add_argument("--orders", type=int, default=100_000, help="in the market that is started again")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
