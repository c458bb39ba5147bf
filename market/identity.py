"""Who asks: members, their live keys and roles, and the bearer tokens of their sessions and machines.

All of it is held in memory, on the event loop's thread, and written to the database before it is used, so that a
question of identity never waits for a disk. ``tokens.py`` says what a token is, ``scopes.py`` what it may do.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from aiohttp import web

from market.problems import Problem, ProblemError, not_found, refuse
from market.scopes import FOR_ADMITTED, Scope, scopes_of
from market.second_factor import Attempts
from market.tokens import API_KEY_PREFIX, FRESH_S, ApiKey, Session, hash_of, new_id, new_token
from settlement.signatures import PublicKey

FIRST_ORDINARY_ID = 100
"""Ids below are those of institutions, from genesis."""

SESSION_SWEEP = 10_000
"""Sessions in memory at which those that have expired are swept out."""

SESSIONS_AT_ONCE = 50
"""Live sessions of one member; one more ends the oldest."""

USED_STEP_S = 60
"""To what an API key's time of last use is rounded down."""

CHALLENGE_S = 120
CHALLENGE_BOUND = 100_000


@dataclass(frozen=True, slots=True)
class Member:
    """``status`` is pending, refused, admitted or suspended, as the operator decided; ``is_frozen`` is the regulator's.

    ``roles`` are names out of ``ROLES``.
    """

    member_id: int
    name: str
    kind: str
    roles: frozenset[str]
    status: str
    key: PublicKey
    credit_limit_micro: int = 0
    is_frozen: bool = False

    @property
    def is_admitted(self) -> bool:
        """Admitted, and neither suspended nor frozen."""
        return self.status == "admitted" and not self.is_frozen


class Access(NamedTuple):
    """Who a token speaks for, and what it may do. ``session`` is None for an API key."""

    member: Member
    scopes: frozenset[Scope]
    session: Session | None

    def allow(self, *roles: str, scope: Scope, is_moving: bool = False) -> Member:
        """The member, when all of it is allowed; see ``require``. Raises ProblemError."""
        member = self.member
        if roles and not (member.is_admitted and member.roles.intersection(roles)):
            raise refuse(403, "forbidden", f"this is for {' or '.join(roles)}, once admitted")
        if scope not in self.scopes:
            raise refuse(403, "scope_missing", f"this token does not carry the scope '{scope}'; log in with it")
        if (is_moving or scope in FOR_ADMITTED) and not member.is_admitted:
            raise refuse(
                403,
                "forbidden",
                f"this is for admitted members; you are {'frozen' if member.is_frozen else member.status}",
            )
        return member


@dataclass
class Directory:
    """Everyone the market knows. ``now_s`` is the wall's time: sessions do not run on the market clock.

    ``on_change`` are called on the loop with a member's id when its tokens, key, roles or status changed: whoever keeps
    a copy of an ``Access`` drops it then. An access also ends by time, which nobody is told of. ``used_s`` is when API
    keys were last used, by hash, to the minute. ``factors`` are the ids of each member's second factors, ``enrolling``
    the factor that it is about to enrol, ``deciding`` the members about whom a decision is being recorded.
    """

    members: dict[int, Member] = field(default_factory=dict)
    sessions: dict[bytes, Session] = field(default_factory=dict)
    api_keys: dict[bytes, ApiKey] = field(default_factory=dict)
    used_s: dict[bytes, int] = field(default_factory=dict)
    challenges: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    now_s: Callable[[], int] = lambda: int(time.time())
    on_change: list[Callable[[int], None]] = field(default_factory=list)
    factors: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    enrolling: dict[int, Any] = field(default_factory=dict)
    deciding: set[int] = field(default_factory=set)
    attempts: Attempts = field(default_factory=Attempts)
    _by_key: dict[PublicKey, int] = field(default_factory=dict)
    _claimed: set[PublicKey] = field(default_factory=set)
    _retired: set[PublicKey] = field(default_factory=set)
    _next_id: int = FIRST_ORDINARY_ID
    _sweep_at: int = SESSION_SWEEP
    _sessions_of: defaultdict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))

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
        """Whether someone has this key, had it, or is just registering with it."""
        return key in self._by_key or key in self._claimed or key in self._retired

    def retire(self, keys: Iterable[PublicKey]) -> None:
        """Nobody gets these keys again."""
        self._retired.update(keys)

    def named(self, text: str) -> Member | None:
        """The member of a number in an address."""
        return self.members.get(int(text)) if len(text) <= 18 and text.isascii() and text.isdigit() else None

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

    def set_frozen(self, member_id: int, is_frozen: bool) -> None:
        self.members[member_id] = replace(self.members[member_id], is_frozen=is_frozen)
        self.changed(member_id)

    def set_roles(self, member_id: int, roles: frozenset[str]) -> None:
        """A member holds these roles now; tokens that may do more than they allow are over."""
        self.members[member_id] = replace(self.members[member_id], roles=roles)
        sessions, api_keys = self.beyond(member_id, roles)
        for session in sessions:
            self.end(session)
        for api_key in api_keys:
            self.revoke(api_key)
        self.changed(member_id)

    def beyond(self, member_id: int, roles: frozenset[str]) -> tuple[list[Session], list[ApiKey]]:
        """A member's tokens that may do more than these roles allow."""
        allowed = scopes_of(roles)
        sessions = [each for each in self.sessions_of(member_id) if not each.scopes <= allowed]
        return sessions, [each for each in self.api_keys_of(member_id) if not each.scopes <= allowed]

    def set_key(self, member_id: int, key: PublicKey, *, keeps_api_keys: bool) -> None:
        """A member's key was changed: what the old one opened is over."""
        member = self.members[member_id]
        self.retire([member.key])
        self._by_key.pop(member.key, None)
        self.put([replace(member, key=key)])
        for session in self.sessions_of(member_id):
            self.end(session)
        for api_key in [] if keeps_api_keys else self.api_keys_of(member_id):
            self.revoke(api_key)
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

    # -------------------------------------------------------------------------------------------- tokens

    def new_session(self, member_id: int, lasts_s: int, scopes: Iterable[Scope] | None = None) -> tuple[str, Session]:
        """A token and its session, not in force until it is kept with ``keep``; by default for all that it may do."""
        token, now_s = new_token(), self.now_s()
        granted = scopes_of(self.members[member_id].roles) if scopes is None else frozenset(scopes)
        return token, Session(hash_of(token), member_id, now_s + lasts_s, granted, now_s, new_id())

    def keep(self, session: Session) -> None:
        """A session is in force, or has changed."""
        if len(self.sessions) >= self._sweep_at:
            now_s = self.now_s()
            for old in [each for each in self.sessions.values() if each.expires_s <= now_s]:
                self.end(old)
            self._sweep_at = max(SESSION_SWEEP, 2 * len(self.sessions))
        is_new = session.token_hash not in self.sessions
        self.sessions[session.token_hash] = session
        self._sessions_of[session.member_id].add(session.token_hash)
        if not is_new:
            self.changed(session.member_id)

    def has_factor(self, member_id: int) -> bool:
        """Whether a second factor is asked for."""
        return bool(self.factors.get(member_id))

    def sessions_of(self, member_id: int) -> list[Session]:
        """A member's sessions in force, the oldest first."""
        found = (self.sessions.get(token_hash) for token_hash in self._sessions_of.get(member_id, ()))
        now_s = self.now_s()
        live = (session for session in found if session is not None and session.expires_s > now_s)
        return sorted(live, key=lambda session: (session.opened_s, session.session_id))

    def crowded_out(self, member_id: int) -> list[Session]:
        """The sessions that end because the member opens one more."""
        return self.sessions_of(member_id)[: 1 - SESSIONS_AT_ONCE]

    def end(self, session: Session) -> None:
        """A session is over."""
        self.sessions.pop(session.token_hash, None)
        hashes = self._sessions_of.get(session.member_id, set())
        hashes.discard(session.token_hash)
        if not hashes:
            self._sessions_of.pop(session.member_id, None)
        self.changed(session.member_id)

    def keep_api_key(self, api_key: ApiKey) -> None:
        self.api_keys[api_key.key_hash] = api_key

    def api_keys_of(self, member_id: int) -> list[ApiKey]:
        """A member's API keys, the oldest first; those that have expired too."""
        found = (each for each in self.api_keys.values() if each.member_id == member_id)
        return sorted(found, key=lambda each: (each.created_s, each.api_key_id))

    def revoke(self, api_key: ApiKey) -> None:
        """An API key is over."""
        self.api_keys.pop(api_key.key_hash, None)
        self.used_s.pop(api_key.key_hash, None)
        self.changed(api_key.member_id)

    def find(self, token: str, address: str | None) -> Access | None:
        """What a token that is in force gives access to; ``address`` is where it came from."""
        if token.startswith(API_KEY_PREFIX):
            return self._find_api_key(hash_of(token), address)
        session = self.sessions.get(hash_of(token))
        if session is None:
            return None
        if session.expires_s <= self.now_s():
            self.end(session)
            return None
        member = self.members.get(session.member_id)
        return None if member is None else Access(member, session.scopes, session)

    def _find_api_key(self, key_hash: bytes, address: str | None) -> Access | None:
        api_key, now_s = self.api_keys.get(key_hash), self.now_s()
        if api_key is None or not api_key.is_good(address, now_s):
            return None
        self.used_s[key_hash] = now_s - now_s % USED_STEP_S
        return Access(self.members[api_key.member_id], api_key.scopes, None)


DIRECTORY = web.AppKey("directory", Directory)
_ACCESS = web.RequestKey("access", Access)


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
    access = known(request)
    if access is None:
        raise refuse(401, "not_logged_in", "send Authorization: Bearer <token>; POST /v1/sessions gives one")
    return access


def known(request: web.Request) -> Access | None:
    """Who asks, None for a stranger; the same throughout a request."""
    access = request.get(_ACCESS)
    token = token_of(request)
    if access is None and token:
        access = request.app[DIRECTORY].find(token, request.remote)
        if access is not None:
            request[_ACCESS] = access
    return access


def named(request: web.Request) -> Member:
    """The member whom the path names. Raises ProblemError 404 ``not_found``."""
    member = request.app[DIRECTORY].named(request.match_info["member"])
    if member is None:
        raise not_found("member")
    return member


def require_fresh(request: web.Request) -> Session:
    """Let a sensitive act pass: it takes a session, and a second factor shown just now where one is enrolled.

    Raises ProblemError: 401 ``not_logged_in``, 403 ``session_needed`` or ``second_factor_needed``.
    """
    access, directory = access_of(request), request.app[DIRECTORY]
    if access.session is None:
        raise refuse(403, "session_needed", "an API key may not do this; log in, POST /v1/sessions gives a token")
    if directory.has_factor(access.member.member_id) and access.session.fresh_until_s <= directory.now_s():
        detail = "show your second factor, POST /v1/sessions/step-up, and send this again within five minutes"
        raise refuse(403, "second_factor_needed", detail)
    return access.session


def require_recent(request: web.Request) -> None:
    """As ``require_fresh``; and whoever has no factor yet has logged in just now, so that a token alone enrols none.

    Raises ProblemError, also 403 ``login_needed``.
    """
    session, directory = require_fresh(request), request.app[DIRECTORY]
    if not directory.has_factor(session.member_id) and session.opened_s + FRESH_S <= directory.now_s():
        raise refuse(403, "login_needed", "a first factor is enrolled within five minutes of logging in; log in again")
