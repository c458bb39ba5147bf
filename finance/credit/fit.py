"""A scorecard fitted to members of whom it is known who defaulted, in the same form as the expert's.

optbinning chooses the bins of each feature so that risk falls or rises in one direction, as the trade says it must,
logistic regression weighs them, and the log-odds become whole points: ``POINTS`` are odds of ``ODDS`` to one, every
``DOUBLING`` points double the odds. Grades follow from probabilities; what a grade may owe and pays, and the caps, are
taken over from another card, for no data says them. Floats are statistics here; a card holds none.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, log2
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from finance.credit.card import Bin, Card, Feature, Grade, Unknown
from finance.credit.fast import score_all
from finance.credit.feature_names import NAMES, UNKNOWN
from finance.credit.features import Table
from finance.credit.ratings import RATINGS

POINTS, ODDS, DOUBLING = 600, 20, 40

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RISK = {
    "paid_on_time_ppm": "descending",
    "days_late_worst": "ascending",
    "ladder_stage": "ascending",
    "delivered_ppm": "descending",
    "imbalance_ppm": "ascending",
    "tenure_days": "descending",
    "months_active": "descending",
    "volume_trend_ppm": "auto_asc_desc",
    "volume_volatility_ppm": "ascending",
    "concentration_ppm": "ascending",
}
"""How risk goes with each feature; a fit that finds otherwise would reward paying late."""

LEAST_PROBABILITY = {"AAA": 0.0, "AA": 0.002, "A": 0.005, "BBB": 0.01, "BB": 0.02, "B": 0.04, "CCC": 0.08, "CC": 0.16}
"""A rating's lowest probability of default within ninety days; below the last, C. D is for who is in default."""


class FitError(Exception):
    """No card comes of this: optbinning is not there, or the members do not tell good from bad."""


def fit(table: Table, defaulted: Flags, *, name: str, like: Card) -> Card:
    """A card of these members; caps, limits and prices ``like`` another's. Raises FitError."""
    if not 0 < defaulted.sum() < len(defaulted):
        raise FitError("all defaulted or none did: there is nothing to tell them apart by")
    rows = _scorecard(table, defaulted)
    features = tuple(feature for feature in (_feature(each, rows, like) for each in NAMES) if feature is not None)
    told = {feature.name for feature in features}
    same = {row.feature: row.points for row in rows if row.feature not in told}
    if not features:
        raise FitError("no feature tells good from bad")
    said_en = f"Fitted to {len(defaulted):,} simulated members, {int(defaulted.sum()):,} of them in default"
    said_zh = f"用 {len(defaulted):,} 个模拟成员拟合，其中 {int(defaulted.sum()):,} 个违约"
    return msgspec.structs.replace(
        like,
        name=name,
        kind="fitted",
        zh=f"{said_zh}；不是本平台真实历史的拟合，额度与价格沿用 {like.name}",
        en=f"{said_en}; not to real history of this platform; limits and prices as in {like.name}",
        base=sum(same.values()),  # what they bring whatever they are
        features=features,
        grades=_grades(like),
    )


class _Row(NamedTuple):
    """One bin as optbinning tells it: its lowest value, None for what is unknown."""

    feature: str
    from_: int | None
    points: int


def _scorecard(table: Table, defaulted: Flags) -> list[_Row]:
    try:
        import pandas as pd
        from optbinning import BinningProcess, Scorecard
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise FitError("optbinning is not installed: pip install 'jinsha[score]'") from error
    frame = pd.DataFrame(table.values, columns=list(NAMES))
    wanted = {
        each: {"monotonic_trend": trend, "max_n_bins": 6, "min_bin_size": 0.02, "solver": "mip"}
        for each, trend in RISK.items()
    }
    card = Scorecard(
        binning_process=BinningProcess(list(NAMES), special_codes=[UNKNOWN], binning_fit_params=wanted),
        estimator=LogisticRegression(),
        scaling_method="pdo_odds",
        scaling_method_params={"pdo": DOUBLING, "odds": ODDS, "scorecard_points": POINTS},
        rounding=True,
    )
    card.fit(frame, defaulted.astype(np.int64), metric_special="empirical")
    return [row for row in map(_row, card.table(style="detailed").to_dict("records")) if row is not None]


def _row(told: dict[str, Any]) -> _Row | None:
    """None for what is missing: nothing ever is, for the unknown is a value."""
    label, points = str(told["Bin"]), round(told["Points"])
    if label == "Missing":
        return None
    if label == "Special":
        return _Row(told["Variable"], None, points)
    lowest = label.lstrip("[(").split(",", 1)[0]
    return _Row(told["Variable"], 0 if lowest == "-inf" else ceil(float(lowest)), points)


def _feature(name: str, rows: Sequence[_Row], like: Card) -> Feature | None:
    """None of a feature that brings the same points whatever it is."""
    own = [row for row in rows if row.feature == name]
    known = [row for row in own if row.from_ is not None]
    if len({row.points for row in own}) < 2:
        return None
    label = next(each for each in like.features if each.name == name)
    starts = [row.from_ or 0 for row in known]
    ends = [*starts[1:], None]
    bins = tuple(
        Bin(
            f"{label.zh}：{_words(name, start, end, 'zh')}",
            f"{label.en}: {_words(name, start, end, 'en')}",
            start,
            row.points,
        )
        for row, start, end in zip(known, starts, ends, strict=True)
    )
    unknown = next(row.points for row in own if row.from_ is None)
    return Feature(label.zh, label.en, name, Unknown(f"{label.zh}：未知", f"{label.en}: unknown", unknown), bins)


def _words(name: str, start: int, end: int | None, language: str) -> str:
    """``10 % to 25 %``: a range in the feature's own unit."""
    unit = {"zh": {"days": " 天", "months": " 个月"}, "en": {"days": " days", "months": " months"}}[language]
    suffix = next((words for part, words in unit.items() if part in name), "")

    def text(value: int) -> str:
        return f"{value // 10_000}.{value // 1_000 % 10} %" if name.endswith("_ppm") else f"{value}{suffix}"

    if end == start + 1:
        return text(start)
    if end is None:
        return f"{text(start)} 以上" if language == "zh" else f"{text(start)} or more"
    if start == 0:
        return f"不到 {text(end)}" if language == "zh" else f"below {text(end)}"
    return f"{text(start)} 至 {text(end)}" if language == "zh" else f"{text(start)} to {text(end)}"


def _grades(like: Card) -> tuple[Grade, ...]:
    """Bounds in points out of probabilities: a rating ends where the next worse one begins."""
    worse = dict(pairwise(RATINGS))
    return tuple(
        msgspec.structs.replace(grade, from_=points_of(bound) if bound is not None else None)
        for grade in like.grades
        for bound in [LEAST_PROBABILITY.get(worse.get(grade.rating, ""), 0.3 if grade.rating == "CC" else None)]
    )


def points_of(probability: float) -> int:
    """The lowest total whose probability of default is at most this."""
    return ceil(POINTS + DOUBLING * log2((1.0 - probability) / probability / ODDS))


def probabilities(card: Card, table: Table) -> Floats:
    """What a fitted card's totals say: the inverse of its scale."""
    odds = ODDS * np.exp2((score_all(card, table).totals - POINTS) / DOUBLING)
    return np.asarray(1.0 / (1.0 + odds), dtype=np.float64)
