"""CSV (RFC 4180, UTF-8) read strictly and in pieces, and written.

A quote stands first in its cell or is an ordinary character; a quoted cell ends with its quote; rows end with LF, CR or
both; lines without anything are no rows. What is wrong is told with its row and column, after all rows before it.
"""

import codecs
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from matching.replay_texts import Bytes, Places, Texts, compiled, part

_BLOCK_BYTES = 2**22
_LONGEST_ROW = 2**24  # bytes; a row of the longest cells takes less
_LONGEST_CELL = 2**17  # characters
_WIDEST = 64  # more columns than any table here has

_LF, _CR, _QUOTE, _COMMA = 10, 13, 34, 44
_FINE, _MORE, _RAGGED, _OPEN_QUOTE, _AFTER_QUOTE, _TOO_LONG = 0, 1, 2, 3, 4, 5
_FAULTS = {
    _OPEN_QUOTE: "the file ends within quotes",
    _AFTER_QUOTE: "a quote in a quoted cell is neither doubled nor the cell's last character",
    _TOO_LONG: f"a cell of more than {_LONGEST_CELL} characters",
}


class CsvError(Exception):
    """The file is no such table. The message says where and why."""


class CsvReader:
    """The rows of one open file, behind its header. Memory: one block, or one row if that is longer, 24 MiB at most."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._data = np.empty(_BLOCK_BYTES + 1, np.uint8)
        self._marks = np.empty(_BLOCK_BYTES + 1, np.int32)  # where the bytes are that may end a cell
        self._at = self._size = self._mark = self._mark_count = self._offset = self._rows = 0
        self._is_end = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._bad_utf8 = ""
        if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            self._offset = len(codecs.BOM_UTF8)
        file.seek(self._offset)
        self._fill()
        self.header = self._read_header()
        """The names of the columns, the first 64 of them. Empty if the first line is."""

    def batches(self, rows_at_once: int) -> Iterator[list[Texts]]:
        """The columns, some rows at a time. Each batch is there until the next is asked for. Raises CsvError."""
        width = len(self.header)
        starts, ends = np.empty((width, rows_at_once), np.int32), np.empty((width, rows_at_once), np.int32)
        while rows := self._take(width, starts, ends):
            self._rows += rows
            yield [Texts.of_file(self._data, starts[cell, :rows], ends[cell, :rows]) for cell in range(width)]

    def _read_header(self) -> list[str]:
        if self._size == 0 or self._data[0] in (_LF, _CR):
            return []
        starts, ends = np.zeros((_WIDEST, 1), np.int32), np.zeros((_WIDEST, 1), np.int32)
        cells = self._take(0, starts, ends)
        return Texts.of_file(self._data, starts[:cells, 0], ends[:cells, 0]).strings()

    def _take(self, width: int, starts: Places, ends: Places) -> int:
        """Find the next rows, 0 at the end of the file; of the header (width 0) the number of its cells."""
        while True:
            piece = (self._at, self._size, self._is_end)
            marks = (self._mark, self._mark_count)
            rows, self._at, self._mark, how, cells = _split_rows(
                (self._data, *piece), (self._marks, *marks), width, starts, ends
            )
            if rows:
                return rows if width else min(cells, _WIDEST)
            if how == _FINE and self._is_end:
                return 0
            if how not in (_FINE, _MORE):
                raise self._error(how, cells)
            if self._bad_utf8:
                raise CsvError(f"not UTF-8: {self._bad_utf8}, in {self._place()}")
            self._fill()

    def _fill(self) -> None:
        """Read on; what is not used yet moves to the front."""
        left = self._size - self._at
        if left > _LONGEST_ROW:
            raise CsvError(f"not a readable table: {self._place()} is longer than {_LONGEST_ROW} bytes")
        old, self._offset = self._data, self._offset + self._at
        if (size := left + _BLOCK_BYTES + 1) > len(old):
            self._data, self._marks = np.empty(size, np.uint8), np.empty(size, np.int32)
        self._data[:left] = old[self._at : self._size]
        read = self._file.readinto(self._data[left : left + _BLOCK_BYTES])  # type: ignore[attr-defined] # of open()
        self._at, self._size, self._is_end = 0, left + read, read == 0
        before = left - len(self._utf8.getstate()[0])
        try:
            self._utf8.decode(self._data[left : self._size].tobytes(), final=self._is_end)
        except UnicodeDecodeError as error:
            self._size, self._is_end = before + error.start, False
            self._bad_utf8 = f"{error.reason} at byte {self._offset + self._size} of the file"
        self._mark, self._mark_count = 0, _find_marks(self._data, self._size, self._marks)

    def _error(self, how: int, cells: int) -> CsvError:
        if how == _RAGGED:
            return CsvError(f"{self._place()}: {cells} cells under {len(self.header)} columns")
        place = f"{self._place()}, column {self._column(cells)}"
        return CsvError(f"not a readable table: {_FAULTS[how]}, in {place}")

    def _place(self) -> str:
        return f"row {self._rows + 1} (after the header)" if hasattr(self, "header") else "the header"

    def _column(self, cell: int) -> str:
        return self.header[cell] if hasattr(self, "header") and cell < len(self.header) else str(cell + 1)


def csv_bytes(columns: Sequence[Texts]) -> Bytes:
    """Rows of CSV; cells with commas, quotes or line ends are quoted."""
    columns = [column.flat() for column in columns]
    data = np.concatenate([column.data for column in columns])
    places = np.cumsum([0, *(len(column.data) for column in columns[:-1])])
    starts = np.stack([column.starts + place for column, place in zip(columns, places, strict=True)])
    ends = np.stack([column.ends + place for column, place in zip(columns, places, strict=True)])
    out = np.empty(3 * starts.size + 2 * int((ends - starts).sum()), np.uint8)
    return out[: _join_rows(data, starts, ends, out)]


@compiled
def _find_marks(data: Bytes, size: int, marks: Places) -> int:
    """Where commas, quotes and line ends are, and behind them ``size``, where a zero is put. Returns how many."""
    count = 0
    for at in range(size):
        byte = data[at]
        marks[count] = at
        count += (byte == _COMMA) | (byte == _LF) | (byte == _CR) | (byte == _QUOTE)
    marks[count], data[size] = size, 0
    return count


@compiled
def _split_rows(
    piece: tuple[Bytes, int, int, bool], marked: tuple[Places, int, int], columns: int, starts: Places, ends: Places
) -> tuple[int, int, int, int, int]:
    """Where the cells of the next rows start and end; the doubled quotes in them become single ones in place.

    ``piece`` is the bytes, where in them to start and end, and whether the file ends there; ``marked`` is what
    ``_find_marks`` found, the first mark from there on, and how many there are. ``starts`` and ``ends`` have a line for
    each column; as many rows are taken as they hold, or as there are. ``columns`` is how many cells a row must have, 0
    if any number will do. Returns (rows, where the next one starts, its first mark, how it ended, its cells).
    """
    (data, at, size, is_end), (marks, mark, count) = piece, marked
    rows = cells = 0
    while rows < starts.shape[1]:
        while marks[mark] == at and _ends_row(data[at]):
            at, mark = at + 1, mark + 1
        row_start, row_mark, has_quotes = at, mark, False
        if at == size:
            break
        cells = 0
        while True:
            start, end, how = at, marks[mark], _FINE
            if data[end] == _QUOTE or end - start > _LONGEST_CELL or (mark == count and not is_end):
                has_quotes = True
                start, end, mark, how = _odd_cell(data, start, marks, mark, (size, count, is_end))
            if how != _FINE:
                return rows, row_start, row_mark, how, cells
            if cells < starts.shape[0]:
                starts[cells, rows], ends[cells, rows] = start, end
            cells += 1
            at = marks[mark]
            if data[at] != _COMMA:
                break
            at, mark = at + 1, mark + 1
        if columns and cells != columns:
            return rows, row_start, row_mark, _RAGGED, cells
        for cell in range(min(cells, starts.shape[0]) if has_quotes else 0):
            start = starts[cell, rows]
            if start > row_start and data[start - 1] == _QUOTE:
                ends[cell, rows] = _without_doubles(data, start, ends[cell, rows])
        rows += 1
    return rows, at, mark, _FINE, cells


@compiled
def _odd_cell(
    data: Bytes, start: int, marks: Places, mark: int, extent: tuple[int, int, bool]
) -> tuple[int, int, int, int]:
    """A cell with quotes, a long one, or the last of the piece: (start of its text, end of it, mark behind it, how it
    ended). A quoted cell ends with its last quote, any other where a mark is that is no quote.

    ``extent`` is how many bytes and marks there are, and whether the file ends behind them.
    """
    size, count, is_end = extent
    if data[start] == _QUOTE and marks[mark] == start:
        start += 1
        end, mark, how = size, mark + 1, _MORE
        while how == _MORE:
            while mark < count and data[marks[mark]] != _QUOTE:
                mark += 1
            end = marks[mark]
            if mark == count:
                return start, end, mark, _OPEN_QUOTE if is_end else _MORE
            mark += 1
            if end + 1 == size and not is_end:
                return start, end, mark, _MORE
            if data[end + 1] != _QUOTE or end + 1 == size:
                how = _FINE if marks[mark] == end + 1 else _AFTER_QUOTE
            else:
                mark += 1
    else:
        while mark < count and data[marks[mark]] == _QUOTE:
            mark += 1
        end = marks[mark]
        how = _MORE if mark == count and not is_end else _FINE
    if how == _FINE and end - start > _LONGEST_CELL and _characters(data, start, end) > _LONGEST_CELL:
        how = _TOO_LONG
    return start, end, mark, how


@part
def _ends_row(byte: int) -> bool:
    return byte in (_LF, _CR)


@part
def _characters(data: Bytes, start: int, end: int) -> int:
    """How many characters a cell has; its doubled quotes count once."""
    count = quotes = 0
    for at in range(start, end):
        count += data[at] & 0xC0 != 0x80
        quotes += data[at] == _QUOTE
    return count - quotes // 2 if start > 0 and data[start - 1] == _QUOTE else count


@part
def _without_doubles(data: Bytes, start: int, end: int) -> int:
    """Make two quotes of a quoted cell one. Returns where the cell ends now."""
    to = start
    at = start
    while at < end:
        data[to] = data[at]
        to += 1
        at += 2 if data[at] == _QUOTE else 1
    return to


@compiled
def _join_rows(data: Bytes, starts: Places, ends: Places, out: Bytes) -> int:
    """Rows of CSV from cells; ``starts`` and ``ends`` have a line for each column. What needs quotes gets them.

    ``out`` holds three bytes a cell and two for each byte of a cell. Returns how many were written.
    """
    to = 0
    for row in range(starts.shape[1]):
        for column in range(starts.shape[0]):
            if column:
                out[to] = _COMMA
                to += 1
            start, end = starts[column, row], ends[column, row]
            needs_quotes = False
            for at in range(start, end):
                byte = data[at]
                needs_quotes |= byte in (_COMMA, _QUOTE) or _ends_row(byte)
            if needs_quotes:
                out[to] = _QUOTE
                to += 1
            for at in range(start, end):
                out[to] = data[at]
                to += 1
                if data[at] == _QUOTE:
                    out[to] = _QUOTE
                    to += 1
            if needs_quotes:
                out[to] = _QUOTE
                to += 1
        out[to] = _LF
        to += 1
    return to
