"""A second opinion on signatures: ``ecdsa``, an implementation with no line in common with OpenSSL's.

It only verifies. It never signs here: its signing leaks the key through timing (CVE-2024-23342).
"""

from hashlib import sha256

from ecdsa import (  # type: ignore[import-untyped] # it ships no types
    BadSignatureError,
    MalformedPointError,
    NIST256p,
    VerifyingKey,
)

from settlement.signatures import ORDER_N, SIGNATURE_BYTES, PublicKey


def is_signed(key: PublicKey, digest: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes r || s, low s) is the key's, over SHA-256 of the 32-byte digest."""
    if len(signature) != SIGNATURE_BYTES or int.from_bytes(signature[32:], "big") > ORDER_N // 2:
        return False
    try:
        verifying = VerifyingKey.from_string(key.x.to_bytes(32, "big") + key.y.to_bytes(32, "big"), curve=NIST256p)
        return bool(verifying.verify(signature, digest, hashfunc=sha256))
    except (BadSignatureError, MalformedPointError):
        return False
