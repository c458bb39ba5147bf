"""Money leaves escrow in two steps and then the market, over HTTP and the real contracts on an embedded chain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from data import tables
from data.database import reading
from data.units import format_instant, parse_instant_s, parse_money_micro
from market import settling
from market.withdrawal_store import find
from market.withdrawals import payout_of
from settlement import acts
from settlement.chain import Chain
from tests.market.chain_world import DAY_S, account, deposit, pass_days, real_chain, settle, sign_cycle, traders
from tests.market.world import START, Answer, Person, World, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")

DEADLINE = "2026-08-01T00:00:00Z"


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with real_chain(tmp_path) as chain:
        yield chain


async def ask(person: Person, amount: str, nonce: int) -> Answer:
    once = {"nonce": nonce, "deadline_s": parse_instant_s(DEADLINE)}
    domain = person.world.chain.domain("Clearing")
    digest = acts.request_exit_digest(domain, person.member, parse_money_micro(amount), **once)
    body = {"amount": amount, "nonce": nonce, "deadline": DEADLINE, "signature": person.sign(digest)}
    return await person.post("/v1/withdrawals", body)


async def state_of(person: Person, number: int) -> str:
    return str((await person.get(f"/v1/withdrawals/{number}")).body["state"])


def burn_digest(world: World, number: int, nonce: int, deadline: str) -> bytes:
    with reading(world.context.database) as connection:
        found = find(connection, number)
    assert found is not None
    payout = payout_of(world.chain.chain_id, found, nonce=nonce, deadline_s=parse_instant_s(deadline))
    return acts.burn_digest(world.chain.domain("Cash"), payout)


async def sign_payout(person: Person, number: int, nonce: int, deadline: str = DEADLINE) -> Answer:
    signature = person.sign(burn_digest(person.world, number, nonce, deadline))
    body = {"nonce": nonce, "deadline": deadline, "signature": signature}
    return await person.post(f"/v1/withdrawals/{number}/payout", body)


async def confirm(world: World, number: int, nonce: int, bank_reference: str, deadline: str = DEADLINE) -> Answer:
    custodian = await world.institution("custodian")
    signature = custodian.sign(burn_digest(world, number, nonce, deadline))
    body = {"bank_reference": bank_reference, "signature": signature}
    return await custodian.post(f"/v1/withdrawals/{number}/confirmation", body)


async def test_buying_power_falls_with_the_answer_and_the_money_leaves_when_it_is_due(
    tmp_path: Path, chain: Chain
) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        assert (await ann.place(order("b1", "A1", "buy", "100.00", "0.40"))).status == 201
        refused = await ask(ann, "60.000001", 1)
        assert (refused.status, refused.code) == (422, "insufficient_funds"), "to the micro-yuan"
        asked = await ask(ann, "60", 1)
        assert (asked.status, asked.body["state"]) == (202, "requested")
        assert (await account(ann))["available"] == "0", "before the chain has heard of it"
        assert (await ann.place(order("b2", "A1", "buy", "0.01", "0.01"))).code == "insufficient_funds"
        again = await ask(ann, "60", 1)
        assert (again.status, again.body["withdrawal"]) == (202, asked.body["withdrawal"])
        assert (await ask(ann, "59", 1)).code == "nonce_used"
        await settle(world)
        assert await state_of(ann, 1) == "waiting"
        assert await account(ann) == {
            "cash": "0",
            "escrow": "100",
            "reserved": "40",
            "leaving": "60",
            "available": "0",
        }
        await pass_days(world, 13)
        assert await state_of(ann, 1) == "waiting"
        await pass_days(world, 2)
        assert await state_of(ann, 1) == "free"
        assert await account(ann) == {"cash": "60", "escrow": "40", "reserved": "0", "leaving": "0", "available": "40"}

        assert (await sign_payout(ann, 1, 7)).body["state"] == "signed"
        assert (await sign_payout(ann, 1, 7)).status == 202, "the same again"
        assert (await sign_payout(ann, 1, 8)).code == "not_free"
        custodian = await world.institution("custodian")
        (waiting,) = (await custodian.get("/v1/withdrawals?state=signed")).body["items"]
        assert (waiting["member"], waiting["payable"]) == (ann.member, "60.000000")
        assert (await confirm(world, 1, 7, "bank-out-1")).body["state"] == "confirmed"
        assert (await confirm(world, 1, 7, "bank-out-1")).status == 202, "the same again"
        await settle(world)
        paid = (await ann.get("/v1/withdrawals/1")).body
        assert (paid["state"], paid["bank_reference"]) == ("paid", "bank-out-1")
        assert (await account(ann))["cash"] == "0"
    async with open_market(tmp_path, chain=chain, now=format_instant(parse_instant_s(START) + 20 * DAY_S)) as world:
        ann = Person(world, ann.member, ann.key)
        await ann.log_in()
        assert (await ask(ann, "1", 1)).code == "nonce_used", "numbers and nonces survive a restart"
        assert (await ask(ann, "1", 2)).body["withdrawal"] == 2


async def test_a_later_request_takes_the_place_of_an_earlier_one_once_the_chain_has_it(
    tmp_path: Path, chain: Chain
) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        await ask(ann, "90", 1)
        await settle(world)
        assert (await account(ann))["available"] == "10"
        assert (await ask(ann, "101", 2)).code == "insufficient_funds"
        assert (await ask(ann, "30", 2)).status == 202
        assert (await account(ann))["available"] == "-20", "either of the two could still be carried out"
    async with open_market(tmp_path, chain=chain) as world:
        ann = Person(world, ann.member, ann.key, ann.token)
        assert (await account(ann))["available"] == "-20"
        await settle(world)
        assert (await account(ann))["available"] == "70"
        assert [await state_of(ann, number) for number in (1, 2)] == ["replaced", "waiting"]
        await pass_days(world, 15)
        assert await state_of(ann, 2) == "free"
        assert (await account(ann))["escrow"] == "70"


async def test_a_request_that_someone_else_relayed_holds_escrow_back_too(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        once = {"nonce": 5, "deadline_s": parse_instant_s(DEADLINE)}
        digest = acts.request_exit_digest(chain.domain("Clearing"), ann.member, 80_000_000, **once)
        signature = bytes.fromhex(ann.sign(digest))
        chain.send(chain.sign([acts.request_exit(ann.member, 80_000_000, signature, **once)]))
        await settle(world)
        assert (await account(ann))["available"] == "20"
        assert (await ask(ann, "10", 5)).status == 202
        await settle(world)
        shown = (await ann.get("/v1/withdrawals/1")).body
        assert (shown["state"], shown["refusal"]) == ("refused", "nonce_used")
        assert (await account(ann))["available"] == "20"
        await pass_days(world, 15)
        assert (await account(ann))["escrow"] == "20"
        assert (await account(ann))["cash"] == "80"


async def test_facts_that_are_older_than_a_request_do_not_undo_it(tmp_path: Path, chain: Chain) -> None:
    from market.jobs import Learn
    from market.store import read_facts

    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        old = await world.context.read(read_facts)
        await ask(ann, "60", 1)
        await world.context.sequencer.submit(Learn(old))
        assert (await account(ann))["available"] == "40"
        await world.context.learn()
        assert (await account(ann))["available"] == "40"


async def test_an_exit_that_comes_too_early_is_tried_again(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        await ask(ann, "60", 1)
        await settle(world)
        mistaken = {"cycle": 99, "day": "2027-01-01", "start_s": 0, "end_s": 2**40, "state": "applied", "parts": "[]"}
        blank = ("salt", "trades_root", "readings_root", "statements_root", "parts_hash")
        row = mistaken | dict.fromkeys(blank, bytes(32)) | {"operator_signature": bytes(64)}
        with world.context.database.begin() as connection:
            connection.execute(insert(tables.cycles).values(**row))
        await settle(world)
        assert await state_of(ann, 1) == "waiting"
        assert (await account(ann))["leaving"] == "60"
        await pass_days(world, 15)
        assert await state_of(ann, 1) == "free"


async def test_free_cash_goes_into_escrow_or_out(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        await deposit(world, ann, "50", "in-2", to_escrow=False)
        once: dict[str, Any] = {"nonce": 1, "deadline_s": parse_instant_s(DEADLINE)}
        digest = acts.enter_digest(chain.domain("Clearing"), ann.member, 20_000_000, **once)
        body = {"amount": "20", "nonce": 1, "deadline": DEADLINE, "signature": ann.sign(digest)}
        assert (await ann.post("/v1/escrow", {**body, "amount": "21"})).code == "bad_signature"
        assert (await ann.post("/v1/escrow", body)).status == 202
        await settle(world)
        assert (await account(ann))["escrow"] == "120"

        cash = {"amount": "30.000001", "nonce": 2, "deadline": DEADLINE, "source": "cash"}
        assert (await ann.post("/v1/withdrawals", cash)).code == "insufficient_cash"
        free = await ann.post("/v1/withdrawals", {**cash, "amount": "25"})
        assert (free.status, free.body["state"]) == (202, "free")
        assert (await ann.post("/v1/withdrawals", {**cash, "amount": "25"})).body == free.body
        assert (await ann.post("/v1/withdrawals", {**cash, "nonce": 3, "amount": "6"})).code == "insufficient_cash"
        await sign_payout(ann, 1, 4)
        await confirm(world, 1, 4, "bank-out-1")
        await settle(world)
        assert await state_of(ann, 1) == "paid"
        assert (await account(ann))["cash"] == "5"


async def test_a_payout_that_the_contract_refuses_can_be_signed_again(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        await deposit(world, ann, "50", "in-2", to_escrow=False)
        for number, nonce in ((1, 2), (2, 3)):
            body = {"amount": "10", "nonce": nonce, "deadline": DEADLINE, "source": "cash"}
            assert (await ann.post("/v1/withdrawals", body)).body["withdrawal"] == number
            await sign_payout(ann, number, 77)
        await confirm(world, 1, 77, "bank-out-1")
        assert (await confirm(world, 2, 77, "bank-out-1")).code == "reference_used"
        await confirm(world, 2, 77, "bank-out-2")
        await settle(world)
        assert await state_of(ann, 1) == "paid"
        second = (await ann.get("/v1/withdrawals/2")).body
        assert (second["state"], second["refusal"], second["bank_reference"]) == ("free", "nonce_used", None)
        assert (await sign_payout(ann, 2, 78)).status == 202
        await confirm(world, 2, 78, "bank-out-2")
        await settle(world)
        assert await state_of(ann, 2) == "paid"


async def test_withdrawals_are_their_members_business(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        bo = await world.newcomer("bo")
        await ask(ann, "60", 1)
        assert (await bo.get("/v1/withdrawals/1")).status == 404
        assert (await bo.get("/v1/withdrawals")).body["items"] == []
        payout = {"nonce": 1, "deadline": DEADLINE, "signature": ""}
        assert (await bo.post("/v1/withdrawals/1/payout", payout)).status == 404
        confirmation = {"bank_reference": "x", "signature": ""}
        assert (await ann.post("/v1/withdrawals/1/confirmation", confirmation)).status == 403
        assert (await ann.get("/v1/withdrawals?state=asked")).code == "bad_state"
        assert (await ann.get("/v1/withdrawals/99999999999999999999")).status == 404
        forged = {"amount": "1", "nonce": 9, "deadline": DEADLINE, "signature": "00" * 64}
        assert (await ann.post("/v1/withdrawals", forged)).code == "bad_signature"
        assert (await ann.post("/v1/withdrawals", {**forged, "amount": "0"})).code == "bad_amount"


async def test_escrow_leaves_when_all_that_was_tradable_is_settled_and_what_was_traded_is_paid(
    tmp_path: Path, chain: Chain
) -> None:
    """The usual way: a cycle over the horizon of the request is drafted, checked, applied; no 14 days are waited."""
    slot = "2026-07-03T20:00:00Z"
    async with open_market(tmp_path, chain=chain) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        await world.connect(("A1", "A", "ann"), ("A2", "A", "bo"), capacity_kw="500")
        await settle(world)
        await deposit(world, ann, "100", "in-1")
        await deposit(world, bo, "100", "in-2")
        await pass_days(world, 1)
        assert (await ask(ann, "60", 1)).status == 202
        await settle(world)
        await bo.place(order("s1", "A2", "sell", "100.00", "0.30", slot))
        bought = await ann.place(order("b1", "A1", "buy", "100.00", "0.40", slot))
        assert bought.body["order"]["state"] == "filled", "all that the request left was spent"
        spent = parse_money_micro(bought.body["order"]["trades"][0]["amount"])
        await pass_days(world, 4)
        await sign_cycle(world, 1)
        await settle(world)
        assert await state_of(ann, 1) == "waiting"
        await pass_days(world, 2)
        assert (await ann.get("/v1/cycles")).body["items"][-1]["state"] == "applied"
        assert await state_of(ann, 1) == "free"
        left = await account(ann)
        assert left["cash"] == "60"
        assert parse_money_micro(left["escrow"]) == 40_000_000 - spent
        assert (left["reserved"], left["leaving"]) == ("0", "0")
        operator = await world.institution("operator")
        assert (await operator.get("/v1/status")).body["outbox_reverted"] == [], "nothing was sent before it was due"


async def test_free_cash_that_goes_elsewhere_can_not_be_paid_out(tmp_path: Path, chain: Chain) -> None:
    """What a withdrawal found free is the member's until it signs the payout; then it is spoken for."""
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        await deposit(world, ann, "50", "in-2", to_escrow=False)
        for nonce, amount in ((1, "30"), (2, "20")):
            body = {"amount": amount, "nonce": nonce, "deadline": DEADLINE, "source": "cash"}
            assert (await ann.post("/v1/withdrawals", body)).status == 202
        assert (await sign_payout(ann, 1, 7)).status == 202
        assert (await enter(ann, "20.000001", 9)).code == "insufficient_cash"
        assert (await enter(ann, "5", 9)).status == 202
        await settle(world)
        assert (await sign_payout(ann, 2, 8)).code == "insufficient_cash"
        assert (await confirm(world, 1, 7, "bank-out-1")).status == 202
        await settle(world)
        assert await state_of(ann, 1) == "paid"


async def test_a_payout_that_nobody_confirmed_in_time_is_signed_again(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        await deposit(world, ann, "50", "in-2", to_escrow=False)
        body = {"amount": "50", "nonce": 1, "deadline": DEADLINE, "source": "cash"}
        assert (await ann.post("/v1/withdrawals", body)).status == 202
        soon = "2026-07-02T00:00:00Z"
        assert (await sign_payout(ann, 1, 7, deadline=soon)).body["state"] == "signed"
        assert (await sign_payout(ann, 1, 8)).code == "not_free"
        await pass_days(world, 2)
        assert (await confirm(world, 1, 7, "bank-out-1", deadline=soon)).code == "deadline_passed"
        assert (await sign_payout(ann, 1, 8)).body["state"] == "signed"
        assert (await confirm(world, 1, 8, "bank-out-1")).body["state"] == "confirmed"
        await settle(world)
        assert await state_of(ann, 1) == "paid"


async def enter(person: Person, amount: str, nonce: int) -> Answer:
    once = {"nonce": nonce, "deadline_s": parse_instant_s(DEADLINE)}
    domain = person.world.chain.domain("Clearing")
    digest = acts.enter_digest(domain, person.member, parse_money_micro(amount), **once)
    body = {"amount": amount, "nonce": nonce, "deadline": DEADLINE, "signature": person.sign(digest)}
    return await person.post("/v1/escrow", body)


async def test_what_the_chain_gives_up_is_undone_and_comes_again(
    tmp_path: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every state of a withdrawal all blocks are given up; then the same transactions bring it back there."""

    async def lose_every_block(world: World) -> None:
        steps = dict(settling.steps_of(world.context, lambda member, is_frozen: None))
        with monkeypatch.context() as patch:
            patch.setattr(settling.reorganisation, "first_lost_block", lambda database, chain: 0)
            assert steps["reorganise"](world.context.clock.now_s())

    async def check_it_comes_again(world: World, ann: Person, unrolled: str) -> None:
        before = (await account(ann), (await ann.get("/v1/withdrawals/1")).body, on_record(world))
        await lose_every_block(world)
        assert await state_of(ann, 1) == unrolled
        assert on_record(world)[1:] == [[], []]
        await settle(world)
        assert (await account(ann), (await ann.get("/v1/withdrawals/1")).body, on_record(world)) == before

    def on_record(world: World) -> list[Any]:
        with reading(world.context.database) as connection:
            money = {row.member_id: row for row in connection.execute(select(tables.cash)) if any(row[1:])}
            leaving = list(connection.execute(select(tables.exits.c.member_id, tables.exits.c.horizon_s)))
            return [money, leaving, list(connection.execute(select(tables.chain_events.c.block)))]

    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        assert (await ask(ann, "60", 1)).status == 202
        await settle(world)
        await check_it_comes_again(world, ann, "requested")
        await pass_days(world, 15)
        assert await state_of(ann, 1) == "free"
        await check_it_comes_again(world, ann, "requested")
        await sign_payout(ann, 1, 7)
        await confirm(world, 1, 7, "bank-out-1")
        await settle(world)
        assert await state_of(ann, 1) == "paid"
        await check_it_comes_again(world, ann, "confirmed")
