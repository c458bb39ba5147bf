"""``jinsha checker``: the checker's process, wired with what finance adds to it."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from finance.examine import PeriodExaminer
from market.logs import start_logging
from settlement import checker, signatures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", required=True, metavar="URL", help="the market's address")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the checker's private key, a PEM file")
    parser.add_argument("--member", type=int, default=2, help="the checker's member id (default: %(default)s)")
    parser.add_argument(
        "--chain",
        metavar="URL",
        help="a node of the chain, asked which trades were struck; without it none may be left out",
    )
    parser.add_argument("--keep-going", action="store_true", help="stay after a contradiction, refusing on")


def run(arguments: argparse.Namespace) -> int:
    """Check until told to stop. Exit code 0; 1 at a contradiction; 2 when key or market can not be used."""
    start_logging()
    try:
        key = signatures.private_from_pem(arguments.key.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        sys.stderr.write(f"jinsha checker: {arguments.key}: {error}\n")
        return 2
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    return checker.run(
        arguments.server,
        key,
        member=arguments.member,
        keep_going=arguments.keep_going,
        chain_url=arguments.chain,
        verify_period=PeriodExaminer(),
        is_stopped=stopped.is_set,
    )
