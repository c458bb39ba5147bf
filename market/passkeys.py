"""Passkeys (WebAuthn Level 3): what browser and authenticator are asked, and whether what they answer is right.

The challenge is the market's own nonce, so that an answer is for one log-in of one member. No list of credentials is
ever sent, for it would tell strangers who has which: passkeys are kept by the authenticator and found by relying party.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

T = TypeVar("T")

NAME = "Jinsha"
TIMEOUT_MS = 120_000


class RelyingParty(NamedTuple):
    """For whom passkeys are: a domain, and the address that pages are served from."""

    id: str
    origin: str


class Credential(msgspec.Struct, frozen=True):
    """A passkey's public half, as it is kept; ``public_key`` in COSE."""

    credential_id: bytes
    public_key: bytes

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)


class NotProvenError(ValueError):
    """The authenticator's answer does not hold, or is none."""


def decode(kept: bytes) -> Credential:
    return msgspec.msgpack.decode(kept, type=Credential)


def creation_options(
    party: RelyingParty, member_id: int, challenge: bytes, kept: Sequence[Credential]
) -> dict[str, Any]:
    """For ``PublicKeyCredential.parseCreationOptionsFromJSON``; who has one of ``kept`` makes no other."""
    options = generate_registration_options(
        rp_id=party.id,
        rp_name=NAME,
        user_id=member_id.to_bytes(8, "big"),
        user_name=f"member {member_id}",
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(each.credential_id) for each in kept],
    )
    return options_to_json_dict(options)


def request_options(party: RelyingParty, challenge: bytes) -> dict[str, Any]:
    """For ``PublicKeyCredential.parseRequestOptionsFromJSON``."""
    return options_to_json_dict(
        generate_authentication_options(
            rp_id=party.id,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            user_verification=UserVerificationRequirement.PREFERRED,
        )
    )


def verify_creation(party: RelyingParty, challenge: bytes, answer: dict[str, Any]) -> tuple[Credential, int]:
    """The new passkey, and how many signatures it has made. Raises NotProvenError."""
    found = _believing_nothing(
        lambda: verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
        )
    )
    return Credential(found.credential_id, found.credential_public_key), found.sign_count


def id_of(answer: dict[str, Any]) -> bytes:
    """Which passkey says that it answers. Raises NotProvenError."""
    return _believing_nothing(lambda: base64url_to_bytes(answer["rawId"]))


def verify_use(
    party: RelyingParty, challenge: bytes, answer: dict[str, Any], credential: Credential, counted: int
) -> int:
    """How many signatures the passkey has made by now, more than ``counted`` if it counts. Raises NotProvenError."""
    found = _believing_nothing(
        lambda: verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=credential.public_key,
            credential_current_sign_count=counted,
        )
    )
    return found.new_sign_count


def _believing_nothing(verify: Callable[[], T]) -> T:
    try:
        return verify()
    except Exception as error:
        raise NotProvenError(f"{type(error).__name__}: {error}") from error
