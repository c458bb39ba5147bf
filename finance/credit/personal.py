"""What a receivable would cost its seller now, at the card's suggestion for its debtor. Pure.

The suggestion is no offer: no bank has said it. It tells a seller whether an offer is dear, and a bank where others may
stand.
"""

from datetime import date
from typing import NamedTuple

from finance.calendar import DayCount, days_between
from finance.credit.card import Card, rate_ppm
from finance.offer import OfferError, Quote, Terms, terms_of
from finance.receivable import State

SALEABLE = (State.ISSUED, State.ACKNOWLEDGED, State.LISTED)
"""What a creditor still has whole, and could sell once it is acknowledged and listed."""


class Suggested(NamedTuple):
    """The card's rate for the debtor and the days that are left, and what it comes to; without a fee."""

    rate_ppm: int
    days: int
    terms: Terms


def suggested(card: Card, rating: str, face_fen: int, due_day: date, today: date) -> Suggested | str:
    """What a sale would come to today, or the code of why there is no price: ``past_due``, ``not_financed`` (the
    debtor's rating has none, or so many days have none), ``too_small``."""
    days = days_between(today, due_day)
    if days < 1:
        return "past_due"
    rate = rate_ppm(card, rating, days)
    if rate is None:
        return "not_financed"
    quote = Quote(card.by_rating[rating].advance_ppm, rate, DayCount.ACT_360, 0)
    try:
        return Suggested(rate, days, terms_of(face_fen, quote, days))
    except OfferError:
        return "too_small"
