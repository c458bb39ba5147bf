"""Second factors as numbers and codes: time-based one-time passwords, recovery codes, and how often one may guess.

A password changes every 30 s (RFC 6238, SHA-1 and six digits as every app has them); one step early or late is taken,
and none twice. A recovery code is 80 random bits, for the day the phone is gone, and is used once.
"""

import hmac
import secrets
from base64 import b32encode
from dataclasses import dataclass, field
from typing import NamedTuple

import pyotp

from market.problems import Problem, ProblemError

STEP_S = 30
TOLERATED_STEPS = 1
SECRET_BYTES = 20
"""RFC 4226, section 4: at least 16, 20 recommended."""

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10

FREE_ATTEMPTS = 5
FIRST_WAIT_S = 60
LONGEST_WAIT_S = 86_400
ATTEMPTS_BOUND = 100_000


def new_totp_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def otpauth_uri(secret: bytes, member_id: int) -> str:
    """What an authenticator app reads, as text or as a picture."""
    return _totp(secret).provisioning_uri(name=f"member {member_id}", issuer_name="Jinsha")


def secret_text(secret: bytes) -> str:
    """The secret for people who type it: base32."""
    return b32encode(secret).decode("ascii")


def matching_step(secret: bytes, code: str, now_s: int, last_step: int) -> int | None:
    """The step whose password this is, near now and after the last one used; None when it is none of them."""
    totp, now_step = _totp(secret), now_s // STEP_S
    found = None
    for step in range(now_step - TOLERATED_STEPS, now_step + TOLERATED_STEPS + 1):
        is_same = hmac.compare_digest(totp.generate_otp(step), code)
        if is_same and step > last_step and found is None:
            found = step
    return found


def _totp(secret: bytes) -> pyotp.TOTP:
    return pyotp.TOTP(secret_text(secret), interval=STEP_S)


def new_recovery_codes() -> list[str]:
    """Codes as ``ABCD-EFGH-IJKL-MNOP``."""
    texts = (b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode("ascii") for _ in range(RECOVERY_CODES))
    return ["-".join(text[at : at + 4] for at in range(0, len(text), 4)) for text in texts]


class _Failed(NamedTuple):
    times: int
    until_s: int


@dataclass
class Attempts:
    """How often each member has failed in a row; after five times it waits, twice as long each time."""

    _failed: dict[int, _Failed] = field(default_factory=dict)

    def begin(self, member_id: int, now_s: int) -> None:
        """Count an attempt, as failed until ``succeed``: many at once are no way around. Raises ProblemError 429."""
        failed = self._failed.get(member_id, _Failed(0, 0))
        if failed.until_s > now_s:
            raise _wait(failed.until_s - now_s)
        if member_id not in self._failed and len(self._failed) >= ATTEMPTS_BOUND:
            raise _wait(FIRST_WAIT_S)
        beyond = failed.times + 1 - FREE_ATTEMPTS
        wait_s = min(FIRST_WAIT_S << min(beyond, 20), LONGEST_WAIT_S) if beyond >= 0 else 0
        self._failed[member_id] = _Failed(failed.times + 1, now_s + wait_s)

    def succeed(self, member_id: int) -> None:
        self._failed.pop(member_id, None)


def _wait(wait_s: int) -> ProblemError:
    detail = "too many wrong codes; wait, and change your key if it was not you"
    return ProblemError(Problem(429, "too_many_attempts", detail, retry_after_s=wait_s))
