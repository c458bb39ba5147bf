"""The audit of what the operator decided: about members, about halts, about members' own limits; and of the genesis.

The words of a decision have no second witness. That decisions follow each other, that a member stands as the last one
left it, and that the journal took no order where none was to be taken, can be computed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from data.store import PSEUDONYM_KEY
from market import audit_store
from market.config import INSTITUTIONS
from market.decision_store import AFTER, BEFORE
from market.scopes import ROLES
from market.serving import GENESIS
from settlement.acts import FUND
from settlement.audit_scene import Scene, Step, Tick
from settlement.contradiction import Contradiction, differs
from settlement.journal_replay import OrderEnd

KEPT_TOO = ("clock_s", PSEUDONYM_KEY)
"""Settings beside the genesis that a market may have."""


def steps(scene: Scene, genesis: Mapping[str, object]) -> list[Step]:
    """The steps on decisions, halts, controls and settings; ``genesis`` is what market.toml and the chain say."""
    connection = scene.connection
    decisions, halts = audit_store.all_decisions(connection), audit_store.all_halts(connection)
    controls = audit_store.all_controls(connection)
    return [
        Step("what the market began with", "settings", len(audit_store.all_settings(connection)), _settings(genesis)),
        Step("decisions about members", "decisions", len(decisions), _decisions),
        Step("halts and stopped members against the journal", "rules", len(halts) + len(controls), _standing_orders),
    ]


def _settings(genesis: Mapping[str, object]) -> Callable[[Scene, Tick], Iterator[Contradiction]]:
    def examine(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
        kept = audit_store.all_settings(scene.connection)
        begun = msgspec.json.decode(kept.pop(GENESIS, "{}"))
        for name in sorted({*begun, *genesis}):
            if begun.get(name) != genesis.get(name):
                yield differs("settings", GENESIS, "value", stated=begun.get(name), computed=genesis.get(name))
        tick(1)
        for name in kept:
            if name not in KEPT_TOO:
                yield Contradiction("settings", name, "name", "is no setting")
            tick(1)
        yield from _institutions(scene, genesis)

    return examine


def _institutions(scene: Scene, genesis: Mapping[str, object]) -> Iterator[Contradiction]:
    """Those whom market.toml names are members under that name."""
    named = genesis["institutions"]
    assert isinstance(named, dict)
    expected = {INSTITUTIONS[role]: institution["name"] for role, institution in named.items()}
    for row in audit_store.all_members(scene.connection):
        name = expected.pop(row.member_id, None)
        if name is not None and (row.name, row.kind) != (name, "institution"):
            yield differs("members", row.member_id, "name, kind", stated=(row.name, row.kind), computed=name)
    for member in expected:
        yield Contradiction("members", str(member), "member_id", "an institution of market.toml is not here")


# ------------------------------------------------------------------------------------------------- decisions


def _decisions(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Each follows from the one before; every member stands as they left it."""
    rows = audit_store.all_members(scene.connection)
    operators = {scene.terms.operator, *(row.member_id for row in rows if '"operator"' in row.roles)}
    status = {row.member_id: "admitted" if row.member_id == FUND else "pending" for row in rows}
    admitted_s = {row.member_id: row.registered_s for row in rows if row.member_id == FUND}
    last_s = 0
    for number, each in enumerate(audit_store.all_decisions(scene.connection), start=1):
        yield from _decision(number, each, status, operators, last_s)
        status[each.member_id] = AFTER.get(each.decision, status.get(each.member_id, ""))
        if each.decision == "admitted":
            admitted_s[each.member_id] = each.decided_s
        last_s = each.decided_s
        tick(1)
    for row in rows:
        for column, computed in {"status": status[row.member_id], "admitted_s": admitted_s.get(row.member_id)}.items():
            if getattr(row, column) != computed:
                yield differs("members", row.member_id, column, stated=getattr(row, column), computed=computed)
        unknown = set(msgspec.json.decode(row.roles)) - set(ROLES)
        if unknown:
            yield Contradiction("members", str(row.member_id), "roles", f"{min(unknown)!r} is none")


def _decision(
    number: int, each: Row[Any], status: Mapping[int, str], operators: set[int], last_s: int
) -> Iterator[Contradiction]:
    key = str(each.number)
    if each.number != number:
        yield differs("member_decisions", key, "number", stated=each.number, computed=number)
    if each.decision != "roles_set" and status.get(each.member_id) not in BEFORE.get(each.decision, ()):
        stands = f"{each.decision!r} of a member that is {status.get(each.member_id)}"
        yield Contradiction("member_decisions", key, "member_id, decision", stands)
    if each.decided_by not in operators:
        yield Contradiction("member_decisions", key, "decided_by", "decides nothing about members")
    if each.decided_s < last_s:
        yield Contradiction("member_decisions", key, "decided_s", "is before the decision before")


# ------------------------------------------------------------------------------------------- standing orders


def _standing_orders(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Seconds at which something begins or ends are open: the journal says only in which second it took an order."""
    halts, controls = audit_store.all_halts(scene.connection), audit_store.all_controls(scene.connection)
    for table, rows in (("halts", halts), ("member_controls", controls)):
        for number, row in enumerate(rows, start=1):
            if row.number != number:
                yield differs(table, row.number, "number", stated=row.number, computed=number)
    orders = sorted(scene.replay.orders.values(), key=lambda end: end.received_s) if halts or controls else []
    for halt in halts:
        yield from _whole(halt)
        for end in orders:
            if _is_inside(end, halt.halted_s, halt.lifted_s) and _is_halted(scene, end, halt):
                yield Contradiction("halts", str(halt.number), "halted_s", f"order {end.new.order_id} was taken in it")
        tick(1)
    by_member: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in controls:
        by_member[row.member_id].append(row)
    for rows in by_member.values():
        yield from _stopped(rows, orders)
        tick(len(rows))


def _whole(halt: Row[Any]) -> Iterator[Contradiction]:
    lifting = [halt.lifted_s is None, halt.lifted_by is None, halt.lift_reason is None]
    if any(lifting) != all(lifting):
        yield Contradiction("halts", str(halt.number), "lifted_s, lifted_by, lift_reason", "belong together")
    if halt.lifted_s is not None and halt.lifted_s < halt.halted_s:
        yield Contradiction("halts", str(halt.number), "lifted_s", "is before it was halted")


def _is_inside(end: OrderEnd, from_s: int, to_s: int | None) -> bool:
    return end.received_s > from_s and (to_s is None or end.received_s < to_s)


def _is_halted(scene: Scene, end: OrderEnd, halt: Row[Any]) -> bool:
    starts = halt.start_s is None or halt.start_s <= end.new.slot
    return starts and (halt.end_s is None or end.new.slot < halt.end_s) and _is_below(scene, end.new.meter, halt)


def _is_below(scene: Scene, node: int, halt: Row[Any]) -> bool:
    while node != -1:
        if halt.node_id in (None, node):
            return True
        node = scene.replay.nodes[node].parent
    return False


def _stopped(rows: Sequence[Row[Any]], orders: Iterable[OrderEnd]) -> Iterator[Contradiction]:
    """One member's controls, in their order: no order of it was taken while it was stopped."""
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        if row.stopped is None:
            continue
        until_s = None if after is None else after.changed_s
        for end in orders:
            if end.new.member == row.member_id and _is_inside(end, row.changed_s, until_s):
                yield Contradiction(
                    "member_controls", str(row.number), "stopped", f"order {end.new.order_id} was taken meanwhile"
                )
