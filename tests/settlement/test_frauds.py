"""Frauds with receivables, tried on the contracts by name: what the field has lost money to, and where it ends here."""

import random

import pytest

from settlement import acts, merkle, part_acts, receivable_acts
from settlement.part_acts import TradeClaim
from settlement.receivable_acts import ChainState, Receivable
from tests.settlement.contract_bench import YUAN, public, sign
from tests.settlement.receivable_bench import DUE, TRADES, Owed, owed_at
from tests.settlement.sale_bench import ADVANCE, BANK, FACE, FACTORY, FEN, SECOND, SELLER, SHOP, TODAY, registration


def rooted(owed: Owed, period: int, trades: list[TradeClaim]) -> Receivable:
    return owed.receivable(period, trades_root=merkle.root([each.claim_leaf for each in trades]))


# ---------------------------------------------------------------------------------------------- the same debt twice


def test_the_same_period_twice() -> None:
    owed = owed_at()
    twins = [owed.receivable(11), owed.receivable(11, face_micro=2 * FACE, salt=b"\x09" * 32)]
    ids = [receivable_acts.receivable_id(each) for each in twins]
    owed.do(owed.issuing(11, merkle.root(ids), 2))
    owed.do(receivable_acts.materialise(twins[0], merkle.path(ids, 0)))
    assert owed.try_(receivable_acts.materialise(twins[1], merkle.path(ids, 1))) == "claimed_twice"
    assert owed.try_(owed.issuing(11, ids[1], 1)) == "period_not_ascending"


@pytest.mark.parametrize(
    "forged",
    [
        TRADES,
        TRADES[1:],
        [*TRADES[:2], TradeClaim(7_777, YUAN, bytes(32))],
        [TRADES[0]._replace(leaf=b"\x0f" * 32), *TRADES[1:]],
        [TRADES[0]._replace(amount_micro=99 * YUAN)],
        TRADES[2:],
    ],
    ids=["all of them", "one left out", "one exchanged", "another salt", "another amount", "the last alone"],
)
def test_the_same_trades_in_two_receivables(forged: list[TradeClaim]) -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.first = owed.issue(rooted(owed, 11, forged))
    owed.do(owed.acknowledging())
    assert owed.try_(part_acts.claim_trades(owed.first, 0, forged, [])) == "trade_claimed"
    assert owed.try_(owed.listing(owed.first)) == "trades_unclaimed"
    assert owed.try_(owed.pledging(1, SELLER)) == "trades_unclaimed"
    assert owed.try_(owed.transferring(1, FACE, SELLER, SHOP)) == "trades_unclaimed"
    assert owed.view(part_acts.claimant_of(7_777)) == bytes(32), "what failed left nothing behind"


def test_one_trade_twice_in_one_receivable() -> None:
    owed = owed_at()
    owed.first = owed.issue(rooted(owed, 11, [TRADES[0], TRADES[0]]))
    assert owed.try_(part_acts.claim_trades(owed.first, 0, [TRADES[0]] * 2, [])) == "trade_claimed"


def test_a_stranger_neither_squats_on_trades_nor_spoils_the_count() -> None:
    owed = owed_at(ChainState.ISSUED)
    wrong = TradeClaim(TRADES[1].trade_id, YUAN, bytes(32))
    leaves = [each.claim_leaf for each in TRADES]
    assert owed.try_(part_acts.claim_trades(owed.first, 0, [wrong], merkle.rest(leaves, 1))) == "wrong_trades"
    owed.do(part_acts.claim_trades(owed.first, 0, TRADES[:1], merkle.rest(leaves, 1)))  # as good as anybody's
    owed.do(owed.claiming())
    assert owed.view(part_acts.is_complete(owed.first))


# ---------------------------------------------------------------------------------------------------- pledging


def test_pledging_twice() -> None:
    owed = owed_at(ChainState.ACKNOWLEDGED)
    owed.do(owed.splitting(1, 40 * YUAN, SELLER))
    owed.do(owed.pledging(1, SELLER, BANK, number=b"\x0b" * 32))
    assert owed.try_(owed.pledging(1, SELLER, SECOND)) == "pledged"
    assert owed.try_(owed.pledging(2, SELLER, SECOND, number=b"\x0b" * 32)) == "registration_used"


def test_selling_what_is_pledged() -> None:
    owed = owed_at(ChainState.ACKNOWLEDGED)
    owed.do(owed.pledging(1, SELLER, BANK))
    assert owed.try_(owed.listing(owed.first)) == "not_whole"
    assert owed.try_(owed.transferring(1, FACE, SELLER, SHOP)) == "pledged"
    assert owed.try_(owed.transferring(1, YUAN, SELLER, SHOP)) == "pledged"
    assert owed.try_(owed.splitting(1, YUAN, SELLER)) == "pledged"


def test_selling_under_the_registration_of_a_pledge_and_pledging_under_that_of_a_sale() -> None:
    owed = owed_at(ChainState.LISTED)
    offer = owed.offer()
    owed.do(owed.financing(offer))
    assert owed.try_(owed.pledging(2, BANK, SECOND, number=offer.registration)) == "registration_used"
    owed.do(owed.pledging(2, BANK, SECOND, number=registration(999)))
    owed.first = owed.ids[1]  # another one that is listed
    assert owed.try_(owed.financing(owed.offer(registration=registration(999)))) == "registration_used"


def test_a_pledge_is_not_shaken_off_by_merging_paying_or_freezing() -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.do(owed.splitting(2, 40 * YUAN, BANK))
    owed.do(owed.pledging(2, BANK, SECOND))
    for act in (owed.merging(3, 2, BANK), owed.merging(2, 3, BANK), owed.releasing(2, by=BANK)):
        assert owed.try_(act) in {"pledged", "bad_signature"}
    owed.do(owed.repaying(30 * YUAN))
    owed.freeze(owed.first)
    assert owed.view(part_acts.part_of(owed.first, 2))[4] == SECOND


# ----------------------------------------------------------------------------------------------------- signatures


def test_acknowledging_with_a_key_that_was_rotated() -> None:
    owed = owed_at()
    new = public(4_242)
    once = owed.once()
    digest = acts.rotate_key_digest(owed.domain("Members"), FACTORY, new, **once)
    stale = owed.acknowledging()
    owed.do(acts.rotate_key(FACTORY, new, sign(FACTORY, digest), **once))
    assert owed.try_(stale) == "bad_signature"
    assert owed.claim().state == ChainState.ISSUED


def test_paying_a_strangers_receivable_to_get_at_its_residual() -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.do(owed.transferring(1, FACE - ADVANCE, SELLER, SHOP))
    owed.mint((SHOP, FACE))
    once = owed.once()
    for debtor in (SHOP, FACTORY):
        digest = receivable_acts.repay_digest(owed.here, owed.first, debtor, FACE, **once)
        assert owed.try_(receivable_acts.repay(owed.first, FACE, sign(SHOP, digest), **once)) == "bad_signature"
    assert owed.cash_of(SHOP) == FACE


def test_a_payment_is_not_sent_twice_nor_to_another_receivable() -> None:
    owed = owed_at(ChainState.FINANCED)
    paid = owed.repaying(YUAN)
    owed.do(paid)
    assert owed.try_(paid) == "nonce_used"
    second = owed.repaying(YUAN)
    elsewhere = second._replace(data=second.data[:4] + owed.ids[0] + second.data[36:])
    assert owed.try_(elsewhere) == "bad_signature"


# --------------------------------------------------------------------------------------------- what never was owed


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"due_day": TODAY - 1}, "due_before_issue"),
        ({"face_micro": 0}, "not_whole_fen"),
        ({"face_micro": FEN - 1}, "not_whole_fen"),
    ],
)
def test_terms_that_no_debt_has_even_when_operator_and_checker_sign_them(changed: dict[str, int], refusal: str) -> None:
    owed = owed_at()
    forged = owed.receivable(11)._replace(**changed)  # type: ignore[arg-type]
    owed.do(owed.issuing(11, receivable_acts.receivable_id(forged), 1))
    assert owed.try_(receivable_acts.materialise(forged, [])) == refusal


def test_a_creditor_does_not_call_off_what_is_acknowledged_nor_a_debtor_what_was_sold() -> None:
    assert (owed := owed_at(ChainState.ACKNOWLEDGED)).try_(owed.cancelling_it()) == "illegal_transition"
    for state in (ChainState.FINANCED, ChainState.PARTLY_PAID, ChainState.OVERDUE, ChainState.DEFAULTED):
        owed = owed_at(state)
        assert owed.try_(owed.disputing()) == "illegal_transition"
        assert owed.try_(owed.rejecting()) == "illegal_transition"


def test_a_minority_declares_no_default_and_the_creditor_none_against_its_bank() -> None:
    owed = owed_at(ChainState.OVERDUE)
    owed.do(owed.transferring(2, ADVANCE // 2, BANK, SECOND))
    owed.to_day(DUE + 31)
    for member in (SELLER, BANK, SECOND):
        assert owed.try_(owed.defaulting(member)) == "no_majority"


# --------------------------------------------------------------------------------------------------- rounding


def test_dust_splits() -> None:
    owed = owed_at(ChainState.FINANCED)
    for micro in (1, FEN, YUAN - FEN, ADVANCE - YUAN + FEN):
        assert owed.try_(owed.splitting(2, micro, BANK)) in {"not_whole_fen", "part_too_small"}


@pytest.mark.parametrize("seed", [1])
def test_nobody_gains_a_fen_by_many_splits_merges_and_odd_payments(seed: int) -> None:
    rng = random.Random(seed)
    owed = owed_at(ChainState.LISTED)
    owed.do(owed.financing(owed.offer()))
    owed.do(owed.transferring(2, 33 * YUAN + 33 * FEN, BANK, SECOND))
    owns = {BANK: ADVANCE - 33 * YUAN - 33 * FEN, SECOND: 33 * YUAN + 33 * FEN, SELLER: FACE - ADVANCE}
    before = {member: owed.cash_of(member) for member in owns}
    while parts := owed.parts():
        mine = [part for part in parts if part.owner == BANK]
        if len(mine) > 3:
            owed.do(owed.merging(mine[0].number, mine[-1].number, BANK))
        elif mine and mine[0].open_micro >= 3 * YUAN:
            owed.do(owed.splitting(mine[0].number, YUAN + rng.randint(0, 99) * FEN, BANK))
        left = sum(part.open_micro for part in owed.parts())
        owed.do(owed.repaying(min(left, rng.choice([33, 499, 997, 1_501]) * FEN)))
    assert {member: owed.cash_of(member) - micro for member, micro in before.items()} == owns
