"""docs/http_api.md names every route that there is, and none that there is not."""

import re
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_names_every_route_and_no_other() -> None:
    served = {
        f"{route.method} {route.path}"
        for file in (ROOT / "market" / "routes").glob("*.py")
        if file.stem != "__init__"
        for route in import_module(f"market.routes.{file.stem}").routes()
    }
    page = (ROOT / "docs" / "http_api.md").read_text(encoding="utf-8")
    table = page[page.index("## Routes") :]
    named = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^ `]*)`", table))
    assert named == served
