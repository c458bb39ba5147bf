"""What is metered after its day was drafted: paid for in the next cycle, to the micro-yuan, and nothing unwound."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from data.database import reading
from settlement import acts, cycle, cycle_store, drafting, publish_cycle_store, publish_store, reading_store, store
from settlement.delivery import Line, settle_slot
from settlement.examine_cycle import CycleExaminer, Parties
from settlement.hexjson import Hex
from settlement.journal_replay import JournalReplay
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.meters import Code, Status
from settlement.published import PublishedKey, PublishedReading
from settlement.signatures import public_key
from tests.settlement.copied_cycle import CopiedCycle, copy_of, of_document
from tests.settlement.settlement_world import (
    CHECKER,
    DAY,
    DOMAIN,
    ENGINE_RULES,
    GRID,
    HOUR,
    METER_OPERATOR,
    OPERATOR,
    OWNERS,
    RULES,
    World,
    a_day_of_trading,
    after_window,
    checker_approval,
    key_of,
    new_world,
    start_of,
)

pytestmark = pytest.mark.usefixtures("database_url")

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A market whose first day is drafted and signed."""
    world = new_world(tmp_path)
    a_day_of_trading(world)
    draft(world, DAY)
    return world


def draft(world: World, day: date) -> int:
    """Draft the cycle of a day at the end of its window, and sign it as the checker."""
    now_s = after_window(day)
    world.commit(now_s, at_once=True)
    number = drafting.draft_due(world.database, now_s, rules=RULES, domain=world.domain, operator=world.operator)
    assert number is not None
    with world.database.begin() as connection:
        row = cycle_store.cycle(connection, number)
        assert row is not None
        signature = checker_approval(acts.propose_digest(world.domain, cycle.stated_proposal(row))).signature
        cycle_store.set_cycle(connection, number, state="signed", checker_signature=signature)
    return number


def lines_of(world: World, *numbers: int) -> list[Line]:
    with reading(world.database) as connection:
        return [line for number in numbers for line in cycle_store.lines_of(connection, number)]


def sums(lines: list[Line], day: date = DAY) -> dict[tuple[object, ...], int]:
    """Micro-yuan of the slots of a day by member, meter, kind and way of paying."""
    found: Counter[tuple[object, ...]] = Counter()
    for line in lines:
        if start_of(day) <= line.slot_s < start_of(day, 24):
            found[line.member, line.node, line.kind, line.counterparty, line.how] += line.amount_micro
    return {key: amount_micro for key, amount_micro in found.items() if amount_micro}


def as_if_at_once(world: World, before_s: int) -> dict[tuple[object, ...], int]:
    """What the first day comes to with all readings that came before an instant."""
    lines: list[Line] = []
    owners = {world.nodes[name]: member for name, member in OWNERS.items()}
    with reading(world.database) as connection:
        for slot_s in range(start_of(DAY), start_of(DAY, 24), HOUR):
            kept = reading_store.readings_at(connection, slot_s, before_s)
            counting = {node: each.reading for node, each in kept.items()}
            lines += settle_slot(slot_s, store.trades_at(connection, slot_s), counting, owners, RULES).lines
    return sums(lines)


def examiner(world: World) -> CycleExaminer:
    keys = KeyHistory(
        PublishedKey(member, 0, None, to_jwk(public_key(key_of(member)))) for member in (OPERATOR, CHECKER)
    )
    replay = JournalReplay(ENGINE_RULES, DOMAIN, OPERATOR, keys)
    with reading(world.database) as connection:
        assert [found for link in publish_store.all_links(connection) if (found := replay.add(link))] == []
    return CycleExaminer(RULES, DOMAIN, Parties(OPERATOR, CHECKER, frozenset({METER_OPERATOR}), keys), replay)


def copied(world: World, number: int) -> CopiedCycle:
    with reading(world.database) as connection:
        return copy_of(connection, number, RULES)


def test_a_late_reading_is_paid_for_in_the_next_cycle_and_a_checker_agrees(world: World) -> None:
    """A2 was short by 20 of 250 lots; its meter says later that it had more, and a meter that was silent speaks up."""
    late = world.meter(("A2", 10, 280, 0), ("B1", 11, 200, 0), now_s=after_window(DAY) + HOUR)
    assert [verdict.status for verdict in late] == [Status.LATE, Status.LATE]
    world.meter(("A1", 9, 0, 7), day=NEXT)
    before = lines_of(world, 1)
    assert draft(world, NEXT) == 2
    assert lines_of(world, 1) == before, "nothing of the first cycle is touched"
    adjusted = [line for line in lines_of(world, 2) if line.adjusts is not None]
    facts = [(line.member, line.kind, line.counterparty, line.energy_lots, line.amount_micro) for line in adjusted]
    assert facts == [
        (101, "shortfall", GRID, 20, 20 * RULES.shortfall_ticks),
        (GRID, "shortfall", 101, 20, -20 * RULES.shortfall_ticks),
        (101, "surplus", GRID, 30, 30 * RULES.feed_in_ticks),
        (GRID, "surplus", 101, 30, -30 * RULES.feed_in_ticks),
        (102, "shortfall", GRID, 150, 150 * RULES.shortfall_ticks),
        (GRID, "shortfall", 102, 150, -150 * RULES.shortfall_ticks),
        (102, "surplus", GRID, 50, 50 * RULES.feed_in_ticks),
        (GRID, "surplus", 102, 50, -50 * RULES.feed_in_ticks),
    ]
    assert {(line.slot_s, line.adjusts) for line in adjusted} == {(start_of(DAY, 10), 1), (start_of(DAY, 11), 1)}
    assert sums(lines_of(world, 1, 2)) == as_if_at_once(world, after_window(NEXT))
    examining = examiner(world)
    for number in (1, 2):
        found = copied(world, number)
        assert examining.examine(found.cycle, found) is None


def test_corrections_in_a_row_and_back_to_the_original(world: World) -> None:
    original = sums(lines_of(world, 1))
    for number, export_lots in enumerate((280, 10, 230), start=2):
        day = DAY + timedelta(days=number - 1)
        world.meter(("A2", 10, export_lots, 0), now_s=after_window(DAY) + (number - 2) * 24 * HOUR + HOUR)
        world.meter(("A1", 9, 0, 7), day=day)
        assert draft(world, day) == number
        assert sums(lines_of(world, *range(1, number + 1))) == as_if_at_once(world, after_window(day))
    assert sums(lines_of(world, 1, 2, 3, 4)) == original, "the last correction is the first reading again"
    examining = examiner(world)
    for number in (1, 2, 3, 4):
        found = copied(world, number)
        assert examining.examine(found.cycle, found) is None


def test_two_corrections_before_the_next_cycle_count_once(world: World) -> None:
    for export_lots in (10, 240):
        world.meter(("A2", 10, export_lots, 0), now_s=after_window(DAY) + HOUR)
    world.meter(("A1", 9, 0, 7), day=NEXT)
    draft(world, NEXT)
    adjusted = [line for line in lines_of(world, 2) if line.adjusts is not None]
    assert [(line.kind, line.energy_lots) for line in adjusted] == [("shortfall", 10), ("shortfall", 10)]


def test_what_was_delivered_stands_and_so_does_what_was_financed_on_it(world: World) -> None:
    with reading(world.database) as connection:
        before = cycle_store.deliveries_of(connection, [1, 2, 3])
    world.meter(("A2", 10, 0, 0), ("B1", 10, 0, 0), now_s=after_window(DAY) + HOUR)
    world.meter(("A1", 9, 0, 7), day=NEXT)
    draft(world, NEXT)
    with reading(world.database) as connection:
        assert cycle_store.deliveries_of(connection, [1, 2, 3]) == before
        assert [each.delivered_lots for each in before.values()].count(0) < 3
    assert {line.how for line in lines_of(world, 2) if line.adjusts is not None} == {"cycle", "bill"}


def test_a_day_without_a_cycle_is_put_right_too_and_begins_none_of_its_own(world: World) -> None:
    """Nobody traded or was read on the second day; a reading of it that comes late belongs to the third day's cycle."""
    third = DAY + timedelta(days=2)
    world.meter(("A1", 9, 0, 7), day=NEXT, now_s=after_window(NEXT))
    world.meter(("A1", 9, 0, 8), day=third)
    assert draft(world, third) == 2
    adjusted = [line for line in lines_of(world, 2) if line.adjusts is not None]
    assert [(line.kind, line.energy_lots, line.adjusts) for line in adjusted] == [("over_consumed", 7, 0)] * 2
    examining = examiner(world)
    for number in (1, 2):
        found = copied(world, number)
        assert examining.examine(found.cycle, found) is None


def test_readings_are_late_for_ninety_days_and_then_refused(world: World) -> None:
    closing_s = after_window(DAY) + RULES.late_s
    assert world.meter(("A2", 10, 280, 0), now_s=closing_s - 1)[0].status == Status.LATE
    refused = world.meter(("A2", 10, 281, 0), now_s=closing_s)[0]
    assert (refused.status, refused.code) == (Status.QUARANTINED, Code.WINDOW_CLOSED)


def test_a_checker_refuses_adjustments_that_are_not_what_came_late(world: World) -> None:
    world.meter(("A2", 10, 280, 0), now_s=after_window(DAY) + HOUR)
    world.meter(("A1", 9, 0, 7), day=NEXT)
    draft(world, NEXT)
    examining, first = examiner(world), copied(world, 1)
    assert examining.examine(first.cycle, first) is None

    def refused(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> str:
        document = copied(world, 2).document()
        late = document["slots"][-1]
        assert late["slot_s"] == start_of(DAY, 10)
        change(document, late)
        wrong = of_document(document)
        found = examining.examine(wrong.cycle, wrong)
        assert found is not None
        return found.column

    def hide(_: dict[str, Any], late: dict[str, Any]) -> None:
        late["readings"] = [row for row in late["readings"] if row[3] == 1]

    def settle_none(document: dict[str, Any], _: dict[str, Any]) -> None:
        document["cycle"]["late_slots"] = []

    def blame_another_cycle(document: dict[str, Any], _: dict[str, Any]) -> None:
        next(line for line in document["lines"] if line[10] is not None)[10] = 0

    def pay_more(document: dict[str, Any], _: dict[str, Any]) -> None:
        next(line for line in document["lines"] if line[10] is not None)[8] += 1

    def say_that_it_was_in_time(_: dict[str, Any], late: dict[str, Any]) -> None:
        place = PublishedReading.__struct_fields__.index("received_s")
        for row in late["readings"]:
            row[place] = min(row[place], after_window(DAY) - 1)

    assert refused(hide).startswith("statement line")
    assert refused(settle_none).startswith("statement line")
    assert refused(blame_another_cycle).endswith("adjusts")
    assert refused(pay_more).endswith("amount_micro")
    assert refused(say_that_it_was_in_time).startswith("statement line")
    true = copied(world, 2)
    assert examining.examine(true.cycle, true) is None, "a refusal leaves the examiner where it was"


def test_a_draft_that_was_broken_off_leaves_nothing_and_closes_its_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after some lines are written: nobody sees them, readings of the day are late, the next draft is whole."""
    monkeypatch.setattr(drafting, "ROWS_AT_ONCE", 1)
    a_day_of_trading(world, NEXT)
    now_s = after_window(NEXT)
    world.commit(now_s, at_once=True)
    steps = drafting.steps(world.database, now_s, rules=RULES, domain=world.domain, operator=world.operator)
    assert [next(steps) for _ in range(2)] == [None, None]
    steps.close()
    with reading(world.database) as connection:
        assert cycle_store.draft(connection) is not None
        assert cycle_store.lines_of(connection, 2), "something was written"
        assert cycle_store.cycle(connection, 2) is None
        assert cycle_store.deliveries_of(connection, [4, 5, 6]) == {}
        assert publish_cycle_store.published_cycle(connection, 2, RULES) is None
    assert world.meter(("A2", 10, 1, 0), day=NEXT, now_s=now_s - 1)[0].status == Status.LATE
    assert draft(world, NEXT) == 2
    with reading(world.database) as connection:
        assert cycle_store.draft(connection) is None
    examining = examiner(world)
    for number in (1, 2):
        found = copied(world, number)
        assert found.cycle.salt != Hex(bytes(32))
        assert examining.examine(found.cycle, found) is None
