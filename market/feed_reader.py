"""What the feeds need of one who reads them, and what one message of a stream looks like."""

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from market.state import MarketState

T = TypeVar("T")


class Reader(Protocol):
    """One connection, as the feeds see it."""

    def send(self, message: bytes) -> None:
        """Queue a message; neither waits nor raises."""
        ...

    async def drained(self) -> None:
        """Wait until little of what was queued is left."""
        ...


class Look(Protocol):
    """``Sequencer.look``."""

    def __call__(self, view: Callable[[MarketState], T]) -> Coroutine[Any, Any, T]: ...


Welcome = Callable[[dict[str, Any]], None]
"""Called with what a subscription begins with, just before its first message."""

RUN = secrets.token_hex(8)
"""This process of the server: numbers of own news go on within a run, and start anew with the next."""


def message(kind: str, **fields: object) -> bytes:
    """One message of a stream."""
    return msgspec.json.encode({"type": kind, **fields})
