"""Receivables on the contracts: born from a period's root, claimed once, and paid in order to the fen."""

import pytest

from settlement import merkle, receivable_acts
from settlement.fate_acts import GRACE_DAYS
from settlement.receivable_acts import ChainState
from tests.settlement.contract_bench import OPERATOR, YUAN
from tests.settlement.receivable_bench import DUE, Owed, owed_at
from tests.settlement.sale_bench import ADVANCE, BANK, FACE, FACTORY, FEN, SELLER, SHOP, TODAY

COSTS = YUAN


@pytest.fixture
def owed() -> Owed:
    return owed_at(ChainState.ISSUED)


# --------------------------------------------------------------------------------------------------- issuing


def test_a_period_needs_operator_and_checker_and_comes_once(owed: Owed) -> None:
    assert owed.try_(owed.issuing(10, b"\1" * 32, 1)) == "period_not_ascending"
    assert owed.try_(owed.issuing(11, b"\1" * 32, 1, checker=OPERATOR)) == "approvals_missing"
    assert owed.try_(owed.issuing(11, b"\1" * 32, 0)) == "no_receivables"
    owed.do(owed.issuing(14, b"\1" * 32, 1))
    assert owed.try_(owed.issuing(13, b"\1" * 32, 1)) == "period_not_ascending"


def test_every_receivable_of_the_tree_materialises_with_its_proof(owed: Owed) -> None:
    owed.events = []
    made = [owed.receivable(11, creditor=creditor) for creditor in range(300, 305)]
    owed.issue(*made)
    ids = [receivable_acts.receivable_id(each) for each in made]
    assert [event["receivable"] for event in owed.named("Materialised")] == ids
    claim = owed.claim(ids[4])
    assert (claim.state, claim.creditor, claim.debtor, claim.residual_open_micro) == (1, 304, FACTORY, FACE)
    assert [(part.number, part.claim, part.owner, part.open_micro) for part in owed.parts(ids[4])] == [
        (1, 0, 304, FACE)
    ]


def test_what_is_not_under_the_root_does_not_materialise(owed: Owed) -> None:
    made = [owed.receivable(11), owed.receivable(11, creditor=SHOP)]
    ids = [receivable_acts.receivable_id(each) for each in made]
    owed.do(owed.issuing(11, merkle.root(ids), 2))
    proof = merkle.path(ids, 0)
    for wrong, path, refusal in (
        (made[0]._replace(face_micro=2 * FACE), proof, "wrong_proof"),
        (made[0]._replace(period=12), proof, "wrong_proof"),
        (made[0], merkle.path(ids, 1), "wrong_proof"),
        (made[0], [], "wrong_proof"),
        (made[0]._replace(face_micro=FACE + 1), proof, "not_whole_fen"),
        (made[0]._replace(face_micro=0), proof, "not_whole_fen"),
        (made[0]._replace(due_day=TODAY - 1), proof, "due_before_issue"),
    ):
        assert owed.try_(receivable_acts.materialise(wrong, path)) == refusal
    owed.do(receivable_acts.materialise(made[0], proof))


def test_a_period_is_claimed_once(owed: Owed) -> None:
    assert owed.try_(receivable_acts.materialise(owed.owed, [])) == "claimed_twice"
    made = [owed.receivable(11), owed.receivable(11, face_micro=2 * FACE)]
    ids = [receivable_acts.receivable_id(each) for each in made]
    owed.do(owed.issuing(11, merkle.root(ids), 2))
    owed.do(receivable_acts.materialise(made[0], merkle.path(ids, 0)))
    assert owed.try_(receivable_acts.materialise(made[1], merkle.path(ids, 1))) == "claimed_twice"


def test_a_void_receivable_frees_its_period(owed: Owed) -> None:
    made = [owed.receivable(11), owed.receivable(11, face_micro=2 * FACE)]
    ids = [receivable_acts.receivable_id(each) for each in made]
    owed.do(owed.issuing(11, merkle.root(ids), 2))
    owed.do(receivable_acts.materialise(made[0], merkle.path(ids, 0)))
    owed.first = ids[0]
    owed.reach(ChainState.VOID)
    assert owed.try_(receivable_acts.materialise(made[0], merkle.path(ids, 0))) == "claimed_twice"
    owed.do(receivable_acts.materialise(made[1], merkle.path(ids, 1)))


# ------------------------------------------------------------------------------------------------- repayment


def test_on_time_costs_come_first_then_the_advance_then_the_residual(owed: Owed) -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.events = []
    before = {member: owed.cash_of(member) for member in (BANK, SELLER)}
    for paid, to in (
        (YUAN // 2, (YUAN // 2, 0, 0, 0)),
        (50 * YUAN, (YUAN // 2, 0, 50 * YUAN - YUAN // 2, 0)),
        (40 * YUAN, (0, 0, 30 * YUAN + YUAN // 2, 10 * YUAN - YUAN // 2)),
        (10 * YUAN - YUAN // 2, (0, 0, 0, 10 * YUAN - YUAN // 2)),
    ):
        owed.do(owed.repaying(paid))
        said = owed.named("Repaid")[-1]
        assert tuple(said[name] for name in ("to_costs", "to_interest", "to_advance", "to_residual")) == to
        assert said["redeemed"] + sum(part.open_micro for part in owed.parts()) == FACE
    assert owed.claim().state == ChainState.SETTLED
    assert owed.cash_of(BANK) - before[BANK] == ADVANCE + COSTS
    assert owed.cash_of(SELLER) - before[SELLER] == FACE - ADVANCE - COSTS


def test_interest_runs_from_the_due_day_and_is_rounded_up_to_the_fen_once_a_day() -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.do(owed.repaying(COSTS))
    # 70 CNY for a day are 1.17 fen, 50.02 for three days 2.5
    for day, interest in ((DUE, 0), (DUE + 1, 2 * FEN), (DUE + 1, 0), (DUE + 4, 3 * FEN)):
        owed.to_day(day)
        owed.do(owed.repaying(10 * YUAN))
        assert owed.named("Repaid")[-1]["to_interest"] == interest, f"on day {day - DUE}"
    assert owed.claim().accrued_day == DUE + 4


def test_the_residual_carries_interest_only_as_far_as_it_goes() -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.to_day(DUE + 3_600)  # ten years at 6 %: 48 CNY, of which 19 can be had
    owed.do(owed.repaying(FACE))
    said = owed.named("Repaid")[-1]
    assert [said[name] for name in ("to_costs", "to_interest", "to_advance", "to_residual")] == [
        COSTS,
        FACE - ADVANCE - COSTS,
        ADVANCE,
        0,
    ]
    assert owed.claim().state == ChainState.SETTLED


def test_an_unfinanced_receivable_is_simply_paid() -> None:
    owed = owed_at(ChainState.ACKNOWLEDGED)
    before = owed.cash_of(SELLER)
    owed.to_day(DUE + GRACE_DAYS)
    owed.do(owed.repaying(FACE))
    assert (owed.cash_of(SELLER) - before, owed.claim().state) == (FACE, ChainState.SETTLED)


def test_repayment_is_refused() -> None:
    owed = owed_at(ChainState.ACKNOWLEDGED)
    assert owed.try_(owed.repaying(FACE + FEN)) == "overpaid"
    assert owed.try_(owed.repaying(FEN + 1)) == "not_whole_fen"
    assert owed.try_(owed.repaying(0)) == "not_whole_fen"
    owed.do(owed.repaying(FACE - FEN))
    assert owed.try_(owed.repaying(2 * FEN)) == "overpaid"


def test_a_debtor_without_the_cash_pays_nobody() -> None:
    owed = owed_at(ChainState.FINANCED)
    owed.pay_away(FACTORY, owed.cash_of(FACTORY) - 90 * YUAN)
    before = owed.cash_of(BANK), owed.claim()
    assert owed.try_(owed.repaying(FACE)) == "insufficient_cash"
    assert (owed.cash_of(BANK), owed.claim(), owed.cash_of(FACTORY)) == (*before, 90 * YUAN)


def test_only_sales_sells() -> None:
    owed = owed_at(ChainState.LISTED)
    for function, types, values in (
        ("reserve", ("bytes32", "uint256"), (owed.first, BANK)),
        ("release", ("bytes32", "uint256"), (owed.first, BANK)),
        ("use_registration", ("bytes32",), (b"\1" * 32,)),
        (
            "assign",
            ("bytes32", *("uint256",) * 5, "bool", "bytes32"),
            (owed.first, BANK, ADVANCE, 0, 0, 360, False, b"\1" * 32),
        ),
    ):
        assert owed.try_(receivable_acts.call("Receivables", function, types, *values)) == "not_sales"
