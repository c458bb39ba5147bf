"""Cycle after cycle computed again from what was published, by whoever trusts nobody: the checker, and the audit.

A ``CycleExaminer`` knows the market from its own replay of the journal and the debts from the cycles it has examined;
of a published cycle it believes nothing but salts and signatures, and those it checks.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from typing import NamedTuple, Protocol

from settlement import acts, calendar, netting
from settlement.areas import Areas
from settlement.contradiction import Contradiction, differs
from settlement.cycle import proposal_of
from settlement.cycle_outcome import (
    Computation,
    CycleTotals,
    PlainDebts,
    Portion,
    SlotInputs,
    difference_of_rows,
    first_difference,
)
from settlement.delivery import Delivery, LateSlot, Line, SlotTrade
from settlement.examine_meters import area_checks, areas_of
from settlement.examine_readings import final_of
from settlement.examine_slot import SlotExaminer, TradesBySlot, verified
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay
from settlement.keys import KeyHistory
from settlement.published import (
    PublishedArea,
    PublishedCycle,
    PublishedOrder,
    PublishedSlot,
    PublishedTrade,
    SignedReadings,
)
from settlement.rules import SettlementRules
from settlement.signatures import is_signed
from settlement.trade_leaf import Common, Half, TradeRecord, trade_leaf


class SettledTrade(NamedTuple):
    """A trade of an examined cycle, and how much of it was delivered."""

    cycle: int
    record: TradeRecord
    delivery: Delivery


class Parties(NamedTuple):
    """Whose signatures count: the operator's over cycles, the checker's beside it, the signers' over readings.

    ``keys`` holds at least the operator's and the checker's.
    """

    operator: int
    checker: int
    reading_signers: frozenset[int]
    keys: KeyHistory


class CycleSource(Protocol):
    """Where the slots and lines of the cycle come from that is examined."""

    def slot(self, slot_s: int) -> PublishedSlot: ...

    def lines(self, after: int) -> Sequence[Line]:
        """Some of its statement lines after one of them; none after the last."""

    def reading_signature(self, signature_id: int) -> SignedReadings | None: ...


StruckLeaves = Callable[[], Collection[bytes]]
"""The leaves of the trades that the chain has struck until now."""


def nothing_struck() -> Collection[bytes]:
    """For those who ask no chain: then no trade may be left out."""
    return ()


class CycleExaminer:
    """Examines cycles in their order, from the first, slot by slot; of a slot it keeps what later ones need.

    ``settled`` and ``days`` grow with every cycle that held. A trade may be missing only if the chain has struck it.
    """

    def __init__(
        self,
        rules: SettlementRules,
        domain: Domain,
        parties: Parties,
        replay: JournalReplay,
        struck_leaves: StruckLeaves = nothing_struck,
    ) -> None:
        self._struck_leaves = struck_leaves
        self._struck: Collection[bytes] = ()
        self._rules, self._domain, self._parties, self._replay = rules, domain, parties, replay
        self._debts = PlainDebts(rules.time_zone)
        self._traded = TradesBySlot(replay)
        self._last_day: date | None = None
        self._last_end_s = 0
        self._areas: set[PublishedArea] = set()
        self.cycle = 0
        self.days: dict[int, str] = {}
        self.settled: list[SettledTrade] = []

    def examine(self, published: PublishedCycle, source: CycleSource) -> Contradiction | None:
        """The first contradiction in the next cycle, or None: then the cycle is taken up as the last one.

        The signatures over orders and readings are verified too.
        """
        examination = SlotExaminer(published, source, self._replay, self._domain, self._parties.reading_signers)
        return next(self._problems(published, source, examination.examine), None)

    def recompute(self, published: PublishedCycle, source: CycleSource) -> Contradiction | None:
        """As ``examine``, for one who has examined all trades, orders, readings and signatures already."""
        return next(self._problems(published, source, lambda _: iter(())), None)

    # ------------------------------------------------------------------------------------------ what is said

    def _place_problem(self, published: PublishedCycle) -> Contradiction | None:
        """Whether it is the next cycle, of a local day, with no day left out on which there was something."""
        key = str(published.cycle)
        if published.cycle != self.cycle + 1:
            return differs("cycles", key, "cycle", stated=published.cycle, computed=self.cycle + 1)
        try:
            day = date.fromisoformat(published.day)
        except ValueError:
            return Contradiction("cycles", key, "day", f"{published.day!r} is no date")
        stated, bounds = (published.start_s, published.end_s), calendar.bounds(day, self._rules.time_zone)
        if stated != bounds:
            return differs("cycles", key, "start_s, end_s", stated=stated, computed=bounds)
        if self._last_day is not None and day <= self._last_day:
            return Contradiction("cycles", key, "day", f"does not come after {self._last_day}")
        left_out = self._left_out(day, published.start_s)
        if left_out is not None:
            return Contradiction("cycles", key, "day", f"leaves out {left_out}")
        return self._slots_problem(published)

    def _slots_problem(self, published: PublishedCycle) -> Contradiction | None:
        """Whether what it was computed from are slots of its day, and slots of earlier days, each once."""
        step_s = self._rules.slot_minutes * 60
        for name, slots, first_s, end_s in (
            ("slots", published.slots, published.start_s, published.end_s),
            ("late_slots", published.late_slots, 0, published.start_s),
        ):
            in_order = list(slots) == sorted(set(slots))
            if not in_order or any(slot_s % step_s or not first_s <= slot_s < end_s for slot_s in slots):
                return Contradiction("cycles", str(published.cycle), name, "are not slots of its time, ascending")
        return None

    def _left_out(self, day: date, start_s: int) -> str | None:
        """A day between the last cycle's and this one that should have had a cycle of its own."""
        due = self._debts.next_due_day(self._last_day)
        if due is not None and due < day:
            return f"{due}, on which debts fall due"
        for traded_s in self._traded.within(self._last_end_s, start_s):
            return f"{calendar.day_of(traded_s, self._rules.time_zone)}, on which there were trades"
        return None

    def _area_problems(self, published: PublishedCycle) -> Iterator[Contradiction]:
        """Whether area meters are what the grid company signed, with all that were published before."""
        for area in sorted(self._areas.difference(published.areas), key=lambda area: (area.node, area.number)):
            yield Contradiction("area_meters", f"{area.node}, {area.number}", "node_id", "was published before")
        try:
            keys = KeyHistory(published.area_keys)
        except ValueError as error:
            yield Contradiction("member_keys", "of area meters", "x, y", str(error))
            return
        yield from verified(area_checks(published.areas, keys, self._rules.grid_company, self._domain))
        self._areas = set(published.areas)

    def _missing_trades(self, number: int, slot: PublishedSlot) -> Iterator[Contradiction]:
        expected = self._traded.at(slot.slot_s)
        stated = sorted(trade.trade_id for trade in (*slot.trades, *slot.struck))
        if stated != expected:
            missing = sorted({*expected} ^ {*stated})[:1] or stated[:1]
            yield Contradiction("cycles", str(number), "trades", f"trade {missing[0]} is missing or too much")
        known = {order.order_id for order in slot.orders}
        for trade in (*slot.trades, *slot.struck):
            for order_id in (trade.buy_order, trade.sell_order):
                if order_id not in known:
                    yield Contradiction("trades", str(trade.trade_id), "buy_order, sell_order", "is not published")

    def _wrongly_struck(self, number: int, slot: PublishedSlot) -> Iterator[Contradiction]:
        orders = {order.order_id: order for order in slot.orders}
        for trade in slot.struck:
            if trade_leaf(record_of(trade, orders)) not in self._struck:
                why = f"trade {trade.trade_id} is left out, and the chain has not struck it"
                yield Contradiction("cycles", str(number), "trades", why)
        for trade in slot.trades if self._struck else ():
            if trade_leaf(record_of(trade, orders)) in self._struck:
                yield Contradiction("cycles", str(number), "trades", f"trade {trade.trade_id} was struck by the chain")

    # ----------------------------------------------------------------------------------------- what is computed

    def _problems(
        self,
        published: PublishedCycle,
        source: CycleSource,
        examine_slot: Callable[[PublishedSlot], Iterator[Contradiction]],
    ) -> Iterator[Contradiction]:
        place = self._place_problem(published)
        if place is not None:
            yield place
            return
        yield from self._area_problems(published)
        grid = areas_of(published.areas, self._replay)
        day, rules = date.fromisoformat(published.day), self._rules
        self._struck = frozenset(self._struck_leaves())
        owners = {meter.node: meter.member for meter in published.meters}
        computation = Computation(published.salt, owners, rules)
        rows = _StatedRows(published.cycle, source)
        debts = PlainDebts(rules.time_zone)
        settled: list[SettledTrade] = []
        for slot_s in sorted({*published.slots, *self._traded.within(published.start_s, published.end_s)}):
            slot = source.slot(slot_s)
            yield from self._missing_trades(published.cycle, slot)
            yield from examine_slot(slot)
            yield from self._wrongly_struck(published.cycle, slot)
            orders = {order.order_id: order for order in slot.orders}
            records = [record_of(trade, orders) for trade in slot.trades]
            trades = [slot_trade_of(trade) for trade in slot.trades]
            counted = grid.count(slot_s, final_of(slot_s, slot.readings, rules.cut_s(day)))
            leaves = [trade_leaf(each) for each in records]
            outcome = computation.slot(SlotInputs(slot_s, trades, leaves, counted.readings, counted.unproven))
            yield from rows.compare(outcome, slot)
            debts.add(trades, outcome.deliveries)
            delivered = zip(records, outcome.deliveries, strict=True)
            settled += [SettledTrade(published.cycle, record, delivery) for record, delivery in delivered]
        for slot_s in published.late_slots:
            slot = source.slot(slot_s)
            yield from self._missing_trades(published.cycle, slot)
            yield from examine_slot(slot)
            yield from self._wrongly_struck(published.cycle, slot)
            yield from rows.compare(computation.late(self._late_slot(slot, day, grid)), slot)
        due = self._debts.due(self._last_day, day) if self._last_day is not None else []
        yield from rows.compare(computation.due(due), None)
        yield from rows.end()
        yield from self._compare(published, computation.totals())
        self._take_up(published, debts, settled)

    def _late_slot(self, slot: PublishedSlot, day: date, grid: Areas) -> LateSlot:
        own_day = calendar.day_of(slot.slot_s, self._rules.time_zone).isoformat()
        cycle = next((number for number, settled_day in self.days.items() if settled_day == own_day), 0)
        counted_s = 0 if self._last_day is None else self._rules.cut_s(self._last_day)
        return LateSlot(
            slot.slot_s,
            cycle,
            [slot_trade_of(trade) for trade in slot.trades],
            grid.count(slot.slot_s, final_of(slot.slot_s, slot.readings, counted_s)).readings,
            grid.count(slot.slot_s, final_of(slot.slot_s, slot.readings, self._rules.cut_s(day))).readings,
        )

    def _compare(self, published: PublishedCycle, computed: CycleTotals) -> Iterator[Contradiction]:
        parts = [netting.Part(part, sum(amount_micro for _, amount_micro in part)) for part in published.parts]
        roots = (published.trades_root, published.readings_root, published.statements_root)
        key = str(published.cycle)
        difference = first_difference(CycleTotals(*roots, parts), computed)
        if difference is not None:
            yield Contradiction("cycles", key, *difference)
        proposal = proposal_of(published.cycle, published.start_s, published.end_s, computed)
        if published.parts_hash != acts.parts_hash(proposal.parts):
            yield Contradiction("cycles", key, "parts_hash", "is not that of the parts")
        unsigned = self._unsigned(published, acts.propose_digest(self._domain, proposal))
        if unsigned is not None:
            yield unsigned

    def _unsigned(self, published: PublishedCycle, digest: bytes) -> Contradiction | None:
        """Whether the operator's signature is missing, or one of the two is not over this proposal."""
        for role, signature in (("operator", published.operator_signature), ("checker", published.checker_signature)):
            keys = self._parties.keys.all_of(getattr(self._parties, role))
            if signature is not None and not any(is_signed(key, digest, signature) for key in keys):
                return Contradiction(
                    "cycles", str(published.cycle), f"{role}_signature", f"is not the {role}'s over this proposal"
                )
        return None

    def _take_up(self, published: PublishedCycle, debts: PlainDebts, settled: list[SettledTrade]) -> None:
        self._debts.take(debts)
        self.settled += sorted(settled, key=lambda each: each.delivery.trade_id)
        self.days[published.cycle] = published.day
        self.cycle, self._last_day, self._last_end_s = (
            published.cycle,
            date.fromisoformat(published.day),
            published.end_s,
        )


class _StatedRows:
    """The stated deliveries and lines of a cycle beside the computed ones, as they come."""

    def __init__(self, cycle: int, source: CycleSource) -> None:
        self._key, self._source = str(cycle), source
        self._ahead: list[Line] = []
        self._read = 0
        self._compared = 0

    def compare(self, computed: Portion, slot: PublishedSlot | None) -> Iterator[Contradiction]:
        """What is computed next, against what is stated next."""
        stated = self._take(len(computed.lines))
        for difference in (
            difference_of_rows("statement line", self._compared + 1, stated, computed.lines),
            difference_of_rows("delivery", 1, slot.deliveries if slot else (), computed.deliveries),
            difference_of_rows("estimate", 1, slot.estimates if slot else (), computed.estimates),
        ):
            if difference is not None:
                yield Contradiction("cycles", self._key, *difference)
        self._compared += len(computed.lines)

    def end(self) -> Iterator[Contradiction]:
        if self._take(1):
            yield Contradiction("cycles", self._key, f"statement line {self._compared + 1}", "is too much")

    def _take(self, count: int) -> list[Line]:
        while len(self._ahead) < count and (more := self._source.lines(self._read)):
            self._ahead += more
            self._read += len(more)
        taken, self._ahead = self._ahead[:count], self._ahead[count:]
        return taken


def signed_digest(published: PublishedCycle, domain: Domain) -> bytes:
    """The 32 bytes that operator and checker sign of a cycle; ``domain`` is that of Clearing."""
    parts = [
        acts.part(published.cycle, index, [acts.Delta(*delta) for delta in part])
        for index, part in enumerate(published.parts)
    ]
    roots = (published.trades_root, published.readings_root, published.statements_root)
    proposal = acts.Proposal(published.cycle, published.start_s, published.end_s, *roots, parts)
    return acts.propose_digest(domain, proposal)


def slot_trade_of(trade: PublishedTrade) -> SlotTrade:
    """A published trade as delivery sees it."""
    return SlotTrade(**{field: getattr(trade, field) for field in SlotTrade._fields})


def record_of(trade: PublishedTrade, orders: dict[int, PublishedOrder]) -> TradeRecord:
    """A published trade as it is committed. Raises KeyError when its orders are not published."""
    buy, sell = orders[trade.buy_order], orders[trade.sell_order]
    common = Common(**{field: getattr(trade, field) for field in Common.__struct_fields__})
    return TradeRecord(
        common,
        Half(
            order_digest=buy.digest,
            member=trade.buyer,
            meter=buy.intent.meter,
            price_ticks=trade.buyer_price_ticks,
            placed_s=buy.received_s,
            filled_before_lots=trade.buy_filled_before_lots,
        ),
        Half(
            order_digest=sell.digest,
            member=trade.seller,
            meter=sell.intent.meter,
            price_ticks=trade.seller_price_ticks,
            placed_s=sell.received_s,
            filled_before_lots=trade.sell_filled_before_lots,
        ),
        trade.salts,
    )
