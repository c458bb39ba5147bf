"""A neighbourhood's folder: what is right is read to the last lot, what is wrong is told by file, row and column."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from data.units import parse_instant_s
from market.neighbourhood import read_neighbourhood
from market.tariff import NeighbourhoodError
from matching.order import Level

SAMPLE = Path(__file__).parents[2] / "data" / "sample"

GRID = """node,parent,level,export_kw,import_kw
TA,F,transformer,50,60
S,,substation,,
F,S,feeder,100.5,
"""

METERS = """meter,parent,owner,owner_kind,kind,export_kw,import_kw,terms_days
A1,TA,Ann,household,household,4,8,0
B1,F,Mill,business,business,0,40,30
B2,S,Mill,business,pv,40,0,60
"""

PROFILES = """slot,meter,export_kwh,import_kwh
2026-07-01T00:00:00Z,A1,0.25,0
2026-07-01T00:00:00Z,B1,0,1.50
2026-07-01T00:00:00Z,B2,2.00,0.00
2026-07-01T00:15:00Z,A1,0,0.10
2026-07-01T00:15:00Z,B1,0,1.51
2026-07-01T00:15:00Z,B2,2.1,0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grid.csv").write_text(GRID)
    (tmp_path / "meters.csv").write_text(METERS)
    (tmp_path / "profiles.csv").write_text(PROFILES)
    (tmp_path / "tariff.toml").write_text((SAMPLE / "tariff.toml").read_text())
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    path.write_text(text.replace(old, new))


def complaint(folder: Path) -> str:
    with pytest.raises(NeighbourhoodError) as caught:
        read_neighbourhood(folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_right_folder_is_read_to_the_last_lot(folder: Path) -> None:
    found = read_neighbourhood(folder)
    assert [(node.node, node.parent, node.level) for node in found.nodes] == [
        ("S", None, Level.SUBSTATION),
        ("F", "S", Level.FEEDER),
        ("TA", "F", Level.TRANSFORMER),
    ]
    assert (found.nodes[1].export_kw, found.nodes[1].import_kw) == ("100.5", None)
    assert [(owner.name, owner.kind, len(owner.meters)) for owner in found.owners] == [
        ("Ann", "household", 1),
        ("Mill", "business", 2),
    ]
    assert found.meters[1].terms_days == 30
    assert found.profiles.slots_s.tolist() == [parse_instant_s("2026-07-01T00:00:00Z"), 1782864900]
    assert found.profiles.export_lots.tolist() == [[25, 0, 200], [0, 0, 210]]
    assert found.profiles.import_lots.tolist() == [[0, 150, 0], [10, 151, 0]]
    assert found.tariff.fee_ticks == (150, 300, 600)
    assert found.tariff.shortfall_ticks >= found.tariff.retail_ticks >= found.tariff.feed_in_ticks
    assert [bank.days_basis for bank in found.tariff.banks] == [360, 365]


def test_rows_may_come_in_any_order_and_with_a_byte_order_mark(folder: Path) -> None:
    expected = read_neighbourhood(folder).profiles
    header, *rows = PROFILES.splitlines()
    (folder / "profiles.csv").write_text("\ufeff" + "\n".join([header, *reversed(rows)]) + "\n")
    (folder / "meters.csv").write_text("\ufeff" + METERS)
    found = read_neighbourhood(folder).profiles
    assert np.array_equal(found.export_lots, expected.export_lots)
    assert np.array_equal(found.import_lots, expected.import_lots)


EMPTY = ""


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("grid.csv", "level,export_kw", "level,colour,export_kw", "grid.csv: row 1, column colour: unknown column"),
        ("grid.csv", ",import_kw", EMPTY, "grid.csv: row 1, column import_kw: this column is missing"),
        ("grid.csv", "parent,level", "level,level", "grid.csv: row 1, column level: stands twice"),
        ("grid.csv", "S,,substation", "S,F,substation", "grid.csv: column parent: no row is the root"),
        ("grid.csv", "F,S,feeder", "F,,feeder", "grid.csv: row 4, column parent: empty, but 'S' is the root already"),
        ("grid.csv", "S,,substation", "S,,feeder", "grid.csv: row 3, column level: the root must be the substation"),
        ("grid.csv", "F,S,feeder", "F,X,feeder", "grid.csv: row 4, column parent: 'X' is no node of this grid"),
        ("grid.csv", "F,S,feeder", "F,TA,feeder", "grid.csv: row 4, column parent: a feeder cannot hang under a tra"),
        ("grid.csv", "F,S,feeder", "F,S,street", "grid.csv: row 4, column level: 'street' is none of substation, fee"),
        ("grid.csv", "F,S,feeder", "S,S,feeder", "grid.csv: row 4, column node: 'S' stands twice"),
        ("grid.csv", "100.5", "-1", "grid.csv: row 4, column export_kw: '-1' is not a limit in kW"),
        ("grid.csv", "50,60", "50,1e3", "grid.csv: row 2, column import_kw: '1e3' is not a limit in kW"),
        ("grid.csv", "50,60", "50", "grid.csv: row 2: 4 columns instead of 5"),
        ("grid.csv", "TA,F", " TA,F", "grid.csv: row 2, column node: ' TA' is not a name"),
        ("meters.csv", "B1,F", "A1,F", "meters.csv: row 3, column meter: 'A1' stands twice"),
        ("meters.csv", "B1,F", "TA,F", "meters.csv: row 3, column meter: 'TA' stands twice"),
        ("meters.csv", "B1,F", "B1,Q", "meters.csv: row 3, column parent: 'Q' is no node of grid.csv"),
        ("meters.csv", "Ann", EMPTY, "meters.csv: row 2, column owner: '' is not a name"),
        ("meters.csv", "Ann,household", "Ann,king", "meters.csv: row 2, column owner_kind: 'king' is none of"),
        ("meters.csv", "business,pv", "plant,pv", "meters.csv: row 4, column owner_kind: 'Mill' is a business in an"),
        ("meters.csv", "business,pv", "business,fusion", "meters.csv: row 4, column kind: 'fusion' is none of"),
        ("meters.csv", "4,8,0", ",8,0", "meters.csv: row 2, column export_kw: '' is not a limit in kW"),
        ("meters.csv", "40,30", "40,45", "meters.csv: row 3, column terms_days: '45' is none of 0, 30, 60"),
        ("meters.csv", "terms_days", "terms", "meters.csv: row 1, column terms: unknown column"),
        ("profiles.csv", "export_kwh", "export_mwh", "profiles.csv: column export_mwh: unknown column"),
        ("profiles.csv", "0.25", "0.255", "profiles.csv: row 2, column export_kwh: '0.255' is off the step of 0.01"),
        ("profiles.csv", "0,1.50", "0,-1.50", "profiles.csv: row 3, column import_kwh: -1.50 kWh is negative"),
        ("profiles.csv", "2.1,0", "2.1,x", "profiles.csv: row 7, column import_kwh: 'x' is not a decimal"),
        ("profiles.csv", "0,1.50", "0,", "profiles.csv: row 3, column import_kwh: empty"),
        ("profiles.csv", "A1,0,0.10", "A9,0,0.10", "profiles.csv: row 5, column meter: 'A9' is no meter of meters."),
        (
            "profiles.csv",
            "00:15:00Z,A1",
            "00:00:00Z,A1",
            "profiles.csv: row 5, column slot: a second row for meter 'A1'",
        ),
        (
            "profiles.csv",
            "00:15:00Z,A1",
            "00:10:00Z,A1",
            "profiles.csv: row 5, column slot: 2026-07-01T00:10:00Z is no",
        ),
        (
            "profiles.csv",
            "00:15:00Z,A1",
            "00:15,A1",
            "profiles.csv: row 5, column slot: '2026-07-01T00:15' is not a UT",
        ),
        ("profiles.csv", "0.25,0\n", "1.01,0\n", "profiles.csv: row 2, column export_kwh: 1.01 kWh of meter 'A1' is"),
        ("tariff.toml", "gate_minutes", "gate_minuets", "tariff.toml: [market] gate_minuets: unknown key"),
        ("tariff.toml", 'cap = "1.0000"', EMPTY, "tariff.toml: [prices] cap: this key is missing"),
        ("tariff.toml", 'cap = "1.0000"', "cap = 1.0", "tariff.toml: [prices] cap: 1.0 is not a decimal in quotes"),
        ("tariff.toml", 'cap = "1.0000"', 'cap = "1.00001"', "tariff.toml: [prices] cap: '1.00001' is off the step"),
        ("tariff.toml", '"0.5746"', '"0.5"', "tariff.toml: [prices]: feed_in <= retail <= shortfall must hold"),
        ("tariff.toml", '"0.0300"', '"0.0900"', "tariff.toml: [wheeling]: fees must not fall with distance"),
        ("tariff.toml", "slot_minutes = 15", "slot_minutes = 7", "tariff.toml: [market] slot_minutes: 7 does not div"),
        ("tariff.toml", "[0, 30, 60]", "[30, 60]", "tariff.toml: [market] terms_days: [30, 60] must start with 0"),
        ("tariff.toml", "Asia/Shanghai", "Asia/Jinsha", "tariff.toml: [market] time_zone: 'Asia/Jinsha' is no time"),
        (
            "tariff.toml",
            "days_basis = 365",
            "days_basis = 300",
            "tariff.toml: [[banks]] number 2, days_basis: 300 is n",
        ),
        ("tariff.toml", "Rural Credit Union", "Minjiang Bank", "tariff.toml: [[banks]] name: 'Minjiang Bank' stands"),
        ("tariff.toml", "[grid]", "[gird]", "tariff.toml: gird: unknown section"),
        ("tariff.toml", "[grid]", "[grid", "tariff.toml: not readable as TOML"),
    ],
)
def test_what_is_wrong_is_told_by_file_row_and_column(folder: Path, file: str, old: str, new: str, said: str) -> None:
    edit(folder / file, old, new)
    assert complaint(folder).startswith(said)


@pytest.mark.parametrize("file", ["grid.csv", "meters.csv", "tariff.toml"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert complaint(folder).startswith(f"{file}: there is no such file")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert "no such folder" in complaint(tmp_path / "nowhere")


def test_bytes_that_are_no_text_are_told(folder: Path) -> None:
    (folder / "grid.csv").write_bytes(b"node,parent\xff")
    assert complaint(folder).startswith("grid.csv: not readable as CSV in UTF-8")


def test_a_slot_that_one_meter_lacks_is_named(folder: Path) -> None:
    edit(folder / "profiles.csv", "2026-07-01T00:15:00Z,B1,0,1.51\n", "")
    assert complaint(folder) == (
        "profiles.csv: columns slot and meter: there is no row for meter 'B1' and slot 2026-07-01T00:15:00Z"
    )


def test_an_empty_profile_is_told(folder: Path) -> None:
    (folder / "profiles.csv").write_text("slot,meter,export_kwh,import_kwh\n")
    assert complaint(folder) == "profiles.csv: no row in it"


def test_two_profiles_are_one_too_many(folder: Path) -> None:
    (folder / "profiles.parquet").write_bytes(b"")
    assert "both found" in complaint(folder)


# ---------------------------------------------------------------------------------------------------- Parquet

SLOTS = [datetime(2026, 7, 1, 0, minute, tzinfo=UTC) for minute in (0, 15) for _ in range(3)]
UTC_MS = pa.timestamp("ms", tz="UTC")


def write_parquet(folder: Path, export_kwh: pa.Array, slot: pa.Array | None = None) -> None:
    (folder / "profiles.csv").unlink()
    table = pa.table(
        {
            "slot": pa.array(SLOTS, UTC_MS) if slot is None else slot,
            "meter": pa.array(["A1", "B1", "B2"] * 2).dictionary_encode(),
            "export_kwh": export_kwh,
            "import_kwh": pa.array([Decimal("0.01")] * 3 + [Decimal(0)] * 3, pa.decimal128(20, 10)),
        }
    )
    pa.parquet.write_table(table, folder / "profiles.parquet")


EXPORT = ["0.25", "0", "2.00", "0.1", "0.00", "2.1"]


@pytest.mark.parametrize(
    "stored",
    [
        lambda: pa.array([Decimal(text) for text in EXPORT], pa.decimal128(12, 2)),
        lambda: pa.array([Decimal(text) for text in EXPORT], pa.decimal128(20, 10)),
        lambda: pa.array(EXPORT),
        lambda: pa.array(EXPORT).dictionary_encode(),
    ],
)
def test_parquet_holds_energy_as_decimals_or_text(folder: Path, stored: Callable[[], pa.Array]) -> None:
    edit(folder / "meters.csv", "B2,S,Mill,business,pv,40,0,60", "B2,S,Mill,business,pv,40,1,60")
    write_parquet(folder, stored())
    assert read_neighbourhood(folder).profiles.export_lots.tolist() == [[25, 0, 200], [10, 0, 210]]


def test_parquet_rows_count_from_one(folder: Path) -> None:
    write_parquet(folder, pa.array(["0.25", "0", "2.001", "0", "0", "2.1"]))
    assert complaint(folder).startswith("profiles.parquet: row 3, column export_kwh: '2.001' is off the step")


def test_energy_as_floats_is_refused(folder: Path) -> None:
    write_parquet(folder, pa.array([float(text) for text in EXPORT]))
    assert "stored as double; store energy as decimal(12, 2) or as text" in complaint(folder)


def test_a_timestamp_without_time_zone_is_refused(folder: Path) -> None:
    naive = pa.array([slot.replace(tzinfo=None) for slot in SLOTS], pa.timestamp("ms"))
    write_parquet(folder, pa.array(EXPORT), naive)
    assert "a timestamp without time zone" in complaint(folder)


def test_a_file_that_is_no_parquet_is_told(folder: Path) -> None:
    (folder / "profiles.csv").unlink()
    (folder / "profiles.parquet").write_bytes(b"not parquet at all")
    assert complaint(folder).startswith("profiles.parquet: not readable as parquet")


# ------------------------------------------------------------------------------------------------- the sample


def test_the_sample_is_a_neighbourhood_of_seven_days_with_plants() -> None:
    sample = read_neighbourhood(SAMPLE)
    days = sample.profiles.days(sample.tariff.time_zone)
    assert (days[0], days[-1], len(days)) == (date(2026, 7, 1), date(2026, 7, 7), 7)
    assert len(sample.meters) == 338
    assert (sample.profiles.export_lots.sum(axis=0) > 0).sum() == 129
    first = sample.profiles.slots_of(days[0], sample.tariff.time_zone)
    assert first == slice(0, 96)
    assert sample.profiles.slots_s[0] == parse_instant_s("2026-06-30T16:00:00Z")


def test_the_sample_keeps_its_figures() -> None:
    sample = read_neighbourhood(SAMPLE)
    assert sample.profiles.export_lots.sum() // 100 == 505_904
    assert sample.profiles.import_lots.sum() // 100 == 768_324
    feeders = {node.node: node for node in sample.nodes if node.level is Level.FEEDER}
    assert len(feeders) == 9
    # 20 kV at 210, 220, 252 and 283 A: sqrt(3) x voltage x current at a power factor of 0.95, cut to whole kW.
    assert {node.export_kw for node in feeders.values()} == {"6910", "7239", "8293", "9313"}


def test_a_day_outside_the_profiles_is_told() -> None:
    sample = read_neighbourhood(SAMPLE)
    with pytest.raises(NeighbourhoodError, match=r"2026-07-08 is not in it \(it holds 2026-07-01 to 2026-07-07\)"):
        sample.profiles.slots_of(date(2026, 7, 8), sample.tariff.time_zone)
