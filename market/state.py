"""The market in memory: engine, exposures, open orders, grid names, the journal's head.

It belongs to the writer's thread, which changes it job by job and collects what is to be written in ``batch``. The
same ``apply`` runs when commands come in and when they are replayed from the journal, so both lead to the same state.
"""

import os
from collections.abc import Mapping, Sequence

from market.collar import Collar
from market.guards import UNLIMITED, ControlBook, HaltBook
from market.identity import Member
from market.records import Batch, MeterRecord, NodeRecord, OrderRecord, TradeRecord
from market.risk import Exposures, Stake
from market.timing import Timing
from matching.order import (
    Accepted,
    Amended,
    Closed,
    Command,
    Reason,
    Rejected,
    Removed,
    Rules,
    Traded,
    sequences_of,
)
from settlement.journal import GENESIS_HEAD
from settlement.signatures import PublicKey

SALTS_BYTES, SALTS_AT_ONCE = 96, 64


class MarketState:
    """See the module. ``members`` is the directory's, read only; ``open_orders`` the most that each may have."""

    def __init__(
        self,
        rules: Rules,
        timing: Timing,
        shortfall_ticks: int,
        members: Mapping[int, Member],
        *,
        open_orders: int = UNLIMITED,
        collar: Collar | None = None,
    ) -> None:
        self.rules, self.timing, self.members = rules, timing, members
        from matching.engine import Engine  # a compiler comes with it, which a gateway does not need

        self.engine = Engine(rules)
        self.exposures = Exposures(shortfall_ticks)
        self.open: dict[int, OrderRecord] = {}
        self.open_by_client: dict[tuple[int, str], int] = {}
        self.live_slots: set[int] = set()
        self.nodes: dict[str, NodeRecord] = {}
        self.node_names: list[str] = []
        self.meters: dict[str, MeterRecord] = {}
        self.head, self.journal_batch = GENESIS_HEAD, 0
        self.next_order, self.next_trade, self.next_signature = 1, 1, 1
        self.controls = ControlBook(open_orders)
        self.rotated: dict[int, PublicKey] = {}
        self.halts = HaltBook()
        self.collar = collar or Collar(floor_ticks=rules.floor_ticks, cap_ticks=rules.cap_ticks)
        self.withdrawals: dict[tuple[int, int], int] = {}
        self.now_s = 0
        self.batch = Batch(first_sequence=1)
        self.known: Mapping[tuple[int, str], tuple[int, bytes]] = {}
        self.refused: dict[int, Reason] = {}
        self._deferred: list[Command] = []
        self._salts = b""

    def begin(self, now_s: int) -> None:
        """Start a new batch at this time of the market clock."""
        self.now_s = now_s
        self.batch = Batch(first_sequence=self.engine.sequence + 1)
        self.known, self.refused = {}, {}

    def key_of(self, member_id: int) -> PublicKey:
        """The key that a member signs with here and now; the directory learns of a change a moment later."""
        return self.rotated.get(member_id) or self.members[member_id].key

    def add_node(self, node: NodeRecord) -> None:
        """A node is connected; its id is its place in the order of connection."""
        assert node.node_id == len(self.node_names)
        self.nodes[node.name] = node
        self.node_names.append(node.name)

    # ----------------------------------------------------------------------------------------- commands

    def expect(self, record: OrderRecord, stake: Stake) -> None:
        """Reserve what a new order needs (its ``stake_of``), before its command is applied."""
        self.exposures.reserve(record.order_id, stake)
        self.controls.opened(record.member_id)
        self.batch.orders[record.order_id] = record
        self.batch.by_client[record.member_id, record.client_order_id] = record.order_id

    def forget(self, record: OrderRecord) -> None:
        """Take back ``expect`` of an order whose command is not applied after all."""
        self.exposures.release(record.order_id)
        self.controls.ended(record.member_id)
        del self.batch.orders[record.order_id]
        del self.batch.by_client[record.member_id, record.client_order_id]

    def defer(self, commands: Sequence[Command]) -> None:
        """Carry out commands later in this batch, before any others: the engine is asked once for many."""
        self._deferred.extend(commands)

    def settle(self) -> None:
        """Carry out what was deferred."""
        if self._deferred:
            self.apply(())

    def apply(self, commands: Sequence[Command]) -> None:
        """Carry out what was deferred, then ``commands``; what they change is changed here and noted in the batch.

        Why the engine refused an order is in ``refused``. Cancelling what is not open is no such refusal.
        """
        commands, self._deferred = [*self._deferred, *commands], []
        first = self.engine.sequence + 1
        events = self.engine.apply(commands)
        assert self.engine.sequence == first + sum(map(sequences_of, commands)) - 1
        self.batch.commands.extend(commands)
        for event in events:
            match event:
                case Accepted():
                    self._accepted(event)
                case Traded():
                    self._traded(event)
                case Removed():
                    self._removed(event)
                case Amended():
                    self._amended(event)
                case Closed():
                    self.live_slots.discard(event.slot)
                    self.collar.forget_before(event.slot)
                case Rejected() if event.reason is not Reason.NOT_OPEN:
                    self.refused[event.order_id] = event.reason
                    self._rejected(event)

    def _rejected(self, event: Rejected) -> None:
        record = self.batch.orders.get(event.order_id)
        if record is not None and not record.sequence:
            self.forget(record)

    def _accepted(self, event: Accepted) -> None:
        record = self.batch.orders[event.order_id]
        record.sequence = record.changed_sequence = event.sequence
        self.open[record.order_id] = record
        self.open_by_client[record.member_id, record.client_order_id] = record.order_id
        self.live_slots.add(record.slot_s)

    def _traded(self, event: Traded) -> None:
        buy, sell = self.open[event.buy_order], self.open[event.sell_order]
        self.exposures.trade(
            buy.order_id, sell.order_id, event.quantity_lots, event.seller_price_ticks, event.buyer_price_ticks
        )
        trade = TradeRecord(
            trade_id=self.next_trade,
            sequence=event.sequence,
            slot_s=event.slot,
            buy_order=buy.order_id,
            sell_order=sell.order_id,
            buyer=buy.member_id,
            seller=sell.member_id,
            buy_node=buy.node_id,
            sell_node=sell.node_id,
            quantity_lots=event.quantity_lots,
            seller_price_ticks=event.seller_price_ticks,
            buyer_price_ticks=event.buyer_price_ticks,
            taker=int(event.taker),
            level=int(event.level),
            terms_days=buy.terms_days,
            traded_s=self.now_s,
            salts=self._new_salts(),
            buy_filled_before_lots=buy.quantity_lots - buy.reduced_lots - buy.remaining_lots,
            sell_filled_before_lots=sell.quantity_lots - sell.reduced_lots - sell.remaining_lots,
        )
        self.next_trade += 1
        self.collar.traded(event.slot, event.quantity_lots, event.seller_price_ticks, event.buyer_price_ticks)
        self.batch.trades.append(trade)
        for order in (buy, sell):
            self.batch.trades_of.setdefault(order.order_id, []).append(trade)
            order.remaining_lots -= event.quantity_lots
            self._note(order, event.sequence)
            if not order.remaining_lots:
                self._end(order, "filled")

    def _amended(self, event: Amended) -> None:
        """Only reductions are sent to the engine: the price stays, and so does the order's place in time."""
        record = self.open[event.order_id]
        less_lots = record.remaining_lots - event.remaining_lots
        assert less_lots > 0 and event.price_ticks == record.price_ticks
        record.remaining_lots = event.remaining_lots
        record.reduced_lots += less_lots
        self.exposures.reduce(record.order_id, less_lots)
        self._note(record, event.sequence)

    def _new_salts(self) -> bytes:
        """Random bytes for a trade, of which the system is asked for many at a time."""
        if not self._salts:
            self._salts = os.urandom(SALTS_AT_ONCE * SALTS_BYTES)
        salts, self._salts = self._salts[:SALTS_BYTES], self._salts[SALTS_BYTES:]
        return salts

    def _removed(self, event: Removed) -> None:
        record = self.open[event.order_id]
        assert record.remaining_lots == event.remaining_lots
        self._note(record, event.sequence)
        self._end(record, event.ended.code)

    def _end(self, record: OrderRecord, state: str) -> None:
        record.state = state
        self.exposures.release(record.order_id)
        self.controls.ended(record.member_id)
        del self.open[record.order_id]
        del self.open_by_client[record.member_id, record.client_order_id]

    def _note(self, record: OrderRecord, sequence: int) -> None:
        record.changed_sequence = sequence
        if record.order_id not in self.batch.orders:
            self.batch.changed[record.order_id] = record

    # --------------------------------------------------------------------------------------------- views

    def path(self, node_id: int) -> list[int]:
        """A node and all above it, to the root."""
        found = [node_id]
        while (parent_id := self.nodes[self.node_names[found[-1]]].parent_id) is not None:
            found.append(parent_id)
        return found

    def order(self, order_id: int) -> OrderRecord | None:
        """An open order, or one that this batch accepted or changed."""
        return self.open.get(order_id) or self.batch.orders.get(order_id) or self.batch.changed.get(order_id)


def stake_of(record: OrderRecord) -> Stake:
    return Stake(
        record.member_id,
        record.node_id,
        record.side,
        record.slot_s,
        record.price_ticks,
        record.terms_days,
        record.remaining_lots,
    )
