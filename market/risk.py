"""What members have at stake: reserved by open orders, committed by trades, checked before anything is matched.

Two purses stand behind a member's orders: its *escrow* on the chain and the *credit limit* that a bank gave it.

======================  ===========================================  =========================================
for each lot            while the order is open                      once it traded
======================  ===========================================  =========================================
prepaid buy             cash: limit price                            cash: buyer price, until its cycle is applied
buy on terms            credit: limit price                          credit: seller price, until it is paid
sell, terms 0 only      cash: shortfall price - limit, if above 0    cash: shortfall - seller price, if above 0
sell that accepts       cash: the whole shortfall price              on terms, the whole shortfall price; prepaid
terms                                                                the line above; until its cycle is applied
======================  ===========================================  =========================================

Both sides also take connection capacity of their meter in their slot: open and traded lots together never exceed it.
A trade's price is never worse than the limit, so a commitment never exceeds what was reserved for it, and nobody can
owe what was not set aside. All amounts are micro-yuan, exact. Source: docs/market_rules.md and "Reserved, never
just checked" in the design of settlement.
"""

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from matching.order import Side

_BUY = int(Side.BUY)
"""Stakes may carry their side as a plain number: a million look-ups of a name in an enumeration are not free."""


class Refusal(StrEnum):
    """Why an order can not be covered."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    INSUFFICIENT_CREDIT = "insufficient_credit"
    INSUFFICIENT_COVER = "insufficient_cover"
    OVER_CAPACITY = "over_capacity"
    MARGIN_CALLED = "margin_called"


class Stake(msgspec.Struct, gc=False):
    """The part of an order that matters here. ``remaining_lots`` is what is still open."""

    member: int
    meter: int
    side: int
    slot: int
    price_ticks: int
    terms_days: int
    remaining_lots: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What others decide: the chain (escrow, payments, cycles applied) and the banks (credit limits).

    Micro-yuan by member; ``paid_micro`` is all that was ever paid on debts that arose from buys on terms. Slots that
    start before ``applied_until_s`` are settled. ``leaving_micro`` is escrow whose way out has begun, by requests up to
    ``last_withdrawal`` and by what the chain says itself. ``called`` are in arrears and get no credit, ``suspended``
    did not pay them in time and may not trade.
    """

    escrow_micro: Mapping[int, int] = field(default_factory=dict)
    credit_limit_micro: Mapping[int, int] = field(default_factory=dict)
    paid_micro: Mapping[int, int] = field(default_factory=dict)
    applied_until_s: int = 0
    leaving_micro: Mapping[int, int] = field(default_factory=dict)
    last_withdrawal: int = 0
    called: Set[int] = frozenset()
    suspended: Set[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """One member's position, micro-yuan. ``available`` and ``credit_available`` may be negative after a loss."""

    escrow_micro: int
    reserved_micro: int
    committed_micro: int
    credit_limit_micro: int
    credit_used_micro: int
    leaving_micro: int = 0

    @property
    def available_micro(self) -> int:
        return self.escrow_micro - self.reserved_micro - self.committed_micro - self.leaving_micro

    @property
    def credit_available_micro(self) -> int:
        return self.credit_limit_micro - self.credit_used_micro


def cash_ticks(stake: Stake, shortfall_ticks: int) -> int:
    """Cash that one open lot reserves, in ticks."""
    if stake.side == _BUY:
        return 0 if stake.terms_days else stake.price_ticks
    return seller_cash_ticks(stake.price_ticks, stake.terms_days, shortfall_ticks)


def credit_ticks(stake: Stake) -> int:
    """Credit that one open lot reserves, in ticks."""
    return stake.price_ticks if stake.terms_days and stake.side == _BUY else 0


def seller_cash_ticks(price_ticks: int, terms_days: int, shortfall_ticks: int) -> int:
    """What a seller must be able to add for a lot that it sold at this price and does not deliver."""
    if terms_days:
        return shortfall_ticks
    return shortfall_ticks - price_ticks if shortfall_ticks > price_ticks else 0


class Exposures:
    """Everyone's reservations and commitments. Prices must not be negative."""

    def __init__(self, shortfall_ticks: int) -> None:
        self._shortfall_ticks = shortfall_ticks
        self._facts = Facts()
        self._stakes: dict[int, Stake] = {}
        self._reserved_cash: defaultdict[int, int] = defaultdict(int)
        self._reserved_credit: defaultdict[int, int] = defaultdict(int)
        self._committed_cash: defaultdict[int, int] = defaultdict(int)
        self._committed_by_slot: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._owed: defaultdict[int, int] = defaultdict(int)
        self._lots: defaultdict[int, defaultdict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
        self._leaving: dict[int, int] = {}
        self._new_leavers: dict[int, tuple[int, int]] = {}

    def learn(self, facts: Facts) -> None:
        """Take over new facts; what was committed for slots that are settled by now is released."""
        self._facts = facts
        self._leaving = dict(facts.leaving_micro)
        for withdrawal, (member, amount_micro) in list(self._new_leavers.items()):
            if withdrawal <= facts.last_withdrawal:
                del self._new_leavers[withdrawal]
            else:
                self._leaving[member] = self._leaving.get(member, 0) + amount_micro
        for slot in [slot for slot in self._committed_by_slot if slot < facts.applied_until_s]:
            for member, amount_micro in self._committed_by_slot.pop(slot).items():
                self._committed_cash[member] -= amount_micro
        for slot in [slot for slot in self._lots if slot < facts.applied_until_s]:
            del self._lots[slot]

    def is_suspended(self, member: int) -> bool:
        """Whether the member left its arrears unpaid past the margin call's deadline."""
        return member in self._facts.suspended

    def account(self, member: int) -> Account:
        """A member's position now."""
        facts = self._facts
        return Account(
            escrow_micro=facts.escrow_micro.get(member, 0),
            reserved_micro=self._reserved_cash.get(member, 0),
            committed_micro=self._committed_cash.get(member, 0),
            credit_limit_micro=facts.credit_limit_micro.get(member, 0),
            credit_used_micro=self._credit_used_micro(member),
            leaving_micro=self._leaving.get(member, 0),
        )

    def leave(self, withdrawal: int, member: int, amount_micro: int) -> None:
        """Escrow is on its way out from now on; facts that are older than this withdrawal know nothing of it."""
        self._new_leavers[withdrawal] = (member, amount_micro)
        self._leaving[member] = self._leaving.get(member, 0) + amount_micro

    def _credit_used_micro(self, member: int) -> int:
        owed_micro = self._owed.get(member, 0) - self._facts.paid_micro.get(member, 0)
        return self._reserved_credit.get(member, 0) + owed_micro

    def refusal(self, stake: Stake, capacity_lots: int, releasing: int | None = None) -> Refusal | None:
        """Why a new order can not be covered, None when it can. ``capacity_lots`` is that of its meter, its direction.

        ``releasing`` is the id of an open order of the same member that the new one replaces.
        """
        old = self._stakes.get(releasing) if releasing is not None else None
        lots = self.lots_used(stake.meter, stake.slot, stake.side) + stake.remaining_lots
        if old is not None and (old.meter, old.slot, old.side) == (stake.meter, stake.slot, stake.side):
            lots -= old.remaining_lots
        if lots > capacity_lots:
            return Refusal.OVER_CAPACITY
        cash_micro = stake.remaining_lots * cash_ticks(stake, self._shortfall_ticks)
        if cash_micro:
            freed_micro = old.remaining_lots * cash_ticks(old, self._shortfall_ticks) if old is not None else 0
            if cash_micro > self._available_micro(stake.member) + freed_micro:
                return Refusal.INSUFFICIENT_FUNDS if stake.side == _BUY else Refusal.INSUFFICIENT_COVER
        credit_micro = stake.remaining_lots * credit_ticks(stake)
        if credit_micro:
            if stake.member in self._facts.called:
                return Refusal.MARGIN_CALLED
            freed_micro = old.remaining_lots * credit_ticks(old) if old is not None else 0
            limit_micro = self._facts.credit_limit_micro.get(stake.member, 0)
            if credit_micro > limit_micro - self._credit_used_micro(stake.member) + freed_micro:
                return Refusal.INSUFFICIENT_CREDIT
        return None

    def _available_micro(self, member: int) -> int:
        """The ``available_micro`` of ``account``, without making one."""
        escrow_micro = self._facts.escrow_micro.get(member, 0)
        free_micro = escrow_micro - self._reserved_cash.get(member, 0) - self._committed_cash.get(member, 0)
        return free_micro - self._leaving.get(member, 0) if self._leaving else free_micro

    def lots_used(self, meter: int, slot: int, side: int) -> int:
        """Open and traded lots of a meter in a slot, one direction."""
        used = self._lots.get(slot)
        return used.get((meter, side), 0) if used is not None else 0

    def reserve(self, order_id: int, stake: Stake) -> None:
        """An order is open, with all its quantity."""
        assert order_id not in self._stakes
        self._stakes[order_id] = stake
        self._change(stake, stake.remaining_lots)
        self._lots[stake.slot][stake.meter, stake.side] += stake.remaining_lots

    def trade(
        self, buy_order: int, sell_order: int, quantity_lots: int, seller_price_ticks: int, buyer_price_ticks: int
    ) -> None:
        """Two open orders traded: what was reserved for these lots becomes a commitment."""
        buy, sell = self._stakes[buy_order], self._stakes[sell_order]
        for stake in (buy, sell):
            assert quantity_lots <= stake.remaining_lots
            self._change(stake, -quantity_lots)
            stake.remaining_lots -= quantity_lots
        self.commit(buy, sell, quantity_lots, seller_price_ticks, buyer_price_ticks)

    def commit(
        self, buy: Stake, sell: Stake, quantity_lots: int, seller_price_ticks: int, buyer_price_ticks: int
    ) -> None:
        """The commitments of a trade alone, as when they are read back from the record."""
        if buy.terms_days:
            self._owed[buy.member] += quantity_lots * seller_price_ticks
        else:
            self._commit_cash(buy.slot, buy.member, quantity_lots * buyer_price_ticks)
        cover_ticks = seller_cash_ticks(seller_price_ticks, buy.terms_days, self._shortfall_ticks)
        self._commit_cash(sell.slot, sell.member, quantity_lots * cover_ticks)

    def reduce(self, order_id: int, quantity_lots: int) -> None:
        """The owner of an open order took some of it back."""
        stake = self._stakes[order_id]
        assert quantity_lots <= stake.remaining_lots
        self._change(stake, -quantity_lots)
        self._lots[stake.slot][stake.meter, stake.side] -= quantity_lots
        stake.remaining_lots -= quantity_lots

    def release(self, order_id: int) -> None:
        """An order is no longer open; what it had not traded is free again."""
        stake = self._stakes.pop(order_id)
        if stake.remaining_lots:
            self._change(stake, -stake.remaining_lots)
            self._lots[stake.slot][stake.meter, stake.side] -= stake.remaining_lots

    def stakes(self) -> Mapping[int, Stake]:
        """The open orders, by id."""
        return self._stakes

    def _change(self, stake: Stake, lots: int) -> None:
        if stake.terms_days and stake.side == _BUY:
            self._reserved_credit[stake.member] += lots * stake.price_ticks
        else:
            self._reserved_cash[stake.member] += lots * cash_ticks(stake, self._shortfall_ticks)

    def _commit_cash(self, slot: int, member: int, amount_micro: int) -> None:
        if amount_micro and slot >= self._facts.applied_until_s:
            self._committed_by_slot[slot][member] += amount_micro
            self._committed_cash[member] += amount_micro
