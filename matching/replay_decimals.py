"""Decimals in columns of text, as ``data.units`` reads and writes them one by one."""

import numpy as np
from numpy.typing import NDArray

from data.units import ENERGY_DECIMALS, LOTS_PER_KWH, PRICE_DECIMALS
from matching.replay_texts import Bytes, Cells, Numbers, Places, Texts, compiled, part

_MINUS, _POINT, _ZERO, _NINE = 45, 46, 48, 57
_PICO = 10**12
_EMPTY, _BAD, _POSITIVE, _NEGATIVE = 0, 1, 2, 3
_LONGEST = 22  # bytes of a number of 64 bits, its sign and a point


def read_energy_lots(texts: Texts, *, bad: int, empty: int) -> Numbers:
    """kWh to lots; ``bad`` for what is no decimal or off the lot, ``empty`` for the empty text."""
    return _steps(texts, ENERGY_DECIMALS, bad, empty)


def read_price_ticks(texts: Texts, *, bad: int, empty: int) -> Numbers:
    """CNY/kWh to ticks; ``bad`` for what is no decimal or off the tick, ``empty`` for the empty text."""
    return _steps(texts, PRICE_DECIMALS, bad, empty)


def read_days(texts: Texts, *, bad: int, empty: int) -> Numbers:
    """Whole days."""
    return _steps(texts, 0, bad, empty)


def _steps(texts: Texts, decimals: int, bad: int, empty: int) -> Numbers:
    """Whole numbers of steps of ``10**-decimals``."""
    kinds, wholes, picos = _read_decimals(texts.cells)
    unit = _PICO // 10**decimals
    steps = wholes * 10**decimals + picos // unit
    steps[kinds == _NEGATIVE] *= -1
    steps[(kinds == _BAD) | (picos % unit != 0)] = bad
    steps[kinds == _EMPTY] = empty
    return texts.per_row(steps)


def read_limit_lots_floor(texts: Texts, slot_minutes: int, *, bad: int, empty: int) -> Numbers:
    """Limits in kW to lots per slot, rounded down as ``data.units.limit_lots_floor`` does; ``bad`` for what is none.

    In parts, so that 24 digits fit into 64 bits: the lots of whole kW, and what is left of them with the fraction.
    """
    kinds, wholes, picos = _read_decimals(texts.cells)
    sixtieths, rests = np.divmod(wholes * (slot_minutes * LOTS_PER_KWH), 60)
    lots = sixtieths + (rests * _PICO + picos * (slot_minutes * LOTS_PER_KWH)) // (60 * _PICO)
    lots[(kinds == _BAD) | ((kinds == _NEGATIVE) & (wholes + picos > 0))] = bad
    lots[kinds == _EMPTY] = empty
    return texts.per_row(lots)


def write_energy(energy_lots: Numbers) -> Texts:
    return _written(energy_lots, ENERGY_DECIMALS)


def write_price(price_ticks: Numbers) -> Texts:
    return _written(price_ticks, PRICE_DECIMALS)


def _written(steps: Numbers, decimals: int) -> Texts:
    data, places = np.empty(_LONGEST * len(steps), np.uint8), np.zeros(len(steps) + 1, np.int64)
    _write_steps(np.ascontiguousarray(steps), decimals, data, places[1:])
    return Texts(data, places[:-1], places[1:])


@part
def _decimal(data: Bytes, start: int, end: int) -> tuple[int, int, int]:
    kind = _NEGATIVE if data[start] == _MINUS else _POSITIVE
    at = start + 1 if kind == _NEGATIVE else start
    whole = 0
    first = at
    while at < end and _ZERO <= data[at] <= _NINE:
        if at - first == 12:
            return _BAD, 0, 0
        whole = whole * 10 + (data[at] - _ZERO)
        at += 1
    if at == first:
        return _BAD, 0, 0
    pico, unit = 0, _PICO
    if at < end:
        if data[at] != _POINT or not 1 <= end - at - 1 <= 12:
            return _BAD, 0, 0
        for place in range(at + 1, end):
            if not _ZERO <= data[place] <= _NINE:
                return _BAD, 0, 0
            unit //= 10
            pico += (data[place] - _ZERO) * unit
    return kind, whole, pico


@compiled
def _read_decimals(cells: Cells) -> tuple[NDArray[np.int8], Numbers, Numbers]:
    """(what they are, whole parts, fractions in units of 10**-12) of decimals as ``data.units`` has them."""
    data, starts, ends = cells
    kinds = np.empty(len(starts), np.int8)
    wholes, picos = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    for row in range(len(starts)):
        if starts[row] == ends[row]:
            kinds[row] = _EMPTY
        else:
            kinds[row], wholes[row], picos[row] = _decimal(data, starts[row], ends[row])
    return kinds, wholes, picos


@compiled
def _write_steps(steps: Numbers, decimals: int, out: Bytes, ends: Places) -> None:
    """Whole numbers of steps as decimals with that many places, one behind the other, each at most 22 bytes."""
    to = 0
    for row in range(len(steps)):
        left = steps[row]
        if left < 0:
            left = -left
            out[to] = _MINUS
            to += 1
        digits = max(_digits(left), decimals + 1)
        at = to = to + digits + 1
        for place in range(digits):
            if place == decimals:
                at -= 1
                out[at] = _POINT
            at -= 1
            out[at] = _ZERO + left % 10
            left //= 10
        ends[row] = to


@part
def _digits(number: int) -> int:
    digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits
