"""An auction of one receivable as the chain tells it, event by event: pure, for the mirror and for the audit alike.

A bank commits to ``sale_acts.bid_hash`` before the close, shows proceeds and salt within the hour after it, and pays
within a day when it wins. What a bid is worth is known here only once the chain has shown it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from data.units import floor_fen
from settlement.chain import ChainEvent
from settlement.sale_acts import REVEAL_S


class AuctionState(StrEnum):
    """What the chain says, in its order."""

    OPEN = "open"
    AWARDED = "awarded"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"


CHAIN_STATES = dict(enumerate(AuctionState, start=1))
"""The states as the contract numbers them."""


class Bond(StrEnum):
    """Where the bond behind a bid is."""

    SENT = "sent"
    HELD = "held"
    RETURNED = "returned"
    FORFEITED = "forfeited"


class Phase(StrEnum):
    """What can be done in an auction at a moment."""

    BIDDING = "bidding"
    REVEALING = "revealing"
    AWARDING = "awarding"
    PAYING = "paying"
    LAPSING = "lapsing"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Bid:
    """A bank's bid: a hash, and its figure once it is shown."""

    bank: int
    bid: bytes
    place: int
    proceeds_fen: int | None = None
    bond: str = Bond.HELD


@dataclass(frozen=True, slots=True)
class Auction:
    """One auction; ``bids`` in the order of their commitments."""

    auction: int
    receivable_id: bytes
    seller: int
    advance_rate_ppm: int
    advance_fen: int
    minimum_fen: int
    bond_fen: int
    costs_fen: int
    late_rate_ppm: int
    year_days: int
    with_recourse: bool
    closes_s: int
    state: str = AuctionState.OPEN
    winner: int | None = None
    proceeds_fen: int | None = None
    pay_by_s: int | None = None
    bids: tuple[Bid, ...] = ()

    def _with(self, bank: int, **changes: Any) -> "Auction":
        bids = tuple(replace(each, **changes) if each.bank == bank else each for each in self.bids)
        return replace(self, bids=bids)

    def after(self, event: ChainEvent) -> "Auction":
        """The auction as it stands after one of its events; the same event again changes nothing."""
        said = event.arguments
        if event.event == "BidCommitted":
            if any(each.bank == said["bank"] for each in self.bids):
                return self
            bid = Bid(_number(said, "bank"), _bytes(said, "bid"), len(self.bids) + 1)
            return replace(self, bids=(*self.bids, bid))
        if event.event == "BidRevealed":
            return self._with(_number(said, "bank"), proceeds_fen=_fen(said, "proceeds"))
        if event.event == "BondForfeited":
            return self._with(_number(said, "bank"), bond=Bond.FORFEITED)
        if event.event == "Awarded":
            winner, proceeds_fen, pay_by_s = _number(said, "bank"), _fen(said, "proceeds"), _number(said, "pay_by")
            return replace(
                self, state=AuctionState.AWARDED, winner=winner, proceeds_fen=proceeds_fen, pay_by_s=pay_by_s
            )
        assert event.event == "AuctionEnded", f"{event.event} is nothing that happens to an auction"
        return self._ended(CHAIN_STATES[_number(said, "state")])

    def _ended(self, state: AuctionState) -> "Auction":
        """Over: what bonds were left have returned; only who paid is a winner."""
        bids = tuple(replace(each, bond=Bond.RETURNED) if each.bond == Bond.HELD else each for each in self.bids)
        if state is AuctionState.SETTLED:
            return replace(self, state=state, bids=bids)
        return replace(self, state=state, bids=bids, winner=None, proceeds_fen=None, pay_by_s=None)


EVENTS = ("AuctionOpened", "BidCommitted", "BidRevealed", "BondForfeited", "Awarded", "AuctionEnded")
"""The events of ``Sales`` that speak of an auction, each by its number."""


def opened(event: ChainEvent) -> Auction:
    """The auction that an event ``AuctionOpened`` begins."""
    said = event.arguments
    return Auction(
        auction=_number(said, "auction"),
        receivable_id=_bytes(said, "receivable"),
        seller=_number(said, "seller"),
        advance_rate_ppm=_number(said, "advance_rate"),
        advance_fen=_fen(said, "advance"),
        minimum_fen=_fen(said, "minimum"),
        bond_fen=_fen(said, "bond"),
        costs_fen=_fen(said, "costs"),
        late_rate_ppm=_number(said, "late_rate"),
        year_days=_number(said, "year_days"),
        with_recourse=bool(said["with_recourse"]),
        closes_s=_number(said, "closes_at"),
    )


def auctions_in(events: Iterable[ChainEvent]) -> dict[int, Auction]:
    """Every auction as the events of ``Sales`` leave it, by number."""
    found: dict[int, Auction] = {}
    for event in events:
        if event.contract != "Sales" or event.event not in EVENTS:
            continue
        number = _number(event.arguments, "auction")
        found[number] = opened(event) if event.event == "AuctionOpened" else found[number].after(event)
    return found


def phase(state: str, closes_s: int, pay_by_s: int | None, now_s: int) -> Phase:
    """What can be done at a moment in an auction with these columns."""
    if state == AuctionState.OPEN:
        if now_s < closes_s:
            return Phase.BIDDING
        return Phase.REVEALING if now_s < closes_s + REVEAL_S else Phase.AWARDING
    if state == AuctionState.AWARDED:
        assert pay_by_s is not None, "an awarded auction says until when its winner pays"
        return Phase.PAYING if now_s <= pay_by_s else Phase.LAPSING
    return Phase.OVER


def _number(said: Mapping[str, Any], name: str) -> int:
    value = said[name]
    assert isinstance(value, int)
    return value


def _fen(said: Mapping[str, Any], name: str) -> int:
    return floor_fen(_number(said, name))


def _bytes(said: Mapping[str, Any], name: str) -> bytes:
    value = said[name]
    assert isinstance(value, bytes)
    return value
