"""The request under way, where it came with an idempotency key: its answer is kept together with what it changed.

Without that, a server killed between the two would carry out a repeated request a second time, or refuse it for what
its own first time has done.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy import Connection

from market import idempotency_store
from market.idempotency_store import KeptAnswer


@dataclass
class Once:
    """One request of a member under one key. ``is_kept`` once its answer is durable."""

    member_id: int
    key: str
    body_hash: bytes
    is_kept: bool = False

    def keep(self, connection: Connection, answer: web.Response) -> None:
        """In the transaction of the caller, who says ``is_kept`` when it has been committed."""
        assert isinstance(answer.body, bytes)
        kept = KeptAnswer(self.body_hash, answer.status, answer.body)
        idempotency_store.keep(connection, self.member_id, self.key, kept)


ONCE: ContextVar[Once | None] = ContextVar("once", default=None)
