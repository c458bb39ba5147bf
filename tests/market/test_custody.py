"""The custodian signs what it holds; when that is late or too little, no deposit becomes money."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from data.units import format_instant, parse_money_micro
from market.deposit_store import Deposit
from market.routes.deposits import mint_of
from settlement import acts, calls, custody_acts
from settlement.chain import Chain
from tests.market.chain_world import DAY_S, account, attest, deposit, pass_days, real_chain, settle
from tests.market.world import Answer, Person, World, neighbours, open_market

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with real_chain(tmp_path) as chain:
        yield chain


async def bring(world: World, person: Person, amount: str, reference: str) -> Answer:
    """A deposit as the custodian sends it, with no word on its balance."""
    custodian = await world.institution("custodian")
    mint = mint_of(Deposit(reference, person.member, parse_money_micro(amount), True))
    signature = custodian.sign(acts.mint_many_digest(world.chain.domain("Cash"), [mint]))
    row = {"member": person.member, "amount": amount, "reference": reference, "to_escrow": True}
    answered = await custodian.post("/v1/deposits", {"deposits": [row], "signature": signature})
    await settle(world)
    return answered


async def standing(world: World) -> dict[str, object]:
    answer = await world.get("/v1/custody/balance")
    assert answer.status == 200, answer
    body: dict[str, object] = answer.body
    return body


async def test_minting_follows_the_custodians_word(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await world.newcomer("ann")
        await settle(world)
        assert (await bring(world, ann, "100", "in-1")).status == 202, "deployment counts as the first word"
        await pass_days(world, 2)
        assert (await standing(world))["minting"] == "balance_late"
        late = await bring(world, ann, "5", "in-2")
        assert (late.status, late.code) == (409, "balance_late")
        assert (await attest(world, "99.999999")).status == 202
        await settle(world)
        found = await standing(world)
        assert (found["minting"], found["attested"]) == (
            "balance_below_supply",
            {
                "as_of": format_instant(world.context.clock.now_s()),
                "balance": "99.999999",
                "supply": "100.000000",
            },
        )
        assert (await bring(world, ann, "5", "in-2")).code == "balance_below_supply"
        await pass_days(world, 1)
        assert (await attest(world, "105")).status == 202
        assert (await bring(world, ann, "5", "in-2")).status == 202
        assert (await account(ann))["escrow"] == "105"
        assert chain.view(calls.supply()) == (105_000_000,)


async def test_a_deposit_that_the_chain_refused_can_be_sent_again(tmp_path: Path, chain: Chain) -> None:
    """The market took it in time, and the chain was late: the reference is not lost."""
    async with open_market(tmp_path, chain=chain) as world:
        ann = await world.newcomer("ann")
        await settle(world)
        chain.advance_to(world.context.clock.now_s() + 3 * DAY_S)
        assert (await bring(world, ann, "100", "in-1")).status == 202
        operator = await world.institution("operator")
        reverted = (await operator.get("/v1/status")).body["outbox_reverted"]
        assert reverted == [{"call": "Cash.mint_many", "refusal": "balance_late"}]
        await pass_days(world, 3)
        await attest(world, "100")
        assert (await bring(world, ann, "100", "in-1")).status == 202
        assert (await bring(world, ann, "100", "in-1")).status == 202
        assert (await account(ann))["escrow"] == "100"


async def test_what_is_refused(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        custodian, now_s = await world.institution("custodian"), world.context.clock.now_s()

        async def send(by: Person = custodian, signer: Person = custodian, as_of_s: int = now_s, **body: str) -> Answer:
            digest = custody_acts.attest_balance_digest(world.chain.domain("Cash"), as_of_s, 7_000_000)
            signed = {"balance": "7", "as_of": format_instant(as_of_s), "signature": signer.sign(digest)}
            return await by.post("/v1/custody/balance", signed | body)

        assert (await send(by=ann)).status == 403
        assert (await send(signer=ann)).code == "bad_signature"
        assert (await send(balance="8")).code == "bad_signature"
        assert (await send(balance="-7")).code == "bad_amount"
        assert (await send(as_of_s=now_s + 1)).code == "balance_from_the_future"
        assert (await send()).body["signed"] == {
            "as_of": format_instant(now_s),
            "balance": "7.000000",
            "call": "waiting",
            "refusal": None,
        }
        assert (await send()).code == "balance_not_newer"
        assert (await send(as_of_s=now_s - 1)).code == "balance_not_newer"


async def test_deposits_are_attested_by_whoever_brings_them(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await world.newcomer("ann")
        await settle(world)
        for day in range(3):
            await deposit(world, ann, "10", f"in-{day}")
            await pass_days(world, 2)
        assert (await account(ann))["escrow"] == "30"
