"""A token does what it was opened for and nothing else; every route that needs a token also needs a scope."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from market.app import ROUTES
from market.scopes import ROLES, SCOPES, scopes_of
from market.token_store import read_sessions
from tests.market.world import Answer, Person, World, neighbours, open_market, order

OF_ANY_SESSION = {("DELETE", "/v1/sessions"), ("POST", "/v1/sessions/step-up")}
"""Any session may end itself, and show a second factor for what it may do."""

PAGE = Path(__file__).parents[2] / "docs" / "http_api.md"


async def with_scopes(person: Person, *scopes: str) -> Person:
    """The same person with another token."""
    answer = await open_session(person, scopes=list(scopes))
    assert answer.status == 201, answer
    assert answer.body["scopes"] == sorted(scopes)
    return Person(person.world, person.member, person.key, answer.body["token"])


async def open_session(person: Person, **more: Any) -> Answer:
    return await person.world.post("/v1/sessions", {**await person.login_body(), **more})


async def test_a_token_does_only_what_it_was_asked_for(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        reader, trader = await with_scopes(ann, "read"), await with_scopes(ann, "trade")
        buy = order("b1", "A1", "buy", "1.00", "0.45")
        refused = await reader.place(buy)
        assert (refused.status, refused.code) == (403, "scope_missing")
        assert (await reader.delete("/v1/orders")).code == "scope_missing"
        assert (await trader.get("/v1/account")).code == "scope_missing"
        assert (await trader.place(buy)).status == 201
        assert (await reader.get("/v1/orders/b1")).status == 200
        assert (await ann.delete("/v1/orders/b1")).status == 200, "without a choice, a token does all"


async def test_nobody_gets_scopes_beyond_its_roles(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        for asked, code in [
            (["office"], "bad_scopes"),
            (["read", "office"], "bad_scopes"),
            ([], "bad_value"),
            (["everything"], "bad_value"),
        ]:
            assert (await open_session(ann, scopes=asked)).code == code
        bank = await world.newcomer("bank", "bank")
        assert (await open_session(bank)).body["scopes"] == ["finance", "identity", "money", "read"]


async def test_scopes_outlive_a_restart(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await with_scopes(await world.newcomer("ann"), "read")
    async with open_market(tmp_path) as world:
        ann = replace(ann, world=world)
        assert (await ann.get("/v1/account")).status == 200
        assert (await ann.delete("/v1/orders")).code == "scope_missing"
        kept = await world.context.read(lambda connection: read_sessions(connection, 0))
        assert frozenset({"read"}) in {session.scopes for session in kept}


async def test_what_a_better_token_could_do_is_not_refused_for_good(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        operator = await world.institution("operator")
        reader = await with_scopes(operator, "read")
        body = {"nodes": [{"node": "S", "parent": None, "level": "substation"}]}
        again = {"Idempotency-Key": "k1"}
        assert (await reader.post("/v1/grid", body, **again)).code == "scope_missing"
        assert (await operator.post("/v1/grid", body, **again)).status == 201


async def test_who_is_not_admitted_moves_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann", admitted=False)
        word = {"nonce": 1, "deadline": "2026-07-02T00:00:00Z", "signature": "00" * 64}
        assert (await ann.post("/v1/offers/1/accept", word)).code == "forbidden"
        assert (await ann.get("/v1/account")).status == 200


def served() -> list[tuple[str, str]]:
    return [(route.method, route.path) for module in ROUTES for route in module.routes()]


def open_to_all() -> set[tuple[str, str]]:
    """Routes that the page gives to all."""
    rows = re.findall(r"^\| (`.*?) \| all \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return {(method, path) for row in rows for method, path in re.findall(r"`([A-Z]+) (/[^ `]*)`", row)}


async def _everyone(world: World) -> Person:
    """Someone in every role at once, whom only a missing scope can hold back."""
    person = await world.newcomer("janus")
    directory = world.context.directory
    directory.members[person.member] = replace(directory.members[person.member], roles=frozenset(ROLES))
    return person


@pytest.mark.parametrize("scope", ["identity", "read"])
async def test_every_route_needs_a_scope_or_is_open_to_all(tmp_path: Path, scope: str) -> None:
    async with open_market(tmp_path) as world:
        person = await with_scopes(await _everyone(world), scope)
        for method, path in served():
            if (method, path) in open_to_all() | OF_ANY_SESSION or _scope_of(method, path) == scope:
                continue
            answer = await world.call(method, re.sub(r"\{\w+\}", "1", path), token=person.token)
            assert (answer.status, answer.code) == (403, "scope_missing"), f"{method} {path}: {answer}"


def _scope_of(method: str, path: str) -> str | None:
    """What a route needs, as far as this test must know it."""
    if method == "GET":
        return "read"
    is_identity = path.startswith(("/v1/sessions", "/v1/api-keys", "/v1/factors", "/v1/particulars")) or path.endswith(
        ("/keys", "/recovery/veto")
    )
    return "identity" if is_identity else None


def test_every_scope_can_be_had() -> None:
    assert scopes_of(ROLES) == SCOPES
