"""A member that can not pay: called, suspended, a case; told so, kept from trading, and free once it has paid."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.units import parse_instant_s
from settlement import acts, calls, signatures
from settlement.acts import Approval, Delta
from settlement.chain import Call, Chain
from tests.market.chain_world import deposit, pass_days, real_chain, settle, traders
from tests.market.world import KEYS, START, Person, World, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")

DAY_S = 86_400


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with real_chain(tmp_path) as chain:
        yield chain


def sent(chain: Chain, *wanted: Call) -> None:
    for receipt in chain.send(chain.sign(wanted)):
        assert receipt.succeeded, receipt.refusal


async def unpaid(world: World, chain: Chain, debtor: Person, creditor: Person) -> None:
    """A day in which one owed the other 130 and had 100, settled on the chain by operator and checker."""
    start_s, root = parse_instant_s(START), b"\1" * 32
    deltas = [Delta(debtor.member, -130_000_000), Delta(creditor.member, 130_000_000)]
    proposal = acts.Proposal(1, start_s, start_s + DAY_S, root, root, root, [acts.part(1, 0, deltas)])
    digest = acts.propose_digest(chain.domain("Clearing"), proposal)
    by = [[Approval(member, signatures.sign(KEYS[role], digest))] for member, role in ((1, "operator"), (2, "checker"))]
    await pass_days(world, 1)
    sent(chain, acts.propose(proposal, *by))
    await pass_days(world, 2)
    sent(chain, acts.apply_part(1, 0, deltas))
    await settle(world)


async def standing(person: Person) -> tuple[str, bool, str]:
    """Where it stands, whether there is a deadline, and what it owes."""
    body: dict[str, Any] = (await person.get("/v1/account")).body
    return body["standing"], body["pay_by"] is not None, body["arrears"]


async def test_arrears_lead_to_suspension_by_themselves_and_paying_them_ends_it(tmp_path: Path, chain: Chain) -> None:
    slot = "2026-07-05T20:00:00Z"
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        bo = await world.newcomer("bo")
        await settle(world)
        assert await standing(ann) == ("good", False, "0.000000")
        await unpaid(world, chain, ann, bo)
        assert await standing(ann) == ("margin_call", True, "30.000000")
        assert (await bo.get("/v1/account")).body["escrow"] == "100.000000", "what there was; the rest is held back"

        assert (await ann.place(order("s1", "A1", "sell", "1.00", "0.60", slot))).status == 201, "it may still trade"
        await pass_days(world, 2)
        assert await standing(ann) == ("suspended", True, "30.000000")
        slot = "2026-07-07T20:00:00Z"
        refused = await ann.place(order("s2", "A1", "sell", "1.00", "0.60", slot))
        assert (refused.status, refused.code) == (403, "member_suspended")
        assert (await ann.delete("/v1/orders")).status == 200, "cancelling is always possible"
        await pass_days(world, 8)
        assert await standing(ann) == ("case", False, "30.000000")

        await deposit(world, ann, "31", "in-9")
        assert await standing(ann) == ("good", False, "0.000000")
        slot = "2026-07-15T20:00:00Z"
        assert (await ann.place(order("s3", "A1", "sell", "1.00", "0.60", slot))).status == 201
        sent(chain, acts.release([bo.member]))
        await settle(world)
        assert (await bo.get("/v1/account")).body["escrow"] == "130.000000"
        operator = await world.institution("operator")
        assert (await operator.get("/v1/status")).body["outbox_reverted"] == []


async def test_whoever_is_called_buys_nothing_on_terms_beyond_its_own_money(tmp_path: Path, chain: Chain) -> None:
    slot = "2026-07-05T20:00:00Z"
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        bo, bank = await world.newcomer("bo"), await world.newcomer("bank", "bank")
        await settle(world)
        limits = {"limits": [{"member": ann.member, "limit": "50"}]}
        assert (await bank.post("/v1/credit-limits", limits)).status == 200
        await unpaid(world, chain, ann, bo)
        on_terms = order("b1", "A1", "buy", "1.00", "0.40", slot) | {"terms": 30}
        refused = await ann.place(on_terms)
        assert (refused.status, refused.code, refused.body["field"]) == (422, "margin_called", "terms")
        prepaid = await ann.place(order("b2", "A1", "buy", "1.00", "0.40", slot))
        assert prepaid.code == "insufficient_funds", "its escrow went into what it owed"
        assert chain.view(calls.standing_of(ann.member))[0][1] == 1  # type: ignore[index]
        await deposit(world, ann, "30", "in-9")
        assert (await ann.place(on_terms)).status == 201
