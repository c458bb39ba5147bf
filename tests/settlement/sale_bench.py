"""Listed receivables and banks with money, on the deployed contracts: what tests of ``Sales`` act on.

Every receivable has a face of 100 CNY and falls due 60 days after the bench begins.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from settlement import acts, calls, fate_acts, merkle, part_acts, receivable_acts, sale_acts
from settlement.acts import Role
from settlement.chain import Call
from settlement.part_acts import TradeClaim
from settlement.receivable_acts import Receivable
from settlement.sale_acts import Drawing, Offer, Opening, PriceRow, Program
from tests.settlement.contract_bench import (
    CHECKER,
    COLLECTION,
    CUSTODIAN,
    LATE_S,
    OPERATOR,
    REGULATOR,
    START_S,
    YUAN,
    Bench,
    sign,
)

SELLER, FACTORY, SHOP = 100, 101, 102
BANK, SECOND, THIRD = 201, 202, 203
BANKS = [BANK, SECOND, THIRD]
ISSUED, ACKNOWLEDGED, LISTED, RESERVED, FINANCED = range(1, 6)
FEN = 10_000
FACE, ADVANCE, BOND, MINIMUM = 100 * YUAN, 80 * YUAN, 2 * YUAN, 70 * YUAN
FORTUNE = 1_000 * YUAN
HOUR_S, DAY_S = 3_600, 86_400
TODAY = (START_S + 8 * HOUR_S) // DAY_S
DAYS = 60
ROWS = sorted(
    [PriceRow(FACTORY, 30, 36_000), PriceRow(FACTORY, 90, 45_000), PriceRow(SHOP, 90, 90_000), PriceRow(FACTORY, 5, 0)]
)


@dataclass
class Hidden:
    """A bid as its bank knows it."""

    auction: int
    bank: int
    proceeds: int
    salt: bytes

    @property
    def hash(self) -> bytes:
        return sale_acts.bid_hash(self.auction, self.bank, self.proceeds, self.salt)


class Sale(Bench):
    """Four receivables of the seller, listed: three owed by the factory, the last by the shop."""

    def __init__(self) -> None:
        super().__init__()
        self.admit(SELLER, FACTORY, SHOP)
        self.admit(*BANKS, roles=Role.BANK)
        self.mint(*((bank, FORTUNE) for bank in BANKS))
        debtors = [FACTORY, FACTORY, FACTORY, SHOP]
        self.ids = []
        for period, debtor in enumerate(debtors, start=1):
            self.ids.append(self.list_one(period, debtor))
        self.first = self.ids[0]

    def list_one(self, period: int, debtor: int) -> bytes:
        """Issue, acknowledge and list one receivable in a period of its own."""
        trade = TradeClaim(period, FACE, b"\5" * 32)
        receivable = Receivable(
            period, SELLER, debtor, FACE, DAYS, TODAY, TODAY + DAYS, trade.claim_leaf, bytes([period]) * 32
        )
        name = receivable_acts.receivable_id(receivable)
        domain = self.domain("Receivables")
        digest = receivable_acts.issue_period_digest(domain, period, name, 1)
        approvals = self.approve(OPERATOR, digest), self.approve(CHECKER, digest)
        self.do(receivable_acts.issue_period(period, name, 1, *approvals))
        self.do(receivable_acts.materialise(receivable, []))
        once = self.once()
        digest = receivable_acts.acknowledge_many_digest(domain, debtor, [name], COLLECTION, **once)
        self.do(receivable_acts.acknowledge_many(debtor, [name], COLLECTION, sign(debtor, digest), **once))
        self.do(part_acts.claim_trades(name, 0, [trade], []))
        self.do(self.listing(name))
        return name

    def listing(self, receivable: bytes, listed: bool = True) -> Call:
        once = self.once()
        digest = receivable_acts.set_listed_digest(self.domain("Receivables"), receivable, SELLER, listed, **once)
        return receivable_acts.set_listed(receivable, listed, sign(SELLER, digest), **once)

    def repaying(self, micro: int, receivable: bytes | None = None) -> Call:
        once, name = self.once(), receivable or self.first
        digest = receivable_acts.repay_digest(self.domain("Receivables"), name, FACTORY, micro, **once)
        return receivable_acts.repay(name, micro, sign(FACTORY, digest), **once)

    # ---------------------------------------------------------------------------------------- direct offers

    def offer(self, **changed: Any) -> Offer:
        """Of 80 for 78 CNY on the first receivable."""
        nonce = self.nonce()
        plain = Offer(
            self.first, BANK, 900_000, ADVANCE, 78 * YUAN, 0, 60_000, 360, True, registration(nonce), nonce, LATE_S
        )
        return plain._replace(**changed)

    def financing(
        self, offer: Offer, *, bank: int | None = None, seller: int = SELLER, accepted: Offer | None = None
    ) -> Call:
        """The offer's sale; signers other than bank and seller, or an acceptance of another offer, must not do."""
        domain, nonce = self.domain("Sales"), self.nonce()
        acceptance = sale_acts.acceptance_digest(domain, accepted or offer, SELLER, nonce=nonce, deadline_s=LATE_S)
        signatures = sign(bank or offer.bank, sale_acts.offer_digest(domain, offer)), sign(seller, acceptance)
        return sale_acts.finance(offer, *signatures, seller_nonce=nonce, seller_deadline_s=LATE_S)

    # --------------------------------------------------------------------------------------------- auctions

    def opening(self, **changed: Any) -> Opening:
        """An auction of the first receivable that closes in an hour."""
        plain = Opening(
            self.first,
            SELLER,
            900_000,
            ADVANCE,
            MINIMUM,
            BOND,
            YUAN,
            60_000,
            360,
            True,
            self.now_s + HOUR_S,
            self.nonce(),
            LATE_S,
        )
        return plain._replace(**changed)

    def calling(self, opening: Opening, by: int = SELLER) -> Call:
        digest = sale_acts.open_auction_digest(self.domain("Sales"), opening)
        return sale_acts.open_auction(opening, sign(by, digest))

    def open(self, **changed: Any) -> int:
        """Open an auction; its number."""
        self.do(self.calling(self.opening(**changed)))
        return int(self.view(sale_acts.auction_count()))

    def cancelling(self, auction: int, by: int = SELLER) -> Call:
        once = self.once()
        digest = sale_acts.cancel_auction_digest(self.domain("Sales"), auction, SELLER, **once)
        return sale_acts.cancel_auction(auction, sign(by, digest), **once)

    def hidden(self, auction: int, bank: int, proceeds: int = 78 * YUAN) -> Hidden:
        return Hidden(auction, bank, proceeds, bank.to_bytes(32, "big"))

    def committing(self, hidden: Hidden, *, by: int | None = None, **changed: Any) -> Call:
        once, bank = self.once(), changed.get("bank", hidden.bank)
        shown = {"auction": hidden.auction, "bank": bank, "bid": hidden.hash} | changed
        digest = sale_acts.commit_bid_digest(self.domain("Sales"), **shown, **once)
        return sale_acts.commit_bid(**shown, signature=sign(by or bank, digest), **once)

    def commit(self, auction: int, bank: int, proceeds: int = 78 * YUAN) -> Hidden:
        bid = self.hidden(auction, bank, proceeds)
        self.do(self.committing(bid))
        return bid

    def revealing(self, bid: Hidden) -> Call:
        return sale_acts.reveal_bid(bid.auction, bid.bank, bid.proceeds, bid.salt)

    def auction(self, *proceeds: int) -> int:
        """An auction in which the banks bid so much in their order and reveal, past the reveal; its number."""
        number = self.open()
        bids = [self.commit(number, bank, each) for bank, each in zip(BANKS, proceeds, strict=False)]
        self.now_s += HOUR_S
        for bid in bids:
            self.do(self.revealing(bid))
        self.now_s += HOUR_S
        return number

    def settling(self, auction: int, bank: int, *, by: int | None = None, number: bytes | None = None) -> Call:
        once = self.once()
        number = number or registration(once["nonce"])
        digest = sale_acts.settle_auction_digest(self.domain("Sales"), auction, bank, number, **once)
        return sale_acts.settle_auction(auction, number, sign(by or bank, digest), **once)

    def state(self, auction: int) -> int:
        return int(self.view(sale_acts.auction_of(auction))[5])

    @property
    def bonds(self) -> int:
        """What Sales holds in Cash."""
        return self.cash_of(int.from_bytes(self.addresses["Sales"], "big"))

    # --------------------------------------------------------------------------------------------- programs

    def program(self, **changed: Any) -> Program:
        """80 % at the rates of ``ROWS``, less a fee of 50 fen, up to two receivables."""
        nonce = self.nonce()
        plain = Program(
            BANK,
            merkle.root([sale_acts.price_leaf(row) for row in ROWS]),
            800_000,
            2 * ADVANCE,
            50 * FEN,
            YUAN,
            60_000,
            360,
            False,
            registration(nonce),
            nonce,
            LATE_S,
        )
        return plain._replace(**changed)

    def drawing(
        self,
        program: Program,
        row: PriceRow = ROWS[2],
        *,
        receivable: bytes | None = None,
        minimum: int = YUAN,
        bank: int | None = None,
        seller: int = SELLER,
        path: merkle.Path | None = None,
        signed: Program | None = None,
    ) -> Call:
        """A draw with a row of the table, by default the factory's for 90 days; ``signed``: what the bank did sign."""
        domain = self.domain("Sales")
        asked = Drawing(receivable or self.first, minimum, self.nonce(), LATE_S)
        leaves = [sale_acts.price_leaf(each) for each in ROWS]
        path = merkle.path(leaves, ROWS.index(row)) if path is None else path
        by_bank = sign(bank or program.bank, sale_acts.program_digest(domain, signed or program))
        by_seller = sign(seller, sale_acts.draw_digest(domain, program, SELLER, asked))
        return sale_acts.draw(program, by_bank, (row, path), asked, by_seller)

    def cancelling_program(self, program: Program, by: int | None = None) -> Call:
        digest = sale_acts.cancel_program_digest(self.domain("Sales"), program.bank, program.nonce, deadline_s=LATE_S)
        signature = sign(by or program.bank, digest)
        return sale_acts.cancel_program(program.bank, program.nonce, signature, deadline_s=LATE_S)

    # ------------------------------------------------------------------------------------- money and looking

    def pay_away(self, member: int, micro: int) -> None:
        """Some of a member's cash leaves the chain."""
        paid = acts.Payout(member, micro, self.nonce().to_bytes(32, "big"), self.nonce(), LATE_S)
        digest = acts.burn_digest(self.domain("Cash"), paid)
        self.do(acts.burn(paid, sign(member, digest), self.approve(CUSTODIAN, digest)))

    def freeze(self, receivable: bytes, frozen: bool = True) -> None:
        """By the regulator's order."""
        index = int(self.view(fate_acts.next_ruling()))
        digest = fate_acts.set_frozen_digest(self.domain("Receivables"), receivable, frozen, index)
        self.do(fate_acts.set_frozen(receivable, frozen, index, self.approve(REGULATOR, digest)))

    def standing(self, receivable: bytes | None = None) -> int:
        """A receivable's state on the chain."""
        return int(self.view(calls.claim_of(receivable or self.first))[0])


def registration(number: int) -> bytes:
    """The hash of some registration's number."""
    return b"\7" * 24 + number.to_bytes(8, "big")


@cache
def _listed() -> Sale:
    return Sale()


def new_sale() -> Sale:
    """A bench of its own; the world behind it is built once."""
    return _listed().copy()
