"""The grid of one market: a tree of nodes, and the way energy takes from one meter to another.

Source: docs/market_rules.md, "The grid". Energy climbs from the seller's meter to the lowest common ancestor of both
meters and descends from there to the buyer's. Every link it uses is named by the node at the link's lower end.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from matching.order import Connect, Level

NO_PARENT = -1


class GridError(ValueError):
    """The caller named a node that can not be connected, or that is not there. Nothing has been changed."""


class Path(NamedTuple):
    """The way from one meter to another.

    ``level`` is their distance. ``up`` are the links climbed, from the seller's meter upwards; ``down`` those
    descended, from the buyer's meter upwards. Both are empty for two orders at one meter.
    """

    level: Level
    up: tuple[int, ...]
    down: tuple[int, ...]


class Grid:
    """A tree that only grows: nodes are added under nodes that are there, and never move."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._levels: dict[int, Level] = {}
        self._paths: dict[tuple[int, int], Path] = {}

    def connect(self, node: Connect) -> None:
        """Add a node. Raises GridError before any effect, see ``check_connect``."""
        check_connect(self._levels, node)
        self._parents[node.node] = node.parent
        self._levels[node.node] = Level(node.level)

    @property
    def levels(self) -> Mapping[int, Level]:
        """The level of every node, in order of connection."""
        return self._levels

    def nodes(self) -> Iterator[tuple[int, int, Level]]:
        """(node, parent, level) of every node, in order of connection."""
        return ((node, self._parents[node], level) for node, level in self._levels.items())

    def is_meter(self, node: int) -> bool:
        return self._levels.get(node) == Level.METER

    def path(self, seller_meter: int, buyer_meter: int) -> Path:
        """The way from one meter to another; both must be there. Kept, because a grown tree changes no old path."""
        path = self._paths.get((seller_meter, buyer_meter))
        if path is None:
            path = self._paths[seller_meter, buyer_meter] = self._find_path(seller_meter, buyer_meter)
        return path

    def _find_path(self, seller_meter: int, buyer_meter: int) -> Path:
        climb, descent = self._up_to_root(seller_meter), self._up_to_root(buyer_meter)
        ancestor = next(node for node in climb if node in descent)
        level = max(self._levels[ancestor], Level.TRANSFORMER)  # two orders at one meter count as transformer
        return Path(level, tuple(climb[: climb.index(ancestor)]), tuple(descent[: descent.index(ancestor)]))

    def _up_to_root(self, node: int) -> list[int]:
        nodes = [node]
        while (node := self._parents[node]) != NO_PARENT:
            nodes.append(node)
        return nodes


def check_connect(levels: Mapping[int, Level], new: Connect) -> None:
    """Raise GridError unless ``new`` can be added to a tree whose nodes have these ``levels``.

    The first node is the root and has no parent (-1); every other hangs under a node of a higher level that is there.
    A meter is never the root. Limits are at least 0.
    """
    check_limits(new.node, new.export_lots, new.import_lots)
    if new.node < 0:
        raise GridError(f"node {new.node} must not be negative")
    if new.node in levels:
        raise GridError(f"node {new.node} is connected already")
    if new.parent == NO_PARENT:
        if levels:
            raise GridError(f"node {new.node} would be a second root")
        if new.level == Level.METER:
            raise GridError(f"node {new.node} is a meter and can not be the root")
        return
    if new.parent not in levels:
        raise GridError(f"node {new.node} hangs under node {new.parent}, which is not connected")
    if new.level >= levels[new.parent]:
        above, below = levels[new.parent].name.lower(), Level(new.level).name.lower()
        raise GridError(f"node {new.node}, a {below}, can not hang under node {new.parent}, a {above}")


def check_limits(node: int, export_lots: int | None, import_lots: int | None) -> None:
    """Raise GridError when a limit is negative."""
    if min(export_lots or 0, import_lots or 0) < 0:
        raise GridError(f"node {node}: a limit must not be negative")
