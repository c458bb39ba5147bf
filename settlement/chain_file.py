"""The embedded chain read from its file, without the process that writes it: events, views, transactions.

One snapshot: what is read belongs together, and whoever writes meanwhile is not disturbed. The contracts' addresses
follow from the account that deployed them, which is the sender of the first transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from eth_abi.abi import decode
from ethereum.forks.osaka.transactions import FeeMarketTransaction, decode_transaction
from ethereum_types.bytes import Bytes

from settlement import abi
from settlement.blocks import Block, context_after, prove_event
from settlement.chain import CONTRACTS, Call, CallRefusedError, ChainEvent, Head
from settlement.chain_store import ChainFileError, ChainReader, StoredBlock
from settlement.compile import Compiled
from settlement.deploy import contract_addresses
from settlement.event_proof import EventNotProvableError, EventProof
from settlement.evm import Executed, Machine
from settlement.headers import BlockHeader, read_header
from settlement.intents import Domain


class FoundTransaction(NamedTuple):
    """A transaction of the chain: where it stands, what was sent to whom, and what came of it."""

    block: int
    block_hash: bytes
    target: bytes
    data: bytes
    executed: Executed


class FileChain:
    """The reading half of the ``Chain`` port, over a file."""

    def __init__(self, path: Path, salt: bytes, contracts: Mapping[str, Compiled]) -> None:
        """Raises ChainFileError when there is no chain, or none with our contracts, in the file."""
        self.path = path
        self._reader = ChainReader(path)
        self._salt, self._contracts = salt, contracts
        self.chain_id = self._reader.chain_id
        self.deployer = self._first_sender()
        self.addresses = contract_addresses(self.deployer)
        self._names = {address: name for name, address in self.addresses.items()}
        self._machine: Machine | None = None
        self._head: StoredBlock | None = None

    def __enter__(self) -> "FileChain":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def domain(self, contract: str) -> Domain:
        """Where intents for a contract hold."""
        return Domain(self.chain_id, self.addresses[contract], self._salt)

    def events(self, from_block: int) -> list[ChainEvent]:
        """The events of our contracts from a block on, in order."""
        shapes = {name: abi.event_shapes(self._contracts[name]) for name in CONTRACTS}
        found = []
        for stored in self._reader.blocks():
            if stored.number < from_block:
                continue
            block = stored.decode()
            logs = ((receipt, entry) for receipt in block.receipts for entry in receipt.logs)
            for log_index, (receipt, entry) in enumerate(logs):
                name = self._names.get(entry.address)
                if name is None:
                    continue
                shape = shapes[name][entry.topics[0]]
                arguments = shape.read(entry.topics[1:], entry.data)
                found.append(
                    ChainEvent(
                        block.number,
                        log_index,
                        block.timestamp_s,
                        receipt.transaction_hash,
                        name,
                        shape.name,
                        arguments,
                        stored.hash,
                    )
                )
        return found

    def view(self, call: Call) -> tuple[Any, ...]:
        """Run a view on the state of the file; the decoded outputs. Raises CallRefusedError when it reverts."""
        if self._machine is None:
            self._machine = Machine(self.chain_id, self._reader.kept)
        newest = self._newest()
        context = context_after(newest.decode(), newest.hash, newest.decode().timestamp_s)
        succeeded, output = self._machine.view(context, bytes(20), self.addresses[call.contract], call.data)
        if not succeeded:
            raise CallRefusedError(abi.refusal(output))
        return decode(abi.output_types(self._contracts[call.contract])[call.function], output)

    def event_proof(self, block: int, log_index: int) -> EventProof:
        """The proof of an event by its place in its block. Raises EventNotProvableError when there is no such event."""
        found = self._reader.block(block)
        if found is None:
            raise EventNotProvableError(f"there is no block {block}")
        return prove_event(found.decode(), log_index)

    def headers(self, first: int, last: int) -> list[BlockHeader]:
        """The headers of blocks ``first`` to ``last``, both included, as far as there are any."""
        found = (self._reader.block(number) for number in range(first, min(last, self._newest().number) + 1))
        return [read_header(stored.decode().header().encode()) for stored in found if stored is not None]

    def head(self) -> Head:
        """The newest block."""
        newest = self._newest()
        return Head(newest.number, newest.hash, newest.decode().timestamp_s)

    def transactions(self) -> dict[bytes, FoundTransaction]:
        """Every transaction by its hash."""
        found = {}
        for stored in self._reader.blocks():
            block = stored.decode()
            for raw, executed in zip(block.transactions, block.receipts, strict=True):
                sent = decode_transaction(Bytes(raw))
                assert isinstance(sent, FeeMarketTransaction), "the relayer sends no others"
                found[executed.transaction_hash] = FoundTransaction(
                    block.number, stored.hash, bytes(sent.to), bytes(sent.data), executed
                )
        return found

    def deployments(self) -> Sequence[bytes]:
        """Constructor code with arguments of the first four transactions."""
        return [found.data for found in list(self.transactions().values())[: len(CONTRACTS)]]

    def functions(self, contract: str) -> dict[bytes, str]:
        """The functions of a contract by their four-byte selectors."""
        return abi.functions(self._contracts[contract])

    def _newest(self) -> StoredBlock:
        if self._head is None:
            for stored in self._reader.blocks():
                self._head = stored
        assert self._head is not None, "a chain has a genesis block"
        return self._head

    def _first_sender(self) -> bytes:
        for block in self._blocks():
            for receipt in block.receipts:
                return receipt.sender
        raise ChainFileError(f"there are no contracts on the chain in {self.path}")

    def _blocks(self) -> Iterator[Block]:
        return (stored.decode() for stored in self._reader.blocks())
