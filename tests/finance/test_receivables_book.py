"""The book of receivables beside the real contracts: what is sent is accepted, what is refused is never sent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from data.database import reading
from data.units import MICRO_PER_FEN
from finance import mirror, periods, store
from finance.book import RefusedError
from finance.calendar import DayCount
from finance.listing import Filter, Viewer
from finance.listing_store import list_receivables
from finance.mirror import MirrorError
from finance.offer import OfferError, Quote
from finance.receivable import IllegalTransitionError, Standing, chain_state
from finance.rows import claim_of
from settlement import acts, calls, merkle, part_acts, receivable_acts
from settlement.chain import ChainEvent
from settlement.receivable_acts import ClaimView
from settlement.writer import Writer
from tests.finance.ledger import (
    BANK,
    COLLECTION,
    FACTORY,
    FORTUNE_CNY,
    HOME,
    OTHER_BANK,
    PLANT,
    SHOP,
    TIME_ZONE,
    Ledger,
    a_day_on_terms,
    copy_ledger,
    open_ledger,
)
from tests.settlement.settlement_world import DAY, start_of

pytestmark = pytest.mark.usefixtures("database_url")

FORTUNE_FEN = FORTUNE_CNY * 100
QUOTE = Quote(900_000, 60_000, DayCount.ACT_360, 1)
"""On a face of 70 fen, 59 days before it falls due: advance 63, discount 1, fee 1, proceeds 61."""


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory, chain_file: Path) -> Path:
    """A market with the day's receivables issued, to be copied: the factory's to the plant, and the shop's."""
    folder = tmp_path_factory.mktemp("issued")
    with open_ledger(folder, chain_file) as ledger:
        a_day_on_terms(ledger)
        ledger.issue()
    return folder


@pytest.fixture
def ledger(tmp_path: Path, issued: Path) -> Iterator[Ledger]:
    with copy_ledger(issued, tmp_path) as ledger:
        yield ledger


@pytest.fixture
def owed(ledger: Ledger) -> bytes:
    """The factory owes the plant 0.70 CNY, due on 2026-08-31."""
    return next(row.receivable_id for row in ledger.receivables() if row.debtor == FACTORY)


def listed(ledger: Ledger, receivable_id: bytes) -> None:
    ledger.acknowledge(FACTORY, receivable_id)
    ledger.sync()
    ledger.set_listed(PLANT, receivable_id)
    ledger.sync()


def offered(ledger: Ledger, receivable_id: bytes, bank: int = BANK, **changed: object) -> int:
    return ledger.offer(bank, receivable_id, QUOTE, advance_fen=63, proceeds_fen=61, **changed)


def refused_code(refused: pytest.ExceptionInfo[Exception]) -> str:
    return str(getattr(refused.value, "code", ""))


def test_the_whole_life_of_a_financed_receivable(ledger: Ledger, owed: bytes) -> None:
    listed(ledger, owed)
    offer, other = offered(ledger, owed), offered(ledger, owed, OTHER_BANK)
    ledger.accept(PLANT, offer)
    assert ledger.receivable(owed).state == "listed"  # nothing has happened until the chain says so
    ledger.sync()
    row = ledger.receivable(owed)
    assert (row.state, row.holder, row.advance_fen, row.proceeds_fen) == ("financed", BANK, 63, 61)
    assert (ledger.cash_fen(PLANT), ledger.cash_fen(BANK)) == (FORTUNE_FEN + 61, FORTUNE_FEN - 61)
    assert (ledger.offer_row(offer).state, ledger.offer_row(other).state) == ("accepted", "lapsed")

    ledger.repay(FACTORY, owed, 65)
    ledger.sync()
    assert (ledger.receivable(owed).state, ledger.receivable(owed).paid_fen) == ("partly_paid", 65)
    assert ledger.parts(owed) == [(0, PLANT, 2, 0), (1, BANK, 3, 0)]
    assert (ledger.cash_fen(BANK), ledger.cash_fen(PLANT)) == (FORTUNE_FEN - 61 + 65, FORTUNE_FEN + 61)
    ledger.repay(FACTORY, owed, 5)
    ledger.sync()
    assert ledger.receivable(owed).state == "settled"
    assert ledger.cash_fen(FACTORY) == FORTUNE_FEN - 70
    assert ledger.story(owed) == [
        ("drafted", "issued", 0),
        ("issued", "acknowledged", FACTORY),
        ("acknowledged", "listed", PLANT),
        ("listed", "financed", PLANT),
        ("financed", "partly_paid", FACTORY),
        ("partly_paid", "settled", FACTORY),
    ]
    with reading(ledger.database) as connection:
        reasons = [row.reason for row in store.history(connection, owed) if row.part is None]
        assert periods.credit_used_micro(connection, FACTORY) == 600 + 50 * 4_000  # the remainder, and the plain debt
    assert reasons[2:6] == [
        "all its trades are claimed",
        "",
        "104 paid 0.610000 CNY and is owed 0.630000 CNY first",
        "paid 0.650000 CNY: 0.050000 costs, 0.000000 interest, 0.600000 advance, 0.000000 residual",
    ]


def test_the_chain_and_the_database_say_the_same_at_every_step(ledger: Ledger, owed: bytes) -> None:
    def agree() -> None:
        ledger.sync()
        row = ledger.receivable(owed)
        (said,) = ledger.chain.view(calls.claim_of(owed))
        claim = ClaimView(*said)
        assert (chain_state(claim.state), claim.creditor, claim.debtor) == (row.state, row.creditor, row.debtor)
        amounts = (row.face_fen, row.advance_fen, row.costs_due_fen, row.interest_due_fen)
        stated = (claim.face_micro, claim.advance_micro, claim.costs_due_micro, claim.interest_due_micro)
        assert stated == tuple(amount * MICRO_PER_FEN for amount in amounts)
        (parts,) = ledger.chain.view(part_acts.parts_of(owed))
        assert [(part[1], part[2], part[3] // MICRO_PER_FEN, part[4]) for part in parts] == ledger.parts(owed)
        assert claim.advance_open_micro + claim.residual_open_micro == (row.face_fen - row.paid_fen) * MICRO_PER_FEN

    ledger.acknowledge(FACTORY, owed)
    agree()
    ledger.set_listed(PLANT, owed)
    agree()
    ledger.set_listed(PLANT, owed, listed=False)
    agree()
    ledger.set_listed(PLANT, owed)
    agree()
    ledger.accept(PLANT, offered(ledger, owed))
    agree()
    for amount_fen in (10, 60):
        ledger.repay(FACTORY, owed, amount_fen)
        agree()


def test_a_rejected_receivable_keeps_its_debtors_reason_and_ends_there(ledger: Ledger, owed: bytes) -> None:
    ledger.reject(FACTORY, owed, "we were cut off that hour")
    ledger.sync()
    assert ledger.receivable(owed).state == "rejected"
    with reading(ledger.database) as connection:
        last = store.history(connection, owed)[-1]
    assert (last.after, last.actor, last.reason) == ("rejected", FACTORY, "we were cut off that hour")
    assert len(last.transaction_hash) == 32
    for act in (
        lambda: ledger.acknowledge(FACTORY, owed),
        lambda: ledger.repay(FACTORY, owed, 70),
        lambda: ledger.set_listed(PLANT, owed),
    ):
        with pytest.raises(IllegalTransitionError, match="is rejected"):
            act()
    assert ledger.queued() == []


def test_the_same_act_again_changes_nothing_and_another_waits(ledger: Ledger, owed: bytes) -> None:
    word = ledger.acknowledge(FACTORY, owed)
    queued = ledger.queued()
    with ledger.database.begin() as connection:
        ledger.book.acknowledge(connection, word, [owed], ledger.now_s)
    assert ledger.queued() == queued
    with pytest.raises(RefusedError) as refused:
        ledger.acknowledge(FACTORY, owed)
    assert refused_code(refused) == "act_pending"
    ledger.sync()
    with pytest.raises(IllegalTransitionError):
        ledger.acknowledge(FACTORY, owed)
    assert ledger.queued() == []


@pytest.mark.parametrize(
    ("member", "code"), [(SHOP, "not_found"), (HOME, "not_found"), (BANK, "not_found"), (PLANT, "not_a_party")]
)
def test_only_the_debtor_acknowledges_and_strangers_see_nothing(
    ledger: Ledger, owed: bytes, member: int, code: str
) -> None:
    with pytest.raises((RefusedError, IllegalTransitionError)) as refused:
        ledger.acknowledge(member, owed)
    assert refused_code(refused) == code
    assert ledger.queued() == []


def test_a_signature_over_anything_else_is_refused_before_it_is_sent(ledger: Ledger, owed: bytes) -> None:
    good = ledger.word(
        FACTORY,
        lambda **terms: receivable_acts.acknowledge_many_digest(ledger.domain, FACTORY, [owed], COLLECTION, **terms),
    )
    forged = ledger.word(
        SHOP,
        lambda **terms: receivable_acts.acknowledge_many_digest(ledger.domain, FACTORY, [owed], COLLECTION, **terms),
    )
    elsewhere = ledger.chain.domain("Clearing")
    for word in (
        replace(good, nonce=good.nonce + 1),
        replace(good, deadline_s=good.deadline_s + 1),
        replace(good, signature=bytes(64)),
        replace(good, signature=forged.signature),
        ledger.word(
            FACTORY,
            lambda **terms: receivable_acts.acknowledge_many_digest(elsewhere, FACTORY, [owed], COLLECTION, **terms),
        ),
    ):
        with ledger.database.begin() as connection, pytest.raises(RefusedError) as refused:
            ledger.book.acknowledge(connection, word, [owed], ledger.now_s)
        assert refused_code(refused) == "bad_signature"
    with pytest.raises(RefusedError) as refused:
        ledger.acknowledge(FACTORY, owed, deadline_s=ledger.now_s - 1)
    assert refused_code(refused) == "deadline_passed"
    assert ledger.queued() == []


def test_an_acknowledgement_names_one_to_a_hundred_each_once(ledger: Ledger, owed: bytes) -> None:
    for ids, code in (
        ([], "none_named"),
        ([owed, owed], "named_twice"),
        ([bytes([n]) * 32 for n in range(101)], "too_many"),
    ):
        with pytest.raises(RefusedError) as refused:
            ledger.acknowledge(FACTORY, *ids)
        assert refused_code(refused) == code


def test_only_the_creditor_lists_and_only_what_is_acknowledged(ledger: Ledger, owed: bytes) -> None:
    with pytest.raises(IllegalTransitionError, match="must be acknowledged"):
        ledger.set_listed(PLANT, owed)
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    with pytest.raises(IllegalTransitionError) as refused:
        ledger.set_listed(FACTORY, owed)
    assert refused_code(refused) == "not_a_party"
    with pytest.raises(IllegalTransitionError, match="must be listed"):
        ledger.set_listed(PLANT, owed, listed=False)


# --------------------------------------------------------------------------------------------------- offers


def test_an_offer_is_signed_over_the_amounts_that_the_quote_comes_to(ledger: Ledger, owed: bytes) -> None:
    listed(ledger, owed)
    for advance_fen, proceeds_fen in ((63, 62), (62, 61), (64, 61)):
        with pytest.raises(RefusedError, match="advance of 63 fen and proceeds of 61 fen, 60 days") as refused:
            ledger.offer(BANK, owed, QUOTE, advance_fen=advance_fen, proceeds_fen=proceeds_fen)
        assert refused_code(refused) == "bad_signature"
    row = ledger.offer_row(offered(ledger, owed))
    assert (row.advance_fen, row.discount_fen, row.fee_fen, row.proceeds_fen) == (63, 1, 1, 61)


def test_an_offer_is_on_what_is_listed_by_a_bank_that_is_no_party(ledger: Ledger, owed: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        offered(ledger, owed)
    assert refused_code(refused) == "not_found"
    listed(ledger, owed)
    for own in (PLANT, FACTORY):
        with pytest.raises(RefusedError) as refused:
            offered(ledger, owed, own)
        assert refused_code(refused) == "own_receivable"
    with pytest.raises(RefusedError) as refused:
        offered(ledger, owed, deadline_s=ledger.now_s - 1)
    assert refused_code(refused) == "deadline_passed"
    ledger.move_to(date(2026, 8, 31))
    with pytest.raises(OfferError) as late:
        offered(ledger, owed)
    assert late.value.code == "past_due"


def test_the_same_offer_again_is_the_same_and_a_nonce_is_used_once(ledger: Ledger, owed: bytes) -> None:
    listed(ledger, owed)
    first = offered(ledger, owed, nonce=7_000)
    assert ledger.offer_row(first).nonce == 7_000
    with pytest.raises(RefusedError) as refused:
        ledger.offer(BANK, owed, QUOTE._replace(fee_fen=2), advance_fen=63, proceeds_fen=60, nonce=7_000)
    assert refused_code(refused) == "nonce_used"
    for _ in range(9):
        offered(ledger, owed)
    with pytest.raises(RefusedError) as refused:
        offered(ledger, owed)
    assert refused_code(refused) == "too_many"
    assert offered(ledger, owed, OTHER_BANK, nonce=7_000) > first


def test_an_offer_lapses_with_its_deadline_and_with_the_receivables_sale(ledger: Ledger, owed: bytes) -> None:
    listed(ledger, owed)
    short, long = offered(ledger, owed), offered(ledger, owed, OTHER_BANK, deadline_s=ledger.now_s + 10**6)
    ledger.move_to(DAY + timedelta(days=3))
    with pytest.raises(RefusedError) as refused:
        ledger.accept(PLANT, short)
    assert refused_code(refused) == "not_open"
    with pytest.raises(RefusedError) as refused:
        ledger.accept(SHOP, long)
    assert refused_code(refused) == "not_found"
    word = ledger.word(PLANT, lambda **_: bytes(32))
    with ledger.database.begin() as connection, pytest.raises(RefusedError) as refused:
        ledger.offers.accept(connection, word, 99, ledger.now_s)
    assert refused_code(refused) == "not_found"
    with pytest.raises(IllegalTransitionError) as not_yours:
        ledger.accept(OTHER_BANK, long)
    assert refused_code(not_yours) == "not_a_party"
    ledger.accept(PLANT, long)
    ledger.sync()
    with pytest.raises(IllegalTransitionError, match="is financed"):
        ledger.accept(PLANT, short)


def test_delivery_versus_payment_is_both_or_neither(ledger: Ledger, owed: bytes) -> None:
    """The bank's money is gone between acceptance and chain: the contract refuses, and all is as before."""
    listed(ledger, owed)
    offer = offered(ledger, owed)
    ledger.accept(PLANT, offer)
    nonce, deadline_s, amount = 9_000, ledger.now_s + 3_600, FORTUNE_CNY * 10**6
    terms = {"nonce": nonce, "deadline_s": deadline_s}
    digest = acts.enter_digest(ledger.chain.domain("Clearing"), BANK, amount, **terms)
    word = ledger.word(BANK, lambda **_: digest, **terms)
    (receipt,) = ledger.chain.send(ledger.chain.sign([acts.enter(BANK, amount, word.signature, **terms)]))
    assert receipt.succeeded
    ledger.sync()
    row = ledger.receivable(owed)
    assert (row.state, row.holder, row.act, row.act_state) == ("listed", PLANT, "finance", "reverted")
    assert row.act_refusal == "insufficient_cash"
    assert (ledger.cash_fen(PLANT), ledger.offer_row(offer).state) == (FORTUNE_FEN, "open")
    with pytest.raises(RefusedError) as refused:
        ledger.accept(PLANT, offer)
    assert refused_code(refused) == "insufficient_cash"
    ledger.accept(PLANT, offered(ledger, owed, OTHER_BANK))
    ledger.sync()
    assert (ledger.receivable(owed).state, ledger.receivable(owed).holder) == ("financed", OTHER_BANK)
    assert ledger.receivable(owed).act is None


# ------------------------------------------------------------------------------------------------- payments


@pytest.mark.parametrize(("amount_fen", "code"), [(0, "bad_amount"), (-1, "bad_amount"), (71, "bad_amount")])
def test_a_payment_is_above_zero_and_at_most_the_face(ledger: Ledger, owed: bytes, amount_fen: int, code: str) -> None:
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    with pytest.raises((RefusedError, IllegalTransitionError)) as refused:
        if amount_fen < 0:
            word = ledger.word(FACTORY, lambda **_: bytes(32))
            with ledger.database.begin() as connection:
                ledger.book.repay(connection, word, owed, amount_fen, now_s=ledger.now_s)
        else:
            ledger.repay(FACTORY, owed, amount_fen)
    assert refused_code(refused) == code
    assert ledger.queued() == []


def test_an_unfinanced_receivable_is_paid_to_its_creditor(ledger: Ledger, owed: bytes) -> None:
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    ledger.repay(FACTORY, owed, 70)
    ledger.sync()
    assert ledger.receivable(owed).state == "settled"
    assert (ledger.cash_fen(FACTORY), ledger.cash_fen(PLANT)) == (FORTUNE_FEN - 70, FORTUNE_FEN + 70)


def test_nobody_pays_with_money_it_does_not_hold(ledger: Ledger, owed: bytes) -> None:
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    with ledger.database.begin() as connection:
        connection.exec_driver_sql("UPDATE cash SET free_micro = 0 WHERE member_id = 101")
    with pytest.raises(RefusedError) as refused:
        ledger.repay(FACTORY, owed, 70)
    assert refused_code(refused) == "insufficient_cash"


# ----------------------------------------------------------------------------------------- mirror and calendar


def test_a_crash_between_chain_and_mirror_loses_nothing_and_repeats_nothing(ledger: Ledger, owed: bytes) -> None:
    ledger.acknowledge(FACTORY, owed)
    Writer(ledger.database, ledger.chain).drain()
    assert ledger.receivable(owed).state == "issued"  # the process died here
    assert ledger.pull() == 1
    story = ledger.story(owed)
    assert ledger.pull() == 0
    with ledger.database.begin() as connection:
        assert mirror.follow(connection, ledger.chain.events(0), ledger.now_s, TIME_ZONE) == 0
    assert ledger.story(owed) == story
    assert ledger.receivable(owed).state == "acknowledged"


def test_what_another_relayer_brought_to_the_chain_is_mirrored_too(ledger: Ledger, owed: bytes) -> None:
    listed(ledger, owed)
    word = ledger.word(
        FACTORY, lambda **terms: receivable_acts.repay_digest(ledger.domain, owed, FACTORY, 70 * MICRO_PER_FEN, **terms)
    )
    terms = {"nonce": word.nonce, "deadline_s": word.deadline_s}
    call = receivable_acts.repay(owed, 70 * MICRO_PER_FEN, word.signature, **terms)
    assert ledger.chain.send(ledger.chain.sign([call]))[0].succeeded
    assert ledger.pull() == 1
    assert ledger.receivable(owed).state == "settled"


def test_what_another_relayer_brought_onto_the_chain_is_not_brought_again(ledger: Ledger, owed: bytes) -> None:
    claims = [claim_of(row) for row in ledger.receivables()]
    place = next(n for n, claim in enumerate(claims) if claim.receivable_id == owed)
    proof = merkle.path([claim.receivable_id for claim in claims], place)
    ledger.chain.send(ledger.chain.sign([receivable_acts.materialise(claims[place].on_chain, proof)]))
    assert ledger.pull() == 0
    ledger.acknowledge(FACTORY, owed)
    assert ledger.queued() == ["Receivables.acknowledge_many"]
    ledger.sync()
    assert ledger.receivable(owed).state == "acknowledged"


def test_an_event_that_no_rule_leads_to_stops_the_mirror(ledger: Ledger, owed: bytes) -> None:
    arguments: dict[str, int | bytes | bool] = {"receivable": owed, "actor": PLANT, "before": 1, "after": 5}
    event = ChainEvent(99, 0, ledger.now_s, bytes(32), "Receivables", "Changed", arguments)
    for wrong in (arguments, arguments | {"before": 2, "after": 3}, arguments | {"receivable": bytes(32), "after": 2}):
        changed = ChainEvent(99, 0, event.block_s, event.transaction_hash, "Receivables", "Changed", wrong)
        with ledger.database.begin() as connection, pytest.raises(MirrorError):
            mirror.follow(connection, [changed], ledger.now_s, TIME_ZONE)
    assert ledger.receivable(owed).state == "issued"


def test_the_chain_is_asked_once_an_hour_to_look_at_the_calendar(ledger: Ledger, owed: bytes) -> None:
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    ledger.move_to(date(2026, 8, 30))
    assert ledger.mark_due() == 0
    for day, after, marked in (
        (date(2026, 8, 31), "due", 1),  # the shop's is not on the chain: it has only its standing
        (date(2026, 9, 3), "due", 0),
        (date(2026, 9, 4), "overdue", 1),
    ):
        ledger.move_to(day)
        assert ledger.mark_due() == marked
        assert ledger.mark_due() == 0
        ledger.sync()
        assert ledger.receivable(owed).state == after
    assert ledger.story(owed)[-2:] == [("acknowledged", "due", 0), ("due", "overdue", 0)]
    ledger.repay(FACTORY, owed, 70)
    ledger.sync()
    assert ledger.receivable(owed).state == "settled"


def test_what_the_chain_did_not_hear_is_asked_again_after_an_hour(ledger: Ledger, owed: bytes) -> None:
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    ledger.now_s = start_of(date(2026, 8, 31)) + 10  # its clock is behind: nothing is due there yet
    assert ledger.mark_due() == 1
    ledger.sync()
    assert (ledger.receivable(owed).state, ledger.mark_due()) == ("acknowledged", 0)
    ledger.move_to(date(2026, 8, 31))
    assert ledger.mark_due() == 1
    ledger.sync()
    assert ledger.receivable(owed).state == "due"


# -------------------------------------------------------------------------------------------------- looking


ALL = Filter()


def seen(ledger: Ledger, viewer: Viewer, asked: Filter = ALL, after: int = -1, limit: int = 100) -> list[int]:
    with reading(ledger.database) as connection:
        rows = list_receivables(connection, viewer, asked, date(2026, 8, 3), after=after, limit=limit).rows
    assert all(viewer.may_see(row) for row in rows)
    return [row.number for row in rows]


def test_parties_see_theirs_banks_what_is_listed_or_theirs_overseers_all(ledger: Ledger, owed: bytes) -> None:
    bank, other_bank = Viewer(BANK, is_bank=True), Viewer(OTHER_BANK, is_bank=True)
    views = [Viewer(PLANT), Viewer(FACTORY), Viewer(SHOP), Viewer(HOME), bank, Viewer(7, is_overseer=True)]
    assert [seen(ledger, viewer) for viewer in views] == [[1, 2], [1], [2], [], [], [1, 2]]
    listed(ledger, owed)
    assert (seen(ledger, bank), seen(ledger, Viewer(BANK)), seen(ledger, Viewer(HOME))) == ([1], [], [])
    ledger.accept(PLANT, offered(ledger, owed))
    ledger.sync()
    assert (seen(ledger, bank), seen(ledger, other_bank)) == ([1], [])


def test_lists_go_on_from_the_latest_change_and_miss_none(ledger: Ledger, owed: bytes) -> None:
    everyone = Viewer(7, is_overseer=True)
    assert seen(ledger, everyone, limit=1) == [1]
    first = ledger.receivable(owed).change
    assert seen(ledger, everyone, after=first) == [2]
    second = max(row.change for row in ledger.receivables())
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()  # within the same second of the market's clock
    assert seen(ledger, everyone, after=second) == [1]
    assert seen(ledger, everyone) == [2, 1]


def test_filters_choose_by_state_party_standing_and_time(ledger: Ledger, owed: bytes) -> None:
    everyone, issued_s = Viewer(7, is_overseer=True), ledger.now_s
    ledger.move_to(DAY + timedelta(days=3))
    ledger.acknowledge(FACTORY, owed)
    ledger.sync()
    for asked, expected in (
        (Filter(state="acknowledged"), [1]),
        (Filter(state="issued"), [2]),
        (Filter(debtor=SHOP), [2]),
        (Filter(creditor=PLANT), [2, 1]),
        (Filter(holder=BANK), []),
        (Filter(standing=Standing.RUNNING), [1]),
        (Filter(standing=Standing.DUE), [2]),
        (Filter(standing=Standing.OVERDUE), []),
        (Filter(standing=Standing.ENDED), []),
        (Filter(updated_after_s=issued_s), [2, 1]),
        (Filter(updated_after_s=issued_s + 1), [1]),
        (Filter(updated_after_s=ledger.now_s), [1]),
        (Filter(updated_after_s=ledger.now_s + 1), []),
    ):
        assert seen(ledger, everyone, asked) == expected, asked
