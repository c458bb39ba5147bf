"""SQL of who takes part: members, their keys, credit limits."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from data.tables import member_keys, members, outbox
from market.identity import Member
from settlement.acts import FUND
from settlement.signatures import PublicKey


class Registration(NamedTuple):
    """A new member and when it came; ``admitted_s`` is None until the operator admits it."""

    member: Member
    registered_s: int
    admitted_s: int | None = None


def add_members(connection: Connection, registrations: Sequence[Registration]) -> None:
    """Insert members with their first keys, which hold from the beginning."""
    connection.execute(insert(members), [_row(each) for each in registrations])
    connection.execute(
        insert(member_keys),
        [
            {
                "member_id": each.member.member_id,
                "from_sequence": 0,
                "to_sequence": None,
                "x": each.member.key.x.to_bytes(32, "big"),
                "y": each.member.key.y.to_bytes(32, "big"),
            }
            for each in registrations
        ],
    )


def add_fund(connection: Connection, registered_s: int) -> None:
    """The guarantee fund: an account of Clearing that nobody logs in as."""
    connection.execute(
        insert(members).values(
            member_id=FUND,
            name="Guarantee fund",
            kind="fund",
            roles="[]",
            status="admitted",
            registered_s=registered_s,
            admitted_s=registered_s,
        )
    )


def _row(registration: Registration) -> dict[str, object]:
    member = registration.member
    return {
        "member_id": member.member_id,
        "name": member.name,
        "kind": member.kind,
        "roles": _names(member.roles),
        "status": member.status,
        "registered_s": registration.registered_s,
        "admitted_s": registration.admitted_s,
        "credit_limit_micro": member.credit_limit_micro,
    }


def admit(connection: Connection, member_id: int, admitted_s: int) -> None:
    connection.execute(
        update(members).where(members.c.member_id == member_id).values(status="admitted", admitted_s=admitted_s)
    )


def set_status(connection: Connection, member_id: int, status: str) -> None:
    connection.execute(update(members).where(members.c.member_id == member_id).values(status=status))


def set_roles(connection: Connection, member_id: int, roles: frozenset[str]) -> None:
    connection.execute(update(members).where(members.c.member_id == member_id).values(roles=_names(roles)))


def _names(roles: frozenset[str]) -> str:
    return msgspec.json.encode(sorted(roles)).decode()


def set_frozen(connection: Connection, member_id: int, is_frozen: bool) -> None:
    """What the regulator did on the chain."""
    connection.execute(update(members).where(members.c.member_id == member_id).values(frozen=is_frozen))


def admission_calls(connection: Connection) -> int:
    """How many calls to admit members have been queued and have not failed."""
    asked = select(func.count()).select_from(outbox)
    return connection.scalar(asked.where(outbox.c.kind == "Members.admit_many", outbox.c.state != "reverted")) or 0


def read_members(connection: Connection) -> list[Member]:
    """Everyone, each with the key it signs with now."""
    rows = connection.execute(
        select(members, member_keys.c.x, member_keys.c.y)
        .join(member_keys, member_keys.c.member_id == members.c.member_id)
        .where(member_keys.c.to_sequence.is_(None))
        .order_by(members.c.member_id)
    )
    return [
        Member(
            member_id=row.member_id,
            name=row.name,
            kind=row.kind,
            roles=frozenset(msgspec.json.decode(row.roles, type=list[str])),
            status=row.status,
            is_frozen=row.frozen,
            key=PublicKey(int.from_bytes(row.x, "big"), int.from_bytes(row.y, "big")),
            credit_limit_micro=row.credit_limit_micro,
        )
        for row in rows
    ]


def member_times(connection: Connection, member_id: int) -> tuple[int, int | None]:
    """When a member registered and was admitted."""
    row = connection.execute(
        select(members.c.registered_s, members.c.admitted_s).where(members.c.member_id == member_id)
    ).one()
    return row.registered_s, row.admitted_s
