"""Reading a proof strictly: every field must be there, be known, and be of its kind; nothing is guessed or put right.

A field that nobody checks could say anything, so one that is not known makes the file unreadable. Numbers are whole and
within the bounds that the contracts give them; bytes are lower-case hex without 0x.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

MAX_UINT = 2**64 - 1
MAX_BYTES = 64 * 2**20
MAX_DEPTH = 64
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)


class MalformedError(Exception):
    """The file is no proof that can be read: ``place`` is the field, ``what`` the trouble."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place}: {what}" if place else what)
        self.place, self.what = place, what


Name = str | int
"""Of a field; a number for a place in a list of fixed length."""


class Fields:
    """An object of the file, with exactly these fields."""

    def __init__(self, value: Any, place: str, names: tuple[Name, ...]) -> None:
        if not isinstance(value, dict):
            raise MalformedError(place, "expected an object")
        unknown, missing = sorted(map(str, value.keys() - set(names))), sorted(map(str, set(names) - value.keys()))
        if unknown:
            raise MalformedError(f"{place}.{unknown[0]}".lstrip("."), "an unknown field")
        if missing:
            raise MalformedError(f"{place}.{missing[0]}".lstrip("."), "is missing")
        self._value, self.place = value, place

    def _at(self, name: Name) -> str:
        return f"{self.place}.{name}".lstrip(".")

    def refuse(self, name: Name, what: str) -> NoReturn:
        raise MalformedError(self._at(name), what)

    def raw(self, name: Name) -> Any:
        """The value as it stands."""
        return self._value[name]

    def number(self, name: Name, low: int = 0, high: int = MAX_UINT) -> int:
        return _number(self._value[name], self._at(name), low, high)

    def flag(self, name: Name) -> bool:
        value = self._value[name]
        if not isinstance(value, bool):
            self.refuse(name, "expected true or false")
        return bool(value)

    def text(self, name: Name) -> str:
        value = self._value[name]
        if not isinstance(value, str):
            self.refuse(name, "expected text")
        return str(value)

    def hex(self, name: Name, length: int | None = None) -> bytes:
        return to_bytes(self._value[name], self._at(name), length)

    def fields(self, name: Name, *names: str) -> "Fields":
        return Fields(self._value[name], self._at(name), names)

    def is_null(self, name: Name) -> bool:
        return self._value[name] is None

    def items(self, name: Name) -> Iterator[tuple[Any, str]]:
        """Every entry of a list with its place."""
        value = self._value[name]
        if not isinstance(value, list):
            self.refuse(name, "expected a list")
        return ((each, f"{self._at(name)}[{index}]") for index, each in enumerate(value))

    def objects(self, name: Name, *names: str) -> list["Fields"]:
        return [Fields(each, place, names) for each, place in self.items(name)]

    def hexes(self, name: Name, length: int | None = None) -> list[bytes]:
        return [to_bytes(each, place, length) for each, place in self.items(name)]

    def path(self, name: Name) -> list[tuple[bool, bytes]]:
        """A Merkle path: pairs of (is the sibling on the left, its 32 bytes), from the leaf upward."""
        steps = []
        for each, place in self.items(name):
            if not (isinstance(each, list) and len(each) == 2 and isinstance(each[0], bool)):
                raise MalformedError(place, "expected [true or false, 32 bytes]")
            steps.append((each[0], to_bytes(each[1], place, 32)))
        return steps


def _number(value: Any, place: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise MalformedError(place, f"expected a whole number from {low} to {high}")
    return value


def to_bytes(value: Any, place: str, length: int | None = None) -> bytes:
    """Bytes out of lower-case hex, of this length if one is given."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise MalformedError(place, "expected lower-case hex without 0x")
    if length is not None and len(value) != 2 * length:
        raise MalformedError(place, f"expected {length} bytes")
    return bytes.fromhex(value)


def read_json(payload: bytes) -> Any:
    """JSON in which no name stands twice and no number has a fraction. Raises MalformedError."""
    if len(payload) > MAX_BYTES:
        raise MalformedError("", f"the file is larger than {MAX_BYTES} bytes")
    _check_depth(payload)
    try:
        return json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_refuse("a number with a fraction"),
            parse_constant=_refuse("no number"),
        )
    except (ValueError, RecursionError) as error:
        raise MalformedError("", f"the file is not JSON: {error}") from error


def _check_depth(payload: bytes) -> None:
    """A parser may fall over what is nested too deeply; no proof is."""
    depth = 0
    for found in _STRUCTURE.finditer(payload):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found[0], 0)
        if depth > MAX_DEPTH:
            raise MalformedError("", f"the file is nested more than {MAX_DEPTH} deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("", "a name stands twice in one object")
    return found


def _refuse(what: str) -> Callable[[str], Any]:
    def refuse(text: str) -> Any:
        raise MalformedError("", f"{text[:40]} is {what}")

    return refuse
