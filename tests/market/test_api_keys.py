"""API keys: tokens of machines, shown once, bound to scopes and networks, revoked at once, never sensitive."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from data import tables
from data.database import reading
from market.routes.api_keys import MOST
from tests.market.world import Person, World, neighbours, open_market, order


async def machine(person: Person, *scopes: str, **more: Any) -> tuple[Person, Any]:
    """The member's machine, and what was answered for its key."""
    answer = await person.post("/v1/api-keys", {"name": "bot", "scopes": list(scopes), **more})
    assert answer.status == 201, answer
    assert answer.headers["Cache-Control"] == "no-store"
    return replace(person, token=answer.body["token"]), answer.body


async def test_a_machine_trades_with_its_own_token(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        bot, made = await machine(ann, "trade")
        assert made["token"].startswith("jk_") and made["scopes"] == ["trade"]
        assert (await bot.place(order("b1", "A1", "buy", "1.00", "0.45"))).status == 201
        assert (await bot.get("/v1/account")).code == "scope_missing"
        (listed,) = (await ann.get("/v1/api-keys")).body["items"]
        assert listed == {name: value for name, value in made.items() if name != "token"} | {
            "last_used": listed["last_used"]
        }
        assert made["last_used"] is None and listed["last_used"].endswith(":00Z"), "used, to the minute"


async def test_only_the_hash_is_kept_and_it_outlives_a_restart(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        bot, made = await machine(ann, "read", networks=["127.0.0.0/8", "::1/128"])
        assert (await bot.get("/v1/account")).status == 200
    async with open_market(tmp_path) as world:
        with reading(world.context.database) as connection:
            (row,) = connection.execute(select(tables.api_keys)).all()
        assert made["token"] not in str(row) and row.used_s is not None
        ann, bot = replace(ann, world=world), replace(bot, world=world)
        assert (await bot.get("/v1/account")).status == 200
        (listed,) = (await ann.get("/v1/api-keys")).body["items"]
        assert listed["networks"] == ["127.0.0.0/8", "::1/128"] and listed["last_used"] is not None


async def test_a_revoked_or_expired_key_opens_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        directory = world.context.directory
        now_s = directory.now_s()
        directory.now_s = lambda: now_s
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        bot, made = await machine(ann, "read")
        address = f"/v1/api-keys/{made['api_key']}"
        assert (await bo.delete(address)).status == 404
        assert (await ann.delete(address)).status == 204
        assert (await ann.delete(address)).status == 404
        assert (await bot.get("/v1/account")).code == "not_logged_in"
        brief, _ = await machine(ann, "read", expires="2100-01-01T00:00:00Z")
        assert (await brief.get("/v1/account")).status == 200
        now_s = 4_102_444_800
        assert (await brief.get("/v1/account")).code == "not_logged_in"


async def test_a_key_is_used_from_its_networks_alone(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        elsewhere, _ = await machine(ann, "read", networks=["203.0.113.0/24"])
        answer = await elsewhere.get("/v1/account")
        assert (answer.status, answer.code) == (401, "not_logged_in")
        here, _ = await machine(ann, "read", networks=["203.0.113.0/24", "127.0.0.1/32"])
        assert (await here.get("/v1/account")).status == 200
        kept = await elsewhere.post("/v1/grid", {"nodes": []}, **{"Idempotency-Key": "k"})
        assert kept.code == "not_logged_in"


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"scopes": ["identity"]}, "bad_scopes", "scopes"),
        ({"scopes": ["office"]}, "bad_scopes", "scopes"),
        ({"scopes": []}, "bad_value", "scopes"),
        ({"name": ""}, "bad_value", "name"),
        ({"name": "a\u0007"}, "bad_name", "name"),
        ({"expires": "2020-01-01T00:00:00Z"}, "bad_time", "expires"),
        ({"expires": "soon"}, "bad_time", "expires"),
        ({"networks": ["10.0.0.1/8"]}, "bad_network", "networks[0]"),
        ({"networks": ["10.0.0.0/8", "home"]}, "bad_network", "networks[1]"),
        ({"networks": ["10.0.0.0/8"] * 21}, "bad_value", "networks"),
    ],
)
async def test_wrong_keys(tmp_path: Path, changed: dict[str, Any], code: str, field: str) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        answer = await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["read"], **changed})
        assert (answer.code, answer.body["field"]) == (code, field)
        assert (await ann.get("/v1/api-keys")).body["items"] == []


async def test_a_machine_manages_no_tokens_and_does_nothing_sensitive(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        bot, made = await machine(ann, "read", "trade", "money", "finance")
        for method, address in [
            ("POST", "/v1/api-keys"),
            ("DELETE", f"/v1/api-keys/{made['api_key']}"),
            ("DELETE", f"/v1/members/{ann.member}/sessions"),
        ]:
            answer = await world.call(method, address, {"name": "x", "scopes": ["read"]}, token=bot.token)
            assert (answer.status, answer.code) == (403, "scope_missing"), address
        assert (await bot.delete("/v1/sessions")).code == "session_needed"
        word = {"nonce": 1, "deadline": "2026-07-02T00:00:00Z", "signature": "00" * 64}
        assert (await bot.post("/v1/offers/1/accept", word)).code == "session_needed"


async def test_a_narrow_session_makes_no_wide_key(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        body = {**await ann.login_body(), "scopes": ["identity", "read"]}
        narrow = replace(ann, token=(await world.post("/v1/sessions", body)).body["token"])
        assert (await narrow.post("/v1/api-keys", {"name": "bot", "scopes": ["trade"]})).code == "bad_scopes"


async def _fill(world: World, ann: Person) -> None:
    for _ in range(MOST):
        await machine(ann, "read")


async def test_a_member_has_so_many_and_the_operator_ends_them_all(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        await _fill(world, ann)
        bot = (await ann.get("/v1/api-keys")).body["items"][0]
        answer = await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["read"]})
        assert (answer.status, answer.code) == (409, "too_many_api_keys")
        assert (await ann.delete(f"/v1/api-keys/{bot['api_key']}")).status == 204
        last, _ = await machine(ann, "read")
        operator = await world.institution("operator")
        address = f"/v1/members/{ann.member}/sessions"
        assert (await operator.delete(address)).status == 204
        assert (await last.get("/v1/account")).status == 200, "machines go on"
        assert (await operator.delete(f"{address}?api_keys=true")).status == 204
        assert (await last.get("/v1/account")).code == "not_logged_in"


async def test_a_secret_is_not_kept_for_a_repeat(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        body = {"name": "bot", "scopes": ["read"]}
        tokens = {(await ann.post("/v1/api-keys", body, **{"Idempotency-Key": "k"})).body["token"] for _ in range(2)}
        assert len(tokens) == 2
        with reading(world.context.database) as connection:
            assert not connection.execute(select(tables.idempotency)).all()
