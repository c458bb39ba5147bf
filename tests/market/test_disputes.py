"""A dispute from the member's call to the chain and back: answered, the cycle goes on; unanswered, it is done anew."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import update

from data import tables
from data.database import reading
from data.units import format_instant, parse_instant_s
from market.client import Client, RefusedError
from market.client.shapes import CancelReceipt
from market.genesis import genesis_of
from market.settling import steps_of
from settlement import acts, calls, custody_acts, cycle, cycle_store, outbox
from settlement.acts import Mint
from settlement.chain_store import ChainStore
from settlement.deploy import deploy_over
from settlement.dispute_acts import ANSWER_S
from settlement.jsonrpc import JsonRpc
from settlement.node import Node
from settlement.node_methods import answer
from settlement.officer import Officer
from tests.market import world as worlds
from tests.market.world import KEYS, SLOT, START, Person, World, open_market, order

YUAN = 1_000_000
NOON_AFTER_S = parse_instant_s("2026-07-02T12:00:00Z")
WINDOW_S = 48 * 3_600


class Disputed:
    """A market on a chain, with one traded day; ``settle`` does all that is due at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.steps = steps_of(world.context, lambda *_: None)

    def settle(self, now_s: int) -> None:
        if now_s > self.world.context.clock.now_s():
            self.world.context.clock.move_to(now_s)  # type: ignore[attr-defined]
        has_worked = True
        while has_worked:
            has_worked = sum(step(now_s) for _, step in self.steps) > 0

    async def sign(self) -> int:
        """The checker's word on cycle 1; the status of the answer."""
        with reading(self.world.context.database) as connection:
            row = cycle_store.cycle(connection, 1)
        assert row is not None
        digest = acts.propose_digest(self.world.chain.domain("Clearing"), cycle.stated_proposal(row))
        checker = await self.world.institution("checker")
        answer = await checker.post("/v1/cycles/1/signature", {"signature": checker.sign(digest)})
        return answer.status

    async def state(self) -> tuple[str, int]:
        operator = await self.world.institution("operator")
        (item,) = (await operator.get("/v1/cycles")).body["items"]
        return item["state"], item["round"]

    def escrow_yuan(self, *members: int) -> list[int]:
        return [int(str(self.world.chain.view(calls.escrow_of(member))[0])) // YUAN for member in members]

    async def client(self, person: Person) -> Client:
        client = Client(self.world.http, self.world.server, member=person.member, key=person.key)
        await client.log_in()
        return client


@pytest.fixture
async def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Disputed]:
    """Ann and Bo may trade; both and the operator have 2,000 yuan."""
    plain = worlds.config_of

    def config_of(*arguments: Any, **given: Any) -> Any:
        config = plain(*arguments, **given)
        bonds = structs.replace(config.settlement, operator_bond="1000", challenge_bond="10", dispute_window_s=WINDOW_S)
        return structs.replace(config, settlement=bonds)

    monkeypatch.setattr(worlds, "config_of", config_of)
    with ThreadPoolExecutor(1) as own:
        store = own.submit(ChainStore, tmp_path / "chain.db", worlds.NamedChain.chain_id, 0).result()
        node = own.submit(Node, store, worlds.NamedChain.chain_id, None).result()
        rpc = JsonRpc(lambda body: own.submit(answer, node, body).result())
        chain = deploy_over(rpc, genesis_of(config_of()), b"\7" * 32)
        async with open_market(tmp_path, chain=chain) as world:
            disputed = Disputed(world)
            await begin(disputed)
            yield disputed
        own.submit(store.close).result()


@pytest.fixture
async def disputed(opened: Disputed) -> Disputed:
    """Ann bought of Bo; the day is over, read by nobody, and proposed."""
    ann, bo = opened.world.people["ann"], opened.world.people["bo"]
    assert (await bo.place(order("s1", "A2", "sell", "3.00", "0.40"))).status == 201
    assert (await ann.place_batch([order("b1", "A1", "buy", "2.00", "0.50")])).status == 200
    await propose(opened)
    return opened


async def begin(disputed: Disputed) -> None:
    world = disputed.world
    ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
    await world.connect(("A1", "A", "ann"), ("A2", "A", "bo"))
    fund(world, ann.member, bo.member, 1)
    disputed.settle(parse_instant_s(START))
    await world.context.learn()


async def propose(disputed: Disputed) -> None:
    operator = await disputed.world.institution("operator")
    moved = await operator.post("/v1/clock", {"now": SLOT})
    assert moved.status == 200
    disputed.settle(NOON_AFTER_S)
    assert await disputed.state() == ("drafted", 1)
    assert await disputed.sign() == 200
    disputed.settle(NOON_AFTER_S)
    assert await disputed.state() == ("proposed", 1)


def fund(world: World, *members: int) -> None:
    """2,000 yuan each, by the custodian's word."""
    custodian, cash = Officer(4, KEYS["custodian"]), world.chain.domain("Cash")
    as_of_s, holds_micro = parse_instant_s(START), 10**6 * YUAN
    mints = [Mint(member, 2_000 * YUAN, bytes([member % 250]) * 32, True) for member in members]
    attesting = custody_acts.attest_balance_digest(cash, as_of_s, holds_micro)
    minting = acts.mint_many_digest(cash, mints)
    with world.context.database.begin() as connection:
        outbox.put(connection, custody_acts.attest_balance(as_of_s, holds_micro, [custodian.approve(attesting)]))
        outbox.put(connection, acts.mint_many(mints, [custodian.approve(minting)]))


async def test_a_challenge_is_one_call_and_the_market_answers_it_by_itself(disputed: Disputed) -> None:
    world, (ann, bo) = disputed.world, (disputed.world.people["ann"], disputed.world.people["bo"])
    for person in (ann, bo):
        client = await disputed.client(person)
        await client.challenge(1, deadline_s=NOON_AFTER_S + WINDOW_S)
    disputed.settle(NOON_AFTER_S)
    shown = (await ann.get("/v1/cycles/1/challenges")).body["items"]
    assert [(each["trade"], each["side"], each["state"]) for each in shown] == [
        (1, "buy", "answered"),
        (1, "sell", "answered"),
    ]
    assert [each["challenger"] for each in shown] == [ann.member, None]
    assert disputed.escrow_yuan(1, ann.member, bo.member) == [1_020, 1_990, 1_990]
    disputed.settle(NOON_AFTER_S + WINDOW_S)
    assert await disputed.state() == ("applied", 1)
    assert (await ann.get("/v1/trades/1/challenge")).code == "not_disputable"
    assert (await world.get("/readyz")).body == {"status": "ready", "problems": []}


async def test_without_an_order_the_cycle_falls_and_is_settled_without_the_trade(disputed: Disputed) -> None:
    """The operator lost the signature under Ann's orders, or never had one."""
    world, ann = disputed.world, disputed.world.people["ann"]
    with world.context.database.begin() as connection:
        forged = update(tables.signatures).where(tables.signatures.c.kind == "batch").values(signature=bytes(64))
        assert connection.execute(forged).rowcount == 1
    await (await disputed.client(ann)).challenge(1, deadline_s=NOON_AFTER_S + WINDOW_S)
    disputed.settle(NOON_AFTER_S)
    assert await disputed.state() == ("disputed", 1)
    operator = await world.institution("operator")
    (shown,) = (await operator.get("/v1/cycles/1/challenges")).body["items"]
    assert shown["problem"] == "the order is not signed with the member's key"
    assert (await world.get("/readyz")).body["problems"] == ["challenge_without_answer"]
    late_s = NOON_AFTER_S + ANSWER_S + 2
    disputed.settle(late_s)
    assert await disputed.state() == ("drafted", 2)
    assert disputed.escrow_yuan(1, ann.member) == [1_000, 3_000]
    assert await disputed.sign() == 200
    disputed.settle(late_s)
    assert await disputed.state() == ("proposed", 2)
    disputed.settle(late_s + WINDOW_S)
    assert await disputed.state() == ("applied", 2)
    assert disputed.escrow_yuan(1, ann.member) == [2_000 - 1_000, 3_000]
    assert (await ann.get("/v1/statements")).body["items"] == []


async def test_what_is_no_challenge_is_refused_before_the_chain(disputed: Disputed) -> None:
    world, ann = disputed.world, disputed.world.people["ann"]
    stranger = await world.newcomer("eve")
    assert (await stranger.get("/v1/trades/1/challenge")).code == "not_found"
    assert (await ann.get("/v1/trades/2/challenge")).code == "not_found"
    assert (await ann.get("/v1/cycles/2/challenges")).code == "not_found"
    body = {"nonce": 1, "deadline": format_instant(NOON_AFTER_S + 60), "signature": "00" * 64}
    assert (await ann.post("/v1/trades/1/challenge", body)).code == "bad_signature"
    late = {**body, "deadline": format_instant(NOON_AFTER_S)}
    assert (await ann.post("/v1/trades/1/challenge", late)).code == "deadline_passed"
    client = await disputed.client(ann)
    await client.challenge(1, deadline_s=NOON_AFTER_S + WINDOW_S)
    disputed.settle(NOON_AFTER_S)


async def test_a_proposal_waits_for_the_operators_bond(disputed: Disputed) -> None:
    """The bond is of the operator's own escrow: the day after finds half of it there."""
    assert disputed.escrow_yuan(1) == [1_000]
    with disputed.world.context.database.begin() as connection:
        row = cycle_store.cycle(connection, 1)
        assert row is not None and row.outbox_id is not None
        refused = {"state": "reverted", "refusal": "bond_missing"}
        connection.execute(update(tables.outbox).where(tables.outbox.c.outbox_id == row.outbox_id).values(refused))
        cycle_store.set_cycle(connection, 1, state="signed")
        assert cycle.propose_again(connection, 1, 1_001 * YUAN) == []
        assert cycle.propose_again(connection, 1, 1_000 * YUAN) == [1]
        again = cycle_store.cycle(connection, 1)
        assert again is not None and again.outbox_id == row.outbox_id + 1


# --------------------------------------------------------------------------------------------- proven at once


async def cancelled_sale(opened: Disputed) -> CancelReceipt:
    """Bo sold 1.00 out of ``s1``, took the rest back, and sold 1.00 more out of ``s2``; his receipt for ``s1``."""
    world, client = opened.world, await opened.client(opened.world.people["bo"])
    ann, bo = world.people["ann"], world.people["bo"]
    for name, energy in (("s1", "3.00"), ("s2", "1.00")):
        assert (await bo.place(order(name, "A2", "sell", energy, "0.40"))).status == 201
        assert (await ann.place(order(f"b-{name}", "A1", "buy", "1.00", "0.50"))).status == 201
        if name == "s1":
            taken_back = await client.cancel("s1")
    assert taken_back.cancel_receipt is not None and taken_back.cancel_receipt.limit_lots == 100
    return taken_back.cancel_receipt


def falsify(opened: Disputed, trade: int, **columns: int) -> None:
    """Let the operator's record say something else of a trade before anything of it is settled."""
    with opened.world.context.database.begin() as connection:
        wrong = update(tables.trades).where(tables.trades.c.trade_id == trade).values(columns)
        assert connection.execute(wrong).rowcount == 1


async def falls_and_is_settled_without(opened: Disputed, trades: int) -> None:
    """The proof reaches the chain; round 2 has so many trades and is applied."""
    opened.settle(NOON_AFTER_S)
    assert await opened.state() == ("drafted", 2)
    assert opened.escrow_yuan(1, opened.world.people["bo"].member) == [1_000, 3_000], "the bond is Bo's"
    assert await opened.sign() == 200
    opened.settle(NOON_AFTER_S)
    assert await opened.state() == ("proposed", 2)
    opened.settle(NOON_AFTER_S + WINDOW_S)
    assert await opened.state() == ("applied", 2)
    lines = (await opened.world.people["bo"].get("/v1/statements")).body["items"]
    assert len([line for line in lines if line["kind"] == "energy"]) == trades


async def test_a_trade_beyond_a_cancel_receipt_is_struck_by_the_receipt(opened: Disputed) -> None:
    """The operator filled what Bo had taken back: its record says that his second sale was of ``s1``."""
    receipt = await cancelled_sale(opened)
    falsify(opened, 2, sell_order=1, sell_filled_before_lots=100)
    await propose(opened)
    client = await opened.client(opened.world.people["bo"])
    lower = structs.replace(receipt, limit_lots=99)
    for trade, shown, code in [
        (1, receipt, "receipt_not_older"),
        (2, structs.replace(receipt, limit_lots=200), "within_receipt"),
        (2, lower, "bad_signature"),
        (2, structs.replace(receipt, operator=2), "bad_signature"),
        (2, structs.replace(receipt, order="00" * 32), "other_order"),
    ]:
        with pytest.raises(RefusedError, match=code):
            await client.prove_cancelled(trade, shown)
    with pytest.raises(RefusedError, match="other_order"):
        await (await opened.client(opened.world.people["ann"])).prove_cancelled(2, receipt)
    assert await client.prove_cancelled(2, receipt) == 1
    await falls_and_is_settled_without(opened, trades=1)


async def test_the_later_of_two_trades_over_the_same_part_of_an_order_is_struck(opened: Disputed) -> None:
    """The operator filled the first 1.00 of Bo's order twice."""
    ann, bo = opened.world.people["ann"], opened.world.people["bo"]
    assert (await bo.place(order("s1", "A2", "sell", "3.00", "0.40"))).status == 201
    for name in ("b1", "b2", "b3"):
        assert (await ann.place(order(name, "A1", "buy", "1.00", "0.50"))).status == 201
    falsify(opened, 2, sell_filled_before_lots=0)
    await propose(opened)
    client, buyer = await opened.client(bo), await opened.client(ann)
    for trade, other, code in [(1, 3, "no_overlap"), (3, 2, "no_overlap"), (2, 2, "no_overlap"), (1, 9, "not_found")]:
        with pytest.raises(RefusedError, match=code):
            await client.prove_overlap(trade, other)
    with pytest.raises(RefusedError, match="not_one_order"):
        await buyer.prove_overlap(1, 2)
    assert await client.prove_overlap(2, 1) == 1
    await falls_and_is_settled_without(opened, trades=2)
