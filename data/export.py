"""Record batches as bytes, piece by piece: Arrow stream, Parquet, CSV. Nothing is held but the batch at hand.

All three hold the columns and rows of ``frames``. CSV writes moments as ``2026-07-01T10:15:00Z``, exact decimals in
full, and quotes texts; a member's name can start no formula in a spreadsheet, for it starts with the member's id.
"""

import io
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet


class Format(StrEnum):
    ARROW = "arrow"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def content_type(self) -> str:
        """Its registered media type."""
        return _CONTENT_TYPES[self]


_CONTENT_TYPES = {
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.CSV: "text/csv",
    Format.PARQUET: "application/vnd.apache.parquet",
}


class _Pieces(io.RawIOBase):
    """A file that is only ever written to, and emptied between two batches."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def encode(batches: Iterable[pa.RecordBatch], schema: pa.Schema, chosen: Format) -> Iterator[bytes]:
    """The bytes of one file of ``schema`` holding all batches; no batches give a file without rows."""
    pieces = _Pieces()
    if chosen == Format.CSV:
        schema = _plain_schema(schema)
        batches = (_plain(batch, schema) for batch in batches)
    with _writer(pieces, schema, chosen) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield pieces.take()
    yield pieces.take()


def _writer(pieces: _Pieces, schema: pa.Schema, chosen: Format) -> Any:
    match chosen:
        case Format.ARROW:
            return pa.ipc.new_stream(pa.PythonFile(pieces, mode="w"), schema)
        case Format.PARQUET:
            return pyarrow.parquet.ParquetWriter(pa.PythonFile(pieces, mode="w"), schema, compression="zstd")
        case Format.CSV:
            return pyarrow.csv.CSVWriter(pa.PythonFile(pieces, mode="w"), schema)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same with moments as text."""
    return pa.schema([pa.field(f.name, pa.string()) if pa.types.is_timestamp(f.type) else f for f in schema])


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        pc.strftime(array.cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
        if pa.types.is_timestamp(array.type)
        else array
        for array in batch.columns
    ]
    return pa.record_batch(arrays, schema=schema)
