"""A book kept at home: the snapshot of a stream and its increments, put together again.

It is always whole. An increment that does not follow on the one before is not taken: the book stays as it was, says
that it is not ``is_current``, and waits for a snapshot.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from data.units import format_instant, parse_energy_lots, parse_price_ticks

Place = tuple[str, str]
"""Price and distance."""

_DISTANCES = {"transformer": 1, "feeder": 2, "substation": 3}


class Quote(msgspec.Struct, frozen=True):
    """So much to be had at one price, fees inside, from one distance; decimal texts."""

    price: str
    quantity: str
    level: str


class BookMessage(msgspec.Struct, frozen=True):
    """A snapshot or an increment, as the stream sends it; in an increment quantity 0.00 means gone."""

    slot: str
    meter: str
    number: int
    sequence: int
    snapshot: bool
    asks: list[Quote]
    bids: list[Quote]


class _State(NamedTuple):
    """Replaced as a whole, so that another thread never sees half a change."""

    number: int
    sequence: int
    asks: Mapping[Place, Quote]
    bids: Mapping[Place, Quote]


class LocalBook:
    """What one meter would pay (asks) or get (bids) in one slot, best first. Any thread may read it."""

    def __init__(self, slot_s: int, meter: str) -> None:
        self.slot_s, self.meter = slot_s, meter
        self.is_current = False
        self._state = _State(0, 0, {}, {})

    @property
    def number(self) -> int:
        """Of the latest message taken."""
        return self._state.number

    @property
    def sequence(self) -> int:
        """The market's, as of which the book is."""
        return self._state.sequence

    @property
    def asks(self) -> Sequence[Quote]:
        """The cheapest first, and of equal ones the nearest."""
        quotes = self._state.asks.values()
        return sorted(quotes, key=lambda quote: (parse_price_ticks(quote.price), _DISTANCES[quote.level]))

    @property
    def bids(self) -> Sequence[Quote]:
        """The dearest first, and of equal ones the nearest."""
        quotes = self._state.bids.values()
        return sorted(quotes, key=lambda quote: (-parse_price_ticks(quote.price), _DISTANCES[quote.level]))

    def take(self, told: BookMessage) -> bool:
        """Whether the book is current with it. False: something is missing, and a snapshot has to be asked for."""
        before = self._state
        if told.snapshot:
            before = before._replace(asks={}, bids={})
        elif not self.is_current or told.number != before.number + 1:
            self.is_current = False
            return False
        asks, bids = _changed(before.asks, told.asks), _changed(before.bids, told.bids)
        self._state = _State(told.number, told.sequence, asks, bids)
        self.is_current = True
        return True

    def lose(self) -> None:
        """The connection is gone: only a snapshot can go on from here."""
        self.is_current = False

    def __repr__(self) -> str:
        return f"LocalBook({format_instant(self.slot_s)}, {self.meter}, number {self.number})"


def _changed(side: Mapping[Place, Quote], quotes: Iterable[Quote]) -> Mapping[Place, Quote]:
    changed = dict(side)
    for quote in quotes:
        if parse_energy_lots(quote.quantity):
            changed[quote.price, quote.level] = quote
        else:
            changed.pop((quote.price, quote.level), None)
    return changed
