"""Receivables that a viewer may see, as Arrow record batches: the rows of the list, a batch in memory at a time."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine, Row

from data import columns as kinds
from data.columns import Kind, Naming
from data.database import reading
from finance.listing import Filter, Viewer
from finance.listing_store import every_page, with_consents


class _Column(NamedTuple):
    name: str
    source: str
    kind: Kind


_COLUMNS = (
    _Column("receivable", "receivable_id", kinds.HEX),
    _Column("number", "number", kinds.NUMBER),
    _Column("period", "period", kinds.NUMBER),
    _Column("creditor", "creditor", kinds.NUMBER),
    _Column("debtor", "debtor", kinds.NUMBER),
    _Column("holder", "holder", kinds.NUMBER),
    _Column("state", "state", kinds.TEXT),
    _Column("face_cny", "face_fen", kinds.FEN),
    _Column("advance_cny", "advance_fen", kinds.FEN),
    _Column("paid_cny", "paid_fen", kinds.FEN),
    _Column("terms_days", "terms_days", kinds.NUMBER),
    _Column("issue_day", "issue_day", kinds.DAY),
    _Column("due_day", "due_day", kinds.DAY),
    _Column("source", "source", kinds.TEXT),
    _Column("changed", "changed_s", kinds.INSTANT),
)

SCHEMA = pa.schema([pa.field(each.name, each.kind.type, nullable=False) for each in _COLUMNS])
"""Members are their numbers, as in the list; amounts exact decimals in CNY, in whole fen."""

_NOBODY_NAMED = Naming({}, {})


def batches(database: Engine, viewer: Viewer, asked: Filter, today: date, now_s: int) -> Iterator[pa.RecordBatch]:
    """All of one snapshot, which lasts until the iterator ends or is closed; the longest unchanged first."""
    with reading(database) as connection:
        seeing = with_consents(connection, viewer, now_s)
        for rows in every_page(connection, seeing, asked, today):
            yield _batch(rows)


def _batch(rows: Sequence[Row[Any]]) -> pa.RecordBatch:
    arrays = []
    for column in _COLUMNS:
        values: Any = [getattr(row, column.source) for row in rows]
        given = values if column.kind.is_text else np.array(values, np.int64)
        arrays.append(column.kind.build(given, _NOBODY_NAMED))
    return pa.record_batch(arrays, schema=SCHEMA)
