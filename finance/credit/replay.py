"""Decisions made again from what was kept of them: each must follow from its own input and its card.

``jinsha score replay`` and the audit both run this. Whether the input is what the history said then is not asked here:
later readings and payments have moved the history on.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from finance.credit import store
from finance.credit.card import Card, CardError, parse
from finance.credit.decision import Decision, Input, decide
from finance.credit.feature_names import NAMES
from settlement.audit_scene import Scene, Step, Tick
from settlement.contradiction import Contradiction, differs


def steps(scene: Scene) -> list[Step]:
    """The audit's steps on credit."""
    count = store.last_decision(scene.connection)
    return [
        Step("credit: decisions made again", "decisions", count, _decisions),
        Step("credit: limits of the lenders", "limits", 1, _limits),
    ]


def _decisions(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    yield from replay(scene.connection, tick)


def _limits(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    yield from audit_limits(scene.connection)
    tick(1)


def replay(connection: Connection, tick: Tick) -> Iterator[Contradiction]:
    """Where cards, runs or decisions are not what they say."""
    cards: dict[bytes, Card] = {}
    for model_hash, row in store.models(connection).items():
        try:
            cards[model_hash] = parse(row.card)
        except CardError as error:
            yield Contradiction("credit_models", model_hash.hex(), "card", str(error))
            return
        yield from _differences(
            "credit_models",
            model_hash.hex(),
            row,
            {"model_hash": cards[model_hash].hash, "name": cards[model_hash].name},
        )
        if row.card.encode() != cards[model_hash].content:
            yield Contradiction("credit_models", model_hash.hex(), "card", "is not canonical")
    runs = {row.run: row for row in store.runs(connection)}
    made = dict.fromkeys(runs, 0)
    for place, row in enumerate(store.decisions(connection), 1):
        if row.decision != place:
            yield differs("credit_decisions", row.decision, "decision", stated=row.decision, computed=place)
        yield from _replay_one(row, runs, cards)
        made[row.run] = made.get(row.run, 0) + 1
        tick(1)
    yield from _audit_runs(list(runs.values()), made)


def _replay_one(row: Row[Any], runs: Mapping[int, Row[Any]], cards: Mapping[bytes, Card]) -> Iterator[Contradiction]:
    run = runs.get(row.run)
    if run is None or run.model_hash not in cards:
        yield Contradiction("credit_decisions", str(row.decision), "run", "there is none, or none of its card")
        return
    try:
        given = msgspec.json.decode(row.input, type=Input)
        again = decide(cards[run.model_hash], given)
        points: tuple[int, ...] | None = msgspec.json.decode(row.points, type=tuple[int, ...])
    except (msgspec.DecodeError, KeyError) as error:
        yield Contradiction("credit_decisions", str(row.decision), "input", f"can not be read: {error}")
        return
    if tuple(given.features) != NAMES or given.content != row.input.encode():
        yield Contradiction("credit_decisions", str(row.decision), "input", "is not canonical")
    told = (given.model, given.as_of_s, given.last_cycle)
    if told != (run.model_hash.hex(), run.as_of_s, run.last_cycle):
        yield differs("credit_decisions", row.decision, "input", stated=told, computed=(run.as_of_s, run.last_cycle))
    yield from _differences("credit_decisions", str(row.decision), row, _columns(given, again))
    if points != again.points:
        yield differs("credit_decisions", row.decision, "points", stated=points, computed=again.points)


def _columns(given: Input, again: Decision) -> dict[str, Any]:
    return {
        "member_id": given.member,
        "input_hash": again.input_hash,
        "total": again.total,
        "rating": again.rating,
        "limit_fen": again.limit_fen,
    }


def _audit_runs(runs: list[Row[Any]], made: Mapping[int, int]) -> Iterator[Contradiction]:
    """They are numbered from 1, in the order of their time, and each made as many decisions as it says."""
    for place, run in enumerate(runs, 1):
        if run.run != place:
            yield differs("credit_runs", run.run, "run", stated=run.run, computed=place)
        if run.decisions != made[run.run]:
            yield differs("credit_runs", run.run, "decisions", stated=run.decisions, computed=made[run.run])


def _differences(table: str, key: str, row: Row[Any], computed: Mapping[str, Any]) -> Iterator[Contradiction]:
    for column, value in computed.items():
        stated = getattr(row, column)
        if stated != value:
            yield differs(table, key, column, stated=stated, computed=value)


def audit_limits(connection: Connection) -> Iterator[Contradiction]:
    """What a member may owe is what its lenders let it, as each last said."""
    sums: dict[int, int] = {}
    for row in store.limits_of(connection):
        sums[row.member_id] = sums.get(row.member_id, 0) + row.limit_micro
    stated = store.credit_limits_micro(connection)
    for member, limit_micro in sorted(sums.items()):
        if stated.get(member) != limit_micro:
            yield differs("members", member, "credit_limit_micro", stated=stated.get(member), computed=limit_micro)
