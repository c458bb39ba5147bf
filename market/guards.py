"""Standing orders of the operator that the sequencer keeps in memory: members' controls, as ``controls.py`` sets them.

What is asked for every order is a look into a dictionary that is empty most of the time.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

UNLIMITED = 2**63 - 1

Stopped = Literal["operator", "member"] | None


@dataclass(frozen=True, slots=True)
class Controls:
    """One member's, column for column as ``member_controls`` keeps each change. A limit that is None is the market's.

    ``stopped``: by whom it may place no orders. ``change`` says what the row changed: limits, kill or lift.
    """

    member_id: int
    change: str = ""
    changed_s: int = 0
    changed_by: int = 0
    reason: str = ""
    open_orders: int | None = None
    batch_orders: int | None = None
    messages_per_s: int | None = None
    message_burst: int | None = None
    stopped: Stopped = None


class ControlBook:
    """Everyone's controls and how many open orders each has. ``open_orders`` is the most where none is set."""

    def __init__(self, open_orders: int = UNLIMITED) -> None:
        self._most_open = open_orders
        self._own: dict[int, Controls] = {}
        self._own_most_open: dict[int, int] = {}
        self.stopped: set[int] = set()
        self._open: defaultdict[int, int] = defaultdict(int)

    def of(self, member_id: int) -> Controls:
        return self._own.get(member_id) or Controls(member_id)

    def put(self, changed: Iterable[Controls]) -> None:
        """These hold from now on."""
        for controls in changed:
            member_id = controls.member_id
            self._own[member_id] = controls
            self.stopped.discard(member_id)
            if controls.stopped is not None:
                self.stopped.add(member_id)
            self._own_most_open.pop(member_id, None)
            if controls.open_orders is not None:
                self._own_most_open[member_id] = controls.open_orders

    def opened(self, member_id: int) -> None:
        self._open[member_id] += 1

    def ended(self, member_id: int) -> None:
        self._open[member_id] -= 1

    def open_orders(self, member_id: int) -> int:
        return self._open.get(member_id, 0)

    def is_full(self, member_id: int) -> bool:
        """Whether a member has as many open orders as it may have."""
        return self._open[member_id] >= self._own_most_open.get(member_id, self._most_open)
