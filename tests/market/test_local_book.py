"""The book at home: after any orders it is what ``GET /v1/book`` says, and it never takes what does not follow."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.units import format_energy, format_price, parse_instant_s
from market.client import Client, LocalBook, Quote, Stream
from market.client.book import BookMessage
from tests.market.world import SLOT, Person, World, later, neighbours, open_market, order

LAST_SLOTS = 140
"""Each example has a slot of its own, and the market is open for two days."""


class Market:
    """One market for all examples, on a loop of its own, with a stream of the public."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._slots = count()
        self.runner.run(self._begin(folder))

    async def _begin(self, folder: Path) -> None:
        self.world: World = await self._stack.enter_async_context(open_market(folder))
        self.ann, self.bo = await neighbours(self.world)
        client = Client(self.world.http, self.world.server)
        self.stream: Stream = await self._stack.enter_async_context(client.stream())

    def slot(self) -> str:
        """One that nobody has used, while there are any."""
        return later(SLOT, 15 * (next(self._slots) % LAST_SLOTS))

    def close(self) -> None:
        self.runner.run(self._stack.aclose())
        self.runner.close()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    made = Market(tmp_path_factory.mktemp("market"))
    yield made
    made.close()


ORDERS = st.tuples(
    st.sampled_from(["A1", "A2", "B1"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 40),
    st.integers(3800, 4300).map(lambda ticks: ticks - ticks % 25),
    st.sampled_from(["transformer", "feeder", "substation"]),
)
STEPS = st.lists(st.one_of(ORDERS, st.integers(0, 30)), min_size=1, max_size=25)
"""Orders, and numbers of orders to be cancelled."""


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_a_book_from_increments_is_the_book(market: Market, steps: list[tuple[str, str, int, int, str] | int]) -> None:
    market.runner.run(_follow(market, market.slot(), steps))


async def _follow(market: Market, slot: str, steps: list[tuple[str, str, int, int, str] | int]) -> None:
    books = [await market.stream.book(parse_instant_s(slot), meter) for meter in ("A1", "B1")]
    owners: list[tuple[Person, str]] = []
    for number, step in enumerate(steps):
        if isinstance(step, int):
            if owners:
                owner, name = owners[step % len(owners)]
                await owner.delete(f"/v1/orders/{name}")
            continue
        meter, side, lots, ticks, reach = step
        owner, name = market.ann if meter == "A1" else market.bo, f"{slot}.{number}.{next(_NAMES)}"
        placing = order(name, meter, side, format_energy(lots), format_price(ticks), slot, reach=reach)
        if (await owner.place(placing)).status == 201:
            owners.append((owner, name))
    for book in books:
        await _becomes_equal(market, slot, book)
        await market.stream.leave_book(book)
    for person in (market.ann, market.bo):
        await person.delete(f"/v1/orders?slot={slot}")


_NAMES = count()


async def _becomes_equal(market: Market, slot: str, book: LocalBook) -> None:
    told = (await market.world.get(f"/v1/book?slot={slot}&meter={book.meter}")).body
    expected = {side: [Quote(**quote) for quote in told[side]] for side in ("asks", "bids")}
    async with asyncio.timeout(10):
        while {"asks": book.asks, "bids": book.bids} != expected:  # noqa: ASYNC110 - increments wake nobody here
            await asyncio.sleep(0.002)
    assert book.is_current


# ------------------------------------------------------------------------------------------- message by message


def told(number: int, *asks: tuple[str, str], snapshot: bool = False) -> BookMessage:
    quotes = [Quote(price, quantity, "feeder") for price, quantity in asks]
    return BookMessage(SLOT, "A1", number, 10 * number, snapshot, quotes, [])


def prices(book: LocalBook) -> list[tuple[str, str]]:
    return [(quote.price, quote.quantity) for quote in book.asks]


def test_increments_are_put_in_and_taken_out() -> None:
    book = LocalBook(0, "A1")
    assert book.take(told(4, ("0.4200", "1.00"), ("0.4100", "2.00"), snapshot=True))
    assert prices(book) == [("0.4100", "2.00"), ("0.4200", "1.00")]
    assert book.take(told(5, ("0.4100", "0.00"), ("0.4000", "1.00"), ("0.4200", "0.50")))
    assert prices(book) == [("0.4000", "1.00"), ("0.4200", "0.50")]
    assert (book.number, book.sequence) == (5, 50)


@pytest.mark.parametrize("number", [3, 4, 6])
def test_what_does_not_follow_is_not_taken_until_a_snapshot_comes(number: int) -> None:
    book = LocalBook(0, "A1")
    book.take(told(4, ("0.4200", "1.00"), snapshot=True))
    assert not book.take(told(number, ("0.4200", "9.00")))
    assert not book.is_current
    assert not book.take(told(5, ("0.4200", "9.00")))
    assert (prices(book), book.number) == ([("0.4200", "1.00")], 4)
    assert book.take(told(8, ("0.4500", "1.00"), snapshot=True))
    assert (prices(book), book.is_current) == ([("0.4500", "1.00")], True)


def test_a_book_without_a_snapshot_takes_nothing() -> None:
    assert not LocalBook(0, "A1").take(told(1, ("0.4200", "1.00")))
