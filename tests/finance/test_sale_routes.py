"""Selling over HTTP: nobody can read a bid before the close, neither in an answer nor in the database."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from data.database import reading
from data.tables import metadata
from data.units import MICRO_PER_FEN, format_instant, parse_instant_s, parse_money_fen
from finance import auctions
from finance.credit import store as credit_store
from finance.offer import parse_rate_ppm
from finance.program import root_of
from finance.programs import chain_program
from market.clock import ManualClock
from market.routes import programs as program_routes
from settlement import sale_acts
from settlement.sale_acts import Drawing, Opening, PriceRow
from tests.finance.ledger import BANK, FACTORY, OTHER_BANK, PLANT, Ledger, copy_ledger
from tests.finance.selling import HOUR_S, RATINGS, Selling, Shown
from tests.finance.test_auctions import for_sale, owed_in
from tests.finance.test_finance_routes import Served, served
from tests.settlement.settlement_world import OPERATOR

__all__ = ["for_sale", "served"]

Json = dict[str, Any]
FIGURE_FEN = 61
"""What the bank bids: nothing else here has this figure."""


@pytest.fixture
def ledger(tmp_path: Path, for_sale: Path) -> Iterator[Ledger]:
    with copy_ledger(for_sale, tmp_path) as ledger:
        yield ledger


@dataclass
class Hall:
    """The auction of the plant's receivable, and who signs in it."""

    served: Served
    selling: Selling

    @property
    def ledger(self) -> Ledger:
        return self.served.ledger

    async def open(self) -> int:
        closes_s = self.ledger.now_s + HOUR_S
        terms = (900_000, 63 * MICRO_PER_FEN, 50 * MICRO_PER_FEN, 5 * MICRO_PER_FEN, MICRO_PER_FEN, 60_000, 360, True)

        def digest_of(nonce: int, deadline_s: int) -> bytes:
            opening = Opening(self.selling.owed, PLANT, *terms, closes_s, nonce, deadline_s)
            return sale_acts.open_auction_digest(self.ledger.sales, opening)

        body = {"receivable": self.selling.owed.hex(), "advance_rate": "0.9", "year_days": "360", "costs": "0.01"}
        body |= {"late_rate": "0.06", "recourse": True, "minimum": "0.50", "bond": "0.05"}
        body |= {"closes": format_instant(closes_s), **self.served.signed(PLANT, digest_of)}
        answer = await self.served.post(PLANT, "/v1/auctions", body)
        assert answer["receivable"]["act"]["act"] == "auction"
        self.ledger.sync()
        (auction,) = (await self.served.get(PLANT, "/v1/auctions?state=open"))["items"]
        assert auction["phase"] == "bidding"
        return int(auction["auction"])

    async def commit(self, bid: Shown) -> None:
        def digest_of(**terms: int) -> bytes:
            return sale_acts.commit_bid_digest(self.ledger.sales, bid.auction, bid.bank, bid.hash, **terms)

        body = {"bid": bid.hash.hex(), **self.served.signed(bid.bank, digest_of)}
        answer = await self.served.post(bid.bank, f"/v1/auctions/{bid.auction}/bids", body)
        assert answer["auction"]["bid"]["state"] == "waiting"
        self.ledger.sync()

    async def reveal(self, bid: Shown, expected: int = 202) -> Any:
        body = {"bank": bid.bank, "proceeds": f"0.{bid.proceeds_fen}", "salt": bid.salt.hex()}
        return await self.served.post(bid.bank, f"/v1/auctions/{bid.auction}/reveal", body, expected)

    async def show(self, member: int, number: int) -> Any:
        return (await self.served.get(member, f"/v1/auctions/{number}"))["auction"]

    def wait(self, seconds: int) -> None:
        self.selling.wait(seconds)
        clock = self.served.context.clock
        assert isinstance(clock, ManualClock)
        clock.move_to(self.ledger.now_s)


@pytest.fixture
async def hall(served: Served) -> AsyncIterator[Hall]:
    yield Hall(served, Selling(served.ledger, owed_in(served.ledger)))


def spellings(bid: Shown) -> list[bytes]:
    """How the figure or the salt of a bid could stand anywhere: in micro-yuan, in CNY, as a word of the chain."""
    micro = bid.proceeds_fen * MICRO_PER_FEN
    word = micro.to_bytes(32, "big")
    texts = (str(micro), f"0.{bid.proceeds_fen}", word.hex(), bid.salt.hex())
    return [bid.salt, word, *(text.encode() for text in texts)]


def everything_kept(ledger: Ledger) -> bytes:
    """Every value of every row of every table, as bytes and as text."""
    found = []
    with reading(ledger.database) as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(select(table)):
                found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(found)


async def answers(hall: Hall, number: int) -> bytes:
    """All that anybody is told of an auction, and of its receivable."""
    told = []
    for member in (PLANT, FACTORY, BANK, OTHER_BANK, OPERATOR):
        paths = (
            f"/v1/auctions/{number}",
            "/v1/auctions",
            f"/v1/receivables/{hall.selling.owed.hex()}",
            "/v1/receivables",
        )
        told += [await hall.served.call(member, "GET", path) for path in paths]
    return msgspec.json.encode(told)


async def test_a_bank_or_the_operator_reading_bids_before_the_close(hall: Hall) -> None:
    number = await hall.open()
    bid = hall.selling.shown(number, BANK, FIGURE_FEN)
    await hall.commit(bid)
    assert (await hall.reveal(bid, 409))["code"] == "too_early"
    for haystack in (everything_kept(hall.ledger), await answers(hall, number)):
        assert not [each for each in spellings(bid) if each in haystack], "a bid can be read before the close"
        assert bid.hash in haystack or bid.hash.hex().encode() in haystack, "the search finds what is there"
    for member in (OTHER_BANK, PLANT, OPERATOR):
        seen = await hall.show(member, number)
        assert (seen["bids"], seen["bid"], seen["winner"], seen["proceeds"]) == (1, None, None, None)
        assert bid.hash.hex() not in str(seen)
    hall.wait(HOUR_S)
    await hall.reveal(bid)
    hall.ledger.sync()
    assert [each for each in spellings(bid) if each in everything_kept(hall.ledger)], "the search would have found it"


async def test_losers_learn_that_they_lost_and_nothing_else(hall: Hall) -> None:
    number = await hall.open()
    bids = [hall.selling.shown(number, BANK, 60), hall.selling.shown(number, OTHER_BANK, FIGURE_FEN)]
    for bid in bids:
        await hall.commit(bid)
    hall.wait(HOUR_S)
    for bid in bids:
        await hall.reveal(bid)
    hall.ledger.sync()
    hall.wait(HOUR_S)
    with hall.ledger.database.begin() as connection:
        assert auctions.take_due(connection, hall.ledger.now_s) == 1
    hall.ledger.sync()
    lost, won, sold = [await hall.show(member, number) for member in (BANK, OTHER_BANK, PLANT)]
    assert (lost["bid"]["state"], lost["winner"], lost["proceeds"]) == ("lost", None, None)
    assert (won["bid"]["state"], won["winner"], won["proceeds"]) == ("won", OTHER_BANK, "0.61")
    assert (sold["bid"], sold["winner"], sold["proceeds"], sold["bids"]) == (None, OTHER_BANK, "0.61", 2)
    registration = hall.ledger.registration()

    def digest_of(**terms: int) -> bytes:
        return sale_acts.settle_auction_digest(hall.ledger.sales, number, OTHER_BANK, registration, **terms)

    body = {"registration": registration.hex(), **hall.served.signed(OTHER_BANK, digest_of)}
    await hall.served.post(OTHER_BANK, f"/v1/auctions/{number}/settle", body)
    hall.ledger.sync()
    assert (await hall.show(OTHER_BANK, number))["state"] == "settled"
    assert (await hall.show(BANK, number))["bid"]["bond"] == "returned"
    assert (await hall.served.call(FACTORY, "GET", f"/v1/auctions/{number}"))[0] == 404


async def test_a_program_from_the_price_table_to_the_draw(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit_store, "latest_ratings", lambda _: RATINGS)
    assert program_routes.credit_store is credit_store
    deadline = format_instant(hall.ledger.now_s + 30 * 24 * HOUR_S)
    body = {"advance_rate": "0.9", "year_days": "360", "limit": "1.00", "fee": "0.01", "costs": "0.02"}
    body |= {"late_rate": "0.06", "recourse": False, "registration": hall.ledger.registration().hex()}
    body |= {"prices": [{"rating": "A", "max_days": 90, "rate": "0.045"}], "nonce": 77, "deadline": deadline}
    made = (await hall.served.post(BANK, "/v1/programs", body, 201))["program"]
    path = f"/v1/programs/{made['program']}"
    rows = (await hall.served.get(BANK, f"{path}/rows"))["items"]
    assert rows == [{"debtor": FACTORY, "max_days": 90, "rate": "0.045000", "rate_ppm": 45_000}]
    table = [PriceRow(row["debtor"], row["max_days"], parse_rate_ppm(row["rate"])) for row in rows]
    assert made["root"] == root_of(table).hex()
    signature = hall.served.signed(BANK, lambda **_: bytes.fromhex(made["digest"]))["signature"]
    opened = (await hall.served.post(BANK, f"{path}/sign", {"signature": signature}, 200))["program"]
    assert (opened["state"], opened["drawn"]) == ("open", "0.00")
    assert (await hall.served.call(OTHER_BANK, "GET", path))[0] == 404
    name = hall.selling.owed.hex()
    (fitting,) = (await hall.served.get(PLANT, f"/v1/receivables/{name}/programs"))["programs"]
    assert (fitting["proceeds"], fitting["residual"], fitting["digest"]) == ("0.61", "0.07", made["digest"])
    assert (await hall.served.call(FACTORY, "GET", f"/v1/receivables/{name}/programs"))[0] == 404
    sales = (await hall.served.get(PLANT, "/v1/offers/personal"))["to_sell"]
    assert [sale["programs"] for sale in sales if sale["receivable"] == name] == [[fitting]]
    program = chain_program(hall.selling.program(made["program"]))
    assert program.deadline_s == parse_instant_s(made["deadline"])
    minimum_micro = parse_money_fen(fitting["proceeds"]) * MICRO_PER_FEN

    def digest_of(nonce: int, deadline_s: int) -> bytes:
        drawing = Drawing(hall.selling.owed, minimum_micro, nonce, deadline_s)
        return sale_acts.draw_digest(hall.ledger.sales, program, PLANT, drawing)

    asked = {"receivable": name, "minimum": fitting["proceeds"], **hall.served.signed(PLANT, digest_of)}
    await hall.served.post(PLANT, f"{path}/draws", asked)
    hall.ledger.sync()
    assert (await hall.served.get(BANK, path))["program"]["drawn"] == "0.63"
    assert (await hall.served.get(BANK, f"/v1/receivables/{name}"))["receivable"]["state"] == "financed"
    (listed,) = (await hall.served.get(BANK, "/v1/programs?state=open"))["items"]
    assert listed["program"] == made["program"]
