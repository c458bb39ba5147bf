"""The grid and the commands of ``jinsha replay``, read as docs/market_rules.md, "Files for replay", lays them down.

Names in the files are any text; the engine wants numbers. Nodes, orders and members are numbered as they appear, slots
in the order of their names, because that is the order in which the engine must go through them.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from data.units import UnitError, limit_lots_floor, parse_energy_lots, parse_price_ticks, parse_steps
from matching.grid import NO_PARENT
from matching.order import (
    BAD_PRICE_TICKS,
    BAD_QUANTITY_LOTS,
    Amend,
    Basket,
    Cancel,
    Capacity,
    Close,
    Command,
    Connect,
    Level,
    New,
    Side,
    Tif,
)
from matching.replay_tables import ReplayError, read_rows, refuse

GRID_COLUMNS = ("node", "parent", "level", "export_kw", "import_kw")
COMMAND_COLUMNS = (
    "action",
    "order_id",
    "member",
    "meter",
    "side",
    "slot",
    "quantity",
    "price",
    "tif",
    "reach",
    "terms",
    "basket",
    "node",
    "export_kw",
    "import_kw",
)
COMMAND_COLUMNS_REQUIRED = COMMAND_COLUMNS[:8]

_SLOT = COMMAND_COLUMNS.index("slot")

LEVELS = {level.name.lower(): level for level in Level}
REACHES = {name: level for name, level in LEVELS.items() if level is not Level.METER}
SIDES = {side.name.lower(): side for side in Side}
TIFS = {tif.name.lower(): tif for tif in Tif}
NEEDED = {
    "new": ("order_id", "side", "slot"),
    "cancel": ("order_id",),
    "amend": ("order_id",),
    "close": ("slot",),
    "capacity": ("node",),
}
"""The actions, and what a row of each can not do without."""

_DIGITS = 18  # what a number of 64 bits always holds
_UNKNOWN_METER = -1
_NO_CLASS_OF_TERMS = -1


def limit_of(text: str, slot_minutes: int) -> int | None:
    """Lots per slot of a limit in kW; None, no limit, for an empty text. Raises UnitError."""
    return limit_lots_floor(text, slot_minutes) if text else None


# ------------------------------------------------------------------------------------------------------ grid


def read_grid(path: Path, slot_minutes: int) -> tuple[list[Connect], dict[str, int]]:
    """What connects the grid, parents first, and the number of each node by name. Raises ReplayError."""
    rows = list(read_rows(path, GRID_COLUMNS, GRID_COLUMNS[:3]))
    numbers: dict[str, int] = {}
    for row, (node, _, level, *limits) in enumerate(rows, 1):
        if not node:
            raise refuse(path, row, "node", "empty")
        if node in numbers:
            raise refuse(path, row, "node", f"{node!r} is there already")
        if level not in LEVELS:
            raise refuse(path, row, "level", f"{level!r} is none of {', '.join(LEVELS)}")
        _check_limits(path, row, limits, slot_minutes)
        numbers[node] = len(numbers)
    _check_tree(path, rows)
    connects = [
        Connect(
            node=numbers[node],
            parent=numbers[parent] if parent else NO_PARENT,
            level=LEVELS[level],
            export_lots=limit_of(export_kw, slot_minutes),
            import_lots=limit_of(import_kw, slot_minutes),
        )
        for node, parent, level, export_kw, import_kw in rows
    ]
    return sorted(connects, key=lambda connect: -connect.level), numbers  # a parent's level is above its children's


def _check_limits(path: Path, row: int, limits: list[str], slot_minutes: int) -> None:
    for column, limit_kw in zip(("export_kw", "import_kw"), limits, strict=True):
        try:
            limit_of(limit_kw, slot_minutes)
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


# -------------------------------------------------------------------------------------------------- commands


class Numbers:
    """Numbers for names. A name that is a number is its own; others are counted downwards from -1 as they appear.

    So a file of millions of numbered orders leaves nothing here.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}

    def of(self, name: str) -> int:
        if len(name) <= _DIGITS and name.isascii() and name.isdigit() and (name[0] != "0" or name == "0"):
            return int(name)
        number = self._numbers.setdefault(name, -1 - len(self._names))
        if number == -1 - len(self._names):
            self._names.append(name)
        return number

    def name(self, number: int) -> str:
        return str(number) if number >= 0 else self._names[-1 - number]


class CommandFile:
    """The commands of one file, read twice: to refuse it as a whole if a row is wrong, and to carry it out."""

    def __init__(self, path: Path, nodes: Mapping[str, int], slot_minutes: int) -> None:
        self.order_ids = Numbers()
        self.slots: list[str] = []
        self._path = path
        self._nodes = nodes
        self._slot_minutes = slot_minutes
        self._members = Numbers()
        self._slot_ranks: dict[str, int] = {}

    def check(self, advance: Callable[[int], None]) -> int:
        """Look at every row and learn the slots. Returns how many rows there are. Raises ReplayError.

        ``advance`` hears of every thousand rows looked at.
        """
        number, slots = 0, set[str]()
        for number, cells in enumerate(self._rows(), 1):
            self._check_row(number, dict(zip(COMMAND_COLUMNS, cells, strict=True)))
            slots.add(cells[_SLOT])
            if number % 1000 == 0:
                advance(1000)
        self.slots = sorted(slots)
        self._slot_ranks = {slot: rank for rank, slot in enumerate(self.slots)}
        return number

    def commands(self) -> Iterator[Command]:
        """The commands of a file that was checked; consecutive new rows with the same basket are one."""
        legs: list[New] = []
        basket_of_legs = ""
        for cells in self._rows():
            row = dict(zip(COMMAND_COLUMNS, cells, strict=True))
            basket = row["basket"] if row["action"] == "new" else ""
            if legs and basket != basket_of_legs:
                yield Basket(tuple(legs))
                legs = []
            command = self._command(row)
            if basket and isinstance(command, New):
                legs.append(command)
                basket_of_legs = basket
            else:
                yield command
        if legs:
            yield Basket(tuple(legs))

    def _rows(self) -> Iterator[tuple[str, ...]]:
        return read_rows(self._path, COMMAND_COLUMNS, COMMAND_COLUMNS_REQUIRED)

    def _check_row(self, number: int, row: Mapping[str, str]) -> None:
        """Words that are not empty must be known, whether the row's action heeds them or not."""
        if row["action"] not in NEEDED:
            raise refuse(self._path, number, "action", f"{row['action']!r} is none of {', '.join(NEEDED)}")
        for column in NEEDED[row["action"]]:
            if not row[column]:
                raise refuse(self._path, number, column, f"empty, but {row['action']} needs it")
        for column, known in (("side", SIDES), ("tif", TIFS), ("reach", REACHES)):
            if row[column] and row[column] not in known:
                raise refuse(self._path, number, column, f"{row[column]!r} is none of {', '.join(known)}")
        if row["node"] and row["node"] not in self._nodes:
            raise refuse(self._path, number, "node", f"{row['node']!r} is no node of the grid")
        if row["export_kw"] or row["import_kw"]:
            _check_limits(self._path, number, [row["export_kw"], row["import_kw"]], self._slot_minutes)

    def _command(self, row: Mapping[str, str]) -> Command:
        match row["action"]:
            case "new":
                return self._new(row)
            case "cancel":
                return Cancel(self.order_ids.of(row["order_id"]))
            case "amend":
                return Amend(
                    self.order_ids.of(row["order_id"]),
                    _quantity_lots(row["quantity"]) if row["quantity"] else None,
                    _price_ticks(row["price"]) if row["price"] else None,
                )
            case "close":
                return Close(self._slot_ranks[row["slot"]])
            case _:
                return Capacity(
                    self._nodes[row["node"]],
                    self._slot_ranks[row["slot"]] if row["slot"] else None,
                    limit_of(row["export_kw"], self._slot_minutes),
                    limit_of(row["import_kw"], self._slot_minutes),
                )

    def _new(self, row: Mapping[str, str]) -> New:
        return New(
            order_id=self.order_ids.of(row["order_id"]),
            member=self._members.of(row["member"]),
            meter=self._nodes.get(row["meter"], _UNKNOWN_METER),
            side=SIDES[row["side"]],
            slot=self._slot_ranks[row["slot"]],
            quantity_lots=_quantity_lots(row["quantity"]),
            price_ticks=_price_ticks(row["price"]),
            tif=TIFS[row["tif"] or "gtc"],
            reach=REACHES[row["reach"] or "substation"],
            terms_days=_terms_days(row["terms"] or "0"),
        )


def _quantity_lots(text: str) -> int:
    try:
        return parse_energy_lots(text)
    except UnitError:
        return BAD_QUANTITY_LOTS  # for the engine to refuse, when its turn comes


def _price_ticks(text: str) -> int:
    try:
        return parse_price_ticks(text)
    except UnitError:
        return BAD_PRICE_TICKS  # for the engine to refuse, when its turn comes


def _terms_days(text: str) -> int:
    try:
        return parse_steps(text, 0)
    except UnitError:
        return _NO_CLASS_OF_TERMS  # for the engine to refuse, when its turn comes
