"""Tables that ``jinsha replay`` reads: columns of text, in CSV or Parquet by the file's ending.

A table has known columns only, each at most once, in any order; one that may be left out reads as empty.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from matching.replay_csv import CsvError, CsvReader
from matching.replay_texts import Texts

ENDINGS = (".csv", ".parquet")
_DIFFERS_BY_ROW = ("order_id",)  # other columns of Parquet come as dictionaries, as they are in the file
_ROWS_AT_ONCE = 2**16
_BUFFER_BYTES = 2**20  # of a column of Parquet, so that a row group need not be in memory as a whole


class ReplayError(Exception):
    """A file is missing, unreadable or wrong. The message is one line that says where; nothing has been done."""


def refuse(path: Path, row: int, column: str, complaint: str) -> ReplayError:
    """The refusal of one cell. Rows are counted from 1, without the header and without empty lines."""
    return ReplayError(f"{path}: row {row} (after the header), column {column}: {complaint}")


def check_ending(path: Path) -> None:
    if path.suffix.lower() not in ENDINGS:
        raise ReplayError(f"{path}: a table ends in {' or '.join(ENDINGS)}")


class Batch:
    """Some consecutive rows of a table, there until the next batch is asked for. ``first_row`` counts from 1."""

    def __init__(self, first_row: int, rows: int, columns: dict[str, Texts]) -> None:
        self.first_row, self.rows = first_row, rows
        self._columns = columns
        self._left_out = Texts.empty(rows)

    def column(self, name: str) -> Texts:
        return self._columns.get(name, self._left_out)

    def row(self, place: int, columns: Sequence[str]) -> dict[str, str]:
        """One row, counted from 0 within the batch."""
        return {name: self.column(name).bytes_at(place).decode() for name in columns}


def read_batches(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[Batch]:
    """The rows of a table, some at a time. Raises ReplayError; all rows before the one that is wrong come first."""
    check_ending(path)
    first_row = 1
    try:
        read = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
        for columns_read in read(path, columns, required):
            rows = len(next(iter(columns_read.values())))
            yield Batch(first_row, rows, columns_read)
            first_row += rows
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}") from error
    except CsvError as error:
        raise ReplayError(f"{path}: {error}") from error
    except pa.ArrowException as error:
        raise ReplayError(f"{path}: not a readable table: {' '.join(str(error).split())}") from error


def _read_csv(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[dict[str, Texts]]:
    with path.open("rb") as file:
        reader = CsvReader(file)
        _check_header(path, reader.header, columns, required)
        for batch in reader.batches(_ROWS_AT_ONCE):
            yield dict(zip(reader.header, batch, strict=True))


def _read_parquet(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[dict[str, Texts]]:
    with path.open("rb") as file:
        schema = pq.read_schema(file)
        _check_header(path, schema.names, columns, required)
        for field in schema:
            if not _reads_as_text(field.type):
                raise ReplayError(f"{path}: column {field.name}: holds {field.type}, wanted text")
        repeating = [name for name in schema.names if name not in _DIFFERS_BY_ROW]
        table = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, read_dictionary=repeating)
        first_row = 1
        for batch in filter(len, table.iter_batches(_ROWS_AT_ONCE)):
            yield {name: _texts(path, first_row, batch, name) for name in schema.names}
            first_row += len(batch)


def _texts(path: Path, first_row: int, batch: pa.RecordBatch, column: str) -> Texts:
    try:
        return Texts.of_arrow(batch.column(column))
    except pa.ArrowInvalid:
        for row, text in enumerate(batch.column(column).cast(pa.binary()).to_pylist(), first_row):
            try:
                (text or b"").decode()
            except UnicodeDecodeError as error:
                raise refuse(path, row, column, f"not UTF-8: {error.reason} at byte {error.start}") from error
        raise


def _reads_as_text(kind: pa.DataType) -> bool:
    """Text, or what has exactly one way to be written as text. A float has not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in (*tests, pa.types.is_null, pa.types.is_integer, pa.types.is_decimal))


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> None:
    for column in header:
        if column not in columns:
            raise ReplayError(f"{path}: header, column {column}: unknown; known are {', '.join(columns)}")
        if list(header).count(column) > 1:
            raise ReplayError(f"{path}: header, column {column}: stands twice")
    for column in required:
        if column not in header:
            raise ReplayError(f"{path}: header, column {column}: missing")
