"""Numbers for texts, and texts for numbers: exactly, with no object for each.

A ``NameTable`` takes 8 bytes for each name, the name's own, and 11 to 21 for its bucket (half as much again while
buckets are made anew). Order ids mostly need no place in it, see ``OrderIds``.
"""

from collections.abc import Iterable

import numpy as np

from matching.replay_texts import Bytes, Cells, Numbers, Places, Texts, compiled, part

_MOST_NAMES = 2**31 - 1
_STEP_ROWS = 2**20
_STEP_BYTES = 2**23

_ZERO, _NINE = 48, 57
_LOW = (1 << 32) - 1
_FACTORS = np.array(
    [pow(0x9E3779B97F4A7C15, 2 * place + 1, 2**64) for place in range(64)], np.uint64
)  # odd, and far apart
_HALF, _TAG = np.uint64(32), np.uint64(33)

Table = tuple[Numbers, Bytes, Numbers]
"""``NameTable`` for compiled loops: buckets, names, offsets."""

_LONGEST_PLAIN = 18  # digits of a number that 62 bits always hold
_MOST_PREFIXES, _LONGEST_PREFIX, _MOST_DIGITS = 2048, 32, 14
_PREFIXED, _PREFIX_SHIFT, _WIDTH_SHIFT = 1 << 62, 51, 47
_PLAIN, _IN_TABLE = -1, -2
_LONGEST_NUMBERED = _LONGEST_PREFIX + _LONGEST_PLAIN  # bytes of an id that has no place in the table


class NameTable:
    """Different texts, numbered from 0 in the order in which they were added; less than 2**31 of them."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.count = 0
        self.names = np.zeros(1024, np.uint8)
        self.offsets = np.zeros(128, np.int64)
        self.buckets = np.zeros(128, np.int64)
        self.number(Texts.of_strings(names))

    @property
    def _table(self) -> Table:
        return self.buckets, self.names, self.offsets

    @property
    def texts(self) -> Texts:
        return Texts(self.names, self.offsets[: self.count], self.offsets[1 : self.count + 1])

    def find(self, texts: Texts) -> Numbers:
        """The number of each text, -1 for one that is no name."""
        numbers, _ = _number_names(self._table, self.count, self.count, texts.cells)
        return texts.per_row(numbers)

    def number(self, texts: Texts, most: int = _MOST_NAMES) -> Numbers:
        """The same, but what is no name becomes one while there are less than ``most``."""
        self._reserve(texts)
        numbers, self.count = _number_names(self._table, self.count, most, texts.cells)
        return texts.per_row(numbers)

    def _reserve(self, texts: Texts) -> None:
        """Room for these. Large arrays grow in small steps: the system moves them without copying."""
        more, more_bytes = len(texts.starts), int(np.subtract(texts.ends, texts.starts, dtype=np.int64).sum())
        if (rows := self.count + more + 1) > len(self.offsets):
            self.offsets.resize(rows + min(rows, _STEP_ROWS), refcheck=False)
        if (size := int(self.offsets[self.count]) + more_bytes) > len(self.names):
            self.names.resize(size + min(size, _STEP_BYTES), refcheck=False)
        buckets = len(self.buckets)
        while 4 * (self.count + more) > 3 * buckets:
            buckets *= 2
        if buckets > len(self.buckets):
            old, self.buckets = self.buckets, np.zeros(buckets, np.int64)
            _spread_buckets(old, self.buckets)


class OrderIds:
    """Numbers of 64 bits for the ids of orders, and the ids for the numbers.

    What is a number of up to 18 digits stays it. What is a prefix and up to 14 digits is the number of the prefix, how
    many digits there are (if the first is 0), and their number; there are at most 2,048 prefixes, of at most 32 bytes.
    So a file of millions of such orders leaves nothing here. Any other id is a name in a table, counted from -1 down.
    """

    def __init__(self) -> None:
        self._prefixes, self._table = NameTable(), NameTable()

    def number(self, texts: Texts) -> Numbers:
        """The number of each text."""
        data, starts, ends = texts.cells
        numbers, firsts = _read_ids(texts.cells)
        prefixed = np.flatnonzero(firsts >= 0)
        if len(prefixed):
            prefixes = Texts.of_file(data, starts[prefixed], firsts[prefixed])
            found = self._prefixes.number(prefixes, _MOST_PREFIXES)
            numbers[prefixed] |= found << _PREFIX_SHIFT
            firsts[prefixed[found < 0]] = _IN_TABLE
        others = np.flatnonzero(firsts == _IN_TABLE)
        if len(others):
            numbers[others] = -1 - self._table.number(Texts.of_file(data, starts[others], ends[others]))
        return texts.per_row(numbers)

    def texts(self, numbers: Numbers) -> Texts:
        prefixes, table = self._prefixes, self._table
        in_table = -1 - numbers[numbers < 0]
        size = _LONGEST_NUMBERED * len(numbers) + int(table.texts.sizes()[in_table].sum())
        data, places = np.empty(size, np.uint8), np.zeros(len(numbers) + 1, np.int64)
        tables = (prefixes.names, prefixes.offsets), (table.names, table.offsets)
        _write_ids(np.ascontiguousarray(numbers), tables, data, places[1:])
        return Texts(data, places[:-1], places[1:])


@part
def _tag(data: Bytes, start: int, end: int) -> np.int64:
    """31 bits by which texts are looked up; whether they are the same is then seen byte by byte."""
    mixed = np.uint64(end - start)
    for at in range(start, end):
        mixed += np.uint64(data[at]) * _FACTORS[(at - start) & 63]
    mixed = (mixed ^ (mixed >> _HALF)) * _FACTORS[0]
    return np.int64((mixed ^ (mixed >> _HALF)) >> _TAG)


@part
def _bucket(buckets: Numbers, names: Bytes, offsets: Numbers, text: tuple[Bytes, int, int, np.int64]) -> np.int64:
    """The bucket that has this text, or the empty one where it would stand."""
    data, start, end, tag = text
    mask = len(buckets) - 1
    at = tag & mask
    while buckets[at]:
        if buckets[at] >> 32 == tag:
            name = (buckets[at] & _LOW) - 1
            first = offsets[name]
            if offsets[name + 1] - first == end - start:
                same = 0
                while same < end - start and names[first + same] == data[start + same]:
                    same += 1
                if same == end - start:
                    return at
        at = (at + 1) & mask
    return at


@compiled
def _number_names(table: Table, count: int, most: int, cells: Cells) -> tuple[Numbers, int]:
    """The number of each text among the names, and how many there are now.

    What is no name becomes one, for which there is room, while there are less than ``most``; then it is -1.
    """
    buckets, names, offsets = table
    data, starts, ends = cells
    numbers = np.empty(len(starts), np.int64)
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        tag = _tag(data, start, end)
        at = _bucket(buckets, names, offsets, (data, start, end, tag))
        if not buckets[at] and count < most:
            first = offsets[count]
            for place in range(start, end):
                names[first + place - start] = data[place]
            count += 1
            offsets[count] = first + end - start
            buckets[at] = tag << 32 | count
        numbers[row] = (buckets[at] & _LOW) - 1
    return numbers, count


@compiled
def _spread_buckets(old: Numbers, new: Numbers) -> None:
    """Put what is in the old buckets into new, empty ones, of which there are more."""
    mask = len(new) - 1
    for bucket in old:
        if bucket:
            at = (bucket >> 32) & mask
            while new[at]:
                at = (at + 1) & mask
            new[at] = bucket


@compiled
def _read_ids(cells: Cells) -> tuple[Numbers, Places]:
    """The numbers of order ids, and where in each its digits start: ``_PLAIN`` if it has no prefix.

    What a prefix adds to the number is left to the caller. ``_IN_TABLE`` is for ids that have no such number.
    """
    data, starts, ends = cells
    numbers, firsts = np.zeros(len(starts), np.int64), np.empty(len(starts), np.int32)
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        first = end
        while first > start and end - first < _LONGEST_PLAIN and _ZERO <= data[first - 1] <= _NINE:
            first -= 1
        width = 0
        if first == start and first < end and (data[first] != _ZERO or end - first == 1):
            firsts[row] = _PLAIN
        else:
            first = max(first, end - _MOST_DIGITS)
            has_prefix = first < end and first - start <= _LONGEST_PREFIX
            firsts[row] = first if has_prefix else _IN_TABLE
            width = end - first if first < end - 1 and data[first] == _ZERO else 0
            numbers[row] = _PREFIXED | width << _WIDTH_SHIFT
        number = 0
        for at in range(first, end):
            number = number * 10 + (data[at] - _ZERO)
        numbers[row] |= number
    return numbers, firsts


@compiled
def _write_ids(
    numbers: Numbers, tables: tuple[tuple[Bytes, Numbers], tuple[Bytes, Numbers]], out: Bytes, ends: Places
) -> None:
    """The ids that the numbers stand for, one behind the other; ``tables`` are of the prefixes and of the names."""
    (prefixes, prefix_offsets), (names, offsets) = tables
    to = 0
    for row in range(len(numbers)):
        number, width = numbers[row], 1
        if number < 0:
            for at in range(offsets[-1 - number], offsets[-number]):
                out[to] = names[at]
                to += 1
        else:
            if number >= _PREFIXED:
                prefix = number >> _PREFIX_SHIFT & (_MOST_PREFIXES - 1)
                for at in range(prefix_offsets[prefix], prefix_offsets[prefix + 1]):
                    out[to] = prefixes[at]
                    to += 1
                width = max(1, number >> _WIDTH_SHIFT & 15)
                number &= (1 << _WIDTH_SHIFT) - 1
            size, above = 1, number // 10
            while above:
                size += 1
                above //= 10
            size = max(size, width)
            for at in range(to + size - 1, to - 1, -1):
                out[at] = _ZERO + number % 10
                number //= 10
            to += size
        ends[row] = to
