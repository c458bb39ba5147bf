"""The audit holds the contract itself to the rules: every payment on the chain shared anew, every step looked up.

Interest is computed from the terms of the sale and the days of the blocks, shares and parts from what was open. What
the contract said is compared, so that a contract that counts otherwise is found as surely as a changed row.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection

from data.units import floor_fen
from finance import parts as fractions
from finance import store, waterfall
from finance.mirror import TOLD
from finance.parts import ClaimKind
from finance.position import ABSENT, OF_RECEIVABLES, Position, issued, step
from finance.receivable import State, chain_state, is_reachable
from finance.waterfall import NEVER_LATE, Balance, Lateness
from settlement import calendar
from settlement.audit_scene import Scene, Step, Tick
from settlement.chain import ChainEvent
from settlement.contradiction import Contradiction
from settlement.keccak import keccak


def steps(scene: Scene) -> list[Step]:
    """The steps after those of ``audit_acts.py``."""
    return [Step("receivables by the rules", "receivables", len(store.all_receivables(scene.connection)), _examine)]


def _examine(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    yield from by_rules(scene.connection, scene.events, scene.terms.rules.time_zone, tick)


def by_rules(
    connection: Connection, events: Iterable[ChainEvent], time_zone: str, tick: Tick
) -> Iterator[Contradiction]:
    """Where the chain's events on receivables, all there are, are not what the rules make of them."""
    stories: dict[bytes, list[ChainEvent]] = {}
    for event in events:
        if event.contract in OF_RECEIVABLES and event.event in TOLD:
            receivable_id = event.arguments["receivable"]
            assert isinstance(receivable_id, bytes)
            stories.setdefault(receivable_id, []).append(event)
    for row in store.all_receivables(connection):
        yield from _story(row, stories.get(row.receivable_id, []), time_zone)
        tick(1)
    yield from _disputes(connection, stories)


class _Seen(NamedTuple):
    """An event with what stood before its transaction, and the local day."""

    name: str
    face_fen: int
    before: Position
    said: dict[str, Any]
    day: date


def _story(row: Any, events: list[ChainEvent], time_zone: str) -> Iterator[Contradiction]:
    """One receivable's events, transaction by transaction: what they did is what the rules make of it."""
    name, position = row.receivable_id.hex(), issued(row.creditor, row.due_day)
    start = 0
    while start < len(events):
        end = start + 1
        while end < len(events) and events[end].transaction_hash == events[start].transaction_hash:
            end += 1
        before = position
        for event in events[start:end]:
            day = calendar.day_of(event.block_s, time_zone)
            yield from _step(name, position, event)
            position = step(position, event, day)
            seen = _Seen(name, row.face_fen, before, dict(event.arguments), day)
            if event.event == "Repaid":
                yield from _payment(seen, position)
            elif event.event == "BoughtBack":
                yield from _price(seen)
        start = end
        yield from _sums(name, row.face_fen, position)


def _step(name: str, position: Position, event: ChainEvent) -> Iterator[Contradiction]:
    if event.event != "Changed" or event.arguments["before"] == ABSENT:
        return
    said: dict[str, Any] = event.arguments
    before, after = (chain_state(said[each]) for each in ("before", "after"))
    if before != position.state or not is_reachable(before, after):
        yield Contradiction("receivables", name, "state", f"the chain went from {before} to {after}, against the rules")


def _balance(face_fen: int, position: Position) -> Balance:
    parts = tuple(position.parts.values())
    lateness = NEVER_LATE if position.bought_back else Lateness(position.late_rate_ppm, position.year_days)
    return Balance(
        face_fen,
        fractions.open_of(parts, ClaimKind.HOLDER),
        fractions.open_of(parts, ClaimKind.RESIDUAL),
        position.costs_due_fen,
        position.interest_due_fen,
        position.paid_fen,
        lateness,
        date.fromisoformat(position.accrued_day),
    )


def _payment(seen: _Seen, after: Position) -> Iterator[Contradiction]:
    said = seen.said
    stated = [floor_fen(said[each]) for each in ("to_costs", "to_interest", "to_advance", "to_residual")]
    try:
        _, shares = waterfall.pay(_balance(seen.face_fen, seen.before), floor_fen(said["amount"]), seen.day)
    except waterfall.OverpaidError as error:
        yield Contradiction("receivables", seen.name, "paid_fen", f"the chain took a payment that is none: {error}")
        return
    if list(shares) != stated:
        why = f"the chain shared {stated}, the rules {list(shares)}"
        yield Contradiction("receivables", seen.name, "paid_fen", why)
        return
    left, _ = fractions.paid(_open(seen.before), shares)
    if left != _open(after):
        why = "the chain shared a payment otherwise among parts"
        yield Contradiction("receivable_parts", seen.name, "open_fen", why)


def _open(position: Position) -> fractions.Parts:
    return tuple(part for _, part in sorted(position.parts.items()) if part.open_fen)


def _price(seen: _Seen) -> Iterator[Contradiction]:
    _, price_fen = waterfall.buy_back(_balance(seen.face_fen, seen.before), seen.day)
    stated = floor_fen(seen.said["price"])
    if stated != price_fen:
        why = f"for {stated} fen on the chain, {price_fen} by the rules"
        yield Contradiction("receivables", seen.name, "bought_back", why)


def _sums(name: str, face_fen: int, position: Position) -> Iterator[Contradiction]:
    """Live + redeemed + written off = face, while it is owed at all."""
    if not position.parts or position.state in (State.REJECTED, State.CANCELLED, State.VOID):
        return
    whole = sum(part.open_fen for part in position.parts.values()) + position.paid_fen
    if whole != face_fen:
        yield Contradiction(
            "receivable_parts", name, "open_fen", f"open and paid come to {whole}, the face is {face_fen}"
        )


def _disputes(connection: Connection, stories: Mapping[bytes, list[ChainEvent]]) -> Iterator[Contradiction]:
    """The words of a dispute are those whose hash the debtor signed."""
    words = {
        (row.receivable_id, row.block): row.reason
        for row in store.all_changes(connection)
        if row.after == State.DISPUTED and row.before != State.DISPUTED
    }
    for receivable_id, events in stories.items():
        for event in events:
            said = words.get((receivable_id, event.block)) if event.event == "Disputed" else None
            if said is not None and keccak(said.encode()) != event.arguments["reason"]:
                yield Contradiction("receivable_history", receivable_id.hex(), "reason", "is not what was signed")
