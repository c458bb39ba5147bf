"""The audit of disputes: challenges, struck trades and void cycles are what the chain's events make them."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Row

from settlement import calendar, dispute_store, store
from settlement.audit_scene import Scene, Tick
from settlement.chain import ChainEvent
from settlement.contradiction import Contradiction, differs

_ENDS = {"Answered": dispute_store.ANSWERED, "Upheld": dispute_store.UPHELD}
_NAMED = {"name": "challenge", "trade_id": "trade"}


def examine_disputes(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """Every row against its event, and every event that was mirrored against the rows."""
    upto = store.last_mirrored_block(scene.connection)
    yield from _challenges(scene, upto, tick)
    yield from _struck(scene, upto)
    yield from _void(scene, upto)


def _challenges(scene: Scene, upto: int, tick: Tick) -> Iterator[Contradiction]:
    asked = _until(upto, scene.of("Disputes", "Challenged"))
    ends = _until(upto, *(scene.of("Disputes", name) for name in _ENDS))
    rows = dispute_store.all_challenges(scene.connection)
    if len(rows) != len(asked):
        yield differs("challenges", "all", "count", stated=len(rows), computed=len(asked))
    for number, (row, event) in enumerate(zip(rows, asked, strict=False), start=1):
        end = next((each for each in ends if _is_end_of(each, event)), None)
        computed: Mapping[str, object] = {
            "number": number,
            **{name: event.arguments[_NAMED.get(name, name)] for name in _CHALLENGE},
            "opened_s": event.block_s,
            "state": dispute_store.OPEN if end is None else _ENDS[end.event],
        }
        yield from _differences("challenges", str(row.number), row, computed)
        if end is not None:
            ends.remove(end)
        tick(1)


_CHALLENGE = ("name", "cycle", "trade_id", "side", "leaf", "challenger", "due_s")


def _is_end_of(end: ChainEvent, asked: ChainEvent) -> bool:
    is_later = (end.block, end.log_index) > (asked.block, asked.log_index)
    return is_later and end.arguments["challenge"] == asked.arguments["challenge"]


def _struck(scene: Scene, upto: int) -> Iterator[Contradiction]:
    first: dict[object, ChainEvent] = {}
    for event in _until(upto, scene.of("Disputes", "Struck")):
        first.setdefault(event.arguments["leaf"], event)
    rows = dispute_store.struck(scene.connection)
    if len(rows) != len(first):
        yield differs("struck_trades", "all", "count", stated=len(rows), computed=len(first))
    for row in rows:
        found = store.trades_between(scene.connection, row.trade_id, row.trade_id)
        said = first.get(row.leaf)
        if said is None or not found or found[0].leaf != row.leaf:
            yield Contradiction("struck_trades", str(row.trade_id), "leaf", "is not that of a trade that was struck")
            continue
        computed = {
            "cycle": said.arguments["cycle"],
            "member_id": said.arguments["member"],
            "struck_s": said.block_s,
        }
        yield from _differences("struck_trades", str(row.trade_id), row, computed)


def _void(scene: Scene, upto: int) -> Iterator[Contradiction]:
    """A round that fell was proposed, or waited behind one that was; the fall of each has an event."""
    fallen = _until(upto, scene.of("Clearing", "CycleVoided"))
    times = {event.block_s for event in fallen}
    proposed = _until(upto, scene.of("Clearing", "Proposed"))
    for row in dispute_store.all_void(scene.connection):
        key = f"{row.cycle} round {row.round}"
        if row.voided_s not in times:
            yield Contradiction("void_cycles", key, "voided_s", "is the time of no fall")
        of_it = [each.round for each in dispute_store.void_rounds(scene.connection, row.cycle)]
        if of_it != [*range(1, len(of_it) + 1)]:
            yield Contradiction("void_cycles", key, "round", "are not 1, 2, 3 ...")
        if (row.start_s, row.end_s) != _bounds(row.day, scene.terms.rules.time_zone):
            yield Contradiction("void_cycles", key, "day, start_s, end_s", "do not belong together")
        roots = [each.arguments["trades_root"] for each in proposed if each.arguments["cycle"] == row.cycle]
        if roots and row.round <= len(roots) and row.trades_root not in roots:
            yield Contradiction("void_cycles", key, "trades_root", "was never proposed")


def _bounds(day: str, time_zone: str) -> tuple[int, int] | None:
    try:
        return calendar.bounds(date.fromisoformat(day), time_zone)
    except ValueError:
        return None


def _until(upto: int, *events: list[ChainEvent]) -> list[ChainEvent]:
    """Events of several kinds up to a block, in the chain's order."""
    found = [event for some in events for event in some if event.block <= upto]
    return sorted(found, key=lambda each: (each.block, each.log_index))


def _differences(table: str, key: str, row: Row[Any], computed: Mapping[str, object]) -> Iterator[Contradiction]:
    for column, value in computed.items():
        if row._mapping[column] != value:
            yield differs(table, key, column, stated=row._mapping[column], computed=value)
