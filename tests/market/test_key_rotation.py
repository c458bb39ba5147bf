"""A member changes its key: the old key signs the new one in, and orders before and after it verify."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from data import tables
from data.database import reading
from data.units import parse_instant_s
from market.entry import OrderFields, intent_of
from market.jobs import Placed
from market.key_store import Rotation
from market.placing import PlaceOrders, Signed, SignedOrder
from market.problems import Problem
from market.rotation import RotateKey
from settlement import acts, audit_store, publish_store, signatures
from settlement.examine_orders import SignatureCheck, signature_checks
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.signatures import PublicKey, new_private_key, public_key
from tests.market.world import Answer, Person, World, neighbours, open_market, order

DEADLINE = "2026-07-02T00:00:00Z"


def word(person: Person, new: PublicKey, nonce: int = 1, deadline: str = DEADLINE) -> bytes:
    """What old and new key sign."""
    domain = person.world.chain.domain("Members")
    return acts.rotate_key_digest(domain, person.member, new, nonce=nonce, deadline_s=parse_instant_s(deadline))


async def rotate(person: Person, new: ec.EllipticCurvePrivateKey, once: int = 1, **changed: Any) -> Answer:
    digest = word(person, public_key(new), once)
    body = {
        "public_key": to_jwk(public_key(new)),
        "nonce": once,
        "deadline": DEADLINE,
        "signature": person.sign(digest),
        "proof": signatures.sign(new, digest).hex(),
        **changed,
    }
    return await person.post(f"/v1/members/{person.member}/keys", body)


async def keys_of(person: Person, member: int | None = None) -> list[Any]:
    answer = await person.get(f"/v1/members/{member or person.member}/keys")
    assert answer.status == 200, answer
    found: list[Any] = answer.body["items"]
    return found


def unverified(world: World) -> list[int]:
    """Signatures over orders that do not hold with the key of their day, as the audit and the checker look."""
    with reading(world.context.database) as connection:
        keys = KeyHistory(publish_store.all_keys(connection))
        sequences = audit_store.first_sequences(connection)
        found = list(publish_store.all_signatures(connection))
    checks = list(signature_checks(found, sequences, keys, world.chain.domain("Clearing")))
    assert all(isinstance(check, SignatureCheck) for check in checks)
    return [
        int(check.otherwise.key)
        for check in checks
        if isinstance(check, SignatureCheck) and not signatures.is_signed(check.key, check.digest, check.signature)
    ]


async def test_orders_before_and_after_a_change_verify(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.40"))
        renewed = replace(ann, key=new_private_key())
        answer = await rotate(ann, renewed.key)
        assert (answer.status, answer.body["public_key"]) == (201, msgspec_jwk(renewed.key)), answer
        assert (await ann.get("/v1/account")).code == "not_logged_in", "sessions end"
        assert (await world.post("/v1/sessions", await ann.login_body())).code == "bad_login"
        await renewed.log_in()
        old = replace(renewed, key=ann.key)
        refused = await old.place(order("b2", "A1", "buy", "1.00", "0.41"))
        assert (refused.status, refused.code, refused.body["field"]) == (422, "bad_signature", "signature")
        assert (await renewed.place(order("b2", "A1", "buy", "1.00", "0.41"))).status == 201
        many = [order(f"c{number}", "A1", "buy", "1.00", "0.42") for number in range(3)]
        assert (await renewed.place_batch(many)).status == 200
        assert (await renewed.delete("/v1/orders/b1")).status == 200, "old orders are still one's own"
        assert unverified(world) == []
        first, second = await keys_of(renewed)
        assert (first["from_sequence"], first["to_sequence"]) == (0, second["from_sequence"])
        assert (second["to_sequence"], second["call"]) == (None, "waiting")
    async with open_market(tmp_path) as world:
        renewed, old = replace(renewed, world=world), replace(old, world=world)
        assert (await old.place(order("d1", "A1", "buy", "1.00", "0.41"))).code == "bad_signature"
        assert (await renewed.place(order("d1", "A1", "buy", "1.00", "0.41"))).status == 201
        assert unverified(world) == []


def msgspec_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    jwk = to_jwk(public_key(key))
    return {"kty": jwk.kty, "crv": jwk.crv, "x": jwk.x, "y": jwk.y}


async def test_the_chain_is_told_with_the_old_keys_word(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        new = new_private_key()
        await rotate(ann, new, 77)
        with reading(world.context.database) as connection:
            row = connection.execute(select(tables.outbox).order_by(tables.outbox.c.outbox_id.desc()).limit(1)).one()
        signature = bytes.fromhex(ann.sign(word(ann, public_key(new), 77)))
        call = acts.rotate_key(ann.member, public_key(new), signature, nonce=77, deadline_s=parse_instant_s(DEADLINE))
        assert row.kind == "Members.rotate_key"
        assert bytes(row.call)[: -2 * 32] == call.data[: -2 * 32], "all but this other signature"


async def test_what_is_refused(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        new, other = new_private_key(), new_private_key()
        ours = word(ann, public_key(new))
        for changed, status, code, field in [
            ({"signature": signatures.sign(other, ours).hex()}, 422, "bad_signature", "signature"),
            ({"proof": signatures.sign(other, ours).hex()}, 422, "bad_signature", "proof"),
            ({"nonce": 2}, 422, "bad_signature", "signature"),
            ({"public_key": to_jwk(public_key(other))}, 422, "bad_signature", "signature"),
            ({"public_key": to_jwk(public_key(bo.key))}, 409, "key_used", "public_key"),
            ({"public_key": to_jwk(public_key(ann.key))}, 409, "key_used", "public_key"),
            ({"deadline": "2026-07-01T00:05:00Z"}, 422, "deadline_passed", "deadline"),
            ({"deadline": "soon"}, 422, "bad_time", "deadline"),
        ]:
            answer = await rotate(ann, new, **changed)
            assert (answer.status, answer.code, answer.body["field"]) == (status, code, field), changed
        assert len(await keys_of(ann)) == 1
        stranger = await world.newcomer("cy", admitted=False)
        assert (await rotate(stranger, new)).code == "not_admitted"
        operator = await world.institution("operator")
        assert (await rotate(operator, new)).code == "institution_key"
        assert (await rotate(replace(bo, member=ann.member), new)).status == 404, "of another member"
        assert (await bo.get(f"/v1/members/{ann.member}/keys")).status == 404
        assert len(await keys_of(operator, ann.member)) == 1


async def test_keys_and_nonces_are_used_once(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        first_key = ann.key
        renewed = replace(ann, key=new_private_key())
        assert (await rotate(ann, renewed.key)).status == 201
        await renewed.log_in()
        assert (await rotate(renewed, first_key, 2)).code == "key_used", "there is no way back"
        assert (await rotate(renewed, new_private_key(), 1)).code == "nonce_used"
        again = replace(ann, key=new_private_key())
        assert (await rotate(renewed, again.key, 2)).status == 201, "before any order"
        await again.log_in()
        assert (await again.place(order("b1", "A1", "buy", "1.00", "0.40"))).status == 201
        assert unverified(world) == []
        assert len(await keys_of(again)) == 3
    async with open_market(tmp_path) as world:
        body = {
            "name": "eve",
            "kind": "household",
            "roles": ["consumer"],
            "public_key": to_jwk(public_key(first_key)),
        }
        assert (await world.post("/v1/members", body)).code == "key_used"


@pytest.mark.parametrize("keeps", [False, True])
async def test_machines_end_unless_they_are_kept(tmp_path: Path, keeps: bool) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        token = (await ann.post("/v1/api-keys", {"name": "bot", "scopes": ["read"]})).body["token"]
        await rotate(ann, new_private_key(), keep_api_keys=keeps)
        code = None if keeps else "not_logged_in"
        assert (await replace(ann, token=token).get("/v1/account")).code == code
        assert (await bo.get("/v1/account")).status == 200
    async with open_market(tmp_path) as world:
        assert (await replace(ann, world=world, token=token).get("/v1/account")).code == code


async def test_within_one_batch_the_old_key_holds_until_the_change(tmp_path: Path) -> None:
    """What was verified a moment before the change and comes after it is refused by the sequencer."""
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        new = new_private_key()
        digest = word(ann, public_key(new))
        signature = signatures.sign(ann.key, digest)
        rotation = Rotation(
            ann.member, public_key(ann.key), public_key(new), 1, parse_instant_s(DEADLINE), signature, True
        )
        submit = world.context.sequencer.submit
        jobs = [
            _placing(ann, ann.key, "b1"),
            RotateKey(rotation),
            _placing(ann, ann.key, "b2"),
            _placing(ann, new, "b3"),
            RotateKey(rotation),
        ]
        answers = [outcome.answer for outcome in await asyncio.gather(*(submit(job) for job in jobs))]
        assert isinstance(answers[0][0], Placed) and isinstance(answers[3][0], Placed)
        assert answers[0][0].order.sequence < answers[1] <= answers[3][0].order.sequence
        assert isinstance(answers[2][0], Problem) and answers[2][0].code == "bad_signature"
        assert isinstance(answers[4], Problem) and answers[4].code == "key_changed"
        assert unverified(world) == []


def _placing(person: Person, key: ec.EllipticCurvePrivateKey, name: str) -> PlaceOrders:
    fields = OrderFields(**order(name, "A1", "buy", "1.00", "0.40"))
    intent = intent_of(person.member, fields)
    digest = intent.digest(person.world.chain.domain("Clearing"))
    signed = Signed("order", digest, b"", signatures.sign(key, digest), public_key(key))
    return PlaceOrders(person.member, [SignedOrder(intent, digest)], signed)
