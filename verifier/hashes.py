"""Hashes, trees and words: what the market's leaves and the chain's events are made of.

A leaf is ``keccak256(0x00 || content)``, a node ``keccak256(0x01 || left || right)``, an odd node is carried up.
"""

import json
from collections.abc import Sequence

from settlement.keccak import keccak

Path = Sequence[tuple[bool, bytes]]

__all__ = ["Path", "climb", "json_bytes", "keccak", "leaf", "root", "signed_word", "word", "words"]


def leaf(content: bytes) -> bytes:
    """The 32 bytes of a leaf."""
    return keccak(b"\x00" + content)


def _node(left: bytes, right: bytes) -> bytes:
    return keccak(b"\x01" + left + right)


def climb(start: bytes, path: Path) -> bytes:
    """The root to which a path leads from a leaf."""
    for is_left, sibling in path:
        start = _node(sibling, start) if is_left else _node(start, sibling)
    return start


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves in their order; 32 zero bytes over none."""
    if not leaves:
        return bytes(32)
    level = list(leaves)
    while len(level) > 1:
        above = [_node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = above + level[len(above) * 2 :]
    return level[0]


def word(number: int) -> bytes:
    """A number from 0 on as 32 bytes, big-endian."""
    return number.to_bytes(32, "big")


def signed_word(number: int) -> bytes:
    """A number as 32 bytes, two's complement."""
    return number.to_bytes(32, "big", signed=True)


def json_bytes(value: object) -> bytes:
    """JSON without spaces, which is how readings and lines are written under their leaves."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def words(data: bytes) -> list[int]:
    """Data of 32-byte words as numbers from 0 on; empty when it is no whole number of words."""
    if len(data) % 32:
        return []
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
