"""A bank's offers: computed from its quote by the same arithmetic on both sides, signed over amounts, kept until taken.

The bank computes ``offer.terms_of`` itself and signs ``sale_acts.offer_digest`` over what comes out; the market
computes it again from the quote and checks the signature over its own figures. Interest runs from today, by the
market's clock and calendar, to the due day.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row

from data.units import MICRO_PER_FEN
from finance import parts_store, store
from finance.book import (
    RefusedError,
    Word,
    check_no_auction,
    check_signature,
    check_word,
    explain,
    is_repeat,
    refuse,
    send,
)
from finance.calendar import DayCount
from finance.life import AcknowledgedReceivable, Sale, Signed
from finance.offer import Quote, Terms, check_lateness, format_rate, parse_rate_ppm, terms_of
from finance.outside import Outside
from finance.receivable import Act, State, check_transition
from finance.waterfall import Lateness
from settlement import calendar, sale_acts
from settlement.intents import Domain
from settlement.sale_acts import Offer

MOST_OPEN = 10
"""So many open offers a bank may have on one receivable."""


class QuotedTerms(msgspec.Struct, frozen=True):
    """A quote as it is kept beside the amounts that it came to. Advance rate and the days of a year are signed too.

    ``days`` are counted as ``days_basis`` says.
    """

    advance_rate: str
    rate: str
    days_basis: str
    days: int


class Added(NamedTuple):
    """What the bank is owed on top when it is paid late, whether the seller buys it back, and where it is registered.

    ``registration`` is the hash of the number that the registry gave the bank for this sale.
    """

    costs_fen: int
    late_rate_ppm: int
    with_recourse: bool
    registration: bytes


@dataclass(frozen=True, slots=True)
class OfferBook:
    """``domain`` is that of Sales; ``outside`` is asked before a sale."""

    domain: Domain
    time_zone: str
    outside: Outside = field(default_factory=Outside)

    def make(
        self, connection: Connection, word: Word, receivable_id: bytes, quote: Quote, added: Added, *, now_s: int
    ) -> int:
        """A bank offers on a listed receivable; returns the offer's id. The same offer again gives the same id.

        Within the caller's writing transaction. Raises RefusedError, IllegalTransitionError, OfferError.
        """
        row = store.receivable(connection, receivable_id)
        if row is None or not word.viewer.may_see(row):
            refuse("not_found", "there is no such receivable")
        if word.member in (row.creditor, row.debtor):
            refuse("own_receivable", "creditor and debtor do not finance their own receivable")
        check_transition(State(row.state), Act.FINANCE)
        if word.deadline_s < now_s:
            refuse("deadline_passed", "the deadline is over by the market's clock")
        again = store.offer_by_nonce(connection, word.member, word.nonce)
        if again is not None:
            return _same_offer(again, row, word)
        days = quote.day_count.days(calendar.day_of(now_s, self.time_zone), date.fromisoformat(row.due_day))
        terms = terms_of(row.face_fen, quote, days)
        check_lateness(terms.residual_fen, added.costs_fen, added.late_rate_ppm)
        columns = _offer_row(word, receivable_id, _quoted(quote, days), terms, added)
        self._check_signature(connection, word, signed_offer(columns), terms, days)
        if store.open_offers_of(connection, word.member, receivable_id, now_s) >= MOST_OPEN:
            refuse("too_many", f"you have {MOST_OPEN} open offers on this receivable")
        return store.add_offer(connection, columns | {"made_s": now_s})

    def accept(self, connection: Connection, word: Word, offer_id: int, now_s: int) -> Row[Any]:
        """The creditor takes an offer: proceeds against claim in one transaction. Returns the offer."""
        offer = store.offer(connection, offer_id)
        row = None if offer is None else store.receivable(connection, offer.receivable_id)
        if offer is None or row is None or word.member not in (row.creditor, offer.bank):
            refuse("not_found", "there is no such offer")
        on_chain = chain_offer(offer)
        terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
        digest = sale_acts.acceptance_digest(self.domain, on_chain, word.member, **terms)
        call = sale_acts.finance(
            on_chain,
            offer.signature,
            word.signature,
            seller_nonce=word.nonce,
            seller_deadline_s=word.deadline_s,
        )
        if is_repeat([row], call):
            return offer
        value = parts_store.value_of(connection, row)
        if not isinstance(value, AcknowledgedReceivable):
            explain(row, Act.FINANCE)
        sale = sale_of(offer.receivable_id, on_chain)
        value.finance(sale, Signed(row.receivable_id, word.member))
        check_no_auction(connection, row.receivable_id)
        if offer.state != "open" or offer.expires_s < now_s:
            refuse("not_open", "the offer has lapsed")
        check_word(connection, word, digest, now_s)
        if store.free_cash_micro(connection, offer.bank) < on_chain.proceeds_micro:
            refuse("insufficient_cash", "the bank does not hold the proceeds now")
        barred = self.outside.sale_refusal(connection, row, offer.bank, offer.registration, now_s)
        if barred is not None:
            refuse(*barred)
        send(connection, [row], Act.FINANCE, call)
        return offer

    def _check_signature(self, connection: Connection, word: Word, offer: Offer, terms: Terms, days: int) -> None:
        try:
            check_signature(connection, word.member, sale_acts.offer_digest(self.domain, offer), word.signature)
        except RefusedError as error:
            reason = (
                f"{error}: an advance of {terms.advance_fen} fen and proceeds of {terms.proceeds_fen} fen, "
                f"{days} days before it falls due"
            )
            raise RefusedError(error.code, reason) from error


def sale_of(receivable_id: bytes, offer: Offer) -> Sale:
    """What an offer makes of its receivable when it is taken."""
    return Sale(
        receivable_id,
        offer.bank,
        offer.advance_micro // MICRO_PER_FEN,
        offer.proceeds_micro // MICRO_PER_FEN,
        offer.costs_micro // MICRO_PER_FEN,
        Lateness(offer.late_rate_ppm, offer.year_days),
        offer.with_recourse,
    )


def _same_offer(again: Row[Any], row: Row[Any], word: Word) -> int:
    """The id of an offer that was made before, if this is the same one."""
    if again.receivable_id != row.receivable_id or again.signature != word.signature:
        refuse("nonce_used", "you signed another offer with this nonce")
    offer_id: int = again.offer_id
    return offer_id


def _quoted(quote: Quote, days: int) -> QuotedTerms:
    return QuotedTerms(format_rate(quote.advance_rate_ppm), format_rate(quote.rate_ppm), quote.day_count.value, days)


def _offer_row(word: Word, receivable_id: bytes, quoted: QuotedTerms, terms: Terms, added: Added) -> dict[str, Any]:
    return {
        "receivable_id": receivable_id,
        "bank": word.member,
        "advance_fen": terms.advance_fen,
        "discount_fen": terms.discount_fen,
        "fee_fen": terms.fee_fen,
        "proceeds_fen": terms.proceeds_fen,
        "terms": msgspec.json.encode(quoted).decode(),
        "nonce": word.nonce,
        "expires_s": word.deadline_s,
        "signature": word.signature,
        "state": "open",
        **added._asdict(),
    }


def chain_offer(offer: Row[Any]) -> Offer:
    """A row of ``offers`` as the bank signed it."""
    return signed_offer(offer._asdict())


def signed_offer(columns: Mapping[str, Any]) -> Offer:
    """The columns of an offer as the bank signs them."""
    quoted = msgspec.json.decode(columns["terms"], type=QuotedTerms)
    return Offer(
        receivable_id=columns["receivable_id"],
        bank=columns["bank"],
        advance_rate_ppm=parse_rate_ppm(quoted.advance_rate),
        advance_micro=columns["advance_fen"] * MICRO_PER_FEN,
        proceeds_micro=columns["proceeds_fen"] * MICRO_PER_FEN,
        costs_micro=columns["costs_fen"] * MICRO_PER_FEN,
        late_rate_ppm=columns["late_rate_ppm"],
        year_days=DayCount(quoted.days_basis).year_days,
        with_recourse=bool(columns["with_recourse"]),
        registration=columns["registration"],
        nonce=columns["nonce"],
        deadline_s=columns["expires_s"],
    )
