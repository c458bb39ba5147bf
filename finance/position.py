"""Where the chain's events leave a receivable: one event after another, from nothing to where it stands.

The mirror takes the step of each new event, a reorganisation takes all that are left again, the audit takes all there
are. Amounts are fen; days are local. What is open of the claims is in the parts.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple

from data.units import floor_fen
from finance.parts import ClaimKind, Part
from finance.receivable import State, chain_state
from finance.waterfall import Lateness, late_interest_fen_ceil
from settlement.chain import ChainEvent

ABSENT = 0
"""The chain's state of what is not there yet."""

OF_RECEIVABLES = ("Receivables", "Sales")
"""The contracts whose events speak of receivables."""


class Position(NamedTuple):
    """The columns of ``receivables`` that follow from the chain, and the rows of ``receivable_parts``, by number."""

    state: str
    holder: int
    accrued_day: str
    on_chain: bool = False
    advance_fen: int = 0
    proceeds_fen: int = 0
    paid_fen: int = 0
    costs_due_fen: int = 0
    interest_due_fen: int = 0
    late_rate_ppm: int = 0
    year_days: int = 360
    with_recourse: bool = False
    bought_back: bool = False
    registration: bytes | None = None
    frozen: bool = False
    claimed_count: int = 0
    complete: bool = False
    parts: Mapping[int, Part] = {}

    @property
    def columns(self) -> dict[str, Any]:
        """All but the parts."""
        values = self._asdict()
        del values["parts"]
        return values


def issued(creditor: int, due_day: str) -> Position:
    """As its period's root was put on the chain: its creditor's, and not there itself yet."""
    return Position(State.ISSUED.value, creditor, due_day)


def step(before: Position, event: ChainEvent, day: date) -> Position:
    """After an event on this receivable, which happened on a local day."""
    take = _STEPS.get(event.event)
    return before if take is None else take(before, event.arguments, day)


Arguments = Mapping[str, Any]


def _materialised(before: Position, said: Arguments, day: date) -> Position:
    return before._replace(on_chain=True)


def _changed(before: Position, said: Arguments, day: date) -> Position:
    after = chain_state(said["after"])
    return before._replace(state=after.value, on_chain=True)


def _part_changed(before: Position, said: Arguments, day: date) -> Position:
    part = part_after(said)
    parts = {**before.parts, part.number: part}
    held = [each.owner for _, each in sorted(parts.items()) if each.claim is ClaimKind.HOLDER and each.open_fen]
    return before._replace(parts=parts, holder=held[0] if held else before.holder)


def part_after(said: Arguments) -> Part:
    """The part that a ``PartChanged`` leaves."""
    return Part(said["part"], ClaimKind(said["claim"]), said["owner"], floor_fen(said["after"]), said["pledgee"])


def _assigned(before: Position, said: Arguments, day: date) -> Position:
    return before._replace(
        holder=said["bank"],
        advance_fen=floor_fen(said["advance"]),
        costs_due_fen=floor_fen(said["costs"]),
        late_rate_ppm=said["late_rate"],
        year_days=said["year_days"],
        with_recourse=said["with_recourse"],
        registration=said["registration"],
    )


def _financed(before: Position, said: Arguments, day: date) -> Position:
    return before._replace(proceeds_fen=floor_fen(said["proceeds"]))


def _repaid(before: Position, said: Arguments, day: date) -> Position:
    """What is open of the advance is what the parts already show, and what they just got of it."""
    open_fen = floor_fen(said["to_advance"]) + _open_advance_fen(before)
    interest_fen = before.interest_due_fen + _accrued_fen(before, open_fen, day)
    accrued_day = max(day.isoformat(), before.accrued_day) if open_fen else before.accrued_day
    return before._replace(
        paid_fen=before.paid_fen + floor_fen(said["amount"]),
        costs_due_fen=before.costs_due_fen - floor_fen(said["to_costs"]),
        interest_due_fen=interest_fen - floor_fen(said["to_interest"]),
        accrued_day=accrued_day,
    )


def _accrued_fen(before: Position, open_fen: int, day: date) -> int:
    if before.bought_back:
        return 0
    days = max(0, (day - date.fromisoformat(before.accrued_day)).days)
    return late_interest_fen_ceil(open_fen, Lateness(before.late_rate_ppm, before.year_days), days)


def _open_advance_fen(position: Position) -> int:
    return sum(part.open_fen for part in position.parts.values() if part.claim is ClaimKind.HOLDER)


def _bought_back(before: Position, said: Arguments, day: date) -> Position:
    accrued_day = max(day.isoformat(), before.accrued_day)
    return before._replace(bought_back=True, costs_due_fen=0, interest_due_fen=0, accrued_day=accrued_day)


def _frozen(before: Position, said: Arguments, day: date) -> Position:
    return before._replace(frozen=said["frozen"])


def _claimed(before: Position, said: Arguments, day: date) -> Position:
    return before._replace(claimed_count=said["count"], complete=said["is_complete"])


_STEPS: dict[str, Callable[[Position, Arguments, date], Position]] = {
    "Materialised": _materialised,
    "Changed": _changed,
    "PartChanged": _part_changed,
    "Assigned": _assigned,
    "Financed": _financed,
    "Repaid": _repaid,
    "BoughtBack": _bought_back,
    "FrozenChanged": _frozen,
    "TradesClaimed": _claimed,
}
