"""Auctions from the opening to the money, through book, outbox, chain and mirror; what is refused is never sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from data.database import reading
from data.tables import auction_bids, auctions
from finance import reorganisation as finance_reorganisation
from finance import sales_mirror
from finance.auction import auctions_in
from finance.auction_store import all_auctions
from finance.book import RefusedError
from finance.offer import OfferError
from finance.receivable import IllegalTransitionError
from settlement import mirror_store, reorganisation, sale_acts
from tests.finance.ledger import (
    BANK,
    FACTORY,
    FORTUNE_CNY,
    OTHER_BANK,
    PLANT,
    TIME_ZONE,
    Ledger,
    a_day_on_terms,
    copy_ledger,
    open_ledger,
)
from tests.finance.selling import BOND_FEN, DAY_S, HOUR_S, Selling, Shown, follow, seen_by
from tests.finance.test_receivables_book import listed, offered

FORTUNE_FEN = FORTUNE_CNY * 100


@pytest.fixture(scope="module")
def for_sale(tmp_path_factory: pytest.TempPathFactory, chain_file: Path) -> Path:
    """A market in which the plant has listed what the factory owes it."""
    folder = tmp_path_factory.mktemp("for_sale")
    with open_ledger(folder, chain_file) as ledger:
        a_day_on_terms(ledger)
        ledger.issue()
        listed(ledger, owed_in(ledger))
    return folder


def owed_in(ledger: Ledger) -> bytes:
    return next(row.receivable_id for row in ledger.receivables() if row.debtor == FACTORY)


@pytest.fixture
def selling(tmp_path: Path, for_sale: Path) -> Iterator[Selling]:
    with copy_ledger(for_sale, tmp_path) as ledger:
        yield Selling(ledger, owed_in(ledger))


def code_of(act: Any, *given: Any, **more: Any) -> str:
    """Why an act is refused; what is refused is not sent."""
    with pytest.raises((RefusedError, OfferError, IllegalTransitionError)) as refused:
        act(*given, **more)
    return str(refused.value.code)


def chain_and_database_agree(selling: Selling) -> None:
    with reading(selling.ledger.database) as connection:
        assert all_auctions(connection) == auctions_in(mirror_store.mirrored_events(connection))


@pytest.mark.usefixtures("database_url")
def test_the_best_bid_wins_and_pays(selling: Selling) -> None:
    number = selling.awarded((BANK, 60), (OTHER_BANK, 61))
    auction = selling.auction(number)
    assert (auction.state, auction.winner, auction.proceeds_fen, auction.bids) == ("awarded", OTHER_BANK, 61, 2)
    assert selling.ledger.receivable(selling.owed).state == "reserved"
    assert selling.bonds(number) == {BANK: "held", OTHER_BANK: "held"}
    selling.settle(number, OTHER_BANK)
    selling.ledger.sync()
    assert selling.auction(number).state == "settled"
    assert selling.bonds(number) == {BANK: "returned", OTHER_BANK: "returned"}
    row = selling.ledger.receivable(selling.owed)
    assert (row.state, row.holder, row.advance_fen, row.proceeds_fen) == ("financed", OTHER_BANK, 63, 61)
    assert selling.ledger.cash_fen(OTHER_BANK) == FORTUNE_FEN - 61
    assert selling.ledger.cash_fen(PLANT) == FORTUNE_FEN + 61
    assert not seen_by(selling.ledger, selling.owed, BANK)
    chain_and_database_agree(selling)
    with reading(selling.ledger.database) as connection:
        follow(selling.ledger, mirror_store.mirrored_events(connection))
    chain_and_database_agree(selling)


def test_a_winner_that_does_not_pay_until_nobody_is_left(selling: Selling) -> None:
    number = selling.awarded((BANK, 60), (OTHER_BANK, 61))
    for left, lost in [(BANK, OTHER_BANK), (None, BANK)]:
        selling.wait(DAY_S)
        assert selling.take_due() == 0
        selling.wait(1)
        assert selling.take_due() == 1
        assert selling.take_due() == 0, "one is on its way"
        selling.ledger.sync()
        assert (selling.auction(number).winner, selling.bonds(number)[lost]) == (left, "forfeited")
    assert (selling.auction(number).state, selling.auction(number).proceeds_fen) == ("failed", None)
    assert selling.ledger.receivable(selling.owed).state == "listed"
    assert selling.ledger.cash_fen(PLANT) == FORTUNE_FEN + 2 * BOND_FEN
    assert selling.open() == number + 1
    chain_and_database_agree(selling)


def test_who_does_not_reveal_loses_and_an_auction_can_end_without_a_winner(selling: Selling) -> None:
    number = selling.open()
    selling.commit(number, BANK, 60)
    selling.ledger.sync()
    selling.wait(2 * HOUR_S)
    selling.take_due()
    selling.ledger.sync()
    assert (selling.auction(number).state, selling.bonds(number)) == ("failed", {BANK: "forfeited"})
    assert selling.ledger.receivable(selling.owed).state == "listed"
    chain_and_database_agree(selling)


def test_what_is_sold_by_auction_is_sold_in_no_other_way_meanwhile(selling: Selling) -> None:
    offer = offered(selling.ledger, selling.owed)
    number = selling.open()
    assert code_of(selling.ledger.accept, PLANT, offer) == "auction_open"
    assert code_of(selling.ledger.set_listed, PLANT, selling.owed, False) == "auction_open"
    assert code_of(selling.ask) == "auction_open"
    selling.cancel(number)
    selling.ledger.sync()
    assert selling.auction(number).state == "cancelled"
    selling.ledger.accept(PLANT, offer)
    selling.ledger.sync()
    assert selling.ledger.receivable(selling.owed).state == "financed"
    chain_and_database_agree(selling)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"advance_rate_ppm": 0}, "bad_rate"),
        ({"advance_rate_ppm": 1_000_001}, "bad_rate"),
        ({"late_rate_ppm": 240_001}, "bad_rate"),
        ({"costs_fen": 8}, "bad_costs"),
        ({"minimum_fen": 0}, "bad_minimum"),
        ({"minimum_fen": 64}, "bad_minimum"),
        ({"bond_fen": 0}, "bad_bond"),
        ({"bond_fen": 64}, "bad_bond"),
        ({"closes_s": 1}, "bad_close"),
    ],
)
def test_an_auction_that_makes_no_sense_is_not_sent(selling: Selling, changed: dict[str, int], code: str) -> None:
    assert code_of(selling.ask, **changed) == code
    assert selling.ledger.queued() == []


def test_acts_out_of_turn_are_not_sent(selling: Selling) -> None:
    assert code_of(selling.ask, FACTORY) == "not_a_party"
    number = selling.open()
    bid = selling.shown(number, BANK, 60)
    assert code_of(selling.commit, number + 1, BANK, 60) == "not_found"
    assert code_of(selling.settle, number, BANK) == "too_early"
    assert code_of(selling.reveal, bid) == "not_found"
    bid = selling.commit(number, BANK, 60)
    assert code_of(selling.commit, number, BANK, 61) == "bid_twice"
    assert code_of(selling.reveal, bid) == "not_found", "it is not on the chain yet"
    selling.ledger.sync()
    assert code_of(selling.cancel, number) == "has_bids"
    assert code_of(selling.reveal, bid) == "too_early"
    selling.wait(HOUR_S)
    assert code_of(selling.commit, number, OTHER_BANK, 62) == "auction_closed"
    assert code_of(selling.reveal, Shown(number, BANK, 61, bid.salt)) == "wrong_bid"
    selling.reveal(bid)
    selling.ledger.sync()
    selling.wait(HOUR_S)
    assert code_of(selling.reveal, bid) == "too_late"
    assert selling.ledger.queued() == []
    selling.take_due()
    selling.ledger.sync()
    assert code_of(selling.settle, number, OTHER_BANK) == "not_a_party"
    selling.wait(DAY_S + 1)
    assert code_of(selling.settle, number, BANK) == "too_late"


def test_a_bank_that_holds_less_than_the_bond_does_not_bid(selling: Selling) -> None:
    number = selling.open(advance_rate_ppm=900_000, bond_fen=BOND_FEN)
    with selling.ledger.database.begin() as connection:
        connection.exec_driver_sql("UPDATE cash SET free_micro = 49999 WHERE member_id = 104")
    assert code_of(selling.commit, number, BANK, 60) == "insufficient_cash"


# ------------------------------------------------------------------------------------------- blocks given up


def mirrored(selling: Selling) -> list[Any]:
    """All that the chain said of auctions, whatever is on its way."""
    with reading(selling.ledger.database) as connection:
        columns = [column for column in auctions.c if not column.name.startswith("act_")]
        bids = [column for column in auction_bids.c if column.name != "act_outbox"]
        return [
            [tuple(row) for row in connection.execute(select(*columns).order_by(auctions.c.auction))],
            [tuple(row) for row in connection.execute(select(*bids).order_by(auction_bids.c.bank))],
        ]


def moments(selling: Selling) -> Iterator[None]:
    yield
    number = selling.open()
    yield
    bids = [selling.commit(number, bank, fen) for bank, fen in ((BANK, 60), (OTHER_BANK, 61))]
    selling.ledger.sync()
    yield
    selling.wait(HOUR_S)
    for bid in bids:
        selling.reveal(bid)
    selling.ledger.sync()
    yield
    selling.wait(HOUR_S)
    selling.take_due()
    selling.ledger.sync()
    yield
    selling.settle(number, OTHER_BANK)
    selling.ledger.sync()
    yield


def test_auctions_of_blocks_that_are_given_up_stand_as_before_and_come_again(selling: Selling) -> None:
    ledger = selling.ledger
    past = [(ledger.chain.head().number + 1, mirrored(selling)) for _ in moments(selling)]
    _, end = past.pop()
    for block, then in reversed(past):
        with ledger.database.begin() as connection:
            lost = mirror_store.mirrored_events(connection, block)
            reorganisation.unroll(connection, block)
            finance_reorganisation.unroll(connection, block, lost, ledger.now_s, TIME_ZONE)
            sales_mirror.unroll(connection, lost)
        assert mirrored(selling) == then
        ledger.sync()
        assert mirrored(selling) == end
    assert ledger.receivable(selling.owed).state == "financed"


def test_the_hash_hides_the_bid_and_names_auction_and_bank() -> None:
    bid = Shown(1, BANK, 60, b"\1" * 32)
    others = [Shown(2, BANK, 60, b"\1" * 32), Shown(1, OTHER_BANK, 60, b"\1" * 32), Shown(1, BANK, 61, b"\1" * 32)]
    assert len({bid.hash, *(other.hash for other in others), Shown(1, BANK, 60, b"\2" * 32).hash}) == 5
    assert sale_acts.bid_hash(1, BANK, 600_000, b"\1" * 32) == bid.hash
