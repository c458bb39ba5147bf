"""How fast messages may come: a token bucket for each member, and one for each address that nobody has logged in from.

Buckets run on the machine's monotonic clock, not on the market's. One whole number stands for a bucket: the instant at
which it would be full again if nothing more came (the generic cell rate algorithm, ITU-T I.371). A full bucket is the
same as none, so tables are swept of them and stay bounded. Orders and cancels have buckets of their own: whoever sent
too many orders can still take them back.

The market's own process counts, for gateways too: a member has one pace, whichever of them it comes through.
"""

import ipaddress
import time
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from market.guards import Controls
from market.problems import Problem, ProblemError, refuse

SECOND_NS = 1_000_000_000
ADDRESSES = 50_000
"""Buckets of addresses kept at once; beyond, strangers share one."""

SWEEP_EVERY_NS = SECOND_NS

K = TypeVar("K", bound=Hashable)


class Pace(NamedTuple):
    """What a bucket lets through: so many a second in the long run, so many at once."""

    per_s: int
    burst: int


UNLIMITED = Pace(SECOND_NS, 2**31)


class Buckets(Generic[K]):
    """Buckets by key, at most ``bound`` of them; those that find no place share one."""

    def __init__(self, bound: int, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._bound, self._now_ns = bound, now_ns
        self._full_at_ns: dict[K, int] = {}
        self._shared_full_at_ns = 0
        self._sweep_at_ns = 0

    def __len__(self) -> int:
        return len(self._full_at_ns)

    def take(self, key: K, pace: Pace, count: int = 1) -> int:
        """Take ``count`` tokens: 0 when they were there, else the nanoseconds until they are; nothing is taken then."""
        now_ns = self._now_ns()
        full_at_ns = self._full_at_ns.get(key)
        is_shared = full_at_ns is None and not self._has_room(now_ns)
        if is_shared:
            full_at_ns = self._shared_full_at_ns
        each_ns = SECOND_NS // pace.per_s
        then_ns = max(full_at_ns or 0, now_ns) + count * each_ns
        wait_ns = then_ns - now_ns - pace.burst * each_ns
        if wait_ns > 0:
            return wait_ns
        if is_shared:
            self._shared_full_at_ns = then_ns
        else:
            self._full_at_ns[key] = then_ns
        return 0

    def _has_room(self, now_ns: int) -> bool:
        """Whether one more bucket can be kept; full ones are swept out, at most once a second."""
        if len(self._full_at_ns) >= self._bound and now_ns >= self._sweep_at_ns:
            self._sweep_at_ns = now_ns + SWEEP_EVERY_NS
            self._full_at_ns = {key: full_at_ns for key, full_at_ns in self._full_at_ns.items() if full_at_ns > now_ns}
        return len(self._full_at_ns) < self._bound


class MessageRates:
    """What stands before everything else that members and strangers send. On the event loop's thread."""

    def __init__(
        self,
        *,
        members: Pace = UNLIMITED,
        batch_orders: int = UNLIMITED.burst,
        strangers: Pace = UNLIMITED,
        addresses: int = ADDRESSES,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._pace, self._batch_orders, self._strangers = members, batch_orders, strangers
        self._orders: Buckets[int] = Buckets(2**63, now_ns)  # bounded by the members there are
        self._cancels: Buckets[int] = Buckets(2**63, now_ns)
        self._addresses: Buckets[str] = Buckets(addresses, now_ns)
        self._own: dict[int, tuple[Pace, int]] = {}

    def set_own(self, changed: Iterable[Controls]) -> None:
        """These members' own limits hold from now on."""
        for own in changed:
            pace = Pace(own.messages_per_s or self._pace.per_s, own.message_burst or self._pace.burst)
            self._own[own.member_id] = (pace, own.batch_orders or self._batch_orders)

    def limits_of(self, member_id: int) -> tuple[Pace, int]:
        """The pace that holds for a member, and the most orders of one batch."""
        return self._own.get(member_id) or (self._pace, self._batch_orders)

    def orders(self, member_id: int, count: int = 1) -> None:
        """Let ``count`` orders of a member pass. Raises ProblemError ``batch_too_large``, ``too_many_messages``."""
        pace, batch_orders = self.limits_of(member_id)
        most = min(batch_orders, pace.burst)
        if count > most:
            raise refuse(422, "batch_too_large", f"you may send {most} orders at once", "orders")
        _check(self._orders.take(member_id, pace, count))

    def cancels(self, member_id: int) -> None:
        """Let one request to cancel pass. Raises ProblemError ``too_many_messages``."""
        _check(self._cancels.take(member_id, self.limits_of(member_id)[0]))

    def stranger(self, address: str) -> None:
        """Let a message of someone who has not logged in pass. Raises ProblemError ``too_many_messages``."""
        _check(self._addresses.take(network_of(address), self._strangers))


def _check(wait_ns: int) -> None:
    if wait_ns:
        wait_s = wait_seconds_ceil(wait_ns)
        raise ProblemError(
            Problem(429, "too_many_messages", "more than you may send; wait as Retry-After says", retry_after_s=wait_s)
        )


def wait_seconds_ceil(wait_ns: int) -> int:
    """Whole seconds, rounded up."""
    return -(-wait_ns // SECOND_NS)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What is counted as one sender: an IPv4 address, or the /64 that one IPv6 subscriber has whole (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
