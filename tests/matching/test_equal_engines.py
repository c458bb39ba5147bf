"""The compiled engine and the reference do the same: events, books, room, depth, hashes, whatever the stream.

Streams are seeded, so that a failure names its mix and seed. ``make soak`` tries more than ten million commands, and
others each time it is given another ``SEED``.
"""

import os
import random
from collections import Counter

import pytest
from hypothesis import given

from matching.fast import FastEngine as Engine
from matching.order import Basket, Capacity, Command, Connect, Event, Level, Rejected, Removed, Traded
from matching.reference import ReferenceEngine
from tests.matching import streams
from tests.matching.congested import MIXES, any_mix, make_stream, rules_of

IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
FIRST_SEED = int(os.environ.get("SEED", "0"))
COMMANDS = 600


def seeds(usual: int, soak: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + (soak if IS_SOAK else usual))


def assert_same(one: list[Event], other: list[Event], command: Command) -> None:
    assert one == other, f"{command}\n    compiled:  {one}\n    reference: {other}"


@pytest.mark.parametrize("seed", seeds(2, 400))
@pytest.mark.parametrize("name", MIXES)
def test_every_command_has_the_same_events_and_leaves_the_same_state(name: str, seed: int):
    mix = MIXES[name]
    engine, reference = Engine(rules_of(mix)), ReferenceEngine(rules_of(mix))
    for number, command in enumerate(make_stream(seed, mix, COMMANDS)):
        assert_same(engine.apply([command]), reference.apply([command]), command)
        if number % 150 == 149:
            assert engine.state_hash() == reference.state_hash()
            assert list(engine.open_orders()) == list(reference.open_orders())
    assert engine.sequence == reference.sequence
    assert engine.state_hash() == reference.state_hash()


@pytest.mark.parametrize("seed", seeds(2, 400))
@pytest.mark.parametrize("name", MIXES)
def test_batches_and_snapshots_change_nothing(name: str, seed: int):
    mix, dice = MIXES[name], random.Random(seed)
    commands = make_stream(seed + 1000, mix, COMMANDS)
    reference = ReferenceEngine(rules_of(mix))
    expected = reference.apply(commands)
    engine = Engine(rules_of(mix))
    events: list[Event] = []
    while commands:
        size = dice.choice((1, 3, 20, 300))
        events += engine.apply(commands[:size])
        commands = commands[size:]
        if dice.random() < 0.2:
            engine = Engine.restore(engine.snapshot())
    assert events == expected
    assert engine.state_hash() == reference.state_hash()


@pytest.mark.parametrize("seed", seeds(12, 3000))
def test_the_same_in_any_market(seed: int):
    mix, dice = any_mix(seed), random.Random(seed)
    commands = make_stream(seed, mix, COMMANDS)
    engine, reference = Engine(rules_of(mix)), ReferenceEngine(rules_of(mix))
    while commands:
        size = dice.choice((1, 1, 1, 1, 1, 10, 100))
        assert engine.apply(commands[:size]) == reference.apply(commands[:size]), f"{mix}\n    {commands[:size]}"
        commands = commands[size:]
    assert engine.state_hash() == reference.state_hash()


@pytest.mark.parametrize("name", ["tight", "zero", "equal fees", "below zero", "opposed, own links"])
def test_depth_is_the_same_and_disturbs_nothing(name: str):
    mix, dice = MIXES[name], random.Random(3)
    engine, reference = Engine(rules_of(mix)), ReferenceEngine(rules_of(mix))
    seen = 0
    for number, command in enumerate(make_stream(7, mix, COMMANDS)):
        assert engine.apply([command]) == reference.apply([command])
        if number % 9 == 0:
            meters = [node for node, _, level in reference._grid.nodes() if level is Level.METER]
            for slot in {order.slot for order in reference.open_orders()}:
                meter = dice.choice(meters)
                depth = reference.depth(slot, meter)
                assert engine.depth(slot, meter) == depth
                best = [
                    (quotes[0].price_ticks, quotes[0].level) if quotes else None for quotes in (depth.asks, depth.bids)
                ]
                assert list(engine.best_quotes(slot, meter)) == best
                seen += len(depth.asks) + len(depth.bids)
    assert seen > 100
    assert engine.state_hash() == reference.state_hash()


@given(streams.streams)
def test_the_same_on_streams_that_shrink(commands: list[Command]):
    engine, reference = Engine(streams.RULES), ReferenceEngine(streams.RULES)
    for command in [*streams.GRID, *commands]:
        assert_same(engine.apply([command]), reference.apply([command]), command)
    assert engine.state_hash() == reference.state_hash()


@pytest.mark.parametrize("seed", seeds(6, 400))
def test_the_same_on_streams_where_flows_cross(seed: int):
    engine, reference = Engine(streams.RULES), ReferenceEngine(streams.RULES)
    for command in [*streams.GRID, *streams.long_stream(seed, 600)]:
        assert_same(engine.apply([command]), reference.apply([command]), command)
    assert engine.state_hash() == reference.state_hash()


def test_the_streams_reach_every_corner():
    """What the others prove depends on what their streams hold."""
    seen: Counter[str] = Counter()
    for mix in MIXES.values():
        engine = ReferenceEngine(rules_of(mix))
        levels: dict[int, Level] = {}
        signs: dict[tuple[int, int], int] = {}
        for number, command in enumerate(make_stream(0, mix, 700)):
            if isinstance(command, Connect):
                levels[command.node] = command.level
                is_high = command.level is Level.METER and levels[command.parent] is not Level.TRANSFORMER
                seen["meter under a feeder or substation"] += is_high
                seen["meter while trading"] += levels[command.node] is Level.METER and engine.sequence > len(levels)
            seen.update(_corners(command, engine.apply([command])))
            for slot, book in engine._books.items() if number % 30 == 0 else ():
                for node, flow_lots in book.room.flows():
                    sign = 1 if flow_lots > 0 else -1
                    seen["flow that turned"] += signs.get((slot, node), sign) != sign
                    signs[slot, node] = sign
    expected = {"held trade": 60, "trade": 500, "basket trades": 20, "self_trade": 100, "one-row basket": 50}
    expected |= {f"{reason}": 5 for reason in ("duplicate_order_id", "unknown_meter", "slot_closed", "bad_quantity")}
    expected |= {f"{reason}": 5 for reason in ("bad_price", "bad_terms", "basket_rejected", "not_open")}
    expected |= {"meter under a feeder or substation": 5, "meter while trading": 5}
    expected |= {"flow that turned": 200, "limit for all slots": 50, "limit of zero": 50, "same-slot basket": 50}
    for corner, least in expected.items():
        assert seen[corner] >= least, f"{corner}: {seen[corner]}"


def _corners(command: Command, events: list[Event]) -> list[str]:
    ids = {leg.order_id for leg in command.legs} if isinstance(command, Basket) else {getattr(command, "order_id", 0)}
    trades = [event for event in events if isinstance(event, Traded)]
    corners = ["trade"] * len(trades)
    corners += ["held trade" for trade in trades if not {trade.buy_order, trade.sell_order} & ids]
    corners += [event.reason.code for event in events if isinstance(event, Rejected)]
    corners += [event.ended.code for event in events if isinstance(event, Removed)]
    if isinstance(command, Basket):
        corners += ["one-row basket"] * (len(command.legs) == 1) + ["basket trades"] * bool(trades)
        corners += ["same-slot basket"] * (1 == len({leg.slot for leg in command.legs}) < len(command.legs))
    if isinstance(command, Capacity):
        corners += ["limit for all slots"] * (command.slot is None)
        corners += ["limit of zero"] * (0 in (command.export_lots, command.import_lots))
    return corners
