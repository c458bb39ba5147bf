"""Disputes: whoever is named in a trade may ask for the signed order behind it, and who is wrong pays."""

from functools import cache
from typing import Any

import pytest
from msgspec import structs

from matching.order import Level, Side
from settlement import acts, calls, dispute_acts
from settlement.acts import Delta
from settlement.intents import OrderIntent
from settlement.key_changes import FormerKey, history_back_to
from settlement.trade_leaf import trade_leaf
from tests.settlement.contract_bench import (
    DISPUTE_WINDOW_S,
    OPERATOR,
    REGULATOR,
    YUAN,
    Bench,
    Bonds,
    high_s,
    public,
    sign,
)
from tests.settlement.dispute_bench import (
    ANNA,
    BONDS,
    BORIS,
    CLARA,
    PLACED_S,
    SLOT_S,
    TRADED_S,
    Day,
    Signed,
    gas_of_a_dispute,
    order,
)

ANSWER_S = dispute_acts.ANSWER_S


@cache
def _begun() -> Day:
    return Day.begun()


@pytest.fixture
def day() -> Day:
    return _begun().copy()


@cache
def _proposed() -> Day:
    """Three trades under Anna's order of 100 lots, the second of them 40 after 40."""
    day = Day.begun()
    day.trade(order())
    day.trade(order(), filled_before_lots=40)
    day.trade(order(), filled_before_lots=80, common={"quantity_lots": 20})
    assert day.propose() == ""
    return day


@pytest.fixture
def proposed() -> Day:
    return _proposed().copy()


# --------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("batch", [0, 1, 6])
def test_the_signed_order_answers_a_challenge_and_the_bond_is_the_operators(proposed: Day, batch: int) -> None:
    opening = proposed.opening(proposed.records[1])
    assert proposed.challenge(opening) == ""
    assert (proposed.escrows(ANNA, OPERATOR), proposed.locked) == ([40, 1_000], 1_010)
    assert proposed.bench.named("Challenged")[-1]["due_s"] == proposed.bench.now_s + ANSWER_S
    assert proposed.answer(opening, proposed.sign(order(), batch=batch)) == ""
    assert (proposed.escrows(ANNA, OPERATOR), proposed.locked) == ([40, 1_010], 1_000)
    assert proposed.answer(opening, proposed.sign(order())) == "no_challenge"
    assert proposed.uphold(opening) == "no_challenge"
    proposed.after_window()
    assert proposed.apply() == ""
    assert (proposed.escrows(ANNA, BORIS, OPERATOR), proposed.locked) == ([35, 55, 2_010], 0)


def test_a_sellers_order_answers_for_the_sellers_half(day: Day) -> None:
    sold = order(member=BORIS, meter="B1", side=Side.SELL, price_ticks=3_500, terms_days=60)
    record = day.trade(sold, price_ticks=3_600)
    assert day.propose() == ""
    opening = day.opening(record, Side.SELL)
    assert day.challenge(opening) == ""
    assert day.answer(opening, day.sign(sold)) == ""


LIES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("wrong_member", {"member": CLARA}, {"member": ANNA}, {}),
    ("wrong_meter", {"meter": "A2"}, {"meter": "A1"}, {}),
    ("wrong_slot", {"slot": SLOT_S + 900}, {}, {}),
    ("wrong_slot", {}, {}, {"slot_s": SLOT_S - 900}),
    ("wrong_reach", {"reach": Level.TRANSFORMER}, {}, {}),
    ("wrong_reach", {}, {}, {"level": Level.METER}),
    ("wrong_price", {"price_ticks": 3_999}, {}, {}),
    ("wrong_price", {}, {"price_ticks": 4_501}, {}),
    ("wrong_terms", {"terms_days": 29}, {}, {}),
    ("wrong_terms", {"terms_days": 60}, {}, {}),
    ("placed_too_late", {"deadline": PLACED_S}, {}, {}),
    ("placed_too_late", {}, {"placed_s": TRADED_S + 1}, {}),
    ("wrong_quantity", {"quantity_lots": 39}, {}, {}),
    ("wrong_quantity", {}, {"filled_before_lots": 61}, {}),
    ("wrong_quantity", {}, {}, {"quantity_lots": 0}),
]


@pytest.mark.parametrize(("refusal", "signed", "half", "common"), LIES)
def test_an_order_that_does_not_allow_the_trade_is_no_answer(
    day: Day, refusal: str, signed: dict[str, Any], half: dict[str, Any], common: dict[str, Any]
) -> None:
    """The operator recorded a trade under a digest that its member did sign, but for something else."""
    intent = order(**signed)
    opening = day.opening(day.trade(intent, common=common, **half))
    assert day.propose() == ""
    assert day.challenge(opening) == ""
    assert day.answer(opening, day.sign(intent)) == refusal


@pytest.mark.parametrize(
    ("refusal", "changes"),
    [
        ("wrong_side", {"side": Side.BUY, "price_ticks": 4_500}),
        ("wrong_price", {"side": Side.SELL, "price_ticks": 4_001}),
        ("wrong_terms", {"side": Side.SELL, "price_ticks": 4_000, "terms_days": 29}),
    ],
)
def test_a_sellers_terms_are_checked_the_other_way_round(day: Day, refusal: str, changes: dict[str, Any]) -> None:
    intent = order(**changes)
    day.trade(order(**{**changes, "side": Side.SELL}))
    record = day.records[-1]._replace(sell=structs.replace(day.records[-1].sell, order_digest=digest_of(day, intent)))
    day.records[-1] = record
    opening = day.opening(record, Side.SELL)
    assert day.propose() == ""
    assert day.challenge(opening) == ""
    assert day.answer(opening, day.sign(intent)) == refusal


def digest_of(day: Day, intent: OrderIntent) -> Any:
    return intent.digest(day.bench.domain("Clearing"))


def test_every_word_of_the_order_is_under_the_digest_that_the_trade_names(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[0])
    assert proposed.challenge(opening) == ""
    true = proposed.sign(order())
    for name, value in structs.asdict(order()).items():
        changed = order(**{name: value + 1 if isinstance(value, int) else value + "x"})
        shown = Signed(changed, structs.replace(true.evidence, intent=changed))
        assert proposed.answer(opening, shown) == "wrong_order", name


def test_a_signature_that_is_not_the_members_is_no_answer(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[0])
    assert proposed.challenge(opening) == ""
    alone, batch = proposed.sign(order()), proposed.sign(order(), batch=3)
    wrong = [
        proposed.sign(order(), by=CLARA).evidence,
        proposed.sign(order(), by=OPERATOR, batch=2).evidence,
        structs.replace(alone.evidence, signature=high_s(alone.evidence.signature)),
        structs.replace(alone.evidence, count=1),
        structs.replace(batch.evidence, count=0),
        structs.replace(batch.evidence, count=5),
        structs.replace(batch.evidence, basket=True),
        structs.replace(batch.evidence, path=batch.evidence.path[:-1]),
        structs.replace(batch.evidence, path=[(not left, sibling) for left, sibling in batch.evidence.path]),
    ]
    for evidence in wrong:
        assert proposed.answer(opening, Signed(order(), evidence)) == "bad_signature"
    assert proposed.answer(opening, batch) == ""


def test_an_answer_for_another_opening_is_none(proposed: Day) -> None:
    first, second = proposed.opening(proposed.records[0]), proposed.opening(proposed.records[1])
    assert proposed.challenge(first) == ""
    assert proposed.answer(second, proposed.sign(order())) == "no_challenge"
    assert proposed.answer(first._replace(side=Side.SELL), proposed.sign(order())) == "no_challenge"
    assert proposed.answer(first._replace(side=3), proposed.sign(order())) == "no_such_side"


def rotate(day: Day, member: int, before: int, after: int) -> None:
    bench = day.bench
    once = bench.once()
    digest = acts.rotate_key_digest(bench.domain("Members"), member, public(after), **once)
    bench.do(acts.rotate_key(member, public(after), sign(before, digest), **once))


def test_an_order_is_checked_with_the_key_of_its_day(day: Day) -> None:
    """Who changes its key afterwards can not deny its order, and who has the key of another day can not invent one."""
    opening = day.opening(day.trade(order()))
    day.bench.now_s = TRADED_S + 3_600
    rotate(day, ANNA, ANNA, 500)
    assert day.propose() == ""
    assert day.challenge(opening, by=500) == ""
    history = history_back_to(day.bench.chain_events(), ANNA, PLACED_S)
    assert day.answer(opening, day.sign(order(), by=500), history) == "bad_signature"
    assert day.answer(opening, day.sign(order())) == "wrong_key_history"
    invented = history._replace(former=[FormerKey(*public(CLARA), 0)])
    assert day.answer(opening, day.sign(order(), by=CLARA), invented) == "wrong_key_history"
    assert day.answer(opening, day.sign(order()), history) == ""


def test_the_key_of_later_days_signs_no_older_order(day: Day) -> None:
    opening = day.opening(day.trade(order(), placed_s=PLACED_S + 3_000))
    day.bench.now_s = PLACED_S + 1_000
    rotate(day, ANNA, ANNA, 500)
    assert day.propose() == ""
    assert day.challenge(opening, by=500) == ""
    history = history_back_to(day.bench.chain_events(), ANNA, 0)
    assert day.answer(opening, day.sign(order()), history) == "bad_signature"
    assert day.answer(opening, day.sign(order(), by=500), history) == ""


# ------------------------------------------------------------------------------------------ who asks, and when


def test_only_the_side_itself_asks_with_its_own_key(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[0])
    assert proposed.challenge(opening, by=CLARA) == "bad_signature"
    as_another = opening._replace(half=structs.replace(opening.half, member=CLARA))
    assert proposed.challenge(as_another) == "wrong_proof"
    assert proposed.challenge(opening, deadline_s=proposed.bench.now_s - 1) == "deadline_passed"


def test_a_trade_that_is_not_in_the_cycle_can_not_be_challenged(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[2])
    assert proposed.challenge(opening._replace(path=opening.path[:-1])) == "wrong_proof"
    dearer = opening._replace(half=structs.replace(opening.half, price_ticks=9_999))
    assert proposed.challenge(dearer) == "wrong_proof"
    assert proposed.challenge(opening, cycle=2) == "cycle_not_proposed"


def test_both_sides_may_ask_each_once_at_a_time(proposed: Day) -> None:
    buying = proposed.opening(proposed.records[0])
    assert proposed.challenge(buying) == ""
    assert proposed.challenge(buying) == "already_challenged"
    assert proposed.challenge(proposed.opening(proposed.records[0], Side.SELL)) == ""
    assert proposed.bench.view(calls.open_challenges(1)) == 2
    assert proposed.answer(buying, proposed.sign(order())) == ""
    assert proposed.challenge(buying, nonce=1) == "", "nonces of another contract are others"
    assert proposed.challenge(proposed.opening(proposed.records[1]), nonce=1) == "nonce_used"


def test_the_window_ends_and_an_applied_cycle_is_final(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[0])
    proposed.bench.now_s += DISPUTE_WINDOW_S - 1
    early = proposed.copy()
    assert early.challenge(opening) == ""
    proposed.bench.now_s += 1
    assert proposed.challenge(opening) == "dispute_window_over"
    assert proposed.apply() == ""
    assert proposed.challenge(opening) == "cycle_not_proposed"
    assert proposed.bench.try_(dispute_acts.prove_overlap(1, opening, opening)) == "cycle_not_proposed"


def test_a_bond_must_be_there(day: Day) -> None:
    opening = day.opening(day.trade(order(member=103)))
    day.bench.admit(103)
    assert day.propose() == ""
    assert day.challenge(opening) == "bond_missing"
    day.bench.mint((103, 10 * YUAN), to_escrow=True)
    assert day.challenge(opening) == ""
    assert day.escrows(103) == [0]


def test_without_the_operators_bond_nothing_is_proposed() -> None:
    day = Day(Bench(Bonds(2_001 * YUAN, 0)))
    day.bench.mint((OPERATOR, 2_000 * YUAN), to_escrow=True)
    day.trade(order())
    assert day.propose() == "bond_missing"
    day.bench.mint((OPERATOR, YUAN), to_escrow=True)
    assert day.propose() == ""


def test_a_frozen_member_may_still_ask(proposed: Day) -> None:
    bench = proposed.bench
    digest = acts.freeze_digest(bench.domain("Members"), ANNA, True, 0)
    bench.do(acts.freeze(ANNA, True, 0, bench.approve(REGULATOR, digest)))
    assert proposed.challenge(proposed.opening(proposed.records[0])) == ""


@pytest.mark.parametrize("function", ["open_challenge", "close_challenge", "void"])
def test_nobody_but_disputes_moves_bonds(proposed: Day, function: str) -> None:
    bare = calls.call("Clearing", function, ("uint256", "uint256"), 1, CLARA)
    assert proposed.bench.try_(bare) == "not_disputes"


# ----------------------------------------------------------------------------------------- what nobody answers


def test_what_nobody_answers_is_struck_and_the_operator_pays(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[1])
    assert proposed.challenge(opening) == ""
    proposed.bench.now_s += ANSWER_S
    assert proposed.uphold(opening) == "answer_awaited"
    assert proposed.apply() == "challenge_open"
    proposed.bench.now_s += 1
    assert proposed.answer(opening, proposed.sign(order())) == "answer_too_late"
    assert proposed.uphold(opening) == ""
    assert (proposed.escrows(ANNA, OPERATOR), proposed.locked) == ([1_050, 1_000], 0)
    assert proposed.bench.named("Struck")[-1]["leaf"] == opening.leaf
    assert proposed.apply() == "cycle_void"
    assert proposed.uphold(opening) == "no_challenge"


def test_a_void_cycle_is_proposed_again_without_the_trade_and_applied(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[1])
    assert proposed.challenge(opening) == ""
    proposed.bench.now_s += ANSWER_S + 1
    assert proposed.uphold(opening) == ""
    del proposed.records[1]
    assert proposed.propose() == ""
    assert (proposed.escrows(OPERATOR), proposed.locked) == ([0], 1_000)
    assert proposed.apply() == "dispute_window_open"
    assert proposed.challenge(opening) == "wrong_proof"
    assert proposed.challenge(proposed.opening(proposed.records[1])) == ""
    assert proposed.answer(proposed.opening(proposed.records[1]), proposed.sign(order())) == ""
    proposed.after_window()
    assert proposed.apply() == ""
    assert (proposed.escrows(ANNA, OPERATOR), proposed.locked) == ([50 + 1_000 - 10 - 5, 1_010], 0)


def test_a_struck_trade_that_is_proposed_again_costs_another_bond(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[1])
    early = dispute_acts.prove_struck(1, opening.leaf, opening.path)
    assert proposed.bench.try_(early) == "not_struck"
    assert proposed.challenge(opening) == ""
    proposed.bench.now_s += ANSWER_S + 1
    assert proposed.uphold(opening) == ""
    assert proposed.bench.try_(early) == "cycle_not_proposed"
    assert proposed.propose() == ""
    assert proposed.bench.try_(dispute_acts.prove_struck(1, opening.leaf, opening.path[1:])) == "wrong_proof"
    proposed.bench.do(dispute_acts.prove_struck(1, opening.leaf, opening.path))
    assert (proposed.escrows(ANNA, OPERATOR), proposed.locked) == ([2_050, 0], 0)
    assert proposed.propose() == "bond_missing"


def test_other_challenges_of_a_void_cycle_stay_open_and_hold_up_the_next_proposal(proposed: Day) -> None:
    first, second = proposed.opening(proposed.records[0]), proposed.opening(proposed.records[1])
    assert proposed.challenge(first) == ""
    proposed.bench.now_s += 60
    assert proposed.challenge(second) == ""
    proposed.bench.now_s += ANSWER_S - 30
    assert proposed.uphold(first) == ""
    assert proposed.propose() == "challenge_open"
    answered, upheld = proposed.copy(), proposed.copy()
    assert answered.answer(second, answered.sign(order())) == ""
    assert (answered.escrows(ANNA, OPERATOR), answered.locked) == ([1_040, 1_010], 0)
    upheld.bench.now_s += 60
    assert upheld.uphold(second) == ""
    assert (upheld.escrows(ANNA, OPERATOR), upheld.locked) == ([1_050, 1_000], 0)
    for each in (answered, upheld):
        assert each.propose() == ""


def test_with_a_void_cycle_every_later_one_falls_and_keeps_its_bond(proposed: Day) -> None:
    opening = proposed.opening(proposed.records[0])
    assert proposed.challenge(opening) == ""
    assert proposed.propose(2) == ""
    assert proposed.locked == 2_010
    proposed.bench.now_s += ANSWER_S + 1
    assert proposed.uphold(opening) == ""
    assert (proposed.escrows(ANNA, OPERATOR), proposed.locked) == ([1_050, 0], 1_000)
    assert proposed.propose(2) == "cycle_out_of_order"
    proposed.bench.mint((OPERATOR, 1_000 * YUAN), to_escrow=True)
    assert proposed.propose(1) == ""
    proposed.after_window()
    assert proposed.apply(1) == ""
    assert proposed.apply(2) == "cycle_void"
    assert proposed.propose(2) == ""
    proposed.after_window()
    assert proposed.apply(2) == ""
    assert (proposed.escrows(OPERATOR), proposed.locked) == ([2_000], 0)


def test_a_bond_pays_arrears_first(day: Day) -> None:
    day.bench.settle(1, [Delta(ANNA, -70 * YUAN), Delta(BORIS, 70 * YUAN)])
    assert day.bench.view(calls.arrears_of(ANNA)) == 20 * YUAN
    day.trade(order())
    day.trade(order())
    first, second = (day.opening(record) for record in day.records)
    assert day.propose(2) == ""
    assert day.challenge(first, cycle=2) == "bond_missing"
    day.bench.do(dispute_acts.prove_overlap(2, first, second))
    assert day.bench.view(calls.arrears_of(ANNA)) == 0
    assert day.escrows(ANNA, acts.FUND) == [980, 20]


# -------------------------------------------------------------------------------------------- proven at once


def overlapping(day: Day, before: int, **common: int) -> str:
    """A second trade under Anna's order after one of lots 0 to 40; what proving the overlap says."""
    first = day.trade(order())
    second = day.trade(order(), filled_before_lots=before, common=dict(common))
    assert day.propose() == ""
    return day.bench.try_(dispute_acts.prove_overlap(1, day.opening(first), day.opening(second)))


@pytest.mark.parametrize(("before", "lots"), [(0, 40), (39, 40), (39, 1), (0, 1), (20, 100)])
def test_two_trades_that_fill_the_same_part_of_an_order_are_proven_by_themselves(
    day: Day, before: int, lots: int
) -> None:
    assert overlapping(day, before, quantity_lots=lots) == ""
    assert (day.escrows(ANNA, OPERATOR), day.locked) == ([1_050, 1_000], 0)
    assert day.bench.named("Struck")[-1]["leaf"] == trade_leaf(day.records[1]), "the later one is struck"


def test_trades_one_after_another_do_not_overlap(day: Day) -> None:
    assert overlapping(day, 40) == "no_overlap"


def test_an_overlap_is_of_two_trades_under_one_order(proposed: Day) -> None:
    first, second, third = (proposed.opening(record) for record in proposed.records)
    assert proposed.bench.try_(dispute_acts.prove_overlap(1, first, third)) == "no_overlap"
    assert proposed.bench.try_(dispute_acts.prove_overlap(1, second, first)) == "trades_not_ascending"
    assert proposed.bench.try_(dispute_acts.prove_overlap(1, first, first)) == "trades_not_ascending"
    selling = proposed.opening(proposed.records[1], Side.SELL)
    assert proposed.bench.try_(dispute_acts.prove_overlap(1, first, selling)) == "not_one_order"
    forged = second._replace(half=structs.replace(second.half, filled_before_lots=0))
    assert proposed.bench.try_(dispute_acts.prove_overlap(1, first, forged)) == "wrong_proof"


def test_a_trade_after_a_confirmed_cancellation_is_proven_by_the_receipt(day: Day) -> None:
    record = day.trade(order(), filled_before_lots=40, common={"sequence": 20})
    assert day.propose() == ""
    receipt = day.cancel_receipt(order(), 40, 19)
    day.bench.do(dispute_acts.prove_cancelled(1, day.opening(record), receipt, day_keys(day)))
    assert (day.escrows(ANNA, OPERATOR), day.locked) == ([1_050, 1_000], 0)


def day_keys(day: Day) -> Any:
    return history_back_to(day.bench.chain_events(), OPERATOR, PLACED_S)


@pytest.mark.parametrize(
    ("refusal", "limit_lots", "sequence", "changes"),
    [
        ("within_receipt", 80, 19, {}),
        ("receipt_not_older", 40, 20, {}),
        ("bad_signature", 40, 19, {"limit_lots": 41}),
        ("bad_signature", 40, 19, {"sequence": 18}),
        ("not_operator", 40, 19, {"operator": BORIS}),
        ("signed_at_another_time", 40, 19, {"signed_s": PLACED_S - 1}),
        ("signed_at_another_time", 40, 19, {"signed_s": TRADED_S + 1}),
    ],
)
def test_a_receipt_that_does_not_contradict_the_trade_proves_nothing(
    day: Day, refusal: str, limit_lots: int, sequence: int, changes: dict[str, int]
) -> None:
    record = day.trade(order(), filled_before_lots=40, common={"sequence": 20})
    assert day.propose() == ""
    receipt = day.cancel_receipt(order(), limit_lots, sequence)._replace(**changes)
    shown = dispute_acts.prove_cancelled(1, day.opening(record), receipt, day_keys(day))
    assert day.bench.try_(shown) == refusal


def test_a_receipt_by_a_stranger_or_for_another_order_proves_nothing(day: Day) -> None:
    record = day.trade(order(), filled_before_lots=40, common={"sequence": 20})
    assert day.propose() == ""
    by_stranger = day.cancel_receipt(order(), 40, 19, by=CLARA)._replace(operator=OPERATOR)
    for_another = day.cancel_receipt(order(client_order_id="a-2"), 40, 19)
    for receipt in (by_stranger, for_another):
        shown = dispute_acts.prove_cancelled(1, day.opening(record), receipt, day_keys(day))
        assert day.bench.try_(shown) == "bad_signature"


# ----------------------------------------------------------------------------------------------------- size


def test_a_dispute_fits_a_transaction_many_times(day: Day) -> None:
    gas = gas_of_a_dispute(day)
    assert set(gas) == {"challenge", "answer", "uphold"}
    assert max(gas.values()) < 500_000


def test_bonds_of_the_bench_are_those_of_the_contract(day: Day) -> None:
    for name, micro in (("OPERATOR_BOND", BONDS.operator_micro), ("CHALLENGE_BOND", BONDS.challenge_micro)):
        assert day.bench.view(calls.call("Clearing", name, ())) == micro
