"""Whether readings are what their signer signed, within what the meter's connection carries, version after version."""

from collections.abc import Iterable, Iterator, Mapping

from settlement.contradiction import Contradiction
from settlement.delivery import Reading
from settlement.examine_meters import ReadingSigners, by_member
from settlement.examine_orders import SignatureCheck, examine_leaves, leaf_at
from settlement.intents import Domain
from settlement.meters import Kept
from settlement.published import PublishedMeter, PublishedReading, PublishedReadingSignature
from settlement.reading_leaf import meter_digest, reading_leaf, root_digest


def examine_readings(
    readings: Iterable[PublishedReading],
    signatures: Mapping[int, PublishedReadingSignature],
    meters: Mapping[int, PublishedMeter],
) -> Iterator[Contradiction]:
    """Each reading against its leaf under its signature, its meter's connection, and the version before it.

    ``readings`` come by slot, node and version.
    """
    before: tuple[int, int, int] | None = None
    for reading in readings:
        key = f"node {reading.node} slot {reading.slot_s} version {reading.version}"
        place = (reading.slot_s, reading.node)
        expected = before[2] + 1 if before is not None and before[:2] == place else 1
        before = (*place, reading.version)
        if reading.version != expected:
            yield Contradiction("readings", key, "version", f"version {expected} should stand here")
        meter, signature = meters.get(reading.node), signatures.get(reading.signature_id)
        if meter is None:
            yield Contradiction("readings", key, "node_id", "there is no such meter")
        elif meter.name != reading.meter:
            yield Contradiction("readings", key, "meter", f"is not the name of node {reading.node}")
        elif signature is None:
            yield Contradiction("readings", key, "signature_id", "there is no such signature")
        elif not (0 <= reading.export_lots <= meter.export_lots and 0 <= reading.import_lots <= meter.import_lots):
            yield Contradiction("readings", key, "export_lots", "is not between zero and the connection's capacity")
        elif signature.node not in (None, reading.node) or reading.by_meter != (signature.node is not None):
            yield Contradiction("readings", key, "signature_id", "is not that of this meter")
        elif leaf_at(signature.leaves, reading.leaf_index) != reading_leaf(
            meter.name, reading.slot_s, reading.export_lots, reading.import_lots
        ):
            yield Contradiction("readings", key, "export_lots, import_lots", "are not what was signed")


def examine_reading_signatures(signatures: Iterable[PublishedReadingSignature]) -> Iterator[Contradiction]:
    """Whether each signature's root is that of its leaves."""
    for signature in signatures:
        key = str(signature.signature_id)
        yield from examine_leaves("reading_signatures", key, signature.leaves, signature.count, signature.root)


def reading_signature_checks(
    signatures: Iterable[PublishedReadingSignature], signers: ReadingSigners, names: Mapping[int, str], domain: Domain
) -> Iterator[SignatureCheck | Contradiction]:
    """What remains to be verified of each signature; ``names`` are those of the meters that signed for themselves."""
    for signature in signatures:
        row = str(signature.signature_id)
        if (signature.signer is None) == (signature.node is None):
            yield Contradiction("reading_signatures", row, "signer", "is to be one: a member, or a meter")
        elif signature.node is not None:
            key = signers.of_meter(signature.node, signature.signature_id)
            name = names.get(signature.node, "")
            digest = meter_digest(domain, name, signature.root, signature.count)
            otherwise = Contradiction("reading_signatures", row, "signature", f"is not that of meter {name}")
            yield otherwise if key is None else SignatureCheck(key, digest, signature.signature, otherwise)
        else:
            digest = root_digest(domain, signature.signer or 0, signature.root, signature.count)
            yield by_member(("reading_signatures", row), signature.signer or 0, digest, signature.signature, signers)


def final_of(slot_s: int, readings: Iterable[PublishedReading], before_s: int) -> dict[int, Kept]:
    """The readings of a slot that count when all received before an instant do, by node.

    ``readings`` come by node and version; as ``reading_store.readings_at``.
    """
    return {
        each.node: Kept(Reading(each.export_lots, each.import_lots), each.by_meter)
        for each in readings
        if each.slot_s == slot_s and each.received_s < before_s
    }
