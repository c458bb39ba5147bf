"""The measured profiles of a neighbourhood: one row per slot and meter, energy as exact decimals.

In memory they are two arrays of whole lots, shape (slots, meters), so that a day of one meter is a slice.
Energy comes as decimals or as text and is refused as floats: 0.1 + 0.2 has no place on a meter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from data.units import UnitError, format_energy, format_instant, parse_energy_lots, parse_instant_s
from market.tariff import NeighbourhoodError
from settlement.calendar import bounds, day_of

PROFILE_COLUMNS = ("slot", "meter", "export_kwh", "import_kwh")

Lots = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Profiles:
    """What every meter exported and imported in every slot.

    ``slots_s``: int64, shape (slots,), rising by the slot length. ``export_lots`` and ``import_lots``: int64, shape
    (slots, meters), columns in the order of ``meters``.
    """

    file: str
    meters: tuple[str, ...]
    slots_s: Lots
    export_lots: Lots
    import_lots: Lots
    row_numbers: Lots
    """The row of the file that each value came from, shape (slots, meters)."""

    def days(self, time_zone: str) -> list[date]:
        """The local days that lie in the profiles whole, in order."""
        first, last = (day_of(int(slot_s), time_zone) for slot_s in (self.slots_s[0], self.slots_s[-1]))
        days = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
        return [day for day in days if self._is_whole(day, time_zone)]

    def _is_whole(self, day: date, time_zone: str) -> bool:
        start_s, end_s = bounds(day, time_zone)
        step = int(self.slots_s[1] - self.slots_s[0]) if len(self.slots_s) > 1 else end_s - start_s
        return int(self.slots_s[0]) <= start_s and end_s <= int(self.slots_s[-1]) + step

    def slots_of(self, day: date, time_zone: str) -> slice:
        """The rows of a local day. Raises NeighbourhoodError when the day is not in the profiles whole."""
        if day not in (days := self.days(time_zone)):
            held = f"{days[0]} to {days[-1]}" if days else "no whole day"
            raise NeighbourhoodError(f"{self.file}: {day} is not in it (it holds {held})")
        start_s, end_s = bounds(day, time_zone)
        first, last = np.searchsorted(self.slots_s, [start_s, end_s])
        return slice(int(first), int(last))

    def wrong(self, slot: int, meter: int, column: str, energy_lots: int, limit_kw: str) -> NeighbourhoodError:
        """The complaint about an energy that the meter's connection cannot carry."""
        return NeighbourhoodError(
            f"{self.file}: row {self.row_numbers[slot, meter]}, column {column}: {format_energy(energy_lots)} kWh of "
            f"meter {self.meters[meter]!r} is above its capacity of {limit_kw} kW in meters.csv"
        )


def read_profiles(folder: Path, meters: Sequence[str], slot_minutes: int) -> Profiles:
    """``profiles.parquet`` (or ``profiles.csv``) of a folder, for exactly these meters.

    Raises NeighbourhoodError naming file, row and column. Rows count from 1 at the first row of data in Parquet, and as
    lines of the file in CSV.
    """
    table = _table(folder)
    step_s = slot_minutes * 60
    slots_s = _slots(table, step_s)
    places = _places(table, meters)
    lots = {column: _lots(table, column) for column in ("export_kwh", "import_kwh")}
    first_s = int(slots_s.min())
    span = _Span(tuple(meters), first_s, step_s, (int(slots_s.max()) - first_s) // step_s + 1)
    return _square(table, span, (slots_s - first_s) // step_s * len(meters) + places, lots)


@dataclass(frozen=True, slots=True)
class _Table:
    """The file as read, and how to name a place in it."""

    file: str
    first_row: int
    columns: dict[str, pa.Array]

    def wrong(self, index: int, column: str, what: str) -> NeighbourhoodError:
        return NeighbourhoodError(f"{self.file}: row {index + self.first_row}, column {column}: {what}")


def _table(folder: Path) -> _Table:
    parquet, text = folder / "profiles.parquet", folder / "profiles.csv"
    if parquet.exists() == text.exists():
        found = "both" if text.exists() else "neither"
        raise NeighbourhoodError(f"profiles.parquet: one of profiles.parquet and profiles.csv is needed, {found} found")
    path = parquet if parquet.exists() else text
    try:
        table = pa.parquet.read_table(path) if path is parquet else _read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise NeighbourhoodError(f"{path.name}: not readable as {path.suffix[1:]}: {reason}") from error
    _check_columns(path.name, table.column_names)
    if table.num_rows == 0:
        raise NeighbourhoodError(f"{path.name}: no row in it")
    columns = {name: table.column(name).combine_chunks() for name in PROFILE_COLUMNS}
    found_table = _Table(path.name, 1 if path is parquet else 2, columns)
    for name, values in columns.items():
        if values.null_count:
            raise found_table.wrong(pc.index(values.is_null(), True).as_py(), name, "empty")
    return found_table


def _read_csv(path: Path) -> pa.Table:
    """All columns as text: what is a number is decided by the units, not by a guess."""
    as_text = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(PROFILE_COLUMNS, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return pa.csv.read_csv(path, convert_options=as_text)


def _check_columns(file: str, names: list[str]) -> None:
    for name in names:
        if name not in PROFILE_COLUMNS:
            raise NeighbourhoodError(f"{file}: column {name}: unknown column (known: {', '.join(PROFILE_COLUMNS)})")
        if names.count(name) > 1:
            raise NeighbourhoodError(f"{file}: column {name}: stands twice")
    for name in PROFILE_COLUMNS:
        if name not in names:
            raise NeighbourhoodError(f"{file}: column {name}: this column is missing")


def _encoded(values: pa.Array) -> tuple[list[Any], Lots]:
    """The distinct values of a column and, for each row, which one it is."""
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    codes: Lots = encoded.indices.cast(pa.int64()).to_numpy()
    return encoded.dictionary.to_pylist(), codes


def _first(codes: Lots, code: int) -> int:
    return int(np.argmax(codes == code))


def _slots(table: _Table, step_s: int) -> Lots:
    """The slot of each row, in seconds. A timestamp must carry a time zone; a text is an instant in UTC."""
    values = table.columns["slot"]
    if pa.types.is_timestamp(values.type) and values.type.tz is None:
        raise table.wrong(0, "slot", "a timestamp without time zone; store it with time zone UTC")
    distinct, codes = _encoded(values)
    seconds = np.empty(len(distinct), dtype=np.int64)
    for code, value in enumerate(distinct):
        if isinstance(value, datetime):
            seconds[code] = int(value.timestamp())
        else:
            try:
                seconds[code] = parse_instant_s(str(value))
            except UnitError as error:
                raise table.wrong(_first(codes, code), "slot", str(error)) from error
        if seconds[code] % step_s:
            raise table.wrong(_first(codes, code), "slot", f"{value} is no start of a slot of {step_s // 60} minutes")
    rows: Lots = seconds[codes]
    return rows


def _places(table: _Table, meters: Sequence[str]) -> Lots:
    """For each row, the place of its meter in ``meters``."""
    distinct, codes = _encoded(table.columns["meter"])
    known = {meter: place for place, meter in enumerate(meters)}
    for code, meter in enumerate(distinct):
        if meter not in known:
            raise table.wrong(_first(codes, code), "meter", f"{meter!r} is no meter of meters.csv")
    rows: Lots = np.array([known[meter] for meter in distinct], dtype=np.int64)[codes]
    return rows


def _lots(table: _Table, column: str) -> Lots:
    """The energy of each row in lots; decimals and texts only."""
    values = table.columns[column]
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (pa.types.is_decimal(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise table.wrong(0, column, f"stored as {kind}; store energy as decimal(12, 2) or as text, exact to 0.01 kWh")
    distinct, codes = _encoded(values)
    lots = np.empty(len(distinct), dtype=np.int64)
    for code, value in enumerate(distinct):
        text = f"{value:f}" if isinstance(value, Decimal) else value
        try:
            lots[code] = parse_energy_lots(text)
        except UnitError as error:
            raise table.wrong(_first(codes, code), column, str(error)) from error
        if lots[code] < 0:
            raise table.wrong(_first(codes, code), column, f"{text} kWh is negative")
    rows: Lots = lots[codes]
    return rows


@dataclass(frozen=True, slots=True)
class _Span:
    """The square that the rows must fill: every slot from the first to the last, for every meter."""

    meters: tuple[str, ...]
    first_s: int
    step_s: int
    slots: int

    def name(self, cell: int) -> str:
        slot, meter = divmod(cell, len(self.meters))
        return f"meter {self.meters[meter]!r} and slot {format_instant(self.first_s + slot * self.step_s)}"


def _square(table: _Table, span: _Span, cells: Lots, lots: dict[str, Lots]) -> Profiles:
    """Rows to arrays of shape (slots, meters); ``cells`` says for each row where its values belong."""
    _check_complete(table, span, cells)
    order = np.argsort(cells)

    def shaped(values: Lots) -> Lots:
        return values[order].reshape(span.slots, len(span.meters))

    return Profiles(
        file=table.file,
        meters=span.meters,
        slots_s=np.arange(span.slots, dtype=np.int64) * span.step_s + span.first_s,
        export_lots=shaped(lots["export_kwh"]),
        import_lots=shaped(lots["import_kwh"]),
        row_numbers=shaped(np.arange(len(cells), dtype=np.int64) + table.first_row),
    )


def _check_complete(table: _Table, span: _Span, cells: Lots) -> None:
    """Every cell is filled, and once."""
    distinct, first_rows = np.unique(cells, return_index=True)
    if len(distinct) < len(cells):
        repeated = np.ones(len(cells), dtype=bool)
        repeated[first_rows] = False
        index = int(np.argmax(repeated))
        raise table.wrong(index, "slot", f"a second row for {span.name(int(cells[index]))}")
    if len(distinct) < span.slots * len(span.meters):
        held = np.zeros(span.slots * len(span.meters), dtype=bool)
        held[distinct] = True
        missing = span.name(int(np.argmin(held)))
        raise NeighbourhoodError(f"{table.file}: columns slot and meter: there is no row for {missing}")
