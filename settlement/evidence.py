"""What stands behind a trade beyond its proof: receipts, keys, readings, statement lines, and the cycles they are of.

Everything leads to something signed or to the chain: readings and lines to the roots of a cycle, the cycle to the
signatures of operator and checker and to the chain's ``Proposed``. A reading's own signature is over unsalted leaves,
beside which those of neighbours could be tried out: it is shown when the meter signed for itself, and otherwise only in
the copy for a regulator or a court.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Row

from data.database import reading
from settlement import acts, cycle_store, drafting, evidence_store, merkle, reading_store, store
from settlement.chain import ReadableChain
from settlement.cycle_outcome import line_salt, reading_leaf, reading_salt, statement_leaf
from settlement.delivery import Line, Reading
from settlement.drafting import Span
from settlement.event_proof import EventProof
from settlement.hexjson import Hex
from settlement.jwk import Jwk, to_jwk
from settlement.rules import SettlementRules
from settlement.signatures import PublicKey
from settlement.store import EventPlace
from settlement.trade_leaf import JsonPath, TradeRecord, json_path, trade_leaf

_LINES_AT_ONCE = 5_000


class InconsistentRecordError(Exception):
    """The database no longer gives what was signed: no evidence comes of it, an audit says where."""


class ShownReceipt(msgspec.Struct, frozen=True):
    """The operator's word for the batch that did what has the ``sequence`` or one before it."""

    sequence: int
    journal_head: Hex
    signature: Hex


class ShownKeys(msgspec.Struct, frozen=True):
    """What the chain says of a member's keys, in order."""

    member: int
    key_events: tuple[EventProof, ...]


class MeterKey(msgspec.Struct, frozen=True):
    """A meter's own key; ``signature`` is the meter operator's over ``MeterKey`` of this number."""

    number: int
    key: Jwk
    signer: int
    signature: Hex


class SignedReading(msgspec.Struct, frozen=True):
    """The signature over a batch of ``count`` readings, with the path to its root; ``own``: the meter's own key."""

    signer: int | None
    count: int
    path: JsonPath
    signature: Hex
    own: MeterKey | None


class ShownReading(msgspec.Struct, frozen=True):
    """The reading that counts in a cycle, under its readings root. ``signed`` null: not in this copy."""

    meter: str
    node: int
    slot_s: int
    export_lots: int
    import_lots: int
    salt: Hex
    path: JsonPath
    signed: SignedReading | None


class ShownLine(msgspec.Struct, frozen=True):
    """A line of the cycle's statements, under its statements root; ``line`` is its number, then its fields."""

    line: tuple[int, int, int, int, str, int, int | None, int, int, int, str, int | None]
    salt: Hex
    path: JsonPath


class ShownCycle(msgspec.Struct, frozen=True):
    """A cycle as operator and checker signed it. ``trade_path`` null: the trade's slot is not of its day."""

    cycle: int
    start_s: int
    end_s: int
    trades_root: Hex
    readings_root: Hex
    statements_root: Hex
    parts: tuple[tuple[Hex, int], ...]
    operator_signature: Hex
    checker_signature: Hex | None
    proposed: EventProof | None
    applied: EventProof | None
    trade_path: JsonPath | None
    readings: tuple[ShownReading, ...]
    lines: tuple[ShownLine, ...]


class Subject(NamedTuple):
    """A trade, and the members for whom the evidence is; ``is_full``: for a regulator or a court."""

    trade: TradeRecord
    members: frozenset[int]
    is_full: bool

    @property
    def meters(self) -> list[str]:
        halves = (self.trade.buy, self.trade.sell)
        return [half.meter for half in halves if half.member in self.members]


def receipt(connection: Connection, subject: Subject) -> ShownReceipt:
    """The operator's receipt for the batch that made the trade."""
    row = evidence_store.receipt_of(connection, subject.trade.common.sequence)
    return ShownReceipt(row.last_sequence, Hex(row.head), Hex(row.signature))


def keys_of(connection: Connection, chain: ReadableChain, members: Collection[int]) -> tuple[ShownKeys, ...]:
    """What the chain says of some members' keys."""
    places = {member: store.key_events(connection, member) for member in sorted(members)}
    return tuple(ShownKeys(member, proven(chain, found)) for member, found in places.items())


def proven(chain: ReadableChain, places: Sequence[EventPlace]) -> tuple[EventProof, ...]:
    """Events of the chain with their blocks' headers."""
    return tuple(chain.event_proof(*place) for place in places)


# ---------------------------------------------------------------------------------------------------------- cycles


def cycles(database: Engine, chain: ReadableChain, subject: Subject, rules: SettlementRules) -> tuple[ShownCycle, ...]:
    """Every cycle that says something of the trade. Raises InconsistentRecordError.

    Takes as long as reading the cycle's day: its leaves are taken once more to find the paths.
    """
    common = subject.trade.common
    with reading(database) as connection:
        rows = evidence_store.cycles_of_trade(connection, common.trade_id, common.slot_s)
    return tuple(_cycle(database, chain, subject, row, rules) for row in rows)


def _cycle(
    database: Engine, chain: ReadableChain, subject: Subject, row: Row[Any], rules: SettlementRules
) -> ShownCycle:
    leaves = _Leaves(database, subject, row, rules)
    leaves.take()
    with reading(database) as connection:
        events = [evidence_store.cycle_event(connection, name, row.cycle) for name in ("Proposed", "CycleApplied")]
        readings = tuple(_reading(connection, subject, leaves, each) for each in leaves.readings)
    proposed, applied = (None if place is None else chain.event_proof(*place) for place in events)
    parts = [
        acts.part(row.cycle, index, [acts.Delta(*delta) for delta in part.deltas])
        for index, part in enumerate(cycle_store.parts_from_json(row.parts))
    ]
    return ShownCycle(
        cycle=row.cycle,
        start_s=row.start_s,
        end_s=row.end_s,
        trades_root=Hex(row.trades_root),
        readings_root=Hex(row.readings_root),
        statements_root=Hex(row.statements_root),
        parts=tuple((Hex(part.part_hash), part.sum_micro) for part in parts),
        operator_signature=Hex(row.operator_signature),
        checker_signature=None if row.checker_signature is None else Hex(row.checker_signature),
        proposed=proposed,
        applied=applied,
        trade_path=json_path(leaves.trades.paths["trade"]) if "trade" in leaves.trades.paths else None,
        readings=readings,
        lines=tuple(_line(leaves, number, line) for number, line in leaves.lines),
    )


class _Leaves:
    """The leaves of a cycle's three roots, taken once more, with the paths of those that are of the trade."""

    def __init__(self, database: Engine, subject: Subject, row: Row[Any], rules: SettlementRules) -> None:
        self._database, self._subject, self._row = database, subject, row
        self.salt: bytes = row.salt
        with reading(database) as connection:
            before = evidence_store.cycle_before(connection, row.cycle)
            self._meters = evidence_store.meter_nodes(connection, subject.meters)
        after = None if before is None else date.fromisoformat(before.day)
        span = Span(row.cycle, date.fromisoformat(row.day), after)
        self._inputs = drafting.inputs_of(database, span, row.salt, rules)
        self.trades = merkle.PathStream[str]()
        self._readings = merkle.PathStream[int]()
        self._lines = merkle.PathStream[int]()
        self.readings: list[tuple[int, str, Reading]] = []
        self.lines: list[tuple[int, Line]] = []

    def take(self) -> None:
        """Raises InconsistentRecordError when they do not come to the cycle's roots."""
        leaf, slot_s = trade_leaf(self._subject.trade), self._subject.trade.common.slot_s
        for slot in self._inputs.slots:
            for each in slot.trade_leaves:
                self.trades.add(each, "trade" if each == leaf else None)
            for node, counted in sorted(slot.readings.items()):
                self._add_reading(slot.slot_s, node, counted, is_wanted=slot.slot_s == slot_s)
        for late in self._inputs.late:
            for node, counted in sorted(late.after.items()):
                if late.before.get(node) != counted:
                    self._add_reading(late.slot_s, node, counted, is_wanted=late.slot_s == slot_s)
        for number, line in self._stated():
            is_wanted = line.trade_id == self._subject.trade.common.trade_id and line.member in self._subject.members
            self._lines.add(statement_leaf(self.salt, number, line), number if is_wanted else None)
            self.lines += [(number, line)] if is_wanted else []
        roots = (self.trades.finish(), self._readings.finish(), self._lines.finish())
        if roots != (self._row.trades_root, self._row.readings_root, self._row.statements_root):
            raise InconsistentRecordError(f"the record does not come to the roots of cycle {self._row.cycle}")

    def _add_reading(self, slot_s: int, node: int, counted: Reading, *, is_wanted: bool) -> None:
        meter = self._meters.get(node) if is_wanted else None
        self._readings.add(reading_leaf(self.salt, slot_s, node, counted), None if meter is None else node)
        if meter is not None:
            self.readings.append((node, meter, counted))

    def _stated(self) -> Iterator[tuple[int, Line]]:
        number = 0
        while True:
            with reading(self._database) as connection:
                found = cycle_store.lines_of(connection, self._row.cycle, number, _LINES_AT_ONCE)
            yield from enumerate(found, start=number + 1)
            number += len(found)
            if len(found) < _LINES_AT_ONCE:
                return

    def path_of_reading(self, node: int) -> JsonPath:
        return json_path(self._readings.paths[node])

    def path_of_line(self, number: int) -> JsonPath:
        return json_path(self._lines.paths[number])


def _line(leaves: _Leaves, number: int, line: Line) -> ShownLine:
    return ShownLine((number, *line), Hex(line_salt(leaves.salt, number)), leaves.path_of_line(number))


def _reading(
    connection: Connection, subject: Subject, leaves: _Leaves, found: tuple[int, str, Reading]
) -> ShownReading:
    node, meter, counted = found
    slot_s = subject.trade.common.slot_s
    return ShownReading(
        meter=meter,
        node=node,
        slot_s=slot_s,
        export_lots=counted.export_lots,
        import_lots=counted.import_lots,
        salt=Hex(reading_salt(leaves.salt, slot_s, node)),
        path=leaves.path_of_reading(node),
        signed=_signed(connection, subject, node, counted),
    )


def _signed(connection: Connection, subject: Subject, node: int, counted: Reading) -> SignedReading | None:
    """The signature under the newest version that says what counted."""
    versions = evidence_store.signed_versions(connection, subject.trade.common.slot_s, node)
    saying = [
        row for row in versions if (row.export_lots, row.import_lots) == (counted.export_lots, counted.import_lots)
    ]
    if not saying:
        return None
    row = saying[-1]
    if row.node_id is None and not subject.is_full:
        return None
    joined = reading_store.leaves_of(connection, row)
    all_leaves = [joined[at : at + 32] for at in range(0, len(joined), 32)]
    return SignedReading(
        signer=row.signer,
        count=row._mapping["count"],
        path=json_path(merkle.path(all_leaves, row.leaf_index)),
        signature=Hex(row.signature),
        own=None if row.node_id is None else _meter_key(connection, node, row.signature_id),
    )


def _meter_key(connection: Connection, node: int, signature_id: int) -> MeterKey:
    row = evidence_store.meter_key_at(connection, node, signature_id)
    assert row is not None, "a meter that signed has a key"
    key = PublicKey(int.from_bytes(row.x, "big"), int.from_bytes(row.y, "big"))
    return MeterKey(row.number, to_jwk(key), row.signer, Hex(row.signature))
