"""Former keys out of the chain's events, as a contract wants to see them beside an old signature.

Members keeps only a rolling hash of the keys that a member had (``was_signed`` in ``contracts/keys.vy``); the keys
themselves are in the events ``Admitted`` and ``KeyRotated``, which everyone can read.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from eth_abi.abi import encode

from settlement.chain import ChainEvent
from settlement.keccak import keccak

KEY_CHANGE_GRACE_S = 600
"""By so much a key counts earlier and longer than it held: market and chain take a change at different times."""

MAX_FORMER_KEYS = 64
"""As many as the contracts hash again: no member can have had more in 90 days."""


class FormerKey(NamedTuple):
    """A key that a member had before, and since when; a member's first key holds from 0."""

    x: int
    y: int
    from_s: int

    def rolling_hash(self, before: bytes) -> bytes:
        """What Members keeps of a member's former keys once this one is the last of them."""
        return keccak(encode(("bytes32", "uint256", "uint256", "uint256"), (before, *self)))


class KeyHistory(NamedTuple):
    """Up to 64 former keys of a member, the oldest first; ``before`` is the rolling hash of all before them."""

    before: bytes
    former: Sequence[FormerKey]


def history_back_to(events: Iterable[ChainEvent], member: int, at_s: int) -> KeyHistory:
    """The member's former keys back to those that may have held at ``at_s``; ``events`` are the chain's, in order."""
    keys = keys_of(events, member)
    before = bytes(32)
    first = 0
    # a key is left out when it had ended, grace and all, before the time
    while first + 1 < len(keys) and (
        keys[first + 1].from_s + KEY_CHANGE_GRACE_S < at_s or len(keys) - 1 - first > MAX_FORMER_KEYS
    ):
        before = keys[first].rolling_hash(before)
        first += 1
    return KeyHistory(before, keys[first:-1])


def keys_of(events: Iterable[ChainEvent], member: int) -> list[FormerKey]:
    """All keys that a member ever had, the live one last; ``events`` are the chain's, in order."""
    mine = [each for each in events if each.contract == "Members" and each.arguments.get("member") == member]
    return [_key(each) for each in mine if each.event in ("Admitted", "KeyRotated")]


def _key(event: ChainEvent) -> FormerKey:
    x, y, from_s = (event.arguments.get(name, 0) for name in ("x", "y", "from_s"))
    assert isinstance(x, int) and isinstance(y, int) and isinstance(from_s, int)
    return FormerKey(x, y, from_s)
