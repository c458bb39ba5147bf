"""The default ladder's next steps, taken when their deadlines have passed: margin call, suspension, case.

Anyone may send ``escalate``; the market does, so that nobody has to think of it. Whoever pays its arrears is off the
ladder by the contract itself.
"""

from sqlalchemy import Connection

from settlement import acts, ladder_store, outbox

AFTER_S = 60
"""A network's clock may be so far behind the market's."""


def escalate_due(connection: Connection, now_s: int) -> list[int]:
    """Queue the next step for every member whose deadline has passed; returns who they are."""
    standings = ladder_store.standings(connection)
    due = {
        member: acts.escalate(member)
        for member, standing in sorted(standings.items())
        if standing.deadline_s is not None and now_s > standing.deadline_s + AFTER_S
    }
    if not due:
        return []
    under_way = ladder_store.escalating(connection)
    queued = [member for member, call in due.items() if call.data not in under_way]
    for member in queued:
        outbox.put(connection, due[member])
    return queued
