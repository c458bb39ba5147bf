"""Key histories: what the chain says of a member's keys, event by event."""

from typing import Any, NamedTuple

from verifier.chain import Event, Known, read_event
from verifier.document import MalformedError
from verifier.report import Report
from verifier.signing import Key

_ADMITTED = "Admitted(uint256,uint256,uint256,uint256)"
_KEY_ROTATED = "KeyRotated(uint256,uint256,uint256,uint256)"
_KEY_CHANGE_GRACE_S = 600
"""Market and chain take a change of key at slightly different times: by so much it holds earlier and longer."""


class Named(NamedTuple):
    """A key, the second since which it holds, and the roles with which it was admitted (0: not by this event)."""

    key: Key
    since_s: int
    roles: int


class History(NamedTuple):
    """A member's keys, the oldest first; ``block`` is the newest of their events'."""

    member: int
    keys: list[Named]
    block: int

    @property
    def roles(self) -> int:
        return self.keys[0].roles

    def holds(self, key: Key, at_s: int) -> bool:
        """Whether this was the member's key at a time."""
        ends = [each.since_s for each in self.keys[1:]]
        return any(
            each.key == key
            and each.since_s <= at_s + _KEY_CHANGE_GRACE_S
            and (at == len(ends) or at_s <= ends[at] + _KEY_CHANGE_GRACE_S)
            for at, each in enumerate(self.keys)
        )


def read_history(
    values: list[tuple[Any, str]], member: int, members: bytes, report: Report, known: Known
) -> History | None:
    """The history that events of the contract Members give; None when one of them is none, which the report says."""
    keys: list[Named] = []
    events: list[Event] = []
    for value, place in values:
        event = read_event(value, place, report, known)
        found = None if event is None else _named(event, members, member)
        if event is None or found is None or event in events or (events and event.block < events[-1].block):
            report.check("key_event", False, place=place, member=member)
            return None
        keys.append(found)
        events.append(event)
    if not events:
        raise MalformedError("key_events", f"the chain names no key of member {member}")
    return History(member, keys, events[-1].block)


def _named(event: Event, members: bytes, member: int) -> Named | None:
    """What an event of Members says of a member's key; None for another event."""
    if event.address != members:
        return None
    admitted, rotated = event.arguments(_ADMITTED, indexed=1), event.arguments(_KEY_ROTATED, indexed=1)
    if admitted is not None and admitted[0] == member:
        return Named(Key(admitted[1], admitted[2]), 0, admitted[3])
    if rotated is not None and rotated[0] == member:
        return Named(Key(rotated[1], rotated[2]), rotated[3], 0)
    return None
