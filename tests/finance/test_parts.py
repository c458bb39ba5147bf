"""Fractions of a claim: split, transferred, merged, pledged; what is not allowed is refused by name."""

from collections.abc import Callable

import pytest

from finance import parts as fractions
from finance.parts import ClaimKind, Part, Parts, Payout, Transferee
from finance.receivable import IllegalTransitionError
from finance.waterfall import Shares

BANK, OTHER, PLANT, HOME = 104, 105, 100, 101
HOLDER, RESIDUAL = ClaimKind.HOLDER, ClaimKind.RESIDUAL
TO_OTHER = Transferee(OTHER, is_bank=True)
PARTS: Parts = (Part(1, HOLDER, BANK, 9_000), Part(2, RESIDUAL, PLANT, 1_000))


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(IllegalTransitionError) as refused:
        act()
    return refused.value.code


def test_a_sale_makes_two_parts_of_one_or_one_when_all_is_advanced() -> None:
    whole: Parts = (Part(1, RESIDUAL, PLANT, 10_000),)
    sold = fractions.sold(whole, BANK, 9_000, next_number=2)
    assert sold == (Part(1, RESIDUAL, PLANT, 1_000), Part(2, HOLDER, BANK, 9_000))
    assert fractions.sold(whole, BANK, 10_000, next_number=2) == (Part(2, HOLDER, BANK, 10_000),)


def test_a_part_is_split_sold_on_and_merged_again() -> None:
    cut = fractions.split(PARTS, 1, 3_000, BANK, next_number=3)
    assert cut == (Part(1, HOLDER, BANK, 6_000), PARTS[1], Part(3, HOLDER, BANK, 3_000))
    assert fractions.merge(cut, 1, 3, BANK) == PARTS
    assert fractions.merge(cut, 3, 1, BANK)[-1] == Part(3, HOLDER, BANK, 9_000)
    moved = fractions.transfer(cut, 3, 3_000, TO_OTHER, BANK, next_number=4)
    assert moved[-1] == Part(3, HOLDER, OTHER, 3_000)
    some = fractions.transfer(PARTS, 1, 500, TO_OTHER, BANK, next_number=3)
    assert some == (Part(1, HOLDER, BANK, 8_500), PARTS[1], Part(3, HOLDER, OTHER, 500))


def test_money_on_a_pledged_part_goes_to_the_pledgee_until_it_is_released() -> None:
    pledged = fractions.pledge(PARTS, 2, OTHER, PLANT, is_bank=True)
    after, payouts = fractions.paid(pledged, Shares(0, 0, 9_000, 400))
    assert payouts == [Payout(1, BANK, 9_000), Payout(2, OTHER, 400)]
    assert after == (Part(2, RESIDUAL, PLANT, 600, OTHER),)
    assert fractions.release(after, 2, OTHER) == (Part(2, RESIDUAL, PLANT, 600),)


def test_costs_and_interest_come_out_of_the_residual_parts_and_go_to_the_holders() -> None:
    four: Parts = (
        Part(1, HOLDER, BANK, 200),
        Part(2, RESIDUAL, PLANT, 150),
        Part(3, HOLDER, OTHER, 100),
        Part(4, RESIDUAL, HOME, 150),
    )
    after, payouts = fractions.paid(four, Shares(30, 71, 300, 99))
    assert [each.amount_fen for each in payouts] == [267, 134, 49, 50]  # 401 two to one; 99 over what is left
    assert after == (Part(2, RESIDUAL, PLANT, 51), Part(4, RESIDUAL, HOME, 49))


def test_bought_back_the_holders_parts_are_the_sellers_and_free() -> None:
    pledged = fractions.pledge(PARTS, 1, OTHER, BANK, is_bank=True)
    after, payouts = fractions.bought_back(pledged, PLANT, 9_100)
    assert (after[0], payouts) == (Part(1, HOLDER, PLANT, 9_000), [Payout(1, OTHER, 9_100)])


def test_the_majority_is_more_than_half_of_the_holders_claim_or_else_of_the_residual() -> None:
    halves = fractions.transfer(PARTS, 1, 4_500, TO_OTHER, BANK, next_number=3)
    assert [fractions.have_majority(PARTS, [who]) for who in (BANK, PLANT)] == [True, False]
    assert not any(fractions.have_majority(halves, [who]) for who in (BANK, OTHER, PLANT))
    assert fractions.have_majority(halves, [BANK, OTHER])
    assert fractions.have_majority(PARTS[1:], [PLANT])


def test_what_parts_do_not_allow_is_refused_by_name() -> None:
    pledged = fractions.pledge(PARTS, 1, OTHER, BANK, is_bank=True)
    many = tuple(Part(n, HOLDER, BANK, 500) for n in range(1, 21))

    def move(parts: Parts, amount: int, to: Transferee = TO_OTHER, owner: int = BANK, part: int = 1) -> Parts:
        return fractions.transfer(parts, part, amount, to, owner, next_number=30)

    for act, code in (
        (lambda: fractions.split(PARTS, 9, 100, BANK, next_number=3), "no_such_part"),
        (lambda: fractions.split(PARTS, 1, 100, PLANT, next_number=3), "not_the_owner"),
        (lambda: fractions.split(PARTS, 1, 0, BANK, next_number=3), "bad_amount"),
        (lambda: fractions.split(PARTS, 1, -100, BANK, next_number=3), "bad_amount"),
        (lambda: fractions.split(PARTS, 1, 9_000, BANK, next_number=3), "bad_amount"),
        (lambda: fractions.split(PARTS, 1, 99, BANK, next_number=3), "part_too_small"),
        (lambda: fractions.split(PARTS, 1, 8_901, BANK, next_number=3), "part_too_small"),
        (lambda: fractions.split(many, 1, 100, BANK, next_number=30), "too_many_parts"),
        (lambda: fractions.split(pledged, 1, 100, BANK, next_number=3), "pledged"),
        (lambda: move(PARTS, 9_001), "bad_amount"),
        (lambda: move(PARTS, 50), "part_too_small"),
        (lambda: move(PARTS, 9_000, Transferee(HOME)), "not_a_bank"),
        (lambda: move(PARTS, 1_000, Transferee(HOME, is_member=False), PLANT, 2), "unknown_member"),
        (lambda: move(PARTS, 9_000, owner=OTHER), "not_the_owner"),
        (lambda: move(pledged, 9_000), "pledged"),
        (lambda: fractions.merge(PARTS, 1, 1, BANK), "not_mergeable"),
        (lambda: fractions.merge(PARTS, 1, 2, BANK), "not_the_owner"),
        (lambda: fractions.merge((PARTS[0]._replace(owner=PLANT), PARTS[1]), 1, 2, PLANT), "not_mergeable"),
        (lambda: fractions.pledge(pledged, 1, OTHER, BANK, is_bank=True), "pledged"),
        (lambda: fractions.pledge(PARTS, 1, HOME, BANK, is_bank=False), "not_a_bank"),
        (lambda: fractions.release(PARTS, 1, BANK), "not_pledged"),
        (lambda: fractions.release(pledged, 1, BANK), "not_the_pledgee"),
    ):
        assert code_of(act) == code
