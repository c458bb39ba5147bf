"""The simulation's own rules: what it refuses to begin with, what it puts on the table, when settlement goes on.

The whole day is lived through by the demo; one order's life, on the real server, by ``tests/test_life_of_an_order.py``.
"""

import argparse
import json
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import aiohttp
import pytest
from rich.console import Console

from data.units import parse_instant_s
from market import institutions, simulated_town, simulated_trading, simulation
from market.client import Client
from market.institutions import Deposit
from market.neighbourhood import Neighbourhood, read_neighbourhood
from market.simulated_finance import Owed, milestones, owed_of, terms_offered
from market.simulated_screen import Screen
from market.simulated_town import Desk, Town
from market.tariff import Bank
from market.trader import Trader

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
DAY = date(2026, 7, 1)


@pytest.fixture(scope="module")
def sample() -> Neighbourhood:
    return read_neighbourhood(SAMPLE)


@pytest.fixture
def town(sample: Neighbourhood) -> Town:
    """A town in which nobody has spoken yet."""
    nobody = Client(None, "http://nowhere")  # type: ignore[arg-type]
    return Town(sample, DAY, 1, nobody, nobody, nobody)


def simulate(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    simulation.add_arguments(parser)
    return simulation.run(parser.parse_args(arguments))


# ------------------------------------------------------------------------------------------------- beginning


def test_a_folder_that_no_simulation_made_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    assert simulate("--work", str(tmp_path), "--port", str(free_port())) == 2
    assert "no simulation made" in capsys.readouterr().out
    assert precious.read_text() == "years of work"


def test_a_wrong_neighbourhood_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(str(tmp_path / "nowhere"), "--work", str(tmp_path / "work")) == 2
    assert capsys.readouterr().out.strip().endswith("there is no such folder")
    assert not (tmp_path / "work").exists()


def test_a_day_that_is_not_in_the_profiles_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("--day", "2027-01-01", "--work", str(tmp_path / "work")) == 2
    assert "it holds 2026-07-01 to 2026-07-07" in capsys.readouterr().out


def test_a_taken_port_is_told_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert simulate("--port", str(port), "--work", str(tmp_path / "work")) == 2
    assert f"port {port} is taken" in capsys.readouterr().out
    assert not (tmp_path / "work").exists()


def test_a_horizon_too_short_to_trade_the_evening_before_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    for path in SAMPLE.glob("*.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    tariff = (folder / "tariff.toml").read_text()
    (folder / "tariff.toml").write_text(tariff.replace("horizon_hours = 48", "horizon_hours = 24"))
    assert simulate(str(folder), "--work", str(tmp_path / "work")) == 2
    assert "horizon_hours" in capsys.readouterr().out


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_earlier_simulation_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / simulation.MARK).write_text("{}")
    (tmp_path / "market.db").write_text("old")
    options = simulation.Options(SAMPLE, tmp_path, None, 8420, 7, 3, True)
    simulation._make_folder(options, DAY)
    assert [path.name for path in tmp_path.iterdir()] == [simulation.MARK]
    assert json.loads((tmp_path / simulation.MARK).read_text())["seed"] == 7


def test_an_audit_is_summed_up_in_a_line() -> None:
    lines = ["✓ chain: every link: 3 blocks", "✓ journal: 2 batches", "No contradiction.", "UNWITNESSED: nobody."]
    assert simulation._verdict(lines) == "2 checks: No contradiction. UNWITNESSED: nobody."


# ---------------------------------------------------------------------------------------------------- the town


def test_the_share_of_a_rating_that_is_released_is_exact(sample: Neighbourhood) -> None:
    tariff = replace(sample.tariff, released_share_bp=2500)
    assert simulated_town.released_kw("9313", tariff) == "2328.25"
    assert simulated_town.released_kw("76000", tariff) == "19000"
    assert simulated_town.released_kw(None, tariff) is None


def desk(sample: Neighbourhood, **totals: int) -> Desk:
    nobody = Client(None, "http://nowhere", 100)  # type: ignore[arg-type]
    return Desk(sample.owners[0], nobody, Trader(100, []), **totals)


def test_escrow_covers_some_days_of_the_worst_and_is_whole_fen(sample: Neighbourhood) -> None:
    # 3 days of 1,000.01 kWh at 0.5224 and of 500 kWh at 0.5746: 1567.215... + 861.90
    worst = desk(sample, import_lots=100_001, export_lots=50_000)
    assert simulated_town.escrow_fen_ceil(worst, sample.tariff) == 242_912
    assert simulated_town.escrow_fen_ceil(desk(sample, import_lots=1, export_lots=0), sample.tariff) == 1000


async def test_the_operator_holds_its_bond_before_anything_is_settled(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid_in: list[Deposit] = []

    async def take(custodian: Client, deposits: Sequence[Deposit]) -> None:
        paid_in.extend(deposits)

    monkeypatch.setattr(institutions, "deposit", take)
    town.operator = Client(None, "http://nowhere", 1)  # type: ignore[arg-type]
    await simulated_town.fund(town)
    assert [each.amount_micro for each in paid_in if each.member == 1 and each.to_escrow] == [1_000_000_000]
    assert town.held_micro == sum(each.amount_micro for each in paid_in), "what the custodian says it holds"


def test_the_day_is_read_out_slot_by_slot(town: Town) -> None:
    readings = simulated_trading.readings_of(town)
    assert len(readings) == 96 * 338
    assert readings[0].slot_s == parse_instant_s("2026-06-30T16:00:00Z")
    assert readings[337].slot_s == readings[0].slot_s != readings[338].slot_s
    assert sum(reading.import_lots for reading in readings) == town.neighbourhood.profiles.import_lots[:96].sum()


# --------------------------------------------------------------------------------------------------- finance


def test_settlement_goes_on_when_windows_are_over(sample: Neighbourhood) -> None:
    assert [at_s for at_s, _ in milestones(sample.tariff, DAY)] == [
        parse_instant_s("2026-07-02T04:00:00Z"),  # twelve hours after midnight in Shanghai
        parse_instant_s("2026-07-04T04:01:00Z"),
    ]


def test_a_month_is_billed_when_it_is_over(sample: Neighbourhood) -> None:
    tariff = replace(sample.tariff, billing_period="month")
    assert [at_s for at_s, _ in milestones(tariff, DAY)][2:] == [
        parse_instant_s("2026-08-01T04:00:00Z"),
        parse_instant_s("2026-08-03T04:01:00Z"),
    ]
    assert milestones(tariff, date(2026, 7, 31)) == milestones(sample.tariff, date(2026, 7, 31))


def test_what_a_bank_offers_is_computed_from_its_quote() -> None:
    item = {"receivable": "ab" * 32, "creditor": 101, "debtor": 102, "face": "100.00", "due_day": "2026-08-31"}
    owed = owed_of(item | {"state": "listed"})
    assert owed == Owed("ab" * 32, 101, 102, 10_000, date(2026, 8, 31), "listed")
    bank = Bank("B", advance_rate="0.9000", rate="0.0360", days_basis=360, fee_fen=20, funds_fen=0)
    terms = terms_offered(owed, bank, date(2026, 7, 2))
    assert (terms.advance_fen, terms.discount_fen, terms.proceeds_fen) == (9000, 54, 8926)


# ----------------------------------------------------------------------------------------------------- screen


def test_without_a_terminal_a_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(Console(force_terminal=False, width=200))
    with screen.stage("Trading", 2) as stage:
        stage.step(1, "1 order")
        stage.step(1, "2 orders")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("  Trading ")
    assert line.endswith(" s   2 orders")


async def test_a_client_of_the_town_is_found_by_member(town: Town) -> None:
    async with aiohttp.ClientSession() as http:
        bank = Client(http, "http://nowhere", 100)
        town.banks = [(town.tariff.banks[0], bank)]
        assert town.client_of(100) is bank
