"""Who is let in, turned away, suspended and taken back: by whom, when, why, and on what was checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.market.world import Person, World, neighbours, open_market, order

CHECKED = [{"what": "identity", "how": "passport, shown at the office"}, {"what": "meter", "how": "contract 4711"}]


async def decide(world: World, person: Person, decision: str, **body: Any) -> Any:
    operator = await world.institution("operator")
    return await operator.post(f"/v1/members/{person.member}/{decision}", body)


async def seen(asking: Person, member: int) -> Any:
    answer = await asking.get(f"/v1/members/{member}")
    assert answer.status == 200, answer
    return answer.body


async def test_an_admission_says_who_when_and_what_was_checked(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann", admitted=False)
        for _ in range(2):
            answer = await decide(world, ann, "admission", record="seen", checked=CHECKED)
            assert (answer.status, answer.body["status"]) == (200, "admitted")
        operator = await world.institution("operator")
        assert (await seen(operator, ann.member))["decisions"] == [
            {
                "decision": "admitted",
                "at": "2026-07-01T00:00:00Z",
                "reason": None,
                "by": 1,
                "record": "seen",
                "checked": CHECKED,
            }
        ]
        (own,) = (await seen(ann, ann.member))["decisions"]
        assert (own["decision"], own["by"], own["record"], own["checked"]) == ("admitted", None, None, None)
        assert (await operator.get("/v1/status")).body["outbox_waiting"] == 1
    async with open_market(tmp_path) as world:
        operator = await world.institution("operator")
        assert (await seen(operator, ann.member))["decisions"][0]["checked"] == CHECKED
        assert (await seen(operator, operator.member))["decisions"][0]["record"] == "at genesis"


async def test_an_applicant_sees_why_it_was_refused_and_may_be_admitted_later(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann", admitted=False)
        assert (await decide(world, ann, "refusal", reason="no meter at this address")).status == 200
        shown = await seen(ann, ann.member)
        assert (shown["status"], shown["decisions"][0]["reason"]) == ("refused", "no meter at this address")
        await ann.log_in()
        assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.40"))).code == "not_admitted"
        assert (await decide(world, ann, "suspension", reason="?")).code == "wrong_status"
        assert (await decide(world, ann, "admission", record="found the meter")).body["status"] == "admitted"
        decisions = (await seen(ann, ann.member))["decisions"]
        assert [each["decision"] for each in decisions] == ["refused", "admitted"]
        assert (await decide(world, ann, "refusal", reason="?")).code == "wrong_status"


async def test_a_suspended_member_sees_and_cancels_until_it_is_taken_back(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.40"))
        heard: list[int] = []
        world.context.directory.on_change.append(heard.append)
        assert (await decide(world, ann, "suspension", reason="meter tampered with")).body["status"] == "suspended"
        assert heard == [ann.member]
        refused = await ann.place(order("b2", "A1", "buy", "1.00", "0.40"))
        assert (refused.status, refused.code) == (403, "suspended")
        assert (await ann.delete("/v1/orders/b1")).status == 200
        assert (await seen(ann, ann.member))["decisions"][-1]["reason"] == "meter tampered with"
        assert (await decide(world, ann, "admission", record="?")).code == "wrong_status"
    async with open_market(tmp_path) as world:
        ann = replace(ann, world=world)
        assert (await ann.place(order("b2", "A1", "buy", "1.00", "0.40"))).code == "suspended"
        assert (await decide(world, ann, "reinstatement", reason="meter replaced")).body["status"] == "admitted"
        assert (await ann.place(order("b2", "A1", "buy", "1.00", "0.40"))).status == 201


async def test_the_operator_does_not_thaw_what_the_regulator_froze(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        world.context.directory.set_frozen(ann.member, True)
        assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.40"))).code == "frozen"
        await decide(world, ann, "suspension", reason="while it is looked into")
        await decide(world, ann, "reinstatement", reason="nothing found")
        shown = await seen(ann, ann.member)
        assert (shown["status"], shown["frozen"]) == ("admitted", True)
        assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.40"))).code == "frozen"
        world.context.directory.set_frozen(ann.member, False)
        assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.40"))).status == 201


async def test_only_the_operator_decides_and_not_about_institutions(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann", admitted=False)
        checker = await world.institution("checker")
        for asking in (ann, checker):
            for decision, body in [("admission", {"record": "me"}), ("refusal", {"reason": "me"})]:
                assert (await asking.post(f"/v1/members/{ann.member}/{decision}", body)).code == "forbidden"
        assert (await decide(world, checker, "suspension", reason="?")).code == "institution"
        stranger = replace(ann, member=987_654)
        assert (await decide(world, stranger, "suspension", reason="?")).status == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"record": ""}, {"record": "x", "checked": [{"what": "mood", "how": "x"}]}, {"record": "x", "checked": [{}]}],
)
async def test_odd_admissions(tmp_path: Path, body: dict[str, Any]) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann", admitted=False)
        assert (await decide(world, ann, "admission", **body)).status == 400
        assert (await seen(ann, ann.member))["status"] == "pending"


async def test_the_operator_sees_who_waits(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        waiting = [await world.newcomer(name, admitted=False) for name in ("ann", "bo", "cy")]
        dee = await world.newcomer("dee")
        operator = await world.institution("operator")
        first = (await operator.get("/v1/members?status=pending&limit=2")).body
        rest = (await operator.get(f"/v1/members?status=pending&limit=2&cursor={first['next']}")).body
        assert [item["name"] for item in (*first["items"], *rest["items"])] == ["ann", "bo", "cy"]
        assert set(first["items"][0]) == {"member", "name", "kind", "roles", "status", "frozen", "registered"}
        everyone = (await operator.get("/v1/members")).body["items"]
        assert [item["member"] for item in everyone] == [*range(1, 8), *(each.member for each in waiting), dee.member]
        assert (await operator.get("/v1/members?status=gone")).code == "bad_status"
        assert (await dee.get("/v1/members")).status == 403


async def test_roles_and_the_tokens_that_they_carry(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        body = {**await ann.login_body(), "scopes": ["read"]}
        reader = replace(ann, token=(await world.post("/v1/sessions", body)).body["token"])
        made = [(await ann.post("/v1/api-keys", {"name": "x", "scopes": [scope]})).body for scope in ("read", "trade")]
        answer = await decide(world, ann, "roles", roles=["analyst"], reason="moved away")
        assert (answer.status, answer.body["roles"]) == (200, ["analyst"])
        assert (await ann.get("/v1/account")).code == "not_logged_in"
        assert (await reader.get("/v1/account")).status == 200
        tokens = [replace(ann, token=each["token"]) for each in made]
        assert [(await token.get("/v1/account")).status for token in tokens] == [200, 401]
        assert (await seen(reader, ann.member))["decisions"][-1]["reason"] == "moved away"
        assert (await reader.get("/v1/exports/nothing")).status == 404, "an analyst may ask"
    async with open_market(tmp_path) as world:
        tokens = [replace(token, world=world) for token in tokens]
        assert [(await token.get("/v1/account")).status for token in tokens] == [200, 401]
        assert (await (await replace(ann, world=world).log_in()).delete("/v1/orders")).code == "scope_missing"


async def test_the_operator_gives_open_roles_alone(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, cy = await world.newcomer("ann"), await world.newcomer("cy", admitted=False)
        for roles, code in [(["operator"], "bad_roles"), (["consumer", "bank"], "needs_governance"), ([], "bad_value")]:
            assert (await decide(world, ann, "roles", roles=roles, reason="?")).code == code
        assert (await decide(world, cy, "roles", roles=["bank"], reason="asked for later")).status == 200
        checker = await world.institution("checker")
        assert (await decide(world, checker, "roles", roles=["bank"], reason="?")).code == "institution"
