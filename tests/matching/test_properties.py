"""What must hold for every stream of commands, whatever it is.

The witness asserts, at every trade: who may trade, at what price, in which priority, how much, over which links. Here
stand the properties of whole streams.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.engine import Engine, ReferenceEngine
from matching.order import Command, Event, decode_commands, encode_commands
from tests.matching.streams import GRID, RULES, long_stream, streams
from tests.matching.witness import Witness

LENGTH = 300


def events_of(commands: list[Command], engine: Engine | ReferenceEngine | None = None) -> list[Event]:
    return (engine or Engine(RULES)).apply([*GRID, *commands])


def watch(commands: list[Command]) -> tuple[Witness, Engine]:
    engine, witness = Engine(RULES), Witness(RULES)
    for command in [*GRID, *commands]:
        witness.see(command, engine.apply([command]))
        assert engine.sequence == witness.sequence
    return witness, engine


def assert_same_books(witness: Witness, engine: Engine) -> None:
    theirs = {o.order_id: (o.priority_sequence, o.remaining_lots, o.price_ticks) for o in engine.open_orders()}
    assert theirs == {order_id: (o.place, o.left, o.price) for order_id, o in witness.resting.items()}


@given(streams)
def test_every_trade_and_every_end_is_as_the_rules_demand(commands: list[Command]):
    assert_same_books(*watch(commands))


@pytest.mark.parametrize("seed", range(8))
def test_the_same_on_long_streams(seed: int):
    witness, engine = watch(long_stream(seed, LENGTH))
    assert_same_books(witness, engine)
    assert witness.trades > LENGTH // 4, "a stream that trades little proves little"


@given(streams)
def test_skipping_idle_passes_changes_nothing(commands: list[Command]):
    assert events_of(commands) == events_of(commands, ReferenceEngine(RULES, skip_idle_passes=False))


@pytest.mark.parametrize("seed", range(24))
def test_skipping_idle_passes_changes_nothing_on_long_streams(seed: int):
    commands = long_stream(seed, LENGTH)
    assert events_of(commands) == events_of(commands, ReferenceEngine(RULES, skip_idle_passes=False))


@given(streams, st.data())
def test_how_commands_are_cut_into_batches_changes_nothing(commands: list[Command], data: st.DataObject):
    whole, cut = Engine(RULES), Engine(RULES)
    everything = [*GRID, *commands]
    places = sorted(data.draw(st.sets(st.integers(0, len(everything))), label="cuts"))
    events: list[Event] = []
    for start, end in zip([0, *places], [*places, len(everything)], strict=True):
        events += cut.apply(everything[start:end])
    assert events == whole.apply(everything)
    assert cut.state_hash() == whole.state_hash()
    assert cut.sequence == whole.sequence


@given(streams)
def test_commands_survive_the_journal(commands: list[Command]):
    payload = encode_commands([*GRID, *commands])
    replayed, first = Engine(RULES), Engine(RULES)
    assert replayed.apply(decode_commands(payload)) == first.apply([*GRID, *commands])
    assert replayed.state_hash() == first.state_hash()
    assert encode_commands(decode_commands(payload)) == payload
