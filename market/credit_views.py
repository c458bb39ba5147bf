"""Scores, reasons and improvements as they are answered, in Chinese and English."""

from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, Row

from data.units import format_instant
from finance.credit import card as cards
from finance.credit import store
from finance.credit.card import Card, Score
from finance.credit.decision import Input
from finance.credit.feature_names import NAMES, UNKNOWN
from finance.credit.improving import NOTHING, Improvement
from finance.credit.ratings import RATINGS
from finance.offer import format_rate
from market.openapi.fields import Fen, Hash, Instant, Rate, choice
from market.receivable_views import fen_text

Rating = Annotated[str, choice(*RATINGS)]


class Words(msgspec.Struct, frozen=True):
    """The same in both languages."""

    zh: str
    en: str


class CardBody(msgspec.Struct, frozen=True):
    """The scorecard, and what it says of itself."""

    name: str
    kind: Annotated[str, choice("expert", "fitted")]
    says: Words


class ReasonBody(msgspec.Struct, frozen=True):
    """What one feature is, in words; `points` of at most `most`, and its `value` (null: unknown), for the member and
    those who oversee."""

    feature: Annotated[str, choice(*NAMES)]
    label: Words
    words: Words
    value: int | None = None
    points: int | None = None
    most: int | None = None


class SuggestedPrice(msgspec.Struct, frozen=True):
    """A suggested yearly rate, ACT/360, for so many days at most."""

    days: int
    rate: Rate


class Scored(msgspec.Struct, frozen=True):
    """How a member was scored; `decision` is None where it never was: then it has the rating of one without history."""

    card: Card
    given: Input
    score: Score
    decision: Row[Any] | None


def scored(connection: Connection, member: int, card: Card) -> Scored:
    """The decision that holds of a member, read back; without one, what ``card`` says of a member without history."""
    row = store.decision_of(connection, member)
    if row is None:
        features = dict.fromkeys(NAMES, UNKNOWN) | NOTHING
        given = Input(0, 0, features, 0, member, card.hash.hex())
        return Scored(card, given, cards.score(card, features), None)
    used = cards.parse(row.card)
    given = msgspec.json.decode(row.input, type=Input)
    return Scored(used, given, cards.score(used, given.features), row)


class DecisionBody(msgspec.Struct, frozen=True):
    """What was kept: `input` is canonical JSON, whose keccak-256 is `input_hash`; the card's is `model`."""

    decision: int
    model: Hash
    as_of: Instant
    input: str
    input_hash: Hash


def card_body(card: Card) -> CardBody:
    return CardBody(card.name, card.kind, Words(card.zh, card.en))


def reasons(found: Scored, *, is_whole: bool) -> list[ReasonBody]:
    """One for each feature of the card; with values and points when ``is_whole``."""
    bodies = []
    for feature, place, points in zip(found.card.features, found.score.bins, found.score.points, strict=True):
        said = feature.unknown if place == UNKNOWN else feature.bins[place]
        value = found.given.features[feature.name]
        body = ReasonBody(feature.name, Words(feature.zh, feature.en), Words(said.zh, said.en))
        if is_whole:
            most = max(feature.unknown.points, *(each.points for each in feature.bins))
            body = msgspec.structs.replace(body, value=None if value == UNKNOWN else value, points=points, most=most)
        bodies.append(body)
    return bodies


def caps(found: Scored) -> list[Words]:
    """The facts that no points outweigh."""
    return [Words(found.card.caps[place].zh, found.card.caps[place].en) for place in found.score.caps]


def prices(found: Scored) -> list[SuggestedPrice]:
    """None where such a rating is not financed."""
    rates = found.card.by_rating[found.score.rating].rates_ppm
    pairs = zip(found.card.tenors_days, rates, strict=False)
    return [SuggestedPrice(days, format_rate(rate_ppm)) for days, rate_ppm in pairs]


def decision_body(found: Scored) -> DecisionBody | None:
    row = found.decision
    if row is None:
        return None
    return DecisionBody(row.decision, found.given.model, format_instant(row.as_of_s), row.input, row.input_hash.hex())


_IN_TIME = Words("到期款项在宽限期内付清；迟付一年后不再计入", "pay within the grace days; a delay counts for a year")

_HOW = {
    "paid_on_time_ppm": _IN_TIME,
    "days_late_worst": _IN_TIME,
    "ladder_stage": Words("避免欠款；记录一年后不再计入", "stay out of arrears; a record counts for a year"),
    "delivered_ppm": Words("按电表能交付的数量卖出", "sell what your meters will deliver"),
    "imbalance_ppm": Words("让成交量更接近实际用电和发电", "trade closer to what your meters will show"),
    "tenure_days": Words("随时间增长，不必做什么", "time alone; there is nothing to do"),
    "months_active": Words("在更多的月份里成交", "trade in more months"),
    "volume_trend_ppm": Words("保持成交额平稳", "keep what you trade steady"),
    "volume_volatility_ppm": Words("让各月成交额更均匀", "trade about as much in each month"),
    "concentration_ppm": Words("与更多的对手成交", "trade with more counterparties"),
}
"""What a member can do about each feature, if anything."""


class ImprovementBody(msgspec.Struct, frozen=True):
    """One feature moved to `words`, everything else as it is: `points` more, then this `rating` and suggested `limit`.

    `how` says what to do, `value` and `target` are in the feature's own unit (days, months, parts per million).
    `saves` is for 10,000 CNY over 60 days at the card's rates; null where one of the ratings is not financed.
    """

    feature: Annotated[str, choice(*NAMES)]
    label: Words
    words: Words
    how: Words
    value: int | None
    target: int
    points: int
    rating: Rating
    limit: Fen
    saves: Fen | None


def improvement_body(better: Improvement) -> ImprovementBody:
    said = better.feature.bins[better.place]
    return ImprovementBody(
        better.feature.name,
        Words(better.feature.zh, better.feature.en),
        Words(said.zh, said.en),
        _HOW[better.feature.name],
        None if better.value == UNKNOWN else better.value,
        better.target,
        better.points,
        better.rating,
        fen_text(better.limit_fen),
        None if better.saves_fen is None else fen_text(better.saves_fen),
    )
