"""A cycle is drafted: computed from the database slot by slot, written in portions, and there only when it is whole.

A row in ``drafts`` closes the day: readings that are recorded from then on come late, whatever the clock says. Each
slot is read in a snapshot of its own, and no transaction writes more than some ten thousand rows, so that orders are
written meanwhile and memory holds one slot. Deliveries and lines count once the cycle stands in ``cycles``, which is
the last thing written; what a crash leaves of a draft is removed before the next begins.
"""

import secrets
from collections import deque
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from data.database import reading
from settlement import acts, calendar, cycle_store, dispute_store, reading_store, store
from settlement.cycle import proposal_of
from settlement.cycle_outcome import Computation, CycleInputs, CycleTotals, Portion, SlotInputs, portions
from settlement.delivery import Delivery, Estimate, LateSlot, Line
from settlement.intents import Domain
from settlement.officer import Officer
from settlement.rules import SettlementRules

ROWS_AT_ONCE = 10_000
"""The most rows that one transaction of a draft writes or removes: some tens of milliseconds."""


class Span(NamedTuple):
    """A cycle to be drafted: its number, its local day, the day of the cycle before it (None: it is the first)."""

    cycle: int
    day: date
    after: date | None

    def cut_before_s(self, rules: SettlementRules) -> int:
        """What was received before this counted in an earlier cycle."""
        return 0 if self.after is None else rules.cut_s(self.after)


def draft_due(database: Engine, now_s: int, *, rules: SettlementRules, domain: Domain, operator: Officer) -> int | None:
    """Draft the next cycle when it is ready; call again until it returns None. Returns the cycle's number, or None."""
    taken = deque(steps(database, now_s, rules=rules, domain=domain, operator=operator), maxlen=1)
    return taken[0] if taken else None


def steps(
    database: Engine, now_s: int, *, rules: SettlementRules, domain: Domain, operator: Officer
) -> Iterator[int | None]:
    """As ``draft_due``, with a rest after each slot: whoever takes the steps can do other things between them.

    The last step gives the cycle's number; when none is ready there is no step.

    A local day is ready when its reading deadline and correction window have passed, all its trades are committed and
    the checker has signed the cycle before. A day on which nothing happened and nothing falls due has no cycle.
    """
    with reading(database) as connection:
        span, broken_off = _next_span(connection, now_s, rules), cycle_store.draft(connection)
        fallen = [] if span is None else dispute_store.void_rounds(connection, span.cycle)
    if span is None:
        return
    if broken_off is None:
        _, end_s = calendar.bounds(span.day, rules.time_zone)
        with database.begin() as connection:
            cycle_store.begin_draft(connection, span.cycle, span.day, end_s)
    else:
        assert broken_off.cycle == span.cycle
    if broken_off is not None or fallen:
        yield from _remove(database, span.cycle)
    inputs = inputs_of(database, span, secrets.token_bytes(32), rules)
    computation = Computation(inputs.salt, inputs.owners, rules)
    written = _Written(database, span.cycle)
    for portion in portions(inputs, computation):
        written.add(portion)
        yield None
    written.flush()
    totals = computation.totals()
    row = _row(inputs, totals, len(fallen) + 1, domain=domain, operator=operator)
    with database.begin() as connection:
        is_whole = cycle_store.end_draft(connection, row, totals.parts)
    yield span.cycle if is_whole else None


def _remove(database: Engine, number: int) -> Iterator[None]:
    is_more = True
    while is_more:
        with database.begin() as connection:
            is_more = cycle_store.remove_drafted(connection, number, ROWS_AT_ONCE)
        yield


def _row(inputs: CycleInputs, totals: CycleTotals, number: int, *, domain: Domain, operator: Officer) -> dict[str, Any]:
    proposal = proposal_of(inputs.cycle, inputs.start_s, inputs.end_s, totals)
    return {
        "cycle": inputs.cycle,
        "round": number,
        "day": inputs.day.isoformat(),
        "start_s": inputs.start_s,
        "end_s": inputs.end_s,
        "state": "drafted",
        "salt": inputs.salt,
        "trades_root": totals.trades_root,
        "readings_root": totals.readings_root,
        "statements_root": totals.statements_root,
        "parts_hash": acts.parts_hash(proposal.parts),
        "operator_signature": operator.approve(acts.propose_digest(domain, proposal)).signature,
    }


class _Written:
    """Deliveries and lines of a draft, gathered and written in portions of ROWS_AT_ONCE at most."""

    def __init__(self, database: Engine, number: int) -> None:
        self._database, self._number = database, number
        self._deliveries: list[Delivery] = []
        self._lines: list[Line] = []
        self._estimates: list[Estimate] = []
        self._line = 1

    def add(self, portion: Portion) -> None:
        self._deliveries += portion.deliveries
        self._lines += portion.lines
        self._estimates += portion.estimates
        if self._most() >= ROWS_AT_ONCE:
            self.flush()

    def _most(self) -> int:
        return max(len(self._deliveries), len(self._lines), len(self._estimates))

    def flush(self) -> None:
        for start in range(0, self._most(), ROWS_AT_ONCE):
            end = start + ROWS_AT_ONCE
            some = Portion(self._deliveries[start:end], self._lines[start:end], self._estimates[start:end])
            with self._database.begin() as connection:
                cycle_store.write_draft(connection, self._number, self._line, some)
            self._line += len(some.lines)
        self._deliveries, self._lines, self._estimates = [], [], []


# ------------------------------------------------------------------------------- what a cycle is computed from


def _next_span(connection: Connection, now_s: int, rules: SettlementRules) -> Span | None:
    """The next cycle; None when none is ready."""
    last = cycle_store.last_cycle(connection)
    number = (last.cycle if last else 0) + 1
    if last is not None and last.state in ("drafted", "refused"):
        return None
    if dispute_store.open_challenges(connection, number):  # it was void; what else is disputed in it may be struck too
        return None
    after = None if last is None else date.fromisoformat(last.day)
    day = cycle_store.next_day(connection, after, rules)
    if day is None:
        return None
    start_s, end_s = calendar.bounds(day, rules.time_zone)
    committed = store.last_commitment(connection)
    is_committed = store.newest_trade(connection, start_s, end_s) <= (committed.last_trade if committed else 0)
    if end_s + rules.window_s > now_s or not is_committed:
        return None
    return Span(number, day, after)


def inputs_of(database: Engine, span: Span, salt: bytes, rules: SettlementRules) -> CycleInputs:
    """The inputs of a cycle whose day is closed; each slot is read when it is taken."""
    start_s, end_s = calendar.bounds(span.day, rules.time_zone)
    with reading(database) as connection:
        debts = [] if span.after is None else cycle_store.debts_due(connection, span.after, span.day, rules.time_zone)
        owners = cycle_store.owners(connection)
    return CycleInputs(
        cycle=span.cycle,
        day=span.day,
        start_s=start_s,
        end_s=end_s,
        salt=salt,
        slots=_slots(database, span.day, rules),
        late=_late(database, span, rules),
        owners=owners,
        debts=debts,
    )


def _slots(database: Engine, day: date, rules: SettlementRules) -> Iterator[SlotInputs]:
    with reading(database) as connection:
        busy = reading_store.busy_slots(connection, *calendar.bounds(day, rules.time_zone))
        grid = reading_store.areas(connection)
    for slot_s in busy:
        with reading(database) as connection:
            trades = store.trades_of_slots(connection, slot_s, slot_s + 1)
            kept = reading_store.readings_at(connection, slot_s, rules.cut_s(day))
        counted = grid.count(slot_s, kept)
        leaves = [each.leaf for each in trades]
        yield SlotInputs(slot_s, [each.slot_trade for each in trades], leaves, counted.readings, counted.unproven)


def _late(database: Engine, span: Span, rules: SettlementRules) -> Iterator[LateSlot]:
    with reading(database) as connection:
        found = late_slots(connection, span, rules)
        grid = reading_store.areas(connection)
    for slot_s, cycle in found:
        with reading(database) as connection:
            trades = store.trades_at(connection, slot_s)
            before = reading_store.readings_at(connection, slot_s, span.cut_before_s(rules))
            after = reading_store.readings_at(connection, slot_s, rules.cut_s(span.day))
        yield LateSlot(slot_s, cycle, trades, grid.count(slot_s, before).readings, grid.count(slot_s, after).readings)


def late_slots(connection: Connection, span: Span, rules: SettlementRules) -> list[tuple[int, int]]:
    """The slots of earlier days of which readings came between the last cycle's cut and this one's, with their cycles.

    Ascending; cycle 0 where the slot's day had none.
    """
    start_s, _ = calendar.bounds(span.day, rules.time_zone)
    received_s = (span.cut_before_s(rules), rules.cut_s(span.day))
    slots = reading_store.slots_read_between(connection, (start_s - rules.late_s - rules.window_s, start_s), received_s)
    numbers = {row.day: row.cycle for row in cycle_store.cycles_in(connection)} if slots else {}
    return [(slot_s, numbers.get(calendar.day_of(slot_s, rules.time_zone).isoformat(), 0)) for slot_s in slots]
