"""Ratings, limits and personal offers over real HTTP: what is answered, to whom."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.units import parse_instant_s
from finance.credit import card as cards
from finance.credit import scoring
from market.config import ConfigError, check
from market.settings import Credit
from tests.finance.credit.history import TIME_ZONE, History
from tests.market.world import SLOT, START, World, config_of, later, neighbours, open_market, order

NOW_S = parse_instant_s(START)
DAY_S = 86_400
LOTS = 10_000
LATER = later(SLOT, 15)


async def happen(world: World, write: Callable[[History], None]) -> None:
    """Write history, and score everybody."""

    def work() -> None:
        with world.context.database.begin() as connection:
            write(History(connection, is_begun=True))
        scoring.score_due(world.context.database, cards.read(cards.EXPERT), NOW_S, TIME_ZONE)

    await asyncio.to_thread(work)


def trade_weekly(history: History, buyer: int, seller: int) -> None:
    for week in range(1, 53):
        start_s = NOW_S - 2 * DAY_S - week * 7 * DAY_S
        history.trade(start_s, buyer, seller, lots=LOTS, ticks=5_000, delivered=LOTS, cycle=1)
    history.cycle(1, NOW_S - 2 * DAY_S)


def test_a_card_that_is_not_there_is_told_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"credit\.card: .*nowhere\.json"):
        check(msgspec.structs.replace(config_of(), credit=Credit("nowhere.json")))


async def test_a_newcomer_has_the_cautious_default_and_is_told_why_and_strangers_see_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        bank = await world.newcomer("bank", "bank")
        own = (await ann.get(f"/v1/credit/{ann.member}")).body
        assert (own["rating"], own["limit"], own["prices"], own["decision"]) == ("CCC", "0.00", [], None)
        assert "no settled trade" in own["caps"][0]["en"] and "默认" in own["caps"][0]["zh"]
        assert own["card"]["kind"] == "expert"
        for stranger in (bo, bank):
            assert (await stranger.get(f"/v1/credit/{ann.member}")).code == "forbidden"
        operator = await world.institution("operator")
        assert (await operator.get(f"/v1/credit/{ann.member}")).body == own
        assert (await operator.get("/v1/credit/999")).code == "not_found"


async def test_a_bank_sees_rating_and_reasons_of_debtors_and_no_figure(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        bank = await world.newcomer("bank", "bank")

        def write(history: History) -> None:
            trade_weekly(history, ann.member, bo.member)
            history.debt(ann.member, 50_000, NOW_S + 40 * DAY_S, state="listed", creditor=bo.member)

        await happen(world, write)
        seen = (await bank.get(f"/v1/credit/{ann.member}")).body
        assert seen["rating"] == "BB"
        assert all(reason["words"]["en"] and reason["points"] is reason["value"] is None for reason in seen["reasons"])
        assert (seen["total"], seen["limit"], seen["decision"]) == (None, None, None)
        assert (await bank.get(f"/v1/credit/{bo.member}")).code == "forbidden", "the seller of it is another matter"
        until = {"bank": bank.member, "until": later(START, 600)}
        consent = await bo.post("/v1/consents", until)
        assert consent.status == 201, consent
        assert (await bank.get(f"/v1/credit/{bo.member}")).body["rating"], "by its own consent"
        whole = (await ann.get(f"/v1/credit/{ann.member}")).body
        assert sum(reason["points"] for reason in whole["reasons"]) == whole["total"]
        assert whole["decision"]["decision"] == 1 and whole["decision"]["input"].startswith("{")


async def test_personal_offers_say_what_it_costs_and_what_would_help(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")

        def write(history: History) -> None:
            trade_weekly(history, ann.member, bo.member)
            history.debt(ann.member, 1_000_000, NOW_S + 60 * DAY_S, state="acknowledged", creditor=bo.member)
            history.debt(bo.member, 700, NOW_S - DAY_S, state="issued", creditor=ann.member)

        await happen(world, write)
        seller = (await bo.get("/v1/offers/personal")).body
        (sale,) = seller["to_sell"]
        assert (sale["state"], sale["face"], sale["why"]) == ("acknowledged", "10000.00", None)
        price = sale["suggested"]
        assert (price["rate"], price["days"], price["advance"]) == ("0.058000", 60, "8500.00")
        assert price["cost"] == "82.17" and price["proceeds"] == "8417.83" and price["residual"] == "1500.00"
        debtor = (await ann.get("/v1/offers/personal")).body
        (debt,) = debtor["to_pay"]
        assert (debt["owed"], debt["days"], debt["saves"], debt["frees"]) == ("10000.00", 60, "0.00", "10000.00")
        (unsold,) = debtor["to_sell"]
        assert unsold["suggested"] is None and "due" in unsold["why"]["en"]
        better = {each["feature"]: each for each in debtor["improvements"]}
        assert better["concentration_ppm"]["target"] == 949_999
        assert "more counterparties" in better["concentration_ppm"]["how"]["en"]
        assert "in time" in better["paid_on_time_ppm"]["words"]["en"]


async def test_a_limit_below_what_is_used_refuses_what_comes_next_and_cancels_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        bank, other = await world.newcomer("bank", "bank"), await world.newcomer("other", "insurer")

        async def lend(lender: Any, limit: str) -> Any:
            answer = await lender.post("/v1/credit-limits", {"limits": [{"member": ann.member, "limit": limit}]})
            assert answer.status == 200, answer
            return answer.body["items"][0]

        assert await lend(bank, "3") == {"member": ann.member, "limit": "3.000000", "total": "3.000000"}
        assert (await lend(other, "2"))["total"] == "5.000000"
        assert (await ann.place(order("b1", "A1", "buy", "10.00", "0.45", terms=30))).status == 201
        assert (await lend(other, "1"))["total"] == "4.000000"
        account = (await ann.get("/v1/account")).body
        assert (account["credit_limit"], account["credit_used"]) == ("4.000000", "4.500000")
        assert (await ann.get("/v1/orders/b1")).body["order"]["state"] == "open"
        refused = await ann.place(order("b2", "A1", "buy", "0.10", "0.45", LATER, terms=30))
        assert refused.code == "insufficient_credit"
        credit = (await ann.get("/v1/offers/personal")).body["credit"]
        assert (credit["limit"], credit["used"], credit["free"]) == ("4.000000", "4.500000", "0.000000")
        told = (await ann.get("/v1/credit-limits")).body["items"]
        assert [(row["lender"], row["limit"]) for row in told] == [
            (bank.member, "3.000000"),
            (other.member, "2.000000"),
            (other.member, "1.000000"),
        ]
        assert len((await bank.get("/v1/credit-limits")).body["items"]) == 1
        assert (await bo.get(f"/v1/credit-limits?member={ann.member}")).body["items"] == []
