"""All that stands behind a trade in one file, verified offline; whatever is changed in it is refused."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from data.database import reading
from finance import store
from finance.receivable_evidence import receivable_evidence
from finance.trade_evidence import Source, TradeEvidence, trade_evidence
from settlement import hexjson
from tests.finance.ledger import Ledger
from tests.market import documented
from tests.settlement.chained_world import DISPUTE_WINDOW_S, ChainedWorld, chained_world
from tests.settlement.settlement_world import CHECKER, DAY, OPERATOR, a_day_of_trading, after_window
from tests.verifier.tampering import tampered
from verifier.chain import Known
from verifier.document import MalformedError
from verifier.files import verify
from verifier.report import Report, Status


class Settled:
    """A settled day with a receivable that the debtor acknowledged; ``owed`` is a trade of it."""

    def __init__(self, chained: ChainedWorld) -> None:
        self.chained = chained
        a_day_of_trading(chained.world)
        chained.settle(after_window(DAY))
        ledger = Ledger(chained.world, chained.chain, now_s=after_window(DAY) + DISPUTE_WINDOW_S)
        period = ledger.close()
        assert period is not None
        assert ledger.sign_period(period) is None
        ledger.sync()
        for owed in ledger.receivables():
            ledger.acknowledge(owed.debtor, owed.receivable_id)
        ledger.sync()

    def evidence(self, trade_id: int, *members: int) -> TradeEvidence | str:
        world = self.chained.world
        source = Source(world.database, self.chained.chain, world.rules, OPERATOR, CHECKER)
        return trade_evidence(source, trade_id, frozenset(members) if members else None)

    def file(self, trade_id: int, *members: int) -> Any:
        found = self.evidence(trade_id, *members)
        assert isinstance(found, TradeEvidence)
        return msgspec.json.decode(hexjson.dumps(found))


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    with chained_world(tmp_path_factory.mktemp("world")) as chained:
        yield Settled(chained)


@pytest.fixture(scope="module")
def owed(settled: Settled) -> int:
    """A trade on terms that a receivable claims."""
    trades = [each for each in range(1, settled.chained.world.trades + 1) if settled.file(each)["receivable"]]
    assert trades
    return trades[0]


def verified(document: Any) -> Report:
    report = Report()
    verify(document, report, Known())
    return report


def is_refused(document: Any) -> bool:
    try:
        return not verified(document).holds
    except MalformedError:
        return True


def codes(report: Report, status: Status) -> set[str]:
    return {each.code for each in report.findings if each.status == status}


def test_a_court_gets_both_sides_and_everything_holds(settled: Settled, owed: int) -> None:
    for trade_id in range(1, settled.chained.world.trades + 1):
        report = verified(settled.file(trade_id))
        assert report.holds, [each for each in report.findings if each.status == Status.FAILS]
    report = verified(settled.file(owed))
    assert {
        "same_trade",
        "receipt",
        "cycle_by_operator",
        "cycle_by_checker",
        "chain_proposed",
        "chain_applied",
        "trade_in_cycle",
        "reading_in_cycle",
        "reading_by_operator",
        "line",
        "claim_has_trade",
        "claim_issued",
        "claim_acknowledged",
    } <= codes(report, Status.HOLDS)
    assert "delivered" in codes(report, Status.BELIEVED)


def test_the_file_is_as_the_openapi_document_says(settled: Settled, owed: int) -> None:
    documented.check("GET", "/v1/trades/1/evidence", 200, "application/json", settled.file(owed))


def test_one_side_gets_its_own_and_nothing_of_a_neighbour(settled: Settled, owed: int) -> None:
    whole = settled.file(owed)
    for own, other in (whole["proofs"], whole["proofs"][::-1]):
        member = own["half"]["member"]
        file = settled.file(owed, member)
        report = verified(file)
        assert report.holds, [each for each in report.findings if each.status == Status.FAILS]
        assert [each["half"]["member"] for each in file["proofs"]] == [member]
        text = json.dumps(file)
        assert f'"{other["half"]["meter"]}"' not in text
        assert other["half"]["order_digest"] not in text
        assert other["order"]["signature"] not in text
        readings = [each for cycle in file["cycles"] for each in cycle["readings"]]
        assert all(each["signed"] is None and each["meter"] == own["half"]["meter"] for each in readings)
        assert {each["line"][2] for cycle in file["cycles"] for each in cycle["lines"]} == {member}
    assert settled.evidence(owed, 999) == "not_found"
    assert settled.evidence(10_000) == "not_found"


LEAVES_OUT = frozenset({"cycles", "lines", "readings", "events", "receivable", "applied", "proposed", "signed"})


def test_every_field_changed_in_turn_is_refused(settled: Settled, owed: int) -> None:
    """All but what can be left out, or is the operator's word alone: then the report says what it had to believe."""
    document = settled.file(owed)
    original = believed(document)
    tried, words = 0, []
    for place, changed in tampered(document, most=1):
        if place[:1] == ("proofs",) and len(place) > 2:
            continue  # a proof's own fields: test_trade_files.py
        tried += 1
        if not is_refused(changed):
            assert believed(changed) != original, place
            words.append(place)
    assert tried > 300
    for place in words:
        assert place[-1] in ("financeable", "carried_micro", "checker_signature") or LEAVES_OUT & set(place), place


def package(settled: Settled) -> Any:
    world, chain = settled.chained.world, settled.chained.chain
    with reading(world.database) as connection:
        row = store.all_receivables(connection)[0]
        return msgspec.json.decode(hexjson.dumps(receivable_evidence(connection, chain, row)))


def test_a_bank_checks_a_receivable_by_itself(settled: Settled) -> None:
    """With one command, offline; whatever is changed is refused, or told as believed."""
    document = package(settled)
    documented.check("GET", f"/v1/receivables/{'0f' * 32}/package", 200, "application/json", document)
    report = verified(document)
    assert report.holds, [each for each in report.findings if each.status == Status.FAILS]
    assert {"claim_is_content", "claim_issued", "claim_acknowledged", "claim_trades", "claim_face"} <= codes(
        report, Status.HOLDS
    )
    assert "claim_has_trade" not in codes(report, Status.HOLDS)
    original, tried = believed(document), 0
    for place, changed in tampered(document, most=1):
        tried += 1
        if not is_refused(changed):
            assert believed(changed) != original or place[:1] == ("domain",), place
    assert tried > 50


def believed(document: Any) -> list[str]:
    return [each.text("en") for each in verified(document).findings if each.status == Status.BELIEVED]
