"""JSON in which bytes are lower-case hex without 0x, for everything that a stranger is to check.

Structs declare such fields as ``Hex``; ``dump`` and ``load`` are inverse.
"""

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)


class Hex(bytes):
    """Bytes that stand in JSON as lower-case hex without 0x."""


def dump(value: object) -> Any:
    """``value`` as JSON-able builtins, every ``Hex`` as text."""
    return msgspec.to_builtins(value, enc_hook=_to_text)


def dumps(value: object) -> bytes:
    """``value`` as JSON."""
    return msgspec.json.encode(value, enc_hook=_to_text)


def load(payload: bytes, kind: type[T]) -> T:
    """The value of type ``kind`` that ``dumps`` wrote. Raises msgspec.DecodeError or msgspec.ValidationError."""
    return msgspec.json.decode(payload, type=kind, dec_hook=_from_text)


def convert(value: object, kind: type[T]) -> T:
    """The value of type ``kind`` that ``dump`` gave. Raises msgspec.ValidationError."""
    return msgspec.convert(value, kind, dec_hook=_from_text)


def _to_text(value: object) -> str:
    if isinstance(value, Hex):
        return value.hex()
    raise NotImplementedError(f"{type(value).__name__} has no JSON here")


def _from_text(kind: type, text: object) -> object:
    if kind is not Hex:
        raise NotImplementedError(f"{kind.__name__} has no JSON here")
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError("expected lower-case hex without 0x")
    return Hex.fromhex(text)
