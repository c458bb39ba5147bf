"""Auctions on the chain: bids that nobody reads before the close, bonds, the highest proceeds, winners that do not pay.

After every test the money in Sales is what the live bonds come to.
"""

from collections.abc import Iterator

import pytest

from settlement import acts, fate_acts, sale_acts
from settlement.acts import Role
from tests.settlement.contract_bench import GOVERNANCE, OPERATOR, REGULATOR, YUAN, sign
from tests.settlement.sale_bench import (
    ACKNOWLEDGED,
    ADVANCE,
    BANK,
    BANKS,
    BOND,
    DAY_S,
    DAYS,
    FACE,
    FACTORY,
    FEN,
    FINANCED,
    FORTUNE,
    HOUR_S,
    LISTED,
    MINIMUM,
    RESERVED,
    SECOND,
    SELLER,
    THIRD,
    Hidden,
    Sale,
    new_sale,
    registration,
)

OPEN, AWARDED, SETTLED, FAILED, CANCELLED = range(1, 6)


@pytest.fixture
def sale() -> Iterator[Sale]:
    sale = new_sale()
    yield sale
    ended = [event["auction"] for event in sale.named("AuctionEnded")]
    lost = [event["auction"] for event in sale.named("BondForfeited")]
    live = [each for each in sale.named("BidCommitted") if each["auction"] not in ended]
    assert sale.bonds == BOND * (len(live) - len([each for each in lost if each not in ended]))


# ----------------------------------------------------------------------------------------------- a whole one


def test_the_highest_proceeds_win_and_all_bonds_return(sale: Sale) -> None:
    number = sale.auction(75 * YUAN, 78 * YUAN, 77 * YUAN)
    assert sale.bonds == 3 * BOND and sale.standing() == LISTED
    sale.do(sale_acts.award(number))
    assert (sale.state(number), sale.standing()) == (AWARDED, RESERVED)
    sale.do(sale.settling(number, SECOND))
    assert (sale.state(number), sale.standing(), sale.bonds) == (SETTLED, FINANCED, 0)
    assert [sale.cash_of(each) for each in (BANK, SECOND, THIRD)] == [FORTUNE, FORTUNE - 78 * YUAN, FORTUNE]
    assert sale.cash_of(SELLER) == 78 * YUAN
    sold = {"receivable": sale.first, "bank": SECOND, "advance": ADVANCE, "proceeds": 78 * YUAN}
    assert sale.named("Financed") == [sold]


def test_of_equal_bids_the_earlier_commitment_wins(sale: Sale) -> None:
    number = sale.open()
    bids = [sale.commit(number, bank, 78 * YUAN) for bank in (THIRD, BANK)]
    sale.now_s += HOUR_S
    for bid in reversed(bids):
        sale.do(sale.revealing(bid))
    sale.now_s += HOUR_S
    sale.do(sale_acts.award(number))
    assert sale.named("Awarded")[-1]["bank"] == THIRD


def test_twenty_banks_bid_and_no_more(sale: Sale) -> None:
    banks = list(range(300, 321))
    sale.admit(*banks, roles=Role.BANK)
    sale.mint(*((bank, FORTUNE) for bank in banks))
    number = sale.open()
    bids = [sale.commit(number, bank, 70 * YUAN + bank * FEN) for bank in banks[:20]]
    assert sale.try_(sale.committing(sale.hidden(number, banks[20]))) == "auction_full"
    sale.now_s += HOUR_S
    for bid in bids:
        sale.do(sale.revealing(bid))
    sale.now_s += HOUR_S
    sale.do(sale_acts.award(number))
    assert sale.named("Awarded")[-1]["bank"] == 319
    sale.do(sale.settling(number, 319))
    assert sale.bonds == 0


def test_an_auction_without_bids_leaves_the_receivable_listed(sale: Sale) -> None:
    number = sale.auction()
    sale.do(sale_acts.award(number))
    assert (sale.state(number), sale.standing()) == (FAILED, LISTED)
    sale.do(sale.financing(sale.offer()))


# -------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"receivable_id": b"\1" * 32}, "not_listed"),
        ({"seller": BANK}, "not_the_creditor"),
        ({"advance_micro": FACE + FEN}, "advance_above_face"),
        ({"advance_micro": 90 * YUAN + FEN}, "advance_above_rate"),
        ({"advance_rate_ppm": 1_000_001}, "advance_above_rate"),
        ({"costs_micro": 20 * YUAN + FEN}, "costs_above_residual"),
        ({"late_rate_ppm": 240_001}, "rate_above_cap"),
        ({"year_days": 364}, "unknown_year"),
        ({"minimum_micro": 0}, "proceeds_out_of_range"),
        ({"minimum_micro": ADVANCE + FEN}, "proceeds_out_of_range"),
        ({"minimum_micro": MINIMUM + 1}, "not_whole_fen"),
        ({"bond_micro": 0}, "bond_out_of_range"),
        ({"bond_micro": ADVANCE + FEN}, "bond_out_of_range"),
        ({"bond_micro": BOND + 1}, "not_whole_fen"),
        ({"deadline_s": 1}, "deadline_passed"),
    ],
)
def test_an_auction_that_makes_no_sense_is_refused(sale: Sale, changed: dict[str, int], refusal: str) -> None:
    assert sale.try_(sale.calling(sale.opening(**changed))) == refusal


def test_an_auction_closes_within_seven_days_and_not_yet(sale: Sale) -> None:
    for closes_s in (sale.now_s, sale.now_s + 7 * DAY_S + 1):
        assert sale.try_(sale.calling(sale.opening(closes_s=closes_s))) == "close_out_of_range"
    sale.open(closes_s=sale.now_s + 7 * DAY_S)


def test_the_first_winner_has_time_to_pay_before_the_due_day(sale: Sale) -> None:
    last_s = (sale.now_s // DAY_S + DAYS) * DAY_S - 8 * HOUR_S - DAY_S - HOUR_S - 1
    sale.now_s = last_s - HOUR_S
    assert sale.try_(sale.calling(sale.opening(closes_s=last_s + 1))) == "close_out_of_range"
    sale.open(closes_s=last_s)


def test_only_the_seller_opens_and_only_once(sale: Sale) -> None:
    opening = sale.opening()
    assert sale.try_(sale.calling(opening, by=FACTORY)) == "bad_signature"
    sale.do(sale.calling(opening))
    assert sale.try_(sale.calling(opening)) == "auction_open"
    assert sale.try_(sale.calling(opening._replace(receivable_id=sale.ids[1]))) == "nonce_used"


def test_while_an_auction_runs_nothing_else_sells_or_withdraws_it(sale: Sale) -> None:
    sale.open()
    assert sale.try_(sale.financing(sale.offer())) == "auction_open"
    assert sale.try_(sale.drawing(sale.program())) == "auction_open"
    assert sale.try_(sale.listing(sale.first, False)) == "auction_open"
    assert sale.standing() == LISTED


def test_a_seller_cancels_before_the_first_commitment_only(sale: Sale) -> None:
    number = sale.open()
    assert sale.try_(sale.cancelling(number, by=BANK)) == "bad_signature"
    sale.do(sale.cancelling(number))
    assert sale.state(number) == CANCELLED
    assert sale.try_(sale.cancelling(number)) == "auction_not_open"
    assert sale.try_(sale.committing(sale.hidden(number, BANK))) == "auction_not_open"
    sale.do(sale.listing(sale.first, False))
    assert sale.standing() == ACKNOWLEDGED
    sale.do(sale.listing(sale.first))
    again = sale.open()
    sale.commit(again, BANK)
    assert sale.try_(sale.cancelling(again)) == "has_bids"


# --------------------------------------------------------------------------------------------------- bidding


def test_a_bid_after_the_close(sale: Sale) -> None:
    number = sale.open()
    sale.now_s += HOUR_S - 1
    sale.commit(number, BANK)
    sale.now_s += 1
    assert sale.try_(sale.committing(sale.hidden(number, SECOND))) == "auction_closed"


def test_a_bank_bids_once_and_signs_for_itself(sale: Sale) -> None:
    number = sale.open()
    bid = sale.hidden(number, BANK)
    assert sale.try_(sale.committing(bid, by=SECOND)) == "bad_signature"
    call = sale.committing(bid)
    sale.do(call)
    assert sale.try_(call) == "bid_twice"
    assert sale.try_(sale.committing(sale.hidden(number, BANK, 79 * YUAN))) == "bid_twice"
    assert sale.try_(sale.committing(bid, bank=SECOND, bid=bytes(32))) == "no_bid"


def test_a_commitment_replayed_into_another_auction(sale: Sale) -> None:
    first, second = sale.open(), sale.open(receivable_id=sale.ids[1])
    once = sale.once()
    bid = sale.hidden(first, BANK)
    digest = sale_acts.commit_bid_digest(sale.domain("Sales"), first, BANK, bid.hash, **once)
    signature = sign(BANK, digest)
    assert sale.try_(sale_acts.commit_bid(second, BANK, bid.hash, signature, **once)) == "bad_signature"
    sale.do(sale_acts.commit_bid(first, BANK, bid.hash, signature, **once))


def test_a_copied_commitment_is_worth_nothing(sale: Sale) -> None:
    """The copier can not show it: its own number is not in it. It loses its bond."""
    number = sale.open()
    bid = sale.commit(number, BANK)
    sale.do(sale.committing(bid, bank=SECOND))
    sale.now_s += HOUR_S
    sale.do(sale.revealing(bid))
    copied = Hidden(number, SECOND, bid.proceeds, bid.salt)
    assert sale.try_(sale.revealing(copied)) == "wrong_bid"
    sale.now_s += HOUR_S
    sale.do(sale_acts.award(number))
    assert sale.cash_of(SELLER) == BOND


def test_a_bank_without_the_role_and_one_that_gave_it_to_itself(sale: Sale) -> None:
    number = sale.open()
    sale.admit(400)
    sale.mint((400, FORTUNE))
    assert sale.try_(sale.committing(sale.hidden(number, 400))) == "not_a_bank"
    for signer in (400, OPERATOR):
        grant = sale.approve(signer, acts.grant_roles_digest(sale.domain("Members"), 400, Role.BANK, 0))
        assert sale.try_(acts.grant_roles(400, Role.BANK, 0, grant)) == "approvals_missing"
    assert sale.try_(sale.committing(sale.hidden(number, 400))) == "not_a_bank"
    granted = sale.approve(GOVERNANCE, acts.grant_roles_digest(sale.domain("Members"), 400, Role.BANK, 0))
    sale.do(acts.grant_roles(400, Role.BANK, 0, granted))
    sale.commit(number, 400)


def test_creditor_and_debtor_do_not_bid(sale: Sale) -> None:
    for index, member in enumerate((SELLER, FACTORY)):
        granted = sale.approve(GOVERNANCE, acts.grant_roles_digest(sale.domain("Members"), member, Role.BANK, index))
        sale.do(acts.grant_roles(member, Role.BANK, index, granted))
    number = sale.open()
    for member in (SELLER, FACTORY):
        assert sale.try_(sale.committing(sale.hidden(number, member))) == "own_receivable"


def test_a_bank_short_of_cash_does_not_bid(sale: Sale) -> None:
    sale.admit(400, roles=Role.BANK)
    sale.mint((400, BOND - 1))
    number = sale.open()
    assert sale.try_(sale.committing(sale.hidden(number, 400))) == "insufficient_cash"
    sale.mint((400, 1))
    sale.commit(number, 400)


# ------------------------------------------------------------------------------------------------- revealing


def test_a_reveal_too_early_and_too_late(sale: Sale) -> None:
    number = sale.open()
    bid = sale.commit(number, BANK)
    sale.now_s += HOUR_S - 1
    assert sale.try_(sale.revealing(bid)) == "too_early"
    sale.now_s += HOUR_S + 1
    assert sale.try_(sale.revealing(bid)) == "too_late"
    sale.do(sale_acts.award(number))
    assert (sale.state(number), sale.cash_of(SELLER), sale.cash_of(BANK)) == (FAILED, BOND, FORTUNE - BOND)


@pytest.mark.parametrize(
    ("proceeds", "refusal"),
    [
        (0, "proceeds_out_of_range"),
        (MINIMUM - FEN, "proceeds_out_of_range"),
        (ADVANCE + FEN, "proceeds_out_of_range"),
        (78 * YUAN + 1, "not_whole_fen"),
    ],
)
def test_a_bid_out_of_range_stays_unrevealed_and_costs_its_bond(sale: Sale, proceeds: int, refusal: str) -> None:
    number = sale.open()
    bid = sale.commit(number, BANK, proceeds)
    sale.now_s += HOUR_S
    assert sale.try_(sale.revealing(bid)) == refusal
    sale.now_s += HOUR_S
    sale.do(sale_acts.award(number))
    assert (sale.state(number), sale.cash_of(SELLER)) == (FAILED, BOND)


def test_what_is_revealed_is_what_was_committed(sale: Sale) -> None:
    number = sale.open()
    bid = sale.commit(number, BANK)
    sale.now_s += HOUR_S
    better = Hidden(number, BANK, 79 * YUAN, bid.salt)
    assert sale.try_(sale.revealing(better)) == "wrong_bid"
    assert sale.try_(sale.revealing(Hidden(number, BANK, bid.proceeds, b"\1" * 32))) == "wrong_bid"
    assert sale.try_(sale.revealing(sale.hidden(number, SECOND))) == "no_bid"
    sale.do(sale.revealing(bid))
    assert sale.try_(sale.revealing(bid)) == "revealed_twice"


# -------------------------------------------------------------------------------------------------- awarding


def test_an_award_comes_after_the_hour_and_once(sale: Sale) -> None:
    number = sale.open()
    bid = sale.commit(number, BANK)
    sale.now_s += HOUR_S
    sale.do(sale.revealing(bid))
    sale.now_s += HOUR_S - 1
    assert sale.try_(sale_acts.award(number)) == "too_early"
    sale.now_s += 1
    sale.do(sale_acts.award(number))
    assert sale.try_(sale_acts.award(number)) == "auction_not_open"
    assert sale.try_(sale_acts.award(number + 1)) == "auction_not_open"


def test_who_does_not_reveal_pays_its_bond_to_the_seller(sale: Sale) -> None:
    number = sale.open()
    low, high = sale.commit(number, BANK, 75 * YUAN), sale.commit(number, SECOND, 79 * YUAN)
    sale.now_s += HOUR_S
    sale.do(sale.revealing(low))
    sale.now_s += HOUR_S
    sale.do(sale_acts.award(number))
    assert high.bank not in [event["bank"] for event in sale.named("Awarded")]
    assert (sale.cash_of(SELLER), sale.bonds) == (BOND, BOND)
    sale.do(sale.settling(number, BANK))
    assert sale.cash_of(SELLER) == BOND + 75 * YUAN


@pytest.mark.parametrize("why", ["paid", "due", "receivable frozen", "seller frozen"])
def test_an_auction_of_what_can_no_longer_be_sold_fails_and_all_bonds_return(sale: Sale, why: str) -> None:
    if why == "due":
        sale.now_s += (DAYS - 3) * DAY_S
    number = sale.auction(75 * YUAN, 78 * YUAN)
    if why == "paid":
        sale.mint((FACTORY, FACE))
        sale.do(sale.repaying(FEN))
    elif why == "due":
        sale.now_s += 3 * DAY_S
    elif why == "seller frozen":
        frozen = sale.approve(REGULATOR, acts.freeze_digest(sale.domain("Members"), SELLER, True, 0))
        sale.do(acts.freeze(SELLER, True, 0, frozen))
    else:
        sale.freeze(sale.first)
    sale.do(sale_acts.award(number))
    assert (sale.state(number), sale.bonds) == (FAILED, 0)
    assert [sale.cash_of(each) for each in BANKS] == [FORTUNE] * 3
    assert not sale.view(sale_acts.has_auction(sale.first))


# --------------------------------------------------------------------------------------------------- settling


def test_only_the_winner_settles_and_in_time_and_once(sale: Sale) -> None:
    number = sale.auction(75 * YUAN, 78 * YUAN)
    assert sale.try_(sale.settling(number, SECOND)) == "not_awarded"
    sale.do(sale_acts.award(number))
    assert sale.try_(sale.settling(number, BANK)) == "bad_signature"
    assert sale.try_(sale.settling(number, SECOND, by=BANK)) == "bad_signature"
    settling = sale.settling(number, SECOND)
    sale.now_s += DAY_S + 1
    assert sale.try_(settling) == "too_late"
    sale.now_s -= 1
    sale.do(settling)
    assert sale.try_(settling) == "not_awarded"


def test_a_sale_needs_a_registration_that_no_other_sale_used(sale: Sale) -> None:
    sale.do(sale.financing(sale.offer(receivable_id=sale.ids[1], registration=registration(77))))
    number = sale.auction(75 * YUAN)
    sale.do(sale_acts.award(number))
    assert sale.try_(sale.settling(number, BANK, number=bytes(32))) == "registration_missing"
    assert sale.try_(sale.settling(number, BANK, number=registration(77))) == "registration_used"
    sale.do(sale.settling(number, BANK, number=registration(78)))


def test_a_winner_short_of_cash_gets_nothing_and_its_bond_counts(sale: Sale) -> None:
    number = sale.auction(75 * YUAN)
    sale.do(sale_acts.award(number))
    left = FORTUNE - BOND
    other = sale.opening(receivable_id=sale.ids[1], bond_micro=ADVANCE)
    sale.do(sale.calling(other))
    sale.pay_away(BANK, left - (75 * YUAN - BOND) + FEN)
    assert sale.try_(sale.settling(number, BANK)) == "insufficient_cash"
    assert (sale.state(number), sale.standing(), sale.bonds) == (AWARDED, RESERVED, BOND)
    sale.mint((BANK, FEN))
    sale.do(sale.settling(number, BANK))
    assert sale.cash_of(BANK) == 0


def test_a_winner_that_does_not_pay_and_the_next_until_nobody_is_left(sale: Sale) -> None:
    number = sale.auction(75 * YUAN, 78 * YUAN, 77 * YUAN)
    sale.do(sale_acts.award(number))
    lost = 0
    for winner in (SECOND, THIRD, BANK):
        assert sale.named("Awarded")[-1]["bank"] == winner
        sale.now_s += DAY_S
        assert sale.try_(sale_acts.lapse(number)) == "too_early"
        sale.now_s += 1
        sale.do(sale_acts.lapse(number))
        lost += BOND
        assert (sale.cash_of(SELLER), sale.bonds) == (lost, 3 * BOND - lost)
    assert (sale.state(number), sale.standing()) == (FAILED, LISTED)
    assert sale.try_(sale_acts.lapse(number)) == "not_awarded"
    sale.open()


def test_the_next_best_pays_what_it_bid_itself(sale: Sale) -> None:
    number = sale.auction(75 * YUAN, 78 * YUAN)
    sale.do(sale_acts.award(number))
    sale.now_s += DAY_S + 1
    assert sale.try_(sale.settling(number, SECOND)) == "too_late"
    sale.do(sale_acts.lapse(number))
    assert sale.try_(sale.settling(number, SECOND)) == "bad_signature"
    sale.do(sale.settling(number, BANK))
    assert (sale.cash_of(SELLER), sale.bonds) == (75 * YUAN + BOND, 0)


def test_a_winner_is_not_charged_for_a_seller_that_was_frozen(sale: Sale) -> None:
    number = sale.auction(75 * YUAN, 78 * YUAN)
    sale.do(sale_acts.award(number))
    frozen = sale.approve(REGULATOR, acts.freeze_digest(sale.domain("Members"), SELLER, True, 0))
    sale.do(acts.freeze(SELLER, True, 0, frozen))
    assert sale.try_(sale.settling(number, SECOND)) == "not_for_sale"
    sale.now_s += DAY_S + 1
    sale.do(sale_acts.lapse(number))
    assert (sale.state(number), sale.standing(), sale.bonds) == (FAILED, LISTED, 0)
    assert [sale.cash_of(each) for each in BANKS] == [FORTUNE] * 3


def test_a_winner_is_not_charged_for_a_receivable_that_was_frozen(sale: Sale) -> None:
    number = sale.auction(75 * YUAN, 78 * YUAN)
    sale.do(sale_acts.award(number))
    sale.freeze(sale.first)
    assert sale.try_(sale.settling(number, SECOND)) == "not_for_sale"
    sale.now_s += DAY_S + 1
    sale.do(sale_acts.lapse(number))
    assert (sale.state(number), sale.standing(), sale.bonds) == (FAILED, LISTED, 0)
    assert sale.try_(sale.financing(sale.offer())) == "receivable_frozen"


def test_a_receivable_that_falls_due_while_its_auction_runs(sale: Sale) -> None:
    """Anybody may say on the chain that it is due; the auction finds nothing to sell."""
    sale.now_s += (DAYS - 3) * DAY_S
    number = sale.auction(75 * YUAN)
    sale.now_s += 3 * DAY_S
    sale.do(fate_acts.mark_many([sale.first]))
    assert sale.standing() != LISTED
    sale.do(sale_acts.award(number))
    assert (sale.state(number), sale.bonds, sale.cash_of(BANK)) == (FAILED, 0, FORTUNE)


def test_a_debtor_does_not_dispute_what_is_up_for_auction(sale: Sale) -> None:
    sale.open()
    once = sale.once()
    digest = fate_acts.dispute_digest(sale.domain("Receivables"), sale.first, FACTORY, b"\1" * 32, **once)
    assert sale.try_(fate_acts.dispute(sale.first, b"\1" * 32, sign(FACTORY, digest), **once)) == "auction_open"


def test_a_winner_that_is_no_bank_any_more_does_not_buy(sale: Sale) -> None:
    number = sale.auction(75 * YUAN)
    sale.do(sale_acts.award(number))
    revoked = sale.approve(GOVERNANCE, acts.grant_roles_digest(sale.domain("Members"), BANK, 0, 0))
    sale.do(acts.grant_roles(BANK, 0, 0, revoked))
    assert sale.try_(sale.settling(number, BANK)) == "not_a_bank"
