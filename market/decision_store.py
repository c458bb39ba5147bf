"""SQL of what was decided about members: who decided what, when, why, and what was checked. Rows stay."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, func, insert, select

from data.tables import member_decisions, members

DECISIONS = ("admitted", "refused", "suspended", "reinstated", "roles_set")

BEFORE = {
    "admitted": ("pending", "refused"),
    "refused": ("pending",),
    "suspended": ("admitted",),
    "reinstated": ("suspended",),
}
AFTER = {"admitted": "admitted", "refused": "refused", "suspended": "suspended", "reinstated": "admitted"}
"""A member's status before and after each decision; new roles leave it as it is."""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was checked of an applicant, and how."""

    what: str
    how: str


class Decision(NamedTuple):
    """``decision``: one of ``DECISIONS``; ``note``: the record of an admission, or a reason."""

    member_id: int
    decision: str
    decided_s: int
    decided_by: int
    note: str
    checked: tuple[Check, ...] = ()


def add(connection: Connection, decisions: Sequence[Decision]) -> None:
    """Keep decisions, in their order."""
    last = connection.scalar(select(func.max(member_decisions.c.number))) or 0
    rows = [
        {**decision._asdict(), "number": number, "checked": msgspec.json.encode(decision.checked).decode()}
        for number, decision in enumerate(decisions, start=last + 1)
    ]
    connection.execute(insert(member_decisions), rows)


def of(connection: Connection, member_id: int) -> list[Decision]:
    """What was decided about a member, the oldest first."""
    ours = member_decisions.c.member_id == member_id
    rows = connection.execute(select(member_decisions).where(ours).order_by(member_decisions.c.number))
    return [
        Decision(
            member_id=row.member_id,
            decision=row.decision,
            decided_s=row.decided_s,
            decided_by=row.decided_by,
            note=row.note,
            checked=msgspec.json.decode(row.checked, type=tuple[Check, ...]),
        )
        for row in rows
    ]


def some_members(connection: Connection, *, status: str | None, after: int, limit: int) -> Sequence[Row[Any]]:
    """Members by id, the guarantee fund left out."""
    asked = select(members).where(members.c.member_id > max(after, 0))
    if status is not None:
        asked = asked.where(members.c.status == status)
    return connection.execute(asked.order_by(members.c.member_id).limit(limit)).all()
