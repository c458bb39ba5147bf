"""Builds a neighbourhood folder out of a SimBench grid: the sample that the demo trades, or a larger one to benchmark.

    python -m tools.build_sample --out data/sample

SimBench and its dependencies stay out of the project's own environment (they pin an older pandas); this script wants
one of its own, with ``pip install simbench pyarrow msgspec``. It writes ``grid.csv``, ``meters.csv`` and
``profiles.parquet``; ``tariff.toml`` is written by hand and copied from the sample where the folder has none.
What each file holds stands in ``data/sample/README.md``.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tools import sample_grid
from tools.sample_grid import Connection, SampleGrid

SHIFT = timedelta(weeks=521)
"""SimBench's profiles are of 2016. Whole weeks later a Wednesday is a Wednesday: 2016-07-06 becomes 2026-07-01."""

TIME_ZONE = "Asia/Shanghai"
SLOTS_A_DAY = 96
SLOT_HOURS = 0.25
Lots = npt.NDArray[np.int64]
SAMPLE = Path(__file__).parent.parent / "data" / "sample"


def register_lots_floor(power_mw: npt.NDArray[np.float64]) -> Lots:
    """Energy per slot in lots of 0.01 kWh, as a meter shows it: the register is cut to its last digit, slots are
    differences of the register, and so nothing is lost over a day. Shape (slots, ...) in, the same out, int64."""
    register = np.floor(np.cumsum(power_mw, axis=0) * 1000 * SLOT_HOURS * 100 + 1e-6).astype(np.int64)
    return np.diff(register, axis=0, prepend=0)


def powers(net: Any, first: date, days: int) -> dict[str, Any]:
    """Active power in MW of every load and every plant, of the days asked for: frames of slots by elements."""
    import simbench

    profiles = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    start = (first - SHIFT - date(2016, 1, 1)).days * SLOTS_A_DAY
    rows = slice(start, start + days * SLOTS_A_DAY)
    found = {kind: profiles[(kind, "p_mw")].iloc[rows] for kind in ("load", "sgen")}
    if start < 0 or len(found["load"]) != days * SLOTS_A_DAY:
        raise SystemExit(f"SimBench has one year of profiles: {2016 + SHIFT // timedelta(days=365)} only")
    return found


def energies(connections: list[Connection], found: dict[str, Any]) -> tuple[Lots, Lots]:
    """(export, import) in lots, shape (slots, meters). What stands behind one meter is netted in each slot."""
    net_import = np.stack(
        [
            (found["load"][connection.loads].sum(axis=1) - found["sgen"][connection.plants].sum(axis=1)).to_numpy()
            for connection in connections
        ],
        axis=1,
    )
    return register_lots_floor(np.maximum(-net_import, 0)), register_lots_floor(np.maximum(net_import, 0))


def write_csv(path: Path, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def kwh(lots: Lots) -> pa.Array:
    """Lots as exact decimals in kWh with two places."""
    whole = pa.array(lots).cast(pa.int32()).cast(pa.decimal128(10, 0))
    return pc.multiply(whole, pa.scalar(Decimal("0.01"))).cast(pa.decimal128(12, 2))


def write_profiles(path: Path, connections: list[Connection], first: date, lots: tuple[Lots, Lots]) -> None:
    """One row per meter and slot, all slots of a meter together, so that like stands beside like and packs small."""
    slots = len(lots[0])
    midnight = np.datetime64(first) - np.timedelta64(8, "h")  # Shanghai is eight hours ahead of UTC all year
    slot = midnight.astype("datetime64[ms]") + np.arange(slots) * np.timedelta64(15, "m")
    meters = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(connections), dtype=np.int32), slots)), [c.meter for c in connections]
    )
    table = pa.table(
        {
            "slot": pa.array(np.tile(slot, len(connections))).cast(pa.timestamp("ms", tz="UTC")),
            "meter": meters,
            "export_kwh": kwh(lots[0].T.ravel()),
            "import_kwh": kwh(lots[1].T.ravel()),
        }
    )
    pa.parquet.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=["meter", "export_kwh", "import_kwh"],
        column_encoding={"slot": "DELTA_BINARY_PACKED"},
        store_decimal_as_integer=True,
    )


def write_folder(out: Path, grid: SampleGrid, first: date, lots: tuple[Lots, Lots]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    nodes = [(n.name, n.parent, n.level, n.rating_kw, n.rating_kw) for n in grid.nodes]
    write_csv(out / "grid.csv", ("node", "parent", "level", "export_kw", "import_kw"), nodes)
    write_csv(
        out / "meters.csv",
        ("meter", "parent", "owner", "owner_kind", "kind", "export_kw", "import_kw", "terms_days"),
        [
            (c.meter, c.parent, c.owner, c.owner_kind, c.kind, c.export_kw, c.import_kw, c.terms_days)
            for c in grid.connections
        ],
    )
    write_profiles(out / "profiles.parquet", grid.connections, first, lots)
    if not (out / "tariff.toml").exists():
        shutil.copyfile(SAMPLE / "tariff.toml", out / "tariff.toml")


def load_net(code: str) -> Any:
    try:
        import simbench
    except ImportError:
        raise SystemExit("SimBench is not installed here: pip install simbench pyarrow msgspec") from None
    if code not in simbench.collect_all_simbench_codes():
        raise SystemExit(f"SimBench has no grid {code!r}; 1-MVLV-semiurb-5.220-0-no_sw is the sample's")
    return simbench.get_simbench_net(code)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--grid", default="1-MVLV-semiurb-5.220-0-no_sw", help="SimBench code of the grid")
    parser.add_argument("--first-day", type=date.fromisoformat, default=date(2026, 7, 1))
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--out", type=Path, default=SAMPLE)
    return parser.parse_args()


def main() -> int:
    from market.neighbourhood import read_neighbourhood

    options = arguments()
    net = load_net(options.grid)
    grid = sample_grid.build(net)
    found = powers(net, options.first_day, options.days)
    lots = energies(grid.connections, found)
    write_folder(options.out, grid, options.first_day, lots)
    made = read_neighbourhood(options.out)
    size = sum(path.stat().st_size for path in options.out.iterdir() if path.is_file())
    print(
        f"{options.out}: {len(made.nodes)} nodes, {len(made.meters)} meters of {len(made.owners)} owners, "
        f"{int((lots[0].sum(axis=0) > 0).sum())} meters that export, {options.days} days, "
        f"{lots[0].sum() // 100} kWh exported, {lots[1].sum() // 100} kWh imported, {size // 1024} KiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
