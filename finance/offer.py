"""What a bank's offer on a receivable comes to, to the fen.

``advance = face x advance rate`` rounded down; ``discount = advance x rate x days / year`` rounded up;
``proceeds = advance - discount - fee``: what the seller gets today. What happens at maturity is in ``waterfall.py``.
Bank and market compute the same figures from the same quote, because both run this module; the signed offer then holds
amounts, never rates.

Rates are decimal strings outside ("0.90", "0.0435" a year) and whole parts per million inside.
"""

from typing import NamedTuple

from data.units import UnitError, format_steps, parse_steps
from finance.calendar import DayCount

PPM = 1_000_000
RATE_DECIMALS = 6
RATE_CAP_PPM = 24 * PPM // 100
"""The dearest yearly rate taken, 24 % (an assumption): a quote above it is more likely a misplaced decimal point."""


class OfferError(ValueError):
    """A quote that comes to no offer. ``code`` is stable, the message says why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Quote(NamedTuple):
    """What a bank quotes: rates in parts per million, the yearly one on ``day_count``, and a flat fee.

    The days that its yearly rate runs are ``day_count.days(today, due day)``.
    """

    advance_rate_ppm: int
    rate_ppm: int
    day_count: DayCount
    fee_fen: int


class Terms(NamedTuple):
    """What a quote comes to: ``proceeds + discount + fee = advance`` and ``advance + residual = face``."""

    advance_fen: int
    discount_fen: int
    fee_fen: int
    proceeds_fen: int
    residual_fen: int


def parse_rate_ppm(text: str) -> int:
    """A rate as a decimal string with at most six places, ``"0.0435"``, to parts per million. Raises UnitError."""
    ppm = parse_steps(text, RATE_DECIMALS)
    if ppm < 0:
        raise UnitError(f"{text!r} is below zero")
    return ppm


def format_rate(rate_ppm: int) -> str:
    """Parts per million to a decimal string with six places."""
    return format_steps(rate_ppm, RATE_DECIMALS)


def advance_fen_floor(face_fen: int, advance_rate_ppm: int) -> int:
    return face_fen * advance_rate_ppm // PPM


def interest_fen_ceil(principal_fen: int, rate_ppm: int, days: int, day_count: DayCount) -> int:
    """Simple interest for whole days, rounded up to the fen."""
    return -(-principal_fen * rate_ppm * days // (PPM * day_count.year_days))


def terms_of(face_fen: int, quote: Quote, days: int) -> Terms:
    """What a quote comes to on a face value, ``days`` (as the quote counts them) before it falls due.

    Raises OfferError: ``bad_rate`` (advance rate outside (0, 1], yearly rate above the cap), ``bad_fee``,
    ``past_due`` (no day is left), ``no_proceeds`` (advance, discount and fee leave the seller nothing).
    """
    if not 0 < quote.advance_rate_ppm <= PPM:
        raise OfferError("bad_rate", "the advance rate must be above 0 and at most 1")
    if not 0 <= quote.rate_ppm <= RATE_CAP_PPM:
        raise OfferError("bad_rate", f"the yearly rate must be between 0 and {format_rate(RATE_CAP_PPM)}")
    if quote.fee_fen < 0:
        raise OfferError("bad_fee", "the fee must not be negative")
    if days < 1:
        raise OfferError(
            "past_due", "by this day count the receivable falls due today or did before: there is nothing to advance"
        )
    advance = advance_fen_floor(face_fen, quote.advance_rate_ppm)
    discount = interest_fen_ceil(advance, quote.rate_ppm, days, quote.day_count)
    proceeds = advance - discount - quote.fee_fen
    if proceeds <= 0:
        raise OfferError("no_proceeds", "discount and fee take the whole advance")
    return Terms(advance, discount, quote.fee_fen, proceeds, face_fen - advance)


def check_lateness(residual_fen: int, costs_fen: int, late_rate_ppm: int) -> None:
    """What an offer may add when its receivable is paid late: it comes out of the residual and out of nothing else.

    Raises OfferError: ``bad_costs`` (below zero, or above the residual), ``bad_rate`` (outside the cap).
    """
    if not 0 <= costs_fen <= residual_fen:
        raise OfferError("bad_costs", f"costs are between 0 and the residual, {residual_fen} fen")
    if not 0 <= late_rate_ppm <= RATE_CAP_PPM:
        raise OfferError("bad_rate", f"the late rate must be between 0 and {format_rate(RATE_CAP_PPM)}")


def yearly_cost_ppm_ceil(terms: Terms, days: int) -> int:
    """What the seller pays for its money as a simple yearly rate on the proceeds, ACT/365, rounded up: for display."""
    cost = terms.discount_fen + terms.fee_fen
    return -(-cost * PPM * DayCount.ACT_365F.year_days // (terms.proceeds_fen * days))
