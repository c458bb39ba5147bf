"""Growing the grid: nodes and meters, many at once, all of them or none. They are commands in the journal."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from market.jobs import PlainJob
from market.problems import Problem
from market.records import MeterRecord, NodeRecord
from market.state import MarketState
from matching.grid import GridError, check_connect
from matching.order import Connect, Level


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node as asked for. Limits in kW and in lots per slot; ``meter`` says whose it is when it is one."""

    name: str
    parent: str | None
    level: Level
    export_kw: str | None
    import_kw: str | None
    export_lots: int | None
    import_lots: int | None
    meter: "NewMeter | None" = None


@dataclass(frozen=True, slots=True)
class NewMeter:
    """Whose a meter is and of which kind: household, business, pv, hydro, wind, biomass ..."""

    member_id: int
    kind: str


@dataclass
class ConnectNodes(PlainJob):
    """Answers the node records in the order given, or a Problem that names the first node at fault.

    ``list_name`` is that of the list in the request, for the problem's field.
    """

    nodes: Sequence[NewNode]
    list_name: str
    problem: Problem | None = None
    connected: list[NodeRecord] = field(default_factory=list)

    def run(self, state: MarketState) -> None:
        commands: list[Connect] = []
        levels = {node.node_id: Level(node.level) for node in state.nodes.values()}
        ids = {name: node.node_id for name, node in state.nodes.items()}
        for index, node in enumerate(self.nodes):
            refused = self._refusal(state, node, ids)
            if refused is None:
                command = Connect(
                    len(levels),
                    ids[node.parent] if node.parent is not None else -1,
                    node.level,
                    node.export_lots,
                    node.import_lots,
                )
                try:
                    check_connect(levels, command)
                except GridError as error:
                    refused = ("parent", "bad_parent", str(error))
            if refused is not None:
                where, code, detail = refused
                status = 409 if code == "duplicate_node" else 422
                self.problem = Problem(status, code, detail, f"{self.list_name}[{index}].{where}")
                return
            commands.append(command)
            levels[command.node] = node.level
            ids[node.name] = command.node
        self._connect(state, commands)

    def _refusal(self, state: MarketState, node: NewNode, ids: dict[str, int]) -> tuple[str, str, str] | None:
        """(field, code, detail) of what is wrong with a node, apart from its place in the tree."""
        own_name = "meter" if node.meter is not None else "node"
        if node.name in ids:
            return own_name, "duplicate_node", f"there is a node {node.name!r} already"
        if node.parent is not None and node.parent not in ids:
            return "parent", "unknown_node", f"there is no node {node.parent!r} to hang under"
        if node.meter is not None and node.meter.member_id not in state.members:
            return "member", "unknown_member", f"there is no member {node.meter.member_id}"
        return None

    def _connect(self, state: MarketState, commands: list[Connect]) -> None:
        state.apply(commands)
        for node, command in zip(self.nodes, commands, strict=True):
            parent_id = command.parent if command.parent >= 0 else None
            limits_kw = (node.export_kw, node.import_kw)
            record = NodeRecord(command.node, node.name, parent_id, node.level, *limits_kw, state.now_s)
            state.add_node(record)
            state.batch.nodes.append(record)
            self.connected.append(record)
            if node.meter is not None:
                assert node.export_lots is not None and node.import_lots is not None
                meter = MeterRecord(
                    record.node_id, node.meter.member_id, node.meter.kind, node.export_lots, node.import_lots
                )
                state.meters[node.name] = meter
                state.batch.meters.append(meter)

    def answer(self, state: MarketState) -> Problem | list[NodeRecord]:
        return self.problem or self.connected
