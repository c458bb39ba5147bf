"""A fuzzer reads the OpenAPI document and asks a running server everything that it says, and what it does not say.

Whatever is sent, by whomever: no 5xx, no status, code, field, header or media type that the document does not tell of.
What is answered is checked against the document without the leave to add fields that schemas give by default.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from market.config import INSTITUTIONS
from market.openapi.document import described_routes
from tests.market.documented import APPLICATION, DOCUMENT, told
from tests.market.world import World, neighbours, open_market, order

IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"


GOOD = ["2xx", "401", "403", "404", "409", "422", "426", "429"]
"""What well-formed requests may come to: done, or refused by a rule."""

ALSO_A_NAME = ("POST /v1/members/batch", "POST /v1/receivables/acknowledge", "POST /v1/receivables/acknowledge-root")
"""Another method there asks for a member, or a receivable, of that name, and there is none."""

TOGETHER = (
    "GET /v1/trades",
    "GET /v1/exports/{name}",
    "GET /v1/exports/receivables",
    "GET /v1/statements/totals",
    "GET /v1/residuals",
)
"""Their parameters are good or bad together, or with who asks, which no schema says."""

OF_ROWS = ("POST /v1/readings/csv", "POST /v1/custody/credits")
"""Their body is a text whose rows no schema describes."""

CONFIG = {
    "generation": {"allow-x00": False},  # which no schema can rule out
    "checks": {
        "positive_data_acceptance": {"expected-statuses": GOOD},
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
        # of /v1/orders/batch, Allow also names what is served there to /v1/orders/{client_order_id}
        "allow_header_conformance": {"enabled": False},
    },
    "operations": [
        # a key that came with another request is looked at first
        {
            "include-name": "POST /v1/readings/csv",
            "checks": {"missing_required_header": {"expected-statuses": ["400", "401", "403", "409", "422"]}},
        }
    ]
    + [
        {"include-name": name, "checks": {"positive_data_acceptance": {"expected-statuses": [*GOOD, "400"]}}}
        for name in (*TOGETHER, *OF_ROWS)
    ]
    + [{"include-name": name, "checks": {"unsupported_method": {"enabled": False}}} for name in ALSO_A_NAME],
}


def told_by_the_market() -> Any:
    config = SchemathesisConfig.from_dict(CONFIG)
    return schemathesis.openapi.from_dict(told(DOCUMENT), config=config)


def whole(value: Any) -> Any:
    """7.0 is a whole number to JSON Schema, and none here."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [whole(each) for each in value]
        case dict():
            return {key: whole(each) for key, each in value.items()}
        case _:
            return value


SCHEMA = told_by_the_market()


class Served:
    """A market in a thread of its own, and people whose tokens are good whatever was done to them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._loop = folder, asyncio.new_event_loop()
        self._ready: Future[World] = Future()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        self.world, self.http = self._ready.result(60), requests.Session()

    async def _serve(self) -> None:
        try:
            async with open_market(self._folder) as world:
                ann, bo = await neighbours(world)
                for role in ("bank", "insurer", "analyst"):
                    await world.newcomer(role, role)
                for role in INSTITUTIONS:
                    await world.institution(role)
                assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))).status == 201
                assert (await bo.place(order("s1", "A2", "sell", "0.50", "0.30"))).status == 201
                self._ready.set_result(world)
                await self._over.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise

    def token(self, name: str) -> str:
        """A token that is in force."""
        person = self.world.people[name]
        if self.world.context.directory.find(person.token, "127.0.0.1") is None:
            asyncio.run_coroutine_threadsafe(person.log_in(), self._loop).result(30)
        return person.token

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)
        self.http.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    market = Served(tmp_path_factory.mktemp("market"))
    yield market
    market.stop()


WHO = {f"{route.method} {route.path}": route.operation.who for route in described_routes(APPLICATION)}


def actor_of(case: schemathesis.Case) -> str:
    """Who may do it, and now and then someone else; the same for the same request."""
    asked = (case.path_parameters, case.query, case.body)
    may = [name for name in WHO[case.operation.label] if name != "member"] or ["ann", "bo"]
    return [*may, *may, "ann"][crc32(repr(asked).encode("utf-8", "replace")) % (2 * len(may) + 1)]


@SCHEMA.parametrize()
@settings(
    max_examples=30 if IS_SOAK else 2,
    derandomize=not IS_SOAK,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_a_documented_one(case: schemathesis.Case, served: Served) -> None:
    case.body = whole(case.body)
    token = served.token(actor_of(case))
    case.call_and_validate(served.world.server, served.http, {"Authorization": f"Bearer {token}"}, timeout=20)
