"""A decision about a member's credit, and how it is made again from what was kept of it.

The input is canonical JSON with the model's hash, the cut of the history and the features; its keccak-256 stands
beside it. Whoever has the card of that hash computes points, total, rating and suggested limit again. Pure.
"""

from typing import NamedTuple

import msgspec

from finance.credit.card import Card, Score, limit_fen_floor, score
from settlement.keccak import keccak


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a decision follows from; ``features`` in the order of ``feature_names.NAMES``."""

    as_of_s: int
    bought_monthly_fen: int
    features: dict[str, int]
    last_cycle: int
    member: int
    model: str

    @property
    def content(self) -> bytes:
        return msgspec.json.encode(self)


class Decision(NamedTuple):
    """What was decided about one member; ``points`` in the order of the card's features."""

    input: bytes
    points: tuple[int, ...]
    total: int
    rating: str
    limit_fen: int

    @property
    def input_hash(self) -> bytes:
        return keccak(self.input)

    def says_as(self, other: "Decision") -> bool:
        """Whether nothing changed but what it was computed from."""
        return self[1:] == other[1:]


def decide(card: Card, given: Input) -> Decision:
    """The decision on one member, plainly. KeyError when a feature that the card asks for is missing."""
    scored: Score = score(card, given.features)
    limit_fen = limit_fen_floor(card, scored.rating, given.bought_monthly_fen)
    return Decision(given.content, scored.points, scored.total, scored.rating, limit_fen)
