"""Secrets at rest: sealed with AES-256-GCM under keys derived (HKDF, RFC 5869) from the server's own secret.

The secret is 32 random bytes in the market folder's ``keys/``, never in the database: whoever has a copy of the
database alone has no secret of any member.
"""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
_NONCE_BYTES = 12


class SealError(ValueError):
    """Sealed with another secret, for another owner, or changed since."""


def new_secret() -> bytes:
    return os.urandom(SECRET_BYTES)


class Vault:
    """Seals for one server. ``owner`` is bound to what is sealed: it opens for the same owner only."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == SECRET_BYTES
        self._sealing = AESGCM(_derived(secret, b"jinsha/seal"))
        self._marking = _derived(secret, b"jinsha/mark")

    def seal(self, owner: str, secret: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, secret, owner.encode())

    def open(self, owner: str, sealed: bytes) -> bytes:
        """What was sealed. Raises SealError."""
        try:
            return self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
        except (InvalidTag, ValueError) as error:
            raise SealError("this secret was not sealed here, or not for this owner") from error

    def mark(self, owner: str, secret: str) -> bytes:
        """32 bytes that say whether a secret is the same, and nothing else about it."""
        return hmac.digest(self._marking, f"{owner}\n{secret}".encode(), "sha256")


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret)
