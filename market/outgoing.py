"""Requests that the market makes because a member said so: never into the operator's own network.

A name is resolved once, every address that it has is looked at, and the connection goes to one of those very addresses:
a name that answers otherwise a moment later (DNS rebinding) gains nothing. Addresses that are not of the public
Internet, also those wrapped into IPv6 ones, are refused, unless the operator allows them. Redirects are not followed,
and no answer is read beyond its head. What to refuse follows OWASP's cheat sheet on server-side request forgery.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

LONGEST_URL = 2_000

_NAT64 = IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(OSError):
    """A name leads to an address that is none of the public Internet's."""


def is_outside(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the public Internet and of one machine; what an IPv6 address wraps counts, too."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_outside(IPv4Address(int(address) & 0xFFFFFFFF))
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if wrapped:
            return is_outside(wrapped)
    return address.is_global and not address.is_multicast


def refusal_of(text: str, *, inside: bool) -> str | None:
    """Why nothing is sent to a URL, as far as that can be told without resolving its name; None: it may be tried."""
    try:
        url = URL(text)
    except ValueError:
        return "it is no URL"
    if len(text) > LONGEST_URL or not text.isprintable():
        return f"a URL has at most {LONGEST_URL} printable characters"
    if url.scheme not in (("https", "http") if inside else ("https",)) or not url.host:
        return "it must begin with https:// and name a host"
    if url.user is not None or url.password is not None or url.fragment:
        return "it must hold no password and no fragment"
    try:
        address = ip_address(url.host)
    except ValueError:
        return None  # a name
    return None if inside or is_outside(address) else "its address is none of the public Internet's"


class OutsideResolver(AbstractResolver):
    """Names to addresses that may be connected to; all of a name's addresses must be such."""

    def __init__(self, *, inside: bool) -> None:
        self._inside = inside

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError, ForbiddenAddressError among them."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results = []
        for kind, _, protocol, _, place in found:
            address = str(place[0])
            if not self._inside and not is_outside(ip_address(address.partition("%")[0])):
                raise ForbiddenAddressError(f"{host} leads into a network that is not the public Internet")
            results.append(
                ResolveResult(
                    hostname=host, host=address, port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
                )
            )
        return results

    async def close(self) -> None:
        """There is nothing to close."""


def session(*, inside: bool, timeout_s: float) -> aiohttp.ClientSession:
    """A client for such requests: no cookies, no proxy of the environment, no names kept."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=OutsideResolver(inside=inside), use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        trust_env=False,
        auto_decompress=False,
    )
