"""The market computed again from its journal, link by link: every head, every receipt, every trade, every order's end.

Because the engine is deterministic, whoever holds the journal holds the market. The checker keeps one of these and
feeds it what is published; the audit feeds it the whole journal.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from matching.engine import Engine, EngineLimitError, GridError
from matching.order import (
    Accepted,
    Amended,
    Basket,
    Command,
    Connect,
    Event,
    Limited,
    New,
    Removed,
    Rules,
    Traded,
    decode_commands,
)
from matching.reference import ReferenceEngine
from settlement.contradiction import Contradiction, differs
from settlement.intents import RECEIPT, Domain
from settlement.journal import GENESIS_HEAD, next_head
from settlement.keys import KeyHistory
from settlement.published import JournalLink
from settlement.signatures import is_signed


class OrderEnd(NamedTuple):
    """How an order stands: its command, and what the engine made of it so far."""

    new: New
    sequence: int
    basket: int | None
    received_s: int
    state: str
    remaining_lots: int
    reduced_lots: int
    changed_sequence: int

    @property
    def filled_lots(self) -> int:
        """What it has traded so far."""
        return self.new.quantity_lots - self.reduced_lots - self.remaining_lots


class ReplayedTrade(NamedTuple):
    """The engine's trade, when its batch was recorded, and what its orders had traded before it."""

    traded: Traded
    traded_s: int
    buy_filled_before_lots: int
    sell_filled_before_lots: int


class JournalReplay:
    """``trades[i]`` is trade ``i + 1``; ``orders`` holds every order that was accepted, ``nodes`` the grid,
    ``connected_s`` when each node's batch was recorded.

    ``last_sequences`` and ``heads`` hold those of each batch; ``limits`` the (export, import) limits in lots that hold
    now for all slots, by node, where None is no limit.
    """

    def __init__(
        self,
        rules: Rules,
        domain: Domain,
        operator: int,
        keys: KeyHistory,
        engine: type[Engine | ReferenceEngine] = Engine,
    ) -> None:
        """``engine`` may be the reference's, for a second opinion on the auction."""
        self._engine = engine(rules)
        self._domain, self._operator, self._keys = domain, operator, keys
        self.batch, self.head = 0, GENESIS_HEAD
        self.trades: list[ReplayedTrade] = []
        self.orders: dict[int, OrderEnd] = {}
        self.nodes: dict[int, Connect] = {}
        self.connected_s: dict[int, int] = {}
        self.limits: dict[int, tuple[int | None, int | None]] = {}
        self.last_sequences: dict[int, int] = {}
        self.heads: dict[int, bytes] = {}
        self._commands: dict[int, tuple[New, int | None]] = {}

    def add(self, link: JournalLink) -> Contradiction | None:
        """Take up the next link; what contradicts the links before it, the receipt, or the engine."""
        return self._broken(link) or self._carry_out(link)

    def _broken(self, link: JournalLink) -> Contradiction | None:
        expected: Mapping[str, object] = {
            "batch": self.batch + 1,
            "first_sequence": self._engine.sequence + 1,
            "previous_head": self.head,
            "head": next_head(
                self.head,
                batch=link.batch,
                first_sequence=link.first_sequence,
                last_sequence=link.last_sequence,
                recorded_s=link.recorded_s,
                commands=link.commands,
                salt=link.salt,
            ),
        }
        for column, computed in expected.items():
            if getattr(link, column) != computed:
                return differs("journal", link.batch, column, stated=getattr(link, column), computed=computed)
        digest = RECEIPT.digest(self._domain, {"sequence": link.last_sequence, "journalHead": bytes(link.head)})
        key = self._keys.at(self._operator, link.last_sequence)
        if key is None or not is_signed(key, digest, link.signature):
            return Contradiction("journal", str(link.batch), "signature", "is not the operator's receipt for this head")
        return None

    def _carry_out(self, link: JournalLink) -> Contradiction | None:
        try:
            commands = decode_commands(link.commands)
            self._note(commands, link.recorded_s)
            events = self._engine.apply(commands)
        except (msgspec.DecodeError, GridError, EngineLimitError, OverflowError) as error:
            return Contradiction("journal", str(link.batch), "commands", f"are none that an engine takes: {error}")
        if self._engine.sequence != link.last_sequence:
            return differs(
                "journal", link.batch, "last_sequence", stated=link.last_sequence, computed=self._engine.sequence
            )
        for event in events:
            self._follow(event, link.recorded_s)
        self._commands.clear()
        self.batch, self.head = link.batch, link.head
        self.last_sequences[link.batch] = link.last_sequence
        self.heads[link.batch] = link.head
        return None

    def _note(self, commands: list[Command], recorded_s: int) -> None:
        for command in commands:
            if isinstance(command, Connect):
                self.nodes[command.node] = command
                self.connected_s[command.node] = recorded_s
                self.limits[command.node] = (command.export_lots, command.import_lots)
            elif isinstance(command, New):
                self._commands[command.order_id] = (command, None)
            elif isinstance(command, Basket):
                for leg in command.legs:
                    self._commands[leg.order_id] = (leg, command.legs[0].order_id)

    def _follow(self, event: Event, recorded_s: int) -> None:
        if isinstance(event, Accepted):
            new, basket = self._commands[event.order_id]
            self.orders[event.order_id] = OrderEnd(
                new, event.sequence, basket, recorded_s, "open", new.quantity_lots, 0, event.sequence
            )
        elif isinstance(event, Traded):
            buy, sell = self.orders[event.buy_order], self.orders[event.sell_order]
            self.trades.append(ReplayedTrade(event, recorded_s, buy.filled_lots, sell.filled_lots))
            for order_id in (event.buy_order, event.sell_order):
                remaining_lots = self.orders[order_id].remaining_lots - event.quantity_lots
                self._change(
                    order_id,
                    state="open" if remaining_lots else "filled",
                    remaining_lots=remaining_lots,
                    changed_sequence=event.sequence,
                )
        elif isinstance(event, Removed):
            self._change(
                event.order_id,
                state=event.ended.code,
                remaining_lots=event.remaining_lots,
                changed_sequence=event.sequence,
            )
        elif isinstance(event, Limited):
            if event.slot is None:
                self.limits[event.node] = (event.export_lots, event.import_lots)
        elif isinstance(event, Amended):
            before = self.orders[event.order_id]
            self._change(
                event.order_id,
                remaining_lots=event.remaining_lots,
                reduced_lots=before.reduced_lots + before.remaining_lots - event.remaining_lots,
                changed_sequence=event.sequence,
            )

    def _change(self, order_id: int, **values: Any) -> None:
        self.orders[order_id] = self.orders[order_id]._replace(**values)
