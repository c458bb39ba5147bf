"""Direct offers and programs on the chain: money one way and the claim the other, to the fen, or neither."""

from datetime import date, timedelta
from typing import Any

import pytest

from finance.calendar import DayCount
from finance.offer import Quote, terms_of
from settlement import sale_acts
from settlement.sale_acts import PriceRow
from tests.settlement.contract_bench import YUAN
from tests.settlement.sale_bench import (
    ADVANCE,
    BANK,
    DAY_S,
    DAYS,
    FACE,
    FACTORY,
    FEN,
    FINANCED,
    FORTUNE,
    LISTED,
    ROWS,
    SECOND,
    SELLER,
    Sale,
    new_sale,
    registration,
)


@pytest.fixture
def sale() -> Sale:
    return new_sale()


# --------------------------------------------------------------------------------------------- direct offers


def test_money_one_way_and_the_claim_the_other(sale: Sale) -> None:
    sale.do(sale.financing(sale.offer()))
    assert (sale.cash_of(BANK), sale.cash_of(SELLER)) == (FORTUNE - 78 * YUAN, 78 * YUAN)
    assert (sale.standing(), sale.bonds) == (FINANCED, 0)
    sold = {"receivable": sale.first, "bank": BANK, "advance": ADVANCE, "proceeds": 78 * YUAN}
    assert sale.named("Financed") == [sold]


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"advance_micro": FACE + FEN, "proceeds_micro": FACE}, "advance_above_face"),
        ({"advance_micro": 0, "proceeds_micro": 0}, "advance_above_face"),
        ({"advance_micro": 90 * YUAN + FEN}, "advance_above_rate"),
        ({"proceeds_micro": ADVANCE + FEN}, "proceeds_out_of_range"),
        ({"proceeds_micro": 0}, "proceeds_out_of_range"),
        ({"advance_micro": ADVANCE + 1}, "not_whole_fen"),
        ({"proceeds_micro": 78 * YUAN + 1}, "not_whole_fen"),
        ({"costs_micro": 1}, "not_whole_fen"),
        ({"costs_micro": 20 * YUAN + FEN}, "costs_above_residual"),
        ({"late_rate_ppm": 240_001}, "rate_above_cap"),
        ({"year_days": 366}, "unknown_year"),
        ({"registration": bytes(32)}, "registration_missing"),
        ({"bank": SELLER}, "own_receivable"),
        ({"bank": FACTORY}, "own_receivable"),
        ({"receivable_id": b"\1" * 32}, "not_listed"),
        ({"deadline_s": 1}, "deadline_passed"),
    ],
)
def test_an_offer_that_makes_no_sense_is_refused(sale: Sale, changed: dict[str, Any], refusal: str) -> None:
    assert sale.try_(sale.financing(sale.offer(**changed))) == refusal
    assert sale.cash_of(BANK) == FORTUNE


def test_a_sale_needs_the_banks_offer_and_the_sellers_acceptance_of_it(sale: Sale) -> None:
    offer = sale.offer()
    assert sale.try_(sale.financing(offer, bank=SELLER)) == "bad_signature"
    assert sale.try_(sale.financing(offer, seller=BANK)) == "bad_signature"
    better = offer._replace(proceeds_micro=79 * YUAN)
    assert sale.try_(sale.financing(offer, accepted=better)) == "bad_signature"
    sale.admit(400)
    assert sale.try_(sale.financing(sale.offer(bank=400))) == "not_a_bank"


def test_replaying_an_acceptance(sale: Sale) -> None:
    call = sale.financing(sale.offer())
    sale.do(call)
    assert sale.try_(call) == "not_listed"
    reused = sale.offer(receivable_id=sale.ids[1])._replace(nonce=1)
    sale.do(sale.financing(reused))
    assert sale.try_(sale.financing(sale.offer(receivable_id=sale.ids[2], nonce=reused.nonce))) == "nonce_used"


def test_a_registration_serves_one_sale(sale: Sale) -> None:
    sale.do(sale.financing(sale.offer(registration=registration(9))))
    again = sale.offer(receivable_id=sale.ids[1], registration=registration(9))
    assert sale.try_(sale.financing(again)) == "registration_used"


def test_a_bank_without_the_cash_gets_nothing_and_pays_nothing(sale: Sale) -> None:
    sale.pay_away(BANK, FORTUNE - 77 * YUAN)
    offer = sale.offer()
    assert sale.try_(sale.financing(offer)) == "insufficient_cash"
    assert (sale.standing(), sale.cash_of(BANK)) == (LISTED, 77 * YUAN)
    sale.mint((BANK, YUAN))
    sale.do(sale.financing(offer))


def test_nothing_is_sold_on_its_due_day(sale: Sale) -> None:
    sale.now_s += DAYS * DAY_S
    assert sale.try_(sale.financing(sale.offer())) == "past_due"
    assert sale.try_(sale.calling(sale.opening())) == "past_due"
    assert sale.try_(sale.drawing(sale.program())) == "past_due"


# ------------------------------------------------------------------------------------------------- programs


def test_a_draw_comes_to_what_the_rules_say_to_the_fen(sale: Sale) -> None:
    program = sale.program()
    sale.do(sale.drawing(program))
    today = date(2026, 3, 2)
    quote = Quote(800_000, 45_000, DayCount.ACT_360, 50)
    terms = terms_of(FACE // FEN, quote, (today + timedelta(days=DAYS) - today).days)
    assert sale.cash_of(SELLER) == terms.proceeds_fen * FEN
    (drawn,) = sale.named("Drawn")
    digest = sale_acts.program_digest(sale.domain("Sales"), program)
    assert drawn == {
        "program": digest,
        "receivable": sale.first,
        "bank": BANK,
        "advance": terms.advance_fen * FEN,
        "proceeds": terms.proceeds_fen * FEN,
        "drawn": terms.advance_fen * FEN,
    }
    assert (sale.standing(), sale.view(sale_acts.drawn_of(digest))) == (FINANCED, ADVANCE)


def test_the_limit_is_reached_exactly_and_not_passed(sale: Sale) -> None:
    program = sale.program(limit_micro=2 * ADVANCE)
    for receivable in sale.ids[:2]:
        sale.do(sale.drawing(program, receivable=receivable))
    assert sale.try_(sale.drawing(program, receivable=sale.ids[2])) == "limit_reached"
    short = sale.program(limit_micro=ADVANCE - FEN)
    assert sale.try_(sale.drawing(short, receivable=sale.ids[2])) == "limit_reached"


def test_a_row_that_is_not_in_the_table(sale: Sale) -> None:
    program = sale.program()
    cheap = PriceRow(FACTORY, 90, 1)
    assert sale.try_(sale.drawing(program, cheap, path=[])) == "wrong_row"
    path = [(False, sale_acts.price_leaf(ROWS[0]))]
    assert sale.try_(sale.drawing(program, cheap, path=path)) == "wrong_row"
    own = sale.program(root=sale_acts.price_leaf(PriceRow(FACTORY, 90, 240_001)))
    assert sale.try_(sale.drawing(own, PriceRow(FACTORY, 90, 240_001), path=[])) == "rate_above_cap"


def test_the_row_of_another_debtor_or_of_a_shorter_tenor(sale: Sale) -> None:
    program = sale.program()
    assert sale.try_(sale.drawing(program, ROWS[3])) == "other_debtor"
    assert sale.try_(sale.drawing(program, ROWS[2], receivable=sale.ids[3])) == "other_debtor"
    assert sale.try_(sale.drawing(program, ROWS[1])) == "tenor_too_long"
    sale.now_s += (DAYS - 30) * DAY_S
    sale.do(sale.drawing(program, ROWS[1]))


def test_a_program_that_is_cancelled_or_expired_or_not_its_banks(sale: Sale) -> None:
    program = sale.program()
    assert sale.try_(sale.drawing(program, bank=SECOND)) == "bad_signature"
    assert sale.try_(sale.drawing(program._replace(bank=400), bank=SECOND)) == "not_a_bank"
    assert sale.try_(sale.drawing(sale.program(deadline_s=sale.now_s - 1))) == "deadline_passed"
    assert sale.try_(sale.cancelling_program(program, by=SELLER)) == "bad_signature"
    sale.do(sale.cancelling_program(program))
    assert sale.try_(sale.drawing(program)) == "program_cancelled"
    assert sale.try_(sale.cancelling_program(program)) == "nonce_used"


def test_replaying_a_draw(sale: Sale) -> None:
    program = sale.program()
    call = sale.drawing(program)
    sale.do(call)
    assert sale.try_(call) == "not_listed"
    assert sale.try_(sale.drawing(program, receivable=sale.ids[1], seller=FACTORY)) == "bad_signature"


def test_a_draw_on_other_terms_than_the_bank_signed(sale: Sale) -> None:
    signed = sale.program()
    assert sale.try_(sale.drawing(signed._replace(fee_micro=0), signed=signed)) == "bad_signature"
    assert sale.try_(sale.drawing(signed._replace(limit_micro=10 * ADVANCE), signed=signed)) == "bad_signature"


def test_a_seller_names_the_least_that_it_takes(sale: Sale) -> None:
    program = sale.program()
    assert sale.try_(sale.drawing(program, minimum=ADVANCE)) == "below_minimum"
    assert sale.try_(sale.drawing(sale.program(fee_micro=ADVANCE))) == "no_proceeds"
    sale.do(sale.drawing(program, minimum=ADVANCE - 50 * FEN - 60 * YUAN // 100))


def test_a_programs_registration_covers_its_draws_and_nothing_else(sale: Sale) -> None:
    program = sale.program()
    sale.do(sale.drawing(program))
    sale.do(sale.drawing(program, receivable=sale.ids[1]))
    other = sale.offer(receivable_id=sale.ids[2], registration=program.registration)
    assert sale.try_(sale.financing(other)) == "registration_used"
    twin = sale.program(registration=program.registration)
    assert sale.try_(sale.drawing(twin, receivable=sale.ids[2])) == "registration_used"


def test_a_bank_short_of_cash_at_a_draw(sale: Sale) -> None:
    sale.pay_away(BANK, FORTUNE - YUAN)
    program = sale.program()
    assert sale.try_(sale.drawing(program)) == "insufficient_cash"
    digest = sale_acts.program_digest(sale.domain("Sales"), program)
    assert sale.view(sale_acts.drawn_of(digest)) == 0
