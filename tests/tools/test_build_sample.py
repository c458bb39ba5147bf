"""The sample's builder, as far as it goes without SimBench: energy is conserved, ratings rounded to the safe side."""

import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from tools import build_sample, sample_grid
from tools.sample_grid import Connection

ROOT = Path(__file__).parents[2]


def test_a_register_loses_nothing_over_the_day() -> None:
    power_mw = np.random.default_rng(5).uniform(0, 0.002, (96, 3))
    lots = build_sample.register_lots_floor(power_mw)
    exact = power_mw.sum(axis=0) * 1000 * 0.25 * 100
    assert lots.shape == (96, 3)
    assert (lots >= 0).all()
    assert (exact - lots.sum(axis=0) >= -1e-6).all()
    assert (exact - lots.sum(axis=0) < 1).all()


def test_a_steady_trickle_shows_when_the_register_turns() -> None:
    # 16 W are 4 Wh a slot: 0.01 kWh after two and a half.
    lots = build_sample.register_lots_floor(np.full((5, 1), 0.000016))
    assert lots.ravel().tolist() == [0, 0, 1, 0, 1]


def test_energy_is_written_as_exact_decimals() -> None:
    assert build_sample.kwh(np.array([0, 1, 123_456], dtype=np.int64)).to_pylist() == [
        Decimal("0.00"),
        Decimal("0.01"),
        Decimal("1234.56"),
    ]


def test_what_stands_behind_one_meter_is_netted_in_each_slot(tmp_path: Path) -> None:
    import pandas as pd

    found = {
        "load": pd.DataFrame({0: [0.004, 0.001], 1: [0.010, 0.010]}),
        "sgen": pd.DataFrame({0: [0.001, 0.003]}),
    }
    house = Connection("M1", "T", "A", "household", "household", "9", "9", 0, loads=[0], plants=[0])
    shop = Connection("M2", "T", "B", "business", "business", "0", "20", 0, loads=[1])
    exports, imports = build_sample.energies([house, shop], found)
    assert imports.tolist() == [[75, 250], [0, 250]]
    assert exports.tolist() == [[0, 0], [50, 0]]
    build_sample.write_profiles(tmp_path / "p.parquet", [house, shop], date(2026, 7, 1), (exports, imports))
    rows = pyarrow.parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert [(row["meter"], str(row["export_kwh"]), str(row["import_kwh"])) for row in rows] == [
        ("M1", "0.00", "0.75"),
        ("M1", "0.50", "0.00"),
        ("M2", "0.00", "2.50"),
        ("M2", "0.00", "2.50"),
    ]
    assert rows[0]["slot"].isoformat() == "2026-06-30T16:00:00+00:00"
    assert rows[1]["slot"].isoformat() == "2026-06-30T16:15:00+00:00"


@pytest.mark.parametrize(("mw", "kw"), [(0.137, "137.00"), (0.00345, "3.45"), (0.0034501, "3.46"), (2.1, "2100.00")])
def test_a_plant_is_never_given_less_than_it_makes(mw: float, kw: str) -> None:
    assert sample_grid.kw_ceil(mw) == kw


@pytest.mark.parametrize(("kva", "kw"), [(630, "598"), (160, "152"), (100, "95"), (9803.4, "9313")])
def test_a_rating_is_rounded_down(kva: float, kw: str) -> None:
    assert sample_grid.rating_kw_floor(kva) == kw


@pytest.mark.parametrize(
    ("mw", "kw"), [(0.001, "8.8"), (0.0088, "8.8"), (0.009, "13.2"), (0.1, "105"), (0.5, "500.00")]
)
def test_a_house_has_the_smallest_connection_that_fits(mw: float, kw: str) -> None:
    assert sample_grid.connection_kw(mw) == kw


def test_whole_weeks_keep_weekdays() -> None:
    assert (date(2026, 7, 1) - build_sample.SHIFT) == date(2016, 7, 6)
    assert date(2016, 7, 6).weekday() == date(2026, 7, 1).weekday()


def test_without_simbench_it_says_what_to_install(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['simbench'] = None; from tools.build_sample import load_net; load_net('x')"
    done = subprocess.run([sys.executable, "-c", hidden], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install simbench" in done.stderr
