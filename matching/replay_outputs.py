"""Tables that ``jinsha replay`` writes: columns of text, in CSV or Parquet by the file's ending.

A table appears under its name when it is complete, and not before. How its rows were cut into pieces can not be seen.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from matching.replay_csv import csv_bytes
from matching.replay_texts import Texts

_ROWS_PER_GROUP = 20_000


class _Sink(Protocol):
    def write(self, columns: Sequence[Texts]) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class _CsvSink:
    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._file = file
        self._file.write(f"{','.join(names)}\n".encode())

    def write(self, columns: Sequence[Texts]) -> None:
        self._file.write(memoryview(csv_bytes(columns)))  # type: ignore[arg-type] # an array is a buffer

    def finish(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        self._file.close()


class _ParquetSink:
    """Row groups of one size, the last one excepted."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._schema = pa.schema([(name, pa.string()) for name in names])
        self._rows = self._schema.empty_table()
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, columns: Sequence[Texts]) -> None:
        new = pa.table([column.to_arrow() for column in columns], schema=self._schema)
        self._rows = pa.concat_tables([self._rows, new])
        while self._rows.num_rows >= _ROWS_PER_GROUP:
            self._writer.write_table(self._rows.slice(0, _ROWS_PER_GROUP).combine_chunks())
            self._rows = self._rows.slice(_ROWS_PER_GROUP)
        self._rows = self._rows.combine_chunks()

    def finish(self) -> None:
        if self._rows.num_rows:
            self._writer.write_table(self._rows)

    def close(self) -> None:
        self._writer.close()


class TableWriter:
    """Rows for one table. Used as a context: left in peace, the file is there; left by an exception, it is not."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._sink: _Sink
        if path.suffix.lower() == ".parquet":
            self._sink = _ParquetSink(self._part, names)
        else:
            self._sink = _CsvSink(self._part.open("wb"), names)

    def add(self, columns: Sequence[Texts]) -> None:
        """Rows, as one column of texts for each name."""
        if len(columns[0]):
            self._sink.write(columns)

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._sink.finish()
        self._sink.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
