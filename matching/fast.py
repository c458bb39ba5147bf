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
        return int(self._mem["sequence"])

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
        mem["row"] = mem["events_used"] = 0
        mem["commands"], mem["commands_count"] = commands.ctypes.data, len(commands)
        while (outcome := kernel.run(mem)) != kernel.DONE:
            if outcome == kernel.GROW:
                self._grow(commands)
            elif outcome == kernel.MAKE_SLOT:
                self._make_slot(int(commands[mem["leg"]]["slot"]))
            else:
                self._carry_out(commands[mem["row"]])
                mem["row"] += 1
        return self._memory.view("events")[: mem["events_used"]].copy()

    def _check(self, commands: Rows) -> None:
        kinds = commands["kind"]
        limiting = (kinds == kernel.CONNECT) | (kinds == kernel.CAPACITY)
        quantities = commands["quantity_lots"]
        if (quantities[~limiting] > LARGEST_LOTS).any():
            raise EngineLimitError(f"a quantity is above {LARGEST_LOTS} lots")
        if self.sequence + len(commands) >= 1 << int(self._mem["shift"]):
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
        self._mem["sequence"] += 1
        if row["kind"] == kernel.CLOSE:
            self._close(int(row["slot"]))
        elif row["kind"] == kernel.CAPACITY:
            self._capacity(row)
        else:
            self._connect(_connect_of(row))
            self._tell(kind=kernel.CONNECTED, order_id=int(row["meter"]))

    def _tell(self, **fields: int) -> None:
        used = int(self._mem["events_used"])
        if used >= self._mem["events_size"]:
            self._reserve_events(used + 1)
        event = self._memory.view("events")[used]
        for name, value in {"sequence": self.sequence, **fields}.items():
            event[name] = value
        self._mem["events_used"] += 1

    def _close(self, slot: int) -> None:
        """Its open orders expire, the earlier first, and its memory is given back. Closing it again does nothing."""
        if slot in self._closed:
            return
        self._closed.add(slot)
        index = self._slots.pop(slot, None)
        if index is not None:
            orders = self._open_in(index)
            used = int(self._mem["events_used"])
            self._reserve_events(used + len(orders) + 1)
            events = self._memory.view("events")[used : used + len(orders)]
            events["sequence"] = self.sequence
            events["order_id"] = orders["order_id"]
            events["quantity_lots"] = orders["remaining_lots"]
            events["kind"] = kernel.REMOVED
            events["reason"] = Ended.SLOT_CLOSED
            self._mem["events_used"] += len(orders)
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
        names = self._memory.view("nodes")["name"]
        classes = int(self._mem["classes"])
        rows = np.concatenate([np.empty(0, kernel.ORDER), *(self._open_in(index) for index in self._slots.values())])
        slot_names = self._memory.view("slots")["name"]
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
        orders["book"] = np.where(is_sell, 0, mem["classes"]) + kinds
        orders["meter"] = [self._indices[name] for name in rows["meter"].tolist()]
        orders["slot"] = [self._slots[slot] for slot in rows["slot"].tolist()]
        self._grow_pools(len(used_ids) + 1)
        kernel.restore_ids(mem, used_ids)
        for start in range(0, len(orders), _STEP_ROWS):
            part = orders[start : start + _STEP_ROWS]
            self._grow_pools(len(part), len(part))
            kernel.restore_orders(mem, part)
        mem["sequence"] = state.sequence

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
        links, size = self._memory.view("links"), int(self._mem["node_size"])
        for slot, row in self._slots.items():
            link = links[row * size + index]
            link["up_lots"], link["down_lots"] = self._limits_of_slot.get(slot, {}).get(name, limits)

    def _has_place(self, connect: Connect) -> bool:
        """Whether a new node fits into the tables that the slots have."""
        if not self._slots:
            return len(self._levels) < self._mem["node_size"] or self._widen(len(self._levels))
        nodes, areas, hubs = self._extent()
        if max(nodes / self._mem["node_size"], areas / self._mem["area_size"]) >= 1:
            return False
        if hubs >= self._mem["hub_size"]:
            return False
        parent = self._indices.get(connect.parent, 0)
        above = self._memory.view("nodes")[parent]
        if parent == 0 or above["level"] == Level.TRANSFORMER:
            return True
        hub = self._memory.view("hubs")[above["place"]]
        return bool(hub["children"] < hub["width"])

    def _widen(self, nodes: int) -> bool:
        """Tables for twice as many nodes; there is no slot yet that has any."""
        self._set_sizes(2 * nodes)
        return True

    def _add_node(self, name: int) -> int:
        nodes = self._memory.view("nodes")
        index = self._indices[name] = len(self._indices) + 1
        parent = self._indices.get(self._parents[name], 0)
        level = self._levels[name]
        node = nodes[index]
        node["name"], node["parent"], node["level"] = name, parent, level
        above = nodes[parent]
        if level >= Level.FEEDER:
            hubs = self._memory.view("hubs")
            node["place"] = self._hubs = self._hubs + 1
            hub = hubs[self._hubs]
            hub["node"], hub["level"], hub["width"] = index, level, 4
            hub["hub"], hub["rank"] = self._join(parent)
        elif level == Level.METER and above["level"] == Level.TRANSFORMER:
            node["place"], node["is_plain"] = above["place"], 1
        else:
            area = self._memory.view("areas")[self._areas]
            node["place"] = self._areas
            self._areas += 1
            area["node"] = index
            area["hub"], area["rank"] = self._join(parent)
        self._put("node_map", self._indices, name, index)
        return index

    def _join(self, parent: int) -> tuple[int, int]:
        """(hub, rank) of a new child; 0 for the root."""
        if parent == 0:
            return 0, 0
        number = int(self._memory.view("nodes")[parent]["place"])
        hub = self._memory.view("hubs")[number]
        rank = int(hub["children"])
        hub["children"] += 1
        while hub["children"] > hub["width"]:
            hub["width"] *= 2
        self._mem["widest"] = max(self._mem["widest"], hub["width"])
        return number, rank

    def _extent(self) -> tuple[int, int, int]:
        """One more than the largest number of a node, an area and a hub."""
        return len(self._indices) + 1, self._areas, self._hubs + 1

    # ------------------------------------------------------------------------------------------- memory

    def _start_memory(self) -> None:
        """An empty market's memory, but for the grid: its nodes are added again."""
        self._memory = Memory()
        self._mem = mem = self._memory.row
        self._indices, self._slots, self._free_slots = {}, {}, []
        self._areas = self._hubs = self._slots_used = 0
        self._slots_size = 0
        rules = self.rules
        mem["range"] = rules.cap_ticks - rules.floor_ticks
        mem["floor"], mem["cap"] = rules.floor_ticks, rules.cap_ticks
        bits = max(1, int(mem["range"]).bit_length())
        mem["depth"], mem["shift"] = -(-bits // 6), 63 - bits
        self._memory.reserve("fees", 4)
        self._memory.view("fees")[1:4] = np.minimum(rules.fee_ticks, mem["range"] + 1)
        self._memory.reserve("keys_free", 64)
        mem["terms_count"], mem["classes"] = len(self._days), max(4 * len(self._days), 4)
        for used in ("orders_used", "words_used", "ladders_used", "keys_used"):
            mem[used] = 1
        tables = self._memory.view("tables")
        tables["count"] = tables["whole"] = 1
        self._memory.reserve("terms", len(self._days))
        self._memory.view("terms")[: len(self._days)] = self._days
        self._memory.reserve("fitting", 2 * int(mem["classes"]) * 4)
        fitting = _fitting(self._days, int(mem["classes"]))
        self._memory.view("fitting")[: len(fitting)] = fitting
        self._grow_pools(4096)
        self._reserve_events(4096)
        self._set_sizes(max(1024, 2 * len(self._levels)))
        self._clear_map("slot_map", 2048)
        self._clear_map("node_map", 2048)
        for closed in self._closed:
            self._put_slot(closed, kernel.CLOSED_SLOT)
        for name in self._levels:
            self._add_node(name)

    def _set_sizes(self, nodes: int) -> None:
        """Tables of slots are for so many nodes from now on; no slot has one yet."""
        mem, memory = self._mem, self._memory
        mem["node_size"] = mem["area_size"] = mem["hub_size"] = nodes + 1
        for pool in ("nodes", "areas", "hubs"):
            memory.reserve(pool, nodes + 2)
        self._slots_size = 0
        self._reserve_slots(8)

    def _reserve_slots(self, slots: int) -> None:
        mem, memory = self._mem, self._memory
        areas, hubs, books = int(mem["area_size"]), int(mem["hub_size"]), 2 * int(mem["classes"])
        memory.reserve("slots", slots)
        memory.reserve("links", slots * int(mem["node_size"]))
        memory.reserve("heads", slots * int(mem["node_size"]) * 2)
        memory.reserve("cells", slots * areas * 4)
        memory.reserve("books", slots * areas * books)
        memory.reserve("hub_cells", slots * hubs * 4)
        memory.reserve("trees", slots * hubs * books)
        self._slots_size = slots

    def _grow(self, commands: Rows) -> None:
        """Whatever the next command could find too small gets larger."""
        mem = self._mem
        legs = max(1, int(commands[mem["row"]]["legs"])) if mem["row"] < len(commands) else 1
        self._grow_pools(legs)
        if mem["events_used"] + 2 * legs + 4 > mem["events_size"] or mem["phase"] != kernel.NEXT:
            self._reserve_events(2 * int(mem["events_size"]) + 2 * legs)

    def _grow_pools(self, legs: int, orders: int = 1) -> None:
        """Pools have room for so many more ids and orders, and a share of what they hold beyond that."""
        mem, memory = self._mem, self._memory

        def more(used: int, needed: int) -> int:
            return used + needed + min(max(used, 1024), _STEP_ROWS)

        for table, name in ((kernel.IDS, "id"), (kernel.PAIRS, "pair")):
            row = memory.view("tables")[table]
            if row["used"] + legs + 2 > row["size"]:
                row["size"] = more(int(row["used"]), legs + 2)
                memory.reserve(f"{name}_entries", int(row["size"]) + 2)
                memory.reserve(f"{name}_buckets", int(row["size"]) + 2)
        if mem["orders_used"] + orders > mem["orders_size"]:
            mem["orders_size"] = more(int(mem["orders_used"]), orders)
            memory.reserve("orders", int(mem["orders_size"]) + 1)
            memory.reserve("helds", int(mem["orders_size"]) + 1)
        ladders = 2 * orders
        if mem["ladders_used"] + ladders > mem["ladders_size"]:
            mem["ladders_size"] = more(int(mem["ladders_used"]), ladders)
            memory.reserve("ladders", int(mem["ladders_size"]) + 2)
        keys = 8 * int(mem["widest"]) * orders
        if mem["keys_used"] + keys > mem["keys_size"]:
            mem["keys_size"] = more(int(mem["keys_used"]), keys)
            memory.reserve("keys", int(mem["keys_size"]))
            memory.reserve("winners", int(mem["keys_size"]))
        words = int(mem["ladders_used"] + ladders + (mem["depth"] - 1) * (mem["open"] + orders + 1) + 1)
        if words > mem["words_size"]:
            mem["words_size"] = more(words, 2)
            memory.reserve("words", int(mem["words_size"]))
            memory.reserve("children", int(mem["words_size"]) * 64)

    def _reserve_events(self, rows: int) -> None:
        if rows > self._mem["events_size"]:
            self._memory.reserve("events", rows)
            self._mem["events_size"] = rows

    def _make_slot(self, slot: int) -> None:
        """A book for a slot that has its first order."""
        if self._free_slots:
            index = self._free_slots.pop()
        else:
            index = self._slots_used = self._slots_used + 1
            if index >= self._slots_size:
                self._reserve_slots(2 * self._slots_size)
        self._slots[slot] = index
        self._memory.view("slots")[index]["name"] = slot
        size = int(self._mem["node_size"])
        links = self._memory.view("links")[index * size : (index + 1) * size]
        limits = np.array([(0, 0), *(self._limits[name] for name in self._indices)], np.int64)
        links["up_lots"][: len(limits)], links["down_lots"][: len(limits)] = limits.T
        for name, (up_lots, down_lots) in self._limits_of_slot.get(slot, {}).items():
            link = links[self._indices[name]]
            link["up_lots"], link["down_lots"] = up_lots, down_lots
        blocked = (links["up_lots"][1 : len(limits)] <= 0).sum() + (links["down_lots"][1 : len(limits)] <= 0).sum()
        self._memory.view("slots")[index]["blocked"] = blocked
        self._put_slot(slot, index)

    def _put_slot(self, slot: int, value: int) -> None:
        known = {**dict.fromkeys(self._closed, kernel.CLOSED_SLOT), **self._slots}
        self._put("slot_map", known, slot, value)

    def _put(self, name: str, known: dict[int, int], key: int, value: int) -> None:
        """Set a key in a map of the kernel; one more than half full is made anew with all that is ``known``."""
        mask = int(self._mem[f"{name}_mask"])
        if 2 * (len(known) + 1) > mask:
            mask = 4 * mask + 3
            self._clear_map(name, mask + 1)
            for each, its_value in known.items():
                kernel.put_in_map(self._mem[name], mask, each, its_value)
        kernel.put_in_map(self._mem[name], mask, key, value)

    def _clear_map(self, name: str, places: int) -> None:
        self._memory.clear(name, places)
        self._mem[f"{name}_mask"] = places - 1

    # -------------------------------------------------------------------------------------------- views

    def _open_in(self, index: int) -> Rows:
        """The open orders of a slot in order of time, as rows of the kernel."""
        count = int(self._memory.view("slots")[index]["open"])
        numbers = np.empty(count, np.int64)
        kernel.open_rows(self._mem, index, self._extent()[0], numbers)
        orders = self._memory.view("orders")[numbers]
        return orders[np.argsort(orders["sequence"])]

    def _open_orders_of(self, slot: int) -> Iterator[OpenOrder]:
        names = self._memory.view("nodes")["name"]
        orders = self._open_in(self._slots[slot])
        classes = int(self._mem["classes"])
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
        used = int(self._memory.view("tables")[kernel.IDS]["used"])
        entries = self._memory.view("id_entries")["key"][1 : used + 1]
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
        size = int(self._mem["node_size"])
        start = self._slots[slot] * size
        flows = self._memory.view("links")["flow_lots"][start : start + self._extent()[0]]
        names = self._memory.view("nodes")["name"]
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
