"""The JSON-RPC methods of the embedded chain: the part of Ethereum's that this house uses, under the same names.

Source: Ethereum JSON-RPC specification (execution-apis) for ``eth_``; ``evm_`` as anvil and hardhat have them;
``revertReason`` in receipts as Besu has it. ``jinsha_getEventProof`` and ``encodedHeader`` are our own, for
blocks that are none of Ethereum's. The transactions of one JSON-RPC batch go into one block.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from settlement import hexjson
from settlement.blocks import Block, prove_event
from settlement.event_proof import EventNotProvableError
from settlement.evm import TRANSACTION_GAS_CAP
from settlement.keccak import keccak
from settlement.node import BackwardError, Found, LogPlace, Node, NotManualError, logs_of

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
REFUSED, REVERTED = -32000, 3
_NOBODY = bytes(20)
_LATEST_S = 253_402_300_799
"""The end of the year 9999."""

Json = dict[str, Any]


class RpcError(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.error: Json = {"code": code, "message": message} | ({} if data is None else {"data": data})


def answer(node: Node, body: bytes) -> bytes:
    """The answer to a request body, one request or a batch."""
    try:
        requests = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode(_failed(None, RpcError(PARSE_ERROR, "the body is not JSON")))
    if isinstance(requests, list):
        return msgspec.json.encode(_answer_batch(node, requests))
    return msgspec.json.encode(_answer_batch(node, [requests])[0])


def _answer_batch(node: Node, requests: Sequence[Any]) -> list[Json]:
    answers: list[Json] = []
    sends: list[Json] = []
    for request in requests:
        if _method(request) == "eth_sendRawTransaction":
            sends.append(request)
            continue
        answers += _send(node, sends)
        sends = []
        answers.append(_answer_one(node, request))
    return answers + _send(node, sends)


def _method(request: Any) -> str | None:
    is_request = isinstance(request, dict) and isinstance(request.get("method"), str)
    return request["method"] if is_request and isinstance(request.get("params", []), list) else None


def _answer_one(node: Node, request: Any) -> Json:
    name = _method(request)
    if name is None:
        return _failed(None, RpcError(INVALID_REQUEST, "not a JSON-RPC request with a list of parameters"))
    try:
        if name not in _METHODS:
            raise RpcError(METHOD_NOT_FOUND, f"there is no method {name}")
        return _succeeded(request, _METHODS[name](node, request.get("params", [])))
    except RpcError as error:
        return _failed(request, error)


def _succeeded(request: Json, result: Any) -> Json:
    return {"jsonrpc": "2.0", "id": request.get("id"), "result": result}


def _failed(request: Json | None, error: RpcError) -> Json:
    return {"jsonrpc": "2.0", "id": None if request is None else request.get("id"), "error": error.error}


# -------------------------------------------------------------------------------------------- reading JSON


def _parameter(parameters: list[Any], index: int) -> Any:
    if index >= len(parameters):
        raise RpcError(INVALID_PARAMS, f"parameter {index} is missing")
    return parameters[index]


def _bytes(value: Any, length: int | None = None) -> bytes:
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        decoded = bytes.fromhex(value[2:])
    except ValueError:
        raise RpcError(INVALID_PARAMS, f"{str(value)[:40]!r} is not 0x and bytes in hex") from None
    if length is not None and len(decoded) != length:
        raise RpcError(INVALID_PARAMS, f"{value!r} is not {length} bytes")
    return decoded


def _number(value: Any) -> int:
    try:
        number = int(value, 16) if isinstance(value, str) and value.startswith("0x") else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise RpcError(INVALID_PARAMS, f"{str(value)[:40]!r} is not a number")
    return number


def _block_number(node: Node, value: Any) -> int:
    if value in ("latest", "pending", "safe", "finalized"):
        return node.head.number
    return 0 if value == "earliest" else min(_number(value), node.head.number + 1)


def _addresses(value: Any) -> frozenset[bytes] | None:
    if value is None:
        return None
    return frozenset(_bytes(each, 20) for each in (value if isinstance(value, list) else [value]))


# -------------------------------------------------------------------------------------------- writing JSON


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _block_json(block: Block, block_hash: bytes) -> Json:
    return {
        "number": hex(block.number),
        "hash": _hex(block_hash),
        "parentHash": _hex(block.parent_hash),
        "timestamp": hex(block.timestamp_s),
        "gasUsed": hex(sum(receipt.gas for receipt in block.receipts)),
        "gasLimit": hex(TRANSACTION_GAS_CAP),
        "baseFeePerGas": "0x0",
        "transactions": [_hex(receipt.transaction_hash) for receipt in block.receipts],
        "encodedHeader": _hex(block.header().encode()),
    }


def _log_json(place: LogPlace) -> Json:
    return {
        "address": _hex(place.entry.address),
        "topics": [_hex(topic) for topic in place.entry.topics],
        "data": _hex(place.entry.data),
        "blockNumber": hex(place.block.number),
        "blockHash": _hex(place.block_hash),
        "blockTimestamp": hex(place.block.timestamp_s),
        "transactionHash": _hex(place.block.receipts[place.position].transaction_hash),
        "transactionIndex": hex(place.position),
        "logIndex": hex(place.log_index),
        "removed": False,
    }


def _receipt_json(found: Found) -> Json:
    receipt = found.receipt
    logs = [place for place in logs_of(found.block, found.block_hash) if place.position == found.position]
    shown = {
        "transactionHash": _hex(receipt.transaction_hash),
        "transactionIndex": hex(found.position),
        "blockNumber": hex(found.block.number),
        "blockHash": _hex(found.block_hash),
        "from": _hex(receipt.sender),
        "gasUsed": hex(receipt.gas),
        "cumulativeGasUsed": hex(sum(each.gas for each in found.block.receipts[: found.position + 1])),
        "effectiveGasPrice": "0x0",
        "status": hex(receipt.succeeded),
        "logs": [_log_json(place) for place in logs],
    }
    return shown if receipt.succeeded else shown | {"revertReason": _hex(receipt.output)}


# ------------------------------------------------------------------------------------------------- methods


def _send(node: Node, requests: list[Json]) -> list[Json]:
    """Answer requests to send transactions, all in one block."""
    if not requests:
        return []
    decoded = [_raw(request) for request in requests]
    invalid = iter(node.send([each for each in decoded if isinstance(each, bytes)]))
    answers = []
    for request, each in zip(requests, decoded, strict=True):
        if isinstance(each, RpcError):
            answers.append(_failed(request, each))
        elif (why := next(invalid)) is not None:
            answers.append(_failed(request, RpcError(REFUSED, str(why))))
        else:
            answers.append(_succeeded(request, _hex(keccak(each))))
    return answers


def _raw(request: Json) -> bytes | RpcError:
    try:
        return _bytes(_parameter(request.get("params", []), 0))
    except RpcError as error:
        return error


def _get_block(node: Node, parameters: list[Any]) -> Json | None:
    found = node.block(_block_number(node, _parameter(parameters, 0)))
    return None if found is None else _block_json(*found)


def _get_receipt(node: Node, parameters: list[Any]) -> Json | None:
    found = node.find(_bytes(_parameter(parameters, 0), 32))
    return None if found is None else _receipt_json(found)


def _get_logs(node: Node, parameters: list[Any]) -> list[Json]:
    wanted = _parameter(parameters, 0)
    if not isinstance(wanted, dict):
        raise RpcError(INVALID_PARAMS, "the filter is not an object")
    topics = _topics(wanted.get("topics"))
    addresses = _addresses(wanted.get("address"))
    first, last = (_block_number(node, wanted.get(name, "latest")) for name in ("fromBlock", "toBlock"))
    return [_log_json(place) for place in node.logs(first, last, addresses) if _has(place.entry.topics, topics)]


def _topics(wanted: object) -> list[frozenset[bytes]]:
    """By position the topics that will do; empty where any does."""
    if wanted is None:
        return []
    if not isinstance(wanted, list):
        raise RpcError(INVALID_PARAMS, "the topics are not a list")
    choices = [[] if each is None else each if isinstance(each, list) else [each] for each in wanted]
    return [frozenset(_bytes(topic, 32) for topic in choice) for choice in choices]


def _has(topics: Sequence[bytes], wanted: list[frozenset[bytes]]) -> bool:
    """Whether an event has the topics of a filter."""
    if len(wanted) > len(topics):
        return False
    return all(not choice or topic in choice for topic, choice in zip(topics, wanted, strict=False))


def _get_event_proof(node: Node, parameters: list[Any]) -> Json | None:
    """Of an event by block and place in it: ``event_proof.EmbeddedEvent``; null when there is no such event."""
    found = node.block(_block_number(node, _parameter(parameters, 0)))
    if found is None:
        return None
    try:
        shown: Json = hexjson.dump(prove_event(found.block, _number(_parameter(parameters, 1))))
    except EventNotProvableError:
        return None
    return shown


def _call(node: Node, parameters: list[Any]) -> str:
    wanted = _parameter(parameters, 0)
    if not isinstance(wanted, dict):
        raise RpcError(INVALID_PARAMS, "the call is not an object")
    if _block_number(node, parameters[1] if len(parameters) > 1 else "latest") != node.head.number:
        raise RpcError(REFUSED, "only the newest state is kept")
    sender = _bytes(wanted["from"], 20) if "from" in wanted else _NOBODY
    data = _bytes(wanted.get("data", wanted.get("input", "0x")))
    succeeded, output = node.call(sender, _bytes(wanted.get("to"), 20), data)
    if not succeeded:
        raise RpcError(REVERTED, "execution reverted", _hex(output))
    return _hex(output)


def _set_next_timestamp(node: Node, parameters: list[Any]) -> None:
    timestamp_s = _number(_parameter(parameters, 0))
    if timestamp_s > _LATEST_S:
        raise RpcError(INVALID_PARAMS, f"{timestamp_s} is beyond all calendars")
    try:
        node.set_next_timestamp(timestamp_s)
    except (NotManualError, BackwardError) as error:
        raise RpcError(REFUSED, str(error)) from error


def _mine(node: Node, _: list[Any]) -> str:
    node.mine()
    return "0x0"


_METHODS: dict[str, Callable[[Node, list[Any]], Any]] = {
    "eth_chainId": lambda node, _: hex(node.chain_id),
    "eth_blockNumber": lambda node, _: hex(node.head.number),
    "eth_gasPrice": lambda _node, _: "0x0",
    "eth_getBlockByNumber": _get_block,
    "eth_getTransactionCount": lambda node, parameters: hex(node.nonce_of(_bytes(_parameter(parameters, 0), 20))),
    "eth_getTransactionReceipt": _get_receipt,
    "eth_getCode": lambda node, parameters: _hex(node.code_at(_bytes(_parameter(parameters, 0), 20))),
    "eth_getLogs": _get_logs,
    "eth_call": _call,
    "jinsha_getEventProof": _get_event_proof,
    "evm_setNextBlockTimestamp": _set_next_timestamp,
    "evm_mine": _mine,
}
