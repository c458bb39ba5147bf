"""The market in memory, built again from the journal, and compared with the tables before anyone relies on it.

Raises ``RecordError`` where journal and tables contradict each other: then nothing is served, for a market that
guesses is worse than one that stands still.
"""

import logging
from collections.abc import Iterator
from itertools import zip_longest

from sqlalchemy import Connection

from market import control_store, halt_store, key_store, store, withdrawal_store
from market.logs import log
from market.records import JournalLink, NodeRecord, OrderRecord, TradeRecord
from market.state import MarketState, stake_of
from matching.order import Basket, Command, Connect, New, decode_commands
from settlement.journal import next_head

_PROGRESS_EVERY = 1000


class RecordError(Exception):
    """Journal and tables contradict each other; the message says where."""


def rebuild(state: MarketState, connection: Connection) -> None:
    """Replay the whole journal into a new ``state``; ``connection`` is one snapshot. Raises RecordError."""
    facts = store.read_facts(connection)
    state.exposures.learn(facts)
    recorded_trades = store.read_trades(connection)
    accepted: dict[int, OrderRecord] = {}
    connected: list[Connect] = []
    for link in store.read_links(connection):
        _check_link(state, link)
        state.begin(link.recorded_s)
        for command in decode_commands(link.commands):
            _replay(state, command)
            if isinstance(command, Connect):
                connected.append(command)
        if state.engine.sequence != link.last_sequence:
            raise RecordError(f"journal batch {link.batch}: its commands do not end at sequence {link.last_sequence}")
        state.head, state.journal_batch = link.head, link.batch
        _compare_trades(state.batch.trades, recorded_trades)
        accepted.update(state.batch.orders)
        if link.batch % _PROGRESS_EVERY == 0:
            log(logging.INFO, "replaying", batch=link.batch, sequence=link.last_sequence)
    extra = next(recorded_trades, None)
    if extra is not None:
        raise RecordError(f"trade {extra.trade_id} is in the table and not in the journal")
    _compare_orders(state, accepted, store.read_orders(connection))
    _take_grid(state, connected, connection)
    state.exposures.learn(facts)
    state.next_signature = store.last_signature_id(connection) + 1
    state.withdrawals = withdrawal_store.numbers(connection)
    state.rotated = key_store.rotated(connection)
    state.controls.put(control_store.read_all(connection))
    state.halts.put(halt_store.read(connection))


def _check_link(state: MarketState, link: JournalLink) -> None:
    head = next_head(
        state.head,
        batch=link.batch,
        first_sequence=link.first_sequence,
        last_sequence=link.last_sequence,
        recorded_s=link.recorded_s,
        commands=link.commands,
        salt=link.salt,
    )
    expected = (state.journal_batch + 1, state.engine.sequence + 1, state.head, head)
    if (link.batch, link.first_sequence, link.previous_head, link.head) != expected:
        raise RecordError(f"journal batch {link.batch} does not follow from the batch before it")


def _replay(state: MarketState, command: Command) -> None:
    legs = command.legs if isinstance(command, Basket) else (command,) if isinstance(command, New) else ()
    for leg in legs:
        basket = legs[0].order_id if isinstance(command, Basket) else None
        record = _bare_record(state, leg, basket)
        state.expect(record, stake_of(record))
        state.next_order = max(state.next_order, leg.order_id + 1)
    state.apply([command])


def _bare_record(state: MarketState, new: New, basket: int | None) -> OrderRecord:
    """All that the journal knows of an order; the rest is taken from the table at the end."""
    return OrderRecord(
        order_id=new.order_id,
        member_id=new.member,
        client_order_id=f"#{new.order_id}",
        sequence=0,
        node_id=new.meter,
        side=int(new.side),
        slot_s=new.slot,
        quantity_lots=new.quantity_lots,
        price_ticks=new.price_ticks,
        tif=int(new.tif),
        reach=int(new.reach),
        terms_days=new.terms_days,
        replaces="",
        deadline_s=0,
        basket=basket,
        received_s=state.now_s,
        digest=b"",
        signature_id=0,
        leaf_index=0,
        state="open",
        remaining_lots=new.quantity_lots,
        reduced_lots=0,
        changed_sequence=0,
    )


def _compare_trades(replayed: list[TradeRecord], recorded: Iterator[TradeRecord]) -> None:
    for trade in replayed:
        row = next(recorded, None)
        if row is None:
            raise RecordError(f"trade {trade.trade_id} is in the journal and not in the table")
        trade.salts = row.salts
        if row != trade:
            raise RecordError(f"trade {row.trade_id} in the table is not what the journal leads to")


def _compare_orders(state: MarketState, accepted: dict[int, OrderRecord], recorded: Iterator[OrderRecord]) -> None:
    """Each row must be what the replay led to; then the replayed record takes over what only the table knows."""
    count = 0
    for row in recorded:
        order = accepted.get(row.order_id)
        if order is None:
            raise RecordError(f"order {row.order_id} is in the table and not in the journal")
        for name in ("client_order_id", "replaces", "deadline_s", "digest", "signature_id", "leaf_index"):
            setattr(order, name, getattr(row, name))
        if row != order:
            raise RecordError(f"order {row.order_id} in the table is not what the journal leads to")
        count += 1
    if count != len(accepted):
        raise RecordError(f"{len(accepted) - count} orders are in the journal and not in the table")
    state.open_by_client = {(order.member_id, order.client_order_id): order.order_id for order in state.open.values()}


def _take_grid(state: MarketState, connected: list[Connect], connection: Connection) -> None:
    recorded = store.read_nodes(connection)
    for command, node in zip_longest(connected, recorded):
        if command is None or node is None or not _is_same_place(command, node):
            which = node.node_id if node is not None else command.node
            raise RecordError(f"node {which} in the table is not what the journal connects")
        state.add_node(node)
    for meter in store.read_meters(connection):
        state.meters[state.node_names[meter.node_id]] = meter


def _is_same_place(command: Connect, node: NodeRecord) -> bool:
    parent = -1 if node.parent_id is None else node.parent_id
    return (command.node, command.parent, command.level) == (node.node_id, parent, node.level)
