"""Members who trade in every way there is while the machine fails under them, and what must hold afterwards.

A ``Ledger`` keeps what was sent and what was answered. Whatever happened in between: every answered order is there, as
it was answered; none is there twice, none that was not sent; and orders, trades, books and balances are what the
journal alone leads to.
"""

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from sqlalchemy import select

from data import tables
from data.database import open_database, reading
from market.recovery import rebuild
from market.replaying import Figures, replay_journal
from market.state import MarketState
from tests.databases import url_of
from tests.market.streamed import signed, stream
from tests.market.world import Answer, Person, World, later, order

SLOTS = [later("2026-07-01T10:00:00Z", 15 * number) for number in range(8)]
_GONE = (aiohttp.ClientError, OSError, AssertionError, TimeoutError)  # AssertionError: a stream that was cut off

Name = tuple[int, str]


@dataclass
class Ledger:
    """What was sent, answered, and answered to be cancelled, by member and client order id; and refusals by code."""

    sent: dict[Name, dict[str, Any]] = field(default_factory=dict)
    answered: dict[Name, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[Name] = field(default_factory=set)
    outages: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, member: int, told: dict[str, Any]) -> None:
        self.answered[member, told["client_order_id"]] = told
        self._more.set()

    def refuse(self, code: str) -> None:
        self.outages[code] += 1
        self._more.set()

    async def suffer(self, count: int, *, within_s: float = 240) -> None:
        """Wait until so many more were refused because of an outage."""
        enough = sum(self.outages.values()) + count
        async with asyncio.timeout(within_s):
            while sum(self.outages.values()) < enough:
                self._more.clear()
                await self._more.wait()

    async def grow(self, count: int, *, within_s: float = 240) -> None:
        """Wait until so many more are answered."""
        enough = len(self.answered) + count
        async with asyncio.timeout(within_s):
            while len(self.answered) < enough:
                self._more.clear()
                await self._more.wait()


@dataclass
class Trader:
    """Places, replaces and cancels until the server is gone; an outage that the server answers is waited out."""

    person: Person
    meter: str
    name: str
    ledger: Ledger
    dice: random.Random
    uses_stream: bool = False
    number: int = 0
    mine: list[str] = field(default_factory=list)

    async def run(self) -> None:
        with suppress(*_GONE):
            if self.uses_stream:
                await self._over_stream()
            while True:
                await self._over_http()

    async def _over_stream(self) -> None:
        async with stream(self.person.world, self.person) as line:
            while True:
                one = self._order()
                told = await line.ask("place", order=signed(self.person, one))
                if told["type"] == "answer":
                    self._take(told["result"])
                else:
                    await self._outage(told["problem"]["status"], told["problem"]["code"], "1")

    async def _over_http(self) -> None:
        kind = self.dice.choice(["one", "one", "replace", "batch", "basket", "cancel"])
        if kind == "cancel":
            await self._cancel()
        elif kind in ("one", "replace"):
            more = {"replaces": self.dice.choice(self.mine)} if kind == "replace" and self.mine else {}
            answer = await self.person.place(self._order(**more))
            await self._taken(answer, [answer.body])
        else:
            orders = [self._order() for _ in range(self.dice.randrange(2, 6))]
            answer = await self.person.place_batch(orders, basket=kind == "basket")
            await self._taken(answer, answer.body.get("results", []))

    def _order(self, **more: Any) -> dict[str, Any]:
        self.number += 1
        side, price = self.dice.choice(["buy", "sell"]), f"0.{self.dice.randrange(30, 55)}"
        one = order(f"{self.name}-{self.number}", self.meter, side, "0.05", price, self.dice.choice(SLOTS), **more)
        self.ledger.sent[self.person.member, one["client_order_id"]] = one
        return one

    async def _taken(self, answer: Answer, results: list[dict[str, Any]]) -> None:
        if answer.status >= 500:
            await self._outage(answer.status, str(answer.code), answer.headers.get("Retry-After", ""))
            return
        for result in results:
            if "order" in result:
                self._take(result)

    def _take(self, result: dict[str, Any]) -> None:
        told = result["order"]
        self.ledger.note(self.person.member, told)
        self.mine = [*self.mine[-20:], told["client_order_id"]]

    async def _cancel(self) -> None:
        if self.mine:
            name = self.dice.choice(self.mine)
            answer = await self.person.delete(f"/v1/orders/{name}")
            if answer.status == 200:
                self.ledger.cancelled.add((self.person.member, name))
            elif answer.status >= 500:
                await self._outage(answer.status, str(answer.code), answer.headers.get("Retry-After", ""))

    async def _outage(self, status: int, code: str, retry_after: str) -> None:
        """A refusal that is the server's fault must say when to come back."""
        if status >= 500:
            self.ledger.refuse(code)
            assert status == 503 and retry_after.isdigit(), f"{status} {code} without Retry-After"
            await asyncio.sleep(0.05)


def traders(
    everyone: list[tuple[Person, str]], ledger: Ledger, name: str, dice: random.Random, count: int = 4
) -> list[asyncio.Task[None]]:
    """So many at work, the last one over the stream."""
    some = [
        Trader(*everyone[number % len(everyone)], f"{name}w{number}", ledger, random.Random(dice.random()))
        for number in range(count)
    ]
    some[-1].uses_stream = True
    return [asyncio.create_task(trader.run()) for trader in some]


# --------------------------------------------------------------------------------------------- what must hold


async def check_answered(everyone: list[tuple[Person, str]], ledger: Ledger) -> None:
    """Every answered order is there, with its sequence and at least the trades it was told of; cancels hold."""
    for person, _ in everyone:
        there: dict[str, Any] = {}
        cursor = ""
        while True:
            page = (await person.get(f"/v1/orders?limit=1000{cursor}")).body
            there |= {item["client_order_id"]: item for item in page["items"]}
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        for (member, name), told in ledger.answered.items():
            if member == person.member:
                assert there[name]["sequence"] == told["sequence"]
                assert told["trades"] == there[name]["trades"][: len(told["trades"])]
        for member, name in ledger.cancelled:
            assert member != person.member or there[name]["state"] != "open"


async def check_repeats(everyone: list[tuple[Person, str]], ledger: Ledger) -> None:
    """Sent again, an answered order gets its first answer; one whose answer was lost is there once, or is placed."""
    for person, _ in everyone:
        mine = [(name, sent) for (member, name), sent in ledger.sent.items() if member == person.member]
        for start in range(0, len(mine), 500):
            some = mine[start : start + 500]
            results = (await person.place_batch([sent for _, sent in some])).body["results"]
            for (name, _), result in zip(some, results, strict=True):
                told = ledger.answered.get((person.member, name))
                if told is not None:
                    assert result["order"] == told


async def check_memory(world: World) -> None:
    """The live market is the one that the journal leads to: books, open orders, and every balance of everyone."""
    context = world.context

    def compare(live: MarketState) -> None:
        state = MarketState(live.rules, live.timing, context.config.shortfall_ticks, live.members)
        with reading(context.database) as connection:
            rebuild(state, connection)
        assert state.engine.state_hash() == live.engine.state_hash()
        assert state.open == live.open and state.open_by_client == live.open_by_client
        assert (state.head, state.next_order, state.next_trade) == (live.head, live.next_order, live.next_trade)
        assert _figures(vars(state.exposures)) == _figures(vars(live.exposures))

    await context.sequencer.look(compare)


def _figures(value: Any) -> Any:
    """Without the zeros, which are there or not by accident."""
    if isinstance(value, dict):
        found = {key: _figures(each) for key, each in value.items()}
        return {key: each for key, each in found.items() if each not in (0, {})}
    return value


def check_record(folder: Path, ledger: Ledger) -> Figures:
    """No order twice, none that was not sent; trades, and what became of orders, are what the journal leads to."""
    database = open_database(url_of(folder))
    with reading(database) as connection:
        rows = connection.execute(select(tables.orders.c.member_id, tables.orders.c.client_order_id))
        names = [(row.member_id, row.client_order_id) for row in rows]
    database.dispose()
    assert len(names) == len(set(names))
    assert set(ledger.answered) <= set(names) <= set(ledger.sent)
    figures = replay_journal(url_of(folder), None, screen=Console(file=StringIO()))
    assert isinstance(figures, Figures), figures
    return figures
