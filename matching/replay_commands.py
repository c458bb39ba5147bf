"""The commands of ``jinsha replay`` as rows for the engine, see docs/market_rules.md, "Files for replay".

Names in the files are any text; the engine wants numbers. Nodes are numbered as the grid has them, orders and members
by ``OrderIds``, slots in the order of their names, because that is the order in which the engine must go through them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from matching.kernel import (
    AMEND,
    CANCEL,
    CAPACITY,
    CLOSE,
    COMMAND,
    FOR_ALL_SLOTS,
    GIVES_PRICE,
    GIVES_QUANTITY,
    LEG,
    NEW,
    NO_LIMIT_LOTS,
    Rows,
)
from matching.order import BAD_PRICE_TICKS, BAD_QUANTITY_LOTS, Level, Side, Tif
from matching.replay_decimals import read_days, read_energy_lots, read_limit_lots_floor, read_price_ticks
from matching.replay_grid import LEVELS, check_limits
from matching.replay_names import NameTable, OrderIds
from matching.replay_tables import Batch, ReplayError, read_batches, refuse
from matching.replay_texts import Flags, Numbers, Texts

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

SIDES = {side.name.lower(): side for side in Side}
TIFS = {tif.name.lower(): tif for tif in Tif}
REACHES = {name: level for name, level in LEVELS.items() if level is not Level.METER}
KINDS = {"new": NEW, "cancel": CANCEL, "amend": AMEND, "close": CLOSE, "capacity": CAPACITY}
NEEDED = {
    "new": ("order_id", "side", "slot"),
    "cancel": ("order_id",),
    "amend": ("order_id",),
    "close": ("slot",),
    "capacity": ("node",),
}
"""The actions, and what a row of each can not do without."""

_NEEDS = {
    column: np.array([column in NEEDED[action] for action in KINDS]) for column in ("order_id", "side", "slot", "node")
}
_NO_CLASS_OF_TERMS = -1


class _Words:
    """The words that a column may hold, and what they stand for."""

    def __init__(self, words: Mapping[str, int], empty: int) -> None:
        self.table = NameTable(words)
        self._values = np.array([*words.values(), empty], np.int8)

    def values(self, texts: Texts) -> NDArray[np.int8]:
        """What each text stands for; ``empty`` for one that is no word."""
        return texts.per_row(self._values[self.table.find(texts.distinct())])


class CommandFile:
    """The commands of one file, read twice: to refuse it as a whole if a row is wrong, and to carry it out."""

    def __init__(self, path: Path, nodes: Mapping[str, int], slot_minutes: int) -> None:
        self.order_ids = OrderIds()
        self.slots = NameTable()
        self._members = OrderIds()
        self._path = path
        self._slot_minutes = slot_minutes
        self._nodes = nodes
        self._node_table = NameTable(sorted(nodes, key=lambda name: nodes[name]))
        self._actions, self._sides = _Words(KINDS, 0), _Words(SIDES, 0)
        self._tifs, self._reaches = _Words(TIFS, Tif.GTC), _Words(REACHES, Level.SUBSTATION)
        self._known = {"side": self._sides.table, "tif": self._tifs.table, "reach": self._reaches.table}
        self._known["node"] = self._node_table

    def check(self, advance: Callable[[int], None]) -> int:
        """Look at every row and learn the slots. Returns how many rows there are. Raises ReplayError.

        ``advance`` hears of the rows looked at.
        """
        count, slots = 0, NameTable()
        for batch in self._batches():
            self._check(batch)
            slots.number(batch.column("slot"))
            count += batch.rows
            advance(batch.rows)
        self.slots = NameTable(sorted(slots.texts.strings()))
        return count

    def rows(self) -> Iterator[Rows]:
        """The commands of a file that was checked, rows of ``kernel.COMMAND``, some at a time.

        Consecutive new rows with the same basket are one, and are never apart, however many they are.
        """
        open_legs: list[Rows] = []  # of the basket that the last row is in: it may go on
        open_basket = b""
        for batch in self._batches():
            rows, baskets = self._rows(batch), batch.column("basket")
            is_leg = (rows["kind"] == NEW) & ~baskets.is_empty
            numbers, goes_on = NameTable().number(baskets), np.zeros(batch.rows, np.bool_)
            goes_on[1:] = is_leg[:-1] & (numbers[1:] == numbers[:-1])
            goes_on[0] = bool(open_legs) and baskets.bytes_at(0) == open_basket
            begins = is_leg & ~goes_on
            rows["kind"][is_leg] = LEG
            rows["legs"][begins] = 1
            whole = batch.rows if not is_leg[-1] else int(np.flatnonzero(begins)[-1]) if begins.any() else 0
            if whole or (open_legs and begins[0]):
                yield _with_counted_legs([*open_legs, rows[:whole]])
                open_legs = []
            if is_leg[-1]:
                open_legs.append(rows[whole:])
                open_basket = baskets.bytes_at(batch.rows - 1)
        if open_legs:
            yield _with_counted_legs(open_legs)

    def _batches(self) -> Iterator[Batch]:
        return read_batches(self._path, COMMAND_COLUMNS, COMMAND_COLUMNS_REQUIRED)

    # ------------------------------------------------------------------------------------------- checking

    def _check(self, batch: Batch) -> None:
        """Raise ReplayError for the first row that is wrong, if one is.

        Words that are not empty must be known, whether the row's action heeds them or not.
        """
        action = self._actions.table.find(batch.column("action"))
        is_wrong = action < 0
        for column, needs in _NEEDS.items():
            is_wrong |= needs[action] & batch.column(column).is_empty
        for column, table in self._known.items():
            texts = batch.column(column)
            distinct = texts.distinct()
            is_unknown = (table.find(distinct) < 0) & ~distinct.is_empty
            if is_unknown.any():
                is_wrong |= texts.per_row(is_unknown)
        for column in ("export_kw", "import_kw"):
            is_wrong |= self._limits(batch, column, empty=0) < 0
        if is_wrong.any():
            place = int(is_wrong.argmax())
            self._refuse(batch.first_row + place, batch.row(place, COMMAND_COLUMNS))

    def _limits(self, batch: Batch, column: str, empty: int) -> Numbers:
        return read_limit_lots_floor(batch.column(column), self._slot_minutes, bad=-1, empty=empty)

    def _refuse(self, number: int, row: Mapping[str, str]) -> NoReturn:
        """Say what is wrong with a row."""
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
        check_limits(self._path, number, [row["export_kw"], row["import_kw"]], self._slot_minutes)
        raise AssertionError(f"nothing is wrong with row {number}: {row}")

    # -------------------------------------------------------------------------------------------- numbers

    def _rows(self, batch: Batch) -> Rows:
        """One row of ``kernel.COMMAND`` for each of the file; legs of baskets are not told from other orders yet."""
        rows = np.zeros(batch.rows, COMMAND)
        rows["kind"] = kinds = self._actions.values(batch.column("action"))
        is_new, is_amend, is_capacity = kinds == NEW, kinds == AMEND, kinds == CAPACITY
        np.copyto(
            rows["order_id"],
            self.order_ids.number(batch.column("order_id")),
            where=is_new | is_amend | (kinds == CANCEL),
        )
        self._put_slots(rows, batch)
        self._put_orders(rows, batch, is_new)
        self._put_values(rows, batch, is_new, is_amend)
        if is_capacity.any():
            np.copyto(rows["meter"], self._node_table.find(batch.column("node")), where=is_capacity)
            np.copyto(rows["quantity_lots"], self._limits(batch, "export_kw", NO_LIMIT_LOTS), where=is_capacity)
            np.copyto(rows["price_ticks"], self._limits(batch, "import_kw", NO_LIMIT_LOTS), where=is_capacity)
        return rows

    def _put_slots(self, rows: Rows, batch: Batch) -> None:
        kinds, slots = rows["kind"], batch.column("slot")
        is_for_all = (kinds == CAPACITY) & slots.is_empty
        has_slot = (kinds != CANCEL) & (kinds != AMEND) & ~is_for_all
        numbers = self.slots.find(slots)
        if (kinds == 0).any() or (numbers < 0).any():
            raise ReplayError(f"{self._path}: was changed while it was read")
        np.copyto(rows["slot"], numbers, where=has_slot)
        rows["flags"][is_for_all] = FOR_ALL_SLOTS

    def _put_orders(self, rows: Rows, batch: Batch, is_new: Flags) -> None:
        """What only new orders have."""
        np.copyto(rows["member"], self._members.number(batch.column("member")), where=is_new)
        np.copyto(rows["meter"], self._node_table.find(batch.column("meter")), where=is_new)
        np.copyto(rows["side"], self._sides.values(batch.column("side")), where=is_new)
        np.copyto(rows["tif"], self._tifs.values(batch.column("tif")), where=is_new)
        np.copyto(rows["reach"], self._reaches.values(batch.column("reach")), where=is_new)
        np.copyto(rows["terms_days"], read_days(batch.column("terms"), bad=_NO_CLASS_OF_TERMS, empty=0), where=is_new)

    def _put_values(self, rows: Rows, batch: Batch, is_new: Flags, is_amend: Flags) -> None:
        """Quantity and price of new orders and amendments. What is bad is for the engine to refuse in its turn."""
        quantities, prices = batch.column("quantity"), batch.column("price")
        lots = read_energy_lots(quantities, bad=BAD_QUANTITY_LOTS, empty=BAD_QUANTITY_LOTS)
        ticks = read_price_ticks(prices, bad=BAD_PRICE_TICKS, empty=BAD_PRICE_TICKS)
        gives_quantity, gives_price = is_amend & ~quantities.is_empty, is_amend & ~prices.is_empty
        np.copyto(rows["quantity_lots"], lots, where=is_new | gives_quantity)
        np.copyto(rows["price_ticks"], ticks, where=is_new | gives_price)
        rows["flags"][gives_quantity] |= GIVES_QUANTITY
        rows["flags"][gives_price] |= GIVES_PRICE


def _with_counted_legs(parts: Sequence[Rows]) -> Rows:
    """One array of whole baskets and other commands; the first row of each basket says how many legs it has."""
    rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
    firsts = np.flatnonzero(rows["legs"])
    ends = np.append(np.flatnonzero((rows["kind"] != LEG) | (rows["legs"] != 0)), len(rows))
    rows["legs"][firsts] = ends[np.searchsorted(ends, firsts) + 1] - firsts
    return rows
