"""Receivables: born from a period's root, acknowledged by the debtor, sold for money or not at all, repaid in order."""

from functools import cache
from typing import NamedTuple

import pytest

from settlement import calls, merkle, receivable_acts, sale_acts
from settlement.acts import Role
from settlement.chain import Call
from settlement.receivable_acts import Receivable
from settlement.sale_acts import Offer
from tests.settlement.contract_bench import CHECKER, LATE_S, OPERATOR, YUAN, Bench, sign

SELLER, FACTORY, BANK, OTHER = 100, 101, 102, 103
ISSUED, ACKNOWLEDGED, LISTED, FINANCED, PARTLY_PAID, SETTLED, REJECTED = 1, 2, 3, 5, 7, 12, 13
FEN = 10_000
FACE = 100 * YUAN


class Claim(NamedTuple):
    state: int
    creditor: int
    debtor: int
    holder: int
    face: int
    advance: int
    paid: int


class Sale(Bench):
    """A period of five receivables of seller and others against the factory; the first one is ``first``."""

    def __init__(self) -> None:
        super().__init__()
        self.admit(SELLER, FACTORY, OTHER)
        self.admit(BANK, roles=Role.BANK)
        self.receivables = [
            Receivable(1, creditor, FACTORY, FACE, 60, 20_000, 20_060, b"\5" * 32, bytes([creditor]) * 32)
            for creditor in (SELLER, OTHER, 110, 111, 112)
        ]
        self.ids = [receivable_acts.receivable_id(each) for each in self.receivables]
        self.first = self.ids[0]
        self.do(self.issuing(1))

    def issuing(self, period: int, *, checker: int = CHECKER, count: int = 5) -> Call:
        root = merkle.root(self.ids)
        digest = receivable_acts.issue_period_digest(self.domain("Receivables"), period, root, count)
        return receivable_acts.issue_period(
            period, root, count, self.approve(OPERATOR, digest), self.approve(checker, digest)
        )

    def materialise(self, index: int) -> None:
        self.do(receivable_acts.materialise(self.receivables[index], merkle.path(self.ids, index)))

    def acknowledging(self, *ids: bytes, debtor: int = FACTORY, by: int = FACTORY) -> Call:
        once = self.once()
        digest = receivable_acts.acknowledge_many_digest(self.domain("Receivables"), debtor, ids, **once)
        return receivable_acts.acknowledge_many(debtor, ids, sign(by, digest), **once)

    def listing(self, receivable: bytes, listed: bool = True, by: int = SELLER) -> Call:
        once = self.once()
        digest = receivable_acts.set_listed_digest(self.domain("Receivables"), receivable, SELLER, listed, **once)
        return receivable_acts.set_listed(receivable, listed, sign(by, digest), **once)

    def rejecting(self, receivable: bytes, by: int = FACTORY) -> Call:
        once = self.once()
        digest = receivable_acts.reject_digest(self.domain("Receivables"), receivable, FACTORY, **once)
        return receivable_acts.reject(receivable, sign(by, digest), **once)

    def offer(self, advance: int = 80 * YUAN, proceeds: int = 78 * YUAN, bank: int = BANK) -> Offer:
        return Offer(self.first, bank, advance, proceeds, self.nonce(), LATE_S)

    def financing(self, offer: Offer, *, bank: int = BANK, seller: int = SELLER, accepted: Offer | None = None) -> Call:
        """The offer's sale; signers other than bank and seller, or an acceptance of another offer, must not do."""
        domain, nonce = self.domain("Receivables"), self.nonce()
        acceptance = sale_acts.acceptance_digest(domain, accepted or offer, SELLER, nonce=nonce, deadline_s=LATE_S)
        signatures = sign(bank, sale_acts.offer_digest(domain, offer)), sign(seller, acceptance)
        return sale_acts.finance(offer, *signatures, seller_nonce=nonce, seller_deadline_s=LATE_S)

    def repaying(self, micro: int, by: int = FACTORY) -> Call:
        once = self.once()
        digest = receivable_acts.repay_digest(self.domain("Receivables"), self.first, FACTORY, micro, **once)
        return receivable_acts.repay(self.first, micro, sign(by, digest), **once)

    def claim(self, receivable: bytes | None = None) -> Claim:
        return Claim(*self.view(calls.claim_of(receivable or self.first)))

    def reach(self, state: int) -> None:
        """Bring the first receivable to a state on the way to financed."""
        self.materialise(0)
        if state >= ACKNOWLEDGED:
            self.do(self.acknowledging(self.first))
        if state >= LISTED:
            self.do(self.listing(self.first))
        if state >= FINANCED:
            self.mint((BANK, 100 * YUAN))
            self.do(self.financing(self.offer()))


@cache
def _issued() -> Sale:
    return Sale()


@pytest.fixture
def sale() -> Sale:
    return _issued().copy()


# --------------------------------------------------------------------------------------------------- issuing


def test_a_period_needs_operator_and_checker_and_comes_once(sale: Sale) -> None:
    assert sale.try_(sale.issuing(1)) == "period_not_ascending"
    assert sale.try_(sale.issuing(2, checker=OPERATOR)) == "approvals_missing"
    assert sale.try_(sale.issuing(2, count=0)) == "no_receivables"
    sale.do(sale.issuing(4))
    assert sale.try_(sale.issuing(3)) == "period_not_ascending"


def test_every_receivable_of_the_tree_materialises_with_its_proof(sale: Sale) -> None:
    sale.do(
        receivable_acts.materialise_many(
            [(each, merkle.path(sale.ids, at)) for at, each in enumerate(sale.receivables)]
        )
    )
    assert [event["receivable"] for event in sale.named("Materialised")] == sale.ids
    assert sale.claim(sale.ids[4]) == Claim(ISSUED, 112, FACTORY, 112, FACE, 0, 0)


def test_what_is_not_under_the_root_does_not_materialise(sale: Sale) -> None:
    receivable, proof = sale.receivables[0], merkle.path(sale.ids, 0)
    assert sale.try_(receivable_acts.materialise(receivable._replace(face_micro=2 * FACE), proof)) == "wrong_proof"
    assert sale.try_(receivable_acts.materialise(receivable._replace(period=2), proof)) == "wrong_proof"
    assert sale.try_(receivable_acts.materialise(receivable, merkle.path(sale.ids, 1))) == "wrong_proof"
    assert sale.try_(receivable_acts.materialise(receivable, [])) == "wrong_proof"
    assert sale.try_(receivable_acts.materialise(receivable._replace(face_micro=FACE + 1), proof)) == "not_whole_fen"
    assert sale.claim().state == 0


def test_a_receivable_is_claimed_once(sale: Sale) -> None:
    sale.materialise(0)
    assert sale.try_(receivable_acts.materialise(sale.receivables[0], merkle.path(sale.ids, 0))) == "claimed_twice"
    twin = sale.receivables[0]._replace(salt=b"\x09" * 32, face_micro=FACE + FEN)
    sale.ids = [receivable_acts.receivable_id(twin)]
    sale.do(sale.issuing(2, count=1))
    assert sale.try_(receivable_acts.materialise(twin._replace(period=2), [])) == "wrong_proof"
    assert sale.try_(receivable_acts.materialise(twin, [])) == "claimed_twice"


# --------------------------------------------------------------------------------------------- acknowledging


def test_the_debtor_acknowledges_many_at_once(sale: Sale) -> None:
    sale.materialise(0)
    sale.materialise(1)
    sale.do(sale.acknowledging(*sale.ids[:2]))
    assert sale.claim().state == sale.claim(sale.ids[1]).state == ACKNOWLEDGED
    change = {"receivable": sale.first, "actor": FACTORY, "before": ISSUED, "after": ACKNOWLEDGED}
    assert change in sale.named("Changed")


def test_nobody_else_acknowledges(sale: Sale) -> None:
    sale.materialise(0)
    assert sale.try_(sale.acknowledging(sale.first, by=SELLER)) == "bad_signature"
    assert sale.try_(sale.acknowledging(sale.first, debtor=SELLER, by=SELLER)) == "not_the_debtor"
    assert sale.try_(sale.acknowledging(sale.ids[1])) == "not_issued"
    assert sale.try_(sale.acknowledging(sale.first, sale.first)) == "not_issued"
    assert sale.claim().state == ISSUED


def test_a_debtor_rejects_what_it_has_not_acknowledged(sale: Sale) -> None:
    sale.materialise(0)
    assert sale.try_(sale.rejecting(sale.first, by=SELLER)) == "bad_signature"
    sale.do(sale.rejecting(sale.first))
    assert sale.claim().state == REJECTED
    assert sale.try_(sale.acknowledging(sale.first)) == "not_issued"
    sale.materialise(1)
    sale.do(sale.acknowledging(sale.ids[1]))
    assert sale.try_(sale.rejecting(sale.ids[1])) == "not_issued"


def test_only_the_creditor_lists_and_only_what_is_acknowledged(sale: Sale) -> None:
    sale.reach(ISSUED)
    assert sale.try_(sale.listing(sale.first)) == "not_acknowledged"
    sale.do(sale.acknowledging(sale.first))
    assert sale.try_(sale.listing(sale.first, False)) == "not_listed"
    assert sale.try_(sale.listing(sale.first, by=FACTORY)) == "bad_signature"
    sale.do(sale.listing(sale.first))
    assert sale.claim().state == LISTED
    sale.do(sale.listing(sale.first, False))
    assert sale.claim().state == ACKNOWLEDGED


# ------------------------------------------------------------------------------------------------- financing


def test_money_one_way_and_the_claim_the_other(sale: Sale) -> None:
    sale.reach(LISTED)
    sale.mint((BANK, 100 * YUAN))
    sale.do(sale.financing(sale.offer()))
    assert (sale.cash_of(BANK), sale.cash_of(SELLER)) == (22 * YUAN, 78 * YUAN)
    assert sale.claim() == Claim(FINANCED, SELLER, FACTORY, BANK, FACE, 80 * YUAN, 0)


@pytest.mark.parametrize("state", [ISSUED, ACKNOWLEDGED])
def test_nothing_is_financed_before_it_is_acknowledged_and_listed(sale: Sale, state: int) -> None:
    sale.reach(state)
    sale.mint((BANK, 100 * YUAN))
    assert sale.try_(sale.financing(sale.offer())) == "not_listed"
    assert sale.cash_of(BANK) == 100 * YUAN


def test_a_bank_without_the_cash_gets_nothing_and_pays_nothing(sale: Sale) -> None:
    sale.reach(LISTED)
    sale.mint((BANK, 77 * YUAN))
    offer = sale.offer()
    assert sale.try_(sale.financing(offer)) == "insufficient_cash"
    assert (sale.claim().state, sale.claim().holder) == (LISTED, SELLER)
    assert (sale.cash_of(BANK), sale.cash_of(SELLER)) == (77 * YUAN, 0)
    sale.mint((BANK, 1 * YUAN))
    sale.do(sale.financing(offer))


def test_a_sale_needs_the_banks_offer_and_the_sellers_acceptance_of_it(sale: Sale) -> None:
    sale.reach(LISTED)
    sale.mint((BANK, 100 * YUAN))
    offer = sale.offer()
    assert sale.try_(sale.financing(offer, bank=SELLER)) == "bad_signature"
    assert sale.try_(sale.financing(offer, seller=BANK)) == "bad_signature"
    better = offer._replace(proceeds_micro=79 * YUAN)
    assert sale.try_(sale.financing(offer, accepted=better)) == "bad_signature"
    assert sale.try_(sale.financing(sale.offer(bank=OTHER), bank=OTHER)) == "not_a_bank"
    sale.now_s = LATE_S + 1
    assert sale.try_(sale.financing(offer)) == "deadline_passed"


@pytest.mark.parametrize(
    ("advance", "proceeds", "refusal"),
    [
        (FACE + FEN, FACE, "advance_above_face"),
        (80 * YUAN, 80 * YUAN + FEN, "proceeds_out_of_range"),
        (80 * YUAN, 0, "proceeds_out_of_range"),
        (80 * YUAN + 1, 80 * YUAN, "not_whole_fen"),
        (80 * YUAN, 79 * YUAN + 1, "not_whole_fen"),
    ],
)
def test_an_offer_that_makes_no_sense_is_refused(sale: Sale, advance: int, proceeds: int, refusal: str) -> None:
    sale.reach(LISTED)
    sale.mint((BANK, 1000 * YUAN))
    assert sale.try_(sale.financing(sale.offer(advance, proceeds))) == refusal


def test_a_receivable_is_sold_once(sale: Sale) -> None:
    sale.reach(FINANCED)
    assert sale.try_(sale.financing(sale.offer())) == "not_listed"
    assert sale.try_(sale.listing(sale.first, False)) == "not_listed"
    assert sale.try_(sale.listing(sale.first)) == "not_acknowledged"


# ------------------------------------------------------------------------------------------------- repayment


def test_repayment_goes_to_the_holder_first_and_then_to_the_seller_to_the_micro(sale: Sale) -> None:
    sale.reach(FINANCED)  # the bank holds 80 of 100 and has 22 left; the seller has 78
    sale.mint((FACTORY, FACE))
    steps = [
        (50 * YUAN + FEN, 72 * YUAN + FEN, 78 * YUAN, PARTLY_PAID),
        (30 * YUAN, 102 * YUAN, 78 * YUAN + FEN, PARTLY_PAID),
        (20 * YUAN - FEN, 102 * YUAN, 98 * YUAN, SETTLED),
    ]
    for amount, bank, seller, state in steps:
        sale.do(sale.repaying(amount))
        assert (sale.cash_of(BANK), sale.cash_of(SELLER), sale.claim().state) == (bank, seller, state)
    assert [(event["to_holder"], event["to_creditor"]) for event in sale.named("Repaid")] == [
        (50 * YUAN + FEN, 0),
        (30 * YUAN - FEN, FEN),
        (0, 20 * YUAN - FEN),
    ]
    assert sale.claim().paid == FACE
    assert sale.try_(sale.repaying(FEN)) == "not_payable"


def test_an_unfinanced_receivable_is_simply_paid(sale: Sale) -> None:
    sale.reach(ACKNOWLEDGED)
    sale.mint((FACTORY, FACE))
    sale.do(sale.repaying(FACE))
    assert (sale.cash_of(SELLER), sale.claim().state) == (FACE, SETTLED)


def test_repayment_is_refused(sale: Sale) -> None:
    sale.reach(ISSUED)
    sale.mint((FACTORY, 2 * FACE))
    assert sale.try_(sale.repaying(FACE)) == "not_payable"
    sale.do(sale.acknowledging(sale.first))
    assert sale.try_(sale.repaying(FACE, by=SELLER)) == "bad_signature"
    assert sale.try_(sale.repaying(FACE + FEN)) == "overpaid"
    assert sale.try_(sale.repaying(FEN + 1)) == "not_whole_fen"
    assert sale.try_(sale.repaying(0)) == "not_whole_fen"
    sale.do(sale.repaying(FACE - FEN))
    assert sale.try_(sale.repaying(2 * FEN)) == "overpaid"
    assert sale.cash_of(FACTORY) == FACE + FEN


def test_a_debtor_without_the_cash_pays_nobody(sale: Sale) -> None:
    sale.reach(FINANCED)
    sale.mint((FACTORY, 90 * YUAN))
    assert sale.try_(sale.repaying(FACE)) == "insufficient_cash"
    assert (sale.cash_of(BANK), sale.cash_of(FACTORY)) == (22 * YUAN, 90 * YUAN)
    assert sale.claim().paid == 0
