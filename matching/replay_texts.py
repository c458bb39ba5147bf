"""Columns of text as bytes and places in them, with no object per cell: what ``jinsha replay`` reads and writes.

Loops over bytes are compiled by numba, see ``compiled``. It looks only at the file of a function to tell whether its
cached machine code is still right: a compiled function calls none of another file.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Places = NDArray[Any]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Cells = tuple[Bytes, Places, Places]
"""``Texts`` for compiled loops: data, starts, ends."""

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound=np.generic)


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A loop over arrays, compiled when it is first called and kept on disk."""
    loop: Callable[_P, _R] = njit(cache=True, nogil=True)(function)
    return loop


def part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A part of a compiled loop of the same file, put into it: a call would count references to every array."""
    inlined: Callable[_P, _R] = njit(inline="always")(function)
    return inlined


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts in UTF-8, each ``data[start:end]``. They may lie in any order, with gaps, and overlap.

    ``rows`` says which of the texts stands in each row; None is each in its own. What many rows share is then read and
    looked up once, see ``per_row``. Texts of files have places of 32 bits, and nothing of them can be written to: one
    type, one compilation.
    """

    data: Bytes
    starts: Places
    ends: Places
    rows: Places | None = None

    @staticmethod
    def of_file(data: Bytes, starts: Places, ends: Places, rows: Places | None = None) -> "Texts":
        return Texts(_sealed(data), _sealed(starts), _sealed(ends), rows)

    @staticmethod
    def of_strings(texts: Iterable[str]) -> "Texts":
        encoded = [text.encode() for text in texts]
        places = np.array([0, *accumulate(map(len, encoded))], np.int32)
        return Texts.of_file(np.frombuffer(b"".join(encoded), np.uint8), places[:-1], places[1:])

    @staticmethod
    def of_arrow(array: pa.Array) -> "Texts":
        """Of an array of texts, or of a dictionary of them; null is the empty text.

        Raises pa.ArrowInvalid for what is not UTF-8.
        """
        if pa.types.is_dictionary(array.type):
            distinct = Texts.of_arrow(pa.concat_arrays([array.dictionary.cast(pa.string()), _NULL]))
            rows = array.indices.fill_null(len(distinct) - 1) if array.null_count else array.indices
            return Texts(*distinct.cells, rows.to_numpy())
        array = array.cast(pa.string())
        if array.null_count:
            array = array.fill_null("")
        array.validate(full=True)
        _, offsets, data = array.buffers()
        places = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset) if len(array) else _NOTHING
        return Texts.of_file(np.frombuffer(data or b"", np.uint8), places[:-1], places[1:])

    @staticmethod
    def empty(count: int) -> "Texts":
        nowhere = np.zeros(1, np.int32)
        return Texts.of_file(np.zeros(0, np.uint8), nowhere, nowhere, np.zeros(count, np.int32))

    def __len__(self) -> int:
        return len(self.starts if self.rows is None else self.rows)

    @property
    def cells(self) -> Cells:
        """The texts as they lie, whatever row they are in."""
        return self.data, self.starts, self.ends

    def distinct(self) -> "Texts":
        """The texts of ``cells``, each in its own row. Some may be in no row of these."""
        return self if self.rows is None else Texts(*self.cells)

    def per_row(self, of_texts: NDArray[_S]) -> NDArray[_S]:
        """What was found out about the texts of ``cells``, for each row."""
        return of_texts if self.rows is None else of_texts[self.rows]

    def flat(self) -> "Texts":
        """The same, each text in its own row."""
        return self if self.rows is None else Texts.of_file(self.data, self.starts[self.rows], self.ends[self.rows])

    @property
    def is_empty(self) -> Flags:
        """Of each row, whether there is nothing in it."""
        return self.per_row(np.equal(self.starts, self.ends))

    def sizes(self) -> Numbers:
        """Bytes of each row."""
        return self.per_row(np.subtract(self.ends, self.starts, dtype=np.int64))

    def bytes_at(self, row: int) -> bytes:
        text = row if self.rows is None else self.rows[row]
        return self.data[self.starts[text] : self.ends[text]].tobytes()

    def strings(self) -> list[str]:
        """Raises UnicodeDecodeError."""
        return [self.bytes_at(row).decode() for row in range(len(self))]

    def take(self, rows: NDArray[Any]) -> "Texts":
        return Texts(*self.cells, rows if self.rows is None else self.rows[rows])

    def to_arrow(self) -> pa.Array:
        """The same texts as an array of pa.string(), at most 2**31 - 1 bytes."""
        offsets, texts = np.zeros(len(self) + 1, np.int32), self.flat()
        np.cumsum(texts.sizes(), out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        _pack(texts.data, texts.starts.astype(np.int64), texts.ends.astype(np.int64), data)
        return pa.StringArray.from_buffers(len(self), pa.py_buffer(offsets), pa.py_buffer(data))


_NULL = pa.array([""], pa.string())
_NOTHING = np.zeros(1, np.int32)


def _sealed(array: NDArray[Any]) -> NDArray[Any]:
    view = array[:]
    view.flags.writeable = False
    return view


@compiled
def _pack(data: Bytes, starts: Places, ends: Places, out: Bytes) -> None:
    to = 0
    for row in range(len(starts)):
        for at in range(starts[row], ends[row]):
            out[to] = data[at]
            to += 1
