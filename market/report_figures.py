"""The figures of a report, computed exactly from what the tables hold: whole lots, ticks, micro-yuan and fen.

What members gained is the difference to a day without the market, in which the grid company serves all demand at the
retail price and takes all generation at the feed-in price. Both sides count what deviations cost them, by the lines of
their own statements, so a seller who failed to deliver shows a loss. Imports and exports are those that statements
settled: contracted lots and the deviations from them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from data.database import open_database, reading
from data.tables import cycles, journal, members, meters, offers, orders
from data.units import limit_lots_floor
from market import report_store as store
from market.report_store import Acts, Cash, Flow, Lines, Sale, SlotTrades, Stage
from matching.grid import NO_PARENT, Grid
from matching.order import Connect, Level

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tables do not tell: the market's fixed prices, what it is called, how the run went.

    ``audit`` is the closing line of ``jinsha audit``, empty when none was run; ``elapsed_s`` is None likewise.
    """

    title: str
    time_zone: str
    slot_minutes: int
    retail_ticks: int
    feed_in_ticks: int
    shortfall_ticks: int
    grid_company: int = 5
    elapsed_s: int | None = None
    audit: str = ""


class Benefit(NamedTuple):
    """One member's settled day: what it would have paid and received without the market, and how much better it did."""

    member_id: int
    paid_without_micro: int
    saved_micro: int
    received_without_micro: int
    gained_micro: int


class SlotEnergy(NamedTuple):
    """Settled energy of one slot, lots: metered import and export, and what of each was a trade between neighbours."""

    slot_s: int
    demand_lots: int
    generation_lots: int
    demand_met_lots: int
    generation_sold_lots: int


class LinkUse(NamedTuple):
    """Net flow out of a node (negative: into it), by slot, against the limits of its link for one slot; lots."""

    name: str
    level: Level
    export_limit_lots: int | None
    import_limit_lots: int | None
    flow_lots: dict[int, int]

    @property
    def slots_at_limit(self) -> int:
        """In how many slots a limit was reached."""
        return sum(1 for lots in self.flow_lots.values() if self._use(lots) >= PPM)

    @property
    def peak_use_ppm(self) -> int:
        """The highest use of a limit in any slot, parts per million, rounded down; 0 where there is no limit."""
        return max((self._use(lots) for lots in self.flow_lots.values()), default=0)

    def _limit(self, lots: int) -> int | None:
        return self.export_limit_lots if lots > 0 else self.import_limit_lots

    def _use(self, lots: int) -> int:
        limit_lots = self._limit(lots)
        if limit_lots is None or not lots:
            return 0
        return abs(lots) * PPM // limit_lots if limit_lots else PPM


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that a report shows."""

    facts: Facts
    members: dict[str, int]
    meters: dict[str, int]
    orders: dict[str, int]
    traders: int
    batches: int
    slots: list[SlotTrades]
    lots_by_level: dict[int, int]
    lots_on_terms: int
    lots_by_kinds: dict[tuple[str, str], int]
    energy: list[SlotEnergy]
    benefits: list[Benefit]
    links: list[LinkUse]
    contracted_lots: int
    delivered_lots: int
    cycles: dict[str, int]
    lines: int
    statements: int
    sums_micro: dict[str, int]
    transfers_before: int
    transfers_after: int
    transferred_micro: int
    commitments: int
    trades_committed: int
    acts: list[Acts]
    cash: Cash
    stages: dict[str, Stage]
    paid_fen: int
    offers: dict[str, int]
    sales: list[Sale] = field(default_factory=list)

    @property
    def trades(self) -> int:
        return sum(slot.trades for slot in self.slots)

    @property
    def traded_lots(self) -> int:
        return sum(slot.lots for slot in self.slots)

    @property
    def paid_without_micro(self) -> int:
        return sum(benefit.paid_without_micro for benefit in self.benefits)

    @property
    def received_without_micro(self) -> int:
        return sum(benefit.received_without_micro for benefit in self.benefits)

    @property
    def saved_micro(self) -> int:
        return sum(benefit.saved_micro for benefit in self.benefits)

    @property
    def gained_micro(self) -> int:
        return sum(benefit.gained_micro for benefit in self.benefits)

    @property
    def missing_micro(self) -> int:
        """Money that is in the supply and in no account, and no bond: nothing may ever be."""
        return self.cash.minted - self.cash.burned - self.cash.free - self.cash.escrow - self.cash.bonds

    @property
    def cost_of_finance_fen(self) -> int:
        return sum(sale.advance_fen - sale.proceeds_fen for sale in self.sales)


def collect(database_url: str, facts: Facts) -> Figures:
    """Read and compute all figures from one snapshot of a market's database."""
    database = open_database(database_url)
    try:
        with reading(database) as connection:
            return _collect(connection, facts)
    finally:
        database.dispose()


def _collect(connection: Connection, facts: Facts) -> Figures:
    lines = store.settled_lines(connection, facts.grid_company)
    flows, nodes = store.flows(connection), store.grid(connection)
    contracted, delivered = store.delivered(connection)
    line_count, statements, sums_micro = store.statement_totals(connection)
    before, after, moved_micro = store.transfers(connection)
    commitments, trades_committed = store.committed(connection)
    return Figures(
        facts=facts,
        members=store.count_by(connection, members.c.kind),
        meters=store.count_by(connection, meters.c.kind),
        orders=store.count_by(connection, orders.c.state),
        traders=store.traders(connection),
        batches=store.count(connection, journal),
        slots=store.slots(connection),
        lots_by_level=store.lots_by_level(connection),
        lots_on_terms=store.lots_on_terms(connection),
        lots_by_kinds=by_kinds(flows, store.meter_kinds(connection)),
        energy=energy_by_slot(lines),
        benefits=benefits(lines, facts),
        links=link_uses(nodes, flows, facts.slot_minutes),
        contracted_lots=contracted,
        delivered_lots=delivered,
        cycles=store.count_by(connection, cycles.c.state),
        lines=line_count,
        statements=statements,
        sums_micro=sums_micro,
        transfers_before=before,
        transfers_after=after,
        transferred_micro=moved_micro,
        commitments=commitments,
        trades_committed=trades_committed,
        acts=store.chain_acts(connection),
        cash=store.money(connection),
        stages={stage.state: stage for stage in store.stages(connection)},
        paid_fen=store.paid_fen(connection),
        offers=store.count_by(connection, offers.c.state),
        sales=store.sales(connection, facts.time_zone),
    )


# ------------------------------------------------------------------------------------- energy and its worth

_BOUGHT = {("energy", False): 1, ("over_consumed", False): 1, ("under_consumed", True): -1}
_SOLD = {("energy", True): 1, ("surplus", True): 1, ("shortfall", False): -1}
"""How a statement line's lots count towards what the meter imported or exported."""

_BUYING = {"wheeling", "over_consumed", "under_consumed"}


def _lots_by_member(lines: Iterable[Lines], signs: Mapping[tuple[str, bool], int]) -> dict[int, int]:
    lots: defaultdict[int, int] = defaultdict(int)
    for line in lines:
        lots[line.member_id] += signs.get((line.kind, line.received), 0) * line.lots
    return lots


def benefits(lines: Sequence[Lines], facts: Facts) -> list[Benefit]:
    """What every member saved as a buyer and gained as a seller, against retail and feed-in, by member."""
    paid: defaultdict[int, int] = defaultdict(int)
    received: defaultdict[int, int] = defaultdict(int)
    for line in lines:
        if line.kind in _BUYING or (line.kind == "energy" and not line.received):
            paid[line.member_id] -= line.amount_micro
        else:
            received[line.member_id] += line.amount_micro
    imported, exported = _lots_by_member(lines, _BOUGHT), _lots_by_member(lines, _SOLD)
    found = []
    for member_id in sorted(imported):
        paid_without_micro = imported[member_id] * facts.retail_ticks
        received_without_micro = exported[member_id] * facts.feed_in_ticks
        saved_micro = paid_without_micro - paid[member_id]
        gained_micro = received[member_id] - received_without_micro
        found.append(Benefit(member_id, paid_without_micro, saved_micro, received_without_micro, gained_micro))
    return found


def energy_by_slot(lines: Iterable[Lines]) -> list[SlotEnergy]:
    """Settled demand and generation of every slot, and how much of them neighbours met and took."""
    slots: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for line in lines:
        key, totals = (line.kind, line.received), slots[line.slot_s]
        totals[0] += _BOUGHT.get(key, 0) * line.lots
        totals[1] += _SOLD.get(key, 0) * line.lots
        if line.kind in ("energy", "under_consumed"):
            totals[2] += _BOUGHT.get(key, 0) * line.lots
        if line.kind in ("energy", "shortfall"):
            totals[3] += _SOLD.get(key, 0) * line.lots
    return [SlotEnergy(slot_s, *totals) for slot_s, totals in sorted(slots.items())]


def by_kinds(flows: Iterable[Flow], kinds: Mapping[int, str]) -> dict[tuple[str, str], int]:
    """Traded lots by the kinds of the selling and the buying meter."""
    lots: defaultdict[tuple[str, str], int] = defaultdict(int)
    for flow in flows:
        lots[kinds[flow.sell_node], kinds[flow.buy_node]] += flow.lots
    return dict(sorted(lots.items()))


# ------------------------------------------------------------------------------------------------- links


def link_uses(nodes: Sequence[Row[Any]], flows: Iterable[Flow], slot_minutes: int) -> list[LinkUse]:
    """Every link between areas (no meter's own) that carried anything, the most used first."""
    grid = Grid()
    for node in nodes:
        parent = NO_PARENT if node.parent_id is None else node.parent_id
        grid.connect(Connect(node.node_id, parent, Level(node.level)))
    flow_lots: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for flow in flows:
        path = grid.path(flow.sell_node, flow.buy_node)
        for node_id in path.up:
            flow_lots[node_id][flow.slot_s] += flow.lots
        for node_id in path.down:
            flow_lots[node_id][flow.slot_s] -= flow.lots
    uses = [
        LinkUse(
            node.name,
            Level(node.level),
            _limit_lots(node.export_kw, slot_minutes),
            _limit_lots(node.import_kw, slot_minutes),
            dict(sorted(flow_lots[node.node_id].items())),
        )
        for node in nodes
        if node.level != Level.METER and node.node_id in flow_lots
    ]
    return sorted(uses, key=lambda use: (-use.slots_at_limit, -use.peak_use_ppm, use.name))


def _limit_lots(limit_kw: str | None, slot_minutes: int) -> int | None:
    return None if limit_kw in (None, "") else limit_lots_floor(str(limit_kw), slot_minutes)
