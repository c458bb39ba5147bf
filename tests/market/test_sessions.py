"""Sessions are seen by their member, bounded, and ended one by one or all at once, by it or by the operator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from market.identity import SESSIONS_AT_ONCE
from tests.market.world import Person, open_market


async def another(person: Person) -> Person:
    """One more session of the same member."""
    return await replace(person).log_in()


async def sessions_of(person: Person) -> list[Any]:
    answer = await person.get("/v1/sessions")
    assert answer.status == 200, answer
    found: list[Any] = answer.body["items"]
    return found


async def test_one_sees_and_ends_ones_own_sessions(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        second = await another(ann)
        seen = await sessions_of(ann)
        assert [session["current"] for session in seen].count(True) == 1 and len(seen) == 2
        assert set(seen[0]) == {"session", "opened", "expires", "scopes", "current"}
        (other,) = [session["session"] for session in seen if not session["current"]]
        assert (await bo.delete(f"/v1/sessions/{other}")).status == 404, "not even there for others"
        assert (await ann.delete(f"/v1/sessions/{other}")).status == 204
        assert (await ann.delete(f"/v1/sessions/{other}")).status == 404
        assert (await second.get("/v1/account")).code == "not_logged_in"
        assert (await ann.get("/v1/account")).status == 200


async def test_all_are_ended_by_the_member_or_the_operator_and_by_nobody_else(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        operator = await world.institution("operator")
        second = await another(ann)
        address = f"/v1/members/{ann.member}/sessions"
        assert (await bo.delete(address)).status == 403
        assert (await bo.delete("/v1/members/987654/sessions")).status == 403, "no telling who is a member"
        assert (await second.delete(address)).status == 204
        for token in (ann, second):
            assert (await token.get("/v1/account")).code == "not_logged_in"
        await ann.log_in()
        assert (await operator.delete(address)).status == 204
        assert (await ann.get("/v1/account")).code == "not_logged_in"
        assert (await operator.delete("/v1/members/987654/sessions")).status == 404
        assert (await bo.get("/v1/account")).status == 200


async def test_ended_sessions_stay_ended_after_a_restart(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        assert (await ann.delete(f"/v1/members/{ann.member}/sessions")).status == 204
    async with open_market(tmp_path) as world:
        assert (await replace(ann, world=world).get("/v1/account")).code == "not_logged_in"
        assert (await replace(bo, world=world).get("/v1/account")).status == 200
        assert len(await sessions_of(replace(bo, world=world))) == 1


async def test_a_member_has_so_many_sessions_and_one_more_ends_the_oldest(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        directory = world.context.directory
        now_s = directory.now_s()
        directory.now_s = lambda: now_s
        ann = await world.newcomer("ann")
        now_s += 1
        later = await another(ann)
        for _ in range(SESSIONS_AT_ONCE - 2):
            last = await another(ann)
        assert (await ann.get("/v1/account")).status == 200
        last = await another(ann)
        assert (await ann.get("/v1/account")).code == "not_logged_in"
        for token in (later, last):
            assert (await token.get("/v1/account")).status == 200
        assert len(await sessions_of(last)) == SESSIONS_AT_ONCE
    async with open_market(tmp_path) as world:
        assert len(world.context.directory.sessions_of(ann.member)) == SESSIONS_AT_ONCE


async def test_whoever_keeps_copies_hears_of_an_end(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        heard: list[int] = []
        world.context.directory.on_change.append(heard.append)
        assert (await ann.delete("/v1/sessions")).status == 204
        assert heard == [ann.member]


async def test_who_is_suspended_sees_and_cancels_only(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        world.context.directory.set_status(ann.member, "suspended")
        assert (await ann.get("/v1/account")).status == 200
        assert (await ann.delete("/v1/orders")).status == 200
        word = {"nonce": 1, "deadline": "2026-07-02T00:00:00Z", "signature": "00" * 64}
        assert (await ann.post("/v1/offers/1/accept", word)).code == "forbidden"
        await ann.log_in()
        assert (await ann.get("/v1/account")).status == 200
