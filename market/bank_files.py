"""``jinsha iso20022 check FILE...``: whether files are ISO 20022 messages that this market reads, and what is in them.

Exit codes: 0 all are; 1 one is not, and why is said with its place; 2 a file can not be read.
"""

import argparse
import sys
from pathlib import Path

from data.units import FEN_DECIMALS, format_steps
from finance.iso20022 import assignment, camt_054, pain_001
from finance.iso20022.messages import kind_of
from finance.iso20022.shapes import CAMT_054, PAIN_001
from finance.iso20022.xml import MOST_BYTES, MessageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("check",))
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    worst = 0
    for path in arguments.files:
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
            sys.stdout.write(f"{path}: {told(data)}\n")
        except OSError as error:
            sys.stderr.write(f"jinsha iso20022: {error}\n")
            worst = 2
        except MessageError as error:
            sys.stdout.write(f"{path}: {error.code}: {error}\n")
            worst = max(worst, 1)
    return worst


def told(data: bytes) -> str:
    """A message in a few words: its kind, how many, how much. Raises MessageError."""
    kind = kind_of(data)
    if kind == PAIN_001:
        amounts = [payment.amount_fen for order in pain_001.read(data) for payment in order.payments]
    elif kind == CAMT_054:
        amounts = [entry.amount_fen for entry in camt_054.read(data).entries if entry.is_money]
    else:
        amounts = [item.total_fen for each in assignment.read(data) for item in each.items]
    things = {PAIN_001: "payments", CAMT_054: "credits"}.get(kind, "receivables")
    return f"{kind.rpartition(':')[2]}, {len(amounts)} {things}, {format_steps(sum(amounts), FEN_DECIMALS)} CNY"
