"""Every intent's digest is the EIP-712 digest: checked against eth_account's implementation, which shares no code."""

import pkgutil
import re
from importlib import import_module
from typing import Any

import pytest
from eth_account.messages import encode_typed_data

import settlement
from settlement import intents
from settlement.compile import SOURCES
from settlement.intents import Domain, IntentType, Value
from settlement.keccak import keccak

DOMAIN = Domain(31337, bytes(range(20)), bytes(range(32)))
NAMES = [each.name for each in pkgutil.iter_modules(settlement.__path__)]
MODULES = [import_module(f"settlement.{name}") for name in NAMES if name.split("_")[-1] == "acts"] + [intents]
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


def test_every_type_that_a_contract_hashes_is_looked_at() -> None:
    """Type strings here and in the contracts are the same to the letter."""
    hashed = {
        string
        for source in SOURCES.glob("*.vy")
        for string in re.findall(r'keccak256\(\s*"(\w+\([^"]+\))"\s*\)', source.read_text())
    }
    assert len(hashed) > 20
    assert hashed - {intent.type_string for intent in INTENTS} == {domain_type()}


def domain_type() -> str:
    return "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
