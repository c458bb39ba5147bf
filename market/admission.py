"""Admitting members: known to the market at once, to the chain by a call in the outbox, a hundred in each."""

from collections.abc import Sequence

from sqlalchemy import Connection

from market import member_store
from market.identity import Member
from settlement import acts, outbox
from settlement.acts import Admission
from settlement.intents import Domain
from settlement.officer import Officer

AT_ONCE = 100
"""The most that ``Members.admit_many`` takes."""

FIRST_INDEX = 0
"""What ``Members.next_admission`` is after deployment."""


def put_admissions(connection: Connection, members: Sequence[Member], operator: Officer, domain: Domain) -> None:
    """Queue the calls that make members known to the chain; ``domain`` is that of Members."""
    index = FIRST_INDEX + member_store.admission_calls(connection)
    for start in range(0, len(members), AT_ONCE):
        admissions = [
            Admission(member.member_id, member.key, _mask(member)) for member in members[start : start + AT_ONCE]
        ]
        approval = operator.approve(acts.admit_many_digest(domain, admissions, index))
        outbox.put(connection, acts.admit_many(admissions, index, [approval]))
        index += 1


def _mask(member: Member) -> int:
    """The roles of a newcomer that contracts know: being a bank."""
    return acts.Role.BANK if "bank" in member.roles else acts.Role(0)
