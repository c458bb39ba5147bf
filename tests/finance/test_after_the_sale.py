"""Whole lives of receivables over HTTP: sold in parts, late, bought back, lost, contested, each to its end.

The clock goes on for months; at the end of each life the audit agrees, from the chain's own events and by the rules.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data.database import reading
from data.units import MICRO_PER_FEN, parse_money_fen
from finance import audit, audit_life
from finance.calendar import DayCount
from finance.offer import Quote
from settlement import fate_acts, part_acts, receivable_acts
from settlement.keccak import keccak
from settlement.part_acts import Pledge, Transfer
from tests.finance.ledger import (
    BANK,
    FACTORY,
    FORTUNE_CNY,
    OTHER_BANK,
    PLANT,
    REGULATOR,
    SHOP,
    TIME_ZONE,
    Ledger,
    copy_ledger,
    open_ledger,
)
from tests.finance.test_finance_routes import Json, Served, served  # noqa: F401 - a fixture
from tests.settlement.settlement_world import DAY, Wish

DUE = date(2026, 8, 31)
FORTUNE_FEN = FORTUNE_CNY * 100
FACE_FEN, ADVANCE_FEN = 10_000, 9_000


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory, chain_file: Path) -> Path:
    """The factory owes the plant 100 CNY, for twenty hours at the meters' capacity."""
    folder, hours = tmp_path_factory.mktemp("owed"), range(20)
    with open_ledger(folder, chain_file) as ledger:
        ledger.world.place(*(Wish("A1", "sell", hour, 1_000, 5_000, 60, DAY) for hour in hours))
        ledger.world.place(*(Wish("A2", "buy", hour, 1_000, 5_200, 60, DAY) for hour in hours))
        ledger.world.close(*hours, day=DAY)
        ledger.world.meter(*(("A1", hour, 1_000, 0) for hour in hours), *(("A2", hour, 0, 1_000) for hour in hours))
        ledger.issue()
    return folder


@pytest.fixture
def ledger(tmp_path: Path, issued: Path) -> Iterator[Ledger]:
    with copy_ledger(issued, tmp_path) as ledger:
        yield ledger


class Life:
    """One receivable and those who act on it."""

    def __init__(self, market: Served, name: str) -> None:
        self.served, self.name, self.id = market, name, bytes.fromhex(name)

    async def act(self, member: int, path: str, digest_of: Any, expected: int = 202, **body: Any) -> Any:
        """Sign and send an act, and let it go through on the chain; ``digest_of(nonce=, deadline_s=)``."""
        signed = self.served.signed(member, digest_of)
        answer = await self.served.post(member, f"/v1/receivables/{self.name}/{path}", body | signed, expected)
        self.served.ledger.sync()
        if expected == 202:
            refusal = (await self.shown(member))["act"]
            assert refusal is None, refusal
        return answer

    async def simple(self, member: int, path: str, digest: Any, *terms: Any, expected: int = 202, **body: Any) -> Any:
        """An act whose digest is ``digest(domain, receivable id, member, *terms, ...)``."""
        digest_of = partial(digest, self.served.ledger.domain, self.id, member, *terms)
        return await self.act(member, path, digest_of, expected, **body)

    async def shown(self, member: int = PLANT) -> Json:
        answer: Json = (await self.served.get(member, f"/v1/receivables/{self.name}"))["receivable"]
        return answer

    async def state(self) -> str:
        return str((await self.shown())["state"])

    async def sell(self, *, with_recourse: bool) -> None:
        """Acknowledged, listed and sold to the bank for 90 of its 100 CNY."""
        ledger, quote = self.served.ledger, Quote(900_000, 60_000, DayCount.ACT_360, 0)
        await self.served.acknowledge(self.name)
        await self.served.list_for_sale(self.name)
        amounts = {"advance_fen": ADVANCE_FEN, "proceeds_fen": 8_910}
        ledger.accept(PLANT, ledger.offer(BANK, self.id, quote, **amounts, with_recourse=with_recourse))
        ledger.sync()

    async def transfer(self, member: int, part: int, amount: str, to: int, expected: int = 202) -> Any:
        given = Transfer(self.id, part, parse_money_fen(amount) * MICRO_PER_FEN, to)
        digest_of = partial(part_acts.transfer_part_digest, self.served.ledger.domain, member, given)
        return await self.act(member, "transfer", digest_of, expected, part=part, amount=amount, to=to)

    async def pledge(self, member: int, part: int, to: int, expected: int = 202) -> Any:
        number = keccak(b"pledge %d" % next(self.served.ledger.nonces))
        digest_of = partial(
            part_acts.pledge_part_digest, self.served.ledger.domain, member, Pledge(self.id, part, to, number)
        )
        return await self.act(member, "pledge", digest_of, expected, part=part, pledgee=to, registration=number.hex())

    async def repay(self, amount: str, expected: int = 202) -> Any:
        micro = parse_money_fen(amount) * MICRO_PER_FEN
        return await self.simple(
            FACTORY, "repay", receivable_acts.repay_digest, micro, expected=expected, amount=amount
        )

    def move_to(self, day: date) -> None:
        """Another day: the scheduler asks the chain to look at the calendar."""
        ledger = self.served.ledger
        ledger.move_to(day)
        clock: Any = self.served.context.clock
        clock.move_to(ledger.now_s)
        ledger.mark_due()
        ledger.sync()

    def story(self) -> list[str]:
        return [after for before, after, _ in self.served.ledger.story(self.id) if before != after]

    def gained_fen(self, *members: int) -> list[int]:
        return [self.served.ledger.cash_fen(member) - FORTUNE_FEN for member in members]

    def audited(self) -> list[Any]:
        ledger = self.served.ledger
        with reading(ledger.database) as connection:
            events = ledger.chain.events(0)
            return [
                *audit.audit_positions(connection, events, TIME_ZONE),
                *audit_life.by_rules(connection, events, TIME_ZONE, lambda _: None),
            ]


@pytest.fixture
async def life(served: Served) -> Life:  # noqa: F811 - the fixture
    (name,) = await served.ids(FACTORY)
    return Life(served, name)


async def test_in_parts_between_banks_late_bought_back_and_paid(life: Life) -> None:
    await life.sell(with_recourse=True)
    split = partial(life.simple, BANK, "split", part_acts.split_part_digest)
    await split(2, 30_00 * MICRO_PER_FEN, part=2, amount="30.00")
    await life.transfer(BANK, 3, "30.00", OTHER_BANK)
    await life.transfer(BANK, 2, "10.00", OTHER_BANK)
    await life.simple(OTHER_BANK, "merge", part_acts.merge_parts_digest, 3, 4, part=3, other=4)
    await life.pledge(PLANT, 1, OTHER_BANK)
    parts = (await life.shown(OTHER_BANK))["parts"]
    assert [(each["claim"], each["owner"], each["open"], each["pledgee"]) for each in parts] == [
        ("residual", PLANT, "10.00", OTHER_BANK),
        ("holder", BANK, "50.00", None),
        ("holder", OTHER_BANK, "40.00", None),
    ]
    for member, amount, to, code in (
        (PLANT, "10.00", SHOP, "pledged"),
        (PLANT, "1.00", BANK, "pledged"),
    ):
        assert (await life.transfer(member, 1, amount, to, 409))["code"] == code
    for part, amount, to, status, code in (
        (2, "50.00", SHOP, 422, "not_a_bank"),
        (3, "1.00", BANK, 403, "not_the_owner"),
        (2, "49.50", OTHER_BANK, 422, "part_too_small"),
        (9, "1.00", OTHER_BANK, 422, "no_such_part"),
    ):
        assert (await life.transfer(BANK, part, amount, to, status))["code"] == code
    await life.repay("20.00")  # 0.05 costs, then the advance, 5 to 4
    assert life.gained_fen(BANK, OTHER_BANK) == [-8_910 + 1_111, 889]
    life.move_to(DUE + timedelta(days=4))
    assert await life.state() == "overdue"
    assert (await life.shown())["sale"]["interest_due"] == "0.05"  # 70.05 at 6 % for 4 days, 4.67 fen
    most = 100_00 * MICRO_PER_FEN
    refused = await life.simple(PLANT, "buy-back", fate_acts.buy_back_digest, most, expected=409, most="100.00")
    assert refused["code"] == "illegal_transition"
    assert (await life.simple(PLANT, "demand", fate_acts.demand_digest, expected=403))["code"] == "not_a_holder"
    await life.simple(OTHER_BANK, "demand", fate_acts.demand_digest)
    little = await life.simple(PLANT, "buy-back", fate_acts.buy_back_digest, 10_000, expected=422, most="0.01")
    assert (little["code"], little["field"]) == ("price_above_most", "most")
    await life.simple(PLANT, "buy-back", fate_acts.buy_back_digest, most, most="100.00")
    assert life.gained_fen(BANK, OTHER_BANK, PLANT) == [-8_910 + 1_111 + 3_894, 889 + 3_116, 8_910 - 7_010]
    assert (await life.shown())["sale"]["bought_back"] is True
    assert (await life.simple(PLANT, "demand", fate_acts.demand_digest, expected=409))["code"] == "no_recourse"
    life.move_to(DUE + timedelta(days=20))
    await life.repay("80.00")
    assert life.gained_fen(OTHER_BANK, PLANT, FACTORY) == [889 + 3_116 + 995, 8_910 - 7_010 + 7_005, -FACE_FEN]
    assert life.story()[-6:] == ["financed", "partly_paid", "overdue", "recourse", "overdue", "settled"]
    assert life.audited() == []


async def test_without_recourse_it_is_lost_and_some_of_it_recovered(life: Life) -> None:
    await life.sell(with_recourse=False)
    life.move_to(DUE)
    assert await life.state() == "due"
    life.move_to(DUE + timedelta(days=10))
    assert (await life.simple(BANK, "demand", fate_acts.demand_digest, expected=409))["code"] == "no_recourse"
    await life.repay("10.00")  # 0.05 costs, 0.15 interest, the rest to the advance
    assert life.gained_fen(BANK) == [-8_910 + 1_000]

    def majority(digest: Any) -> Any:
        return lambda nonce, deadline_s: digest(life.served.ledger.domain, life.id, deadline_s=deadline_s)

    default, off = majority(fate_acts.declare_default_digest), majority(fate_acts.write_off_digest)
    assert (await life.act(BANK, "declare-default", default, 409))["code"] == "too_early"
    life.move_to(DUE + timedelta(days=31))
    assert (await life.act(PLANT, "declare-default", default, 403))["code"] == "no_majority"
    assert (await life.act(BANK, "write-off", off, 409))["code"] == "illegal_transition"
    await life.act(BANK, "declare-default", default)
    await life.act(BANK, "write-off", off)
    assert await life.state() == "written_off"
    await life.repay("45.00")
    shown = await life.shown(BANK)
    assert (shown["state"], shown["paid"], shown["outstanding"]) == ("written_off", "55.00", "45.00")
    await life.repay("45.00")
    assert life.story()[-6:] == ["financed", "due", "overdue", "defaulted", "written_off", "settled"]
    assert sum(life.gained_fen(BANK, PLANT, FACTORY)) == 0
    assert life.audited() == []


async def test_contested_before_the_sale_it_is_void_and_its_trades_are_free(life: Life) -> None:
    await life.served.acknowledge(life.name)
    await life.served.list_for_sale(life.name)
    reason = "the meter was replaced that day"
    dispute = partial(life.simple, FACTORY, "dispute", fate_acts.dispute_digest, keccak(reason.encode()))
    await dispute(reason=reason)
    assert (await life.repay("1.00", 409))["code"] == "illegal_transition"
    await life.simple(FACTORY, "withdraw-dispute", fate_acts.withdraw_dispute_digest)
    assert await life.state() == "acknowledged"
    await dispute(reason=reason)
    history = (await life.served.get(PLANT, f"/v1/receivables/{life.name}"))["history"]
    assert history[-1]["reason"] == reason
    await life.simple(PLANT, "concede", fate_acts.concede_digest)
    shown = await life.shown()
    assert (shown["state"], shown["standing"], shown["parts"]) == ("void", "ended", [])
    assert life.audited() == []


async def test_contested_after_the_sale_the_seller_pays_the_debtor(life: Life) -> None:
    await life.sell(with_recourse=True)
    hashed = keccak(b"too late")
    refused = await life.simple(FACTORY, "dispute", fate_acts.dispute_digest, hashed, expected=409, reason="too late")
    assert refused["code"] == "illegal_transition"
    compensate = partial(life.simple, PLANT, "compensate", fate_acts.compensate_digest)
    await compensate(3_00 * MICRO_PER_FEN, amount="3.00")
    assert (await compensate(0, amount="0.00", expected=422))["code"] == "bad_amount"
    assert (await life.state(), life.gained_fen(FACTORY, PLANT)) == ("financed", [300, 8_910 - 300])
    history = (await life.served.get(PLANT, f"/v1/receivables/{life.name}"))["history"]
    assert "paid 3.000000 CNY to the debtor" in history[-1]["reason"]
    await life.repay("100.00")
    assert (await life.state(), life.audited()) == ("settled", [])


async def test_the_regulator_freezes_and_decides_in_the_order_of_its_rulings(life: Life) -> None:
    market = life.served
    members = market.directory.members
    members[REGULATOR] = replace(members[REGULATOR], roles=frozenset({"regulator"}))
    await market.acknowledge(life.name)

    def rule(digest: Any, what: bool, number: int) -> Any:
        return lambda **_: digest(market.ledger.domain, life.id, what, number)

    async def freeze(frozen: bool, number: int, expected: int = 202) -> Any:
        digest_of = rule(fate_acts.set_frozen_digest, frozen, number)
        return await life.act(REGULATOR, "freeze", digest_of, expected, frozen=frozen, ruling=number)

    assert (await freeze(True, 1, 409))["code"] == "index_out_of_order"
    await freeze(True, 0)
    assert (await life.shown())["frozen"] is True
    listing = market.signed(
        PLANT, lambda **terms: receivable_acts.set_listed_digest(market.ledger.domain, life.id, PLANT, True, **terms)
    )
    refused = await market.post(PLANT, f"/v1/receivables/{life.name}/list", listing, 409)
    assert refused["code"] == "receivable_frozen"
    assert (await market.get(REGULATOR, "/v1/rulings/next")) == {"ruling": 1}
    await freeze(False, 1)
    await life.simple(FACTORY, "dispute", fate_acts.dispute_digest, keccak(b"why"), reason="why")
    body = {"ruling": 2, "void": True}
    digest_of = rule(fate_acts.decide_digest, True, 2)
    await market.post(PLANT, f"/v1/receivables/{life.name}/decide", body | market.signed(PLANT, digest_of), 403)
    await life.act(REGULATOR, "decide", digest_of, **body)
    assert (await life.state(), await market.get(REGULATOR, "/v1/rulings/next")) == ("void", {"ruling": 3})
    assert life.audited() == []


async def test_one_signature_over_a_root_acknowledges_all_that_is_under_it(life: Life) -> None:
    market, ids = life.served, [life.id]
    digest_of = partial(
        receivable_acts.acknowledge_root_digest, market.ledger.domain, FACTORY, ids[0], market.ledger.book.collection
    )
    body = {"receivables": [life.name], **market.signed(FACTORY, digest_of)}
    answer = await market.post(FACTORY, "/v1/receivables/acknowledge-root", body)
    assert answer["receivables"][0]["act"]["act"] == "acknowledge"
    assert await market.post(FACTORY, "/v1/receivables/acknowledge-root", body) == answer
    market.ledger.sync()
    assert await life.state() == "acknowledged"
    assert life.story() == ["issued", "acknowledged"]


async def test_the_creditor_takes_back_what_nobody_acknowledged(life: Life) -> None:
    await life.simple(PLANT, "cancel", fate_acts.cancel_digest, reason="billed twice")
    shown = await life.served.get(FACTORY, f"/v1/receivables/{life.name}")
    assert (shown["receivable"]["state"], shown["history"][-1]["reason"]) == ("cancelled", "billed twice")
    assert life.audited() == []
