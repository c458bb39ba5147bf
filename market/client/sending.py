"""One request, repeated until there is an answer that a repeat would not change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from market.client.errors import RefusedError, refusal_of
from market.client.patience import Patience

REPEATABLE = frozenset({408, 429, 503})


@dataclass(frozen=True)
class Raw:
    """A body that is no JSON, with the headers that say what it is."""

    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    payload: bytes | None
    headers: Mapping[str, str]
    query: Mapping[str, str] | None


async def send(
    http: aiohttp.ClientSession, request: Request, bearer: Callable[[], Mapping[str, str]], patience_s: float
) -> tuple[int, bytes]:
    """Status and body. ``bearer`` is asked anew each time. Raises UnreachableError."""
    patience = Patience(patience_s, f"{request.method} {request.url}")
    while True:
        try:
            async with http.request(
                request.method,
                request.url,
                data=request.payload,
                params=request.query,
                headers={**request.headers, **bearer()},
            ) as response:
                answer = await response.read()
                if response.status not in REPEATABLE and "Retry-After" not in response.headers:
                    return response.status, answer
                reason = str(RefusedError(refusal_of(response.status, answer)))
                asked_s = _seconds(response.headers.get("Retry-After"))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            reason, asked_s = f"{type(error).__name__}: {error}", 0.0
        await patience.pause(reason, asked_s)


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdigit() else 0.0
