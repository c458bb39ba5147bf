"""Keys that change on the chain: a lost one is recovered, a member goes past the operator, and the market follows."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from data.units import format_instant
from market import key_recovery, settling
from market.jobs import CloseGates
from settlement import acts, recovery_acts, signatures
from settlement.chain import Call, Chain
from settlement.jwk import to_jwk
from settlement.signatures import PublicKey, new_private_key, public_key
from tests.market.chain_world import DAY_S, pass_days, real_chain, traders
from tests.market.test_key_rotation import rotate, unverified
from tests.market.world import Answer, Person, World, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")

SLOT = "2026-07-10T20:00:00Z"


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with real_chain(tmp_path) as chain:
        yield chain


async def settle(world: World) -> None:
    """Every step until none has anything to do, and what the chain said of keys."""
    heard: list[tuple[int, PublicKey, PublicKey]] = []
    steps = settling.steps_of(world.context, lambda *_: None, lambda *changed: heard.append(changed))
    await world.context.sequencer.submit(CloseGates())
    now_s = world.context.clock.now_s()
    while True in [step(now_s) for _, step in steps]:
        await world.context.learn()
    for member, here, there in dict.fromkeys(heard):
        await key_recovery.follow(world.context, member, here, there)


async def propose(world: World, person: Person, new: ec.EllipticCurvePrivateKey, **changed: object) -> Answer:
    governance, index = await world.institution("governance"), 0
    digest = recovery_acts.propose_recovery_digest(world.chain.domain("Members"), person.member, public_key(new), index)
    body = {
        "public_key": to_jwk(public_key(new)),
        "index": index,
        "signature": governance.sign(digest),
        "proof": signatures.sign(new, digest).hex(),
        **changed,
    }
    return await governance.post(f"/v1/members/{person.member}/recovery", body)


async def veto(person: Person, new: ec.EllipticCurvePrivateKey, signer: Person | None = None) -> Answer:
    world = person.world
    once = {"nonce": 7, "deadline_s": world.context.clock.now_s() + DAY_S}
    domain = world.chain.domain("Members")
    digest = recovery_acts.veto_recovery_digest(domain, person.member, public_key(new), **once)
    body = {"nonce": 7, "deadline": format_instant(once["deadline_s"]), "signature": (signer or person).sign(digest)}
    return await person.post(f"/v1/members/{person.member}/recovery/veto", body)


async def test_a_lost_key_is_recovered_and_the_market_follows(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.40", "2026-07-01T20:00:00Z"))
        found = replace(ann, key=new_private_key())
        answered = await propose(world, ann, found.key)
        assert (answered.status, answered.body["pending"]) == (202, None), "the chain has not heard of it yet"
        assert answered.body["next_index"] == 1
        await settle(world)
        recovery = (await ann.get("/v1/account")).body["recovery"]
        assert recovery["public_key"]["x"] == to_jwk(public_key(found.key)).x
        await pass_days(world, 7)
        await settle(world)
        assert (await world.post("/v1/sessions", await found.login_body())).code == "bad_login", "not a second early"
        await pass_days(world, 1)
        await settle(world)
        assert (await ann.get("/v1/account")).code == "not_logged_in", "what the lost key opened is over"
        await found.log_in()
        assert (await found.get("/v1/account")).body["recovery"] is None
        assert (await found.place(order("b2", "A1", "buy", "1.00", "0.40", SLOT))).status == 201
        assert unverified(world) == []
        operator = await world.institution("operator")
        assert (await operator.get("/v1/status")).body["outbox_reverted"] == []
    async with open_market(tmp_path, chain=chain, now="2026-07-09T00:00:00Z") as world:
        found = replace(found, world=world)
        await found.log_in()
        assert (await found.place(order("b3", "A1", "buy", "1.00", "0.40", SLOT))).status == 201


async def test_the_live_key_vetoes(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        thief = replace(ann, key=new_private_key())
        assert (await veto(ann, thief.key)).code == "no_recovery"
        await propose(world, ann, thief.key)
        await settle(world)
        assert (await veto(ann, thief.key, signer=thief)).code == "bad_signature"
        assert (await veto(ann, thief.key)).status == 202
        await settle(world)
        assert (await ann.get("/v1/account")).body["recovery"] is None
        await pass_days(world, 9)
        await settle(world)
        await ann.log_in()
        assert (await world.post("/v1/sessions", await thief.login_body())).code == "bad_login"


async def test_what_governance_can_not_propose(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann, bo = await traders(world), await world.newcomer("bo")
        new = new_private_key()
        assert (await propose(world, ann, new, index=1)).code == "bad_signature"
        assert (await propose(world, ann, bo.key)).code == "key_used"
        assert (await propose(world, ann, new, proof="00" * 64)).code == "bad_signature"
        assert (await propose(world, replace(ann, member=1), new)).code == "institution_key"
        assert (await propose(world, replace(ann, member=4711), new)).status == 404
        assert (await propose(world, ann, new)).status == 202
        assert (await propose(world, bo, new_private_key())).code == "index_out_of_order"
        assert (await bo.get(f"/v1/members/{ann.member}/recovery")).status == 404
        assert (await bo.post(f"/v1/members/{ann.member}/recovery", {})).status == 403


async def test_a_key_changed_past_the_operator_is_followed(tmp_path: Path, chain: Chain) -> None:
    """The old key is out at once, also for what it signed to the market meanwhile."""
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        new = replace(ann, key=new_private_key())
        once = {"nonce": 5, "deadline_s": world.context.clock.now_s() + DAY_S}
        digest = acts.rotate_key_digest(chain.domain("Members"), ann.member, public_key(new.key), **once)
        word = signatures.sign(ann.key, digest)
        sent(chain, acts.rotate_key(ann.member, public_key(new.key), word, **once))
        await settle(world)
        assert (await ann.get("/v1/account")).code == "not_logged_in"
        await new.log_in()
        keys = (await new.get(f"/v1/members/{ann.member}/keys")).body["items"]
        assert [(key["call"], key["to_sequence"] is None) for key in keys] == [(None, False), (None, True)]
        await asyncio.sleep(0)
        await settle(world)
        assert len((await new.get(f"/v1/members/{ann.member}/keys")).body["items"]) == 2, "once"


async def test_a_change_of_ours_is_left_alone_while_it_is_on_its_way(tmp_path: Path, chain: Chain) -> None:
    async with open_market(tmp_path, chain=chain) as world:
        ann = await traders(world)
        second, third = (replace(ann, key=new_private_key()) for _ in range(2))
        await rotate(ann, second.key, 1)
        await settle(world)
        await second.log_in()
        await rotate(second, third.key, 2)
        with_both = [key_recovery.look(world.context.database, 0, lambda *_: pytest.fail("followed")) for _ in range(2)]
        assert with_both == [False, False]
        await settle(world)
        await third.log_in()
        assert len((await third.get(f"/v1/members/{ann.member}/keys")).body["items"]) == 3


def sent(chain: Chain, *wanted: Call) -> None:
    for receipt in chain.send(chain.sign(wanted)):
        assert receipt.succeeded, receipt.refusal
