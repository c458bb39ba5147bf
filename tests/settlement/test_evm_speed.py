"""The shorter steps of the interpreter against the specification's own: same stack, memory, place, gas and halts."""

import operator
from types import SimpleNamespace
from typing import Any

import pytest
from ethereum.exceptions import EthereumException
from ethereum.forks.osaka.vm import interpreter
from ethereum.forks.osaka.vm.instructions import Ops
from ethereum_types.numeric import U64, U256, Uint, Unsigned
from hypothesis import given
from hypothesis import strategies as st

from settlement import evm, evm_speed

assert evm, "installs them"
SIZES = st.integers(0, 3_000)


def frame(code: bytes, place: int, depth: int, gas: int) -> Any:
    stack = [U256(3**at % 2**256) for at in range(depth)]
    return SimpleNamespace(code=code, pc=Uint(place), stack=stack, gas_left=Uint(gas), memory=bytearray())


def outcome(act: Any, frame: Any) -> tuple[object, ...]:
    try:
        act(frame)
    except EthereumException as error:
        return (type(error),)
    return (
        [int(each) for each in frame.stack],
        type(frame.pc),
        int(frame.pc),
        type(frame.gas_left),
        int(frame.gas_left),
    )


@given(
    op=st.sampled_from(list(evm_speed.SHORTER)),
    code=st.binary(max_size=70),
    place=st.integers(0, 40),
    depth=st.sampled_from([0, 1, 2, 8, 16, 17, 18, 1023, 1024]),
    gas=st.integers(0, 5),
)
def test_every_shorter_instruction(op: Ops, code: bytes, place: int, depth: int, gas: int) -> None:
    frames = [frame(code, place, depth, gas) for _ in range(2)]
    ours = outcome(evm_speed.SHORTER[op], frames[0])
    theirs = outcome(evm_speed.ORIGINALS["instructions"][op], frames[1])
    assert ours == theirs or {len(ours), len(theirs)} == {1}, "which of two reasons to halt comes first means nothing"


def test_every_instruction_is_found_by_its_number_and_no_other() -> None:
    originals = evm_speed.ORIGINALS["instructions"]
    found: dict[int, Any] = vars(interpreter)["op_implementation"]
    assert set(found) == {op.value for op in originals}
    assert {op for op in originals if found[op.value] is not originals[op]} == set(evm_speed.SHORTER)
    for number in range(256):
        if number in found:
            assert evm_speed.find(number) == Ops(number).value
        else:
            with pytest.raises(ValueError, match=str(number)):
                evm_speed.find(number)


@given(amount=SIZES, gas=SIZES)
def test_gas(amount: int, gas: int) -> None:
    frames = [frame(b"", 0, 0, gas) for _ in range(2)]
    assert outcome(lambda one: evm_speed.charge_gas(one, Uint(amount)), frames[0]) == outcome(
        lambda one: evm_speed.ORIGINALS["charge_gas"](one, Uint(amount)), frames[1]
    )


@given(words=st.integers(0, 40), wanted=st.lists(st.tuples(SIZES, SIZES), max_size=3))
def test_the_length_of_memory(words: int, wanted: list[tuple[int, int]]) -> None:
    memory, extensions = bytearray(32 * words), [(U256(start), U256(size)) for start, size in wanted]
    assert evm_speed.extend_memory(memory, extensions) == evm_speed.ORIGINALS["extend_memory"](memory, extensions)


@pytest.mark.parametrize("kind", [Uint, U256])
@pytest.mark.parametrize("number", [0, 1, 2**256 - 1, 2**256, -1, U64(7), 2.0, True])
def test_making_numbers(kind: type[Unsigned], number: Any) -> None:
    if int(number) < 0 or (kind is U256 and int(number) > 2**256 - 1):
        with pytest.raises(OverflowError):
            kind(number)
    else:
        assert type(int(kind(number))) is int
        assert kind(number)._number == int(number)


def test_adding_and_comparing_numbers() -> None:
    assert (Uint(2) + Uint(3), Uint(2) < Uint(3), Uint(3) < Uint(2)) == (Uint(5), True, False)
    for other in (2, U256(2), Uint(2), 2.0):
        assert Uint(2) == other
        assert Uint(3) != other
    assert Uint(2) != "2"
    assert hash(Uint(2)) == hash(Uint(2))
    for act in (operator.add, operator.lt):
        with pytest.raises(TypeError):
            act(Uint(2), U256(3))
    assert b"abc"[Uint(1)] == ord("b")
