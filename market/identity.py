"""Who asks: members, their live keys and roles, and the short-lived bearer tokens of their sessions.

A token is 32 random bytes; only its SHA-256 is kept. All of it is held in memory, on the event loop's thread, and
written to the database before it is used, so that a question of identity never waits for a disk.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, get_args

from aiohttp import web

from market.problems import Problem, ProblemError, refuse
from settlement.signatures import PublicKey

FIRST_ORDINARY_ID = 100
"""Ids below are those of institutions, from genesis."""

SESSION_SWEEP = 10_000
"""Sessions in memory at which those that have expired are swept out."""

CHALLENGE_S = 120
CHALLENGE_BOUND = 100_000

ROLES = (
    "producer",
    "consumer",
    "bank",
    "grid_company",
    "meter_operator",
    "custodian",
    "checker",
    "operator",
    "regulator",
    "governance",
    "analyst",
)
OPEN_ROLES = frozenset({"producer", "consumer", "bank", "analyst"})
"""Roles that a newcomer may ask for; the others are given at genesis or by governance."""

Scope = Literal["read", "trade", "money", "finance", "office", "identity"]
"""What a token may do: see what its member may see; place and cancel orders; move money; owe, sell and lend; act in
an institution's office; manage keys, factors and sessions."""

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

_EVERYONE: tuple[Scope, ...] = ("read", "identity")
_OFFICE: tuple[Scope, ...] = (*_EVERYONE, "office")
_SCOPES_OF_ROLE: dict[str, tuple[Scope, ...]] = {
    "producer": (*_EVERYONE, "trade", "money", "finance"),
    "consumer": (*_EVERYONE, "trade", "money", "finance"),
    "bank": (*_EVERYONE, "money", "finance"),
    "grid_company": (*_OFFICE, "money"),
    "meter_operator": _OFFICE,
    "custodian": _OFFICE,
    "checker": _OFFICE,
    "operator": _OFFICE,
    "regulator": _OFFICE,
    "governance": _OFFICE,
    "analyst": _EVERYONE,
}

_FOR_ADMITTED: frozenset[Scope] = frozenset({"money", "office"})
"""Scopes of admitted members alone. Whoever is suspended still sees, cancels, changes its key, and pays its debts."""


def scopes_of(roles: Iterable[str]) -> frozenset[Scope]:
    """All that holders of these roles may have their tokens do."""
    return frozenset(scope for role in roles for scope in _SCOPES_OF_ROLE[role])


@dataclass(frozen=True, slots=True)
class Member:
    """``status`` is pending, admitted or suspended; ``roles`` are names out of ``ROLES``."""

    member_id: int
    name: str
    kind: str
    roles: frozenset[str]
    status: str
    key: PublicKey
    credit_limit_micro: int = 0

    @property
    def is_admitted(self) -> bool:
        return self.status == "admitted"


@dataclass(frozen=True, slots=True)
class Session:
    token_hash: bytes
    member_id: int
    expires_s: int
    scopes: frozenset[Scope]


class Access(NamedTuple):
    """Who a token speaks for, and what it may do."""

    member: Member
    scopes: frozenset[Scope]

    def allow(self, *roles: str, scope: Scope, is_moving: bool = False) -> Member:
        """The member, when all of it is allowed; see ``require``. Raises ProblemError."""
        member = self.member
        if roles and not (member.is_admitted and member.roles.intersection(roles)):
            raise refuse(403, "forbidden", f"this is for {' or '.join(roles)}, once admitted")
        if scope not in self.scopes:
            raise refuse(403, "scope_missing", f"this token does not carry the scope '{scope}'; log in with it")
        if (is_moving or scope in _FOR_ADMITTED) and not member.is_admitted:
            raise refuse(403, "forbidden", f"this is for admitted members; you are {member.status}")
        return member


@dataclass
class Directory:
    """Everyone the market knows. ``now_s`` is the wall's time: sessions do not run on the market clock.

    ``on_change`` are called on the loop with a member's id when its tokens, key, roles or status changed: whoever keeps
    a copy of an ``Access`` drops it then. An access also ends by time, which nobody is told of.
    """

    members: dict[int, Member] = field(default_factory=dict)
    sessions: dict[bytes, Session] = field(default_factory=dict)
    challenges: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    now_s: Callable[[], int] = lambda: int(time.time())
    on_change: list[Callable[[int], None]] = field(default_factory=list)
    _by_key: dict[PublicKey, int] = field(default_factory=dict)
    _claimed: set[PublicKey] = field(default_factory=set)
    _next_id: int = FIRST_ORDINARY_ID
    _sweep_at: int = SESSION_SWEEP

    def put(self, members: Iterable[Member]) -> None:
        for member in members:
            self.members[member.member_id] = member
            self._by_key[member.key] = member.member_id
            self._next_id = max(self._next_id, member.member_id + 1)

    def next_id(self) -> int:
        """An id that nobody has had; not given again, even when what it was for fails."""
        self._next_id += 1
        return self._next_id - 1

    @contextmanager
    def claiming(self, keys: Sequence[PublicKey]) -> Iterator[None]:
        """Nobody else can register with these keys meanwhile."""
        self._claimed.update(keys)
        try:
            yield
        finally:
            self._claimed.difference_update(keys)

    def has_key(self, key: PublicKey) -> bool:
        """Whether someone is registered with this key, or just registering."""
        return key in self._by_key or key in self._claimed

    def with_key(self, key: PublicKey) -> Member | None:
        """Who is registered with this key."""
        return self.members.get(self._by_key.get(key, -1))

    def changed(self, member_id: int) -> None:
        """Tell everyone who keeps copies."""
        for tell in self.on_change:
            tell(member_id)

    def set_status(self, member_id: int, status: str) -> None:
        self.members[member_id] = replace(self.members[member_id], status=status)
        self.changed(member_id)

    def set_credit_limit(self, member_id: int, limit_micro: int) -> None:
        self.members[member_id] = replace(self.members[member_id], credit_limit_micro=limit_micro)

    def challenge(self, member_id: int) -> tuple[bytes, int]:
        """A nonce to sign, and when it expires; also for an unknown member, so that none can be probed."""
        now_s = self.now_s()
        if len(self.challenges) >= CHALLENGE_BOUND:
            self.challenges = {n: kept for n, kept in self.challenges.items() if kept[1] > now_s}
        if len(self.challenges) >= CHALLENGE_BOUND:
            raise ProblemError(Problem(429, "too_many_challenges", "log in again in a minute", retry_after_s=60))
        nonce = secrets.token_bytes(32)
        self.challenges[nonce] = (member_id, now_s + CHALLENGE_S)
        return nonce, now_s + CHALLENGE_S

    def take_challenge(self, nonce: bytes, member_id: int) -> bool:
        """Whether the nonce was given to this member and still stands; it is used up either way."""
        whose, expires_s = self.challenges.pop(nonce, (-1, 0))
        return whose == member_id and expires_s > self.now_s()

    def new_session(self, member_id: int, lasts_s: int, scopes: Iterable[Scope] | None = None) -> tuple[str, Session]:
        """A token and its session, not in force until it is kept with ``keep``; by default for all that it may do."""
        token = secrets.token_urlsafe(32)
        granted = scopes_of(self.members[member_id].roles) if scopes is None else frozenset(scopes)
        return token, Session(hash_of(token), member_id, self.now_s() + lasts_s, granted)

    def keep(self, session: Session) -> None:
        if len(self.sessions) >= self._sweep_at:
            now_s = self.now_s()
            self.sessions = {kept: each for kept, each in self.sessions.items() if each.expires_s > now_s}
            self._sweep_at = max(SESSION_SWEEP, 2 * len(self.sessions))
        self.sessions[session.token_hash] = session

    def end(self, token_hash: bytes) -> None:
        """A session is over; nothing happens when it was not there."""
        session = self.sessions.pop(token_hash, None)
        if session is not None:
            self.changed(session.member_id)

    def find(self, token: str) -> Access | None:
        """What a token that is in force gives access to."""
        session = self.sessions.get(hash_of(token))
        if session is None:
            return None
        if session.expires_s <= self.now_s():
            self.end(session.token_hash)
            return None
        member = self.members.get(session.member_id)
        return None if member is None else Access(member, session.scopes)


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


DIRECTORY = web.AppKey("directory", Directory)


def token_of(request: web.Request) -> str | None:
    """The bearer token of a request, if it carries one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def require(request: web.Request, *roles: str, scope: Scope, is_moving: bool = False) -> Member:
    """The member who asks, with a token that carries ``scope``. With ``roles``: an admitted one who holds one of them.

    ``is_moving``: it moves assets, which is for admitted members; scopes money and office are so always.
    Raises ProblemError: 401 ``not_logged_in``, 403 ``forbidden`` or ``scope_missing``.
    """
    return access_of(request).allow(*roles, scope=scope, is_moving=is_moving)


def access_of(request: web.Request) -> Access:
    """Who asks, and what its token may do. Raises ProblemError 401 ``not_logged_in``."""
    token = token_of(request)
    access = request.app[DIRECTORY].find(token) if token else None
    if access is None:
        raise refuse(401, "not_logged_in", "send Authorization: Bearer <token>; POST /v1/sessions gives one")
    return access
