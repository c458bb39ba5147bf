"""How good a card is: does it put those who default below those who do not, and are its probabilities true?

On communities that the fit never saw. The known truth is judged beside the cards: no card can order members better than
their true probabilities do, and those do not order them perfectly either, for a default is drawn. The expert card says
no probabilities; to compare them, one logistic curve from its points is fitted on the same members as the card.
"""

from collections.abc import Iterator
from math import sqrt
from typing import NamedTuple

import numpy as np

from finance.credit.card import Card
from finance.credit.fast import score_all
from finance.credit.features import Table, Whole
from finance.credit.fit import Flags, Floats, fit, probabilities
from finance.credit.simulated import Communities, communities

TEST_COMMUNITIES = 4
"""Of ten, the last ones are only tested on."""


class Decile(NamedTuple):
    """A tenth of the members, the safest first: how many, what was said to default, what did, in parts of one."""

    members: int
    said: float
    happened: float


class Judgement(NamedTuple):
    """``auc_error`` is the standard error of the AUC (Hanley and McNeil, 1982); ``ece`` is over deciles."""

    name: str
    auc: float
    auc_error: float
    brier: float
    ece: float
    deciles: list[Decile]


class Outcome(NamedTuple):
    """A fitted card and what is to be said of it, the truth and the expert card; on ``tested`` members."""

    card: Card
    fitted_on: int
    tested: int
    default_rate: float
    judgements: list[Judgement]
    spread: list[tuple[str, float, float]]


def outcome(expert: Card, *, members: int, seed: int, name: str, repeats: int = 0) -> Outcome:
    """Fit on simulated communities and judge on others; ``repeats`` more worlds tell how much luck is in it.

    Raises FitError.
    """
    card, test, judgements = _once(expert, members, seed, name)
    aucs: dict[str, list[float]] = {each.name: [each.auc] for each in judgements}
    for more in range(1, repeats + 1):
        for each in _once(expert, members, seed + more, name)[2]:
            aucs[each.name].append(each.auc)
    spread = [(each, min(found), max(found)) for each, found in aucs.items()]
    rate = float(test.defaulted.mean())
    return Outcome(card, members - len(test.defaulted), len(test.defaulted), rate, judgements, spread)


def _once(expert: Card, members: int, seed: int, name: str) -> tuple[Card, Communities, list[Judgement]]:
    everyone = communities(members, seed)
    is_test = everyone.community >= everyone.community.max() + 1 - TEST_COMMUNITIES
    train, test = _of(everyone, ~is_test), _of(everyone, is_test)
    card = fit(train.table, train.defaulted, name=name, like=expert)
    curve = _curve(score_all(expert, train.table).totals, train.defaulted)
    said = {
        "the known truth": test.probability,
        f"fitted card `{card.name}`": probabilities(card, test.table),
        f"expert card `{expert.name}`": curve(score_all(expert, test.table).totals),
    }
    return card, test, [judge(who, chances, test.defaulted) for who, chances in said.items()]


def _of(everyone: Communities, chosen: Flags) -> Communities:
    table = Table(*(column[chosen] for column in everyone.table))
    return Communities(table, everyone.community[chosen], everyone.probability[chosen], everyone.defaulted[chosen])


class _Curve(NamedTuple):
    """Probabilities from points by one logistic function."""

    slope: float
    offset: float

    def __call__(self, totals: Whole) -> Floats:
        return np.asarray(1.0 / (1.0 + np.exp(-(self.offset + self.slope * totals / 100.0))), dtype=np.float64)


def _curve(totals: Whole, defaulted: Flags) -> _Curve:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(totals[:, None] / 100.0, defaulted)
    return _Curve(float(model.coef_[0, 0]), float(model.intercept_[0]))


def judge(name: str, chances: Floats, defaulted: Flags) -> Judgement:
    """AUC, Brier score, expected calibration error and deciles of probabilities against what happened."""
    from sklearn.metrics import brier_score_loss, roc_auc_score

    auc, bad = float(roc_auc_score(defaulted, chances)), int(defaulted.sum())
    deciles = list(_deciles(chances, defaulted))
    ece = sum(each.members * abs(each.said - each.happened) for each in deciles) / len(chances)
    error = _auc_error(auc, bad, len(defaulted) - bad)
    return Judgement(name, auc, error, float(brier_score_loss(defaulted, chances)), ece, deciles)


def _deciles(chances: Floats, defaulted: Flags) -> Iterator[Decile]:
    for part in np.array_split(np.argsort(chances, kind="stable"), 10):
        yield Decile(len(part), float(chances[part].mean()), float(defaulted[part].mean()))


def _auc_error(auc: float, bad: int, good: int) -> float:
    both_bad, both_good = auc / (2.0 - auc), 2.0 * auc**2 / (1.0 + auc)
    spread = auc * (1.0 - auc) + (bad - 1) * (both_bad - auc**2) + (good - 1) * (both_good - auc**2)
    return sqrt(spread / (bad * good))
