"""``jinsha replay``: a file of commands through the engine alone, trades and rejects out.

Source of formats and defaults: docs/market_rules.md, "Files for replay". Exit codes: 0 done; 1 the output could not
be written; 2 an argument or a file is refused, and nothing was run; 130 stopped by Ctrl-C. Output files appear when
they are complete, or not at all.
"""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from data.units import UnitError, format_energy, parse_price_ticks
from matching.fast import EngineLimitError, FastEngine
from matching.kernel import REJECTED, TRADED, Rows
from matching.order import Level, Reason, Rules, Side
from matching.replay_commands import CommandFile
from matching.replay_decimals import write_energy, write_price
from matching.replay_grid import read_grid
from matching.replay_outputs import TableWriter
from matching.replay_rehearsal import rehearse_files
from matching.replay_tables import ReplayError, check_ending
from matching.replay_texts import Texts

TRADE_COLUMNS = ("slot", "buy_order", "sell_order", "quantity", "seller_price", "buyer_price", "taker", "level")
REJECT_COLUMNS = ("order_id", "reason")
FAILED, REFUSED, INTERRUPTED = 1, 2, 130

_EVENTS_AT_ONCE = 2**16

_SIDES = Texts.of_strings(["", *(side.name.lower() for side in Side)])
_LEVELS = Texts.of_strings([level.name.lower() for level in Level])
_REASONS = Texts.of_strings(["", *(reason.code for reason in Reason)])


class Tally(NamedTuple):
    """What one replay did. ``elapsed_ns`` is the time the matching took, reading and writing included."""

    commands: int
    trades: int
    energy_lots: int
    rejects: int
    elapsed_ns: int

    def __str__(self) -> str:
        tenths_s = self.elapsed_ns // 10**8
        per_s = self.commands * 10**9 // max(self.elapsed_ns, 1)
        return (
            f"{self.commands:,} commands, {self.trades:,} trades, {format_energy(self.energy_lots)} kWh, "
            f"{self.rejects:,} rejects in {tenths_s // 10}.{tenths_s % 10} s: {per_s:,} commands/s"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``jinsha replay``."""
    files = {
        "--grid": "node,parent,level,export_kw,import_kw",
        "--commands": "what is done, row after row",
        "--trades": "where the trades go",
    }
    for name, explanation in files.items():
        parser.add_argument(name, type=Path, metavar="FILE", help=f"{explanation} (.csv or .parquet)")
    parser.add_argument("--rejects", type=Path, metavar="FILE", help="where refusals go (.csv or .parquet)")
    parser.add_argument(
        "--fees",
        type=_fees,
        default="0.02,0.05,0.11",
        metavar="A,B,C",
        help="wheeling fees in CNY/kWh at transformer, feeder and substation distance (default %(default)s)",
    )
    parser.add_argument("--floor", type=_price, default="0", help="lowest price, CNY/kWh (default %(default)s)")
    parser.add_argument("--cap", type=_price, default="2", help="highest price, CNY/kWh (default %(default)s)")
    parser.add_argument("--slot-minutes", type=_minutes, default="15", help="length of a slot (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Carry out ``jinsha replay`` and tell about it. Returns the exit code."""
    screen = Console(stderr=True)
    try:
        _check_given(arguments)
        rules = _rules(arguments.fees, arguments.floor, arguments.cap)
        tally = replay(
            rules=rules,
            grid=arguments.grid,
            commands=arguments.commands,
            trades=arguments.trades,
            rejects=arguments.rejects,
            slot_minutes=arguments.slot_minutes,
            screen=screen,
        )
    except ReplayError as refusal:
        _say(screen, f"jinsha replay: {refusal}")
        return REFUSED
    except OSError as outage:
        _say(screen, f"jinsha replay: {outage}; no file was written")
        return FAILED
    except KeyboardInterrupt:
        _say(screen, "jinsha replay: stopped; no file was written")
        return INTERRUPTED
    _say(Console(), str(tally))
    return 0


def replay(
    *, rules: Rules, grid: Path, commands: Path, trades: Path, rejects: Path | None, slot_minutes: int, screen: Console
) -> Tally:
    """Run the commands and write what came of them. Raises ReplayError before any command has run."""
    _check_paths([grid, commands], [trades, rejects] if rejects else [trades])
    rehearse_files()
    connects, nodes = read_grid(grid, slot_minutes)
    engine = _start(rules)
    engine.apply(connects)
    file = CommandFile(commands, nodes, slot_minutes)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    with bars as progress, ExitStack() as stack:
        checking = progress.add_task("checking commands", total=None)
        rows = file.check(lambda count: progress.advance(checking, count))
        progress.remove_task(checking)
        matching = progress.add_task("matching", total=rows)
        outcome = _Outcome(
            file,
            stack.enter_context(TableWriter(trades, TRADE_COLUMNS)),
            stack.enter_context(TableWriter(rejects, REJECT_COLUMNS)) if rejects else None,
        )
        started_ns = time.perf_counter_ns()
        for batch in file.rows():
            outcome.add(engine.apply_rows(batch))
            progress.advance(matching, len(batch))
        return outcome.tally(engine.sequence - len(connects), time.perf_counter_ns() - started_ns)


class _Outcome:
    """Writes events down as they come, and counts them."""

    def __init__(self, file: CommandFile, trades: TableWriter, rejects: TableWriter | None) -> None:
        self._order_ids, self._slots = file.order_ids, file.slots.texts
        self._trades, self._rejects = trades, rejects
        self._trade_count = self._energy_lots = self._reject_count = 0

    def add(self, events: Rows) -> None:
        """Rows of ``kernel.EVENT``."""
        for start in range(0, len(events), _EVENTS_AT_ONCE):
            part = events[start : start + _EVENTS_AT_ONCE]
            self._add_trades(part[part["kind"] == TRADED])
            self._add_rejects(part[part["kind"] == REJECTED])

    def _add_trades(self, trades: Rows) -> None:
        self._trade_count += len(trades)
        self._energy_lots += int(trades["quantity_lots"].sum())
        self._trades.add(
            [
                self._slots.take(trades["slot"]),
                self._order_ids.texts(trades["order_id"]),
                self._order_ids.texts(trades["other"]),
                write_energy(trades["quantity_lots"]),
                write_price(trades["price_ticks"]),
                write_price(trades["buyer_price_ticks"]),
                _SIDES.take(trades["taker"]),
                _LEVELS.take(trades["level"]),
            ]
        )

    def _add_rejects(self, rejects: Rows) -> None:
        self._reject_count += len(rejects)
        if self._rejects:
            self._rejects.add([self._order_ids.texts(rejects["order_id"]), _REASONS.take(rejects["reason"])])

    def tally(self, commands: int, elapsed_ns: int) -> Tally:
        return Tally(commands, self._trade_count, self._energy_lots, self._reject_count, elapsed_ns)


def _start(rules: Rules) -> FastEngine:
    """An engine, compiled now if it has to be, before there is a progress bar."""
    try:
        return FastEngine(rules)
    except EngineLimitError as error:
        raise ReplayError(str(error)) from error


def _check_given(arguments: argparse.Namespace) -> None:
    for name in ("grid", "commands", "trades"):
        if getattr(arguments, name) is None:
            raise ReplayError(f"--{name} FILE is needed")


def _check_paths(inputs: list[Path], outputs: list[Path]) -> None:
    """No file serves twice, and every output can be put where it should go."""
    for path in (*inputs, *outputs):
        check_ending(path)
    for place, path in enumerate(outputs):
        if path.resolve() in [other.resolve() for other in (*inputs, *outputs[:place])]:
            raise ReplayError(f"{path}: named twice, an output must be a file of its own")
        if not path.parent.is_dir():
            raise ReplayError(f"{path}: there is no folder {path.parent}")


def _rules(fee_ticks: tuple[int, int, int], floor_ticks: int, cap_ticks: int) -> Rules:
    try:
        return Rules(fee_ticks=fee_ticks, floor_ticks=floor_ticks, cap_ticks=cap_ticks)
    except ValueError as error:
        raise ReplayError(str(error)) from error


def _price(text: str) -> int:
    try:
        return parse_price_ticks(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _fees(text: str) -> tuple[int, int, int]:
    fees = text.split(",")
    if len(fees) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not three fees such as 0.02,0.05,0.11")
    return _price(fees[0]), _price(fees[1]), _price(fees[2])


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1440):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes from 1 to 1440")
    return int(text)


def _say(screen: Console, text: str) -> None:
    screen.print(text, markup=False, highlight=False, soft_wrap=True)
