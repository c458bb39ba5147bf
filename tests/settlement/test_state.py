"""The embedded chain's state: layers to go back from, entries read as they are needed, the root of it all."""

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from ethereum.forks.osaka.fork_types import Account
from ethereum.forks.osaka.state import State, set_account, set_storage, state_root
from ethereum_types.bytes import Bytes, Bytes20, Bytes32
from ethereum_types.numeric import U256, Uint
from hypothesis import given
from hypothesis import strategies as st

from settlement import layers
from settlement.chain_store import ChainStore
from settlement.evm import AccountRow, Changes, Machine, StorageRow
from settlement.layers import Layers, MemoryGround, ReadGround
from settlement.trie_root import EMPTY_ROOT, encoded_string, secure_root
from tests.settlement.chain_bench import chain_on, commit_calls, node_on

KEYS = st.integers(0, 5)
ACTS = st.lists(st.tuples(st.sampled_from(["set", "delete", "begin", "commit", "go back", "settle"]), KEYS, KEYS))


@given(ACTS)
def test_layers_are_a_dict_that_can_be_gone_back_from(acts: list[tuple[str, int, int]]) -> None:
    """Against plain dicts that are really copied; transactions are nested as the specification nests them."""
    entries, model = Layers(MemoryGround()), dict[int, int]()
    before: list[tuple[Layers, dict[int, int]]] = []
    for act, key, value in acts:
        match act:
            case "set":
                entries[key] = model[key] = value
            case "delete" if key in model:
                del entries[key], model[key]
            case "begin":
                before.append((copy(entries), dict(model)))
            case "commit" if before:
                before.pop()
            case "go back" if before:
                entries, model = before.pop()
            case "settle" if not before:
                entries.settle()
                assert entries.changes() == {}
        assert dict(entries.items()) == model
        assert [entries.get(each) for each in range(6)] == [model.get(each) for each in range(6)]
        for kept, was in before:
            assert dict(kept.items()) == was


def test_what_changed_is_said_once_and_what_came_to_the_same_not_at_all() -> None:
    ground = MemoryGround()
    ground.take({1: 10, 2: 20, 3: 30})
    entries = Layers(ground)
    entries[1] = 11
    copy(entries)
    entries[1] = 10
    del entries[2]
    entries[4] = 40
    assert entries.settle() == {2: None, 4: 40}
    assert dict(entries.items()) == {1: 10, 3: 30, 4: 40}


def test_a_ground_is_read_once_for_each_key_and_forgets_when_it_knows_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layers, "CACHED_ENTRIES", 3)
    kept, asked = {1: 10}, list[int]()

    def read(key: int) -> int | None:
        asked.append(key)
        return kept.get(key)

    ground = ReadGround(read, lambda: iter(kept.items()))
    assert [ground.get(key) for key in (1, 2, 1, 2)] == [10, None, 10, None]
    assert asked == [1, 2]
    kept |= {5: 50, 6: 60}
    ground.take({5: 50, 6: 60})
    assert [ground.get(key) for key in (5, 6)] == [50, 60]
    assert asked == [1, 2]
    ground.take({1: None})
    assert (ground.get(1), ground.get(6)) == (None, 60)
    assert asked == [1, 2, 6]


def _of_specification(rows: dict[int, dict[int, int]]) -> bytes:
    state = State()
    for account, slots in rows.items():
        address = Bytes20(account.to_bytes(20, "big"))
        set_account(state, address, Account(Uint(account), U256(account), Bytes(b"code")))
        for key, value in slots.items():
            set_storage(state, address, Bytes32(key.to_bytes(32, "big")), U256(value))
    return bytes(state_root(state))


def _rows(rows: dict[int, dict[int, int]]) -> Changes:
    word: Callable[[int], bytes] = lambda number: number.to_bytes(32, "big")  # noqa: E731 - a word for a number
    places = {account: account.to_bytes(20, "big") for account in sorted(rows)}
    return Changes(
        [AccountRow(place, account, word(account), b"code") for account, place in places.items()],
        [
            StorageRow(place, word(key), word(value))
            for account, place in places.items()
            for key, value in sorted(rows[account].items())
        ],
    )


@given(st.dictionaries(st.integers(1, 999), st.dictionaries(st.integers(0, 2**256 - 1), st.integers(1, 2**256 - 1))))
def test_the_root_is_the_specifications(rows: dict[int, dict[int, int]]) -> None:
    machine = Machine(1)
    machine.apply(_rows(rows))
    assert machine.state_root() == _of_specification(rows)
    assert machine.everything() == _rows(rows)


def test_the_root_of_many_slots_and_of_none() -> None:
    many = {7: {key: key**5 + 1 for key in range(1_500)}}
    machine = Machine(1)
    machine.apply(_rows(many))
    assert machine.state_root() == _of_specification(many)
    assert secure_root([]) == EMPTY_ROOT
    assert encoded_string(b"\x7f" * 56)[:2] == b"\xb8\x38"


def test_a_chain_reads_of_its_file_what_a_call_needs_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand slots more beside the contracts' own: restart and commitment touch none of them."""
    file = tmp_path / "chain.db"
    with node_on(file) as node:
        chain = chain_on(node)
        first, second = commit_calls(chain, 2)
        chain.send(chain.sign([first]))
        place = chain.addresses["Clearing"]
        kept = {(place, slot): value for slot, value in node._store.kept.slots(place)}
        more = [StorageRow(place, bytes([9, 9]) + each.to_bytes(30, "big"), b"\1" * 32) for each in range(100_000)]
        node._store._connection.execute("BEGIN")
        node._store._put_state(Changes([], more))
        node._store._connection.execute("COMMIT")
    asked: list[Any] = []
    read_one = ChainStore.__init__.__globals__["KeptState"].slot

    def slot(self: object, address: bytes, key: bytes) -> bytes | None:
        asked.append((address, key))
        found: bytes | None = read_one(self, address, key)
        return found

    monkeypatch.setattr("settlement.chain_store.KeptState.slot", slot)
    monkeypatch.setattr("settlement.chain_store.KeptState.slots", None)
    with node_on(file) as node:
        chain = chain_on(node)
        assert chain.send(chain.sign([second]))[0].succeeded
    assert 0 < len(asked) < 100
    assert {each for each in asked if each[0] == place} & kept.keys()
