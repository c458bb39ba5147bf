"""Events of the chain: each shown with the header of its block, and the header with nothing but its hash.

Two kinds of chain, told apart by the field ``chain``. A block of the market's own chain (``embedded``) is eight fields
of which one is a Merkle root over the block's events. A block of an EVM network (``network``) is Ethereum's, and the
event stands in a receipt under the header's receipts root. That the block is the chain's own nobody can tell from the
file: whoever verifies brings its hash, or believes it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from verifier import rlp
from verifier.document import Fields, MalformedError, read_json, to_bytes
from verifier.hashes import climb, keccak, leaf, word, words
from verifier.report import Report

_EMBEDDED = ("chain", "block_hash", "header", "log_index", "transaction_hash", "address", "topics", "data", "path")
_NETWORK = ("chain", "block_hash", "header", "transaction_index", "log_index", "address", "topics", "data", "nodes")
_HEADER_BYTES = (7 * 32, 8 * 32)
"""Without and with a state root."""


class Block(NamedTuple):
    """A block by its hash; ``number`` None: not known."""

    number: int | None
    hash: bytes


class Event(NamedTuple):
    """An event that stands in its block. ``topics`` begin with the hash of the event's name and types."""

    block: int
    block_s: int
    block_hash: bytes
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes

    def arguments(self, signature: str, indexed: int) -> list[int] | None:
        """The words of topics and data, when the event is of this kind and so long; else None."""
        kinds = signature[signature.index("(") + 1 : -1].split(",")
        found = [int.from_bytes(topic, "big") for topic in self.topics[1:]] + words(self.data)
        fits = self.topics[:1] == (keccak(signature.encode()),) and len(self.topics) == indexed + 1
        return found if fits and len(found) == len(kinds) and len(self.data) % 32 == 0 else None


class Known:
    """The blocks that whoever verifies has from elsewhere, and which of them were met."""

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        self._blocks = list(blocks)
        self._met: set[Block] = set()
        self._reported: set[bytes] = set()

    def compare(self, report: Report, event: Event) -> None:
        """Whether a block of the file is one of them. Each block is told of once."""
        if event.block_hash in self._reported:
            return
        self._reported.add(event.block_hash)
        for known in self._blocks:
            if known.hash == event.block_hash:
                self._met.add(known)
                report.check("block_is_known", True, block=event.block, hash=event.block_hash.hex())
                return
            if known.number == event.block:
                self._met.add(known)
                report.check("block_is_known", False, block=event.block, hash=event.block_hash.hex())
                return
        report.believe("block_not_compared", block=event.block, hash=event.block_hash.hex())

    def finish(self, report: Report) -> None:
        """A block that was brought and is nowhere in the file speaks against it."""
        for known in self._blocks:
            if known not in self._met:
                report.check("known_block_is_met", False, hash=known.hash.hex())


def read_event(value: Any, place: str, report: Report, known: Known) -> Event | None:
    """An event of the file; None when it does not stand in its block, which the report then says."""
    kind = value.get("chain") if isinstance(value, dict) else None
    if kind not in ("embedded", "network"):
        raise MalformedError(place, "expected an event of an embedded chain or of a network")
    fields = Fields(value, place, _EMBEDDED if kind == "embedded" else _NETWORK)
    header, block_hash = fields.hex("header"), fields.hex("block_hash", 32)
    event = _in_embedded(fields, header) if kind == "embedded" else _in_network(fields, header)
    holds = event is not None and keccak(header) == block_hash
    number = "?" if event is None else event.block
    if not report.check("event_in_block", holds, place=place, block=number) or event is None:
        return None
    found = event._replace(block_hash=block_hash)
    known.compare(report, found)
    return found


def _logged(fields: Fields) -> tuple[bytes, tuple[bytes, ...], bytes]:
    return fields.hex("address", 20), tuple(fields.hexes("topics", 32)), fields.hex("data")


def _in_embedded(fields: Fields, header: bytes) -> Event | None:
    address, topics, data = _logged(fields)
    place = (word(fields.number("log_index")), fields.hex("transaction_hash", 32), address.rjust(32, b"\0"))
    content = b"".join((*place, word(len(topics)), *topics, data))
    root, block = climb(leaf(content), fields.path("path")), words(header)
    if len(header) not in _HEADER_BYTES or block[6] != int.from_bytes(root, "big"):
        return None
    return Event(block[0], block[2], b"", address, topics, data)


def _in_network(fields: Fields, header: bytes) -> Event | None:
    address, topics, data = _logged(fields)
    position, log_index, nodes = fields.number("transaction_index"), fields.number("log_index"), fields.hexes("nodes")
    try:
        names = rlp.decode(header)
        receipt = rlp.value_under(names[5], rlp.encode_number(position), nodes)
        logs = rlp.decode(receipt[1:] if receipt[0] < 0x80 else receipt)[3]
        if logs[log_index] != [address, list(topics), data]:
            return None
        number, block_s = (int.from_bytes(names[at], "big") for at in (8, 11))
    except (rlp.RlpError, LookupError, TypeError):
        return None
    return Event(number, block_s, b"", address, topics, data)


# ------------------------------------------------------------------------------- what the reader has from elsewhere


def read_header(path: Path) -> Block:
    """A block out of a file: what ``eth_getBlockByNumber`` answers, or an event of a proof that is believed.

    Raises MalformedError, OSError.
    """
    value = read_json(path.read_bytes())
    if isinstance(value, dict) and isinstance(value.get("result"), dict):
        value = value["result"]
    if isinstance(value, dict) and isinstance(value.get("hash"), str) and isinstance(value.get("number"), str):
        try:
            number = int(value["number"], 16)
        except ValueError as error:
            raise MalformedError("number", "expected a number in hex") from error
        return Block(number, to_bytes(value["hash"].removeprefix("0x").lower(), "hash", 32))
    raise MalformedError("", f"{json.dumps(value)[:60]} is no header: expected number and hash, as a node gives them")


def contract_address(deployer: bytes, nonce: int) -> bytes:
    """Where an account's transaction with this number puts a contract. Source: Yellow Paper, section 7."""
    body = b"\x94" + deployer + rlp.encode_number(nonce)
    return keccak(bytes([0xC0 + len(body)]) + body)[12:]
