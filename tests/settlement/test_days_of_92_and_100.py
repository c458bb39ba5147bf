"""A market where clocks change: its days of 92 and 100 quarter hours are settled whole, once, and a checker agrees."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest

from data.database import reading
from settlement import acts, calendar, cycle, cycle_store, drafting, publish_store
from settlement.delivery import Line
from settlement.examine_cycle import CycleExaminer, Parties
from settlement.journal_replay import JournalReplay
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.meters import Status, Submitted
from settlement.published import PublishedKey
from settlement.signatures import public_key
from tests.settlement.copied_cycle import copy_of
from tests.settlement.settlement_world import (
    CHECKER,
    DAY,
    DOMAIN,
    ENGINE_RULES,
    HOUR,
    METER_OPERATOR,
    OPERATOR,
    RULES,
    Wish,
    World,
    checker_approval,
    key_of,
    new_world,
    start_of,
)

BERLIN = msgspec.structs.replace(RULES, time_zone="Europe/Berlin", slot_minutes=15)
QUARTER = 900


@dataclass(frozen=True)
class Change:
    """A day on which clocks change, and how many quarter hours it has."""

    day: date
    slots: int

    def hour_s(self, place: int) -> int:
        """An hour around the change, which is two or three hours after midnight."""
        return calendar.start_of(self.day, BERLIN.time_zone) + (2 + place) * HOUR


CHANGES = [
    Change(date(2026, 3, 29), 92),
    Change(date(2026, 10, 25), 100),
]


def draft(world: World, day: date) -> int | None:
    now_s = BERLIN.cut_s(day)
    world.commit(now_s, at_once=True)
    assert drafting.draft_due(world.database, now_s - 1, rules=BERLIN, domain=DOMAIN, operator=world.operator) is None
    number = drafting.draft_due(world.database, now_s, rules=BERLIN, domain=DOMAIN, operator=world.operator)
    if number is not None:
        with world.database.begin() as connection:
            row = cycle_store.cycle(connection, number)
            assert row is not None
            signature = checker_approval(acts.propose_digest(DOMAIN, cycle.stated_proposal(row))).signature
            cycle_store.set_cycle(connection, number, state="signed", checker_signature=signature)
    return number


def examiner(world: World) -> CycleExaminer:
    officers = {member: to_jwk(public_key(key_of(member))) for member in (OPERATOR, CHECKER)}
    keys = KeyHistory(PublishedKey(member, 0, None, key) for member, key in officers.items())
    replay = JournalReplay(ENGINE_RULES, DOMAIN, OPERATOR, keys)
    with reading(world.database) as connection:
        assert [found for link in publish_store.all_links(connection) if (found := replay.add(link))] == []
    return CycleExaminer(BERLIN, DOMAIN, Parties(OPERATOR, CHECKER, frozenset({METER_OPERATOR}), keys), replay)


def lines_of(world: World, number: int) -> list[Line]:
    with reading(world.database) as connection:
        return cycle_store.lines_of(connection, number)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.slots))
def test_a_day_on_which_clocks_change_is_one_cycle(tmp_path: Path, change: Change) -> None:
    """A1 takes 0.05 kWh in every quarter hour of three days; A2 sells it 0.03 in the hours around the change."""
    world = new_world(tmp_path)
    world.rules = BERLIN
    days = [change.day + timedelta(days=number) for number in (-1, 0, 1)]
    hours = [(change.hour_s(place) - start_of(DAY)) // HOUR for place in (-1, 0, 1)]
    early_s = calendar.start_of(days[0], BERLIN.time_zone) - 2 * HOUR
    world.place(*(Wish("A2", "sell", hour, 3, 4_000) for hour in hours), now_s=early_s)
    world.place(*(Wish("A1", "buy", hour, 3, 4_800) for hour in hours), now_s=early_s)
    slots = {day: list(calendar.slots(day, BERLIN.time_zone, 15)) for day in days}
    assert [len(slots[day]) for day in days] == [96, change.slots, 96]
    for day in days:
        sent = [Submitted("A1", slot_s, 0, 5) for slot_s in slots[day]]
        verdicts = world.send_readings(sent, slots[day][-1] + QUARTER)
        assert {verdict.status for verdict in verdicts} == {Status.ACCEPTED}
    assert [draft(world, day) for day in days] == [1, 2, 3]
    for number, day in enumerate(days, start=1):
        with reading(world.database) as connection:
            row = cycle_store.cycle(connection, number)
        assert row is not None
        assert (row.day, row.end_s - row.start_s) == (day.isoformat(), len(slots[day]) * QUARTER)
        taken = {line.slot_s for line in lines_of(world, number) if line.kind == "over_consumed"}
        assert taken == set(slots[day]), "each slot is in the cycle of its local day, and in no other"
    bought = [line for line in lines_of(world, 2) if line.kind == "energy" and line.amount_micro < 0]
    assert [line.slot_s for line in bought] == [change.hour_s(place) for place in (-1, 0, 1)]
    examining = examiner(world)
    for number in (1, 2, 3):
        with reading(world.database) as connection:
            found = copy_of(connection, number, BERLIN)
        assert examining.examine(found.cycle, found) is None


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.slots))
def test_what_comes_late_for_such_a_day_finds_its_slot(tmp_path: Path, change: Change) -> None:
    """The last quarter hour of the day is late from the end of its own local day on, plus the windows."""
    world = new_world(tmp_path)
    world.rules = BERLIN
    last_s = list(calendar.slots(change.day, BERLIN.time_zone, 15))[-1]
    following = change.day + timedelta(days=1)
    world.send_readings([Submitted("A1", last_s, 0, 5)], BERLIN.cut_s(change.day) - 1)
    assert draft(world, change.day) == 1
    (verdict,) = world.send_readings([Submitted("A1", last_s, 0, 9)], BERLIN.cut_s(change.day))
    assert verdict.status == Status.LATE
    world.send_readings([Submitted("A1", last_s + QUARTER, 0, 1)], BERLIN.cut_s(following) - 1)
    assert draft(world, following) == 2
    adjusted = [(line.slot_s, line.energy_lots) for line in lines_of(world, 2) if line.adjusts == 1]
    assert adjusted == [(last_s, 4)] * 2
