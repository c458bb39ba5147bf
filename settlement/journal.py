"""The hash chain of the journal: each batch of commands is one link, and the head names everything before it.

``head = keccak256(previous head || batch || first sequence || last sequence || recorded_s || keccak256(commands) ||
salt)``, the numbers as 32-byte big-endian integers; before the first batch the head is 32 zero bytes. The salt is 32
random bytes of the batch: heads are shown to strangers, on the chain and in receipts, and what stands between two of
them is often a single order, of which the market data show all but whose it is. Without a salt, trying every member and
meter would tell. Batches of before have none. The operator's receipt
(``intents.RECEIPT`` over last sequence and head, in the domain of ``Clearing``) therefore binds it to every command
so far, and to the moment at which it says it recorded them.
"""

from settlement.keccak import keccak

GENESIS_HEAD = bytes(32)
SALT_BYTES = 32


def next_head(
    previous_head: bytes,
    *,
    batch: int,
    first_sequence: int,
    last_sequence: int,
    recorded_s: int,
    commands: bytes,
    salt: bytes,
) -> bytes:
    """The 32-byte head after one more batch. ``commands`` are the bytes of ``matching.order.encode_commands``."""
    numbers = (batch, first_sequence, last_sequence, recorded_s)
    return keccak(previous_head + b"".join(n.to_bytes(32, "big") for n in numbers) + keccak(commands) + salt)
