"""Bearer tokens: those of sessions, short-lived, and those of machines, which are API keys and begin with ``jk_``.

A token is 32 random bytes as text. Only its SHA-256 is kept, and tokens are looked up by that hash: how long a look-up
takes says nothing about the tokens that there are.
"""

import hashlib
import secrets
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address

from market.scopes import Scope

API_KEY_PREFIX = "jk_"
FRESH_S = 300
"""How long a second factor, once shown, counts for sensitive acts."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Session:
    """``session_id`` names it to its owner and gives no access; ``fresh_until_s`` is 0 without a second factor."""

    token_hash: bytes
    member_id: int
    expires_s: int
    scopes: frozenset[Scope]
    opened_s: int
    session_id: str
    fresh_until_s: int = 0


@dataclass(frozen=True)
class ApiKey:
    """A machine's token. ``networks``: those it may be used from, none is any. ``expires_s`` None: until revoked."""

    key_hash: bytes
    member_id: int
    api_key_id: str
    name: str
    scopes: frozenset[Scope]
    networks: tuple[Network, ...]
    created_s: int
    expires_s: int | None

    @cached_property
    def _allowed(self) -> dict[str, bool]:
        return {}

    def is_good(self, address: str | None, now_s: int) -> bool:
        """Whether it stands and may be used from this address."""
        if self.expires_s is not None and self.expires_s <= now_s:
            return False
        return not self.networks or (address is not None and self._is_inside(address))

    def _is_inside(self, address: str) -> bool:
        if address not in self._allowed:
            if len(self._allowed) >= 1_000:
                self._allowed.clear()
            try:
                found = ip_address(address)
            except ValueError:
                return False
            self._allowed[address] = any(found in network for network in self.networks)
        return self._allowed[address]


def new_token(prefix: str = "") -> str:
    return prefix + secrets.token_urlsafe(32)


def new_id() -> str:
    """A name for something that only its owner can see: 64 random bits as hex."""
    return secrets.token_hex(8)


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
