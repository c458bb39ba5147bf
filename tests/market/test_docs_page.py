"""The documentation page in a real browser: it shows every operation, says nothing in the console, and asks nobody."""

import re
from pathlib import Path

from market.openapi.document import described_routes
from market.openapi.examples import curl, example_of
from market.openapi.page import notes, pieces, render
from tests.market.browser import needs_chromium, show
from tests.market.documented import APPLICATION, DOCUMENT
from tests.market.world import open_market

PAGE = render(DOCUMENT)
HTML = PAGE.html.decode()


def test_every_operation_and_structure_stands_in_it() -> None:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in HTML
    for name in DOCUMENT["components"]["schemas"]:
        assert f'id="schema-{name}"' in HTML


def test_every_link_inside_leads_somewhere() -> None:
    places = set(re.findall(r'id="([^"]+)"', HTML))
    assert set(re.findall(r'href="#([^"]+)"', HTML)) <= places


def test_nothing_in_it_is_from_elsewhere() -> None:
    """Addresses stand in texts only, never where a browser would go."""
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', HTML)
    assert "default-src 'none'" in PAGE.policy
    assert "unsafe" not in PAGE.policy


def test_examples_are_what_the_schemas_ask_for() -> None:
    schemas = {"Two": {"type": "object", "required": ["a"], "properties": {"a": {"minimum": 3}, "b": {}}}}
    two = {"$ref": "#/components/schemas/Two"}
    assert example_of(two, schemas) == {"a": 3}
    assert example_of({"type": "array", "items": two, "minItems": 1}, schemas) == [{"a": 3}]
    assert example_of({"anyOf": [{"enum": ["x"]}, {"type": "null"}]}, schemas) == "x"
    assert "".join(piece.text for piece in pieces({"anyOf": [two, {"type": "null"}]}, schemas)) == "Two or null"
    assert notes({"maximum": 7}) == ["≤ 7"]


def test_the_example_of_a_request_sends_what_it_must() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    placed = curl("post", "/v1/orders", DOCUMENT["paths"]["/v1/orders"]["post"], schemas)
    assert "-X POST" in placed
    assert "Bearer $TOKEN" in placed
    assert '"client_order_id"' in placed
    assert '"replaces"' not in placed
    book = curl("get", "/v1/book", DOCUMENT["paths"]["/v1/book"]["get"], schemas)
    assert "?slot=2026-07-01T10:15:00Z&meter=" in book
    assert "Bearer" not in book


async def test_it_is_served_with_its_policy(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world, world.http.get(f"{world.server}/docs") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        assert answer.headers["Content-Security-Policy"] == PAGE.policy
        assert await answer.text() == HTML


@needs_chromium
async def test_in_a_browser(tmp_path: Path) -> None:
    """Its script has run, its console is silent, and it asks for nothing from elsewhere (Chromium does)."""
    async with open_market(tmp_path) as world:
        shown = await show(f"{world.server}/docs#orders_place", tmp_path)
        for route in described_routes(APPLICATION):
            assert f'id="{route.name}"' in shown.dom
        assert re.search(r'id="orders_place"[^>]* open=""', shown.dom), "the script opens what the address names"
        assert shown.console == []
        assert any(url.startswith(f"{world.server}/docs") for url in shown.requested)
        assert {url for url in shown.by_page if not url.startswith(world.server)} == set()
