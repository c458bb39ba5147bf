"""Is a delivery the market's: what a receiver of webhooks asks before it believes one.

    event = read_webhook(secret, request.headers, await request.read(), now_s=time.time())

Whoever can not use this writes the same in a few lines: HMAC-SHA256 under the secret's 32 bytes over the timestamp, a
full stop and the body as it came, compared in constant time; and not too old, so that nothing is played back later.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from market.client.errors import ClientError

TOLERANCE_S = 300


class WebhookError(ClientError):
    """A delivery that the market did not sign, or not lately: answer 400 and believe nothing of it."""


def read_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float, tolerance_s: int = TOLERANCE_S
) -> dict[str, Any]:
    """The event of a delivery; ``secret`` as the market showed it (hex). Raises WebhookError.

    An event may come twice: ``event["event"]`` is its number and the same each time.
    """
    given = {name.lower(): value for name, value in headers.items()}
    timestamp, signature = given.get("jinsha-timestamp", ""), given.get("jinsha-signature", "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII):
        raise WebhookError("there is no Jinsha-Timestamp")
    signed = timestamp.encode() + b"." + body
    expected = "v1=" + hmac.new(bytes.fromhex(secret), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise WebhookError("the signature is not the market's over this body and time")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise WebhookError(f"it was signed more than {tolerance_s} s from now")
    event: dict[str, Any] = msgspec.json.decode(body)
    return event
