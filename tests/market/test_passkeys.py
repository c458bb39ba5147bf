"""Passkeys as second factor, with an authenticator in software: WebAuthn Level 3, sections 6.1 and 6.5."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from market.config import ConfigError
from settlement.signatures import new_private_key, public_key
from tests.market.world import Answer, Person, config_of, open_market

ORIGIN, PARTY = "http://localhost:8420", "localhost"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text(payload: bytes) -> str:
    return urlsafe_b64encode(payload).rstrip(b"=").decode()


def payload_of(encoded: str) -> bytes:
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


@dataclass
class Authenticator:
    """One passkey. ``origin`` and ``party`` are what the browser would fill in."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_private_key)
    credential_id: bytes = b"\x2a" * 16
    origin: str = ORIGIN
    party: str = PARTY
    count: int = 0
    flags: int = PRESENT | VERIFIED

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """What ``navigator.credentials.create`` answers."""
        point = public_key(self.key)
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        said = {"fmt": "none", "attStmt": {}, "authData": self._data(ATTESTED) + attested}
        return self._answer(
            {
                "clientDataJSON": text(self._client("webauthn.create", options["challenge"])),
                "attestationObject": text(cbor2.dumps(said)),
            }
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """What ``navigator.credentials.get`` answers."""
        self.count += 1
        client, data = self._client("webauthn.get", options["challenge"]), self._data(0)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature)}
        )

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _data(self, more: int) -> bytes:
        party = hashlib.sha256(self.party.encode()).digest()
        return party + bytes([self.flags | more]) + self.count.to_bytes(4, "big")

    def _answer(self, response: dict[str, str]) -> dict[str, Any]:
        name = text(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}


async def begin(person: Person) -> Any:
    begun = await person.post("/v1/factors/passkeys", {"name": "laptop"})
    assert begun.status == 201, begun
    return begun.body


async def finish(person: Person, begun: Any, credential: Any) -> Answer:
    return await person.post(f"/v1/factors/passkeys/{begun['factor']}/confirmation", {"credential": credential})


async def enrol(person: Person, authenticator: Authenticator) -> Answer:
    begun = await begin(person)
    return await finish(person, begun, authenticator.create(begun["options"]))


async def challenge(person: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """A signed challenge, ready to log in with, and the options for a passkey."""
    body = await person.login_body()
    return body, {"challenge": text(bytes.fromhex(body["nonce"]))}


async def log_in(person: Person, authenticator: Authenticator) -> Answer:
    body, options = await challenge(person)
    shown = {"kind": "passkey", "credential": authenticator.get(options)}
    return await person.world.post("/v1/sessions", {**body, "second_factor": shown})


async def test_a_passkey_is_made_and_logs_in(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, authenticator = await world.newcomer("ann"), Authenticator()
        begun = await begin(ann)
        options = begun["options"]
        assert (options["rp"]["id"], options["user"]["name"]) == (PARTY, f"member {ann.member}")
        assert options["authenticatorSelection"]["residentKey"] == "required"
        done = await finish(ann, begun, authenticator.create(options))
        assert (done.status, done.body["kind"], len(done.body["recovery_codes"])) == (201, "passkey", 10), done
        assert (await world.post("/v1/sessions", await ann.login_body())).code == "second_factor_needed"
        assert (await log_in(ann, authenticator)).status == 201
        assert (await log_in(ann, authenticator)).status == 201, "and again: it counts"


async def test_the_options_tell_strangers_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        await enrol(ann, Authenticator())
        asked = [await world.post("/v1/sessions/challenge", {"member": number}) for number in (ann.member, 987_654)]
        for answer in asked:
            passkey = answer.body["passkey"]
            assert payload_of(passkey.pop("challenge")).hex() == answer.body["nonce"]
        assert asked[0].body["passkey"] == asked[1].body["passkey"]
        assert asked[0].body["passkey"]["allowCredentials"] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "https://evil.example"},
        {"party": "evil.example"},
        {"key": new_private_key()},
        {"credential_id": b"\x2b" * 16},
        {"flags": 0},
        {"count": 0},
    ],
)
async def test_what_does_not_hold_logs_nobody_in(tmp_path: Path, changed: dict[str, Any]) -> None:
    async with open_market(tmp_path) as world:
        ann, authenticator = await world.newcomer("ann"), Authenticator()
        await enrol(ann, authenticator)
        assert (await log_in(ann, authenticator)).status == 201
        for name, value in changed.items():
            setattr(authenticator, name, value)
        answer = await log_in(ann, authenticator)
        assert (answer.status, answer.code) == (401, "bad_second_factor")


async def test_an_answer_is_for_one_challenge_of_one_member(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await world.newcomer("ann"), await world.newcomer("bo")
        anns, bos = Authenticator(), Authenticator(credential_id=b"\x2c" * 16)
        await enrol(ann, anns)
        await enrol(bo, bos)
        _, options = await challenge(ann)
        late = anns.get(options)
        body, options = await challenge(ann)
        for credential in (late, bos.get(options)):
            shown = {"kind": "passkey", "credential": credential}
            answer = await world.post("/v1/sessions", {**body, "second_factor": shown})
            assert answer.status == 401
            body, options = await challenge(ann)


@pytest.mark.parametrize("credential", [{}, {"rawId": 7}, {"rawId": "KioqKioqKioqKioqKioqKg", "id": None}, {"x": {}}])
async def test_odd_answers_are_refused(tmp_path: Path, credential: Any) -> None:
    async with open_market(tmp_path) as world:
        ann = await world.newcomer("ann")
        begun = await begin(ann)
        assert (await finish(ann, begun, credential)).code == "bad_second_factor"
        assert (await finish(ann, begun, credential)).status == 404, "an enrolment is tried once"
        await enrol(ann, Authenticator())
        body = {**await ann.login_body(), "second_factor": {"kind": "passkey", "credential": credential}}
        assert (await world.post("/v1/sessions", body)).code == "bad_second_factor"


async def test_a_passkey_steps_up(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo, authenticator = await world.newcomer("ann"), await world.newcomer("bo"), Authenticator()
        await enrol(ann, authenticator)
        assert (await ann.post("/v1/factors/recovery-codes", None)).code == "second_factor_needed"
        asked = (await world.post("/v1/sessions/challenge", {"member": ann.member})).body
        shown = {"kind": "passkey", "credential": authenticator.get(asked["passkey"])}
        others = (await world.post("/v1/sessions/challenge", {"member": bo.member})).body
        for nonce, status in [(None, 422), (others["nonce"], 401), (asked["nonce"], 200), (asked["nonce"], 401)]:
            answer = await ann.post("/v1/sessions/step-up", {"second_factor": shown, "nonce": nonce})
            assert answer.status == status, answer
        assert (await ann.post("/v1/factors/recovery-codes", None)).status == 201


async def test_a_second_passkey_is_another_one(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, first = await world.newcomer("ann"), Authenticator()
        await enrol(ann, first)
        ann.token = (await log_in(ann, first)).body["token"]
        begun = await begin(ann)
        assert [payload_of(each["id"]) for each in begun["options"]["excludeCredentials"]] == [first.credential_id]
        second = Authenticator(credential_id=b"\x2d" * 16)
        done = await finish(ann, begun, second.create(begun["options"]))
        assert (done.status, done.body["recovery_codes"]) == (201, [])
        assert (await log_in(ann, second)).status == 201


def test_the_domain_is_that_of_the_pages() -> None:
    config_of(relying_party="example.com", origin="https://market.example.com")
    for party, origin in [("example.com", "https://example.org"), ("example.com", "https://badexample.com")]:
        with pytest.raises(ConfigError, match="relying_party"):
            config_of(relying_party=party, origin=origin)
