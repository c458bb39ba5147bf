"""RLP and the Merkle-Patricia trie, as far as a proof needs them: read a value, walk from a root to a key.

Source: Ethereum Yellow Paper, appendices B (RLP) and D (Modified Merkle Patricia Tree). What is not written in the one
way that is allowed is refused.
"""

from collections.abc import Sequence
from typing import Any

from verifier.hashes import keccak


class RlpError(ValueError):
    """Bytes that are no RLP, or a proof that leads nowhere."""


def decode(data: bytes) -> Any:
    """Bytes, or a list of values; all of ``data``."""
    value, rest = _decode(data, 0)
    if rest:
        raise RlpError("there are bytes behind the end")
    return value


def _decode(data: bytes, depth: int) -> tuple[Any, bytes]:
    if not data or depth > 16:
        raise RlpError("the bytes end too early")
    first = data[0]
    if first < 0x80:
        return data[:1], data[1:]
    body, rest = _body(data, first, 0x80 if first < 0xC0 else 0xC0)
    if first < 0xC0:
        if len(body) == 1 and body[0] < 0x80:
            raise RlpError("a small byte is written as itself")
        return body, rest
    values = []
    while body:
        value, body = _decode(body, depth + 1)
        values.append(value)
    return values, rest


def _body(data: bytes, first: int, base: int) -> tuple[bytes, bytes]:
    length, start = first - base, 1
    if length > 55:
        start = 1 + length - 55
        digits = data[1:start]
        length = int.from_bytes(digits, "big")
        if length <= 55 or not digits or digits[0] == 0:
            raise RlpError("a length is not written in the shortest way")
    if start + length > len(data):
        raise RlpError("the bytes end too early")
    return data[start : start + length], data[start + length :]


def encode_number(number: int) -> bytes:
    """RLP of a number from 0 on, which is how the trie of receipts names them."""
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(digits) == 1 and digits[0] < 0x80:
        return digits
    return bytes([0x80 + len(digits)]) + digits


def value_under(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """The value at a key of the trie with this root; ``nodes`` are those on the way, all of them and no other.

    Raises RlpError when they do not lead there.
    """
    nibbles = [nibble for byte in key for nibble in (byte >> 4, byte & 15)]
    left = list(nodes)
    node: Any = _node_named(root, left)
    while True:
        if not isinstance(node, list) or len(node) not in (2, 17):
            raise RlpError("a node of the trie is none")
        if len(node) == 17:
            if not nibbles:
                return _end(node[16], left)
            child = node[nibbles.pop(0)]
        else:
            segment, is_leaf = _segment(node[0])
            if nibbles[: len(segment)] != segment:
                raise RlpError("the trie has another key there")
            nibbles = nibbles[len(segment) :]
            child = node[1]
            if is_leaf:
                if nibbles:
                    raise RlpError("the trie has another key there")
                return _end(child, left)
        node = child if isinstance(child, list) else _node_named(child, left)


def _node_named(name: Any, nodes: list[bytes]) -> Any:
    """The next node, when its hash is this."""
    if not nodes or keccak(nodes[0]) != name:
        raise RlpError("a node of the trie is not the one that its parent names")
    return decode(nodes.pop(0))


def _segment(packed: Any) -> tuple[list[int], bool]:
    if not isinstance(packed, bytes) or not packed:
        raise RlpError("a node of the trie is none")
    nibbles = [nibble for byte in packed for nibble in (byte >> 4, byte & 15)]
    kind = nibbles[0]
    if kind > 3 or (kind % 2 == 0 and nibbles[1] != 0):
        raise RlpError("a node of the trie is none")
    return nibbles[1 if kind % 2 else 2 :], kind >= 2


def _end(value: Any, left: list[bytes]) -> bytes:
    if left or not isinstance(value, bytes) or not value:
        raise RlpError("the trie has nothing there")
    return value
