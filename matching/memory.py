"""The kernel's memory: pools of rows that grow without being copied, and the registers that say where they are.

A pool is an anonymous mapping. The system gives a page when it is first written to, and moves the mapping by its page
table when it grows: so a pool may be made larger than what is needed yet, and growing takes microseconds whatever its
size. Where mappings can not be resized, it is copied.
"""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matching import kernel

_ROWS: dict[int, np.dtype[Any]] = {
    kernel.ORDERS: kernel.ORDER,
    kernel.HELDS: kernel.HELD,
    kernel.LINKS: kernel.LINK,
    kernel.HEADS: np.dtype("i4"),
    kernel.CELLS: np.dtype("i8"),
    kernel.BOOKS: np.dtype("i4"),
    kernel.HUB_CELLS: np.dtype("i8"),
    kernel.TREES: np.dtype("i8"),
    kernel.KEYS: np.dtype("i8"),
    kernel.WINNERS: np.dtype("i4"),
    kernel.WORDS: kernel.WORD,
    kernel.CHILDREN: np.dtype("i4"),
    kernel.LADDERS: kernel.LADDER,
    kernel.NODES: kernel.NODE,
    kernel.AREAS: kernel.AREA,
    kernel.HUBS: kernel.HUB,
    kernel.SLOTS: kernel.SLOT,
    kernel.ID_BUCKETS: np.dtype("i4"),
    kernel.ID_ENTRIES: kernel.ENTRY,
    kernel.PAIR_BUCKETS: np.dtype("i4"),
    kernel.PAIR_ENTRIES: kernel.ENTRY,
    kernel.SLOT_MAP: kernel.PLACE,
    kernel.NODE_MAP: kernel.PLACE,
    kernel.FITTING: np.dtype("i8"),
    kernel.TERMS: np.dtype("i8"),
    kernel.EVENTS: kernel.EVENT,
}


class Memory:
    """All pools and the registers of one engine. Fresh memory is zero."""

    def __init__(self) -> None:
        self.registers: NDArray[np.int64] = np.zeros(kernel.REGISTERS, np.int64)
        self._maps: dict[int, mmap.mmap] = {}

    def reserve(self, pool: int, rows: int) -> None:
        """Let a pool have at least so many rows. Views of it must not be in use."""
        size = -(-max(rows, 1) * _ROWS[pool].itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        old = self._maps.get(pool)
        if old is None:
            self._maps[pool] = _map(size)
        elif len(old) < size:
            self._maps[pool] = _grown(old, size)
        else:
            return
        self.registers[pool] = np.frombuffer(self._maps[pool], np.int8).ctypes.data

    def clear(self, pool: int, rows: int) -> None:
        """Let a pool have so many rows, all zero."""
        self._maps.pop(pool, None)
        self.reserve(pool, rows)

    def view(self, pool: int) -> NDArray[Any]:
        """The rows of a pool, to be read or written and let go."""
        return np.frombuffer(self._maps[pool], _ROWS[pool], len(self._maps[pool]) // _ROWS[pool].itemsize)

    def reserved_bytes(self) -> int:
        """What could be written to before anything has to grow; much of it is not backed by memory yet."""
        return sum(len(each) for each in self._maps.values())


def _map(size: int) -> mmap.mmap:
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)


def _grown(old: mmap.mmap, size: int) -> mmap.mmap:
    try:
        old.resize(size)
    except (SystemError, OSError, ValueError):
        new = _map(size)
        new[: len(old)] = old[:]
        return new
    return old
