"""Slots and their gates on the market clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Slots and gates, in seconds."""

    slot_s: int
    gate_s: int
    horizon_slots: int

    def gate_of(self, slot: int) -> int:
        """When the gate of a slot closes."""
        return slot - self.gate_s

    def refusal(self, slot: int, now_s: int) -> str | None:
        """Why no order for this slot is taken now: ``slot_closed``, ``slot_not_open``, or None when it is open."""
        if slot % self.slot_s:
            return "slot_not_open"
        if self.gate_of(slot) <= now_s:
            return "slot_closed"
        return "slot_not_open" if slot >= now_s + self.horizon_slots * self.slot_s else None

    def open_slots(self, now_s: int) -> range:
        """The slots that take orders now, ascending."""
        first = (now_s + self.gate_s) // self.slot_s * self.slot_s + self.slot_s
        return range(first, now_s + self.horizon_slots * self.slot_s, self.slot_s)
