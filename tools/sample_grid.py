"""A SimBench grid as a market's tree: substation > feeder > transformer area > meter.

SimBench gives buses, lines and transformers; the tree is found by walking outward from the medium-voltage busbar over
everything that is closed. Each line that leaves the busbar is a feeder. Each transformer to 0.4 kV, and each load that
SimBench put on a medium-voltage bus in place of a whole low-voltage grid (profiles ``lv_...``), is a transformer area.
Ratings are SimBench's: sqrt(3) x voltage x current of the feeder's first line, apparent power of the transformers.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

POWER_FACTOR = 0.95
"""ASSUMPTION: ratings are in kVA, limits in kW."""

CONNECTIONS_KW = ("8.8", "13.2", "21", "41", "66", "105", "164", "263", "415")
"""ASSUMPTION: usual house connections: 40 and 60 A at 220 V, then 32 to 630 A at 380 V in three phases."""

PLANT_TERMS_DAYS = 60
LARGE_LOAD_TERMS_DAYS = {"G": 60, "B": 60, "L": 30}
"""ASSUMPTION: factories and shops (SimBench G and BL) on medium voltage pay after 60 days, farms after 30."""

QUARTER_TERMS_DAYS = {"lv_urban6": 30}
"""ASSUMPTION: the urban quarters buy through a property company that pays after 30 days; the others prepay."""

QUARTER_NETS = {
    "lv_rural1": "1-LV-rural1--0-no_sw",
    "lv_rural2": "1-LV-rural2--0-no_sw",
    "lv_rural3": "1-LV-rural3--0-no_sw",
    "lv_semiurb4": "1-LV-semiurb4--0-no_sw",
    "lv_semiurb5": "1-LV-semiurb5--0-no_sw",
    "lv_urban6": "1-LV-urban6--0-no_sw",
}
"""The low-voltage grids that SimBench's equivalents stand for: their transformers' ratings are read from there."""


@dataclass(frozen=True)
class GridNode:
    name: str
    parent: str
    level: str
    rating_kw: str


@dataclass(frozen=True)
class Connection:
    """A meter, its owner, and which of SimBench's loads and plants stand behind it."""

    meter: str
    parent: str
    owner: str
    owner_kind: str
    kind: str
    export_kw: str
    import_kw: str
    terms_days: int
    loads: list[int] = field(default_factory=list)
    plants: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class SampleGrid:
    nodes: list[GridNode]
    connections: list[Connection]


def rating_kw_floor(apparent_kva: float) -> str:
    """kVA at the assumed power factor, rounded down to a whole kW."""
    return str(math.floor(apparent_kva * POWER_FACTOR + 1e-9))


def kw_ceil(power_mw: float) -> str:
    """MW to kW, rounded up to 0.01 kW."""
    steps = math.ceil(power_mw * 100_000 - 1e-6)
    return f"{steps // 100}.{steps % 100:02d}"


def connection_kw(power_mw: float) -> str:
    """The smallest usual connection that carries this power."""
    fitting = [text for text in CONNECTIONS_KW if float(text) >= power_mw * 1000]
    return fitting[0] if fitting else kw_ceil(power_mw)


class _Walk:
    """The closed part of the grid, and for each bus the node of the tree that it belongs to."""

    def __init__(self, net: Any) -> None:
        self.net = net
        self.nodes: list[GridNode] = []
        self.place: dict[int, str] = {}
        self.neighbours: dict[int, list[tuple[int, str, int]]] = {bus: [] for bus in net.bus.index}
        for bus, other, kind, index in self._links():
            self.neighbours[bus].append((other, kind, index))
            self.neighbours[other].append((bus, kind, index))

    def _links(self) -> Iterator[tuple[int, int, str, int]]:
        net = self.net
        opened = net.switch[~net.switch.closed]
        open_lines, open_trafos = (set(opened.element[opened.et == kind]) for kind in ("l", "t"))
        for index, line in net.line.iterrows():
            if line.in_service and index not in open_lines:
                yield line.from_bus, line.to_bus, "line", index
        for index, trafo in net.trafo.iterrows():
            if trafo.in_service and index not in open_trafos:
                yield trafo.hv_bus, trafo.lv_bus, "trafo", index
        for switch in net.switch[net.switch.closed & (net.switch.et == "b")].itertuples():
            yield switch.bus, switch.element, "busbar", -1

    def run(self) -> None:
        net = self.net
        hv_bus = int(net.ext_grid.bus.iloc[0])
        feeding = net.trafo[net.trafo.hv_bus == hv_bus]
        root = str(feeding.subnet.iloc[0])
        rating_kva = float((feeding.sn_mva * feeding.parallel).sum() * 1000)
        self.nodes.append(GridNode(root, "", "substation", rating_kw_floor(rating_kva)))
        self.place[hv_bus] = root
        for busbar in sorted(set(feeding.lv_bus)):
            self.place[busbar] = root
        for busbar in sorted(set(feeding.lv_bus)):
            self._leave(busbar, root)
        missing = set(net.bus.index[net.bus.in_service]) - set(self.place)
        if missing:
            raise SystemExit(f"{len(missing)} buses are not connected to the substation")

    def _leave(self, bus: int, node: str) -> None:
        """Depth first over everything that is fed through ``bus``, which belongs to ``node``."""
        stack = [(bus, node)]
        while stack:
            here, node = stack.pop()
            for there, kind, index in sorted(self.neighbours[here]):
                if there not in self.place:
                    self.place[there] = self._enter(node, there, kind, index)
                    stack.append((there, self.place[there]))

    def _enter(self, node: str, bus: int, kind: str, index: int) -> str:
        """The node of a bus that is reached from ``node`` over a line or a transformer."""
        root = self.nodes[0].name
        if kind == "trafo":
            trafo = self.net.trafo.loc[index]
            return self._add(str(trafo.subnet), node, "transformer", float(trafo.sn_mva * trafo.parallel * 1000))
        if kind == "line" and node == root:
            line = self.net.line.loc[index]
            rated_kva = math.sqrt(3) * self.net.bus.vn_kv[bus] * line.max_i_ka * line.parallel * line.df * 1000
            feeders = sum(found.level == "feeder" for found in self.nodes)
            return self._add(f"{root}.F{feeders + 1}", root, "feeder", float(rated_kva))
        return node

    def _add(self, name: str, parent: str, level: str, rated_kva: float) -> str:
        self.nodes.append(GridNode(name, parent, level, rating_kw_floor(rated_kva)))
        return name


def build(net: Any) -> SampleGrid:
    """The tree of a SimBench grid, and every load and plant of it behind a meter."""
    walk = _Walk(net)
    walk.run()
    connections = [*_houses(walk), *_quarters(walk), *_large(walk)]
    held = [(len(c.loads), len(c.plants)) for c in connections]
    assert [sum(counts) for counts in zip(*held, strict=True)] == [len(net.load), len(net.sgen)]
    return SampleGrid(walk.nodes, sorted(connections, key=lambda c: (c.loads or [10**9], c.plants)))


def _meter_name(element: str) -> str:
    return element.replace(" ", "-")


def _houses(walk: _Walk) -> Iterator[Connection]:
    """Homes, shops and roofs on low voltage. A roof joins the first load of its bus: one house, one meter."""
    net = walk.net
    low = net.bus.vn_kv < 1
    roofs = {int(bus): list(group.index) for bus, group in net.sgen[net.sgen.bus.map(low)].groupby("bus")}
    numbers = {"household": 0, "business": 0}
    for index, load in net.load[net.load.bus.map(low)].iterrows():
        kind = "household" if load.profile.startswith("H") else "business"
        numbers[kind] += 1
        plants = roofs.pop(load.bus, [])
        yield Connection(
            meter=_meter_name(load["name"]),
            parent=walk.place[load.bus],
            owner=f"{kind.capitalize()} {numbers[kind]}",
            owner_kind=kind,
            kind=kind,
            export_kw=connection_kw(net.sgen.p_mw[plants].sum()) if plants else "0",
            import_kw=connection_kw(load.p_mw),
            terms_days=0,
            loads=[index],
            plants=plants,
        )
    for bus, plants in roofs.items():
        for index in plants:
            yield _plant(walk, index, walk.place[bus], terms_days=0)


def _quarters(walk: _Walk) -> Iterator[Connection]:
    """Whole low-voltage grids that SimBench replaced by one load and one plant: a quarter, and its solar roofs."""
    net = walk.net
    ratings = {profile: _transformer_kva(profile) for profile in set(net.load.profile) & set(QUARTER_NETS)}
    terms: dict[str, int] = {}
    for index, load in net.load[net.load.profile.isin(list(ratings))].iterrows():
        area = _area_name(net.bus.subnet[load.bus], load["name"])
        walk.nodes.append(GridNode(area, walk.place[load.bus], "transformer", rating_kw_floor(ratings[load.profile])))
        terms[area] = QUARTER_TERMS_DAYS.get(load.profile, 0)
        yield Connection(
            meter=f"{area}-quarter",
            parent=area,
            owner=f"Quarter {area}",
            owner_kind="business",
            kind="quarter",
            export_kw="0",
            import_kw=kw_ceil(load.p_mw),
            terms_days=terms[area],
            loads=[index],
        )
    for index, plant in net.sgen[net.sgen.profile.isin(list(ratings))].iterrows():
        area = _area_name(net.bus.subnet[plant.bus], plant["name"])
        yield Connection(
            meter=f"{area}-roofs",
            parent=area,
            owner=f"Solar roofs {area}",
            owner_kind="plant",
            kind="pv",
            export_kw=kw_ceil(plant.p_mw),
            import_kw="0",
            terms_days=terms[area],
            plants=[index],
        )


def _area_name(subnet: str, element: str) -> str:
    """``MV2.101_LV5.214_Feeder8`` stands for the low-voltage grid ``LV5.214``."""
    found = re.search(r"LV\d+\.\d+", subnet)
    return found.group() if found else _meter_name(element)


def _transformer_kva(profile: str) -> float:
    import simbench

    trafo = simbench.get_simbench_net(QUARTER_NETS[profile]).trafo
    return float((trafo.sn_mva * trafo.parallel).sum() * 1000)


def _large(walk: _Walk) -> Iterator[Connection]:
    """Factories and plants with a medium-voltage connection of their own."""
    net = walk.net
    high = net.bus.vn_kv >= 1
    loads = net.load[net.load.bus.map(high) & ~net.load.profile.isin(list(QUARTER_NETS))]
    for number, (index, load) in enumerate(loads.iterrows(), start=1):
        yield Connection(
            meter=_meter_name(load["name"]),
            parent=walk.place[load.bus],
            owner=f"{'Farm' if load.profile.startswith('L') else 'Factory'} {number}",
            owner_kind="business",
            kind="business",
            export_kw="0",
            import_kw=kw_ceil(load.p_mw),
            terms_days=LARGE_LOAD_TERMS_DAYS[load.profile[0]],
            loads=[index],
        )
    plants = net.sgen[net.sgen.bus.map(high) & ~net.sgen.profile.isin(list(QUARTER_NETS))]
    for index, plant in plants.iterrows():
        yield _plant(walk, index, walk.place[plant.bus], PLANT_TERMS_DAYS)


def _plant(walk: _Walk, index: int, parent: str, terms_days: int) -> Connection:
    plant = walk.net.sgen.loc[index]
    source = plant.type.split("_")[0]
    number = int(re.findall(r"\d+", plant["name"])[-1])
    return Connection(
        meter=_meter_name(plant["name"]),
        parent=parent,
        owner=f"{source} plant {number}" if terms_days else f"{source} plant {_meter_name(plant['name'])}",
        owner_kind="plant",
        kind=source.lower(),
        export_kw=kw_ceil(plant.p_mw),
        import_kw=CONNECTIONS_KW[0] if source == "Wind" else "0",  # turbines that stand still draw a few watts
        terms_days=terms_days,
        plants=[index],
    )
