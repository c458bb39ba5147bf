"""The leaf of one meter reading, as the meter or the meter operator signs it.

A reading's content is the JSON array ``[meter name, slot_s, export_lots, import_lots]`` without spaces; many are
signed at once as ``intents.READINGS(signer, root, count)`` over the Merkle root of their leaves, in the order sent,
in the domain of ``Clearing``.
"""

import msgspec

from settlement import merkle
from settlement.intents import READINGS, Domain


def content(meter: str, slot_s: int, export_lots: int, import_lots: int) -> bytes:
    """The canonical bytes of a reading."""
    return msgspec.json.encode([meter, slot_s, export_lots, import_lots])


def reading_leaf(meter: str, slot_s: int, export_lots: int, import_lots: int) -> bytes:
    """The 32-byte leaf of a reading under the root that its signer signs."""
    return merkle.leaf(content(meter, slot_s, export_lots, import_lots))


def signing_digest(domain: Domain, signer: int, leaves: list[bytes]) -> bytes:
    """The 32 bytes that the signer of these readings signs."""
    return READINGS.digest(domain, {"signer": signer, "root": merkle.root(leaves), "count": len(leaves)})
