"""Closing a period over real trades: what is billed, what is carried, who must sign, and that nothing happens twice."""

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from data import tables
from data.database import reading
from finance import mirror, paths, period_store, periods
from finance.claim import TermsTrade, terms_trade
from finance.mirror import MirrorError
from finance.paths import path_of
from finance.period import Billing, Pair
from finance.published import PublishedPeriod, joined, remainders_of, verify_period, verify_succession
from finance.rows import claim_of
from settlement import cycle_store, merkle, receivable_acts, store
from settlement.chain import ChainEvent
from tests.finance.ledger import CHECKER, FACTORY, HOME, NEXT_DAY, PLANT, SHOP, TIME_ZONE, Ledger, a_day_on_terms
from tests.settlement.settlement_world import DAY, Wish, start_of

pytestmark = pytest.mark.usefixtures("database_url")


def published(ledger: Ledger, number: int) -> PublishedPeriod:
    with reading(ledger.database) as connection:
        found = periods.whole_period(connection, number)
    assert found is not None
    return found


def verify(ledger: Ledger, number: int) -> list[str]:
    """As the checker does, from trades and deliveries."""
    until = published(ledger, number)
    earlier = [published(ledger, each) for each in range(1, number)]
    with reading(ledger.database) as connection:
        rows = cycle_store.cycles_in(connection)
        trades = []
        for row in rows:
            if until.first_cycle <= row.cycle <= until.last_cycle:
                found = store.trades_of_slots(connection, row.start_s, row.end_s)
                delivered = cycle_store.deliveries_of(connection, [each.record.common.trade_id for each in found])
                trades += [terms_trade(each.record, delivered[each.record.common.trade_id]) for each in found]
    days = {row.cycle: row.day for row in rows}
    problems = verify_period(
        until,
        [each for each in trades if each],
        {pair: micro for each in earlier for pair, micro in remainders_of(each).items()},
    )
    return [str(each) for each in [*problems, *verify_succession([*earlier, until], days)]]


def test_only_delivered_and_read_energy_on_terms_is_billed(ledger: Ledger) -> None:
    a_day_on_terms(ledger)
    rows = ledger.issue()
    assert [(row.creditor, row.debtor, row.terms_days, row.face_fen, row.state) for row in rows] == [
        (PLANT, FACTORY, 60, 70, "issued"),
        (PLANT, SHOP, 30, 14, "issued"),  # 40 of 100 lots came
    ]
    assert {row.issue_day for row in rows} == {NEXT_DAY.isoformat()}
    with reading(ledger.database) as connection:
        assert period_store.carried(connection, 2) == {Pair(PLANT, FACTORY, 60): 600, Pair(PLANT, SHOP, 30): 4_000}
        claimed = connection.execute(select(tables.receivable_trades.c.delivered_lots)).scalars().all()
        assert sorted(claimed) == [40, 200]
        owed = {member: periods.credit_used_micro(connection, member) for member in (FACTORY, SHOP, PLANT)}
    assert owed == {FACTORY: 200 * 3_503 + 50 * 4_000, SHOP: 100 * 3_600, PLANT: 0}
    assert verify(ledger, 1) == []


def test_nothing_is_shown_before_both_have_signed_and_the_chain_has_the_root(ledger: Ledger) -> None:
    a_day_on_terms(ledger)
    ledger.settle(DAY)
    assert ledger.close() == 1
    assert ledger.receivables() == []
    assert ledger.queued() == ["Clearing.commit"]
    assert ledger.sign_period(1, digest=bytes(32)) == "bad_signature"
    assert ledger.sign_period(2) == "unknown_period"
    assert ledger.queued() == ["Clearing.commit"]
    assert ledger.sign_period(1) is None
    assert ledger.queued() == ["Clearing.commit", "Receivables.issue_period"]
    assert ledger.receivables() == []
    assert ledger.sync() == 2
    assert len(ledger.receivables()) == 2
    assert ledger.sign_period(1) == "already_signed"


def test_a_refused_period_says_why_holds_up_the_next_and_can_still_be_signed(ledger: Ledger) -> None:
    a_day_on_terms(ledger)
    a_day_on_terms(ledger, NEXT_DAY)
    ledger.settle(DAY)
    assert ledger.close() == 1
    with ledger.database.begin() as connection:
        assert periods.refuse(connection, 1, "the root is wrong") is None
        assert periods.refuse(connection, 2, "?") == "unknown_period"
        row = period_store.period(connection, 1)
        assert row is not None and (row.state, row.refusal) == ("refused", "the root is wrong")
    ledger.settle(NEXT_DAY)
    assert ledger.close() is None
    assert ledger.sign_period(1) is None
    with ledger.database.begin() as connection:
        assert periods.refuse(connection, 1, "too late") == "already_signed"
    assert ledger.close() == 2


def test_a_period_waits_for_its_end_and_for_its_cycles_to_be_applied(ledger: Ledger) -> None:
    a_day_on_terms(ledger)
    assert ledger.close() is None
    ledger.settle(DAY)
    with ledger.database.begin() as connection:
        cycle_store.set_cycle(connection, 1, state="proposed")
    assert ledger.close() is None
    with ledger.database.begin() as connection:
        cycle_store.set_cycle(connection, 1, state="applied")
    later, ledger.now_s = ledger.now_s, start_of(NEXT_DAY) - 1
    assert ledger.close() is None
    ledger.now_s = later
    assert ledger.close() == 1
    assert ledger.close() is None


def test_remainders_go_into_the_next_period_to_the_last_micro_yuan(ledger: Ledger) -> None:
    for day in (DAY, NEXT_DAY):
        a_day_on_terms(ledger, day)
    ledger.issue()
    second = ledger.issue(NEXT_DAY)
    assert [row.face_fen for row in second] == [70, 14]
    third_day = NEXT_DAY + timedelta(days=1)
    a_day_on_terms(ledger, third_day)
    assert [row.face_fen for row in ledger.issue(third_day)] == [70, 15]  # 3 x 0.4 fen of remainders make one
    with reading(ledger.database) as connection:
        assert period_store.carried(connection, 4) == {
            Pair(PLANT, FACTORY, 60): 1_800,
            Pair(PLANT, SHOP, 30): 2_000,
        }
        faces = connection.scalar(select(func.sum(tables.receivables.c.face_fen)))
    assert faces * 10_000 + 1_800 + 2_000 == 3 * (200 * 3_503 + 40 * 3_600)
    assert [verify(ledger, number) for number in (1, 2, 3)] == [[], [], []]


def test_a_month_takes_in_its_days_and_ends_with_the_calendars(ledger: Ledger) -> None:
    ledger.billing = Billing.MONTH
    for day in (DAY, NEXT_DAY):
        a_day_on_terms(ledger, day)
        ledger.settle(day)
    ledger.now_s = start_of(DAY.replace(month=8))
    assert ledger.close() is None  # plain debts on 30 days fall due on the 31st: its cycle is still to come
    ledger.settle(DAY.replace(day=31))
    assert ledger.close() == 1
    of_july = published(ledger, 1)
    assert (of_july.first_day, of_july.last_day) == ("2026-07-01", "2026-07-31")
    assert (of_july.first_cycle, of_july.last_cycle) == (1, 3)
    assert [each.face_fen for each in of_july.receivables] == [140, 28]
    assert [len(each.trades) for each in of_july.receivables] == [2, 2]
    assert of_july.receivables[1].issue_day == "2026-08-01"
    assert verify(ledger, 1) == []


def test_a_period_without_receivables_is_over_at_once_and_never_sent(ledger: Ledger) -> None:
    ledger.trade(Wish("A1", "sell", 10, 100, 3_000, 60), Wish("A2", "buy", 10, 100, 5_000, 0))
    ledger.world.close(10)
    ledger.world.meter(("A1", 10, 100, 0), ("A2", 10, 0, 100))
    ledger.settle(DAY)
    assert ledger.close() == 1
    assert published(ledger, 1).state == "issued"
    assert ledger.queued() == ["Clearing.commit"]
    assert verify(ledger, 1) == []
    a_day_on_terms(ledger, NEXT_DAY)
    assert len(ledger.issue(NEXT_DAY)) == 2
    assert verify(ledger, 2) == []


def test_any_row_that_someone_changes_is_found_by_whoever_recomputes(ledger: Ledger) -> None:
    a_day_on_terms(ledger)
    ledger.issue()
    receivables, periods_table = tables.receivables, tables.periods
    changes = [
        receivables.update().values(face_fen=receivables.c.face_fen + 1),
        receivables.update().values(due_day="2027-01-04"),
        receivables.update().values(debtor=HOME).where(receivables.c.number == 1),
        receivables.delete().where(receivables.c.number == 2),
        tables.receivable_trades.update().values(amount_micro=1),
        tables.remainders.update().values(amount_micro=0),
        periods_table.update().values(root=bytes(32)),
        periods_table.update().values(last_day="2026-07-02"),
    ]
    for change in changes:
        with ledger.database.begin() as connection:
            connection.exec_driver_sql(
                "PRAGMA defer_foreign_keys=ON"
                if connection.dialect.name == "sqlite"
                else "SET LOCAL session_replication_role = replica"  # looks at no reference
            )
            saved = {
                table: [dict(row._mapping) for row in connection.execute(select(table))]
                for table in (receivables, tables.receivable_trades, tables.remainders, periods_table)
            }
            connection.execute(change)
            tampered = periods.whole_period(connection, 1)
            assert tampered is not None
            found = verify_period(tampered, _claimable(connection), {})
            assert found, str(change)
            for table in saved:
                connection.execute(table.delete())
            for table, rows in saved.items():
                connection.execute(insert(table), rows)
    assert verify(ledger, 1) == []


def _claimable(connection: Connection) -> list[TermsTrade]:
    found = store.trades_of_slots(connection, start_of(DAY), start_of(NEXT_DAY))
    delivered = cycle_store.deliveries_of(connection, [each.record.common.trade_id for each in found])
    claimable = [terms_trade(each.record, delivered[each.record.common.trade_id]) for each in found]
    return [each for each in claimable if each]


@pytest.mark.parametrize("block", [1, 2])
def test_a_path_goes_through_a_block_and_the_tree_over_the_blocks(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    a_day_on_terms(ledger)
    a_day_on_terms(ledger, NEXT_DAY)
    ledger.issue()
    rows = ledger.issue(NEXT_DAY)
    leaves = [row.receivable_id for row in rows]
    monkeypatch.setattr(paths, "BLOCK", block)
    paths._kept.clear()
    with reading(ledger.database) as connection:
        assert [path_of(connection, row) for row in rows] == [merkle.path(leaves, place) for place in (0, 1)]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_pages_of_a_period_are_the_period(ledger: Ledger, limit: int) -> None:
    a_day_on_terms(ledger)
    a_day_on_terms(ledger, NEXT_DAY)
    ledger.issue()
    ledger.issue(NEXT_DAY)
    whole, pages, after = published(ledger, 2), list[PublishedPeriod](), periods.FROM_THE_FIRST
    assert (len(whole.receivables), len(whole.remainders)) == (2, 2)
    with reading(ledger.database) as connection:
        while after:
            page = periods.published_period(connection, 2, after, limit)
            assert page is not None and len(page.receivables) <= limit >= len(page.remainders)
            pages.append(page)
            after = page.next or ""
    assert joined(pages) == whole and len(pages) == {1: 3, 2: 2, 3: 1}[limit]


def test_what_a_crash_left_of_a_period_is_deleted_and_the_period_drafted_anew(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_day_on_terms(ledger)
    ledger.settle(DAY)
    monkeypatch.setattr(periods, "WRITTEN_AT_ONCE", 1)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(period_store, "add_period", crash)
        ledger.close()
    with reading(ledger.database) as connection:
        left = connection.execute(select(tables.receivables)).all()
        assert len(left) == 2 and period_store.last_period(connection) is None
        assert connection.scalar(select(func.count()).select_from(tables.remainders)) == 2
    assert ledger.receivables() == []
    assert ledger.close() == 1
    with reading(ledger.database) as connection:
        anew = connection.execute(select(tables.receivables.c.salt)).scalars().all()
    assert set(anew).isdisjoint({row.salt for row in left}) and len(anew) == 2
    assert verify(ledger, 1) == []


def test_a_trade_is_claimed_once_in_the_database_and_a_pair_once_on_the_chain(ledger: Ledger) -> None:
    """Invariant 4."""
    a_day_on_terms(ledger)
    first, second = ledger.issue()
    with ledger.database.begin() as connection, pytest.raises(IntegrityError):
        row = connection.execute(select(tables.receivable_trades)).first()
        connection.execute(insert(tables.receivable_trades), {**row._mapping, "receivable_id": second.receivable_id})
    leaves = [first.receivable_id, second.receivable_id]
    call = receivable_acts.materialise(claim_of(first).on_chain, merkle.path(leaves, 0))
    again = receivable_acts.materialise(claim_of(first).on_chain, merkle.path(leaves, 0))
    dearer = receivable_acts.materialise(claim_of(first)._replace(face_fen=71).on_chain, merkle.path(leaves, 0))
    receipts = ledger.chain.send(ledger.chain.sign([dearer, call, again]))
    assert [receipt.refusal for receipt in receipts] == ["wrong_proof", "", "claimed_twice"]
    ledger.pull()
    assert ledger.receivable(first.receivable_id).on_chain
    assert not ledger.receivable(second.receivable_id).on_chain


def test_a_root_that_only_the_operator_signed_is_not_issued_on_the_chain(ledger: Ledger) -> None:
    root = b"\7" * 32
    digest = receivable_acts.issue_period_digest(ledger.domain, 1, root, 1)
    alone = [ledger.world.operator.approve(digest)]
    forged = [alone[0]._replace(member=CHECKER)]
    calls = [receivable_acts.issue_period(1, root, 1, alone, checkers) for checkers in ([], alone, forged)]
    receipts = ledger.chain.send(ledger.chain.sign(calls))
    assert {receipt.refusal for receipt in receipts} == {"approvals_missing"}


def test_a_chain_that_issued_another_root_is_not_this_databases(ledger: Ledger) -> None:
    a_day_on_terms(ledger)
    ledger.settle(DAY)
    ledger.close()
    arguments: dict[str, int | bytes | bool] = {"period": 1, "root": bytes(32), "count": 2}
    event = ChainEvent(9, 0, ledger.now_s, bytes(32), "Receivables", "PeriodIssued", arguments)
    with ledger.database.begin() as connection, pytest.raises(MirrorError):
        mirror.follow(connection, [event], ledger.now_s, TIME_ZONE)
    unknown = msgspec.structs.replace(event, arguments=arguments | {"period": 4})
    with ledger.database.begin() as connection, pytest.raises(MirrorError):
        mirror.follow(connection, [unknown], ledger.now_s, TIME_ZONE)


def test_one_signature_acknowledges_many_and_brings_them_onto_the_chain(ledger: Ledger) -> None:
    for n in range(3):
        day = DAY + timedelta(days=n)
        a_day_on_terms(ledger, day)
        ledger.issue(day)
    ids = [row.receivable_id for row in ledger.receivables() if row.debtor == FACTORY]
    assert len(ids) == 3
    ledger.acknowledge(FACTORY, *ids)
    assert ledger.queued() == ["Receivables.materialise_many", "Receivables.acknowledge_many"]
    ledger.sync()
    assert {ledger.receivable(each).state for each in ids} == {"acknowledged"}
