"""Fractions of a claim: split, transferred, merged, pledged; what is not allowed is refused by name."""

from collections.abc import Callable

import pytest

from finance import parts as fractions
from finance.parts import ClaimKind, Part, Parts, Payout
from finance.receivable import IllegalTransitionError
from finance.waterfall import Shares

BANK, OTHER, PLANT, HOME = 104, 105, 100, 101
HOLDER, RESIDUAL = ClaimKind.HOLDER, ClaimKind.RESIDUAL
PARTS: Parts = (Part(1, HOLDER, BANK, 9_000), Part(2, RESIDUAL, PLANT, 1_000))


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(IllegalTransitionError) as refused:
        act()
    return refused.value.code


def test_a_sale_makes_two_parts_of_one_or_one_when_all_is_advanced() -> None:
    whole: Parts = (Part(1, RESIDUAL, PLANT, 10_000),)
    assert fractions.sold(whole, BANK, 9_000) == PARTS
    assert fractions.sold(whole, BANK, 10_000) == (Part(1, HOLDER, BANK, 10_000),)


def test_a_part_is_split_sold_on_and_merged_again() -> None:
    cut = fractions.split(PARTS, 1, 3_000, BANK, next_number=3)
    assert cut == (Part(1, HOLDER, BANK, 6_000), PARTS[1], Part(3, HOLDER, BANK, 3_000))
    assert fractions.merge(cut, 1, 3, BANK) == PARTS
    assert fractions.merge(cut, 3, 1, BANK)[-1] == Part(3, HOLDER, BANK, 9_000)
    moved = fractions.transfer(cut, 3, 3_000, OTHER, BANK, next_number=4, may_hold=True)
    assert moved[-1] == Part(3, HOLDER, OTHER, 3_000)
    some = fractions.transfer(PARTS, 1, 500, OTHER, BANK, next_number=3, may_hold=True)
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
    halves = fractions.transfer(PARTS, 1, 4_500, OTHER, BANK, next_number=3, may_hold=True)
    assert [fractions.has_majority(PARTS, who) for who in (BANK, PLANT)] == [True, False]
    assert not any(fractions.has_majority(halves, who) for who in (BANK, OTHER, PLANT))
    assert fractions.has_majority(PARTS[1:], PLANT)


def test_what_parts_do_not_allow_is_refused_by_name() -> None:
    pledged = fractions.pledge(PARTS, 1, OTHER, BANK, is_bank=True)
    many = tuple(Part(n, HOLDER, BANK, 500) for n in range(1, 21))

    def move(parts: Parts, amount: int, to: int = OTHER, *, owner: int = BANK, may_hold: bool = True) -> Parts:
        return fractions.transfer(parts, 1, amount, to, owner, next_number=30, may_hold=may_hold)

    for act, code in (
        (lambda: fractions.split(PARTS, 9, 100, BANK, next_number=3), "no_such_part"),
        (lambda: fractions.split(PARTS, 1, 100, PLANT, next_number=3), "not_the_owner"),
        (lambda: fractions.split(PARTS, 1, 0, BANK, next_number=3), "bad_amount"),
        (lambda: fractions.split(PARTS, 1, -100, BANK, next_number=3), "bad_amount"),
        (lambda: fractions.split(PARTS, 1, 9_000, BANK, next_number=3), "bad_amount"),
        (lambda: fractions.split(PARTS, 1, 99, BANK, next_number=3), "dust_part"),
        (lambda: fractions.split(PARTS, 1, 8_901, BANK, next_number=3), "dust_part"),
        (lambda: fractions.split(many, 1, 100, BANK, next_number=30), "too_many_parts"),
        (lambda: fractions.split(pledged, 1, 100, BANK, next_number=3), "part_pledged"),
        (lambda: move(PARTS, 9_001), "bad_amount"),
        (lambda: move(PARTS, 50), "dust_part"),
        (lambda: move(PARTS, 9_000, BANK), "bad_transferee"),
        (lambda: move(PARTS, 9_000, HOME, may_hold=False), "bad_transferee"),
        (lambda: move(PARTS, 9_000, owner=OTHER), "not_the_owner"),
        (lambda: move(pledged, 9_000), "part_pledged"),
        (lambda: fractions.merge(PARTS, 1, 1, BANK), "not_mergeable"),
        (lambda: fractions.merge(PARTS, 1, 2, BANK), "not_the_owner"),
        (lambda: fractions.merge((PARTS[0]._replace(owner=PLANT), PARTS[1]), 1, 2, PLANT), "not_mergeable"),
        (lambda: fractions.pledge(pledged, 1, OTHER, BANK, is_bank=True), "part_pledged"),
        (lambda: fractions.pledge(PARTS, 1, HOME, BANK, is_bank=False), "not_a_bank"),
        (lambda: fractions.pledge(PARTS, 1, BANK, BANK, is_bank=True), "not_a_bank"),
        (lambda: fractions.release(PARTS, 1, BANK), "not_pledged"),
        (lambda: fractions.release(pledged, 1, BANK), "not_the_pledgee"),
    ):
        assert code_of(act) == code
