"""What members do in auctions: checked here with the very digests that the contract will check, then sent to it.

A seller opens an auction of a listed receivable and fixes everything but the proceeds. Until the close a bank sends a
hash and its signature over it; what it bids never reaches the market before then, nor does the salt that hides it: the
bank's own program makes both and keeps them. ``reveal`` refuses whatever comes before the close, and keeps nothing of
it. Awards and lapses need nobody: ``take_due`` sends them when their time has come.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN
from finance import auction_store, store
from finance.auction import AuctionState, Phase, phase
from finance.book import Word, check_no_auction, check_word, is_on_its_way, is_repeat, refuse, send
from finance.offer import PPM, OfferError, advance_fen_floor, check_lateness
from finance.outside import Outside
from finance.receivable import Act, State, check_transition
from settlement import outbox, sale_acts
from settlement.chain import Call
from settlement.intents import Domain
from settlement.sale_acts import MOST_BIDS, MOST_OPEN_S, Opening

AGAIN_AFTER_S = 60
"""So long after an award or a lapse was refused it is sent again: the chain's clock may be a little behind."""


class Asked(NamedTuple):
    """What a seller fixes; the advance follows from face and rate."""

    advance_rate_ppm: int
    minimum_fen: int
    bond_fen: int
    costs_fen: int
    late_rate_ppm: int
    year_days: int
    with_recourse: bool
    closes_s: int


@dataclass(frozen=True, slots=True)
class AuctionBook:
    """``domain`` is that of Sales. Each method takes a ``Connection`` inside the caller's writing transaction.

    Each may raise RefusedError, IllegalTransitionError or OfferError: then nothing was written.
    """

    domain: Domain
    outside: Outside = field(default_factory=Outside)

    # ---------------------------------------------------------------------------------------------- seller

    def open(self, connection: Connection, word: Word, receivable_id: bytes, asked: Asked, *, now_s: int) -> None:
        """The creditor puts a listed receivable up for auction; the auction is there when the chain has said so."""
        row = store.receivable(connection, receivable_id)
        if row is None or not word.viewer.may_see(row):
            refuse("not_found", "there is no such receivable")
        if word.member != row.creditor:
            refuse("not_a_party", "only the creditor puts it up for auction")
        opening = opening_of(row, asked, word.nonce, word.deadline_s)
        call = sale_acts.open_auction(opening, word.signature)
        if is_repeat([row], call):
            return
        check_transition(State(row.state), Act.AUCTION)
        check_no_auction(connection, receivable_id)
        check_asked(row.face_fen, asked, now_s)
        check_word(connection, word, sale_acts.open_auction_digest(self.domain, opening), now_s)
        send(connection, [row], Act.AUCTION, call)

    def cancel(self, connection: Connection, word: Word, number: int, *, now_s: int) -> None:
        """The seller takes back an auction that nobody has bid in."""
        row = _seen(connection, word, number)
        if word.member != row.seller:
            refuse("not_a_party", "only the seller cancels its auction")
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        call = sale_acts.cancel_auction(number, word.signature, **terms)
        if is_repeat([row], call):
            return
        _check_phase(row, now_s, Phase.BIDDING)
        if row.bids:
            refuse("has_bids", "a bank has bid: the auction takes its course")
        digest = sale_acts.cancel_auction_digest(self.domain, number, word.member, **terms)
        check_word(connection, word, digest, now_s)
        _send(connection, row, call, now_s)

    # ---------------------------------------------------------------------------------------------- banks

    def commit(self, connection: Connection, word: Word, number: int, bid: bytes, *, now_s: int) -> None:
        """A bank bids: 32 bytes that say nothing, and a bond out of its free cash."""
        row = _seen(connection, word, number)
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        call = sale_acts.commit_bid(number, word.member, bid, word.signature, **terms)
        mine = auction_store.bid_of(connection, number, word.member)
        if mine is not None and is_repeat([mine], call):
            return
        _check_phase(row, now_s, Phase.BIDDING)
        _check_buyer(connection, row, word.member)
        if mine is not None and (mine.place is not None or is_on_its_way(mine)):
            refuse("bid_twice", "a bank bids once in an auction")
        if row.bids >= MOST_BIDS:
            refuse("auction_full", f"{MOST_BIDS} banks have bid")
        if bid == bytes(32):
            refuse("no_bid", "a bid is the hash of what you bid")
        digest = sale_acts.commit_bid_digest(self.domain, number, word.member, bid, **terms)
        check_word(connection, word, digest, now_s)
        if store.free_cash_micro(connection, word.member) < row.bond_fen * MICRO_PER_FEN:
            refuse("insufficient_cash", "you do not hold the bond outside escrow")
        auction_store.put_bid(connection, number, word.member, bid, outbox.put(connection, call))

    def settle(self, connection: Connection, word: Word, number: int, registration: bytes, *, now_s: int) -> None:
        """The winner pays what it bid and gets the claim, under the number of its registration."""
        row = _seen(connection, word, number)
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        call = sale_acts.settle_auction(number, registration, word.signature, **terms)
        if is_repeat([row], call):
            return
        _check_phase(row, now_s, Phase.PAYING)
        if word.member != row.winner:
            refuse("not_a_party", "only the winner pays")
        digest = sale_acts.settle_auction_digest(self.domain, number, word.member, registration, **terms)
        check_word(connection, word, digest, now_s)
        held_micro = store.free_cash_micro(connection, word.member) + row.bond_fen * MICRO_PER_FEN
        if held_micro < row.proceeds_fen * MICRO_PER_FEN:
            refuse("insufficient_cash", "you do not hold the proceeds outside escrow")
        owed = store.receivable(connection, row.receivable_id)
        assert owed is not None, "an auction is of a receivable"
        barred = self.outside.sale_refusal(connection, owed, word.member, registration, now_s)
        if barred is not None:
            refuse(*barred)
        _send(connection, row, call, now_s)


def reveal(connection: Connection, number: int, bank: int, shown: tuple[int, bytes], *, now_s: int) -> None:
    """Show a bid: its proceeds in fen and its salt. Whoever knows it may. Raises RefusedError.

    Nothing of it is kept before the close.
    """
    proceeds_fen, salt = shown
    row = auction_store.auction_row(connection, number)
    bid = None if row is None else auction_store.bid_of(connection, number, bank)
    if row is None or bid is None or bid.place is None:
        refuse("not_found", "there is no such bid")
    call = sale_acts.reveal_bid(number, bank, proceeds_fen * MICRO_PER_FEN, salt)
    if is_repeat([bid], call):
        return
    _check_phase(row, now_s, Phase.REVEALING)
    if bid.proceeds_fen is not None:
        return
    if sale_acts.bid_hash(number, bank, proceeds_fen * MICRO_PER_FEN, salt) != bid.bid:
        refuse("wrong_bid", "this is not what the bank committed to")
    if not row.minimum_fen <= proceeds_fen <= row.advance_fen:
        refuse("bad_amount", "the proceeds are below the minimum or above the advance")
    auction_store.note_reveal(connection, number, bank, outbox.put(connection, call))


def take_due(connection: Connection, now_s: int) -> int:
    """Send the awards and lapses whose time has come; returns how many."""
    rows = auction_store.due(connection, now_s, AGAIN_AFTER_S)
    for row in rows:
        call = sale_acts.award(row.auction) if row.state == AuctionState.OPEN else sale_acts.lapse(row.auction)
        auction_store.note_act(connection, row.auction, outbox.put(connection, call), now_s)
    return len(rows)


def opening_of(row: Row[Any], asked: Asked, nonce: int, deadline_s: int) -> Opening:
    """What the seller of a receivable signs."""
    return Opening(
        receivable_id=row.receivable_id,
        seller=row.creditor,
        advance_rate_ppm=asked.advance_rate_ppm,
        advance_micro=advance_fen_floor(row.face_fen, asked.advance_rate_ppm) * MICRO_PER_FEN,
        minimum_micro=asked.minimum_fen * MICRO_PER_FEN,
        bond_micro=asked.bond_fen * MICRO_PER_FEN,
        costs_micro=asked.costs_fen * MICRO_PER_FEN,
        late_rate_ppm=asked.late_rate_ppm,
        year_days=asked.year_days,
        with_recourse=asked.with_recourse,
        closes_s=asked.closes_s,
        nonce=nonce,
        deadline_s=deadline_s,
    )


def check_asked(face_fen: int, asked: Asked, now_s: int) -> None:
    """Raises OfferError: ``bad_rate``, ``bad_costs``, ``bad_minimum``, ``bad_bond``, ``bad_close``."""
    if not 0 < asked.advance_rate_ppm <= PPM:
        raise OfferError("bad_rate", "the advance rate must be above 0 and at most 1")
    advance_fen = advance_fen_floor(face_fen, asked.advance_rate_ppm)
    check_lateness(face_fen - advance_fen, asked.costs_fen, asked.late_rate_ppm)
    if not 0 < asked.minimum_fen <= advance_fen:
        raise OfferError("bad_minimum", f"the least proceeds are above 0 and at most the advance, {advance_fen} fen")
    if not 0 < asked.bond_fen <= advance_fen:
        raise OfferError("bad_bond", f"the bond is above 0 and at most the advance, {advance_fen} fen")
    if not now_s < asked.closes_s <= now_s + MOST_OPEN_S:
        raise OfferError("bad_close", "an auction closes within seven days")


def _seen(connection: Connection, word: Word, number: int) -> Row[Any]:
    row = auction_store.seen(connection, word.viewer, number)
    if row is None:
        refuse("not_found", "there is no such auction")
    return row


def _check_buyer(connection: Connection, row: Row[Any], bank: int) -> None:
    owed = store.receivable(connection, row.receivable_id)
    assert owed is not None, "an auction is of a receivable"
    if bank in (owed.creditor, owed.debtor):
        refuse("own_receivable", "creditor and debtor do not finance their own receivable")


_TOO_LATE = {
    Phase.BIDDING: "auction_closed",
    Phase.REVEALING: "too_late",
    Phase.PAYING: "too_late",
}


def _check_phase(row: Row[Any], now_s: int, needed: Phase) -> None:
    """Raises RefusedError ``too_early``, ``auction_closed`` or ``too_late`` when something else is being done now."""
    now = phase(row.state, row.closes_s, row.pay_by_s, now_s)
    if now is needed:
        return
    order = list(Phase)
    code = "too_early" if order.index(now) < order.index(needed) else _TOO_LATE[needed]
    refuse(code, f"the auction is {now}")


def _send(connection: Connection, row: Row[Any], call: Call, now_s: int) -> None:
    if is_on_its_way(row):
        refuse("act_pending", "an act on this auction is on its way to the chain; look again when it is through")
    auction_store.note_act(connection, row.auction, outbox.put(connection, call), now_s)
