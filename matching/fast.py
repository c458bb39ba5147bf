"""The fast auction engine: the face of ``matching.reference.ReferenceEngine`` over the compiled kernel.

The kernel works through rows of commands and comes back for what is rare: new nodes and slots, changed limits, gate
closure, more memory. Equality with the reference, to the bytes of ``state_hash``, is what tests/matching proves.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matching import kernel
from matching import snapshot as snapshots
from matching.arrays import LARGEST_LOTS, events_of, limit_of_row, rows_of
from matching.book import Depth, OpenOrder, Quote
from matching.grid import NO_PARENT, GridError, check_connect, check_limits
from matching.kernel import NO_LIMIT_LOTS, Rows
from matching.memory import Memory
from matching.order import Command, Connect, Ended, Event, Level, Rules, Side
from matching.views import hash_of_state

MOST_TERMS = 15
MOST_PRICES = 2**31 - 2
_STEP_ROWS = 2**20


class EngineLimitError(ValueError):
    """The rules or a number are beyond what the engine's rows can hold. Nothing has been changed."""


class Limits(NamedTuple):
    up_lots: int
    down_lots: int


class FastEngine:
    """The state of one market and ``apply``, the only way to change it.

    ``sequence`` is the last sequence number given: 1 for the first command, one for each leg of a basket.
    Raises EngineLimitError for rules with more than 15 classes of terms or 2**31 - 2 prices.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._days = sorted(set(rules.terms_days))
        prices = rules.cap_ticks - rules.floor_ticks
        if len(self._days) > MOST_TERMS or prices > MOST_PRICES:
            raise EngineLimitError(f"more than {MOST_TERMS} classes of terms or {MOST_PRICES} prices")
        self._levels: dict[int, Level] = {}  # by node, in order of connection
        self._parents: dict[int, int] = {}
        self._limits: dict[int, Limits] = {}  # by node, for all slots
        self._limits_of_slot: dict[int, dict[int, Limits]] = {}  # by slot and node
        self._indices: dict[int, int] = {}  # of nodes in the kernel
        self._slots: dict[int, int] = {}  # name of every slot with a book: its row
        self._closed: set[int] = set()
        self._free_slots: list[int] = []
        self._start_memory()

    # ----------------------------------------------------------------------------------------- commands

    @property
    def sequence(self) -> int:
        return int(self._mem[kernel.SEQUENCE])

    def apply(self, commands: Sequence[Command]) -> list[Event]:
        """Carry out the commands in order and tell what happened. How a stream is cut into calls changes nothing.

        A refused order is an event. Raises, before any effect of any of the commands: GridError when one connects a
        node that can not be connected, limits a node that is not there, or is a basket without legs; OverflowError or
        EngineLimitError for numbers that no row can hold.
        """
        return events_of(self.apply_rows(rows_of(commands)))

    def apply_rows(self, commands: Rows) -> Rows:
        """The same for commands and events as rows, see ``matching.kernel.COMMAND`` and ``EVENT``."""
        self._check(commands)
        mem = self._mem
        mem[kernel.ROW] = mem[kernel.EVENTS_USED] = 0
        while (outcome := kernel.run(mem, commands)) != kernel.DONE:
            if outcome == kernel.GROW:
                self._grow(commands)
            elif outcome == kernel.MAKE_SLOT:
                self._make_slot(int(commands[mem[kernel.LEG]]["slot"]))
            else:
                self._carry_out(commands[mem[kernel.ROW]])
                mem[kernel.ROW] += 1
        return self._memory.view(kernel.EVENTS)[: mem[kernel.EVENTS_USED]].copy()

    def _check(self, commands: Rows) -> None:
        kinds = commands["kind"]
        limiting = (kinds == kernel.CONNECT) | (kinds == kernel.CAPACITY)
        quantities = commands["quantity_lots"]
        if (quantities[~limiting] > LARGEST_LOTS).any():
            raise EngineLimitError(f"a quantity is above {LARGEST_LOTS} lots")
        if self.sequence + len(commands) >= 1 << int(self._mem[kernel.SHIFT]):
            raise EngineLimitError("no sequence numbers are left")
        rare = np.flatnonzero(limiting)
        levels = dict(self._levels) if len(rare) else {}
        for row in commands[rare]:
            node, up_lots, down_lots = int(row["meter"]), int(row["quantity_lots"]), int(row["price_ticks"])
            if any(LARGEST_LOTS < lots != NO_LIMIT_LOTS for lots in (up_lots, down_lots)):
                raise EngineLimitError(f"a limit of node {node} is above {LARGEST_LOTS} lots")
            if row["kind"] == kernel.CONNECT:
                check_connect(levels, _connect_of(row))
                levels[node] = Level(row["reach"])
            else:
                if node not in levels:
                    raise GridError(f"node {node} is not connected and can have no limits")
                check_limits(node, up_lots, down_lots)

    def _carry_out(self, row: Any) -> None:
        """A command that the kernel leaves to its caller."""
        self._mem[kernel.SEQUENCE] += 1
        if row["kind"] == kernel.CLOSE:
            self._close(int(row["slot"]))
        elif row["kind"] == kernel.CAPACITY:
            self._capacity(row)
        else:
            self._connect(_connect_of(row))
            self._tell(kind=kernel.CONNECTED, order_id=int(row["meter"]))

    def _tell(self, **fields: int) -> None:
        used = int(self._mem[kernel.EVENTS_USED])
        if used >= self._mem[kernel.EVENTS_SIZE]:
            self._reserve_events(used + 1)
        event = self._memory.view(kernel.EVENTS)[used]
        for name, value in {"sequence": self.sequence, **fields}.items():
            event[name] = value
        self._mem[kernel.EVENTS_USED] += 1

    def _close(self, slot: int) -> None:
        """Its open orders expire, the earlier first, and its memory is given back. Closing it again does nothing."""
        if slot in self._closed:
            return
        self._closed.add(slot)
        index = self._slots.pop(slot, None)
        if index is not None:
            orders = self._open_in(index)
            used = int(self._mem[kernel.EVENTS_USED])
            self._reserve_events(used + len(orders) + 1)
            events = self._memory.view(kernel.EVENTS)[used : used + len(orders)]
            events["sequence"] = self.sequence
            events["order_id"] = orders["order_id"]
            events["quantity_lots"] = orders["remaining_lots"]
            events["kind"] = kernel.REMOVED
            events["reason"] = Ended.SLOT_CLOSED
            self._mem[kernel.EVENTS_USED] += len(orders)
            kernel.free_slot(self._mem, index, *self._extent())
            self._free_slots.append(index)
        self._put_slot(slot, kernel.CLOSED_SLOT)
        self._tell(kind=kernel.CLOSED, slot=slot)

    def _capacity(self, row: Any) -> None:
        node, limits = int(row["meter"]), Limits(int(row["quantity_lots"]), int(row["price_ticks"]))
        is_for_all, slot = bool(row["flags"] & kernel.FOR_ALL_SLOTS), int(row["slot"])
        if is_for_all:
            self._limits[node] = limits
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
        touched = self._slots.values() if is_for_all else [self._slots[slot]] if slot in self._slots else []
        for index in touched:
            kernel.set_limits(self._mem, index, self._indices[node], *limits)

    # ---------------------------------------------------------------------------------------- snapshots

    def snapshot(self) -> bytes:
        """The whole state, as of ``sequence``: what an engine needs to go on from there, see ``restore``."""
        return snapshots.encode(self._state())

    @classmethod
    def restore(cls, taken: bytes) -> "FastEngine":
        """An engine in the state that a snapshot tells. Raises SnapshotError."""
        state = snapshots.decode(taken)
        engine = cls(state.rules)
        engine._levels = {node: Level(level) for node, _, level in state.nodes}
        engine._parents = {node: parent for node, parent, _ in state.nodes}
        engine._closed = set(state.closed)
        for node, slot, up_lots, down_lots in state.limits:
            if slot is None:
                engine._limits[node] = Limits(up_lots, down_lots)
            else:
                engine._limits_of_slot.setdefault(slot, {})[node] = Limits(up_lots, down_lots)
        engine._start_memory()
        engine._load(state)
        return engine

    def _state(self) -> snapshots.State:
        names = self._memory.view(kernel.NODES)["name"]
        classes = int(self._mem[kernel.CLASSES])
        rows = np.concatenate([np.empty(0, kernel.ORDER), *(self._open_in(index) for index in self._slots.values())])
        slot_names = self._memory.view(kernel.SLOTS)["name"]
        orders = np.empty(len(rows), snapshots.ORDER)
        for field in ("order_id", "sequence", "member", "remaining_lots"):
            orders[field] = rows[field]
        is_sell, kinds, costs = rows["book"] < classes, rows["book"] % classes, rows["cost"].astype(np.int64)
        orders["meter"], orders["slot"] = names[rows["meter"]], slot_names[rows["slot"]]
        orders["side"] = np.where(is_sell, Side.SELL, Side.BUY)
        orders["price_ticks"] = np.where(is_sell, self.rules.floor_ticks + costs, self.rules.cap_ticks - costs)
        orders["reach"], orders["terms_days"] = kinds % 4, np.array([*self._days, 0])[kinds // 4]
        return snapshots.make_state(
            self.rules,
            self.sequence,
            [(name, self._parents[name], level) for name, level in self._levels.items()],
            [(name, slot, *limits) for name, slot, limits in self._all_limits()],
            sorted(self._closed),
            sorted(self._slots),
            [(slot, *flow) for slot in sorted(self._slots) for flow in self._flows_of(slot)],
            orders[np.argsort(orders["sequence"])],
            self._used_ids(),
        )

    def _load(self, state: snapshots.State) -> None:
        """Books and flows into memory that has the grid and no slot yet."""
        mem, rows, used_ids = self._mem, snapshots.orders_of(state), snapshots.used_ids_of(state)
        for slot in state.books:
            self._make_slot(slot)
        for slot, name, flow_lots in state.flows:
            kernel.restore_flow(mem, self._slots[slot], self._indices[name], flow_lots)
        orders = np.zeros(len(rows), kernel.ORDER)
        for field in ("order_id", "sequence", "member", "remaining_lots"):
            orders[field] = rows[field]
        is_sell = rows["side"] == Side.SELL
        orders["cost"] = np.where(
            is_sell, rows["price_ticks"] - self.rules.floor_ticks, self.rules.cap_ticks - rows["price_ticks"]
        )
        kinds = np.searchsorted(self._days, rows["terms_days"]) * 4 + rows["reach"]
        orders["book"] = np.where(is_sell, 0, mem[kernel.CLASSES]) + kinds
        orders["meter"] = [self._indices[name] for name in rows["meter"].tolist()]
        orders["slot"] = [self._slots[slot] for slot in rows["slot"].tolist()]
        self._grow_pools(len(used_ids) + 1)
        kernel.restore_ids(mem, used_ids)
        for start in range(0, len(orders), _STEP_ROWS):
            part = orders[start : start + _STEP_ROWS]
            self._grow_pools(len(part), len(part))
            kernel.restore_orders(mem, part)
        mem[kernel.SEQUENCE] = state.sequence

    # --------------------------------------------------------------------------------------------- grid

    def _connect(self, connect: Connect) -> None:
        """Add a node; when the tables of open slots have no place for it, they are made anew."""
        name, limits = connect.node, Limits(*map(_no_limit_if_none, (connect.export_lots, connect.import_lots)))
        self._levels[name] = Level(connect.level)
        self._parents[name] = connect.parent
        self._limits[name] = limits
        if not self._has_place(connect):
            state = self._state()
            self._start_memory()
            self._load(state)
            return
        index = self._add_node(name)
        links, size = self._memory.view(kernel.LINKS), int(self._mem[kernel.NODE_SIZE])
        for slot, row in self._slots.items():
            link = links[row * size + index]
            link["up_lots"], link["down_lots"] = self._limits_of_slot.get(slot, {}).get(name, limits)

    def _has_place(self, connect: Connect) -> bool:
        """Whether a new node fits into the tables that the slots have."""
        if not self._slots:
            return len(self._levels) < self._mem[kernel.NODE_SIZE] or self._widen(len(self._levels))
        nodes, areas, hubs = self._extent()
        if max(nodes / self._mem[kernel.NODE_SIZE], areas / self._mem[kernel.AREA_SIZE]) >= 1:
            return False
        if hubs >= self._mem[kernel.HUB_SIZE]:
            return False
        parent = self._indices.get(connect.parent, 0)
        above = self._memory.view(kernel.NODES)[parent]
        if parent == 0 or above["level"] == Level.TRANSFORMER:
            return True
        hub = self._memory.view(kernel.HUBS)[above["place"]]
        return bool(hub["children"] < hub["width"])

    def _widen(self, nodes: int) -> bool:
        """Tables for twice as many nodes; there is no slot yet that has any."""
        self._set_sizes(2 * nodes)
        return True

    def _add_node(self, name: int) -> int:
        nodes = self._memory.view(kernel.NODES)
        index = self._indices[name] = len(self._indices) + 1
        parent = self._indices.get(self._parents[name], 0)
        level = self._levels[name]
        node = nodes[index]
        node["name"], node["parent"], node["level"] = name, parent, level
        above = nodes[parent]
        if level >= Level.FEEDER:
            hubs = self._memory.view(kernel.HUBS)
            node["place"] = self._hubs = self._hubs + 1
            hub = hubs[self._hubs]
            hub["node"], hub["level"], hub["width"] = index, level, 4
            hub["hub"], hub["rank"] = self._join(parent)
        elif level == Level.METER and above["level"] == Level.TRANSFORMER:
            node["place"], node["is_plain"] = above["place"], 1
        else:
            area = self._memory.view(kernel.AREAS)[self._areas]
            node["place"] = self._areas
            self._areas += 1
            area["node"] = index
            area["hub"], area["rank"] = self._join(parent)
        self._put(kernel.NODE_MAP, kernel.NODE_MAP_MASK, self._indices, name, index)
        return index

    def _join(self, parent: int) -> tuple[int, int]:
        """(hub, rank) of a new child; 0 for the root."""
        if parent == 0:
            return 0, 0
        number = int(self._memory.view(kernel.NODES)[parent]["place"])
        hub = self._memory.view(kernel.HUBS)[number]
        rank = int(hub["children"])
        hub["children"] += 1
        while hub["children"] > hub["width"]:
            hub["width"] *= 2
        self._mem[kernel.WIDEST] = max(self._mem[kernel.WIDEST], hub["width"])
        return number, rank

    def _extent(self) -> tuple[int, int, int]:
        """One more than the largest number of a node, an area and a hub."""
        return len(self._indices) + 1, self._areas, self._hubs + 1

    # ------------------------------------------------------------------------------------------- memory

    def _start_memory(self) -> None:
        """An empty market's memory, but for the grid: its nodes are added again."""
        self._memory = Memory()
        self._mem = mem = self._memory.registers
        self._indices, self._slots, self._free_slots = {}, {}, []
        self._areas = self._hubs = self._slots_used = 0
        self._slots_size = 0
        rules = self.rules
        mem[kernel.RANGE] = rules.cap_ticks - rules.floor_ticks
        mem[kernel.FLOOR], mem[kernel.CAP] = rules.floor_ticks, rules.cap_ticks
        bits = max(1, int(mem[kernel.RANGE]).bit_length())
        mem[kernel.DEPTH], mem[kernel.SHIFT] = -(-bits // 6), 63 - bits
        for level, fee_ticks in enumerate(rules.fee_ticks, 1):
            mem[kernel.FEES + level] = min(fee_ticks, mem[kernel.RANGE] + 1)
        mem[kernel.TERMS_COUNT], mem[kernel.CLASSES] = len(self._days), max(4 * len(self._days), 4)
        for used in (kernel.ORDERS_USED, kernel.WORDS_USED, kernel.LADDERS_USED, kernel.KEYS_USED):
            mem[used] = 1
        for table in (kernel.IDS, kernel.PAIRS):
            mem[kernel.TABLES + 4 * table + 1] = mem[kernel.TABLES + 4 * table + 2] = 1
        self._memory.reserve(kernel.TERMS, len(self._days))
        self._memory.view(kernel.TERMS)[: len(self._days)] = self._days
        self._memory.reserve(kernel.FITTING, 2 * int(mem[kernel.CLASSES]) * 4)
        fitting = _fitting(self._days, int(mem[kernel.CLASSES]))
        self._memory.view(kernel.FITTING)[: len(fitting)] = fitting
        self._grow_pools(4096)
        self._reserve_events(4096)
        self._set_sizes(max(1024, 2 * len(self._levels)))
        self._clear_map(kernel.SLOT_MAP, kernel.SLOT_MAP_MASK, 2048)
        for closed in self._closed:
            self._put_slot(closed, kernel.CLOSED_SLOT)
        for name in self._levels:
            self._add_node(name)

    def _set_sizes(self, nodes: int) -> None:
        """Tables of slots are for so many nodes from now on; no slot has one yet."""
        mem, memory = self._mem, self._memory
        mem[kernel.NODE_SIZE] = mem[kernel.AREA_SIZE] = mem[kernel.HUB_SIZE] = nodes + 1
        for pool in (kernel.NODES, kernel.AREAS, kernel.HUBS):
            memory.reserve(pool, nodes + 2)
        self._slots_size = 0
        self._reserve_slots(8)

    def _reserve_slots(self, slots: int) -> None:
        mem, memory = self._mem, self._memory
        areas, hubs, books = int(mem[kernel.AREA_SIZE]), int(mem[kernel.HUB_SIZE]), 2 * int(mem[kernel.CLASSES])
        memory.reserve(kernel.SLOTS, slots)
        memory.reserve(kernel.LINKS, slots * int(mem[kernel.NODE_SIZE]))
        memory.reserve(kernel.HEADS, slots * int(mem[kernel.NODE_SIZE]) * 2)
        memory.reserve(kernel.CELLS, slots * areas * 4)
        memory.reserve(kernel.BOOKS, slots * areas * books)
        memory.reserve(kernel.HUB_CELLS, slots * hubs * 4)
        memory.reserve(kernel.TREES, slots * hubs * books)
        self._slots_size = slots

    def _grow(self, commands: Rows) -> None:
        """Whatever the next command could find too small gets larger."""
        mem = self._mem
        legs = max(1, int(commands[mem[kernel.ROW]]["legs"])) if mem[kernel.ROW] < len(commands) else 1
        self._grow_pools(legs)
        if mem[kernel.EVENTS_USED] + 2 * legs + 4 > mem[kernel.EVENTS_SIZE] or mem[kernel.PHASE] != kernel.NEXT:
            self._reserve_events(2 * int(mem[kernel.EVENTS_SIZE]) + 2 * legs)

    def _grow_pools(self, legs: int, orders: int = 1) -> None:
        """Pools have room for so many more ids and orders, and a share of what they hold beyond that."""
        mem, memory = self._mem, self._memory

        def more(used: int, needed: int) -> int:
            return used + needed + min(max(used, 1024), _STEP_ROWS)

        for table, buckets, entries in (
            (kernel.IDS, kernel.ID_BUCKETS, kernel.ID_ENTRIES),
            (kernel.PAIRS, kernel.PAIR_BUCKETS, kernel.PAIR_ENTRIES),
        ):
            used, size = int(mem[kernel.TABLES + 4 * table]), kernel.TABLES + 4 * table + 3
            if used + legs + 2 > mem[size]:
                mem[size] = more(used, legs + 2)
                memory.reserve(entries, int(mem[size]) + 2)
                memory.reserve(buckets, int(mem[size]) + 2)
        if mem[kernel.ORDERS_USED] + orders > mem[kernel.ORDERS_SIZE]:
            mem[kernel.ORDERS_SIZE] = more(int(mem[kernel.ORDERS_USED]), orders)
            memory.reserve(kernel.ORDERS, int(mem[kernel.ORDERS_SIZE]) + 1)
            memory.reserve(kernel.HELDS, int(mem[kernel.ORDERS_SIZE]) + 1)
        ladders = 2 * orders
        if mem[kernel.LADDERS_USED] + ladders > mem[kernel.LADDERS_SIZE]:
            mem[kernel.LADDERS_SIZE] = more(int(mem[kernel.LADDERS_USED]), ladders)
            memory.reserve(kernel.LADDERS, int(mem[kernel.LADDERS_SIZE]) + 2)
        keys = 8 * int(mem[kernel.WIDEST]) * orders
        if mem[kernel.KEYS_USED] + keys > mem[kernel.KEYS_SIZE]:
            mem[kernel.KEYS_SIZE] = more(int(mem[kernel.KEYS_USED]), keys)
            memory.reserve(kernel.KEYS, int(mem[kernel.KEYS_SIZE]))
            memory.reserve(kernel.WINNERS, int(mem[kernel.KEYS_SIZE]))
        words = int(mem[kernel.LADDERS_USED] + ladders + (mem[kernel.DEPTH] - 1) * (mem[kernel.OPEN] + orders + 1) + 1)
        if words > mem[kernel.WORDS_SIZE]:
            mem[kernel.WORDS_SIZE] = more(words, 2)
            memory.reserve(kernel.WORDS, int(mem[kernel.WORDS_SIZE]))
            memory.reserve(kernel.CHILDREN, int(mem[kernel.WORDS_SIZE]) * 64)

    def _reserve_events(self, rows: int) -> None:
        if rows > self._mem[kernel.EVENTS_SIZE]:
            self._memory.reserve(kernel.EVENTS, rows)
            self._mem[kernel.EVENTS_SIZE] = rows

    def _make_slot(self, slot: int) -> None:
        """A book for a slot that has its first order."""
        if self._free_slots:
            index = self._free_slots.pop()
        else:
            index = self._slots_used = self._slots_used + 1
            if index >= self._slots_size:
                self._reserve_slots(2 * self._slots_size)
        self._slots[slot] = index
        self._memory.view(kernel.SLOTS)[index]["name"] = slot
        size = int(self._mem[kernel.NODE_SIZE])
        links = self._memory.view(kernel.LINKS)[index * size : (index + 1) * size]
        limits = np.array([(0, 0), *(self._limits[name] for name in self._indices)], np.int64)
        links["up_lots"][: len(limits)], links["down_lots"][: len(limits)] = limits.T
        for name, (up_lots, down_lots) in self._limits_of_slot.get(slot, {}).items():
            link = links[self._indices[name]]
            link["up_lots"], link["down_lots"] = up_lots, down_lots
        blocked = (links["up_lots"][1 : len(limits)] <= 0).sum() + (links["down_lots"][1 : len(limits)] <= 0).sum()
        self._memory.view(kernel.SLOTS)[index]["blocked"] = blocked
        self._put_slot(slot, index)

    def _put_slot(self, slot: int, value: int) -> None:
        known = {**dict.fromkeys(self._closed, kernel.CLOSED_SLOT), **self._slots}
        self._put(kernel.SLOT_MAP, kernel.SLOT_MAP_MASK, known, slot, value)

    def _put(self, pool: int, mask: int, known: dict[int, int], key: int, value: int) -> None:
        """Set a key in a map of the kernel; one more than half full is made anew with all that is ``known``."""
        if 2 * (len(known) + 1) > self._mem[mask]:
            self._clear_map(pool, mask, 4 * (int(self._mem[mask]) + 1))
            for each, its_value in known.items():
                kernel.put_in_map(self._mem, pool, self._mem[mask], each, its_value)
        kernel.put_in_map(self._mem, pool, self._mem[mask], key, value)

    def _clear_map(self, pool: int, mask: int, places: int) -> None:
        self._memory.clear(pool, places)
        self._mem[mask] = places - 1

    # -------------------------------------------------------------------------------------------- views

    def _open_in(self, index: int) -> Rows:
        """The open orders of a slot in order of time, as rows of the kernel."""
        count = int(self._memory.view(kernel.SLOTS)[index]["open"])
        numbers = np.empty(count, np.int64)
        kernel.open_rows(self._mem, index, self._extent()[0], numbers)
        orders = self._memory.view(kernel.ORDERS)[numbers]
        return orders[np.argsort(orders["sequence"])]

    def _open_orders_of(self, slot: int) -> Iterator[OpenOrder]:
        names = self._memory.view(kernel.NODES)["name"]
        orders = self._open_in(self._slots[slot])
        classes = int(self._mem[kernel.CLASSES])
        for row in orders:
            is_sell, kind = row["book"] < classes, int(row["book"]) % classes
            cost = int(row["cost"])
            yield OpenOrder(
                int(row["order_id"]),
                int(row["member"]),
                int(names[row["meter"]]),
                Side.SELL if is_sell else Side.BUY,
                slot,
                self.rules.floor_ticks + cost if is_sell else self.rules.cap_ticks - cost,
                int(row["remaining_lots"]),
                int(row["sequence"]),
                Level(kind % 4),
                self._days[kind // 4],
            )

    def open_orders(self) -> Iterator[OpenOrder]:
        """All orders that rest, in order of time."""
        orders = [order for slot in self._slots for order in self._open_orders_of(slot)]
        return iter(sorted(orders, key=lambda order: order.priority_sequence))

    def state_hash(self) -> bytes:
        """32 bytes over sequence, grid, limits, books, flows, closed slots and used ids: equal engines, equal hash."""
        return hash_of_state(
            self.sequence,
            [(name, self._parents[name], level) for name, level in self._levels.items()],
            [(name, slot, [*map(limit_of_row, limits)]) for name, slot, limits in self._all_limits()],
            self._rows_of_books(),
            sorted(self._closed),
            self._used_ids().tolist(),
        )

    def _used_ids(self) -> NDArray[np.int64]:
        entries = self._memory.view(kernel.ID_ENTRIES)["key"][1 : self._mem[kernel.TABLES + 4 * kernel.IDS] + 1]
        return np.sort(entries)

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

    def _flows_of(self, slot: int) -> list[tuple[int, int]]:
        size = int(self._mem[kernel.NODE_SIZE])
        start = self._slots[slot] * size
        flows = self._memory.view(kernel.LINKS)["flow_lots"][start : start + self._extent()[0]]
        names = self._memory.view(kernel.NODES)["name"]
        return sorted((int(names[index]), int(flows[index])) for index in np.flatnonzero(flows))

    def _rows_of_books(self) -> list[tuple[int, list[tuple[int, ...]], list[tuple[int, int]]]]:
        rows = []
        for slot in sorted(self._slots):
            orders = [
                (
                    order.priority_sequence,
                    order.order_id,
                    order.member,
                    order.meter,
                    order.side,
                    order.slot,
                    order.price_ticks,
                    order.remaining_lots,
                    order.reach,
                    order.terms_days,
                )
                for order in self._open_orders_of(slot)
            ]
            flows = self._flows_of(slot)
            if orders or flows:
                rows.append((slot, orders, flows))
        return rows


def _connect_of(row: Any) -> Connect:
    return Connect(
        node=int(row["meter"]),
        parent=int(row["terms_days"]),
        level=Level(row["reach"]),
        export_lots=limit_of_row(int(row["quantity_lots"])),
        import_lots=limit_of_row(int(row["price_ticks"])),
    )


def _no_limit_if_none(limit_lots: int | None) -> int:
    return NO_LIMIT_LOTS if limit_lots is None else limit_lots


def _fitting(days: Sequence[int], classes: int) -> NDArray[np.int64]:
    """For every book and distance the classes of the other side that fit, as bits: both reach so far, and the buy's
    terms are no longer than the sell's."""
    fitting = np.zeros((2, classes, 4), np.int64)
    for one in range(4 * len(days)):
        for other in range(4 * len(days)):
            for level in range(1, 4):
                if min(one % 4, other % 4) >= level:
                    bit = 1 << other
                    fitting[0, one, level] |= bit if days[other // 4] <= days[one // 4] else 0
                    fitting[1, one, level] |= bit if days[one // 4] <= days[other // 4] else 0
    return fitting.reshape(-1)
