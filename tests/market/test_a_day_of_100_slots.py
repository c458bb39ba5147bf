"""Over HTTP and the real contracts, in a market where clocks are set back: traded, metered, checked, paid, and read."""

import asyncio
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.units import parse_instant_s
from market.config import INSTITUTIONS
from settlement.chain import Chain
from settlement.checker import Checker
from settlement.checker_client import MarketClient
from settlement.meters import Submitted
from settlement.officer import Officer
from settlement.reading_leaf import reading_leaf, signing_digest
from tests.market.chain_world import deposit, pass_days, real_chain, settle
from tests.market.world import KEYS, Answer, Person, World, open_market, order

ZONE = "Europe/Berlin"
EVENING = "2026-10-24T18:00:00Z"
TWICE = ("2026-10-25T00:15:00Z", "2026-10-25T01:15:00Z")
"""02:15 in Berlin, before clocks are set back and after."""


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with real_chain(tmp_path) as chain:
        yield chain


async def meter(world: World, *rows: tuple[str, str, str, str]) -> Answer:
    """Readings (meter, slot, exported, imported kWh) as the meter operator sends them."""
    operator = await world.institution("meter_operator")
    sent = [
        Submitted(name, parse_instant_s(slot), round(float(export) * 100), round(float(imported) * 100))
        for name, slot, export, imported in rows
    ]
    digest = signing_digest(world.chain.domain("Clearing"), operator.member, [reading_leaf(*each) for each in sent])
    body = [dict(zip(("meter", "slot", "export", "import"), row, strict=True)) for row in rows]
    return await operator.post("/v1/readings", {"readings": body, "signature": operator.sign(digest)})


async def check(world: World) -> bool:
    """One round of a checker that pulls everything over HTTP."""
    officer = Officer(INSTITUTIONS["checker"], KEYS["checker"])
    checking = await asyncio.to_thread(Checker, MarketClient(world.server, officer), officer, None)
    return await asyncio.to_thread(checking.step)


async def apply(world: World, number: int) -> None:
    assert await check(world)
    await settle(world)
    await pass_days(world, 2)
    assert (await world.people["ann"].get("/v1/cycles")).body["items"][number - 1]["state"] == "applied"


async def file_of(person: Person, path: str) -> list[dict[str, str]]:
    async with person.world.http.get(
        f"{person.world.server}{path}", headers={"Authorization": f"Bearer {person.token}"}
    ) as answer:
        assert answer.status == 200
        return list(csv.DictReader(io.StringIO((await answer.read()).decode("utf-8-sig"))))


async def test_a_day_of_100_slots_and_what_came_late_for_it(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain, now=EVENING, time_zone=ZONE) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        await world.connect(("A1", "A", "ann"), ("A2", "A", "bo"), capacity_kw="500")
        await settle(world)
        for person, reference in ((ann, "in-1"), (bo, "in-2")):
            await deposit(world, person, "100", reference)
        for number, slot in enumerate(TWICE):
            assert (await bo.place(order(f"s{number}", "A2", "sell", "10.00", "0.40", slot))).status == 201
            bought = await ann.place(order(f"b{number}", "A1", "buy", "10.00", "0.50", slot))
            assert bought.body["order"]["state"] == "filled"
        await pass_days(world, 1)
        rows = (("A1", TWICE[0], "0", "10"), ("A2", TWICE[0], "10", "0"), ("A1", TWICE[1], "0", "12"))
        metered = await meter(world, *rows)
        assert [each["status"] for each in metered.body["results"]] == ["accepted"] * 3
        await pass_days(world, 1)
        (listed,) = (await ann.get("/v1/cycles")).body["items"]
        assert (listed["start"], listed["end"]) == ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), "25 hours"
        await apply(world, 1)
        totals = (await bo.get("/v1/statements/totals?by=slot&day=2026-10-25")).body["items"]
        assert [each["of"] for each in totals] == [TWICE[0], TWICE[1], TWICE[1]]
        short = (await bo.get(f"/v1/statements?slot={TWICE[1]}")).body["items"][-1]
        assert (short["kind"], short["amount"], short["estimated"]) == ("shortfall", "-6.000000", True)

        late = await meter(world, ("A2", TWICE[1], "9", "0"))
        assert late.body["results"][0]["status"] == "late"
        assert (await meter(world, ("A1", "2026-10-28T10:15:00Z", "0", "1"))).body["results"][0]["status"] == "accepted"
        await pass_days(world, 2)
        await apply(world, 2)
        lines = await file_of(bo, "/v1/statements/monthly?month=2026-10&format=csv&language=en")
        names = ("Slot", "Kind", "Amount (CNY)", "Adjusts cycle", "Estimated")
        assert [tuple(line[name] for name in names) for line in lines] == [
            ("2026-10-25T02:15:00+02:00", "Energy traded", "4.000000", "", "no"),
            ("2026-10-25T02:15:00+01:00", "Energy traded", "4.000000", "", "yes"),
            ("2026-10-25T02:15:00+01:00", "Shortfall", "-6.000000", "", "yes"),
            ("2026-10-25T02:15:00+01:00", "Shortfall", "5.400000", "1", "no"),
        ]
        grid = await world.institution("grid_company")
        billed = await file_of(grid, "/v1/residuals?month=2026-10")
        assert [(row["slot"], row["meter"], row["kind"], row["amount_cny"]) for row in billed] == [
            (TWICE[1], "A1", "over_consumed", "-1.100000"),
            ("2026-10-28T10:15:00Z", "A1", "over_consumed", "-0.550000"),
        ]
        assert (await bo.get("/v1/account")).body["escrow"] == "107.400000", "100 + 4 + 4 - 6 + 5.4"
        operator = await world.institution("operator")
        assert (await operator.get("/v1/status")).body["outbox_reverted"] == []
