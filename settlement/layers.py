"""The entries of a trie in layers, so that keeping a state as it was costs nothing and a million slots need no memory.

The executable specification copies every trie at the start of each transaction and of each call, to be able to go back.
A copy of ``Layers`` shares all that was written before and begins an empty layer of its own. Below the layers lies what
the blocks before left: a ``Ground``, in memory or read from the chain's file as it is asked for.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

MOST_LAYERS = 8
"""More are laid together: every look goes through them."""

CACHED_ENTRIES = 200_000
"""Entries read from a file that are kept in memory, for each trie."""

_GONE: Any = object()
_UNKNOWN: Any = object()

Entries = dict[Any, Any]


class Ground(Protocol):
    """Entries as the newest block left them."""

    def get(self, key: Any) -> Any:
        """The value; None when there is none."""

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All entries, in no order."""

    def take(self, changes: Entries) -> None:
        """Take over what a block changed; None for what is gone."""


class MemoryGround:
    """Entries in memory."""

    def __init__(self) -> None:
        self._entries: Entries = {}

    def get(self, key: Any) -> Any:
        return self._entries.get(key)

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._entries.items())

    def take(self, changes: Entries) -> None:
        for key, value in changes.items():
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value


class ReadGround:
    """Entries that somebody else keeps: read when they are asked for, and remembered for a while.

    Whoever calls ``take`` has kept the changes there already.
    """

    def __init__(self, read: Callable[[Any], Any], read_all: Callable[[], Iterator[tuple[Any, Any]]]) -> None:
        """``read`` gives the value of a key or None; ``read_all`` every entry."""
        self._read, self._read_all = read, read_all
        self._known: Entries = {}

    def get(self, key: Any) -> Any:
        value = self._known.get(key, _UNKNOWN)
        if value is _UNKNOWN:
            value = self._known[key] = self._read(key)
        return value

    def items(self) -> Iterator[tuple[Any, Any]]:
        return self._read_all()

    def take(self, changes: Entries) -> None:
        if len(self._known) > CACHED_ENTRIES:
            self._known.clear()
        self._known.update(changes)


class Layers:
    """What the specification takes for the dict of a trie: as much of one as it uses."""

    __slots__ = ("_below", "_ground", "_own")

    def __init__(self, ground: Ground, below: tuple[Entries, ...] = ()) -> None:
        self._ground = ground
        self._below = below  # the newest first; never written again
        self._own: Entries = {}

    def get(self, key: Any, default: Any = None) -> Any:
        value = self._own.get(key, _UNKNOWN)
        if value is _UNKNOWN:
            for layer in self._below:
                value = layer.get(key, _UNKNOWN)
                if value is not _UNKNOWN:
                    break
            else:
                value = self._ground.get(key)
                return default if value is None else value
        return default if value is _GONE else value

    def __contains__(self, key: Any) -> bool:
        return self.get(key) is not None

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own[key] = value

    def __delitem__(self, key: Any) -> None:
        self._own[key] = _GONE

    def __eq__(self, other: object) -> bool:
        """The specification asks whether nothing is left, after each write: what is gone is kept as gone."""
        return False

    __hash__ = None  # type: ignore[assignment] # as of a dict

    def __copy__(self) -> "Layers":
        if self._own:
            self._below = (self._own, *self._below)
            self._own = {}
            if len(self._below) > MOST_LAYERS:
                self._below = (self._merged(),)
        return Layers(self._ground, self._below)

    def _merged(self) -> Entries:
        merged: Entries = {}
        for layer in reversed(self._below):
            merged.update(layer)
        merged.update(self._own)
        return merged

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All entries."""
        changed = self._merged()
        for key, value in self._ground.items():
            if key not in changed:
                yield key, value
        for key, value in changed.items():
            if value is not _GONE:
                yield key, value

    def changes(self) -> Entries:
        """What is different from the ground; None for what is gone."""
        merged = {key: None if value is _GONE else value for key, value in self._merged().items()}
        return {key: value for key, value in merged.items() if self._ground.get(key) != value}

    def settle(self) -> Entries:
        """Make what changed part of the ground; returns it as ``changes`` does. No copy may be used afterwards."""
        changed = self.changes()
        self._ground.take(changed)
        self._below, self._own = (), {}
        return changed
