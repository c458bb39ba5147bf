"""Asks the chain to look at the calendar: what is due or overdue there becomes so, and the events move the database.

``mark_many`` needs no signature and passes over what the calendar does not move, so asking twice does no harm; still a
receivable is asked for again only after an hour, for a chain whose day has not begun.
"""

from sqlalchemy import Connection

from finance import store
from settlement import calendar, fate_acts, outbox

AGAIN_S = 3_600


def mark_due(connection: Connection, now_s: int, time_zone: str) -> int:
    """Queue the marking of what fell due, or overdue, by today; returns for how many receivables."""
    ids = store.to_be_marked(connection, calendar.day_of(now_s, time_zone), asked_before_s=now_s - AGAIN_S)
    for start in range(0, len(ids), fate_acts.MARKED_AT_ONCE):
        outbox.put(connection, fate_acts.mark_many(ids[start : start + fate_acts.MARKED_AT_ONCE]))
    store.set_marked(connection, ids, now_s)
    return len(ids)
