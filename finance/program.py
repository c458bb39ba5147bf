"""A bank's standing program, on paper: its price table by rating and tenor, written out for each debtor; pure.

The bank says what it pays for which rating and tenor; the market knows the ratings and writes one row for each debtor
and tenor that the bank's criteria let in. The bank reads the rows and signs their root, so that neither can the
operator price for it nor do ratings stand on the chain: a seller sees the one row that it draws on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from finance.calendar import DayCount, days_between
from finance.offer import PPM, RATE_CAP_PPM, OfferError, Quote, Terms, terms_of
from settlement import merkle
from settlement.sale_acts import PriceRow, price_leaf

MOST_PRICES = 100
MOST_DAYS = 366
"""No tenor of a price table is longer: receivables fall due within six months."""


class Price(NamedTuple):
    """What a bank pays for debtors of a rating: the yearly rate for what falls due within so many days."""

    rating: str
    max_days: int
    rate_ppm: int


class Conditions(NamedTuple):
    """What a program gives beside its prices, the same for every draw."""

    advance_rate_ppm: int
    fee_fen: int
    year_days: int


def check_conditions(conditions: Conditions, prices: Sequence[Price], limit_fen: int, late_rate_ppm: int) -> None:
    """Raises OfferError: ``bad_rate``, ``bad_fee``, ``bad_limit``, ``bad_prices``."""
    if not 0 < conditions.advance_rate_ppm <= PPM:
        raise OfferError("bad_rate", "the advance rate must be above 0 and at most 1")
    if not 0 <= late_rate_ppm <= RATE_CAP_PPM:
        raise OfferError("bad_rate", "the late rate is above the cap")
    if conditions.fee_fen < 0:
        raise OfferError("bad_fee", "the fee must not be negative")
    if limit_fen <= 0:
        raise OfferError("bad_limit", "the limit must be above 0")
    if not 0 < len(prices) <= MOST_PRICES:
        raise OfferError("bad_prices", f"a price table has 1 to {MOST_PRICES} prices")
    for price in prices:
        if not 0 < price.max_days <= MOST_DAYS or not 0 <= price.rate_ppm <= RATE_CAP_PPM:
            raise OfferError("bad_prices", f"{price.rating} for {price.max_days} days is out of range")
    if len({(price.rating, price.max_days) for price in prices}) != len(prices):
        raise OfferError("bad_prices", "a rating and tenor is priced twice")


def rows_of(
    prices: Iterable[Price], ratings: Mapping[int, str], lets_in: Callable[[int], bool] = lambda _: True
) -> list[PriceRow]:
    """The table for each debtor that has a priced rating and that the criteria let in, by debtor and tenor."""
    by_rating: dict[str, list[Price]] = {}
    for price in prices:
        by_rating.setdefault(price.rating, []).append(price)
    return sorted(
        PriceRow(debtor, price.max_days, price.rate_ppm)
        for debtor, rating in ratings.items()
        if rating in by_rating and lets_in(debtor)
        for price in by_rating[rating]
    )


def root_of(rows: Sequence[PriceRow]) -> bytes:
    """What the bank signs for all rows together."""
    return merkle.root([price_leaf(row) for row in rows])


def path_of(rows: Sequence[PriceRow], row: PriceRow) -> merkle.Path:
    """From a row to the root."""
    return merkle.path([price_leaf(each) for each in rows], rows.index(row))


def best_row(rows: Iterable[PriceRow], debtor: int, days: int) -> PriceRow | None:
    """The cheapest row that takes what a debtor owes for so many days, of equals the shorter one."""
    fitting = [row for row in rows if row.debtor == debtor and row.max_days >= days]
    return min(fitting, key=lambda row: (row.rate_ppm, row.max_days), default=None)


def terms_of_draw(face_fen: int, conditions: Conditions, row: PriceRow, today: date, due_day: date) -> Terms:
    """What a draw comes to today, as the contract computes it. Raises OfferError as ``terms_of``."""
    quote = Quote(conditions.advance_rate_ppm, row.rate_ppm, DayCount(str(conditions.year_days)), conditions.fee_fen)
    return terms_of(face_fen, quote, days_between(today, due_day))
