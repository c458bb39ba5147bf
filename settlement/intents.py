"""Intents: what a member signs, as EIP-712 structures.

``digest = keccak256(0x1901 || domain separator || struct hash)``; the 32 bytes are then signed with ECDSA P-256
(``signatures.py``). The domain holds name, version, chain id, contract and a salt of 32 random genesis bytes,
so that nothing replays on a sister network. Field types are those the contracts use; the type strings here and in
``contracts/`` must be the same to the letter (a test compares digests).

Source: EIP-712, "Definition of hashStruct" and "Definition of domainSeparator".
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from settlement.keccak import keccak

Value = int | str | bytes | bool


class Domain(NamedTuple):
    """Where an intent holds: one contract, on one chain, of one genesis."""

    chain_id: int
    contract: bytes
    salt: bytes


@cache
def domain_separator(domain: Domain) -> bytes:
    """The 32-byte EIP-712 domain separator."""
    type_hash = keccak(
        b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    )
    return keccak(
        type_hash
        + keccak(b"Jinsha")
        + keccak(b"1")
        + domain.chain_id.to_bytes(32, "big")
        + domain.contract.rjust(32, b"\0")
        + domain.salt
    )


def _encode_uint(value: Value) -> bytes:
    assert isinstance(value, int)
    return value.to_bytes(32, "big")


def _encode_int(value: Value) -> bytes:
    assert isinstance(value, int)
    return value.to_bytes(32, "big", signed=True)


def _encode_string(value: Value) -> bytes:
    assert isinstance(value, str)
    return keccak(value.encode())


def _encode_bytes32(value: Value) -> bytes:
    assert isinstance(value, bytes) and len(value) == 32
    return value


def _encoder(field_type: str) -> Callable[[Value], bytes]:
    if field_type.startswith("uint") or field_type == "bool":
        return _encode_uint
    if field_type.startswith("int"):
        return _encode_int
    return {"string": _encode_string, "bytes32": _encode_bytes32}[field_type]


class IntentType:
    """One EIP-712 structure: its name, and its fields in signing order with their Solidity types.

    Supported field types: ``uintN``, ``intN``, ``bool``, ``string``, ``bytes32``.
    """

    def __init__(self, name: str, fields: Mapping[str, str]) -> None:
        self.name = name
        self.fields = dict(fields)
        self.type_string = f"{name}({','.join(f'{kind} {field}' for field, kind in fields.items())})"
        self.type_hash = keccak(self.type_string.encode())
        self._encoders = [(field, _encoder(kind)) for field, kind in fields.items()]

    def digest(self, domain: Domain, values: Mapping[str, Value]) -> bytes:
        """The 32 bytes to sign. ``values`` holds exactly the fields; raises KeyError when one is missing."""
        body = b"".join(encode(values[field]) for field, encode in self._encoders)
        return keccak(b"\x19\x01" + domain_separator(domain) + keccak(self.type_hash + body))


def intent(type_string: str) -> IntentType:
    """An intent from its type string, written as in the contract: ``Name(type field,type field)``."""
    name, fields = type_string.rstrip(")").split("(")
    pairs = (field.split(" ") for field in fields.split(","))
    return IntentType(name, {field: kind for kind, field in pairs})


def digest_of(kind: IntentType, domain: Domain, *values: Value) -> bytes:
    """The 32 bytes to sign of an intent whose fields have these values, in their order."""
    return kind.digest(domain, dict(zip(kind.fields, values, strict=True)))


# ------------------------------------------------------------------------ intents that the market checks

ORDER = IntentType(
    "Order",
    {
        "member": "uint64",
        "clientOrderId": "string",
        "meter": "string",
        "side": "uint8",
        "slot": "uint64",
        "quantityLots": "uint64",
        "priceTicks": "int64",
        "reach": "uint8",
        "termsDays": "uint16",
        "tif": "uint8",
        "replaces": "string",
        "deadline": "uint64",
    },
)
ORDER_BATCH = IntentType("OrderBatch", {"member": "uint64", "root": "bytes32", "count": "uint64", "basket": "bool"})
LOGIN = IntentType("Login", {"member": "uint64", "nonce": "bytes32"})
RECEIPT = IntentType("Receipt", {"sequence": "uint64", "journalHead": "bytes32"})
WITNESSED = IntentType(
    "WitnessedHead",
    {
        "witness": "string",
        "number": "uint64",
        "blockNumber": "uint64",
        "blockHash": "bytes32",
        "blockTime": "uint64",
        "witnessedAt": "uint64",
        "previous": "bytes32",
    },
)
READINGS = IntentType("Readings", {"signer": "uint64", "root": "bytes32", "count": "uint64"})
METER_READINGS = IntentType("MeterReadings", {"meter": "string", "root": "bytes32", "count": "uint64"})
METER_KEY = IntentType("MeterKey", {"meter": "string", "number": "uint64", "x": "bytes32", "y": "bytes32"})
AREA_METER = IntentType(
    "AreaMeter",
    {
        "area": "string",
        "number": "uint64",
        "from": "uint64",
        "exportLots": "uint64",
        "importLots": "uint64",
        "toleranceBp": "uint64",
        "toleranceLots": "uint64",
    },
)


class OrderIntent(msgspec.Struct, frozen=True):
    """The fields of an order as its owner signs them; ``replaces`` is the client order id it replaces, or empty.

    ``slot`` and ``deadline`` are seconds since the epoch; side, reach and tif the numbers of ``matching.order``.
    """

    member: int
    client_order_id: str
    meter: str
    side: int
    slot: int
    quantity_lots: int
    price_ticks: int
    reach: int
    terms_days: int
    tif: int
    replaces: str
    deadline: int

    def digest(self, domain: Domain) -> bytes:
        """The 32 bytes to sign; also the order's leaf content when a batch is signed by its root.

        The same as ``ORDER.digest``, written out, for a market's orders all pass here.
        """
        return keccak(
            b"\x19\x01"
            + domain_separator(domain)
            + keccak(
                b"".join(
                    (
                        ORDER.type_hash,
                        self.member.to_bytes(32, "big"),
                        keccak(self.client_order_id.encode()),
                        hash_of_name(self.meter),
                        self.side.to_bytes(32, "big"),
                        self.slot.to_bytes(32, "big"),
                        self.quantity_lots.to_bytes(32, "big"),
                        self.price_ticks.to_bytes(32, "big", signed=True),
                        self.reach.to_bytes(32, "big"),
                        self.terms_days.to_bytes(32, "big"),
                        self.tif.to_bytes(32, "big"),
                        keccak(self.replaces.encode()) if self.replaces else _HASH_OF_NOTHING,
                        self.deadline.to_bytes(32, "big"),
                    )
                )
            )
        )


_HASH_OF_NOTHING = keccak(b"")


@lru_cache(maxsize=65_536)
def hash_of_name(name: str) -> bytes:
    """Of a meter: the same ones come again and again."""
    return keccak(name.encode())
