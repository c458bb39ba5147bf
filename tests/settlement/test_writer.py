"""The writer: what is in the outbox comes to the chain once, in order, wherever it was interrupted."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from data.database import open_database, reading
from data.schema import bring_forward
from data.tables import outbox as table
from settlement import calls, outbox, writer
from settlement.chain import Call, ChainUnavailableError
from settlement.node import Node
from settlement.rpc import RpcChain
from settlement.writer import Writer
from tests.databases import url_of
from tests.settlement.chain_bench import chain_on, commit_calls, node_on

pytestmark = pytest.mark.usefixtures("database_url")


class CrashError(Exception):
    """The process ends here."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with node_on(tmp_path / "chain.db") as node:
        yield node


@pytest.fixture
def chain(node: Node) -> RpcChain:
    return chain_on(node)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    database = open_database(url_of(tmp_path))
    bring_forward(database)
    yield database
    database.dispose()


def put(database: Engine, wanted: Sequence[Call]) -> None:
    for call in wanted:
        with database.begin() as connection:
            outbox.put(connection, call)


def rows(database: Engine) -> list[Any]:
    with reading(database) as connection:
        return list(connection.execute(select(table).order_by(table.c.outbox_id)))


def committed(chain: RpcChain) -> list[int]:
    """The numbers of all commitments on the chain, in the order of their events."""
    found = [event.arguments["index"] for event in chain.events(0) if event.event == "Committed"]
    return [number for number in found if isinstance(number, int)]


def test_calls_go_in_order_and_end_with_block_and_gas(database: Engine, chain: RpcChain) -> None:
    put(database, commit_calls(chain, 3))
    assert Writer(database, chain).drain() == 3
    assert committed(chain) == [1, 2, 3]
    for row in rows(database):
        assert (row.state, row.kind, row.refusal) == ("done", "Clearing.commit", None)
        assert row.gas > 21_000
        assert row.block == chain.head().number


def test_a_refused_call_is_recorded_with_its_reason_and_holds_up_nothing(database: Engine, chain: RpcChain) -> None:
    first, second, third = commit_calls(chain, 3)
    put(database, [first, third, second])
    Writer(database, chain).drain()
    assert [(row.state, row.refusal) for row in rows(database)] == [
        ("done", None),
        ("reverted", "commit_out_of_order"),
        ("done", None),
    ]


def test_more_calls_than_one_round_takes(database: Engine, chain: RpcChain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CALLS_IN_FLIGHT", 3)
    monkeypatch.setattr(writer, "CALLS_IN_BATCH", 2)
    put(database, commit_calls(chain, 5))
    first = chain.head().number
    assert Writer(database, chain).waiting() == 5
    assert Writer(database, chain).step() == 3
    assert chain.head().number == first + 2
    assert Writer(database, chain).drain() == 2
    assert committed(chain) == [1, 2, 3, 4, 5]
    assert Writer(database, chain).step() == 0


def test_a_crash_between_keeping_and_sending_loses_nothing(
    database: Engine, chain: RpcChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, commit_calls(chain, 3))

    def crash(_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch, pytest.raises(CrashError):
        patch.setattr(chain, "submit", crash)
        Writer(database, chain).step()
    kept = [row.raw for row in rows(database)]
    assert {row.state for row in rows(database)} == {"sent"}
    assert committed(chain) == []
    assert Writer(database, chain).drain() == 3
    assert committed(chain) == [1, 2, 3]
    assert [row.raw for row in rows(database)] == kept


@pytest.mark.parametrize("arrived", [1, 2, 3])
def test_a_crash_between_sending_and_recording_sends_nothing_twice(
    database: Engine, chain: RpcChain, monkeypatch: pytest.MonkeyPatch, arrived: int
) -> None:
    put(database, commit_calls(chain, 3))
    really_submit = chain.submit

    def send_and_crash(raw: Sequence[bytes]) -> None:
        really_submit(raw[:arrived])
        raise CrashError

    with monkeypatch.context() as patch, pytest.raises(CrashError):
        patch.setattr(chain, "submit", send_and_crash)
        Writer(database, chain).step()
    assert committed(chain) == [1, 2, 3][:arrived]
    assert Writer(database, chain).drain() == 3
    assert committed(chain) == [1, 2, 3]
    assert [row.state for row in rows(database)] == ["done"] * 3


def test_what_was_signed_goes_before_what_came_later(
    database: Engine, chain: RpcChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *later = commit_calls(chain, 3)
    put(database, [first])

    def crash(_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch, pytest.raises(CrashError):
        patch.setattr(chain, "submit", crash)
        Writer(database, chain).step()
    put(database, later)
    assert Writer(database, chain).step() == 3
    assert committed(chain) == [1, 2, 3]


def test_calls_whose_numbers_went_to_others_are_signed_anew(
    database: Engine, chain: RpcChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = commit_calls(chain, 3)
    put(database, [first, second])
    really_submit = chain.submit

    def only_the_first_arrives(raw: Sequence[bytes]) -> None:
        really_submit(raw[:1])
        raise CrashError

    with monkeypatch.context() as patch, pytest.raises(CrashError):
        patch.setattr(chain, "submit", only_the_first_arrives)
        Writer(database, chain).step()
    chain.send(chain.sign([third]))  # somebody else uses the relayer's key
    assert Writer(database, chain).drain() == 2
    assert committed(chain) == [1, 2]
    assert [row.state for row in rows(database)] == ["done", "done"]


def test_the_thread_goes_on_when_the_chain_answers_again(
    database: Engine, chain: RpcChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.01)
    put(database, commit_calls(chain, 1))
    outages: list[ChainUnavailableError] = []
    really_submit = chain.submit
    stop, wake = threading.Event(), threading.Event()

    def fail_twice(raw: Sequence[bytes]) -> None:
        if len(outages) < 2:
            raise ChainUnavailableError("nobody answers")
        stop.set()
        really_submit(raw)

    monkeypatch.setattr(chain, "submit", fail_twice)
    Writer(database, chain).run(stop, wake, outages.append)
    assert len(outages) == 2
    assert chain.view(calls.commit_index()) == (1,)
    assert rows(database)[0].state == "done"
