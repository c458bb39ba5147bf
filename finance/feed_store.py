"""The queries of the feed: what is new, who may hear it, what was told.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, tuple_, union, update

from data.bulk import insert_rows
from data.tables import (
    chain_events,
    consents,
    feed_audience,
    feed_events,
    feed_positions,
    offers,
    receivable_history,
    receivable_parts,
    receivables,
)
from settlement.chain import ChainEvent
from settlement.mirror_store import arguments_from_json
from settlement.store import chunks

_PLACES = 2**20
"""More events than a block has: block and place as one number."""

_NOBODY = 0

Events = Sequence[Row[Any]]


# --------------------------------------------------------------------------------------------------- sources


def positions(connection: Connection) -> dict[str, int]:
    """Up to where each source was told."""
    return {row.source: row.position for row in connection.execute(select(feed_positions))}


def set_position(connection: Connection, source: str, position: int) -> None:
    """Where a source goes on."""
    done = connection.execute(update(feed_positions).where(feed_positions.c.source == source).values(position=position))
    if not done.rowcount:
        connection.execute(insert(feed_positions), {"source": source, "position": position})


def set_back(connection: Connection, block: int) -> None:
    """The chain gave up a block and those after it: what takes their place is told, too."""
    lost = (feed_positions.c.source == "chain") & (feed_positions.c.position >= block * _PLACES)
    connection.execute(update(feed_positions).where(lost).values(position=block * _PLACES - 1))


def is_news(connection: Connection) -> bool:
    """Whether a source has gone on."""
    told = positions(connection)
    newest = {
        "changes": connection.scalar(select(func.max(receivable_history.c.change))),
        "offers": connection.scalar(select(func.max(offers.c.offer_id))),
        "consents": connection.scalar(select(func.max(consents.c.change))),
        "chain": _last_place(connection),
    }
    return any((number or 0) > told.get(source, 0) for source, number in newest.items())


def changes_after(connection: Connection, change: int, limit: int) -> Events:
    """Rows of ``receivable_history``, in order."""
    query = select(receivable_history).where(receivable_history.c.change > change)
    return connection.execute(query.order_by(receivable_history.c.change).limit(limit)).all()


def offers_after(connection: Connection, offer_id: int, limit: int) -> Events:
    """Offers in the order in which they were made, each with its receivable's creditor."""
    query = (
        select(offers, receivables.c.creditor)
        .join(receivables, receivables.c.receivable_id == offers.c.receivable_id)
        .where(offers.c.offer_id > offer_id)
    )
    return connection.execute(query.order_by(offers.c.offer_id).limit(limit)).all()


def chain_events_after(
    connection: Connection, position: int, names: Sequence[str], limit: int
) -> tuple[list[ChainEvent], int]:
    """The mirrored events of these names after a position, and up to where all of them are among these."""
    newest = _last_place(connection)
    block, place = divmod(position, _PLACES)
    later = tuple_(chain_events.c.block, chain_events.c.log_index) > (block, place)
    query = select(chain_events).where(
        later, chain_events.c.contract.in_(("Receivables", "Sales")), chain_events.c.event.in_(names)
    )
    rows = connection.execute(query.order_by(chain_events.c.block, chain_events.c.log_index).limit(limit)).all()
    found = [ChainEvent(**{**row._mapping, "arguments": arguments_from_json(row.arguments)}) for row in rows]
    end = rows[-1].block * _PLACES + rows[-1].log_index if len(rows) == limit else newest
    return found, max(position, end)


def _last_place(connection: Connection) -> int:
    query = select(chain_events.c.block, chain_events.c.log_index)
    last = connection.execute(query.order_by(chain_events.c.block.desc(), chain_events.c.log_index.desc()).limit(1))
    row = last.first()
    return 0 if row is None else row.block * _PLACES + row.log_index


def rows_of(connection: Connection, receivable_ids: set[bytes]) -> dict[bytes, Row[Any]]:
    """Who has to do with some receivables, by id."""
    columns = (receivables.c.receivable_id, receivables.c.creditor, receivables.c.debtor, receivables.c.holder)
    found = {}
    for chunk in chunks(sorted(receivable_ids)):
        query: Select[Any] = select(*columns).where(receivables.c.receivable_id.in_(chunk))
        found.update({row.receivable_id: row for row in connection.execute(query)})
    return found


def holders_of(connection: Connection, receivable_ids: set[bytes]) -> dict[bytes, set[int]]:
    """Whoever owns or owned parts of some receivables, or has them pledged to it."""
    found: dict[bytes, set[int]] = {}
    for chunk in chunks(sorted(receivable_ids)):
        columns = (receivable_parts.c.receivable_id, receivable_parts.c.owner, receivable_parts.c.pledgee)
        for row in connection.execute(select(*columns).where(receivable_parts.c.receivable_id.in_(chunk))):
            found.setdefault(row.receivable_id, set()).update({row.owner, row.pledgee} - {_NOBODY})
    return found


# ------------------------------------------------------------------------------------------------- what is told


def last_number(connection: Connection) -> int:
    return connection.scalar(select(func.max(feed_events.c.number))) or 0


def add(connection: Connection, rows: list[tuple[Any, ...]], audience: list[tuple[int, int]]) -> None:
    """Append events (number, kind, at_s, receivable_id, subject, content), and (member, number) for who may hear."""
    names = ("number", "kind", "at_s", "receivable_id", "subject", "content")
    insert_rows(connection, feed_events, names, rows)
    insert_rows(connection, feed_audience, ("member_id", "number"), audience)


def events_after(connection: Connection, listeners: Sequence[int] | None, number: int, limit: int) -> Events:
    """The first events after a number that any of some listeners may hear (None: all events), in order."""
    if listeners is None:
        query = select(feed_events).where(feed_events.c.number > number)
        return connection.execute(query.order_by(feed_events.c.number).limit(limit)).all()
    firsts = [
        select(feed_audience.c.number)
        .where(feed_audience.c.member_id == listener, feed_audience.c.number > number)
        .order_by(feed_audience.c.number)
        .limit(limit)
        .subquery()
        .select()
        for listener in listeners
    ]
    together = union(*firsts).subquery()
    chosen = select(together.c.number).order_by(together.c.number).limit(limit).subquery()
    joined = select(feed_events).join(chosen, chosen.c.number == feed_events.c.number)
    return connection.execute(joined.order_by(feed_events.c.number)).all()


def first_of(connection: Connection, kind: str, subject: int) -> Row[Any] | None:
    """The first event of a kind about an offer, auction or consent."""
    query = select(feed_events).where(feed_events.c.kind == kind, feed_events.c.subject == subject)
    return connection.execute(query.order_by(feed_events.c.number).limit(1)).first()
