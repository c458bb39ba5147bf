"""Whether readings are what their signer signed, within what the meter's connection carries, version after version."""

from collections.abc import Iterable, Iterator, Mapping

from settlement.contradiction import Contradiction
from settlement.delivery import Reading
from settlement.examine_orders import SignatureCheck, examine_leaves, leaf_at
from settlement.intents import READINGS, Domain, Value
from settlement.keys import KeyHistory
from settlement.published import PublishedMeter, PublishedReading, PublishedReadingSignature
from settlement.reading_leaf import reading_leaf
from settlement.signatures import is_signed


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
    signatures: Iterable[PublishedReadingSignature], keys: KeyHistory, signers: frozenset[int], domain: Domain
) -> Iterator[SignatureCheck | Contradiction]:
    """What remains to be verified of each signature; ``signers`` are those who may sign readings."""
    for signature in signatures:
        row = str(signature.signature_id)
        if signature.signer not in signers:
            yield Contradiction("reading_signatures", row, "signer", "may sign no readings")
            continue
        values: dict[str, Value] = {
            "signer": signature.signer,
            "root": bytes(signature.root),
            "count": signature.count,
        }
        digest = READINGS.digest(domain, values)
        otherwise = Contradiction("reading_signatures", row, "signature", f"is not that of member {signature.signer}")
        known = keys.all_of(signature.signer)
        if not known:
            yield otherwise
            continue
        key = next((key for key in known if is_signed(key, digest, signature.signature)), known[-1])
        yield SignatureCheck(key, digest, signature.signature, otherwise)


def final_of(slot_s: int, readings: Iterable[PublishedReading], before_s: int) -> dict[int, Reading]:
    """The readings of a slot that count when all received before an instant do, by node.

    ``readings`` come by node and version; as ``store.readings_at``.
    """
    return {
        reading.node: Reading(reading.export_lots, reading.import_lots)
        for reading in readings
        if reading.slot_s == slot_s and reading.received_s < before_s
    }
