"""The small market beside the real contracts, on a chain in this process: its settlement, its money, its days."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from data.database import reading
from data.units import format_instant, parse_instant_s, parse_money_micro
from market import settling
from market.clock import ManualClock
from market.deposit_store import Deposit
from market.genesis import genesis_of
from market.jobs import CloseGates
from market.routes.deposits import mint_of
from settlement import acts, custody_acts, cycle, cycle_store
from settlement.chain import Chain
from settlement.chain_store import ChainStore
from settlement.deploy import deploy_over
from settlement.jsonrpc import JsonRpc
from settlement.node import Node
from settlement.node_methods import answer
from tests.market.world import START, Answer, NamedChain, Person, World, config_of

DAY_S = 86_400


@contextmanager
def real_chain(folder: Path) -> Iterator[Chain]:
    """The contracts on an embedded chain in this process, ten seconds before the market begins."""
    store = ChainStore(folder / "chain.db", NamedChain.chain_id, parse_instant_s(START) - 10)
    node = Node(store, NamedChain.chain_id, None)
    yield deploy_over(JsonRpc(partial(answer, node)), genesis_of(config_of()), b"\7" * 32)
    store.close()


async def settle(world: World) -> None:
    """Every step of settlement, until none has anything to do, as the scheduler would."""
    await world.context.sequencer.submit(CloseGates())
    steps = settling.steps_of(world.context, lambda member, is_frozen: None)
    now_s = world.context.clock.now_s()
    while True in [step(now_s) for _, step in steps]:
        await world.context.learn()


async def pass_days(world: World, days: int) -> None:
    assert isinstance(world.context.clock, ManualClock)
    world.context.clock.move_to(world.context.clock.now_s() + days * DAY_S)
    await settle(world)


async def deposit(world: World, person: Person, amount: str, reference: str, *, to_escrow: bool = True) -> None:
    custodian = await world.institution("custodian")
    await attest(world, "1000000")
    mint = mint_of(Deposit(reference, person.member, parse_money_micro(amount), to_escrow))
    digest = acts.mint_many_digest(world.chain.domain("Cash"), [mint])
    row = {"member": person.member, "amount": amount, "reference": reference, "to_escrow": to_escrow}
    answered = await custodian.post("/v1/deposits", {"deposits": [row], "signature": custodian.sign(digest)})
    assert answered.status == 202, answered
    await settle(world)


async def attest(world: World, balance: str) -> Answer:
    """The custodian says what it holds now; once for each time of the clock."""
    custodian, as_of_s = await world.institution("custodian"), world.context.clock.now_s()
    digest = custody_acts.attest_balance_digest(world.chain.domain("Cash"), as_of_s, parse_money_micro(balance))
    body = {"balance": balance, "as_of": format_instant(as_of_s), "signature": custodian.sign(digest)}
    return await custodian.post("/v1/custody/balance", body)


async def traders(world: World) -> Person:
    """Ann with meter A1 and 100 CNY in escrow."""
    ann = await world.newcomer("ann")
    await world.connect(("A1", "A", "ann"), capacity_kw="500")
    await settle(world)
    await deposit(world, ann, "100", "in-1")
    return ann


async def account(person: Person) -> dict[str, str]:
    body: dict[str, str] = (await person.get("/v1/account")).body
    return {name: body[name].removesuffix(".000000") for name in ("cash", "escrow", "reserved", "leaving", "available")}


async def sign_cycle(world: World, number: int) -> None:
    """The checker's word."""
    with reading(world.context.database) as connection:
        row = cycle_store.cycle(connection, number)
    assert row is not None
    digest = acts.propose_digest(world.chain.domain("Clearing"), cycle.stated_proposal(row))
    checker = await world.institution("checker")
    answered = await checker.post(f"/v1/cycles/{number}/signature", {"signature": checker.sign(digest)})
    assert answered.status == 200, answered
