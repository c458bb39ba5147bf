"""A receivable's life: what is allowed happens, and everything else raises with its reason."""

from dataclasses import FrozenInstanceError
from datetime import date

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from finance.claim import Claim
from finance.receivable import (
    TRANSITIONS,
    AcknowledgedReceivable,
    Act,
    ChainState,
    FinancedReceivable,
    IllegalTransitionError,
    IssuedReceivable,
    Offered,
    Receivable,
    Signed,
    Standing,
    State,
    check_transition,
    is_reachable,
    standing,
)

PLANT, FACTORY, BANK = 100, 200, 300
FACE_FEN = 1_000
CLAIM = Claim(1, PLANT, FACTORY, FACE_FEN, 60, date(2026, 7, 1), date(2026, 8, 28), bytes(32), b"\1" * 32)
ID = CLAIM.receivable_id
BY_DEBTOR, BY_CREDITOR = Signed(ID, FACTORY), Signed(ID, PLANT)
OFFER = Offered(ID, BANK, 900, 890)


def issued() -> IssuedReceivable:
    return IssuedReceivable(CLAIM)


def acknowledged() -> AcknowledgedReceivable:
    return issued().acknowledge(BY_DEBTOR)


def listed() -> AcknowledgedReceivable:
    return acknowledged().show(BY_CREDITOR)


def financed() -> FinancedReceivable:
    return listed().finance(OFFER, BY_CREDITOR)


def code_of(refused: pytest.ExceptionInfo[IllegalTransitionError]) -> str:
    return refused.value.code


def test_the_life_of_a_receivable_that_a_bank_finances() -> None:
    part = financed().repay(BY_DEBTOR, 950)
    assert [each.state for each in (issued(), acknowledged(), listed(), financed(), part)] == [
        "issued",
        "acknowledged",
        "listed",
        "financed",
        "partly_paid",
    ]
    assert (financed().residual_fen, tuple(financed().share(950)), tuple(part.share(50))) == (
        100,
        (900, 50, 0),
        (0, 50, 0),
    )
    assert part.repay(BY_DEBTOR, 50).state is State.SETTLED


def test_one_that_nobody_finances_is_simply_paid_to_its_creditor() -> None:
    assert tuple(acknowledged().share(FACE_FEN)) == (0, FACE_FEN, 0)
    assert acknowledged().repay(BY_DEBTOR, FACE_FEN).state is State.SETTLED
    assert listed().repay(BY_DEBTOR, 1).state is State.PARTLY_PAID


def test_the_transition_table_is_this_one() -> None:
    """Every pair of state and act: what is not written here is illegal."""
    table = """
              acknowledge reject list withdraw finance repay
    issued         x         x
    acknowledged                  x                      x
    listed                              x        x       x
    financed                                             x
    partly_paid                                          x
    settled
    rejected
    """
    header, *rows = [line for line in table.splitlines() if line.strip()]
    columns = {act: header.index(act) for act in header.split()}
    legal = {
        (line.split()[0], act)
        for line in rows
        for act, at in columns.items()
        if "x" in line[at : at + len(act)] and line[at : at + len(act)].strip() == "x"
    }
    assert len(legal) == 9
    for state in State:
        for act in Act:
            if (state.value, act.value) in legal:
                assert check_transition(state, act) is TRANSITIONS[act]
            else:
                with pytest.raises(IllegalTransitionError, match=f"is {state}; to {act} it"):
                    check_transition(state, act)


def test_a_mirrored_event_must_be_a_step_of_the_table() -> None:
    assert is_reachable(State.LISTED, State.FINANCED)
    assert is_reachable(State.PARTLY_PAID, State.PARTLY_PAID)
    assert not is_reachable(State.ISSUED, State.FINANCED)
    assert not is_reachable(State.SETTLED, State.PARTLY_PAID)
    assert not any(is_reachable(State.REJECTED, after) for after in State)


def test_the_chain_numbers_its_states_from_one() -> None:
    assert [(number.value, number.state) for number in ChainState] == list(
        zip((1, 2, 3, 5, 7, 12, 13), State, strict=True)
    )


@pytest.mark.parametrize("stranger", [BANK, PLANT, 0])
def test_only_the_debtor_acknowledges_rejects_and_repays(stranger: int) -> None:
    word = Signed(ID, stranger)
    for act in (issued().acknowledge, issued().reject, lambda by: financed().repay(by, 1)):
        with pytest.raises(IllegalTransitionError) as refused:
            act(word)
        assert code_of(refused) == "not_a_party"


@pytest.mark.parametrize("stranger", [BANK, FACTORY, 0])
def test_only_the_creditor_lists_withdraws_and_sells(stranger: int) -> None:
    word = Signed(ID, stranger)
    for act in (acknowledged().show, listed().withdraw, lambda by: listed().finance(OFFER, by)):
        with pytest.raises(IllegalTransitionError) as refused:
            act(word)
        assert code_of(refused) == "not_a_party"


def test_a_word_on_another_receivable_says_nothing_on_this_one() -> None:
    other = b"\7" * 32
    for act in (
        lambda: issued().acknowledge(Signed(other, FACTORY)),
        lambda: listed().finance(OFFER._replace(receivable_id=other), BY_CREDITOR),
        lambda: listed().finance(OFFER, Signed(other, PLANT)),
    ):
        with pytest.raises(IllegalTransitionError) as refused:
            act()
        assert code_of(refused) == "other_receivable"


def test_no_financing_before_acknowledgement_and_listing_nor_after_a_payment() -> None:
    """Invariant 5; the constructor is no back door."""
    for value in (acknowledged(), listed().repay(BY_DEBTOR, 1)):
        with pytest.raises(IllegalTransitionError) as refused:
            FinancedReceivable(value, OFFER, BY_CREDITOR)
        assert code_of(refused) == "illegal_transition"
    with pytest.raises(IllegalTransitionError):
        AcknowledgedReceivable(issued(), BY_CREDITOR)
    assert not hasattr(issued(), "finance")
    assert not hasattr(financed(), "finance")


def test_what_was_built_cannot_be_changed() -> None:
    for value, name in ((issued(), "claim"), (acknowledged(), "listed"), (financed(), "paid_fen")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


@pytest.mark.parametrize(("advance", "proceeds"), [(0, 0), (900, 0), (900, 901), (1_001, 900), (-1, -1)])
def test_an_offer_advances_at_most_the_face_and_pays_something(advance: int, proceeds: int) -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        listed().finance(Offered(ID, BANK, advance, proceeds), BY_CREDITOR)
    assert code_of(refused) == "bad_amount"


@pytest.mark.parametrize("payment", [0, -1, FACE_FEN + 1])
def test_a_payment_is_above_zero_and_at_most_what_is_left(payment: int) -> None:
    for value in (acknowledged(), financed()):
        with pytest.raises(IllegalTransitionError) as refused:
            value.repay(BY_DEBTOR, payment)
        assert code_of(refused) == "bad_amount"


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        ("2026-08-27", Standing.RUNNING),
        ("2026-08-28", Standing.DUE),
        ("2026-08-31", Standing.DUE),
        ("2026-09-01", Standing.OVERDUE),
    ],
)
def test_due_from_the_due_day_and_overdue_after_the_grace_days(today: str, expected: Standing) -> None:
    assert standing(State.FINANCED, CLAIM.due_day, date.fromisoformat(today)) is expected
    assert standing(State.SETTLED, CLAIM.due_day, date.fromisoformat(today)) is Standing.ENDED


class Life(RuleBasedStateMachine):
    """Anyone tries anything at any time; a second, naive account of the rules says what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.value: Receivable = issued()
        self.state, self.paid, self.advance = "issued", 0, 0
        self.to_bank = self.to_seller = 0

    def attempt(self, method: str, allowed: bool, *arguments: object) -> bool:
        act = getattr(self.value, method, None)
        if act is None:
            assert not allowed, f"{method} should be possible when {self.state}"
            return False
        before = self.value
        try:
            self.value = act(*arguments)
        except IllegalTransitionError:
            assert not allowed, f"{method} should be allowed when {self.state}"
            assert self.value is before
            return False
        assert allowed, f"{method} should be refused when {self.state}"
        return True

    @rule(who=st.sampled_from([PLANT, FACTORY, BANK]))
    def acknowledge(self, who: int) -> None:
        if self.attempt("acknowledge", self.state == "issued" and who == FACTORY, Signed(ID, who)):
            self.state = "acknowledged"

    @rule(who=st.sampled_from([PLANT, FACTORY]))
    def reject(self, who: int) -> None:
        if self.attempt("reject", self.state == "issued" and who == FACTORY, Signed(ID, who)):
            self.state = "rejected"

    @rule(who=st.sampled_from([PLANT, FACTORY]))
    def show(self, who: int) -> None:
        if self.attempt("show", self.state == "acknowledged" and who == PLANT, Signed(ID, who)):
            self.state = "listed"

    @rule(who=st.sampled_from([PLANT, BANK]))
    def withdraw(self, who: int) -> None:
        if self.attempt("withdraw", self.state == "listed" and who == PLANT, Signed(ID, who)):
            self.state = "acknowledged"

    @rule(who=st.sampled_from([PLANT, FACTORY]), advance=st.integers(1, FACE_FEN + 1))
    def finance(self, who: int, advance: int) -> None:
        allowed = self.state == "listed" and who == PLANT and advance <= FACE_FEN
        if self.attempt("finance", allowed, Offered(ID, BANK, advance, 1), Signed(ID, who)):
            self.state, self.advance = "financed", advance

    @rule(who=st.sampled_from([FACTORY, FACTORY, PLANT]), payment=st.integers(0, FACE_FEN))
    def repay(self, who: int, payment: int) -> None:
        open_states = {"acknowledged", "listed", "financed", "partly_paid"}
        allowed = self.state in open_states and who == FACTORY and 0 < payment <= FACE_FEN - self.paid
        before = self.value
        if self.attempt("repay", allowed, Signed(ID, who), payment):
            assert isinstance(before, AcknowledgedReceivable | FinancedReceivable)
            shares = before.share(payment)
            self.to_bank, self.to_seller = self.to_bank + shares.holder_fen, self.to_seller + shares.seller_fen
            self.paid += payment
            self.state = "settled" if self.paid == FACE_FEN else "partly_paid"

    @invariant()
    def both_accounts_agree(self) -> None:
        assert self.value.state == self.state
        assert self.value.claim is CLAIM

    @invariant()
    def what_is_paid_is_paid_out_the_bank_first(self) -> None:
        """Invariants 1 and 7: live + redeemed = face; nothing to the seller while the holder is due."""
        assert self.to_bank + self.to_seller == self.paid <= FACE_FEN
        assert self.to_bank == min(self.advance, self.paid)


TestLife = Life.TestCase
