"""A neighbourhood as anyone can write it down: a folder of four files, read here and checked to the last cell.

=====================  ==================================================================================
``grid.csv``           ``node,parent,level,export_kw,import_kw``: the tree down to the transformer areas, in the
                       format of ``jinsha replay``; limits are ratings in kW, empty is no limit
``meters.csv``         ``meter,parent,owner,owner_kind,kind,export_kw,import_kw,terms_days``: who stands where; the
                       capacity of the connection in kW for both directions; when the owner pays as a buyer, and the
                       longest it waits as a seller
``profiles.parquet``   ``slot,meter,export_kwh,import_kwh`` (or ``profiles.csv``): what each meter really measured in
                       every slot; decimals on the step of 0.01 kWh, never floats
``tariff.toml``        prices, fees, terms, times and money: ``market/tariff.py``
=====================  ==================================================================================

What is wrong is told in one line that names the file, the row and the column; nothing is guessed or repaired.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.units import UnitError, limit_lots_floor
from market.profiles import Profiles, read_profiles
from market.tariff import NeighbourhoodError, Tariff, read_tariff
from matching.order import Level

GRID_COLUMNS = ("node", "parent", "level", "export_kw", "import_kw")
METER_COLUMNS = ("meter", "parent", "owner", "owner_kind", "kind", "export_kw", "import_kw", "terms_days")

LEVELS = {"substation": Level.SUBSTATION, "feeder": Level.FEEDER, "transformer": Level.TRANSFORMER}
OWNER_KINDS = ("household", "business", "plant")
METER_KINDS = ("household", "business", "quarter", "pv", "wind", "hydro", "biomass", "storage", "other")
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the grid and the rating of its link to the parent, in kW as written; None is no limit."""

    node: str
    parent: str | None
    level: Level
    export_kw: str | None
    import_kw: str | None


@dataclass(frozen=True, slots=True)
class Meter:
    """A connection: where it hangs, whose it is, what stands behind it, and its capacity in kW as written."""

    meter: str
    parent: str
    owner: str
    owner_kind: str
    kind: str
    export_kw: str
    import_kw: str
    terms_days: int


@dataclass(frozen=True, slots=True)
class Owner:
    """Who trades for one or more meters."""

    name: str
    kind: str
    meters: tuple[Meter, ...]


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Everything a market and its simulation need; parents stand before children, profiles are in meters' order."""

    folder: Path
    nodes: tuple[Node, ...]
    meters: tuple[Meter, ...]
    owners: tuple[Owner, ...]
    profiles: Profiles
    tariff: Tariff


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a CSV file, with its place, so that every complaint can name it."""

    file: str
    number: int
    cells: Mapping[str, str]

    def wrong(self, column: str, what: str) -> NeighbourhoodError:
        return NeighbourhoodError(f"{self.file}: row {self.number}, column {column}: {what}")

    def name(self, column: str) -> str:
        text = self.cells[column]
        if not text or text != text.strip() or len(text) > LONGEST_NAME or not text.isprintable():
            raise self.wrong(column, f"{text[:40]!r} is not a name of 1 to {LONGEST_NAME} characters")
        return text

    def limit(self, column: str) -> str:
        text = self.cells[column]
        try:
            limit_lots_floor(text, 60)
        except UnitError as error:
            raise self.wrong(column, str(error)) from error
        return text

    def one_of(self, column: str, known: tuple[str, ...]) -> str:
        text = self.cells[column]
        if text not in known:
            raise self.wrong(column, f"{text[:40]!r} is none of {', '.join(known)}")
        return text


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row]:
    """The rows of a CSV file that has exactly these columns, in any order; a row's number is its line in the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            header = next(reader, [])
            _check_header(path.name, header, columns)
            for cells in reader:
                if len(cells) != len(header):
                    raise NeighbourhoodError(
                        f"{path.name}: row {reader.line_num}: {len(cells)} columns instead of {len(header)}"
                    )
                yield _Row(path.name, reader.line_num, dict(zip(header, cells, strict=True)))
    except FileNotFoundError as error:
        raise NeighbourhoodError(f"{path.name}: there is no such file in {path.parent}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise NeighbourhoodError(f"{path.name}: not readable as CSV in UTF-8: {error}") from error


def _check_header(file: str, header: list[str], columns: tuple[str, ...]) -> None:
    for column in header:
        if column not in columns:
            raise NeighbourhoodError(f"{file}: row 1, column {column}: unknown column (known: {', '.join(columns)})")
        if header.count(column) > 1:
            raise NeighbourhoodError(f"{file}: row 1, column {column}: stands twice")
    for column in columns:
        if column not in header:
            raise NeighbourhoodError(f"{file}: row 1, column {column}: this column is missing")


# ----------------------------------------------------------------------------------------------------- grid


def _read_grid(path: Path) -> tuple[Node, ...]:
    rows: dict[str, _Row] = {}
    nodes: dict[str, Node] = {}
    for row in _rows(path, GRID_COLUMNS):
        name = row.name("node")
        if name in nodes:
            raise row.wrong("node", f"{name!r} stands twice")
        rows[name] = row
        nodes[name] = Node(
            node=name,
            parent=row.cells["parent"] or None,
            level=LEVELS[row.one_of("level", tuple(LEVELS))],
            export_kw=row.limit("export_kw") if row.cells["export_kw"] else None,
            import_kw=row.limit("import_kw") if row.cells["import_kw"] else None,
        )
    _check_tree(path.name, rows, nodes)
    # A parent's level is above its child's: sorting by level puts parents first.
    return tuple(sorted(nodes.values(), key=lambda node: -node.level))


def _check_tree(file: str, rows: Mapping[str, _Row], nodes: Mapping[str, Node]) -> None:
    """One root, a substation; every other node under a known node of a higher level (so there is no cycle)."""
    roots = [node for node in nodes.values() if node.parent is None]
    if not roots:
        raise NeighbourhoodError(f"{file}: column parent: no row is the root (the substation, with an empty parent)")
    for second in roots[1:]:
        raise rows[second.node].wrong("parent", f"empty, but {roots[0].node!r} is the root already")
    if roots[0].level is not Level.SUBSTATION:
        raise rows[roots[0].node].wrong("level", "the root must be the substation")
    for node in nodes.values():
        if node.parent is None:
            continue
        if node.parent not in nodes:
            raise rows[node.node].wrong("parent", f"{node.parent!r} is no node of this grid")
        if nodes[node.parent].level <= node.level:
            above = nodes[node.parent].level.name.lower()
            raise rows[node.node].wrong("parent", f"a {node.level.name.lower()} cannot hang under a {above}")


# --------------------------------------------------------------------------------------------------- meters


def _read_meters(path: Path, nodes: tuple[Node, ...], terms: tuple[int, ...]) -> tuple[Meter, ...]:
    known_nodes = {node.node for node in nodes}
    kinds: dict[str, str] = {}
    meters: dict[str, Meter] = {}
    for row in _rows(path, METER_COLUMNS):
        meter = _meter(row, tuple(map(str, terms)))
        if meter.meter in meters or meter.meter in known_nodes:
            raise row.wrong("meter", f"{meter.meter!r} stands twice")
        if meter.parent not in known_nodes:
            raise row.wrong("parent", f"{meter.parent!r} is no node of grid.csv")
        if kinds.setdefault(meter.owner, meter.owner_kind) != meter.owner_kind:
            raise row.wrong("owner_kind", f"{meter.owner!r} is a {kinds[meter.owner]} in an earlier row")
        meters[meter.meter] = meter
    if not meters:
        raise NeighbourhoodError(f"{path.name}: no meter in it")
    return tuple(meters.values())


def _meter(row: _Row, terms: tuple[str, ...]) -> Meter:
    return Meter(
        meter=row.name("meter"),
        parent=row.name("parent"),
        owner=row.name("owner"),
        owner_kind=row.one_of("owner_kind", OWNER_KINDS),
        kind=row.one_of("kind", METER_KINDS),
        export_kw=row.limit("export_kw"),
        import_kw=row.limit("import_kw"),
        terms_days=int(row.one_of("terms_days", terms)),
    )


def _owners(meters: tuple[Meter, ...]) -> tuple[Owner, ...]:
    """Owners in the order of their first meter."""
    by_owner: dict[str, list[Meter]] = {}
    for meter in meters:
        by_owner.setdefault(meter.owner, []).append(meter)
    return tuple(Owner(name, owned[0].owner_kind, tuple(owned)) for name, owned in by_owner.items())


# ------------------------------------------------------------------------------------------------ the folder


def read_neighbourhood(folder: Path) -> Neighbourhood:
    """The folder as a value. Raises NeighbourhoodError: one line with file, row and column of the first fault."""
    if not folder.is_dir():
        raise NeighbourhoodError(f"{folder}: there is no such folder")
    tariff = read_tariff(folder / "tariff.toml")
    nodes = _read_grid(folder / "grid.csv")
    meters = _read_meters(folder / "meters.csv", nodes, tariff.terms_days)
    profiles = read_profiles(folder, meters=[meter.meter for meter in meters], slot_minutes=tariff.slot_minutes)
    _check_capacities(profiles, meters, tariff.slot_minutes)
    return Neighbourhood(folder, nodes, meters, _owners(meters), profiles, tariff)


def _check_capacities(profiles: Profiles, meters: tuple[Meter, ...], slot_minutes: int) -> None:
    """No profile is above its meter's connection: the market would put such readings in quarantine."""
    for column, energies, limits in (
        ("export_kwh", profiles.export_lots, [meter.export_kw for meter in meters]),
        ("import_kwh", profiles.import_lots, [meter.import_kw for meter in meters]),
    ):
        for place, limit_kw in enumerate(limits):
            most = int(energies[:, place].max())
            if most > limit_lots_floor(limit_kw, slot_minutes):
                raise profiles.wrong(int(energies[:, place].argmax()), place, column, most, limit_kw)
