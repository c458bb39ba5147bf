"""The chain port over JSON-RPC: the same for the embedded node, anvil and any EVM network.

The relayer is an ordinary secp256k1 account that pays nothing and means nothing to the contracts: intents inside the
calls carry the authority. Its transactions are numbered, which is what makes sending them again harmless.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import decode
from eth_account import Account

from settlement import abi, hexjson
from settlement.chain import (
    Call,
    CallRefusedError,
    ChainEvent,
    ChainRefusedError,
    ChainUnavailableError,
    Head,
    Receipt,
    StaleTransactionError,
)
from settlement.compile import Compiled
from settlement.event_proof import EmbeddedEvent, EventNotProvableError, EventProof
from settlement.headers import BlockHeader, read_header
from settlement.intents import Domain
from settlement.jsonrpc import Failure, JsonRpc, Request
from settlement.keccak import keccak
from settlement.receipts_trie import encode_header, prove_network

CALL_GAS = 2**24
"""Every call's gas limit: the most that Osaka lets one transaction have. Gas costs nothing here."""

MINED_WITHIN_S = 120
_POLL_FIRST_S, _POLL_MOST_S = 0.01, 1.0
_REVERTED = 3


class RpcChain:
    """One chain with our contracts on it. Threads may share it, but only one at a time may sign and send."""

    def __init__(
        self,
        rpc: JsonRpc,
        *,
        chain_id: int,
        addresses: Mapping[str, bytes],
        salt: bytes,
        contracts: Mapping[str, Compiled],
        relayer_key: bytes,
        confirmations: int = 0,
    ) -> None:
        """``salt`` is the genesis salt; a transaction counts once ``confirmations`` blocks stand on its own."""
        self.chain_id = chain_id
        self.addresses = dict(addresses)
        self._rpc = rpc
        self._salt = salt
        self._relayer = Account.from_key(relayer_key)
        self._confirmations = confirmations
        self._names = {address: name for name, address in addresses.items()}
        self._events = {name: abi.event_shapes(compiled) for name, compiled in contracts.items()}
        self._outputs = {name: abi.output_types(compiled) for name, compiled in contracts.items()}

    @property
    def deployer(self) -> bytes:
        """The account whose first transactions made the contracts: the relayer."""
        return _bytes(self._relayer.address)

    def domain(self, contract: str) -> Domain:
        """Where intents for a contract hold."""
        return Domain(self.chain_id, self.addresses[contract], self._salt)

    # ------------------------------------------------------------------------------------------ acting

    def sign(self, calls: Sequence[Call]) -> list[bytes]:
        """Raw signed transactions, numbered from the next that the chain expects of the relayer.

        What was signed before must have been sent, or the same numbers are given out again.
        """
        first = _number(self._rpc.ask("eth_getTransactionCount", self._relayer.address, "pending"))
        return [
            sign_transaction(self._relayer, self.chain_id, nonce, self.addresses[call.contract], call.data)
            for nonce, call in enumerate(calls, first)
        ]

    def send(self, raw: Sequence[bytes]) -> list[Receipt]:
        """Send and wait for receipts; what is on the chain already only returns its receipt.

        Raises StaleTransactionError when a number was used by another transaction, ChainRefusedError for any other
        refusal, ChainUnavailableError.
        """
        answers = send_raw(self._rpc, raw)
        self._wait_for_depth(answers)
        return [self._receipt(each) for each in answers]

    def _wait_for_depth(self, answers: Sequence[dict[str, Any]]) -> None:
        newest = max((_number(answer["blockNumber"]) for answer in answers), default=0)
        deadline = time.monotonic() + MINED_WITHIN_S
        while self._confirmations and self.head().number < newest + self._confirmations:
            if time.monotonic() > deadline:
                raise ChainUnavailableError(f"block {newest} got no {self._confirmations} blocks on top in time")
            time.sleep(_POLL_MOST_S)

    def _receipt(self, answer: dict[str, Any]) -> Receipt:
        succeeded = _number(answer["status"]) == 1
        return Receipt(
            transaction_hash=_bytes(answer["transactionHash"]),
            block=_number(answer["blockNumber"]),
            gas=_number(answer["gasUsed"]),
            succeeded=succeeded,
            refusal="" if succeeded else self._refusal(answer),
        )

    def _refusal(self, answer: dict[str, Any]) -> str:
        """From the receipt where the node keeps it there; from a trace where the node makes one.

        Otherwise by trying the call once more on the state after its block, which is not always the state it met.
        """
        if "revertReason" in answer:
            return abi.refusal(_bytes(answer["revertReason"] or "0x"))
        trace = Request("debug_traceTransaction", [answer["transactionHash"], {"tracer": "callTracer"}])
        (traced,) = self._rpc.batch([trace])
        if isinstance(traced, dict):
            return abi.refusal(_bytes(traced.get("output") or "0x"))
        sent = self._rpc.ask("eth_getTransactionByHash", answer["transactionHash"])
        again = {"from": sent["from"], "to": sent["to"], "data": sent["input"], "gas": hex(CALL_GAS)}
        (result,) = self._rpc.batch([Request("eth_call", [again, answer["blockNumber"]])])
        return abi.refusal(_revert_data(result)) if isinstance(result, Failure) else abi.NO_REASON

    # ----------------------------------------------------------------------------------------- reading

    def view(self, call: Call) -> tuple[Any, ...]:
        """Run a view at the newest block; the decoded outputs. Raises CallRefusedError when it reverts."""
        target = {"to": _hex(self.addresses[call.contract]), "data": _hex(call.data)}
        (result,) = self._rpc.batch([Request("eth_call", [target, "latest"])])
        if isinstance(result, Failure):
            if result.code == _REVERTED or result.data:
                raise CallRefusedError(abi.refusal(_revert_data(result)))
            raise ChainRefusedError(f"eth_call: {result.message}")
        return decode(self._outputs[call.contract][call.function], _bytes(result))

    def events(self, from_block: int) -> list[ChainEvent]:
        """The events of our contracts from a block on, in order."""
        wanted = {
            "fromBlock": hex(from_block),
            "toBlock": "latest",
            "address": [_hex(address) for address in self.addresses.values()],
        }
        if from_block > self.head().number:  # some nodes refuse a range that begins after their newest block
            return []
        logs = self._rpc.ask("eth_getLogs", wanted)
        times = self._times({log["blockNumber"] for log in logs if "blockTimestamp" not in log})
        return [self._event(log, times) for log in logs]

    def _times(self, blocks: set[str]) -> dict[str, str]:
        asked = sorted(blocks)
        answers = self._rpc.batch([Request("eth_getBlockByNumber", [number, False]) for number in asked])
        return {number: answer["timestamp"] for number, answer in zip(asked, answers, strict=True)}

    def _event(self, log: dict[str, Any], times: Mapping[str, str]) -> ChainEvent:
        contract = self._names[_bytes(log["address"])]
        first, *topics = (_bytes(topic) for topic in log["topics"])
        shape = self._events[contract][first]
        return ChainEvent(
            block=_number(log["blockNumber"]),
            log_index=_number(log["logIndex"]),
            block_s=_number(log.get("blockTimestamp") or times[log["blockNumber"]]),
            transaction_hash=_bytes(log["transactionHash"]),
            contract=contract,
            event=shape.name,
            arguments=shape.read(topics, _bytes(log["data"])),
        )

    def event_proof(self, block: int, log_index: int) -> EventProof:
        """The proof of an event by its place in its block. Raises EventNotProvableError when it can not be had."""
        place = Request("jinsha_getEventProof", [hex(block), hex(log_index)])
        whole = (Request("eth_getBlockByNumber", [hex(block), False]), Request("eth_getBlockReceipts", [hex(block)]))
        own, header, receipts = self._rpc.batch([place, *whole])
        if isinstance(own, dict):
            return hexjson.convert(own, EmbeddedEvent)
        if isinstance(header, dict) and isinstance(receipts, list):
            return prove_network(header, receipts, log_index)
        raise EventNotProvableError(f"the chain has no event {log_index} in block {block}, or does not show it")

    def headers(self, first: int, last: int) -> list[BlockHeader]:
        """The headers of blocks ``first`` to ``last``, both included, as far as there are any."""
        return headers_over(self._rpc, first, last)

    def head(self) -> Head:
        """The newest block."""
        block = self._rpc.ask("eth_getBlockByNumber", "latest", False)
        return Head(_number(block["number"]), _bytes(block["hash"]), _number(block["timestamp"]))

    def advance_to(self, timestamp_s: int) -> None:
        """Put the chain's clock forward, kept in an empty block; an earlier time changes nothing.

        Raises ChainRefusedError where the clock is not manual.
        """
        if timestamp_s > self.head().timestamp_s:
            self._rpc.ask("evm_setNextBlockTimestamp", hex(timestamp_s))
            self._rpc.ask("evm_mine")


def headers_over(rpc: JsonRpc, first: int, last: int) -> list[BlockHeader]:
    """The headers of blocks ``first`` to ``last``, both included, as far as there are any.

    Raises EventNotProvableError when a block is not what its hash says, ChainRefusedError, ChainUnavailableError.
    """
    newest = _number(rpc.ask("eth_blockNumber"))
    numbers = range(first, min(last, newest) + 1)
    found = rpc.batch([Request("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
    return [_header(block) for block in found if isinstance(block, dict)]


def _header(block: dict[str, Any]) -> BlockHeader:
    own = block.get("encodedHeader")
    header = read_header(encode_header(block) if own is None else _bytes(own))
    if header.hash != _bytes(block["hash"]):
        raise EventNotProvableError(f"the header of block {header.number} does not hash to its name")
    return header


def send_raw(rpc: JsonRpc, raw: Sequence[bytes]) -> list[dict[str, Any]]:
    """Send transactions and wait until each is in a block; their receipts as the node gives them.

    Raises StaleTransactionError, ChainRefusedError, ChainUnavailableError.
    """
    results = rpc.batch([Request("eth_sendRawTransaction", [_hex(each)]) for each in raw])
    hashes = [keccak(each) for each in raw]
    refused = [at for at, result in enumerate(results) if isinstance(result, Failure) and not _is_waiting(result)]
    if refused:
        _check_refused(rpc, [hashes[at] for at in refused], results[refused[0]])
    return _wait(rpc, hashes)


def _check_refused(rpc: JsonRpc, hashes: Sequence[bytes], first: Failure) -> None:
    """Nodes may also refuse what is on the chain already; only what is not is a failure."""
    unknown = [each for each, receipt in zip(hashes, _ask_receipts(rpc, hashes), strict=True) if receipt is None]
    if not unknown:
        return
    message = f"the node does not take {_hex(unknown[0])}: {first.message}"
    if "nonce" in first.message.lower():
        raise StaleTransactionError(message, unknown)
    raise ChainRefusedError(message)


def _wait(rpc: JsonRpc, hashes: Sequence[bytes]) -> list[dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    deadline, pause_s = time.monotonic() + MINED_WITHIN_S, _POLL_FIRST_S
    while missing := [each for each in dict.fromkeys(hashes) if each not in found]:
        answers = _ask_receipts(rpc, missing)
        found |= {each: answer for each, answer in zip(missing, answers, strict=True) if answer is not None}
        if time.monotonic() > deadline:
            raise ChainUnavailableError(f"{len(missing)} transactions got into no block in time")
        if len(found) < len(set(hashes)):
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_MOST_S)
    return [found[each] for each in hashes]


def _ask_receipts(rpc: JsonRpc, hashes: Sequence[bytes]) -> list[dict[str, Any] | None]:
    answers = rpc.batch([Request("eth_getTransactionReceipt", [_hex(each)]) for each in hashes])
    return [answer if isinstance(answer, dict) else None for answer in answers]


def sign_transaction(relayer: Any, chain_id: int, nonce: int, target: bytes | None, data: bytes) -> bytes:
    """A raw EIP-1559 transaction at no price; without a target it creates a contract."""
    transaction = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "to": target,
        "value": 0,
        "data": data,
        "gas": CALL_GAS,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
    }
    return bytes(relayer.sign_transaction(transaction).raw_transaction)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _number(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def _is_waiting(failure: Failure) -> bool:
    """Whether a node refuses a transaction only because it is waiting there already."""
    return "already" in failure.message.lower()


def _revert_data(failure: Failure) -> bytes:
    return _bytes(failure.data) if failure.data.startswith("0x") else b""
