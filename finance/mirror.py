"""What the chain says of receivables, carried out in the database: state, holder, what was paid, and the history.

The database follows: a state changes here only because the contract said so. ``follow`` is called with new events in
the transaction that keeps them, so that a crash leaves no event half mirrored. *Due* and *overdue* come of the
calendar alone; ``mark_due`` writes them into the history, so that those who read by latest change hear of it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from data.units import floor_fen, format_money
from finance import period_store, store
from finance.receivable import ChainState, Standing, State, is_reachable
from settlement import calendar
from settlement.chain import ChainEvent

CALENDAR = 0
"""The actor of what nobody does."""


class MirrorError(Exception):
    """The chain and the database contradict each other: this database is not this chain's, or one was changed."""


def follow(connection: Connection, events: Sequence[ChainEvent], now_s: int) -> int:
    """Carry out the events of ``Receivables`` among some new ones; returns how many receivables' states changed.

    An event that was carried out before changes nothing. Raises MirrorError.
    """
    details: dict[tuple[bytes, bytes], _Detail] = {}
    changes = 0
    for event in events:
        if event.contract not in ("Receivables", "Sales"):
            continue
        if event.event == "PeriodIssued":
            changes += _issue(connection, event, now_s)
        elif event.event in _DETAILS:
            details[event.transaction_hash, _bytes(event, "receivable")] = _DETAILS[event.event](event)
        elif event.event == "Changed":
            detail = details.get((event.transaction_hash, _bytes(event, "receivable")), _Detail({}, ""))
            changes += _change(connection, event, detail, now_s)
    return changes


def mark_due(connection: Connection, now_s: int, time_zone: str) -> int:
    """Write into the history which receivables fell due or overdue by today; returns how many."""
    today = calendar.day_of(now_s, time_zone)
    marked = 0
    for standing in (Standing.DUE, Standing.OVERDUE):
        for row in store.fallen_due(connection, standing, today):
            reason = due_words(row.due_day)
            _record(connection, row, standing, actor=CALENDAR, at_s=now_s, reason=reason, now_s=now_s)
            marked += 1
    return marked


def due_words(due_day: str) -> str:
    """What the history says when a receivable falls due or overdue."""
    return f"the due day was {due_day}"


def issued_words(period: int) -> str:
    """What the history says when a period is issued."""
    return f"period {period} was issued"


def _issue(connection: Connection, event: ChainEvent, now_s: int) -> int:
    number = _number(event, "period")
    period = period_store.period(connection, number)
    said = (_bytes(event, "root"), _number(event, "count"))
    if period is None or (period.root, period_store.count_of(period)) != said:
        raise MirrorError(f"the chain issued a period {number} that is not in this database")
    if period.state == "issued":
        return 0
    period_store.set_period(connection, number, state="issued")
    change = {
        "after": State.ISSUED.value,
        "actor": CALENDAR,
        "at_s": event.block_s,
        "reason": issued_words(number),
        "block": event.block,
        "log_index": event.log_index,
    }
    return period_store.issue_all(connection, number, change, store.last_change(connection), now_s)


def _change(connection: Connection, event: ChainEvent, detail: "_Detail", now_s: int) -> int:
    receivable_id = _bytes(event, "receivable")
    if _number(event, "before") == _ABSENT:
        store.set_receivable(connection, receivable_id, on_chain=True)
        return 0
    if store.is_mirrored(connection, event.block, event.log_index):
        return 0
    before, after = (ChainState(_number(event, name)).state for name in ("before", "after"))
    row = store.receivable(connection, receivable_id)
    if row is None or row.state != before or not is_reachable(before, after):
        found = "not here" if row is None else f"{row.state} here"
        raise MirrorError(f"the chain moved {receivable_id.hex()} from {before} to {after}; it is {found}")
    reason = detail.reason or row.act_reason or ""
    _record(connection, row, after, event=event, actor=_number(event, "actor"), reason=reason, now_s=now_s)
    cleared = {"act": None, "act_outbox": None, "act_reason": None}
    store.set_receivable(connection, receivable_id, **detail.values, **cleared, state=after)
    if after is State.FINANCED:
        store.accept_offer(connection, receivable_id, *(detail.values[name] for name in _OFFERED))
    if after not in (State.ACKNOWLEDGED, State.LISTED):
        store.lapse_offers(connection, receivable_id)
    return 1


def _record(
    connection: Connection,
    row: Row[Any],
    after: str,
    *,
    reason: str,
    now_s: int,
    event: ChainEvent | None = None,
    actor: int = CALENDAR,
    at_s: int | None = None,
) -> None:
    change: dict[str, Any] = {
        "receivable_id": row.receivable_id,
        "before": row.state,
        "after": after,
        "actor": actor,
        "at_s": at_s,
        "reason": reason,
    }
    if event is not None:
        change |= {"at_s": event.block_s, "block": event.block, "log_index": event.log_index}
    store.add_change(connection, change, now_s)


# --------------------------------------------------------------------- events that say how a state is reached

_ABSENT = 0
_OFFERED = ("holder", "advance_fen", "proceeds_fen")


class _Detail(NamedTuple):
    """What an event before ``Changed``, in the same transaction, says of it: columns, and words for the history."""

    values: dict[str, Any]
    reason: str


def _financed(event: ChainEvent) -> _Detail:
    bank, advance_micro, proceeds_micro = (_number(event, name) for name in ("bank", "advance", "proceeds"))
    values = dict(zip(_OFFERED, (bank, floor_fen(advance_micro), floor_fen(proceeds_micro)), strict=True))
    advance, proceeds = format_money(advance_micro), format_money(proceeds_micro)
    return _Detail(values, f"{bank} paid {proceeds} CNY and is owed {advance} CNY first")


def _repaid(event: ChainEvent) -> _Detail:
    amounts = (_number(event, name) for name in ("amount", "to_holder", "to_creditor"))
    amount, to_holder, to_creditor = map(format_money, amounts)
    reason = f"paid {amount} CNY: {to_holder} to the holder, {to_creditor} to the creditor"
    return _Detail({"paid_fen": floor_fen(_number(event, "paid"))}, reason)


def detail_of(event: ChainEvent) -> _Detail:
    """What an event says beyond the state; nothing when it is ``Changed`` itself or says nothing more."""
    return _DETAILS[event.event](event) if event.event in _DETAILS else _Detail({}, "")


def words_of(event: ChainEvent) -> str | None:
    """What the history says of the change that comes with this event; None: the event says nothing of it."""
    read = _DETAILS.get(event.event)
    return None if read is None else read(event).reason


_DETAILS: dict[str, Callable[[ChainEvent], _Detail]] = {"Financed": _financed, "Repaid": _repaid}


def _number(event: ChainEvent, name: str) -> int:
    value = event.arguments[name]
    assert isinstance(value, int)
    return value


def _bytes(event: ChainEvent, name: str) -> bytes:
    value = event.arguments[name]
    assert isinstance(value, bytes)
    return value
