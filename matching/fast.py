"""The fast auction engine: the face of ``matching.reference.ReferenceEngine`` over the compiled kernel.

The kernel works through rows of commands and comes back for what is rare: new nodes and slots, changed limits, gate
closure, more memory. Equality with the reference, to the bytes of ``state_hash``, is what tests/matching proves.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from matching import kernel, rehearsal
from matching import snapshot as snapshots
from matching.arrays import events_of, limit_of_row, row_of_limit, rows_of
from matching.book import Depth, OpenOrder, Quote
from matching.grid import GridError, check_connect, check_limits
from matching.kernel import LARGEST_LOTS, Rows
from matching.order import Command, Connect, Ended, Event, Level, Rules, Side
from matching.tables import Tables
from matching.views import hash_of_state

MOST_TERMS = 15
MOST_SLOTS = 2**15 - 1
MOST_PRICES = 2**31 - 2
_ROWS_AT_ONCE = 2**12
_NONE = np.empty(0, np.uint8)


class EngineLimitError(ValueError):
    """The rules or a number are beyond what the engine's rows can hold. Nothing has been changed."""


class Limits(NamedTuple):
    """Of a link, in lots; ``NO_LIMIT_LOTS`` is none."""

    up_lots: int
    down_lots: int


_LEVELS = {int(level): level for level in Level}
"""Quicker than asking the enumeration, which a deep book does a thousand times."""


class FastEngine:
    """The state of one market and ``apply``, the only way to change it.

    Raises EngineLimitError for rules with more than 15 classes of terms or 2**31 - 2 prices.
    """

    def __init__(self, rules: Rules, *, is_rehearsed: bool = False) -> None:
        if not is_rehearsed:
            _rehearse()
        self.rules = rules
        self._days = sorted(set(rules.terms_days))
        if len(self._days) > MOST_TERMS or rules.cap_ticks - rules.floor_ticks > MOST_PRICES:
            raise EngineLimitError(f"more than {MOST_TERMS} classes of terms or {MOST_PRICES} prices")
        most_ticks = rules.cap_ticks - rules.floor_ticks + 1
        self._fees_beyond_prices = np.array([max(0, fee - most_ticks) for fee in (0, *rules.fee_ticks)], np.int64)
        self._levels: dict[int, Level] = {}  # by node, in order of connection
        self._parents: dict[int, int] = {}
        self._limits: dict[int, Limits] = {}  # by node, for all slots
        self._limits_of_slot: dict[int, dict[int, Limits]] = {}  # by slot and node
        self._closed: set[int] = set()
        self._start_tables()

    def _start_tables(self) -> None:
        """The grid and what is closed, in fresh tables without slots."""
        self._tables = Tables(self.rules, self._days, 2 * len(self._levels))
        for name, level in self._levels.items():
            self._tables.add_node(name, self._parents[name], level, *self._limits[name])
        for slot in self._closed:
            self._tables.put_slot(slot, kernel.CLOSED_SLOT)

    # ----------------------------------------------------------------------------------------- commands

    @property
    def sequence(self) -> int:
        """The last sequence number given: 1 for the first command, one for each leg of a basket."""
        return int(self._tables.row["sequence"])

    def apply(self, commands: Sequence[Command]) -> list[Event]:
        """Carry out the commands in order and tell what happened. How a stream is cut into calls changes nothing.

        A refused order is an event. Raises, before any effect of any of the commands: GridError when one connects a
        node that can not be connected, limits a node that is not there, or is a basket without legs; OverflowError or
        EngineLimitError for numbers that no row can hold.
        """
        return events_of(self.apply_rows(rows_of(commands)))

    def apply_rows(self, commands: Rows) -> Rows:
        """The same for commands and events as rows, of ``kernel.COMMAND`` and ``kernel.EVENT``.

        All legs of a basket are in one call.
        """
        if commands.dtype is not kernel.COMMAND or not commands.flags.c_contiguous:
            commands = np.ascontiguousarray(commands, kernel.COMMAND)
        if not len(commands):
            return np.empty(0, kernel.EVENT)
        tables = self._tables
        outcome = kernel.run(tables.at, commands.view(np.uint8))
        if outcome >= kernel.CHECK:
            self._check(commands, outcome - kernel.CHECK)
            outcome = kernel.run(tables.at, _NONE)
        while outcome != kernel.DONE:
            outcome = self._go_on(commands, outcome)
        return self._tables.events()

    def _go_on(self, commands: Rows, outcome: int) -> int:
        """Do what the kernel asks for, and let it run on."""
        tables = self._tables
        row = int(tables.row["row"])
        if outcome == kernel.GROW:
            tables.grow_for(commands[row : row + 1])
        elif outcome == kernel.MAKE_SLOT:
            self._make_slot(int(commands[tables.row["leg"]]["slot"]))
        else:
            self._carry_out(commands[row])
            self._tables.row["row"] = row + 1
        return int(kernel.run(self._tables.at, _NONE))

    def _check(self, commands: Rows, found: int) -> None:
        """Refuse the whole call for what would be its caller's bug."""
        if found & kernel.NO_SEQUENCES:
            raise EngineLimitError("no sequence numbers are left")
        if found & kernel.TOO_LARGE:
            raise EngineLimitError(f"a quantity or a limit is above {LARGEST_LOTS} lots")
        if found & kernel.CUT_BASKET:
            raise EngineLimitError("the legs of a basket do not follow one another")
        levels = dict(self._levels)
        for row in commands[(commands["kind"] == kernel.CONNECT) | (commands["kind"] == kernel.CAPACITY)]:
            node = int(row["meter"])
            if row["kind"] == kernel.CONNECT:
                check_connect(levels, _connect_of(row))
                levels[node] = Level(row["reach"])
            else:
                if node not in levels:
                    raise GridError(f"node {node} is not connected and can have no limits")
                check_limits(node, int(row["quantity_lots"]), int(row["price_ticks"]))

    def _carry_out(self, row: Any) -> None:
        """A command that the kernel leaves to its caller."""
        self._tables.row["sequence"] += 1
        if row["kind"] == kernel.CLOSE:
            self._close(int(row["slot"]))
        elif row["kind"] == kernel.CAPACITY:
            self._capacity(row)
        else:
            self._tell(kind=kernel.CONNECTED, order_id=int(row["meter"]))
            self._connect(_connect_of(row))

    def _tell(self, **fields: int) -> None:
        mem = self._tables.row
        used = int(mem["events_used"])
        self._tables.reserve_events(used + 1)
        event = self._tables.memory.view("events")[used : used + 1]
        event[:] = 0
        for name, value in {"sequence": self.sequence, **fields}.items():
            event[name] = value
        mem["events_used"] += 1

    def _make_slot(self, slot: int) -> None:
        if len(self._tables.slots) >= MOST_SLOTS:
            raise EngineLimitError(f"more than {MOST_SLOTS} slots have orders and are not closed")
        indices, limits = self._tables.indices, self._limits_of_slot.get(slot, {})
        self._tables.make_slot(slot, {indices[name]: limits[name] for name in limits})

    def _close(self, slot: int) -> None:
        """Its open orders expire, the earlier first, and its memory is given back. Closing it again does nothing."""
        if slot in self._closed:
            return
        self._closed.add(slot)
        tables = self._tables
        if slot in tables.slots:
            self._tell_expired(tables.open_rows(slot))
            tables.free_slot(slot)
        tables.put_slot(slot, kernel.CLOSED_SLOT)
        self._tell(kind=kernel.CLOSED, slot=slot)

    def _tell_expired(self, orders: Rows) -> None:
        """In a method of its own: while a view of the events is in use, their memory can not grow."""
        mem = self._tables.row
        used = int(mem["events_used"])
        self._tables.reserve_events(used + len(orders))
        events = self._tables.memory.view("events")[used : used + len(orders)]
        events[:] = 0
        events["sequence"] = self.sequence
        events["order_id"] = orders["order_id"]
        events["quantity_lots"] = orders["remaining_lots"]
        events["kind"] = kernel.REMOVED
        events["reason"] = Ended.SLOT_CLOSED
        mem["events_used"] += len(orders)

    def _capacity(self, row: Any) -> None:
        node, limits = int(row["meter"]), Limits(int(row["quantity_lots"]), int(row["price_ticks"]))
        is_for_all, slot = bool(row["flags"] & kernel.FOR_ALL_SLOTS), int(row["slot"])
        if is_for_all:
            self._limits[node] = limits
            self._tables.put_limits(self._tables.indices[node], *limits)
            for singles in self._limits_of_slot.values():
                singles.pop(node, None)
        else:
            self._limits_of_slot.setdefault(slot, {})[node] = limits
        self._tell(
            kind=kernel.LIMITED,
            order_id=node,
            slot=slot,
            quantity_lots=limits.up_lots,
            price_ticks=limits.down_lots,
            level=int(is_for_all),
        )
        slots = self._tables.slots
        for index in slots.values() if is_for_all else [slots[slot]] if slot in slots else []:
            kernel.set_limits(self._tables.at, index, self._tables.indices[node], *limits)

    def _connect(self, connect: Connect) -> None:
        """Add a node; when the tables of open slots have no place for it, they are made anew."""
        name, level = connect.node, Level(connect.level)
        has_place = self._tables.has_place(connect.parent, level)
        state = None if has_place else self._state()
        self._levels[name], self._parents[name] = level, connect.parent
        self._limits[name] = Limits(row_of_limit(connect.export_lots), row_of_limit(connect.import_lots))
        if state is None:
            self._tables.add_node(name, connect.parent, level, *self._limits[name])
        else:
            old = self._tables
            self._start_tables()
            self._load(state)
            self._tables.go_on_from(old)

    # ---------------------------------------------------------------------------------------- snapshots

    def snapshot(self) -> bytes:
        """The whole state, as of ``sequence``: what an engine needs to go on from there, see ``restore``."""
        return snapshots.encode(self._state())

    @classmethod
    def restore(cls, taken: bytes, *, is_rehearsed: bool = False) -> "FastEngine":
        """An engine in the state that a snapshot tells. Raises SnapshotError."""
        state = snapshots.decode(taken)
        engine = cls(state.rules, is_rehearsed=is_rehearsed)
        engine._levels = {node: Level(level) for node, _, level in state.nodes}
        engine._parents = {node: parent for node, parent, _ in state.nodes}
        engine._closed = set(state.closed)
        for node, slot, up_lots, down_lots in state.limits:
            if slot is None:
                engine._limits[node] = Limits(up_lots, down_lots)
            else:
                engine._limits_of_slot.setdefault(slot, {})[node] = Limits(up_lots, down_lots)
        engine._start_tables()
        engine._load(state)
        return engine

    def _state(self) -> snapshots.State:
        tables = self._tables
        return snapshots.State(
            version=snapshots.VERSION,
            rules=self.rules,
            sequence=self.sequence,
            nodes=[(name, self._parents[name], level) for name, level in self._levels.items()],
            limits=[(name, slot, *limits) for name, slot, limits in self._all_limits()],
            closed=sorted(self._closed),
            books=sorted(tables.slots),
            flows=[(slot, *flow) for slot in sorted(tables.slots) for flow in tables.flows(slot)],
            orders=self._open_rows(list(tables.slots)).tobytes(),
            used_ids=tables.used_ids().astype("<i8").tobytes(),
        )

    def _load(self, state: snapshots.State) -> None:
        """Books and flows into tables that have the grid and no slot yet."""
        tables, mem, rules = self._tables, self._tables.row, self.rules
        rows, used_ids = snapshots.orders_of(state), snapshots.used_ids_of(state)
        for slot in state.books:
            self._make_slot(slot)
        for slot, name, flow_lots in state.flows:
            kernel.restore_flow(tables.at, tables.slots[slot], tables.indices[name], flow_lots)
        is_sell, prices = rows["side"] == Side.SELL, rows["price_ticks"]
        orders = np.zeros(len(rows), kernel.ORDER)
        for field in ("order_id", "sequence", "member", "remaining_lots"):
            orders[field] = rows[field]
        orders["cost"] = np.where(is_sell, prices - rules.floor_ticks, rules.cap_ticks - prices)
        kinds = np.searchsorted(self._days, rows["terms_days"]) * 4 + rows["reach"]
        orders["book"] = np.where(is_sell, 0, mem["classes"]) + kinds
        orders["meter"] = [tables.indices[name] for name in rows["meter"].tolist()]
        orders["slot"] = [tables.slots[slot] for slot in rows["slot"].tolist()]
        for start in range(0, len(used_ids), _ROWS_AT_ONCE):
            tables.grow(_ROWS_AT_ONCE)
            kernel.restore_ids(tables.at, used_ids[start : start + _ROWS_AT_ONCE])
        for start in range(0, len(orders), _ROWS_AT_ONCE):
            part = orders[start : start + _ROWS_AT_ONCE]
            tables.grow(len(part))
            kernel.restore_orders(tables.at, part)
        mem["sequence"] = state.sequence

    # -------------------------------------------------------------------------------------------- views

    def open_order(self, order_id: int) -> OpenOrder | None:
        """An order that rests, or None."""
        row = kernel.open_row(self._tables.at, order_id)
        return _open_order_of(self._told(self._tables.memory.view("orders")[[row]]).tolist()[0]) if row else None

    def open_orders(self) -> Iterator[OpenOrder]:
        """All orders that rest, in order of time."""
        return map(_open_order_of, self._open_rows(list(self._tables.slots)).tolist())

    def _open_rows(self, slots: Sequence[int]) -> Rows:
        """The open orders of some slots, in order of time, as rows of a snapshot."""
        rows = [self._tables.open_rows(slot) for slot in slots]
        orders = self._told(np.concatenate([np.empty(0, kernel.ORDER), *rows]))
        return orders[np.argsort(orders["sequence"])]

    def _told(self, rows: Rows) -> Rows:
        """Rows of the kernel as rows of a snapshot."""
        tables, classes = self._tables, int(self._tables.row["classes"])
        is_sell, kinds, costs = rows["book"] < classes, rows["book"] % classes, rows["cost"].astype(np.int64)
        orders = np.empty(len(rows), snapshots.ORDER)
        for field in ("order_id", "sequence", "member", "remaining_lots"):
            orders[field] = rows[field]
        orders["meter"] = tables.memory.view("nodes")["name"][rows["meter"]]
        orders["slot"] = tables.memory.view("slots")["name"][rows["slot"]]
        orders["side"] = np.where(is_sell, Side.SELL, Side.BUY)
        orders["price_ticks"] = np.where(is_sell, self.rules.floor_ticks + costs, self.rules.cap_ticks - costs)
        orders["reach"], orders["terms_days"] = kinds % 4, np.array([*self._days, 0])[kinds // 4]
        return orders

    def depth(self, slot: int, meter: int) -> Depth:
        """What an order at this meter, of any price and terms and of reach substation, could take in this slot.

        Ask = seller's price + the fee this meter would pay; bid = buyer's price - that fee. All quotes of one side
        could be had together: each takes its room before the next is looked at. ``meter`` must be connected; raises
        GridError otherwise. A closed slot, or one without orders, has no depth.
        """
        self._check_meter(meter)
        if slot not in self._tables.slots:
            return Depth([], [])
        return Depth(asks=self._quotes(slot, meter, kernel.BUY), bids=self._quotes(slot, meter, kernel.SELL))

    def best_quotes(self, slot: int, meter: int) -> tuple[tuple[int, Level] | None, tuple[int, Level] | None]:
        """The best ask and bid of ``depth``, (price, distance), without looking at the rest. Raises GridError."""
        self._check_meter(meter)
        if slot not in self._tables.slots:
            return None, None
        tables = self._tables
        if self._fees_beyond_prices.any():  # the kernel takes them for one and the same
            depth = self.depth(slot, meter)
            ask, bid = (
                (quotes[0].price_ticks, quotes[0].level) if quotes else None for quotes in (depth.asks, depth.bids)
            )
            return ask, bid
        ask, bid = (
            kernel.best_quote(tables.at, tables.slots[slot], tables.indices[meter], side)
            for side in (kernel.BUY, kernel.SELL)
        )
        return _price_of(*ask), _price_of(*bid)

    def _check_meter(self, meter: int) -> None:
        if self._levels.get(meter) != Level.METER:
            raise GridError(f"node {meter} is not a meter")

    def _quotes(self, slot: int, meter: int, side: int) -> list[Quote]:
        """What a taker on this side would meet, in priority, one quote for each price and level."""
        tables, mem = self._tables, self._tables.row
        index, node = tables.slots[slot], tables.indices[meter]
        numbers = np.empty(int(tables.memory.view("slots")[index]["open"]), np.int64)
        kernel.open_rows(tables.at, index, tables.extent()[0], numbers)
        ranked = np.empty((len(numbers), 4), np.int64)
        ranked = ranked[: kernel.rank_for(tables.at, node, side, numbers, ranked)]
        ranked[:, 0] += self._fees_beyond_prices[ranked[:, 1]]
        ranked = np.ascontiguousarray(ranked[np.lexsort(ranked[:, 2::-1].T)])
        start = index * int(mem["node_size"])
        flows = tables.memory.view("links")["flow_lots"][start : start + tables.extent()[0]].copy()
        kernel.quantities(tables.at, index, node, side, ranked, flows)
        had = ranked[ranked[:, 3] > 0]
        is_first = np.ones(len(had), bool)
        is_first[1:] = (had[1:, :2] != had[:-1, :2]).any(axis=1)
        starts = np.flatnonzero(is_first)
        if not len(starts):
            return []
        costs, levels, lots = had[starts, 0], had[starts, 1], np.add.reduceat(had[:, 3], starts)
        prices = self.rules.floor_ticks + costs if side == kernel.BUY else self.rules.cap_ticks - costs
        return [
            Quote(price_ticks, quantity_lots, _LEVELS[level])
            for price_ticks, quantity_lots, level in zip(prices.tolist(), lots.tolist(), levels.tolist(), strict=True)
        ]

    def state_hash(self) -> bytes:
        """32 bytes over sequence, grid, limits, books, flows, closed slots and used ids: equal engines, equal hash."""
        return hash_of_state(
            self.sequence,
            [(name, self._parents[name], level) for name, level in self._levels.items()],
            [(name, slot, [*map(limit_of_row, limits)]) for name, slot, limits in self._all_limits()],
            self._rows_of_books(),
            sorted(self._closed),
            self._tables.used_ids().tolist(),
        )

    def _all_limits(self) -> Iterator[tuple[int, int | None, Limits]]:
        """(node, slot or None for all, limits), by node, the single slots after the others."""
        singles: dict[int, list[tuple[int, Limits]]] = {}
        for slot in sorted(self._limits_of_slot):
            for name, limits in self._limits_of_slot[slot].items():
                singles.setdefault(name, []).append((slot, limits))
        for name in sorted(self._limits):
            yield name, None, self._limits[name]
            for slot, limits in singles.get(name, ()):
                yield name, slot, limits

    def _rows_of_books(self) -> list[tuple[int, list[tuple[int, ...]], list[tuple[int, int]]]]:
        """As ``matching.views.rows_of_books`` has them."""
        fields = ["sequence", "order_id", "member", "meter", "side", "slot"]
        fields += ["price_ticks", "remaining_lots", "reach", "terms_days"]
        rows = []
        for slot in sorted(self._tables.slots):
            orders, flows = self._open_rows([slot]), self._tables.flows(slot)
            if len(orders) or flows:
                rows.append((slot, list(zip(*(orders[field].tolist() for field in fields), strict=True)), flows))
        return rows


@cache
def _rehearse() -> None:
    """Once in a process, see ``matching.rehearsal``."""
    taken = rehearsal.rehearse(FastEngine(rehearsal.RULES, is_rehearsed=True))
    FastEngine.restore(taken, is_rehearsed=True)


def _open_order_of(row: tuple[int, ...]) -> OpenOrder:
    order_id, sequence, member, meter, slot, remaining_lots, price_ticks, terms_days, side, reach = row
    return OpenOrder(
        order_id, member, meter, Side(side), slot, price_ticks, remaining_lots, sequence, Level(reach), terms_days
    )


def _price_of(price_ticks: int, level: int) -> tuple[int, Level] | None:
    return (price_ticks, Level(level)) if level else None


def _connect_of(row: Any) -> Connect:
    return Connect(
        node=int(row["meter"]),
        parent=int(row["terms_days"]),
        level=Level(row["reach"]),
        export_lots=limit_of_row(int(row["quantity_lots"])),
        import_lots=limit_of_row(int(row["price_ticks"])),
    )
