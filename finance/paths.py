"""The proof of a receivable under its period's root, without hashing the whole period for each one.

A period's tree is cut at a height: below it stand blocks of ``BLOCK`` leaves, above it a tree over the blocks' roots. A
path goes through one block, whose leaves are read, and through the upper tree, which is computed from all leaves once
in the life of a process. What is kept is named by the root that it leads to, so it can not become stale.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from finance import period_store
from settlement import merkle

BLOCK = 1_024
"""A power of two: a block's root is then a node of the whole tree, the last block's too (``merkle.py``)."""

KEPT = 64
"""Periods whose upper tree is kept: sixteen kilobytes for one of half a million receivables."""

_kept: dict[bytes, list[bytes]] = {}


def path_of(connection: Connection, receivable: Row[Any]) -> merkle.Path:
    """The proof of a receivable, given as its row, under the root of its period."""
    number = receivable.period
    numbers = period_store.numbers_of(connection, number)
    block, place = divmod(receivable.number - numbers.start, BLOCK)
    leaves = period_store.ids_of(connection, numbers[block * BLOCK : (block + 1) * BLOCK])
    return merkle.path(leaves, place) + merkle.path(_roots(connection, number, numbers), block)


def roots_of_blocks(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The roots of all blocks of some leaves, in their order."""
    return [merkle.root(leaves[start : start + size]) for start in range(0, len(leaves), size)]


def _roots(connection: Connection, number: int, numbers: range) -> list[bytes]:
    period = period_store.period(connection, number)
    assert period is not None, "its receivables name it"
    found = _kept.get(period.root)
    if found is None:
        found = roots_of_blocks(period_store.ids_of(connection, numbers), BLOCK)
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)), None)
        _kept[period.root] = found
    return found
