"""Reading what contracts say: outputs of views, events, and why a call was refused.

Source: Solidity contract ABI specification; ``Error(string)`` and ``Panic(uint256)`` as Solidity defines them.
"""

from typing import Any, NamedTuple

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from settlement.compile import Compiled
from settlement.keccak import keccak

_ERROR = keccak(b"Error(string)")[:4]
_PANIC = keccak(b"Panic(uint256)")[:4]
NO_REASON = "reverted_without_reason"


class EventShape(NamedTuple):
    """How an event is laid out: (name, type) of the arguments in topics and of those in the data."""

    contract: str
    name: str
    indexed: list[tuple[str, str]]
    plain: list[tuple[str, str]]

    def read(self, topics: list[bytes], data: bytes) -> dict[str, int | bytes | bool]:
        """The arguments by name; ``topics`` are those after the first."""
        values = dict(
            zip([name for name, _ in self.plain], decode([kind for _, kind in self.plain], data), strict=True)
        )
        for (name, kind), topic in zip(self.indexed, topics, strict=True):
            (values[name],) = decode([kind], topic)
        return values


def event_shapes(compiled: Compiled) -> dict[bytes, EventShape]:
    """The events of a contract by their first topic."""
    shapes = {}
    for entry in compiled.abi:
        if entry["type"] == "event":
            inputs = [(each["name"], _type(each), each["indexed"]) for each in entry["inputs"]]
            topic = keccak(f"{entry['name']}({','.join(kind for _, kind, _ in inputs)})".encode())
            indexed = [(name, kind) for name, kind, is_indexed in inputs if is_indexed]
            plain = [(name, kind) for name, kind, is_indexed in inputs if not is_indexed]
            shapes[topic] = EventShape(compiled.name, entry["name"], indexed, plain)
    return shapes


def output_types(compiled: Compiled) -> dict[str, list[str]]:
    """What each function returns, by its name."""
    functions = (entry for entry in compiled.abi if entry["type"] == "function")
    return {entry["name"]: [_type(each) for each in entry["outputs"]] for entry in functions}


def functions(compiled: Compiled) -> dict[bytes, str]:
    """The names of a contract's functions by their selectors, four bytes each."""
    entries = [entry for entry in compiled.abi if entry["type"] == "function"]
    signatures = [f"{entry['name']}({','.join(_type(each) for each in entry['inputs'])})" for entry in entries]
    return {keccak(each.encode())[:4]: each.partition("(")[0] for each in signatures}


def arguments(compiled: Compiled, data: bytes) -> dict[str, Any]:
    """What a call carries, by the names of its function's inputs. Raises LookupError, or ValueError on other bytes."""
    for entry in compiled.abi:
        if entry["type"] == "function":
            types = [_type(each) for each in entry["inputs"]]
            if keccak(f"{entry['name']}({','.join(types)})".encode())[:4] == data[:4]:
                names = (each["name"] for each in entry["inputs"])
                try:
                    return dict(zip(names, decode(types, data[4:]), strict=True))
                except DecodingError as error:
                    raise ValueError(f"is no call of {entry['name']}: {error}") from error
    raise LookupError(f"{compiled.name} has no function with selector {data[:4].hex()}")


def constructor_types(compiled: Compiled) -> list[str]:
    """What the constructor takes."""
    for entry in compiled.abi:
        if entry["type"] == "constructor":
            return [_type(each) for each in entry["inputs"]]
    return []


def _type(entry: dict[str, Any]) -> str:
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(each) for each in entry['components'])}){kind.removeprefix('tuple')}"


def refusal(revert_data: bytes) -> str:
    """The stable code in a call's revert data."""
    selector, rest = revert_data[:4], revert_data[4:]
    if selector == _ERROR:
        return str(decode(["string"], rest)[0])
    if selector == _PANIC:
        return f"panic_{decode(['uint256'], rest)[0]}"
    return NO_REASON
