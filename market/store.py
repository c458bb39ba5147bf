"""SQL of the market itself: the journal with orders, trades and grid; written by the sequencer alone, read by all."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from data.bulk import insert_rows, rows_with_keys, update_rows
from data.tables import (
    cash,
    cycles,
    journal,
    members,
    meters,
    nodes,
    orders,
    outbox,
    receivables,
    settings,
    signatures,
    statement_lines,
    trades,
)
from market import withdrawal_store
from market.records import (
    Batch,
    JournalLink,
    MeterRecord,
    NodeRecord,
    OrderRecord,
    TradeRecord,
)
from market.risk import Facts
from settlement import ladder_store

CLOCK = "clock_s"
"""The setting that holds where a manual clock stands."""

ADVISORY_LOCK = 0x6A696E736861
"""Any number, the same for all servers: "jinsha" in ASCII."""

# ------------------------------------------------------------------------------------------------ writing


def write_batch(connection: Connection, batch: Batch, link: JournalLink | None) -> None:
    """All rows of one batch, in one transaction of the caller's. ``link`` is None when there were no commands."""
    if link is not None:
        insert_rows(connection, journal, JournalLink._fields, [link])
    _insert(connection, nodes, batch.nodes)
    _insert(connection, meters, batch.meters)
    update_rows(connection, nodes, "node_id", _LIMITS, [(n.node_id, n.export_kw, n.import_kw) for n in batch.limits])
    _insert(connection, signatures, batch.signatures)
    _insert(connection, orders, list(batch.orders.values()))
    update_rows(
        connection,
        orders,
        "order_id",
        _CHANGING,
        [(o.order_id, o.state, o.remaining_lots, o.reduced_lots, o.changed_sequence) for o in batch.changed.values()],
    )
    _insert(connection, trades, batch.trades)
    put_settings(connection, batch.settings)
    for write in batch.writes:
        write(connection)


_LIMITS = ("export_kw", "import_kw")
_CHANGING = ("state", "remaining_lots", "reduced_lots", "changed_sequence")


def _insert(connection: Connection, table: Table, records: Sequence[msgspec.Struct]) -> None:
    if records:
        insert_rows(connection, table, records[0].__struct_fields__, [astuple(record) for record in records])


def put_settings(connection: Connection, values: dict[str, Any]) -> None:
    """Write settings, over what stands there."""
    if not values:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    write = dialect.insert(settings)
    connection.execute(
        write.on_conflict_do_update(index_elements=["name"], set_={"value": write.excluded.value}),
        [{"name": name, "value": msgspec.json.encode(value).decode()} for name, value in values.items()],
    )


def read_settings(connection: Connection) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in connection.execute(select(settings))}


# --------------------------------------------------------------------------------------------- rebuilding


def read_links(connection: Connection, after: int = 0) -> Iterator[JournalLink]:
    """The journal from batch ``after + 1`` on."""
    rows = connection.execution_options(yield_per=1_000).execute(
        select(journal).where(journal.c.batch > after).order_by(journal.c.batch)
    )
    return (JournalLink(*row) for row in rows)


def read_nodes(connection: Connection) -> list[NodeRecord]:
    """All nodes, in order of connection."""
    rows = connection.execute(select(*_of(nodes, NodeRecord)).order_by(nodes.c.node_id))
    return [NodeRecord(*row) for row in rows]


def read_meters(connection: Connection) -> list[MeterRecord]:
    rows = connection.execute(select(*_of(meters, MeterRecord)).order_by(meters.c.node_id))
    return [MeterRecord(*row) for row in rows]


def read_orders(connection: Connection) -> Iterator[OrderRecord]:
    """All orders ever accepted, by id."""
    rows = connection.execution_options(yield_per=10_000).execute(
        select(*_of(orders, OrderRecord)).order_by(orders.c.order_id)
    )
    return (OrderRecord(*row) for row in rows)


def read_trades(connection: Connection) -> Iterator[TradeRecord]:
    """All trades, by id."""
    rows = connection.execution_options(yield_per=10_000).execute(
        select(*_of(trades, TradeRecord)).order_by(trades.c.trade_id)
    )
    return (TradeRecord(*row) for row in rows)


def last_signature_id(connection: Connection) -> int:
    return connection.scalar(select(func.coalesce(func.max(signatures.c.signature_id), 0))) or 0


def _of(table: Table, record: type[msgspec.Struct]) -> list[Any]:
    return [table.c[name] for name in record.__struct_fields__]


# --------------------------------------------------------------------------------------- what others decide


def read_facts(connection: Connection) -> Facts:
    """Escrow, credit limits, what was paid on debts, and up to when slots are settled; one snapshot."""
    escrow = connection.execute(select(cash.c.member_id, cash.c.escrow_micro))
    limits = connection.execute(
        select(members.c.member_id, members.c.credit_limit_micro).where(members.c.credit_limit_micro != 0)
    )
    paid: dict[int, int] = {}
    on_receivables = select(receivables.c.debtor, func.sum(receivables.c.paid_fen)).group_by(receivables.c.debtor)
    for debtor, paid_fen in connection.execute(on_receivables):
        paid[debtor] = int(paid_fen) * 10_000
    in_cycles = (
        select(statement_lines.c.member_id, func.sum(statement_lines.c.amount_micro))
        .join(cycles, cycles.c.cycle == statement_lines.c.cycle)
        .where(statement_lines.c.kind == "energy_due", statement_lines.c.amount_micro < 0, cycles.c.state == "applied")
        .group_by(statement_lines.c.member_id)
    )
    for debtor, amount_micro in connection.execute(in_cycles):
        paid[debtor] = paid.get(debtor, 0) - int(amount_micro)
    leaving, last_withdrawal = withdrawal_store.leaving(connection)
    standings = ladder_store.standings(connection)
    applied_until_s = connection.scalar(select(func.max(cycles.c.end_s)).where(cycles.c.state == "applied"))
    return Facts(
        escrow_micro={row.member_id: row.escrow_micro for row in escrow},
        credit_limit_micro={row.member_id: row.credit_limit_micro for row in limits},
        paid_micro=paid,
        applied_until_s=applied_until_s or 0,
        leaving_micro=leaving,
        last_withdrawal=last_withdrawal,
        called=frozenset(standings),
        suspended=frozenset(member for member, each in standings.items() if each.stage >= ladder_store.SUSPENDED),
    )


def known_orders(connection: Connection, names: Sequence[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, bytes]]:
    """Order id and digest of every (member, client order id) that was accepted before."""
    asked = ("member_id", "client_order_id", "order_id", "digest")
    rows = rows_with_keys(connection, orders, ("member_id", "client_order_id"), names, asked)
    return {(member, client_order_id): (order_id, digest) for member, client_order_id, order_id, digest in rows}


def latest_time_s(connection: Connection) -> int:
    """The latest market time that is on record, 0 in a new market."""
    recorded_s = connection.scalar(select(func.max(journal.c.recorded_s))) or 0
    kept_s: int = read_settings(connection).get(CLOCK, 0)
    return max(recorded_s, kept_s)


def reverted_calls(connection: Connection) -> list[tuple[str, str]]:
    """Kind and refusal of calls that the contracts did not take."""
    asked = select(outbox.c.kind, outbox.c.refusal).where(outbox.c.state == "reverted").order_by(outbox.c.outbox_id)
    return [(kind, refusal or "") for kind, refusal in connection.execute(asked)]


def try_advisory_lock(connection: Connection) -> bool:
    """Whether this connection got PostgreSQL's lock for serving; it holds it until it closes."""
    return bool(connection.scalar(select(func.pg_try_advisory_lock(ADVISORY_LOCK))))


def has_answer(connection: Connection) -> bool:
    """Whether the database still answers on this connection."""
    try:
        return connection.scalar(select(1)) == 1
    except DBAPIError:
        return False
