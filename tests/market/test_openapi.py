"""The OpenAPI document is valid, names every route, and says truly who each is for."""

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from aiohttp import web
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from market.openapi.document import PROBLEM, Route, described_routes, document
from market.openapi.operation import ANYONE, MEMBER, operation
from tests.market.documented import APPLICATION, DOCUMENT, application
from tests.market.world import neighbours, open_market

ROOT = Path(__file__).parents[2]


DESCRIBED = described_routes(APPLICATION)


def served() -> set[tuple[str, str]]:
    routes = APPLICATION.router.routes()
    return {(route.method, route.resource.canonical) for route in routes if route.resource and route.method != "HEAD"}


def operations() -> list[dict[str, Any]]:
    return [operation for path in DOCUMENT["paths"].values() for operation in path.values()]


def test_the_document_is_valid() -> None:
    """By the meta-schema of OpenAPI 3.1, and every schema in it by that of JSON Schema 2020-12."""
    OPENAPI_31_VALIDATOR.validate(DOCUMENT)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_every_route_is_described_beside_its_handler() -> None:
    """What to do when this fails: put ``@operation(...)`` of ``market.openapi.operation`` over the handler."""
    assert {(route.method, route.path) for route in DESCRIBED} == served()


def test_a_route_that_is_not_described_is_noticed() -> None:
    async def undescribed(_: web.Request) -> web.Response:
        return web.Response()

    app = application()
    app.add_routes([web.get("/v1/surprise", undescribed)])
    assert "/v1/surprise" not in document(app)["paths"]


@pytest.mark.parametrize("route", DESCRIBED, ids=lambda route: f"{route.method} {route.path}")
def test_paths_and_descriptions_agree(route: Route) -> None:
    assert set(re.findall(r"{(\w+)}", route.path)) == set(route.operation.path)
    assert set(route.operation.needed) <= set(route.operation.query)
    assert (route.operation.body is not None) <= (route.method in ("POST", "PUT", "PATCH"))
    assert route.handler.__doc__


def test_operations_are_told_apart() -> None:
    assert len({operation["operationId"] for operation in operations()}) == len(operations())
    assert all(operation["summary"] for operation in operations())
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {operation["tags"][0] for operation in operations()}


def test_every_refusal_names_its_codes() -> None:
    for described in operations():
        for status, answer in described["responses"].items():
            if int(status) >= 400:
                codes = answer["content"][PROBLEM]["schema"]["properties"]["code"]["enum"]
                assert codes
                assert all(re.fullmatch(r"[a-z][a-z0-9_]*", code) for code in codes)
                assert all(f"`{code}`" in answer["description"] for code in codes)
                assert ("Retry-After" in answer["headers"]) >= (status in ("429", "503"))


def test_bodies_refuse_what_they_do_not_know() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for described in operations():
        if "application/json" in described.get("requestBody", {}).get("content", {}):
            schema = described["requestBody"]["content"]["application/json"]["schema"]
            assert schemas[schema["$ref"].rpartition("/")[2]]["additionalProperties"] is False


def test_a_description_changes_nothing_of_its_handler() -> None:
    async def handler(_: web.Request) -> web.Response:
        """Does nothing."""
        return web.Response()

    assert operation(None, who=ANYONE)(handler) is handler


async def test_it_is_served(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        answer = await world.get("/openapi.json")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.body == msgspec.json.decode(msgspec.json.encode(DOCUMENT))


async def test_each_route_is_for_whom_it_says(tmp_path: Path) -> None:
    """Strangers are sent to log in, and members without the role are told so, whatever else they sent."""
    filled = {"receivable": "0f" * 32, "name": "trades"}
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        for route in (each for each in DESCRIBED if not each.operation.is_public_too):
            path = re.sub(r"{(\w+)}", lambda found: filled.get(found[1], "7"), route.path)
            if route.operation.who == ANYONE:
                async with world.http.request(route.method, f"{world.server}{path}") as response:
                    assert response.status not in (401, 403), path
                continue
            stranger = await world.call(route.method, path)
            assert (stranger.status, stranger.code) == (401, "not_logged_in"), path
            if route.operation.who not in (ANYONE, MEMBER):
                member = await world.call(route.method, path, token=ann.token)
                assert (member.status, member.code) == (403, "forbidden"), path
