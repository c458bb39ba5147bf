"""A card fitted to simulated communities: whole, the same every time, and better than the expert's on other members."""

from pathlib import Path

import numpy as np
import pytest

from finance.credit import card as cards
from finance.credit.fast import score_all
from finance.credit.feature_names import NAMES, UNKNOWN
from finance.credit.fit import DOUBLING, FitError, fit, points_of, probabilities
from finance.credit.judging import Outcome, judge, outcome
from finance.credit.simulated import communities
from market.score_command import put_between_marks
from market.score_report import report

EXPERT = cards.read(cards.EXPERT)
MEMBERS, SEED = 6_000, 3


pytest.importorskip("optbinning", reason="fitting is an extra: pip install 'jinsha[score]'; make test brings it")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:optbinning", "ignore::DeprecationWarning:optbinning")


@pytest.fixture(scope="module")
def found() -> Outcome:
    return outcome(EXPERT, members=MEMBERS, seed=SEED, name="tried")


def test_the_same_seed_gives_the_same_communities_and_another_does_not() -> None:
    one, again, other = (communities(500, seed) for seed in (1, 1, 2))
    assert (one.table.values == again.table.values).all() and (one.defaulted == again.defaulted).all()
    assert (one.table.values != other.table.values).any()


def test_features_of_simulated_members_are_whole_and_some_are_unknown() -> None:
    made = communities(2_000, SEED)
    assert made.table.values.dtype == np.int64 and (made.table.values >= UNKNOWN).all()
    unknown = {name for place, name in enumerate(NAMES) if (made.table.values[:, place] == UNKNOWN).any()}
    assert {"paid_on_time_ppm", "delivered_ppm", "volume_trend_ppm"} <= unknown


def test_a_fitted_card_is_a_card_and_the_same_every_time(found: Outcome) -> None:
    assert cards.parse(found.card.content) == found.card
    assert found.card.kind == "fitted" and "simulated" in found.card.en and "模拟" in found.card.zh
    assert (found.card.caps, found.card.tenors_days) == (EXPERT.caps, EXPERT.tenors_days)
    assert outcome(EXPERT, members=MEMBERS, seed=SEED, name="tried").card.content == found.card.content


def test_out_of_sample_it_orders_better_than_the_expert_and_no_better_than_the_truth(found: Outcome) -> None:
    truth, fitted, expert = found.judgements
    assert truth.auc > fitted.auc > expert.auc > 0.6
    assert fitted.brier < expert.brier
    assert fitted.ece < 0.02, "what it says to default is what defaults"


def test_risk_goes_one_way_with_what_the_trade_knows(found: Outcome) -> None:
    points = {feature.name: [each.points for each in feature.bins] for feature in found.card.features}
    assert points["days_late_worst"] == sorted(points["days_late_worst"], reverse=True)
    assert points["paid_on_time_ppm"] == sorted(points["paid_on_time_ppm"])


def test_points_and_probabilities_are_one_scale(found: Outcome) -> None:
    assert points_of(1 / 21) == 600 and points_of(1 / 41) == 600 + DOUBLING
    table = communities(200, 9).table
    order = np.argsort(score_all(found.card, table).totals, kind="stable")
    assert (np.diff(probabilities(found.card, table)[order]) <= 0).all()


def test_a_perfect_judge_and_a_blind_one() -> None:
    defaulted = np.array([False] * 80 + [True] * 20)
    assert judge("all", defaulted.astype(float), defaulted).auc == 1.0
    blind = judge("none", np.full(100, 0.2), defaulted)
    assert blind.auc == 0.5 and blind.brier == pytest.approx(0.16)


def test_nobody_in_default_teaches_nothing() -> None:
    made = communities(100, 1)
    with pytest.raises(FitError, match="none did"):
        fit(made.table, np.zeros(100, dtype=bool), name="none", like=EXPERT)


def test_the_report_replaces_what_an_earlier_run_wrote(found: Outcome, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Credit\n\nWords.\n")
    put_between_marks(page, "an earlier run\n")
    put_between_marks(page, report(found, MEMBERS, SEED))
    text = page.read_text("utf-8")
    assert text.startswith("# Credit\n\nWords.\n") and "an earlier run" not in text
    assert text.count("known truth |") == 1 and "| 10 |" in text
