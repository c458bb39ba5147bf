"""Reads what is published to checkers and auditors, as the structs of ``published.py``.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, func, select

from data.tables import (
    journal,
    member_keys,
    meters,
    nodes,
    orders,
    signatures,
    trades,
)
from settlement import dispute_store
from settlement.hexjson import Hex
from settlement.intents import OrderIntent
from settlement.jwk import to_jwk
from settlement.published import (
    JournalLink,
    PublishedJournal,
    PublishedKey,
    PublishedMeter,
    PublishedOrder,
    PublishedSignature,
    PublishedTrade,
)
from settlement.signatures import PublicKey
from settlement.store import chunks

AT_ONCE = 5_000

T = TypeVar("T")


# -------------------------------------------------------------------------------------------------- journal


def journal_after(connection: Connection, batch: int, limit: int) -> PublishedJournal:
    """Up to ``limit`` links of the journal after a batch."""
    query = select(journal).where(journal.c.batch > batch).order_by(journal.c.batch).limit(limit)
    newest = connection.scalar(select(func.max(journal.c.batch))) or 0
    return PublishedJournal(tuple(_link(row) for row in connection.execute(query)), newest)


def all_links(connection: Connection) -> Iterator[JournalLink]:
    """The whole journal, link by link."""
    query = select(journal).order_by(journal.c.batch)
    return stream(connection, query, _link)


def _link(row: Row[Any]) -> JournalLink:
    return JournalLink(
        row.batch,
        row.first_sequence,
        row.last_sequence,
        row.recorded_s,
        Hex(row.previous_head),
        Hex(row.commands),
        Hex(row.head),
        Hex(row.signature),
        Hex(row.salt),
    )


# ---------------------------------------------------------------------------------------- members and meters


def all_keys(connection: Connection) -> list[PublishedKey]:
    """The key history of every member."""
    query = select(member_keys).order_by(member_keys.c.member_id, member_keys.c.number)
    return [_key(row) for row in connection.execute(query)]


def keys_of(connection: Connection, members: Iterable[int]) -> list[PublishedKey]:
    """The key histories of some members."""
    found = []
    query = select(member_keys).order_by(member_keys.c.member_id, member_keys.c.number)
    for chunk in chunks(sorted(set(members))):
        found += [_key(row) for row in connection.execute(query.where(member_keys.c.member_id.in_(chunk)))]
    return found


def _key(row: Row[Any]) -> PublishedKey:
    key = PublicKey(int.from_bytes(row.x, "big"), int.from_bytes(row.y, "big"))
    return PublishedKey(row.member_id, row.from_sequence, row.to_sequence, to_jwk(key))


def all_meters(connection: Connection) -> list[PublishedMeter]:
    """Every meter with its name and owner, by node."""
    columns = (meters.c.node_id, nodes.c.name, meters.c.member_id, meters.c.export_lots, meters.c.import_lots)
    query = select(*columns).join(nodes, nodes.c.node_id == meters.c.node_id).order_by(meters.c.node_id)
    return [PublishedMeter(*row) for row in connection.execute(query)]


# -------------------------------------------------------------------------------------------- orders, trades


def orders_by_id(connection: Connection, order_ids: Iterable[int]) -> list[PublishedOrder]:
    """Some orders, by id."""
    found = []
    for chunk in chunks(sorted(set(order_ids))):
        found += [order_of(row) for row in connection.execute(orders_query().where(orders.c.order_id.in_(chunk)))]
    return found


def orders_query() -> Select[Any]:
    """Orders with the names of their meters, by id."""
    return (
        select(orders, nodes.c.name.label("meter"))
        .join(nodes, nodes.c.node_id == orders.c.node_id)
        .order_by(orders.c.order_id)
    )


def order_of(row: Row[Any]) -> PublishedOrder:
    """A row of ``orders`` with the name of its ``meter``."""
    intent = OrderIntent(
        member=row.member_id,
        client_order_id=row.client_order_id,
        meter=row.meter,
        side=row.side,
        slot=row.slot_s,
        quantity_lots=row.quantity_lots,
        price_ticks=row.price_ticks,
        reach=row.reach,
        terms_days=row.terms_days,
        tif=row.tif,
        replaces=row.replaces,
        deadline=row.deadline_s,
    )
    return PublishedOrder(
        order_id=row.order_id,
        sequence=row.sequence,
        node=row.node_id,
        intent=intent,
        digest=Hex(row.digest),
        signature_id=row.signature_id,
        leaf_index=row.leaf_index,
        received_s=row.received_s,
    )


def all_signatures(connection: Connection) -> Iterator[PublishedSignature]:
    """Every signature over orders, by id."""
    return stream(connection, select(signatures).order_by(signatures.c.signature_id), _signature)


def signatures_by_id(connection: Connection, signature_ids: Iterable[int]) -> list[PublishedSignature]:
    """Some signatures over orders, by id."""
    found = []
    query = select(signatures).order_by(signatures.c.signature_id)
    for chunk in chunks(sorted(set(signature_ids))):
        found += [_signature(row) for row in connection.execute(query.where(signatures.c.signature_id.in_(chunk)))]
    return found


def _signature(row: Row[Any]) -> PublishedSignature:
    return PublishedSignature(
        row.signature_id,
        row.member_id,
        row.kind,
        Hex(row.root),
        Hex(row.leaves),
        row._mapping["count"],  # row.count is the tuple's own
        row.basket,
        Hex(row.signature),
    )


def all_trades(connection: Connection) -> Iterator[PublishedTrade]:
    """Every trade, by id."""
    return stream(connection, select(trades).order_by(trades.c.trade_id), _trade)


def trades_at(connection: Connection, slot_s: int, *, struck: bool) -> list[PublishedTrade]:
    """The trades of a slot by id: those that the chain has struck, or all others."""
    is_meant = dispute_store.is_struck() if struck else ~dispute_store.is_struck()
    query = select(trades).where(trades.c.slot_s == slot_s, is_meant).order_by(trades.c.trade_id)
    return [_trade(row) for row in connection.execute(query)]


def _trade(row: Row[Any]) -> PublishedTrade:
    values = {field: getattr(row, field) for field in PublishedTrade.__struct_fields__}
    return PublishedTrade(**{**values, "salts": Hex(row.salts)})


def stream(connection: Connection, query: Select[Any], read: Callable[[Row[Any]], T]) -> Iterator[T]:
    """The rows of a large query, read one by one as they come."""
    rows = connection.execute(query, execution_options={"yield_per": AT_ONCE})
    return (read(row) for row in rows)
