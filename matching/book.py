"""The resting orders of one slot, and the views of them that leave the engine.

A book knows no rules: it keeps what rests, side by side with the room that the slot's trades have left.
"""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from matching.order import Level, New, Side
from matching.room import LinkLimits, SlotRoom


@dataclass(slots=True, eq=False)
class Order:
    """An order while the engine works on it. ``sequence`` is its place in time: its own, or its last amendment's."""

    order_id: int
    member: int
    meter: int
    side: Side
    slot: int
    price_ticks: int
    remaining_lots: int
    sequence: int
    reach: Level
    terms_days: int

    @classmethod
    def of(cls, new: New, sequence: int) -> "Order":
        return cls(
            order_id=new.order_id,
            member=new.member,
            meter=new.meter,
            side=Side(new.side),
            slot=new.slot,
            price_ticks=new.price_ticks,
            remaining_lots=new.quantity_lots,
            sequence=sequence,
            reach=Level(new.reach),
            terms_days=new.terms_days,
        )


class Book:
    """What rests in one slot. Filled orders are never in it."""

    def __init__(self, slot: int, limits: LinkLimits) -> None:
        self.room = SlotRoom(slot, limits)
        self._sides: dict[Side, dict[int, Order]] = {Side.BUY: {}, Side.SELL: {}}

    def add(self, order: Order) -> None:
        self._sides[order.side][order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take an order out, if it is in."""
        self._sides[order.side].pop(order.order_id, None)

    def against(self, side: Side) -> Collection[Order]:
        """The orders on the other side, in no order that anything may rest on."""
        return self._sides[Side.SELL if side == Side.BUY else Side.BUY].values()

    def in_time(self) -> list[Order]:
        """All orders, the earlier first."""
        return sorted([*self._sides[Side.BUY].values(), *self._sides[Side.SELL].values()], key=lambda o: o.sequence)


class OpenOrder(msgspec.Struct, frozen=True):
    """An order that rests. ``priority_sequence`` is its place in time."""

    order_id: int
    member: int
    meter: int
    side: Side
    slot: int
    price_ticks: int
    remaining_lots: int
    priority_sequence: int
    reach: Level
    terms_days: int

    @classmethod
    def of(cls, order: Order) -> "OpenOrder":
        return cls(
            order.order_id,
            order.member,
            order.meter,
            order.side,
            order.slot,
            order.price_ticks,
            order.remaining_lots,
            order.sequence,
            order.reach,
            order.terms_days,
        )


class Quote(msgspec.Struct, frozen=True):
    """So much to be had at one delivered price from one distance."""

    price_ticks: int
    quantity_lots: int
    level: Level


class Depth(msgspec.Struct, frozen=True):
    """What one meter could buy (``asks``) or sell (``bids``) in a slot, best first."""

    asks: list[Quote]
    bids: list[Quote]
