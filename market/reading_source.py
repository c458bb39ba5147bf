"""Files of readings as a stream of portions: CSV and Parquet by pyarrow's own readers, some thousand rows at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from market.reading_rows import COLUMNS, CsvError, places_of

BLOCK_BYTES = 2**19


class FileError(Exception):
    """The file can not be read as readings at all."""


class BrokenLine(NamedTuple):
    """A row that has not even the right columns."""

    row: int
    column: str
    why: str
    values: tuple[str, ...]


class Portion(NamedTuple):
    """Some rows with their numbers; ``broken`` are lines that are no rows; ``read`` is how far into the file it is."""

    numbers: Sequence[int]
    rows: Sequence[Sequence[Any]]
    broken: list[BrokenLine]
    last_row: int
    read: int


class Source(Protocol):
    """``size`` is what ``Portion.read`` comes to at the end: rows where they are known before, else bytes."""

    size: int

    def portions(self, at_once: int, after: int = 0) -> Iterator[Portion]:
        """The rows after one of them, in portions of so many. Raises FileError."""


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """A file by its ending. Raises FileError, OSError."""
    if not path.is_file():
        raise FileError(f"{path} is not there")
    if path.suffix == ".parquet":
        try:
            with pa_parquet.ParquetFile(path) as opened:
                yield _Parquet(opened)
        except pa.ArrowException as error:
            raise FileError(f"{path}: {error}") from error
    else:
        yield _Csv(path)


class _Parquet:
    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self.size: int = opened.metadata.num_rows
        names = [name for name in opened.schema_arrow.names if name in COLUMNS]
        if sorted(names) != sorted(COLUMNS):
            raise FileError(f"the columns are {', '.join(COLUMNS)}; here they are {opened.schema_arrow.names}"[:300])

    def portions(self, at_once: int, after: int = 0) -> Iterator[Portion]:
        row = 0
        for batch in self._opened.iter_batches(batch_size=at_once, columns=list(COLUMNS)):
            start, row = row, row + batch.num_rows
            if row <= after:
                continue
            some = batch.slice(max(after - start, 0))
            columns = [some.column(some.schema.get_field_index(name)).to_pylist() for name in COLUMNS]
            first = row - some.num_rows + 1
            yield Portion(range(first, row + 1), list(zip(*columns, strict=True)), [], row, row)


class _Csv:
    """Values are read as bytes, so that one that is no UTF-8 breaks its own row and no other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size

    def portions(self, at_once: int, after: int = 0) -> Iterator[Portion]:
        broken: list[BrokenLine] = []
        rows = self._rows(broken)
        number = 0
        while some := list(islice(rows, at_once)):
            lines, values, read = zip(*some, strict=True)
            number, before = lines[-1], number
            told = [each for each in broken if each.row > after]
            broken.clear()
            if number <= after and not told:
                continue
            skipped = sum(1 for line in lines if line <= after) if before < after else 0
            yield Portion(lines[skipped:], values[skipped:], told, number, read[-1])
        if broken:
            yield Portion((), (), [each for each in broken if each.row > after], broken[-1].row, self.size)

    def _rows(self, broken: list[BrokenLine]) -> Iterator[tuple[int, Sequence[Any], int]]:
        """Number, values and bytes read of each row. pyarrow tells of lines with a wrong number of columns aside."""
        aside: list[BrokenLine] = []

        def tell(line: Any) -> str:
            row = (line.number or 1) - 1
            why = f"has {line.actual_columns} columns, not {line.expected_columns}"
            aside.append(BrokenLine(row, "-", why, (str(line.text)[:200],)))
            return "skip"

        number = 0
        with self._path.open("rb") as file, self._opened(file, tell) as opened:
            while True:
                try:
                    batch = opened.read_next_batch()
                except StopIteration:
                    break
                except pa.ArrowException as error:
                    raise FileError(f"{self._path}: {error}") from error
                columns = [batch.column(batch.schema.get_field_index(name)).to_pylist() for name in COLUMNS]
                read = file.tell()
                for values in zip(*columns, strict=True):
                    number += 1
                    while aside and aside[0].row == number:
                        broken.append(aside.pop(0))
                        number += 1
                    yield number, values, read
            broken += aside

    def _opened(self, file: Any, tell: Any) -> Any:
        try:
            with self._path.open("rb") as start:
                header = start.readline().decode("utf-8-sig").rstrip("\r\n").split(",")
            places_of(header)
            return pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(invalid_row_handler=tell),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(COLUMNS, pa.binary()), strings_can_be_null=False, check_utf8=False
                ),
            )
        except (CsvError, UnicodeDecodeError, pa.ArrowException) as error:
            raise FileError(f"{self._path}: {error}") from error
