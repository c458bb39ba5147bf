"""What is due gets done: gates by the clock, settlement step by step, outages waited for, bugs told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from data import tables
from data.units import parse_instant_s
from market import serving, settling
from market.clock import ManualClock
from market.scheduler import Scheduler, Step
from settlement.chain import ChainEvent, ChainUnavailableError
from tests.market.world import SLOT, World, neighbours, open_market, order


@asynccontextmanager
async def scheduled(world: World, *steps: Step) -> AsyncIterator[Scheduler]:
    scheduler = serving.schedule(world.context, [(f"step {n}", step) for n, step in enumerate(steps)])
    task = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_gates_close_by_themselves(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world, scheduled(world):
        ann, _ = await neighbours(world)
        await ann.place(order("b1", "A1", "buy", "1.00", "0.10"))
        clock = world.context.clock
        assert isinstance(clock, ManualClock)
        clock.move_to(parse_instant_s(SLOT))
        live = world.context.sequencer
        async with asyncio.timeout(20):
            while await live.look(lambda state: len(state.open)):
                pass
        assert (await ann.get("/v1/orders/b1")).body["order"]["state"] == "slot_closed"


async def test_passes_go_on_until_nothing_is_left(tmp_path: Path) -> None:
    left = [3]

    def work(_: int) -> bool:
        left[0] -= left[0] > 0
        return left[0] > 0

    async with open_market(tmp_path) as world:
        operator = await world.institution("operator")
        assert (await operator.get("/v1/status")).body["idle"] is False
        async with scheduled(world, work) as scheduler:
            await until(lambda: scheduler.settled_s is not None)
            assert left == [0]
            status = (await operator.get("/v1/status")).body
            assert (status["idle"], status["settlement"], status["outbox_waiting"]) == (True, "running", 0)


async def test_an_outage_is_waited_for_and_a_bug_is_told(tmp_path: Path) -> None:
    faults: list[Exception] = [ChainUnavailableError("gone")]

    def work(_: int) -> bool:
        if faults:
            raise faults[0]
        return False

    async with open_market(tmp_path) as world, scheduled(world, work) as scheduler:
        ann, _ = await neighbours(world)
        await until(lambda: scheduler.condition == "waiting")
        assert (await world.get("/readyz")).status == 200
        faults.clear()
        await until(lambda: scheduler.condition == "running")
        faults.append(AssertionError("a bug"))
        await until(lambda: scheduler.condition == "stopped")
        ready = await world.get("/readyz")
        assert (ready.status, ready.code) == (503, "settlement_stopped")
        assert (await ann.place(order("b1", "A1", "buy", "1.00", "0.10"))).status == 201


async def test_who_is_frozen_on_the_chain_places_nothing(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        events: list[ChainEvent] = []
        world.context.chain.events = lambda block: [e for e in events if e.block >= block]  # type: ignore[method-assign]
        loop = asyncio.get_running_loop()

        def freeze(member: int, is_frozen: bool) -> None:
            loop.call_soon_threadsafe(world.context.directory.set_frozen, member, is_frozen)

        mirror = dict(settling.steps_of(world.context, freeze))["mirror"]
        await ann.place(order("b0", "A1", "buy", "1.00", "0.10"))
        for block, (is_frozen, code) in enumerate([(True, "frozen"), (False, None)], start=1):
            arguments: dict[str, Any] = {"member": ann.member, "frozen": is_frozen}
            events.append(ChainEvent(block, 0, 1, bytes(32), "Members", "Frozen", arguments))
            assert await asyncio.to_thread(mirror, 1) is True
            assert await asyncio.to_thread(mirror, 1) is False
            answer = await ann.place(order(f"b{block}", "A1", "buy", "1.00", "0.10"))
            assert answer.code == code
            assert (await ann.delete(f"/v1/orders/b{block - 1}")).status == 200 or not is_frozen


async def test_a_cycle_that_is_applied_frees_what_its_slots_had_committed(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, bo = await neighbours(world)
        await bo.place(order("s1", "A2", "sell", "2.00", "0.40", terms=30))
        await ann.place(order("b1", "A1", "buy", "1.00", "0.45"))
        await ann.place(order("b2", "A1", "buy", "1.00", "0.45", terms=30))
        account = (await ann.get("/v1/account")).body
        assert (account["reserved"], account["credit_used"]) == ("0.420000", "0.400000")
        assert (await bo.get("/v1/account")).body["reserved"] == "0.800000"

        def apply() -> None:
            start_s = parse_instant_s("2026-06-30T16:00:00Z")
            row = {column.name: b"" for column in tables.cycles.c if column.type.python_type is bytes}
            row |= {"cycle": 1, "day": "2026-07-01", "start_s": start_s, "end_s": start_s + 86400}
            with world.context.database.begin() as connection:
                connection.execute(insert(tables.cycles).values(**row, state="applied", parts="[]"))

        await asyncio.to_thread(apply)
        await world.give("ann", 999_580_000, 100_000_000)
        account = (await ann.get("/v1/account")).body
        assert (account["reserved"], account["available"]) == ("0.000000", "999.580000")
        assert account["credit_used"] == "0.400000", "owed until it is paid"
    async with open_market(tmp_path) as world:
        again = await world.context.sequencer.look(lambda state: state.exposures.account(ann.member))
        assert (again.reserved_micro + again.committed_micro, again.credit_used_micro) == (0, 400_000)
