"""The audit of settlement: commitments leaf by leaf, readings, and every cycle from its readings to its deltas."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Row

from settlement import (
    abi,
    audit_store,
    calendar,
    commitments,
    dispute_store,
    merkle,
    publish_cycle_store,
    publish_readings_store,
    store,
)
from settlement.audit_disputes import examine_disputes
from settlement.audit_scene import Scene, Step, Tick
from settlement.chain import ChainEvent
from settlement.compile import compiled
from settlement.contradiction import Contradiction, differs
from settlement.examine_meters import ReadingSigners, area_checks, measuring, meter_key_checks
from settlement.examine_orders import SignatureCheck, leaf_at
from settlement.examine_readings import (
    examine_reading_signatures,
    examine_readings,
    reading_signature_checks,
)
from settlement.meters import OWN_CODES, Code, Submitted, judge
from settlement.meters import Connection as Place
from settlement.published import PublishedMeter, PublishedReading, PublishedReadingSignature
from settlement.reading_leaf import reading_leaf
from settlement.verify_pool import first_bad

_UNSIGNED = ("drafted", "refused")
_ON_CHAIN = ("proposed", "disputed", "applying")


def steps(scene: Scene) -> list[Step]:
    """The steps on settlement, after those on the market."""
    count = scene.connection
    readings = audit_store.count(count, "readings") + audit_store.count(count, "quarantined_readings")
    return [
        Step("commitments, leaf by leaf", "trades", audit_store.count(count, "trades"), _commitments),
        Step("readings under their signatures", "readings", readings, _readings),
        Step("signatures over readings", "signatures", audit_store.count(count, "reading_signatures"), _signed),
        Step(
            "cycles: statements, deltas, roots", "statement lines", audit_store.count(count, "statement_lines"), _cycles
        ),
        Step("cycles against the chain", "cycles", audit_store.count(count, "cycles"), _cycles_on_chain),
        Step("challenges and struck trades", "challenges", audit_store.count(count, "challenges"), examine_disputes),
    ]


# ---------------------------------------------------------------------------------------------- commitments


def _commitments(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    rows = audit_store.all_commitments(scene.connection)
    if len(rows) < scene.committed:
        yield Contradiction(
            "commitments", str(scene.committed), "commitment", "is on the chain and not in the database"
        )
    on_chain = {int(event.arguments["index"]): event for event in scene.of("Clearing", "Committed")}
    outbox = {row.outbox_id: row for row in audit_store.outbox_rows(scene.connection)}
    sequences = [replayed.traded.sequence for replayed in scene.replay.trades]
    previous, last_trade = commitments.GENESIS_COMMITMENT, 0
    for number, row in enumerate(rows, start=1):
        leaves = store.leaves_between(scene.connection, row.first_trade, row.last_trade)
        computed: Mapping[str, object] = {
            "commitment": number,
            "previous": previous,
            "journal_head": scene.replay.heads.get(row.journal_batch, b""),
            "first_trade": last_trade + 1,
            "last_trade": bisect_right(sequences, scene.replay.last_sequences.get(row.journal_batch, 0)),
            "trade_root": merkle.root(leaves),
        }
        for column, value in computed.items():
            if getattr(row, column) != value:
                yield differs("commitments", row.commitment, column, stated=getattr(row, column), computed=value)
        yield from _commitment_on_chain(row, on_chain.get(row.commitment), outbox.get(row.outbox_id))
        previous, last_trade = commitments.of_row(row).rolling_hash(), row.last_trade
        tick(len(leaves))


def _commitment_on_chain(row: Row[Any], event: ChainEvent | None, call: Row[Any] | None) -> Iterator[Contradiction]:
    key = str(row.commitment)
    if call is None or call.kind != "Clearing.commit":
        yield Contradiction("commitments", key, "outbox_id", "names no commit call")
    elif event is None:
        if call.state == "done":
            yield Contradiction("commitments", key, "commitment", "is not on the chain, although its call is done")
    else:
        if call.transaction_hash not in (None, event.transaction_hash):
            yield Contradiction("commitments", key, "outbox_id", "names another commitment's call")
        sent = commitments.of_row(row)
        for name in ("previous", "journal_head", "trade_root", "trade_count"):
            if event.arguments[name] != getattr(sent, name):
                yield differs("commitments", key, name, stated=getattr(sent, name), computed=event.arguments[name])


# ------------------------------------------------------------------------------------------------- readings


def _readings(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    signatures = {each.signature_id: each for each in publish_readings_store.all_reading_signatures(scene.connection)}
    bounds: dict[int, list[int]] = {}

    def counted() -> Iterator[PublishedReading]:
        for reading in publish_readings_store.all_readings(scene.connection):
            tick(1)
            found = bounds.setdefault(
                reading.signature_id, [reading.slot_s, reading.slot_s, reading.node, reading.node]
            )
            found[1] = reading.slot_s  # they come by slot
            found[2], found[3] = min(found[2], reading.node), max(found[3], reading.node)
            yield reading

    measured = measuring(scene.meters, publish_readings_store.published_areas(scene.connection))
    yield from examine_readings(counted(), signatures, measured)
    rows = {row.signature_id: row for row in audit_store.reading_signature_rows(scene.connection)}
    for number, row in rows.items():
        computed = dict(zip(audit_store.BOUNDS, bounds.get(number, [None] * 4), strict=True))
        for column, value in computed.items():
            if getattr(row, column) != value:
                yield differs("reading_signatures", number, column, stated=getattr(row, column), computed=value)
    by_name, slot_s = {meter.name: meter for meter in measured.values()}, scene.terms.rules.slot_minutes * 60
    for row in audit_store.quarantined(scene.connection):
        yield from _quarantined(row, signatures, by_name.get(row.meter), slot_s)
        if row.signature_id in rows and row.received_s != rows[row.signature_id].received_s:
            key, computed_s = f"signature {row.signature_id} leaf {row.leaf_index}", rows[row.signature_id].received_s
            yield differs("quarantined_readings", key, "received_s", stated=row.received_s, computed=computed_s)
        tick(1)


def _quarantined(
    row: Row[Any],
    signatures: Mapping[int, PublishedReadingSignature],
    meter: PublishedMeter | None,
    slot_s: int,
) -> Iterator[Contradiction]:
    key = f"signature {row.signature_id} leaf {row.leaf_index}"
    signature = signatures.get(row.signature_id)
    leaf = reading_leaf(row.meter, row.slot_s, row.export_lots, row.import_lots)
    if signature is None or leaf_at(signature.leaves, row.leaf_index) != leaf:
        yield Contradiction("quarantined_readings", key, "meter, slot_s, export_lots, import_lots", "are not as signed")
    elif row.code not in _possible_codes(row, meter, slot_s):
        yield Contradiction("quarantined_readings", key, "code", f"{row.code!r} is no reason not to take it")


def _possible_codes(row: Row[Any], meter: PublishedMeter | None, slot_s: int) -> set[str]:
    """Why a reading was not taken: what it says of itself, or what only whoever took it could know.

    A meter that is there now need not have been there when the reading came.
    """
    submitted = Submitted(row.meter, row.slot_s, row.export_lots, row.import_lots)
    place = None if meter is None else Place(meter.node, meter.export_lots, meter.import_lots)
    verdict = judge(submitted, place, [], now_s=row.received_s, slot_s=slot_s, closes_s=row.received_s + 1)
    own = {each.value for each in OWN_CODES}
    return (
        {verdict.code, Code.UNKNOWN_METER}
        if verdict.code
        else {each.value for each in Code} - own | {Code.UNKNOWN_METER}
    )


def _signed(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    checks: list[SignatureCheck] = []
    meter_keys = publish_readings_store.all_meter_keys(scene.connection)
    areas = publish_readings_store.published_areas(scene.connection)
    names = {node: meter.name for node, meter in measuring(scene.meters, areas).items()}
    signers = ReadingSigners(scene.terms.reading_signers, scene.keys, meter_keys)
    for table, published in (("area_meters", areas), ("meter_keys", meter_keys)):
        if len(published) != audit_store.count(scene.connection, table):
            yield Contradiction(table, "all", "node_id", "is one that the grid does not have")
    for check in (
        *meter_key_checks(meter_keys, signers, names, scene.clearing),
        *area_checks(areas, scene.keys, scene.terms.rules.grid_company, scene.clearing),
    ):
        if isinstance(check, Contradiction):
            yield check
        else:
            checks.append(check)
    for signature in publish_readings_store.all_reading_signatures(scene.connection):
        yield from examine_reading_signatures([signature])
        for check in reading_signature_checks([signature], signers, names, scene.clearing):
            if isinstance(check, Contradiction):
                yield check
            else:
                checks.append(check)
    scene.sampler.pass_by(checks)
    for result in first_bad(checks):
        if isinstance(result, Contradiction):
            yield result
        else:
            tick(result)


# --------------------------------------------------------------------------------------------------- cycles


def _cycles(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    zone = scene.terms.rules.time_zone
    last_end_s = 0
    for number in range(1, audit_store.count(scene.connection, "cycles") + 1):
        try:
            published = publish_cycle_store.published_cycle(scene.connection, number, scene.terms.rules)
        except (ValueError, TypeError) as error:
            yield Contradiction("cycles", str(number), "parts", f"are no parts: {error}")
            return
        if published is None:
            yield Contradiction("cycles", str(number), "cycle", "is missing")
            return
        found = scene.examiner.recompute(published, publish_cycle_store.StoredCycle(scene.connection, number))
        if found is not None:
            yield found
            return
        if not audit_store.are_lines_numbered(scene.connection, number):
            yield Contradiction("statement_lines", f"cycle {number}", "line", "are not 1, 2, 3 ...")
        tick(audit_store.count_lines(scene.connection, number))
        last_end_s = published.end_s
    yield from _draft(scene)
    settled = sum(replayed.traded.slot < last_end_s for replayed in scene.replay.trades)
    settled -= sum(
        scene.replay.trades[row.trade_id - 1].traded.slot < last_end_s for row in dispute_store.struck(scene.connection)
    )
    if settled != len(scene.examiner.settled):
        yield differs("deliveries", "all", "count", stated=len(scene.examiner.settled), computed=settled)
    days = set(scene.examiner.days.values())
    for slot_s in audit_store.reading_slots(scene.connection):
        day = calendar.day_of(slot_s, zone).isoformat()
        if slot_s < last_end_s and day not in days:
            yield Contradiction("cycles", day, "day", "has readings and no cycle, and later days have one")


def _draft(scene: Scene) -> Iterator[Contradiction]:
    """At most one cycle is being drafted, the next; all that was computed is of it, or of one that stands or fell."""
    count = audit_store.count(scene.connection, "cycles")
    rows = audit_store.draft(scene.connection)
    for row in rows:
        _, end_s = calendar.bounds(_day(row.day), scene.terms.rules.time_zone)
        for column, computed in {"cycle": count + 1, "end_s": end_s}.items():
            if getattr(row, column) != computed:
                yield differs("drafts", row.cycle, column, stated=getattr(row, column), computed=computed)
    waiting = [*rows, *dispute_store.waiting(scene.connection)]
    strange = audit_store.settled_in(scene.connection) - {*range(1, count + 1), *(row.cycle for row in waiting)}
    if strange:
        yield Contradiction("cycles", str(min(strange)), "cycle", "has deliveries or lines, and is none")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return date.min.replace(year=1970)


def _cycles_on_chain(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    rows = audit_store.all_cycles(scene.connection)
    calls = {call.outbox_id: call for call in audit_store.outbox_rows(scene.connection)}
    proposed = _standing_proposals(scene)
    applied = {int(event.arguments["cycle"]): event for event in scene.of("Clearing", "CycleApplied")}
    upto = store.last_mirrored_block(scene.connection)
    if len(rows) < min(scene.proposed, len(proposed)):
        yield Contradiction("cycles", str(scene.proposed), "cycle", "is on the chain and not in the database")
    for row in rows:
        key = str(row.cycle)
        rounds = [each.round for each in dispute_store.void_rounds(scene.connection, row.cycle)] + [row.round]
        if rounds != [*range(1, len(rounds) + 1)]:
            yield Contradiction("cycles", key, "round", "does not follow on the rounds that fell")
        states = _states(proposed.get(row.cycle), applied.get(row.cycle), upto)
        if row.state not in states:
            yield differs("cycles", key, "state", stated=row.state, computed=" or ".join(states))
        if row.state not in _UNSIGNED and row.checker_signature is None:
            yield Contradiction("cycles", key, "checker_signature", "is missing")
        if (row.refusal is not None) != (row.state == "refused"):
            yield Contradiction("cycles", key, "refusal", f"is there, or not, and the cycle is {row.state}")
        if row.outbox_id is not None and not _proposes(calls.get(row.outbox_id), row):
            yield Contradiction("cycles", key, "outbox_id", "names no proposal of this cycle")
        if row.cycle in proposed:
            yield from _proposal(row, proposed[row.cycle])
        tick(1)


def _standing_proposals(scene: Scene) -> dict[int, ChainEvent]:
    """The last proposal of each cycle, without those that fell and were not made again."""
    found: dict[int, ChainEvent] = {}
    events = (*scene.of("Clearing", "Proposed"), *scene.of("Clearing", "CycleVoided"))
    for event in sorted(events, key=lambda each: (each.block, each.log_index)):
        number = int(event.arguments["cycle"])
        if event.event == "Proposed":
            found[number] = event
        else:
            found = {cycle: each for cycle, each in found.items() if cycle < number}
    return found


def _proposes(call: Row[Any] | None, row: Row[Any]) -> bool:
    if call is None or call.kind != "Clearing.propose":
        return False
    said = abi.arguments(compiled()["Clearing"], call.call)
    return all(
        said[name] == getattr(row, name) for name in ("cycle", "trades_root", "readings_root", "statements_root")
    )


def _states(proposed: ChainEvent | None, applied: ChainEvent | None, upto: int) -> tuple[str, ...]:
    """The states that a cycle can be in after the events up to a block were mirrored."""
    if applied is not None and applied.block <= upto:
        return ("applied",)
    return _ON_CHAIN if proposed is not None and proposed.block <= upto else (*_UNSIGNED, "signed")


def _proposal(row: Row[Any], event: ChainEvent) -> Iterator[Contradiction]:
    names = ["start_s", "end_s", "trades_root", "readings_root", "statements_root", "parts_hash"]
    if row.state in (*_ON_CHAIN, "applied"):
        names.append("disputable_until_s")
    for name in names:
        if getattr(row, name) != event.arguments[name]:
            yield differs("cycles", row.cycle, name, stated=getattr(row, name), computed=event.arguments[name])
