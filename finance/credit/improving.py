"""What would make a member's rating better: the card is asked again with one feature moved to its next better bin.

Everything else stays as it is, so an answer is true of the card and promises nothing of a bank. What a better rating
saves is told for 10,000 CNY over 60 days at the card's own rates, ACT/360. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from finance.calendar import DayCount
from finance.credit.card import Card, Feature, Score, limit_fen_floor, rate_ppm, score
from finance.credit.feature_names import PPM, UNKNOWN
from finance.offer import interest_fen_ceil

EXAMPLE_FEN = 1_000_000
EXAMPLE_DAYS = 60

NOTHING = {"ladder_stage": 0, "months_active": 0}
"""Of a member that did nothing yet; every other feature is unknown."""

_FIRST_DEBTS = {"paid_on_time_ppm": PPM, "days_late_worst": 0}
"""Of both there is nothing to tell until something falls due; then it is best to pay it in time."""


class Improvement(NamedTuple):
    """One feature from ``value`` to ``target``, the bin ``place`` of the card's feature; what follows from it.

    ``saves_fen`` is None unless both ratings have a rate for the example; ``rating`` may be what it is now.
    """

    feature: Feature
    value: int
    target: int
    place: int
    points: int
    rating: str
    limit_fen: int
    saves_fen: int | None


def improvements(card: Card, features: Mapping[str, int], bought_monthly_fen: int) -> list[Improvement]:
    """Those that bring points, the ones that bring a better rating first, then by points."""
    now = score(card, features)
    found = [
        _tried(card, features, bought_monthly_fen, now, feature=feature, place=place)
        for feature, place in _next_bins(card, features)
    ]
    grades = [grade.rating for grade in card.grades]
    return sorted(found, key=lambda each: (grades.index(each.rating), -each.points))


def _next_bins(card: Card, features: Mapping[str, int]) -> Iterator[tuple[Feature, int]]:
    """Of each feature the nearest bin with more points than it has."""
    for feature in card.features:
        value = features[feature.name]
        if value == UNKNOWN and feature.name not in _FIRST_DEBTS:
            continue  # nothing traded, nothing sold: there is no bin beside it
        if value == UNKNOWN:
            yield from [(feature, _place(feature, _FIRST_DEBTS[feature.name]))]
            continue
        here = _place(feature, value)
        better = [place for place, each in enumerate(feature.bins) if each.points > feature.bins[here].points]
        if better:
            yield feature, min(better, key=lambda place: abs(place - here))


def _place(feature: Feature, value: int) -> int:
    return max(place for place, each in enumerate(feature.bins) if each.from_ <= value)


def _tried(
    card: Card, features: Mapping[str, int], bought_monthly_fen: int, now: Score, *, feature: Feature, place: int
) -> Improvement:
    value, here = features[feature.name], feature.bins[place].from_
    ends = [each.from_ - 1 for each in feature.bins[place + 1 :]]
    target = ends[0] if ends and here < value else here  # from above, a bin begins at its end
    changed = {**features, feature.name: target}
    if value == UNKNOWN:
        changed |= _FIRST_DEBTS
    then = score(card, changed)
    return Improvement(
        feature,
        value,
        target,
        place,
        then.total - now.total,
        then.rating,
        limit_fen_floor(card, then.rating, bought_monthly_fen),
        _saves_fen(card, now.rating, then.rating),
    )


def _saves_fen(card: Card, before: str, after: str) -> int | None:
    rates = [rate_ppm(card, rating, EXAMPLE_DAYS) for rating in (before, after)]
    costs = [interest_fen_ceil(EXAMPLE_FEN, rate, EXAMPLE_DAYS, DayCount.ACT_360) for rate in rates if rate is not None]
    return costs[0] - costs[1] if len(costs) == 2 else None
