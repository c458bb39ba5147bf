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


@dataclass(frozen=True, slots=True)
class Halt:
    """No orders are taken: in the whole market, or below one node, or for slots in the half-open [start_s, end_s).

    Column for column as ``halts`` keeps it; None where it has no bound; ``lifted_s`` None while it stands.
    """

    number: int
    node_id: int | None
    start_s: int | None
    end_s: int | None
    halted_s: int
    halted_by: int
    reason: str
    lifted_s: int | None = None
    lifted_by: int | None = None
    lift_reason: str | None = None

    @property
    def place(self) -> tuple[int | None, int | None, int | None]:
        """What it stops; one halt stands for one place."""
        return self.node_id, self.start_s, self.end_s


EVERYTHING = (None, None, None)


class HaltBook:
    """The halts that stand. ``is_everywhere``: nothing can be placed at all."""

    def __init__(self) -> None:
        self.standing: dict[tuple[int | None, int | None, int | None], Halt] = {}
        self.last_number = 0
        self.is_everywhere = False

    def put(self, changed: Iterable[Halt]) -> None:
        """These stand, or, with a time at which they were lifted, no longer do."""
        for halt in changed:
            self.last_number = max(self.last_number, halt.number)
            self.standing.pop(halt.place, None)
            if halt.lifted_s is None:
                self.standing[halt.place] = halt
        self.is_everywhere = EVERYTHING in self.standing

    def stops(self, slot: int, path: Iterable[int]) -> bool:
        """Whether orders for a slot are stopped at a meter; ``path`` are its node and all above."""
        nodes = set(path)
        return any(
            (halt.node_id is None or halt.node_id in nodes)
            and (halt.start_s is None or halt.start_s <= slot)
            and (halt.end_s is None or slot < halt.end_s)
            for halt in self.standing.values()
        )
