"""Runs ``jinsha replay`` in a folder: files in as text, exit code, files and messages out."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from matching.replay import add_arguments, run

GRID = """\
node,parent,level,export_kw,import_kw
A1,A,meter,,
A2,A,meter,,
B1,B,meter,,
B2,B,meter,,
B3,B,meter,,
C1,C,meter,,
A,F,transformer,,
B,F,transformer,,
C,G,transformer,,
F,S,feeder,,
G,S,feeder,,
S,,substation,,
"""

HEADER = "action,order_id,member,meter,side,slot,quantity,price,tif,reach,terms,basket,node,export_kw,import_kw"


@dataclass
class Desk:
    folder: Path
    capture: pytest.CaptureFixture[str]

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.folder / name

    def commands(self, rows: str) -> Path:
        """Rows as ``action order_id meter side slot quantity price`` in columns of text, the rest ``name=value``."""
        lines = [HEADER, *(self._line(row.split()) for row in rows.strip().splitlines())]
        return self.write("commands.csv", "\n".join(lines) + "\n")

    def _line(self, words: Sequence[str]) -> str:
        cells = dict.fromkeys(HEADER.split(","), "")
        plain = [word for word in words if "=" not in word]
        cells |= dict(zip(("action", "order_id", "meter", "side", "slot", "quantity", "price"), plain, strict=False))
        cells["member"] = f"owner of {cells['order_id']}"
        cells |= dict(word.split("=") for word in words if "=" in word)
        return ",".join("" if cell == "-" else cell for cell in cells.values())

    def run(
        self, *options: str, grid: str = "grid.csv", commands: str = "commands.csv", trades: str = "trades.csv"
    ) -> int:
        if not (self.folder / "grid.csv").exists():
            self.write("grid.csv", GRID)
        names = {"--grid": grid, "--commands": commands, "--trades": trades}
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        arguments = [part for option, name in names.items() for part in (option, str(self.folder / name))]
        return run(parser.parse_args([*arguments, *options]))

    def lines(self, name: str) -> list[str]:
        """The rows of a written CSV, without its header."""
        return (self.folder / name).read_text(encoding="utf-8").splitlines()[1:]

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}
