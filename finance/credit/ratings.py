"""The ratings, from best to worst, and what a member without history gets."""

RATINGS = ("AAA", "AA", "A", "BBB", "BB", "B", "CCC", "CC", "C", "D")

NO_HISTORY = "CCC"
"""Of whoever has no decision yet; a card gives no better one to a member without a settled trade."""

PLACES = {rating: place for place, rating in enumerate(RATINGS)}


def worse(one: str, other: str) -> str:
    """The worse of two ratings."""
    return max(one, other, key=PLACES.__getitem__)
