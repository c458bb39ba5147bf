"""What can go wrong, as exceptions and as values.

::

    ClientError
    +-- RefusedError      the market understood and said no; ``refused.code`` is the stable code
    +-- UnreachableError  no answer within the patience given: whether it happened is not known, ask again later
    +-- ReceiptError      what came as the operator's receipt is not signed by it: do not rely on the answer
"""

from typing import Any

import msgspec


class Refused(msgspec.Struct, frozen=True):
    """The market's no, as RFC 9457 carries it: a stable ``code``, what to do, and the field at fault, if any."""

    status: int
    code: str
    detail: str = ""
    field: str | None = None


class ClientError(Exception):
    """The request did not do what was asked."""


class RefusedError(ClientError):
    def __init__(self, refused: Refused) -> None:
        at = f" ({refused.field})" if refused.field else ""
        super().__init__(f"{refused.code}{at}: {refused.detail}")
        self.refused = refused


class UnreachableError(ClientError):
    pass


class ReceiptError(ClientError):
    pass


def refusal_of(status: int, answer: bytes) -> Refused:
    """The problem in an answer; an answer that holds none (a proxy's page) is told by its status."""
    try:
        body = msgspec.json.decode(answer, type=dict[str, Any])
        return Refused(status, str(body["code"]), str(body.get("detail", "")), body.get("field"))
    except (msgspec.DecodeError, KeyError):
        return Refused(status, f"http_{status}", answer[:200].decode("utf-8", "replace"))
