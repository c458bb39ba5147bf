"""What can be asked of a list of receivables, as a query says it."""

from datetime import date
from typing import Any

from finance.listing import Filter
from finance.receivable import Standing, State
from market import wire
from market.openapi.fields import Day, FenGiven, Instant, Number
from market.problems import refuse
from market.receivable_views import money_fen, one_of

FILTERS: dict[str, Any] = {
    "state": State,
    "standing": Standing,
    "creditor": Number,
    "debtor": Number,
    "holder": Number,
    "source": str,
    "due_from": Day,
    "due_to": Day,
    "face_from": FenGiven,
    "face_to": FenGiven,
    "updated_after": Instant,
}
"""The parameters and their types. Both ends of every range are included."""


def filter_of(parameters: dict[str, str]) -> Filter:
    """What a query asks for. Raises ProblemError."""

    def number(name: str) -> int | None:
        return wire.whole_number(parameters[name], name) if name in parameters else None

    def fen(name: str) -> int | None:
        return money_fen(parameters[name], name) if name in parameters else None

    after = parameters.get("updated_after")
    asked = one_of(parameters, "standing", tuple(Standing))
    return Filter(
        state=one_of(parameters, "state", tuple(State)),
        standing=None if asked is None else Standing(asked),
        creditor=number("creditor"),
        debtor=number("debtor"),
        holder=number("holder"),
        source=parameters.get("source"),
        due_from=day_of(parameters, "due_from"),
        due_to=day_of(parameters, "due_to"),
        face_from_fen=fen("face_from"),
        face_to_fen=fen("face_to"),
        updated_after_s=None if after is None else wire.instant_s(after, "updated_after"),
    )


def day_of(parameters: dict[str, str], name: str) -> date | None:
    """A day of a query, None where there is none. Raises ProblemError ``bad_day``."""
    text = parameters.get(name)
    if text is None:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise refuse(422, "bad_day", "expected a day as 2026-07-01", name) from error
    if found.isoformat() != text:
        raise refuse(422, "bad_day", "expected a day as 2026-07-01", name)
    return found
