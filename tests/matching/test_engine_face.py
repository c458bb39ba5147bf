"""What callers rely on: sequence numbers, depth, the hash of the state, events byte for byte."""

import pytest

from matching.engine import Depth, GridError, OpenOrder, Quote
from matching.order import (
    Accepted,
    Amend,
    Basket,
    Cancel,
    Capacity,
    Close,
    Closed,
    Command,
    Connect,
    Level,
    Limited,
    New,
    Reason,
    Rejected,
    Rules,
    Side,
    Traded,
)
from tests.matching.market_script import GRID, NODES, RULES, EngineType, Play

SLOT = 1


def test_every_command_takes_one_sequence_number_and_every_leg_of_a_basket(play: Play):
    market = play("")
    start = market.engine.sequence
    assert start == len(GRID)
    orders = {
        "A2 sells 1.00 @ 0.40": 1,
        "cancel unknown": 1,
        "x: Z1 sells 1.00 @ 0.40": 1,
        "basket y: A1 buys 1.00 @ 0.45 | z: A1 buys 0.00 @ 0.45": 2,
        "close s9": 1,
        "limit B export none import none": 1,
    }
    for text, numbers in orders.items():
        before = market.engine.sequence
        events = market.engine.apply([market.parse(text)])
        assert [event.sequence for event in events] == list(range(before + 1, before + numbers + 1)), text
        assert market.engine.sequence == before + numbers
    assert market.engine.apply([market.parse("close s9")]) == []
    assert market.engine.sequence == start + 8


def test_events_of_a_basket_name_its_legs_and_those_of_held_orders_the_last(play: Play):
    market = play("""
        limit B export 0.00 import none         -> limited
        A1 buys 1.00 @ 0.37 reach feeder        -> rests
        B3 sells 1.00 @ 0.32 reach feeder       -> rests
        B2 buys 0.50 @ 0.33                     -> rests
        A3 buys 0.50 @ 0.36                     -> rests
    """)
    leg = market.engine.sequence + 1
    events = market.engine.apply([market.parse("basket x: C1 sells 0.50 @ 0.20 | y: C2 sells 0.50 @ 0.20")])
    told = [(type(event), event.sequence) for event in events]
    assert told == [(Accepted, leg), (Accepted, leg + 1), (Traded, leg), (Traded, leg + 1), (Traded, leg + 1)]
    killed = market.engine.apply([market.parse("basket v: C1 sells 9.00 @ 0.20 | w: C2 sells 0.50 @ 0.20")])
    assert [event.sequence for event in killed] == [leg + 2, leg + 3, leg + 2, leg + 3]


def test_events_are_complete(engine_type: EngineType):
    engine = engine_type(RULES)
    engine.apply(GRID)
    n = engine.sequence
    sell = New(70, 5, NODES["A2"], Side.SELL, SLOT, 100, 4000)
    buy = New(71, 6, NODES["A1"], Side.BUY, SLOT, 150, 4500)
    assert engine.apply([sell, buy, Cancel(99), Capacity(NODES["B"], SLOT, 7, None), Close(SLOT + 1)]) == [
        Accepted(n + 1, 70),
        Accepted(n + 2, 71),
        Traded(n + 2, SLOT, 71, 70, 100, 4000, 4200, Side.BUY, Level.TRANSFORMER),
        Rejected(n + 3, 99, Reason.NOT_OPEN),
        Limited(n + 4, NODES["B"], SLOT, 7, None),
        Closed(n + 5, SLOT + 1),
    ]
    rest = OpenOrder(71, 6, NODES["A1"], Side.BUY, SLOT, 4500, 50, n + 2, Level.SUBSTATION, 0)
    assert engine.open_order(71) == rest
    assert engine.open_order(70) is None
    assert list(engine.open_orders()) == [rest]


def test_open_orders_are_told_in_order_of_time(play: Play):
    market = play("""
        x: A2 sells 1.00 @ 0.40 in s2       -> rests
        y: A3 sells 1.00 @ 0.40 in s1       -> rests
        z: A1 buys 1.00 @ 0.30 in s1        -> rests
        amend x to 2.00                     -> 2.00 @ 0.40 new place; rests
        fok: A1 buys 9.00 @ 0.45 in s1 fok  -> fok ends unfilled_fok 9.00
    """)
    names = {number: name for name, number in market.order_ids.items()}
    assert [names[order.order_id] for order in market.engine.open_orders()] == ["y", "z", "x"]


def test_a_basket_without_legs_is_the_callers_bug(engine_type: EngineType):
    with pytest.raises(GridError, match="at least one leg"):
        engine_type(RULES).apply([Basket(())])


def test_rules_other_than_the_usual(engine_type: EngineType):
    rules = Rules(fee_ticks=(0, 0, 0), floor_ticks=-100, cap_ticks=100, terms_days=(5,))
    engine = engine_type(rules)
    engine.apply(GRID)
    n = engine.sequence
    orders: list[Command] = [
        New(number, 1, NODES["A1"], Side.BUY, SLOT, 1, price_ticks, terms_days=terms_days)
        for number, price_ticks, terms_days in ((1, -100, 5), (2, -101, 5), (3, 100, 5), (4, 101, 5), (5, 0, 0))
    ]
    assert engine.apply(orders) == [
        Accepted(n + 1, 1),
        Rejected(n + 2, 2, Reason.BAD_PRICE),
        Accepted(n + 3, 3),
        Rejected(n + 4, 4, Reason.BAD_PRICE),
        Rejected(n + 5, 5, Reason.BAD_TERMS),
    ]


# ------------------------------------------------------------------------------------------------- depth


def test_depth_shows_delivered_prices_best_first_added_up_by_price_and_level(play: Play):
    market = play("""
        B1 sells 1.00 @ 0.37        -> rests
        A2 sells 1.00 @ 0.40        -> rests
        A3 sells 0.50 @ 0.40        -> rests
        C1 sells 2.00 @ 0.36        -> rests
        A4 buys 1.00 @ 0.30         -> rests
        B2 buys 3.00 @ 0.35         -> rests
    """)
    assert market.engine.depth(SLOT, NODES["A1"]) == Depth(
        asks=[
            Quote(4200, 150, Level.TRANSFORMER),
            Quote(4200, 100, Level.FEEDER),
            Quote(4700, 200, Level.SUBSTATION),
        ],
        bids=[Quote(3000, 300, Level.FEEDER), Quote(2800, 100, Level.TRANSFORMER)],
    )


def test_depth_shows_only_what_is_in_reach_whatever_its_terms(play: Play):
    market = play("""
        B1 sells 1.00 @ 0.37 reach transformer  -> rests
        A2 sells 1.00 @ 0.40 terms 30           -> rests
        B2 buys 1.00 @ 0.30 reach transformer   -> rests
        A3 buys 1.00 @ 0.30 terms 60            -> rests
    """)
    near = market.engine.depth(SLOT, NODES["A1"])
    assert near == Depth([Quote(4200, 100, Level.TRANSFORMER)], [Quote(2800, 100, Level.TRANSFORMER)])
    far = market.engine.depth(SLOT, NODES["C1"])
    assert far == Depth([Quote(5100, 100, Level.SUBSTATION)], [Quote(1900, 100, Level.SUBSTATION)])


def test_depth_shows_what_could_be_had_together(play: Play):
    market = play("""
        limit B export 1.50 import 0.00     -> limited
        B1 sells 1.00 @ 0.37                -> rests
        B2 sells 1.00 @ 0.38                -> rests
        B3 sells 1.00 @ 0.39                -> rests
        B4 buys 1.00 @ 0.30                 -> rests
    """)
    before = market.engine.state_hash()
    assert market.engine.depth(SLOT, NODES["A1"]) == Depth(
        [Quote(4200, 100, Level.FEEDER), Quote(4300, 50, Level.FEEDER)], []
    )
    assert market.engine.state_hash() == before
    market.play("""
        A1 buys 9.00 @ 0.60   -> 1.00 B1>A1* 0.37/0.42 feeder; 0.50 B2>A1* 0.38/0.43 feeder; rests 7.50
    """)


def test_depth_counts_what_already_flows(play: Play):
    market = play("""
        limit B export 1.50 import none     -> limited
        B1 sells 1.00 @ 0.37                -> rests
        A1 buys 1.00 @ 0.45                 -> 1.00 B1>A1* 0.37/0.42 feeder
        B2 sells 1.00 @ 0.38                -> rests
    """)
    assert market.engine.depth(SLOT, NODES["A1"]).asks == [Quote(4300, 50, Level.FEEDER)]


def test_depth_of_an_empty_or_closed_slot_and_of_a_node_that_is_no_meter(play: Play):
    market = play("A2 sells 1.00 @ 0.40 -> rests").play("close s1 -> A2 ends slot_closed 1.00; closed")
    assert market.engine.depth(SLOT, NODES["A1"]) == Depth([], [])
    assert market.engine.depth(77, NODES["A1"]) == Depth([], [])
    for node in (NODES["A"], 999, -1):
        with pytest.raises(GridError, match="is not a meter"):
            market.engine.depth(SLOT, node)


# --------------------------------------------------------------------------------------------- state hash

STEPS = (
    "A2 sells 1.00 @ 0.40",
    "A1 buys 0.40 @ 0.45",
    "limit B export 1.00 import 1.00 in s1",
    "amend A2 to 0.30",
    "limit B export 1.00 import 1.00",
    "close s5",
    "x: A1 buys 0.40 @ 0.45 fok in s2",
)


def test_the_state_hash_tells_what_was_done_and_not_how_it_was_cut(play: Play):
    one, all_at_once = play(""), play("")
    hashes = [one.engine.state_hash()]
    for step in STEPS:
        one.engine.apply([one.parse(step)])
        hashes.append(one.engine.state_hash())
    all_at_once.engine.apply([all_at_once.parse(step) for step in STEPS])
    assert all_at_once.engine.state_hash() == hashes[-1]
    assert len(set(hashes)) == len(hashes)
    assert all(len(each) == 32 for each in hashes)


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": 2},
        {"member": 2},
        {"meter": NODES["A2"]},
        {"side": Side.BUY},
        {"slot": 2},
        {"quantity_lots": 2},
        {"price_ticks": 2},
        {"reach": Level.FEEDER},
        {"terms_days": 30},
    ],
)
def test_the_state_hash_covers_every_field_of_an_order(engine_type: EngineType, change: dict[str, int]):
    def hash_with(change: dict[str, int]) -> bytes:
        usual = {"order_id": 1, "member": 1, "meter": NODES["A1"], "side": Side.SELL, "slot": 1}
        usual |= {"quantity_lots": 1, "price_ticks": 1} | change
        engine = engine_type(RULES)
        engine.apply([*GRID, New(**usual)])
        return engine.state_hash()

    assert hash_with(change) != hash_with({})


@pytest.mark.parametrize(
    ("these", "those"),
    [
        ([Close(1)], [Close(2)]),
        ([Connect(99, 0, Level.FEEDER)], [Connect(98, 0, Level.FEEDER)]),
        ([Connect(99, 0, Level.FEEDER)], [Connect(99, 1, Level.TRANSFORMER)]),
        ([Connect(99, 0, Level.FEEDER)], [Connect(99, 0, Level.TRANSFORMER)]),
        ([Capacity(1, None, 1, 2)], [Capacity(1, 1, 1, 2)]),
        ([Capacity(1, None, 1, 2)], [Capacity(1, None, 2, 1)]),
        ([Capacity(1, 4, 1, 2)], [Capacity(1, 5, 1, 2)]),
        ([Capacity(1, 4, 1, 2)], [Capacity(2, 4, 1, 2)]),
        ([Cancel(1)], []),
        ([Amend(1, 5, None), Cancel(1)], [Cancel(1)]),
    ],
)
def test_the_state_hash_covers_all_the_rest(engine_type: EngineType, these: list[Command], those: list[Command]):
    hashes = []
    for commands in (these, those):
        engine = engine_type(RULES)
        engine.apply([*GRID, *commands])
        hashes.append(engine.state_hash())
    assert hashes[0] != hashes[1]


def test_the_state_hash_covers_what_flows_and_which_ids_are_used(play: Play):
    """Two markets with the same books: in one, energy has flowed; in the other two, other ids are used up."""
    flowed = play("A2 sells 1.00 @ 0.40 -> rests").play("A1 buys 1.00 @ 0.45 -> 1.00 A2>A1* 0.40/0.42 transformer")
    elsewhere = play("A2 sells 1.00 @ 0.40 -> rests").play(
        "A1: A3 buys 1.00 @ 0.45 -> 1.00 A2>A1* 0.40/0.42 transformer"
    )
    assert flowed.engine.state_hash() != elsewhere.engine.state_hash()
    used = play("x: A1 sells 1.00 @ 0.40 ioc -> x ends unfilled_ioc 1.00")
    other = play("cancel y -> y refused not_open")
    assert used.engine.state_hash() != other.engine.state_hash()


def test_an_undone_fok_leaves_no_trace(play: Play):
    tried = play("A2 sells 1.00 @ 0.40 -> rests").play("x: A1 buys 2.00 @ 0.45 fok -> x ends unfilled_fok 2.00")
    priced_out = play("A2 sells 1.00 @ 0.40 -> rests").play("x: A1 buys 2.00 @ 0.30 fok -> x ends unfilled_fok 2.00")
    assert tried.engine.state_hash() == priced_out.engine.state_hash()


def test_a_slot_in_which_nothing_rests_or_flows_is_as_good_as_any_other(play: Play):
    here = play("x: A1 buys 1.00 @ 0.45 ioc in s1 -> x ends unfilled_ioc 1.00")
    there = play("x: A1 buys 1.00 @ 0.45 ioc in s2 -> x ends unfilled_ioc 1.00")
    assert here.engine.state_hash() == there.engine.state_hash()


def test_flows_that_net_to_nothing_are_as_good_as_none(play: Play):
    there_and_back = play("""
        A2 sells 1.00 @ 0.40                -> rests
        A1 buys 1.00 @ 0.45                 -> 1.00 A2>A1* 0.40/0.42 transformer
        x: A1 sells 1.00 @ 0.40             -> rests
        y: A2 buys 1.00 @ 0.45              -> 1.00 x>y* 0.40/0.42 transformer
    """)
    at_one_meter = play("""
        A2 sells 1.00 @ 0.40                -> rests
        A1: A2 buys 1.00 @ 0.45 for Li      -> 1.00 A2>A1* 0.40/0.42 transformer
        x: A1 sells 1.00 @ 0.40             -> rests
        y: A1 buys 1.00 @ 0.45 for Li       -> 1.00 x>y* 0.40/0.42 transformer
    """)
    assert there_and_back.engine.state_hash() == at_one_meter.engine.state_hash()
