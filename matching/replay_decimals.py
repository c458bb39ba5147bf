"""Decimals in columns of text, as ``data.units`` reads and writes them one by one."""

import numpy as np

from data.units import ENERGY_DECIMALS, PRICE_DECIMALS
from matching.replay_texts import Bytes, Cells, Numbers, Places, Texts, compiled, part

_MINUS, _POINT, _ZERO, _NINE = 45, 46, 48, 57
_PICO = 10**12
_LONGEST = 22  # bytes of a number of 64 bits, its sign and a point


def read_energy_lots(texts: Texts, *, bad: int, empty: int) -> Numbers:
    """kWh to lots; ``bad`` for what is no decimal or off the lot, ``empty`` for the empty text."""
    return texts.per_row(_read_steps(texts.cells, ENERGY_DECIMALS, bad, empty))


def read_price_ticks(texts: Texts, *, bad: int, empty: int) -> Numbers:
    """CNY/kWh to ticks; ``bad`` for what is no decimal or off the tick, ``empty`` for the empty text."""
    return texts.per_row(_read_steps(texts.cells, PRICE_DECIMALS, bad, empty))


def read_days(texts: Texts, *, bad: int, empty: int) -> Numbers:
    return texts.per_row(_read_steps(texts.cells, 0, bad, empty))


def read_limit_lots_floor(texts: Texts, slot_minutes: int, *, bad: int, empty: int) -> Numbers:
    """Limits in kW to lots per slot, rounded down as ``data.units.limit_lots_floor`` does; ``bad`` for what is none."""
    return texts.per_row(_read_limits_floor(texts.cells, slot_minutes, bad, empty))


def write_energy(energy_lots: Numbers) -> Texts:
    return _written(energy_lots, ENERGY_DECIMALS)


def write_price(price_ticks: Numbers) -> Texts:
    return _written(price_ticks, PRICE_DECIMALS)


def _written(steps: Numbers, decimals: int) -> Texts:
    data, places = np.empty(_LONGEST * len(steps), np.uint8), np.zeros(len(steps) + 1, np.int64)
    _write_steps(np.ascontiguousarray(steps), decimals, data, places[1:])
    return Texts(data, places[:-1], places[1:])


@part
def _decimal(data: Bytes, start: int, end: int) -> tuple[bool, bool, int, int]:
    """(is a decimal, is negative, whole part, fraction in units of 10**-12), as ``data.units`` has them."""
    at = start
    is_negative = at < end and data[at] == _MINUS
    if is_negative:
        at += 1
    whole = 0
    first = at
    while at < end and _ZERO <= data[at] <= _NINE:
        if at - first == 12:
            return False, False, 0, 0
        whole = whole * 10 + (data[at] - _ZERO)
        at += 1
    if at == first:
        return False, False, 0, 0
    pico, unit = 0, _PICO
    if at < end:
        if data[at] != _POINT or not 1 <= end - at - 1 <= 12:
            return False, False, 0, 0
        for place in range(at + 1, end):
            if not _ZERO <= data[place] <= _NINE:
                return False, False, 0, 0
            unit //= 10
            pico += (data[place] - _ZERO) * unit
    return True, is_negative, whole, pico


@compiled
def _read_steps(cells: Cells, decimals: int, bad: int, empty: int) -> Numbers:
    """Decimals as whole numbers of steps of ``10**-decimals``, ``bad`` for what is none or is off the step."""
    data, starts, ends = cells
    steps = np.empty(len(starts), np.int64)
    scale = 10**decimals
    unit = _PICO // scale
    for row in range(len(starts)):
        if starts[row] == ends[row]:
            steps[row] = empty
            continue
        is_decimal, is_negative, whole, pico = _decimal(data, starts[row], ends[row])
        above = pico // unit
        if not is_decimal or above * unit != pico:
            steps[row] = bad
        else:
            number = whole * scale + above
            steps[row] = -number if is_negative else number
    return steps


@compiled
def _read_limits_floor(cells: Cells, slot_minutes: int, bad: int, empty: int) -> Numbers:
    """Limits in kW as lots per slot, rounded down as ``data.units.limit_lots_floor`` does, ``bad`` for what is none.

    In parts, so that 24 digits fit: the lots of whole kW, and what is left of them together with the fraction.
    """
    data, starts, ends = cells
    lots = np.empty(len(starts), np.int64)
    lots_per_60_kw = slot_minutes * 100
    for row in range(len(starts)):
        if starts[row] == ends[row]:
            lots[row] = empty
            continue
        is_decimal, is_negative, whole, pico = _decimal(data, starts[row], ends[row])
        if not is_decimal or (is_negative and (whole or pico)):
            lots[row] = bad
        else:
            sixtieths = whole * lots_per_60_kw
            rest = sixtieths % 60
            lots[row] = sixtieths // 60 + (rest * _PICO + pico * lots_per_60_kw) // (60 * _PICO)
    return lots


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
