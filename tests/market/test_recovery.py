"""After a stop, a crash or a failing disk: what was answered is there, nothing else is, and no lie is served."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine, event, func, select, update
from sqlalchemy.exc import OperationalError

from data import tables
from data.database import open_database
from market import store
from market.context import Context
from market.recovery import RecordError
from settlement import signatures
from settlement.jwk import to_jwk
from tests.databases import url_of
from tests.market.streamed import stream
from tests.market.world import SLOT, Person, World, later, neighbours, open_market, order

pytestmark = pytest.mark.usefixtures("database_url")


async def some_trading(ann: Person, bo: Person) -> None:
    next_slot = later(SLOT, 15)
    await bo.place(order("s1", "A2", "sell", "3.00", "0.40", terms=30))
    await bo.place(order("s2", "B1", "sell", "1.00", "0.38", next_slot))
    await ann.place_batch(
        [
            order("b1", "A1", "buy", "1.00", "0.45", terms=30),
            order("b2", "A1", "buy", "1.50", "0.45"),
            order("b3", "A1", "buy", "9.00", "0.10", next_slot, tif="gtc"),
            order("b4", "A1", "buy", "1.00", "0.44", next_slot, tif="ioc"),
            order("b5", "A1", "buy", "0.01", "9.99"),
        ]
    )
    await ann.place(order("b6", "A1", "buy", "8.00", "0.11", next_slot, replaces="b3"))
    legs = [order("l1", "A1", "buy", "0.10", "0.50"), order("l2", "A1", "buy", "0.10", "0.50", later(SLOT, 30))]
    await ann.place_batch(legs, basket=True)
    await bo.delete("/v1/orders/s2")


async def picture(world: World, *people: Person) -> dict[str, Any]:
    """All that anyone can see, and the engine's own hash."""
    shown: dict[str, Any] = {"engine": await world.context.sequencer.look(lambda state: state.engine.state_hash())}
    shown["next"] = await world.context.sequencer.look(
        lambda state: (state.head, state.journal_batch, state.next_order, state.next_trade, state.next_signature)
    )
    for person in people:
        for path in ("/v1/account", "/v1/orders", "/v1/trades"):
            shown[f"{person.member}{path}"] = (await person.get(path)).body
    return shown


async def test_a_market_started_again_is_the_same_market(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await some_trading(ann, bo)
        operator = await world.institution("operator")
        limits = [{"node": "A", "export_kw": "1.5", "import_kw": None}]
        assert (await operator.post("/v1/grid/limits", {"limits": limits})).status == 200
        before = await picture(world, ann, bo)
        sell = order("s1", "A2", "sell", "3.00", "0.40", terms=30)
        first = await bo.place(sell)
    async with open_market(tmp_path) as again:
        after = await picture(again, *(Person(again, p.member, p.key, p.token) for p in (ann, bo)))
        assert after == before
        bo = Person(again, bo.member, bo.key, bo.token)
        assert (await bo.place(sell)).body == first.body
        assert (await bo.place(order("s9", "A2", "sell", "1.00", "0.40"))).status == 201
        await bo.delete("/v1/orders")


TAMPERINGS = {
    "a trade's price": (tables.trades, {"buyer_price_ticks": 4201}),
    "a trade's parties": (tables.trades, {"buyer": 1}),
    "an order's quantity": (tables.orders, {"quantity_lots": 12345}),
    "an order's state": (tables.orders, {"state": "filled"}),
    "an order's meter": (tables.orders, {"node_id": 0}),
    "a journal's commands": (tables.journal, {"commands": b"[]"}),
    "a journal's time": (tables.journal, {"recorded_s": 1}),
    "a journal's head": (tables.journal, {"head": bytes(32)}),
    "a node's parent": (tables.nodes, {"parent_id": 0}),
}


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_a_changed_record_is_not_served(tmp_path: Path, what: str) -> None:
    async with open_market(tmp_path) as world:
        await some_trading(*await neighbours(world))
    table, values = TAMPERINGS[what]
    database = open_database(url_of(tmp_path))
    key = next(iter(table.primary_key))
    with database.begin() as connection:
        last = connection.scalar(select(func.max(key)))
        assert connection.execute(update(table).where(key == last).values(**values)).rowcount == 1
    database.dispose()
    with pytest.raises(RecordError):
        async with open_market(tmp_path):
            pass


@pytest.mark.parametrize("table", [tables.trades, tables.journal])
async def test_a_missing_record_is_not_served(tmp_path: Path, table: Any) -> None:
    async with open_market(tmp_path) as world:
        await some_trading(*await neighbours(world))
    database = open_database(url_of(tmp_path))
    key = next(iter(table.primary_key))
    with database.begin() as connection:
        connection.execute(table.delete().where(key == connection.scalar(select(func.max(key)))))
    database.dispose()
    with pytest.raises(RecordError):
        async with open_market(tmp_path):
            pass


class FullDisk:
    """Refuses to write what orders became while ``is_full``; with ``after_commit`` once the commit has happened."""

    def __init__(self, database: Engine, patches: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self.after_commit = False
        self._writes_orders = False
        self._update_rows = store.update_rows
        patches.setattr(store, "update_rows", self._update)
        event.listen(database, "commit", self._commit)

    def _error(self) -> OperationalError:
        return OperationalError("UPDATE", {}, Exception("database or disk is full"))

    def _update(self, connection: Any, table: Any, *rest: Any) -> None:
        if self.is_full and table is tables.orders:
            self._writes_orders = True
            if not self.after_commit:
                raise self._error()
        self._update_rows(connection, table, *rest)

    def _commit(self, connection: Any) -> None:
        if self.is_full and self._writes_orders:
            self._writes_orders = False
            connection.connection.dbapi_connection.commit()
            raise self._error()


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_failing_database_acknowledges_nothing_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_commit: bool
) -> None:
    database = open_database(url_of(tmp_path))
    disk = FullDisk(database, monkeypatch)
    async with open_market(tmp_path, database=database) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))
        buy = order("b1", "A1", "buy", "0.60", "0.45")
        async with stream(world, ann) as line:
            for channel in ("mine", "trades"):
                await line.do("subscribe", to={"channel": channel})
            await line.next("mine")
            disk.is_full, disk.after_commit = True, after_commit
            refused = await ann.place(buy)
            disk.is_full = False
            assert (await ann.get("/v1/orders/b1")).status == (200 if after_commit else 404)
            again = await ann.place(buy)
            told = (await line.next("mine"))["orders"]  # also when word of the commit was lost
            assert [(each["client_order_id"], len(each["trades"])) for each in told] == [("b1", 1)]
            assert len((await line.next("trades"))["trades"]) == 1
            assert await line.nothing()
        assert (refused.status, refused.code) == (503, "storage_unavailable")
        assert "Retry-After" in refused.headers
        assert again.body["order"]["state"] == "filled" and world.is_receipt(again.body["receipt"])
        assert len((await ann.get("/v1/trades")).body["items"]) == 1
        assert (await bo.get("/v1/orders/s1")).body["order"]["remaining"] == "0.40"
        assert (await world.get("/readyz")).status == 200


async def test_a_bug_in_the_sequencer_stops_the_market_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "1.00", "0.40"))

        def broken(*_: Any) -> None:
            raise AssertionError("a bug")

        monkeypatch.setattr("market.state.MarketState.apply", broken)
        refused = await ann.place(order("b1", "A1", "buy", "0.60", "0.45"))
        assert (refused.status, refused.code) == (503, "market_stopped")
        assert "bug" not in str(refused.body)
        for _ in range(100):
            ready = await world.get("/readyz")
            if ready.status == 503:
                break
            await asyncio.sleep(0.05)
        assert (ready.status, ready.code) == (503, "market_stopped")
        assert (await ann.place(order("b2", "A1", "buy", "0.60", "0.45"))).code == "market_stopped"
    monkeypatch.undo()
    async with open_market(tmp_path) as world:
        ann = Person(world, ann.member, ann.key, ann.token)
        assert (await ann.get("/v1/orders")).body["items"] == []


async def test_a_full_queue_is_refused_with_retry_after(tmp_path: Path) -> None:
    async with open_market(tmp_path, queue_bound=3) as world:
        ann, _ = await neighbours(world)
        answer = await ann.place_batch([order(f"b{n}", "A1", "buy", "0.01", "0.10") for n in range(4)])
        assert (answer.status, answer.code) == (503, "queue_full")
        assert answer.headers["Retry-After"]
        assert (await ann.get("/v1/orders")).body["items"] == []
        fits = await ann.place_batch([order(f"b{n}", "A1", "buy", "0.01", "0.10") for n in range(3)])
        assert fits.status == 200


async def test_what_waits_is_one_batch(tmp_path: Path) -> None:
    """While one batch commits the next gathers: many orders at once need far fewer journal links than orders."""
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        before = await world.context.sequencer.look(lambda state: state.journal_batch)
        answers = await asyncio.gather(*(ann.place(order(f"b{n}", "A1", "buy", "0.01", "0.10")) for n in range(100)))
        assert {answer.status for answer in answers} == {201}
        assert all(world.is_receipt(answer.body["receipt"]) for answer in answers)
        after = await world.context.sequencer.look(lambda state: state.journal_batch)
        assert len({answer.body["receipt"]["journal_head"] for answer in answers}) == after - before < 60


async def test_a_repeat_after_a_crash_gets_the_answer_that_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The effect is on the disk, the answer has gone nowhere: both were written together."""
    key = signatures.public_key(ec.generate_private_key(ec.SECP256R1()))
    person = {"name": "cho", "kind": "household", "roles": ["consumer"], "public_key": to_jwk(key), "record": "seen"}
    asked = ("/v1/members/batch", {"members": [person]})
    async with open_market(tmp_path) as world:
        operator = await world.institution("operator")
        with monkeypatch.context() as crash:
            crash.setattr(Context, "poke", lambda _: 1 / 0)  # the next thing after the commit
            lost = await operator.post(*asked, **{"Idempotency-Key": "k"})
            assert lost.status == 500
    async with open_market(tmp_path) as world:
        operator = await world.institution("operator")
        told = await operator.post(*asked, **{"Idempotency-Key": "k"})
        assert (told.status, told.body["items"][0]["status"]) == (201, "admitted")
        assert (await operator.post(*asked, **{"Idempotency-Key": "k"})).body == told.body
        assert (await operator.post(*asked, **{"Idempotency-Key": "other"})).code == "key_used"
