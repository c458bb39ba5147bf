"""What the single writer can be asked to do. A job runs against the market in memory; its answer is given once durable.

``names`` are (member, client order id) pairs whose past the job must know; ``run`` decides and applies commands, and
refuses by remembering a ``Problem``; ``answer`` says what came of it, after every job of the batch has run.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from data.units import format_energy
from market.problems import Problem
from market.records import NodeRecord, OrderRecord, TradeRecord
from market.risk import Facts
from market.state import MarketState
from matching.order import Amend, Cancel, Capacity, Close


class Job(Protocol):
    def names(self) -> Iterable[tuple[int, str]]: ...

    def run(self, state: MarketState) -> None: ...

    def answer(self, state: MarketState) -> Any: ...

    @property
    def weight(self) -> int:
        """How many orders it counts for in the queue."""
        ...


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An order as it stood when the batch that accepted or changed it was recorded, with its trades so far in it."""

    order: OrderRecord
    trades: Sequence[TradeRecord]
    meter: str


class Repeat(msgspec.Struct, frozen=True, gc=False):
    """The same order was accepted before, in an earlier batch: its first answer is in the record."""

    order_id: int


class PlainJob:
    """A job without names of past orders, of the least weight."""

    @property
    def weight(self) -> int:
        return 1

    def names(self) -> Iterable[tuple[int, str]]:
        return ()


def placed(state: MarketState, order_id: int) -> Placed:
    """The answer for an order of this batch: a copy, for the next batch may change the order before this is read."""
    order = state.order(order_id)
    assert order is not None
    return Placed(copy(order), tuple(state.batch.trades_of.get(order_id, ())), state.node_names[order.node_id])


@dataclass
class _OwnOrder:
    """A job about one order of a member, by the id that the member gave it. Answers ``Placed`` or a Problem."""

    member_id: int
    client_order_id: str
    outcome: int | Problem | None = field(default=None, init=False)

    @property
    def weight(self) -> int:
        return 1

    def names(self) -> Iterable[tuple[int, str]]:
        return ((self.member_id, self.client_order_id),)

    def open_id(self, state: MarketState) -> int | None:
        """The order's id while it is open; else the outcome is that it is not."""
        name = (self.member_id, self.client_order_id)
        order_id = state.open_by_client.get(name)
        self.outcome = _not_open(state, name) if order_id is None else order_id
        return order_id

    def answer(self, state: MarketState) -> Placed | Problem:
        assert self.outcome is not None
        return self.outcome if isinstance(self.outcome, Problem) else placed(state, self.outcome)


@dataclass
class CancelOne(_OwnOrder):
    """Cancel an open order."""

    def run(self, state: MarketState) -> None:
        order_id = self.open_id(state)
        if order_id is not None:
            state.apply([Cancel(order_id)])


@dataclass
class ReduceOne(_OwnOrder):
    """Take back a part of an open order: ``remaining_lots`` stay open, at the same price and place in time.

    As many lots as are open already change nothing; more would be another order.
    """

    remaining_lots: int
    has_changed: bool = False

    def run(self, state: MarketState) -> None:
        order_id = self.open_id(state)
        if order_id is None:
            return
        left_lots = state.open[order_id].remaining_lots
        if self.remaining_lots > left_lots:
            detail = f"only {format_energy(left_lots)} kWh are open; more needs a new signed order"
            self.outcome = Problem(422, "not_less", detail, "remaining")
        elif self.remaining_lots < left_lots:
            state.apply([Amend(order_id, quantity_lots=self.remaining_lots)])
            self.has_changed = True


def _not_open(state: MarketState, name: tuple[int, str]) -> Problem:
    if name in state.known or name in state.batch.by_client:
        return Problem(409, "not_open", "the order is filled, cancelled or expired", "client_order_id")
    return Problem(404, "not_found", "there is no such order")


@dataclass
class CancelMany(PlainJob):
    """Cancel all open orders of a member, or those of one slot, oldest first. Answers a list of ``Placed``."""

    member_id: int
    slot: int | None
    order_ids: list[int] = field(default_factory=list)

    def run(self, state: MarketState) -> None:
        self.order_ids = sorted(
            order.order_id
            for order in state.open.values()
            if order.member_id == self.member_id and self.slot in (None, order.slot_s)
        )
        if self.order_ids:
            state.apply([Cancel(order_id) for order_id in self.order_ids])

    def answer(self, state: MarketState) -> list[Placed]:
        return [placed(state, order_id) for order_id in self.order_ids]


@dataclass
class CloseGates(PlainJob):
    """Close every slot with orders whose gate is due. Answers the slots."""

    slots: list[int] = field(default_factory=list)

    def run(self, state: MarketState) -> None:
        self.slots = sorted(slot for slot in state.live_slots if state.timing.gate_of(slot) <= state.now_s)
        if self.slots:
            state.apply([Close(slot) for slot in self.slots])

    def answer(self, state: MarketState) -> list[int]:
        return self.slots


@dataclass
class Learn(PlainJob):
    """Take over what chain and banks decided."""

    facts: Facts

    def run(self, state: MarketState) -> None:
        state.exposures.learn(self.facts)

    def answer(self, state: MarketState) -> None:
        return None


@dataclass(frozen=True, slots=True)
class NewLimit:
    """Limits of one link as asked for, in kW and in lots per slot; ``slot`` None is all slots."""

    node: str
    slot: int | None
    export_kw: str | None
    import_kw: str | None
    export_lots: int | None
    import_lots: int | None


@dataclass
class SetLimits(PlainJob):
    """Change limits of links; all of them or, when one names an unknown node, none. Answers the nodes or a Problem."""

    limits: Sequence[NewLimit]
    problem: Problem | None = None

    def run(self, state: MarketState) -> None:
        for index, limit in enumerate(self.limits):
            if limit.node not in state.nodes:
                self.problem = Problem(422, "unknown_node", "there is no such node", f"limits[{index}].node")
                return
        commands = []
        for limit in self.limits:
            node = state.nodes[limit.node]
            commands.append(Capacity(node.node_id, limit.slot, limit.export_lots, limit.import_lots))
            if limit.slot is None:
                changed = msgspec.structs.replace(node, export_kw=limit.export_kw, import_kw=limit.import_kw)
                state.nodes[limit.node] = changed
                state.batch.limits.append(changed)
        state.apply(commands)

    def answer(self, state: MarketState) -> Problem | list[NodeRecord]:
        return self.problem or [state.nodes[limit.node] for limit in self.limits]
