"""Cycle after cycle computed again from what was published, by whoever trusts nobody: the checker, and the audit.

A ``CycleExaminer`` knows the market from its own replay of the journal and the debts from the cycles it has examined;
of a published cycle it believes nothing but salts and signatures, and those it checks.
"""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from settlement import acts, calendar, netting
from settlement.contradiction import Contradiction, differs
from settlement.cycle import proposal_of
from settlement.cycle_outcome import CycleInputs, CycleOutcome, PlainDebts, compute, first_difference
from settlement.delivery import Delivery, SlotTrade
from settlement.examine_orders import (
    SignatureCheck,
    examine_orders,
    examine_signatures,
    examine_trades,
    first_sequences,
    signature_checks,
)
from settlement.examine_readings import (
    examine_reading_signatures,
    examine_readings,
    final_of,
    reading_signature_checks,
)
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay
from settlement.keys import KeyHistory
from settlement.published import PublishedCycle, PublishedOrder, PublishedReadings, PublishedTrade
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


class CycleExaminer:
    """Examines cycles in their order, from the first. ``settled`` and ``days`` grow with every cycle that held."""

    def __init__(self, rules: SettlementRules, domain: Domain, parties: Parties, replay: JournalReplay) -> None:
        self._rules, self._domain, self._parties, self._replay = rules, domain, parties, replay
        self._debts = PlainDebts(rules.time_zone)
        self._last_day: date | None = None
        self._last_end_s = 0
        self.cycle = 0
        self.days: dict[int, str] = {}
        self.settled: list[SettledTrade] = []

    def examine(self, published: PublishedCycle, readings: PublishedReadings) -> Contradiction | None:
        """The first contradiction in the next cycle, or None: then the cycle is taken up as the last one.

        The signatures over orders and readings are verified too.
        """
        return next(self._problems(published, readings), None) or self._settle(published, readings)

    def recompute(self, published: PublishedCycle, readings: PublishedReadings) -> Contradiction | None:
        """As ``examine``, for one who has examined all trades, orders, readings and signatures already."""
        return self._place_problem(published) or self._settle(published, readings)

    # ------------------------------------------------------------------------------------------ what is said

    def _problems(self, published: PublishedCycle, readings: PublishedReadings) -> Iterator[Contradiction]:
        place = self._place_problem(published)
        if place is not None:
            yield place
        yield from self._missing_trades(published)
        yield from examine_trades(published.trades, self._replay)
        meters = {meter.node: meter for meter in published.meters}
        signatures = {signature.signature_id: signature for signature in published.order_signatures}
        yield from examine_orders(published.orders, signatures, meters, self._replay, self._domain)
        yield from examine_signatures(published.order_signatures)
        by_id = {signature.signature_id: signature for signature in readings.signatures}
        yield from examine_readings(readings.readings, by_id, meters)
        yield from examine_reading_signatures(readings.signatures)
        yield from self._bad_signatures(published, readings)

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
        return None if left_out is None else Contradiction("cycles", key, "day", f"leaves out {left_out}")

    def _left_out(self, day: date, start_s: int) -> str | None:
        """A day between the last cycle's and this one that should have had a cycle of its own."""
        due = self._debts.next_due_day(self._last_day)
        if due is not None and due < day:
            return f"{due}, on which debts fall due"
        for replayed in self._replay.trades:
            if self._last_end_s <= replayed.traded.slot < start_s:
                return f"{calendar.day_of(replayed.traded.slot, self._rules.time_zone)}, on which there were trades"
        return None

    def _missing_trades(self, published: PublishedCycle) -> Iterator[Contradiction]:
        expected = [
            number
            for number, replayed in enumerate(self._replay.trades, start=1)
            if published.start_s <= replayed.traded.slot < published.end_s
        ]
        stated = [trade.trade_id for trade in published.trades]
        if stated != expected:
            missing = sorted({*expected} ^ {*stated})[:1] or stated[:1]
            yield Contradiction("cycles", str(published.cycle), "trades", f"trade {missing[0]} is missing or too much")
        known = {order.order_id for order in published.orders}
        for trade in published.trades:
            for order_id in (trade.buy_order, trade.sell_order):
                if order_id not in known:
                    yield Contradiction("trades", str(trade.trade_id), "buy_order, sell_order", "is not published")

    def _bad_signatures(self, published: PublishedCycle, readings: PublishedReadings) -> Iterator[Contradiction]:
        try:
            keys = KeyHistory(published.keys)
            reading_keys = KeyHistory(readings.keys)
        except ValueError as error:
            yield Contradiction("member_keys", f"of cycle {published.cycle}", "x, y", str(error))
            return
        sequences = first_sequences(published.orders)
        for check in (
            *signature_checks(published.order_signatures, sequences, keys, self._domain),
            *reading_signature_checks(readings.signatures, reading_keys, self._parties.reading_signers, self._domain),
        ):
            if isinstance(check, Contradiction):
                yield check
            elif isinstance(check, SignatureCheck) and not is_signed(check.key, check.digest, check.signature):
                yield check.otherwise

    # ----------------------------------------------------------------------------------------- what is computed

    def _settle(self, published: PublishedCycle, readings: PublishedReadings) -> Contradiction | None:
        day = date.fromisoformat(published.day)
        orders = {order.order_id: order for order in published.orders}
        records = [record_of(trade, orders) for trade in published.trades]
        final = final_of(readings.readings)
        outside = [slot_s for slot_s, _ in final if not published.start_s <= slot_s < published.end_s]
        if outside:
            return Contradiction("readings", f"slot {outside[0]}", "slot_s", f"is not in {published.day}")
        inputs = CycleInputs(
            cycle=published.cycle,
            day=day,
            start_s=published.start_s,
            end_s=published.end_s,
            salt=published.salt,
            trades=[slot_trade_of(trade) for trade in published.trades],
            trade_leaves=[trade_leaf(record) for record in records],
            readings=final,
            owners={meter.node: meter.member for meter in published.meters},
            debts=self._debts.due(self._last_day, day) if self._last_day is not None else [],
        )
        computed = compute(inputs, self._rules)
        found = self._compare(published, computed)
        if found is None:
            self._take_up(published, inputs, computed, records)
        return found

    def _compare(self, published: PublishedCycle, computed: CycleOutcome) -> Contradiction | None:
        stated = CycleOutcome(
            trades_root=published.trades_root,
            readings_root=published.readings_root,
            statements_root=published.statements_root,
            deliveries=list(published.deliveries),
            lines=list(published.lines),
            parts=[netting.Part(part, sum(amount_micro for _, amount_micro in part)) for part in published.parts],
            estimates=list(published.estimates),
        )
        key = str(published.cycle)
        difference = first_difference(stated, computed)
        if difference is not None:
            return Contradiction("cycles", key, *difference)
        proposal = proposal_of(published.cycle, published.start_s, published.end_s, computed)
        if published.parts_hash != acts.parts_hash(proposal.parts):
            return Contradiction("cycles", key, "parts_hash", "is not that of the parts")
        return self._unsigned(published, acts.propose_digest(self._domain, proposal))

    def _unsigned(self, published: PublishedCycle, digest: bytes) -> Contradiction | None:
        """Whether the operator's signature is missing, or one of the two is not over this proposal."""
        for role, signature in (("operator", published.operator_signature), ("checker", published.checker_signature)):
            keys = self._parties.keys.all_of(getattr(self._parties, role))
            if signature is not None and not any(is_signed(key, digest, signature) for key in keys):
                return Contradiction(
                    "cycles", str(published.cycle), f"{role}_signature", f"is not the {role}'s over this proposal"
                )
        return None

    def _take_up(
        self, published: PublishedCycle, inputs: CycleInputs, computed: CycleOutcome, records: list[TradeRecord]
    ) -> None:
        self._debts.add(inputs.trades, computed.deliveries)
        delivered = {each.trade_id: each for each in computed.deliveries}
        self.settled += [SettledTrade(published.cycle, record, delivered[record.common.trade_id]) for record in records]
        self.days[published.cycle] = published.day
        self.cycle, self._last_day, self._last_end_s = published.cycle, inputs.day, published.end_s


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
