"""Every intent's digest is the EIP-712 digest: checked against eth_account's implementation, which shares no code."""

from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from settlement import acts, custody_acts, dispute_acts, intents, migration_acts, recovery_acts
from settlement.intents import Domain, IntentType, Value
from settlement.keccak import keccak

DOMAIN = Domain(31337, bytes(range(20)), bytes(range(32)))
MODULES = (acts, custody_acts, dispute_acts, intents, migration_acts, recovery_acts)
INTENTS = [intent for module in MODULES for intent in vars(module).values() if isinstance(intent, IntentType)]
EXAMPLES: dict[str, Value] = {"string": "order 7 \N{CJK UNIFIED IDEOGRAPH-91D1}", "bool": True, "bytes32": b"\xab" * 32}


def example(kind: str, place: int) -> Value:
    if kind.startswith("int"):
        return -1000 - place
    return EXAMPLES.get(kind, 100 + place)


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: intent.name)
def test_digest_is_that_of_eip_712(intent: IntentType) -> None:
    values = {field: example(kind, place) for place, (field, kind) in enumerate(intent.fields.items())}
    message: dict[str, Any] = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
                {"name": "salt", "type": "bytes32"},
            ],
            intent.name: [{"name": field, "type": kind} for field, kind in intent.fields.items()],
        },
        "primaryType": intent.name,
        "domain": {
            "name": "Jinsha",
            "version": "1",
            "chainId": DOMAIN.chain_id,
            "verifyingContract": "0x" + DOMAIN.contract.hex(),
            "salt": DOMAIN.salt,
        },
        "message": values,
    }
    signable = encode_typed_data(full_message=message)
    assert intent.digest(DOMAIN, values) == keccak(b"\x19" + signable.version + signable.header + signable.body)


def test_all_intents_are_looked_at() -> None:
    names = {intent.name for intent in INTENTS}
    assert {"Order", "Login", "AdmitMany", "MintMany", "Commit", "Propose", "Offer", "Acceptance", "Repay"} <= names
    assert len(names) == 30
