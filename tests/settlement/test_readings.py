"""Meter readings: what is taken, what is a correction, what is quarantined and why."""

from datetime import date
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from data import tables
from data.database import reading
from settlement import merkle, reading_store, readings
from settlement.calendar import day_of
from settlement.delivery import Reading
from settlement.meters import (
    ACCEPTED,
    DUPLICATE,
    MOST_VERSIONS,
    Code,
    Connection,
    Kept,
    Status,
    Submitted,
    Verdict,
    judge,
)
from settlement.reading_leaf import placed_leaves, reading_leaf
from tests.settlement.settlement_world import DAY, HOUR, METER_OPERATOR, RULES, World, after_window, new_world, start_of

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return new_world(tmp_path)


CLOSED = Verdict(Status.QUARANTINED, Code.WINDOW_CLOSED)


def accepted(count: int = 1) -> list[Verdict]:
    return [Verdict(Status.ACCEPTED)] * count


def final(world: World) -> dict[tuple[int, int], Reading]:
    with world.database.connect() as connection:
        return {
            (slot_s, node): kept.reading
            for slot_s in range(start_of(DAY), start_of(DAY, 24), HOUR)
            for node, kept in reading_store.readings_at(connection, slot_s, after_window(DAY)).items()
        }


def test_a_reading_is_taken_once_again_is_a_duplicate_and_another_is_a_correction(world: World) -> None:
    assert world.meter(("A1", 10, 0, 100), ("A2", 10, 50, 0)) == accepted(2)
    assert world.meter(("A1", 10, 0, 100)) == [Verdict(Status.DUPLICATE)]
    assert world.meter(("A1", 10, 0, 90), ("A2", 10, 50, 0)) == [Verdict(Status.CORRECTED), Verdict(Status.DUPLICATE)]
    assert final(world)[start_of(DAY, 10), world.nodes["A1"]] == Reading(0, 90)
    with world.database.connect() as connection:
        versions = connection.execute(select(tables.readings.c.version).order_by(tables.readings.c.version)).scalars()
        assert list(versions) == [1, 1, 2]


def test_within_one_batch_the_first_reading_of_a_slot_stands(world: World) -> None:
    verdicts = world.meter(("A1", 10, 0, 100), ("A1", 10, 0, 100), ("A1", 10, 0, 101))
    assert verdicts == [ACCEPTED, DUPLICATE, Verdict(Status.QUARANTINED, Code.TWICE_IN_BATCH)]
    assert final(world)[start_of(DAY, 10), world.nodes["A1"]] == Reading(0, 100)


def test_leaves_come_out_of_the_readings_again_unless_they_lie_scattered(world: World) -> None:
    dense = [(meter, hour, 0, hour) for meter in ("A1", "A2") for hour in range(10)]
    world.meter(*dense, ("A1", 3, 0, 3), ("A1", 99, 0, 0))
    world.meter(("A1", 10, 0, 1), ("B2", 23, 0, 1))
    with world.database.connect() as connection:
        compact, scattered = connection.execute(
            select(tables.reading_signatures).order_by(tables.reading_signatures.c.signature_id)
        )
        for row, others in ((compact, [20, 21]), (scattered, [0, 1])):
            leaves = reading_store.leaves_of(connection, row)
            assert merkle.root([leaves[at : at + 32] for at in range(0, len(leaves), 32)]) == row.root
            assert sorted(placed_leaves(row.other_leaves)) == others


def test_what_was_judged_on_an_older_snapshot_is_judged_again(world: World) -> None:
    sent = [Submitted("A1", start_of(DAY, 10), 0, 100)]
    signed = readings.batch_of(sent, signer=METER_OPERATOR, signature=bytes(64))
    now_s = start_of(DAY, 24)
    with reading(world.database) as snapshot:
        judged = readings.judge_batch(snapshot, signed, now_s=now_s, rules=RULES)
    assert judged.verdicts == [ACCEPTED]
    world.meter(("A1", 10, 0, 99))
    with world.database.begin() as connection:
        verdicts = readings.write(connection, signed, judged, now_s=now_s, rules=RULES)
    assert verdicts == [Verdict(Status.CORRECTED)]
    assert final(world)[start_of(DAY, 10), world.nodes["A1"]] == Reading(0, 100)


def test_sending_only_what_is_known_leaves_no_trace(world: World) -> None:
    world.meter(("A1", 10, 0, 100))
    world.meter(("A1", 10, 0, 100))
    with world.database.connect() as connection:
        assert len(connection.execute(select(tables.reading_signatures)).all()) == 1


def test_what_fails_is_quarantined_with_its_code_and_kept(world: World) -> None:
    now_s = start_of(DAY, 12)
    sent = [
        Submitted("nobody", start_of(DAY, 10), 0, 0),
        Submitted("A1", start_of(DAY, 10) + 1, 0, 0),
        Submitted("A1", start_of(DAY, 12), 0, 0),
        Submitted("A1", start_of(DAY, 10), -1, 0),
        Submitted("A1", start_of(DAY, 10), 0, -1),
        Submitted("A1", start_of(DAY, 10), 1_001, 0),
        Submitted("A1", start_of(DAY, 10), 0, 1_001),
        Submitted("A1", start_of(DAY, 11), 1_000, 1_000),
    ]
    codes = [verdict.code for verdict in world.send_readings(sent, now_s)]
    assert codes == [
        Code.UNKNOWN_METER,
        Code.NOT_A_SLOT,
        Code.SLOT_NOT_OVER,
        Code.NEGATIVE,
        Code.NEGATIVE,
        Code.ABOVE_CAPACITY,
        Code.ABOVE_CAPACITY,
        None,
    ]
    with world.database.connect() as connection:
        kept = connection.execute(
            select(tables.quarantined_readings).order_by(tables.quarantined_readings.c.leaf_index)
        ).all()
        assert next((row.leaf_index, row.meter, row.code) for row in kept) == (0, "nobody", "unknown_meter")
        assert len(kept) == 7
        signature = connection.execute(select(tables.reading_signatures)).one()
        others = placed_leaves(signature.other_leaves)
        assert sorted(others) == list(range(7))
        leaves = [*others.values(), reading_leaf(*sent[7])]
        assert (signature.signer, merkle.root(leaves)) == (METER_OPERATOR, signature.root)
    assert list(final(world).values()) == [Reading(1_000, 1_000)]


def test_the_window_closes_after_deadline_and_corrections(world: World) -> None:
    last_moment = after_window(DAY) - 1
    assert world.meter(("A1", 10, 0, 100), now_s=last_moment) == accepted()
    assert world.meter(("A1", 10, 0, 99), now_s=last_moment) == [Verdict(Status.CORRECTED)]
    late = world.meter(("A1", 10, 0, 98), ("A2", 10, 1, 0), now_s=last_moment + 1)
    assert late == [Verdict(Status.LATE)] * 2
    assert final(world) == {(start_of(DAY, 10), world.nodes["A1"]): Reading(0, 99)}
    assert world.meter(("A1", 10, 0, 99), now_s=last_moment + 1 + RULES.late_s) == [CLOSED]
    assert world.meter(("A1", 10, 0, 98), now_s=last_moment + 1 + RULES.late_s) == [Verdict(Status.DUPLICATE)]


def test_a_meter_out_of_order_is_stopped() -> None:
    slot_s = start_of(DAY)
    kept = [Kept(Reading(0, lots), by_meter=False) for lots in range(MOST_VERSIONS)]
    verdict = judge(
        Submitted("A1", slot_s, 0, 999), Connection(4, 1_000, 1_000), kept, now_s=slot_s + HOUR, slot_s=HOUR,
        closes_s=slot_s + 9 * HOUR,
    )  # fmt: skip
    assert verdict == Verdict(Status.QUARANTINED, Code.TOO_MANY_CORRECTIONS)


def test_the_window_is_that_of_the_local_day(world: World) -> None:
    """23:00 in Sichuan is 15:00 UTC of the same date; its window closes with that of the whole local day."""
    assert after_window(DAY) == start_of(date(2026, 7, 2)) + RULES.window_s
    assert world.meter(("A1", 23, 0, 7), now_s=after_window(DAY) - 1) == accepted()
    assert world.meter(("A1", 0, 0, 7), now_s=after_window(DAY)) == [Verdict(Status.LATE)]


def test_a_whole_batch_is_judged_as_each_of_its_readings_by_itself(world: World) -> None:
    chosen = Random(7)
    now_s = start_of(DAY, 12)
    slots = [start_of(DAY, hour) for hour in range(14)] + [start_of(DAY) + 1, start_of(date(2026, 3, 1))]
    world.meter(*((meter, hour, hour, 0) for meter in ("A1", "B1") for hour in range(6)), now_s=now_s)
    sent = [
        Submitted(chosen.choice(["A1", "A2", "B1", "nobody"]), slot_s, chosen.choice([-1, 2, 3, 1_000, 1_001]), 0)
        for slot_s in slots
        for _ in range(12)
    ]
    expected, first = [], {}
    for each in sent:
        known = final(world).get((each.slot_s, world.nodes.get(each.meter, -1)))
        before = first.get((each.meter, each.slot_s))
        verdict = judge(
            each,
            Connection(world.nodes[each.meter], 1_000, 1_000) if each.meter in world.nodes else None,
            [Kept(reading, by_meter=False) for reading in (known, before) if reading is not None],
            now_s=now_s,
            slot_s=HOUR,
            closes_s=RULES.cut_s(day_of(each.slot_s, RULES.time_zone)),
            late_s=RULES.late_s,
        )
        if verdict.code is None:
            if before is not None and verdict != DUPLICATE:
                verdict = Verdict(Status.QUARANTINED, Code.TWICE_IN_BATCH)
            first.setdefault((each.meter, each.slot_s), Reading(each.export_lots, each.import_lots))
        expected.append(verdict)
    assert world.send_readings(sent, now_s) == expected
    assert {each.code for each in expected} == {
        None, Code.UNKNOWN_METER, Code.NOT_A_SLOT, Code.SLOT_NOT_OVER, Code.NEGATIVE, Code.ABOVE_CAPACITY,
        Code.WINDOW_CLOSED, Code.TWICE_IN_BATCH,
    }  # fmt: skip
