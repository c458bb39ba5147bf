"""Whether what is published of one slot is what the journal led to, and what owners and meters signed."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from settlement.contradiction import Contradiction
from settlement.examine_meters import ReadingSigners, measuring, meter_key_checks
from settlement.examine_orders import (
    SignatureCheck,
    examine_orders,
    examine_signatures,
    examine_trades,
    first_sequences,
    signature_checks,
)
from settlement.examine_readings import examine_reading_signatures, examine_readings, reading_signature_checks
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay
from settlement.keys import KeyHistory
from settlement.published import PublishedCycle, PublishedReadingSignature, PublishedSlot, SignedReadings
from settlement.signatures import is_signed

SIGNATURES_KEPT = 256
"""Signatures over readings whose leaves are kept for the slots to come: of 50,000 readings each, 400 MB."""


class TradesBySlot:
    """The numbers of the trades that a replay led to, by the slots they are of."""

    def __init__(self, replay: JournalReplay) -> None:
        self._replay = replay
        self._known = 0
        self._of: defaultdict[int, list[int]] = defaultdict(list)
        self._slots: list[int] = []

    def at(self, slot_s: int) -> list[int]:
        """Those of one slot, ascending."""
        self._follow()
        return self._of.get(slot_s, [])

    def within(self, start_s: int, end_s: int) -> list[int]:
        """The slots in ``[start_s, end_s)`` with trades, ascending."""
        self._follow()
        return self._slots[bisect_left(self._slots, start_s) : bisect_left(self._slots, end_s)]

    def _follow(self) -> None:
        while self._known < len(self._replay.trades):
            slot_s = self._replay.trades[self._known].traded.slot
            self._known += 1
            if slot_s not in self._of:
                insort(self._slots, slot_s)
            self._of[slot_s].append(self._known)


class _Source(Protocol):
    def reading_signature(self, signature_id: int) -> SignedReadings | None: ...


class SlotExaminer:
    """Examines the slots of one cycle. A signature over readings is verified when a reading under it first comes."""

    def __init__(
        self,
        published: PublishedCycle,
        source: _Source,
        replay: JournalReplay,
        domain: Domain,
        reading_signers: frozenset[int],
    ) -> None:
        self._meters = {meter.node: meter for meter in published.meters}
        self._measuring = measuring(self._meters, published.areas)
        self._names = {node: meter.name for node, meter in self._measuring.items()}
        self._source, self._replay, self._domain, self._signers = source, replay, domain, reading_signers
        self._signed: dict[int, PublishedReadingSignature] = {}

    def examine(self, slot: PublishedSlot) -> Iterator[Contradiction]:
        """Every contradiction in one slot, but for what is computed from it."""
        if any(reading.slot_s != slot.slot_s for reading in slot.readings):
            yield Contradiction("readings", f"slot {slot.slot_s}", "slot_s", "is another slot's")
        yield from examine_trades((*slot.trades, *slot.struck), self._replay)
        signatures = {signature.signature_id: signature for signature in slot.order_signatures}
        yield from examine_orders(slot.orders, signatures, self._meters, self._replay, self._domain)
        yield from examine_signatures(slot.order_signatures)
        yield from self._order_signatures(slot)
        yield from self._fetch({reading.signature_id for reading in slot.readings})
        yield from examine_readings(slot.readings, self._signed, self._measuring)

    def _order_signatures(self, slot: PublishedSlot) -> Iterator[Contradiction]:
        try:
            keys = KeyHistory(slot.keys)
        except ValueError as error:
            yield Contradiction("member_keys", f"of slot {slot.slot_s}", "x, y", str(error))
            return
        checks = signature_checks(slot.order_signatures, first_sequences(slot.orders), keys, self._domain)
        yield from verified(checks)

    def _fetch(self, signature_ids: set[int]) -> Iterator[Contradiction]:
        for signature_id in sorted(signature_ids - self._signed.keys()):
            found = self._source.reading_signature(signature_id)
            if found is None:
                continue
            try:
                keys = KeyHistory(found.keys)
            except ValueError as error:
                yield Contradiction("member_keys", f"of signature {signature_id}", "x, y", str(error))
                continue
            if found.signature.signature_id != signature_id:
                yield Contradiction("reading_signatures", str(signature_id), "signature_id", "is another one's")
            yield from examine_reading_signatures([found.signature])
            signers = ReadingSigners(self._signers, keys, found.meter_keys)
            yield from verified(meter_key_checks(found.meter_keys, signers, self._names, self._domain))
            yield from verified(reading_signature_checks([found.signature], signers, self._names, self._domain))
            self._signed[signature_id] = found.signature
        for signature_id in list(self._signed)[: -SIGNATURES_KEPT or None]:
            if signature_id not in signature_ids:
                del self._signed[signature_id]


def verified(checks: Iterator[SignatureCheck | Contradiction]) -> Iterator[Contradiction]:
    """What is wrong with some signatures once they are verified."""
    for check in checks:
        if isinstance(check, Contradiction):
            yield check
        elif not is_signed(check.key, check.digest, check.signature):
            yield check.otherwise
