"""The OpenAPI 3.1 document of an application, made of its routes: their paths, descriptions, docstrings and types.

Source: the OpenAPI Specification 3.1.1; schemas are JSON Schema 2020-12 and come from msgspec. What each kind of route
can answer besides its own refusals stands in ``_common``; a problem's codes are an enumeration, for each status.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from aiohttp import web

from market import idempotency
from market.openapi import fields
from market.openapi.operation import ANYONE, JSON, MEMBER, Operation, description_of
from market.overload import NEVER_SHED, ORDER_ROUTES
from market.problems import ProblemBody
from market.requests import HEADER as REQUEST_ID_HEADER
from market.scopes import FOR_ADMITTED
from settlement.hexjson import Hex

PROBLEM: Final = "application/problem+json"
_TEMPLATE: Final = "#/components/schemas/{name}"
_RETRIED: Final = frozenset({429, 503})
_IN_PROGRESS: Final = "in_progress"

_UNREAD = (
    "400 malformed_json duplicate_key too_deep missing_field unknown_field wrong_type bad_value",
    "408 too_slow",
    "415 unsupported_media_type",
)
_OUTAGES = ("500 internal_error", "503 storage_unavailable market_stopped queue_full busy too_many_connections")
_CROWDED = ("413 too_large", "429 too_many_connections")
_QUERY = ("400 unknown_parameter duplicate_parameter bad_parameter",)
_LISTED = ("400 bad_number bad_cursor",)
_SENSITIVE = "403 session_needed second_factor_needed"
_KEPT = ("400 bad_idempotency_key", f"409 idempotency_key_reused {_IN_PROGRESS}")

_KEY = Annotated[str, fields.text("A repeat of the request gets the first answer", "^[!-~]{1,200}$", "2026-07-01-7")]
_DESCRIPTION = """\
A market where neighbours trade electricity, settle on a chain, and finance what is owed.

Energy, price and money are decimal strings in kWh, CNY/kWh and CNY; times are RFC 3339 in UTC; signatures and digests
are lower-case hex. Input is read strictly: what is unknown, odd or off its step is refused, never rounded or guessed.
A refusal is `application/problem+json` (RFC 9457) with a stable `code`.
"""


class Route(NamedTuple):
    """A route with its description."""

    method: str
    path: str
    handler: Any
    operation: Operation

    @property
    def tag(self) -> str:
        return str(self.handler.__module__).rpartition(".")[2]

    @property
    def name(self) -> str:
        return f"{self.tag}_{self.handler.__name__}"

    @property
    def is_kept(self) -> bool:
        """Whether ``Idempotency-Key`` does something."""
        return bool(self.operation.who) and idempotency.is_kept(self.method, self.path)


def described_routes(app: web.Application) -> list[Route]:
    """The application's routes that are described; a test holds that all of them are."""
    found = []
    for route in app.router.routes():
        operation = description_of(route.handler)
        if operation is not None and route.method != "HEAD":  # aiohttp's own companion of every GET
            assert route.resource is not None
            found.append(Route(route.method, route.resource.canonical, route.handler, operation))
    return found


def document(app: web.Application) -> dict[str, Any]:
    """The document as JSON-able values."""
    routes = described_routes(app)
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Jinsha 金沙",
            "version": version("jinsha"),
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "tags": list(_tags(routes)),
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": {"RequestId": _header("The request's id, as it stands in the log")},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `POST /v1/sessions`, for a signature over a nonce.",
                }
            },
        },
    }


class _Schemas:
    """The schemas of every type that the routes name; structs by reference."""

    def __init__(self, routes: list[Route]) -> None:
        types = [ProblemBody, _KEY]
        for _, _, _, operation in routes:
            types += [*operation.path.values(), *operation.query.values(), *operation.needs_headers.values()]
            types += [operation.body, *_several(operation.answer)]
        self._types = types
        made, self.components = msgspec.json.schema_components(types, schema_hook=_hook, ref_template=_TEMPLATE)
        self._made = made
        for schema in self.components.values():
            if "description" in schema:
                schema["description"] = _words(schema["description"])

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type, or of any out of a tuple of them."""
        if isinstance(kind, tuple):
            return {"anyOf": [self.of(each) for each in kind]}
        at = next(index for index, known in enumerate(self._types) if known is kind)
        return self._made[at]


def _several(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _hook(kind: type) -> dict[str, Any]:
    if kind is Hex:
        return {"type": "string", "pattern": "^([0-9a-f]{2})*$", "description": "Bytes as lower-case hex, without 0x"}
    raise NotImplementedError(kind.__name__)


def _tags(routes: list[Route]) -> Iterator[dict[str, str]]:
    for name, module in {route.tag: route.handler.__module__ for route in routes}.items():
        yield {"name": name, "description": _words(sys.modules[module].__doc__).partition("\n\n")[0]}


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    words = _words(route.handler.__doc__)
    who, scope = route.operation.who, route.operation.scope
    scopes = [] if scope is None else [scope]
    described: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": _first_sentence(words),
        "description": f"{words}\n\n{_for_whom(route.operation)}",
        "parameters": list(_parameters(route, schemas)),
        "responses": _responses(route, schemas),
        "security": [
            *([{}] if route.operation.is_public_too or not who else []),
            *([{"bearer": scopes}] if who else []),
        ],
    }
    if route.operation.body is not None:
        content = {route.operation.body_media: {"schema": schemas.of(route.operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _for_whom(operation: Operation) -> str:
    if not operation.who:
        return "For everyone."
    scope = f", with a token for `{operation.scope}`" if operation.scope is not None else ""
    if operation.who == MEMBER:
        return f"For {'everyone, and more for ' if operation.is_public_too else ''}members{scope}."
    return f"For the {' or the '.join(role.replace('_', ' ') for role in operation.who)}{scope}."


def _parameters(route: Route, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name, kind in route.operation.path.items():
        yield _parameter(name, "path", schemas.of(kind), is_required=True)
    for name, kind in route.operation.query.items():
        yield _parameter(name, "query", schemas.of(kind), is_required=name in route.operation.needed)
    for name, kind in route.operation.needs_headers.items():
        yield _parameter(name, "header", schemas.of(kind), is_required=True)
    if route.is_kept:
        yield _parameter(idempotency.HEADER, "header", schemas.of(_KEY), is_required=False)


def _parameter(name: str, place: str, schema: dict[str, Any], *, is_required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": is_required, "schema": schema}


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    operation = route.operation
    good: dict[str, Any] = {
        "description": HTTPStatus(operation.status).phrase,
        "headers": _headers(operation.headers),
    }
    if operation.answer is not None:
        good["content"] = {media: {"schema": schemas.of(operation.answer)} for media in operation.media}
    responses = {str(operation.status): good}
    for status, codes in sorted(refusals_of(route).items()):
        responses[str(status)] = _problem(status, codes)
    return responses


def refusals_of(route: Route) -> dict[int, list[str]]:
    """All codes that a route can answer with, by status."""
    found: dict[int, list[str]] = {}
    for line in (*route.operation.refuses, *_common(route)):
        status, *codes = line.split()
        known = found.setdefault(int(status), [])
        known += [code for code in codes if code not in known]
    return found


def _common(route: Route) -> Iterator[str]:
    """What every route of its kind can be refused for."""
    operation = route.operation
    yield from _OUTAGES
    yield from _CROWDED
    if route.path not in NEVER_SHED and route.method != "DELETE":
        yield "503 overloaded"
    if route.path in ORDER_ROUTES and route.method != "GET":
        yield "503 queue_full"
    if operation.body is not None:
        yield from _UNREAD if operation.body_media == JSON else _UNREAD[1:]
    if operation.query:
        yield from _QUERY
    if route.method == "POST":
        yield "429 too_many_messages"
    if "limit" in operation.query:
        yield from _LISTED
    if operation.path:
        yield "404 no_such_route"
    if operation.who:
        yield "401 not_logged_in"
    if operation.scope is not None:
        yield "403 scope_missing"
    if operation.scope in FOR_ADMITTED or operation.who not in (ANYONE, MEMBER):
        yield "403 forbidden"
    if operation.is_sensitive:
        yield _SENSITIVE
    if route.is_kept:
        yield from _KEPT


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    headers = _headers({})
    if status in _RETRIED or _IN_PROGRESS in codes:
        headers["Retry-After"] = {"description": "Seconds to wait", "schema": {"type": "integer"}}
    schema = {"$ref": _TEMPLATE.format(name="ProblemBody"), "properties": {"code": {"enum": codes}}}
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "headers": headers,
        "content": {PROBLEM: {"schema": schema}},
    }


def _headers(described: Mapping[str, str]) -> dict[str, Any]:
    headers: dict[str, Any] = {REQUEST_ID_HEADER: {"$ref": "#/components/headers/RequestId"}}
    return headers | {name: _header(words) for name, words in described.items()}


def _header(words: str) -> dict[str, Any]:
    return {"description": words, "required": True, "schema": {"type": "string"}}


def _words(docstring: str | None) -> str:
    """A docstring in Markdown."""
    return inspect.cleandoc(docstring or "").replace("``", "`")


def _first_sentence(words: str) -> str:
    first = " ".join(words.partition("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".")
