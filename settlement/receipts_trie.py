"""The proof of an event on an EVM network: the block's header, and the trie of its receipts down to one of them.

Everything is encoded again from the JSON that a node gives of a block, and must come to the hash that names the block:
a node that gives something else is found out here, before anybody is handed a proof that does not hold.

Source: Ethereum Yellow Paper, 4.4.1 (receipts) and appendix D (Modified Merkle Patricia Tree); EIP-2718 for receipts
with a type; execution-apis for the JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import rlp  # type: ignore[import-untyped] # it ships no types
from trie.hexary import HexaryTrie

from settlement.event_proof import EventNotProvableError, NetworkEvent
from settlement.hexjson import Hex
from settlement.keccak import keccak


def prove_network(block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]], log_index: int) -> NetworkEvent:
    """An event by its place in its block, of which the node gave the header and all receipts, as JSON.

    Raises EventNotProvableError when there is none, or when what the node gave does not hash to what it says.
    """
    for position, receipt in enumerate(receipts):
        places = [_number(log["logIndex"]) for log in receipt["logs"]]
        if log_index in places:
            return _prove(block, receipts, position, places.index(log_index))
    raise EventNotProvableError(f"block {_number(block['number'])} has no event with number {log_index}")


def _prove(
    block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]], position: int, log_index: int
) -> NetworkEvent:
    header, block_hash = encode_header(block), _bytes(block["hash"])
    trie = HexaryTrie({})
    for index, receipt in enumerate(receipts):
        trie[rlp.encode(index)] = encode_receipt(receipt)
    if trie.root_hash != _bytes(block["receiptsRoot"]):
        raise EventNotProvableError(f"the receipts of block {_number(block['number'])} are not those of its header")
    log = receipts[position]["logs"][log_index]
    return NetworkEvent(
        block_hash=Hex(block_hash),
        header=Hex(header),
        transaction_index=position,
        log_index=log_index,
        address=Hex(_bytes(log["address"])),
        topics=tuple(Hex(_bytes(topic)) for topic in log["topics"]),
        data=Hex(_bytes(log["data"])),
        nodes=tuple(Hex(rlp.encode(node)) for node in _own_nodes(_path(trie, position))),
    )


def _path(trie: HexaryTrie, position: int) -> Sequence[Any]:
    nodes: Sequence[Any] = trie.get_proof(rlp.encode(position))  # type: ignore[no-untyped-call] # only this one is not
    return nodes


def _own_nodes(nodes: Sequence[Any]) -> list[Any]:
    """Those of a path's nodes that stand for themselves: one shorter than a hash is written inside its parent."""
    return [node for at, node in enumerate(nodes) if at == 0 or len(rlp.encode(node)) >= 32]


_HEADER = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
)
_HEADER_SINCE = (
    "baseFeePerGas",
    "withdrawalsRoot",
    "blobGasUsed",
    "excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
)
"""What forks have added, each behind the one before; a chain may lack the last ones."""
_NUMBERS = frozenset(
    {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas"}
)


def encode_header(block: Mapping[str, Any]) -> bytes:
    """The RLP of a block's header, given as JSON-RPC gives it.

    Raises EventNotProvableError when it does not hash to the name that the node gives the block.
    """
    names = [*_HEADER, *(name for name in _HEADER_SINCE if block.get(name) is not None)]
    encoded: bytes = rlp.encode([_number(block[name]) if name in _NUMBERS else _bytes(block[name]) for name in names])
    if keccak(encoded) != _bytes(block["hash"]):
        raise EventNotProvableError(f"the header of block {_number(block['number'])} does not hash to its name")
    return encoded


def encode_receipt(receipt: Mapping[str, Any]) -> bytes:
    """A receipt as the trie holds it, given as JSON-RPC gives it."""
    logs = [
        [_bytes(log["address"]), [_bytes(each) for each in log["topics"]], _bytes(log["data"])]
        for log in receipt["logs"]
    ]
    outcome = _number(receipt["status"]) if "status" in receipt else _bytes(receipt["root"])
    body: bytes = rlp.encode([outcome, _number(receipt["cumulativeGasUsed"]), _bytes(receipt["logsBloom"]), logs])
    kind = _number(receipt.get("type") or "0x0")
    return bytes([kind]) + body if kind else body


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _number(text: str) -> int:
    return int(text, 16)
