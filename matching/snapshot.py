"""The whole state of an engine in one value, and that value as bytes.

It says what is true of the market, not where the kernel keeps it: a snapshot may be restored by an engine whose memory
is laid out otherwise. The order of a queue needs no words: it is that of the sequence numbers.
"""

from hashlib import sha256

import msgspec
import numpy as np
from numpy.typing import NDArray

from matching.order import Rules

VERSION = 1
_DIGEST_BYTES = 32

ORDER: np.dtype[np.void] = np.dtype(
    [
        ("order_id", "<i8"),
        ("sequence", "<i8"),
        ("member", "<i8"),
        ("meter", "<i8"),
        ("slot", "<i8"),
        ("remaining_lots", "<i8"),
        ("price_ticks", "<i8"),
        ("terms_days", "<i8"),
        ("side", "<i1"),
        ("reach", "<i1"),
    ]
)


class SnapshotError(ValueError):
    """These bytes are no whole snapshot of this version."""


class State(msgspec.Struct, frozen=True):
    """``sequence`` is the last one given; the orders are in order of time, in rows of ``ORDER``.

    ``nodes`` are (node, parent, level) in order of connection; ``limits`` (node, slot or None, export, import) where
    2**62 is no limit; ``books`` the slots that have had orders and are not closed; ``flows`` (slot, node, net upward
    lots) of every link that carries any; ``used_ids`` eight bytes each, ascending.
    """

    version: int
    rules: Rules
    sequence: int
    nodes: list[tuple[int, int, int]]
    limits: list[tuple[int, int | None, int, int]]
    closed: list[int]
    books: list[int]
    flows: list[tuple[int, int, int]]
    orders: bytes
    used_ids: bytes


def orders_of(state: State) -> NDArray[np.void]:
    return np.frombuffer(state.orders, ORDER)


def used_ids_of(state: State) -> NDArray[np.int64]:
    return np.frombuffer(state.used_ids, "<i8").astype(np.int64)


def encode(state: State) -> bytes:
    """SHA-256 of what follows, then the state as MessagePack."""
    body = msgspec.msgpack.encode(state)
    return sha256(body).digest() + body


def decode(snapshot: bytes) -> State:
    """The inverse of ``encode``. Raises SnapshotError."""
    digest, body = snapshot[:_DIGEST_BYTES], snapshot[_DIGEST_BYTES:]
    if sha256(body).digest() != digest:
        raise SnapshotError("the snapshot is cut short or damaged")
    try:
        state = msgspec.msgpack.decode(body, type=State)
    except msgspec.ValidationError as error:
        raise SnapshotError(f"this is no snapshot of an engine: {error}") from error
    if state.version != VERSION:
        raise SnapshotError(f"the snapshot is of version {state.version}, this engine reads {VERSION}")
    return state
