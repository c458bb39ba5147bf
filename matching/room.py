"""Room: what the links of the grid still let through in one slot.

Source: docs/market_rules.md, "Room". A trade from seller to buyer adds its quantity upward on the links of the path's
climb and downward on those of its descent; opposite flows net. The net upward flow on a link must stay within
``[-import limit, +export limit]``.

A slot also remembers in which directions a trade found no room at all. Only where one of those gets room again can an
order that was passed over trade after all; everywhere else a pass over the held orders would be idle.
"""

from collections.abc import Iterator
from typing import NamedTuple

from matching.grid import Path

UP, DOWN = 1, -1


class Limits(NamedTuple):
    """What a link lets through in one slot, out of its node (export) and into it (import); None is no limit."""

    export_lots: int | None
    import_lots: int | None


class LinkLimits:
    """The limits of every link: one pair for all slots, and others for single slots. The latest command wins."""

    def __init__(self) -> None:
        self._all_slots: dict[int, Limits] = {}
        self._one_slot: dict[int, dict[int, Limits]] = {}

    def set(self, node: int, slot: int | None, limits: Limits) -> None:
        """For one slot; or (None) for all, later ones too, replacing what was set for single slots before."""
        if slot is None:
            self._all_slots[node] = limits
            self._one_slot.pop(node, None)
        else:
            self._one_slot.setdefault(node, {})[slot] = limits

    def of(self, node: int, slot: int) -> Limits:
        single = self._one_slot.get(node)
        return self._all_slots[node] if single is None else single.get(slot, self._all_slots[node])

    def rows(self) -> Iterator[tuple[int, int | None, Limits]]:
        """(node, slot or None for all, limits), by node, the single slots after the others."""
        for node in sorted(self._all_slots):
            yield node, None, self._all_slots[node]
            for slot, limits in sorted(self._one_slot.get(node, {}).items()):
                yield node, slot, limits


class SlotRoom:
    """The net upward flow on every link in one slot, in lots, against the limits."""

    def __init__(self, slot: int, limits: LinkLimits) -> None:
        self._slot = slot
        self._limits = limits
        self._flow_lots: dict[int, int] = {}
        self._refused: set[tuple[int, int]] = set()  # (node, UP or DOWN) in which a pair found no room
        self._grown = False

    def part_that_fits(self, path: Path, wanted_lots: int) -> int:
        """The least of ``wanted_lots`` and the room on every link of the path; 0 where there is none.

        A limit set below the flow already traded leaves no room in that direction.
        """
        for node in path.up:
            limit_lots = self._limits.of(node, self._slot).export_lots
            if limit_lots is not None:
                room_lots = limit_lots - self._flow_lots.get(node, 0)
                if room_lots <= 0:
                    self._refused.add((node, UP))
                    return 0
                wanted_lots = min(wanted_lots, room_lots)
        for node in path.down:
            limit_lots = self._limits.of(node, self._slot).import_lots
            if limit_lots is not None:
                room_lots = limit_lots + self._flow_lots.get(node, 0)
                if room_lots <= 0:
                    self._refused.add((node, DOWN))
                    return 0
                wanted_lots = min(wanted_lots, room_lots)
        return wanted_lots

    def put(self, path: Path, quantity_lots: int) -> None:
        """Let a trade flow along the path. A negative quantity takes one back."""
        for node in path.up:
            self._flow_lots[node] = self._flow_lots.get(node, 0) + quantity_lots
            self._grown = self._grown or (node, DOWN) in self._refused
        for node in path.down:
            self._flow_lots[node] = self._flow_lots.get(node, 0) - quantity_lots
            self._grown = self._grown or (node, UP) in self._refused

    def limits_changed(self, node: int) -> None:
        self._grown = self._grown or not self._refused.isdisjoint(((node, UP), (node, DOWN)))

    def take_grown(self) -> bool:
        """Whether room may have grown, since this was last asked, where a pair that fits had found none."""
        grown, self._grown = self._grown, False
        if grown:
            self._refused.clear()  # the pass that follows tries every such pair again and notes what it finds
        return grown

    def copy(self) -> "SlotRoom":
        """The same limits and flows, for trying what nobody has ordered yet."""
        twin = SlotRoom(self._slot, self._limits)
        twin._flow_lots = dict(self._flow_lots)
        return twin

    def flows(self) -> list[tuple[int, int]]:
        """(node, net upward lots) of every link that carries any, by node."""
        return sorted((node, lots) for node, lots in self._flow_lots.items() if lots)
