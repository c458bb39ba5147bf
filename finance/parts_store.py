"""The queries of finance about the parts of receivables."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from data.tables import members, receivable_parts, receivables
from finance.life import Receivable
from finance.parts import ClaimKind, Part, Transferee
from finance.rows import restore
from settlement.store import chunks


def parts_of(connection: Connection, receivable_ids: Sequence[bytes]) -> dict[bytes, list[Part]]:
    """The parts of some receivables by number, those at 0 too; a receivable without parts is not in it."""
    found: defaultdict[bytes, list[Part]] = defaultdict(list)
    for chunk in chunks(receivable_ids):
        query = select(receivable_parts).where(receivable_parts.c.receivable_id.in_(chunk))
        for row in connection.execute(query.order_by(receivable_parts.c.part)):
            part = Part(row.part, ClaimKind(row.claim), row.owner, row.open_fen, row.pledgee)
            found[row.receivable_id].append(part)
    return found


def value_of(connection: Connection, row: Row[Any]) -> Receivable:
    """A row of ``receivables`` where it stands in its life."""
    return restore(row, parts_of(connection, [row.receivable_id]).get(row.receivable_id, []))


def all_parts(connection: Connection) -> dict[bytes, dict[int, tuple[Part, int]]]:
    """Every part there is by receivable and number, with its ``change``."""
    found: defaultdict[bytes, dict[int, tuple[Part, int]]] = defaultdict(dict)
    for row in connection.execute(select(receivable_parts)):
        part = Part(row.part, ClaimKind(row.claim), row.owner, row.open_fen, row.pledgee)
        found[row.receivable_id][row.part] = part, row.change
    return found


def put_part(connection: Connection, receivable_id: bytes, part: Part, change: int) -> None:
    """A part as it stands now, new or not."""
    values = {
        "claim": int(part.claim),
        "owner": part.owner,
        "open_fen": part.open_fen,
        "pledgee": part.pledgee,
        "change": change,
    }
    same = (receivable_parts.c.receivable_id == receivable_id) & (receivable_parts.c.part == part.number)
    if connection.execute(update(receivable_parts).where(same).values(values)).rowcount == 0:
        row = {"receivable_id": receivable_id, "part": part.number, **values}
        connection.execute(insert(receivable_parts), row)


def set_parts(connection: Connection, receivable_id: bytes, parts: Mapping[int, Part]) -> None:
    """These parts and no others; they changed when their receivable did."""
    own = receivable_parts.c.receivable_id == receivable_id
    connection.execute(delete(receivable_parts).where(own))
    change = connection.scalar(select(receivables.c.change).where(receivables.c.receivable_id == receivable_id)) or 0
    for part in parts.values():
        put_part(connection, receivable_id, part, change)


def has_part(connection: Connection, receivable_id: bytes, member: int) -> bool:
    """Whether a member owns or owned a part of a receivable, or has one pledged to it."""
    own = (receivable_parts.c.owner == member) | (receivable_parts.c.pledgee == member)
    query = select(exists().where(receivable_parts.c.receivable_id == receivable_id, own))
    return connection.scalar(query) or False


def transferee(connection: Connection, member: int, creditor: int) -> Transferee:
    """What a member may be given, as it is known here."""
    row = connection.execute(select(members.c.roles, members.c.status).where(members.c.member_id == member)).first()
    is_member = row is not None and row.status == "admitted"
    is_bank = row is not None and is_member and "bank" in json.loads(row.roles)
    return Transferee(member, is_member=is_member, is_bank=is_bank, is_creditor=member == creditor)
