"""A scorecard: which value of which feature brings how many points, and what a total is worth.

A card is data (``expert_1.json`` ships; ``jinsha score fit`` writes others in the same form): bins with points and
words in Chinese and English, grades with their limits and prices, and *caps*: facts that no points outweigh. Points
are whole; the same features give the same score, byte for byte. ``score`` says the rule plainly, ``fast.py`` the same
for many members at once.
"""

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from finance.credit.feature_names import NAMES, PPM, UNKNOWN
from finance.credit.ratings import NO_HISTORY, PLACES, RATINGS, worse
from settlement.keccak import keccak

LARGEST_MONTHLY_FEN = 10**11
"""Purchases of a month beyond a thousand million yuan count as that much: whole numbers of 64 bits must do."""

EXPERT = Path(__file__).with_name("expert_1.json")

Ppm = Annotated[int, msgspec.Meta(ge=0, le=10 * PPM)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class CardError(ValueError):
    """A card that can not be scored with; the message says where."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words stand in every part: ``zh`` and ``en``."""

    zh: Text
    en: Text


class Unknown(_Part, frozen=True):
    """What a feature brings of which there is nothing to tell."""

    points: int


class Bin(_Part, frozen=True, rename={"from_": "from"}):
    """Values from ``from_`` on, up to the next bin's."""

    from_: int
    points: int


class Feature(_Part, frozen=True):
    name: str
    unknown: Unknown
    bins: Annotated[tuple[Bin, ...], msgspec.Meta(min_length=1)]


class Cap(_Part, frozen=True):
    """No rating better than ``rating`` when the feature is in ``[from_, below)``, or unknown when it has no bound."""

    feature: str
    rating: str
    from_: int | None = msgspec.field(default=None, name="from")
    below: int | None = None

    @property
    def range(self) -> tuple[int, int]:
        """Half-open; UNKNOWN is a value like others here."""
        if self.from_ is None and self.below is None:
            return UNKNOWN, UNKNOWN + 1
        return self.from_ or 0, 2**62 if self.below is None else self.below

    def holds(self, value: int) -> bool:
        first, end = self.range
        return first <= value < end


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rating from ``from_`` points on. ``limit_ppm`` of a month's purchases may be owed. ``rates_ppm`` are yearly
    rates on ACT/360, by the card's tenors; none: not financed. ``advance_ppm`` of the face is advanced."""

    rating: str
    from_: int | None = msgspec.field(name="from")
    limit_ppm: Ppm
    advance_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)]
    rates_ppm: tuple[Ppm, ...]


class Score(NamedTuple):
    """``bins`` are places in the card, UNKNOWN where nothing is known; ``caps`` those that hold."""

    points: tuple[int, ...]
    bins: tuple[int, ...]
    total: int
    rating: str
    caps: tuple[int, ...]


class Card(_Part, frozen=True, dict=True):
    """``zh`` and ``en`` are what the card says of itself. Grades stand from best to worst; the last has no bound."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,60}$")]
    kind: Literal["expert", "fitted"]
    base: int
    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1)]
    caps: tuple[Cap, ...]
    tenors_days: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]
    grades: Annotated[tuple[Grade, ...], msgspec.Meta(min_length=1)]
    limit_rule: Literal["months_of_purchases"]
    largest_limit_fen: int

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON: what is kept and hashed."""
        return msgspec.json.encode(self)

    @cached_property
    def hash(self) -> bytes:
        return keccak(self.content)

    @cached_property
    def by_rating(self) -> Mapping[str, Grade]:
        return {grade.rating: grade for grade in self.grades}


def parse(content: bytes | str, place: str = "card") -> Card:
    """A card from its JSON. Raises CardError."""
    try:
        card = msgspec.json.decode(content, type=Card)
    except msgspec.DecodeError as error:
        raise CardError(f"{place}: {error}") from error
    problem = _problem(card)
    if problem:
        raise CardError(f"{place}: {problem}")
    return card


def read(path: Path) -> Card:
    """A card from its file. Raises CardError."""
    try:
        return parse(path.read_bytes(), path.name)
    except OSError as error:
        raise CardError(f"{path}: can not be read: {error.strerror}") from error


def _problem(card: Card) -> str | None:
    names = [feature.name for feature in card.features]
    if len(set(names)) != len(names) or not set(names) <= set(NAMES):
        return f"features: each once, out of {', '.join(NAMES)}"
    for feature in card.features:
        starts = [each.from_ for each in feature.bins]
        if starts[0] != 0 or starts != sorted(set(starts)):
            return f"features.{feature.name}: bins begin at 0 and ascend"
    if [grade.rating for grade in card.grades] != [rating for rating in RATINGS if rating in card.by_rating]:
        return "grades: ratings from best to worst, each once"
    bounds = [grade.from_ for grade in card.grades if grade.from_ is not None]
    open_ones = [grade.from_ is None for grade in card.grades]
    if bounds != sorted(set(bounds), reverse=True) or not open_ones[-1] or open_ones != sorted(open_ones):
        return "grades: bounds descend, and only the last ones have none"
    if any(len(grade.rates_ppm) not in {0, len(card.tenors_days)} for grade in card.grades):
        return "grades: a rate for each tenor, or none"
    return _caps_problem(card)


def _caps_problem(card: Card) -> str | None:
    if any(cap.feature not in NAMES or cap.rating not in card.by_rating for cap in card.caps):
        return "caps: features and grades that there are"
    without_history = [cap.rating for cap in card.caps if cap.feature == "tenure_days" and cap.holds(UNKNOWN)]
    if not without_history or PLACES[without_history[0]] < PLACES[NO_HISTORY]:
        return f"caps: whoever has no tenure gets {NO_HISTORY} at best"
    return None


# ------------------------------------------------------------------------------------------------ scoring


def score(card: Card, values: Mapping[str, int]) -> Score:
    """Points, rating and the caps that hold, of one member's features by name."""
    bins = tuple(_bin_of(feature, values[feature.name]) for feature in card.features)
    points = tuple(
        feature.unknown.points if place == UNKNOWN else feature.bins[place].points
        for feature, place in zip(card.features, bins, strict=True)
    )
    total = card.base + sum(points)
    rating = next(grade.rating for grade in card.grades if grade.from_ is None or total >= grade.from_)
    caps = tuple(place for place, cap in enumerate(card.caps) if cap.holds(values[cap.feature]))
    for place in caps:
        rating = worse(rating, card.caps[place].rating)
    return Score(points, bins, total, rating, caps)


def _bin_of(feature: Feature, value: int) -> int:
    if value == UNKNOWN:
        return UNKNOWN
    return bisect_right(feature.bins, value, key=lambda each: each.from_) - 1


# ----------------------------------------------------------------------------------------- limits and prices


def limit_fen_floor(card: Card, rating: str, bought_monthly_fen: int) -> int:
    """What may be owed: so many months of purchases, at most the card's largest; to two figures, so that a suggestion
    does not change with every kilowatt-hour."""
    fen = min(counted_fen_floor(card, rating, bought_monthly_fen), card.largest_limit_fen)
    step = int("1" + "0" * max(0, len(str(fen)) - 2))
    return fen // step * step


def counted_fen_floor(card: Card, rating: str, bought_monthly_fen: int) -> int:
    return min(bought_monthly_fen, LARGEST_MONTHLY_FEN) * card.by_rating[rating].limit_ppm // PPM


def rate_ppm(card: Card, rating: str, days: int) -> int | None:
    """The suggested yearly rate for so many days: that of the first tenor that reaches so far. None: not financed."""
    rates = card.by_rating[rating].rates_ppm if rating in card.by_rating else ()
    return next((rate for tenor, rate in zip(card.tenors_days, rates, strict=False) if days <= tenor), None)
