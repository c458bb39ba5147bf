"""A second factor: enrolled once shown, asked for at log-in and before what is sensitive, used once, not guessed."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from sqlalchemy import select

from data import tables
from data.database import reading
from market.app import ROUTES
from market.config import ConfigError
from market.openapi.operation import description_of
from market.problems import ProblemError
from market.scopes import ROLES
from market.second_factor import (
    FIRST_WAIT_S,
    FREE_ATTEMPTS,
    LONGEST_WAIT_S,
    RECOVERY_CODES,
    STEP_S,
    Attempts,
    matching_step,
    new_totp_secret,
    secret_text,
)
from market.tokens import FRESH_S
from market.vault import SealError, Vault, new_secret
from tests.market import world as worlds
from tests.market.world import Answer, Person, World, open_market


class Phone:
    """An authenticator app, in a world whose seconds are moved by hand."""

    def __init__(self, world: World) -> None:
        self._now_s = world.context.directory.now_s()
        self.totp = pyotp.TOTP("A" * 32)
        world.context.directory.now_s = lambda: self._now_s

    def wait(self, seconds: int = STEP_S) -> None:
        self._now_s += seconds

    def code(self, steps: int = 0) -> str:
        return self.totp.generate_otp(self._now_s // STEP_S + steps)

    def shown(self, steps: int = 0) -> dict[str, str]:
        return {"kind": "totp", "code": self.code(steps)}


async def enrol(person: Person, phone: Phone) -> Answer:
    begun = await person.post("/v1/factors/totp", {"name": "phone"})
    assert begun.status == 201, begun
    phone.totp = pyotp.TOTP(begun.body["secret"])
    done = await person.post(f"/v1/factors/totp/{begun.body['factor']}/confirmation", {"code": phone.code()})
    assert done.status == 201, done
    return done


async def log_in(person: Person, second_factor: Any = None) -> Answer:
    return await person.world.post("/v1/sessions", {**await person.login_body(), "second_factor": second_factor})


async def test_a_code_is_asked_for_once_it_is_enrolled(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, phone = await world.newcomer("ann"), Phone(world)
        assert (await log_in(ann)).status == 201
        done = await enrol(ann, phone)
        assert len(set(done.body["recovery_codes"])) == RECOVERY_CODES
        answer = await log_in(ann)
        assert (answer.status, answer.code) == (403, "second_factor_needed")
        phone.wait()
        assert (await log_in(ann, phone.shown())).status == 201
        again = await log_in(ann, phone.shown())
        assert (again.status, again.code) == (401, "bad_second_factor"), "a code is used once"
        factors = (await ann.get("/v1/factors")).body
        assert [(each["kind"], each["name"]) for each in factors["items"]] == [("totp", "phone")]
        assert factors["recovery_codes_left"] == RECOVERY_CODES


async def test_the_secret_is_shown_once_and_sealed_at_rest(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, phone = await world.newcomer("ann"), Phone(world)
        begun = await ann.post("/v1/factors/totp", {"name": "phone"}, **{"Idempotency-Key": "k"})
        assert begun.headers["Cache-Control"] == "no-store"
        uri = urlsplit(begun.body["otpauth"])
        assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
        assert parse_qs(uri.query) == {"secret": [begun.body["secret"]], "issuer": ["Jinsha"]}
        phone.totp = pyotp.TOTP(begun.body["secret"])
        await ann.post(f"/v1/factors/totp/{begun.body['factor']}/confirmation", {"code": phone.code()})
        with reading(world.context.database) as connection:
            (row,) = connection.execute(select(tables.factors)).all()
            marks = [bytes(each.mark) for each in connection.execute(select(tables.recovery_codes))]
            assert not connection.execute(select(tables.idempotency)).all()
        assert phone.totp.byte_secret() not in bytes(row.secret)
        assert len(marks) == RECOVERY_CODES and {len(mark) for mark in marks} == {32}
        assert begun.body["secret"] not in str((await ann.get("/v1/factors")).body)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(worlds, "SECRET", new_secret())
        with pytest.raises(ConfigError, match="sealed with"):
            async with open_market(tmp_path):
                pass
    async with open_market(tmp_path) as world:
        assert (await log_in(replace(ann, world=world))).code == "second_factor_needed"


async def test_only_a_proven_app_counts(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo, phone = await world.newcomer("ann"), await world.newcomer("bo"), Phone(world)
        begun = await ann.post("/v1/factors/totp", {"name": "phone"})
        address = f"/v1/factors/totp/{begun.body['factor']}/confirmation"
        assert (await ann.post(address, {"code": "000000"})).code == "bad_second_factor"
        assert (await log_in(ann)).status == 201
        phone.totp = pyotp.TOTP(begun.body["secret"])
        assert (await bo.post(address, {"code": phone.code()})).status == 404
        phone.wait(600)
        await ann.log_in()
        assert (await ann.post(address, {"code": phone.code()})).status == 404, "begun too long ago"


async def test_a_stolen_token_enrols_no_first_factor(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, phone = await world.newcomer("ann"), Phone(world)
        phone.wait(FRESH_S + 1)
        assert (await ann.post("/v1/factors/totp", {"name": "thief"})).code == "login_needed"
        await ann.log_in()
        await enrol(ann, phone)
        assert (await ann.post("/v1/factors/totp", {"name": "thief"})).code == "second_factor_needed"


async def test_what_is_sensitive_needs_the_factor_again(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, phone = await world.newcomer("ann"), Phone(world)
        word = {"nonce": 1, "deadline": "2026-07-02T00:00:00Z", "signature": "00" * 64}
        key = {"name": "bot", "scopes": ["money"]}
        assert (await ann.post("/v1/offers/1/accept", word)).status == 404, "no factor, none is asked for"
        assert (await ann.post("/v1/sessions/step-up", {"second_factor": phone.shown()})).code == "no_factor"
        await enrol(ann, phone)
        for address, body in [("/v1/offers/1/accept", word), ("/v1/api-keys", key)]:
            answer = await ann.post(address, body)
            assert (answer.status, answer.code) == (403, "second_factor_needed")
            assert "/v1/sessions/step-up" in answer.body["detail"]
        assert (await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["read", "trade"]})).status == 201
        assert (await ann.post("/v1/sessions/step-up", {"second_factor": phone.shown()})).code == "bad_second_factor"
        phone.wait()
        assert (await ann.post("/v1/sessions/step-up", {"second_factor": phone.shown()})).status == 200
        assert (await ann.post("/v1/api-keys", key)).status == 201
        phone.wait(FRESH_S)
        assert (await ann.post("/v1/api-keys", key)).code == "second_factor_needed"
        token = (await log_in(ann, phone.shown())).body["token"]
        assert (await replace(ann, token=token).post("/v1/api-keys", key)).status == 201, "fresh from log-in"


SENSITIVE = {
    (route.method, route.path)
    for module in ROUTES
    for route in module.routes()
    if (described := description_of(route.handler)) is not None and described.is_sensitive
}


def test_withdrawing_selling_keys_factors_and_roles_are_sensitive() -> None:
    assert {
        ("POST", "/v1/withdrawals"),
        ("POST", "/v1/withdrawals/{withdrawal}/payout"),
        ("POST", "/v1/offers/{offer}/accept"),
        ("POST", "/v1/auctions"),
        ("POST", "/v1/programs/{program}/draws"),
        ("POST", "/v1/members/{member}/keys"),
        ("POST", "/v1/members/{member}/roles"),
        ("POST", "/v1/api-keys"),
        ("POST", "/v1/factors/recovery-codes"),
        ("DELETE", "/v1/factors/{factor}"),
    } <= SENSITIVE


async def test_whatever_is_said_to_be_sensitive_is(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, directory = await world.newcomer("ann"), world.context.directory
        directory.members[ann.member] = replace(directory.members[ann.member], roles=frozenset(ROLES))
        await ann.log_in()
        key = {"name": "bot", "scopes": ["money", "finance", "office"]}
        bot = replace(ann, token=(await ann.post("/v1/api-keys", key)).body["token"])
        directory.factors[ann.member].add("one")
        for method, path in SENSITIVE:
            address = re.sub(r"\{\w+\}", "1", path)
            answer = await world.call(method, address, key, token=ann.token)
            assert (answer.status, answer.code) == (403, "second_factor_needed"), path
            refused = await world.call(method, address, key, token=bot.token)
            assert refused.code in ("session_needed", "scope_missing"), path


async def test_a_step_up_outlives_a_restart(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, phone = await world.newcomer("ann"), Phone(world)
        await enrol(ann, phone)
        phone.wait()
        await ann.post("/v1/sessions/step-up", {"second_factor": phone.shown()})
    async with open_market(tmp_path) as world:
        assert (await replace(ann, world=world).post("/v1/factors/recovery-codes", None)).status == 201


async def test_a_factor_is_removed_with_a_factor(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo, phone = await world.newcomer("ann"), await world.newcomer("bo"), Phone(world)
        factor = (await enrol(ann, phone)).body["factor"]
        address = f"/v1/factors/{factor}"
        assert (await ann.delete(address)).code == "second_factor_needed"
        assert (await bo.delete(address)).status == 404
        phone.wait()
        await ann.post("/v1/sessions/step-up", {"second_factor": phone.shown()})
        assert (await ann.delete("/v1/factors/0123456789abcdef")).status == 404
        assert (await ann.delete(address)).status == 204
        assert (await log_in(ann)).status == 201
        assert (await ann.get("/v1/factors")).body == {"items": [], "next": None, "recovery_codes_left": 0}


async def test_a_lost_phone_and_a_recovery_code(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo, phone = await world.newcomer("ann"), await world.newcomer("bo"), Phone(world)
        done = (await enrol(ann, phone)).body
        phone.wait()
        await enrol(bo, Phone(world))
        code, other = done["recovery_codes"][:2]
        assert (await log_in(bo, {"kind": "recovery", "code": code})).code == "bad_second_factor", "not bo's"
        answer = await log_in(ann, {"kind": "recovery", "code": code})
        assert answer.status == 201
        assert (await log_in(ann, {"kind": "recovery", "code": code})).code == "bad_second_factor"
        ann = replace(ann, token=answer.body["token"])
        assert (await ann.get("/v1/factors")).body["recovery_codes_left"] == RECOVERY_CODES - 1
        assert len((await ann.post("/v1/factors/recovery-codes", None)).body["recovery_codes"]) == RECOVERY_CODES
        assert (await log_in(ann, {"kind": "recovery", "code": other})).code == "bad_second_factor", "void"
        assert (await ann.delete(f"/v1/factors/{done['factor']}")).status == 204


async def test_codes_are_not_guessed(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo, phone = await world.newcomer("ann"), await world.newcomer("bo"), Phone(world)
        await enrol(ann, phone)
        phone.wait()
        wrong = {"kind": "totp", "code": f"{(int(phone.code()) + 1) % 10**6:06}"}
        for _ in range(FREE_ATTEMPTS):
            assert (await log_in(ann, wrong)).code == "bad_second_factor"
        answer = await log_in(ann, phone.shown())
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, "too_many_attempts", "60")
        assert (await log_in(bo)).status == 201, "others are not held up"
        phone.wait(FIRST_WAIT_S)
        assert (await log_in(ann, phone.shown())).status == 201
        phone.wait()
        assert (await log_in(ann, phone.shown())).status == 201, "and all is forgotten"


@pytest.mark.parametrize(
    "shown",
    [{"kind": "totp", "code": "12345"}, {"kind": "totp", "code": 123456}, {"kind": "sms", "code": "1"}, {}, "123456"],
)
async def test_odd_factors(tmp_path: Path, shown: Any) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        assert (await log_in(ann, shown)).status == 400


def test_steps_next_to_now_are_taken_and_none_twice() -> None:
    secret, now_s = new_totp_secret(), 1_000 * STEP_S
    app = pyotp.TOTP(secret_text(secret))
    codes = [app.generate_otp(1_000 + step) for step in range(-2, 3)]
    assert [matching_step(secret, code, now_s, 0) for code in codes] == [None, 999, 1_000, 1_001, None]
    assert matching_step(secret, codes[2], now_s, 1_000) is None
    assert matching_step(secret, codes[2], now_s, 999) == 1_000


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B: the last six digits of 94287082 at 59 s."""
    assert matching_step(b"12345678901234567890", "287082", 59, -1) == 1


def test_waits_double_up_to_a_day_and_count_before_they_are_known() -> None:
    attempts, now_s, waits = Attempts(), 0, []
    for _ in range(30):
        try:
            attempts.begin(1, now_s)
        except ProblemError as error:
            assert error.problem.retry_after_s is not None
            waits.append(error.problem.retry_after_s)
            now_s += error.problem.retry_after_s
            attempts.begin(1, now_s)
    assert waits[:3] == [60, 120, 240] and waits[-1] == LONGEST_WAIT_S
    attempts.begin(2, now_s)


def test_what_is_sealed_opens_for_its_owner_with_its_secret() -> None:
    vault = Vault(new_secret())
    sealed = vault.seal("a", b"secret")
    assert vault.open("a", sealed) == b"secret"
    for other, owner, changed in [
        (vault, "b", sealed),
        (Vault(new_secret()), "a", sealed),
        (vault, "a", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (vault, "a", b""),
    ]:
        with pytest.raises(SealError):
            other.open(owner, changed)
    assert vault.mark("1", "x") == vault.mark("1", "x") != vault.mark("2", "x")
