"""Meter readings come in: each judged by the rules of ``meters.py``, all kept under the signature they came with.

The whole batch's leaves are kept with the signature, quarantined ones too, so that whoever audits can recompute the
root that was signed and find each reading under it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from settlement import calendar, cycle_store, merkle, store
from settlement.delivery import Reading
from settlement.meters import Status, Submitted, Verdict, judge
from settlement.reading_leaf import reading_leaf
from settlement.rules import SettlementRules


def record(
    connection: Connection,
    submitted: Sequence[Submitted],
    *,
    signer: int,
    signature: bytes,
    now_s: int,
    rules: SettlementRules,
) -> list[Verdict]:
    """Take the readings that can be taken, quarantine the others; one verdict each, in order.

    What comes after a cycle began to be drafted was received after its cut, whatever the clock says: it counts there no
    more. The caller has checked ``signature`` against ``reading_leaf.signing_digest`` of all the leaves, in this order.
    Sending the same again changes nothing.
    """
    connections = store.meters_by_name(connection, (each.meter for each in submitted))
    slots = {each.slot_s for each in submitted}
    kept = store.kept_readings(connection, slots)
    closes_s = _closing_times(slots, rules)
    received_s = max(now_s, cycle_store.last_cut(connection, rules.window_s))
    signature_id = store.next_reading_signature(connection)
    verdicts: list[Verdict] = []
    taken: list[dict[str, Any]] = []
    quarantined: list[dict[str, Any]] = []
    for index, each in enumerate(submitted):
        meter = connections.get(each.meter)
        versions = kept.setdefault((each.slot_s, meter.node), []) if meter else []
        verdict = judge(
            each,
            meter,
            versions,
            now_s=received_s,
            slot_s=rules.slot_minutes * 60,
            closes_s=closes_s[each.slot_s],
            late_s=rules.late_s,
        )
        verdicts.append(verdict)
        place = {"signature_id": signature_id, "leaf_index": index, "received_s": received_s}
        energy = {"export_lots": each.export_lots, "import_lots": each.import_lots, "slot_s": each.slot_s}
        if verdict.status == Status.QUARANTINED:
            quarantined.append({**place, **energy, "meter": each.meter, "code": verdict.code})
        elif verdict.status != Status.DUPLICATE:
            assert meter is not None
            versions.append(Reading(each.export_lots, each.import_lots))
            taken.append({**place, **energy, "node_id": meter.node, "version": len(versions)})
    if taken or quarantined:
        leaves = [reading_leaf(*each) for each in submitted]
        row = {
            "signature_id": signature_id,
            "signer": signer,
            "root": merkle.root(leaves),
            "leaves": b"".join(leaves),
            "count": len(leaves),
            "signature": signature,
        }
        store.add_readings(connection, row, taken, quarantined)
    return verdicts


def _closing_times(slots: set[int], rules: SettlementRules) -> dict[int, int]:
    """When the window of each slot's local day closes."""
    return {slot_s: rules.cut_s(calendar.day_of(slot_s, rules.time_zone)) for slot_s in slots}
