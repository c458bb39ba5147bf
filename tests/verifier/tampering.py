"""Every field of a document changed in turn, out of the document itself."""

import copy
from collections.abc import Iterator
from itertools import islice
from typing import Any

Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where a document has a value that is no list and no object, and where it has a list or an object."""
    yield place
    if isinstance(value, dict):
        for name, each in value.items():
            yield from places(each, (*place, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*place, index))


def at(document: Any, place: Place) -> Any:
    for step in place:
        document = document[step]
    return document


def put(document: Any, place: Place, value: Any) -> Any:
    """A copy with another value there; what is not on the way is shared."""
    if not place:
        return value
    changed = copy.copy(document)
    changed[place[0]] = put(document[place[0]], place[1:], value)
    return changed


def without(document: Any, place: Place) -> Any:
    """A copy in which it is missing."""
    parent = copy.copy(at(document, place[:-1]))
    del parent[place[-1]]
    return put(document, place[:-1], parent)


def others(value: Any) -> Iterator[Any]:
    """What could stand there instead."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value ^ (1 << 40), -1, str(value), float(value), None)
    elif isinstance(value, str):
        for index in {0, len(value) // 2, len(value) - 1} if value else ():
            letter = "1" if value[index] != "1" else "2"
            yield value[:index] + letter + value[index + 1 :]
        yield from (value + "00", value[2:] if value else "x", None)
    elif isinstance(value, list):
        yield from ([*value, *value[-1:]] if value else [[True, "00" * 32]], None)
        if len(value) > 1 and value[0] != value[1]:
            yield [value[1], value[0], *value[2:]]
    elif isinstance(value, dict):
        yield from ({**value, "more": 1}, None)


def tampered(document: Any, most: int = 100) -> Iterator[tuple[Place, Any]]:
    """The document with each of its values changed, one at a time and at most so often, and with each left out."""
    for place in places(document):
        for other in islice(others(at(document, place)), most):
            yield place, put(document, place, other)
        if place:
            yield place, without(document, place)
