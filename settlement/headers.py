"""Block headers as whoever keeps an eye on the chain needs them: number, time, and the hash that each names of the one
before, all out of the bytes whose keccak is the block's own hash.

Nothing that a node says of a block is believed here but these bytes. Source: ``blocks.Header`` for the embedded chain,
Ethereum Yellow Paper, 4.4 for a network's.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import rlp  # type: ignore[import-untyped] # it ships no types
from rlp.exceptions import RLPException  # type: ignore[import-untyped] # likewise

from settlement.keccak import keccak

_EMBEDDED_BYTES = (7 * 32, 8 * 32)
"""Without and with a state root; Ethereum's are longer."""


class HeaderError(ValueError):
    """Bytes that are no header, or headers that do not follow one another."""


class BlockHeader(NamedTuple):
    """``encoded`` is what ``hash`` is the keccak of; the other fields are read out of it."""

    number: int
    parent_hash: bytes
    timestamp_s: int
    hash: bytes
    encoded: bytes


def read_header(encoded: bytes) -> BlockHeader:
    """A header out of its bytes. Raises HeaderError."""
    if len(encoded) in _EMBEDDED_BYTES:
        number, parent_hash, timestamp_s = encoded[:32], encoded[32:64], encoded[64:96]
    else:
        number, parent_hash, timestamp_s = _of_network(encoded)
    return BlockHeader(
        int.from_bytes(number, "big"), parent_hash, int.from_bytes(timestamp_s, "big"), keccak(encoded), encoded
    )


def _of_network(encoded: bytes) -> tuple[bytes, bytes, bytes]:
    try:
        fields: Any = rlp.decode(encoded)
        parent_hash, number, timestamp_s = fields[0], fields[8], fields[11]
    except (RLPException, LookupError, TypeError) as error:
        raise HeaderError("these bytes are no block's header") from error
    if not all(isinstance(each, bytes) for each in (parent_hash, number, timestamp_s)):
        raise HeaderError("these bytes are no block's header")
    return number, parent_hash, timestamp_s


def check_linked(headers: Iterable[BlockHeader]) -> None:
    """Whether each names the hash of the one before it. Raises HeaderError."""
    before: BlockHeader | None = None
    for header in headers:
        if before is not None and (header.number, header.parent_hash) != (before.number + 1, before.hash):
            raise HeaderError(
                f"block {header.number} does not follow block {before.number} with hash {before.hash.hex()}"
            )
        before = header
