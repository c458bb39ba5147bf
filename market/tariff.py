"""The tariff of a neighbourhood: what a market needs besides its grid, its meters and their profiles.

``tariff.toml`` holds prices, wheeling fees, terms, times and the money people bring. Every key is required and none is
unknown, so that a misspelt key is told instead of silently falling back. Prices, rates and money are decimal
*strings* (``"0.5224"``): TOML's floats would come near money.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from data.units import UnitError, parse_money_fen, parse_price_ticks, parse_steps
from finance.calendar import LONGEST_TERMS_DAYS

RATE_DECIMALS = 4
"""Rates (advance, interest) and shares are decimals with four places: 0.0001 is one basis point."""

RATE_STEPS_PER_ONE = 10**RATE_DECIMALS

BILLING_PERIODS = ("day", "month")


class NeighbourhoodError(ValueError):
    """A file of the folder is wrong. The message is one line: file, row and column (or key), and what is wrong."""


@dataclass(frozen=True, slots=True)
class Bank:
    """What one bank brings and offers. ``advance_rate`` and ``rate`` are decimal strings, as an offer quotes them."""

    name: str
    advance_rate: str
    rate: str
    days_basis: int
    fee_fen: int
    funds_fen: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """One market's rules and prices; units as in ``data/units.py``."""

    time_zone: str
    slot_minutes: int
    gate_minutes: int
    horizon_hours: int
    billing_period: str
    terms_days: tuple[int, ...]
    retail_ticks: int
    feed_in_ticks: int
    shortfall_ticks: int
    floor_ticks: int
    cap_ticks: int
    fee_ticks: tuple[int, int, int]
    released_share_bp: int
    reading_deadline_hours: int
    correction_window_hours: int
    dispute_window_hours: int
    operator_bond_fen: int
    challenge_bond_fen: int
    escrow_days: int
    credit_days: int
    guarantee_fund_fen: int
    banks: tuple[Bank, ...]


Reader = Callable[[Any], Any]


def _whole(least: int) -> Reader:
    def read(value: Any) -> int:
        if type(value) is not int or value < least:
            raise ValueError(f"{value!r} is not a whole number >= {least}")
        return value

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is not a text in quotes")
    return value


def _decimal(parse: Callable[[str], int]) -> Reader:
    def read(value: Any) -> int:
        if not isinstance(value, str):
            raise ValueError(f'{value!r} is not a decimal in quotes, such as "0.5224"')
        steps = parse(value)
        if steps < 0:
            raise ValueError(f"{value!r} is negative")
        return steps

    return read


_price = _decimal(parse_price_ticks)
_money = _decimal(parse_money_fen)
_rate_steps = _decimal(lambda text: parse_steps(text, RATE_DECIMALS))


def _rate(value: Any) -> str:
    """A share or yearly rate between 0 and 1, kept as the text that an offer quotes."""
    if _rate_steps(value) > RATE_STEPS_PER_ONE:
        raise ValueError(f"{value!r} is above 1")
    return str(value)


def _share_bp(value: Any) -> int:
    steps = parse_steps(_rate(value), RATE_DECIMALS)
    if steps == 0:
        raise ValueError(f"{value!r} leaves nothing")
    return steps


def _one_of(*known: object) -> Reader:
    def read(value: Any) -> Any:
        if value not in known or isinstance(value, bool):
            raise ValueError(f"{value!r} is none of {', '.join(map(str, known))}")
        return value

    return read


def _time_zone(value: Any) -> str:
    name = _text(value)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone such as Asia/Shanghai") from error
    return name


def _slot_minutes(value: Any) -> int:
    minutes: int = _whole(1)(value)
    if 60 % minutes:
        raise ValueError(f"{minutes} does not divide an hour")
    return minutes


def _terms(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(days) is not int or days < 0 for days in value):
        raise ValueError(f"{value!r} is not a list of whole days, such as [0, 30, 60]")
    if value[:1] != [0] or sorted(set(value)) != value:
        raise ValueError(f"{value!r} must start with 0 and rise")
    if value[-1] > LONGEST_TERMS_DAYS:
        raise ValueError(f"{value[-1]} days may end after six months; {LONGEST_TERMS_DAYS} never do")
    return tuple(value)


_SECTIONS: dict[str, dict[str, Reader]] = {
    "market": {
        "time_zone": _time_zone,
        "slot_minutes": _slot_minutes,
        "gate_minutes": _whole(0),
        "horizon_hours": _whole(1),
        "billing_period": _one_of(*BILLING_PERIODS),
        "terms_days": _terms,
    },
    "prices": {"retail": _price, "feed_in": _price, "shortfall": _price, "floor": _price, "cap": _price},
    "wheeling": {"transformer": _price, "feeder": _price, "substation": _price},
    "grid": {"released_share": _share_bp},
    "settlement": {
        "reading_deadline_hours": _whole(1),
        "correction_window_hours": _whole(0),
        "dispute_window_hours": _whole(0),
        "operator_bond": _money,
        "challenge_bond": _money,
    },
    "money": {"escrow_days": _whole(1), "credit_days": _whole(1), "guarantee_fund": _money},
}

_BANK: dict[str, Reader] = {
    "name": _text,
    "advance_rate": _rate,
    "rate": _rate,
    "days_basis": _one_of(360, 365),
    "fee": _money,
    "funds": _money,
}


def _section(file: str, place: str, table: object, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Every key of one table, read; raises NeighbourhoodError naming the key."""
    if not isinstance(table, dict):
        raise NeighbourhoodError(f"{file}: {place} is missing")
    for key in table:
        if key not in readers:
            raise NeighbourhoodError(f"{file}: {place} {key}: unknown key (known: {', '.join(readers)})")
    values = {}
    for key, read in readers.items():
        if key not in table:
            raise NeighbourhoodError(f"{file}: {place} {key}: this key is missing")
        try:
            values[key] = read(table[key])
        except (UnitError, ValueError) as error:
            raise NeighbourhoodError(f"{file}: {place} {key}: {error}") from error
    return values


def _banks(file: str, tables: object) -> tuple[Bank, ...]:
    if not isinstance(tables, list) or not tables:
        raise NeighbourhoodError(f"{file}: [[banks]] is missing: at least one bank makes offers")
    banks = []
    for number, table in enumerate(tables, start=1):
        values = _section(file, f"[[banks]] number {number},", table, _BANK)
        values["fee_fen"], values["funds_fen"] = values.pop("fee"), values.pop("funds")
        banks.append(Bank(**values))
    names = [bank.name for bank in banks]
    for name in names:
        if names.count(name) > 1:
            raise NeighbourhoodError(f"{file}: [[banks]] name: {name!r} stands twice")
    return tuple(banks)


def _check_order(file: str, prices: Mapping[str, int], fees: Mapping[str, int]) -> None:
    """Prices and fees must stand in the order that makes keeping a promise pay (docs/market_rules.md)."""
    if not prices["feed_in"] <= prices["retail"] <= prices["shortfall"]:
        raise NeighbourhoodError(f"{file}: [prices]: feed_in <= retail <= shortfall must hold")
    if not prices["floor"] <= prices["feed_in"] <= prices["retail"] <= prices["cap"]:
        raise NeighbourhoodError(f"{file}: [prices]: feed_in and retail must lie between floor and cap")
    if not fees["transformer"] <= fees["feeder"] <= fees["substation"]:
        raise NeighbourhoodError(f"{file}: [wheeling]: fees must not fall with distance")


def read_tariff(path: Path) -> Tariff:
    """``tariff.toml`` as a value. Raises NeighbourhoodError naming the key at fault."""
    file = path.name
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NeighbourhoodError(f"{file}: there is no such file in {path.parent}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NeighbourhoodError(f"{file}: not readable as TOML: {error}") from error
    for name in document:
        if name not in _SECTIONS and name != "banks":
            raise NeighbourhoodError(f"{file}: {name}: unknown section (known: {', '.join(_SECTIONS)}, banks)")
    values = {name: _section(file, f"[{name}]", document.get(name), readers) for name, readers in _SECTIONS.items()}
    prices, fees, money = values["prices"], values["wheeling"], values["money"]
    settlement = values["settlement"]
    bonds = {f"{name}_fen": settlement.pop(name) for name in ("operator_bond", "challenge_bond")}
    _check_order(file, prices, fees)
    return Tariff(
        **values["market"],
        **{f"{name}_ticks": ticks for name, ticks in prices.items()},
        fee_ticks=(fees["transformer"], fees["feeder"], fees["substation"]),
        released_share_bp=values["grid"]["released_share"],
        **settlement,
        **bonds,
        escrow_days=money["escrow_days"],
        credit_days=money["credit_days"],
        guarantee_fund_fen=money["guarantee_fund"],
        banks=_banks(file, document.get("banks")),
    )
