"""Who takes part: registration, admission, sessions; the grid; deposits; keys for repeating requests."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from data import tables
from data.database import reading
from market.identity import CHALLENGE_S
from settlement import acts, signatures
from settlement.acts import Mint
from settlement.intents import LOGIN
from settlement.jwk import to_jwk
from settlement.keccak import keccak
from tests.market.world import KEYS, Person, World, neighbours, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")


def _body(name: str = "ann", **more: Any) -> dict[str, Any]:
    key = to_jwk(signatures.public_key(signatures.new_private_key()))
    return {"name": name, "kind": "household", "roles": ["consumer"], "public_key": key, **more}


async def test_a_newcomer_is_pending_until_admitted(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann", admitted=False)
        assert (await ann.get(f"/v1/members/{ann.member}")).body["status"] == "pending"
        operator = await world.institution("operator")
        admission = f"/v1/members/{ann.member}/admission"
        assert (await ann.post(admission, {"record": "me"})).code == "forbidden"
        for _ in range(2):
            assert (await operator.post(admission, {"record": "passport"})).body["status"] == "admitted"
        shown = (await ann.get(f"/v1/members/{ann.member}")).body
        assert (shown["status"], shown["roles"], shown["name"]) == ("admitted", ["consumer", "producer"], "ann")
        assert (await operator.get("/v1/status")).body["outbox_waiting"] == 1
        bo = await world.newcomer("bo")
        assert (await bo.get(f"/v1/members/{ann.member}")).status == 404
        assert (await operator.post("/v1/members/999/admission", {"record": "x"})).status == 404


async def test_wrong_registrations(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        good = _body()
        for wrong, status, code in [
            ({**good, "roles": ["operator"]}, 422, "bad_roles"),
            ({**good, "roles": []}, 400, "bad_value"),
            ({**good, "name": ""}, 400, "bad_value"),
            ({**good, "name": "a\u0000b"}, 400, "bad_value"),
            ({**good, "name": "a\u0007b"}, 422, "bad_name"),
            ({**good, "kind": "robot"}, 400, "bad_value"),
            ({**good, "public_key": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}}, 422, "bad_key"),
            ({**good, "public_key": {"kty": "RSA", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}}, 422, "bad_key"),
        ]:
            answer = await world.post("/v1/members", wrong)
            assert (answer.status, answer.code) == (status, code), answer
        for _ in range(2):
            assert (await world.post("/v1/members", good)).body == {"member": 100, "status": "pending"}
        assert (await world.post("/v1/members", {**good, "name": "else"})).code == "key_used"


async def test_many_are_admitted_at_once_or_none(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        operator = await world.institution("operator")
        many = [_body(f"m{number}", record="list") for number in range(250)]
        bad = [*many, _body("x", roles=["custodian"], record="list")]
        refused = await operator.post("/v1/members/batch", {"members": bad})
        assert (refused.code, refused.body["field"]) == ("bad_roles", "members[250].roles")
        twin = await operator.post("/v1/members/batch", {"members": [*many, many[0]]})
        assert twin.code == "key_used"
        answer = await operator.post("/v1/members/batch", {"members": many})
        assert [item["status"] for item in answer.body["items"]] == ["admitted"] * 250
        first = answer.body["items"][0]["member"]
        assert [item["member"] for item in answer.body["items"]] == list(range(first, first + 250))
        assert (await operator.get("/v1/status")).body["outbox_waiting"] == 3
    async with open_market(tmp_path) as world:
        assert len(world.context.directory.members) == 257


async def _log_in(world: World, member: int, key: Any, nonce: str | None = None, contract: str = "Members") -> Any:
    if nonce is None:
        nonce = (await world.post("/v1/sessions/challenge", {"member": member})).body["nonce"]
    digest = LOGIN.digest(world.chain.domain(contract), {"member": member, "nonce": bytes.fromhex(nonce)})
    signature = signatures.sign(key, digest).hex()
    return await world.post("/v1/sessions", {"member": member, "nonce": nonce, "signature": signature})


async def test_a_session_needs_a_fresh_nonce_and_the_members_own_key(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        nonce = (await world.post("/v1/sessions/challenge", {"member": 1})).body["nonce"]
        assert (await _log_in(world, 2, KEYS["checker"], nonce)).code == "bad_login"
        assert (await _log_in(world, 1, KEYS["operator"], nonce)).code == "bad_login", "the nonce was spent"
        assert (await _log_in(world, 1, KEYS["checker"])).code == "bad_login"
        assert (await _log_in(world, 12345, KEYS["operator"])).code == "bad_login"
        assert (await _log_in(world, 1, KEYS["operator"], contract="Cash")).code == "bad_login"
        assert (await _log_in(world, 1, KEYS["operator"], "00" * 32)).code == "bad_login"
        answer = await _log_in(world, 1, KEYS["operator"])
        assert (answer.status, answer.body["scopes"]) == (201, ["identity", "office", "read"])
        assert answer.headers["Cache-Control"] == "no-store"
        operator = Person(world, 1, KEYS["operator"], answer.body["token"])
        assert (await operator.get("/v1/status")).status == 200
        with reading(world.context.database) as connection:
            kept = [bytes(row.token_hash) for row in connection.execute(select(tables.sessions))]
        assert answer.body["token"].encode() not in b"".join(kept)
        assert (await operator.delete("/v1/sessions")).status == 204
        assert (await operator.get("/v1/status")).code == "not_logged_in"


async def test_sessions_and_nonces_expire(tmp_path: Path) -> None:
    async with open_market(tmp_path, session_s=60) as world:
        directory = world.context.directory
        now_s = directory.now_s()
        directory.now_s = lambda: now_s
        nonce = (await world.post("/v1/sessions/challenge", {"member": 1})).body["nonce"]
        now_s += CHALLENGE_S
        assert (await _log_in(world, 1, KEYS["operator"], nonce)).code == "bad_login"
        operator = await world.institution("operator")
        now_s += 59
        assert (await operator.get("/v1/status")).status == 200
        now_s += 1
        assert (await operator.get("/v1/status")).code == "not_logged_in"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic abc", "Bearer \u00e9", "Bearer x y"])
async def test_odd_authorisation_is_401(tmp_path: Path, value: str) -> None:
    async with open_market(tmp_path) as world:
        answer = await world.call("GET", "/v1/account", headers={"Authorization": value})
        assert (answer.status, answer.code) == (401, "not_logged_in")


async def test_the_grid_grows_whole_or_not_at_all(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        await neighbours(world)
        operator, ann = await world.institution("operator"), world.people["ann"]
        before = (await world.get("/v1/grid")).body["items"]
        assert [item["node"] for item in before] == ["S", "F", "G", "A", "B", "C", "A1", "A2", "B1"]
        fine = {"node": "D", "parent": "F", "level": "transformer"}
        meter = {"meter": "D1", "parent": "D", "member": ann.member, "kind": "pv", "export_kw": "1", "import_kw": "1"}
        for path, body, code, field in [
            ("/v1/grid", {"nodes": [fine, fine]}, "duplicate_node", "nodes[1].node"),
            ("/v1/grid", {"nodes": [fine, {**fine, "node": "E", "parent": "Q"}]}, "unknown_node", "nodes[1].parent"),
            ("/v1/grid", {"nodes": [fine, {**fine, "node": "E", "parent": None}]}, "bad_parent", "nodes[1].parent"),
            ("/v1/grid", {"nodes": [{**fine, "level": "feeder"}]}, "bad_parent", "nodes[0].parent"),
            ("/v1/grid", {"nodes": [{**fine, "parent": "A1"}]}, "bad_parent", "nodes[0].parent"),
            ("/v1/grid", {"nodes": [{**fine, "export_kw": "-1"}]}, "bad_limit", "nodes[0].export_kw"),
            ("/v1/grid", {"nodes": [{**fine, "export_kw": "lots"}]}, "bad_limit", "nodes[0].export_kw"),
            ("/v1/meters", {"meters": [meter]}, "unknown_node", "meters[0].parent"),
            ("/v1/meters", {"meters": [{**meter, "meter": "A1"}]}, "duplicate_node", "meters[0].meter"),
            (
                "/v1/meters",
                {"meters": [{**meter, "parent": "A", "member": 4711}]},
                "unknown_member",
                "meters[0].member",
            ),
            ("/v1/grid/limits", {"limits": [{"node": "Q", "export_kw": "1", "import_kw": None}]}, "unknown_node", None),
        ]:
            answer = await operator.post(path, body)
            assert (answer.code, answer.body["field"] if field else None) == (code, field), answer
        assert (await ann.post("/v1/grid", {"nodes": [fine]})).status == 403
        assert (await world.get("/v1/grid")).body["items"] == before
        assert (await operator.post("/v1/grid", {"nodes": [fine]})).status == 201


async def test_a_limit_holds_back_trades_and_lets_them_through_when_it_is_lifted(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        operator = await world.institution("operator")
        limits = {"limits": [{"node": "B", "export_kw": "4", "import_kw": None}]}
        assert world.is_receipt((await operator.post("/v1/grid/limits", limits)).body["receipt"])
        await ann.place(order("b1", "A1", "buy", "2.00", "0.45"))
        part = await bo.place(order("s1", "B1", "sell", "2.00", "0.30"))
        assert (part.body["order"]["state"], part.body["order"]["remaining"]) == ("open", "1.00")
        await operator.post("/v1/grid/limits", {"limits": [{"node": "B", "export_kw": None, "import_kw": None}]})
        assert (await bo.get("/v1/orders/s1")).body["order"]["state"] == "filled"


async def test_deposits_are_signed_and_their_references_used_once(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        custodian = await world.institution("custodian")

        async def deposit(signer: Any = KEYS["custodian"], **changed: Any) -> Any:
            row = {"member": ann.member, "amount": "10.00", "reference": "R1", "to_escrow": True, **changed}
            mint = Mint(ann.member, 10_000_000, keccak(b"R1"), True)
            digest = acts.mint_many_digest(world.chain.domain("Cash"), [mint])
            body = {"deposits": [row], "signature": signatures.sign(signer, digest).hex()}
            return await custodian.post("/v1/deposits", body)

        assert (await deposit(amount="11.00")).code == "bad_signature"
        assert (await deposit(signer=ann.key)).code == "bad_signature"
        assert (await deposit(amount="-10.00")).code == "bad_amount"
        assert (await deposit(amount="0.0000001")).code == "bad_amount"
        assert (await deposit(member=4711)).code == "unknown_member"
        for _ in range(2):
            assert (await deposit()).status == 202
        with reading(world.context.database) as connection:
            minted = connection.execute(select(tables.outbox).where(tables.outbox.c.kind == "Cash.mint_many")).all()
        assert len(minted) == 1
        other = Mint(ann.member, 99_000_000, keccak(b"R1"), True)
        digest = acts.mint_many_digest(world.chain.domain("Cash"), [other])
        row = {"member": ann.member, "amount": "99.00", "reference": "R1", "to_escrow": True}
        again = await custodian.post("/v1/deposits", {"deposits": [row], "signature": custodian.sign(digest)})
        assert (again.status, again.code) == (409, "reference_used")
        assert (await ann.post("/v1/deposits", {"deposits": [row], "signature": "00" * 64})).status == 403


async def test_an_idempotency_key_gives_the_first_answer_again(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        await neighbours(world)
        operator = await world.institution("operator")
        one, two = ({"nodes": [{"node": name, "parent": "F", "level": "transformer"}]} for name in "DE")
        first = await operator.post("/v1/grid", one, **{"Idempotency-Key": "k1"})
        again = await operator.post("/v1/grid", one, **{"Idempotency-Key": "k1"})
        assert (again.status, again.body) == (first.status, first.body) and first.status == 201
        other = await operator.post("/v1/grid", two, **{"Idempotency-Key": "k1"})
        assert (other.status, other.code) == (409, "idempotency_key_reused")
        refused = await operator.post("/v1/grid", one, **{"Idempotency-Key": "k2"})
        assert refused.code == "duplicate_node"
        assert (await operator.post("/v1/grid", one, **{"Idempotency-Key": "k2"})).body == refused.body
        assert (await operator.post("/v1/grid", two, **{"Idempotency-Key": "x" * 201})).code == "bad_idempotency_key"
        assert (await operator.post("/v1/grid", two, **{"Idempotency-Key": "k3"})).status == 201


async def test_a_credit_limit_is_a_banks_word(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        bank = await world.newcomer("bank", "bank")
        limits = {"limits": [{"member": ann.member, "limit": "12.50"}]}
        assert (await ann.post("/v1/credit-limits", limits)).status == 403
        assert (await bank.post("/v1/credit-limits", limits)).status == 200
        account = (await ann.get("/v1/account")).body
        assert (account["credit_limit"], account["credit_used"]) == ("12.500000", "0.000000")
        await ann.place(order("b1", "A1", "buy", "10.00", "0.45", terms=30))
        assert (await ann.get("/v1/account")).body["credit_used"] == "4.500000"
        bad = {"limits": [{"member": ann.member, "limit": "-1"}]}
        assert (await bank.post("/v1/credit-limits", bad)).code == "bad_amount"


async def test_slots_and_clock(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        items = (await world.get("/v1/slots")).body["items"]
        states = [item["state"] for item in items]
        assert states[:4] == ["closed"] * 4 and set(states[4:]) == {"open"} and len(states) == 4 + 191
        assert items[4] == {
            "slot": "2026-07-01T00:15:00Z",
            "gate_closure": "2026-07-01T00:10:00Z",
            "state": "open",
            "collar": None,
        }
        far = (await world.get("/v1/slots?slot=2026-08-01T00:00:00Z")).body["items"]
        assert far[0]["state"] == "not_yet"
        assert (await world.get("/v1/slots?slot=2026-07-01T00:01:00Z")).status == 404
        assert (await world.get("/v1/clock")).body == {"now": "2026-07-01T00:00:00Z", "manual": True}
