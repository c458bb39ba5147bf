"""What the chain said of receivables in blocks that it has given up, undone: states, parts, sums, offers, periods.

What is undone is not hidden: the history loses the changes of those blocks, because the same place of the new chain
says something else, and says instead that the chain gave them up.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from finance import parts_store, period_store, store
from finance.mirror import NOBODY, TOLD
from finance.position import OF_RECEIVABLES, issued, step
from finance.receivable import State
from settlement import calendar, mirror_store
from settlement.chain import ChainEvent


def unroll(connection: Connection, from_block: int, lost: Sequence[ChainEvent], now_s: int, time_zone: str) -> int:
    """Undo the ``lost`` events, those from a block on; returns how many receivables were set back."""
    before = store.drop_changes(connection, from_block)
    left = [each for each in mirror_store.mirrored_events(connection) if _is_told(each)]
    for receivable_id in _named(lost):
        row = store.receivable(connection, receivable_id)
        if row is None:
            continue
        position = issued(row.creditor, row.due_day)
        for event in left:
            if event.arguments["receivable"] == receivable_id:
                position = step(position, event, calendar.day_of(event.block_s, time_zone))
        values = position.columns | {"state": row.state}
        store.set_receivable(
            connection, receivable_id, **values, act=None, act_outbox=None, act_reason=None, marked_s=0
        )
        parts_store.set_parts(connection, receivable_id, position.parts)
    for receivable_id, state in before.items():
        _set_back(connection, receivable_id, state, now_s)
    for event in lost:
        if event.event == "PeriodIssued":
            number = event.arguments["period"]
            assert isinstance(number, int)
            period_store.set_period(connection, number, state="signed")
    return len(before)


def _is_told(event: ChainEvent) -> bool:
    return event.contract in OF_RECEIVABLES and event.event in TOLD


def _named(lost: Sequence[ChainEvent]) -> list[bytes]:
    found = [event.arguments["receivable"] for event in lost if _is_told(event)]
    return list(dict.fromkeys(each for each in found if isinstance(each, bytes)))


def _set_back(connection: Connection, receivable_id: bytes, state: str, now_s: int) -> None:
    row = store.receivable(connection, receivable_id)
    assert row is not None, "its history names it"
    change = {"receivable_id": receivable_id, "before": row.state, "after": state, "actor": NOBODY, "at_s": now_s}
    store.add_change(connection, {**change, "reason": GIVEN_UP}, now_s)
    store.set_receivable(connection, receivable_id, state=state)
    if state in (State.ACKNOWLEDGED, State.LISTED):
        store.open_offers_again(connection, receivable_id)


GIVEN_UP = "the chain gave up the block that said so"
"""What the history says of what is undone."""
