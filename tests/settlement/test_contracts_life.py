"""A receivable's life on the contracts: every act in every state against a plain table, and what each act asks."""

from collections.abc import Callable

import pytest

from settlement import fate_acts, merkle, receivable_acts
from settlement.chain import Call
from settlement.fate_acts import DEFAULT_DAYS, GRACE_DAYS
from settlement.receivable_acts import ChainState
from tests.settlement.contract_bench import COLLECTION, LATE_S, REGULATOR, YUAN, sign
from tests.settlement.receivable_bench import DUE, HOLDER, REASON, RESIDUAL, Owed, owed_at
from tests.settlement.sale_bench import ADVANCE, BANK, FACE, FACTORY, FEN, SECOND, SELLER, SHOP

S = ChainState
ABSENT = 0
MOVABLE = (
    S.ACKNOWLEDGED,
    S.FINANCED,
    S.DUE,
    S.PARTLY_PAID,
    S.OVERDUE,
    S.RECOURSE,
    S.DEFAULTED,
    S.WRITTEN_OFF,
)
STAYING = {state: state for state in (S.OVERDUE, S.RECOURSE, S.DEFAULTED, S.WRITTEN_OFF)}
RUNNING = (S.ACKNOWLEDGED, S.LISTED, S.FINANCED, S.DUE, S.PARTLY_PAID)
EVERYWHERE = {state: state for state in S}

TABLE: dict[str, dict[ChainState, ChainState]] = {
    "acknowledge": {S.ISSUED: S.ACKNOWLEDGED},
    "acknowledge under a root": {S.ISSUED: S.ACKNOWLEDGED},
    "reject": {S.ISSUED: S.REJECTED},
    "cancel": {S.ISSUED: S.CANCELLED},
    "list": {S.ACKNOWLEDGED: S.LISTED},
    "withdraw": {S.LISTED: S.ACKNOWLEDGED},
    "finance": {S.LISTED: S.FINANCED},
    "repay a part": dict.fromkeys(RUNNING, S.PARTLY_PAID) | STAYING,
    "repay all": dict.fromkeys((*RUNNING, *STAYING), S.SETTLED),
    "demand": {S.OVERDUE: S.RECOURSE},
    "buy back": {S.RECOURSE: S.OVERDUE},
    "declare a default": {S.OVERDUE: S.DEFAULTED, S.RECOURSE: S.DEFAULTED},
    "write off": {S.DEFAULTED: S.WRITTEN_OFF},
    "dispute": {S.ACKNOWLEDGED: S.DISPUTED, S.LISTED: S.DISPUTED},
    "withdraw a dispute": {S.DISPUTED: S.ACKNOWLEDGED},
    "concede": {S.DISPUTED: S.VOID},
    "decide that it is void": {S.DISPUTED: S.VOID},
    "decide that it is owed": {S.DISPUTED: S.ACKNOWLEDGED},
    "split": {state: state for state in MOVABLE},
    "transfer": {state: state for state in MOVABLE},
    "pledge": {state: state for state in MOVABLE},
    "freeze": EVERYWHERE,
}
"""From which states an act leads where; in all others it is an illegal transition."""


def _open(owed: Owed) -> int:
    claim = owed.claim()
    return claim.residual_open_micro + claim.advance_open_micro


def _under_a_root(owed: Owed) -> Call:
    return receivable_acts.acknowledge_proven(FACTORY, owed.first, [(owed.first, [])])


def _part(owed: Owed) -> tuple[int, int, int]:
    """Number, owner and amount of the last part, or of one that is not there."""
    parts = owed.parts()
    return (parts[-1].number, parts[-1].owner, parts[-1].open_micro) if parts else (1, SELLER, FACE)


def _freezing(owed: Owed) -> Call:
    index = owed.view(fate_acts.next_ruling())
    digest = fate_acts.set_frozen_digest(owed.here, owed.first, True, index)
    return fate_acts.set_frozen(owed.first, True, index, owed.approve(REGULATOR, digest))


ACTS: dict[str, Callable[[Owed], Call]] = {
    "acknowledge": lambda owed: owed.acknowledging(),
    "acknowledge under a root": _under_a_root,
    "reject": lambda owed: owed.rejecting(),
    "cancel": lambda owed: owed.cancelling_it(),
    "list": lambda owed: owed.listing(owed.first),
    "withdraw": lambda owed: owed.listing(owed.first, False),
    "finance": lambda owed: owed.financing(owed.offer()),
    "repay a part": lambda owed: owed.repaying(YUAN),
    "repay all": lambda owed: owed.repaying(_open(owed) or FACE),
    "demand": lambda owed: owed.demanding(),
    "buy back": lambda owed: owed.buying_back(),
    "declare a default": lambda owed: owed.defaulting(),
    "write off": lambda owed: owed.writing_off(),
    "dispute": lambda owed: owed.disputing(),
    "withdraw a dispute": lambda owed: owed.withdrawing_dispute(),
    "concede": lambda owed: owed.conceding(),
    "decide that it is void": lambda owed: owed.deciding(True),
    "decide that it is owed": lambda owed: owed.deciding(False),
    "split": lambda owed: owed.splitting(_part(owed)[0], YUAN, _part(owed)[1]),
    "transfer": lambda owed: owed.transferring(_part(owed)[0], _part(owed)[2], _part(owed)[1], SECOND),
    "pledge": lambda owed: owed.pledging(_part(owed)[0], _part(owed)[1]),
    "freeze": _freezing,
}


def acknowledged_root(owed: Owed, root: bytes, by: int = FACTORY) -> Call:
    once = owed.once()
    digest = receivable_acts.acknowledge_root_digest(owed.here, FACTORY, root, COLLECTION, **once)
    return receivable_acts.acknowledge_root(FACTORY, root, COLLECTION, sign(by, digest), **once)


@pytest.mark.parametrize("state", [ABSENT, *S])
def test_every_act_in_every_state_does_what_the_table_says(state: int) -> None:
    owed = owed_at(S(state or S.ISSUED))
    owed.do(acknowledged_root(owed, owed.first))
    if state == ABSENT:
        owed.first = b"\x77" * 32
        owed.do(acknowledged_root(owed, owed.first))
    for name, act in ACTS.items():
        after = TABLE[name].get(S(state)) if state else None
        if after is None:
            wanted = "not_listed" if name == "finance" else "illegal_transition"
            assert owed.try_(act(owed)) == wanted, f"{name} when {state}"
            continue
        other = owed.copy()
        if name == "declare a default":
            other.to_day(DUE + DEFAULT_DAYS + 1)
        other.do(act(other))
        assert other.claim().state == after, f"{name} when {state}"
    assert owed.claim().state == state


@pytest.mark.parametrize("state", S)
def test_the_calendar_moves_what_it_should_and_passes_over_the_rest(state: S) -> None:
    owed = owed_at(state)
    before = owed.now_s
    falls_due = state in (S.ACKNOWLEDGED, S.LISTED, S.FINANCED)
    falls_overdue = falls_due or state in (S.DUE, S.PARTLY_PAID)
    for day, moves, after in (
        (DUE - 1, False, state),
        (DUE, falls_due, S.DUE),
        (DUE + GRACE_DAYS, falls_due, S.DUE),
        (DUE + GRACE_DAYS + 1, falls_overdue, S.OVERDUE),
    ):
        other = owed.copy()
        other.to_day(day)
        if other.now_s >= before:
            other.do(fate_acts.mark_many([other.first, b"\x77" * 32]))
            assert other.claim().state == (after if moves else state), f"{state.name} on day {day - DUE}"


def test_a_receivable_can_fall_due_and_overdue_at_once_and_both_are_said() -> None:
    owed = owed_at(S.ACKNOWLEDGED)
    owed.events = []
    owed.to_day(DUE + GRACE_DAYS + 1)
    owed.do(fate_acts.mark_many([owed.first]))
    said = [(event["actor"], event["before"], event["after"]) for event in owed.named("Changed")]
    assert said == [(0, S.ACKNOWLEDGED, S.DUE), (0, S.DUE, S.OVERDUE)]


# ------------------------------------------------------------------------------------------ who signs, and what


@pytest.mark.parametrize(
    ("state", "act"),
    [
        (S.ISSUED, lambda owed: owed.acknowledging(by=SELLER)),
        (S.ISSUED, lambda owed: owed.rejecting(by=SELLER)),
        (S.ISSUED, lambda owed: owed.cancelling_it(by=FACTORY)),
        (S.ISSUED, lambda owed: acknowledged_root(owed, owed.first, by=SELLER)),
        (S.FINANCED, lambda owed: owed.repaying(YUAN)._replace(data=owed.repaying(2 * YUAN).data[:-64] + bytes(64))),
        (S.FINANCED, lambda owed: owed.compensating(by=BANK)),
        (S.OVERDUE, lambda owed: owed.demanding(by=SELLER)),
        (S.RECOURSE, lambda owed: owed.buying_back(by=BANK)),
        (S.ACKNOWLEDGED, lambda owed: owed.disputing(by=SELLER)),
        (S.DISPUTED, lambda owed: owed.withdrawing_dispute(by=SELLER)),
        (S.DISPUTED, lambda owed: owed.conceding(by=FACTORY)),
        (S.FINANCED, lambda owed: owed.splitting(2, YUAN, BANK, by=SELLER)),
        (S.FINANCED, lambda owed: owed.transferring(2, ADVANCE, BANK, SECOND, by=SECOND)),
        (S.FINANCED, lambda owed: owed.pledging(2, BANK, by=SELLER)),
    ],
)
def test_nobody_acts_for_another(state: S, act: Callable[[Owed], Call]) -> None:
    owed = owed_at(state)
    assert owed.try_(act(owed)) == "bad_signature"


@pytest.mark.parametrize("is_void", [True, False])
def test_a_ruling_is_the_regulators_and_counts_once(is_void: bool) -> None:
    owed = owed_at(S.DISPUTED)
    assert owed.try_(owed.deciding(is_void, by=SELLER)) == "approvals_missing"
    ruling = owed.deciding(is_void)
    owed.freeze(owed.first)
    assert owed.try_(ruling) == "index_out_of_order"
    owed.do(owed.deciding(is_void))
    assert owed.named("Changed")[-1]["actor"] == REGULATOR


def test_a_debtor_signs_where_it_pays() -> None:
    owed = owed_at()
    assert owed.try_(owed.acknowledging(account=b"\x0d" * 32)) == "wrong_collection"
    forged = owed.acknowledging(account=b"\x0d" * 32)
    place = forged.data.index(b"\x0d" * 32)
    swapped = forged._replace(data=forged.data[:place] + COLLECTION + forged.data[place + 32 :])
    assert owed.try_(swapped) == "bad_signature"


def test_one_root_acknowledges_many_and_only_what_is_under_it() -> None:
    owed = owed_at()
    others = [owed.receivable(11, creditor=creditor) for creditor in (SELLER, SHOP, BANK)]
    owed.issue(*others, owed.receivable(11, debtor=SHOP))
    ids = [receivable_acts.receivable_id(each) for each in others]
    root = merkle.root(ids[:2])
    proven = [(ids[at], merkle.path(ids[:2], at)) for at in range(2)]
    assert owed.try_(receivable_acts.acknowledge_proven(FACTORY, root, proven)) == "root_not_acknowledged"
    owed.do(acknowledged_root(owed, root))
    assert owed.try_(receivable_acts.acknowledge_proven(FACTORY, root, [(ids[2], proven[0][1])])) == "wrong_proof"
    owed.do(receivable_acts.acknowledge_proven(FACTORY, root, proven))
    assert [owed.claim(each).state for each in ids] == [S.ACKNOWLEDGED, S.ACKNOWLEDGED, S.ISSUED]
    strangers = receivable_acts.receivable_id(owed.receivable(11, debtor=SHOP))
    owed.do(acknowledged_root(owed, strangers))
    assert owed.try_(receivable_acts.acknowledge_proven(FACTORY, strangers, [(strangers, [])])) == "not_the_debtor"


# ----------------------------------------------------------------------------------------------- before the sale


def test_what_is_listed_is_whole_free_and_not_yet_due() -> None:
    owed = owed_at()
    owed.do(owed.acknowledging())
    assert owed.try_(owed.listing(owed.first)) == "trades_unclaimed"
    owed.do(owed.claiming())
    for spoil, refusal in (
        (lambda other: other.do(other.splitting(1, YUAN, SELLER)), "not_whole"),
        (lambda other: other.do(other.transferring(1, FACE, SELLER, SHOP)), "not_whole"),
        (lambda other: other.do(other.pledging(1, SELLER)), "not_whole"),
        (lambda other: other.freeze(other.first), "receivable_frozen"),
        (lambda other: other.to_day(DUE), "past_due"),
    ):
        other = owed.copy()
        spoil(other)
        assert other.try_(other.listing(other.first)) == refusal
    owed.do(owed.listing(owed.first))


def test_defences_end_where_another_has_a_right() -> None:
    for spoil in (
        lambda other: other.do(other.transferring(1, YUAN, SELLER, SHOP)),
        lambda other: other.do(other.pledging(1, SELLER)),
    ):
        owed = owed_at(S.ACKNOWLEDGED)
        spoil(owed)
        assert owed.try_(owed.disputing()) == "not_whole"
    owed = owed_at(S.ACKNOWLEDGED)
    owed.do(owed.splitting(1, YUAN, SELLER))  # its own parts protect no creditor
    owed.do(owed.disputing())
    assert owed.named("Disputed") == [{"receivable": owed.first, "reason": REASON}]


@pytest.mark.parametrize("state", [S.REJECTED, S.CANCELLED, S.VOID])
def test_where_nothing_is_owed_no_part_is_left(state: S) -> None:
    owed = owed_at(state)
    assert (owed.parts(), owed.claim().residual_open_micro) == ([], 0)
    gone = owed.named("PartChanged")[-1]
    assert (gone["receivable"], gone["before"], gone["after"]) == (owed.first, FACE, 0)


def test_void_frees_the_period_and_nothing_else_does() -> None:
    for state in (S.REJECTED, S.CANCELLED, S.VOID):
        owed = owed_at(state)
        twin = owed.receivable(10, salt=b"\x09" * 32)
        root = receivable_acts.receivable_id(twin)
        assert owed.try_(owed.issuing(10, root, 1)) == "period_not_ascending"  # so a twin must be in the same root
        assert owed.try_(receivable_acts.materialise(twin, [])) == (
            "wrong_proof" if state == S.VOID else "claimed_twice"
        )


# ------------------------------------------------------------------------------------------------- when it is late


def test_a_holder_demands_and_the_creditor_buys_back_once() -> None:
    owed = owed_at(S.OVERDUE)
    assert owed.try_(owed.demanding(SECOND)) == "not_a_holder"
    owed.do(owed.demanding())
    owed.to_day(DUE + 10)
    interest = -(-ADVANCE * 60_000 * 10 // (360 * 10**6 * FEN)) * FEN
    price = ADVANCE + YUAN + interest
    assert owed.try_(owed.buying_back(price - FEN)) == "price_above_most"
    before = owed.cash_of(BANK), owed.cash_of(SELLER)
    owed.do(owed.buying_back(price))
    assert (owed.cash_of(BANK) - before[0], before[1] - owed.cash_of(SELLER)) == (price, price)
    assert [(part.claim, part.owner, part.open_micro) for part in owed.parts()] == [
        (RESIDUAL, SELLER, FACE - ADVANCE),
        (HOLDER, SELLER, ADVANCE),
    ]
    assert owed.named("BoughtBack")[-1] == {"receivable": owed.first, "price": price}
    assert owed.try_(owed.demanding(SELLER)) == "no_recourse"
    owed.do(owed.repaying(FACE))
    assert owed.claim().state == S.SETTLED


def test_a_default_takes_time_and_most_of_the_holders_claim() -> None:
    owed = owed_at(S.FINANCED)
    owed.do(owed.transferring(2, ADVANCE // 2, BANK, SECOND))
    owed.to_day(DUE + DEFAULT_DAYS)
    owed.do(fate_acts.mark_many([owed.first]))
    assert owed.try_(owed.defaulting(BANK, SECOND)) == "too_early"
    owed.to_day(DUE + DEFAULT_DAYS + 1)
    for members in ((BANK,), (SECOND,), (SELLER,), (BANK, SELLER)):
        assert owed.try_(owed.defaulting(*sorted(members))) == "no_majority"
    twice = owed.defaulting(BANK, BANK)
    assert owed.try_(twice) == "approvals_not_ascending"
    owed.do(owed.defaulting(BANK, SECOND))
    assert owed.named("Changed")[-1]["actor"] == BANK
    assert owed.try_(owed.writing_off(SECOND)) == "no_majority"
    owed.do(owed.writing_off(BANK, SECOND))


def test_where_nothing_is_financed_the_residuals_owners_declare_the_default() -> None:
    owed = owed_at(S.ACKNOWLEDGED)
    owed.to_day(DUE + DEFAULT_DAYS + 1)
    owed.do(fate_acts.mark_many([owed.first]))
    assert owed.try_(owed.defaulting(BANK)) == "no_majority"
    owed.do(owed.defaulting(SELLER))


def test_what_is_written_off_can_still_be_recovered() -> None:
    owed = owed_at(S.WRITTEN_OFF)
    owed.do(owed.repaying(YUAN))
    assert owed.claim().state == S.WRITTEN_OFF
    owed.do(owed.repaying(FACE - YUAN))
    assert owed.claim().state == S.SETTLED


def test_a_dispute_after_the_sale_ends_in_a_payment_between_the_parties() -> None:
    owed = owed_at(S.FINANCED)
    before = owed.claim()
    owed.do(owed.compensating(5 * YUAN))
    assert (owed.claim(), owed.named("Compensated")) == (before, [{"receivable": owed.first, "amount": 5 * YUAN}])
    assert owed.try_(owed.compensating(0)) == "not_whole_fen"
    unsold = owed_at(S.ACKNOWLEDGED)
    assert unsold.try_(unsold.compensating()) == "not_financed"


def test_a_word_counts_until_its_deadline_and_once() -> None:
    owed = owed_at(S.ACKNOWLEDGED)
    paid = owed.repaying(YUAN)
    owed.do(paid)
    assert owed.try_(paid) == "nonce_used"
    late = owed.repaying(YUAN)
    owed.now_s = LATE_S + 1
    assert owed.try_(late) == "deadline_passed"
