"""Area meters and meters with keys of their own, from the reading to a cycle that the checker computes again."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from data.database import reading
from settlement import cycle_store, drafting, publish_store, reading_store, readings, signatures
from settlement.areas import AreaMeter
from settlement.contradiction import Contradiction
from settlement.delivery import Delivery, Estimate
from settlement.examine_cycle import CycleExaminer, Parties
from settlement.hexjson import Hex
from settlement.journal_replay import JournalReplay
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.meters import ACCEPTED, Code, Status, Submitted, Verdict
from settlement.published import PublishedKey
from settlement.reading_leaf import area_digest, meter_digest, meter_key_digest, reading_leaves, root_digest
from settlement.reading_store import MeterKey
from tests.settlement.copied_cycle import CopiedCycle, copy_of
from tests.settlement.settlement_world import (
    CHECKER,
    DAY,
    DOMAIN,
    ENGINE_RULES,
    GRID,
    METER_OPERATOR,
    OPERATOR,
    RULES,
    Wish,
    World,
    after_window,
    key_of,
    new_world,
    start_of,
)

pytestmark = pytest.mark.usefixtures("database_url")
SLOT = start_of(DAY, 10)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A2 and B1 have sold 100 lots each to A1 and B2; an area meter stands over A1 and A2."""
    world = new_world(tmp_path)
    place_area_meter(world, "T1", tolerance_lots=5)
    world.place(
        Wish("A2", "sell", 10, 100, 4_000, 30),
        Wish("A1", "buy", 10, 100, 4_400, 30),
        now_s=start_of(DAY) - 7_200,
    )
    world.close(10)
    world.commit(start_of(DAY, 24), at_once=True)
    return world


def place_area_meter(world: World, name: str, number: int = 1, **more: int) -> None:
    terms = {"from_s": start_of(DAY), "export_lots": 9_999, "import_lots": 9_999, "tolerance_bp": 0, **more}
    area = AreaMeter(node=world.nodes[name], number=number, **terms)
    signature = signatures.sign(key_of(GRID), area_digest(DOMAIN, name, area))
    with world.database.begin() as connection:
        reading_store.add_area_meter(connection, area, set_s=0, signer=GRID, signature=signature)


def give_key(world: World, meter: str, number: int = 1) -> ec.EllipticCurvePrivateKey:
    private = signatures.new_private_key()
    key = signatures.public_key(private)
    digest = meter_key_digest(DOMAIN, meter, number, key)
    with world.database.begin() as connection:
        new = MeterKey(world.nodes[meter], number, reading_store.next_signature(connection), None, key, 0)
        reading_store.add_meter_key(
            connection,
            new,
            signer=METER_OPERATOR,
            signature=signatures.sign(key_of(METER_OPERATOR), digest),
            proof=signatures.sign(private, digest),
        )
    return private


def sign_itself(
    world: World, meter: str, private: ec.EllipticCurvePrivateKey, *rows: tuple[int, int], now_s: int | None = None
) -> list[Verdict]:
    sent = [Submitted(meter, SLOT, exported, imported) for exported, imported in rows]
    batch = readings.batch_of(sent, signature=bytes(64), node=world.nodes[meter])
    signature = signatures.sign(private, meter_digest(DOMAIN, meter, batch.root, len(sent)))
    with world.database.begin() as connection:
        return readings.record(
            connection, batch._replace(signature=signature), now_s=now_s or start_of(DAY, 24), rules=RULES
        )


def settled(world: World) -> CopiedCycle:
    """The day's cycle, drafted."""
    drafted = drafting.draft_due(world.database, after_window(DAY), rules=RULES, domain=DOMAIN, operator=world.operator)
    assert drafted == 1
    with reading(world.database) as connection:
        return copy_of(connection, 1, RULES)


def examined(world: World, copied: CopiedCycle) -> Contradiction | None:
    keys = KeyHistory(
        [PublishedKey(member, 0, None, to_jwk(signatures.public_key(key_of(member)))) for member in (OPERATOR, CHECKER)]
    )
    replay = JournalReplay(ENGINE_RULES, DOMAIN, OPERATOR, keys)
    with reading(world.database) as connection:
        assert [found for link in publish_store.all_links(connection) if (found := replay.add(link))] == []
    parties = Parties(OPERATOR, CHECKER, frozenset({METER_OPERATOR}), keys)
    return CycleExaminer(RULES, DOMAIN, parties, replay).examine(copied.cycle, copied)


def outcome(world: World) -> tuple[list[Delivery], list[Estimate]]:
    with reading(world.database) as connection:
        return (
            cycle_store.deliveries_at(connection, 1, SLOT),
            cycle_store.estimates_at(connection, 1, SLOT),
        )


def test_meter_operator_invents_energy(world: World) -> None:
    """A2 exported nothing; the meter operator says 100. The area meter shows that A1's energy came from outside."""
    assert world.meter(("A2", 10, 100, 0), ("A1", 10, 0, 100), ("T1", 10, 0, 100)) == [ACCEPTED] * 3
    copied = settled(world)
    deliveries, estimates = outcome(world)
    assert [(each.delivered_lots, each.financeable) for each in deliveries] == [(0, False)]
    assert estimates == [Estimate(SLOT, world.nodes["A1"], True), Estimate(SLOT, world.nodes["A2"], True)]
    assert examined(world, copied) is None


def test_energy_that_adds_up_is_delivered_and_can_be_financed(world: World) -> None:
    world.meter(("A2", 10, 100, 0), ("A1", 10, 0, 98), ("T1", 10, 4, 0))
    copied = settled(world)
    deliveries, estimates = outcome(world)
    assert [(each.delivered_lots, each.financeable) for each in deliveries] == [(100, True)]
    assert estimates == []
    assert examined(world, copied) is None


def test_what_is_held_counts_again_once_it_is_corrected(world: World) -> None:
    world.meter(("A2", 10, 100, 0), ("A1", 10, 0, 100), ("T1", 10, 0, 100))
    world.meter(("A2", 10, 0, 0))
    settled(world)
    assert outcome(world)[1] == []


@pytest.mark.parametrize("rows", [[("A2", 10, 100, 0), ("A1", 10, 0, 100)], [("A2", 10, 100, 0), ("T1", 10, 100, 0)]])
def test_what_could_not_be_compared_counts_and_can_not_be_financed(
    world: World, rows: list[tuple[str, int, int, int]]
) -> None:
    """Without the area meter's reading, and without that of the neighbour."""
    world.meter(*rows)
    copied = settled(world)
    assert [(each.delivered_lots, each.financeable) for each in outcome(world)[0]] == [(100, False)]
    assert examined(world, copied) is None


def test_what_a_meter_signed_itself_counts_whatever_the_meter_operator_says(world: World) -> None:
    private = give_key(world, "A2")
    assert sign_itself(world, "A2", private, (40, 0)) == [ACCEPTED]
    verdicts = world.meter(("A2", 10, 100, 0), ("A2", 10, 40, 0), ("A1", 10, 0, 100), ("T1", 10, 0, 100))
    assert verdicts[:2] == [Verdict(Status.QUARANTINED, Code.METER_SIGNED), Verdict(Status.DUPLICATE)]
    copied = settled(world)
    deliveries, estimates = outcome(world)
    assert [(each.delivered_lots, each.financeable) for each in deliveries] == [(40, True)]
    assert estimates == [Estimate(SLOT, world.nodes["A1"], True)]
    assert examined(world, copied) is None


def test_a_meter_confirms_what_the_meter_operator_said_and_corrects_itself(world: World) -> None:
    world.meter(("A2", 10, 40, 0))
    private = give_key(world, "A2")
    assert sign_itself(world, "A2", private, (40, 0)) == [Verdict(Status.CONFIRMED)]
    assert sign_itself(world, "A2", private, (40, 0)) == [Verdict(Status.DUPLICATE)]
    assert sign_itself(world, "A2", private, (41, 0)) == [Verdict(Status.CORRECTED)]
    copied = settled(world)
    assert [(each.delivered_lots, each.financeable) for each in outcome(world)[0]] == [(41, True)]
    assert examined(world, copied) is None


def test_a_signature_is_that_of_the_meters_key_of_its_time(world: World) -> None:
    first = give_key(world, "A2")
    sign_itself(world, "A2", first, (40, 0))
    second = give_key(world, "A2", 2)
    sign_itself(world, "A2", second, (41, 0))
    assert examined(world, settled(world)) is None


def test_the_key_of_before_signs_no_more(world: World) -> None:
    first = give_key(world, "A2")
    give_key(world, "A2", 2)
    sign_itself(world, "A2", first, (40, 0))
    found = examined(world, settled(world))
    assert found is not None and (found.table, found.column) == ("reading_signatures", "signature")


def swapped(row: Any, **values: Any) -> Any:
    return msgspec.structs.replace(row, **values)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"signer": OPERATOR}, "signer"),
        ({"number": 2}, "number"),
        ({"proof": Hex(bytes(64))}, "proof"),
        ({"signature": Hex(bytes(64))}, "signature"),
        ({"x": Hex(bytes(32))}, "signature"),
        ({"from_signature": 99}, "signature"),
    ],
)
def test_a_meters_key_is_what_it_was_registered_as(world: World, change: dict[str, Any], column: str) -> None:
    sign_itself(world, "A2", give_key(world, "A2"), (40, 0))
    copied = settled(world)
    lying = [
        swapped(each, meter_keys=tuple(swapped(key, **change) for key in each.meter_keys)) for each in copied.signed
    ]
    found = examined(world, swapped(copied, signed=tuple(lying)))
    assert found is not None and found.column == column


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"tolerance_lots": 500}, "signature"),
        ({"from_s": start_of(DAY, 11)}, "signature"),
        ({"number": 2}, "number"),
        ({"signer": OPERATOR}, "signer"),
        ({"name": "T2"}, "signature"),
    ],
)
def test_an_area_meter_is_what_the_grid_company_signed(world: World, change: dict[str, Any], column: str) -> None:
    copied = settled_with_readings(world)
    areas = tuple(swapped(area, **change) for area in copied.cycle.areas)
    found = examined(world, swapped(copied, cycle=swapped(copied.cycle, areas=areas)))
    assert found is not None and (found.table, found.column) == ("area_meters", column)


def test_an_area_meter_that_is_left_out_is_missed_where_it_was_read(world: World) -> None:
    copied = settled_with_readings(world)
    found = examined(world, swapped(copied, cycle=swapped(copied.cycle, areas=())))
    assert found is not None and (found.table, found.column) == ("readings", "node_id")


def test_a_reading_is_not_passed_off_as_the_meters_own(world: World) -> None:
    copied = settled_with_readings(world)
    slots = [
        swapped(slot, readings=tuple(swapped(each, by_meter=True) for each in slot.readings)) for slot in copied.slots
    ]
    found = examined(world, swapped(copied, slots=tuple(slots)))
    assert found is not None and (found.table, found.column) == ("readings", "signature_id")


def settled_with_readings(world: World) -> CopiedCycle:
    world.meter(("A2", 10, 100, 0), ("A1", 10, 0, 100), ("T1", 10, 0, 100))
    return settled(world)


def test_readings_of_the_meter_operator_and_of_a_meter_have_different_digests() -> None:
    leaves = reading_leaves([Submitted("A2", SLOT, 1, 0)])
    assert meter_digest(DOMAIN, "A2", leaves[0], 1) != root_digest(DOMAIN, METER_OPERATOR, leaves[0], 1)
