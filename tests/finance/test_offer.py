"""The arithmetic of an offer, by example and by property."""

from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data.units import UnitError
from finance import offer
from finance.calendar import DayCount
from finance.offer import OfferError, Quote, Terms, terms_of

FACES = st.integers(1, 10**12)
QUOTES = st.builds(
    Quote,
    advance_rate_ppm=st.integers(1, offer.PPM),
    rate_ppm=st.integers(0, offer.RATE_CAP_PPM),
    day_count=st.sampled_from(DayCount),
    fee_fen=st.integers(0, 10_000),
)
DAYS = st.integers(1, 184)


def terms_or_none(face_fen: int, quote: Quote, days: int) -> Terms | None:
    try:
        return terms_of(face_fen, quote, days)
    except OfferError as error:
        assert error.code == "no_proceeds"
        return None


def test_ninety_percent_at_4_35_percent_for_sixty_days() -> None:
    quote = Quote(900_000, 43_500, DayCount.ACT_360, fee_fen=500)
    terms = terms_of(1_000_001, quote, 60)  # 10,000.01 CNY
    assert terms == Terms(900_000, 6_525, 500, 892_975, 100_001)
    assert offer.yearly_cost_ppm_ceil(terms, 60) == 47_858


def test_the_advance_is_rounded_down_and_the_discount_up() -> None:
    terms = terms_of(99, Quote(900_000, 10_000, DayCount.ACT_365F, 0), 1)
    assert (terms.advance_fen, terms.discount_fen, terms.residual_fen) == (89, 1, 10)


def test_the_smallest_offer_brings_one_fen_and_the_dearest_costs_24_percent() -> None:
    assert terms_of(2, Quote(offer.PPM, 0, DayCount.ACT_360, fee_fen=1), 1).proceeds_fen == 1
    assert offer.parse_rate_ppm("0.24") == offer.RATE_CAP_PPM
    assert terms_of(100, Quote(offer.PPM, offer.RATE_CAP_PPM, DayCount.ACT_360, 0), 360).discount_fen == 24


def test_the_longer_year_is_the_cheaper_one() -> None:
    by_360, by_365 = (
        terms_of(10**8, Quote(900_000, 50_000, count, 0), 90) for count in (DayCount.ACT_360, DayCount.ACT_365F)
    )
    assert (by_360.discount_fen, by_365.discount_fen) == (1_125_000, 1_109_590)


def test_months_of_thirty_days_cost_the_same_every_month() -> None:
    quote = Quote(900_000, 50_000, DayCount.THIRTY_E_360, 0)
    spans = [(date(2026, 2, 15), date(2026, 3, 15)), (date(2026, 7, 15), date(2026, 8, 15))]
    assert {terms_of(10**8, quote, quote.day_count.days(*span)).discount_fen for span in spans} == {375_000}


@pytest.mark.parametrize(
    ("quote", "days", "code"),
    [
        (Quote(0, 0, DayCount.ACT_360, 0), 30, "bad_rate"),
        (Quote(1_000_001, 0, DayCount.ACT_360, 0), 30, "bad_rate"),
        (Quote(900_000, offer.RATE_CAP_PPM + 1, DayCount.ACT_360, 0), 30, "bad_rate"),
        (Quote(900_000, -1, DayCount.ACT_360, 0), 30, "bad_rate"),
        (Quote(900_000, 40_000, DayCount.ACT_360, -1), 30, "bad_fee"),
        (Quote(900_000, 40_000, DayCount.ACT_360, 0), 0, "past_due"),
        (Quote(900_000, 40_000, DayCount.ACT_360, 0), -3, "past_due"),
        (Quote(900_000, 0, DayCount.ACT_360, 9_000), 30, "no_proceeds"),
        (Quote(10, 0, DayCount.ACT_360, 0), 30, "no_proceeds"),
    ],
)
def test_a_quote_that_is_no_offer_is_refused_by_name(quote: Quote, days: int, code: str) -> None:
    with pytest.raises(OfferError) as refused:
        terms_of(10_000, quote, days)
    assert refused.value.code == code


@pytest.mark.parametrize(("text", "ppm"), [("0.90", 900_000), ("1", 1_000_000), ("0.0435", 43_500), ("0", 0)])
def test_rates_are_decimal_strings(text: str, ppm: int) -> None:
    assert offer.parse_rate_ppm(text) == ppm
    assert offer.parse_rate_ppm(offer.format_rate(ppm)) == ppm


@pytest.mark.parametrize("text", ["-0.01", "0.0000001", "4.35%", "1e-2", "NaN", ""])
def test_other_texts_are_no_rates(text: str) -> None:
    with pytest.raises(UnitError):
        offer.parse_rate_ppm(text)


@given(face=FACES, quote=QUOTES, days=DAYS)
def test_proceeds_discount_and_fee_are_the_advance_and_with_the_residual_the_face(
    face: int, quote: Quote, days: int
) -> None:
    terms = terms_or_none(face, quote, days)
    assume(terms is not None)
    assert terms is not None
    assert terms.proceeds_fen + terms.discount_fen + terms.fee_fen == terms.advance_fen
    assert terms.advance_fen + terms.residual_fen == face
    assert 0 < terms.proceeds_fen <= terms.advance_fen <= face


@given(face=FACES, quote=QUOTES, days=DAYS)
def test_the_advance_never_exceeds_its_rate_nor_is_a_fen_short(face: int, quote: Quote, days: int) -> None:
    """Invariant 6: financed <= advance rate x financeable value."""
    advance = offer.advance_fen_floor(face, quote.advance_rate_ppm)
    assert advance * offer.PPM <= face * quote.advance_rate_ppm < (advance + 1) * offer.PPM


@given(face=FACES, quote=QUOTES, days=DAYS)
def test_the_bank_is_never_a_fen_short_nor_a_fen_over(face: int, quote: Quote, days: int) -> None:
    advance = offer.advance_fen_floor(face, quote.advance_rate_ppm)
    discount = offer.interest_fen_ceil(advance, quote.rate_ppm, days, quote.day_count)
    year = offer.PPM * quote.day_count.year_days
    assert (discount - 1) * year < advance * quote.rate_ppm * days <= discount * year


@given(face=FACES, quote=QUOTES, days=DAYS, more_days=st.integers(0, 90), more_ppm=st.integers(0, 100_000))
def test_time_and_rate_only_make_it_dearer(face: int, quote: Quote, days: int, more_days: int, more_ppm: int) -> None:
    assume(quote.rate_ppm + more_ppm <= offer.RATE_CAP_PPM)
    near = terms_or_none(face, quote, days)
    later = terms_or_none(face, quote, days + more_days)
    dearer = terms_or_none(face, quote._replace(rate_ppm=quote.rate_ppm + more_ppm), days)
    for other in (later, dearer):
        if other is not None:
            assert near is not None
            assert other.discount_fen >= near.discount_fen
            assert other.proceeds_fen <= near.proceeds_fen
