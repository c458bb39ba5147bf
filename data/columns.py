"""Whole numbers as typed columns: how a lot, a tick, a micro-yuan or a member's id looks to an analyst.

A ``Kind`` is an Arrow type and the way from the database's whole numbers to it. Money, prices and faces become exact
``decimal128``, built from the integers' own bits; energy stays whole lots, with ``_kwh`` beside it as float64 for
statistics (the only floats here, and nothing is computed from them). Members and meters become pseudonyms or names.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.units import FEN_DECIMALS, LOTS_PER_KWH, MONEY_DECIMALS, PRICE_DECIMALS

Integers = npt.NDArray[np.int64]

DECIMAL_DIGITS = 18
"""All that an int64 can hold for certain; an int64 times such a decimal still fits decimal128."""

NOBODY = -1
"""Stands for a null id while columns are numbers."""

SIDES = {1: "buy", 2: "sell"}
TIFS = {1: "gtc", 2: "ioc", 3: "fok"}
LEVELS = {0: "meter", 1: "transformer", 2: "feeder", 3: "substation"}


@dataclass(frozen=True, slots=True)
class Naming:
    """What members and meters are called: texts by member id and by node id."""

    members: Mapping[int, str]
    meters: Mapping[int, str]


def pseudonym(kind: str, number: int, key: bytes) -> str:
    """A name that says nothing: stable under one key, and without the key not to be led back (keyed BLAKE2b).

    ``kind`` is ``member`` or ``meter``, so that a member and a meter of one number share nothing.
    """
    digest = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=8, key=key, person=kind.encode())
    return f"{kind}-{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Kind:
    """``build`` takes what was read (int64 values; texts or bytes where ``is_text``) and gives an array of ``type``."""

    type: pa.DataType
    build: Callable[[Any, Naming], pa.Array]
    is_text: bool = False
    may_be_null: bool = False


def _decimals(values: Integers, decimals: int) -> pa.Array:
    assert not len(values) or int(np.abs(values).max()) < 10**DECIMAL_DIGITS, "a number beyond 18 digits"
    words = np.empty((len(values), 2), dtype="<i8")
    words[:, 0], words[:, 1] = values, values >> 63  # two's complement: low word, then the sign
    return pa.Array.from_buffers(pa.decimal128(DECIMAL_DIGITS, decimals), len(values), [None, pa.py_buffer(words)])


def _decimal(decimals: int) -> Kind:
    return Kind(pa.decimal128(DECIMAL_DIGITS, decimals), lambda values, _: _decimals(values, decimals))


def _texts(values: Integers, text_of: Callable[[int], str | None]) -> pa.Array:
    """One text for each number, looked up once for each different number."""
    different, places = np.unique(values, return_inverse=True)
    words = pa.array([text_of(int(value)) for value in different], pa.string())
    return words.take(pa.array(places))


def _code(codes: Mapping[int, str]) -> Kind:
    return Kind(pa.string(), lambda values, _: _texts(values, codes.__getitem__))


def _days(values: Sequence[str], _: Naming) -> pa.Array:
    return pa.array(values, pa.string()).cast(pa.date32())


def _members(values: Integers, naming: Naming) -> pa.Array:
    return _texts(values, lambda number: None if number == NOBODY else naming.members[number])


_UTC = pa.timestamp("us", "UTC")
NUMBER = Kind(pa.int64(), lambda values, _: pa.array(values))
MAYBE_NUMBER = Kind(pa.int64(), lambda values, _: pa.array(values, mask=values == NOBODY), may_be_null=True)
LOTS = NUMBER
KWH = Kind(pa.float64(), lambda values, _: pa.array(values / LOTS_PER_KWH))
PRICE = _decimal(PRICE_DECIMALS)
MONEY = _decimal(MONEY_DECIMALS)
FEN = _decimal(FEN_DECIMALS)
INSTANT = Kind(_UTC, lambda values, _: pa.array(values * 1_000_000).cast(_UTC))
FLAG = Kind(pa.bool_(), lambda values, _: pa.array(values != 0))
SIDE = _code(SIDES)
TIF = _code(TIFS)
LEVEL = _code(LEVELS)
MEMBER = Kind(pa.string(), _members)
MAYBE_MEMBER = Kind(pa.string(), _members, may_be_null=True)
METER = Kind(pa.string(), lambda values, naming: _texts(values, naming.meters.__getitem__))
TEXT = Kind(pa.string(), lambda values, _: pa.array(values, pa.string()), is_text=True)
DAY = Kind(pa.date32(), _days, is_text=True)
HEX = Kind(pa.string(), lambda values, _: pa.array([value.hex() for value in values], pa.string()), is_text=True)
