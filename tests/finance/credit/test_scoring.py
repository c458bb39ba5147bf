"""Features out of a database, decisions that are kept, limits of several lenders."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, update

from data import tables
from data.database import open_database, reading
from finance.credit import card as cards
from finance.credit import replay, scoring, store
from finance.credit.feature_names import NAMES, UNKNOWN
from finance.credit.features import features_of
from finance.credit.ratings import NO_HISTORY
from finance.listing import Viewer
from market.main import main
from tests.databases import made
from tests.finance.credit.history import AS_OF_S, BEGIN_S, MEMBERS, TIME_ZONE, History, add_member, random_history
from tests.finance.credit.oracle import Oracle

EXPERT = cards.read(cards.EXPERT)
DAY_S = 86_400
ANN, BO, CY, BANK, OTHER_BANK = 100, 101, 102, 103, 104


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    database = open_database(made(tmp_path))
    yield database
    database.dispose()


def score(database: Engine, now_s: int) -> dict[int, str]:
    scoring.score_due(database, EXPERT, now_s, TIME_ZONE)
    with reading(database) as connection:
        return store.latest_ratings(connection)


def replayed(database: Engine) -> list[str]:
    with reading(database) as connection:
        return [f"{each.table}.{each.column}" for each in replay.replay(connection, lambda _: None)]


@pytest.mark.usefixtures("database_url")
def test_features_are_what_the_slow_oracle_says(tmp_path: Path) -> None:
    database = open_database(made(tmp_path))
    with database.begin() as connection:
        random_history(connection, seed=1)
    with reading(database) as connection:
        cut = store.cut_at(connection, AS_OF_S)
        assert cut is not None
        found = features_of(store.deeds(connection, cut, TIME_ZONE), cut.until_s)
        oracle = Oracle(connection, cut, TIME_ZONE)
    assert found.members.tolist() == [*MEMBERS[:8]]
    for place, member in enumerate(found.members.tolist()):
        expected, bought_fen = oracle.features(member)
        assert dict(zip(NAMES, found.values[place].tolist(), strict=True)) == dict(zip(NAMES, expected, strict=True))
        assert found.bought_monthly_fen[place] == bought_fen
    assert (found.values[:7] != UNKNOWN).any(axis=0).all(), "every feature is known of somebody"
    database.dispose()


def test_a_day_is_scored_once_and_only_what_changed_is_kept(database: Engine) -> None:
    with database.begin() as connection:
        random_history(connection, 3)
    now_s = AS_OF_S + 3_600
    assert scoring.score_due(database, EXPERT, now_s, TIME_ZONE)
    assert not scoring.score_due(database, EXPERT, now_s + 7_200, TIME_ZONE)
    assert scoring.score_due(database, EXPERT, now_s + DAY_S, TIME_ZONE)
    with reading(database) as connection:
        first, second = store.runs(connection)
    assert (first.members, first.decisions) == (8, 8)
    assert second.decisions < first.decisions
    assert replayed(database) == []


def test_another_card_scores_everybody_again_and_the_old_decisions_still_replay(database: Engine) -> None:
    with database.begin() as connection:
        random_history(connection, 3)
    scoring.score_due(database, EXPERT, AS_OF_S, TIME_ZONE)
    other = cards.parse(msgspec.json.encode(msgspec.structs.replace(EXPERT, name="expert-2", base=-300)))
    assert scoring.score_due(database, other, AS_OF_S, TIME_ZONE)
    with reading(database) as connection:
        assert [run.decisions for run in store.runs(connection)] == [8, 8]
    assert replayed(database) == []


def test_a_decision_that_was_changed_is_named(database: Engine) -> None:
    with database.begin() as connection:
        random_history(connection, 3)
    scoring.score_due(database, EXPERT, AS_OF_S, TIME_ZONE)
    with database.begin() as connection:
        better = update(tables.credit_decisions).where(tables.credit_decisions.c.decision == 2)
        connection.execute(better.values(rating="AAA", limit_fen=10**8))
    assert replayed(database) == ["credit_decisions.rating", "credit_decisions.limit_fen"]


def test_the_command_replays_a_market_and_names_what_differs(
    database: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "replay", str(tmp_path / "nowhere")]) == 2
    with database.begin() as connection:
        random_history(connection, 3)
    scoring.score_due(database, EXPERT, AS_OF_S, TIME_ZONE)
    assert main(["score", "replay", str(tmp_path)]) == 0
    assert "8 decisions made again with 1 cards" in capsys.readouterr().out
    with database.begin() as connection:
        forged = update(tables.credit_decisions).where(tables.credit_decisions.c.decision == 5)
        connection.execute(forged.values(total=1_000))
    assert main(["score", "replay", str(tmp_path)]) == 1
    assert "credit_decisions 5, total: stated 1000" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------- frauds


LOTS = 10_000


def half_a_year(history: History) -> None:
    """Applied cycles, each of a week."""
    for week in range(26):
        history.cycle(week + 1, BEGIN_S + (week + 1) * 7 * DAY_S)


def trade_weekly(history: History, buyer: int, *sellers: int, delivered: int = LOTS, ticks: int = 4_000) -> None:
    """With the sellers in turn."""
    for week in range(26):
        start_s, seller = BEGIN_S + week * 7 * DAY_S, sellers[week % len(sellers)]
        history.trade(start_s, buyer, seller, lots=LOTS, ticks=ticks, delivered=delivered, cycle=week + 1)


AFTER_S = BEGIN_S + 26 * 7 * DAY_S


def test_a_shell_debtor_without_history_gets_the_cautious_default_and_is_told_why(database: Engine) -> None:
    """It has just bought at the cap, on terms, from an accomplice; nothing of that is settled."""
    with database.begin() as connection:
        history = History(connection)
        for member in (ANN, BO, CY):
            add_member(connection, member)
        half_a_year(history)
        trade_weekly(history, ANN, BO)
        history.trade(AFTER_S, CY, BO, lots=LOTS, ticks=20_000, delivered=0, cycle=99)
    assert score(database, AFTER_S + DAY_S)[CY] == NO_HISTORY
    with reading(database) as connection:
        decision = store.decision_of(connection, CY)
    assert decision is not None and decision.limit_fen == 0
    given = msgspec.json.decode(decision.input)
    assert given["features"]["tenure_days"] == UNKNOWN and given["bought_monthly_fen"] == 0
    assert "no settled trade" in EXPERT.caps[cards.score(EXPERT, given["features"]).caps[0]].en


def test_trading_with_one_accomplice_alone_rates_lower_than_with_several(database: Engine) -> None:
    with database.begin() as connection:
        history = History(connection)
        for member in (ANN, BO, CY, 105, 106, 107):
            add_member(connection, member)
        half_a_year(history)
        trade_weekly(history, ANN, BO, 105, 106, 107)
        trade_weekly(history, CY, BO)
        for member in (ANN, CY):
            history.debt(member, 5_000, BEGIN_S + 90 * DAY_S, settled_s=BEGIN_S + 89 * DAY_S)
    ratings = score(database, AFTER_S)
    with reading(database) as connection:
        several, one = store.decision_of(connection, ANN), store.decision_of(connection, CY)
    assert several is not None and one is not None
    assert several.total > one.total
    assert (ratings[ANN], ratings[CY]) == ("AA", "BB")


def test_a_meter_that_stands_still_costs_its_owner_points(database: Engine) -> None:
    with database.begin() as connection:
        history = History(connection)
        for member in (ANN, BO, CY, 105):
            add_member(connection, member)
        half_a_year(history)
        trade_weekly(history, ANN, BO)
        trade_weekly(history, 105, CY, delivered=0, ticks=20_000)
    score(database, AFTER_S)
    with reading(database) as connection:
        honest, still = store.decision_of(connection, BO), store.decision_of(connection, CY)
    assert honest is not None and still is not None
    assert honest.total - still.total == 100


# ---------------------------------------------------------------------------------------------------- limits


def test_each_lender_has_its_own_limit_and_orders_are_held_to_the_sum(database: Engine) -> None:
    with database.begin() as connection:
        for member in (ANN, BO, BANK, OTHER_BANK):
            add_member(connection, member, "bank" if member >= BANK else "household")
        assert store.set_limits(connection, BANK, {ANN: 100, BO: 7}, now_s=1) == {ANN: 100, BO: 7}
        assert store.set_limits(connection, OTHER_BANK, {ANN: 50}, now_s=2) == {ANN: 150}
        assert store.set_limits(connection, BANK, {ANN: 0}, now_s=3) == {ANN: 50}
    with reading(database) as connection:
        assert store.credit_limits_micro(connection) == {ANN: 50, BO: 7, BANK: 0, OTHER_BANK: 0}
        told = store.limit_history(connection, Viewer(ANN), member=None, after=0, limit=10)
        assert [(row.lender, row.limit_micro, row.set_s) for row in told] == [
            (BANK, 100, 1),
            (OTHER_BANK, 50, 2),
            (BANK, 0, 3),
        ]
        assert not list(replay.audit_limits(connection))
