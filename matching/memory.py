"""The kernel's memory: pools of rows that grow without being copied, and the row that says where they are.

A pool is an anonymous mapping. The system gives a page when it is first written to, and moves the mapping by its page
table when it grows: so a pool may be made larger than what is needed yet, and growing takes microseconds whatever its
size. Where mappings can not be resized, it is copied.
"""

import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matching.kernel import IDS, MEMORY, PAIRS, POOLS

_TABLES = {"id_buckets": (IDS, "buckets"), "id_entries": (IDS, "entries")}
_TABLES |= {"pair_buckets": (PAIRS, "buckets"), "pair_entries": (PAIRS, "entries")}


_DENSE = {
    *("orders", "ids", "id_entries", "id_buckets", "ladders", "rungs", "words", "children", "keys", "winners"),
    *("links", "heads", "events"),
}
"""Pools that fill from the start, without holes: in large pages, where the system has them, they are found faster."""


class Memory:
    """All pools of one engine, and ``row``, of ``kernel.MEMORY``. Fresh memory is zero."""

    def __init__(self) -> None:
        self.row: Any = np.zeros(1, MEMORY)[0]
        self.address: int = self.row.__array_interface__["data"][0]
        self._maps: dict[str, mmap.mmap] = {}
        self.reserve("tables", 2)

    def reserve(self, pool: str, rows: int) -> None:
        """Let a pool have at least so many rows. Views of it must not be in use."""
        size = -(-max(rows, 1) * POOLS[pool].itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        old = self._maps.get(pool)
        if old is None:
            self._maps[pool] = _map(size, pool in _DENSE)
        elif len(old) < size:
            self._maps[pool] = _grown(old, size, pool in _DENSE)
        else:
            return
        self.row[pool] = np.frombuffer(self._maps[pool], np.int8).ctypes.data
        if pool in _TABLES:
            table, field = _TABLES[pool]
            self.view("tables")[table][field] = self.row[pool]

    def clear(self, pool: str, rows: int) -> None:
        """Let a pool have so many rows, all zero."""
        self._maps.pop(pool, None)
        self.reserve(pool, rows)

    def view(self, pool: str) -> NDArray[Any]:
        """The rows of a pool, to be read or written and let go."""
        return np.frombuffer(self._maps[pool], POOLS[pool], len(self._maps[pool]) // POOLS[pool].itemsize)

    def copy(self, pool: str, rows: int) -> NDArray[Any]:
        """The first rows of a pool. Copied as bytes: numpy would go through them field by field."""
        size = rows * POOLS[pool].itemsize
        return np.frombuffer(self._maps[pool], np.uint8, size).copy().view(POOLS[pool])


def _map(size: int, is_dense: bool) -> mmap.mmap:
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    new = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if is_dense and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a system without large pages does without
            new.madvise(mmap.MADV_HUGEPAGE)
    return new


def _grown(old: mmap.mmap, size: int, is_dense: bool) -> mmap.mmap:
    try:
        old.resize(size)
    except (SystemError, OSError, ValueError):
        new = _map(size, is_dense)
        new[: len(old)] = old[:]
        return new
    return old
