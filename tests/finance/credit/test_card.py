"""The scorecard: what it refuses, what it says, and that the fast way says the same as the plain one."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.credit import card as cards
from finance.credit.card import CardError
from finance.credit.decision import Input, decide
from finance.credit.fast import decide_all
from finance.credit.feature_names import NAMES, UNKNOWN
from finance.credit.features import Table
from finance.credit.ratings import NO_HISTORY

EXPERT = cards.read(cards.EXPERT)

NOTHING = dict.fromkeys(NAMES, UNKNOWN) | {"ladder_stage": 0, "months_active": 0}
GOOD = {
    "paid_on_time_ppm": 1_000_000,
    "days_late_worst": 0,
    "ladder_stage": 0,
    "delivered_ppm": 1_000_000,
    "imbalance_ppm": 20_000,
    "tenure_days": 400,
    "months_active": 12,
    "volume_trend_ppm": 1_000_000,
    "volume_volatility_ppm": 100_000,
    "concentration_ppm": 200_000,
}
MONTHLY_FEN = 1_234_567


def rating(**changes: int) -> str:
    return cards.score(EXPERT, GOOD | changes).rating


def test_the_best_member_has_all_points_and_the_best_rating() -> None:
    best = cards.score(EXPERT, GOOD)
    assert (best.total, best.rating, best.caps) == (1_000, "AAA", ())


def test_no_history_gets_the_cautious_default_no_limit_no_price_and_the_reason() -> None:
    found = cards.score(EXPERT, NOTHING)
    assert found.rating == NO_HISTORY
    assert "no settled trade" in EXPERT.caps[found.caps[0]].en
    assert cards.limit_fen_floor(EXPERT, found.rating, MONTHLY_FEN) == 0
    assert cards.rate_ppm(EXPERT, found.rating, 30) is None


def test_an_expert_card_says_that_it_is_one() -> None:
    assert EXPERT.kind == "expert" and "not fitted" in EXPERT.en and "专家" in EXPERT.zh


def test_a_debtor_in_default_has_the_last_rating_whatever_else_it_did() -> None:
    assert rating(ladder_stage=3) == rating(days_late_worst=120) == "D"


def test_concentration_on_one_counterparty_lowers_points_and_caps_the_rating() -> None:
    alone = cards.score(EXPERT, GOOD | {"concentration_ppm": 1_000_000})
    assert alone.total == 920 and alone.rating == "BB"
    assert [EXPERT.caps[place].feature for place in alone.caps] == ["concentration_ppm"]


def test_a_longer_delay_never_rates_better() -> None:
    by_delay = [cards.RATINGS.index(rating(days_late_worst=days)) for days in range(120)]
    assert by_delay == sorted(by_delay)


def test_limits_are_months_of_purchases_to_two_figures_and_end_somewhere() -> None:
    assert cards.limit_fen_floor(EXPERT, "A", MONTHLY_FEN) == 2_400_000
    assert cards.limit_fen_floor(EXPERT, "AAA", 10**12) == EXPERT.largest_limit_fen
    assert cards.limit_fen_floor(EXPERT, "A", 3) == 6


def test_prices_rise_with_risk_and_tenor_and_end_with_the_longest() -> None:
    assert cards.rate_ppm(EXPERT, "AAA", 30) == 30_000
    assert cards.rate_ppm(EXPERT, "AAA", 31) == 31_000
    assert cards.rate_ppm(EXPERT, "B", 30) == 78_000
    assert cards.rate_ppm(EXPERT, "AAA", 181) is None


def changed(**values: object) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(EXPERT.content) | values)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[]", "Expected `object`"),
        (changed(name="Ü"), "matching regex"),
        (changed(features=[]), "length"),
        (changed(caps=[]), "no tenure"),
        (changed(grades=[]), "length"),
        (changed(grades=msgspec.json.decode(EXPERT.content)["grades"][:3]), "only the last"),
        (changed(tenors_days=[30]), "a rate for each tenor"),
    ],
)
def test_a_card_that_can_not_be_scored_with_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(CardError, match=why):
        cards.parse(content)


def test_bins_must_ascend_from_nothing() -> None:
    raw = msgspec.json.decode(EXPERT.content)
    raw["features"][0]["bins"][0]["from"] = 1
    with pytest.raises(CardError, match="begin at 0"):
        cards.parse(msgspec.json.encode(raw))


# values at the very bounds of bins and caps, where an off-by-one would show
EDGES = sorted({UNKNOWN, *(each.from_ + d for f in EXPERT.features for each in f.bins for d in (-1, 0, 1))})
ROW = st.tuples(*[st.sampled_from(EDGES)] * len(NAMES), st.integers(0, 10**13))


@given(st.lists(ROW, max_size=8))
def test_the_fast_way_decides_as_the_plain_one(rows: list[tuple[int, ...]]) -> None:
    found = np.array(rows, dtype=np.int64).reshape(-1, len(NAMES) + 1)
    table = Table(np.arange(100, 100 + len(rows)), found[:, :-1], found[:, -1])
    made = dict(decide_all(EXPERT, table, as_of_s=7, last_cycle=3))
    model = EXPERT.hash.hex()
    for member, row in enumerate(rows, 100):
        features = dict(zip(NAMES, row[:-1], strict=True))
        assert made[member] == decide(EXPERT, Input(7, row[-1], features, 3, member, model))
