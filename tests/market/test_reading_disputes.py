"""A disputed reading over HTTP: corrected, stood by, appealed, decided; every step is kept and shown to both."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from data.units import format_instant, parse_energy_lots, parse_instant_s
from settlement import merkle
from settlement.meters import Submitted
from settlement.reading_leaf import reading_leaves, root_digest
from tests.market import world as worlds
from tests.market.world import SLOT, Person, World, neighbours, open_market

ARBITER = 102
NOW = "2026-07-01T12:00:00Z"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Ann with meter A1, Bo with A2, and Ada, who decides."""
    plain = worlds.config_of

    def config_of(*arguments: Any, **given: Any) -> Any:
        config = plain(*arguments, **given)
        return structs.replace(config, settlement=structs.replace(config.settlement, arbiter=ARBITER))

    monkeypatch.setattr(worlds, "config_of", config_of)
    async with open_market(tmp_path, now=NOW) as world:
        await neighbours(world)
        assert (await world.newcomer("ada")).member == ARBITER
        await read(world, "A1", "0.00", "2.00")
        yield world


async def read(world: World, meter: str, exported: str, imported: str) -> None:
    """The meter operator's signed word on SLOT."""
    operator = await world.institution("meter_operator")
    submitted = [Submitted(meter, parse_instant_s(SLOT), parse_energy_lots(exported), parse_energy_lots(imported))]
    root = merkle.root(reading_leaves(submitted))
    digest = root_digest(world.chain.domain("Clearing"), operator.member, root, 1)
    row = {"meter": meter, "slot": SLOT, "export": exported, "import": imported}
    sent = await operator.post("/v1/readings", {"readings": [row], "signature": operator.sign(digest)})
    assert sent.status == 200, sent


def claim(meter: str = "A1", **changes: str) -> dict[str, str]:
    return {"meter": meter, "slot": SLOT, "export": "0.00", "import": "1.50", "note": "I was away", **changes}


async def step(person: Person, act: str, **more: str) -> Any:
    place = "answer" if act in ("stood_by", "corrected") else "steps"
    return await person.post(f"/v1/readings/disputes/1/{place}", {"act": act, "note": f"says {person.member}", **more})


async def test_a_reading_is_disputed_by_the_owner_of_its_meter_once(world: World) -> None:
    ann, bo = world.people["ann"], world.people["bo"]
    assert (await bo.post("/v1/readings/disputes", claim())).code == "not_found"
    assert (await ann.post("/v1/readings/disputes", claim(slot="2026-07-01T11:00:00Z"))).code == "not_found"
    opened = await ann.post("/v1/readings/disputes", claim())
    assert opened.status == 201
    assert opened.body["due"] == format_instant(parse_instant_s(NOW) + 3 * 86_400)
    assert opened.body["steps"][0]["import"] == "1.50"
    assert (await ann.post("/v1/readings/disputes", claim())).code == "already_disputed"
    assert (await bo.get("/v1/readings/disputes")).body["items"] == []
    assert (await step(bo, "appealed")).code == "not_found"
    assert (await step(ann, "appealed")).code == "not_your_turn"


async def test_the_meter_operator_corrects_with_a_signed_reading(world: World) -> None:
    ann, operator = world.people["ann"], await world.institution("meter_operator")
    await ann.post("/v1/readings/disputes", claim())
    assert (await step(operator, "corrected")).code == "not_corrected"
    await read(world, "A1", "0.00", "1.50")
    corrected = await step(operator, "corrected")
    assert (corrected.status, corrected.body["import"], corrected.body["due"]) == (200, "1.50", None)
    assert (await step(ann, "appealed")).code == "dispute_over"
    assert (await ann.post("/v1/readings/disputes", claim())).status == 201, "the new version may be disputed too"


async def test_who_is_not_content_appeals_to_the_arbiter(world: World) -> None:
    ann, ada, operator = world.people["ann"], world.people["ada"], await world.institution("meter_operator")
    await ann.post("/v1/readings/disputes", claim())
    assert (await step(operator, "stood_by")).status == 200
    assert (await step(ada, "upheld")).code == "not_your_turn"
    assert (await step(ann, "appealed")).status == 200
    assert (await step(ada, "overruled")).code == "missing_energy"
    assert (await step(ada, "overruled", export="0.00", **{"import": "1.60"})).status == 200
    for person in (ann, ada, operator):
        (shown,) = (await person.get("/v1/readings/disputes")).body["items"]
        assert [each["act"] for each in shown["steps"]] == ["opened", "stood_by", "appealed", "overruled"]
        assert shown["steps"][-1]["import"] == "1.60"


async def test_silence_leaves_the_signed_reading_standing(world: World) -> None:
    ann, operator = world.people["ann"], await world.institution("meter_operator")
    await ann.post("/v1/readings/disputes", claim())
    world.context.clock.move_to(parse_instant_s(NOW) + 3 * 86_400 + 1)  # type: ignore[attr-defined]
    await operator.log_in()
    assert (await step(operator, "stood_by")).code == "dispute_over"


async def test_an_arbiter_decides_in_no_matter_of_its_own(world: World) -> None:
    ada, operator = world.people["ada"], await world.institution("operator")
    meter = {
        "meter": "A9",
        "parent": "A",
        "member": ada.member,
        "kind": "household",
        "export_kw": "9",
        "import_kw": "9",
    }
    assert (await operator.post("/v1/meters", {"meters": [meter]})).status == 201
    await read(world, "A9", "0.00", "2.00")
    assert (await ada.post("/v1/readings/disputes", claim("A9"))).status == 201
    await step(await world.institution("meter_operator"), "stood_by")
    assert (await step(ada, "appealed")).code == "is_party"
