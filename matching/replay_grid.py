"""The grid of ``jinsha replay``, read as docs/market_rules.md, "Files for replay", lays it down.

Nodes are numbered as they appear.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data.units import UnitError, limit_lots_floor
from matching.grid import NO_PARENT
from matching.order import Connect, Level
from matching.replay_tables import ReplayError, read_batches, refuse

GRID_COLUMNS = ("node", "parent", "level", "export_kw", "import_kw")
LEVELS = {level.name.lower(): level for level in Level}


def read_grid(path: Path, slot_minutes: int) -> tuple[list[Connect], dict[str, int]]:
    """What connects the grid, parents first, and the number of each node by name. Raises ReplayError."""
    rows = list(_rows(path))
    numbers: dict[str, int] = {}
    for row, (node, _, level, *limits) in enumerate(rows, 1):
        if not node:
            raise refuse(path, row, "node", "empty")
        if node in numbers:
            raise refuse(path, row, "node", f"{node!r} is there already")
        if level not in LEVELS:
            raise refuse(path, row, "level", f"{level!r} is none of {', '.join(LEVELS)}")
        check_limits(path, row, limits, slot_minutes)
        numbers[node] = len(numbers)
    _check_tree(path, rows)
    connects = [
        Connect(
            node=numbers[node],
            parent=numbers[parent] if parent else NO_PARENT,
            level=LEVELS[level],
            export_lots=_limit_of(export_kw, slot_minutes),
            import_lots=_limit_of(import_kw, slot_minutes),
        )
        for node, parent, level, export_kw, import_kw in rows
    ]
    return sorted(connects, key=lambda connect: -connect.level), numbers  # a parent's level is above its children's


def _rows(path: Path) -> Iterator[tuple[str, ...]]:
    for batch in read_batches(path, GRID_COLUMNS, GRID_COLUMNS[:3]):
        yield from zip(*(batch.column(name).strings() for name in GRID_COLUMNS), strict=True)


def _limit_of(text: str, slot_minutes: int) -> int | None:
    """Lots per slot of a limit in kW; None, no limit, for an empty text. Raises UnitError."""
    return limit_lots_floor(text, slot_minutes) if text else None


def check_limits(path: Path, row: int, limits: Sequence[str], slot_minutes: int) -> None:
    """Raise ReplayError unless both limits of a row, in kW, are empty or decimals >= 0."""
    for column, limit_kw in zip(("export_kw", "import_kw"), limits, strict=True):
        try:
            _limit_of(limit_kw, slot_minutes)
        except UnitError as error:
            raise refuse(path, row, column, str(error)) from error


def _check_tree(path: Path, rows: list[tuple[str, ...]]) -> None:
    """One root, above meters; every other node under one that is there and of a higher level."""
    parents = {node: parent for node, parent, *_ in rows}
    levels = {node: LEVELS[level] for node, _, level, *_ in rows}
    roots = [node for node, parent in parents.items() if not parent]
    for row, (node, parent, level, *_) in enumerate(rows, 1):
        if parent and parent not in parents:
            raise refuse(path, row, "parent", f"{parent!r} is no node of this file")
        if not parent and node != roots[0]:
            raise refuse(path, row, "parent", f"empty, but {roots[0]!r} is the root already")
        if _is_in_cycle(node, parents):
            raise refuse(path, row, "parent", f"{node!r} hangs, over its parents, under itself")
        if parent and levels[parent] <= levels[node]:
            raise refuse(path, row, "level", f"a {level} can not hang under a {levels[parent].name.lower()}")
        if not parent and levels[node] is Level.METER:
            raise refuse(path, row, "level", "a meter can not be the root")
    if not roots:
        raise ReplayError(f"{path}: no root: one node, the root, has no parent")


def _is_in_cycle(node: str, parents: Mapping[str, str]) -> bool:
    above, seen = parents[node], set[str]()
    while above in parents and above not in seen:
        if above == node:
            return True
        seen.add(above)
        above = parents[above]
    return False
