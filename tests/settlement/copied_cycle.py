"""A published cycle with all its slots, lines and signatures as one document, which a test can change anywhere."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from settlement import hexjson, publish_cycle_store
from settlement.delivery import Line
from settlement.published import PublishedCycle, PublishedSlot, SignedReadings
from settlement.rules import SettlementRules


class CopiedCycle(msgspec.Struct, frozen=True):
    """``lines`` are all of the cycle's; ``signed`` the signatures over readings. Answers as ``CycleSource``."""

    cycle: PublishedCycle
    slots: tuple[PublishedSlot, ...]
    lines_: tuple[Line, ...] = msgspec.field(name="lines")
    signed: tuple[SignedReadings, ...] = ()

    def slot(self, slot_s: int) -> PublishedSlot:
        """A slot that is not there is an empty one, as the market says."""
        found = [slot for slot in self.slots if slot.slot_s == slot_s]
        return found[0] if found else PublishedSlot(slot_s, (), (), (), (), (), (), ())

    def lines(self, after: int) -> Sequence[Line]:
        return self.lines_[after : after + 7]

    def reading_signature(self, signature_id: int) -> SignedReadings | None:
        return next((each for each in self.signed if each.signature.signature_id == signature_id), None)

    def document(self) -> dict[str, Any]:
        """Itself as JSON's own types."""
        document: dict[str, Any] = json.loads(hexjson.dumps(self))
        return document


def copy_of(connection: Connection, number: int, rules: SettlementRules) -> CopiedCycle:
    """A drafted cycle as its checker would pull it."""
    cycle = publish_cycle_store.published_cycle(connection, number, rules)
    assert cycle is not None
    stored = publish_cycle_store.StoredCycle(connection, number)
    slots = tuple(stored.slot(slot_s) for slot_s in (*cycle.slots, *cycle.late_slots))
    lines: list[Line] = []
    while more := stored.lines(len(lines)):
        lines += more
    signature_ids = {reading.signature_id for slot in slots for reading in slot.readings}
    signed = [stored.reading_signature(signature_id) for signature_id in sorted(signature_ids)]
    return CopiedCycle(cycle, slots, tuple(lines), tuple(each for each in signed if each is not None))


def of_document(document: dict[str, Any]) -> CopiedCycle:
    """The inverse of ``CopiedCycle.document``. Raises msgspec.ValidationError."""
    return hexjson.convert(document, CopiedCycle)
