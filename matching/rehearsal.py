"""One small market before the first real one of a process, so that no order ever waits for a compiler.

Compiled functions come from numba's cache (beside the kernel's file, or in the user's cache folder where that can not
be written). If they are not there, they are compiled, which takes some seconds, and standard error says so.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from numba.core import event as _event

from matching.order import Amend, Cancel, Capacity, Close, Command, Connect, Level, New, Rules, Side

_events: Any = _event  # it carries no types

RULES = Rules(fee_ticks=(1, 2, 3))
COMMANDS: list[Command] = [
    Connect(0, -1, Level.SUBSTATION),
    Connect(1, 0, Level.METER, 5, 5),
    Connect(2, 0, Level.METER),
    New(1, 1, 1, Side.SELL, 0, 10, 100),
    New(2, 2, 2, Side.BUY, 0, 20, 200),
    Amend(2, 5, None),
    Capacity(1, None, 20, 20),
    New(3, 1, 1, Side.SELL, 1, 10, 100),
    Cancel(3),
    Close(1),
]


class Rehearsable(Protocol):
    """What is rehearsed of an engine."""

    def apply(self, commands: list[Command], /) -> object: ...
    def depth(self, slot: int, meter: int, /) -> object: ...
    def best_quotes(self, slot: int, meter: int, /) -> object: ...
    def open_order(self, order_id: int, /) -> object: ...
    def snapshot(self) -> bytes: ...


class _Announcement(_event.Listener):
    def __init__(self, what: str) -> None:
        self._what, self._is_said = what, False

    def on_start(self, event: Any) -> None:
        if not self._is_said:
            self._is_said = True
            sys.stderr.write(f"jinsha: compiling {self._what} for this machine, once; this takes some seconds\n")
            sys.stderr.flush()
            gc.disable()  # a compiler keeps what it makes: to look for what it does not is a tenth of its time

    def on_end(self, event: Any) -> None:
        """Nothing is said at the end: what was waited for goes on."""


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Whenever something is compiled in this context, the first time is told."""
    announcement = _Announcement(what)
    was_collecting = gc.isenabled()
    _events.register("numba:compile", announcement)
    try:
        yield
    finally:
        _events.unregister("numba:compile", announcement)
        if was_collecting:
            gc.enable()


def rehearse(engine: Rehearsable) -> bytes:
    """Call everything that is compiled. Returns a snapshot, for the caller to restore."""
    with announced("the matching engine"):
        engine.apply(COMMANDS)
        engine.depth(0, 2)
        engine.best_quotes(0, 2)
        engine.open_order(2)
        return engine.snapshot()
