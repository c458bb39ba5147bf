"""The description of one route, stated beside its handler.

    @operation(OrderAnswer, status=201, who=MEMBER, scope="trade", body=OneOrder, refuses=("422 bad_price",))
    async def place(request): ...

The decorator only remembers; the handler is what it was. What every route of a kind can answer (a body that can not be
read, nobody logged in, an outage) is added in ``market/openapi/document.py``, and the words come from the docstring.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiohttp.typedefs import Handler

from market.scopes import Scope

H = TypeVar("H", bound=Handler)

JSON: Final = "application/json"

ANYONE: Final = ()
"""``who`` of routes that need no log-in."""

MEMBER: Final = ("member",)
"""``who`` of routes for everyone who is logged in."""


@dataclass(frozen=True, slots=True)
class Operation:
    """``answer`` is the type of the answer's JSON, a tuple of several, or None without a body; ``media`` its types.

    ``path`` and ``query`` give each parameter's type; ``needed`` names those of the query that must be there.
    ``needs_headers`` are those that a request must have. ``body_media`` is what the body is: unless it is JSON,
    ``body`` says what the text holds. ``refuses`` are the route's own refusals, as ``"status code code ..."``.
    ``headers`` are those of the answer. ``who`` is ANYONE, MEMBER, or the roles one of which it takes,
    with a token that carries ``scope``; ``is_sensitive`` where that token must be of a fresh session.
    """

    answer: Any
    status: int
    media: tuple[str, ...]
    who: tuple[str, ...]
    scope: Scope | None
    is_public_too: bool
    is_sensitive: bool
    body: Any
    body_media: str
    needs_headers: Mapping[str, Any]
    path: Mapping[str, Any]
    query: Mapping[str, Any]
    needed: tuple[str, ...]
    headers: Mapping[str, str]
    refuses: tuple[str, ...]


_DESCRIBED: dict[Handler, Operation] = {}


def operation(
    answer: Any,
    *,
    who: tuple[str, ...],
    scope: Scope | None = None,
    status: int = 200,
    media: tuple[str, ...] = (JSON,),
    is_public_too: bool = False,
    is_sensitive: bool = False,
    body: Any = None,
    body_media: str = JSON,
    needs_headers: Mapping[str, Any] | None = None,
    path: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    needed: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
    refuses: tuple[str, ...] = (),
) -> Callable[[H], H]:
    """Describe a handler; see ``Operation``."""
    described = Operation(
        answer=answer,
        status=status,
        media=media,
        who=who,
        scope=scope,
        is_public_too=is_public_too,
        is_sensitive=is_sensitive,
        body=body,
        body_media=body_media,
        needs_headers=needs_headers or {},
        path=path or {},
        query=query or {},
        needed=needed,
        headers=headers or {},
        refuses=refuses,
    )

    def remember(handler: H) -> H:
        _DESCRIBED[handler] = described
        return handler

    return remember


def description_of(handler: Handler) -> Operation | None:
    """What ``operation`` said of a handler."""
    return _DESCRIBED.get(handler)
