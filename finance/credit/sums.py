"""Sums by member over rows of whole numbers, in numpy: a million trades in about a second. Pure.

Members ascend; what is said of others is dropped.
"""

import numpy as np

from data.units import MICRO_PER_FEN
from finance.credit.feature_names import UNKNOWN
from finance.credit.features import MONTH_S, MONTHS, Whole

_LATEST = np.iinfo(np.int64).max
_IDS = 2**40
"""More members than will ever be: a pair of them is one number."""


class Rows:
    """Places of members."""

    def __init__(self, ids: Whole) -> None:
        self._ids = ids

    def places(self, found: Whole) -> tuple[Whole, Whole]:
        """Of members: the places of those that are known, and which of ``found`` they are."""
        places = np.searchsorted(self._ids, found)
        known = np.flatnonzero(np.append(self._ids, UNKNOWN)[places] == found)
        return places[known], known

    def sums(self, found: Whole) -> Whole:
        """Of (member, amount)."""
        places, known = self.places(found[:, 0])
        totals = np.zeros(len(self._ids), dtype=np.int64)
        np.add.at(totals, places, found[known, 1])
        return totals

    def most(self, found: Whole) -> Whole:
        """The largest of (member, number), 0 where there is none."""
        places, known = self.places(found[:, 0])
        largest = np.zeros(len(self._ids), dtype=np.int64)
        np.maximum.at(largest, places, found[known, 1])
        return largest


class Trading:
    """What members traded until ``until_s``: values by month, the latest first; lots and counterparties of a year."""

    def __init__(self, ids: Whole, until_s: int) -> None:
        self._rows, self._until_s, count = Rows(ids), until_s, len(ids)
        self.bought_micro = np.zeros((count, MONTHS), dtype=np.int64)
        self.sold_micro = np.zeros((count, MONTHS), dtype=np.int64)
        self.traded_lots, self.sold_lots, self.delivered_lots = np.zeros((3, count), dtype=np.int64)
        self._first_slot_s = np.full(count, _LATEST, dtype=np.int64)
        self._pairs = np.zeros(0, dtype=np.int64)
        self._values_micro = np.zeros(0, dtype=np.int64)

    def add(self, some: Whole) -> None:
        """Rows of (buyer, seller, slot, lots, value in micro-yuan, delivered lots)."""
        buyers, sellers, slots_s, lots, values_micro, delivered = some.T
        months = (self._until_s - 1 - slots_s) // MONTH_S
        recent = months < MONTHS
        pairs, values = [self._pairs], [self._values_micro]
        for own, other, by_month in ((buyers, sellers, self.bought_micro), (sellers, buyers, self.sold_micro)):
            places, known = self._rows.places(own)
            np.minimum.at(self._first_slot_s, places, slots_s[known])
            places, known = places[recent[known]], known[recent[known]]
            np.add.at(by_month, (places, months[known]), values_micro[known])
            np.add.at(self.traded_lots, places, lots[known])
            pairs.append(places * _IDS + other[known])
            values.append(values_micro[known])
            if own is sellers:
                np.add.at(self.sold_lots, places, lots[known])
                np.add.at(self.delivered_lots, places, delivered[known])
        self._pairs, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
        self._values_micro = np.zeros(len(self._pairs), dtype=np.int64)
        np.add.at(self._values_micro, inverse, np.concatenate(values))

    @property
    def first_slot_s(self) -> Whole:
        """UNKNOWN of whoever has traded nothing."""
        return np.where(self._first_slot_s == _LATEST, UNKNOWN, self._first_slot_s)

    def largest_fen_floor(self) -> Whole:
        """What each traded in the last year with its largest counterparty."""
        largest = np.zeros(len(self._first_slot_s), dtype=np.int64)
        np.maximum.at(largest, self._pairs // _IDS, self._values_micro)
        return largest // MICRO_PER_FEN
