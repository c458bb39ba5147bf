"""Events of the feed as they are answered, and as webhooks bring them: the same bytes."""

from typing import Annotated, Any

import msgspec
from sqlalchemy import Row

from data.units import format_instant
from finance.telling import KINDS, Content
from market.openapi.fields import Fen, Hash, Instant, choice

TEST = "test"
"""The kind of an event that happened to nobody."""


class EventBody(msgspec.Struct, frozen=True):
    """What happened; ``event`` is its number. ``subject`` is the offer, auction or consent that it is about.

    ``before`` and ``after`` are states, or what is open of a part, in CNY; ``amounts`` are CNY by name.
    """

    event: int
    kind: Annotated[str, choice(*KINDS, TEST)]
    at: Instant
    receivable: Hash | None
    part: int | None
    subject: int | None
    before: str | None
    after: str | None
    actor: int | None
    bank: int | None
    seller: int | None
    amounts: dict[str, Fen]


def event_body(row: Row[Any]) -> EventBody:
    """A row of ``feed_events``."""
    content = msgspec.json.decode(row.content, type=Content)
    return EventBody(
        event=row.number,
        kind=row.kind,
        at=format_instant(row.at_s),
        receivable=None if row.receivable_id is None else row.receivable_id.hex(),
        part=content.part,
        subject=row.subject,
        before=content.before,
        after=content.after,
        actor=content.actor,
        bank=content.bank,
        seller=content.seller,
        amounts=content.amounts,
    )


def trial_event(now_s: int) -> EventBody:
    """An event under number 0 about nothing."""
    return EventBody(0, TEST, format_instant(now_s), None, None, None, None, None, None, None, None, {})


def event_bytes(event: EventBody) -> bytes:
    """The body of a delivery."""
    return msgspec.json.encode(event)
