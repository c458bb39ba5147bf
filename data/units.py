"""Energy, price, money and time as whole numbers.

Inside the house every quantity is a plain ``int`` whose name ends in its unit:

=============  ===================================  ==========
quantity       step                                 suffix
=============  ===================================  ==========
energy         lot = 0.01 kWh                       ``_lots``
price          tick = 0.0001 CNY/kWh                ``_ticks``
money          lot x tick = 0.000001 CNY            ``_micro``
money, faces   fen = 0.01 CNY                       ``_fen``
time           seconds since 1970-01-01T00:00:00Z   ``_s``
=============  ===================================  ==========

``lots * ticks`` is exactly ``micro``: no rounding stands between an order and its statement.
Outside (HTTP, files) the same quantities are decimal strings in kWh, CNY/kWh and CNY;
a number off the step is refused, never rounded. The steps are those of ``docs/market_rules.md``.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

ENERGY_DECIMALS = 2
PRICE_DECIMALS = 4
MONEY_DECIMALS = 6
FEN_DECIMALS = 2

LOTS_PER_KWH = 100
TICKS_PER_CNY = 10_000
MICRO_PER_CNY = 1_000_000
MICRO_PER_FEN = 10_000
SECONDS_PER_HOUR = 3600

REMEMBERED = 32_768
"""Texts and numbers that each conversion remembers: a market's prices, slots and quantities come again and again."""

_DECIMAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)


class UnitError(ValueError):
    """A text that is no decimal, is off its step, or is no UTC instant. The message says which."""


def parse_steps(text: str, decimals: int) -> int:
    """Read a decimal string as a whole number of steps of ``10**-decimals``.

    ``1.000`` is on the step of 0.01; ``1e-2``, ``+1``, `` 1.00``, ``NaN``, ``.5`` and the empty text are no decimals.
    Raises UnitError.
    """
    if not _DECIMAL.fullmatch(text):
        raise UnitError(f"{text[:40]!r} is not a decimal such as 1.25")
    whole, _, fraction = text.partition(".")
    kept, beyond = fraction[:decimals], fraction[decimals:]
    if beyond.strip("0"):
        raise UnitError(f"{text!r} is off the step of {format_steps(1, decimals)}")
    return int(whole + kept.ljust(decimals, "0"))


def format_steps(steps: int, decimals: int) -> str:
    """The decimal string of a whole number of steps of ``10**-decimals``: ``(125, 2)`` gives ``"1.25"``."""
    sign = "-" if steps < 0 else ""
    digits = str(abs(steps)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


@lru_cache(maxsize=REMEMBERED)
def parse_energy_lots(text: str) -> int:
    """kWh, a decimal string, to lots. Raises UnitError."""
    return parse_steps(text, ENERGY_DECIMALS)


@lru_cache(maxsize=REMEMBERED)
def parse_price_ticks(text: str) -> int:
    """CNY/kWh, a decimal string, to ticks. Raises UnitError."""
    return parse_steps(text, PRICE_DECIMALS)


def parse_money_micro(text: str) -> int:
    """CNY, a decimal string, to micro-yuan. Raises UnitError."""
    return parse_steps(text, MONEY_DECIMALS)


def parse_money_fen(text: str) -> int:
    """CNY, a decimal string, to whole fen. Raises UnitError."""
    return parse_steps(text, FEN_DECIMALS)


@lru_cache(maxsize=REMEMBERED)
def format_energy(energy_lots: int) -> str:
    """Lots to kWh, a decimal string with two places."""
    return format_steps(energy_lots, ENERGY_DECIMALS)


@lru_cache(maxsize=REMEMBERED)
def format_price(price_ticks: int) -> str:
    """Ticks to CNY/kWh, a decimal string with four places."""
    return format_steps(price_ticks, PRICE_DECIMALS)


@lru_cache(maxsize=REMEMBERED)
def format_money(amount_micro: int) -> str:
    """Micro-yuan to CNY, a decimal string with six places."""
    return format_steps(amount_micro, MONEY_DECIMALS)


def limit_lots_floor(limit_kw: str, slot_minutes: int) -> int:
    """The energy a limit in kW (a decimal string >= 0) lets through in one slot, rounded down to lots.

    Source: ``kW x slot hours``, docs/market_rules.md, "The grid". Raises UnitError.
    """
    pico_kw = parse_steps(limit_kw, 12) if _DECIMAL.fullmatch(limit_kw) else -1
    if pico_kw < 0:
        raise UnitError(f"{limit_kw[:40]!r} is not a limit in kW, a decimal >= 0")
    return pico_kw * slot_minutes * LOTS_PER_KWH // (60 * 10**12)


def floor_fen(amount_micro: int) -> int:
    """Whole fen in an amount of micro-yuan, rounded down; the caller carries the remainder."""
    return amount_micro // MICRO_PER_FEN


@lru_cache(maxsize=REMEMBERED)
def parse_instant_s(text: str) -> int:
    """An RFC 3339 instant in UTC, ``2026-07-01T10:15:00Z``, to seconds since the epoch. Raises UnitError."""
    if not _INSTANT.fullmatch(text):
        raise UnitError(f"{text[:40]!r} is not a UTC instant such as 2026-07-01T10:15:00Z")
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError as error:
        raise UnitError(f"{text!r} is not a date that exists") from error


@lru_cache(maxsize=REMEMBERED)
def format_instant(instant_s: int) -> str:
    """Seconds since the epoch to an RFC 3339 instant in UTC, ``2026-07-01T10:15:00Z``."""
    return datetime.fromtimestamp(instant_s, UTC).replace(tzinfo=None).isoformat() + "Z"


@dataclass(frozen=True, order=True, slots=True)
class Energy:
    """An amount of energy, for the edges of the house; hot loops carry ``..._lots``."""

    lots: int

    def __str__(self) -> str:
        return f"{format_energy(self.lots)} kWh"


@dataclass(frozen=True, order=True, slots=True)
class Money:
    """An amount of money, for the edges of the house; hot loops carry ``..._micro``."""

    micro: int

    def __str__(self) -> str:
        return f"{format_money(self.micro)} CNY"


@dataclass(frozen=True, order=True, slots=True)
class Price:
    """A price per kWh, for the edges of the house; hot loops carry ``..._ticks``."""

    ticks: int

    def __mul__(self, energy: Energy) -> Money:
        return Money(self.ticks * energy.lots)

    def __str__(self) -> str:
        return f"{format_price(self.ticks)} CNY/kWh"
