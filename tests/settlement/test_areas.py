"""Area meters: what adds up is proven, what does not is held, and nobody gains by leaving a reading out."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from settlement.areas import AreaMeter, Areas, AreaStatus, Place
from settlement.delivery import Established, Reading
from settlement.meters import Kept

SLOT = 1_782_900_900
CAPACITY_LOTS = 1_000
# substation 0 over feeder 1 over transformers 2 and 3; meters 10, 11 under 2 and 12, 13 under 3
PARENTS = {0: None, 1: 0, 2: 1, 3: 1, 10: 2, 11: 2, 12: 3, 13: 3}
METERS = (10, 11, 12, 13)
PLACES = [Place(node, 0, CAPACITY_LOTS, CAPACITY_LOTS) for node in METERS]


def area(
    node: int, number: int = 1, from_s: int = 0, *, bp: int = 0, lots: int = 5, capacity: int = 9_999
) -> AreaMeter:
    return AreaMeter(node, number, from_s, capacity, capacity, bp, lots)


def operators(readings: Mapping[int, tuple[int, int]]) -> dict[int, Kept]:
    return {node: Kept(Reading(*each), by_meter=False) for node, each in readings.items()}


def counted(
    final: Mapping[int, Kept], *area_meters: AreaMeter
) -> tuple[dict[int, Reading], dict[int, Established], dict[int, AreaStatus]]:
    found = Areas(PARENTS, PLACES, area_meters).count(SLOT, final)
    return found.readings, found.established, {each.node: each.status for each in found.comparisons}


def test_without_area_meters_the_operators_word_counts() -> None:
    readings, established, statuses = counted(operators({10: (7, 0), 12: (0, 3)}))
    assert (set(readings), set(established.values()), statuses) == ({10, 12}, {Established.OPERATOR}, {})


def test_a_sum_within_tolerance_proves_its_readings_and_no_others() -> None:
    final = operators({10: (100, 0), 11: (0, 40), 12: (9, 0), 2: (56, 0)})
    readings, established, statuses = counted(final, area(2))
    assert statuses == {2: AreaStatus.RECONCILED}
    assert established == {10: Established.RECONCILED, 11: Established.RECONCILED, 12: Established.OPERATOR}
    assert set(readings) == {10, 11, 12}


def test_tolerance_is_lots_and_a_share_of_what_flowed() -> None:
    final = operators({10: (1_000, 0), 11: (0, 1_000), 2: (0, 25)})
    assert counted(final, area(2, lots=5, bp=100))[2] == {2: AreaStatus.RECONCILED}
    assert counted(final, area(2, lots=4, bp=100))[2] == {2: AreaStatus.HELD}


def test_what_is_held_does_not_count_but_what_the_meter_signed_itself_does() -> None:
    final = operators({10: (100, 0), 11: (0, 40), 2: (0, 40)}) | {11: Kept(Reading(0, 40), by_meter=True)}
    readings, established, statuses = counted(final, area(2))
    assert statuses == {2: AreaStatus.HELD}
    assert readings == {11: Reading(0, 40)}
    assert established == {10: Established.HELD, 11: Established.METER}


def test_a_missing_meter_explains_no_more_than_its_connection_carries() -> None:
    final = operators({10: (100, 0), 2: (0, CAPACITY_LOTS - 105)})
    assert counted(final, area(2))[2] == {2: AreaStatus.INCOMPLETE}
    assert counted(operators({10: (100, 0), 2: (0, CAPACITY_LOTS - 94)}), area(2))[2] == {2: AreaStatus.HELD}
    readings, established, _ = counted(final, area(2))
    assert (set(readings), established) == ({10}, {10: Established.UNCONFIRMED})


def test_a_meter_that_came_later_is_not_missing() -> None:
    places = [Place(10, 0, CAPACITY_LOTS, CAPACITY_LOTS), Place(11, SLOT + 1, CAPACITY_LOTS, CAPACITY_LOTS)]
    found = Areas(PARENTS, places, [area(2)]).compare(SLOT, operators({10: (7, 0), 2: (7, 0)}))
    assert [each.status for each in found] == [AreaStatus.RECONCILED]


def test_an_area_meter_that_was_not_read_holds_nobody_and_proves_nothing() -> None:
    readings, established, statuses = counted(operators({10: (7, 0)}), area(2))
    assert (readings, statuses) == ({10: Reading(7, 0)}, {2: AreaStatus.UNREAD})
    assert established == {10: Established.UNCONFIRMED}


def test_the_nearest_area_meter_that_was_read_decides() -> None:
    final = operators({10: (100, 0), 11: (0, 0), 12: (50, 0), 13: (0, 0), 2: (100, 0), 1: (0, 900)})
    _, established, statuses = counted(final, area(1), area(2))
    assert statuses == {1: AreaStatus.HELD, 2: AreaStatus.RECONCILED}
    assert established == {
        10: Established.RECONCILED, 11: Established.RECONCILED, 12: Established.HELD, 13: Established.HELD,
    }  # fmt: skip
    del final[2]
    assert set(counted(final, area(1), area(2))[1].values()) == {Established.HELD}


def test_the_last_terms_of_a_time_hold_and_no_capacity_ends_an_area_meter() -> None:
    history = [area(2, 1, lots=1), area(2, 2, SLOT, lots=2), area(2, 3, SLOT + 900, capacity=0)]
    areas = Areas(PARENTS, PLACES, history)
    assert [each.tolerance_lots for each in areas.holding(SLOT - 900)] == [1]
    assert [each.tolerance_lots for each in areas.holding(SLOT)] == [2]
    assert areas.holding(SLOT + 900) == []


lots = st.integers(0, CAPACITY_LOTS)
metered = st.dictionaries(st.sampled_from(METERS), st.tuples(lots, lots))
signed_by_meters = st.sets(st.sampled_from(METERS))
somewhere = st.lists(st.sampled_from((0, 1, 2, 3)), unique=True)


def as_measured(readings: Mapping[int, tuple[int, int]], node: int) -> tuple[int, int]:
    """What an area meter without losses shows."""
    below = [reading for meter, reading in readings.items() if node in _above(meter)]
    net_lots = sum(export - imported for export, imported in below)
    return max(net_lots, 0), max(-net_lots, 0)


def _above(node: int) -> list[int]:
    above, found = PARENTS[node], []
    while above is not None:
        found.append(above)
        above = PARENTS[above]
    return found


@given(metered, signed_by_meters, somewhere, st.data())
def test_what_counts_is_what_was_read_and_is_not_held(
    readings: dict[int, tuple[int, int]], by_meter: set[int], nodes: list[int], data: st.DataObject
) -> None:
    measured = {node: data.draw(st.tuples(lots, lots)) for node in data.draw(st.sets(st.sampled_from(nodes or [0])))}
    final = {n: Kept(Reading(*each), by_meter=n in by_meter) for n, each in (readings | measured).items()}
    counting, established, _ = counted(final, *(area(node) for node in nodes))
    held = {node for node, each in established.items() if each == Established.HELD}
    assert counting == {node: Reading(*each) for node, each in readings.items() if node not in held}
    assert not held & by_meter
    assert all(established[node] == Established.METER for node in by_meter & set(readings))


@given(st.fixed_dictionaries(dict.fromkeys(METERS, st.tuples(lots, lots))), somewhere)
def test_true_readings_are_never_held(readings: dict[int, tuple[int, int]], nodes: list[int]) -> None:
    final = operators(readings | {node: as_measured(readings, node) for node in nodes})
    counting, _, statuses = counted(final, *(area(node, lots=0) for node in nodes))
    assert set(counting) == set(METERS)
    assert set(statuses.values()) <= {AreaStatus.RECONCILED}


@given(
    st.fixed_dictionaries(dict.fromkeys(METERS, st.tuples(lots, lots))),
    st.sampled_from(METERS),
    st.integers(1, CAPACITY_LOTS),
    st.sets(st.sampled_from(METERS)),
)
def test_invented_energy_is_never_proven(
    readings: dict[int, tuple[int, int]], seller: int, invented_lots: int, left_out: set[int]
) -> None:
    """The meter operator lets one meter export more than it did, and leaves out what it likes."""
    export_lots, import_lots = readings[seller]
    said = {node: each for node, each in readings.items() if node not in left_out or node == seller}
    said[seller] = (export_lots + invented_lots, import_lots)
    for with_area_meter in (True, False):
        final = operators(said | ({1: as_measured(readings, 1)} if with_area_meter else {}))
        _, established, _ = counted(final, area(1, lots=0))
        assert established[seller] in (Established.HELD, Established.UNCONFIRMED)
    if not left_out - {seller}:
        final = operators(said | {1: as_measured(readings, 1)})
        assert counted(final, area(1, lots=0))[1][seller] == Established.HELD
