"""A P-256 public key as RFC 7517 writes it, which is how keys look outside the house."""

import base64
import re

import msgspec

from settlement.signatures import PublicKey, check_key

_B64URL_32 = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Jwk(msgspec.Struct, frozen=True):
    """``x`` and ``y`` are 32 bytes each, base64url without padding."""

    kty: str
    crv: str
    x: str
    y: str


def to_jwk(key: PublicKey) -> Jwk:
    """A public key as a JWK."""
    return Jwk("EC", "P-256", _to_text(key.x), _to_text(key.y))


def from_jwk(jwk: Jwk) -> PublicKey:
    """The point of a JWK. Raises ValueError (NotAPointError among them) when it is none on P-256."""
    if (jwk.kty, jwk.crv) != ("EC", "P-256") or not (_B64URL_32.fullmatch(jwk.x) and _B64URL_32.fullmatch(jwk.y)):
        raise ValueError('a key is {"kty": "EC", "crv": "P-256"} with x and y of 32 bytes in base64url')
    key = PublicKey(_to_number(jwk.x), _to_number(jwk.y))
    check_key(key)
    if to_jwk(key) != jwk:
        raise ValueError("x or y has bits set beyond its 32 bytes: one key has one JWK")
    return key


def _to_text(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


def _to_number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(f"{text}="), "big")
