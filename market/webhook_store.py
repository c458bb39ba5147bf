"""The queries about webhooks: where each stands, and how that changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from data.tables import webhooks

ACTIVE, GIVEN_UP = "active", "given_up"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a webhook stands; ``secret`` is sealed. Times are the machine's, in seconds.

    ``position``: the last event that was delivered, or is of no kind asked for. ``kinds``: none is all.
    """

    webhook_id: str
    member_id: int
    url: str
    kinds: tuple[str, ...]
    secret: bytes
    created_s: int
    position: int
    delivered: int = 0
    attempts: int = 0
    failing_s: int | None = None
    next_try_s: int = 0
    state: str = ACTIVE
    last_status: int | None = None
    last_error: str | None = None


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(**{**row._mapping, "kinds": tuple(msgspec.json.decode(row.kinds, type=list[str]))})


def add(connection: Connection, webhook: Webhook) -> None:
    """Insert a webhook."""
    values = {name: getattr(webhook, name) for name in Webhook.__slots__}
    connection.execute(insert(webhooks), values | {"kinds": msgspec.json.encode(webhook.kinds).decode()})


def of_member(connection: Connection, member: int) -> list[Webhook]:
    """A member's webhooks, the oldest first."""
    query = select(webhooks).where(webhooks.c.member_id == member)
    return [_webhook(row) for row in connection.execute(query.order_by(webhooks.c.created_s, webhooks.c.webhook_id))]


def count(connection: Connection, member: int) -> int:
    return connection.scalar(select(func.count()).where(webhooks.c.member_id == member)) or 0


def webhook(connection: Connection, member: int, webhook_id: str) -> Webhook | None:
    """One of a member's webhooks."""
    query = select(webhooks).where(webhooks.c.webhook_id == webhook_id, webhooks.c.member_id == member)
    row = connection.execute(query).first()
    return None if row is None else _webhook(row)


def remove(connection: Connection, member: int, webhook_id: str) -> bool:
    """Forget a webhook; whether it was there."""
    mine = (webhooks.c.webhook_id == webhook_id) & (webhooks.c.member_id == member)
    return connection.execute(delete(webhooks).where(mine)).rowcount > 0


def behind(connection: Connection, newest: int) -> Sequence[Webhook]:
    """The active ones that have not been told the newest event."""
    query = select(webhooks).where(webhooks.c.state == ACTIVE, webhooks.c.position < newest)
    return [_webhook(row) for row in connection.execute(query)]


def move(connection: Connection, before: Webhook, after: Webhook) -> bool:
    """Keep where a webhook stands, unless it stands elsewhere by now (replayed, removed); whether it was kept."""
    same = (webhooks.c.webhook_id == before.webhook_id) & (webhooks.c.position == before.position)
    values = {name: getattr(after, name) for name in _STANDING}
    return connection.execute(update(webhooks).where(same).values(**values)).rowcount > 0


_STANDING = (
    "position",
    "delivered",
    "attempts",
    "failing_s",
    "next_try_s",
    "state",
    "last_status",
    "last_error",
)


def set_back(connection: Connection, webhook_id: str, position: int) -> None:
    """Begin again after an event, at once, also when it was given up."""
    values = {"position": position, "attempts": 0, "failing_s": None, "next_try_s": 0, "state": ACTIVE}
    connection.execute(update(webhooks).where(webhooks.c.webhook_id == webhook_id).values(**values))
