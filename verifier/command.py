"""The command: one file in, a line for everything that holds, that does not, or that was only believed.

Exit codes: 0 it holds, 1 it does not, 2 it can not be read.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from verifier.chain import Block, Known, read_header
from verifier.document import MalformedError, read_json, to_bytes
from verifier.files import verify
from verifier.report import Report, Status
from verifier.words import LANGUAGES, sentence

_MARKS = {Status.HOLDS: "✓", Status.FAILS: "✗", Status.BELIEVED: "?", Status.SHOWN: "·"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="PROOF.json", help="a proof or evidence that a market gave out")
    parser.add_argument(
        "--header",
        type=Path,
        action="append",
        default=[],
        metavar="HEADER.json",
        help="a block of the chain from elsewhere, as eth_getBlockByNumber gives it; may be given again",
    )
    parser.add_argument(
        "--block-hash", action="append", default=[], metavar="HASH", help="the hash of a block; may be given again"
    )
    parser.add_argument("--lang", choices=LANGUAGES, help="the language (default: that of the locale)")


def run(arguments: argparse.Namespace) -> int:
    """Verify a file."""
    language = arguments.lang or _language()
    report = Report()
    try:
        known = Known([*map(read_header, arguments.header), *map(_block, arguments.block_hash)])
        verify(read_json(arguments.file.read_bytes()), report, known)
        known.finish(report)
    except (MalformedError, OSError) as error:
        sys.stderr.write(sentence(language, "malformed", {"what": error}) + "\n")
        return 2
    _say(report, language)
    return 0 if report.holds else 1


def _block(text: str) -> Block:
    return Block(None, to_bytes(text.lower().removeprefix("0x"), "--block-hash", 32))


def _language() -> str:
    """Source: POSIX, 8.2: the first of these that is set decides."""
    chosen = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "zh" if chosen.lower().startswith("zh") else "en"


def _say(report: Report, language: str) -> None:
    for each in report.findings:
        word = sentence(language, each.status.value, {})
        line = f"  {_MARKS[each.status]} {word}: {each.text(language)}" if word else f"  · {each.text(language)}"
        sys.stdout.write(line + "\n")
    counts = {status: sum(each.status == status for each in report.findings) for status in Status}
    details = {
        "checked": counts[Status.HOLDS] + counts[Status.FAILS],
        "failed": counts[Status.FAILS],
        "believed": counts[Status.BELIEVED],
    }
    sys.stdout.write(sentence(language, "result_holds" if report.holds else "result_fails", details) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m verifier``."""
    parser = argparse.ArgumentParser(prog="verifier", description="Verify a proof offline.")
    add_arguments(parser)
    return run(parser.parse_args(arguments))
