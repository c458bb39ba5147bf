"""Auctions and programs on a ledger: what its members sign, sent through the book to the chain and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from data.database import reading
from data.units import MICRO_PER_FEN
from finance import auction_store, auctions, program_store, sales_mirror, store
from finance.auctions import Asked, AuctionBook, opening_of
from finance.listing import Viewer
from finance.program import Conditions, Price
from finance.programs import Posted, ProgramBook, chain_program
from settlement import sale_acts
from settlement.chain import ChainEvent
from settlement.sale_acts import Drawing
from tests.finance.ledger import FACTORY, PLANT, TIME_ZONE, Ledger

HOUR_S, DAY_S = 3_600, 86_400
ADVANCE_FEN, BOND_FEN, MINIMUM_FEN = 63, 5, 50
"""Of a face of 70 fen."""

RATINGS = {FACTORY: "A"}
PRICES = [Price("A", 30, 36_000), Price("A", 90, 45_000), Price("BBB", 90, 90_000)]


@dataclass(frozen=True)
class Shown:
    """A bid as its bank keeps it for itself."""

    auction: int
    bank: int
    proceeds_fen: int
    salt: bytes

    @property
    def hash(self) -> bytes:
        return sale_acts.bid_hash(self.auction, self.bank, self.proceeds_fen * MICRO_PER_FEN, self.salt)


@dataclass
class Selling:
    """What is sold here is the one receivable of the plant against the factory."""

    ledger: Ledger
    owed: bytes

    @property
    def book(self) -> AuctionBook:
        return AuctionBook(self.ledger.sales)

    @property
    def programs(self) -> ProgramBook:
        return ProgramBook(self.ledger.sales, TIME_ZONE)

    def wait(self, seconds: int) -> None:
        """Time goes on for the market and for the chain."""
        self.ledger.now_s += seconds
        self.ledger.chain.advance_to(self.ledger.now_s)

    # -------------------------------------------------------------------------------------------- auctions

    def asked(self, **changed: Any) -> Asked:
        plain = Asked(900_000, MINIMUM_FEN, BOND_FEN, 1, 60_000, 360, True, self.ledger.now_s + HOUR_S)
        return plain._replace(**changed)

    def open(self, member: int = PLANT, **changed: Any) -> int:
        """Open an auction that closes in an hour; its number once the chain has it."""
        self.ask(member, **changed)
        self.ledger.sync()
        with reading(self.ledger.database) as connection:
            row = auction_store.auction_on(connection, self.owed)
        return 0 if row is None else int(row.auction)

    def ask(self, member: int = PLANT, **changed: Any) -> None:
        asked, row = self.asked(**changed), self.ledger.receivable(self.owed)

        def digest_of(nonce: int, deadline_s: int) -> bytes:
            return sale_acts.open_auction_digest(self.ledger.sales, opening_of(row, asked, nonce, deadline_s))

        word = self.ledger.word(member, digest_of)
        with self.ledger.database.begin() as connection:
            self.book.open(connection, word, self.owed, asked, now_s=self.ledger.now_s)

    def cancel(self, number: int, member: int = PLANT) -> None:
        word = self.ledger.word(
            member, lambda **terms: sale_acts.cancel_auction_digest(self.ledger.sales, number, member, **terms)
        )
        with self.ledger.database.begin() as connection:
            self.book.cancel(connection, word, number, now_s=self.ledger.now_s)

    def shown(self, number: int, bank: int, proceeds_fen: int) -> Shown:
        return Shown(number, bank, proceeds_fen, (bank * 10**6 + proceeds_fen).to_bytes(32, "big"))

    def commit(self, number: int, bank: int, proceeds_fen: int) -> Shown:
        """A bid on its way to the chain."""
        bid = self.shown(number, bank, proceeds_fen)
        word = self.ledger.word(
            bank,
            lambda **terms: sale_acts.commit_bid_digest(self.ledger.sales, number, bank, bid.hash, **terms),
        )
        with self.ledger.database.begin() as connection:
            self.book.commit(connection, word, number, bid.hash, now_s=self.ledger.now_s)
        return bid

    def reveal(self, bid: Shown) -> None:
        with self.ledger.database.begin() as connection:
            shown = bid.proceeds_fen, bid.salt
            auctions.reveal(connection, bid.auction, bid.bank, shown, now_s=self.ledger.now_s)

    def settle(self, number: int, bank: int, registration: bytes | None = None) -> None:
        number_of_sale = registration or self.ledger.registration()

        def digest_of(**terms: int) -> bytes:
            return sale_acts.settle_auction_digest(self.ledger.sales, number, bank, number_of_sale, **terms)

        word = self.ledger.word(bank, digest_of)
        with self.ledger.database.begin() as connection:
            self.book.settle(connection, word, number, number_of_sale, now_s=self.ledger.now_s)

    def take_due(self) -> int:
        with self.ledger.database.begin() as connection:
            return auctions.take_due(connection, self.ledger.now_s)

    def awarded(self, *bids: tuple[int, int]) -> int:
        """An auction with these bids (bank, fen), awarded; its number."""
        number = self.open()
        shown = [self.commit(number, *bid) for bid in bids]
        self.ledger.sync()
        self.wait(HOUR_S)
        for bid in shown:
            self.reveal(bid)
        self.ledger.sync()
        self.wait(HOUR_S)
        assert self.take_due() == 1
        self.ledger.sync()
        return number

    def auction(self, number: int) -> Row[Any]:
        with reading(self.ledger.database) as connection:
            row = auction_store.auction_row(connection, number)
        assert row is not None
        return row

    def bonds(self, number: int) -> dict[int, str]:
        with reading(self.ledger.database) as connection:
            return {row.bank: row.bond for row in auction_store.bids_of(connection, number)}

    # -------------------------------------------------------------------------------------------- programs

    def posted(self, **changed: Any) -> Posted:
        nonce = next(self.ledger.nonces)
        expires_s = self.ledger.now_s + 30 * DAY_S
        plain = Posted(
            PRICES, Conditions(900_000, 1, 360), 126, 2, 60_000, False, self.ledger.registration(), nonce, expires_s
        )
        return plain._replace(**changed)

    def draft(self, bank: int, ratings: dict[int, str] | None = None, **changed: Any) -> int:
        with self.ledger.database.begin() as connection:
            return self.programs.draft(
                connection,
                bank,
                self.posted(**changed),
                RATINGS if ratings is None else ratings,
                now_s=self.ledger.now_s,
            )

    def sign(self, bank: int, number: int, by: int | None = None) -> None:
        row = self.program(number)
        signature = self.ledger.word(by or bank, lambda **_: row.digest).signature
        with self.ledger.database.begin() as connection:
            self.programs.sign(connection, bank, number, signature, now_s=self.ledger.now_s)

    def program(self, number: int) -> Row[Any]:
        with reading(self.ledger.database) as connection:
            row = program_store.program(connection, number)
        assert row is not None
        return row

    def fitting(self) -> Sequence[Any]:
        with reading(self.ledger.database) as connection:
            return self.programs.fitting(connection, self.ledger.receivable(self.owed), self.ledger.now_s)

    def draw(self, number: int, minimum_fen: int = 1, member: int = PLANT) -> None:
        signed = chain_program(self.program(number))

        def digest_of(nonce: int, deadline_s: int) -> bytes:
            drawing = Drawing(self.owed, minimum_fen * MICRO_PER_FEN, nonce, deadline_s)
            return sale_acts.draw_digest(self.ledger.sales, signed, member, drawing)

        word = self.ledger.word(member, digest_of)
        with self.ledger.database.begin() as connection:
            self.programs.draw(connection, word, number, self.owed, minimum_fen, now_s=self.ledger.now_s)

    def cancel_program(self, bank: int, number: int, by: int | None = None) -> None:
        row, deadline_s = self.program(number), self.ledger.now_s + HOUR_S
        digest = sale_acts.cancel_program_digest(self.ledger.sales, bank, row.nonce, deadline_s=deadline_s)
        signature = self.ledger.word(by or bank, lambda **_: digest).signature
        with self.ledger.database.begin() as connection:
            self.programs.cancel(connection, bank, number, signature, deadline_s, now_s=self.ledger.now_s)


def follow(ledger: Ledger, events: Sequence[ChainEvent]) -> None:
    """Mirror events again: nothing may change."""
    with ledger.database.begin() as connection:
        sales_mirror.follow(connection, events)


def seen_by(ledger: Ledger, receivable_id: bytes, member: int) -> bool:
    """Whether a bank sees a receivable now."""
    with reading(ledger.database) as connection:
        row = store.receivable(connection, receivable_id)
    return row is not None and Viewer(member, is_bank=True).may_see(row)
