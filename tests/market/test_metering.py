"""Meters with keys of their own, area meters and the quarantine over HTTP: who may do what, and who sees what."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from data.units import parse_energy_lots, parse_instant_s
from settlement import merkle, signatures
from settlement.areas import AreaMeter
from settlement.jwk import to_jwk
from settlement.meters import Submitted
from settlement.reading_leaf import area_digest, meter_digest, meter_key_digest, reading_leaves, signing_digest
from tests.market.world import Answer, Person, World, neighbours, open_market

pytestmark = pytest.mark.usefixtures("database_url")

NOON = "2026-07-01T12:00:00Z"
SLOT = "2026-07-01T10:00:00Z"
DAY = "2026-07-01"


def row(slot: str, exported: str, imported: str, meter: str | None = None) -> dict[str, str]:
    return {"slot": slot, "export": exported, "import": imported} | ({} if meter is None else {"meter": meter})


def leaves_of(meter: str | None, rows: Sequence[dict[str, str]]) -> list[bytes]:
    return reading_leaves(
        [
            Submitted(
                each.get("meter", meter or ""),
                parse_instant_s(each["slot"]),
                parse_energy_lots(each["export"]),
                parse_energy_lots(each["import"]),
            )
            for each in rows
        ]
    )


async def read_out(world: World, *rows: dict[str, str]) -> list[dict[str, str]]:
    """What the meter operator sends."""
    meter_operator = await world.institution("meter_operator")
    digest = signing_digest(world.chain.domain("Clearing"), meter_operator.member, leaves_of(None, rows))
    answer = await meter_operator.post("/v1/readings", {"readings": rows, "signature": meter_operator.sign(digest)})
    assert answer.status == 200, answer
    results: list[dict[str, str]] = answer.body["results"]
    return results


async def register(world: World, meter: str, key: ec.EllipticCurvePrivateKey, number: int = 1, **more: Any) -> Answer:
    meter_operator = await world.institution("meter_operator")
    digest = meter_key_digest(world.chain.domain("Clearing"), meter, number, signatures.public_key(key))
    body = {
        "number": number,
        "public_key": to_jwk(signatures.public_key(key)),
        "signature": meter_operator.sign(digest),
        "proof": signatures.sign(key, digest).hex(),
    }
    return await meter_operator.post(f"/v1/meters/{meter}/keys", body | more)


async def send_own(
    world: World, by: Person, meter: str, key: ec.EllipticCurvePrivateKey, *rows: dict[str, str]
) -> Answer:
    leaves = leaves_of(meter, rows)
    digest = meter_digest(world.chain.domain("Clearing"), meter, merkle.root(leaves), len(leaves))
    return await by.post(
        f"/v1/meters/{meter}/readings", {"readings": rows, "signature": signatures.sign(key, digest).hex()}
    )


async def test_a_meter_signs_for_itself_and_its_key_is_changed(tmp_path: Path) -> None:
    first, second = signatures.new_private_key(), signatures.new_private_key()
    async with open_market(tmp_path, now=NOON) as world:
        ann, bo = await neighbours(world)
        assert (await send_own(world, ann, "A1", first, row(SLOT, "1.00", "0.00"))).code == "no_key"
        await read_out(world, row(SLOT, "9.00", "0.00", "A1"))
        answer = await register(world, "A1", first)
        assert (answer.status, answer.body["from_signature"]) == (201, 2)
        assert (await register(world, "A1", first)).body == answer.body
        assert (await register(world, "A2", first)).code == "key_used"
        assert (await register(world, "A1", second)).code == "number_used"
        assert (await register(world, "nobody", second)).status == 404
        for name in ("signature", "proof"):
            assert (await register(world, "A1", second, 2, **{name: "00" * 64})).code == "bad_signature"

        answer = await send_own(world, ann, "A1", first, row(SLOT, "1.00", "0.00"))
        assert answer.body["results"] == [{"status": "corrected"}]
        assert (await send_own(world, ann, "A1", second, row(SLOT, "2.00", "0.00"))).code == "bad_signature"
        assert (await send_own(world, bo, "A1", first, row(SLOT, "2.00", "0.00"))).status == 404
        meter_operator = await world.institution("meter_operator")
        answer = await send_own(world, meter_operator, "A1", first, row(SLOT, "1.50", "0.00"))
        assert answer.body["results"] == [{"status": "corrected"}]
        assert (await read_out(world, row(SLOT, "8.00", "0.00", "A1"))) == [
            {"status": "quarantined", "code": "meter_signed"}
        ]

        assert (await register(world, "A1", second, 2)).status == 201
        assert (await send_own(world, ann, "A1", first, row(SLOT, "3.00", "0.00"))).code == "bad_signature"
        keys = (await ann.get("/v1/meters/A1/keys")).body["items"]
        assert [(key["number"], key["to_signature"]) for key in keys] == [(1, keys[1]["from_signature"]), (2, None)]
        assert (await bo.get("/v1/meters/A1/keys")).status == 404

        shown = (await ann.get(f"/v1/meters/A1/readings?day={DAY}")).body["items"]
        assert [(each["version"], each["export"], each["signed_by"]) for each in shown] == [
            (1, "9.00", "meter_operator"), (2, "1.00", "meter"), (3, "1.50", "meter"),
        ]  # fmt: skip
        assert (await bo.get(f"/v1/meters/A1/readings?day={DAY}")).status == 404
        assert len((await meter_operator.get(f"/v1/meters/A1/readings?day={DAY}")).body["items"]) == 3


async def test_what_was_not_taken_is_shown_to_offices_and_owners(tmp_path: Path) -> None:
    async with open_market(tmp_path, now=NOON) as world:
        ann, bo = await neighbours(world)
        wrong = [
            row(SLOT, "0.00", "-1.00", "A1"),
            row("2026-07-01T10:01:00Z", "0.00", "1.00", "A1"),
            row(SLOT, "0.00", "1.00", "nobody"),
            row("2026-07-01T12:00:00Z", "0.00", "1.00", "A2"),
            row(SLOT, "0.00", "99999.00", "A2"),
            row("1970-01-01T00:00:00Z", "0.00", "1.00", "B1"),
            row(SLOT, "0.00", "1.00", "B1"),
            row(SLOT, "0.00", "2.00", "B1"),
        ]
        codes = [result.get("code") for result in await read_out(world, *wrong)]
        assert codes == [
            "negative", "not_a_slot", "unknown_meter", "slot_not_over", "above_capacity", "window_closed", None,
            "twice_in_batch",
        ]  # fmt: skip
        meter_operator = await world.institution("meter_operator")
        seen: list[Any] = []
        path = "/v1/readings/quarantine?limit=2"
        while True:
            page = (await meter_operator.get(path)).body
            seen += page["items"]
            if page["next"] is None:
                break
            path = f"/v1/readings/quarantine?limit=2&cursor={page['next']}"
        assert [(each["batch"], each["row"], each["meter"], each["code"]) for each in seen] == [
            (1, number, sent["meter"], code)
            for number, (sent, code) in enumerate(zip(wrong, codes, strict=True), start=1)
            if code is not None
        ]
        of_ann = (await ann.get("/v1/readings/quarantine")).body["items"]
        assert [each["code"] for each in of_ann] == ["negative", "not_a_slot"]
        assert {each["meter"] for each in (await bo.get("/v1/readings/quarantine")).body["items"]} == {"A2", "B1"}


async def place(world: World, name: str, number: int = 1, from_: str = "2026-07-02T00:00:00Z", **more: Any) -> Answer:
    grid_company = await world.institution("grid_company")
    terms = AreaMeter(-1, number, parse_instant_s(from_), 1_000, 2_500, 100, 7)
    body = {
        "area": name, "number": number, "from": from_, "export_kw": "40", "import_kw": "100", "tolerance_bp": 100,
        "tolerance": "0.07", "signature": grid_company.sign(area_digest(world.chain.domain("Clearing"), name, terms)),
    }  # fmt: skip
    return await grid_company.post("/v1/areas", body | more)


async def test_an_area_meter_is_set_up_and_holds_what_it_contradicts(tmp_path: Path) -> None:
    slots = ["2026-07-02T10:00:00Z", "2026-07-02T10:15:00Z", "2026-07-02T10:30:00Z"]
    async with open_market(tmp_path, now=NOON) as world:
        ann, _ = await neighbours(world)
        answer = await place(world, "A")
        assert (answer.status, answer.body["export"], answer.body["import"]) == (201, "10.00", "25.00")
        assert (await place(world, "A")).status == 201, "the same again"
        assert (await place(world, "A", from_="2026-07-03T00:00:00Z")).code == "number_used"
        assert (await place(world, "A", 2, from_=NOON)).code == "bad_time"
        assert (await place(world, "A1")).code == "bad_area"
        assert (await place(world, "nowhere")).code == "unknown_node"
        assert (await place(world, "A", 2, tolerance_bp=200)).code == "bad_signature"
        assert (await ann.post("/v1/areas", {})).status == 403
        assert [each["area"] for each in (await ann.get("/v1/areas")).body["items"]] == ["A"]

        await (await world.institution("operator")).post("/v1/clock", {"now": "2026-07-02T12:00:00Z"})
        await read_out(
            world,
            *(row(slot, "5.00", "0.00", "A1") for slot in slots),
            *(row(slot, "0.00", "4.90", "A2") for slot in slots[:2]),
            row(slots[0], "0.00", "0.00", "A"),
            row(slots[1], "0.00", "4.90", "A"),
            row(slots[2], "5.00", "0.00", "A"),
        )
        meter_operator = await world.institution("meter_operator")
        found: dict[str, Any] = {}
        path = "/v1/areas/readings?day=2026-07-02"
        while path:
            page = (await meter_operator.get(path)).body
            found |= {each["slot"]: each for each in page["items"]}
            path = f"/v1/areas/readings?day=2026-07-02&cursor={page['next']}" if page["next"] else ""
        assert len(found) == 64, "from midnight in UTC, which is eight in the morning there"
        assert [found[slot]["status"] for slot in slots] == ["reconciled", "held", "incomplete"]
        assert [found[slot]["held"] for slot in slots] == [[], ["A1", "A2"], []]
        assert (found[slots[1]]["difference"], found[slots[1]]["tolerance"]) == ("5.00", "0.16")
        assert {found[slot]["status"] for slot in found if slot not in slots} == {"unread"}
        assert (await ann.get("/v1/areas/readings?day=2026-07-02")).status == 403
