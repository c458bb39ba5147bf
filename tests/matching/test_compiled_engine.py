"""What only the compiled engine has: memory that grows and comes back, snapshots as bytes, rows, limits of numbers."""

import numpy as np
import pytest

from matching import kernel, order, tables
from matching.arrays import events_of, rows_of
from matching.fast import EngineLimitError
from matching.fast import FastEngine as Engine
from matching.order import Basket, Cancel, Capacity, Close, Command, Connect, Level, New, Rules, Side, Tif
from matching.reference import ReferenceEngine
from matching.snapshot import SnapshotError
from tests.matching.congested import MIXES, make_stream, rules_of

RULES = Rules(fee_ticks=(200, 500, 1100))


def grid(areas: int, meters: int) -> list[Command]:
    """Areas 1.. (not 1000 to 3999) under substation 0, meters 1000.. under them in turn."""
    numbers = [1 + area if area < 999 else 3001 + area for area in range(areas)]
    nodes: list[Command] = [Connect(0, -1, Level.SUBSTATION)]
    nodes += [Connect(number, 0, Level.TRANSFORMER) for number in numbers]
    nodes += [Connect(1000 + meter, numbers[meter % areas], Level.METER) for meter in range(meters)]
    return nodes


def sell(order_id: int, slot: int = 0, price_ticks: int = 4000, meter: int = 1000, quantity_lots: int = 10) -> New:
    return New(order_id, order_id, meter, Side.SELL, slot, quantity_lots, price_ticks)


def buy(order_id: int, slot: int = 0, price_ticks: int = 9000, meter: int = 1001, quantity_lots: int = 10) -> New:
    return New(order_id, -order_id, meter, Side.BUY, slot, quantity_lots, price_ticks)


def test_names_in_the_kernel_are_those_of_the_commands():
    for names in (order.Side, order.Tif, order.Reason, order.Ended):
        for member in names:
            name = f"{member.name}_TAKER" if names is order.Side else member.name
            if member is not order.Ended.SLOT_CLOSED:
                assert getattr(kernel, name) == member, name


def test_a_command_with_more_trades_than_there_is_place_for_goes_on(monkeypatch: pytest.MonkeyPatch):
    """Events, orders, ids, ladders and words all start too small, and grow in the middle of takes and passes."""
    monkeypatch.setattr(tables, "_FIRST_ROWS", 1)
    monkeypatch.setattr(tables, "_STEP_ROWS", 2)
    engine, reference = Engine(RULES), ReferenceEngine(RULES)
    many = 300
    commands = [
        *grid(3, 9),
        *[sell(n, price_ticks=4000 + 7 * n, meter=1000 + n % 9) for n in range(1, many)],
        buy(many, quantity_lots=2000),
        New(many + 1, 5, 1001, Side.BUY, 0, 500, 9000, Tif.FOK),
        New(many + 2, 5, 1001, Side.BUY, 0, 5000, 9000, Tif.FOK),
        Capacity(1, None, 0, 0),
        *[buy(many + n, meter=1000 + n % 9) for n in range(3, 60)],
        Capacity(1, None, None, None),
        Basket(tuple(sell(2 * many + n, quantity_lots=1, price_ticks=0) for n in range(40))),
        Close(0),
    ]
    assert engine.apply(commands) == reference.apply(commands)
    assert engine.state_hash() == reference.state_hash()


@pytest.mark.parametrize("name", ["tight", "zero", "opposed, own links", "wide prices"])
def test_growing_row_by_row_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "_FIRST_ROWS", 1)
    monkeypatch.setattr(tables, "_STEP_ROWS", 1)
    mix = MIXES[name]
    commands = make_stream(11, mix, 400)
    engine, reference = Engine(rules_of(mix)), ReferenceEngine(rules_of(mix))
    assert engine.apply(commands) == reference.apply(commands)
    assert engine.state_hash() == reference.state_hash()


def test_a_grid_that_outgrows_its_tables_while_orders_rest():
    engine, reference = Engine(RULES), ReferenceEngine(RULES)
    first: list[Command] = [*grid(2, 4), sell(1), buy(2, price_ticks=3000), sell(3, slot=5), buy(4, quantity_lots=3)]
    more: list[Command] = [Connect(5000 + n, 0, Level.TRANSFORMER, 7, 0) for n in range(600)]
    more += [Connect(9000 + n, 5000 + n, Level.METER) for n in range(600)]
    last: list[Command] = [buy(5, meter=9000), sell(6, meter=9001, price_ticks=0, quantity_lots=20), Cancel(3)]
    for commands in (first, more, last):
        assert engine.apply(commands) == reference.apply(commands)
    whole = Engine(RULES)
    assert whole.apply([*first, *more, *last]) == ReferenceEngine(RULES).apply([*first, *more, *last])
    assert whole.state_hash() == engine.state_hash() == reference.state_hash()


def test_the_memory_of_a_closed_slot_comes_back():
    engine = Engine(RULES)
    engine.apply(grid(16, 64))
    used = ("orders_used", "words_used", "rungs_used", "ladders_used", "keys_used")
    most = dict.fromkeys(used, 1)
    order_id = 0
    for slot in range(40):
        orders = []
        for _ in range(300):
            order_id += 1
            orders.append(sell(order_id, slot, 3000 + order_id * 37 % 9000, 1000 + order_id % 64))
        engine.apply(orders)
        counts = {name: int(engine._tables.row[name]) for name in used}
        if slot >= 4:
            grown = {name: count / most[name] for name, count in counts.items()}
            assert max(grown.values()) < 1.1, f"slot {slot} has grown {grown}"  # prices spread a little differently
        else:
            most = counts
        if slot >= 3:
            engine.apply([Close(slot - 3)])
    assert len(engine._tables.slots) == 3
    assert len(list(engine.open_orders())) == 900


def test_many_slots_meters_and_areas_at_once():
    engine = Engine(RULES)
    engine.apply(grid(1024, 2000))
    orders = [sell(n, n % 192, 4000 + n % 100, 1000 + n % 2000) for n in range(1, 20_000)]
    engine.apply(orders)
    assert len(engine._tables.slots) == 192
    bought = engine.apply([buy(100_000, 7, 20_000, 1000, 10**6)])
    assert len(bought) == 1 + sum(1 for n in range(1, 20_000) if n % 192 == 7)


def test_a_snapshot_is_taken_back_or_refused_whole():
    engine = Engine(RULES)
    engine.apply([*grid(2, 4), sell(1), buy(2, price_ticks=3000), Capacity(1, 3, 5, None), Close(9)])
    taken = engine.snapshot()
    again = Engine.restore(taken)
    assert again.state_hash() == engine.state_hash()
    assert again.snapshot() == taken
    assert again.rules == RULES
    rest: list[Command] = [buy(3, quantity_lots=4), sell(1), buy(4, slot=9), Cancel(2)]
    assert again.apply(rest) == engine.apply(rest)
    for damaged in (taken[:-1], taken[:40] + b"x" + taken[41:], b"", b"\0" * 40):
        with pytest.raises(SnapshotError):
            Engine.restore(damaged)


def test_rows_in_and_rows_out_are_commands_and_events():
    commands = [*grid(2, 4), sell(1), buy(2, quantity_lots=4), Cancel(1), Cancel(1), Capacity(1, None, 3, None)]
    one, other = Engine(RULES), Engine(RULES)
    assert events_of(one.apply_rows(rows_of(commands))) == other.apply(commands)


@pytest.mark.parametrize("number", [kernel.LARGEST_LOTS + 1, 2**62, 2**63])
def test_numbers_that_no_row_can_hold_are_refused_before_any_effect(number: int):
    engine = Engine(RULES)
    engine.apply(grid(2, 4))
    before = engine.state_hash()
    for command in (sell(1, quantity_lots=number), Capacity(1, None, max(number, kernel.LARGEST_LIMIT_LOTS) + 1, None)):
        with pytest.raises((EngineLimitError, OverflowError)):
            engine.apply([sell(2), command])
        assert engine.state_hash() == before


def test_rules_that_no_row_can_hold_are_refused():
    with pytest.raises(EngineLimitError):
        Engine(Rules(fee_ticks=(0, 0, 0), terms_days=tuple(range(16))))
    with pytest.raises(EngineLimitError):
        Engine(Rules(fee_ticks=(0, 0, 0), cap_ticks=2**31))
    for terms in (tuple(range(15)), (), (60, 0, 0)):
        Engine(Rules(fee_ticks=(0, 0, 0), terms_days=terms, cap_ticks=2**31 - 2)).apply(grid(1, 1))


def test_a_basket_that_is_cut_is_refused():
    rows = rows_of([*grid(2, 4), Basket((sell(1), buy(2)))])
    engine = Engine(RULES)
    with pytest.raises(EngineLimitError):
        engine.apply_rows(rows[:-1])
    with pytest.raises(EngineLimitError):
        engine.apply_rows(np.concatenate([rows[:-2], rows[-1:]]))
    engine.apply_rows(rows)
    assert list(engine.open_orders()) == []


def test_what_is_shown_counts_a_fee_that_no_price_can_pay():
    rules = Rules(fee_ticks=(0, 5, 9), floor_ticks=0, cap_ticks=1)
    engine, reference = Engine(rules), ReferenceEngine(rules)
    commands: list[Command] = [
        Connect(0, -1, Level.SUBSTATION),
        Connect(1, 0, Level.FEEDER),
        Connect(2, 0, Level.FEEDER),
        Connect(3, 1, Level.METER),
        Connect(4, 1, Level.METER),
        Connect(5, 2, Level.METER),
        New(1, 1, 3, Side.SELL, 0, 1, 1),
        New(2, 2, 5, Side.SELL, 0, 1, 0),
    ]
    assert engine.apply(commands) == reference.apply(commands)
    depth = reference.depth(0, 4)
    assert [(quote.price_ticks, quote.level) for quote in depth.asks] == [(6, Level.FEEDER), (9, Level.SUBSTATION)]
    assert engine.depth(0, 4) == depth
    assert engine.best_quotes(0, 4) == ((6, Level.FEEDER), None)


@pytest.mark.parametrize("orders", [4095, 4096, 4097])
def test_a_closed_slot_may_tell_of_as_many_orders_as_there_is_just_place_for(orders: int):
    engine = Engine(RULES)
    engine.apply(grid(2, 4))
    place = int(engine._tables.row["events_size"])
    assert place == 4096
    engine.apply([sell(number, price_ticks=3000 + number % 7) for number in range(1, 1001)])
    for first in range(1001, orders + 1, 1000):
        engine.apply(
            [sell(number, price_ticks=3000 + number % 7) for number in range(first, min(first + 1000, orders + 1))]
        )
    events = engine.apply([Close(0), sell(9999)])
    assert len(events) == orders + 2
    assert [event.order_id for event in events[:3]] == [1, 2, 3]
    assert list(engine.open_orders()) == []


def test_rows_of_events_hold_nothing_of_earlier_ones():
    """The same commands give the same bytes, however they are cut."""
    rules, commands = rules_of(MIXES["tight"]), make_stream(5, MIXES["tight"], 600)
    whole = Engine(rules).apply_rows(rows_of(commands)).tobytes()
    engine = Engine(rules)
    parts = b""
    for command in commands:
        parts += engine.apply_rows(rows_of([command])).tobytes()
        if engine.sequence % 50 == 0:
            engine = Engine.restore(engine.snapshot())
    assert parts == whole


@pytest.mark.parametrize("orders", [1500, 5000])
def test_orders_that_leave_shared_prices_at_once_have_memory_to_go_to(orders: int):
    """Two meters' orders share every price; then one of the meters' own link is full, and open again."""
    engine = Engine(RULES)
    engine.apply(grid(1, 2))
    pairs = [(sell(2 * n + 1, 0, 1000 + n), sell(2 * n + 2, 0, 1000 + n, 1001)) for n in range(orders)]
    for first in range(0, orders, 100):
        engine.apply([order for pair in pairs[first : first + 100] for order in pair])
    for limit_lots in (0, None, 0):
        engine.apply([Capacity(1000, None, limit_lots, limit_lots)])
        for pool in ("orders", "rungs", "words", "ladders", "keys"):
            assert engine._tables.row[f"{pool}_used"] <= engine._tables.row[f"{pool}_size"], pool
        assert Engine.restore(engine.snapshot()).state_hash() == engine.state_hash()
    assert int(engine._tables.row["open"]) == 2 * orders


@pytest.mark.parametrize("trades", [*range(4020, 4100, 9), 4095])
def test_trades_leave_place_for_the_events_of_the_commands_behind_them(trades: int):
    engine = Engine(RULES)
    engine.apply(grid(1, 2))
    for first in range(1, trades + 1, 500):
        engine.apply([sell(number) for number in range(first, min(first + 500, trades + 1))])
    assert int(engine._tables.row["events_size"]) == 4096
    taker = buy(10_000, quantity_lots=10 * trades)
    behind = [buy(10_001 + number, price_ticks=100) for number in range(40)]
    events = engine.apply([taker, *behind])
    assert len(events) == 1 + trades + len(behind)
    assert engine._tables.row["events_used"] <= engine._tables.row["events_size"]


@pytest.mark.parametrize("name", MIXES)
def test_what_is_asked_for_is_enough_with_nothing_to_spare(name: str, monkeypatch: pytest.MonkeyPatch):
    """Pools are as large as what was asked for and no larger: whoever takes more than that is found out."""
    monkeypatch.setattr(tables, "_FIRST_ROWS", 1)
    monkeypatch.setattr(tables, "_more", lambda used, needed: used + needed)
    mix = MIXES[name]
    engine, reference = Engine(rules_of(mix)), ReferenceEngine(rules_of(mix))
    stream = make_stream(3, mix, 1200)
    for command in stream:
        assert engine.apply([command]) == reference.apply([command])
        counts = engine._tables.row
        for pool in ("orders", "rungs", "words", "ladders", "keys", "events"):
            assert counts[f"{pool}_used"] <= counts[f"{pool}_size"], pool
        for table in engine._tables.memory.view("tables"):
            assert table["used"] <= table["size"]
    assert engine.state_hash() == reference.state_hash()
