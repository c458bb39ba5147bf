"""What a cycle comes to: one pure function from the day's trades and readings to roots, lines and deltas.

The operator drafts a cycle with it, the checker computes it again from what is published before signing, the audit
once more from the database. Whoever has the same inputs has the same outcome, byte for byte; where two differ,
``first_difference`` names the first line, account or root that does.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from settlement import acts, calendar, delivery, merkle, netting
from settlement.delivery import PROVEN, Delivery, Established, Estimate, Line, PlainDebt, Reading, SlotTrade
from settlement.keccak import keccak
from settlement.rules import SettlementRules


class CycleInputs(NamedTuple):
    """Everything that decides a cycle's outcome.

    ``trades`` and ``trade_leaves`` are those of the slots in ``[start_s, end_s)``, both by trade id; ``readings`` the
    final ones by (slot, node), only those that count; ``established`` says of those that are more or less than signed
    by the meter operator how far they are proven, and of which none counts because it is held. ``owners`` are the
    members of the nodes that traded or were read; ``debts`` is what falls due.
    """

    cycle: int
    day: date
    start_s: int
    end_s: int
    salt: bytes
    trades: Sequence[SlotTrade]
    trade_leaves: Sequence[bytes]
    readings: Mapping[tuple[int, int], Reading]
    owners: Mapping[int, int]
    debts: Sequence[PlainDebt]
    established: Mapping[tuple[int, int], Established] = MappingProxyType({})


class CycleOutcome(NamedTuple):
    """``lines`` are numbered from 1 in this order: slot by slot, then the debts that fall due.

    ``estimates`` come by slot and node.
    """

    trades_root: bytes
    readings_root: bytes
    statements_root: bytes
    deliveries: list[Delivery]
    lines: list[Line]
    parts: list[netting.Part]
    estimates: list[Estimate]

    def proposal_parts(self, cycle: int) -> list[acts.Part]:
        """Hash and sum of each part, as the contract takes them."""
        return [acts.part(cycle, index, deltas_of(part)) for index, part in enumerate(self.parts)]


def deltas_of(part: netting.Part) -> list[acts.Delta]:
    """A part's deltas as the contract takes them."""
    return [acts.Delta(account, amount_micro) for account, amount_micro in part.deltas]


def compute(inputs: CycleInputs, rules: SettlementRules) -> CycleOutcome:
    """The outcome of a cycle. Raises netting.TooManyAccountsError."""
    trades_of: defaultdict[int, list[SlotTrade]] = defaultdict(list)
    for trade in inputs.trades:
        trades_of[trade.slot_s].append(trade)
    readings_of: defaultdict[int, dict[int, Reading]] = defaultdict(dict)
    for (slot_s, node), reading in inputs.readings.items():
        readings_of[slot_s][node] = reading
    unproven: defaultdict[int, set[int]] = defaultdict(set)
    for (slot_s, node), established in inputs.established.items():
        if established not in PROVEN:
            unproven[slot_s].add(node)
    deliveries: list[Delivery] = []
    lines: list[Line] = []
    estimates: list[Estimate] = []
    for slot_s in sorted({*trades_of, *readings_of}):
        outcome = delivery.settle_slot(
            slot_s, trades_of[slot_s], readings_of[slot_s], inputs.owners, rules, unproven=unproven[slot_s]
        )
        deliveries += outcome.deliveries
        lines += outcome.lines
        estimates += [Estimate(slot_s, node, node in unproven[slot_s]) for node in outcome.estimated]
    lines += delivery.due_lines(inputs.debts)
    return CycleOutcome(
        trades_root=merkle.root(inputs.trade_leaves),
        readings_root=readings_root(inputs.salt, inputs.readings),
        statements_root=merkle.root(statement_leaves(inputs.salt, lines)),
        deliveries=sorted(deliveries),
        lines=lines,
        parts=netting.split(netting.net(lines)),
        estimates=estimates,
    )


def statement_leaves(salt: bytes, lines: Iterable[Line]) -> list[bytes]:
    """The leaves of a cycle's lines, each under a salt of its own, so that a member can show one line of many."""
    return [
        merkle.leaf(line_salt(salt, number) + msgspec.json.encode([number, *line]))
        for number, line in enumerate(lines, start=1)
    ]


def line_salt(salt: bytes, number: int) -> bytes:
    """The salt of one line, out of its cycle's."""
    return keccak(salt + b"line" + number.to_bytes(32, "big"))


def readings_root(salt: bytes, readings: Mapping[tuple[int, int], Reading]) -> bytes:
    """The root over the final readings of a cycle by slot and node, each leaf under a salt of its own."""
    return merkle.root(
        [
            merkle.leaf(
                keccak(salt + b"reading" + slot_s.to_bytes(32, "big") + node.to_bytes(32, "big"))
                + msgspec.json.encode([slot_s, node, *reading])
            )
            for (slot_s, node), reading in sorted(readings.items())
        ]
    )


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

    def due(self, after: date | None, upto: date) -> list[PlainDebt]:
        """What falls due on the days after one and up to another, by trade id."""
        days = [day for day in self._by_day if (after is None or day > after) and day <= upto]
        return sorted((debt for day in days for debt in self._by_day[day]), key=lambda debt: debt.trade.trade_id)

    def next_due_day(self, after: date | None) -> date | None:
        """The first day after another on which something falls due."""
        return min((day for day in self._by_day if after is None or day > after), default=None)


def first_difference(stated: CycleOutcome, computed: CycleOutcome) -> tuple[str, str] | None:
    """Where two outcomes first differ: the line, trade, account or root, and in what; None when they are the same."""
    return (
        _first_of("statement line", stated.lines, computed.lines)
        or _first_of("delivery", stated.deliveries, computed.deliveries)
        or _first_of("estimate", stated.estimates, computed.estimates)
        or _first_delta(stated.parts, computed.parts)
        or _first_root(stated, computed)
    )


def _first_of(name: str, stated: Sequence[Any], computed: Sequence[Any]) -> tuple[str, str] | None:
    for number, (ours, theirs) in enumerate(zip(computed, stated, strict=False), start=1):
        if ours != theirs:
            field = next(field for field in ours._fields if getattr(ours, field) != getattr(theirs, field))
            where = f"{name} {number}, {field}"
            return where, f"stated {getattr(theirs, field)!r}, computed {getattr(ours, field)!r}"
    if len(stated) != len(computed):
        return f"{name}s", f"stated {len(stated)}, computed {len(computed)}"
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


def _first_root(stated: CycleOutcome, computed: CycleOutcome) -> tuple[str, str] | None:
    for name in ("trades_root", "readings_root", "statements_root"):
        if getattr(stated, name) != getattr(computed, name):
            return name, f"stated {getattr(stated, name).hex()}, computed {getattr(computed, name).hex()}"
    return None
