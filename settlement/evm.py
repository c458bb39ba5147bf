"""The Ethereum virtual machine in this process: accounts in memory, transactions in, receipts out. No I/O, no clock.

Execution is that of the executable specification (``ethereum-execution``, Osaka rules, P256VERIFY included): every
transaction goes through its own ``process_transaction`` with sender recovery, nonce and gas rules. Gas is metered and
costs nothing. What the specification does around a block for consensus (beacon roots, withdrawals) has no meaning
here and is left out. Source: https://pypi.org/project/ethereum-execution, ``ethereum.forks.osaka``.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import msgspec
from ethereum import trace
from ethereum.crypto.hash import Hash32
from ethereum.exceptions import EthereumException
from ethereum.forks.osaka import fork, vm
from ethereum.forks.osaka.fork_types import EMPTY_ACCOUNT, Account, Address
from ethereum.forks.osaka.state import (
    State,
    TransientStorage,
    begin_transaction,
    get_account,
    rollback_transaction,
    set_account,
    set_storage,
    state_root,
)
from ethereum.forks.osaka.transactions import (
    TX_MAX_GAS_LIMIT,
    LegacyTransaction,
    Transaction,
    decode_transaction,
)
from ethereum.forks.osaka.vm import interpreter
from ethereum.forks.osaka.vm.interpreter import process_message_call
from ethereum.forks.osaka.vm.precompiled_contracts.mapping import PRE_COMPILED_CONTRACTS
from ethereum.forks.osaka.vm.runtime import get_valid_jump_destinations
from ethereum_rlp import rlp
from ethereum_rlp.exceptions import RLPException
from ethereum_types.bytes import Bytes, Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

from settlement.keccak import keccak

TRANSACTION_GAS_CAP = int(TX_MAX_GAS_LIMIT)
"""Osaka lets no transaction have more gas than this (EIP-7825)."""

# where a contract may jump to follows from its code alone; found anew for every call it is nine tenths of a view
_jump_destinations = lru_cache(maxsize=64)(get_valid_jump_destinations)
interpreter.get_valid_jump_destinations = _jump_destinations  # type: ignore[attr-defined] # it is called from there

_BLOCK_GAS_LIMIT = Uint(2**40)  # a block is one batch of ours; its size is bounded by who sends, not by gas
_NO_ADDRESS = Address(bytes(20))
_FIRST_TYPED = 0x7F  # a transaction's first byte: at most this for a typed one, above it for a legacy RLP list


def collect_garbage_rarely() -> None:
    """For a process that does little but execute: one in ten seconds went into looking for cycles that are not there.

    The machine makes objects by the million and lets nearly all of them go by themselves.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


class InvalidTransactionError(ValueError):
    """A transaction that cannot stand in a block: malformed, wrongly numbered, too much gas. The message says which."""


class LogEntry(msgspec.Struct, frozen=True, array_like=True):
    """What a contract logged: its 20 bytes, up to four topics, the data."""

    address: bytes
    topics: list[bytes]
    data: bytes


class Executed(msgspec.Struct, frozen=True, array_like=True):
    """What one transaction did; ``output`` is the revert data when it failed, else empty."""

    transaction_hash: bytes
    sender: bytes
    succeeded: bool
    gas: int
    output: bytes
    logs: list[LogEntry]


class BlockContext(NamedTuple):
    """What contracts can see of the block they run in; ``parent_hash`` is 32 bytes."""

    number: int
    timestamp_s: int
    parent_hash: bytes


class AccountRow(msgspec.Struct, frozen=True, array_like=True):
    """An account without its storage, after a block; all zero and empty: there is none. ``balance`` is 32 bytes."""

    address: bytes
    nonce: int
    balance: bytes
    code: bytes


class StorageRow(msgspec.Struct, frozen=True, array_like=True):
    """A storage slot after a block; ``key`` and ``value`` are 32 bytes, zero means none."""

    address: bytes
    key: bytes
    value: bytes


class Changes(msgspec.Struct, frozen=True, array_like=True):
    """What a block did to the state: the rows that are different after it, sorted by address and key."""

    accounts: list[AccountRow]
    storage: list[StorageRow]


class Snapshot(NamedTuple):
    """The state at some moment; opaque."""

    accounts: dict[Bytes20, Account | None]
    storage: dict[Bytes20, dict[Bytes32, U256]]


class Machine:
    """A state and the means to change it. Not thread-safe; one block at a time."""

    def __init__(self, chain_id: int) -> None:
        self.chain_id = chain_id
        self._state = State()

    # ------------------------------------------------------------------------------------------- state

    def apply(self, changes: Changes) -> None:
        """Take over rows as they stand after a block, without running it."""
        for row in changes.accounts:
            account = Account(Uint(row.nonce), U256.from_be_bytes(row.balance), Bytes(row.code))
            set_account(self._state, Bytes20(row.address), None if account == EMPTY_ACCOUNT else account)
        for slot in changes.storage:
            set_storage(self._state, Bytes20(slot.address), Bytes32(slot.key), U256.from_be_bytes(slot.value))

    def account(self, address: bytes) -> AccountRow:
        """An account; all zero for one that does not exist."""
        return _account_row(Bytes20(address), get_account(self._state, Bytes20(address)))

    def snapshot(self) -> Snapshot:
        """The state now, for ``changes_since``."""
        # the values are frozen: copying the dicts is enough
        tries = self._state._storage_tries.items()
        return Snapshot(dict(self._state._main_trie._data), {address: dict(trie._data) for address, trie in tries})

    def changes_since(self, before: Snapshot) -> Changes:
        """Every row that is different now."""
        after = self.snapshot()
        addresses = sorted(before.accounts.keys() | after.accounts.keys())
        accounts = [
            _account_row(address, after.accounts.get(address))
            for address in addresses
            if before.accounts.get(address) != after.accounts.get(address)
        ]
        return Changes(accounts, list(_changed_slots(before.storage, after.storage)))

    def state_root(self) -> bytes:
        """The Merkle-Patricia root of everything. About 0.1 s for 1,400 storage slots: for checkpoints."""
        return bytes(state_root(self._state))

    # --------------------------------------------------------------------------------------- execution

    def execute(self, context: BlockContext, raw: Sequence[bytes]) -> list[Executed | InvalidTransactionError]:
        """Run signed transactions in order, in one block; an invalid one changes nothing and does not stop the rest."""
        environment = self._environment(context)
        output = vm.BlockOutput()
        results: list[Executed | InvalidTransactionError] = []
        for each in raw:
            try:
                results.append(self._execute_one(environment, output, each))
            except InvalidTransactionError as error:
                results.append(error)
        return results

    def _execute_one(self, environment: vm.BlockEnvironment, output: vm.BlockOutput, raw: bytes) -> Executed:
        transaction = _decode(raw)
        gas_before, logs_before = output.block_gas_used, len(output.block_logs)
        with _last_frame() as ends:
            try:
                sender = fork.check_transaction(environment, output, transaction)[0]
                fork.process_transaction(environment, output, transaction, Uint(len(output.receipt_keys)))
            except EthereumException as error:
                raise InvalidTransactionError(str(error) or type(error).__name__) from error
        (end,) = ends
        return Executed(
            transaction_hash=keccak(raw),
            sender=bytes(sender),
            succeeded=end.error is None,
            gas=int(output.block_gas_used - gas_before),
            output=b"" if end.error is None else bytes(end.output),
            logs=[
                LogEntry(bytes(log.address), [bytes(topic) for topic in log.topics], bytes(log.data))
                for log in output.block_logs[logs_before:]
            ],
        )

    def view(self, context: BlockContext, sender: bytes, target: bytes, data: bytes) -> tuple[bool, bytes]:
        """Run a call and forget what it did: whether it succeeded, and what it returned (or its revert data)."""
        transient = TransientStorage()
        environment = vm.TransactionEnvironment(
            origin=Bytes20(sender),
            gas_price=Uint(0),
            gas=TX_MAX_GAS_LIMIT,
            access_list_addresses=set(),
            access_list_storage_keys=set(),
            transient_storage=transient,
            blob_versioned_hashes=(),
            authorizations=(),
            index_in_block=None,
            tx_hash=None,
        )
        begin_transaction(self._state, transient)
        try:
            output = process_message_call(self._message(context, environment, Bytes20(target), Bytes(data)))
        finally:
            rollback_transaction(self._state, transient)
        return output.error is None, bytes(output.return_data)

    def _message(
        self, context: BlockContext, environment: vm.TransactionEnvironment, target: Bytes20, data: Bytes
    ) -> vm.Message:
        return vm.Message(
            block_env=self._environment(context),
            tx_env=environment,
            caller=environment.origin,
            target=target,
            current_target=target,
            gas=environment.gas,
            value=U256(0),
            data=data,
            code_address=target,
            code=get_account(self._state, target).code,
            depth=Uint(0),
            should_transfer_value=False,
            is_static=False,
            accessed_addresses={environment.origin, target, *PRE_COMPILED_CONTRACTS},
            accessed_storage_keys=set(),
            disable_precompiles=False,
            parent_evm=None,
        )

    def _environment(self, context: BlockContext) -> vm.BlockEnvironment:
        return vm.BlockEnvironment(
            chain_id=U64(self.chain_id),
            state=self._state,
            block_gas_limit=_BLOCK_GAS_LIMIT,
            block_hashes=[Hash32(context.parent_hash)],
            coinbase=_NO_ADDRESS,
            number=Uint(context.number),
            base_fee_per_gas=Uint(0),
            time=U256(context.timestamp_s),
            prev_randao=Bytes32(context.parent_hash),
            excess_blob_gas=U64(0),
            parent_beacon_block_root=Hash32(bytes(32)),
        )


_Storage = dict[Bytes20, dict[Bytes32, U256]]


def _account_row(address: Bytes20, account: Account | None) -> AccountRow:
    account = account or EMPTY_ACCOUNT
    return AccountRow(bytes(address), int(account.nonce), bytes(account.balance.to_be_bytes32()), bytes(account.code))


def _changed_slots(before: _Storage, after: _Storage) -> Iterator[StorageRow]:
    zero = U256(0)
    for address in sorted(before.keys() | after.keys()):
        old, new = before.get(address, {}), after.get(address, {})
        # identity first: an untouched value is the same object, and comparing numbers costs more
        changed = [key for key, value in new.items() if (was := old.get(key)) is not value and was != value]
        for key in sorted([*changed, *(old.keys() - new.keys())]):
            yield StorageRow(bytes(address), bytes(key), bytes(new.get(key, zero).to_be_bytes32()))


def _decode(raw: bytes) -> Transaction:
    if not raw:
        raise InvalidTransactionError("an empty transaction")
    try:
        if raw[0] <= _FIRST_TYPED:
            return decode_transaction(Bytes(raw))
        return rlp.decode_to(LegacyTransaction, Bytes(raw))
    except (EthereumException, RLPException) as error:
        raise InvalidTransactionError(f"not a transaction: {error}") from error


@contextmanager
def _last_frame() -> Iterator[list[trace.TransactionEnd]]:
    """Catches how the transaction's outermost frame ended: the specification says it only to its tracer."""
    ends: list[trace.TransactionEnd] = []

    def remember(evm: object, event: trace.TraceEvent) -> None:
        if type(event) is trace.TransactionEnd:
            ends.append(event)

    before = trace.set_evm_trace(remember)
    try:
        yield ends
    finally:
        trace.set_evm_trace(before)
