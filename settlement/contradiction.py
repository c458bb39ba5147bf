"""A contradiction: where what is recorded and what follows from it part company."""

from typing import NamedTuple


class Contradiction(NamedTuple):
    """``table`` and ``key`` name the row (or block), ``column`` the value at fault; ``why`` says what is wrong."""

    table: str
    key: str
    column: str
    why: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}, {self.column}: {self.why}"


def differs(table: str, key: object, column: str, *, stated: object, computed: object) -> Contradiction:
    """The contradiction between a value that is stated and the one that follows; bytes are shown as hex."""
    return Contradiction(table, str(key), column, f"stated {_text(stated)}, computed {_text(computed)}")


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)
