"""The queries of credit: what members did, decisions about them, limits that lenders gave them.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL. The
database finds the rows, ``sums.py`` adds them up by member.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    CursorResult,
    Row,
    Select,
    case,
    cast,
    func,
    insert,
    select,
    update,
)

from data.bulk import insert_rows
from data.tables import (
    credit_decisions,
    credit_limits,
    credit_models,
    credit_runs,
    cycles,
    deliveries,
    members,
    receivable_history,
    receivables,
    statement_lines,
    trades,
)
from data.units import MICRO_PER_FEN
from finance.credit.card import Card
from finance.credit.features import MONTH_S, MONTHS, Deeds, Whole
from finance.credit.sums import Rows, Trading
from finance.listing import Viewer
from finance.receivable import GRACE_DAYS
from settlement import ladder_store
from settlement.calendar import day_of, start_of
from settlement.delivery import Kind

SCORED_KINDS = ("household", "business", "plant")
"""Banks and institutions buy nothing on terms."""

_NOT_OWED = ("drafted", "rejected", "cancelled", "disputed", "void")
_YEAR_S = MONTHS * MONTH_S

AT_ONCE = 50_000
"""So many trades are in memory at once."""


class Cut(NamedTuple):
    """Up to where history is looked at: everything before ``as_of_s``, trades of cycles up to ``last_cycle``, whose
    end is ``until_s``."""

    as_of_s: int
    last_cycle: int
    until_s: int


def cut_at(connection: Connection, as_of_s: int) -> Cut | None:
    """The cut with what is applied by now; None before the first cycle is."""
    query = select(cycles.c.cycle, cycles.c.end_s).where(cycles.c.state == "applied", cycles.c.end_s <= as_of_s)
    row = connection.execute(query.order_by(cycles.c.cycle.desc()).limit(1)).first()
    return None if row is None else Cut(as_of_s, row.cycle, row.end_s)


# ------------------------------------------------------------------------------------------- what they did


def deeds(connection: Connection, cut: Cut, time_zone: str) -> Deeds:
    """What the history says of every member that can be scored."""
    ids = _whole(connection.execute(_scored().order_by(members.c.member_id)), 1)[:, 0]
    traded = Trading(ids, cut.until_s)
    streamed = connection.execution_options(yield_per=AT_ONCE).execute(_settled_trades(cut))
    for some in streamed.partitions():
        traded.add(_whole(some, 6))
    rows, dues = Rows(ids), _dues(connection, cut, time_zone)
    return Deeds(
        members=ids,
        bought_fen=traded.bought_micro // MICRO_PER_FEN,
        sold_fen=traded.sold_micro // MICRO_PER_FEN,
        traded_lots=traded.traded_lots,
        sold_lots=traded.sold_lots,
        delivered_lots=traded.delivered_lots,
        deviated_lots=rows.sums(_whole(connection.execute(_deviations(cut)), 2)),
        first_slot_s=traded.first_slot_s,
        largest_fen=traded.largest_fen_floor(),
        due_fen=rows.sums(dues[:, [0, 1]]),
        on_time_fen=rows.sums(dues[dues[:, 3] == 1][:, [0, 1]]),
        days_late=rows.most(dues[:, [0, 2]]),
        ladder_stage=rows.most(_stages(connection, cut)),
    )


def _scored() -> Select[Any]:
    is_scored = members.c.kind.in_(SCORED_KINDS) & members.c.status.in_(("admitted", "suspended"))
    return select(members.c.member_id).where(is_scored)


def _settled_trades(cut: Cut) -> Select[Any]:
    """In the order of ``Trading.add``. Not grouped: a database sorts a million rows slower than numpy adds them up."""
    price = trades.c.quantity_lots * trades.c.seller_price_ticks
    query = select(
        trades.c.buyer, trades.c.seller, trades.c.slot_s, trades.c.quantity_lots, price, deliveries.c.delivered_lots
    )
    settled = deliveries.c.cycle <= cut.last_cycle
    return query.join(deliveries, deliveries.c.trade_id == trades.c.trade_id).where(settled)


def _deviations(cut: Cut) -> Select[Any]:
    """Energy off what was traded, by member; a line that takes back an earlier one counts against it."""
    line = statement_lines.c
    pays = line.kind.in_((Kind.SHORTFALL, Kind.OVER_CONSUMED))
    as_usual = line.adjusts.is_(None) | (pays & (line.amount_micro <= 0)) | (~pays & (line.amount_micro >= 0))
    energy = case((as_usual, line.energy_lots), else_=-line.energy_lots)
    kinds = (Kind.SHORTFALL, Kind.SURPLUS, Kind.OVER_CONSUMED, Kind.UNDER_CONSUMED)
    in_year = (line.slot_s >= cut.until_s - _YEAR_S) & (line.slot_s < cut.until_s)
    query = select(line.member_id, _big(func.sum(energy)))
    return query.where(line.cycle <= cut.last_cycle, line.kind.in_(kinds), in_year).group_by(line.member_id)


def _dues(connection: Connection, cut: Cut, time_zone: str) -> Whole:
    """Debtor, face in fen, days late, 1 when it was in time: of every receivable that fell due in the last year."""
    today = day_of(cut.as_of_s, time_zone)
    first, last = today - timedelta(days=MONTHS * 30), today - timedelta(days=GRACE_DAYS + 1)
    settled = (
        select(receivable_history.c.receivable_id, func.min(receivable_history.c.at_s).label("settled_s"))
        .where(receivable_history.c.after == "settled", receivable_history.c.at_s < cut.as_of_s)
        .group_by(receivable_history.c.receivable_id)
        .subquery()
    )
    query = (
        select(receivables.c.debtor, receivables.c.face_fen, receivables.c.due_day, settled.c.settled_s)
        .outerjoin(settled, settled.c.receivable_id == receivables.c.receivable_id)
        .where(
            receivables.c.due_day.between(first.isoformat(), last.isoformat()), receivables.c.state.notin_(_NOT_OWED)
        )
    )
    ends: dict[str, int] = {}
    found = []
    for debtor, face_fen, due_day, settled_s in connection.execute(query):
        if due_day not in ends:
            ends[due_day] = start_of(date.fromisoformat(due_day) + timedelta(days=1), time_zone)
        paid_s = cut.as_of_s if settled_s is None else settled_s
        days_late = max(0, (paid_s - ends[due_day]) // 86_400 + 1)
        found.append((debtor, face_fen, days_late, int(settled_s is not None and days_late <= GRACE_DAYS)))
    return _whole(found, 4)


def _stages(connection: Connection, cut: Cut) -> Whole:
    """Member and stage: every stage of the ladder on which it stood at some time of the last year."""
    begins_s = cut.as_of_s - _YEAR_S
    stood: dict[int, int] = {}
    found = []
    for step in ladder_store.steps(connection):
        if step.at_s >= cut.as_of_s:
            break
        if step.at_s < begins_s:
            stood[step.member] = step.stage
        else:
            found.append((step.member, step.stage))
    return _whole([*stood.items(), *found], 2)


def _big(value: ColumnElement[Any]) -> ColumnElement[int]:
    """PostgreSQL makes sums decimals."""
    return cast(value, BigInteger)


def _whole(rows: Sequence[Sequence[Any]] | CursorResult[Any], width: int) -> Whole:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64).reshape(-1, width)


# ----------------------------------------------------------------------------------------------- decisions

DecisionRow = tuple[int, int, int, str, bytes, str, int, str, int]
"""In the order of the columns of ``credit_decisions``."""


def last_run(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(credit_runs).order_by(credit_runs.c.run.desc()).limit(1)).first()


def last_decision(connection: Connection) -> int:
    return connection.scalar(select(func.max(credit_decisions.c.decision))) or 0


def keep_model(connection: Connection, card: Card, now_s: int) -> None:
    """A card is kept once, whatever is configured later."""
    known = select(credit_models.c.model_hash).where(credit_models.c.model_hash == card.hash)
    if connection.scalar(known) is None:
        row = {"model_hash": card.hash, "name": card.name, "card": card.content.decode(), "first_used_s": now_s}
        connection.execute(insert(credit_models), row)


def add_run(connection: Connection, row: dict[str, Any], decisions: Sequence[DecisionRow]) -> None:
    connection.execute(insert(credit_runs), row)
    insert_rows(connection, credit_decisions, tuple(credit_decisions.c.keys()), decisions)


def models(connection: Connection) -> dict[bytes, Row[Any]]:
    """Every card that was used, by hash."""
    return {row.model_hash: row for row in connection.execute(select(credit_models))}


def runs(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(select(credit_runs).order_by(credit_runs.c.run)).all()


def decisions(connection: Connection) -> Iterator[Row[Any]]:
    """Every decision, by number."""
    streamed = connection.execution_options(yield_per=10_000)
    yield from streamed.execute(select(credit_decisions).order_by(credit_decisions.c.decision))


def _holding() -> Select[Any]:
    """Numbers of the decisions that hold."""
    return select(func.max(credit_decisions.c.decision)).group_by(credit_decisions.c.member_id)


def holding(connection: Connection) -> Iterator[Row[Any]]:
    """The decision that holds of every member that has one, with its run's model."""
    query = select(credit_decisions, credit_runs.c.model_hash).join(
        credit_runs, credit_runs.c.run == credit_decisions.c.run
    )
    yield from connection.execute(query.where(credit_decisions.c.decision.in_(_holding())))


def latest_ratings(connection: Connection) -> dict[int, str]:
    """The rating of every member that was ever scored; of all others it is ``ratings.NO_HISTORY``."""
    query = select(credit_decisions.c.member_id, credit_decisions.c.rating)
    found = connection.execute(query.where(credit_decisions.c.decision.in_(_holding())))
    return {row.member_id: row.rating for row in found}


def ratings_of(connection: Connection, whom: Sequence[int]) -> dict[int, str]:
    """As ``latest_ratings``, of some members."""
    newest = _holding().where(credit_decisions.c.member_id.in_(sorted(set(whom))))
    query = select(credit_decisions.c.member_id, credit_decisions.c.rating)
    found = connection.execute(query.where(credit_decisions.c.decision.in_(newest)))
    return {row.member_id: row.rating for row in found}


def decision_of(connection: Connection, member: int) -> Row[Any] | None:
    """The decision that holds of a member, with its run and model."""
    query = (
        select(credit_decisions, credit_runs.c.scored_s, credit_runs.c.as_of_s, credit_models.c.card)
        .join(credit_runs, credit_runs.c.run == credit_decisions.c.run)
        .join(credit_models, credit_models.c.model_hash == credit_runs.c.model_hash)
        .where(credit_decisions.c.member_id == member)
    )
    return connection.execute(query.order_by(credit_decisions.c.decision.desc()).limit(1)).first()


# -------------------------------------------------------------------------------------------------- limits


def set_limits(connection: Connection, lender: int, limits_micro: dict[int, int], now_s: int) -> dict[int, int]:
    """A lender lets members buy on terms so far; returns what all lenders together let each. Of members that had a
    limit from before there was a history, that one ends."""
    number = connection.scalar(select(func.max(credit_limits.c.number))) or 0
    sums: dict[int, int] = {}
    for place, (member, limit_micro) in enumerate(limits_micro.items(), number + 1):
        newest = select(func.max(credit_decisions.c.decision)).where(credit_decisions.c.member_id == member)
        connection.execute(
            insert(credit_limits),
            {
                "number": place,
                "member_id": member,
                "lender": lender,
                "limit_micro": limit_micro,
                "set_s": now_s,
                "decision": connection.scalar(newest),
            },
        )
        sums[member] = sum(row.limit_micro for row in limits_of(connection, member))
        whose = members.c.member_id == member
        connection.execute(update(members).where(whose).values(credit_limit_micro=sums[member]))
    return sums


def limits_of(connection: Connection, member: int | None = None) -> Sequence[Row[Any]]:
    """The limits that hold, of one member or of all, by number."""
    newest = select(func.max(credit_limits.c.number)).group_by(credit_limits.c.member_id, credit_limits.c.lender)
    if member is not None:
        newest = newest.where(credit_limits.c.member_id == member)
    query = select(credit_limits).where(credit_limits.c.number.in_(newest))
    return connection.execute(query.order_by(credit_limits.c.number)).all()


def limit_history(
    connection: Connection, viewer: Viewer, *, member: int | None, after: int, limit: int
) -> Sequence[Row[Any]]:
    """Every limit that was ever set, as far as the viewer set it or is meant; from the one after ``after`` on."""
    query = select(credit_limits).where(credit_limits.c.number > after)
    if not viewer.is_overseer:
        query = query.where((credit_limits.c.lender == viewer.member) | (credit_limits.c.member_id == viewer.member))
    if member is not None:
        query = query.where(credit_limits.c.member_id == member)
    return connection.execute(query.order_by(credit_limits.c.number).limit(limit)).all()


def credit_limits_micro(connection: Connection) -> dict[int, int]:
    """What each member may owe in all, as orders are held to it."""
    found = connection.execute(select(members.c.member_id, members.c.credit_limit_micro))
    return {row.member_id: row.credit_limit_micro for row in found}
