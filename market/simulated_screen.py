"""Live progress in the terminal: one line for each stage, with a bar while it runs and its time when it is done.

Without a terminal (a log, a pipe) only the finished lines are written.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

LABEL_WIDTH = 34


class Stage:
    """What is told while a stage runs: ``step(count, note)``, or ``note(text)`` alone."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self.last_note = ""

    def step(self, count: int, note: str) -> None:
        self.last_note = note
        self._progress.update(self._task, advance=count, note=note)

    def note(self, note: str) -> None:
        self.step(0, note)


class Screen:
    """Where a simulation says what it does."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.started = time.monotonic()

    @property
    def elapsed_s(self) -> int:
        return round(time.monotonic() - self.started)

    def say(self, line: str, style: str = "") -> None:
        self.console.print(Text(line, style=style), soft_wrap=True)

    @contextmanager
    def stage(self, label: str, total: int | None = None) -> Iterator[Stage]:
        """A stage of the work; its last note stays on the screen."""
        began = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn(f"{label:<{LABEL_WIDTH}}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn() if total is not None else TextColumn(""),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            stage = Stage(progress, progress.add_task(label, total=total, note=""))
            yield stage
        took = f"{time.monotonic() - began:6.1f} s"
        self.say(f"  {label:<{LABEL_WIDTH}} {took}   {stage.last_note}")
