"""Placing orders: every check that stands before the engine, in a fixed order, and what came of each order.

Checks: the id (a repeat of the same order gets its first answer, another order under a used id is refused), the
member's standing, stop, halt, deadline, meter and its owner, slot, quantity, price, terms, the order it replaces, halts
of its area and slot, the price collar, how many are open, cover. Only what passes them all becomes a command in the
journal. A batch's orders are independent of each other, unless they are a basket: then the first bad leg gets its
reason and every other leg ``basket_rejected``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import structs

from data.units import format_price
from market.collar import Band
from market.jobs import Placed, Repeat, placed
from market.problems import Problem
from market.records import MeterRecord, OrderRecord, SignatureRecord
from market.risk import Refusal
from market.state import MarketState, stake_of
from matching.order import Basket, Cancel, Command, Level, New, Rules, Side, Tif
from settlement.intents import OrderIntent
from settlement.signatures import PublicKey

_DETAILS = {
    "bad_signature": "the key that signed this is your key no more",
    "not_admitted": "the operator has not admitted this member yet",
    "frozen": "the regulator has frozen this member; open orders can be cancelled",
    "suspended": "the operator has suspended this member; open orders can be cancelled, see /v1/members/{member}",
    "member_stopped": "this member was stopped; open orders can be cancelled, see /v1/members/{member}/controls",
    "member_suspended": "arrears were not paid in time; open orders can be cancelled, see /v1/account",
    "too_many_open_orders": "as many orders are open as this member may have; cancel some first",
    "market_halted": "the market is halted, here or everywhere; open orders can be cancelled, see /v1/market",
    "outside_collar": "the price is too far from the last trades; see /v1/slots",
    "duplicate_order_id": "another order was placed under this id; choose a new one",
    "deadline_passed": "the order's own deadline has passed",
    "unknown_meter": "there is no such meter",
    "not_meter_owner": "the meter belongs to another member",
    "slot_closed": "the gate of this slot has closed",
    "slot_not_open": "no slot that takes orders starts then; see /v1/slots",
    "bad_quantity": "the quantity must be positive",
    "bad_price": "the price is outside the market's floor and cap; see /v1/market",
    "bad_terms": "the market has no such terms; see /v1/market",
    "not_open": "the order to be replaced is filled, cancelled, expired or was never placed",
    "replaces_in_basket": "a leg of a basket replaces no order; cancel that one first",
    "basket_rejected": "another leg of this basket was refused",
    Refusal.INSUFFICIENT_FUNDS: "the escrow does not cover quantity x price; see /v1/account",
    Refusal.INSUFFICIENT_CREDIT: "the credit limit does not cover quantity x price; see /v1/account",
    Refusal.INSUFFICIENT_COVER: "the escrow does not cover a shortfall; see /v1/account",
    Refusal.MARGIN_CALLED: "arrears are due: until they are paid, nothing is bought on terms; see /v1/account",
    Refusal.OVER_CAPACITY: "the meter's connection does not carry that much in this slot and direction",
}

_FIELDS = {
    "bad_signature": "signature",
    "duplicate_order_id": "client_order_id",
    "deadline_passed": "deadline",
    "unknown_meter": "meter",
    "not_meter_owner": "meter",
    "slot_closed": "slot",
    "slot_not_open": "slot",
    "bad_quantity": "quantity",
    "bad_price": "price",
    "bad_terms": "terms",
    "outside_collar": "price",
    "not_open": "replaces",
    "replaces_in_basket": "replaces",
    Refusal.OVER_CAPACITY: "quantity",
    Refusal.MARGIN_CALLED: "terms",
}

_FORBIDDEN = ("not_admitted", "frozen", "suspended", "member_stopped", "member_suspended")
_STATUS = dict.fromkeys(_FORBIDDEN, 403) | {"duplicate_order_id": 409}


def refusals() -> tuple[str, ...]:
    """Every code that an order can be refused with, each behind its status."""
    return tuple(f"{_STATUS.get(code, 422)} {code}" for code in _DETAILS)


def problem_of(code: str) -> Problem:
    """The problem that a refused order is answered with."""
    return Problem(_STATUS.get(code, 422), str(code), _DETAILS[code], _FIELDS.get(code))


class SignedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order whose signature, alone or with its batch, has been verified."""

    intent: OrderIntent
    digest: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature over the orders of one request, see ``SignatureRecord``, and the key that it was verified with."""

    kind: str
    root: bytes
    leaves: bytes
    signature: bytes
    key: PublicKey


@dataclass
class PlaceOrders:
    """Answers, for each order, ``Placed``, ``Repeat`` or a Problem."""

    member_id: int
    orders: Sequence[SignedOrder]
    signed: Signed
    is_basket: bool = False
    outcomes: list[OrderRecord | Repeat | Problem] = field(default_factory=list)
    mine: dict[str, OrderRecord] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        return len(self.orders)

    def names(self) -> Iterable[tuple[int, str]]:
        return [(self.member_id, order.intent.client_order_id) for order in self.orders]

    def answer(self, state: MarketState) -> list[Placed | Repeat | Problem]:
        state.settle()
        return [
            self._answer(state, outcome) if isinstance(outcome, OrderRecord) else outcome for outcome in self.outcomes
        ]

    def _answer(self, state: MarketState, record: OrderRecord) -> Placed | Problem:
        """The engine's own refusals, of what no check here saw, are answered as such."""
        reason = state.refused.get(record.order_id)
        return placed(state, record.order_id) if reason is None else problem_of(reason.code)

    def run(self, state: MarketState) -> None:
        changed = state.rotated.get(self.member_id)
        if changed is not None and changed != self.signed.key:
            self.outcomes = [problem_of("bad_signature")] * len(self.orders)
            return
        signature_id = state.next_signature
        if self.is_basket:
            self._place_basket(state, signature_id)
        else:
            self._place_each(state, signature_id)
        if any(isinstance(outcome, OrderRecord) and outcome.signature_id == signature_id for outcome in self.outcomes):
            state.next_signature += 1
            state.batch.signatures.append(
                SignatureRecord(
                    signature_id,
                    self.member_id,
                    self.signed.kind,
                    self.signed.root,
                    self.signed.leaves,
                    len(self.orders),
                    self.is_basket,
                    self.signed.signature,
                )
            )

    # ----------------------------------------------------------------------------------- independent orders

    def _place_each(self, state: MarketState, signature_id: int) -> None:
        waiting: list[Command] = []
        for index, order in enumerate(self.orders):
            replaces = order.intent.replaces
            if replaces:  # what came before decides whether that one is still open
                state.apply(waiting)
                waiting = []
            outcome = self._check(state, order)
            if isinstance(outcome, MeterRecord):
                outcome = self._cover(state, self._record(state, order, outcome, signature_id, index), outcome)
                if isinstance(outcome, OrderRecord):
                    if replaces:
                        waiting.append(Cancel(state.open_by_client[self.member_id, replaces]))
                    waiting.append(command_of(outcome))
            self.outcomes.append(outcome)
            if replaces:
                state.apply(waiting)
                waiting = []
        state.defer(waiting)

    def _cover(self, state: MarketState, record: OrderRecord, meter: MeterRecord) -> OrderRecord | Problem:
        """The record, with all it needs reserved, or why it can not be."""
        stake = stake_of(record)
        capacity_lots = meter.export_lots if record.side == Side.SELL else meter.import_lots
        replaced = self._replaced(state, record.replaces)
        if replaced is None and record.tif == Tif.GTC and state.controls.is_full(self.member_id):
            return problem_of("too_many_open_orders")
        refused = state.exposures.refusal(stake, capacity_lots, replaced)
        if refused is not None:
            return problem_of(refused)
        state.next_order += 1
        state.expect(record, stake)
        self.mine[record.client_order_id] = record
        return record

    # --------------------------------------------------------------------------------------------- baskets

    def _place_basket(self, state: MarketState, signature_id: int) -> None:
        """The engine sees a basket only when every leg passed and all of them together are covered."""
        state.settle()
        found = [self._check(state, order) for order in self.orders]
        repeated = [outcome for outcome in found if isinstance(outcome, Repeat | OrderRecord)]
        if len(repeated) == len(found):
            self.outcomes.extend(repeated)
            return
        legs: list[OrderRecord] = []
        for index, (order, outcome) in enumerate(zip(self.orders, found, strict=True)):
            leg = self._leg(state, order, outcome, signature_id, index)
            if isinstance(leg, Problem):
                for earlier in legs:
                    state.forget(earlier)
                rejected = problem_of("basket_rejected")
                self.outcomes = [leg if each == index else rejected for each in range(len(self.orders))]
                return
            leg.basket = legs[0].order_id if legs else leg.order_id
            legs.append(leg)
        self.outcomes.extend(legs)
        state.apply([Basket(tuple(command_of(leg) for leg in legs))])

    def _leg(
        self,
        state: MarketState,
        order: SignedOrder,
        found: MeterRecord | OrderRecord | Repeat | Problem,
        signature_id: int,
        index: int,
    ) -> OrderRecord | Problem:
        if isinstance(found, Problem):
            return found
        if not isinstance(found, MeterRecord) or order.intent.client_order_id in self.mine:
            return problem_of("duplicate_order_id")
        if order.intent.replaces:
            return problem_of("replaces_in_basket")
        return self._cover(state, self._record(state, order, found, signature_id, index), found)

    # ----------------------------------------------------------------------------------------------- checks

    def _check(self, state: MarketState, order: SignedOrder) -> MeterRecord | OrderRecord | Repeat | Problem:
        """The meter of an order that may go on; an order of this batch, or of an earlier one, that it repeats."""
        intent = order.intent
        name = (self.member_id, intent.client_order_id)
        twin = self.mine.get(intent.client_order_id)
        if twin is None and name in state.batch.by_client:
            twin = state.batch.orders[state.batch.by_client[name]]
        if twin is not None:
            return twin if twin.digest == order.digest else problem_of("duplicate_order_id")
        if name in state.known:
            order_id, digest = state.known[name]
            return Repeat(order_id) if digest == order.digest else problem_of("duplicate_order_id")
        code = self._standing(state) or _rule_refusal(state, intent)
        if code is not None:
            return problem_of(code)
        if intent.replaces and self._replaced(state, intent.replaces) is None:
            return problem_of("not_open")
        meter = state.meters[intent.meter]
        if state.halts.standing and state.halts.stops(intent.slot, state.path(meter.node_id)):
            return problem_of("market_halted")
        band = state.collar.outside(intent.slot, intent.price_ticks)
        return meter if band is None else _outside(band)

    def _standing(self, state: MarketState) -> str | None:
        member = state.members.get(self.member_id)
        if member is None or member.status in ("pending", "refused"):
            return "not_admitted"
        if not member.is_admitted:
            return "frozen" if member.is_frozen else "suspended"
        if self.member_id in state.controls.stopped:
            return "member_stopped"
        if state.exposures.is_suspended(self.member_id):
            return "member_suspended"
        return "market_halted" if state.halts.is_everywhere else None

    def _replaced(self, state: MarketState, replaces: str) -> int | None:
        return state.open_by_client.get((self.member_id, replaces)) if replaces else None

    def _record(
        self, state: MarketState, order: SignedOrder, meter: MeterRecord, signature_id: int, leaf_index: int
    ) -> OrderRecord:
        intent = order.intent
        return OrderRecord(  # by place, for this runs once for each order: see the fields of OrderRecord
            state.next_order,
            self.member_id,
            intent.client_order_id,
            0,
            meter.node_id,
            intent.side,
            intent.slot,
            intent.quantity_lots,
            intent.price_ticks,
            intent.tif,
            intent.reach,
            intent.terms_days,
            intent.replaces,
            intent.deadline,
            None,
            state.now_s,
            order.digest,
            signature_id,
            leaf_index,
            "open",
            intent.quantity_lots,
            0,
            0,
        )


def _rule_refusal(state: MarketState, intent: OrderIntent) -> str | None:
    """The first rule that an order breaks, in the order of the module."""
    if intent.deadline <= state.now_s:
        return "deadline_passed"
    meter = state.meters.get(intent.meter)
    if meter is None:
        return "unknown_meter"
    if meter.member_id != intent.member:
        return "not_meter_owner"
    return state.timing.refusal(intent.slot, state.now_s) or _value_refusal(state.rules, intent)


def _value_refusal(rules: Rules, intent: OrderIntent) -> str | None:
    if intent.quantity_lots <= 0:
        return "bad_quantity"
    if not rules.floor_ticks <= intent.price_ticks <= rules.cap_ticks:
        return "bad_price"
    return None if intent.terms_days in rules.terms_days else "bad_terms"


def _outside(band: Band) -> Problem:
    low, high, reference = map(format_price, (band.low_ticks, band.high_ticks, band.reference_ticks))
    detail = f"the price must be from {low} to {high} CNY/kWh now, around {reference}; see /v1/slots"
    return structs.replace(problem_of("outside_collar"), detail=detail)


def command_of(record: OrderRecord) -> New:
    """The command that an order becomes."""
    return New(
        record.order_id,
        record.member_id,
        record.node_id,
        _SIDES[record.side],
        record.slot_s,
        record.quantity_lots,
        record.price_ticks,
        _TIFS[record.tif],
        _LEVELS[record.reach],
        record.terms_days,
    )


_SIDES = {int(side): side for side in Side}
_TIFS = {int(tif): tif for tif in Tif}
_LEVELS = {int(level): level for level in Level}
