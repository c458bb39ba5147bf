"""The queries of settlement about what came in: trades and their leaves, commitments, the chain's mirror.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
Queries about cycles are in ``cycle_store.py``, about readings in ``reading_store.py``.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from data.tables import (
    cash,
    chain_events,
    commitments,
    journal,
    member_keys,
    nodes,
    orders,
    outbox,
    trades,
)
from settlement import dispute_store
from settlement.chain import ChainEvent
from settlement.delivery import SlotTrade
from settlement.hexjson import Hex
from settlement.signatures import PublicKey
from settlement.trade_leaf import Common, Half, TradeRecord, trade_leaf

KEY_EVENTS = ("Admitted", "KeyRotated")
"""The events of Members that name a member's key."""

IN_CHUNK = 500
"""How many values one ``IN (...)`` holds: below the bound of every database."""


# -------------------------------------------------------------------------------------------------- members


def live_key(connection: Connection, member: int) -> PublicKey | None:
    """The key a member signs with now."""
    query = select(member_keys.c.x, member_keys.c.y).where(
        member_keys.c.member_id == member, member_keys.c.to_sequence.is_(None)
    )
    row = connection.execute(query).first()
    return None if row is None else PublicKey(int.from_bytes(row.x, "big"), int.from_bytes(row.y, "big"))


# --------------------------------------------------------------------------------------------------- trades


class LeafTrade(NamedTuple):
    """A trade as delivery sees it, and as it is committed."""

    slot_trade: SlotTrade
    record: TradeRecord

    @property
    def leaf(self) -> bytes:
        return trade_leaf(self.record)


def _leaf_trades() -> Select[Any]:
    """The columns of a record first, in its order: ``_record`` takes them by their place, for there are many."""
    buy, sell = orders.alias("buy"), orders.alias("sell")
    buy_meter, sell_meter = nodes.alias("buy_meter"), nodes.alias("sell_meter")
    return (
        select(
            *(trades.c[name] for name in Common.__struct_fields__),
            buy.c.digest,
            trades.c.buyer,
            buy_meter.c.name,
            trades.c.buyer_price_ticks,
            buy.c.received_s,
            trades.c.buy_filled_before_lots,
            sell.c.digest,
            trades.c.seller,
            sell_meter.c.name,
            trades.c.seller_price_ticks,
            sell.c.received_s,
            trades.c.sell_filled_before_lots,
            trades.c.salts,
            trades.c.buy_node,
            trades.c.sell_node,
        )
        .join(buy, buy.c.order_id == trades.c.buy_order)
        .join(sell, sell.c.order_id == trades.c.sell_order)
        .join(buy_meter, buy_meter.c.node_id == trades.c.buy_node)
        .join(sell_meter, sell_meter.c.node_id == trades.c.sell_node)
        .order_by(trades.c.trade_id)
    )


def trades_of_slots(
    connection: Connection, start_s: int, end_s: int, *, with_struck: bool = False, on_terms: bool = False
) -> list[LeafTrade]:
    """The trades of the slots in ``[start_s, end_s)``, by trade id, without those that the chain has struck.

    ``on_terms`` leaves out those that were paid in their cycle.
    """
    query = _leaf_trades().where(trades.c.slot_s >= start_s, trades.c.slot_s < end_s)
    if on_terms:
        query = query.where(trades.c.terms_days > 0)
    if not with_struck:
        query = query.where(~dispute_store.is_struck())
    return [_leaf_trade(row) for row in connection.execute(query)]


def trades_at(connection: Connection, slot_s: int) -> list[SlotTrade]:
    """The trades of a slot as delivery sees them, by trade id, without those that the chain has struck."""
    query = select(trades).where(trades.c.slot_s == slot_s, ~dispute_store.is_struck()).order_by(trades.c.trade_id)
    return [slot_trade(row) for row in connection.execute(query)]


def newest_trade(connection: Connection, start_s: int, end_s: int) -> int:
    """The highest id among the trades of the slots in ``[start_s, end_s)``, 0 when there is none."""
    query = select(func.max(trades.c.trade_id)).where(trades.c.slot_s >= start_s, trades.c.slot_s < end_s)
    return connection.scalar(query) or 0


def trades_between(connection: Connection, first_trade: int, last_trade: int) -> list[LeafTrade]:
    """The trades with these ids, both included."""
    query = _leaf_trades().where(trades.c.trade_id.between(first_trade, last_trade))
    return [_leaf_trade(row) for row in connection.execute(query)]


def orders_of_trade(connection: Connection, trade_id: int) -> tuple[int, int]:
    """The buy order and the sell order of a trade that exists."""
    row = connection.execute(select(trades.c.buy_order, trades.c.sell_order).where(trades.c.trade_id == trade_id)).one()
    return row.buy_order, row.sell_order


def slot_trade(row: Row[Any]) -> SlotTrade:
    """A row of ``trades`` as delivery sees it."""
    return SlotTrade(
        trade_id=row.trade_id,
        slot_s=row.slot_s,
        buyer=row.buyer,
        seller=row.seller,
        buy_node=row.buy_node,
        sell_node=row.sell_node,
        quantity_lots=row.quantity_lots,
        seller_price_ticks=row.seller_price_ticks,
        buyer_price_ticks=row.buyer_price_ticks,
        terms_days=row.terms_days,
    )


def leaves_between(connection: Connection, first_trade: int, last_trade: int) -> list[bytes]:
    """The leaves of the trades with these ids, both included."""
    query = _leaf_trades().where(trades.c.trade_id.between(first_trade, last_trade))
    return [trade_leaf(_record(row)) for row in connection.execute(query)]


def leaves_of(connection: Connection, trade_ids: Sequence[int]) -> dict[int, bytes]:
    """The leaves of some trades, by trade id."""
    found = {}
    for chunk in chunks(trade_ids):
        records = map(_record, connection.execute(_leaf_trades().where(trades.c.trade_id.in_(chunk))))
        found.update({record.common.trade_id: trade_leaf(record) for record in records})
    return found


def _leaf_trade(row: Row[Any]) -> LeafTrade:
    return LeafTrade(slot_trade(row), _record(row))


def _record(row: Row[Any]) -> TradeRecord:
    values: Sequence[Any] = row
    buy_digest, *buy = values[8:14]
    sell_digest, *sell = values[14:20]
    return TradeRecord(Common(*values[:8]), Half(Hex(buy_digest), *buy), Half(Hex(sell_digest), *sell), values[20])


# ---------------------------------------------------------------------------------------------- commitments


class EventPlace(NamedTuple):
    """Where an event stands on the chain; ``log_index`` counts within the block."""

    block: int
    log_index: int


class JournalEnd(NamedTuple):
    """The newest batch of the journal, and the oldest after a given one."""

    batch: int
    head: bytes
    oldest_recorded_s: int


def last_commitment(connection: Connection) -> Row[Any] | None:
    """The newest row of ``commitments``."""
    return connection.execute(select(commitments).order_by(commitments.c.commitment.desc()).limit(1)).first()


def commitment_of_trade(connection: Connection, trade_id: int) -> Row[Any] | None:
    """The commitment whose trades include this one."""
    covers = (commitments.c.first_trade <= trade_id) & (commitments.c.last_trade >= trade_id)
    return connection.execute(select(commitments).where(covers)).first()


def commitment_event(connection: Connection, row: Row[Any]) -> EventPlace | None:
    """Where the chain says a commitment, given as its row; None when it does not yet."""
    said = _events("Clearing", "Committed").where(
        chain_events.c.arguments.contains(_argument("index", str(row.commitment)))
    )
    sent = select(outbox.c.block).where(outbox.c.outbox_id == row.outbox_id).scalar_subquery()
    # by its own transaction, which is nearly always the one, at once; else by looking through all of them
    found = connection.execute(said.where(chain_events.c.block == sent)).first() or connection.execute(said).first()
    return None if found is None else EventPlace(*found)


def key_events(connection: Connection, member: int) -> list[EventPlace]:
    """Where the chain says a member's keys, in order."""
    return events_with(connection, "Members", KEY_EVENTS, "member", str(member))


def events_with(
    connection: Connection, contract: str, events: Sequence[str], argument: str, value: str
) -> list[EventPlace]:
    """Where the chain has events of some kinds with this argument (as ``arguments_to_json`` writes it), in order."""
    having = chain_events.c.arguments.contains(_argument(argument, value))
    return [EventPlace(*row) for row in connection.execute(_events(contract, *events).where(having))]


def key_event_rows(connection: Connection, member: int) -> Sequence[Row[Any]]:
    """What the chain says of a member's keys, in order, as rows of ``chain_events``."""
    is_meant = (chain_events.c.contract == "Members") & chain_events.c.event.in_(KEY_EVENTS)
    query = select(chain_events).where(is_meant, chain_events.c.arguments.contains(_argument("member", str(member))))
    return connection.execute(query.order_by(chain_events.c.block, chain_events.c.log_index)).all()


def _events(contract: str, *events: str) -> Select[Any]:
    """The places of events of some kinds, in order."""
    return (
        select(chain_events.c.block, chain_events.c.log_index)
        .where(chain_events.c.contract == contract, chain_events.c.event.in_(events))
        .order_by(chain_events.c.block, chain_events.c.log_index)
    )


def _argument(name: str, value: str) -> str:
    """What ``arguments`` contains when an event has this value under this name."""
    return json.dumps({name: value})[1:-1]


def journal_after(connection: Connection, batch: int) -> JournalEnd | None:
    """What the journal holds after a batch; None when nothing."""
    newest = connection.execute(
        select(journal.c.batch, journal.c.head).where(journal.c.batch > batch).order_by(journal.c.batch.desc()).limit(1)
    ).first()
    if newest is None:
        return None
    oldest_recorded_s = connection.scalar(select(func.min(journal.c.recorded_s)).where(journal.c.batch > batch))
    assert oldest_recorded_s is not None
    return JournalEnd(newest.batch, newest.head, oldest_recorded_s)


def last_trade_upto(connection: Connection, batch: int) -> int:
    """The newest trade id that the journal's batches up to this one caused, 0 when none."""
    last_sequence = connection.scalar(select(journal.c.last_sequence).where(journal.c.batch == batch))
    query = select(trades.c.trade_id).where(trades.c.sequence <= last_sequence).order_by(trades.c.trade_id.desc())
    return connection.scalar(query.limit(1)) or 0


def batch_of_trade(connection: Connection, trade_id: int) -> tuple[int, bytes]:
    """Number and head of the journal's batch that caused a trade which exists."""
    sequence = select(trades.c.sequence).where(trades.c.trade_id == trade_id).scalar_subquery()
    query = select(journal.c.batch, journal.c.head).where(journal.c.last_sequence >= sequence)
    row = connection.execute(query.order_by(journal.c.batch).limit(1)).one()
    return row.batch, row.head


def add_commitment(connection: Connection, row: dict[str, Any]) -> None:
    """Insert a row of ``commitments``."""
    connection.execute(insert(commitments), row)


# --------------------------------------------------------------------------------------------- chain mirror


def last_mirrored_block(connection: Connection) -> int:
    """The newest block of which an event is kept, -1 when there is none."""
    newest = connection.scalar(select(func.max(chain_events.c.block)))
    return -1 if newest is None else newest


def add_chain_events(connection: Connection, events: Sequence[ChainEvent]) -> None:
    """Insert events as they came."""
    rows = [
        {
            "block": event.block,
            "log_index": event.log_index,
            "block_s": event.block_s,
            "transaction_hash": event.transaction_hash,
            "contract": event.contract,
            "event": event.event,
            "arguments": arguments_to_json(event.arguments),
            "block_hash": event.block_hash,
        }
        for event in events
    ]
    if rows:
        connection.execute(insert(chain_events), rows)


def arguments_to_json(arguments: dict[str, int | bytes | bool]) -> str:
    """Integers as decimal strings, bytes as 0x hex, truth values as they are: JSON numbers end at 2**53 elsewhere."""

    def plain(value: int | bytes | bool) -> str | bool:
        if isinstance(value, bool):
            return value
        return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)

    return json.dumps({name: plain(value) for name, value in arguments.items()}, sort_keys=True)


Balance = dict[str, int]
"""``free_micro``, ``escrow_micro``, ``arrears_micro`` of one member."""


def balances(connection: Connection) -> dict[int, Balance]:
    """The mirror of the chain's balances, by member."""
    columns = ("free_micro", "escrow_micro", "arrears_micro")
    return {row.member_id: {name: getattr(row, name) for name in columns} for row in connection.execute(select(cash))}


def put_balances(connection: Connection, changed: dict[int, Balance]) -> None:
    """Write the balances of some members, new or known."""
    known = set(connection.scalars(select(cash.c.member_id)))
    fresh = [{"member_id": member, **balance} for member, balance in changed.items() if member not in known]
    if fresh:
        connection.execute(insert(cash), fresh)
    stale = [{"b_member": member, **balance} for member, balance in changed.items() if member in known]
    if stale:
        connection.execute(update(cash).where(cash.c.member_id == bindparam("b_member")), stale)


def chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Slices small enough for one ``IN (...)``."""
    return (values[start : start + IN_CHUNK] for start in range(0, len(values), IN_CHUNK))
