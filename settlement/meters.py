"""Whether a meter reading can be taken: the rules, without where readings are kept.

The same reading twice is fine; a different one is a correction, with history, until the window of its day closes. For
a while after that (90 days as a rule) it is late: it counts from the next cycle on, which pays the difference.
What a meter has signed itself, only that meter corrects. A batch that says two things of one slot contradicts itself:
the first stands. What fails is quarantined with a stable code and shown; it never counts.

Source: ``docs/settlement_and_chain.md``, "Delivery". Pure: no clock, no SQL.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from settlement.delivery import Reading

MOST_VERSIONS = 100
"""So many different readings of one meter and slot are kept; more is a meter out of order."""


class Status(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CORRECTED = "corrected"
    CONFIRMED = "confirmed"  # by the meter's own signature, where the meter operator's stood
    LATE = "late"
    QUARANTINED = "quarantined"


class Code(StrEnum):
    """Why a reading is quarantined."""

    UNKNOWN_METER = "unknown_meter"
    NOT_A_SLOT = "not_a_slot"
    SLOT_NOT_OVER = "slot_not_over"
    NEGATIVE = "negative"
    ABOVE_CAPACITY = "above_capacity"
    WINDOW_CLOSED = "window_closed"
    TOO_MANY_CORRECTIONS = "too_many_corrections"
    METER_SIGNED = "meter_signed"
    TWICE_IN_BATCH = "twice_in_batch"


OWN_CODES = (Code.UNKNOWN_METER, Code.NOT_A_SLOT, Code.SLOT_NOT_OVER, Code.NEGATIVE, Code.ABOVE_CAPACITY)
"""Those that follow from a reading, its meter and the time it came, whatever else was taken."""


class Submitted(NamedTuple):
    """A reading as it was sent: meter by name, slot by its start, energy in lots."""

    meter: str
    slot_s: int
    export_lots: int
    import_lots: int


class Connection(NamedTuple):
    """A meter's place: its node, and what its connection can carry in one slot, in lots."""

    node: int
    export_lots: int
    import_lots: int


class Kept(NamedTuple):
    """A reading that was taken, and whether the meter itself signed it."""

    reading: Reading
    by_meter: bool


class Verdict(NamedTuple):
    """What became of a reading; ``code`` says why when it is quarantined."""

    status: Status
    code: Code | None = None


ACCEPTED = Verdict(Status.ACCEPTED)
DUPLICATE = Verdict(Status.DUPLICATE)
LATE = Verdict(Status.LATE)


def judge(
    submitted: Submitted,
    meter: Connection | None,
    kept: Sequence[Kept],
    *,
    now_s: int,
    slot_s: int,
    closes_s: int,
    late_s: int = 0,
    by_meter: bool = False,
) -> Verdict:
    """The verdict on one reading, signed by the meter itself if ``by_meter``.

    ``kept`` are the versions already taken, oldest first; ``slot_s`` is the length of a slot; ``closes_s`` is when
    the window of the reading's day closes: from then on it is late, and ``late_s`` later only what is kept already may
    come again.
    """
    refusal = _refusal(submitted, meter, now_s, slot_s)
    if refusal is not None:
        return Verdict(Status.QUARANTINED, refusal)
    verdict = _beside(kept, (submitted.export_lots, submitted.import_lots), by_meter=by_meter)
    if verdict.status not in _CHANGING or now_s < closes_s:
        return verdict
    return LATE if now_s < closes_s + late_s else Verdict(Status.QUARANTINED, Code.WINDOW_CLOSED)


_CHANGING = (Status.ACCEPTED, Status.CORRECTED, Status.CONFIRMED)


def _beside(kept: Sequence[Kept], reading: tuple[int, int], *, by_meter: bool) -> Verdict:
    """The verdict on a reading in time, beside those that are kept."""
    if not kept:
        return ACCEPTED
    last = kept[-1]
    if last.reading == reading and (last.by_meter or not by_meter):
        return DUPLICATE
    if last.by_meter and not by_meter:
        return Verdict(Status.QUARANTINED, Code.METER_SIGNED)
    if len(kept) >= MOST_VERSIONS:
        return Verdict(Status.QUARANTINED, Code.TOO_MANY_CORRECTIONS)
    return Verdict(Status.CONFIRMED if last.reading == reading else Status.CORRECTED)


def _refusal(submitted: Submitted, meter: Connection | None, now_s: int, slot_s: int) -> Code | None:
    if meter is None:
        return Code.UNKNOWN_METER
    if submitted.slot_s % slot_s:
        return Code.NOT_A_SLOT
    if submitted.slot_s + slot_s > now_s:
        return Code.SLOT_NOT_OVER
    if submitted.export_lots < 0 or submitted.import_lots < 0:
        return Code.NEGATIVE
    if submitted.export_lots > meter.export_lots or submitted.import_lots > meter.import_lots:
        return Code.ABOVE_CAPACITY
    return None
