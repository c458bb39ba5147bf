"""The specification's interpreter with its most frequent steps said more shortly; what they do is the same to the gas.

Most of a contract's time went into numbers that check themselves at every step, into tracing that nobody reads, and
into ``isinstance`` against protocols. Replaced are: making, adding and comparing those numbers, gas, the length
of memory, finding an instruction, and the instructions PUSH, DUP, SWAP and POP. ``ORIGINALS`` keeps what was replaced;
the tests compare the two.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ethereum.forks.osaka.vm import gas, interpreter
from ethereum.forks.osaka.vm.exceptions import OutOfGasError, StackOverflowError, StackUnderflowError
from ethereum.forks.osaka.vm.gas import ExtendMemory
from ethereum.forks.osaka.vm.instructions import Ops
from ethereum_types.numeric import U256, Uint, Unsigned

_STACK_ITEMS = 1024
_BASE, _VERY_LOW = 2, 3
_LARGEST = 2**256 - 1
_new: Callable[[type], Any] = object.__new__

ORIGINALS: dict[str, Any] = {}
"""What was replaced, by the name of its replacement here."""


def _uint(number: int) -> Uint:
    made = _new(Uint)
    made._number = number
    return made  # type: ignore[no-any-return] # it was made a line above


def _u256(number: int) -> U256:
    made = _new(U256)
    made._number = number
    return made  # type: ignore[no-any-return] # it was made a line above


# -------------------------------------------------------------------------------------------------- numbers


def uint_init(self: Any, value: Any) -> None:
    number = value if type(value) is int else int(value)
    if number < 0:
        raise OverflowError
    self._number = number


def u256_init(self: Any, value: Any) -> None:
    number = value if type(value) is int else int(value)
    if not 0 <= number <= _LARGEST:
        raise OverflowError
    self._number = number


def uint_add(self: Any, right: Any) -> Any:
    return _uint(self._number + right._number) if type(right) is Uint else NotImplemented


def uint_less(self: Any, right: Any) -> Any:
    return self._number < right._number if type(right) is Uint else NotImplemented


def index(self: Any) -> int:
    number: int = self._number
    return number


def length(items: Any) -> Uint:
    return _uint(len(items))


def equal(self: Any, other: object) -> Any:
    kind = type(other)
    if kind is type(self):
        return self._number == other._number  # type: ignore[attr-defined] # it is of the same class
    if kind is int:
        return self._number == other
    return ORIGINALS["equal"](self, other)


# ------------------------------------------------------------------------------------------- gas and memory


def charge_gas(evm: Any, amount: Any) -> None:
    left = evm.gas_left._number - amount._number
    if left < 0:
        raise OutOfGasError
    evm.gas_left = _uint(left)


def extend_memory(memory: bytearray, extensions: Any) -> ExtendMemory:
    size = before = -(-len(memory) // 32)  # in words
    for start, length in extensions:
        if length._number:
            size = max(size, -(-(start._number + length._number) // 32))
    if size == before:
        return ExtendMemory(_uint(0), _uint(0))
    return ExtendMemory(_uint(_memory_gas(size) - _memory_gas(before)), _uint(32 * (size - before)))


def _memory_gas(words: int) -> int:
    return 3 * words + words * words // 512


def no_trace(*_: object) -> None:
    """Nobody reads it: neither the event nor its making is needed."""


_KNOWN = frozenset(op.value for op in Ops)


def find(number: int) -> int:
    """For ``Ops(number)``: the number itself, by which the instructions are found here."""
    if number not in _KNOWN:
        raise ValueError(number)
    return number


find.STOP = Ops.STOP  # type: ignore[attr-defined] # the interpreter names it


# --------------------------------------------------------------------------------------------- instructions


def _pay(evm: Any, amount: int) -> None:
    left = evm.gas_left._number - amount
    if left < 0:
        raise OutOfGasError
    evm.gas_left = _uint(left)


def _go_on(evm: Any, by: int = 1) -> None:
    evm.pc = _uint(evm.pc._number + by)


def push(evm: Any, count: int) -> None:
    _pay(evm, _VERY_LOW if count else _BASE)
    if len(evm.stack) == _STACK_ITEMS:
        raise StackOverflowError
    place = evm.pc._number + 1
    evm.stack.append(_u256(int.from_bytes(evm.code[place : place + count].ljust(count, b"\0"), "big")))
    _go_on(evm, 1 + count)


def dup(evm: Any, item: int) -> None:
    _pay(evm, _VERY_LOW)
    stack = evm.stack
    if item > len(stack):
        raise StackUnderflowError
    if len(stack) == _STACK_ITEMS:
        raise StackOverflowError
    stack.append(stack[-item])
    _go_on(evm)


def swap(evm: Any, item: int) -> None:
    _pay(evm, _VERY_LOW)
    stack = evm.stack
    if item >= len(stack):
        raise StackUnderflowError
    stack[-1], stack[-1 - item] = stack[-1 - item], stack[-1]
    _go_on(evm)


def pop(evm: Any) -> None:
    if not evm.stack:
        raise StackUnderflowError
    evm.stack.pop()
    _pay(evm, _BASE)
    _go_on(evm)


SHORTER: dict[Ops, Callable[[Any], None]] = {
    Ops.POP: pop,
    **{Ops[f"PUSH{count}"]: partial(push, count=count) for count in range(33)},
    **{Ops[f"DUP{item}"]: partial(dup, item=item) for item in range(1, 17)},
    **{Ops[f"SWAP{item}"]: partial(swap, item=item) for item in range(1, 17)},
}


def install() -> None:
    """Once for a process; again changes nothing."""
    if ORIGINALS:
        return
    instructions: dict[Any, Any] = vars(interpreter)["op_implementation"]
    ORIGINALS.update(
        equal=Unsigned.__eq__,
        charge_gas=gas.charge_gas,
        extend_memory=gas.calculate_gas_extend_memory,
        instructions=dict(instructions),
    )
    methods: dict[tuple[type, str], Any] = {
        (Uint, "__init__"): uint_init,
        (U256, "__init__"): u256_init,
        (Uint, "__add__"): uint_add,
        (Uint, "__iadd__"): uint_add,
        (Uint, "__lt__"): uint_less,
        (Unsigned, "__eq__"): equal,
        (Unsigned, "__index__"): index,
    }
    for (kind, method), shorter in methods.items():
        setattr(kind, method, shorter)
    by_number = {op.value: SHORTER.get(op, original) for op, original in instructions.items()}
    vars(interpreter).update(op_implementation=by_number, Ops=find, ulen=length, OpStart=no_trace, OpEnd=no_trace)
    replaced = {"charge_gas": charge_gas, "calculate_gas_extend_memory": extend_memory, "evm_trace": no_trace}
    for name, module in list(sys.modules.items()):
        if name.startswith("ethereum.forks.osaka.vm"):
            vars(module).update({function: each for function, each in replaced.items() if hasattr(module, function)})
