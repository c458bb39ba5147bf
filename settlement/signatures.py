"""ECDSA P-256 as members, meters and roles use it: over SHA-256 of a 32-byte digest, ``r || s``, low s only.

This is what WebCrypto does when it is handed the 32 bytes of an EIP-712 digest, and what the contracts check with
P256VERIFY (EIP-7951, precompile 0x100). OpenSSL accepts a high s, which would make a second valid signature out of
any first; here, as in the contracts, it is refused.
"""

from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

ORDER_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the P-256 group (FIPS 186-5)."""

SIGNATURE_BYTES = 64
_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())


class PublicKey(NamedTuple):
    """A point on P-256, as two integers; ``verify`` says whether it is one."""

    x: int
    y: int


class NotAPointError(ValueError):
    """Two numbers that are no point on P-256."""


@lru_cache(maxsize=65_536)
def _loaded(key: PublicKey) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicNumbers(key.x, key.y, ec.SECP256R1()).public_key()
    except ValueError as error:
        raise NotAPointError("the public key is not a point on P-256") from error


def check_key(key: PublicKey) -> None:
    """Raises NotAPointError unless the key is a point on the curve."""
    _loaded(key)


def new_private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_key(private: ec.EllipticCurvePrivateKey) -> PublicKey:
    numbers = private.public_key().public_numbers()
    return PublicKey(numbers.x, numbers.y)


def private_to_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8 PEM, unencrypted; the file's permissions guard it."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def private_from_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError when the PEM holds something else than a P-256 key."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the key file holds no P-256 key")
    return key


def sign(private: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """64 bytes ``r || s`` with a low s, over SHA-256 of the 32-byte digest."""
    r, s = utils.decode_dss_signature(private.sign(digest, _ECDSA_SHA256))
    return r.to_bytes(32, "big") + min(s, ORDER_N - s).to_bytes(32, "big")


def is_signed(key: PublicKey, digest: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes, low s) is the key's over the 32-byte digest. Never raises on bad signatures."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < ORDER_N and 0 < s <= ORDER_N // 2):
        return False
    try:
        _loaded(key).verify(utils.encode_dss_signature(r, s), digest, _ECDSA_SHA256)
    except (InvalidSignature, NotAPointError):
        return False
    return True
