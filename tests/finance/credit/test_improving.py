"""What would make a rating better is what the card says when it is asked again, and nothing else."""

import pytest

from finance.credit import card as cards
from finance.credit.feature_names import NAMES, UNKNOWN
from finance.credit.improving import NOTHING, improvements
from tests.finance.credit.test_card import EXPERT, GOOD, MONTHLY_FEN

MIDDLING = GOOD | {"tenure_days": 200, "concentration_ppm": 800_000, "volume_trend_ppm": 3_000_000}


def test_each_is_one_step_and_the_card_confirms_it() -> None:
    now = cards.score(EXPERT, MIDDLING)
    found = improvements(EXPERT, MIDDLING, MONTHLY_FEN)
    assert {each.feature.name for each in found} == {"tenure_days", "concentration_ppm", "volume_trend_ppm"}
    for better in found:
        then = cards.score(EXPERT, MIDDLING | {better.feature.name: better.target})
        assert better.points == then.total - now.total > 0
        assert better.rating == then.rating
        assert better.limit_fen == cards.limit_fen_floor(EXPERT, then.rating, MONTHLY_FEN)


def test_a_longer_tenure_lifts_the_rating_and_saves_money() -> None:
    member = GOOD | {"tenure_days": 80, "concentration_ppm": 600_000}
    assert cards.score(EXPERT, member).rating == "BB"
    first = improvements(EXPERT, member, MONTHLY_FEN)[0]
    assert (first.feature.name, first.target, first.rating) == ("tenure_days", 90, "AA")
    assert first.saves_fen == 1_000_000 * (58_000 - 34_000) * 60 // (360 * 10**6) == 4_000


def test_from_above_a_bin_begins_at_its_end() -> None:
    (better,) = [each for each in improvements(EXPERT, GOOD | {"concentration_ppm": 300_000}, 0) if each.points]
    assert better.target == 249_999


def test_whoever_never_owed_anything_would_do_best_to_pay_its_first_debts_in_time() -> None:
    member = GOOD | {"paid_on_time_ppm": UNKNOWN, "days_late_worst": UNKNOWN}
    assert cards.score(EXPERT, member).rating == "BBB"
    found = {each.feature.name: each.rating for each in improvements(EXPERT, member, 0)}
    assert found == {"paid_on_time_ppm": "AAA", "days_late_worst": "AAA"}


@pytest.mark.parametrize("features", [GOOD, dict.fromkeys(NAMES, UNKNOWN) | NOTHING])
def test_nothing_is_promised_without_ground(features: dict[str, int]) -> None:
    now = cards.score(EXPERT, features)
    for each in improvements(EXPERT, features, 0):
        assert each.points > 0 and now.rating == each.rating
        assert each.saves_fen is None, "without history no rating has a price"
