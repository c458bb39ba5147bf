"""The Ethereum virtual machine in this process: accounts in memory, transactions in, receipts out. No I/O, no clock.

Execution is that of the executable specification (``ethereum-execution``, Osaka rules, P256VERIFY included): every
transaction goes through its own ``process_transaction`` with sender recovery, nonce and gas rules. Gas is metered and
costs nothing. What the specification does around a block for consensus (beacon roots, withdrawals) has no meaning
here and is left out. Source: the ``ethereum-execution`` distribution, ``ethereum.forks.osaka``.
"""

import gc
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import msgspec
from ethereum.crypto.hash import Hash32
from ethereum.exceptions import EthereumException
from ethereum.forks.osaka import fork, vm
from ethereum.forks.osaka.fork_types import EMPTY_ACCOUNT, Account, Address, encode_account
from ethereum.forks.osaka.state import (
    State,
    TransientStorage,
    begin_transaction,
    get_account,
    rollback_transaction,
    set_account,
)
from ethereum.forks.osaka.transactions import (
    TX_MAX_GAS_LIMIT,
    LegacyTransaction,
    Transaction,
    decode_transaction,
)
from ethereum.forks.osaka.trie import Trie
from ethereum.forks.osaka.vm import interpreter
from ethereum.forks.osaka.vm.interpreter import process_message_call
from ethereum.forks.osaka.vm.precompiled_contracts.mapping import PRE_COMPILED_CONTRACTS
from ethereum.forks.osaka.vm.runtime import get_valid_jump_destinations
from ethereum_rlp import rlp
from ethereum_rlp.exceptions import RLPException
from ethereum_types.bytes import Bytes, Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

from settlement import evm_speed
from settlement.keccak import keccak
from settlement.layers import Entries, Ground, Layers, MemoryGround, ReadGround
from settlement.trie_root import encoded_string, secure_root

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


class Kept(Protocol):
    """A state that somebody keeps after each block, to be read as it is needed."""

    def account(self, address: bytes) -> AccountRow | None:
        """An account; None when there is none."""

    def accounts(self) -> Iterator[AccountRow]:
        """Every account."""

    def contracts(self) -> list[bytes]:
        """The addresses that have storage."""

    def slot(self, address: bytes, key: bytes) -> bytes | None:
        """The 32 bytes of a storage slot; None when they are zero."""

    def slots(self, address: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every slot of a contract that is not zero: key and value."""


class Machine:
    """A state and the means to change it. Not thread-safe; one block at a time."""

    def __init__(self, chain_id: int, kept: Kept | None = None) -> None:
        """The state is empty, or the one that is ``kept``; whoever keeps it takes in what ``settle`` gives, first."""
        self.chain_id = chain_id
        self._state = State()
        self._kept = kept
        self._state._main_trie._data = _layers(MemoryGround() if kept is None else _account_ground(kept))
        for address in [] if kept is None else kept.contracts():
            self._slots(Bytes20(address))

    # ------------------------------------------------------------------------------------------- state

    def apply(self, changes: Changes) -> None:
        """Take over rows as they stand after a block, without running it."""
        for row in changes.accounts:
            account = _account(row)
            set_account(self._state, Bytes20(row.address), None if account == EMPTY_ACCOUNT else account)
        for slot in changes.storage:
            entries = self._slots(Bytes20(slot.address))
            value = U256.from_be_bytes(slot.value)
            if value:
                entries[Bytes32(slot.key)] = value
            else:
                del entries[Bytes32(slot.key)]
        self.settle()

    def account(self, address: bytes) -> AccountRow:
        """An account; all zero for one that does not exist."""
        return _account_row(Bytes20(address), get_account(self._state, Bytes20(address)))

    def changes(self) -> Changes:
        """Every row that is different since ``settle``."""
        accounts = self._layers_of(self._state._main_trie).changes()
        tries = self._state._storage_tries
        return Changes(
            [_account_row(address, accounts[address]) for address in sorted(accounts)],
            [
                row
                for address in sorted(tries)
                for row in _slot_rows(address, self._layers_of(tries[address]).changes())
            ],
        )

    def settle(self) -> None:
        """What changed so far belongs to a block that is kept."""
        self._layers_of(self._state._main_trie).settle()
        for trie in self._state._storage_tries.values():
            self._layers_of(trie).settle()

    def everything(self) -> Changes:
        """Every row of the whole state."""
        tries = self._state._storage_tries
        return Changes(
            [_account_row(address, account) for address, account in sorted(self._state._main_trie._data.items())],
            [row for address in sorted(tries) for row in _slot_rows(address, dict(tries[address]._data.items()))],
        )

    def state_root(self) -> bytes:
        """The Merkle-Patricia root of everything: 15 s and more for a million storage slots, so for checkpoints."""
        accounts = []
        for address, account in self._state._main_trie._data.items():
            root = secure_root((key, encoded_string(value.lstrip(b"\0"))) for key, value in self._raw_slots(address))
            accounts.append((bytes(address), bytes(encode_account(account or EMPTY_ACCOUNT, Bytes(root)))))
        return secure_root(accounts)

    def _raw_slots(self, address: Bytes20) -> Iterator[tuple[bytes, bytes]]:
        """The slots of a contract as 32 bytes each; straight from where they are kept when nothing has changed."""
        trie = self._state._storage_tries.get(address)
        if trie is None:
            return iter(())
        if self._kept is not None and not self._layers_of(trie).changes():
            return self._kept.slots(bytes(address))
        return ((bytes(key), bytes(value.to_be_bytes32())) for key, value in trie._data.items())

    def _slots(self, address: Bytes20) -> Layers:
        """The entries of a contract's storage, begun when it has none."""
        trie = self._state._storage_tries.get(address)
        if trie is None:
            trie = self._state._storage_tries[address] = Trie(secured=True, default=U256(0))
            trie._data = _layers(MemoryGround() if self._kept is None else _slot_ground(self._kept, bytes(address)))
        return self._layers_of(trie)

    def _layers_of(self, trie: Trie[Any, Any]) -> Layers:
        """The entries of a trie; a contract that was created since has its slots in a dict of the specification's."""
        found: Any = trie._data
        if isinstance(found, Layers):
            return found
        entries = Layers(MemoryGround())
        for key, value in found.items():
            entries[key] = value
        trie._data = cast("Any", entries)
        return entries

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
        if not isinstance(transaction, LegacyTransaction) and int(transaction.chain_id) != self.chain_id:
            # the specification recovers the sender of such a one without asking which chain it was signed for
            raise InvalidTransactionError(f"signed for chain {int(transaction.chain_id)}")
        gas_before, logs_before = output.block_gas_used, len(output.block_logs)
        _outcomes.clear()
        try:
            sender = fork.check_transaction(environment, output, transaction)[0]
            fork.process_transaction(environment, output, transaction, Uint(len(output.receipt_keys)))
        except EthereumException as error:
            raise InvalidTransactionError(str(error) or type(error).__name__) from error
        (end,) = _outcomes
        return Executed(
            transaction_hash=keccak(raw),
            sender=bytes(sender),
            succeeded=end.error is None,
            gas=int(output.block_gas_used - gas_before),
            output=b"" if end.error is None else bytes(end.return_data),
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


def _layers(ground: Ground) -> Any:
    """For ``Trie._data``, which the specification declares as a dict."""
    return Layers(ground)


def _account_ground(kept: Kept) -> ReadGround:
    def read(address: Bytes20) -> Account | None:
        row = kept.account(bytes(address))
        return None if row is None else _account(row)

    return ReadGround(read, lambda: ((Bytes20(row.address), _account(row)) for row in kept.accounts()))


def _slot_ground(kept: Kept, address: bytes) -> ReadGround:
    def read(key: Bytes32) -> U256 | None:
        value = kept.slot(address, bytes(key))
        return None if value is None else U256.from_be_bytes(value)

    return ReadGround(read, lambda: ((Bytes32(key), U256.from_be_bytes(value)) for key, value in kept.slots(address)))


def _account(row: AccountRow) -> Account:
    return Account(Uint(row.nonce), U256.from_be_bytes(row.balance), Bytes(row.code))


def _account_row(address: Bytes20, account: Account | None) -> AccountRow:
    account = account or EMPTY_ACCOUNT
    return AccountRow(bytes(address), int(account.nonce), bytes(account.balance.to_be_bytes32()), bytes(account.code))


def _slot_rows(address: Bytes20, entries: Entries) -> list[StorageRow]:
    """Rows for slots and their values, None for zero, in the order of the keys."""
    zero = U256(0)
    values = ((key, zero if entries[key] is None else entries[key]) for key in sorted(entries))
    return [StorageRow(bytes(address), bytes(key), bytes(value.to_be_bytes32())) for key, value in values]


def _decode(raw: bytes) -> Transaction:
    if not raw:
        raise InvalidTransactionError("an empty transaction")
    try:
        if raw[0] <= _FIRST_TYPED:
            return decode_transaction(Bytes(raw))
        return rlp.decode_to(LegacyTransaction, Bytes(raw))
    except (EthereumException, RLPException) as error:
        raise InvalidTransactionError(f"not a transaction: {error}") from error


_outcomes: list[Any] = []
"""How the outermost call of the transaction that runs has ended: the specification says it to nobody but its caller."""


def _remember_outcome(message: vm.Message) -> Any:
    output = process_message_call(message)
    _outcomes.append(output)
    return output


fork.process_message_call = _remember_outcome  # type: ignore[attr-defined] # it is called from there
evm_speed.install()
