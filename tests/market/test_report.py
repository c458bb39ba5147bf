"""The report's figures are those of the rows, to the last micro-yuan; the page is whole, and names are only text."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from data import tables
from data.database import open_database
from data.schema import bring_forward
from data.units import parse_instant_s
from market import report, report_figures
from market.report import Facts
from market.report_figures import Benefit, Figures, Flow, Lines, SlotEnergy, benefits, energy_by_slot, link_uses
from tests.data.small_market import (
    BANK,
    GRID_COMPANY,
    LI,
    PLANT,
    RECEIVABLE_ID,
    SLOT_1_S,
    TIME_ZONE,
    WANG,
    small_market,
)

RETAIL, FEED_IN, SHORTFALL = 5224, 4012, 8000
FACTS = Facts("A <small> day", TIME_ZONE, 15, RETAIL, FEED_IN, SHORTFALL, elapsed_s=125, audit="nothing wrong")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"sqlite:///{tmp_path_factory.mktemp('report')}/market.db"
    database = small_market(url)
    with database.begin() as connection:
        _add_the_chain(connection)
        _add_a_sale(connection)
    database.dispose()
    yield url


def _add_the_chain(connection: Connection) -> None:
    parts = [[[LI, "-1110000"], [PLANT, "-400000"]], [[GRID_COMPANY, "460000"], [PLANT, "1050000"]]]
    connection.execute(update(tables.cycles).values(parts=json.dumps(parts)))
    acts = [
        ("Clearing.commit", "done", 90_000),
        ("Clearing.commit", "done", 80_000),
        ("Cash.mint_many", "reverted", 21_000),
    ]
    word = bytes(32)
    for number, (kind, state, gas) in enumerate(acts, 1):
        connection.execute(insert(tables.outbox).values(outbox_id=number, kind=kind, call=b"", state=state, gas=gas))
    for number, first, last in ((1, 1, 2), (2, 3, 3)):
        connection.execute(
            insert(tables.commitments).values(
                commitment=number,
                previous=word,
                journal_batch=number,
                journal_head=word,
                first_trade=first,
                last_trade=last,
                trade_root=word,
                outbox_id=number,
            )
        )
    minted = [("Cash", "Minted", 9_000_000), ("Cash", "Minted", 1_000_000), ("Cash", "Burned", 500_000)]
    bonds = [
        ("Clearing", "BondLocked", 300_000),
        ("Clearing", "BondLocked", 300_000),
        ("Clearing", "BondPaid", 300_000),
    ]
    for index, (contract, event, amount) in enumerate(minted + bonds):
        arguments = json.dumps({"member": str(LI), "amount": str(amount)})
        connection.execute(
            insert(tables.chain_events).values(
                block=1,
                log_index=index,
                block_s=1,
                transaction_hash=word,
                contract=contract,
                event=event,
                arguments=arguments,
            )
        )
    for member, free, escrow in ((LI, 4_000_000, 1_200_000), (0, 0, 4_000_000)):
        row = {"member_id": member, "free_micro": free, "escrow_micro": escrow, "arrears_micro": 0}
        connection.execute(insert(tables.cash).values(row))


def _add_a_sale(connection: Connection) -> None:
    path = ["issued", "acknowledged", "listed", "acknowledged", "listed", "financed"]
    for number, (before, after) in enumerate(itertools.pairwise(path), 1):
        connection.execute(
            insert(tables.receivable_history).values(
                change=number, receivable_id=RECEIVABLE_ID, before=before, after=after, actor=1, at_s=1, reason=""
            )
        )
    financed = {"receivable": f"0x{RECEIVABLE_ID.hex()}", "bank": BANK, "advance": 40_000_000, "proceeds": 39_800_000}
    connection.execute(
        insert(tables.chain_events).values(
            block=2,
            log_index=0,
            block_s=parse_instant_s("2026-07-01T04:00:00Z"),
            transaction_hash=bytes(32),
            contract="Sales",
            event="Financed",
            arguments=json.dumps({name: str(value) for name, value in financed.items()}),
        )
    )
    for number, state in ((1, "accepted"), (2, "lapsed")):
        connection.execute(
            insert(tables.offers).values(
                offer_id=number,
                receivable_id=RECEIVABLE_ID,
                bank=BANK,
                advance_fen=4000,
                discount_fen=12,
                fee_fen=8,
                proceeds_fen=3980,
                terms=json.dumps({"days": 30}),
                nonce=number,
                expires_s=1,
                signature=bytes(64),
                state=state,
                made_s=1,
            )
        )


@pytest.fixture(scope="module")
def figures(url: str) -> Figures:
    return report_figures.collect(url, FACTS)


# ------------------------------------------------------------------------------------------------ figures


def test_trades_are_summed(figures: Figures) -> None:
    assert (figures.trades, figures.traded_lots, figures.lots_on_terms) == (3, 600, 200)
    assert figures.lots_by_level == {1: 600}
    assert figures.lots_by_kinds == {("hydro", "household"): 600}
    assert [(slot.lots, slot.seller_micro, slot.buyer_micro) for slot in figures.slots] == [
        (500, 1_750_000, 1_850_000),
        (100, 360_000, 380_000),
    ]
    assert (figures.traders, sum(figures.orders.values())) == (3, 5)


def test_benefits_are_the_difference_to_a_day_without_the_market(figures: Figures) -> None:
    assert figures.benefits == [
        Benefit(PLANT, 0, 0, 450 * FEED_IN, 1_750_000 - 400_000 - 450 * FEED_IN),
        Benefit(LI, 300 * RETAIL, 300 * RETAIL - 1_110_000, 0, 0),
        Benefit(WANG, 200 * RETAIL, 200 * RETAIL - 740_000, 0, 0),
    ]
    assert figures.paid_without_micro == 500 * RETAIL
    assert figures.received_without_micro == 450 * FEED_IN


def _lines(*rows: tuple[str, bool, int, int]) -> list[Lines]:
    return [Lines(LI, SLOT_1_S, *row) for row in rows]


def test_a_buyer_who_took_less_saved_less() -> None:
    lines = _lines(("energy", False, 100, -40_000), ("under_consumed", True, 30, 30 * FEED_IN))
    [benefit] = benefits(lines, FACTS)
    assert benefit == Benefit(LI, 70 * RETAIL, 70 * RETAIL - (40_000 - 30 * FEED_IN), 0, 0)


def test_a_seller_with_a_surplus_gained_only_on_what_it_sold() -> None:
    lines = _lines(("energy", True, 100, 100 * 4500), ("surplus", True, 50, 50 * FEED_IN))
    [benefit] = benefits(lines, FACTS)
    assert benefit.gained_micro == 100 * (4500 - FEED_IN)


def test_whoever_traded_nothing_gained_nothing() -> None:
    lines = _lines(("over_consumed", False, 80, -80 * RETAIL), ("surplus", True, 50, 50 * FEED_IN))
    assert benefits(lines, FACTS) == [Benefit(LI, 80 * RETAIL, 0, 50 * FEED_IN, 0)]


def test_energy_by_slot_counts_what_was_really_taken() -> None:
    lines = _lines(
        ("energy", False, 100, -40_000),
        ("under_consumed", True, 30, 30 * FEED_IN),
        ("over_consumed", False, 5, -5 * RETAIL),
        ("energy", True, 60, 24_000),
        ("shortfall", False, 10, -10 * SHORTFALL),
        ("surplus", True, 7, 7 * FEED_IN),
        ("wheeling", False, 100, -2000),
    )
    assert energy_by_slot(lines) == [SlotEnergy(SLOT_1_S, 75, 57, 70, 50)]


def test_settlement_is_counted(figures: Figures) -> None:
    assert (figures.contracted_lots, figures.delivered_lots) == (500, 450)
    assert (figures.lines, figures.statements) == (10, 4)
    assert figures.sums_micro == {"bill": 0, "cycle": 0, "terms": 0}
    assert (figures.transfers_before, figures.transfers_after, figures.transferred_micro) == (3, 4, 1_510_000)
    assert (figures.commitments, figures.trades_committed) == (2, 3)
    assert [(act.kind, act.sent, act.gas, act.reverted) for act in figures.acts] == [
        ("Cash.mint_many", 1, 21_000, 1),
        ("Clearing.commit", 2, 170_000, 0),
    ]


def test_money_is_conserved_or_the_report_says_so(url: str, figures: Figures) -> None:
    assert (figures.cash.minted, figures.cash.burned, figures.missing_micro) == (10_000_000, 500_000, 0)
    assert figures.cash.bonds == 300_000, "in no account, and not lost"
    lost = replace(figures, cash=figures.cash._replace(free=figures.cash.free - 1))
    assert lost.missing_micro == 1
    [row] = [row for row in report.settlement(lost).rows if row.english == "money created or lost"]
    assert (row.value, row.good) == ("0.000001 CNY", False)


def test_statements_that_do_not_add_up_are_wrong_even_where_the_errors_cancel(figures: Figures) -> None:
    wrong = replace(figures, sums_micro={"cycle": 5, "bill": -5})
    [row] = [row for row in report.settlement(wrong).rows if row.english == "sum of all statements"]
    assert row.good is False


def test_receivables_are_counted_by_how_far_they_came(figures: Figures) -> None:
    assert {state: stage.receivables for state, stage in figures.stages.items()} == {
        "issued": 1,
        "acknowledged": 1,
        "listed": 1,
        "financed": 1,
    }
    assert figures.stages["financed"].face_fen == 52
    assert figures.offers == {"accepted": 1, "lapsed": 1}
    assert figures.cost_of_finance_fen == 20
    [row] = [row for row in report.finance(figures).rows if row.english == "cost of finance"]
    assert row.value == "0.20 CNY (6.00 % a year)"


# -------------------------------------------------------------------------------------------------- links


NODE = "node_id name parent_id level export_kw import_kw"


def _grid(*rows: tuple[Any, ...]) -> list[Any]:
    return [SimpleNamespace(**dict(zip(NODE.split(), row, strict=True))) for row in rows]


GRID = _grid(
    (0, "S", None, 3, None, None),
    (1, "A", 0, 1, "4", "8"),
    (2, "B", 0, 1, None, "0"),
    (3, "a", 1, 0, "1", "1"),
    (4, "b", 2, 0, "1", "1"),
)


def test_flows_are_net_and_compared_with_the_limit_of_their_direction() -> None:
    flows = [Flow(900, 3, 4, 150), Flow(900, 4, 3, 50), Flow(1800, 3, 4, 40), Flow(2700, 4, 3, 200)]
    area_a, area_b = link_uses(GRID, flows, 15)
    assert (area_a.name, area_a.flow_lots) == ("A", {900: 100, 1800: 40, 2700: -200})
    assert (area_a.export_limit_lots, area_a.import_limit_lots) == (100, 200)
    assert (area_a.slots_at_limit, area_a.peak_use_ppm) == (2, 1_000_000)
    assert (area_b.name, area_b.flow_lots) == ("B", {900: -100, 1800: -40, 2700: 200})
    assert area_b.slots_at_limit == 2, "an import limit of nothing is met by anything; no export limit by nothing"


def test_trades_under_one_transformer_use_no_link() -> None:
    grid = [*GRID, *_grid((5, "a2", 1, 0, None, None))]
    assert link_uses(grid, [Flow(900, 3, 5, 10)], 15) == []


# -------------------------------------------------------------------------------------------- text and page


def test_text_and_page_show_the_same(url: str) -> None:
    made = report.build(url, FACTS)
    for shown in ("6.00 kWh", "0.762000 CNY", "2 min 5 s", "nothing wrong", "0.20 CNY (6.00 % a year)"):
        assert shown in made.text and shown in made.html, shown
    assert "money created or lost" in made.text and "0.000000 CNY ✓" in made.text
    assert "WRONG" in made.text, "the contract refused a transaction, and the report says so"


def test_page_loads_nothing_and_holds_plotly_once(url: str) -> None:
    html = report.build(url, FACTS).html
    own = re.sub(r"<script>.*?</script>", "", html, count=1, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", own)
    assert html.count("Plotly.newPlot") >= 5
    assert len(html) < 6_000_000
    assert "交易" in html or "成交" in html


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    database = small_market(f"sqlite:///{tmp_path}/market.db")
    with database.begin() as connection:
        connection.execute(update(tables.meters).values(kind=evil[:20]))
        connection.execute(update(tables.members).values(name=evil))
        _add_a_sale(connection)
    html = report.build(str(database.url), replace(FACTS, title=evil, audit=evil)).html
    database.dispose()
    assert "<script>alert" not in html
    assert "</script><script>" not in html


def test_an_empty_market_has_a_report(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/market.db")
    bring_forward(database)
    made = report.build(str(database.url), replace(FACTS, elapsed_s=None, audit=""))
    database.dispose()
    assert "0.00 kWh" in made.text and "WRONG" not in made.text
    assert "newPlot" not in re.sub(r"<script>.*?</script>", "", made.html, count=1, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(1, 3, "33.3 %"), (2, 3, "66.6 %"), (-1, 3, "-33.3 %"), (0, 5, "0.0 %"), (5, 5, "100.0 %"), (1, 0, "–")],
)
def test_shares_are_rounded_towards_zero(part: int, whole: int, expected: str) -> None:
    assert report._share(part, whole) == expected
