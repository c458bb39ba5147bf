"""A receivable's life: what is allowed happens, and everything else raises with its reason."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import date, timedelta

import pytest

from finance.claim import Claim
from finance.life import AcknowledgedReceivable, FinancedReceivable, IssuedReceivable, Sale, Signed
from finance.parts import Transferee
from finance.receivable import (
    TRANSITIONS,
    Act,
    IllegalTransitionError,
    Standing,
    State,
    chain_state,
    check_transition,
    is_reachable,
    standing,
)
from finance.waterfall import Lateness
from settlement.receivable_acts import ChainState

PLANT, FACTORY, BANK, HOME = 100, 200, 300, 400
FACE_FEN = 1_000
CLAIM = Claim(1, PLANT, FACTORY, FACE_FEN, 60, date(2026, 7, 1), date(2026, 8, 28), bytes(32), b"\1" * 32)
ID = CLAIM.receivable_id
BY_DEBTOR, BY_CREDITOR, BY_BANK = Signed(ID, FACTORY), Signed(ID, PLANT), Signed(ID, BANK)
SALE = Sale(ID, BANK, 900, 890, 10, Lateness(180_000, 360), with_recourse=True)
EARLY, OVERDUE_DAY = CLAIM.issue_day, CLAIM.due_day + timedelta(days=4)
DEFAULT_DAY = CLAIM.due_day + timedelta(days=31)


def issued() -> IssuedReceivable:
    return IssuedReceivable(CLAIM)


def acknowledged() -> AcknowledgedReceivable:
    return issued().acknowledge(BY_DEBTOR, complete=True)


def listed() -> AcknowledgedReceivable:
    return acknowledged().show(BY_CREDITOR, EARLY)


def financed() -> FinancedReceivable:
    return listed().finance(SALE, BY_CREDITOR)


def overdue() -> FinancedReceivable:
    return financed().mark(OVERDUE_DAY)


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(IllegalTransitionError) as refused:
        act()
    return refused.value.code


def test_the_life_of_a_receivable_that_a_bank_finances() -> None:
    part, paid = financed().repay(BY_DEBTOR, 950, EARLY)
    assert [each.state for each in (issued(), acknowledged(), listed(), financed(), part)] == [
        "issued",
        "acknowledged",
        "listed",
        "financed",
        "partly_paid",
    ]
    assert tuple(paid.shares) == (10, 0, 900, 40)
    settled, paid = part.repay(BY_DEBTOR, 50, CLAIM.due_day)
    assert (settled.state, tuple(paid.shares), settled.parts) == (State.SETTLED, (0, 0, 0, 50), ())


def test_one_that_nobody_finances_is_simply_paid_to_its_creditor() -> None:
    settled, paid = acknowledged().mark(CLAIM.due_day).repay(BY_DEBTOR, FACE_FEN, CLAIM.due_day)
    assert (settled.state, [each.payee for each in paid.payouts]) == (State.SETTLED, [PLANT])
    assert listed().repay(BY_DEBTOR, 1, EARLY)[0].state is State.PARTLY_PAID


def test_with_recourse_overdue_is_demanded_bought_back_and_paid_to_the_seller() -> None:
    demanded = overdue().demand(BY_BANK)
    own, payouts = demanded.buy_back(BY_CREDITOR, OVERDUE_DAY)
    assert [tuple(each) for each in payouts] == [(2, BANK, 10 + 2 + 900)]  # 1.8 fen of interest
    assert own.state is State.OVERDUE
    assert code_of(lambda: own.demand(BY_CREDITOR)) == "no_recourse"
    settled, paid = own.repay(BY_DEBTOR, FACE_FEN, DEFAULT_DAY)
    assert settled.state is State.SETTLED
    assert {each.payee for each in paid.payouts} == {PLANT}


def test_without_recourse_overdue_is_defaulted_written_off_and_recovered() -> None:
    late = listed().finance(SALE._replace(with_recourse=False), BY_CREDITOR).mark(OVERDUE_DAY)
    assert code_of(lambda: late.demand(BY_BANK)) == "no_recourse"
    assert code_of(lambda: late.declare_default([BY_BANK], CLAIM.due_day + timedelta(days=30))) == "too_early"
    assert code_of(lambda: late.declare_default([BY_CREDITOR], DEFAULT_DAY)) == "no_majority"
    lost = late.declare_default([BY_BANK], DEFAULT_DAY).write_off([BY_BANK])
    assert (lost.account.live_fen, lost.account.written_off_fen) == (0, FACE_FEN)
    recovered, _ = lost.repay(BY_DEBTOR, 400, DEFAULT_DAY)
    assert (recovered.state, recovered.account.written_off_fen) == (State.WRITTEN_OFF, 600)
    assert recovered.repay(BY_DEBTOR, 600, DEFAULT_DAY)[0].state is State.SETTLED


def test_a_dispute_before_the_sale_ends_back_or_void() -> None:
    disputed = listed().dispute(BY_DEBTOR)
    assert disputed.withdraw_dispute(BY_DEBTOR).state is State.ACKNOWLEDGED
    void = disputed.concede(BY_CREDITOR)
    assert (void.state, void.parts, void.account.live_fen) == (State.VOID, (), 0)
    assert [disputed.decide(is_void=void).state for void in (True, False)] == ["void", "acknowledged"]
    assert code_of(lambda: disputed.repay(BY_DEBTOR, 1, EARLY)) == "illegal_transition"
    sold_on = acknowledged().transfer(BY_CREDITOR, 1, FACE_FEN, Transferee(HOME))
    assert code_of(lambda: sold_on.dispute(BY_DEBTOR)) == "not_whole"


def test_what_is_frozen_or_not_whole_or_incomplete_is_not_sold() -> None:
    frozen = acknowledged().set_frozen(frozen=True)
    assert code_of(lambda: frozen.show(BY_CREDITOR, EARLY)) == "receivable_frozen"
    assert code_of(lambda: frozen.split(BY_CREDITOR, 1, 500)) == "receivable_frozen"
    assert code_of(lambda: listed().set_frozen(frozen=True).finance(SALE, BY_CREDITOR)) == "receivable_frozen"
    assert frozen.repay(BY_DEBTOR, 1, EARLY)[0].state is State.PARTLY_PAID
    bare = issued().acknowledge(BY_DEBTOR)
    assert code_of(lambda: bare.show(BY_CREDITOR, EARLY)) == "trades_unclaimed"
    assert code_of(lambda: bare.pledge(BY_CREDITOR, 1, BANK, is_bank=True)) == "trades_unclaimed"
    assert bare.complete().show(BY_CREDITOR, EARLY).state is State.LISTED
    assert code_of(lambda: acknowledged().split(BY_CREDITOR, 1, 500).show(BY_CREDITOR, EARLY)) == "not_whole"
    assert code_of(lambda: acknowledged().show(BY_CREDITOR, CLAIM.due_day)) == "past_due"


def test_an_auctions_winner_has_it_reserved_and_gets_it_or_not() -> None:
    reserved = listed().reserve()
    assert reserved.unreserve().state is State.LISTED
    assert reserved.finance(SALE, BY_CREDITOR).state is State.FINANCED
    assert code_of(lambda: reserved.repay(BY_DEBTOR, 1, EARLY)) == "illegal_transition"


def test_the_transition_table_is_this_one() -> None:
    """Every pair of state and act: what is not written here is illegal. A state stands for where it leads."""
    table = {
        "issued": "acknowledge>acknowledged reject>rejected cancel>cancelled freeze",
        "acknowledged": "list>listed fall_due>due repay>partly_paid,settled dispute>disputed "
        "split transfer merge pledge release freeze",
        "listed": "withdraw>acknowledged auction reserve>reserved finance>financed fall_due>due "
        "repay>partly_paid,settled dispute>disputed freeze",
        "reserved": "unreserve>listed finance>financed freeze",
        "financed": "fall_due>due repay>partly_paid,settled compensate split transfer merge pledge release freeze",
        "due": "fall_overdue>overdue repay>partly_paid,settled compensate split transfer merge pledge release freeze",
        "partly_paid": "fall_overdue>overdue repay>partly_paid,settled compensate split transfer merge pledge release "
        "freeze",
        "overdue": "demand>recourse declare_default>defaulted repay>overdue,settled compensate split transfer merge "
        "pledge release freeze",
        "recourse": "buy_back>overdue declare_default>defaulted repay>recourse,settled compensate split transfer merge "
        "pledge release freeze",
        "defaulted": "write_off>written_off repay>defaulted,settled compensate split transfer merge pledge release "
        "freeze",
        "written_off": "repay>written_off,settled compensate split transfer merge pledge release freeze",
        "settled": "compensate",
        "rejected": "",
        "cancelled": "",
        "disputed": "withdraw_dispute>acknowledged concede>void decide>acknowledged,void freeze",
        "void": "",
    }
    legal = {
        (state, act): set(after.split(",")) if after else {state}
        for state, acts in table.items()
        for act, _, after in (each.partition(">") for each in acts.split())
    }
    assert set(table) == set(State)
    for state in State:
        for act in Act:
            if (state.value, act.value) in legal:
                assert check_transition(state, act) is TRANSITIONS[act]
                assert TRANSITIONS[act].moves[state] == legal[state.value, act.value]
            else:
                with pytest.raises(IllegalTransitionError, match=f"is {state}; to {act} it") as refused:
                    check_transition(state, act)
                assert refused.value.code == "illegal_transition"


def test_a_mirrored_event_must_be_a_step_of_the_table() -> None:
    assert is_reachable(State.LISTED, State.FINANCED)
    assert is_reachable(State.PARTLY_PAID, State.PARTLY_PAID)
    assert not is_reachable(State.ISSUED, State.FINANCED)
    assert not is_reachable(State.SETTLED, State.PARTLY_PAID)
    for ended in (State.REJECTED, State.CANCELLED, State.VOID):
        assert not any(is_reachable(ended, after) for after in State)


def test_the_chain_numbers_its_states_from_one() -> None:
    assert [chain_state(number) for number in ChainState] == list(State)


@pytest.mark.parametrize("stranger", [BANK, PLANT, 0])
def test_only_the_debtor_acknowledges_rejects_repays_and_disputes(stranger: int) -> None:
    word = Signed(ID, stranger)
    for act in (
        lambda: issued().acknowledge(word),
        lambda: issued().reject(word),
        lambda: financed().repay(word, 1, EARLY),
        lambda: acknowledged().dispute(word),
        lambda: acknowledged().dispute(BY_DEBTOR).withdraw_dispute(word),
    ):
        assert code_of(act) == "not_a_party"


@pytest.mark.parametrize("stranger", [BANK, FACTORY, 0])
def test_only_the_creditor_lists_sells_cancels_concedes_and_buys_back(stranger: int) -> None:
    word = Signed(ID, stranger)
    for act in (
        lambda: issued().cancel(word),
        lambda: acknowledged().show(word, EARLY),
        lambda: listed().withdraw(word),
        lambda: listed().finance(SALE, word),
        lambda: acknowledged().dispute(BY_DEBTOR).concede(word),
        lambda: overdue().demand(BY_BANK).buy_back(word, OVERDUE_DAY),
        lambda: financed().compensate(word, 1),
    ):
        assert code_of(act) == "not_a_party"


def test_only_a_holder_demands() -> None:
    for member in (PLANT, FACTORY, HOME):
        assert code_of(lambda member=member: overdue().demand(Signed(ID, member))) == "not_a_holder"


def test_a_word_on_another_receivable_says_nothing_on_this_one() -> None:
    other = b"\7" * 32
    for act in (
        lambda: issued().acknowledge(Signed(other, FACTORY)),
        lambda: listed().finance(SALE._replace(receivable_id=other), BY_CREDITOR),
        lambda: listed().finance(SALE, Signed(other, PLANT)),
        lambda: financed().split(Signed(other, BANK), 1, 200),
    ):
        assert code_of(act) == "other_receivable"


def test_no_financing_before_acknowledgement_and_listing_nor_after_a_payment() -> None:
    """Invariant 5; the constructor is no back door."""
    for value in (acknowledged(), listed().repay(BY_DEBTOR, 1, EARLY)[0], listed().dispute(BY_DEBTOR)):
        assert code_of(lambda value=value: value.finance(SALE, BY_CREDITOR)) == "illegal_transition"
        assert (
            code_of(lambda value=value: FinancedReceivable(value, SALE, BY_CREDITOR, account=financed().account))
            == "illegal_transition"
        )
    with pytest.raises(IllegalTransitionError):
        AcknowledgedReceivable(issued(), BY_CREDITOR, account=acknowledged().account)
    with pytest.raises(AssertionError):
        replace(acknowledged(), account=financed().account)
    with pytest.raises(AssertionError):
        replace(financed(), account=listed().account)
    assert not hasattr(issued(), "finance")
    assert not hasattr(financed(), "finance")


def test_what_was_built_cannot_be_changed() -> None:
    for value, name in ((issued(), "claim"), (acknowledged(), "account"), (financed().account, "state")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


@pytest.mark.parametrize(
    ("advance", "proceeds", "costs"),
    [(0, 0, 0), (900, 0, 0), (900, 901, 0), (1_001, 900, 0), (-1, -1, 0), (900, 890, 101), (900, 890, -1)],
)
def test_an_offer_advances_at_most_the_face_pays_something_and_charges_the_residual(
    advance: int, proceeds: int, costs: int
) -> None:
    assert code_of(lambda: listed().finance(Sale(ID, BANK, advance, proceeds, costs), BY_CREDITOR)) == "bad_amount"


@pytest.mark.parametrize("payment", [0, -1, FACE_FEN + 1])
def test_a_payment_is_above_zero_and_at_most_what_is_left(payment: int) -> None:
    for value in (acknowledged(), financed()):
        assert code_of(lambda value=value: value.repay(BY_DEBTOR, payment, EARLY)) == "bad_amount"
    assert code_of(lambda: financed().compensate(BY_CREDITOR, min(payment, 0))) == "bad_amount"


@pytest.mark.parametrize(
    ("today", "expected", "state"),
    [
        ("2026-08-27", Standing.RUNNING, State.FINANCED),
        ("2026-08-28", Standing.DUE, State.DUE),
        ("2026-08-31", Standing.DUE, State.DUE),
        ("2026-09-01", Standing.OVERDUE, State.OVERDUE),
    ],
)
def test_due_from_the_due_day_and_overdue_after_the_grace_days(today: str, expected: Standing, state: State) -> None:
    day = date.fromisoformat(today)
    assert standing(State.FINANCED, CLAIM.due_day, day) is expected
    assert standing(State.SETTLED, CLAIM.due_day, day) is Standing.ENDED
    assert financed().mark(day).state is state
