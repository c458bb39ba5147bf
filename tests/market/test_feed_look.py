"""Looks are short of the writer's time on purpose."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar, cast

from market.feed_look import PAUSES_FOR_EACH_LOOK, GentleLook
from market.state import MarketState

T = TypeVar("T")
STATE = cast(MarketState, None)


async def look(view: Callable[[MarketState], T]) -> T:
    await asyncio.sleep(0)
    return view(STATE)


async def test_after_a_look_the_next_one_waits_nine_times_as_long() -> None:
    spans: list[tuple[float, float]] = []

    def slow(_: MarketState) -> None:
        begun_s, free_s = time.monotonic(), time.thread_time() + 0.01
        while time.thread_time() < free_s:
            pass
        spans.append((begun_s, time.monotonic()))

    gentle = GentleLook(look)
    await asyncio.gather(*(gentle(slow) for _ in range(4)))
    for (_, ended_s), (next_s, _) in pairwise(spans):
        assert next_s - ended_s >= PAUSES_FOR_EACH_LOOK * 0.01 * 0.99


async def test_a_look_that_fails_leaves_its_turn_to_the_next() -> None:
    async def fail(_: Any) -> Any:
        raise TimeoutError

    gentle = GentleLook(fail)
    found = await asyncio.gather(*(gentle(lambda _: 1) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in found] == [TimeoutError, TimeoutError]
    assert await GentleLook(look)(lambda _: 7) == 7
