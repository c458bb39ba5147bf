"""What one batch of commands leaves behind: the rows that are written, and the receipts that are given, for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from market.openapi.fields import Hash, Signature
from matching.order import Command, Side


class OrderRecord(msgspec.Struct, gc=False):
    """One accepted order, column for column as ``orders`` keeps it. Only the last four change after acceptance."""

    order_id: int
    member_id: int
    client_order_id: str
    sequence: int
    node_id: int
    side: int
    slot_s: int
    quantity_lots: int
    price_ticks: int
    tif: int
    reach: int
    terms_days: int
    replaces: str
    deadline_s: int
    basket: int | None
    received_s: int
    digest: bytes
    signature_id: int
    leaf_index: int
    state: str
    remaining_lots: int
    reduced_lots: int
    changed_sequence: int


class TradeRecord(msgspec.Struct, gc=False):
    """One trade, column for column as ``trades`` keeps it."""

    trade_id: int
    sequence: int
    slot_s: int
    buy_order: int
    sell_order: int
    buyer: int
    seller: int
    buy_node: int
    sell_node: int
    quantity_lots: int
    seller_price_ticks: int
    buyer_price_ticks: int
    taker: int
    level: int
    terms_days: int
    traded_s: int
    salts: bytes
    buy_filled_before_lots: int
    sell_filled_before_lots: int

    def side_of(self, order_id: int) -> Side:
        return Side.BUY if self.buy_order == order_id else Side.SELL


class SignatureRecord(msgspec.Struct, frozen=True):
    """A member's signature over one order (``kind`` order) or over the root of many (``kind`` batch)."""

    signature_id: int
    member_id: int
    kind: str
    root: bytes
    leaves: bytes
    count: int
    basket: bool
    signature: bytes


class NodeRecord(msgspec.Struct, frozen=True):
    """One node of the grid. Limits in kW as they were given; None is no limit. ``connected_s``: its batch's time."""

    node_id: int
    name: str
    parent_id: int | None
    level: int
    export_kw: str | None
    import_kw: str | None
    connected_s: int


class MeterRecord(msgspec.Struct, frozen=True):
    """A meter, which is a node too; capacities of its connection in lots per slot."""

    node_id: int
    member_id: int
    kind: str
    export_lots: int
    import_lots: int


class JournalLink(NamedTuple):
    """One batch in the journal, column for column."""

    batch: int
    first_sequence: int
    last_sequence: int
    recorded_s: int
    previous_head: bytes
    commands: bytes
    head: bytes
    signature: bytes
    salt: bytes


class ReceiptBody(msgspec.Struct, frozen=True):
    """The operator's word that a batch is recorded, as it is answered."""

    sequence: int
    journal_head: Hash
    signature: Signature


class Receipt(NamedTuple):
    """The operator's word that a batch is recorded: its last sequence, the journal's head after it, a signature."""

    sequence: int
    journal_head: bytes
    signature: bytes

    def body(self) -> ReceiptBody:
        return ReceiptBody(self.sequence, self.journal_head.hex(), self.signature.hex())


@dataclass
class Batch:
    """Everything that one database transaction writes."""

    first_sequence: int
    commands: list[Command] = field(default_factory=list)
    orders: dict[int, OrderRecord] = field(default_factory=dict)
    by_client: dict[tuple[int, str], int] = field(default_factory=dict)
    changed: dict[int, OrderRecord] = field(default_factory=dict)
    trades: list[TradeRecord] = field(default_factory=list)
    trades_of: dict[int, list[TradeRecord]] = field(default_factory=dict)
    signatures: list[SignatureRecord] = field(default_factory=list)
    nodes: list[NodeRecord] = field(default_factory=list)
    limits: list[NodeRecord] = field(default_factory=list)
    meters: list[MeterRecord] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    writes: list[Callable[[Connection], None]] = field(default_factory=list)
    """What else the same transaction writes, by functions of the stores."""

    @property
    def is_empty(self) -> bool:
        return not (self.commands or self.settings or self.writes)
