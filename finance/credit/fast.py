"""Scores and decisions of many members at once: what ``card.py`` and ``decision.py`` say of one, in numpy."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from finance.credit.card import LARGEST_MONTHLY_FEN, Card
from finance.credit.decision import Decision, Input
from finance.credit.feature_names import NAMES, PPM
from finance.credit.features import Table, Whole
from finance.credit.ratings import PLACES, RATINGS


class Scores(NamedTuple):
    """Of many members, a row each: points by feature, totals, and ratings as places in RATINGS."""

    points: Whole
    totals: Whole
    ratings: Whole


def score_all(card: Card, table: Table) -> Scores:
    """``score`` for all at once."""
    points = np.empty((len(table.members), len(card.features)), dtype=np.int64)
    for column, feature in enumerate(card.features):
        values = table.values[:, NAMES.index(feature.name)]
        # the unknown is below all bins: its points stand before theirs
        places = np.searchsorted(np.array([each.from_ for each in feature.bins]), values, side="right")
        points[:, column] = np.array([feature.unknown.points, *(each.points for each in feature.bins)])[places]
    totals = card.base + points.sum(axis=1)
    bounds = np.array([grade.from_ for grade in card.grades if grade.from_ is not None][::-1], dtype=np.int64)
    below = len(bounds) - np.searchsorted(bounds, totals, side="right")
    ratings = np.array([PLACES[grade.rating] for grade in card.grades])[below]
    for cap in card.caps:
        values = table.values[:, NAMES.index(cap.feature)]
        first, end = cap.range
        capped = np.maximum(ratings, PLACES[cap.rating])
        ratings = np.where((first <= values) & (values < end), capped, ratings)
    return Scores(points, totals, ratings)


def limits_fen_floor(card: Card, ratings: Whole, bought_monthly_fen: Whole) -> Whole:
    """``limit_fen_floor`` for all at once."""
    shares = np.array([card.by_rating[rating].limit_ppm if rating in card.by_rating else 0 for rating in RATINGS])
    fen: Whole = np.minimum(
        np.minimum(bought_monthly_fen, LARGEST_MONTHLY_FEN) * shares[ratings] // PPM, card.largest_limit_fen
    )
    powers: Whole = np.array([10**place for place in range(18)])
    digits = np.searchsorted(powers, fen, side="right")
    step = powers[np.maximum(0, digits - 2)]
    return fen // step * step


def decide_all(card: Card, table: Table, as_of_s: int, last_cycle: int) -> Iterator[tuple[int, Decision]]:
    """Member and decision, for all at once."""
    scores = score_all(card, table)
    limits = limits_fen_floor(card, scores.ratings, table.bought_monthly_fen)
    model = card.hash.hex()
    columns = (table.members, table.values, table.bought_monthly_fen, scores.points, scores.totals, scores.ratings)
    for member, values, bought_fen, points, total, place, limit_fen in zip(
        *(column.tolist() for column in (*columns, limits)), strict=True
    ):
        given = Input(as_of_s, bought_fen, dict(zip(NAMES, values, strict=True)), last_cycle, member, model)
        yield member, Decision(given.content, tuple(points), total, RATINGS[place], limit_fen)
