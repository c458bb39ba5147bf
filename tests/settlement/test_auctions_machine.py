"""Auctions under acts at random, beside a plain model: the money in Sales is that of the live bonds, at every step.

Whatever banks, seller and time do: nobody's money is lost, a bond is held, returned or forfeited to the seller, and the
award is what the bids that were shown make it.
"""

import os
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from settlement import sale_acts
from tests.settlement.contract_bench import YUAN
from tests.settlement.sale_bench import (
    ADVANCE,
    BANKS,
    BOND,
    DAY_S,
    FEN,
    FINANCED,
    FORTUNE,
    HOUR_S,
    LISTED,
    MINIMUM,
    RESERVED,
    SELLER,
    Hidden,
    Sale,
    new_sale,
)

OPEN, AWARDED, SETTLED, FAILED, CANCELLED = range(1, 6)
WHO = some.sampled_from(BANKS)
PROCEEDS = some.sampled_from([MINIMUM - FEN, MINIMUM, 75 * YUAN, 75 * YUAN + FEN, ADVANCE, ADVANCE + FEN])


@dataclass
class Auction:
    """One auction as the model has it; ``bids`` in the order of their commitments."""

    number: int
    receivable: bytes
    closes_s: int
    state: int = OPEN
    pay_by_s: int = 0
    bids: dict[int, Hidden] = field(default_factory=dict)
    shown: dict[int, int] = field(default_factory=dict)

    @property
    def bonds(self) -> int:
        """How many bonds are still here."""
        if self.state == OPEN:
            return len(self.bids)
        return len(self.shown) if self.state == AWARDED else 0

    @property
    def winner(self) -> int:
        """The highest that was shown, of equals the one that was committed first."""
        return max((bank for bank in self.bids if bank in self.shown), key=lambda bank: self.shown[bank])


class AuctionMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.sale: Sale = new_sale()
        self.cash = dict.fromkeys(BANKS, FORTUNE) | {SELLER: 0}
        self.auctions: list[Auction] = []
        self.sold: set[bytes] = set()

    def running(self) -> list[Auction]:
        return [each for each in self.auctions if each.state in (OPEN, AWARDED)]

    @rule(at=some.integers(0, 1))
    def open(self, at: int) -> None:
        receivable = self.sale.ids[at]
        refused = self.sale.try_(self.sale.calling(self.sale.opening(receivable_id=receivable)))
        if receivable in self.sold:
            assert refused == "not_listed"
        elif any(each.receivable == receivable for each in self.running()):
            assert refused in ("auction_open", "not_listed")
        else:
            assert refused == ""
            self.auctions.append(Auction(len(self.auctions) + 1, receivable, self.sale.now_s + HOUR_S))

    @precondition(lambda self: self.running())
    @rule(bank=WHO, proceeds=PROCEEDS, data=some.data())
    def commit(self, bank: int, proceeds: int, data: some.DataObject) -> None:
        auction = data.draw(some.sampled_from(self.running()))
        bid = self.sale.hidden(auction.number, bank, proceeds)
        refused = self.sale.try_(self.sale.committing(bid))
        if auction.state != OPEN:
            assert refused == "auction_not_open"
        elif self.sale.now_s >= auction.closes_s:
            assert refused == "auction_closed"
        elif bank in auction.bids:
            assert refused == "bid_twice"
        else:
            assert refused == ""
            auction.bids[bank] = bid
            self.cash[bank] -= BOND

    @precondition(lambda self: any(each.bids for each in self.running()))
    @rule(data=some.data())
    def reveal(self, data: some.DataObject) -> None:
        auction = data.draw(some.sampled_from([each for each in self.running() if each.bids]))
        bid = data.draw(some.sampled_from(list(auction.bids.values())))
        refused = self.sale.try_(self.sale.revealing(bid))
        is_time = auction.closes_s <= self.sale.now_s < auction.closes_s + HOUR_S
        may_be_shown = MINIMUM <= bid.proceeds <= ADVANCE and bid.bank not in auction.shown
        assert (refused == "") == (auction.state == OPEN and is_time and may_be_shown)
        if not refused:
            auction.shown[bid.bank] = bid.proceeds

    @precondition(lambda self: self.running())
    @rule(data=some.data())
    def award(self, data: some.DataObject) -> None:
        auction = data.draw(some.sampled_from(self.running()))
        refused = self.sale.try_(sale_acts.award(auction.number))
        assert (refused == "") == (auction.state == OPEN and self.sale.now_s >= auction.closes_s + HOUR_S)
        if refused:
            return
        self.cash[SELLER] += BOND * (len(auction.bids) - len(auction.shown))
        auction.state = AWARDED if auction.shown else FAILED
        auction.pay_by_s = self.sale.now_s + DAY_S

    @precondition(lambda self: any(each.state == AWARDED for each in self.auctions))
    @rule(bank=WHO, data=some.data())
    def settle(self, bank: int, data: some.DataObject) -> None:
        auction = data.draw(some.sampled_from([each for each in self.auctions if each.state == AWARDED]))
        refused = self.sale.try_(self.sale.settling(auction.number, bank))
        if self.sale.now_s > auction.pay_by_s:
            assert refused == "too_late"
        elif bank != auction.winner:
            assert refused == "bad_signature"
        elif self.cash[bank] + BOND < auction.shown[bank]:
            assert refused == "insufficient_cash"
        else:
            assert refused == ""
            for each in auction.shown:
                self.cash[each] += BOND
            self.cash[bank] -= auction.shown[bank]
            self.cash[SELLER] += auction.shown[bank]
            auction.state = SETTLED
            self.sold.add(auction.receivable)

    @precondition(lambda self: any(each.state == AWARDED for each in self.auctions))
    @rule(data=some.data())
    def lapse(self, data: some.DataObject) -> None:
        auction = data.draw(some.sampled_from([each for each in self.auctions if each.state == AWARDED]))
        refused = self.sale.try_(sale_acts.lapse(auction.number))
        assert (refused == "too_early") == (self.sale.now_s <= auction.pay_by_s)
        if refused:
            return
        del auction.shown[auction.winner]
        self.cash[SELLER] += BOND
        auction.state = AWARDED if auction.shown else FAILED
        auction.pay_by_s = self.sale.now_s + DAY_S

    @precondition(lambda self: self.running())
    @rule(data=some.data())
    def cancel(self, data: some.DataObject) -> None:
        auction = data.draw(some.sampled_from(self.running()))
        refused = self.sale.try_(self.sale.cancelling(auction.number))
        assert (refused == "") == (auction.state == OPEN and not auction.bids)
        if not refused:
            auction.state = CANCELLED

    @rule(seconds=some.sampled_from([HOUR_S // 2, HOUR_S, DAY_S]))
    def wait(self, seconds: int) -> None:
        self.sale.now_s += seconds

    @invariant()
    def every_bond_is_somewhere(self) -> None:
        if not hasattr(self, "sale"):
            return
        assert self.sale.bonds == BOND * sum(each.bonds for each in self.auctions)
        assert {who: self.sale.cash_of(who) for who in self.cash} == self.cash
        assert sum(self.cash.values()) + self.sale.bonds == FORTUNE * len(BANKS)
        for each in self.auctions:
            assert self.sale.state(each.number) == each.state
        awarded = {each.receivable for each in self.auctions if each.state == AWARDED}
        for receivable in self.sale.ids[:2]:
            expected = FINANCED if receivable in self.sold else RESERVED if receivable in awarded else LISTED
            assert self.sale.standing(receivable) == expected


TestAuctions = AuctionMachine.TestCase
TestAuctions.settings = settings(
    max_examples=500 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 2, stateful_step_count=25, deadline=None
)
