"""What the chain said of receivables in blocks that it has given up, undone: state, holder, sums, offers, periods.

What is undone is not hidden: the history loses the changes of those blocks, because the same place of the new chain
says something else, and says instead that the chain gave them up.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from finance import period_store, store
from finance.mirror import CALENDAR, detail_of
from finance.receivable import State
from settlement import mirror_store
from settlement.chain import ChainEvent


def unroll(connection: Connection, from_block: int, lost: Sequence[ChainEvent], now_s: int) -> int:
    """Undo the ``lost`` events, those from a block on; returns how many receivables were set back."""
    before = store.drop_changes(connection, from_block)
    left = [each for each in mirror_store.mirrored_events(connection) if each.contract in ("Receivables", "Sales")]
    for receivable_id in _named(lost):
        row = store.receivable(connection, receivable_id)
        if row is None:
            continue
        own = [each for each in left if each.arguments.get("receivable") == receivable_id]
        on_chain = any(each.event == "Changed" and not each.arguments["before"] for each in own)
        values = {"holder": row.creditor, "advance_fen": 0, "proceeds_fen": 0, "paid_fen": 0, "on_chain": on_chain}
        for event in own:
            values |= detail_of(event).values
        store.set_receivable(connection, receivable_id, **values, act=None, act_outbox=None, act_reason=None)
    for receivable_id, state in before.items():
        _set_back(connection, receivable_id, state, now_s)
    for event in lost:
        if event.event == "PeriodIssued":
            number = event.arguments["period"]
            assert isinstance(number, int)
            period_store.set_period(connection, number, state="signed")
    return len(before)


def _named(lost: Sequence[ChainEvent]) -> list[bytes]:
    found = [event.arguments.get("receivable") for event in lost if event.contract in ("Receivables", "Sales")]
    return list(dict.fromkeys(each for each in found if isinstance(each, bytes)))


def _set_back(connection: Connection, receivable_id: bytes, state: str, now_s: int) -> None:
    row = store.receivable(connection, receivable_id)
    assert row is not None, "its history names it"
    change = {"receivable_id": receivable_id, "before": row.state, "after": state, "actor": CALENDAR, "at_s": now_s}
    store.add_change(connection, {**change, "reason": "the chain gave up the block that said so"}, now_s)
    store.set_receivable(connection, receivable_id, state=state)
    if state in (State.ACKNOWLEDGED, State.LISTED):
        store.open_offers_again(connection, receivable_id)
