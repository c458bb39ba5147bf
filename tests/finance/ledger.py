"""A settled market in a real database beside a real chain: the place where the book of receivables is tested.

The chain is the embedded one, run in this process; its contracts are deployed once and copied for each test.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from eth_account import Account
from sqlalchemy import Row, insert

from data import tables
from data.database import open_database, reading
from data.units import MICRO_PER_CNY, MICRO_PER_FEN
from finance import marking, parts_store, periods, sales_mirror, store
from finance import mirror as finance_mirror
from finance.book import Book, Word
from finance.listing import Filter, Viewer
from finance.listing_store import list_receivables
from finance.offer import Quote
from finance.offers import Added, OfferBook, chain_offer
from finance.period import Billing
from market.config import CollectionAccount
from settlement import acts, calendar, cycle_store, drafting, mirror, outbox, receivable_acts, sale_acts, signatures
from settlement.acts import Admission, Mint, Role
from settlement.chain_store import ChainStore
from settlement.compile import compiled
from settlement.deploy import Genesis, contract_addresses, deploy_over
from settlement.jsonrpc import JsonRpc
from settlement.keccak import keccak
from settlement.node import Node
from settlement.node_methods import answer
from settlement.officer import Officer
from settlement.rpc import RpcChain
from settlement.sale_acts import Offer
from settlement.writer import Writer
from tests.databases import copy_database, url_of
from tests.settlement.settlement_world import (
    CHECKER,
    CUSTODIAN,
    DAY,
    INSTITUTIONS,
    OPERATOR,
    OWNERS,
    Wish,
    World,
    after_window,
    key_of,
    new_world,
    start_of,
)

PLANT, FACTORY, SHOP, HOME = OWNERS["A1"], OWNERS["A2"], OWNERS["B1"], OWNERS["B2"]
BANK, OTHER_BANK = 104, 105
OFFICES = {1: Role.OPERATOR, 2: Role.CHECKER, 3: Role.METER_OPERATOR, 4: Role.CUSTODIAN, 5: Role.GRID_COMPANY}
REGULATOR = 7
OFFICES[REGULATOR] = Role.REGULATOR
RELAYER = b"\x11" * 32
CHAIN_ID = 1_337
ACCOUNT = CollectionAccount("金沙托管户", "6222000000000001", "工商银行", "102100099996")
"""Where debtors pay."""
GENESIS = Genesis(
    salt=b"\x05" * 32,
    members=[
        Admission(member, signatures.public_key(key_of(member)), OFFICES.get(member, Role(0)))
        for member in INSTITUTIONS
    ],
    dispute_window_s=0,
    horizon_s=86_400,
    collection=ACCOUNT.hash,
)
FORTUNE_CNY = 1_000
COLLECTION = GENESIS.collection
ADDED = Added(5, 60_000, True, bytes(32))
"""What offers add here when they are paid late; each has a registration of its own."""
TIME_ZONE = "Asia/Shanghai"


def new_chain_file(folder: Path) -> Path:
    """A chain file with the contracts, the members, and a fortune for debtors and banks."""
    path = folder / "chain.db"
    with closing(ChainStore(path, CHAIN_ID, start_of(DAY) - 86_400)) as kept:
        chain = connect(kept)
        people = [*OWNERS.values(), BANK, OTHER_BANK]
        admissions = [
            Admission(member, signatures.public_key(key_of(member)), Role.BANK if member >= BANK else Role(0))
            for member in people
        ]
        admitted = Officer(OPERATOR, key_of(OPERATOR)).approve(
            acts.admit_many_digest(chain.domain("Members"), admissions, 0)
        )
        mints = [Mint(member, FORTUNE_CNY * MICRO_PER_CNY, keccak(b"%d" % member), False) for member in people]
        minted = Officer(CUSTODIAN, key_of(CUSTODIAN)).approve(acts.mint_many_digest(chain.domain("Cash"), mints))
        calls = [acts.admit_many(admissions, 0, [admitted]), acts.mint_many(mints, [minted])]
        assert all(receipt.succeeded for receipt in chain.send(chain.sign(calls)))
    return path


def connect(kept: ChainStore) -> RpcChain:
    """The chain in a file, with the contracts on it; deployed now in a new one."""
    node = Node(kept, CHAIN_ID, None)
    rpc = JsonRpc(lambda body: answer(node, body))
    if node.head.number == 0:
        return deploy_over(rpc, GENESIS, RELAYER)
    return RpcChain(
        rpc,
        chain_id=CHAIN_ID,
        addresses=contract_addresses(bytes.fromhex(Account.from_key(RELAYER).address[2:])),
        salt=GENESIS.salt,
        contracts=compiled(),
        relayer_key=RELAYER,
    )


@dataclass
class Ledger:
    """``now_s`` is the market's time; acts are signed with the members' real keys."""

    world: World
    chain: RpcChain
    now_s: int = start_of(DAY)
    billing: Billing = Billing.DAY
    nonces: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def database(self) -> Any:
        return self.world.database

    @property
    def domain(self) -> Any:
        return self.chain.domain("Receivables")

    @property
    def book(self) -> Book:
        return Book(self.domain, TIME_ZONE, collection=COLLECTION)

    @property
    def sales(self) -> Any:
        return self.chain.domain("Sales")

    @property
    def offers(self) -> OfferBook:
        return OfferBook(self.sales, TIME_ZONE)

    # --------------------------------------------------------------------------------- from trades to periods

    def trade(self, *wishes: Wish) -> None:
        self.world.place(*wishes)

    def settle(self, day: date) -> None:
        """Draft the day's cycle and say that it is applied, as the chain would."""
        self.now_s = max(self.now_s, after_window(day))
        self.world.commit(self.now_s, at_once=True)
        drafted = drafting.draft_due(
            self.database,
            self.now_s,
            rules=self.world.rules,
            domain=self.chain.domain("Clearing"),
            operator=self.world.operator,
        )
        assert drafted is not None
        with self.database.begin() as connection:
            cycle_store.set_cycle(connection, drafted, state="applied")

    def close(self) -> int | None:
        return periods.close_due(
            self.database,
            self.now_s,
            rules=self.world.rules,
            billing=self.billing,
            domain=self.domain,
            operator=self.world.operator,
        )

    def sign_period(self, number: int, digest: bytes | None = None) -> str | None:
        """The checker signs what is published (or some other digest)."""
        with self.database.begin() as connection:
            published = periods.whole_period(connection, number)
            if published is not None and digest is None:
                digest = receivable_acts.issue_period_digest(self.domain, number, published.root, published.count)
            signature = signatures.sign(key_of(CHECKER), digest or bytes(32))
            return periods.accept_signature(
                connection,
                number,
                signature,
                checker=CHECKER,
                key=signatures.public_key(key_of(CHECKER)),
                operator=OPERATOR,
                domain=self.domain,
            )

    def sync(self) -> int:
        """Outbox to the chain, events back; how many receivables changed."""
        Writer(self.database, self.chain).drain()
        return self.pull()

    def pull(self) -> int:
        with self.database.begin() as connection:
            events = mirror.pull(connection, self.chain)
            sales_mirror.follow(connection, events)
            return finance_mirror.follow(connection, events, self.now_s, TIME_ZONE)

    def issue(self, day: date = DAY) -> list[Row[Any]]:
        """Settle a day that was traded, and issue the receivables of its period."""
        self.settle(day)
        number = self.close()
        assert number is not None
        assert self.sign_period(number) is None
        self.sync()
        return self.receivables(period=number)

    # ------------------------------------------------------------------------------------------------- looking

    def receivables(self, period: int | None = None) -> list[Row[Any]]:
        with reading(self.database) as connection:
            viewer = Viewer(1, is_overseer=True)
            seen = list_receivables(connection, viewer, Filter(), DAY, after=-1, limit=1_000).rows
        return sorted((row for row in seen if period in (None, row.period)), key=lambda row: row.number)

    def receivable(self, receivable_id: bytes) -> Row[Any]:
        with reading(self.database) as connection:
            row = store.receivable(connection, receivable_id)
        assert row is not None
        return row

    def story(self, receivable_id: bytes) -> list[tuple[str, str, int]]:
        """(before, after, actor) of every change of state; neither parts nor trades that are claimed."""
        with reading(self.database) as connection:
            rows = [row for row in store.history(connection, receivable_id) if row.part is None]
        return [(row.before, row.after, row.actor) for row in rows if not row.reason.endswith("trades are claimed")]

    def parts(self, receivable_id: bytes) -> list[tuple[int, int, int, int]]:
        """(claim, owner, open fen, pledgee) of the parts in which something is open, by number."""
        with reading(self.database) as connection:
            found = parts_store.parts_of(connection, [receivable_id]).get(receivable_id, [])
        return [(int(part.claim), part.owner, part.open_fen, part.pledgee) for part in found if part.open_fen]

    def cash_fen(self, member: int) -> int:
        with reading(self.database) as connection:
            return store.free_cash_micro(connection, member) // MICRO_PER_FEN

    def queued(self) -> list[str]:
        with reading(self.database) as connection:
            return [entry.call.kind for entry in outbox.unfinished(connection, 1_000)]

    # ---------------------------------------------------------------------------------------------- signed acts

    def word(self, member: int, digest_of: Any, **changed: Any) -> Word:
        """A member's word; ``digest_of(nonce=, deadline_s=)`` is what it signs."""
        terms = {"nonce": next(self.nonces), "deadline_s": self.now_s + 3_600} | changed
        viewer = Viewer(member, is_bank=member >= BANK)
        return Word(viewer, **terms, signature=signatures.sign(key_of(member), digest_of(**terms)))

    def acknowledge(self, member: int, *ids: bytes, **changed: Any) -> Word:
        word = self.word(
            member,
            lambda **terms: receivable_acts.acknowledge_many_digest(self.domain, member, ids, COLLECTION, **terms),
            **changed,
        )
        with self.database.begin() as connection:
            self.book.acknowledge(connection, word, ids, self.now_s)
        return word

    def reject(self, member: int, receivable_id: bytes, reason: str) -> None:
        word = self.word(
            member, lambda **terms: receivable_acts.reject_digest(self.domain, receivable_id, member, **terms)
        )
        with self.database.begin() as connection:
            self.book.reject(connection, word, receivable_id, reason, now_s=self.now_s)

    def set_listed(self, member: int, receivable_id: bytes, listed: bool = True) -> None:
        word = self.word(
            member,
            lambda **terms: receivable_acts.set_listed_digest(self.domain, receivable_id, member, listed, **terms),
        )
        with self.database.begin() as connection:
            act = self.book.list_for_sale if listed else self.book.withdraw
            act(connection, word, receivable_id, now_s=self.now_s)

    def repay(self, member: int, receivable_id: bytes, amount_fen: int) -> None:
        amount_micro = amount_fen * MICRO_PER_FEN
        word = self.word(
            member,
            lambda **terms: receivable_acts.repay_digest(self.domain, receivable_id, member, amount_micro, **terms),
        )
        with self.database.begin() as connection:
            self.book.repay(connection, word, receivable_id, amount_fen, now_s=self.now_s)

    def offer(
        self,
        bank: int,
        receivable_id: bytes,
        quote: Quote,
        *,
        advance_fen: int,
        proceeds_fen: int,
        with_recourse: bool = True,
        **changed: Any,
    ) -> int:
        """An offer signed over these amounts, with a registration of its own."""
        added = Added(ADDED.costs_fen, ADDED.late_rate_ppm, with_recourse, self.registration())

        def digest_of(nonce: int, deadline_s: int) -> bytes:
            offer = Offer(
                receivable_id,
                bank,
                quote.advance_rate_ppm,
                advance_fen * MICRO_PER_FEN,
                proceeds_fen * MICRO_PER_FEN,
                added.costs_fen * MICRO_PER_FEN,
                added.late_rate_ppm,
                quote.day_count.year_days,
                added.with_recourse,
                added.registration,
                nonce,
                deadline_s,
            )
            return sale_acts.offer_digest(self.sales, offer)

        word = self.word(bank, digest_of, **changed)
        with self.database.begin() as connection:
            return self.offers.make(connection, word, receivable_id, quote, added, now_s=self.now_s)

    def registration(self) -> bytes:
        """The hash of a registry's number that no other sale carries."""
        return keccak(b"registration %d" % next(self.nonces))

    def offer_row(self, offer_id: int) -> Row[Any]:
        with reading(self.database) as connection:
            row = store.offer(connection, offer_id)
        assert row is not None
        return row

    def accept(self, member: int, offer_id: int, **changed: Any) -> None:
        row = self.offer_row(offer_id)
        word = self.word(
            member,
            lambda **terms: sale_acts.acceptance_digest(self.sales, chain_offer(row), member, **terms),
            **changed,
        )
        with self.database.begin() as connection:
            self.offers.accept(connection, word, offer_id, self.now_s)

    def move_to(self, day: date, hour: int = 10) -> None:
        """Put the market's and the chain's clock forward."""
        self.now_s = calendar.start_of(day, TIME_ZONE) + hour * 3_600
        self.chain.advance_to(self.now_s)

    def mark_due(self) -> int:
        with self.database.begin() as connection:
            return marking.mark_due(connection, self.now_s, TIME_ZONE)


def a_day_on_terms(ledger: Ledger, day: date = DAY) -> None:
    """The plant sells to factory and shop on terms, the home to the factory too; one trade is prepaid.

    Delivered: plant 10:00 200 of 200 to the factory, 11:00 40 of 100 to the shop; home 10:00 all, but unread.
    """
    world = ledger.world
    world.place(
        Wish("A1", "sell", 10, 200, 3_503, 60, day),
        Wish("A1", "sell", 11, 100, 3_600, 60, day),
        Wish("B2", "sell", 10, 50, 4_000, 60, day),
        Wish("B2", "sell", 12, 50, 4_000, 60, day),
    )
    world.place(
        Wish("A2", "buy", 10, 250, 5_200, 60, day),
        Wish("B1", "buy", 11, 100, 5_200, 30, day),
        Wish("A2", "buy", 12, 50, 5_200, 0, day),
    )
    world.close(10, 11, 12, day=day)
    world.meter(("A1", 10, 200, 0), ("A1", 11, 40, 0), ("A2", 10, 0, 250), ("B1", 11, 0, 100), day=day)


@contextmanager
def open_ledger(folder: Path, chain_file: Path) -> Iterator[Ledger]:
    """A populated market and a copy of the chain."""
    shutil.copy(chain_file, folder / "chain.db")
    world = new_world(folder)
    with world.database.begin() as connection:
        for bank in (BANK, OTHER_BANK):
            person = {"member_id": bank, "name": f"m{bank}", "kind": "bank", "roles": '["bank"]', "status": "admitted"}
            connection.execute(insert(tables.members), {**person, "registered_s": 0, "credit_limit_micro": 0})
            key = signatures.public_key(key_of(bank))
            point = {"x": key.x.to_bytes(32, "big"), "y": key.y.to_bytes(32, "big")}
            connection.execute(insert(tables.member_keys), {"member_id": bank, "from_sequence": 0, **point})
    with closing(ChainStore(folder / "chain.db", CHAIN_ID, 0)) as kept:
        ledger = Ledger(world, connect(kept))
        world.domain = ledger.chain.domain("Clearing")
        ledger.pull()
        yield ledger
    (folder / "now").write_text(str(ledger.now_s), "ascii")
    world.database.dispose()


@contextmanager
def copy_ledger(source: Path, folder: Path) -> Iterator[Ledger]:
    """The market of a folder that ``open_ledger`` left, as it stood then; trading goes on only in the original."""
    with closing(sqlite3.connect(source / "chain.db")) as kept, closing(sqlite3.connect(folder / "chain.db")) as copy:
        kept.backup(copy)
    copy_database(source, folder)
    world = World(open_database(url_of(folder)))
    with closing(ChainStore(folder / "chain.db", CHAIN_ID, 0)) as kept:
        yield Ledger(world, connect(kept), now_s=int((source / "now").read_text("ascii")))
    world.database.dispose()


NEXT_DAY = DAY + timedelta(days=1)
