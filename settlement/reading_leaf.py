"""The leaf of one meter reading, as the meter or the meter operator signs it.

A reading's content is the JSON array ``[meter name, slot_s, export_lots, import_lots]`` without spaces; many are
signed at once as ``intents.READINGS(signer, root, count)`` over the Merkle root of their leaves, in the order sent,
in the domain of ``Clearing``.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from settlement import merkle
from settlement.areas import AreaMeter
from settlement.intents import AREA_METER, METER_KEY, METER_READINGS, READINGS, Domain
from settlement.keccak import keccak
from settlement.signatures import PublicKey

_PLACE_BYTES = 4
_STEP = _PLACE_BYTES + 32


def content(meter: str, slot_s: int, export_lots: int, import_lots: int) -> bytes:
    """The canonical bytes of a reading."""
    return msgspec.json.encode([meter, slot_s, export_lots, import_lots])


def reading_leaf(meter: str, slot_s: int, export_lots: int, import_lots: int) -> bytes:
    """The 32-byte leaf of a reading under the root that its signer signs."""
    return merkle.leaf(content(meter, slot_s, export_lots, import_lots))


def reading_leaves(readings: Iterable[tuple[str, int, int, int]]) -> list[bytes]:
    """``reading_leaf`` of each: a day of a large market is millions of them."""
    encode = _ENCODER.encode
    return [keccak(b"\x00" + encode(reading)) for reading in readings]


_ENCODER = msgspec.json.Encoder()


def joined_leaves(leaves: Mapping[int, bytes]) -> bytes:
    """Leaves with their places under a root, as they are kept: end to end, each after its place, big-endian."""
    return b"".join(place.to_bytes(_PLACE_BYTES, "big") + leaf for place, leaf in sorted(leaves.items()))


def placed_leaves(joined: bytes) -> dict[int, bytes]:
    """The inverse of ``joined_leaves``."""
    return {
        int.from_bytes(joined[at : at + _PLACE_BYTES], "big"): joined[at + _PLACE_BYTES : at + _STEP]
        for at in range(0, len(joined), _STEP)
    }


def signing_digest(domain: Domain, signer: int, leaves: Sequence[bytes]) -> bytes:
    """The 32 bytes that the signer of these readings signs."""
    return root_digest(domain, signer, merkle.root(leaves), len(leaves))


def meter_digest(domain: Domain, meter: str, root: bytes, count: int) -> bytes:
    """The 32 bytes that a meter with a key of its own signs of so many of its readings under a root."""
    return METER_READINGS.digest(domain, {"meter": meter, "root": root, "count": count})


def meter_key_digest(domain: Domain, meter: str, number: int, key: PublicKey) -> bytes:
    """The 32 bytes by which the meter operator registers a meter's key, which the meter signs too."""
    point = {"x": key.x.to_bytes(32, "big"), "y": key.y.to_bytes(32, "big")}
    return METER_KEY.digest(domain, {"meter": meter, "number": number, **point})


def area_digest(domain: Domain, area: str, terms: AreaMeter) -> bytes:
    """The 32 bytes by which the grid company sets the terms of an area meter; ``area`` is its node's name."""
    return AREA_METER.digest(
        domain,
        {
            "area": area,
            "number": terms.number,
            "from": terms.from_s,
            "exportLots": terms.export_lots,
            "importLots": terms.import_lots,
            "toleranceBp": terms.tolerance_bp,
            "toleranceLots": terms.tolerance_lots,
        },
    )


def root_digest(domain: Domain, signer: int, root: bytes, count: int) -> bytes:
    """The 32 bytes that the signer of so many readings under a root signs."""
    return READINGS.digest(domain, {"signer": signer, "root": root, "count": count})
