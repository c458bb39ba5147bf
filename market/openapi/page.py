"""The documentation page: the OpenAPI document as people read it, one HTML file that asks nobody for anything.

Everything is in the page; its one script filters the operations, and the Content-Security-Policy lets nothing else run
or load. Texts of the page itself are in English and Chinese.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from market.openapi.examples import REF, Schema, Schemas, curl, example_of, resolved


class Page(NamedTuple):
    """The page, and the policy that it is served under."""

    html: bytes
    policy: str


class Piece(NamedTuple):
    """A part of a type as it is written; ``schema`` is the named one that it leads to."""

    text: str
    schema: str | None = None


def render(document: Mapping[str, Any]) -> Page:
    """The page of an OpenAPI document."""
    schemas: Schemas = document["components"]["schemas"]
    style, script = _text("docs.css"), _text("docs.js")
    pages = Environment(loader=PackageLoader("market", "pages"), autoescape=True, undefined=StrictUndefined)
    pages.filters["code"] = _code
    html = pages.get_template("docs.html.j2").render(
        document=document,
        tags=[(tag, list(_operations(document, tag["name"]))) for tag in document["tags"]],
        schemas=schemas,
        pieces=lambda schema: list(pieces(schema, schemas)),
        notes=notes,
        example=lambda schema: json.dumps(example_of(schema, schemas), indent=2, ensure_ascii=False),
        fields=lambda schema: resolved(schema, schemas).get("properties", {}),
        needed=lambda schema: resolved(schema, schemas).get("required", []),
        curl=lambda method, path, operation: curl(method, path, operation, schemas),
        style=Markup(style),
        script=Markup(script),
    )
    policy = (
        f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def _text(name: str) -> str:
    return (files("market.pages") / name).read_text("utf-8")


def digest(text: str) -> str:
    """What a policy calls an inline script or style (CSP Level 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _operations(document: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method, path, operation


def pieces(schema: Schema, schemas: Schemas) -> Iterator[Piece]:
    """A type in words, as ``list of OrderBody or null``."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REF)
        yield Piece(schemas[name].get("title", name), name)
    elif "anyOf" in schema:
        for index, each in enumerate(schema["anyOf"]):
            if index:
                yield Piece(" or ")
            yield from pieces(each, schemas)
    elif "enum" in schema:
        yield Piece(" | ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"]))
    elif "prefixItems" in schema:
        for index, each in enumerate(schema["prefixItems"]):
            yield Piece(", " if index else "list of: ")
            yield from pieces(each, schemas)
    elif schema.get("type") == "array" and "items" in schema:
        yield Piece("list of ")
        yield from pieces(schema["items"], schemas)
    else:
        yield Piece(str(schema.get("type", "any")))


_BOUNDS = {
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "pattern": "{}",
}


def notes(schema: Schema) -> list[str]:
    """What bounds a value, beyond its type."""
    bounds = [words.format(schema[key]) for key, words in _BOUNDS.items() if key in schema]
    return [schema["description"], *bounds] if "description" in schema and "$ref" not in schema else bounds


def _code(text: str) -> Markup:
    """Words in which `this` is code."""
    words = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(word) if i % 2 else word for i, word in enumerate(words))
