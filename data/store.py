"""What analysts ask of the tables, as Arrow record batches; the only SQL that ``frames`` and the exports run.

Row by row, a million trades would be a dozen million Python numbers. Here the database itself joins each column of a
chunk to one text (``group_concat``, ``string_agg``), numpy reads the numbers back in one go, and no Python object is
made for any of them; all columns of a chunk are joined in one pass, so rows stay rows. Receivables, which hold bytes,
are read plainly, a chunk at a time.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Integer,
    String,
    case,
    cast,
    func,
    insert,
    or_,
    select,
    tuple_,
)
from sqlalchemy.exc import IntegrityError

from data import columns as kinds
from data import tables
from data.columns import NOBODY, Kind, Naming, pseudonym
from data.database import reading

CHUNK_ROWS = 65_536
GUARANTEE_FUND = 0
"""The account of Clearing that is no member's."""

PSEUDONYM_KEY = "pseudonym_key"

Source = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an answer: its name, the expression it is read from, and what becomes of the numbers."""

    name: str
    source: Source
    kind: Kind


@dataclass(frozen=True, slots=True)
class Question:
    """``keys`` order the rows and tell where the next chunk starts; a filter needs the column it filters.

    ``slot`` is in seconds; ``day`` is a text column for questions that know days only. ``members`` and ``meters`` are
    the columns that may hold the member or meter asked for.
    """

    name: str
    columns: tuple[Column, ...]
    origin: FromClause
    keys: tuple[Source, ...]
    slot: Source | None = None
    day: Source | None = None
    members: tuple[Source, ...] = ()
    meters: tuple[Source, ...] = ()
    conditions: tuple[Source, ...] = ()
    is_small: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every answer."""
        return pa.schema([pa.field(c.name, c.kind.type, nullable=c.kind.may_be_null) for c in self.columns])


@dataclass(frozen=True, slots=True)
class Filters:
    """Slots in ``[start_s, end_s)``, or the local days ``first_day <= day < end_day`` where only days are known."""

    start_s: int | None = None
    end_s: int | None = None
    first_day: str | None = None
    end_day: str | None = None
    member: int | None = None
    meter: int | None = None


# --------------------------------------------------------------------------------------------- questions

_t, _o, _d, _l, _r, _v = (
    tables.trades.c,
    tables.orders.c,
    tables.deliveries.c,
    tables.statement_lines.c,
    tables.readings.c,
    tables.receivables.c,
)

TRADES = Question(
    "trades",
    (
        Column("trade_id", _t.trade_id, kinds.NUMBER),
        Column("slot", _t.slot_s, kinds.INSTANT),
        Column("traded", _t.traded_s, kinds.INSTANT),
        Column("buyer", _t.buyer, kinds.MEMBER),
        Column("seller", _t.seller, kinds.MEMBER),
        Column("buy_meter", _t.buy_node, kinds.METER),
        Column("sell_meter", _t.sell_node, kinds.METER),
        Column("buy_order", _t.buy_order, kinds.NUMBER),
        Column("sell_order", _t.sell_order, kinds.NUMBER),
        Column("quantity_lots", _t.quantity_lots, kinds.LOTS),
        Column("quantity_kwh", _t.quantity_lots, kinds.KWH),
        Column("seller_price_cny_per_kwh", _t.seller_price_ticks, kinds.PRICE),
        Column("buyer_price_cny_per_kwh", _t.buyer_price_ticks, kinds.PRICE),
        Column("seller_amount_cny", _t.quantity_lots * _t.seller_price_ticks, kinds.MONEY),
        Column("buyer_amount_cny", _t.quantity_lots * _t.buyer_price_ticks, kinds.MONEY),
        Column("taker", _t.taker, kinds.SIDE),
        Column("level", _t.level, kinds.LEVEL),
        Column("terms_days", _t.terms_days, kinds.NUMBER),
    ),
    tables.trades,
    (_t.trade_id,),
    slot=_t.slot_s,
    members=(_t.buyer, _t.seller),
    meters=(_t.buy_node, _t.sell_node),
)

ORDERS = Question(
    "orders",
    (
        Column("order_id", _o.order_id, kinds.NUMBER),
        Column("sequence", _o.sequence, kinds.NUMBER),
        Column("received", _o.received_s, kinds.INSTANT),
        Column("slot", _o.slot_s, kinds.INSTANT),
        Column("member", _o.member_id, kinds.MEMBER),
        Column("meter", _o.node_id, kinds.METER),
        Column("side", _o.side, kinds.SIDE),
        Column("quantity_lots", _o.quantity_lots, kinds.LOTS),
        Column("quantity_kwh", _o.quantity_lots, kinds.KWH),
        Column("remaining_lots", _o.remaining_lots, kinds.LOTS),
        Column("price_cny_per_kwh", _o.price_ticks, kinds.PRICE),
        Column("tif", _o.tif, kinds.TIF),
        Column("reach", _o.reach, kinds.LEVEL),
        Column("terms_days", _o.terms_days, kinds.NUMBER),
        Column("in_basket", case((_o.basket.is_(None), 0), else_=1), kinds.FLAG),
        Column("state", _o.state, kinds.TEXT),
    ),
    tables.orders,
    (_o.order_id,),
    slot=_o.slot_s,
    members=(_o.member_id,),
    meters=(_o.node_id,),
)

DELIVERIES = Question(
    "deliveries",
    (
        Column("trade_id", _d.trade_id, kinds.NUMBER),
        Column("cycle", _d.cycle, kinds.NUMBER),
        Column("slot", _t.slot_s, kinds.INSTANT),
        Column("buyer", _t.buyer, kinds.MEMBER),
        Column("seller", _t.seller, kinds.MEMBER),
        Column("buy_meter", _t.buy_node, kinds.METER),
        Column("sell_meter", _t.sell_node, kinds.METER),
        Column("quantity_lots", _t.quantity_lots, kinds.LOTS),
        Column("quantity_kwh", _t.quantity_lots, kinds.KWH),
        Column("delivered_lots", _d.delivered_lots, kinds.LOTS),
        Column("delivered_kwh", _d.delivered_lots, kinds.KWH),
        Column("delivered_amount_cny", _d.delivered_lots * _t.seller_price_ticks, kinds.MONEY),
        Column("terms_days", _t.terms_days, kinds.NUMBER),
        Column("financeable", cast(_d.financeable, Integer), kinds.FLAG),
    ),
    tables.deliveries.join(tables.trades).join(tables.cycles, tables.cycles.c.cycle == _d.cycle),
    (_d.trade_id,),
    slot=_t.slot_s,
    members=(_t.buyer, _t.seller),
    meters=(_t.buy_node, _t.sell_node),
)

STATEMENTS = Question(
    "statements",
    (
        Column("cycle", _l.cycle, kinds.NUMBER),
        Column("line", _l.line, kinds.NUMBER),
        Column("slot", _l.slot_s, kinds.INSTANT),
        Column("member", _l.member_id, kinds.MEMBER),
        Column("meter", _l.node_id, kinds.METER),
        Column("kind", _l.kind, kinds.TEXT),
        Column("counterparty", _l.counterparty, kinds.MAYBE_MEMBER),
        Column("trade_id", _l.trade_id, kinds.MAYBE_NUMBER),
        Column("energy_lots", _l.energy_lots, kinds.LOTS),
        Column("energy_kwh", _l.energy_lots, kinds.KWH),
        Column("price_cny_per_kwh", _l.price_ticks, kinds.PRICE),
        Column("amount_cny", _l.amount_micro, kinds.MONEY),
        Column("how", _l.how, kinds.TEXT),
        Column("adjusts", _l.adjusts, kinds.MAYBE_NUMBER),
    ),
    tables.statement_lines.join(tables.cycles, tables.cycles.c.cycle == _l.cycle),
    (_l.cycle, _l.line),
    slot=_l.slot_s,
    members=(_l.member_id,),
    meters=(_l.node_id,),
)


def residuals(grid_company: int) -> Question:
    """What members and the grid company owe each other on its ordinary bills: the members' side of each such line.

    ``amount_cny`` is + what the grid company owes, - what the member owes.
    """
    return Question(
        "residuals",
        (
            Column("day", tables.cycles.c.day, kinds.DAY),
            Column("cycle", _l.cycle, kinds.NUMBER),
            Column("line", _l.line, kinds.NUMBER),
            Column("slot", _l.slot_s, kinds.INSTANT),
            Column("meter", _l.node_id, kinds.METER),
            Column("kind", _l.kind, kinds.TEXT),
            Column("energy_lots", _l.energy_lots, kinds.LOTS),
            Column("energy_kwh", _l.energy_lots, kinds.KWH),
            Column("price_cny_per_kwh", _l.price_ticks, kinds.PRICE),
            Column("amount_cny", _l.amount_micro, kinds.MONEY),
            Column("trade_id", _l.trade_id, kinds.MAYBE_NUMBER),
            Column("adjusts", _l.adjusts, kinds.MAYBE_NUMBER),
        ),
        tables.statement_lines.join(tables.cycles, tables.cycles.c.cycle == _l.cycle),
        (_l.cycle, _l.line),
        day=tables.cycles.c.day,
        meters=(_l.node_id,),
        conditions=(_l.how == "bill", _l.counterparty == grid_company, _l.member_id != grid_company),
    )


_later = tables.readings.alias("later")

READINGS = Question(
    "readings",
    (
        Column("meter", _r.node_id, kinds.METER),
        Column("slot", _r.slot_s, kinds.INSTANT),
        Column("export_lots", _r.export_lots, kinds.LOTS),
        Column("import_lots", _r.import_lots, kinds.LOTS),
        Column("export_kwh", _r.export_lots, kinds.KWH),
        Column("import_kwh", _r.import_lots, kinds.KWH),
        Column("version", _r.version, kinds.NUMBER),
        Column("received", tables.reading_signatures.c.received_s, kinds.INSTANT),
    ),
    tables.readings.join(tables.meters, tables.meters.c.node_id == _r.node_id).join(
        tables.reading_signatures, tables.reading_signatures.c.signature_id == _r.signature_id
    ),
    (_r.slot_s, _r.node_id),
    slot=_r.slot_s,
    members=(tables.meters.c.member_id,),
    meters=(_r.node_id,),
    conditions=(
        _r.version
        == select(func.max(_later.c.version))
        .where(_later.c.node_id == _r.node_id, _later.c.slot_s == _r.slot_s)
        .scalar_subquery(),
    ),
)

RECEIVABLES = Question(
    "receivables",
    (
        Column("receivable", _v.receivable_id, kinds.HEX),
        Column("number", _v.number, kinds.NUMBER),
        Column("period", _v.period, kinds.NUMBER),
        Column("creditor", _v.creditor, kinds.MEMBER),
        Column("debtor", _v.debtor, kinds.MEMBER),
        Column("face_cny", _v.face_fen, kinds.FEN),
        Column("terms_days", _v.terms_days, kinds.NUMBER),
        Column("issue_day", _v.issue_day, kinds.DAY),
        Column("due_day", _v.due_day, kinds.DAY),
        Column("state", _v.state, kinds.TEXT),
        Column("holder", _v.holder, kinds.MEMBER),
        Column("advance_cny", _v.advance_fen, kinds.FEN),
        Column("paid_cny", _v.paid_fen, kinds.FEN),
        Column("changed", _v.changed_s, kinds.INSTANT),
    ),
    tables.receivables,
    (_v.number,),
    day=_v.issue_day,
    members=(_v.creditor, _v.debtor, _v.holder),
    is_small=True,
)

QUESTIONS = {asked.name: asked for asked in (TRADES, ORDERS, DELIVERIES, STATEMENTS, READINGS, RECEIVABLES)}


# ----------------------------------------------------------------------------------------------- answers


def batches(database: Engine, question: Question, filters: Filters, naming: Naming) -> Iterator[pa.RecordBatch]:
    """The rows that pass the filters, in the order of the keys, as batches of ``question.schema``.

    All batches are of one snapshot, which lasts until the iterator ends or is closed. No rows: no batches.
    """
    with reading(database) as connection:
        chunks = _plain_chunks if question.is_small else _joined_chunks
        for values in chunks(connection, question, _conditions(question, filters)):
            arrays = [column.kind.build(values[column.source], naming) for column in question.columns]
            yield pa.record_batch(arrays, schema=question.schema)


def _conditions(question: Question, filters: Filters) -> list[Source]:
    found = list(question.conditions)
    for column, first, end in (
        (question.slot, filters.start_s, filters.end_s),
        (question.day, filters.first_day, filters.end_day),
    ):
        if column is not None and first is not None:
            found.append(column >= first)
        if column is not None and end is not None:
            found.append(column < end)
    for columns, wanted in ((question.members, filters.member), (question.meters, filters.meter)):
        if wanted is not None:
            found.append(or_(*(column == wanted for column in columns)))
    return found


def _sources(question: Question) -> dict[Source, bool]:
    """What has to be read, each once, and whether it is text."""
    read = {column.source: column.kind.is_text for column in question.columns}
    return read | dict.fromkeys(question.keys, False)


def _joined_chunks(connection: Connection, question: Question, conditions: list[Source]) -> Iterator[dict[Source, Any]]:
    """Chunks of columns, each column an int64 array or an Arrow string array."""
    sources = _sources(question)
    after: tuple[int, ...] | None = None
    while True:
        wanted = conditions if after is None else [*conditions, tuple_(*question.keys) > tuple_(*after)]
        labelled = [
            _never_null(source, is_text).label(f"c{place}") for place, (source, is_text) in enumerate(sources.items())
        ]
        chunk = (
            select(*labelled).select_from(question.origin).where(*wanted).order_by(*question.keys).limit(CHUNK_ROWS)
        ).subquery()
        joined = [func.aggregate_strings(_as_text(connection, column), ",") for column in chunk.c]
        row = connection.execute(select(*joined)).one()
        if row[0] is None:
            return
        values = {
            source: _split(text) if is_text else np.fromstring(text, np.int64, sep=",")
            for (source, is_text), text in zip(sources.items(), row, strict=True)
        }
        order = np.lexsort([values[key] for key in reversed(question.keys)])
        yield {source: array.take(order) for source, array in values.items()}
        if len(order) < CHUNK_ROWS:
            return
        after = tuple(int(values[key][order[-1]]) for key in question.keys)


def _split(joined: str) -> pa.Array:
    return pc.split_pattern(pa.scalar(joined), ",").values


def _never_null(source: Source, is_text: bool) -> Source:
    """Joining leaves out nulls, and rows would no longer be rows."""
    return source if is_text or not getattr(source, "nullable", False) else func.coalesce(source, NOBODY)


def _as_text(connection: Connection, column: Source) -> Source:
    return column if connection.dialect.name == "sqlite" else cast(column, String)


def _plain_chunks(connection: Connection, question: Question, conditions: list[Source]) -> Iterator[dict[Source, Any]]:
    """The same for a table that holds bytes or dates, text columns as lists."""
    sources = _sources(question)
    after: tuple[int, ...] | None = None
    while True:
        wanted = conditions if after is None else [*conditions, tuple_(*question.keys) > tuple_(*after)]
        query = select(*sources).select_from(question.origin).where(*wanted).order_by(*question.keys).limit(CHUNK_ROWS)
        rows = connection.execute(query).all()
        if not rows:
            return
        values = {
            source: list(values) if is_text else np.array(values, np.int64)
            for (source, is_text), values in zip(sources.items(), zip(*rows, strict=True), strict=True)
        }
        yield values
        if len(rows) < CHUNK_ROWS:
            return
        after = tuple(int(values[key][-1]) for key in question.keys)


# ----------------------------------------------------------------------------------------- what things are called


def names_of(database: Engine) -> Naming:
    """Members as their id and name, meters by their names."""
    return _naming(database, lambda member_id, name: f"{member_id} {name}", lambda _, name: name)


def pseudonyms_of(database: Engine) -> Naming:
    """Members and meters under pseudonyms that are stable for this market."""
    key = ensure_pseudonym_key(database)
    return _naming(
        database,
        lambda member_id, _: pseudonym("member", member_id, key),
        lambda node_id, _: pseudonym("meter", node_id, key),
    )


def _naming(database: Engine, member: Callable[[int, str], str], meter: Callable[[int, str], str]) -> Naming:
    people, nodes = tables.members.c, tables.nodes.c
    with reading(database) as connection:
        members = connection.execute(select(people.member_id, people.name)).all()
        meters = connection.execute(select(nodes.node_id, nodes.name)).all()
    named = {number: member(number, name) for number, name in [(GUARANTEE_FUND, "guarantee fund"), *members]}
    return Naming(named, {number: meter(number, name) for number, name in meters})


def ensure_pseudonym_key(database: Engine) -> bytes:
    """The market's secret behind all pseudonyms: 32 random bytes, made when they are first needed."""
    setting = tables.settings
    wanted = select(setting.c.value).where(setting.c.name == PSEUDONYM_KEY)
    with reading(database) as connection:
        found = connection.scalar(wanted)
    if found is None:
        try:
            with database.begin() as connection:
                connection.execute(insert(setting).values(name=PSEUDONYM_KEY, value=json.dumps(secrets.token_hex(32))))
        except IntegrityError:
            pass  # another process was quicker, and its key is the one
        with reading(database) as connection:
            found = connection.scalar(wanted)
    return bytes.fromhex(json.loads(str(found)))
