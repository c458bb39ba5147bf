"""Tables in and out of ``jinsha replay``: rows of text, in CSV or Parquet by the file's ending.

A table that is read has known columns only, each at most once, in any order; one that may be left out reads as empty.
A table that is written appears under its name when it is complete, and not before.
"""

import csv
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

ENDINGS = (".csv", ".parquet")
_ROWS_AT_ONCE = 20_000


class ReplayError(Exception):
    """A file is missing, unreadable or wrong. The message is one line that says where; nothing has been done."""


def refuse(path: Path, row: int, column: str, complaint: str) -> ReplayError:
    """The refusal of one cell. Rows are counted from 1, without the header and without empty lines."""
    return ReplayError(f"{path}: row {row} (after the header), column {column}: {complaint}")


def check_ending(path: Path) -> None:
    if path.suffix.lower() not in ENDINGS:
        raise ReplayError(f"{path}: a table ends in {' or '.join(ENDINGS)}")


# --------------------------------------------------------------------------------------------------- reading


def read_rows(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The rows of a table, each with one text for each of ``columns``, in that order. Raises ReplayError."""
    check_ending(path)
    try:
        read = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
        yield from read(path, columns, required)
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ReplayError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    except (csv.Error, pa.ArrowException) as error:
        raise ReplayError(f"{path}: not a readable table: {' '.join(str(error).split())}") from error


def _read_csv(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[tuple[str, ...]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        header = next(reader, [])
        _check_header(path, header, columns, required)
        left_out = len(header)  # the place of one empty cell behind the row's own
        pick = itemgetter(*(header.index(column) if column in header else left_out for column in columns))
        for number, cells in enumerate(filter(None, reader), 1):
            if len(cells) != len(header):
                complaint = f"{len(cells)} cells under {len(header)} columns"
                raise ReplayError(f"{path}: row {number} (after the header): {complaint}")
            cells.append("")
            yield pick(cells)


def _read_parquet(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[tuple[str, ...]]:
    with path.open("rb") as file, pq.ParquetFile(file) as table:
        schema = table.schema_arrow
        _check_header(path, schema.names, columns, required)
        for field in schema:
            if not _reads_as_text(field.type):
                raise ReplayError(f"{path}: column {field.name}: holds {field.type}, wanted text")
        for batch in table.iter_batches(_ROWS_AT_ONCE):
            cells = [_texts(batch, column) for column in columns]
            yield from zip(*cells, strict=True)


def _reads_as_text(kind: pa.DataType) -> bool:
    """Text, or what has exactly one way to be written as text. A float has not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in (*tests, pa.types.is_null, pa.types.is_integer, pa.types.is_decimal))


def _texts(batch: pa.RecordBatch, column: str) -> list[str]:
    if column not in batch.schema.names:
        return [""] * batch.num_rows
    texts: list[str | None] = batch.column(column).cast(pa.string()).to_pylist()
    return [text or "" for text in texts]


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> None:
    for column in header:
        if column not in columns:
            raise ReplayError(f"{path}: header, column {column}: unknown; known are {', '.join(columns)}")
        if list(header).count(column) > 1:
            raise ReplayError(f"{path}: header, column {column}: stands twice")
    for column in required:
        if column not in header:
            raise ReplayError(f"{path}: header, column {column}: missing")


# --------------------------------------------------------------------------------------------------- writing


class _Sink(Protocol):
    def write(self, rows: Sequence[Sequence[str]]) -> None: ...
    def close(self) -> None: ...


class _CsvSink:
    def __init__(self, file: IO[str], columns: Sequence[str]) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: Sequence[Sequence[str]]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        self._file.close()


class _ParquetSink:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._schema = pa.schema([(column, pa.string()) for column in columns])
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, rows: Sequence[Sequence[str]]) -> None:
        cells = list(zip(*rows, strict=True))
        arrays = [pa.array(column, pa.string()) for column in cells]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class TableWriter:
    """Rows for one table. Used as a context: left in peace, the file is there; left by an exception, it is not."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._rows: list[Sequence[str]] = []
        self._sink: _Sink
        if path.suffix.lower() == ".parquet":
            self._sink = _ParquetSink(self._part, columns)
        else:
            self._sink = _CsvSink(self._part.open("w", encoding="utf-8", newline=""), columns)

    def add(self, row: Sequence[str]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._sink.write(self._rows)
            self._rows.clear()

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._sink.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
