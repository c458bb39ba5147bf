"""SQL of keys that change on the chain: recoveries that are pending, and live keys that the market has not got yet."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from data.tables import chain_events, member_keys, outbox
from settlement.outbox import DONE, SENT, WAITING
from settlement.signatures import PublicKey
from settlement.store import last_mirrored_block

_EVENTS = ("RecoveryProposed", "RecoveryVetoed", "KeyRotated")


class Pending(NamedTuple):
    """A key that governance proposed for a member; after ``vetoable_until_s`` anyone may complete it."""

    key: PublicKey
    vetoable_until_s: int


class KeysOnChain(NamedTuple):
    """What the chain said of keys since admission, by member: the key it has now, and the one that is proposed."""

    live: Mapping[int, PublicKey]
    pending: Mapping[int, Pending]


def on_chain(connection: Connection) -> KeysOnChain:
    """Of members whose key was changed, or may be."""
    query = (
        select(chain_events.c.event, chain_events.c.arguments)
        .where(chain_events.c.contract == "Members", chain_events.c.event.in_(_EVENTS))
        .order_by(chain_events.c.block, chain_events.c.log_index)
    )
    live: dict[int, PublicKey] = {}
    pending: dict[int, Pending] = {}
    for event, said in connection.execute(query):
        arguments = json.loads(said)
        member, key = int(arguments["member"]), PublicKey(int(arguments["x"]), int(arguments["y"]))
        if event == "RecoveryProposed":
            pending[member] = Pending(key, int(arguments["vetoable_until_s"]))
        else:
            pending.pop(member, None)
        if event == "KeyRotated":
            live[member] = key
    return KeysOnChain(live, pending)


def next_index(connection: Connection) -> int:
    """What the next proposed recovery must carry, when all that wait reach the chain."""
    query = select(func.count()).select_from(outbox)
    ours = connection.scalar(
        query.where(outbox.c.kind == "Members.propose_recovery", outbox.c.state.in_((WAITING, SENT)))
    )
    there = select(func.count()).select_from(chain_events)
    said = connection.scalar(
        there.where(chain_events.c.contract == "Members", chain_events.c.event == "RecoveryProposed")
    )
    return (ours or 0) + (said or 0)


def is_under_way(connection: Connection, call: bytes) -> bool:
    """Whether a completion is on its way to the chain, or its events on their way to the mirror."""
    query = select(outbox.c.outbox_id).where(
        outbox.c.kind == "Members.recover_key", outbox.c.call == call, _is_under_way(connection)
    )
    return connection.execute(query).first() is not None


def behind(connection: Connection, live: Mapping[int, PublicKey]) -> dict[int, tuple[PublicKey, PublicKey]]:
    """Members whose key here is another than on the chain, with no call of ours that explains it: (here, there)."""
    if not live:
        return {}
    calls = select(member_keys.c.member_id).join(outbox, outbox.c.outbox_id == member_keys.c.outbox_id)
    waiting = set(connection.scalars(calls.where(_is_under_way(connection))))
    query = select(member_keys).where(member_keys.c.to_sequence.is_(None), member_keys.c.member_id.in_(live))
    found = {}
    for row in connection.execute(query):
        here = PublicKey(int.from_bytes(row.x, "big"), int.from_bytes(row.y, "big"))
        if here != live[row.member_id] and row.member_id not in waiting:
            found[row.member_id] = (here, live[row.member_id])
    return found


def _is_under_way(connection: Connection) -> ColumnElement[bool]:
    return outbox.c.state.in_((WAITING, SENT)) | (
        (outbox.c.state == DONE) & (outbox.c.block > last_mirrored_block(connection))
    )
