"""The auction's inner loop, compiled by numba: the rules of docs/market_rules.md over numpy arrays.

This is one long file on purpose: numba looks only at the file of a function to tell whether its cached machine code is
still right, so what is compiled together is kept together, the layout of the rows included.

**The idea.** Prices are turned into *costs*: ticks above the floor for a sell, ticks below the cap for a buy. Then both
sides obey one rule (``cost + cost + fee <= cap - floor``), the lower cost is the better, and ``key = cost << shift |
sequence`` puts the orders of one side in priority. The grid becomes *areas* (a transformer, or a meter that hangs
higher: whoever meets there is at distance transformer) under one or two *hubs* (feeder, substation).

- An area has one *ladder* for each slot, side and class (reach and payment terms): a tree of 64-bit words over costs
  with a *rung*, a queue, at each cost. Its best order is known without a search.
- A hub has one *tournament* for each slot, side and class over the best of its children whose link still has room.
  A taker takes the best of its own area and of its hubs: as fees never fall with distance, an order of the taker's own
  branch that also shows at a hub never beats itself nearer by.
- What has no room is kept beside it: a second tournament of the children without room, and for every ladder a second
  one with the orders of meters whose own link is full (*parked*). They tell whether an order fits at all: so an order
  that comes to rest knows whether it is held, and a taker whether one of its own member may be hidden.
- Held orders are also listed by sequence, per ladder. When a full link gets room again, it is noted (*suspect*); at
  the end of the command the bests above it tell whether any pair can trade; only then are the held orders of their
  ladders gathered, into a heap by sequence, and tried. A pass that can not trade costs nothing.
- Commands are carried out in parts of a few. What those of a part name is looked up before the first of them, so that
  memory has fetched it when its turn comes.

**The memory.** ``mem`` is one row of ``MEMORY``, at the address that every entry gets: the addresses of the pools
(arrays that ``matching.memory`` owns), counters and constants. Rows and cells are reached through those addresses:
numba would count references to some twenty arrays in every call, which costs more than the work. Row 0 of a pool
stands for "none", so that fresh memory, which is zero, is an empty market. Nothing is allocated here: before each
command there must be room for what it may need, otherwise the kernel returns ``GROW`` and goes on where it was.

**Numbers.** All 64-bit integers. A quantity is at most 2**48 lots, a net flow less than 2**61 (no overflow before 8,192
of the largest trades in one slot), and a sequence number less than ``1 << shift`` (2**48 for prices of 0 to 2 CNY/kWh).
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from matching.compiling import compiled, entry, inlined

Memory = Any  # a row of MEMORY
Row = Any
Cells = Any
Rows = NDArray[np.void]

# ------------------------------------------------------------------------------------------------ rows

NEW, LEG, CANCEL, AMEND, CLOSE, CAPACITY, CONNECT = 1, 2, 3, 4, 5, 6, 7
"""``COMMAND["kind"]``."""

REJECTED, ACCEPTED, TRADED, REMOVED, AMENDED, CLOSED, LIMITED, CONNECTED = 1, 2, 3, 4, 5, 6, 7, 8
"""``EVENT["kind"]``."""

GIVES_QUANTITY, GIVES_PRICE, FOR_ALL_SLOTS = 1, 2, 4
"""Bits of ``COMMAND["flags"]``."""

NO_LIMIT_LOTS = 2**62
LARGEST_LOTS, LARGEST_LIMIT_LOTS = 2**48, 2**60
"""The most that a quantity and a limit may be: what flows in a slot then stays inside 64 bits."""

LIMITING, TOO_LARGE, CUT_BASKET, NO_SEQUENCES = 1, 2, 4, 8
"""What ``run`` finds in new commands, as bits."""

COMMAND: np.dtype[np.void] = np.dtype(
    [
        ("order_id", "i8"),
        ("member", "i8"),
        ("meter", "i8"),  # the node, for ``connect`` and ``capacity``
        ("slot", "i8"),
        ("quantity_lots", "i8"),  # the export limit, for ``connect`` and ``capacity``
        ("price_ticks", "i8"),  # the import limit, for ``connect`` and ``capacity``
        ("terms_days", "i8"),  # the parent, for ``connect``
        ("legs", "i4"),  # of a basket, in its first row; 0 in the others
        ("kind", "i1"),
        ("side", "i1"),
        ("tif", "i1"),
        ("reach", "i1"),  # the level, for ``connect``
        ("flags", "i1"),
    ],
    align=True,
)

EVENT: np.dtype[np.void] = np.dtype(
    [
        ("sequence", "i8"),
        ("order_id", "i8"),  # the buy of a trade; the node of ``limited`` and ``connected``
        ("other", "i8"),  # the sell of a trade; the priority sequence of an amendment
        ("slot", "i8"),
        ("quantity_lots", "i8"),  # traded or remaining; the export limit of ``limited``
        ("price_ticks", "i8"),  # what the seller gets, or the order's; the import limit of ``limited``
        ("buyer_price_ticks", "i8"),
        ("unused", "i4"),
        ("kind", "i1"),
        ("reason", "i1"),  # of a refusal or an end
        ("taker", "i1"),  # the side with the higher sequence number
        ("level", "i1"),
    ],
    align=True,
)

ORDER: np.dtype[np.void] = np.dtype(
    [
        ("order_id", "i8"),
        ("sequence", "i8"),
        ("member", "i8"),
        ("remaining_lots", "i8"),
        ("cost", "i4"),
        ("meter", "i4"),
        ("next", "i4"),  # in the queue of its rung; of a free row: the next free row
        ("previous", "i4"),
        ("meter_next", "i4"),  # the orders of one meter, slot and side
        ("meter_previous", "i4"),
        ("rung", "i4"),
        ("slot", "i2"),
        ("book", "i1"),  # side * classes + class
        ("held", "i1"),
    ],
    align=True,
)
RUNG: np.dtype[np.void] = np.dtype(
    [
        ("cost", "i4"),
        ("first", "i4"),  # of the queue; of a free row: the next free row
        ("last", "i4"),
        ("word", "i4"),  # that it hangs below; 0: alone in its ladder
    ]
)
CANDIDATE: np.dtype[np.void] = np.dtype([("sequence", "i8"), ("order", "i4"), ("ladder", "i4")])
AHEAD: np.dtype[np.void] = np.dtype([("place", "i8"), ("slot", "i4"), ("meter", "i4")])
HELD: np.dtype[np.void] = np.dtype([("next", "i4"), ("previous", "i4")])
LINK: np.dtype[np.void] = np.dtype(
    [("flow_lots", "i8"), ("up_lots", "i8"), ("down_lots", "i8"), ("suspect_next", "i4"), ("is_suspect", "i4")]
)
WORD: np.dtype[np.void] = np.dtype(
    [
        ("bits", "i8"),
        ("parent", "i4"),  # of a free row: the next free row
        ("shift", "i4"),  # a cost's digit in this word begins at this bit
    ]
)
LADDER: np.dtype[np.void] = np.dtype(
    [
        ("key", "i8"),
        ("best", "i4"),
        ("root", "i4"),  # a word, or less than 0: the only rung
        ("held_first", "i4"),
        ("held_last", "i4"),
        ("gathering", "i8"),  # the last one that took in its held orders
        ("dearest", "i4"),  # the cost above which it said that none of them can trade
        ("unused", "i4"),
    ]
)
NODE: np.dtype[np.void] = np.dtype(
    [
        ("name", "i8"),
        ("owner", "i8"),  # the first member that had an order at this meter
        ("parent", "i4"),
        ("place", "i4"),  # of a meter or transformer: its area; of a higher node: its hub
        ("level", "i1"),
        ("is_plain", "i1"),  # a meter under a transformer; any other meter is an area of its own
        ("has_owner", "i1"),
    ],
    align=True,
)
AREA: np.dtype[np.void] = np.dtype([("node", "i4"), ("hub", "i4"), ("rank", "i4"), ("unused", "i4")])
HUB: np.dtype[np.void] = np.dtype(
    [("node", "i4"), ("hub", "i4"), ("rank", "i4"), ("width", "i4"), ("level", "i4"), ("children", "i4")]
)
SLOT: np.dtype[np.void] = np.dtype(
    [
        ("name", "i8"),
        ("open", "i4"),
        ("blocked", "i4"),  # how many directions of links have no room
        ("suspects", "i4"),  # links that got room again
        ("next", "i4"),  # the next slot with suspects
    ]
)
ENTRY: np.dtype[np.void] = np.dtype([("key", "i8"), ("value", "i4"), ("next", "i4")])
PLACE: np.dtype[np.void] = np.dtype([("key", "i8"), ("value", "i8")])

TABLE: np.dtype[np.void] = np.dtype(
    [
        ("buckets", "i8"),  # address
        ("entries", "i8"),  # address
        ("used", "i8"),  # the last entry
        ("size", "i8"),
        ("count", "i8"),  # of buckets
        ("whole", "i8"),  # the largest power of two not above the count
    ]
)

POOLS = {
    "orders": ORDER,
    "helds": HELD,  # order
    "links": LINK,  # slot * node_size + node
    "heads": np.dtype("i4"),  # (slot * node_size + node) * 2 + side: the first order of that meter
    "cells": np.dtype("i8"),  # (slot * area_size + area) * 4 + side * 2 + parked: which classes have orders
    "books": np.dtype("i4"),  # (slot * area_size + area) * 2 * classes + book: the ladder; the parked one follows it
    "hub_cells": np.dtype("i8"),  # (slot * hub_size + hub) * 4 + side * 2 + without room: which classes have orders
    "trees": np.dtype("i8"),  # (slot * hub_size + hub) * 2 * classes + book: tournament; the one without room follows
    "keys": np.dtype("i8"),  # tournament + place: a child's leaf is at width + rank, the winner at 1
    "winners": np.dtype("i4"),  # the order whose key that is
    "keys_free": np.dtype("i8"),  # log2(width): the first free pair of tournaments
    "words": WORD,
    "children": np.dtype("i4"),  # word * 64 + digit: a word, or less than 0: a rung
    "rungs": RUNG,
    "ladders": LADDER,
    "candidates": CANDIDATE,  # a heap: the first is the earliest
    "bounds": np.dtype("i8"),  # book * BUCKETS + bucket: no order up to this cost is earlier than this sequence
    "bound_areas": np.dtype("i4"),  # where the one of that sequence was
    "bounded": np.dtype("i8"),  # book: the settling that its bounds are of
    "nodes": NODE,
    "areas": AREA,
    "hubs": HUB,
    "slots": SLOT,
    "tables": TABLE,
    "ids": np.dtype("i4"),  # page * 16 + digit: the row of the order while it rests; -1: none; 0: unused
    "aheads": AHEAD,  # of the commands that come next
    "id_buckets": np.dtype("i4"),
    "id_entries": ENTRY,
    "pair_buckets": np.dtype("i4"),
    "pair_entries": ENTRY,
    "slot_map": PLACE,
    "node_map": PLACE,
    "fitting": np.dtype("i8"),  # book * 4 + level: the classes of the other side that fit at that distance
    "terms": np.dtype("i8"),  # the market's classes, ascending
    "fees": np.dtype("i8"),  # level
    "events": EVENT,
    "counterparties": np.dtype("i4"),  # event: the row of a trade's resting order
    "commands": COMMAND,  # the caller's
}
"""The type of each pool's rows, and how a row is found where it is not by its own number."""

COUNTERS = (
    *("sequence", "open"),
    *("orders_used", "orders_free", "orders_size"),
    *("words_used", "words_free", "words_size"),
    *("rungs_used", "rungs_free", "rungs_size"),
    *("ladders_used", "ladders_free", "ladders_size"),
    *("keys_used", "keys_size"),
    *("events_used", "events_size"),
    *("node_size", "area_size", "hub_size", "widest"),  # of the tables of a slot; the widest tournament
    *("slot_map_mask", "node_map_mask"),
    *("classes", "terms_count", "depth", "shift", "range", "floor", "cap"),
    *("commands_count", "row", "phase", "taker", "leg", "events_before"),  # where the kernel stands
    *("pass_cursor", "pass_traded", "pass_free"),
    *("gathering", "candidates_count", "room_gained"),
    *("settling", "searches", "bucket_shift", "areas_count"),
    *("last_key", "last_page"),  # of the last order id that was used
    "wanted",  # commands that memory is asked for at once
    "is_wide",  # 1: there are many slots
    "suspects",  # the first slot with links that got room again
)

MEMORY: np.dtype[np.void] = np.dtype([(name, "i8") for name in (*POOLS, *COUNTERS)])

IDS, PAIRS = 0, 1
"""Tables: the pages of used order ids, by the id without its last bits; members, with the meters they have had orders
at."""

SELL, BUY = 0, 1
"""A side in here; a command names them ``BUY_TAKER`` and ``SELL_TAKER``."""
BUY_TAKER, SELL_TAKER = 1, 2
GTC, IOC, FOK = 1, 2, 3
DUPLICATE_ORDER_ID, UNKNOWN_METER, SLOT_CLOSED, BAD_QUANTITY, BAD_PRICE, BAD_TERMS, BASKET_REJECTED, NOT_OPEN = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
)
BY_OWNER, UNFILLED_IOC, UNFILLED_FOK, UNFILLED_BASKET, SELF_TRADE = 1, 2, 3, 4, 5

DONE, GROW, MAKE_SLOT, ASK, CHECK = 0, 1, 2, 3, 4
"""What ``run`` returns: all rows are done; a pool is too small; the slot of this row is new; a row is not for the
kernel (``close``, ``capacity``, ``connect``); from ``CHECK`` on: nothing has been done, new commands have what is to
be looked at first. ``row`` tells the row, ``leg`` that of the new slot."""

FILLED_OR_REST, MET_OWN, FULL = 0, 1, 2
NEXT, ENTERING, LEGS, SETTLING = 0, 1, 2, 3
CLOSED_SLOT = -1
NOTHING = 2**63 - 1
"""The key where there is no order."""

ID_BITS = 4
_LAST_BITS = 2**ID_BITS - 1
"""An order id is a page and a digit in it: a page is 64 bytes."""

BUCKETS = 4096
"""Of costs, in ``bounds``."""

AHEAD_COMMANDS = 32
"""So many commands are looked up at once, before the first of them is carried out."""

_ORDER_BYTES, _COMMAND_BYTES, _LINK_BYTES = ORDER.itemsize, COMMAND.itemsize, LINK.itemsize
_SEARCHES = 4
"""So many searches for an earlier order among all are made before bounds are worth their while."""

_RUNG_BYTES, _LADDER_BYTES, _WORD_BYTES = RUNG.itemsize, LADDER.itemsize, WORD.itemsize

_MIX = -7046029254386353131  # 2**64 / golden ratio, as a signed number


# ------------------------------------------------------------------------------------------- primitives


_int: Any = np.int64


def _rows(dtype: "np.dtype[np.void]") -> Any:
    """A function (address, number) -> row, to be read and written by its fields."""
    row = from_dtype(dtype)

    def view(typingctx: Any, address: Any, number: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            offset = builder.mul(args[1], ir.Constant(ir.IntType(64), dtype.itemsize))
            return builder.inttoptr(builder.add(args[0], offset), context.get_value_type(row))

        return row(types.int64, types.int64), codegen

    return intrinsic(view)


def _cells(kind: Any) -> Any:
    """A function (address) -> cells, to be read and written by their numbers."""
    pointer_type: Any = types.CPointer
    cells = pointer_type(kind)

    def view(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(cells))

        return cells(types.int64), codegen

    return intrinsic(view)


def _lowest_bit_of(typingctx: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), codegen


_lowest_bit: Any = intrinsic(_lowest_bit_of)


def _prefetch_of(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, whole, whole, whole])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        builder.call(prefetch, [builder.inttoptr(args[0], pointer), *(whole(each) for each in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


_prefetch: Any = intrinsic(_prefetch_of)
_order = _rows(ORDER)
_held = _rows(HELD)
_link = _rows(LINK)
_word = _rows(WORD)
_ladder_row = _rows(LADDER)
_node = _rows(NODE)
_area = _rows(AREA)
_hub = _rows(HUB)
_slot = _rows(SLOT)
_table = _rows(TABLE)
_memory = _rows(MEMORY)
_rung = _rows(RUNG)
_candidate = _rows(CANDIDATE)
_ahead = _rows(AHEAD)
_entry_row = _rows(ENTRY)
_place_row = _rows(PLACE)
_event = _rows(EVENT)
_command = _rows(COMMAND)
_i32s = _cells(types.int32)
_i64s = _cells(types.int64)


@inlined
def _fee(mem: Memory, level: int) -> int:
    return _i64s(mem.fees)[level]


@inlined
def _side(mem: Memory, book: int) -> int:
    return 1 if book >= mem.classes else 0


@inlined
def _class(mem: Memory, book: int) -> int:
    return book - mem.classes if book >= mem.classes else book


# ------------------------------------------------------------------------------------------------- maps


@inlined
def _look_up(places: int, mask: int, key: int) -> int:
    """The value of a key in an open-addressed map, 0 if it is not there. Nodes and slots are numbered one after the
    other: their numbers are their places."""
    at = key & mask
    while _place_row(places, at).value != 0:
        if _place_row(places, at).key == key:
            return _place_row(places, at).value
        at = (at + 1) & mask
    return 0


@entry
def put_in_map(places: int, mask: int, key: int, value: int) -> None:
    """Set the value of a key; the map has a free place."""
    at = key & mask
    while _place_row(places, at).value != 0 and _place_row(places, at).key != key:
        at = (at + 1) & mask
    _place_row(places, at).key = key
    _place_row(places, at).value = value


@inlined
def _bucket(table: Row, key: int) -> int:
    """Neighbouring keys lie in neighbouring buckets, so that ids given one after the other stay near in memory."""
    high = (key >> 16) * _MIX
    mixed = (key & 0xFFFF) + (high ^ (high >> 29))
    at = mixed & (2 * table.whole - 1)
    return at if at < table.count else at & (table.whole - 1)


@inlined
def _find(table: Row, key: int) -> int:
    """The entry of a key in a table, 0 if it has none."""
    at = _int(_i32s(table.buckets)[_bucket(table, key)])
    while at != 0 and _entry_row(table.entries, at).key != key:
        at = _int(_entry_row(table.entries, at).next)
    return at


@compiled
def _add(table: Row, key: int, value: int) -> int:
    """A new entry. The table grows by linear hashing: one bucket at a time, never all at once."""
    buckets = _i32s(table.buckets)
    new = table.used + 1
    table.used = new
    at = _bucket(table, key)
    entry = _entry_row(table.entries, new)
    entry.key = key
    entry.value = value
    entry.next = buckets[at]
    buckets[at] = new
    count = table.count
    if count <= new:
        split = count - table.whole
        table.count = count + 1
        if count + 1 == 2 * table.whole:
            table.whole *= 2
        each = _int(buckets[split])
        buckets[split] = 0
        buckets[count] = 0
        while each != 0:
            moved = _entry_row(table.entries, each)
            following = _int(moved.next)
            to = _bucket(table, moved.key)
            moved.next = buckets[to]
            buckets[to] = each
            each = following
    return new


@inlined
def _place_of(mem: Memory, order_id: int) -> int:
    """Where ``ids`` tells about an order id; 0 if no id of its page has been used."""
    page = _find(_table(mem.tables, IDS), order_id >> ID_BITS)
    return (page << ID_BITS) + (order_id & _LAST_BITS) if page != 0 else 0


@inlined
def _next_place_of(mem: Memory, order_id: int) -> int:
    """The same, found at once for ids that follow one another."""
    if order_id >> ID_BITS == mem.last_key and mem.last_page != 0:
        return (mem.last_page << ID_BITS) + (order_id & _LAST_BITS)
    return _place_of(mem, order_id)


@compiled
def _new_place(mem: Memory, order_id: int) -> int:
    """The same; there is a page for it from now on."""
    ids, key = _table(mem.tables, IDS), order_id >> ID_BITS
    page = _find(ids, key)
    if page == 0:
        page = _add(ids, key, 0)
    mem.last_key = key
    mem.last_page = page
    return (page << ID_BITS) + (order_id & _LAST_BITS)


@inlined
def _know_owner(mem: Memory, meter: int, member: int) -> None:
    """Remember that this member has had orders at this meter."""
    node = _node(mem.nodes, meter)
    if node.has_owner == 0 or node.owner != member:
        _know_another(mem, meter, member)


@compiled
def _know_another(mem: Memory, meter: int, member: int) -> None:
    node = _node(mem.nodes, meter)
    pairs = _table(mem.tables, PAIRS)
    at = _int(_i32s(pairs.buckets)[_bucket(pairs, member)])
    while at != 0:
        entry = _entry_row(pairs.entries, at)
        if entry.key == member and entry.value == meter:
            return
        at = _int(entry.next)
    _add(pairs, member, meter)
    if node.has_owner == 0:
        node.has_owner = 1
        node.owner = member


# ---------------------------------------------------------------------------------------------- ladders


@inlined
def _new_word(mem: Memory, parent: int, shift: int) -> int:
    new = mem.words_free
    if new != 0:
        mem.words_free = _word(mem.words, new).parent
    else:
        new = mem.words_used
        mem.words_used = new + 1
    _word(mem.words, new).parent = parent
    _word(mem.words, new).shift = shift
    return new


@inlined
def _free_word(mem: Memory, word: int) -> None:
    _word(mem.words, word).parent = mem.words_free
    mem.words_free = word


@inlined
def _new_rung(mem: Memory, cost: int, word: int) -> int:
    new = mem.rungs_free
    if new != 0:
        mem.rungs_free = _rung(mem.rungs, new).first
    else:
        new = mem.rungs_used
        mem.rungs_used = new + 1
    row = _rung(mem.rungs, new)
    row.cost = cost
    row.first = 0
    row.last = 0
    row.word = word
    return new


@inlined
def _free_rung(mem: Memory, rung: int) -> None:
    _rung(mem.rungs, rung).first = mem.rungs_free
    mem.rungs_free = rung


@inlined
def _rung_for(mem: Memory, lad: Row, cost: int) -> int:
    """The rung of a ladder at this cost; made if it is not there. A rung that is alone below a word hangs there itself:
    words are made only where two costs part."""
    words, rungs, children = mem.words, mem.rungs, _i32s(mem.children)
    entry, holder, at, shift = _int(lad.root), _int(0), _int(0), 6 * (mem.depth - 1)
    rung = _int(0)
    while rung == 0:
        if entry > 0:
            holder = entry
            digit = (cost >> shift) & 63
            at = holder * 64 + digit
            shift -= 6
            bits = _word(words, holder).bits
            if (bits >> digit) & 1:
                entry = _int(children[at])
            else:
                _word(words, holder).bits = bits | (_int(1) << digit)
                rung = _new_rung(mem, cost, holder)
                children[at] = -rung
        elif entry == 0:
            rung = _new_rung(mem, cost, 0)
            lad.root = -rung
        elif _rung(rungs, -entry).cost == cost:
            rung = -entry
        else:
            word = _new_word(mem, holder, shift)
            digit = (_int(_rung(rungs, -entry).cost) >> shift) & 63
            _rung(rungs, -entry).word = word
            _word(words, word).bits = _int(1) << digit
            children[word * 64 + digit] = entry
            if holder == 0:
                lad.root = word
            else:
                children[at] = word
            entry = word
    return rung


@inlined
def _drop_rung(mem: Memory, lad: Row, rung: int) -> None:
    """Take an empty rung, and the words that it leaves empty, out of its ladder."""
    words = mem.words
    cost, word = _int(_rung(mem.rungs, rung).cost), _int(_rung(mem.rungs, rung).word)
    _free_rung(mem, rung)
    while word != 0:
        row = _word(words, word)
        bits = row.bits & ~(_int(1) << ((cost >> row.shift) & 63))
        row.bits = bits
        if bits != 0:
            return
        parent = _int(row.parent)
        _free_word(mem, word)
        word = parent
    lad.root = 0


@inlined
def _lowest_rung(mem: Memory, entry: int) -> int:
    """The rung of the lowest cost below a word or rung."""
    children = _i32s(mem.children)
    while entry > 0:
        entry = _int(children[entry * 64 + _lowest_bit(_word(mem.words, entry).bits)])
    return -entry


@inlined
def _put_in_ladder(mem: Memory, ladder: int, new: int, is_newest: bool) -> bool:
    """Queue an order at its cost, in order of sequence (``is_newest``: it has the highest of all). Returns whether it
    is the best now."""
    lad, order, orders = _ladder_row(mem.ladders, ladder), _order(mem.orders, new), mem.orders
    cost = _int(order.cost)
    rung = _rung_for(mem, lad, cost)
    order.rung = rung
    row = _rung(mem.rungs, rung)
    before, after = _int(row.last), _int(0)
    if not is_newest and before != 0:
        if order.sequence < _order(orders, row.first).sequence:
            before, after = _int(0), _int(row.first)
        while before != 0 and _order(orders, before).sequence > order.sequence:
            after = before
            before = _int(_order(orders, before).previous)
    order.previous = before
    order.next = after
    if before != 0:
        _order(orders, before).next = new
    else:
        row.first = new
    if after != 0:
        _order(orders, after).previous = new
    else:
        row.last = new
    key = (cost << mem.shift) | order.sequence
    if key < lad.key:
        lad.key = key
        lad.best = new
        return True
    return False


@inlined
def _take_from_ladder(mem: Memory, ladder: int, old: int) -> bool:
    """The inverse of ``_put_in_ladder``. Returns whether it was the best."""
    lad, order, orders = _ladder_row(mem.ladders, ladder), _order(mem.orders, old), mem.orders
    rung = _int(order.rung)
    row = _rung(mem.rungs, rung)
    before, after = _int(order.previous), _int(order.next)
    if after != 0:
        _order(orders, after).previous = before
    else:
        row.last = before
    if before != 0:
        _order(orders, before).next = after
    else:
        row.first = after
        if after == 0:
            _drop_rung(mem, lad, rung)
    if lad.best != old:
        return False
    if lad.root == 0:
        lad.best = 0
        lad.key = NOTHING
        return True
    if after == 0:
        rung = _lowest_rung(mem, _int(lad.root))
        row = _rung(mem.rungs, rung)
        after = _int(row.first)
    lad.best = after
    lad.key = (_int(row.cost) << mem.shift) | _order(orders, after).sequence
    return True


@compiled
def _first_from(mem: Memory, ladder: int, cost: int) -> int:
    """The first order of a ladder that costs this much or more, 0 if there is none."""
    if cost >> (6 * mem.depth) != 0:
        return 0
    children = _i32s(mem.children)
    entry, turn, shift = _int(_ladder_row(mem.ladders, ladder).root), _int(0), 6 * (mem.depth - 1)
    while entry > 0:
        digit = (cost >> shift) & 63
        bits = _word(mem.words, entry).bits
        higher = bits & (_int(-2) << digit)
        if higher != 0:
            turn = _int(children[entry * 64 + _lowest_bit(higher)])
        entry = _int(children[entry * 64 + digit]) if (bits >> digit) & 1 else _int(0)
        shift -= 6
    if entry == 0 or _rung(mem.rungs, -entry).cost < cost:
        entry = turn
    return _int(_rung(mem.rungs, _lowest_rung(mem, entry)).first) if entry != 0 else 0


@compiled
def _list_held(mem: Memory, ladder: int, new: int) -> None:
    """Put a held order among those of its ladder, in order of sequence."""
    lad = _ladder_row(mem.ladders, ladder)
    before = _int(lad.held_last)
    while before != 0 and _order(mem.orders, before).sequence > _order(mem.orders, new).sequence:
        before = _int(_held(mem.helds, before).previous)
    after = _int(_held(mem.helds, before).next) if before != 0 else _int(lad.held_first)
    _held(mem.helds, new).previous = before
    _held(mem.helds, new).next = after
    if before != 0:
        _held(mem.helds, before).next = new
    else:
        lad.held_first = new
    if after != 0:
        _held(mem.helds, after).previous = new
    else:
        lad.held_last = new


@compiled
def _unlist_held(mem: Memory, ladder: int, old: int) -> None:
    lad = _ladder_row(mem.ladders, ladder)
    before, after = _int(_held(mem.helds, old).previous), _int(_held(mem.helds, old).next)
    if before != 0:
        _held(mem.helds, before).next = after
    else:
        lad.held_first = after
    if after != 0:
        _held(mem.helds, after).previous = before
    else:
        lad.held_last = before


# ------------------------------------------------------------------------------------------ tournaments


@inlined
def _set_leaf(mem: Memory, tree: int, place: int, key: int, winner: int) -> bool:
    """A child's best is now this order. Returns whether the winner of all children changed."""
    keys, winners = _i64s(mem.keys), _i32s(mem.winners)
    while keys[tree + place] != key or winners[tree + place] != winner:
        keys[tree + place] = key
        winners[tree + place] = winner
        if place == 1:
            return True
        other = tree + (place ^ 1)
        if keys[other] < key:
            key = keys[other]
            winner = _int(winners[other])
        place >>= 1
    return False


@inlined
def _is_blocked(mem: Memory, slot: int, node: int, side: int) -> bool:
    """Whether a link has no room for energy that this side would send through it."""
    return _room(mem, slot, node, side) <= 0


@inlined
def _room(mem: Memory, slot: int, node: int, side: int) -> int:
    link = _link(mem.links, slot * mem.node_size + node)
    return link.down_lots + link.flow_lots if side == BUY else link.up_lots - link.flow_lots


@compiled
def _offer(
    mem: Memory,
    slot: int,
    hub: int,
    book: int,
    rank: int,
    is_blocked: bool,
    key: int,
    winner: int,
    hidden_key: int,
    hidden: int,
) -> bool:
    """What a child has for its hub, with room to get there and without. Returns whether a winner there changed."""
    if is_blocked:
        if key < hidden_key:
            hidden_key, hidden = key, winner
        key, winner = NOTHING, 0
    row = _hub(mem.hubs, hub)
    tree = _i64s(mem.trees)[(slot * mem.hub_size + hub) * 2 * mem.classes + book]
    keys, cells = _i64s(mem.keys), _i64s(mem.hub_cells)
    cell = (slot * mem.hub_size + hub) * 4 + 2 * _side(mem, book)
    bit = _int(1) << _class(mem, book)
    changed = False
    if _set_leaf(mem, tree, row.width + rank, key, winner):
        changed = True
        cells[cell] = cells[cell] & ~bit if keys[tree + 1] == NOTHING else cells[cell] | bit
    if _slot(mem.slots, slot).blocked > 0:
        tree += 2 * row.width
        if _set_leaf(mem, tree, row.width + rank, hidden_key, hidden):
            changed = True
            cells[cell + 1] = cells[cell + 1] & ~bit if keys[tree + 1] == NOTHING else cells[cell + 1] | bit
    return changed


@compiled
def _offer_of_hub(mem: Memory, slot: int, hub: int, book: int) -> None:
    """Tell the hub above what this one has."""
    row = _hub(mem.hubs, hub)
    above = _int(row.hub)
    if above == 0 or (book & 3) < _hub(mem.hubs, above).level:
        return
    keys, winners = _i64s(mem.keys), _i32s(mem.winners)
    tree = _i64s(mem.trees)[(slot * mem.hub_size + hub) * 2 * mem.classes + book]
    hidden = tree + 2 * row.width
    _offer(
        mem,
        slot,
        above,
        book,
        row.rank,
        _is_blocked(mem, slot, row.node, _side(mem, book)),
        keys[tree + 1],
        _int(winners[tree + 1]),
        keys[hidden + 1],
        _int(winners[hidden + 1]),
    )


@compiled
def _offer_of_area(mem: Memory, slot: int, area: int, book: int) -> None:
    """Tell the hubs above an area what it has, after its best or the room of its link changed."""
    row = _area(mem.areas, area)
    hub = _int(row.hub)
    if hub == 0 or (book & 3) < _hub(mem.hubs, hub).level:
        return
    ladder = _int(_i32s(mem.books)[(slot * mem.area_size + area) * 2 * mem.classes + book])
    visible, parked = _ladder_row(mem.ladders, ladder), _ladder_row(mem.ladders, ladder + 1)
    if _offer(
        mem,
        slot,
        hub,
        book,
        row.rank,
        _is_blocked(mem, slot, row.node, _side(mem, book)),
        visible.key,
        _int(visible.best),
        parked.key,
        _int(parked.best),
    ):
        _offer_of_hub(mem, slot, hub, book)


@compiled
def _new_trees(mem: Memory, slot: int, hub: int, book: int) -> None:
    """Two empty tournaments, of the children with room and of those without."""
    trees, keys, winners = _i64s(mem.trees), _i64s(mem.keys), _i32s(mem.winners)
    at = (slot * mem.hub_size + hub) * 2 * mem.classes + book
    if trees[at] != 0:
        return
    width = _int(_hub(mem.hubs, hub).width)
    free, log_width = _i64s(mem.keys_free), _lowest_bit(width)
    tree = free[log_width]
    if tree != 0:
        free[log_width] = keys[tree]
    else:
        tree = mem.keys_used
        mem.keys_used = tree + 4 * width
    for place in range(tree, tree + 4 * width):
        keys[place] = NOTHING
        winners[place] = 0
    trees[at] = tree


@inlined
def _ladder(mem: Memory, slot: int, area: int, book: int) -> int:
    """The ladder of a book, the parked one behind it; made, with the tournaments above it, if they are not there."""
    ladder = _int(_i32s(mem.books)[(slot * mem.area_size + area) * 2 * mem.classes + book])
    return ladder if ladder != 0 else _new_ladder(mem, slot, area, book)


@compiled
def _new_ladder(mem: Memory, slot: int, area: int, book: int) -> int:
    ladder = mem.ladders_free
    if ladder != 0:
        mem.ladders_free = _ladder_row(mem.ladders, ladder).root
    else:
        ladder = mem.ladders_used
        mem.ladders_used = ladder + 2
    for each in range(ladder, ladder + 2):
        _ladder_row(mem.ladders, each).key = NOTHING
        _ladder_row(mem.ladders, each).best = 0
        _ladder_row(mem.ladders, each).root = 0
        _ladder_row(mem.ladders, each).held_first = 0
        _ladder_row(mem.ladders, each).held_last = 0
        _ladder_row(mem.ladders, each).gathering = 0
    _i32s(mem.books)[(slot * mem.area_size + area) * 2 * mem.classes + book] = ladder
    hub = _int(_area(mem.areas, area).hub)
    while hub != 0 and (book & 3) >= _hub(mem.hubs, hub).level:
        _new_trees(mem, slot, hub, book)
        hub = _int(_hub(mem.hubs, hub).hub)
    return ladder


# ------------------------------------------------------------------------------------------------ places


@inlined
def _is_parked(mem: Memory, order: int) -> bool:
    """Whether the own link of the order's meter is full; if the meter is no area, its orders then leave the area's."""
    row = _order(mem.orders, order)
    if _slot(mem.slots, row.slot).blocked == 0:
        return False
    return _node(mem.nodes, row.meter).is_plain == 1 and _is_blocked(mem, row.slot, row.meter, _side(mem, row.book))


@inlined
def _place(mem: Memory, new: int, parked: int, is_newest: bool) -> None:
    """Put an order into its ladder and tell the hubs."""
    order = _order(mem.orders, new)
    slot, book = _int(order.slot), _int(order.book)
    area = _int(_node(mem.nodes, order.meter).place)
    ladder = _ladder(mem, slot, area, book) + parked
    if order.held == 1 and parked == 0:
        _list_held(mem, ladder, new)
    if _put_in_ladder(mem, ladder, new, is_newest):
        cells = _i64s(mem.cells)
        cells[(slot * mem.area_size + area) * 4 + 2 * _side(mem, book) + parked] |= _int(1) << _class(mem, book)
        _offer_of_area(mem, slot, area, book)


@inlined
def _displace(mem: Memory, old: int, parked: int) -> None:
    """The inverse of ``_place``."""
    order = _order(mem.orders, old)
    slot, book = _int(order.slot), _int(order.book)
    area = _int(_node(mem.nodes, order.meter).place)
    ladder = _int(_i32s(mem.books)[(slot * mem.area_size + area) * 2 * mem.classes + book]) + parked
    if order.held == 1 and parked == 0:
        _unlist_held(mem, ladder, old)
    if _take_from_ladder(mem, ladder, old):
        if _ladder_row(mem.ladders, ladder).best == 0:
            cells = _i64s(mem.cells)
            bit = _int(1) << _class(mem, book)
            cells[(slot * mem.area_size + area) * 4 + 2 * _side(mem, book) + parked] &= ~bit
        _offer_of_area(mem, slot, area, book)


@compiled
def _move(mem: Memory, order: int, parked: int) -> None:
    """From the visible ladder to the parked one, or (0) back."""
    _displace(mem, order, 1 - parked)
    _place(mem, order, parked, False)


@compiled
def _rest(mem: Memory, new: int, is_newest: bool) -> None:
    """An order rests: in its meter's list and its ladder."""
    heads = _i32s(mem.heads)
    order = _order(mem.orders, new)
    head = (_int(order.slot) * mem.node_size + order.meter) * 2 + _side(mem, order.book)
    first = _int(heads[head])
    order.meter_previous = 0
    order.meter_next = first
    if first != 0:
        _order(mem.orders, first).meter_previous = new
    heads[head] = new
    mem.open += 1
    _slot(mem.slots, order.slot).open += 1
    _place(mem, new, _int(1) if _is_parked(mem, new) else _int(0), is_newest)


@compiled
def _leave(mem: Memory, old: int) -> None:
    """The inverse of ``_rest``. The order's row keeps what it says."""
    heads = _i32s(mem.heads)
    order = _order(mem.orders, old)
    _displace(mem, old, _int(1) if _is_parked(mem, old) else _int(0))
    before, after = _int(order.meter_previous), _int(order.meter_next)
    if after != 0:
        _order(mem.orders, after).meter_previous = before
    if before != 0:
        _order(mem.orders, before).meter_next = after
    else:
        heads[(_int(order.slot) * mem.node_size + order.meter) * 2 + _side(mem, order.book)] = after
    mem.open -= 1
    _slot(mem.slots, order.slot).open -= 1


@inlined
def _new_row(mem: Memory) -> int:
    new = mem.orders_free
    if new != 0:
        mem.orders_free = _order(mem.orders, new).next
    else:
        new = mem.orders_used
        mem.orders_used = new + 1
    return new


@inlined
def _free_row(mem: Memory, old: int) -> None:
    """A free row has nothing left: that is how its order's id tells that it does not rest."""
    _order(mem.orders, old).remaining_lots = 0
    _order(mem.orders, old).next = mem.orders_free
    mem.orders_free = old


# ------------------------------------------------------------------------------------------------- room


@compiled
def _suspect(mem: Memory, slot: int, node: int) -> None:
    """A link got room again: at the end of the command the held orders that it kept apart may trade."""
    mem.room_gained = 1
    link = _link(mem.links, slot * mem.node_size + node)
    if link.is_suspect == 1:
        return
    row = _slot(mem.slots, slot)
    if row.suspects == 0:
        row.next = mem.suspects
        mem.suspects = slot
    link.is_suspect = 1
    link.suspect_next = row.suspects
    row.suspects = node


@compiled
def _room_changed(mem: Memory, slot: int, node: int, side: int, is_blocked: bool) -> None:
    """A link filled up for one side, or got room again."""
    row = _node(mem.nodes, node)
    if is_blocked:
        _slot(mem.slots, slot).blocked += 1
    if row.is_plain == 1:
        each = _int(_i32s(mem.heads)[(slot * mem.node_size + node) * 2 + side])
        while each != 0:
            _move(mem, each, _int(1) if is_blocked else _int(0))
            each = _int(_order(mem.orders, each).meter_next)
    else:
        is_hub = row.level >= 2
        if is_hub:
            cells, at = _i64s(mem.hub_cells), (slot * mem.hub_size + row.place) * 4 + 2 * side
        else:
            cells, at = _i64s(mem.cells), (slot * mem.area_size + row.place) * 4 + 2 * side
        mask = cells[at] | cells[at + 1]
        while mask != 0:
            book = side * mem.classes + _lowest_bit(mask)
            if is_hub:
                _offer_of_hub(mem, slot, row.place, book)
            else:
                _offer_of_area(mem, slot, row.place, book)
            mask &= mask - 1
    if not is_blocked:
        _slot(mem.slots, slot).blocked -= 1
        _suspect(mem, slot, node)


@inlined
def _push(mem: Memory, slot: int, node: int, side: int, quantity_lots: int) -> None:
    """Let what a seller sends, or a buyer gets, flow through one link. A negative quantity takes it back."""
    link = _link(mem.links, slot * mem.node_size + node)
    flow_lots, up_lots, down_lots = link.flow_lots, link.up_lots, link.down_lots
    new_flow_lots = flow_lots + quantity_lots if side == SELL else flow_lots - quantity_lots
    link.flow_lots = new_flow_lots
    if (up_lots > flow_lots) != (up_lots > new_flow_lots) or (down_lots > -flow_lots) != (down_lots > -new_flow_lots):
        _room_may_have_changed(mem, slot, node, up_lots > flow_lots, down_lots > -flow_lots)


@compiled
def _room_may_have_changed(mem: Memory, slot: int, node: int, had_up: bool, had_down: bool) -> None:
    link = _link(mem.links, slot * mem.node_size + node)
    has_up, has_down = link.up_lots - link.flow_lots > 0, link.down_lots + link.flow_lots > 0
    if has_up != had_up:
        _room_changed(mem, slot, node, SELL, not has_up)
    if has_down != had_down:
        _room_changed(mem, slot, node, BUY, not has_down)


@compiled
def _push_up(mem: Memory, slot: int, meter: int, side: int, level: int, quantity_lots: int) -> None:
    """Push through every link from a meter to its ancestor at the level where it meets the other one."""
    row = _node(mem.nodes, meter)
    if row.is_plain == 1:
        _push(mem, slot, meter, side, quantity_lots)
    if level > 1:
        area = _area(mem.areas, row.place)
        _push(mem, slot, area.node, side, quantity_lots)
        hub = _hub(mem.hubs, area.hub)
        if hub.level < level:
            _push(mem, slot, hub.node, side, quantity_lots)


@inlined
def _room_up(mem: Memory, slot: int, meter: int, side: int, level: int) -> int:
    """The least room of those links."""
    row = _node(mem.nodes, meter)
    room_lots = _int(NO_LIMIT_LOTS)
    if row.is_plain == 1:
        room_lots = min(room_lots, _room(mem, slot, meter, side))
    if level > 1:
        area = _area(mem.areas, row.place)
        room_lots = min(room_lots, _room(mem, slot, area.node, side))
        hub = _hub(mem.hubs, area.hub)
        if hub.level < level:
            room_lots = min(room_lots, _room(mem, slot, hub.node, side))
    return room_lots


@entry
def set_limits(address: int, slot: int, node: int, up_lots: int, down_lots: int) -> None:
    """New limits of a link in one slot."""
    mem = _memory(address, 0)
    link = _link(mem.links, slot * mem.node_size + node)
    had_up, had_down = link.up_lots - link.flow_lots > 0, link.down_lots + link.flow_lots > 0
    link.up_lots, link.down_lots = up_lots, down_lots
    _room_may_have_changed(mem, slot, node, had_up, had_down)


# -------------------------------------------------------------------------------------------- priority


@compiled
def _distance(mem: Memory, one: int, other: int) -> int:
    """The level at which two meters meet."""
    if _node(mem.nodes, one).place == _node(mem.nodes, other).place:
        return 1
    mine, theirs = (
        _int(_area(mem.areas, _node(mem.nodes, one).place).hub),
        _int(_area(mem.areas, _node(mem.nodes, other).place).hub),
    )
    while mine != theirs:
        if _hub(mem.hubs, mine).level <= _hub(mem.hubs, theirs).level:
            mine = _int(_hub(mem.hubs, mine).hub)
        else:
            theirs = _int(_hub(mem.hubs, theirs).hub)
    return _int(_hub(mem.hubs, mine).level)


@compiled
def _best_of_meter(mem: Memory, slot: int, meter: int, side: int, fitting: int, dearest: int) -> int:
    """The first in priority among a meter's own orders of these classes and no higher cost, 0 if there is none."""
    best, best_key = _int(0), NOTHING
    each = _int(_i32s(mem.heads)[(slot * mem.node_size + meter) * 2 + side])
    while each != 0:
        row = _order(mem.orders, each)
        key = (_int(row.cost) << mem.shift) | row.sequence
        if key < best_key and row.cost <= dearest and (fitting >> _class(mem, row.book)) & 1:
            best, best_key = each, key
        each = _int(row.meter_next)
    return best


@compiled
def _best_of_all(mem: Memory, slot: int, meter: int, book: int, limit: int) -> tuple[int, int, int]:
    """``_best`` where every link has room."""
    classes, shift = mem.classes, mem.shift
    other = 1 - _side(mem, book)
    fees, fitting, keys = _i64s(mem.fees), _i64s(mem.fitting), _i64s(mem.keys)
    area = _int(_node(mem.nodes, meter).place)
    place = slot * mem.area_size + area
    mask = _i64s(mem.cells)[place * 4 + 2 * other] & fitting[book * 4 + 1]
    at = (2 * place + other) * classes
    found, found_key = _int(0), NOTHING
    while mask != 0:
        ladder = _int(_i32s(mem.books)[at + _lowest_bit(mask)])
        key = _ladder_row(mem.ladders, ladder).key
        if key < found_key:
            found, found_key = ladder, key
        mask &= mask - 1
    best, best_level, best_cost = _int(0), _int(1), NOTHING
    cost = (found_key >> shift) + fees[1]
    if found != 0 and cost <= limit:
        best, best_cost = _int(_ladder_row(mem.ladders, found).best), cost
    hub = _int(_area(mem.areas, area).hub)
    while hub != 0:
        row = _hub(mem.hubs, hub)
        level = _int(row.level)
        place = slot * mem.hub_size + hub
        mask = _i64s(mem.hub_cells)[place * 4 + 2 * other] & fitting[book * 4 + level]
        at = (2 * place + other) * classes
        found, found_key = _int(0), NOTHING
        while mask != 0:
            tree = _i64s(mem.trees)[at + _lowest_bit(mask)]
            key = keys[tree + 1]
            if key < found_key:
                found, found_key = tree, key
            mask &= mask - 1
        cost = (found_key >> shift) + fees[level]
        if found != 0 and cost <= limit and cost < best_cost:
            best, best_level, best_cost = _int(_i32s(mem.winners)[found + 1]), level, cost
        hub = _int(row.hub)
    return best, best_level, best_cost


@inlined
def _meets_any(mem: Memory, slot: int, meter: int, book: int, limit: int) -> bool:
    """Whether any order fits one at this meter, where every link has room."""
    classes, shift = mem.classes, mem.shift
    other = 1 - _side(mem, book)
    fees, fitting, keys = _i64s(mem.fees), _i64s(mem.fitting), _i64s(mem.keys)
    area = _int(_node(mem.nodes, meter).place)
    place = slot * mem.area_size + area
    mask = _i64s(mem.cells)[place * 4 + 2 * other] & fitting[book * 4 + 1]
    at, dearest = (2 * place + other) * classes, limit - fees[1]
    while mask != 0:
        if _ladder_row(mem.ladders, _i32s(mem.books)[at + _lowest_bit(mask)]).key >> shift <= dearest:
            return True
        mask &= mask - 1
    hub = _int(_area(mem.areas, area).hub)
    while hub != 0:
        row = _hub(mem.hubs, hub)
        level = _int(row.level)
        place = slot * mem.hub_size + hub
        mask = _i64s(mem.hub_cells)[place * 4 + 2 * other] & fitting[book * 4 + level]
        at, dearest = (2 * place + other) * classes, limit - fees[level]
        while mask != 0:
            if keys[_i64s(mem.trees)[at + _lowest_bit(mask)] + 1] >> shift <= dearest:
                return True
            mask &= mask - 1
        hub = _int(row.hub)
    return False


@compiled
def _best(mem: Memory, taker: int) -> tuple[int, int, int]:
    """The fitting counterparty with room that comes first: its row (0: none), its level, its cost with the fee."""
    row = _order(mem.orders, taker)
    if _slot(mem.slots, row.slot).blocked == 0:
        return _best_of_all(mem, _int(row.slot), _int(row.meter), _int(row.book), mem.range - row.cost)
    slot, meter, classes, shift = _int(row.slot), _int(row.meter), mem.classes, mem.shift
    side = _side(mem, row.book)
    other = 1 - side
    limit = mem.range - row.cost
    fitting = _i64s(mem.fitting)
    node = _node(mem.nodes, meter)
    area = _int(node.place)
    books = _i32s(mem.books)
    is_plain = node.is_plain == 1
    goes_out = not is_plain or not _is_blocked(mem, slot, meter, side)

    best, best_key, best_level = _int(0), NOTHING, _int(1)
    dearest = limit - _fee(mem, 1)
    classes_here = fitting[row.book * 4 + 1]
    if goes_out:
        mask = _i64s(mem.cells)[(slot * mem.area_size + area) * 4 + 2 * other] & classes_here
        at = (slot * mem.area_size + area) * 2 * classes + other * classes
        while mask != 0:
            ladder = _ladder_row(mem.ladders, books[at + _lowest_bit(mask)])
            if ladder.key < best_key and (ladder.key >> shift) <= dearest:
                best, best_key = _int(ladder.best), ladder.key
            mask &= mask - 1
    if is_plain and classes_here != 0 and (not goes_out or _is_blocked(mem, slot, meter, other)):
        beside = _best_of_meter(mem, slot, meter, other, classes_here, dearest)
        if beside != 0:
            key = (_int(_order(mem.orders, beside).cost) << shift) | _order(mem.orders, beside).sequence
            if key < best_key:
                best, best_key = beside, key
    best_cost = (best_key >> shift) + _fee(mem, 1) if best != 0 else NOTHING

    hub, link = _int(_area(mem.areas, area).hub), _int(_area(mem.areas, area).node)
    while goes_out and hub != 0 and not _is_blocked(mem, slot, link, side):
        row_of_hub = _hub(mem.hubs, hub)
        level = _int(row_of_hub.level)
        fee = _fee(mem, level)
        mask = _i64s(mem.hub_cells)[(slot * mem.hub_size + hub) * 4 + 2 * other] & fitting[row.book * 4 + level]
        at = (slot * mem.hub_size + hub) * 2 * classes + other * classes
        found, found_key = _int(0), NOTHING
        while mask != 0:
            tree = _i64s(mem.trees)[at + _lowest_bit(mask)]
            key = _i64s(mem.keys)[tree + 1]
            if key < found_key:
                found, found_key = _int(_i32s(mem.winners)[tree + 1]), key
            mask &= mask - 1
        cost = (found_key >> shift) + fee
        if found != 0 and cost <= limit and cost < best_cost:
            best, best_cost, best_level = found, cost, level
        hub, link = _int(row_of_hub.hub), _int(row_of_hub.node)
    return best, best_level, best_cost


@compiled
def _own(mem: Memory, taker: int) -> tuple[int, int, int]:
    """(cost with the fee, level, sequence) of the fitting order of the taker's own member that comes first, room or
    not; (NOTHING, 0, 0) if there is none. Orders at the taker's own meter always have room: ``_best`` finds them."""
    row = _order(mem.orders, taker)
    pairs = _table(mem.tables, PAIRS)
    heads, fitting = _i32s(mem.heads), _i64s(mem.fitting)
    other = 1 - _side(mem, row.book)
    best_cost, best_level, best_sequence = NOTHING, _int(0), _int(0)
    at = _int(_i32s(pairs.buckets)[_bucket(pairs, row.member)])
    while at != 0:
        entry = _entry_row(pairs.entries, at)
        meter = _int(entry.value)
        if entry.key == row.member and meter != row.meter:
            each = _int(heads[(row.slot * mem.node_size + meter) * 2 + other])
            level = _distance(mem, row.meter, meter) if each != 0 else _int(0)
            while each != 0:
                mine = _order(mem.orders, each)
                cost = _int(mine.cost) + _fee(mem, level)
                if (
                    mine.member == row.member
                    and (fitting[row.book * 4 + level] >> _class(mem, mine.book)) & 1
                    and cost + row.cost <= mem.range
                    and (
                        cost < best_cost
                        or (
                            cost == best_cost
                            and (level < best_level or (level == best_level and mine.sequence < best_sequence))
                        )
                    )
                ):
                    best_cost, best_level, best_sequence = cost, level, mine.sequence
                each = _int(mine.meter_next)
        at = _int(entry.next)
    return best_cost, best_level, best_sequence


# ---------------------------------------------------------------------------------------------- trading


@inlined
def _tell(mem: Memory, kind: int, sequence: int, order_id: int, quantity_lots: int, reason: int) -> int:
    at = mem.events_used
    mem.events_used = at + 1
    event = _event(mem.events, at)
    event.sequence = sequence
    event.order_id = order_id
    event.other = 0
    event.slot = 0
    event.quantity_lots = quantity_lots
    event.price_ticks = 0
    event.buyer_price_ticks = 0
    event.unused = 0
    event.kind = kind
    event.reason = reason
    event.taker = 0
    event.level = 0
    return at


@compiled
def _trade(mem: Memory, taker: int, counterparty: int, level: int, cause: int) -> None:
    """As much as both have left and the path has room for, at the limit of whichever of the two came first."""
    one, other = _order(mem.orders, taker), _order(mem.orders, counterparty)
    slot, side = _int(one.slot), _side(mem, one.book)
    is_one_meter = one.meter == other.meter
    quantity_lots = min(one.remaining_lots, other.remaining_lots)
    if not is_one_meter:
        quantity_lots = min(quantity_lots, _room_up(mem, slot, one.meter, side, level))
        quantity_lots = min(quantity_lots, _room_up(mem, slot, other.meter, 1 - side, level))

    sell, buy = (one, other) if side == SELL else (other, one)
    sell_is_first = sell.sequence < buy.sequence
    fee = _fee(mem, level)
    seller_price = mem.floor + sell.cost if sell_is_first else mem.cap - buy.cost - fee
    told = _tell(mem, TRADED, cause, buy.order_id, quantity_lots, 0)
    _i32s(mem.counterparties)[told] = counterparty
    event = _event(mem.events, told)
    event.other = sell.order_id
    event.slot = _slot(mem.slots, slot).name
    event.price_ticks = seller_price
    event.buyer_price_ticks = seller_price + fee
    event.taker = BUY_TAKER if sell_is_first else SELL_TAKER
    event.level = level

    one.remaining_lots -= quantity_lots
    other.remaining_lots -= quantity_lots
    if other.remaining_lots == 0:
        _leave(mem, counterparty)
        _free_row(mem, counterparty)
    if not is_one_meter:
        _push_up(mem, slot, one.meter, side, level, quantity_lots)
        _push_up(mem, slot, other.meter, 1 - side, level, quantity_lots)


@compiled
def _take(mem: Memory, taker: int, cause: int) -> int:
    """Trade against fitting orders, one after the other. Within one take room only shrinks, so what was passed over
    stays passed over. FULL: no place for another event; may then be called again to go on."""
    row = _order(mem.orders, taker)
    own_cost, own_level, own_sequence = NOTHING, _int(0), _int(0)
    knows_own = False
    while row.remaining_lots > 0:
        if mem.events_used + 2 * mem.wanted + 4 >= mem.events_size:  # what is no trade has its place already
            return FULL
        counterparty, level, cost = _best(mem, taker)
        if _slot(mem.slots, row.slot).blocked > 0:
            if not knows_own:
                own_cost, own_level, own_sequence = _own(mem, taker)
                knows_own = True
            if own_cost != NOTHING and (
                own_cost < cost
                or (
                    own_cost == cost
                    and (
                        own_level < level
                        or (own_level == level and own_sequence < _order(mem.orders, counterparty).sequence)
                    )
                )
            ):
                return MET_OWN
        if counterparty == 0:
            break
        if _order(mem.orders, counterparty).member == row.member:
            return MET_OWN
        _trade(mem, taker, counterparty, level, cause)
    return FILLED_OR_REST


@compiled
def _undo_trades(mem: Memory, first_row: int, first_sequence: int) -> None:
    """Take back every trade since event ``events_before``, the last first, and the events with them."""
    while mem.events_used > mem.events_before:
        mem.events_used -= 1
        event = _event(mem.events, mem.events_used)
        leg = _command(mem.commands, first_row + (event.sequence - first_sequence))
        meter = _look_up(mem.node_map, mem.node_map_mask, leg.meter)
        counterparty = _int(_i32s(mem.counterparties)[mem.events_used])
        other = _order(mem.orders, counterparty)
        side = _side(mem, other.book)
        if other.meter != meter:
            _push_up(mem, other.slot, meter, 1 - side, event.level, -event.quantity_lots)
            _push_up(mem, other.slot, other.meter, side, event.level, -event.quantity_lots)
        other.remaining_lots += event.quantity_lots
        if other.remaining_lots == event.quantity_lots:  # it had been filled
            mem.orders_free = other.next
            _rest(mem, counterparty, False)


# ------------------------------------------------------------------------------------------ held orders


@compiled
def _fits_any(mem: Memory, order: int) -> bool:
    """Whether any resting order fits this one, room or not."""
    row = _order(mem.orders, order)
    slot, classes, shift = _int(row.slot), mem.classes, mem.shift
    other = 1 - _side(mem, row.book)
    limit = mem.range - row.cost
    area = _int(_node(mem.nodes, row.meter).place)
    cells, fitting = _i64s(mem.cells), _i64s(mem.fitting)
    cell = (slot * mem.area_size + area) * 4 + 2 * other
    mask = (cells[cell] | cells[cell + 1]) & fitting[row.book * 4 + 1]
    while mask != 0:
        at = (slot * mem.area_size + area) * 2 * classes + other * classes + _lowest_bit(mask)
        ladder = _int(_i32s(mem.books)[at])
        if (min(_ladder_row(mem.ladders, ladder).key, _ladder_row(mem.ladders, ladder + 1).key) >> shift) + _fee(
            mem, 1
        ) <= limit:
            return True
        mask &= mask - 1
    keys, hub_cells = _i64s(mem.keys), _i64s(mem.hub_cells)
    hub = _int(_area(mem.areas, area).hub)
    while hub != 0:
        row_of_hub = _hub(mem.hubs, hub)
        cell = (slot * mem.hub_size + hub) * 4 + 2 * other
        mask = (hub_cells[cell] | hub_cells[cell + 1]) & fitting[row.book * 4 + row_of_hub.level]
        while mask != 0:
            at = (slot * mem.hub_size + hub) * 2 * classes + other * classes + _lowest_bit(mask)
            tree = _i64s(mem.trees)[at]
            key = min(keys[tree + 1], keys[tree + 2 * row_of_hub.width + 1])
            if (key >> shift) + _fee(mem, row_of_hub.level) <= limit:
                return True
            mask &= mask - 1
        hub = _int(row_of_hub.hub)
    return False


@compiled
def _has_earlier(mem: Memory, slot: int, area: int, book: int, dearest: int, sequence: int) -> bool:
    """Whether an area has an order of this book, parked or not, of no higher cost and before this sequence."""
    ladder = _int(_i32s(mem.books)[(slot * mem.area_size + area) * 2 * mem.classes + book])
    if ladder == 0:
        return False
    for each in range(ladder, ladder + 2):
        first = _first_from(mem, each, 0)
        while first != 0 and _order(mem.orders, first).cost <= dearest:
            if _order(mem.orders, first).sequence < sequence:
                return True
            first = _first_from(mem, each, _int(_order(mem.orders, first).cost) + 1)
    return False


@compiled
def _next_leaf(mem: Memory, tree: int, width: int, place: int, dearest: int) -> int:
    """The next leaf after ``place`` (0: the first) whose best costs no more than this; 0 if there is none."""
    keys, shift = _i64s(mem.keys), mem.shift
    place = 1 if place == 0 else _skip(place)
    while place != 0:
        key = keys[tree + place]
        if key == NOTHING or (key >> shift) > dearest:
            place = _skip(place)
        elif place < width:
            place *= 2
        else:
            return place
    return 0


@inlined
def _skip(place: int) -> int:
    """The place after a whole subtree, from left to right; 0 at the end."""
    while place & 1:
        place >>= 1
    return place + 1 if place > 0 else 0


@compiled
def _hub_has_earlier(mem: Memory, slot: int, hub: int, book: int, dearest: int, sequence: int) -> bool:
    """The same for all areas under a hub."""
    row = _hub(mem.hubs, hub)
    trees, size = _i64s(mem.trees), 2 * mem.classes
    tree = trees[(slot * mem.hub_size + hub) * size + book]
    if tree == 0:
        return False
    winners, width = _i32s(mem.winners), _int(row.width)
    for kind in range(2):
        place = _next_leaf(mem, tree, width, 0, dearest)
        while place != 0:
            area = _int(_node(mem.nodes, _order(mem.orders, winners[tree + place]).meter).place)
            child = _int(_area(mem.areas, area).hub)
            if child == hub:
                if _has_earlier(mem, slot, area, book, dearest, sequence):
                    return True
            elif kind == 0 or not _is_offered(mem, tree, width, place, dearest):
                below = trees[(slot * mem.hub_size + child) * size + book]
                width_below = _int(_hub(mem.hubs, child).width)
                for _ in range(2):
                    leaf = _next_leaf(mem, below, width_below, 0, dearest)
                    while leaf != 0:
                        area = _int(_node(mem.nodes, _order(mem.orders, winners[below + leaf]).meter).place)
                        if _has_earlier(mem, slot, area, book, dearest, sequence):
                            return True
                        leaf = _next_leaf(mem, below, width_below, leaf, dearest)
                    below += 2 * width_below
            place = _next_leaf(mem, tree, width, place, dearest)
        tree += 2 * width
    return False


@compiled
def _set_bounds(mem: Memory, slot: int, book: int) -> None:
    """For every bucket of costs, the earliest order of a book in the whole slot that costs no more, room or not."""
    bounds, areas, first, shift = _i64s(mem.bounds), _i32s(mem.bound_areas), book * BUCKETS, mem.bucket_shift
    for place in range(first, first + BUCKETS):
        bounds[place] = NOTHING
    for area in range(mem.areas_count):
        ladder = _int(_i32s(mem.books)[(slot * mem.area_size + area) * 2 * mem.classes + book])
        for each in range(ladder, ladder + 2 if ladder != 0 else ladder):
            order = _first_from(mem, each, 0)
            while order != 0:
                row = _order(mem.orders, order)
                place = first + (_int(row.cost) >> shift)
                if row.sequence < bounds[place]:
                    bounds[place] = row.sequence
                    areas[place] = area
                order = _first_from(mem, each, _int(row.cost) + 1)
    for place in range(first + 1, first + BUCKETS):
        if bounds[place - 1] < bounds[place]:
            bounds[place] = bounds[place - 1]
            areas[place] = areas[place - 1]
    _i64s(mem.bounded)[book] = mem.settling


@compiled
def _slot_has_earlier(mem: Memory, slot: int, hub: int, book: int, dearest: int, sequence: int) -> bool:
    """``_hub_has_earlier`` for the hub above all others. While held orders are settled, orders only leave: what was not
    there when bounds were set is not there now."""
    if dearest < 0:
        return False
    bounded = _i64s(mem.bounded)
    if bounded[book] != mem.settling and mem.searches >= _SEARCHES:
        _set_bounds(mem, slot, book)
    if bounded[book] == mem.settling:
        place = book * BUCKETS + min(dearest >> mem.bucket_shift, BUCKETS - 1)
        if _i64s(mem.bounds)[place] >= sequence:
            return False
        if _has_earlier(mem, slot, _int(_i32s(mem.bound_areas)[place]), book, dearest, sequence):
            return True
    mem.searches += 1
    return _hub_has_earlier(mem, slot, hub, book, dearest, sequence)


@compiled
def _is_offered(mem: Memory, tree: int, width: int, place: int, dearest: int) -> bool:
    """Whether a child shown by the tournament without room was already seen in the one with room before it."""
    key = _i64s(mem.keys)[tree - 2 * width + place]
    return key != NOTHING and (key >> mem.shift) <= dearest


@compiled
def _is_held(mem: Memory, order: int) -> int:
    """Of two fitting resting orders the one with the higher sequence number is held. 2: it is; 1: it was when this
    pass began, by an order that the pass has filled; 0: it is not."""
    row = _order(mem.orders, order)
    first, _, _ = _best(mem, order)
    if first != 0 and _order(mem.orders, first).sequence < row.sequence:
        return 2
    slot, classes = _int(row.slot), mem.classes
    other = 1 - _side(mem, row.book)
    limit = mem.range - row.cost
    area = _int(_node(mem.nodes, row.meter).place)
    fitting = _i64s(mem.fitting)
    mask = fitting[row.book * 4 + 1]
    while mask != 0:
        book = other * classes + _lowest_bit(mask)
        if _has_earlier(mem, slot, area, book, limit - _fee(mem, 1), row.sequence):
            return 2
        mask &= mask - 1
    hub = _int(_area(mem.areas, area).hub)
    while hub != 0:
        level = _int(_hub(mem.hubs, hub).level)
        mask = fitting[row.book * 4 + level]
        while mask != 0:
            book = other * classes + _lowest_bit(mask)
            is_top = _hub(mem.hubs, hub).hub == 0
            dearest = limit - _fee(mem, level)
            if (
                _slot_has_earlier(mem, slot, hub, book, dearest, row.sequence)
                if is_top
                else _hub_has_earlier(mem, slot, hub, book, dearest, row.sequence)
            ):
                return 2
            mask &= mask - 1
        hub = _int(_hub(mem.hubs, hub).hub)
    gone = mem.orders_free
    while gone != mem.pass_free:
        filled = _order(mem.orders, gone)
        if filled.slot == row.slot and _side(mem, filled.book) == other and filled.sequence < row.sequence:
            level = _distance(mem, row.meter, filled.meter)
            fits = (fitting[row.book * 4 + level] >> _class(mem, filled.book)) & 1
            if fits and _int(filled.cost) + _fee(mem, level) <= limit:
                return 1
        gone = _int(filled.next)
    return 0


@inlined
def _gather_of(mem: Memory, slot: int, area: int, book: int, dearest: int) -> None:
    """Make the earliest held order of an area's book after the pass's cursor a candidate."""
    number = _int(_i32s(mem.books)[(slot * mem.area_size + area) * 2 * mem.classes + book])
    ladder = _ladder_row(mem.ladders, number)
    if ladder.gathering == mem.gathering:
        ladder.dearest = max(_int(ladder.dearest), dearest)
        return
    ladder.gathering = mem.gathering
    ladder.dearest = dearest
    each = _int(ladder.held_first)
    while each != 0 and _order(mem.orders, each).sequence <= mem.pass_cursor:
        each = _int(_held(mem.helds, each).next)
    if each != 0:
        _add_candidate(mem, each, number)


@compiled
def _add_candidate(mem: Memory, order: int, ladder: int) -> None:
    sequence, place = _int(_order(mem.orders, order).sequence), mem.candidates_count
    mem.candidates_count = place + 1
    while place > 0 and _candidate(mem.candidates, (place - 1) >> 1).sequence > sequence:
        above = _candidate(mem.candidates, (place - 1) >> 1)
        _put_candidate(mem, place, above.sequence, above.order, above.ladder)
        place = (place - 1) >> 1
    _put_candidate(mem, place, sequence, order, ladder)


@inlined
def _put_candidate(mem: Memory, place: int, sequence: int, order: int, ladder: int) -> None:
    candidate = _candidate(mem.candidates, place)
    candidate.sequence = sequence
    candidate.order = order
    candidate.ladder = ladder


@compiled
def _follow_first_candidate(mem: Memory) -> None:
    """In place of the first candidate comes the held order behind it in its ladder, or (there is none) nothing. Orders
    that have left the list meanwhile still tell what was behind them."""
    first = _candidate(mem.candidates, 0)
    order, ladder = _int(_held(mem.helds, first.order).next), _int(first.ladder)
    count = mem.candidates_count
    if order == 0:
        count -= 1
        mem.candidates_count = count
        order, ladder = _int(_candidate(mem.candidates, count).order), _int(_candidate(mem.candidates, count).ladder)
    sequence, place = _int(_order(mem.orders, order).sequence), _int(0)
    while 2 * place + 1 < count:
        below = 2 * place + 1
        if below + 1 < count and (
            _candidate(mem.candidates, below + 1).sequence < _candidate(mem.candidates, below).sequence
        ):
            below += 1
        lower = _candidate(mem.candidates, below)
        if lower.sequence >= sequence:
            break
        _put_candidate(mem, place, lower.sequence, lower.order, lower.ladder)
        place = below
    _put_candidate(mem, place, sequence, order, ladder)


@compiled
def _gather_under(mem: Memory, slot: int, hub: int, book: int, dearest: int) -> None:
    """The same for all areas that have room up to a hub."""
    winners, trees = _i32s(mem.winners), _i64s(mem.trees)
    size = 2 * mem.classes
    tree, width = trees[(slot * mem.hub_size + hub) * size + book], _int(_hub(mem.hubs, hub).width)
    place = _next_leaf(mem, tree, width, 0, dearest)
    while place != 0:
        area = _int(_node(mem.nodes, _order(mem.orders, winners[tree + place]).meter).place)
        child = _int(_area(mem.areas, area).hub)
        if child == hub:
            _gather_of(mem, slot, area, book, dearest)
        else:
            below, width_below = (
                trees[(slot * mem.hub_size + child) * size + book],
                _int(_hub(mem.hubs, child).width),
            )
            leaf = _next_leaf(mem, below, width_below, 0, dearest)
            while leaf != 0:
                area = _int(_node(mem.nodes, _order(mem.orders, winners[below + leaf]).meter).place)
                _gather_of(mem, slot, area, book, dearest)
                leaf = _next_leaf(mem, below, width_below, leaf, dearest)
        place = _next_leaf(mem, tree, width, place, dearest)


@compiled
def _best_cost(mem: Memory, slot: int, place: int, is_hub: bool, book: int) -> int:
    """The cost of the best order of a book with room up to an area or hub."""
    if is_hub:
        tree = _i64s(mem.trees)[(slot * mem.hub_size + place) * 2 * mem.classes + book]
        return _i64s(mem.keys)[tree + 1] >> mem.shift
    ladder = _i32s(mem.books)[(slot * mem.area_size + place) * 2 * mem.classes + book]
    return _ladder_row(mem.ladders, ladder).key >> mem.shift


@compiled
def _gather_at(mem: Memory, slot: int, place: int, is_hub: bool) -> None:
    """Held orders that can trade with another, both with room up to this area or hub."""
    classes = mem.classes
    if is_hub:
        cells, at, level = (
            _i64s(mem.hub_cells),
            (slot * mem.hub_size + place) * 4,
            _int(_hub(mem.hubs, place).level),
        )
    else:
        cells, at, level = _i64s(mem.cells), (slot * mem.area_size + place) * 4, _int(1)
    fitting, fee = _i64s(mem.fitting), _fee(mem, level)
    sells = cells[at]
    while sells != 0:
        sell = _lowest_bit(sells)
        buys = cells[at + 2] & fitting[sell * 4 + level]
        while buys != 0:
            buy = classes + _lowest_bit(buys)
            sell_cost = _best_cost(mem, slot, place, is_hub, sell)
            buy_cost = _best_cost(mem, slot, place, is_hub, buy)
            if sell_cost + buy_cost + fee <= mem.range:
                for side in range(2):
                    book = sell if side == SELL else buy
                    dearest = mem.range - fee - (buy_cost if side == SELL else sell_cost)
                    if is_hub:
                        _gather_under(mem, slot, place, book, dearest)
                    else:
                        _gather_of(mem, slot, place, book, dearest)
            buys &= buys - 1
        sells &= sells - 1


@compiled
def _gather(mem: Memory, slot: int) -> None:
    """The candidates of a pass: of every ladder whose orders can trade now, the earliest held one after the cursor.
    Only pairs above a link that got room again can trade; until another link gets room there are no others."""
    mem.gathering += 1
    mem.candidates_count = 0
    mem.room_gained = 0
    node = _int(_slot(mem.slots, slot).suspects)
    while node != 0:
        row = _node(mem.nodes, node)
        if row.level >= 2:
            hub = _int(_hub(mem.hubs, row.place).hub)
        else:
            if row.is_plain == 1:
                _gather_at(mem, slot, row.place, False)
            hub = _int(_area(mem.areas, row.place).hub)
        while hub != 0:
            _gather_at(mem, slot, hub, True)
            hub = _int(_hub(mem.hubs, hub).hub)
        node = _int(_link(mem.links, slot * mem.node_size + node).suspect_next)


@compiled
def _first_held(mem: Memory, slot: int) -> int:
    """The earliest held order after the pass's cursor that can trade; 0 if there is none. An order found to be held no
    longer leaves the list."""
    if mem.room_gained != 0:
        _gather(mem, slot)
    while mem.candidates_count > 0:
        candidate = _candidate(mem.candidates, 0)
        each, ladder, sequence = _int(candidate.order), _int(candidate.ladder), candidate.sequence
        _follow_first_candidate(mem)
        row = _order(mem.orders, each)
        if (
            row.remaining_lots > 0
            and row.held == 1
            and sequence > mem.pass_cursor
            and row.cost <= _ladder_row(mem.ladders, ladder).dearest
            and not _is_parked(mem, each)
        ):
            other, _, _ = _best(mem, each)
            if other != 0:
                if _order(mem.orders, other).sequence < sequence or _is_held(mem, each) > 0:
                    return each
                _unlist_held(mem, ladder, each)
                row.held = 0
    return 0


@compiled
def _pass_over_held(mem: Memory, slot: int) -> int:
    """Pass over the held orders of one slot until a pass trades nothing. FULL: call again to go on."""
    while True:
        if mem.taker == 0:
            taker = _first_held(mem, slot)
            if taker == 0:
                if mem.pass_traded == 0:
                    return DONE
                mem.pass_traded = 0
                mem.pass_cursor = -1
                mem.pass_free = mem.orders_free
                mem.room_gained = 1
                continue
            mem.taker = taker
            mem.pass_cursor = _order(mem.orders, taker).sequence
        taker = mem.taker
        if _take(mem, taker, mem.sequence) == FULL:
            return FULL
        mem.pass_traded = 1
        mem.taker = 0
        if _order(mem.orders, taker).remaining_lots == 0:
            _leave(mem, taker)
            _free_row(mem, taker)


@compiled
def _settle(mem: Memory) -> int:
    """Try the held orders of every slot where a link got room again, in order of slot name. FULL: call again."""
    while mem.suspects != 0:
        slot = mem.suspects
        if mem.phase != SETTLING:
            each, before = slot, _int(0)
            earliest_before = _int(0)
            while _slot(mem.slots, each).next != 0:
                before = each
                each = _int(_slot(mem.slots, each).next)
                if _slot(mem.slots, each).name < _slot(mem.slots, slot).name:
                    slot, earliest_before = each, before
            if slot != mem.suspects:
                _slot(mem.slots, earliest_before).next = _slot(mem.slots, slot).next
                _slot(mem.slots, slot).next = mem.suspects
                mem.suspects = slot
            mem.pass_traded = 0
            mem.pass_cursor = -1
            mem.pass_free = mem.orders_free
            mem.room_gained = 1
            mem.settling += 1
            mem.searches = 0
            mem.taker = 0
            mem.phase = SETTLING
        if _pass_over_held(mem, slot) == FULL:
            return FULL
        node = _int(_slot(mem.slots, slot).suspects)
        while node != 0:
            link = _link(mem.links, slot * mem.node_size + node)
            link.is_suspect = 0
            node = _int(link.suspect_next)
        _slot(mem.slots, slot).suspects = 0
        mem.suspects = _slot(mem.slots, slot).next
        mem.phase = NEXT
    return DONE


# --------------------------------------------------------------------------------------------- commands


@inlined
def _refusal(mem: Memory, command: Any, place: int, slot: int, meter: int, terms: int) -> int:
    """The first reason, in the page's order, to refuse a new order; 0 if there is none."""
    if _i32s(mem.ids)[place] != 0:
        return DUPLICATE_ORDER_ID
    if meter == 0 or _node(mem.nodes, meter).level != 0:
        return UNKNOWN_METER
    if slot == CLOSED_SLOT:
        return SLOT_CLOSED
    if command.quantity_lots <= 0:
        return BAD_QUANTITY
    if command.price_ticks < mem.floor or command.price_ticks > mem.cap:
        return BAD_PRICE
    if terms < 0:
        return BAD_TERMS
    return 0


@inlined
def _terms(mem: Memory, days: int) -> int:
    """Which of the market's classes of terms this is, -1 if none."""
    return _int(0) if _i64s(mem.terms)[0] == days and mem.terms_count > 0 else _other_terms(mem, days)


@compiled
def _other_terms(mem: Memory, days: int) -> int:
    terms = _i64s(mem.terms)
    for each in range(mem.terms_count):
        if terms[each] == days:
            return each
    return -1


@inlined
def _accept(mem: Memory, command: Any, sequence: int, meter: int, place: int, row: int) -> None:
    """The id is used from now on, whatever becomes of the order. ``row`` 0: it will not rest."""
    if place == 0:
        place = _new_place(mem, command.order_id)
    _i32s(mem.ids)[place] = row if row != 0 else _int(-1)
    _know_owner(mem, meter, command.member)
    _tell(mem, ACCEPTED, sequence, command.order_id, 0, 0)


@inlined
def _load(mem: Memory, row: int, command: Any, sequence: int, slot: int, meter: int, terms: int) -> None:
    """What a new order says, into its row: row 0 of the orders is whoever comes in and will not rest."""
    order = _order(mem.orders, row)
    order.order_id = command.order_id
    order.sequence = sequence
    order.member = command.member
    order.remaining_lots = command.quantity_lots
    order.meter = meter
    order.slot = slot
    order.held = 0
    if command.side == SELL_TAKER:
        order.cost = command.price_ticks - mem.floor
        order.book = SELL * mem.classes + terms * 4 + command.reach
    else:
        order.cost = mem.cap - command.price_ticks
        order.book = BUY * mem.classes + terms * 4 + command.reach


@compiled
def _come_to_rest(mem: Memory, order: int) -> None:
    """What is left of an order rests; it is held if any order fits it, for that one is earlier and there is no room."""
    row = _order(mem.orders, order)
    row.held = 1 if _slot(mem.slots, row.slot).blocked > 0 and _fits_any(mem, order) else 0
    _rest(mem, order, True)


@compiled
def _enter(mem: Memory, taker: int, rests: bool) -> int:
    """Match an order that comes in; what is left of it rests or is cancelled. FULL: call again to go on."""
    row = _order(mem.orders, taker)
    cause = mem.sequence
    outcome = _take(mem, taker, cause)
    if outcome == FULL:
        mem.phase = ENTERING
        mem.taker = taker
        mem.leg = 1 if rests else 0
        return FULL
    mem.phase = NEXT
    if row.remaining_lots > 0 and outcome == FILLED_OR_REST and rests:
        _come_to_rest(mem, taker)
        return DONE
    if row.remaining_lots > 0:
        ended = SELF_TRADE if outcome == MET_OWN else UNFILLED_IOC
        _tell(mem, REMOVED, cause, row.order_id, row.remaining_lots, ended)
    if taker != 0:
        _free_row(mem, taker)
    return DONE


@compiled
def _all_or_none(mem: Memory, at: int, legs: int) -> int:
    """Legs are tried in full, one by one, from ``leg`` on; if any is not filled, every effect of all is undone."""
    first_sequence = mem.sequence - legs + 1
    row = _order(mem.orders, 0)
    while mem.leg < legs:
        leg = mem.leg
        command = _command(mem.commands, at + leg)
        if mem.phase != LEGS:
            slot = _look_up(mem.slot_map, mem.slot_map_mask, command.slot)
            meter = _look_up(mem.node_map, mem.node_map_mask, command.meter)
            _load(mem, 0, command, first_sequence + leg, slot, meter, _terms(mem, command.terms_days))
        outcome = _take(mem, 0, first_sequence + leg)
        if outcome == FULL:
            mem.phase = LEGS
            return FULL
        mem.phase = NEXT
        if row.remaining_lots > 0:
            _undo_trades(mem, at, first_sequence)
            for each in range(legs):
                command = _command(mem.commands, at + each)
                ended = UNFILLED_BASKET if command.kind == LEG else UNFILLED_FOK
                _tell(mem, REMOVED, first_sequence + each, command.order_id, command.quantity_lots, ended)
            return DONE
        mem.leg = leg + 1
    return DONE


@inlined
def _new(mem: Memory, at: int, slot: int, meter: int) -> int:
    command = _command(mem.commands, at)
    place = _next_place_of(mem, command.order_id)
    terms = _terms(mem, command.terms_days)
    reason = _refusal(mem, command, place, slot, meter, terms)
    if reason == 0 and slot == 0:
        mem.leg = at
        return MAKE_SLOT
    sequence = mem.sequence + 1
    mem.sequence = sequence
    if reason != 0:
        _tell(mem, REJECTED, sequence, command.order_id, 0, reason)
        return DONE
    row = _new_row(mem) if command.tif == GTC else _int(0)
    _accept(mem, command, sequence, meter, place, row)
    if command.tif == FOK:
        mem.leg = 0
        mem.events_before = mem.events_used
        return GROW if _all_or_none(mem, at, 1) == FULL else DONE
    _load(mem, row, command, sequence, slot, meter, terms)
    if row != 0 and _slot(mem.slots, slot).blocked == 0:
        order = _order(mem.orders, row)
        if not _meets_any(mem, slot, meter, _int(order.book), mem.range - order.cost):
            _rest(mem, row, True)
            return DONE
    return GROW if _enter(mem, row, row != 0) == FULL else DONE


@compiled
def _basket(mem: Memory, at: int, legs: int) -> int:
    """Legs take consecutive sequence numbers, refused or not."""
    first_sequence = mem.sequence + 1
    ids = _i32s(mem.ids)
    bad, reason, new_slot = legs, _int(0), _int(-1)
    for leg in range(legs):
        command = _command(mem.commands, at + leg)
        slot = _look_up(mem.slot_map, mem.slot_map_mask, command.slot)
        meter = _look_up(mem.node_map, mem.node_map_mask, command.meter)
        place = _place_of(mem, command.order_id)
        reason = _refusal(mem, command, place, slot, meter, _terms(mem, command.terms_days))
        if reason != 0:
            bad = leg
            break
        if slot == 0:
            new_slot = at + leg
        ids[_new_place(mem, command.order_id)] = -1  # so that a second leg with this id is a duplicate
    for leg in range(bad):
        ids[_place_of(mem, _command(mem.commands, at + leg).order_id)] = 0
    if bad == legs and new_slot >= 0:
        mem.leg = new_slot
        return MAKE_SLOT
    mem.sequence += legs
    for leg in range(legs):
        command = _command(mem.commands, at + leg)
        if bad < legs:
            why = reason if leg == bad else BASKET_REJECTED
            _tell(mem, REJECTED, first_sequence + leg, command.order_id, 0, why)
        else:
            meter = _look_up(mem.node_map, mem.node_map_mask, command.meter)
            _accept(mem, command, first_sequence + leg, meter, 0, 0)
    if bad < legs:
        return DONE
    mem.leg = 0
    mem.events_before = mem.events_used
    return GROW if _all_or_none(mem, at, legs) == FULL else DONE


@inlined
def _open_row(mem: Memory, place: int, order_id: int) -> int:
    """The row of an order that rests, 0 if it does not; rows are used again, so that the order must still be there."""
    row = _int(_i32s(mem.ids)[place])
    if row <= 0:
        return 0
    order = _order(mem.orders, row)
    return row if order.order_id == order_id and order.remaining_lots > 0 else _int(0)


@inlined
def _cancel(mem: Memory, command: Any, place: int) -> None:
    mem.sequence += 1
    old = _open_row(mem, place, command.order_id)
    if old == 0:
        _tell(mem, REJECTED, mem.sequence, command.order_id, 0, NOT_OPEN)
        return
    _leave(mem, old)
    _tell(mem, REMOVED, mem.sequence, command.order_id, _order(mem.orders, old).remaining_lots, BY_OWNER)
    _free_row(mem, old)


@compiled
def _amend(mem: Memory, command: Any, place: int) -> int:
    """The same price with an equal or lower quantity keeps the order's place. Anything else is like a new order."""
    mem.sequence += 1
    old = _open_row(mem, place, command.order_id)
    gives_quantity, gives_price = command.flags & GIVES_QUANTITY, command.flags & GIVES_PRICE
    reason = 0
    if old == 0:
        reason = NOT_OPEN
    elif gives_quantity and command.quantity_lots <= 0:
        reason = BAD_QUANTITY
    elif gives_price and (command.price_ticks < mem.floor or command.price_ticks > mem.cap):
        reason = BAD_PRICE
    if reason != 0:
        _tell(mem, REJECTED, mem.sequence, command.order_id, 0, reason)
        return DONE
    order = _order(mem.orders, old)
    is_sell = _side(mem, order.book) == SELL
    price = mem.floor + order.cost if is_sell else mem.cap - order.cost
    quantity_lots = order.remaining_lots
    if gives_quantity:
        quantity_lots = command.quantity_lots
    new_price = price
    if gives_price:
        new_price = command.price_ticks
    keeps_place = new_price == price and quantity_lots <= order.remaining_lots
    if not keeps_place:
        _leave(mem, old)
        order.sequence = mem.sequence
        order.cost = new_price - mem.floor if is_sell else mem.cap - new_price
    order.remaining_lots = quantity_lots
    event = _event(mem.events, _tell(mem, AMENDED, mem.sequence, command.order_id, quantity_lots, 0))
    event.price_ticks = new_price
    event.other = order.sequence
    if keeps_place:
        return DONE
    return GROW if _enter(mem, old, True) == FULL else DONE


@inlined
def _has_memory(mem: Memory, wanted: int) -> bool:
    """Whether the pools can hold all that so many commands may need, whatever they do, but for the events of their
    trades; ``matching.tables.Tables.grow`` says the same."""
    ids, pairs = _table(mem.tables, IDS), _table(mem.tables, PAIRS)
    return (
        mem.events_used + 2 * wanted + 4 <= mem.events_size
        and ids.used + wanted + 2 <= ids.size
        and pairs.used + wanted + 2 <= pairs.size
        and mem.orders_used + wanted <= mem.orders_size
        and mem.ladders_used + 2 * wanted <= mem.ladders_size
        and mem.keys_used + 8 * mem.widest * wanted <= mem.keys_size
        # whatever moves from ladder to ladder: an order has a rung, and no more than one word on each step
        and mem.open + wanted + 2 <= mem.rungs_size
        and mem.depth * (mem.open + wanted + 1) + 1 <= mem.words_size
    )


@inlined
def _end_of_part(mem: Memory, at: int) -> int:
    """Where the next part of the commands ends: behind a whole basket, before what is not for the kernel."""
    end = at
    while end < at + AHEAD_COMMANDS and end < mem.commands_count:
        command = _command(mem.commands, end)
        if command.kind > AMEND:
            break
        end += max(1, command.legs)
    return end


@compiled
def _look_ahead(mem: Memory, at: int, end: int) -> None:
    """Look up what commands name, and have memory fetch what they will read and write: waiting for one thing after the
    other is most of their cost. All that changes before their turn is who rests."""
    heads, ids = _i32s(mem.heads), _i32s(mem.ids)
    end = min(end, at + AHEAD_COMMANDS)
    name = _command(mem.commands, at).slot
    slot = _look_up(mem.slot_map, mem.slot_map_mask, name)
    for each in range(at, end):
        command = _command(mem.commands, each)
        ahead = _ahead(mem.aheads, each - at)
        if command.kind == NEW:
            ahead.meter = _look_up(mem.node_map, mem.node_map_mask, command.meter)
            if command.slot != name:
                name, slot = command.slot, _look_up(mem.slot_map, mem.slot_map_mask, command.slot)
            ahead.slot = slot
            if slot > 0:
                head = (slot * mem.node_size + ahead.meter) * 2
                ahead.place = head + (BUY if command.side == BUY_TAKER else SELL)
                _prefetch(mem.heads + 4 * ahead.place)
        else:
            ahead.place = _place_of(mem, command.order_id)
            _prefetch(mem.ids + 4 * ahead.place)
    for each in range(at, end):
        command = _command(mem.commands, each)
        ahead = _ahead(mem.aheads, each - at)
        if command.kind != NEW:
            ahead.meter = max(ids[ahead.place], 0)
            _prefetch(mem.orders + ahead.meter * _ORDER_BYTES)
        elif ahead.slot > 0:
            _prefetch(mem.orders + heads[ahead.place] * _ORDER_BYTES)
    if mem.is_wide != 0:
        _look_further(mem, at, end)


@compiled
def _look_further(mem: Memory, at: int, end: int) -> None:
    """The same for what lies one step behind, where tables are too many to be at hand anyway."""
    for each in range(at, end):
        command = _command(mem.commands, each)
        ahead = _ahead(mem.aheads, each - at)
        if command.kind == NEW and ahead.slot > 0:
            place = _int(ahead.slot) * mem.area_size + _node(mem.nodes, ahead.meter).place
            _prefetch(mem.cells + 32 * place)
            _prefetch(mem.books + 8 * mem.classes * place)
            _prefetch(mem.books + 8 * mem.classes * place + 4 * mem.classes)
            _prefetch(mem.links + (_int(ahead.slot) * mem.node_size + ahead.meter) * _LINK_BYTES)
        elif command.kind == CANCEL:
            order = _order(mem.orders, ahead.meter)
            place = _int(order.slot) * mem.area_size + _node(mem.nodes, order.meter).place
            _prefetch(mem.books + 4 * (2 * mem.classes * place + order.book))
            _prefetch(mem.rungs + order.rung * _RUNG_BYTES)
            _prefetch(mem.orders + order.next * _ORDER_BYTES)
            _prefetch(mem.orders + order.previous * _ORDER_BYTES)
            _prefetch(mem.orders + order.meter_next * _ORDER_BYTES)
            _prefetch(mem.orders + order.meter_previous * _ORDER_BYTES)
            _prefetch(mem.links + (_int(order.slot) * mem.node_size + order.meter) * _LINK_BYTES)
    for each in range(at, end):
        command = _command(mem.commands, each)
        ahead = _ahead(mem.aheads, each - at)
        slot, book, meter = _int(ahead.slot), _int(-1), _int(ahead.meter)
        if command.kind == NEW:
            if slot > 0:
                side = BUY if command.side == BUY_TAKER else SELL
                book = side * mem.classes + command.reach
        elif command.kind == CANCEL:
            order = _order(mem.orders, meter)
            slot, book, meter = _int(order.slot), _int(order.book), _int(order.meter)
        if book >= 0:
            place = slot * mem.area_size + _node(mem.nodes, meter).place
            ladder = _int(_i32s(mem.books)[2 * mem.classes * place + book])
            ahead.place = ladder if command.kind == NEW else ahead.place
            _prefetch(mem.ladders + ladder * _LADDER_BYTES)
            hub = _int(_area(mem.areas, _node(mem.nodes, meter).place).hub)
            _prefetch(mem.hub_cells + 32 * (slot * mem.hub_size + hub))
            _prefetch(mem.trees + 8 * ((slot * mem.hub_size + hub) * 2 * mem.classes + book))
    for each in range(at, end):
        ahead = _ahead(mem.aheads, each - at)
        if _command(mem.commands, each).kind == NEW and ahead.slot > 0:
            root = _int(_ladder_row(mem.ladders, ahead.place).root)
            if root > 0:
                _prefetch(mem.words + root * _WORD_BYTES)
            else:
                _prefetch(mem.rungs - root * _RUNG_BYTES)


@compiled
def _carry_out(mem: Memory, first: int, end: int) -> int:
    """Carry out a part of the commands. Returns what ``run`` does."""
    at = first
    while at < end:
        command = _command(mem.commands, at)
        mem.row = at
        ahead = _ahead(mem.aheads, at - first)
        legs, outcome = _int(1), DONE
        if command.kind == NEW:
            outcome = _new(mem, at, _int(ahead.slot), _int(ahead.meter))
        elif command.kind == CANCEL or command.kind == AMEND:
            place = ahead.place if ahead.place != 0 else _place_of(mem, command.order_id)
            if command.kind == CANCEL:
                _cancel(mem, command, place)
            else:
                outcome = _amend(mem, command, place)
        else:
            legs = _int(command.legs)
            outcome = _basket(mem, at, legs)
        if outcome != DONE:
            return outcome
        at += legs
        mem.row = at
        if mem.suspects != 0 and _settle(mem) == FULL:
            return GROW
    return DONE


@inlined
def _check(mem: Memory) -> int:
    """What there is among the commands that the caller should look at first: bits of ``LIMITING`` and what follows."""
    found, legs_left = _int(0), _int(0)
    for at in range(mem.commands_count):
        command = _command(mem.commands, at)
        if command.kind == LEG:
            if legs_left == 0:
                legs_left = _int(command.legs)
            elif command.legs != 0:
                found |= CUT_BASKET
            if legs_left <= 0:
                found |= CUT_BASKET
            legs_left -= 1
        elif legs_left != 0 or command.legs != 0:
            found |= CUT_BASKET
        if command.kind <= AMEND:
            if command.quantity_lots > LARGEST_LOTS:
                found |= TOO_LARGE
        elif command.kind != CLOSE:
            found |= LIMITING
            for lots in (command.quantity_lots, command.price_ticks):
                if lots > LARGEST_LIMIT_LOTS and lots != NO_LIMIT_LOTS:
                    found |= TOO_LARGE
    if legs_left != 0:
        found |= CUT_BASKET
    if mem.sequence + mem.commands_count >= _int(1) << mem.shift:
        found |= NO_SEQUENCES
    return found


@entry
def run(address: int, new: NDArray[np.uint8]) -> int:
    """Carry out new commands, the bytes of rows, or (no bytes) the last ones from ``row`` on. Returns ``DONE``,
    ``GROW``, ``MAKE_SLOT``, ``ASK``, or ``CHECK`` and more; after any but the first the caller does what is wanted and
    calls again without new ones."""
    mem = _memory(address, 0)
    if len(new) > 0:
        mem.commands, mem.commands_count = new.ctypes.data, len(new) // _COMMAND_BYTES
        mem.row, mem.events_used = 0, 0
        found = _check(mem)
        if found != 0:
            return CHECK + found
    at = mem.row
    if mem.phase == ENTERING:
        if _enter(mem, mem.taker, mem.leg == 1) == FULL:
            return GROW
        at += 1
    elif mem.phase == LEGS:
        legs = max(1, _command(mem.commands, at).legs)
        if _all_or_none(mem, at, legs) == FULL:
            return GROW
        at += legs
    mem.row = at
    if mem.suspects != 0 and _settle(mem) == FULL:
        return GROW
    at = mem.row
    while at < mem.commands_count:
        end = _end_of_part(mem, at)
        if end == at:
            return ASK
        mem.wanted = end - at
        if not _has_memory(mem, mem.wanted):
            return GROW
        _look_ahead(mem, at, end)
        outcome = _carry_out(mem, at, end)
        if outcome != DONE:
            return outcome
        at = end
    return DONE


# ------------------------------------------------------------------------- what the caller does in between


@entry
def open_row(address: int, order_id: int) -> int:
    """The row of an order that rests, 0 if it does not."""
    mem = _memory(address, 0)
    return _open_row(mem, _place_of(mem, order_id), order_id)


@entry
def open_rows(address: int, slot: int, nodes: int, rows: NDArray[np.int64]) -> int:
    """The rows of a slot's open orders, in no order to rely on. Returns how many."""
    mem = _memory(address, 0)
    heads = _i32s(mem.heads)
    count = 0
    for head in range(slot * mem.node_size * 2, (slot * mem.node_size + nodes) * 2):
        each = _int(heads[head])
        while each != 0:
            rows[count] = each
            count += 1
            each = _int(_order(mem.orders, each).meter_next)
    return count


@entry
def restore_ids(address: int, order_ids: NDArray[np.int64]) -> None:
    mem = _memory(address, 0)
    for order_id in order_ids:
        _i32s(mem.ids)[_new_place(mem, order_id)] = -1


@entry
def restore_orders(address: int, rows: Rows) -> None:
    """Let orders rest that are given as rows, in order of sequence, once ids, limits and flows are there. ``meter``
    and ``slot`` are the kernel's own numbers."""
    mem = _memory(address, 0)
    for each in rows:
        new = _new_row(mem)
        order = _order(mem.orders, new)
        order.order_id = each.order_id
        order.sequence = each.sequence
        order.member = each.member
        order.remaining_lots = each.remaining_lots
        order.cost = each.cost
        order.meter = each.meter
        order.slot = each.slot
        order.book = each.book
        _i32s(mem.ids)[_new_place(mem, each.order_id)] = new
        _know_owner(mem, order.meter, order.member)
        _come_to_rest(mem, new)


@entry
def restore_flow(address: int, slot: int, node: int, flow_lots: int) -> None:
    mem = _memory(address, 0)
    _push(mem, slot, node, SELL, flow_lots)


@compiled
def _free_words(mem: Memory, root: int) -> None:
    """Give back the words and rungs of a ladder."""
    children = _i32s(mem.children)
    if root < 0:
        _free_rung(mem, -root)
        return
    word = root
    while word != 0:
        bits = _word(mem.words, word).bits
        if bits != 0:
            _word(mem.words, word).bits = bits & (bits - 1)
            child = _int(children[word * 64 + _lowest_bit(bits)])
            if child < 0:
                _free_rung(mem, -child)
            else:
                word = child
        else:
            parent = _int(_word(mem.words, word).parent)
            _free_word(mem, word)
            word = parent


@entry
def free_slot(address: int, slot: int, nodes: int, areas: int, hubs: int) -> None:
    """Give back all the memory of a slot; its open orders end, their ids stay used."""
    mem = _memory(address, 0)
    heads = _i32s(mem.heads)
    for head in range(slot * mem.node_size * 2, (slot * mem.node_size + nodes) * 2):
        each = _int(heads[head])
        heads[head] = 0
        while each != 0:
            following = _int(_order(mem.orders, each).meter_next)
            _free_row(mem, each)
            mem.open -= 1
            each = following
    size = 2 * mem.classes
    books, cells = _i32s(mem.books), _i64s(mem.cells)
    for book in range(slot * mem.area_size * size, (slot * mem.area_size + areas) * size):
        ladder = _int(books[book])
        if ladder != 0:
            books[book] = 0
            for each in range(ladder, ladder + 2):
                if _ladder_row(mem.ladders, each).root != 0:
                    _free_words(mem, _int(_ladder_row(mem.ladders, each).root))
            _ladder_row(mem.ladders, ladder).root = mem.ladders_free
            mem.ladders_free = ladder
    for cell in range(slot * mem.area_size * 4, (slot * mem.area_size + areas) * 4):
        cells[cell] = 0
    trees, keys, hub_cells = _i64s(mem.trees), _i64s(mem.keys), _i64s(mem.hub_cells)
    for hub in range(hubs):
        row = slot * mem.hub_size + hub
        for at in range(row * size, (row + 1) * size):
            if trees[at] != 0:
                free, log_width = _i64s(mem.keys_free), _lowest_bit(_int(_hub(mem.hubs, hub).width))
                keys[trees[at]] = free[log_width]
                free[log_width] = trees[at]
                trees[at] = 0
        for cell in range(row * 4, row * 4 + 4):
            hub_cells[cell] = 0
    for node in range(nodes):
        link = _link(mem.links, slot * mem.node_size + node)
        link.flow_lots = 0
        link.suspect_next = 0
        link.is_suspect = 0
    _slot(mem.slots, slot).open = 0
    _slot(mem.slots, slot).blocked = 0


# ------------------------------------------------------------------------------------------------ views


@compiled
def _load_greediest(mem: Memory, slot: int, meter: int, side: int) -> None:
    """Make the incoming order one that fits everything within reach."""
    order = _order(mem.orders, 0)
    order.meter = meter
    order.slot = slot
    order.cost = -mem.range - 1
    terms = 0 if side == BUY else mem.terms_count - 1
    order.book = side * mem.classes + terms * 4 + 3


@entry
def best_quote(address: int, slot: int, meter: int, side: int) -> tuple[int, int]:
    """(price with the fee, level) that an order on this side would meet first; level 0 if there is none."""
    mem = _memory(address, 0)
    _load_greediest(mem, slot, meter, side)
    best, level, cost = _best(mem, 0)
    if best == 0:
        return 0, 0
    return (mem.floor + cost if side == BUY else mem.cap - cost), level


@compiled
def _scratch_room(mem: Memory, slot: int, flows: NDArray[np.int64], node: int, side: int) -> int:
    link = _link(mem.links, slot * mem.node_size + node)
    return link.down_lots + flows[node] if side == BUY else link.up_lots - flows[node]


@compiled
def _links_up(mem: Memory, meter: int, level: int) -> tuple[int, int, int]:
    """The links from a meter to its ancestor at a level; 0 where there is none."""
    row = _node(mem.nodes, meter)
    own = _int(meter) if row.is_plain == 1 else _int(0)
    if level == 1:
        return own, _int(0), _int(0)
    area = _area(mem.areas, row.place)
    hub = _hub(mem.hubs, area.hub)
    return own, _int(area.node), _int(hub.node) if hub.level < level else _int(0)


@compiled
def _delivered(mem: Memory, meter: int, other: int) -> tuple[int, int]:
    """(cost with the fee, level) of an order for whoever is at this meter."""
    row = _order(mem.orders, other)
    level = _distance(mem, meter, row.meter)
    return row.cost + _fee(mem, level), level


@entry
def rank_for(address: int, meter: int, side: int, rows: NDArray[np.int64], out: NDArray[np.int64]) -> int:
    """(cost with the fee, level, sequence, row) of those of these orders that a taker at this meter could reach."""
    mem = _memory(address, 0)
    count = 0
    for each in rows:
        row = _order(mem.orders, each)
        if _side(mem, row.book) == side:
            continue
        cost, level = _delivered(mem, meter, each)
        if (row.book & 3) >= level:
            out[count, 0], out[count, 1], out[count, 2], out[count, 3] = cost, level, row.sequence, each
            count += 1
    return count


@entry
def quantities(
    address: int, slot: int, meter: int, side: int, ranked: NDArray[np.int64], flows: NDArray[np.int64]
) -> None:
    """What could be had of each ranked order, one after the other, into column 3; ``flows`` are the slot's, a copy."""
    mem = _memory(address, 0)
    for at in range(len(ranked)):
        row = _order(mem.orders, ranked[at, 3])
        quantity_lots = row.remaining_lots
        if row.meter != meter:
            level = ranked[at, 1]
            mine, theirs = _links_up(mem, meter, level), _links_up(mem, row.meter, level)
            for link in mine:
                if link != 0:
                    quantity_lots = min(quantity_lots, _scratch_room(mem, slot, flows, link, side))
            for link in theirs:
                if link != 0:
                    quantity_lots = min(quantity_lots, _scratch_room(mem, slot, flows, link, 1 - side))
            quantity_lots = max(quantity_lots, 0)
            signed = quantity_lots if side == SELL else -quantity_lots
            for link in mine:
                if link != 0:
                    flows[link] += signed
            for link in theirs:
                if link != 0:
                    flows[link] -= signed
        ranked[at, 3] = quantity_lots
