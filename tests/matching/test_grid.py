"""The grid as a tree that grows while the market runs."""

import pytest

from matching.engine import GridError
from matching.grid import Grid, Path
from matching.order import Capacity, Close, Command, Connect, Connected, Level
from tests.matching.market_script import GRID, NODES, RULES, EngineType, Play

ROOT = Connect(0, -1, Level.SUBSTATION)
FEEDER = Connect(1, 0, Level.FEEDER)


@pytest.mark.parametrize(
    ("seller", "buyer", "level", "up", "down"),
    [
        ("A1", "A1", Level.TRANSFORMER, "", ""),
        ("A1", "A2", Level.TRANSFORMER, "A1", "A2"),
        ("A1", "B2", Level.FEEDER, "A1 A", "B2 B"),
        ("A1", "F9", Level.FEEDER, "A1 A", "F9"),
        ("F9", "A1", Level.FEEDER, "F9", "A1 A"),
        ("C1", "A1", Level.SUBSTATION, "C1 C G", "A1 A F"),
        ("S9", "A1", Level.SUBSTATION, "S9", "A1 A F"),
    ],
)
def test_the_path_climbs_to_the_lowest_common_ancestor(seller: str, buyer: str, level: Level, up: str, down: str):
    grid = Grid()
    for connect in GRID:
        grid.connect(connect)
    climb, descent = (tuple(NODES[name] for name in names.split()) for names in (up, down))
    assert grid.path(NODES[seller], NODES[buyer]) == Path(level, climb, descent)


@pytest.mark.parametrize(
    ("commands", "complaint"),
    [
        ([FEEDER], "not connected"),
        ([ROOT, Connect(7, 5, Level.FEEDER)], "node 7 hangs under node 5, which is not connected"),
        ([ROOT, ROOT], "connected already"),
        ([ROOT, FEEDER, FEEDER], "node 1 is connected already"),
        ([ROOT, Connect(1, -1, Level.SUBSTATION)], "second root"),
        ([Connect(0, -1, Level.METER)], "can not be the root"),
        ([Connect(-1, -1, Level.SUBSTATION)], "must not be negative"),
        ([ROOT, Connect(1, 0, Level.SUBSTATION)], "a substation, can not hang under node 0, a substation"),
        ([ROOT, FEEDER, Connect(2, 1, Level.METER), Connect(3, 2, Level.METER)], "can not hang under node 2, a meter"),
        ([Connect(0, -1, Level.FEEDER), Connect(1, 0, Level.SUBSTATION)], "can not hang under"),
        ([ROOT, Connect(1, 0, Level.FEEDER, -1, None)], "must not be negative"),
        ([ROOT, Connect(1, 0, Level.FEEDER, None, -1)], "must not be negative"),
        ([ROOT, Capacity(4, None, 1, 1)], "node 4 is not connected"),
        ([ROOT, FEEDER, Capacity(1, None, 1, -1)], "must not be negative"),
    ],
)
def test_a_wrong_node_is_the_callers_bug_and_nothing_of_its_batch_happens(
    engine_type: EngineType, commands: list[Command], complaint: str
):
    engine = engine_type(RULES)
    before = engine.state_hash()
    with pytest.raises(GridError, match=complaint):
        engine.apply([Close(1), *commands])
    assert (engine.state_hash(), engine.sequence) == (before, 0)


def test_nodes_may_be_added_while_the_market_runs_with_limits_of_their_own(play: Play, monkeypatch: pytest.MonkeyPatch):
    market = play("A1 buys 1.00 @ 0.45 -> rests")
    area, meter = len(NODES), len(NODES) + 1
    events = market.engine.apply(
        [
            Connect(area, NODES["F"], Level.TRANSFORMER, export_lots=40, import_lots=20),
            Connect(meter, area, Level.METER),
        ]
    )
    last = market.engine.sequence
    assert events == [Connected(last - 1, area), Connected(last, meter)]
    monkeypatch.setitem(NODES, "D1", meter)
    market.play("""
        D1 sells 1.00 @ 0.30                -> 0.40 D1*>A1 0.40/0.45 feeder; rests 0.60
        A2 sells 9.00 @ 0.20                -> 0.60 A2*>A1 0.43/0.45 transformer; rests 8.40
        x: D1 buys 9.00 @ 0.28 for Li       -> 0.60 A2>x* 0.20/0.25 feeder; rests 8.40
    """)


def test_a_command_may_use_a_node_connected_by_the_same_batch(engine_type: EngineType):
    engine = engine_type(RULES)
    events = engine.apply([ROOT, FEEDER, Capacity(1, None, 5, 5)])
    assert [event.sequence for event in events] == [1, 2, 3]
