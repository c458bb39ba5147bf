"""One event of the chain, shown to whoever has the hash of its block: the header, and the way from it to the event.

The two sides of the chain have two ways. A block of the embedded chain has a Merkle root over its events
(``blocks.py``). On an EVM network the header names the root of the Merkle-Patricia trie of receipts, and an event
stands in a receipt (``receipts_trie.py``). In both, ``header`` is what the block's hash is the keccak of.
"""

import msgspec

from settlement.hexjson import Hex


class EventNotProvableError(Exception):
    """The chain does not hold together there: no such event, or a header that does not hash to its block's name."""


class EmbeddedEvent(msgspec.Struct, frozen=True, tag_field="chain", tag="embedded"):
    """An event of the embedded chain; ``path`` leads from its leaf to the ``events_root`` in the header."""

    block_hash: Hex
    header: Hex
    log_index: int
    transaction_hash: Hex
    address: Hex
    topics: tuple[Hex, ...]
    data: Hex
    path: tuple[tuple[bool, Hex], ...]


class NetworkEvent(msgspec.Struct, frozen=True, tag_field="chain", tag="network"):
    """An event of an EVM network; ``log_index`` counts within the receipt.

    ``nodes`` are the encoded nodes of the trie from the root in the header down to the receipt of the transaction.
    """

    block_hash: Hex
    header: Hex
    transaction_index: int
    log_index: int
    address: Hex
    topics: tuple[Hex, ...]
    data: Hex
    nodes: tuple[Hex, ...]


EventProof = EmbeddedEvent | NetworkEvent
