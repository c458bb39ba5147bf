"""Meter readings come in: each judged by the rules of ``meters.py``, all kept under the signature they came with.

Whoever audits can recompute the root that was signed and find each reading under it: the leaves of what was taken come
out of the readings again, those of the others (quarantined, or known already) are kept. So are all of a batch whose
readings lie scattered among many others, where finding them again would be a long search.

Judging reads much and writes nothing, so it is done on a snapshot, and only rows are written while orders wait:

    batch = batch_of(submitted, signer=3, signature=signature)
    judged = judge_batch(snapshot, batch, now_s=now_s, rules=rules)
    write(transaction, batch, judged, now_s=now_s, rules=rules)  # judges again if something changed meanwhile
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection

from settlement import calendar, cycle_store, merkle, reading_store
from settlement.delivery import Reading
from settlement.meters import ACCEPTED, Code, Kept, Status, Submitted, Verdict, judge
from settlement.meters import Connection as Meter
from settlement.reading_leaf import joined_leaves, reading_leaves
from settlement.reading_store import QuarantinedRow, TakenRow
from settlement.rules import SettlementRules


class Batch(NamedTuple):
    """Readings under one signature: of ``signer``, a meter operator, or of the meter ``node`` itself."""

    submitted: Sequence[Submitted]
    leaves: list[bytes]
    root: bytes
    signature: bytes
    signer: int | None
    node: int | None


class Judged(NamedTuple):
    """What would become of a batch if nothing changes: ``basis`` is what it was judged on."""

    basis: tuple[int, int]
    verdicts: list[Verdict]
    taken: list[TakenRow]
    quarantined: list[QuarantinedRow]


SCATTERED = 8
"""A batch is scattered when its slots and nodes span more than so many times the readings taken of it."""


def batch_of(
    submitted: Sequence[Submitted], *, signature: bytes, signer: int | None = None, node: int | None = None
) -> Batch:
    """The batch with its leaves and their root. The caller checks ``signature`` over the root."""
    assert (signer is None) != (node is None)
    leaves = reading_leaves(submitted)
    return Batch(submitted, leaves, merkle.root(leaves), signature, signer, node)


def judge_batch(connection: Connection, batch: Batch, *, now_s: int, rules: SettlementRules) -> Judged:
    """One verdict for each reading, in order, and the rows that they come to.

    What comes after a cycle began to be drafted was received after its cut, whatever the clock says: it counts there no
    more.
    """
    number, cut_s = basis = _basis(connection, rules)
    received_s = max(now_s, cut_s)
    meters = reading_store.meters_by_name(connection, {each.meter for each in batch.submitted})
    placed = {(each.slot_s, meters[each.meter].node) for each in batch.submitted if each.meter in meters}
    kept = reading_store.kept_readings(connection, placed)
    closes_s = _closing_times({each.slot_s for each in batch.submitted if each.slot_s < received_s}, rules)
    slot_length_s = rules.slot_minutes * 60
    in_time = {
        slot_s
        for slot_s, closing_s in closes_s.items()
        if slot_s % slot_length_s == 0 and slot_s + slot_length_s <= received_s < closing_s
    }
    judging = _Judging(
        batch,
        kept,
        partial(judge, now_s=received_s, slot_s=slot_length_s, late_s=rules.late_s, by_meter=batch.node is not None),
    )
    judged = Judged(basis, [], [], [])
    verdicts, taken, fresh = judged.verdicts, judged.taken, judging.fresh
    for index, each in enumerate(batch.submitted):
        name, slot_s, export_lots, import_lots = each
        meter = meters.get(name)
        if meter is not None:
            place = (slot_s, meter.node)
            if (  # plainly good and new, as nearly all are; what is left is judged by the rules one by one
                slot_s in in_time
                and 0 <= export_lots <= meter.export_lots
                and 0 <= import_lots <= meter.import_lots
                and place not in kept
                and place not in fresh
            ):
                fresh[place] = index
                verdicts.append(ACCEPTED)
                taken.append((slot_s, meter.node, 1, export_lots, import_lots, number, index))
                continue
        verdict, version = judging.one(index, meter, closes_s.get(slot_s, 0))
        verdicts.append(verdict)
        if verdict.code is not None:
            judged.quarantined.append((number, index, name, slot_s, export_lots, import_lots, verdict.code, received_s))
        elif meter is not None and verdict.status != Status.DUPLICATE:
            taken.append((slot_s, meter.node, version, export_lots, import_lots, number, index))
    taken.sort()
    return judged


class _Judging:
    """Readings of a batch beside those that are kept, and beside those before them in the batch.

    ``fresh`` holds the index of the first reading of each place in the batch that was not refused.
    """

    def __init__(
        self, batch: Batch, kept: Mapping[tuple[int, int], list[Kept]], judge_one: Callable[..., Verdict]
    ) -> None:
        self._batch, self._kept, self._judge = batch, kept, judge_one
        self.fresh: dict[tuple[int, int], int] = {}

    def one(self, index: int, meter: Meter | None, closes_s: int) -> tuple[Verdict, int]:
        """The verdict on one reading, and the version that it would be."""
        each = self._batch.submitted[index]
        place = (each.slot_s, -1 if meter is None else meter.node)
        versions = self._kept.get(place, [])
        first = self.fresh.get(place)
        if first is not None:
            before = self._batch.submitted[first]
            versions = [*versions, Kept(Reading(before.export_lots, before.import_lots), self._batch.node is not None)]
        verdict = self._judge(each, meter, versions, closes_s=closes_s)
        if verdict.code is None and first is not None and verdict.status != Status.DUPLICATE:
            return Verdict(Status.QUARANTINED, Code.TWICE_IN_BATCH), 0
        if verdict.code is None:
            self.fresh.setdefault(place, index)
        return verdict, len(versions) + 1


def write(connection: Connection, batch: Batch, judged: Judged, *, now_s: int, rules: SettlementRules) -> list[Verdict]:
    """Take the readings that can be taken, quarantine the others; one verdict each, in order.

    What was judged before this transaction is judged again if readings came or a draft began meanwhile. Sending only
    what is known changes nothing.
    """
    if judged.basis != _basis(connection, rules, is_writing=True):
        judged = judge_batch(connection, batch, now_s=now_s, rules=rules)
    if judged.taken or judged.quarantined:
        row = {
            "signature_id": judged.basis[0],
            "signer": batch.signer,
            "node_id": batch.node,
            "root": batch.root,
            "count": len(batch.leaves),
            "signature": batch.signature,
            "received_s": max(now_s, judged.basis[1]),
        }
        reading_store.add_readings(connection, row | _where(batch, judged, rules), judged.taken, judged.quarantined)
    return judged.verdicts


def _where(batch: Batch, judged: Judged, rules: SettlementRules) -> dict[str, Any]:
    """Between which slots and nodes the readings that were taken lie, and the leaves that they do not give again."""
    slots, nodes = [row[0] for row in judged.taken], [row[1] for row in judged.taken]
    between = dict.fromkeys(("first_slot_s", "last_slot_s", "first_node", "last_node"))
    again: set[int] = set()
    if judged.taken:
        between |= zip(between, (slots[0], slots[-1], min(nodes), max(nodes)), strict=True)
        spanned = ((slots[-1] - slots[0]) // (60 * rules.slot_minutes) + 1) * (max(nodes) - min(nodes) + 1)
        if spanned <= SCATTERED * len(judged.taken):
            again = {row[6] for row in judged.taken}
    others = {index: leaf for index, leaf in enumerate(batch.leaves) if index not in again}
    return between | {"other_leaves": joined_leaves(others)}


def record(connection: Connection, batch: Batch, *, now_s: int, rules: SettlementRules) -> list[Verdict]:
    """Judge and write in one transaction."""
    judged = judge_batch(connection, batch, now_s=now_s, rules=rules)
    return write(connection, batch, judged, now_s=now_s, rules=rules)


def _basis(connection: Connection, rules: SettlementRules, *, is_writing: bool = False) -> tuple[int, int]:
    """The next signature's number, and since when readings count in a later cycle only."""
    cut_s = cycle_store.last_cut(connection, rules.window_s, is_writing=is_writing)
    return reading_store.next_signature(connection), cut_s


def _closing_times(slots: set[int], rules: SettlementRules) -> dict[int, int]:
    """When the window of each slot's local day closes."""
    return {slot_s: rules.cut_s(calendar.day_of(slot_s, rules.time_zone)) for slot_s in slots}
