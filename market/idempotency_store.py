"""SQL of answers that are given again."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from data.tables import idempotency


class KeptAnswer(NamedTuple):
    """The hash of the request, and what it was answered."""

    body_hash: bytes
    status: int
    answer: bytes


def find(connection: Connection, member_id: int, key: str) -> KeptAnswer | None:
    columns = (idempotency.c.body_hash, idempotency.c.status, idempotency.c.answer)
    row = connection.execute(select(*columns).filter_by(member_id=member_id, key=key)).one_or_none()
    return None if row is None else KeptAnswer(*tuple(row))


def keep(connection: Connection, member_id: int, key: str, kept: KeptAnswer) -> None:
    connection.execute(insert(idempotency).values(member_id=member_id, key=key, **kept._asdict()))
