"""The audit of who takes part, and of what leaves escrow, against what the chain says of them.

A member that the chain admitted is here with those roles that contracts know, and is frozen when the regulator froze
it; whoever is here as a member was admitted there, or the call that says so is on its way. Exits are what the events
make them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from settlement import abi, acts, audit_store, outbox, store
from settlement.acts import FUND, Role
from settlement.audit_scene import Scene, Step, Tick
from settlement.chain import ChainEvent
from settlement.compile import compiled
from settlement.contradiction import Contradiction, differs

STRANGERS = ("pending", "refused")
"""Who has asked to be admitted and is not: the chain knows nothing of them."""


def steps(scene: Scene) -> list[Step]:
    """The steps on members and their exits."""
    count = scene.connection
    return [
        Step("members against the chain", "members", audit_store.count(count, "members"), _members),
        Step("exits against the chain", "exits", audit_store.count(count, "exits"), _exits),
    ]


# -------------------------------------------------------------------------------------------------- members


def _members(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    seen = _mirrored(scene)
    masks = _masks(scene.events)
    known = {_member(event) for event in seen if event.event == "Admitted"}
    frozen = {_member(event): bool(event.arguments["frozen"]) for event in seen if event.event == "Frozen"}
    on_their_way = _on_their_way(scene)
    rows = audit_store.all_members(scene.connection)
    for row in rows:
        yield from _member_row(row, masks.get(row.member_id, []), row.member_id in on_their_way)
        if row.frozen != frozen.get(row.member_id, False):
            yield differs("members", row.member_id, "frozen", stated=row.frozen, computed=not row.frozen)
        tick(1)
    for member in sorted(known - {row.member_id for row in rows}):
        yield Contradiction("members", str(member), "member_id", "the chain admitted it, and it is not here")


def _member_row(row: Row[Any], masks: Sequence[int], is_on_its_way: bool) -> Iterator[Contradiction]:
    key = str(row.member_id)
    is_stranger = row.status in STRANGERS
    if row.member_id == FUND:
        if row.kind != "fund" or masks:
            yield Contradiction("members", key, "kind", "the guarantee fund is nobody's")
    elif is_stranger == bool(masks or is_on_its_way):
        word = "knows it" if is_stranger else "never heard of it"
        yield Contradiction("members", key, "member_id, status", f"is {row.status}, and the chain {word}")
    mask = mask_of(row.roles)
    if mask is None:
        yield Contradiction("members", key, "roles", "is no list of roles, sorted")
    elif masks and mask not in masks:
        yield differs("members", key, "roles", stated=mask, computed=masks[-1])


def mask_of(roles: str) -> int | None:
    """Those of a member's roles that contracts know, from the JSON of ``members.roles``; None when it is none."""
    try:
        names = msgspec.json.decode(roles, type=list[str])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if msgspec.json.encode(sorted(set(names))).decode() != roles:
        return None
    return sum(Role[name.upper()] for name in names if name.upper() in Role.__members__)


def _masks(events: Iterable[ChainEvent]) -> dict[int, list[int]]:
    """Every role mask that the chain ever gave each member, in order."""
    found: dict[int, list[int]] = {}
    for event in events:
        if event.contract == "Members" and event.event in ("Admitted", "RolesGranted"):
            found.setdefault(_member(event), []).append(int(event.arguments["roles"]))
    return found


def _on_their_way(scene: Scene) -> set[int]:
    """Members of admissions that are queued."""
    found: set[int] = set()
    for row in audit_store.outbox_rows(scene.connection):
        if row.kind == "Members.admit_many" and row.state in (outbox.WAITING, outbox.SENT):
            admissions = abi.arguments(compiled()["Members"], row.call)["admissions"]
            found.update(int(each[0]) for each in admissions)
    return found


# ---------------------------------------------------------------------------------------------------- exits


def _exits(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    asked: dict[int, dict[str, int]] = {}
    for event in _mirrored(scene):
        if (event.contract, event.event) == ("Clearing", "ExitRequested"):
            values = event.arguments
            asked[_member(event)] = {
                "amount_micro": int(values["amount"]),
                "requested_s": event.block_s,
                "horizon_s": int(values["horizon_s"]),
            }
        elif (event.contract, event.event) == ("Clearing", "Exited"):
            asked.pop(_member(event), None)
    for row in audit_store.all_exits(scene.connection):
        computed = asked.pop(row.member_id, None)
        if computed is None:
            yield Contradiction("exits", str(row.member_id), "member_id", "the chain was not asked for it")
            continue
        for column, value in computed.items():
            if getattr(row, column) != value:
                yield differs("exits", row.member_id, column, stated=getattr(row, column), computed=value)
        if row.outbox_id is not None and row.call != acts.exit_escrow(row.member_id).data:
            yield Contradiction("exits", str(row.member_id), "outbox_id", "names no exit of this member")
        if (row.tried_s is None) != (row.outbox_id is None):
            yield Contradiction("exits", str(row.member_id), "tried_s", "is there exactly when a call is")
        tick(1)
    for member in asked:
        yield Contradiction("exits", str(member), "member_id", "is on the chain and not here")


# --------------------------------------------------------------------------------------------------- events


def _mirrored(scene: Scene) -> list[ChainEvent]:
    upto = store.last_mirrored_block(scene.connection)
    return [event for event in scene.events if event.block <= upto]


def _member(event: ChainEvent) -> int:
    return int(event.arguments["member"])
