"""Whoever recomputes finance from outside finds every changed row; and a bank checks its evidence by itself."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import Connection

from data.database import reading
from data.tables import offers, receivables
from data.tables import periods as billed
from data.tables import receivable_history as history
from data.tables import receivable_parts as parts
from finance import audit, audit_life, examine, periods, store
from finance.calendar import DayCount
from finance.evidence import Evidence, evidence_of, verify_evidence
from finance.offer import Quote
from settlement import cycle_store, hexjson, publish_store, receivable_acts, signatures
from settlement import store as settlement_store
from settlement.audit_scene import Scene
from settlement.contradiction import Contradiction
from settlement.examine_cycle import CycleExaminer, SettledTrade
from settlement.hexjson import Hex
from settlement.keys import KeyHistory
from tests.finance.ledger import (
    BANK,
    CHECKER,
    FACTORY,
    NEXT_DAY,
    PLANT,
    TIME_ZONE,
    Ledger,
    a_day_on_terms,
    copy_ledger,
    open_ledger,
)
from tests.settlement.settlement_world import key_of


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, chain_file: Path) -> Path:
    """Two periods; of the first, one receivable was financed and partly paid, of the second none was touched."""
    folder = tmp_path_factory.mktemp("lived")
    with open_ledger(folder, chain_file) as ledger:
        a_day_on_terms(ledger)
        a_day_on_terms(ledger, NEXT_DAY)
        owed = next(row.receivable_id for row in ledger.issue() if row.debtor == FACTORY)
        ledger.issue(NEXT_DAY)
        ledger.acknowledge(FACTORY, owed)
        ledger.sync()
        ledger.set_listed(PLANT, owed)
        ledger.sync()
        days = (date(2026, 8, 31) - date.fromtimestamp(ledger.now_s + 8 * 3_600)).days
        quoted = DayCount.THIRTY_E_360
        assert (days, quoted.days(date(2026, 7, 3), date(2026, 8, 31))) == (59, 57)
        offer = ledger.offer(BANK, owed, Quote(900_000, 60_000, quoted, 1), advance_fen=63, proceeds_fen=61)
        ledger.accept(PLANT, offer)
        ledger.sync()
        ledger.repay(FACTORY, owed, 10)
        ledger.sync()
    return folder


@pytest.fixture
def ledger(tmp_path: Path, lived: Path) -> Iterator[Ledger]:
    with copy_ledger(lived, tmp_path) as ledger:
        yield ledger


def settled(connection: Connection) -> tuple[list[SettledTrade], dict[int, str]]:
    """What an examiner of cycles would have found."""
    rows = cycle_store.cycles_in(connection)
    found = []
    for row in rows:
        trades = settlement_store.trades_of_slots(connection, row.start_s, row.end_s)
        delivered = cycle_store.deliveries_of(connection, [each.record.common.trade_id for each in trades])
        found += [SettledTrade(row.cycle, each.record, delivered[each.record.common.trade_id]) for each in trades]
    return found, {row.cycle: row.day for row in rows}


def audited(ledger: Ledger) -> list[Contradiction]:
    with reading(ledger.database) as connection:
        trades, days = settled(connection)
        return [
            *audit.audit_periods(connection, trades, days, lambda _: None),
            *audit.audit_positions(connection, ledger.chain.events(0), TIME_ZONE),
            *audit_life.by_rules(connection, ledger.chain.events(0), TIME_ZONE, lambda _: None),
            *audit.audit_offers(connection, KeyHistory(publish_store.all_keys(connection)), ledger.sales, TIME_ZONE),
        ]


CHANGED = ("receivable_history", "part, before, after")


@pytest.mark.usefixtures("database_url")
def test_an_honest_market_has_no_contradiction(ledger: Ledger) -> None:
    assert audited(ledger) == []


@pytest.mark.parametrize(
    ("change", "table", "column"),
    [
        (receivables.update().values(state="settled").where(receivables.c.number == 2), "receivables", "state"),
        (receivables.update().values(holder=PLANT).where(receivables.c.number == 1), "receivables", "holder"),
        (receivables.update().values(paid_fen=70).where(receivables.c.number == 1), "receivables", "paid_fen"),
        (receivables.update().values(advance_fen=64).where(receivables.c.number == 1), "receivables", "advance_fen"),
        (receivables.update().values(proceeds_fen=6).where(receivables.c.number == 1), "receivables", "proceeds_fen"),
        (receivables.update().values(face_fen=71).where(receivables.c.number == 3), "receivables", "face_fen"),
        (receivables.update().values(due_day="2026-09-01").where(receivables.c.number == 4), "receivables", "due_day"),
        (receivables.update().values(salt=bytes(32)).where(receivables.c.number == 3), "receivables", "receivable_id"),
        (billed.update().values(root=bytes(32)).where(billed.c.period == 2), "periods", "root"),
        (billed.update().values(state="signed").where(billed.c.period == 1), "periods", "state, root, count"),
        (billed.update().values(billing="month").where(billed.c.period == 2), "periods", "billing"),
        (billed.update().values(first_day="x").where(billed.c.period == 1), "periods", "first_day"),
        (history.update().values(actor=BANK).where(history.c.after == "financed"), *CHANGED),
        (history.update().values(after="0.01").where(history.c.after == "0.580000"), *CHANGED),
        (history.delete().where(history.c.after == "financed"), *CHANGED),
        (parts.update().values(open_fen=8).where(parts.c.part == 1), "receivable_parts", "part"),
        (parts.update().values(owner=PLANT).where(parts.c.part == 2), "receivable_parts", "part"),
        (parts.update().values(claim=0).where(parts.c.part == 2), "receivable_parts", "part"),
        (parts.update().values(pledgee=BANK).where(parts.c.part == 1), "receivable_parts", "part"),
        (parts.update().values(change=1).where(parts.c.part == 1), "receivable_parts", "change"),
        (parts.delete().where(parts.c.part == 1), "receivable_parts", "part"),
        (receivables.update().values(costs_due_fen=1).where(receivables.c.number == 1), "receivables", "costs_due_fen"),
        (receivables.update().values(complete=False).where(receivables.c.number == 1), "receivables", "complete"),
        (receivables.update().values(frozen=True).where(receivables.c.number == 1), "receivables", "frozen"),
        (offers.update().values(proceeds_fen=62), "offers", "proceeds_fen"),
        (offers.update().values(discount_fen=2), "offers", "discount_fen"),
        (offers.update().values(terms="{}"), "offers", "terms"),
        (offers.update().values(made_s=offers.c.made_s - 86_400), "offers", "terms"),
        (offers.update().values(nonce=5), "offers", "signature"),
    ],
)  # fmt: skip
def test_every_changed_row_is_found_and_named(ledger: Ledger, change: Any, table: str, column: str) -> None:
    with ledger.database.begin() as connection:
        assert connection.execute(change).rowcount == 1
    found = audited(ledger)
    assert (table, column) in {(each.table, each.column) for each in found}, found


def test_the_audits_steps_say_how_much_they_examined(ledger: Ledger) -> None:
    with reading(ledger.database) as connection:
        trades, days = settled(connection)
        scene = SimpleNamespace(
            connection=connection,
            examiner=SimpleNamespace(settled=trades, days=days),
            events=ledger.chain.events(0),
            chain=ledger.chain,
            keys=KeyHistory(publish_store.all_keys(connection)),
            terms=SimpleNamespace(rules=SimpleNamespace(time_zone=TIME_ZONE)),
        )
        for step in audit.steps(cast(Scene, scene)):
            ticks: list[int] = []
            assert list(step.examine(cast(Scene, scene), ticks.append)) == []
            assert sum(ticks) == step.total > 0


def test_a_receivable_that_the_chain_knows_and_the_database_lost_is_found(ledger: Ledger) -> None:
    with reading(ledger.database) as connection:
        rows = [row for row in store.all_receivables(connection) if row.number != 1]
    found = audit.positions(
        rows, [event for event in ledger.chain.events(0) if event.contract == "Receivables"], TIME_ZONE
    )
    assert [position.state for position in found.values()] == ["issued", "issued", "issued", "partly_paid"]


def test_the_examiner_gives_the_digest_to_sign_or_the_contradiction(ledger: Ledger) -> None:
    with reading(ledger.database) as connection:
        trades, days = settled(connection)
        first, second = (periods.whole_period(connection, number) for number in (1, 2))
    assert first is not None and second is not None
    cycles = cast(CycleExaminer, SimpleNamespace(settled=trades, days=days))
    examiner = examine.PeriodExaminer()
    verdict = examiner([hexjson.dumps(first)], cycles, ledger.domain)
    assert verdict.found is None
    signed = [(1, first.operator_signature), (CHECKER, first.checker_signature)]
    for member, signature in signed:
        assert signature is not None
        assert signatures.is_signed(signatures.public_key(key_of(member)), verdict.digest, signature)
    assert verdict.digest == receivable_acts.issue_period_digest(ledger.domain, 1, first.root, 2)
    for wrong in (
        first,
        msgspec.structs.replace(second, root=Hex(bytes(32))),
        msgspec.structs.replace(second, count=1),
    ):
        assert examiner([hexjson.dumps(wrong)], cycles, ledger.domain).found is not None
    assert examiner([hexjson.dumps(second)], cycles, ledger.domain).found is None
    short = cast(CycleExaminer, SimpleNamespace(settled=trades[1:], days=days))
    assert examine.PeriodExaminer()([hexjson.dumps(first)], short, ledger.domain).found is not None


# ------------------------------------------------------------------------------------------------- evidence


@pytest.fixture
def evidence(ledger: Ledger) -> Evidence:
    with reading(ledger.database) as connection:
        row = next(row for row in store.all_receivables(connection) if row.number == 3)
        return evidence_of(connection, row)


def roots_on_chain(ledger: Ledger) -> tuple[bytes, dict[int, bytes]]:
    """The root of the second period, and those of the commitments, as events say."""
    issued = [event.arguments for event in ledger.chain.events(0) if event.event == "PeriodIssued"]
    committed = [event.arguments for event in ledger.chain.events(0) if event.event == "Committed"]
    return (
        cast(bytes, next(each["root"] for each in issued if each["period"] == 2)),
        {cast(int, each["index"]): cast(bytes, each["trade_root"]) for each in committed},
    )


def test_evidence_holds_against_the_chain_alone_also_after_a_journey_as_json(
    ledger: Ledger, evidence: Evidence
) -> None:
    period_root, commitment_roots = roots_on_chain(ledger)
    again = hexjson.load(hexjson.dumps(evidence), Evidence)
    assert verify_evidence(again, period_root, commitment_roots) == []
    assert (again.carried_micro, len(again.trades), again.content.face_micro) == (600, 1, 700_000)
    assert verify_evidence(again, bytes(32), commitment_roots)
    assert verify_evidence(again, period_root, {})


@pytest.mark.parametrize(
    ("field", "value"),
    [("face_micro", 710_000), ("debtor", 7), ("due_day", 1), ("salt", Hex(bytes(32))), ("trades_root", Hex(bytes(32)))],
)
def test_evidence_of_another_content_does_not_hold(
    ledger: Ledger, evidence: Evidence, field: str, value: object
) -> None:
    content = msgspec.structs.replace(evidence.content, **{field: value})
    forged = msgspec.structs.replace(evidence, content=content)
    assert "receivable_id" in {each.column for each in verify_evidence(forged, *roots_on_chain(ledger))}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("delivered_lots", 201),
        ("seller_price_ticks", 1),
        ("amount_micro", 1),
        ("leaf", Hex(bytes(32))),
        ("path", ()),
        ("commitment", 9),
    ],
)
def test_evidence_of_another_trade_does_not_hold(ledger: Ledger, evidence: Evidence, field: str, value: object) -> None:
    (trade,) = evidence.trades
    forged = msgspec.structs.replace(evidence, trades=(msgspec.structs.replace(trade, **{field: value}),))
    found = verify_evidence(forged, *roots_on_chain(ledger))
    assert {each.column for each in found} & {"trades", "trades_root"}


def test_no_more_than_part_of_a_fen_can_come_from_before(ledger: Ledger, evidence: Evidence) -> None:
    roots = roots_on_chain(ledger)
    assert verify_evidence(msgspec.structs.replace(evidence, carried_micro=9_399), *roots) == []
    assert verify_evidence(msgspec.structs.replace(evidence, carried_micro=9_400), *roots)
    content = msgspec.structs.replace(evidence.content, face_micro=10_000_000)
    inflated = msgspec.structs.replace(evidence, carried_micro=9_300_000, content=content)
    assert {each.column for each in verify_evidence(inflated, *roots)} == {"receivable_id", "carried_micro"}
