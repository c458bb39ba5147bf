"""What must hold for every stream of commands, whatever it is, on both engines.

The witness asserts, at every trade: who may trade, at what price, in which priority, how much, over which links; and
after every command what holds at rest. Here stand the properties of whole streams.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from matching.order import (
    Accepted,
    Amended,
    Basket,
    Cancel,
    Close,
    Command,
    Connect,
    Ended,
    Event,
    Level,
    New,
    Removed,
    Rules,
    Side,
    Tif,
    Traded,
    decode_commands,
    encode_commands,
)
from matching.reference import ReferenceEngine
from tests.matching.congested import MIXES, make_stream, rules_of
from tests.matching.market_script import ENGINES, EngineType
from tests.matching.streams import GRID, RULES, long_stream, streams
from tests.matching.witness import Witness

LENGTH = 300
NOBODY, NO_ORDER, ALL_LOTS = 10**12, 10**12, 2**40
KILLED = {Ended.UNFILLED_FOK, Ended.UNFILLED_BASKET}

on_both = pytest.mark.parametrize("engine_type", ENGINES.values(), ids=ENGINES)


def watch(engine_type: EngineType, rules: Rules, commands: list[Command]) -> Witness:
    """A witness who has seen these commands and found the books to be as they should after each."""
    engine, witness = engine_type(rules), Witness(rules)
    for command in commands:
        witness.see(command, engine.apply([command]))
        assert engine.sequence == witness.sequence
        books = {o.order_id: (o.priority_sequence, o.remaining_lots, o.price_ticks) for o in engine.open_orders()}
        assert books == {order_id: (o.place, o.left, o.price) for order_id, o in witness.resting.items()}
    return witness


@on_both
@given(commands=streams)
def test_every_trade_and_every_end_is_as_the_rules_demand(engine_type: EngineType, commands: list[Command]):
    watch(engine_type, RULES, [*GRID, *commands])


@on_both
@pytest.mark.parametrize("seed", range(4))
def test_the_same_on_long_streams(engine_type: EngineType, seed: int):
    witness = watch(engine_type, RULES, [*GRID, *long_stream(seed, LENGTH)])
    assert witness.trades > LENGTH // 4, "a stream that trades little proves little"


@on_both
@pytest.mark.parametrize("name", MIXES)
def test_the_same_on_markets_that_congest(engine_type: EngineType, name: str):
    witness = watch(engine_type, rules_of(MIXES[name]), make_stream(5, MIXES[name], LENGTH // 2))
    assert witness.trades > LENGTH // 100, "a stream that trades little proves little"


@on_both
@pytest.mark.parametrize("name", MIXES)
def test_what_orders_have_lost_is_what_was_traded_and_sold_is_bought(engine_type: EngineType, name: str):
    engine = engine_type(rules_of(MIXES[name]))
    orders: dict[int, New] = {}
    lost: Counter[int] = Counter()  # what each order was given, less what it has left: at the end, what it traded
    traded: Counter[int] = Counter()
    for command in make_stream(6, MIXES[name], LENGTH):
        before = engine.open_order(getattr(command, "order_id", -1))
        legs = {leg.order_id: leg for leg in getattr(command, "legs", (command,)) if isinstance(leg, New)}
        for event in engine.apply([command]):
            match event:
                case Accepted():
                    orders[event.order_id] = legs[event.order_id]
                    lost[event.order_id] = legs[event.order_id].quantity_lots
                case Amended():
                    assert before
                    lost[event.order_id] += event.remaining_lots - before.remaining_lots
                case Removed():
                    lost[event.order_id] -= event.remaining_lots
                case Traded():
                    traded.update({event.buy_order: event.quantity_lots, event.sell_order: event.quantity_lots})
    for order in engine.open_orders():
        lost[order.order_id] -= order.remaining_lots
    assert +lost == traded
    volume: Counter[tuple[int, Side]] = Counter()
    for order_id, lots in lost.items():
        volume[orders[order_id].slot, orders[order_id].side] += lots
    for slot in {order.slot for order in orders.values()}:
        assert volume[slot, Side.BUY] == volume[slot, Side.SELL]


@on_both
@pytest.mark.parametrize("name", ["tight", "zero", "equal fees", "opposed, own links", "plain, opposed", "growing"])
def test_depth_is_what_an_order_would_get(engine_type: EngineType, name: str):
    """An order of a stranger for all there is, at the cap or floor, takes every quote that it can pay."""
    mix, seen = MIXES[name], 0
    rules, commands = rules_of(mix), make_stream(7, mix, LENGTH)
    meters = [command.node for command in commands if isinstance(command, Connect) and command.level == Level.METER]
    for cut in range(LENGTH // 2, LENGTH, 31):
        meter, slot = meters[cut % mix.meters], cut % mix.slots
        for side in Side:
            engine = engine_type(rules)
            engine.apply(commands[:cut])
            depth = engine.depth(slot, meter)
            price_ticks, terms_days = (mix.cap, min(mix.terms)) if side == Side.BUY else (mix.floor, max(mix.terms))
            greedy = New(NO_ORDER, NOBODY, meter, side, slot, ALL_LOTS, price_ticks, Tif.IOC, terms_days=terms_days)
            got: Counter[tuple[int, Level]] = Counter()
            for event in engine.apply([greedy]):
                if isinstance(event, Traded) and NO_ORDER in {event.buy_order, event.sell_order}:
                    price = event.buyer_price_ticks if side == Side.BUY else event.seller_price_ticks
                    got[price, event.level] += event.quantity_lots
            quotes = depth.asks if side == Side.BUY else depth.bids
            assert list(got.items()) == [
                ((quote.price_ticks, quote.level), quote.quantity_lots)
                for quote in quotes
                if rules.floor_ticks <= quote.price_ticks <= rules.cap_ticks
            ]
            seen += len(got)
    assert seen > 10


@on_both
@given(commands=streams)
def test_an_order_or_basket_that_is_killed_leaves_no_trace(engine_type: EngineType, commands: list[Command]):
    """Nothing but its ids and sequence numbers: one that could never trade leaves the same state."""
    engine, twin = engine_type(RULES), engine_type(RULES)
    for each in (engine, twin):
        each.apply(GRID)
    for command in commands:
        events = engine.apply([command])
        is_killed = isinstance(events[-1] if events else None, Removed) and events[-1].ended in KILLED
        twin.apply([_hopeless(command) if is_killed else command])
        assert twin.state_hash() == engine.state_hash()


def _hopeless(command: Command) -> Command:
    """The same all-or-none order or basket, in want of more than there is of anything."""
    match command:
        case New():
            return structs.replace(command, quantity_lots=ALL_LOTS)
        case Basket():
            return Basket(tuple(structs.replace(leg, quantity_lots=ALL_LOTS) for leg in command.legs))
    raise AssertionError(command)


@given(streams)
def test_skipping_idle_passes_changes_nothing(commands: list[Command]):
    whole = ReferenceEngine(RULES, skip_idle_passes=False)
    assert ReferenceEngine(RULES).apply([*GRID, *commands]) == whole.apply([*GRID, *commands])


@pytest.mark.parametrize("seed", range(8))
def test_skipping_idle_passes_changes_nothing_on_long_streams(seed: int):
    commands = [*GRID, *long_stream(seed, LENGTH)]
    assert ReferenceEngine(RULES).apply(commands) == ReferenceEngine(RULES, skip_idle_passes=False).apply(commands)


@on_both
@given(commands=streams, data=st.data())
def test_how_commands_are_cut_into_batches_changes_nothing(
    engine_type: EngineType, commands: list[Command], data: st.DataObject
):
    whole, cut = engine_type(RULES), engine_type(RULES)
    everything = [*GRID, *commands]
    places = sorted(data.draw(st.sets(st.integers(0, len(everything))), label="cuts"))
    events: list[Event] = []
    for start, end in zip([0, *places], [*places, len(everything)], strict=True):
        events += cut.apply(everything[start:end])
    assert events == whole.apply(everything)
    assert cut.state_hash() == whole.state_hash()
    assert cut.sequence == whole.sequence


@on_both
@given(commands=streams, slot=st.sampled_from((1, 2, 3, 9)))
def test_closing_twice_does_nothing(engine_type: EngineType, commands: list[Command], slot: int):
    once, twice = engine_type(RULES), engine_type(RULES)
    for each in (once, twice):
        each.apply([*GRID, *commands, Close(slot)])
    assert twice.apply([Close(slot)]) == []
    assert twice.sequence == once.sequence + 1
    assert list(twice.open_orders()) == list(once.open_orders())
    once.apply([Cancel(NO_ORDER)])  # takes a sequence number and does nothing else
    assert twice.state_hash() == once.state_hash()


@given(streams)
def test_commands_survive_the_journal(commands: list[Command]):
    payload = encode_commands([*GRID, *commands])
    replayed, first = ReferenceEngine(RULES), ReferenceEngine(RULES)
    assert replayed.apply(decode_commands(payload)) == first.apply([*GRID, *commands])
    assert replayed.state_hash() == first.state_hash()
    assert encode_commands(decode_commands(payload)) == payload
