"""The price collar: how far from the last trades of its slot an order's price may be.

The reference of a slot is the quantity-weighted price of its last trades, each at the middle of what seller and buyer
got and paid; where it has none, that of the nearest slot with trades, the earlier of two; where there is none nearby,
the middle between feed-in and retail price. Whole ticks, rounded down.

It is asked before an order becomes a command, so the journal, which holds what was accepted, does not depend on it.
It is made of recorded trades alone: after a restart the journal's replay leads to the same references.
"""

from collections import deque
from typing import NamedTuple

LAST_TRADES = 20
"""Trades of a slot that its reference is made of."""

NEIGHBOURS = 4
"""Slots on either side that are asked where a slot has no trades."""


class Band(NamedTuple):
    """Prices from ``low_ticks`` to ``high_ticks``, both included."""

    reference_ticks: int
    low_ticks: int
    high_ticks: int


class Collar:
    """``width_ticks`` is how far above and below the reference a price may be; None: as far as floor and cap go."""

    def __init__(
        self,
        width_ticks: int | None = None,
        *,
        middle_ticks: int = 0,
        slot_s: int = 1,
        floor_ticks: int,
        cap_ticks: int,
    ) -> None:
        self._width_ticks, self._middle_ticks, self._slot_s = width_ticks, middle_ticks, slot_s
        self._floor_ticks, self._cap_ticks = floor_ticks, cap_ticks
        self._last: dict[int, deque[tuple[int, int]]] = {}
        self._bands: dict[int, Band] = {}

    @property
    def is_on(self) -> bool:
        return self._width_ticks is not None

    def traded(self, slot: int, quantity_lots: int, seller_price_ticks: int, buyer_price_ticks: int) -> None:
        """A trade moves the references of its slot and of its neighbours."""
        if self._width_ticks is None:
            return
        last = self._last.setdefault(slot, deque(maxlen=LAST_TRADES))
        last.append((quantity_lots, seller_price_ticks + buyer_price_ticks))
        self._bands.clear()

    def forget_before(self, slot: int) -> None:
        """Slots before this one take no more orders: what no open slot asks for any more can go."""
        oldest = slot - NEIGHBOURS * self._slot_s
        for past in [past for past in self._last if past < oldest]:
            del self._last[past]
        self._bands.clear()

    def outside(self, slot: int, price_ticks: int) -> Band | None:
        """The band of a slot, when a price is outside of it."""
        if self._width_ticks is None:
            return None
        band = self._bands.get(slot) or self.band(slot)
        return None if band.low_ticks <= price_ticks <= band.high_ticks else band

    def band(self, slot: int) -> Band:
        """What an order for this slot may be priced at now."""
        assert self._width_ticks is not None
        if slot not in self._bands:
            reference_ticks = self._reference_ticks_floor(slot)
            low_ticks = max(self._floor_ticks, reference_ticks - self._width_ticks)
            high_ticks = min(self._cap_ticks, reference_ticks + self._width_ticks)
            self._bands[slot] = Band(reference_ticks, low_ticks, high_ticks)
        return self._bands[slot]

    def _reference_ticks_floor(self, slot: int) -> int:
        for distance in range(NEIGHBOURS + 1):
            for near in (slot - distance * self._slot_s, slot + distance * self._slot_s):
                last = self._last.get(near)
                if last:
                    lots = sum(quantity_lots for quantity_lots, _ in last)
                    return sum(quantity_lots * both_ticks for quantity_lots, both_ticks in last) // (2 * lots)
        return self._middle_ticks
