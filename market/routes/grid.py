"""The grid: everyone sees the tree; the operator grows it and changes its limits. Each change is in the journal."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from data.units import UnitError, format_instant, limit_lots_floor
from market import wire
from market.connecting import ConnectNodes, NewMeter, NewNode
from market.context import CONTEXT, Context
from market.identity import require
from market.jobs import Job, NewLimit, SetLimits
from market.openapi.fields import Instant, Power, choice
from market.openapi.operation import ANYONE, operation
from market.problems import Problem, ProblemError, refuse
from market.records import MeterRecord, NodeRecord, ReceiptBody
from market.state import MarketState
from matching.order import Level

AT_ONCE = 10_000
_MISPLACED = ("409 duplicate_node", "422 bad_limit bad_parent unknown_node unknown_member")


class NodeBody(wire.Body, frozen=True):
    """A node; an empty limit is no limit. The root has no parent."""

    node: wire.Name
    parent: wire.Name | None
    level: Literal["substation", "feeder", "transformer"]
    export_kw: Power | None = None
    import_kw: Power | None = None


class NodesBody(wire.Body, frozen=True):
    nodes: Annotated[list[NodeBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]


class MeterBody(wire.Body, frozen=True):
    """A meter with the capacity of its connection."""

    meter: wire.Name
    parent: wire.Name
    member: wire.Id
    kind: Annotated[str, msgspec.Meta(pattern="^[a-z_]{1,20}$")]
    export_kw: Power
    import_kw: Power


class MetersBody(wire.Body, frozen=True):
    meters: Annotated[list[MeterBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]


class LimitBody(wire.Body, frozen=True):
    """New limits of the link above a node, for one slot or, without ``slot``, for all."""

    node: wire.Name
    export_kw: Power | None
    import_kw: Power | None
    slot: Instant | None = None


class LimitsBody(wire.Body, frozen=True):
    limits: Annotated[list[LimitBody], msgspec.Meta(min_length=1, max_length=AT_ONCE)]


class NumberedNode(msgspec.Struct, frozen=True):
    """A node with the number that the journal knows it by."""

    node: str
    number: int


class GridChanged(msgspec.Struct, frozen=True):
    """What was changed, and the receipt for it."""

    items: list[NumberedNode]
    receipt: ReceiptBody


class ShownNode(msgspec.Struct, frozen=True):
    """A node of the tree; `kind` is that of a meter, and a limit of null is no limit."""

    node: str
    parent: str | None
    level: Annotated[str, choice("substation", "feeder", "transformer", "meter")]
    export_kw: str | None
    import_kw: str | None
    kind: str | None


class GridBody(msgspec.Struct, frozen=True):
    """The whole tree at a time."""

    at: Instant
    items: list[ShownNode]
    next: str | None


@operation(GridChanged, status=201, who=("operator",), scope="office", body=NodesBody, refuses=_MISPLACED)
async def connect_nodes(request: web.Request) -> web.Response:
    """Add nodes, parents before children; all of them or none."""
    require(request, "operator", scope="office")
    body = await wire.read(request, NodesBody)
    context = request.app[CONTEXT]
    nodes = [
        NewNode(
            node.node,
            node.parent,
            Level[node.level.upper()],
            node.export_kw,
            node.import_kw,
            _lots(context, node.export_kw, f"nodes[{index}].export_kw"),
            _lots(context, node.import_kw, f"nodes[{index}].import_kw"),
        )
        for index, node in enumerate(body.nodes)
    ]
    return await _change(context, ConnectNodes(nodes, "nodes"))


@operation(GridChanged, status=201, who=("operator",), scope="office", body=MetersBody, refuses=_MISPLACED)
async def connect_meters(request: web.Request) -> web.Response:
    """Add meters, each under a node and of a member; all of them or none."""
    require(request, "operator", scope="office")
    body = await wire.read(request, MetersBody)
    context = request.app[CONTEXT]
    nodes = [
        NewNode(
            meter.meter,
            meter.parent,
            Level.METER,
            meter.export_kw,
            meter.import_kw,
            _lots(context, meter.export_kw, f"meters[{index}].export_kw"),
            _lots(context, meter.import_kw, f"meters[{index}].import_kw"),
            NewMeter(meter.member, meter.kind),
        )
        for index, meter in enumerate(body.meters)
    ]
    return await _change(context, ConnectNodes(nodes, "meters"))


@operation(
    GridChanged,
    who=("operator", "grid_company"),
    scope="office",
    body=LimitsBody,
    refuses=("422 bad_limit bad_time unknown_node",),
)
async def set_limits(request: web.Request) -> web.Response:
    """Change limits while the market runs; the latest word on a link holds."""
    require(request, "operator", "grid_company", scope="office")
    body = await wire.read(request, LimitsBody)
    context = request.app[CONTEXT]
    limits = [
        NewLimit(
            limit.node,
            wire.instant_s(limit.slot, f"limits[{index}].slot") if limit.slot is not None else None,
            limit.export_kw,
            limit.import_kw,
            _lots(context, limit.export_kw, f"limits[{index}].export_kw"),
            _lots(context, limit.import_kw, f"limits[{index}].import_kw"),
        )
        for index, limit in enumerate(body.limits)
    ]
    return await _change(context, SetLimits(limits), status=200)


async def _change(context: Context, job: Job, status: int = 201) -> web.Response:
    outcome = await context.sequencer.submit(job)
    if isinstance(outcome.answer, Problem):
        raise ProblemError(outcome.answer)
    nodes: Sequence[NodeRecord] = outcome.answer
    assert outcome.receipt is not None
    items = [NumberedNode(node.name, node.node_id) for node in nodes]
    return wire.reply(GridChanged(items, outcome.receipt.body()), status)


def _lots(context: Context, limit_kw: str | None, field: str) -> int | None:
    if limit_kw is None:
        return None
    try:
        return limit_lots_floor(limit_kw, context.config.market.slot_minutes)
    except UnitError as error:
        raise refuse(422, "bad_limit", str(error), field) from error


@operation(GridBody, who=ANYONE)
async def show(request: web.Request) -> web.Response:
    """The whole tree, in order of connection; whose a meter is, is not shown."""
    wire.query(request)

    def tree(state: MarketState) -> tuple[list[NodeRecord], dict[str, MeterRecord], int]:
        return list(state.nodes.values()), dict(state.meters), state.now_s

    nodes, meters, now_s = await request.app[CONTEXT].sequencer.look(tree)
    names = {node.node_id: node.name for node in nodes}
    items = [
        ShownNode(
            node=node.name,
            parent=names[node.parent_id] if node.parent_id is not None else None,
            level=Level(node.level).name.lower(),
            export_kw=node.export_kw,
            import_kw=node.import_kw,
            kind=meters[node.name].kind if node.name in meters else None,
        )
        for node in nodes
    ]
    return wire.reply(GridBody(format_instant(now_s), items, next=None))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/grid", show),
        web.post("/v1/grid", connect_nodes),
        web.post("/v1/grid/limits", set_limits),
        web.post("/v1/meters", connect_meters),
    ]
