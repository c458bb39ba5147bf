"""A bank's criteria: each failure by its name, at its own bound; concentration on a growing book, by an oracle."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.eligibility import CODES, EMPTY, Book, Candidate, Criteria, failures, in_order

PLAIN = Candidate(
    receivable_id=bytes(32),
    creditor=1,
    debtor=2,
    is_acknowledged=True,
    tenor_days=60,
    face_fen=10_000,
    exposure_fen=10_000,
    rating="A",
    overdue_fen=100,
    debt_fen=1_000,
    source="hydro",
    with_recourse=None,
    has_fapiao=True,
    has_registration=True,
)
NO_DEBT = PLAIN._replace(overdue_fen=0, debt_fen=0)


@pytest.mark.parametrize(
    ("criteria", "candidate", "expected"),
    [
        (Criteria(), PLAIN, []),
        (Criteria(), PLAIN._replace(is_acknowledged=False), ["not_acknowledged"]),
        (Criteria(acknowledged=False), PLAIN._replace(is_acknowledged=False), []),
        (Criteria(tenor_from_days=60, tenor_to_days=60), PLAIN, []),
        (Criteria(tenor_from_days=61), PLAIN, ["tenor_too_short"]),
        (Criteria(tenor_to_days=59), PLAIN, ["tenor_too_long"]),
        (Criteria(tenor_from_days=0), PLAIN._replace(tenor_days=-1), ["tenor_too_short"]),
        (Criteria(rating_at_least="A"), PLAIN, []),
        (Criteria(rating_at_least="BBB"), PLAIN, []),
        (Criteria(rating_at_least="AA"), PLAIN, ["rating_too_low"]),
        (Criteria(rating_at_least="D"), PLAIN._replace(rating=None), ["rating_missing"]),
        (Criteria(face_from_fen=10_000, face_to_fen=10_000), PLAIN, []),
        (Criteria(face_from_fen=10_001), PLAIN, ["too_small"]),
        (Criteria(face_to_fen=9_999), PLAIN, ["too_large"]),
        (Criteria(sources=("pv", "hydro")), PLAIN, []),
        (Criteria(sources=("pv",)), PLAIN, ["wrong_source"]),
        (Criteria(sources=("pv",)), PLAIN._replace(source=""), ["wrong_source"]),
        (Criteria(recourse="with"), PLAIN, []),
        (Criteria(recourse="with"), PLAIN._replace(with_recourse=True), []),
        (Criteria(recourse="with"), PLAIN._replace(with_recourse=False), ["wrong_recourse"]),
        (Criteria(recourse="without"), PLAIN._replace(with_recourse=True), ["wrong_recourse"]),
        (Criteria(fapiao=True, registry=True), PLAIN, []),
        (Criteria(fapiao=True), PLAIN._replace(has_fapiao=False), ["fapiao_missing"]),
        (Criteria(registry=True), PLAIN._replace(has_registration=False), ["registration_missing"]),
        (Criteria(cross_ageing_ppm=100_000), PLAIN, []),
        (Criteria(cross_ageing_ppm=99_999), PLAIN, ["cross_ageing"]),
        (Criteria(cross_ageing_ppm=0), NO_DEBT, []),
        (Criteria(debtor_share_ppm=1_000_000, seller_share_ppm=1_000_000), PLAIN, []),
        (Criteria(debtor_share_ppm=999_999), PLAIN, ["debtor_concentration"]),
        (Criteria(seller_share_ppm=999_999), PLAIN, ["seller_concentration"]),
        (Criteria(debtor_share_ppm=100_000, book_at_least_fen=100_000), PLAIN, []),
        (Criteria(debtor_share_ppm=100_000, book_at_least_fen=99_999), PLAIN, ["debtor_concentration"]),
    ],
)
def test_each_criterion_fails_by_its_name(criteria: Criteria, candidate: Candidate, expected: list[str]) -> None:
    failed = failures(criteria, candidate, EMPTY)
    assert [each.code for each in failed] == expected
    assert all(each.wanted and each.found for each in failed)


def test_all_failures_are_told_at_once_in_their_order() -> None:
    criteria = Criteria(
        tenor_from_days=61,
        rating_at_least="AA",
        debtor_share_ppm=1,
        seller_share_ppm=1,
        cross_ageing_ppm=1,
        face_from_fen=10_001,
        sources=("pv",),
        recourse="with",
        fapiao=True,
        registry=True,
    )
    bad = PLAIN._replace(is_acknowledged=False, with_recourse=False, has_fapiao=False, has_registration=False)
    codes = [each.code for each in failures(criteria, bad, EMPTY)]
    assert codes == [each for each in CODES if each in codes]
    assert set(CODES) - set(codes) == {"tenor_too_long", "rating_missing", "too_large"}


def test_what_is_overdue_of_a_debtor_is_not_told() -> None:
    (failed,) = failures(Criteria(cross_ageing_ppm=1), PLAIN, EMPTY)
    assert failed.found == "more"


def slowly(criteria: Criteria, held: list[Candidate], candidates: list[Candidate]) -> list[bool]:
    """Who is taken, with every sum made anew from all that is held, in exact fractions."""
    taken, book = [], list(held)
    for candidate in candidates:
        grown = [*book, candidate]
        whole = max(sum(each.exposure_fen for each in grown), criteria.book_at_least_fen)
        of_debtor = sum(each.exposure_fen for each in grown if each.debtor == candidate.debtor)
        of_seller = sum(each.exposure_fen for each in grown if each.creditor == candidate.creditor)
        limits = [(of_debtor, criteria.debtor_share_ppm), (of_seller, criteria.seller_share_ppm)]
        fits = all(most is None or Fraction(amount, whole) <= Fraction(most, 10**6) for amount, most in limits)
        taken.append(fits)
        if fits:
            book.append(candidate)
    return taken


@given(
    seed=st.integers(0, 2**32),
    shares=st.tuples(*[st.none() | st.sampled_from([1, 200_000, 333_333, 500_000, 1_000_000])] * 2),
    least_fen=st.sampled_from([0, 1_000, 100_000]),
    held=st.integers(0, 8),
    count=st.integers(1, 25),
)
def test_concentration_on_a_growing_book_is_what_the_slow_sums_say(
    seed: int, shares: tuple[int | None, int | None], least_fen: int, held: int, count: int
) -> None:
    chance = random.Random(seed)

    def some() -> Candidate:
        amount_fen = chance.choice([1, 999, 1_000, chance.randrange(1, 50_000)])
        return PLAIN._replace(creditor=chance.randrange(3), debtor=chance.randrange(4), exposure_fen=amount_fen)

    before, candidates = [some() for _ in range(held)], [some() for _ in range(count)]
    book = EMPTY
    for each in before:
        book = book.with_candidate(each)
    criteria = Criteria(debtor_share_ppm=shares[0], seller_share_ppm=shares[1], book_at_least_fen=least_fen)
    taken = [not failed for _, failed in in_order(criteria, candidates, book)]
    assert taken == slowly(criteria, before, candidates)


def test_the_book_that_a_candidate_is_held_against_is_not_changed() -> None:
    book = Book({2: 5}, {1: 5}, 5)
    assert book.with_candidate(PLAIN) == Book({2: 10_005}, {1: 10_005}, 10_005)
    assert book == Book({2: 5}, {1: 5}, 5)
