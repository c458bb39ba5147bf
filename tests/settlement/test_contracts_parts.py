"""Parts of a receivable on the contracts: split, transferred, merged, pledged, and paid in proportion to the fen."""

import random
from collections.abc import Sequence

import pytest

from settlement import acts, fate_acts
from settlement.part_acts import LEAST_PART_MICRO, MOST_PARTS, Part
from settlement.receivable_acts import ChainState
from tests.settlement.contract_bench import REGULATOR, YUAN
from tests.settlement.receivable_bench import DUE, HOLDER, RESIDUAL, Owed, owed_at
from tests.settlement.sale_bench import ADVANCE, BANK, FACE, FACTORY, FEN, SECOND, SELLER, SHOP, THIRD

REST = FACE - ADVANCE


@pytest.fixture
def owed() -> Owed:
    """Financed: part 1 is the seller's residual of 20, part 2 the bank's 80."""
    return owed_at(ChainState.FINANCED)


def shown(owed: Owed) -> list[tuple[int, int, int]]:
    """Number, owner and what is open of each part."""
    return [(part.number, part.owner, part.open_micro) for part in owed.parts()]


def test_a_sale_leaves_two_parts_and_a_sale_of_everything_one(owed: Owed) -> None:
    assert owed.parts() == [Part(1, RESIDUAL, SELLER, REST, 0), Part(2, HOLDER, BANK, ADVANCE, 0)]
    whole = owed_at(ChainState.LISTED)
    whole.do(whole.financing(whole.offer(advance_rate_ppm=10**6, advance_micro=FACE)))
    assert whole.parts() == [Part(2, HOLDER, BANK, FACE, 0)]


def test_parts_are_split_transferred_and_merged_and_always_sum_to_the_whole(owed: Owed) -> None:
    owed.do(owed.splitting(2, 30 * YUAN, BANK))
    owed.do(owed.transferring(3, 10 * YUAN, BANK, SECOND))
    owed.do(owed.transferring(3, 20 * YUAN, BANK, THIRD))
    assert shown(owed) == [
        (1, SELLER, REST),
        (2, BANK, 50 * YUAN),
        (3, THIRD, 20 * YUAN),
        (4, SECOND, 10 * YUAN),
    ]
    owed.do(owed.transferring(4, 10 * YUAN, SECOND, THIRD))
    owed.do(owed.merging(3, 4, THIRD))
    assert shown(owed) == [(1, SELLER, REST), (2, BANK, 50 * YUAN), (3, THIRD, 30 * YUAN)]
    said = [(event["part"], event["before"], event["after"]) for event in owed.named("PartChanged")[-2:]]
    assert said == [(3, 20 * YUAN, 30 * YUAN), (4, 10 * YUAN, 0)]


def test_a_split_leaves_a_yuan_on_both_sides_and_at_most_twenty_parts(owed: Owed) -> None:
    for micro, refusal in (
        (LEAST_PART_MICRO - FEN, "part_too_small"),
        (ADVANCE - LEAST_PART_MICRO + FEN, "part_too_small"),
        (ADVANCE, "part_too_small"),
        (0, "part_too_small"),
        (YUAN + 1, "not_whole_fen"),
    ):
        assert owed.try_(owed.splitting(2, micro, BANK)) == refusal
    for _ in range(MOST_PARTS - 2):
        owed.do(owed.splitting(2, YUAN, BANK))
    assert owed.try_(owed.splitting(2, YUAN, BANK)) == "too_many_parts"
    assert owed.try_(owed.transferring(2, YUAN, BANK, SECOND)) == "too_many_parts"
    owed.do(owed.transferring(2, owed.parts()[1].open_micro, BANK, SECOND))


def test_who_may_own_what(owed: Owed) -> None:
    for to in (SHOP, FACTORY):
        assert owed.try_(owed.transferring(2, ADVANCE, BANK, to)) == "not_a_bank"
    assert owed.try_(owed.transferring(1, REST, SELLER, 999)) == "unknown_member"
    assert owed.try_(owed.transferring(7, REST, SELLER, SHOP)) == "no_such_part"
    assert owed.try_(owed.transferring(1, REST + FEN, SELLER, SHOP)) == "part_too_small"
    owed.do(owed.transferring(2, ADVANCE, BANK, SELLER))
    owed.do(owed.transferring(1, REST, SELLER, SHOP))
    assert shown(owed) == [(1, SHOP, REST), (2, SELLER, ADVANCE)]


def test_parts_of_two_claims_or_two_owners_do_not_merge(owed: Owed) -> None:
    owed.do(owed.transferring(2, 10 * YUAN, BANK, SELLER))
    for part, other, owner in ((1, 3, SELLER), (2, 3, BANK), (2, 2, BANK)):
        assert owed.try_(owed.merging(part, other, owner)) == "not_mergeable"


def test_what_is_pledged_stays_and_its_money_goes_to_the_pledgee(owed: Owed) -> None:
    assert owed.try_(owed.pledging(2, BANK, SHOP)) == "not_a_bank"
    assert owed.try_(owed.pledging(2, BANK, number=bytes(32))) == "registration_missing"
    owed.do(owed.splitting(2, 40 * YUAN, BANK))
    owed.do(owed.pledging(2, BANK, SECOND, number=b"\x0b" * 32))
    assert owed.try_(owed.pledging(3, BANK, SECOND, number=b"\x0b" * 32)) == "registration_used"
    for act in (
        owed.pledging(2, BANK, THIRD),
        owed.splitting(2, YUAN, BANK),
        owed.transferring(2, 40 * YUAN, BANK, SECOND),
        owed.merging(2, 3, BANK),
        owed.merging(3, 2, BANK),
    ):
        assert owed.try_(act) == "pledged"
    before = owed.cash_of(BANK), owed.cash_of(SECOND)
    owed.do(owed.repaying(21 * YUAN))
    assert (owed.cash_of(BANK) - before[0], owed.cash_of(SECOND) - before[1]) == (21 * YUAN // 2, 21 * YUAN // 2)
    assert owed.try_(owed.releasing(2, by=BANK)) == "bad_signature"
    owed.do(owed.releasing(2))
    assert owed.try_(owed.releasing(2)) == "not_pledged"
    owed.do(owed.merging(2, 3, BANK))


def test_a_frozen_receivable_is_paid_and_released_but_nothing_moves(owed: Owed) -> None:
    owed.do(owed.pledging(2, BANK))
    owed.freeze(owed.first)
    for act in (
        owed.splitting(1, YUAN, SELLER),
        owed.transferring(1, REST, SELLER, SHOP),
        owed.merging(1, 2, SELLER),
        owed.pledging(1, SELLER),
    ):
        assert owed.try_(act) == "receivable_frozen"
    owed.do(owed.repaying(YUAN))
    owed.do(owed.releasing(2))
    owed.freeze(owed.first, False)
    owed.do(owed.transferring(1, owed.parts()[0].open_micro, SELLER, SHOP))


def test_a_frozen_member_moves_nothing(owed: Owed) -> None:
    frozen = owed.approve(REGULATOR, acts.freeze_digest(owed.domain("Members"), BANK, True, 0))
    owed.do(acts.freeze(BANK, True, 0, frozen))
    assert owed.try_(owed.transferring(2, ADVANCE, BANK, SECOND)) == "member_frozen"


def test_parts_that_move_without_their_trades_claimed() -> None:
    owed = owed_at(ChainState.ISSUED)
    owed.do(owed.acknowledging())
    assert owed.try_(owed.transferring(1, FACE, SELLER, SHOP)) == "trades_unclaimed"
    assert owed.try_(owed.pledging(1, SELLER)) == "trades_unclaimed"


def lot_by_lot(opens: Sequence[int], paid_fen: int) -> list[int]:
    """Fen for each part, one by one: fen number j of p falls to the part that holds fen number ceil(j O / p) of O."""
    units = [part for part, fen in enumerate(opens) for _ in range(fen)]
    got = [0] * len(opens)
    for fen in range(1, paid_fen + 1):
        got[units[-(-fen * len(units) // paid_fen) - 1]] += 1
    return got


@pytest.mark.parametrize("seed", range(2))
def test_payments_are_shared_as_if_fen_by_fen(seed: int) -> None:
    rng = random.Random(seed)
    owed = owed_at(ChainState.FINANCED)
    owed.do(owed.repaying(YUAN))  # the costs
    for _ in range(rng.randint(2, 6)):
        part = rng.choice([each for each in owed.parts() if each.open_micro >= 3 * YUAN])
        micro = rng.randint(YUAN // FEN, (part.open_micro - YUAN) // FEN) * FEN
        to = rng.choice([BANK, SECOND, THIRD])
        owed.do(owed.transferring(part.number, micro, part.owner, to))
    while parts := owed.parts():
        claim = owed.claim()
        left = claim.advance_open_micro + claim.residual_open_micro
        paid = min(left, rng.randint(1, 4_000) * FEN)
        before = {member: owed.cash_of(member) for member in (SELLER, BANK, SECOND, THIRD)}
        owed.do(owed.repaying(paid))
        wanted = dict.fromkeys(before, 0)
        for kind, amount in ((HOLDER, min(paid, claim.advance_open_micro)), (RESIDUAL, None)):
            of_it = [part for part in parts if part.claim == kind]
            fen = (paid - min(paid, claim.advance_open_micro) if amount is None else amount) // FEN
            for part, got in zip(of_it, lot_by_lot([each.open_micro // FEN for each in of_it], fen), strict=True):
                wanted[part.owner] += got * FEN
        assert {member: owed.cash_of(member) - micro for member, micro in before.items()} == wanted
    assert owed.claim().state == ChainState.SETTLED


def test_a_pledge_ends_when_the_part_is_bought_back() -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.do(owed.pledging(2, BANK))
    owed.to_day(DUE + 4)
    owed.do(fate_acts.mark_many([owed.first]))
    owed.do(owed.demanding())
    before = owed.cash_of(SECOND)
    owed.do(owed.buying_back())
    assert owed.cash_of(SECOND) - before == owed.named("BoughtBack")[-1]["price"] > ADVANCE
    assert owed.parts()[1] == Part(2, HOLDER, SELLER, ADVANCE, 0)
