"""Whatever a test is answered is held to the OpenAPI document: status, media type, every field, every code.

``World.call`` asks here about each answer, so that all tests of the market are tests of the document too.
"""

import re
from functools import cache
from typing import Any

import jsonschema_rs
from aiohttp import web

from market.app import ROUTES
from market.openapi.document import document


def application() -> web.Application:
    """All routes, with nothing behind them."""
    app = web.Application()
    for module in ROUTES:
        app.add_routes(module.routes())
    return app


APPLICATION = application()
DOCUMENT = document(APPLICATION)


def told(value: Any) -> Any:
    """The document with nothing left open: what an object is not said to have, it does not have."""
    if isinstance(value, list):
        return [told(each) for each in value]
    if not isinstance(value, dict):
        return value
    closed = {key: told(each) for key, each in value.items()}
    if value.get("type") == "object" and isinstance(value.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


_TOLD = told(DOCUMENT)
_PATHS = [
    (re.compile(re.sub(r"{\w+}", "[^/]+", path)), path)
    for path in sorted(DOCUMENT["paths"], key=lambda path: path.replace("{", "~"))  # fixed names before parameters
]


def check(method: str, path: str, status: int, media: str, body: Any) -> None:
    """Raises AssertionError for an answer that the document does not tell of; unknown routes are not looked at."""
    place = path.partition("?")[0]
    found = [known for pattern, known in _PATHS if pattern.fullmatch(place) and method.lower() in _TOLD["paths"][known]]
    if found:
        answers = _TOLD["paths"][found[0]][method.lower()]["responses"]
        what = f"{method} {found[0]} answered {status} {body}: describe it in @operation beside the handler"
        assert str(status) in answers, what
        content = answers[str(status)].get("content", {})
        assert (media in content) if body is not None else not content, what
        if body is not None:
            fault = next(_validator(found[0], method.lower(), str(status), media).iter_errors(body), None)
            assert fault is None, f"{what}: {fault and fault.message}"


@cache
def _validator(path: str, method: str, status: str, media: str) -> jsonschema_rs.Draft202012Validator:
    schema = _TOLD["paths"][path][method]["responses"][status]["content"][media]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": _TOLD["components"]})
