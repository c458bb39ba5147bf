"""The tables of one engine: which row of the kernel's memory stands for which node, slot and limit, and how they grow.

Tables of a slot have a row for every node, area and hub of the grid: they are sized for twice the grid and made anew
when it outgrows them. Everything else grows in place, before the kernel needs it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from matching import kernel
from matching.kernel import Rows
from matching.memory import Memory
from matching.order import Level, Rules

_STEP_ROWS = 2**20
_FIRST_ROWS = 4096
_FIRST_WIDTH = 4
_WIDE_SLOTS = 4


class Tables:
    """Memory for one market, at first without nodes and slots.

    ``indices`` are the kernel's numbers of nodes by name, in order of connection; ``slots`` those of the slots that
    have a book. ``nodes`` is how many nodes the tables of a slot should hold.
    """

    def __init__(self, rules: Rules, days: Sequence[int], nodes: int) -> None:
        self.memory = Memory()
        self.row = mem = self.memory.row
        self.at = self.memory.address
        self.indices: dict[int, int] = {}
        self.slots: dict[int, int] = {}
        self._free_slots: list[int] = []
        self._limits: NDArray[np.int64] = np.zeros((max(nodes, 510) + 2, 2), np.int64)  # by index, for new slots
        self._areas = self._hubs = self._slots_used = self._slots_size = 0
        prices = rules.cap_ticks - rules.floor_ticks
        bits = max(1, prices.bit_length())
        mem["range"], mem["floor"], mem["cap"] = prices, rules.floor_ticks, rules.cap_ticks
        mem["depth"], mem["shift"] = -(-bits // 6), 63 - bits
        mem["terms_count"], mem["classes"] = len(days), max(4 * len(days), 4)
        for used in ("orders_used", "words_used", "rungs_used", "ladders_used", "keys_used"):
            mem[used] = 1
        tables = self.memory.view("tables")
        tables["count"] = tables["whole"] = 1
        self.memory.reserve("keys_free", 64)
        self.memory.reserve("aheads", kernel.AHEAD_COMMANDS)
        mem["bucket_shift"] = max(0, bits - (kernel.BUCKETS.bit_length() - 1))
        self.memory.reserve("bounded", 2 * int(mem["classes"]))
        self.memory.reserve("bounds", 2 * int(mem["classes"]) * kernel.BUCKETS)
        self.memory.reserve("bound_areas", 2 * int(mem["classes"]) * kernel.BUCKETS)
        self._fill("terms", np.array(days, np.int64))
        self._fill("fees", np.minimum([0, *rules.fee_ticks], prices + 1))  # more, and no two orders fit either
        self._fill("fitting", _fitting(days, int(mem["classes"])))
        self._known = {"slot_map": 0, "node_map": 0}
        self._clear_map("slot_map", 1024)
        self._clear_map("node_map", 1024)
        self.grow(_FIRST_ROWS)
        self.reserve_events(_FIRST_ROWS)
        self._size_for(max(nodes, 510))

    def _fill(self, pool: str, values: NDArray[np.int64]) -> None:
        self.memory.reserve(pool, len(values))
        self.memory.view(pool)[: len(values)] = values

    # --------------------------------------------------------------------------------------------- grid

    def has_place(self, parent: int, level: Level) -> bool:
        """Whether a new node under this one fits into the tables that the slots have."""
        nodes, areas, hubs = self.extent()
        if not self.slots:
            if nodes > self.row["node_size"] - 1:
                self._size_for(2 * nodes)
            return True
        if nodes >= self.row["node_size"] or areas >= self.row["area_size"] or hubs >= self.row["hub_size"]:
            return False
        above = self.memory.view("nodes")[self.indices.get(parent, 0)]
        if above["level"] < Level.FEEDER:
            return True
        hub = self.memory.view("hubs")[above["place"]]
        return bool(hub["children"] < hub["width"])

    def add_node(self, name: int, parent_name: int, level: Level, up_lots: int, down_lots: int) -> None:
        """Number a node and link it; every slot's limits of it are these."""
        index = self.indices[name] = len(self.indices) + 1
        parent = self.indices.get(parent_name, 0)
        node, above = self.memory.view("nodes")[index], self.memory.view("nodes")[parent]
        node["name"], node["parent"], node["level"] = name, parent, level
        if level >= Level.FEEDER:
            node["place"] = self._hubs = self._hubs + 1
            hub = self.memory.view("hubs")[self._hubs]
            hub["node"], hub["level"], hub["width"] = index, level, _FIRST_WIDTH
            hub["hub"], hub["rank"] = self._join(parent)
        elif level == Level.METER and above["level"] == Level.TRANSFORMER:
            node["place"], node["is_plain"] = above["place"], 1
        else:
            area = self.memory.view("areas")[self._areas]
            node["place"] = self._areas
            self._areas += 1
            self.row["areas_count"] = self._areas
            area["node"] = index
            area["hub"], area["rank"] = self._join(parent)
        self._put("node_map", name, index)
        if index >= len(self._limits):
            self._limits = np.concatenate([self._limits, np.zeros_like(self._limits)])
        self.put_limits(index, up_lots, down_lots)
        links, size = self.memory.view("links"), int(self.row["node_size"])
        for slot in self.slots.values():
            links[slot * size + index]["up_lots"], links[slot * size + index]["down_lots"] = up_lots, down_lots
            self.memory.view("slots")[slot]["blocked"] += (up_lots == 0) + (down_lots == 0)

    def _join(self, parent: int) -> tuple[int, int]:
        """(hub, rank) of a new child; 0 for the root."""
        if parent == 0:
            return 0, 0
        number = int(self.memory.view("nodes")[parent]["place"])
        hub = self.memory.view("hubs")[number]
        rank = int(hub["children"])
        hub["children"] += 1
        while hub["children"] > hub["width"]:
            hub["width"] *= 2
        self.row["widest"] = max(self.row["widest"], hub["width"])
        return number, rank

    def extent(self) -> tuple[int, int, int]:
        """One more than the largest number of a node, an area and a hub."""
        return len(self.indices) + 1, self._areas, self._hubs + 1

    # -------------------------------------------------------------------------------------------- slots

    def put_limits(self, index: int, up_lots: int, down_lots: int) -> None:
        """What a link's limits are in slots that have no book yet."""
        self._limits[index] = up_lots, down_lots

    def make_slot(self, slot: int, limits: Mapping[int, tuple[int, int]]) -> None:
        """A book for a slot that has its first order; ``limits``, by index, are those for this slot alone."""
        if self._free_slots:
            index = self._free_slots.pop()
        else:
            index = self._slots_used = self._slots_used + 1
            if index >= self._slots_size:
                self._reserve_slots(2 * self._slots_size)
        self.slots[slot] = index
        self.memory.view("slots")[index]["name"] = slot
        size = int(self.row["node_size"])
        nodes = len(self.indices) + 1
        links = self.memory.view("links")[index * size : index * size + nodes]
        links["up_lots"], links["down_lots"] = self._limits[:nodes].T
        for node, (up_lots, down_lots) in limits.items():
            links[node]["up_lots"], links[node]["down_lots"] = up_lots, down_lots
        links = links[1:]
        blocked = (links["up_lots"] <= 0).sum() + (links["down_lots"] <= 0).sum()
        self.memory.view("slots")[index]["blocked"] = blocked
        self.put_slot(slot, index)
        self.row["is_wide"] = len(self.slots) >= _WIDE_SLOTS

    def free_slot(self, slot: int) -> None:
        """All that the slot has is given back."""
        index = self.slots.pop(slot)
        kernel.free_slot(self.at, index, *self.extent())
        self._free_slots.append(index)

    def put_slot(self, slot: int, value: int) -> None:
        """Tell the kernel where a slot is, or that it is closed."""
        self._put("slot_map", slot, value)

    def _size_for(self, nodes: int) -> None:
        """Tables of slots are for so many nodes from now on; no slot has one yet."""
        mem, memory = self.row, self.memory
        mem["node_size"] = mem["area_size"] = mem["hub_size"] = nodes + 2
        for pool in ("nodes", "areas", "hubs"):
            memory.reserve(pool, nodes + 2)
        self._slots_size = 0
        self._reserve_slots(8)

    def _reserve_slots(self, slots: int) -> None:
        """Tables for so many slots, the first of which (0: none) is not used."""
        mem, memory = self.row, self.memory
        nodes, areas, hubs = int(mem["node_size"]), int(mem["area_size"]), int(mem["hub_size"])
        books = 2 * int(mem["classes"])
        memory.reserve("slots", slots)
        memory.reserve("links", slots * nodes)
        memory.reserve("heads", slots * nodes * 2)
        memory.reserve("cells", slots * areas * 4)
        memory.reserve("books", slots * areas * books)
        memory.reserve("hub_cells", slots * hubs * 4)
        memory.reserve("trees", slots * hubs * books)
        self._slots_size = slots

    # ------------------------------------------------------------------------------------------- growth

    def grow(self, commands: int) -> None:
        """Room for what so many commands may need, and a share of what there is beyond that, but for their events.

        ``kernel._has_memory`` asks for the same.
        """
        mem, memory = self.row, self.memory
        for table, name in ((kernel.IDS, "id"), (kernel.PAIRS, "pair")):
            row = memory.view("tables")[table]
            if row["used"] + commands + 2 > row["size"]:
                row["size"] = _more(int(row["used"]), commands + 2)
                memory.reserve(f"{name}_entries", int(row["size"]) + 2)
                memory.reserve(f"{name}_buckets", int(row["size"]) + 2)
                if table == kernel.IDS:
                    memory.reserve("ids", (int(row["size"]) + 2) << kernel.ID_BITS)
        self._grow_pool("orders", commands, "orders", "helds")
        self._grow_pool("ladders", 2 * commands, "ladders", "candidates")
        self._grow_pool("keys", 8 * int(mem["widest"]) * commands, "keys", "winners")
        most = int(mem["open"]) + commands + 1
        self._grow_to("rungs", most + 1, "rungs")
        self._grow_to("words", int(mem["depth"]) * most + 1, "words")
        memory.reserve("children", (int(mem["words_size"]) + 2) * 64)

    def _grow_pool(self, name: str, needed: int, *pools: str) -> None:
        self._grow_to(name, int(self.row[f"{name}_used"]) + needed, *pools)

    def _grow_to(self, name: str, most: int, *pools: str) -> None:
        if most > self.row[f"{name}_size"]:
            self.row[f"{name}_size"] = _more(most, 0)
            for pool in pools:
                self.memory.reserve(pool, int(self.row[f"{name}_size"]) + 2)

    def grow_for(self, next_command: Rows) -> None:
        """Whatever the next command, or what is left of the last one, found too small gets larger."""
        mem, wanted = self.row, max(1, int(self.row["wanted"]), int(next_command["legs"].max(initial=1)))
        self.grow(wanted)
        if mem["phase"] != kernel.NEXT or mem["events_used"] + 2 * wanted + 4 > mem["events_size"]:
            self.reserve_events(2 * (int(mem["events_size"]) + wanted + 2))

    def reserve_events(self, rows: int) -> None:
        if rows > self.row["events_size"]:
            self.memory.reserve("events", rows)
            self.memory.reserve("counterparties", rows)
            self.row["events_size"] = rows

    def _put(self, name: str, key: int, value: int) -> None:
        """Set a key in a map of the kernel; before it is more than half full, it is made anew, twice as large."""
        mask = f"{name}_mask"
        self._known[name] += 1
        if 2 * self._known[name] > self.row[mask]:
            places = self.memory.view(name)
            self._clear_map(name, 2 * len(places))
            for place in places[places["value"] != 0]:
                kernel.put_in_map(self.row[name], self.row[mask], place["key"], place["value"])
        kernel.put_in_map(self.row[name], self.row[mask], key, value)

    def _clear_map(self, name: str, places: int) -> None:
        self.memory.clear(name, places)
        self.row[f"{name}_mask"] = places - 1

    # ------------------------------------------------------------------------------- commands and events

    def go_on_from(self, old: "Tables") -> None:
        """Take over commands and events where older tables stand between two commands."""
        for field in ("row", "commands", "commands_count"):
            self.row[field] = old.row[field]
        self.reserve_events(int(old.row["events_size"]))
        self.memory.view("events")[: old.row["events_used"]] = old.events()
        self.row["events_used"] = old.row["events_used"]

    def events(self) -> Rows:
        """A copy of what has been told."""
        return self.memory.copy("events", int(self.row["events_used"]))

    # -------------------------------------------------------------------------------------------- views

    def open_rows(self, slot: int) -> Rows:
        """The open orders of a slot in order of time, as rows of ``kernel.ORDER``."""
        index = self.slots[slot]
        numbers = np.empty(int(self.memory.view("slots")[index]["open"]), np.int64)
        kernel.open_rows(self.at, index, self.extent()[0], numbers)
        orders = self.memory.view("orders")[numbers]
        return orders[np.argsort(orders["sequence"])]

    def flows(self, slot: int) -> list[tuple[int, int]]:
        """(node, net upward lots) of every link that carries any, by node."""
        start = self.slots[slot] * int(self.row["node_size"])
        flows = self.memory.view("links")["flow_lots"][start : start + len(self.indices) + 1]
        names = self.memory.view("nodes")["name"]
        return sorted((int(names[index]), int(flows[index])) for index in np.flatnonzero(flows))

    def used_ids(self) -> NDArray[np.int64]:
        """Ascending."""
        used = int(self.memory.view("tables")[kernel.IDS]["used"])
        pages = self.memory.view("id_entries")["key"][1 : used + 1]
        digits = self.memory.view("ids")[1 << kernel.ID_BITS : (used + 1) << kernel.ID_BITS]
        numbers = np.flatnonzero(digits)
        last_bits = (1 << kernel.ID_BITS) - 1
        return np.sort((pages[numbers >> kernel.ID_BITS] << kernel.ID_BITS) | (numbers & last_bits))


def _more(used: int, needed: int) -> int:
    return used + needed + min(max(used, 1024), _STEP_ROWS)


def _fitting(days: Sequence[int], classes: int) -> NDArray[np.int64]:
    """For every book and distance the classes of the other side that fit, as bits: both reach so far, and the buy's
    terms are no longer than the sell's."""
    fitting = np.zeros((2, classes, 4), np.int64)
    for one in range(4 * len(days)):
        for other in range(4 * len(days)):
            for level in range(1, 4):
                if min(one % 4, other % 4) >= level:
                    bit = 1 << other
                    fitting[kernel.SELL, one, level] |= bit if days[other // 4] <= days[one // 4] else 0
                    fitting[kernel.BUY, one, level] |= bit if days[one // 4] <= days[other // 4] else 0
    return fitting.reshape(-1)
