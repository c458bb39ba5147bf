"""Whether keys of meters and terms of area meters were set by who may set them, and what they mean for a slot."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from matching.order import Level
from settlement.areas import AreaMeter, Areas, Place
from settlement.contradiction import Contradiction
from settlement.examine_orders import SignatureCheck
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay
from settlement.keys import KeyHistory
from settlement.published import PublishedArea, PublishedMeter, PublishedMeterKey
from settlement.reading_leaf import area_digest, meter_key_digest
from settlement.signatures import PublicKey, is_signed


class ReadingSigners:
    """Who may sign readings: ``members`` (meter operators) with their keys, and meters with keys of their own."""

    def __init__(self, members: frozenset[int], keys: KeyHistory, meter_keys: Iterable[PublishedMeterKey]) -> None:
        self.members, self.keys = members, keys
        self._of_meters: defaultdict[int, list[PublishedMeterKey]] = defaultdict(list)
        for each in meter_keys:
            self._of_meters[each.node].append(each)

    def of_meter(self, node: int, signature: int) -> PublicKey | None:
        """The key that a meter had when a signature over readings came in."""
        for each in self._of_meters[node]:
            if each.from_signature <= signature and (each.to_signature is None or signature < each.to_signature):
                return _point(each)
        return None


def meter_key_checks(
    meter_keys: Iterable[PublishedMeterKey], signers: ReadingSigners, names: Mapping[int, str], domain: Domain
) -> Iterator[SignatureCheck | Contradiction]:
    """Keys of meters, by meter and number: registered by who may, proven by the meter, one after the other."""
    before: PublishedMeterKey | None = None
    for each in meter_keys:
        row = f"{each.node}, {each.number}"
        is_first = before is None or before.node != each.node
        if each.number != (1 if is_first or before is None else before.number + 1):
            yield Contradiction("meter_keys", row, "number", "does not follow on the key before")
        if not is_first and before is not None and before.to_signature != each.from_signature:
            yield Contradiction("meter_keys", row, "from_signature", "is not where the key before ends")
        before = each
        digest = meter_key_digest(domain, names.get(each.node, ""), each.number, _point(each))
        yield by_member(("meter_keys", row), each.signer, digest, each.signature, signers)
        otherwise = Contradiction("meter_keys", row, "proof", "is not the meter's own signature")
        yield SignatureCheck(_point(each), digest, each.proof, otherwise)


def area_checks(
    areas: Iterable[PublishedArea], keys: KeyHistory, grid_company: int, domain: Domain
) -> Iterator[SignatureCheck | Contradiction]:
    """The terms of area meters, by node and number: signed by the grid company, one after the other."""
    signers = ReadingSigners(frozenset({grid_company}), keys, ())
    before: tuple[int, int] = (-1, 0)
    for each in areas:
        row = f"{each.node}, {each.number}"
        if each.number != (before[1] + 1 if before[0] == each.node else 1):
            yield Contradiction("area_meters", row, "number", "does not follow on the one before")
        before = (each.node, each.number)
        digest = area_digest(domain, each.name, terms_of(each))
        yield by_member(("area_meters", row), each.signer, digest, each.signature, signers)


def by_member(
    place: tuple[str, str], member: int, digest: bytes, signature: bytes, signers: ReadingSigners
) -> SignatureCheck | Contradiction:
    """A signature that one of some members made, with any key it ever had; ``place`` is its table and row."""
    if member not in signers.members:
        return Contradiction(*place, "signer", "may not sign this")
    otherwise = Contradiction(*place, "signature", f"is not that of member {member}")
    known = signers.keys.all_of(member)
    if not known:
        return otherwise
    key = next((key for key in known if is_signed(key, digest, signature)), known[-1])
    return SignatureCheck(key, digest, signature, otherwise)


def _point(key: PublishedMeterKey) -> PublicKey:
    return PublicKey(int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"))


def terms_of(area: PublishedArea) -> AreaMeter:
    """The terms of a published area meter."""
    return AreaMeter(*(getattr(area, field) for field in AreaMeter._fields))


def areas_of(published: Iterable[PublishedArea], replay: JournalReplay) -> Areas:
    """The area meters over the grid as the journal connects it."""
    parents = {node: connect.parent if connect.parent >= 0 else None for node, connect in replay.nodes.items()}
    places = [
        Place(node, replay.connected_s[node], connect.export_lots or 0, connect.import_lots or 0)
        for node, connect in replay.nodes.items()
        if connect.level == Level.METER
    ]
    return Areas(parents, places, [terms_of(area) for area in published])


def measuring(meters: Mapping[int, PublishedMeter], areas: Iterable[PublishedArea]) -> Mapping[int, PublishedMeter]:
    """All that readings may be of: meters, and areas with the most that their meters could ever measure."""
    found = dict(meters)
    for area in areas:
        before = found.get(area.node, PublishedMeter(area.node, area.name, 0, 0, 0))
        most = max(before.export_lots, area.export_lots), max(before.import_lots, area.import_lots)
        found[area.node] = PublishedMeter(area.node, area.name, 0, *most)
    return found
