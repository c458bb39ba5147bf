"""What is signed, and whether it is: EIP-712 digests, and ECDSA P-256 over their SHA-256, low s only.

Source: EIP-712; FIPS 186-5; the structures are those of ``docs/settlement_and_chain.md``.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from verifier.hashes import keccak, signed_word, word

_ORDER_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
_ORDER = (
    b"Order(uint64 member,string clientOrderId,string meter,uint8 side,uint64 slot,uint64 quantityLots,"
    b"int64 priceTicks,uint8 reach,uint16 termsDays,uint8 tif,string replaces,uint64 deadline)"
)
_ORDER_BATCH = b"OrderBatch(uint64 member,bytes32 root,uint64 count,bool basket)"


class Key(NamedTuple):
    """A point on P-256."""

    x: int
    y: int


class Domain(NamedTuple):
    """Where signatures hold: a chain, a contract on it, and the market's 32 random bytes."""

    chain_id: int
    contract: bytes
    salt: bytes

    def at(self, contract: bytes) -> "Domain":
        """The domain of another contract of the same market."""
        return self._replace(contract=contract)

    def digest(self, type_string: bytes, *fields: bytes) -> bytes:
        """The 32 bytes to sign of a structure, of whose fields each is 32 bytes."""
        separator = keccak(
            keccak(_DOMAIN)
            + keccak(b"Jinsha")
            + keccak(b"1")
            + word(self.chain_id)
            + self.contract.rjust(32, b"\0")
            + self.salt
        )
        return keccak(b"\x19\x01" + separator + keccak(keccak(type_string) + b"".join(fields)))


class Order(NamedTuple):
    """What a member signed."""

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
        fields = (
            word(self.member),
            keccak(self.client_order_id.encode()),
            keccak(self.meter.encode()),
            word(self.side),
            word(self.slot),
            word(self.quantity_lots),
            signed_word(self.price_ticks),
            word(self.reach),
            word(self.terms_days),
            word(self.tif),
            keccak(self.replaces.encode()),
            word(self.deadline),
        )
        return domain.digest(_ORDER, *fields)


def batch_digest(domain: Domain, member: int, root: bytes, count: int, *, basket: bool) -> bytes:
    """The 32 bytes that sign many orders at once."""
    return domain.digest(_ORDER_BATCH, word(member), root, word(count), word(basket))


def is_signed(key: Key, digest: bytes, signature: bytes) -> bool:
    """Whether ``r || s`` is the key's over the digest."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not (0 < r < _ORDER_N and 0 < s <= _ORDER_N // 2):
        return False
    try:
        public = ec.EllipticCurvePublicNumbers(key.x, key.y, ec.SECP256R1()).public_key()
        public.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
