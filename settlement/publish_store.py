"""Reads what is published to checkers and auditors, as the structs of ``published.py``.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, func, select

from data.tables import (
    journal,
    member_keys,
    meters,
    nodes,
    orders,
    reading_signatures,
    readings,
    signatures,
    trades,
)
from settlement import calendar, cycle_store, store
from settlement.delivery import Line
from settlement.drafting import Span, late_slots
from settlement.hexjson import Hex
from settlement.intents import OrderIntent
from settlement.jwk import to_jwk
from settlement.published import (
    JournalLink,
    PublishedCycle,
    PublishedJournal,
    PublishedKey,
    PublishedMeter,
    PublishedOrder,
    PublishedReading,
    PublishedReadings,
    PublishedReadingSignature,
    PublishedSignature,
    PublishedSlot,
    PublishedTrade,
    SignedReadings,
)
from settlement.rules import SettlementRules
from settlement.signatures import PublicKey
from settlement.store import chunks

AT_ONCE = 5_000
LINES_AT_ONCE = 20_000

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


def _trades_of_slots(connection: Connection, start_s: int, end_s: int) -> list[PublishedTrade]:
    query = select(trades).where(trades.c.slot_s >= start_s, trades.c.slot_s < end_s).order_by(trades.c.trade_id)
    return [_trade(row) for row in connection.execute(query)]


def _trade(row: Row[Any]) -> PublishedTrade:
    values = {field: getattr(row, field) for field in PublishedTrade.__struct_fields__}
    return PublishedTrade(**{**values, "salts": Hex(row.salts)})


# ------------------------------------------------------------------------------------------ readings, cycles


def readings_of_day(connection: Connection, day: date, time_zone: str) -> PublishedReadings:
    """All readings of a local day, as ``GET /v1/readings`` shows them."""
    start_s, end_s = calendar.bounds(day, time_zone)
    query = readings_query().where(readings.c.slot_s >= start_s, readings.c.slot_s < end_s)
    found = [reading_of(row) for row in connection.execute(query)]
    signed: list[PublishedReadingSignature] = []
    by_id = select(reading_signatures).order_by(reading_signatures.c.signature_id)
    for chunk in chunks(sorted({reading.signature_id for reading in found})):
        matching = connection.execute(by_id.where(reading_signatures.c.signature_id.in_(chunk)))
        signed += [_reading_signature(row) for row in matching]
    keys = keys_of(connection, {signature.signer for signature in signed})
    return PublishedReadings(day.isoformat(), tuple(found), tuple(signed), tuple(keys))


def readings_query() -> Select[Any]:
    """All versions of all readings with the names of their meters, by slot, node and version."""
    return (
        select(readings, nodes.c.name.label("meter"))
        .join(nodes, nodes.c.node_id == readings.c.node_id)
        .order_by(readings.c.slot_s, readings.c.node_id, readings.c.version)
    )


def all_reading_signatures(connection: Connection) -> Iterator[PublishedReadingSignature]:
    """Every signature over readings, by id."""
    return stream(
        connection, select(reading_signatures).order_by(reading_signatures.c.signature_id), _reading_signature
    )


def reading_of(row: Row[Any]) -> PublishedReading:
    """A row of ``readings`` with the name of its ``meter``."""
    return PublishedReading(
        row.node_id,
        row.meter,
        row.slot_s,
        row.version,
        row.export_lots,
        row.import_lots,
        row.received_s,
        row.signature_id,
        row.leaf_index,
    )


def _reading_signature(row: Row[Any]) -> PublishedReadingSignature:
    return PublishedReadingSignature(
        row.signature_id, row.signer, Hex(row.root), Hex(row.leaves), row._mapping["count"], Hex(row.signature)
    )


def published_cycle(connection: Connection, number: int, rules: SettlementRules) -> PublishedCycle | None:
    """A cycle as ``GET /v1/cycles/{n}`` shows it to a checker; None when there is no such cycle."""
    row = cycle_store.cycle(connection, number)
    if row is None:
        return None
    return PublishedCycle(
        cycle=row.cycle,
        day=row.day,
        start_s=row.start_s,
        end_s=row.end_s,
        state=row.state,
        salt=Hex(row.salt),
        trades_root=Hex(row.trades_root),
        readings_root=Hex(row.readings_root),
        statements_root=Hex(row.statements_root),
        parts=tuple(part.deltas for part in cycle_store.parts_from_json(row.parts)),
        parts_hash=Hex(row.parts_hash),
        operator_signature=Hex(row.operator_signature),
        checker_signature=None if row.checker_signature is None else Hex(row.checker_signature),
        slots=tuple(store.busy_slots(connection, row.start_s, row.end_s)),
        late_slots=tuple(_late_slots(connection, row, rules)),
        meters=tuple(all_meters(connection)),
    )


def _late_slots(connection: Connection, row: Row[Any], rules: SettlementRules) -> list[int]:
    before = cycle_store.cycle(connection, row.cycle - 1)
    after = None if before is None else date.fromisoformat(before.day)
    span = Span(row.cycle, date.fromisoformat(row.day), after)
    return [slot_s for slot_s, _ in late_slots(connection, span, rules)]


def published_slot(connection: Connection, number: int, slot_s: int) -> PublishedSlot:
    """A slot as ``GET /v1/cycles/{n}/slots`` shows it to a checker."""
    traded = _trades_of_slots(connection, slot_s, slot_s + 1)
    behind = orders_by_id(connection, (order for trade in traded for order in (trade.buy_order, trade.sell_order)))
    return PublishedSlot(
        slot_s=slot_s,
        deliveries=tuple(cycle_store.deliveries_at(connection, number, slot_s)),
        estimates=tuple(cycle_store.estimates_at(connection, number, slot_s)),
        trades=tuple(traded),
        orders=tuple(behind),
        order_signatures=tuple(signatures_by_id(connection, (order.signature_id for order in behind))),
        readings=tuple(
            reading_of(row) for row in connection.execute(readings_query().where(readings.c.slot_s == slot_s))
        ),
        keys=tuple(keys_of(connection, (order.intent.member for order in behind))),
    )


def signed_readings(connection: Connection, signature_id: int) -> SignedReadings | None:
    """A signature over readings; None when there is no such one."""
    query = select(reading_signatures).where(reading_signatures.c.signature_id == signature_id)
    row = connection.execute(query).first()
    if row is None:
        return None
    return SignedReadings(_reading_signature(row), tuple(keys_of(connection, [row.signer])))


class StoredCycle:
    """A cycle's slots and lines from the database, as ``examine_cycle.CycleSource`` asks for them."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection, self._number = connection, number

    def slot(self, slot_s: int) -> PublishedSlot:
        return published_slot(self._connection, self._number, slot_s)

    def lines(self, after: int) -> Sequence[Line]:
        return cycle_store.lines_of(self._connection, self._number, after, LINES_AT_ONCE)

    def reading_signature(self, signature_id: int) -> SignedReadings | None:
        return signed_readings(self._connection, signature_id)


def stream(connection: Connection, query: Select[Any], read: Callable[[Row[Any]], T]) -> Iterator[T]:
    """The rows of a large query, read one by one as they come."""
    rows = connection.execute(query, execution_options={"yield_per": AT_ONCE})
    return (read(row) for row in rows)
