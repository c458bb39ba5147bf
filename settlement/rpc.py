"""The chain port over JSON-RPC: the same for the embedded node, anvil and any EVM network.

The relayer is an ordinary secp256k1 account that pays nothing and means nothing to the contracts: intents inside the
calls carry the authority. Its transactions are numbered, which is what makes sending them again harmless.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eth_abi.abi import decode
from ethereum.forks.osaka.transactions import FeeMarketTransaction, decode_transaction
from ethereum_types.bytes import Bytes

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
STALE_AFTER_S = 2.0
"""A number that is used without a receipt in sight for so long was used by another transaction."""

LOGS_BLOCKS = 1_000
"""Blocks that one question about events spans: Besu's default bound is 5,000."""
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
        gone_back_after_s: float = 0.0,
    ) -> None:
        """``salt`` is the genesis salt; a transaction counts once ``confirmations`` blocks stand on its own.

        Where several nodes answer in turn, one may not have yet what another had: blocks that are missing count as
        given up only when they are still missing ``gone_back_after_s`` later.
        """
        from eth_account import Account  # half a second of loading, and who only reads headers signs nothing

        self.chain_id = chain_id
        self.addresses = dict(addresses)
        self._rpc = rpc
        self._salt = salt
        self._relayer = Account.from_key(relayer_key)
        self._confirmations = confirmations
        self._gone_back_after_s = gone_back_after_s
        self._missing_since: float | None = None
        self._quiet: tuple[int, int, bytes] | None = None  # no events between these blocks; the second one's hash
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

    def sign(self, calls: Sequence[Call], after: Sequence[bytes] = ()) -> list[bytes]:
        """Raw signed transactions, numbered from the next that the chain expects of the relayer.

        ``after`` are transactions that were signed before and may not have arrived: their numbers are taken too.
        """
        first = _number(self._rpc.ask("eth_getTransactionCount", self._relayer.address, "pending"))
        first = max([first, *(number_of(raw) + 1 for raw in after)])
        return [
            sign_transaction(self._relayer, self.chain_id, nonce, self.addresses[call.contract], call.data)
            for nonce, call in enumerate(calls, first)
        ]

    def submit(self, raw: Sequence[bytes]) -> None:
        """Hand transactions over and wait for nothing; what waits or is on the chain already changes nothing.

        Raises StaleTransactionError when a number was used by another transaction, ChainRefusedError for any other
        refusal, ChainUnavailableError.
        """
        submit_raw(self._rpc, raw)

    def receipts(self, hashes: Sequence[bytes]) -> list[Receipt | None]:
        """What became of transactions; None where it is not final yet, or the chain does not know of one."""
        answers = ask_receipts(self._rpc, hashes)
        upto = self._final_block() if self._confirmations and any(answers) else None
        finals = [
            answer if answer is not None and (upto is None or _number(answer["blockNumber"]) <= upto) else None
            for answer in answers
        ]
        return [None if answer is None else self._receipt(answer) for answer in finals]

    def send(self, raw: Sequence[bytes]) -> list[Receipt]:
        """Submit and wait until all are final; what is on the chain already only returns its receipt.

        Raises as ``submit``, and ChainUnavailableError when it takes too long.
        """
        self.submit(raw)
        hashes = [keccak(each) for each in raw]
        deadline, pause_s = time.monotonic() + MINED_WITHIN_S, _POLL_FIRST_S
        while None in (found := self.receipts(hashes)):
            if time.monotonic() > deadline:
                raise ChainUnavailableError(f"{found.count(None)} transactions were not final in time")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_MOST_S)
        return [each for each in found if each is not None]

    def _final_block(self) -> int:
        return self.head().number - self._confirmations

    def _receipt(self, answer: dict[str, Any]) -> Receipt:
        succeeded = _number(answer["status"]) == 1
        return Receipt(
            transaction_hash=_bytes(answer["transactionHash"]),
            block=_number(answer["blockNumber"]),
            block_hash=_bytes(answer["blockHash"]),
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
        """The events of our contracts from a block on, as far as blocks are final, in order."""
        upto = self._final_block()
        if self._quiet is not None and self._quiet[0] == from_block and self._is_on_chain(*self._quiet[1:]):
            first = self._quiet[1] + 1
        else:
            first, self._quiet = from_block, None
        if first > upto:  # some nodes refuse a range that begins after their newest block
            return []
        logs = [log for logs in self._logs(first, upto) for log in logs]
        if not logs:
            (newest,) = self.block_hashes([upto])
            self._quiet = None if newest is None else (from_block, upto, newest)
        times = self._times({log["blockNumber"] for log in logs if "blockTimestamp" not in log})
        return [self._event(log, times) for log in logs]

    def _logs(self, first: int, last: int) -> Iterator[list[dict[str, Any]]]:
        """The logs of our contracts, in stretches that no node refuses as too long."""
        places = [_hex(address) for address in self.addresses.values()]
        for start in range(first, last + 1, LOGS_BLOCKS):
            stretch = {"fromBlock": hex(start), "toBlock": hex(min(start + LOGS_BLOCKS - 1, last))}
            yield self._rpc.ask("eth_getLogs", stretch | {"address": places})

    def block_hashes(self, numbers: Sequence[int]) -> list[bytes | None]:
        """The hash of each block that the chain has now, None where it has none of that number.

        Raises ChainUnavailableError while it is too early to say so.
        """
        answers = self._rpc.batch([Request("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        hashes = [_bytes(answer["hash"]) if isinstance(answer, dict) else None for answer in answers]
        now = time.monotonic()
        self._missing_since = (self._missing_since or now) if None in hashes else None
        if self._missing_since is not None and now - self._missing_since < self._gone_back_after_s:
            raise ChainUnavailableError("a node that answers does not have yet what another had")
        return hashes

    def _is_on_chain(self, number: int, block_hash: bytes) -> bool:
        return self.block_hashes([number]) == [block_hash]

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
            block_hash=_bytes(log["blockHash"]),
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


def submit_raw(rpc: JsonRpc, raw: Sequence[bytes]) -> None:
    """Hand transactions over. Raises StaleTransactionError, ChainRefusedError, ChainUnavailableError."""
    results = rpc.batch([Request("eth_sendRawTransaction", [_hex(each)]) for each in raw])
    refused = [at for at, result in enumerate(results) if isinstance(result, Failure) and not _is_waiting(result)]
    if refused:
        _check_refused(rpc, [raw[at] for at in refused], results[refused[0]])


def send_raw(rpc: JsonRpc, raw: bytes) -> None:
    """Send one transaction and wait until it is in a block. Raises as ``submit_raw``."""
    submit_raw(rpc, [raw])
    deadline, pause_s = time.monotonic() + MINED_WITHIN_S, _POLL_FIRST_S
    while ask_receipts(rpc, [keccak(raw)]) == [None]:
        if time.monotonic() > deadline:
            raise ChainUnavailableError("a transaction got into no block in time")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _POLL_MOST_S)


def _check_refused(rpc: JsonRpc, refused: Sequence[bytes], first: Failure) -> None:
    """Nodes may also refuse what is on the chain already; only what is not is a failure."""
    receipts = ask_receipts(rpc, [keccak(each) for each in refused])
    missing = [each for each, receipt in zip(refused, receipts, strict=True) if receipt is None]
    if not missing:
        return
    from eth_account import Account

    message = f"the node does not take {_hex(keccak(missing[0]))}: {first.message}"
    if "nonce" not in first.message.lower():
        raise ChainRefusedError(message)
    used = _number(rpc.ask("eth_getTransactionCount", Account.recover_transaction(missing[0]), "latest"))
    taken = [keccak(each) for each in missing if number_of(each) < used]
    if stale := _without_receipt(rpc, taken):
        raise StaleTransactionError(message, stale)
    if len(taken) < len(missing):
        raise ChainUnavailableError(f"{message}; the chain does not have what goes before it")


def _without_receipt(rpc: JsonRpc, hashes: Sequence[bytes]) -> list[bytes]:
    """Those of some transactions with used numbers that were not it; the others are on the chain.

    A node may count a transaction some time before it shows its receipt (anvil does). Signed anew, what only seems to
    be lost would happen twice, so it is asked for until ``STALE_AFTER_S`` have passed.
    """
    deadline, pause_s = time.monotonic() + STALE_AFTER_S, _POLL_FIRST_S
    while hashes and time.monotonic() < deadline:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _POLL_MOST_S)
        receipts = ask_receipts(rpc, hashes)
        hashes = [each for each, receipt in zip(hashes, receipts, strict=True) if receipt is None]
    return list(hashes)


def ask_receipts(rpc: JsonRpc, hashes: Sequence[bytes]) -> list[dict[str, Any] | None]:
    """Receipts as the node gives them; None for what is in no block."""
    answers = rpc.batch([Request("eth_getTransactionReceipt", [_hex(each)]) for each in hashes])
    return [answer if isinstance(answer, dict) else None for answer in answers]


def number_of(raw: bytes) -> int:
    """The number that a transaction of ``sign_transaction`` carries."""
    transaction = decode_transaction(Bytes(raw))
    assert isinstance(transaction, FeeMarketTransaction), "the relayer signs no others"
    return int(transaction.nonce)


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
