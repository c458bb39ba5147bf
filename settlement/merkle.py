"""Merkle trees that commit to trades, readings, statements and batches of orders.

Leaf ``keccak256(0x00 || content)``, node ``keccak256(0x01 || left || right)``, an odd node is carried up unchanged,
as in RFC 9162; the root of nothing is 32 zero bytes. The prefixes keep a node from being shown as a leaf.
A proof is the list of (is the sibling on the left, sibling) from the leaf upward.
"""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from settlement.keccak import keccak

EMPTY_ROOT = bytes(32)

Path = list[tuple[bool, bytes]]
Name = TypeVar("Name", bound=Hashable)


def leaf(content: bytes) -> bytes:
    """The 32-byte leaf of some content."""
    return keccak(b"\x00" + content)


def node(left: bytes, right: bytes) -> bytes:
    """The 32-byte parent of two nodes."""
    return keccak(b"\x01" + left + right)


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    paired = [node(nodes[i], nodes[i + 1]) for i in range(0, len(nodes) - 1, 2)]
    return [*paired, nodes[-1]] if len(nodes) % 2 else paired


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves (each already hashed by ``leaf``), in order."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


class RootStream:
    """The root over leaves that come one by one: only the roots of whole subtrees are kept, at most one of each height.

    The same root as ``root`` of them all: a subtree of 2**h leaves is whole as soon as they are there, and what is left
    at the end is carried up from the right.
    """

    def __init__(self) -> None:
        self._count = 0
        self._whole: list[bytes] = []

    def add(self, leaf_hash: bytes) -> None:
        """The next leaf, already hashed by ``leaf``."""
        whole, left_siblings = leaf_hash, self._count
        while left_siblings & 1:
            whole, left_siblings = node(self._whole.pop(), whole), left_siblings >> 1
        self._whole.append(whole)
        self._count += 1

    def root(self) -> bytes:
        """The root over the leaves so far; more may follow."""
        if not self._whole:
            return EMPTY_ROOT
        current = self._whole[-1]
        for left in reversed(self._whole[:-1]):
            current = node(left, current)
        return current


class PathStream(Generic[Name]):
    """As ``RootStream``, and the proofs of some of the leaves, which are given names: no others are kept."""

    def __init__(self) -> None:
        self._count = 0
        self._whole: list[tuple[bytes, list[Name]]] = []
        self.paths: dict[Name, Path] = {}

    def add(self, leaf_hash: bytes, name: Name | None = None) -> None:
        """The next leaf, already hashed by ``leaf``; its proof is wanted when it has a name."""
        whole, left_siblings = (leaf_hash, [] if name is None else [name]), self._count
        if name is not None:
            self.paths[name] = []
        while left_siblings & 1:
            whole, left_siblings = self._joined(self._whole.pop(), whole), left_siblings >> 1
        self._whole.append(whole)
        self._count += 1

    def finish(self) -> bytes:
        """The root over all leaves; ``paths`` are whole, and nothing more is added."""
        if not self._whole:
            return EMPTY_ROOT
        current = self._whole.pop()
        while self._whole:
            current = self._joined(self._whole.pop(), current)
        return current[0]

    def _joined(self, left: tuple[bytes, list[Name]], right: tuple[bytes, list[Name]]) -> tuple[bytes, list[Name]]:
        for name in left[1]:
            self.paths[name].append((False, right[0]))
        for name in right[1]:
            self.paths[name].append((True, left[0]))
        return node(left[0], right[0]), left[1] + right[1]


def path(leaves: Sequence[bytes], index: int) -> Path:
    """The proof of ``leaves[index]``. Raises IndexError when there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level, position, siblings = list(leaves), index, []
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            siblings.append((sibling < position, level[sibling]))
        level, position = _parents(level), position // 2
    return siblings


def climb(leaf_hash: bytes, siblings: Path) -> bytes:
    """The root that a leaf and its proof lead to."""
    current = leaf_hash
    for on_left, sibling in siblings:
        current = node(sibling, current) if on_left else node(current, sibling)
    return current


def rest(leaves: Sequence[bytes], count: int) -> list[bytes]:
    """What completes the first ``count`` leaves to the root over all: the subtrees to their right, from below upward.

    Whoever holds the whole subtrees of the first ``count`` (as ``RootStream`` does) climbs with these to the root, and
    so knows that they are its first leaves. Empty when there are no others.
    """
    assert 0 < count <= len(leaves), f"the first {count} of {len(leaves)} leaves"
    level, position, found = list(leaves), count - 1, []
    while len(level) > 1:
        if position % 2 == 0 and position + 1 < len(level):
            found.append(level[position + 1])
        level, position = _parents(level), position // 2
    return found
