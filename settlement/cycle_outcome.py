"""What a cycle comes to: one pure computation from the day's trades and readings to roots, lines and deltas.

The operator drafts a cycle with it, the checker computes it again from what is published before signing, the audit
once more from the database. Whoever has the same inputs has the same outcome, byte for byte; where two differ,
``first_difference`` names the first account or root that does. A day of millions of readings goes through slot by slot.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec

from settlement import acts, calendar, delivery, merkle, netting
from settlement.delivery import Delivery, Estimate, LateSlot, Line, PlainDebt, Reading, SlotTrade
from settlement.keccak import keccak
from settlement.rules import SettlementRules


class SlotInputs(NamedTuple):
    """What decides a slot: its trades and their leaves, by trade id, and the readings that count, by node.

    ``unproven`` are the nodes whose reading makes nothing financeable, and those of which none counts, for it is held.
    """

    slot_s: int
    trades: Sequence[SlotTrade]
    trade_leaves: Sequence[bytes]
    readings: Mapping[int, Reading]
    unproven: Collection[int] = ()


class CycleInputs(NamedTuple):
    """Everything that decides a cycle's outcome.

    ``slots`` are those in ``[start_s, end_s)`` and ``late`` those of earlier days whose readings came late, both
    ascending, each taken once: they may be read while they are computed. ``owners`` are the members of the nodes that
    traded or were read; ``debts`` is what falls due.
    """

    cycle: int
    day: date
    start_s: int
    end_s: int
    salt: bytes
    slots: Iterable[SlotInputs]
    late: Iterable[LateSlot]
    owners: Mapping[int, int]
    debts: Sequence[PlainDebt]


class CycleTotals(NamedTuple):
    """What operator and checker sign of a cycle."""

    trades_root: bytes
    readings_root: bytes
    statements_root: bytes
    parts: list[netting.Part]

    def proposal_parts(self, cycle: int) -> list[acts.Part]:
        """Hash and sum of each part, as the contract takes them."""
        return [acts.part(cycle, index, deltas_of(part)) for index, part in enumerate(self.parts)]


class Portion(NamedTuple):
    """What a slot adds to a cycle: deliveries by trade id, lines in their order, estimates by node."""

    deliveries: list[Delivery]
    lines: list[Line]
    estimates: list[Estimate]


class CycleOutcome(NamedTuple):
    """A whole cycle in memory. ``lines`` are numbered from 1: slot by slot, late slots, then debts that fall due."""

    deliveries: list[Delivery]
    lines: list[Line]
    estimates: list[Estimate]
    totals: CycleTotals


def deltas_of(part: netting.Part) -> list[acts.Delta]:
    """A part's deltas as the contract takes them."""
    return [acts.Delta(account, amount_micro) for account, amount_micro in part.deltas]


class Computation:
    """A cycle computed slot by slot; of what is through, only roots of subtrees and a sum per member are kept.

    The leaves of a root stand in the order in which they are added: slots ascending, in each its trades by id, its
    readings by node.
    """

    def __init__(self, salt: bytes, owners: Mapping[int, int], rules: SettlementRules) -> None:
        self._salt, self._owners, self._rules = salt, owners, rules
        self._trades, self._readings, self._lines = merkle.RootStream(), merkle.RootStream(), merkle.RootStream()
        self._sums = netting.Sums()
        self._line = 0

    def slot(self, slot: SlotInputs) -> Portion:
        """The next slot of the cycle's day."""
        for leaf in slot.trade_leaves:
            self._trades.add(leaf)
        self._add_readings(slot.slot_s, slot.readings)
        outcome = delivery.settle_slot(
            slot.slot_s, slot.trades, slot.readings, self._owners, self._rules, unproven=slot.unproven
        )
        self._add_lines(outcome.lines)
        estimates = [Estimate(slot.slot_s, node, node in slot.unproven) for node in outcome.estimated]
        return Portion(outcome.deliveries, outcome.lines, estimates)

    def late(self, slot: LateSlot) -> Portion:
        """The next slot of an earlier day, put right."""
        changed = {node: each for node, each in slot.after.items() if slot.before.get(node) != each}
        self._add_readings(slot.slot_s, changed)
        lines = delivery.adjust_slot(slot, self._owners, self._rules)
        self._add_lines(lines)
        return Portion([], lines, [])

    def due(self, debts: Iterable[PlainDebt]) -> Portion:
        """The debts that fall due, after all slots."""
        lines = delivery.due_lines(debts)
        self._add_lines(lines)
        return Portion([], lines, [])

    def totals(self) -> CycleTotals:
        """Roots and parts over what was added. Raises netting.TooManyAccountsError."""
        roots = (self._trades.root(), self._readings.root(), self._lines.root())
        return CycleTotals(*roots, netting.split(self._sums.deltas()))

    def _add_readings(self, slot_s: int, readings: Mapping[int, Reading]) -> None:
        for node, reading in sorted(readings.items()):
            self._readings.add(reading_leaf(self._salt, slot_s, node, reading))

    def _add_lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._line += 1
            self._lines.add(statement_leaf(self._salt, self._line, line))
            self._sums.add(line)


def portions(inputs: CycleInputs, computation: Computation) -> Iterator[Portion]:
    """What each slot of a cycle adds to it, then each late slot, then what falls due."""
    for slot in inputs.slots:
        yield computation.slot(slot)
    for late in inputs.late:
        yield computation.late(late)
    yield computation.due(inputs.debts)


def compute(inputs: CycleInputs, rules: SettlementRules) -> CycleOutcome:
    """The whole outcome of a cycle at once. Raises netting.TooManyAccountsError."""
    computation = Computation(inputs.salt, inputs.owners, rules)
    deliveries: list[Delivery] = []
    lines: list[Line] = []
    estimates: list[Estimate] = []
    for portion in portions(inputs, computation):
        deliveries += portion.deliveries
        lines += portion.lines
        estimates += portion.estimates
    return CycleOutcome(deliveries, lines, estimates, computation.totals())


def statement_leaf(salt: bytes, number: int, line: Line) -> bytes:
    """The leaf of a cycle's line, under a salt of its own, so that a member can show one line of many."""
    return merkle.leaf(line_salt(salt, number) + msgspec.json.encode([number, *line]))


def line_salt(salt: bytes, number: int) -> bytes:
    """The salt of one line, out of its cycle's."""
    return keccak(salt + b"line" + number.to_bytes(32, "big"))


def reading_leaf(salt: bytes, slot_s: int, node: int, reading: Reading) -> bytes:
    """The leaf of a reading that counts in a cycle, under a salt of its own."""
    return merkle.leaf(reading_salt(salt, slot_s, node) + msgspec.json.encode([slot_s, node, *reading]))


def reading_salt(salt: bytes, slot_s: int, node: int) -> bytes:
    """The salt of one reading, out of its cycle's."""
    return keccak(salt + b"reading" + slot_s.to_bytes(32, "big") + node.to_bytes(32, "big"))


class PlainDebts:
    """The plain debts of cycles that were settled, by the day on which they fall due.

    Each is paid exactly once, because every cycle takes the days after the one before it.
    """

    def __init__(self, time_zone: str) -> None:
        self._time_zone = time_zone
        self._by_day: defaultdict[date, list[PlainDebt]] = defaultdict(list)

    def add(self, trades: Iterable[SlotTrade], deliveries: Iterable[Delivery]) -> None:
        """Take up what the buyers of these trades owe beyond any receivable."""
        delivered = {each.trade_id: each for each in deliveries}
        for trade in trades:
            energy_lots = delivery.plain_debt_lots(trade, delivered[trade.trade_id])
            if energy_lots:
                day = calendar.due_day(trade.slot_s, trade.terms_days, self._time_zone)
                self._by_day[day].append(PlainDebt(trade, energy_lots))

    def take(self, others: "PlainDebts") -> None:
        """Take up what was added to others."""
        for day, debts in others._by_day.items():
            self._by_day[day] += debts

    def due(self, after: date | None, upto: date) -> list[PlainDebt]:
        """What falls due on the days after one and up to another, by trade id."""
        days = [day for day in self._by_day if (after is None or day > after) and day <= upto]
        return sorted((debt for day in days for debt in self._by_day[day]), key=lambda debt: debt.trade.trade_id)

    def next_due_day(self, after: date | None) -> date | None:
        """The first day after another on which something falls due."""
        return min((day for day in self._by_day if after is None or day > after), default=None)


def first_difference(stated: CycleTotals, computed: CycleTotals) -> tuple[str, str] | None:
    """Where two outcomes first differ: the account or root, and in what; None when they are the same."""
    return _first_delta(stated.parts, computed.parts) or _first_root(stated, computed)


def difference_of_rows(name: str, first: int, stated: Sequence[Any], computed: Sequence[Any]) -> tuple[str, str] | None:
    """Where rows first differ, the first of them numbered ``first``: the row, its field, and what it says."""
    for number, (ours, theirs) in enumerate(zip(computed, stated, strict=False), start=first):
        if ours != theirs:
            field = next(field for field in ours._fields if getattr(ours, field) != getattr(theirs, field))
            where = f"{name} {number}, {field}"
            return where, f"stated {getattr(theirs, field)!r}, computed {getattr(ours, field)!r}"
    if len(stated) != len(computed):
        return f"{name} {first + min(len(stated), len(computed))}", "is missing or too much"
    return None


def _first_delta(stated: Sequence[netting.Part], computed: Sequence[netting.Part]) -> tuple[str, str] | None:
    if stated == computed:
        return None
    theirs = dict(delta for part in stated for delta in part.deltas)
    ours = dict(delta for part in computed for delta in part.deltas)
    for account in sorted({*ours, *theirs}):
        if ours.get(account) != theirs.get(account):
            where = f"parts, delta of account {account}"
            return where, f"stated {theirs.get(account)}, computed {ours.get(account)}"
    return "parts", "the deltas are right, their order, their cut or their sums are not"


def _first_root(stated: CycleTotals, computed: CycleTotals) -> tuple[str, str] | None:
    for name in ("trades_root", "readings_root", "statements_root"):
        if getattr(stated, name) != getattr(computed, name):
            return name, f"stated {getattr(stated, name).hex()}, computed {getattr(computed, name).hex()}"
    return None
