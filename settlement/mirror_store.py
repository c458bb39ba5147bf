"""The queries about what was mirrored, for when it has to be undone: events, and the blocks that they stood in.

Every function takes a ``Connection`` inside the caller's transaction and works alike on SQLite and PostgreSQL.
"""

import json

from sqlalchemy import Connection, delete, select

from data.tables import chain_events, outbox
from settlement.chain import ChainEvent


def arguments_from_json(text: str) -> dict[str, int | bytes | bool]:
    """The inverse of ``arguments_to_json``."""

    def value(plain: str | bool) -> int | bytes | bool:
        if isinstance(plain, bool):
            return plain
        return bytes.fromhex(plain[2:]) if plain.startswith("0x") else int(plain)

    return {name: value(plain) for name, plain in json.loads(text).items()}


def mirrored_events(connection: Connection, from_block: int = 0) -> list[ChainEvent]:
    """The kept events from a block on, in order."""
    query = select(chain_events).where(chain_events.c.block >= from_block)
    return [
        ChainEvent(**{**row._mapping, "arguments": arguments_from_json(row.arguments)})
        for row in connection.execute(query.order_by(chain_events.c.block, chain_events.c.log_index))
    ]


def known_blocks(connection: Connection, below: int | None, limit: int) -> list[tuple[int, bytes]]:
    """Number and hash of blocks of which an event or the end of a call is kept, the newest first."""
    places = [(chain_events.c.block, chain_events.c.block_hash), (outbox.c.block, outbox.c.block_hash)]
    queries = []
    for block, block_hash in places:
        query = select(block.label("block"), block_hash.label("block_hash")).where(block_hash.is_not(None)).distinct()
        queries.append((query if below is None else query.where(block < below)).order_by(block.desc()).limit(limit))
    found = {row.block: row.block_hash for query in queries for row in connection.execute(query)}
    return sorted(found.items(), reverse=True)[:limit]


def drop_chain_events(connection: Connection, from_block: int) -> None:
    """Forget the events of a block and of those after it."""
    connection.execute(delete(chain_events).where(chain_events.c.block >= from_block))
