"""Rows of readings, from CSV or Parquet, one by one: each is a reading, or broken, and then it says in which column.

The columns are ``meter``, ``slot`` (RFC 3339 in UTC), ``export`` and ``import`` (kWh as decimals in steps of 0.01), in
any order. Text is refused, never rounded. A day of a large market is millions of rows of few different values: each
value is read once.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from data.units import UnitError, format_energy, format_instant, parse_energy_lots, parse_instant_s
from settlement.meters import Submitted

COLUMNS = ("meter", "slot", "export", "import")
LONGEST_NAME = 100
_REMEMBERED = 100_000
"""So many different values of one column are remembered; then it begins anew."""


class Broken(NamedTuple):
    """Why a row is no reading; ``values`` is what stands in it."""

    column: str
    why: str
    values: tuple[str, ...]


class CsvError(ValueError):
    """A file that is no CSV of readings at all; the message says why."""


class Rows:
    """Reads rows, and remembers the values that it has seen."""

    def __init__(self) -> None:
        self._meter = _Remembering(_meter)
        self._slot = _Remembering(_slot_s)
        self._energy = _Remembering(_energy_lots)

    def read(self, rows: Iterable[Sequence[Any]]) -> Iterator[Submitted | Broken]:
        """Each row, of the four COLUMNS in this order, as a reading, or why it is none."""
        meter, slot, energy = self._meter, self._slot, self._energy
        for row in rows:
            try:
                name, slot_value, exported, imported = row
                yield Submitted(meter[name], slot[slot_value], energy[exported], energy[imported])
            except (UnitError, ValueError, TypeError):
                yield self._broken(row)

    def _broken(self, row: Sequence[Any]) -> Broken:
        values = tuple(_shown(value) for value in row)
        if len(row) != len(COLUMNS):
            return Broken("-", f"has {len(row)} columns, not {len(COLUMNS)}", values)
        readers = (self._meter, self._slot, self._energy, self._energy)
        for column, reader, value in zip(COLUMNS, readers, row, strict=True):
            try:
                reader[value]
            except (UnitError, ValueError, TypeError) as error:
                return Broken(column, str(error), values)
        raise AssertionError("a row that is not broken")


class _Remembering(dict[Any, Any]):
    """What ``read`` makes of each value, read once."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, value: Any) -> Any:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[value] = self._read(value)
        return found


def _meter(value: Any) -> str:
    text = _text(value)
    if not 1 <= len(text) <= LONGEST_NAME or "\0" in text:
        raise UnitError(f"a meter's name has 1 to {LONGEST_NAME} characters")
    return text


def _slot_s(value: Any) -> int:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UnitError("a time without a time zone; store it as UTC")
        if value.microsecond:
            raise UnitError("a slot starts at a whole second")
        seconds = int(value.astimezone(UTC).timestamp())
    else:
        seconds = parse_instant_s(_text(value))
    if seconds < 0:
        raise UnitError("times before 1970 are not served")
    return seconds


def _energy_lots(value: Any) -> int:
    if isinstance(value, float):
        raise UnitError("a floating-point number is not exact; store decimals or text")
    lots = parse_energy_lots(f"{value:f}" if isinstance(value, Decimal) else _text(value))
    if abs(lots) >= 2**62:
        raise UnitError("is more than any meter counts")
    return lots


def _text(value: Any) -> str:
    if value is None:
        raise UnitError("is empty")
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise UnitError("is not UTF-8") from error
    if not isinstance(value, str):
        raise UnitError(f"is of type {type(value).__name__}, not text")
    return value


def _shown(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)


# --------------------------------------------------------------------------------------------- a whole body


def read_csv(payload: bytes) -> list[Submitted | Broken]:
    """All rows of a CSV text with a header. Raises CsvError."""
    try:
        lines = csv.reader(io.StringIO(payload.decode(), newline=""), strict=True)
        header = next(lines, [])
        places = places_of(header)
        rows = (tuple(row[at] for at in places) if len(row) == len(COLUMNS) else row for row in lines if row)
        return list(Rows().read(rows))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CsvError(f"no CSV in UTF-8: {error}") from error


def places_of(header: Sequence[str]) -> tuple[int, ...]:
    """Where the COLUMNS stand in a header that names them and nothing else. Raises CsvError."""
    if sorted(header) != sorted(COLUMNS):
        raise CsvError(f"the columns are {', '.join(COLUMNS)}; here they are {', '.join(header)[:200] or 'none'}")
    return tuple(header.index(column) for column in COLUMNS)


def write_csv(readings: Iterable[Submitted]) -> bytes:
    """Readings as the CSV text that ``read_csv`` reads; the same ones give the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (meter, format_instant(slot_s), format_energy(export_lots), format_energy(import_lots))
        for meter, slot_s, export_lots, import_lots in readings
    )
    return text.getvalue().encode()
