"""Everybody is scored once a day, from what was applied and paid until midnight; only what changed is kept."""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Row

from data.database import reading
from finance.credit import store
from finance.credit.card import Card
from finance.credit.decision import Decision
from finance.credit.fast import decide_all
from finance.credit.features import features_of
from finance.credit.store import Cut
from settlement.calendar import day_of, start_of


class _Run(NamedTuple):
    card: Card
    cut: Cut
    scored: int
    now_s: int


def score_due(database: Engine, card: Card, now_s: int, time_zone: str) -> bool:
    """Score all members as of the last midnight, unless that was done with this card and these cycles."""
    as_of_s = start_of(day_of(now_s, time_zone), time_zone)
    with reading(database) as connection:
        cut = store.cut_at(connection, as_of_s)
        if cut is None or _is_done(connection, card, cut):
            return False
        found = decisions_at(connection, card, cut, time_zone)
        held = {row.member_id: _said(row) for row in store.holding(connection) if row.model_hash == card.hash}
    changed = {member: made for member, made in found.items() if member not in held or not made.says_as(held[member])}
    with database.begin() as connection:
        _keep(connection, _Run(card, cut, len(found), now_s), changed)
    return True


def decisions_at(connection: Connection, card: Card, cut: Cut, time_zone: str) -> dict[int, Decision]:
    """What is decided about every member at a cut."""
    table = features_of(store.deeds(connection, cut, time_zone), cut.until_s)
    return dict(decide_all(card, table, cut.as_of_s, cut.last_cycle))


def _is_done(connection: Connection, card: Card, cut: Cut) -> bool:
    last = store.last_run(connection)
    if last is None:
        return False
    return (last.as_of_s, last.last_cycle, last.model_hash) == (cut.as_of_s, cut.last_cycle, card.hash)


def _said(row: Row[Any]) -> Decision:
    points = msgspec.json.decode(row.points, type=tuple[int, ...])
    return Decision(row.input.encode(), points, row.total, row.rating, row.limit_fen)


def _keep(connection: Connection, done: _Run, changed: dict[int, Decision]) -> None:
    last = store.last_run(connection)
    run, number = (0 if last is None else last.run) + 1, store.last_decision(connection)
    store.keep_model(connection, done.card, done.now_s)
    row = {
        "run": run,
        "model_hash": done.card.hash,
        "as_of_s": done.cut.as_of_s,
        "last_cycle": done.cut.last_cycle,
        "members": done.scored,
        "decisions": len(changed),
        "scored_s": done.now_s,
    }
    rows = [
        (
            place,
            run,
            member,
            made.input.decode(),
            made.input_hash,
            msgspec.json.encode(made.points).decode(),
            made.total,
            made.rating,
            made.limit_fen,
        )
        for place, (member, made) in enumerate(changed.items(), number + 1)
    ]
    store.add_run(connection, row, rows)
