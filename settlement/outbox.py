"""The outbox: calls on their way to the chain, written in the transaction that caused them.

A row goes ``waiting -> sent -> done | reverted``. ``writer.py`` takes the rows in order; before a call leaves, its
signed transaction is kept in the row, so that after a crash the very same one is sent again and nothing happens twice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from data.tables import outbox
from settlement.chain import Call, Receipt
from settlement.keccak import keccak

_NUMBERS = 0x6F7574626F78
"""PostgreSQL's advisory lock for the next number, held to the end of the transaction: numbers commit in their order."""

WAITING, SENT, DONE, REVERTED = "waiting", "sent", "done", "reverted"


class Entry(NamedTuple):
    """A call that has not ended yet; ``raw`` is its signed transaction once it was made."""

    outbox_id: int
    call: Call
    raw: bytes | None


def put(connection: Connection, call: Call) -> int:
    """Queue a call; its outbox id. It will be sent after all that were queued before."""
    if connection.dialect.name == "postgresql":  # SQLite's writers take turns anyway
        connection.execute(select(func.pg_advisory_xact_lock(_NUMBERS)))
    last = connection.execute(select(func.max(outbox.c.outbox_id))).scalar() or 0
    row = {"outbox_id": last + 1, "kind": call.kind, "call": call.data, "state": WAITING}
    connection.execute(insert(outbox), row)
    return int(last) + 1


def unfinished(connection: Connection, limit: int) -> list[Entry]:
    """The oldest calls that are neither done nor reverted, in order."""
    query = (
        select(outbox.c.outbox_id, outbox.c.kind, outbox.c.call, outbox.c.raw)
        .where(outbox.c.state.in_((WAITING, SENT)))
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    entries = []
    for outbox_id, kind, data, raw in connection.execute(query):
        contract, function = kind.split(".")
        entries.append(Entry(outbox_id, Call(contract, function, data), raw))
    return entries


def newest_ended(connection: Connection) -> bytes | None:
    """The raw transaction of the newest call that is done or reverted."""
    ended = outbox.c.state.in_((DONE, REVERTED)) & outbox.c.raw.is_not(None)
    return connection.scalar(select(outbox.c.raw).where(ended).order_by(outbox.c.outbox_id.desc()).limit(1))


def count_unfinished(connection: Connection) -> int:
    """How many calls are neither done nor reverted."""
    query = select(func.count()).select_from(outbox).where(outbox.c.state.in_((WAITING, SENT)))
    return connection.execute(query).scalar_one()


def keep_signed(connection: Connection, signed: Sequence[tuple[int, bytes]]) -> bool:
    """Keep the raw transactions that are about to be sent, by outbox id.

    False when another writer was there first: one of them does not wait any more. Then nothing may be sent, and the
    caller's transaction is to be rolled back.
    """
    statement = (
        update(outbox)
        .where(outbox.c.outbox_id == bindparam("id"), outbox.c.state == WAITING)
        .values(state=SENT, raw=bindparam("signed"), transaction_hash=bindparam("hash"))
    )
    rows = [{"id": each, "signed": raw, "hash": keccak(raw)} for each, raw in signed]
    return all(connection.execute(statement, row).rowcount == 1 for row in rows)


def forget_signed(connection: Connection, outbox_ids: Iterable[int]) -> None:
    """Put calls back to waiting whose transactions can no longer be accepted: they will be signed anew."""
    statement = update(outbox).where(outbox.c.outbox_id == bindparam("id"))
    rows = [{"id": each} for each in outbox_ids]
    if rows:
        connection.execute(statement.values(state=WAITING, raw=None, transaction_hash=None), rows)


def finish(connection: Connection, receipts: Sequence[tuple[int, Receipt]]) -> None:
    """Record what became of calls, by outbox id."""
    statement = (
        update(outbox)
        .where(outbox.c.outbox_id == bindparam("id"))
        .values(
            state=bindparam("end"),
            block=bindparam("in_block"),
            block_hash=bindparam("in_block_hash"),
            gas=bindparam("gas_used"),
            refusal=bindparam("reason"),
        )
    )
    rows = [
        {
            "id": outbox_id,
            "end": DONE if receipt.succeeded else REVERTED,
            "in_block": receipt.block,
            "in_block_hash": receipt.block_hash,
            "gas_used": receipt.gas,
            "reason": None if receipt.succeeded else receipt.refusal,
        }
        for outbox_id, receipt in receipts
    ]
    connection.execute(statement, rows)


def send_again(connection: Connection, from_block: int) -> int:
    """Put what ended in these blocks back on its way, with the same transactions; returns how many calls that were."""
    ended = outbox.c.state.in_((DONE, REVERTED)) & (outbox.c.block >= from_block)
    back = {"state": SENT, "block": None, "block_hash": None, "gas": None, "refusal": None}
    return connection.execute(update(outbox).where(ended).values(back)).rowcount


def refusal_of(connection: Connection, outbox_id: int) -> str:
    """Why the contract refused a call; empty when it did not, or not yet."""
    is_meant = (outbox.c.outbox_id == outbox_id) & (outbox.c.state == REVERTED)
    return connection.execute(select(outbox.c.refusal).where(is_meant)).scalar() or ""


def call_of(connection: Connection, outbox_id: int) -> Call:
    """A call as it was queued."""
    row = connection.execute(select(outbox.c.kind, outbox.c.call).where(outbox.c.outbox_id == outbox_id)).one()
    contract, function = row.kind.split(".")
    return Call(contract, function, row.call)
