"""Whether the meters of an area say what the area's own meter says, and what follows for each reading.

An area meter stands at a node of the grid and measures all that flows out of it and into it. In each slot the sum of
export minus import over the meters below must be what it measured, within a tolerance for the lines' losses. Of the
area meters above a meter, the nearest that was read decides over what the meter operator signed for it:

===============  =======================================================  ===================================
status           when                                                     readings signed by the operator
===============  =======================================================  ===================================
``reconciled``   every meter below was read, the sums agree               count, and are proven
``incomplete``   meters are missing, and could explain the difference     count, and prove nothing
``held``         the difference is more than tolerance and they explain   do not count until corrected
``unread``       the area meter has no reading                            the next area meter above decides
===============  =======================================================  ===================================

A missing meter explains no more than its connection carries. Where area meters are and none above a meter was read, its
reading counts and proves nothing: else leaving out the area meter's reading would help whoever invents energy, and
holding everyone's would reward the one who collects their shortfalls. What a meter signed itself always counts.

Source: ``docs/settlement_and_chain.md``, "Area meters". Pure: no clock, no SQL.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from settlement.delivery import PROVEN, Established, Reading
from settlement.meters import Kept

WHOLE_BP = 10_000


class AreaStatus(StrEnum):
    RECONCILED = "reconciled"
    INCOMPLETE = "incomplete"
    HELD = "held"
    UNREAD = "unread"


class AreaMeter(NamedTuple):
    """The terms of an area meter at ``node`` for slots from ``from_s`` on, until a higher ``number`` holds.

    Capacities are lots per slot; where both are zero there is no area meter any more. ``tolerance_bp`` is of what the
    meters below exported and imported together.
    """

    node: int
    number: int
    from_s: int
    export_lots: int
    import_lots: int
    tolerance_bp: int
    tolerance_lots: int


class Place(NamedTuple):
    """A meter in the grid: when it was connected, and what it can carry in one slot."""

    node: int
    connected_s: int
    export_lots: int
    import_lots: int


class Comparison(NamedTuple):
    """One area in one slot. ``exported_lots`` and ``imported_lots`` are summed over the meters below that were read.

    ``difference_lots`` is their export minus import less that of the area meter; ``missing`` counts meters.
    """

    slot_s: int
    node: int
    status: AreaStatus
    exported_lots: int
    imported_lots: int
    measured: Reading | None
    difference_lots: int
    tolerance_lots: int
    missing: int


class Counted(NamedTuple):
    """What counts of the readings of a slot, by node; how far each reading is proven, held ones too; every area."""

    readings: dict[int, Reading]
    established: dict[int, Established]
    comparisons: list[Comparison]

    @property
    def unproven(self) -> set[int]:
        """The nodes whose reading makes nothing financeable, or does not count because it is held."""
        return {node for node, each in self.established.items() if each not in PROVEN}


class Areas:
    """The grid's area meters with the meters below each; ``parents`` holds every node's parent, None at the root."""

    def __init__(
        self, parents: Mapping[int, int | None], places: Iterable[Place], area_meters: Iterable[AreaMeter]
    ) -> None:
        self._terms: defaultdict[int, list[AreaMeter]] = defaultdict(list)
        for each in sorted(area_meters):
            self._terms[each.node].append(each)
        self._below: dict[int, list[Place]] = {node: [] for node in self._terms}
        self._above: dict[int, tuple[int, ...]] = {}
        for place in places:
            self._above[place.node] = tuple(node for node in _ancestors(place.node, parents) if node in self._terms)
            for node in self._above[place.node]:
                self._below[node].append(place)

    def holding(self, slot_s: int) -> list[AreaMeter]:
        """The area meters that there are in a slot, by node."""
        found = []
        for node in sorted(self._terms):
            last = max((each for each in self._terms[node] if each.from_s <= slot_s), default=None)
            if last is not None and (last.export_lots or last.import_lots):
                found.append(last)
        return found

    def count(self, slot_s: int, readings: Mapping[int, Kept]) -> Counted:
        """What counts of the final readings of a slot, of meters and area meters, by node."""
        comparisons = self.compare(slot_s, readings)
        established = self.established(readings, comparisons)
        counting = {node: readings[node].reading for node, each in established.items() if each != Established.HELD}
        return Counted(counting, established, comparisons)

    def compare(self, slot_s: int, readings: Mapping[int, Kept]) -> list[Comparison]:
        """Every area of a slot, by node; ``readings`` are the slot's final ones, of meters and area meters."""
        return [self._compare(slot_s, area, readings) for area in self.holding(slot_s)]

    def _compare(self, slot_s: int, area: AreaMeter, readings: Mapping[int, Kept]) -> Comparison:
        exported_lots = imported_lots = missing = more_lots = less_lots = 0
        for place in self._below[area.node]:
            kept = readings.get(place.node)
            if kept is not None:
                exported_lots += kept.reading.export_lots
                imported_lots += kept.reading.import_lots
            elif place.connected_s <= slot_s:
                missing += 1
                more_lots += place.export_lots
                less_lots += place.import_lots
        tolerance_lots = area.tolerance_lots + area.tolerance_bp * (exported_lots + imported_lots) // WHOLE_BP
        summed, own = (exported_lots, imported_lots), readings.get(area.node)
        if own is None:
            return Comparison(slot_s, area.node, AreaStatus.UNREAD, *summed, None, 0, tolerance_lots, missing)
        difference_lots = exported_lots - imported_lots - (own.reading.export_lots - own.reading.import_lots)
        if not -tolerance_lots - more_lots <= difference_lots <= tolerance_lots + less_lots:
            status = AreaStatus.HELD
        else:
            status = AreaStatus.INCOMPLETE if missing else AreaStatus.RECONCILED
        return Comparison(slot_s, area.node, status, *summed, own.reading, difference_lots, tolerance_lots, missing)

    def established(self, readings: Mapping[int, Kept], comparisons: Sequence[Comparison]) -> dict[int, Established]:
        """How far each meter's reading of a slot is proven, given the slot's comparisons. Area meters are not in it."""
        statuses = {each.node: each.status for each in comparisons}
        return {
            node: Established.METER if kept.by_meter else self._by_operator(node, statuses)
            for node, kept in readings.items()
            if node in self._above
        }

    def nearest(self, meters: Iterable[int], comparisons: Sequence[Comparison], area: int) -> list[int]:
        """Those of some meters over which this area decides, given the slot's comparisons."""
        read = {each.node for each in comparisons if each.status != AreaStatus.UNREAD}
        return [node for node in meters if next((above for above in self._above[node] if above in read), None) == area]

    def _by_operator(self, node: int, statuses: Mapping[int, AreaStatus]) -> Established:
        found = Established.OPERATOR
        for area in self._above[node]:
            status = statuses.get(area)
            if status is not None:
                found = _MEANING[status]
                if status != AreaStatus.UNREAD:
                    break
        return found


_MEANING = {
    AreaStatus.RECONCILED: Established.RECONCILED,
    AreaStatus.INCOMPLETE: Established.UNCONFIRMED,
    AreaStatus.HELD: Established.HELD,
    AreaStatus.UNREAD: Established.UNCONFIRMED,
}


def _ancestors(node: int, parents: Mapping[int, int | None]) -> Iterable[int]:
    """The nodes above one, the nearest first."""
    above = parents.get(node)
    while above is not None:
        yield above
        above = parents.get(above)
