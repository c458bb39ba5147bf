"""``jinsha readings check|send``: a day of a whole market's readings from a CSV or Parquet file, in bounded memory.

A file is read, signed and sent in portions. A row that is no reading, or that the market quarantines, is told by its
number and stops nothing else. What was acknowledged is noted beside the file, so that the same command goes on there
after Ctrl-C or when the server was away; and what is sent twice changes nothing.
"""

import argparse
import asyncio
import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from market.client import Client, ClientError, RefusedError
from market.client.sending import Raw
from market.config import INSTITUTIONS
from market.reading_rows import COLUMNS, Broken, Rows, write_csv
from market.reading_source import FileError, Portion, Source, open_source
from settlement import signatures
from settlement.meters import Status, Submitted
from settlement.reading_leaf import reading_leaves, signing_digest

AT_ONCE = 10_000
SHOWN = 20
"""Rows left out that are printed; all of them go to ``--rejected``."""

_EPILOG = """\
The file has the columns meter, slot, export and import, in any order: the meter's name; the start of the slot in UTC
(2026-07-01T10:15:00Z, in Parquet also a timestamp with a time zone); kWh as decimals in steps of 0.01 (in Parquet text
or decimals, never floating-point numbers, which are not exact). Rows are numbered from 1, after the header.

exit code: 0 all is well; 1 something was left out, or the market was not there to the end; 2 the file, the key or the
market can not be used; 130 Ctrl-C. After 1 with the market away, and after 130, the same command goes on where it was.

  jinsha readings check 2026-07-01.csv --rejected left-out.csv
  jinsha readings send 2026-07-01.parquet --server https://market.example --key meter-operator.pem
"""


_ACTIONS = {"check": "read the file and tell every broken row", "send": "sign the rows and send them"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in _ACTIONS.items():
        action = actions.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        action.add_argument("file", type=Path, help="readings, as CSV with a header or (*.parquet) as Parquet")
        action.add_argument("--rejected", type=Path, metavar="FILE", help="write rows that are left out here, as CSV")
        if name == "send":
            _add_sending(action)


def _add_sending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", required=True, metavar="URL", help="the market's address")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the signer's private key, a PEM file")
    parser.add_argument(
        "--member",
        type=int,
        default=INSTITUTIONS["meter_operator"],
        help="the signer's member id (default: %(default)s, the meter operator)",
    )
    parser.add_argument(
        "--at-once", type=int, default=AT_ONCE, metavar="ROWS", help="rows under one signature (default: %(default)s)"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, metavar="S", help="wait so long for a server (default: %(default)s)"
    )
    parser.add_argument(
        "--from-start", action="store_true", help="send the whole file again, also what was acknowledged before"
    )


def run(arguments: argparse.Namespace) -> int:
    """Check or send a file. Exit codes: see ``_EPILOG``."""
    try:
        if arguments.action == "check":
            return _check(arguments)
        return _send(arguments)
    except (FileError, OSError, ValueError) as error:
        sys.stderr.write(f"jinsha readings: {str(error).splitlines()[0]}\n")
        return 2


# ------------------------------------------------------------------------------------------- what is told


@dataclass
class Report:
    """What became of the rows so far; those left out are written to ``rejected`` as they come."""

    console: Console
    rejected: Any = None
    counts: Counter[str] = field(default_factory=Counter)
    left_out: int = 0

    def leave_out(self, row: int, column: str, why: str, values: Sequence[str]) -> None:
        self.left_out += 1
        if self.rejected is not None:
            self.rejected.writerow((row, column, why, *values))
        if self.left_out <= SHOWN:
            self.console.print(f"row {row:,}, {column}: {why}", highlight=False, markup=False)
        elif self.left_out == SHOWN + 1:
            self.console.print("... and more; --rejected FILE keeps them all", highlight=False)

    def end(self, what: str) -> int:
        """The summary, and the exit code."""
        told = ", ".join(f"{count:,} {status}" for status, count in sorted(self.counts.items()) if count)
        self.console.print(f"{what}: {told or 'no rows'}; {self.left_out:,} left out", highlight=False)
        return 1 if self.left_out else 0


def _report(held: ExitStack, console: Console, rejected: Path | None) -> Report:
    if rejected is None:
        return Report(console)
    writer = csv.writer(held.enter_context(rejected.open("w", newline="", encoding="utf-8")))
    writer.writerow(("row", "column", "why", *COLUMNS))
    return Report(console, writer)


def _progress(console: Console) -> Progress:
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(TextColumn("{task.description}"), *columns, console=console, transient=True)


# --------------------------------------------------------------------------------------------------- check


def _check(arguments: argparse.Namespace) -> int:
    console, rows = Console(), Rows()
    with ExitStack() as held:
        source = held.enter_context(open_source(arguments.file))
        report = _report(held, console, arguments.rejected)
        progress = held.enter_context(_progress(console))
        task = progress.add_task("checking", total=source.size)
        for portion in source.portions(AT_ONCE):
            readings = _readings(portion, rows, report)
            report.counts["rows are readings"] += len(readings)
            progress.update(task, completed=portion.read)
        progress.update(task, completed=source.size)
    return report.end(str(arguments.file))


class _Numbered(NamedTuple):
    """A reading with the number of its row."""

    row: int
    reading: Submitted


def _readings(portion: Portion, rows: Rows, report: Report) -> list[_Numbered]:
    """The readings of a portion; its broken rows are told."""
    found = []
    for row, column, why, values in portion.broken:
        report.leave_out(row, column, why, values)
    for number, each in zip(portion.numbers, rows.read(portion.rows), strict=True):
        if isinstance(each, Broken):
            report.leave_out(number, each.column, each.why, each.values)
        else:
            found.append(_Numbered(number, each))
    return found


# ---------------------------------------------------------------------------------------------------- send


class _Summary(msgspec.Struct):
    """What the market answers; see ``market/routes/readings.py``."""

    accepted: int
    corrected: int
    confirmed: int
    late: int
    duplicate: int
    left_out: list[dict[str, Any]]


class _Signed(NamedTuple):
    """A portion ready to be sent, and where the next one begins."""

    readings: list[_Numbered]
    request: Raw
    last_row: int
    read: int


def _send(arguments: argparse.Namespace) -> int:
    key = signatures.private_from_pem(arguments.key.read_bytes())
    console = Console()
    with ExitStack() as held:
        source = held.enter_context(open_source(arguments.file))
        noted = Noted(arguments.file, arguments.server)
        if arguments.from_start:
            noted.forget()
        report = _report(held, console, arguments.rejected)
        progress = held.enter_context(_progress(console))
        try:
            asyncio.run(_send_all(arguments, key, source, noted, report, progress))
        except RefusedError as error:
            console.print(f"the market refuses: {error}", highlight=False, markup=False)
            return 2
        except ClientError as error:
            console.print(f"{error}; the same command goes on after row {noted.row:,}", highlight=False, markup=False)
            return 1
    return report.end(str(arguments.file))


async def _send_all(  # noqa: PLR0917 - what the one caller has put together
    arguments: argparse.Namespace,
    key: ec.EllipticCurvePrivateKey,
    source: Source,
    noted: "Noted",
    report: Report,
    progress: Progress,
) -> None:
    """One portion is on its way while the next is read and signed."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:
        client = Client(http, arguments.server, arguments.member, key, patience_s=arguments.patience)
        domain = (await client.facts()).domain("Clearing")

        def sign(leaves: list[bytes]) -> str:
            return client.sign(signing_digest(domain, arguments.member, leaves))

        if noted.row:
            report.console.print(f"going on after row {noted.row:,}", highlight=False)
        task = progress.add_task("sending", total=source.size)
        portions = source.portions(arguments.at_once, after=noted.row)
        rows = Rows()
        following = partial(_next_signed, portions, rows, report, sign)
        waiting = await loop.run_in_executor(None, following)
        while waiting is not None:
            prepared = loop.run_in_executor(None, following)
            try:
                await _deliver(client, waiting, report)
            finally:
                following_one = await prepared
            noted.put(waiting.last_row)
            progress.update(task, completed=waiting.read)
            waiting = following_one
        progress.update(task, completed=source.size)
    noted.forget()


def _next_signed(portions: Iterator[Portion], rows: Rows, report: Report, sign: Any) -> _Signed | None:
    portion = next(portions, None)
    if portion is None:
        return None
    readings = _readings(portion, rows, report)
    submitted = [each.reading for each in readings]
    signature = sign(reading_leaves(submitted))
    headers = {"Content-Type": "text/csv", "Readings-Signature": signature}
    return _Signed(readings, Raw(write_csv(submitted), headers), portion.last_row, portion.read)


async def _deliver(client: Client, signed: _Signed, report: Report) -> None:
    if not signed.readings:
        return
    answer = await client.ask(_Summary, "POST", "/v1/readings/csv", signed.request)
    for status in (Status.ACCEPTED, Status.CORRECTED, Status.CONFIRMED, Status.LATE, Status.DUPLICATE):
        report.counts[status] += getattr(answer, status)
    for each in answer.left_out:
        row, reading = signed.readings[each["row"] - 1]
        report.leave_out(row, "-", f"quarantined: {each['code']}", [str(value) for value in reading])


class Noted:
    """How far a file was acknowledged by a server, in a small file beside it: it holds for this file as it is now."""

    def __init__(self, file: Path, server: str) -> None:
        state = file.stat()
        self._path = file.with_name(f"{file.name}.sent")
        self._mark = f"{server} {state.st_size} {state.st_mtime_ns}"
        self.row = 0
        if self._path.exists():
            mark, _, row = self._path.read_text(encoding="utf-8").strip().rpartition(" ")
            if mark == self._mark and row.isdigit():
                self.row = int(row)

    def put(self, row: int) -> None:
        """All rows up to this one are acknowledged or told to be broken."""
        self.row = row
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{self._mark} {row}\n", encoding="utf-8")
        beside.replace(self._path)

    def forget(self) -> None:
        self.row = 0
        self._path.unlink(missing_ok=True)
