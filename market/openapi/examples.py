"""Examples out of schemas: what a body may look like, and how ``curl`` would send a request."""

import json
from collections.abc import Mapping
from typing import Any, Final

from market.openapi.operation import JSON

REF: Final = "#/components/schemas/"
_NEXT_LINE: Final = " \\\n  "
_PLAIN: Final[dict[str, Any]] = {"integer": 1, "number": 1, "boolean": False, "string": "text", "null": None}

Schema = Mapping[str, Any]
Schemas = Mapping[str, Schema]


def example_of(schema: Schema, schemas: Schemas) -> Any:
    """A value that the schema allows; of what may be left out, nothing."""
    schema = resolved(schema, schemas)
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas)
    kind = schema.get("type")
    if kind == "object":
        return {
            name: example_of(schema["properties"][name], schemas)
            for name in schema.get("required", ())
            if name in schema.get("properties", ())
        }
    if kind == "array":
        if "prefixItems" in schema:
            return [example_of(each, schemas) for each in schema["prefixItems"]]
        return [example_of(schema["items"], schemas)] if schema.get("minItems") else []
    return schema.get("minimum", _PLAIN.get(str(kind)))


def resolved(schema: Schema, schemas: Schemas) -> Schema:
    """What a reference stands for."""
    return schemas[schema["$ref"].removeprefix(REF)] if "$ref" in schema else schema


def curl(method: str, path: str, operation: Mapping[str, Any], schemas: Schemas) -> str:
    """The request as a command, with what must be sent; ``$MARKET`` is the server, ``$TOKEN`` a bearer token."""
    needed = [each for each in operation["parameters"] if each["required"] and each["in"] == "query"]
    headers = [each for each in operation["parameters"] if each["required"] and each["in"] == "header"]
    asked = "&".join(f"{each['name']}={example_of(each['schema'], schemas)}" for each in needed)
    parts = [f'"$MARKET{path}{f"?{asked}" if asked else ""}"']
    if method != "get":
        parts.insert(0, f"-X {method.upper()}")
    if {} not in operation["security"]:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    parts += [f'-H "{each["name"]}: {example_of(each["schema"], schemas)}"' for each in headers]
    if "requestBody" in operation:
        media, content = next(iter(operation["requestBody"]["content"].items()))
        body = example_of(content["schema"], schemas)
        sent = json.dumps(body, ensure_ascii=False) if media == JSON else body
        parts += [f'-H "Content-Type: {media}"', f"--data-binary '{sent}'" if media != JSON else f"-d '{sent}'"]
    return "curl " + _NEXT_LINE.join(parts)
